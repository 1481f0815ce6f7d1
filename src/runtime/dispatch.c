/* SPDX-License-Identifier: MIT
 *
 * Checks a dispatch against the limits of the device, gets its pipeline and records it.
 */
#include "runtime/dispatch.h"
#include "base/error.h"

#include <math.h>
#include <string.h>

/* ---- Dispatches ------------------------------------------------------------------------------ */

void dispatch_workgroup(struct launch *launch, uint32_t x, uint32_t y)
{
    launch->constants[0] = x;
    launch->constants[1] = y;
    launch->constants[2] = 1;
    launch->constant_count = 3;
}

void dispatch_constant(struct launch *launch, uint32_t value)
{
    launch->constants[launch->constant_count++] = value;
}

void dispatch_args(struct launch *launch, const void *args, uint32_t bytes)
{
    memcpy(launch->dispatch.push, args, bytes);
    launch->dispatch.push_bytes = bytes;
}

void dispatch_addresses(struct launch *launch)
{
    struct gpu_dispatch *dispatch = &launch->dispatch;
    if (!(launch->kernel->needs & CAP_ADDRESS) || !launch->commands) /* without memory yet */
        return;
    const uint64_t addresses[] = {gpu_range_address(&dispatch->ranges[0]),
                                  gpu_range_address(&dispatch->ranges[1])};
    const uint32_t words = divide_up(dispatch->push_bytes, sizeof(*addresses)) * 2;
    memcpy(dispatch->push + words, addresses, sizeof(addresses));
    dispatch->push_bytes = 4 * words + sizeof(addresses);
}

void dispatch_texels(struct launch *launch, int slot, enum type type)
{
    if (!kernels_read_texels(launch->kernel))
        return;
    enum gpu_texel *texel = &launch->dispatch.texel[slot];
    if (type == TYPE_F32)
        *texel = GPU_TEXEL_RGBA32F;
    else if (type == TYPE_F16)
        *texel = kernels_read_pairs(launch->kernel) ? GPU_TEXEL_RGBA32UI : GPU_TEXEL_RGBA16F;
    else
        *texel = GPU_TEXEL_R32UI; /* Quantised blocks are read as words. */
}

/* Says what makes a range smaller that cannot be bound: a weight does not depend on the batch. */
static int fail_binding(const struct launch *launch, int slot)
{
    const struct tensor *tensor = slot == KERNEL_OUT ? launch->out : launch->in[slot];
    const bool stays = tensor && tensor_stays(tensor);
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: a tensor of %llu bytes, the device binds %llu: choose a smaller %s",
                      (tensor ? tensor : launch->out)->name,
                      (unsigned long long)launch->dispatch.ranges[slot].size,
                      (unsigned long long)gpu_limits(launch->gpu)->buffer_range,
                      stays ? "model" : "batch or f16 (`precision`)");
}

/* Refuses a dispatch with more workgroups than the device takes or a range that it cannot bind. */
static int check_limits(const struct launch *launch)
{
    const struct gpu_limits *limits = gpu_limits(launch->gpu);
    const struct gpu_dispatch *dispatch = &launch->dispatch;
    for (int i = 0; i < 3; i++)
        if (dispatch->groups[i] > limits->groups[i])
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: %u workgroups, the device takes %u: choose a smaller batch",
                              launch->out->name, dispatch->groups[i], limits->groups[i]);
    for (int i = 0; i < KERNEL_SLOTS; i++)
        if (dispatch->ranges[i].size > limits->buffer_range)
            return fail_binding(launch, i);
    return VKCLIP_OK;
}

/* Gets the pipeline, or only announces it if there are no commands. */
static int find_pipeline(struct launch *launch)
{
    const struct kernel *kernel = launch->kernel;
    struct gpu_pipeline **pipeline = &launch->dispatch.pipeline;
    if (!launch->commands)
        return gpu_pipeline_announce(launch->gpu, kernel->shader, &kernel->code, kernel->needs,
                                     launch->constants, launch->constant_count, pipeline);
    return gpu_pipeline_get(launch->gpu, kernel->shader, &kernel->code, kernel->needs,
                            launch->constants, launch->constant_count, pipeline);
}

int dispatch_emit(struct launch *launch, uint32_t x, uint32_t y, uint32_t z)
{
    const uint32_t groups[] = {x, y, z};
    struct gpu_range *ranges = launch->dispatch.ranges;
    memcpy(launch->dispatch.groups, groups, sizeof(groups));
    /* Every binding must be valid, even one that the kernel is specialized not to read. */
    for (int i = 0; i < NODE_INPUTS; i++) {
        if (!launch->in[i])
            ranges[i] = ranges[KERNEL_OUT];
        launch->dispatch.only_read[i] = launch->in[i] && !graph_writes(launch->node->op, i);
    }
    int error = check_limits(launch);
    if (!error)
        error = find_pipeline(launch);
    if (!error && launch->commands)
        error = gpu_commands_dispatch(launch->commands, &launch->dispatch);
    return error;
}

/* This many workgroups keep any device busy; more of them would only add the overhead of starting
 * them. */
#define BUSY_GROUPS 4096
/* An invocation takes at most this many elements before more workgroups are started. Its elements
 * are a whole grid apart, so that in a large tensor each of them lies on another page. */
#define ELEMENTS_PER_INVOCATION 16

int dispatch_elements(struct launch *launch, uint64_t elements)
{
    uint32_t groups = divide_up(elements, ELEMENTS_WORKGROUP),
             limit = gpu_limits(launch->gpu)->groups[0];
    if (groups > BUSY_GROUPS * ELEMENTS_PER_INVOCATION)
        groups /= ELEMENTS_PER_INVOCATION;
    else if (groups > BUSY_GROUPS)
        groups = BUSY_GROUPS;
    if (!launch->constant_count) /* The rule has no constants of its own after the size. */
        dispatch_workgroup(launch, ELEMENTS_WORKGROUP, 1);
    return dispatch_emit(launch, groups < limit ? groups : limit, 1, 1);
}

void dispatch_row_workgroup(struct launch *launch)
{
    bool subgroup = launch->kernel->needs & CAP_SUBGROUP;
    dispatch_workgroup(launch, subgroup ? gpu_limits(launch->gpu)->subgroup : 64, 1);
}

int dispatch_row_groups(struct launch *launch, uint32_t groups)
{
    return dispatch_emit(launch, at_most(groups, gpu_limits(launch->gpu)->groups[0]), 1, 1);
}

int dispatch_rows(struct launch *launch, uint32_t rows)
{
    dispatch_row_workgroup(launch);
    return dispatch_row_groups(launch, rows);
}

int dispatch_columns(struct launch *launch, uint32_t columns, uint32_t groups)
{
    dispatch_workgroup(launch, 8, 4);
    return dispatch_emit(launch, divide_up(columns, 32), groups, 1);
}

/* ---- Splitting ------------------------------------------------------------------------------- */

uint32_t dispatch_steps_of_work(const struct launch *launch, uint32_t count, double work)
{
    const double steps = fmax(work / (launch->dispatch.work / count), 1);
    return steps > count ? count : (uint32_t)steps;
}

uint32_t dispatch_steps(const struct launch *launch, uint32_t count)
{
    const struct gpu_dispatch *dispatch = &launch->dispatch;
    return dispatch_steps_of_work(launch, count,
                                  gpu_submit_work(launch->gpu, dispatch->row, dispatch->weight));
}

int dispatch_units(const struct launch *launch, const struct tensor *tensor, uint64_t bytes,
                   uint32_t count, uint32_t *result)
{
    const struct gpu_limits *limits = gpu_limits(launch->gpu);
    uint64_t units = limits->buffer_range / bytes, multiple = 1;
    while (multiple * bytes % limits->alignment)
        multiple *= 2;
    *result = units >= count ? count : (uint32_t)(units / multiple * multiple);
    if (!*result)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: %llu bytes of it must be bound at once, the device binds %llu",
                          tensor->name, (unsigned long long)(multiple * bytes),
                          (unsigned long long)limits->buffer_range);
    return VKCLIP_OK;
}
