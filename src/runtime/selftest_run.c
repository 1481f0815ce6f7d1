/* SPDX-License-Identifier: MIT
 *
 * Runs cases of the self-test.
 */
#include "runtime/selftest_run.h"
#include "base/error.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/launch.h"
#include "runtime/layout.h"
#include "runtime/op_values.h"
#include "runtime/reference.h"

/* Bounds of the error, as shares of the largest expected value. Rounding, the order of sums and the
 * precision that Vulkan allows for exp and division stay below a tenth of them on the drivers
 * tested; wrong code errs by more than ten times as much. */
#define BOUND_F32 1e-4
#define BOUND_F16 4e-3
/* A result whose largest value is smaller than this is compared as if it had this value, because
 * the inputs, which are about 1, cancel in it. */
#define LEAST_LARGEST 0.1
/* Bytes around each tensor that must not change. All their bits are ones, which is NaN in fp32 and
 * fp16, so that a value that is read there spoils the result. */
#define GUARD 256

bool selftest_is_right(const struct selftest_result *result)
{
    return !result->fits || (result->computed && result->stable && result->error <= 1);
}

/* One case on the device. All tensors lie in one buffer, with guards between them. */
struct run {
    struct gpu *gpu;
    struct graph graph;
    const struct node *node;
    double *values[KERNEL_SLOTS]; /* inputs, and then what the reference makes of them */
    struct gpu_range ranges[KERNEL_SLOTS];
    uint64_t bytes; /* of the whole buffer */
    struct gpu_buffer *device, *upload, *download;
    struct gpu_commands *commands;
};

static const struct tensor *slot_tensor(const struct run *run, int slot)
{
    const int index = slot == KERNEL_OUT ? run->node->out : run->node->in[slot];
    return index < 0 ? NULL : &run->graph.tensors[index];
}

/* Builds the graph and gives each tensor its place. Returns false if the kernel does not fit. */
static bool place_case(struct run *run, struct gpu *gpu, const struct op_case *op_case,
                       const struct kernel *kernel)
{
    const uint64_t alignment = gpu_limits(gpu)->alignment;
    run->gpu = gpu;
    op_case_build(op_case, kernel->x, &run->graph);
    graph_pack(&run->graph, kernel->w);
    if (run->graph.error || !run->graph.node_count)
        return false;
    run->node = &run->graph.nodes[run->graph.node_count - 1];
    for (int slot = 0; slot < KERNEL_SLOTS; slot++) {
        const struct tensor *tensor = slot_tensor(run, slot);
        if (!tensor)
            continue;
        run->bytes = (run->bytes + GUARD + alignment - 1) / alignment * alignment;
        run->ranges[slot].offset = run->bytes;
        run->ranges[slot].size = layout_tensor_bytes(tensor);
        run->bytes += run->ranges[slot].size;
    }
    run->bytes = (run->bytes + GUARD + 3) / 4 * 4;
    return kernels_fit(gpu, kernel, &run->graph, run->node);
}

void selftest_announce(struct gpu *gpu, const struct op_case *op_case,
                       const struct kernel_choice *choice)
{
    struct run run = {0};
    if (place_case(&run, gpu, op_case, choice->kernel))
        launch_choice(gpu, NULL, &run.graph, run.node, run.ranges, choice);
    graph_free(&run.graph);
}

/* ---- Running --------------------------------------------------------------------------------- */

static int create_buffers(struct run *run)
{
    int error = gpu_buffer_create(run->gpu, GPU_ANY, run->bytes, &run->device);
    if (!error)
        error = gpu_buffer_create(run->gpu, GPU_UPLOAD, run->bytes, &run->upload);
    if (!error)
        error = gpu_buffer_create(run->gpu, GPU_DOWNLOAD, run->bytes, &run->download);
    for (int slot = 0; slot < KERNEL_SLOTS; slot++)
        run->ranges[slot].buffer = run->device;
    return error;
}

/* Writes the inputs. A result that the kernel does not add to begins as NaN, so that a value that
 * is not written shows. */
static int store_inputs(const struct run *run)
{
    char *bytes = gpu_buffer_map(run->upload);
    int error = op_values_make(&run->graph, run->node, (double **)run->values);
    memset(bytes, 0xff, run->bytes);
    for (int slot = 0; slot < KERNEL_SLOTS && !error; slot++) {
        const struct tensor *tensor = slot_tensor(run, slot);
        if (!tensor || (slot == KERNEL_OUT && !run->node->residual))
            continue;
        memset(bytes + run->ranges[slot].offset, 0, run->ranges[slot].size);
        error = op_values_store(tensor, run->values[slot], bytes + run->ranges[slot].offset);
    }
    return error;
}

static int record_run(struct run *run, const struct kernel_choice *choice)
{
    const struct gpu_range device = {run->device, 0, run->bytes};
    int error = gpu_commands_create(run->gpu, &run->commands);
    if (!error)
        error = gpu_commands_copy(run->commands, (struct gpu_range){run->upload, 0, run->bytes},
                                  device);
    if (!error)
        error = launch_choice(run->gpu, run->commands, &run->graph, run->node, run->ranges, choice);
    if (!error)
        error = gpu_commands_copy(run->commands, device,
                                  (struct gpu_range){run->download, 0, run->bytes});
    return error ? error : gpu_commands_end(run->commands);
}

static void close_run(struct run *run)
{
    gpu_commands_destroy(&run->commands);
    gpu_buffer_destroy(run->gpu, &run->device);
    gpu_buffer_destroy(run->gpu, &run->upload);
    gpu_buffer_destroy(run->gpu, &run->download);
    graph_free(&run->graph);
    for (int slot = 0; slot < KERNEL_SLOTS; slot++)
        memory_free(run->values[slot]);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* Tells whether every byte outside of the tensors is as it was uploaded. */
static bool guards_stay(const struct run *run, const unsigned char *found)
{
    uint64_t begin = 0;
    for (int slot = 0; slot <= KERNEL_SLOTS; slot++) {
        const bool last = slot == KERNEL_SLOTS;
        if (!last && !run->ranges[slot].size)
            continue;
        const uint64_t end = last ? run->bytes : run->ranges[slot].offset;
        for (uint64_t i = begin; i < end; i++)
            if (found[i] != 0xff)
                return false;
        begin = last ? end : end + run->ranges[slot].size;
    }
    return true;
}

/* Returns the largest error of a tensor as a share of its bound. */
static double tensor_error(const struct tensor *tensor, const double *found, const double *expected,
                           double rounding)
{
    const double relative = tensor->type == TYPE_F16 ? BOUND_F16 : BOUND_F32;
    double largest = LEAST_LARGEST, worst = 0;
    for (uint64_t i = 0; i < tensor_elements(tensor); i++) {
        const double difference = fabs(found[i] - expected[i]);
        if (!isfinite(difference))
            return INFINITY;
        largest = fmax(largest, fabs(expected[i]));
        worst = fmax(worst, difference);
    }
    return worst / (relative * largest + rounding);
}

/* Compares all tensors, also the inputs, because a kernel must leave them as the reference does. */
static int compare_tensors(const struct run *run, const char *bytes, double rounding,
                           double *error_share)
{
    *error_share = 0;
    for (int slot = 0; slot < KERNEL_SLOTS; slot++) {
        const struct tensor *tensor = slot_tensor(run, slot);
        if (!tensor || (tensor->type != TYPE_F32 && tensor->type != TYPE_F16))
            continue;
        double *found = memory_alloc(tensor_elements(tensor) * sizeof(*found));
        if (!found)
            return error_fail(VKCLIP_EMEMORY, "out of memory for the check of a kernel");
        op_values_load(tensor, bytes + run->ranges[slot].offset, found);
        *error_share = fmax(*error_share, tensor_error(tensor, found, run->values[slot],
                                                       slot == KERNEL_OUT ? rounding : 0));
        memory_free(found);
    }
    return VKCLIP_OK;
}

/* Runs the commands several times, and compares each run with the first one and that with the
 * reference. */
static int compare_runs(struct run *run, double rounding, struct selftest_result *result)
{
    const char *bytes = gpu_buffer_map(run->download);
    char *first = memory_alloc(run->bytes);
    int error = first ? gpu_commands_run(run->commands)
                      : error_fail(VKCLIP_EMEMORY, "out of memory for the check of a kernel");
    if (!error) {
        memcpy(first, bytes, run->bytes);
        result->stable = guards_stay(run, (const unsigned char *)first);
        reference_node(&run->graph, run->node, (const double *const *)run->values,
                       run->values[KERNEL_OUT]);
        error = compare_tensors(run, first, rounding, &result->error);
    }
    for (int i = 1; i < SELFTEST_RUNS && !error; i++) {
        error = gpu_commands_run(run->commands);
        result->stable &= !error && !memcmp(first, bytes, run->bytes);
    }
    memory_free(first);
    return error;
}

int selftest_run(struct gpu *gpu, const struct op_case *op_case, const struct kernel_choice *choice,
                 struct selftest_result *result)
{
    struct run run = {0};
    int error = VKCLIP_OK;
    *result = (struct selftest_result){.error = INFINITY};
    result->fits = place_case(&run, gpu, op_case, choice->kernel);
    if (result->fits) {
        error = create_buffers(&run);
        if (!error)
            error = store_inputs(&run);
        if (!error)
            error = record_run(&run, choice);
        result->computed = error != VKCLIP_EDEVICE;
        if (!error)
            error =
                compare_runs(&run, kernels_rounding(choice->kernel, &run.graph, run.node), result);
        else if (error == VKCLIP_EDEVICE)
            error = VKCLIP_OK; /* The driver cannot build the kernel. */
    }
    close_run(&run);
    return error;
}
