/* SPDX-License-Identifier: MIT
 *
 * Runs every row of shaders/peaks.def long enough to be measured by the host's clock, because not
 * every device has timestamps. The fastest row determines the result.
 */
#include "runtime/peak.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/turns.h"

#include <stdio.h>
#include <string.h>

#include "peaks_packed.h"
#include "shaders/args.h"

#define WORKGROUP 64     /* invocations: whole subgroups on every common device */
#define CHAIN_VALUES 128 /* multiply-adds per pass of the loop, enough to hide the loop itself */
#define LONG_ENOUGH 0.02 /* seconds of one run, enough to hide the overhead of a submit */
/* The doubling of steps ends here: a device that is still faster is measured less precisely, and
 * one whose clock stands still does not keep the caller for ever. */
#define MOST_STEPS (1 << 20)
/* The least of this many runs counts: more would find quieter moments and take longer. */
#define RUNS 5
/* A copy is larger than the caches of most devices, so that memory is measured, and small enough
 * for any device.
 */
#define COPY_BYTES ((uint64_t)64 << 20)

struct peak {
    const char *shader, *name;
    uint32_t values; /* values that an invocation computes at once */
    uint32_t needs;
    struct spirv code;
};
static const struct peak rows[] = {
#define PEAK(shader, x, w, needs) \
    {#shader, #x " " #w, sizeof(#x) == sizeof("vec4") ? 4 : 1, (needs), SPIRV_##shader##_##x##_##w},
#include "shaders/peaks.def"
#undef PEAK
};

/* Returns the seconds of the fastest of `runs` runs. */
static int time_dispatch(struct gpu *gpu, const struct gpu_dispatch *dispatch, int runs,
                         double *seconds)
{
    struct gpu_commands *commands;
    int error = gpu_commands_create(gpu, &commands);
    if (!error)
        error = gpu_commands_dispatch(commands, dispatch);
    if (!error)
        error = gpu_commands_end(commands);
    for (int i = 0; i < runs && !error; i++) {
        error = turn_give_way();
        if (error)
            break;
        const double start = clock_seconds();
        error = gpu_commands_run(commands);
        const double passed = clock_seconds() - start;
        if (!i || passed < *seconds)
            *seconds = passed;
    }
    gpu_commands_destroy(&commands);
    return error;
}

/* ---- Multiply-adds --------------------------------------------------------------------------- */

/* Returns the workgroups of one dispatch. A pass of the loop by all of them takes about a 64th of
 * the work that a submit may do, and each of them has `results` values of the buffer to write. */
static uint32_t count_groups(const struct gpu_limits *limits, double pass, uint64_t buffer_bytes,
                             uint32_t results)
{
    const double values = (double)(buffer_bytes / 4 / results);
    double groups = limits->work / 64 / pass;
    if (groups > values)
        groups = values;
    if (groups > limits->groups[0])
        groups = limits->groups[0];
    return groups < 1 ? 1 : (uint32_t)groups;
}

/* Doubles the steps until a run is long enough, then times the best of several. The time of the
 * first run is ignored, because some drivers compile in it. */
static int time_steps(struct gpu *gpu, struct gpu_dispatch *dispatch, uint32_t *steps,
                      double *seconds)
{
    struct peak_args args = {.steps = 1, .a = 0.999f, .b = 0.001f};
    int error = VKCLIP_OK;
    for (bool warm = false; !error; warm = true) {
        memcpy(dispatch->push, &args, sizeof(args));
        error = time_dispatch(gpu, dispatch, 1, seconds);
        if (warm && (*seconds >= LONG_ENOUGH || args.steps >= MOST_STEPS))
            break;
        args.steps *= 2;
    }
    *steps = args.steps;
    return error ? error : time_dispatch(gpu, dispatch, RUNS, seconds);
}

/* A loop of a row, and where its speed goes if it is the fastest. */
struct loop {
    const struct peak *row;
    uint32_t constants[GPU_CONSTANTS], count;
    double pass;      /* operations of a workgroup in one pass */
    uint32_t results; /* values that a workgroup writes */
    char how[64];
    double *flops;
    char *fastest; /* of the size of `how` */
};

static int measure_loop(struct gpu *gpu, struct gpu_buffer *buffer, uint64_t bytes,
                        const struct loop *loop)
{
    const struct peak *row = loop->row;
    const uint32_t groups = count_groups(gpu_limits(gpu), loop->pass, bytes, loop->results);
    struct gpu_dispatch dispatch = {.push_bytes = sizeof(struct peak_args),
                                    .groups = {groups, 1, 1}};
    uint32_t steps = 1;
    double seconds = 0;
    for (int i = 0; i < GPU_BINDINGS; i++)
        dispatch.ranges[i] = (struct gpu_range){buffer, 0, bytes};
    int error = gpu_pipeline_get(gpu, row->shader, &row->code, row->needs, loop->constants,
                                 loop->count, &dispatch.pipeline);
    if (error == VKCLIP_EDEVICE && row->needs)
        return VKCLIP_OK; /* The driver cannot build what it offers, which is no failure here. */
    if (!error)
        error = time_steps(gpu, &dispatch, &steps, &seconds);
    if (error)
        return error;
    const double flops = loop->pass * groups * steps / seconds;
    log_message(VKCLIP_LOG_DEBUG, "%s %s: %.1f GFLOP/s", row->shader, loop->how, flops / 1e9);
    if (flops > *loop->flops) {
        *loop->flops = flops;
        memcpy(loop->fastest, loop->how, sizeof(loop->how));
    }
    return VKCLIP_OK;
}

/* Measures one row with `chains` chains of multiply-adds that do not depend on one another. */
static int measure_fma(struct gpu *gpu, struct gpu_buffer *buffer, uint64_t bytes,
                       const struct peak *row, uint32_t chains, struct vkclip_peaks *peaks)
{
    const uint32_t values = CHAIN_VALUES / row->values;
    const uint32_t length = values < chains ? 1 : values / chains;
    struct loop loop = {.row = row,
                        .constants = {WORKGROUP, 1, 1, chains, length},
                        .count = 5,
                        .pass = 2.0 * chains * length * row->values * WORKGROUP,
                        .results = WORKGROUP,
                        .flops = &peaks->flops,
                        .fastest = peaks->how};
    snprintf(loop.how, sizeof(loop.how), "%s, %u chains", row->name, chains);
    return measure_loop(gpu, buffer, bytes, &loop);
}

/* Measures one row of cooperative matrices, which the device must have, with `sums` sums of
 * products. */
static int measure_matrices(struct gpu *gpu, struct gpu_buffer *buffer, uint64_t bytes,
                            const struct peak *row, uint32_t sums, struct vkclip_peaks *peaks)
{
    const struct gpu_limits *limits = gpu_limits(gpu);
    const uint32_t *m = limits->matrix;
    const uint32_t subgroups = limits->subgroup < 128 ? 128 / limits->subgroup : 1;
    struct loop loop = {.row = row,
                        .constants = {subgroups * limits->subgroup, 1, 1, sums, m[0], m[1], m[2]},
                        .count = 7,
                        .pass = 2.0 * sums * m[0] * m[1] * m[2] * subgroups,
                        .results = m[0] * m[1] * subgroups,
                        .flops = &peaks->matrix_flops,
                        .fastest = peaks->matrix_how};
    snprintf(loop.how, sizeof(loop.how), "%s, %ux%ux%u, %u sums", row->name, m[0], m[1], m[2],
             sums);
    return measure_loop(gpu, buffer, bytes, &loop);
}

/* ---- Copies ---------------------------------------------------------------------------------- */

/* Keeps the fastest copy. Every byte counts twice, because it is read once and written once. */
static void note_copy(double seconds, uint64_t bytes, struct vkclip_peaks *peaks)
{
    const double speed = 2 * (double)bytes / seconds;
    log_message(VKCLIP_LOG_DEBUG, "copy: %.1f GB/s", speed / 1e9);
    if (speed > peaks->bytes)
        peaks->bytes = speed;
}

/* Measures a copy by the device's own command. */
static int measure_command_copy(struct gpu *gpu, struct gpu_range source, struct gpu_range target,
                                struct vkclip_peaks *peaks)
{
    int error = VKCLIP_OK;
    for (int i = 0; i < RUNS && !error; i++) {
        const double start = clock_seconds();
        error = gpu_copy(gpu, source, target);
        const double seconds = clock_seconds() - start;
        if (!error)
            note_copy(seconds, source.size, peaks);
    }
    return error;
}

/* Measures a copy by a shader with 16 bytes per invocation. */
static int measure_shader_copy(struct gpu *gpu, struct gpu_range source, struct gpu_range target,
                               const struct peak *row, struct vkclip_peaks *peaks)
{
    const uint32_t constants[] = {WORKGROUP, 1, 1};
    const uint32_t most = gpu_limits(gpu)->groups[0];
    const uint32_t wanted = (uint32_t)(source.size / 16 / WORKGROUP);
    const uint32_t groups = wanted < most ? wanted : most;
    struct gpu_dispatch dispatch = {.ranges = {source, target, target, target},
                                    .push_bytes = 4, /* Vulkan does not allow 0. */
                                    .groups = {groups, 1, 1}};
    double seconds;
    int error = gpu_pipeline_get(gpu, row->shader, &row->code, 0, constants, ARRAY_COUNT(constants),
                                 &dispatch.pipeline);
    if (!error)
        error = time_dispatch(gpu, &dispatch, RUNS, &seconds);
    if (!error)
        note_copy(seconds, (uint64_t)groups * 16 * WORKGROUP, peaks);
    return error;
}

/* ---- All rows -------------------------------------------------------------------------------- */

static int measure_row(struct gpu *gpu, const struct peak *row, struct gpu_range source,
                       struct gpu_range target, struct vkclip_peaks *peaks)
{
    static const uint32_t chains[] = {8, 16, 32}, sums[] = {4, 8};
    int error = VKCLIP_OK;
    if (!strcmp(row->shader, "peak_copy"))
        return measure_shader_copy(gpu, source, target, row, peaks);
    if ((gpu_caps(gpu) & row->needs) != row->needs)
        return VKCLIP_OK;
    for (size_t i = 0; i < ARRAY_COUNT(sums) && row->needs && !error; i++)
        error = measure_matrices(gpu, source.buffer, source.size, row, sums[i], peaks);
    for (size_t i = 0; i < ARRAY_COUNT(chains) && !row->needs && !error; i++)
        error = measure_fma(gpu, source.buffer, source.size, row, chains[i], peaks);
    return error;
}

int peak_measure(struct gpu *gpu, struct vkclip_peaks *peaks)
{
    struct gpu_range source = {.size = COPY_BYTES}, target;
    *peaks = (struct vkclip_peaks){0};
    const uint64_t total = ARRAY_COUNT(rows) + 1;
    while (source.size > gpu_limits(gpu)->buffer_range)
        source.size /= 2;
    target = source;
    int error = progress_tell(0, total);
    if (!error)
        error = gpu_buffer_create(gpu, GPU_DEVICE, source.size, &source.buffer);
    if (!error)
        error = gpu_buffer_create(gpu, GPU_DEVICE, target.size, &target.buffer);
    if (!error)
        error = measure_command_copy(gpu, source, target, peaks);
    for (size_t i = 0; i < ARRAY_COUNT(rows) && !error; i++) {
        error = progress_tell(i + 1, total);
        if (!error)
            error = measure_row(gpu, &rows[i], source, target, peaks);
    }
    gpu_buffer_destroy(gpu, &source.buffer);
    gpu_buffer_destroy(gpu, &target.buffer);
    return error;
}
