/* SPDX-License-Identifier: MIT
 *
 * Every row of shaders/peaks.def, long enough to be measured by the host's clock; the best counts.
 */
#include "runtime/peak.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#include "peaks_spirv.h"
#include "shaders/args.h"

#define WORKGROUP 64
#define CHAIN_VALUES 128 /* multiply-adds in a pass of the loop: enough to hide the loop itself */
#define LONG_ENOUGH 0.02 /* seconds */
#define RUNS 5
#define COPY_BYTES ((uint64_t)64 << 20)

struct peak {
    const char *shader, *name;
    uint32_t values; /* of an invocation at once */
    const uint32_t *code;
    size_t bytes;
};
static const struct peak rows[] = {
#define PEAK(shader, x, w)                                                                 \
    {#shader, #x " " #w, sizeof(#x) == sizeof("vec4") ? 4 : 1, spirv_##shader##_##x##_##w, \
     sizeof(spirv_##shader##_##x##_##w)},
#include "shaders/peaks.def"
#undef PEAK
};

/* Seconds of the best of `runs`. */
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
        double start = clock_seconds();
        error = gpu_commands_run(commands);
        double passed = clock_seconds() - start;
        if (!i || passed < *seconds)
            *seconds = passed;
    }
    gpu_commands_destroy(&commands);
    return error;
}

/* Multiply-adds of one row with `sums` chains; a pass of the loop is about a 64th of a submit. */
static int measure_fma(struct gpu *gpu, struct gpu_buffer *buffer, uint64_t bytes,
                       const struct peak *row, uint32_t sums, struct vkclip_peaks *peaks)
{
    const uint32_t chain = CHAIN_VALUES / row->values;
    const uint32_t constants[] = {WORKGROUP, 1, 1, sums, chain < sums ? 1 : chain / sums};
    const double pass = 2.0 * sums * constants[4] * row->values * WORKGROUP; /* of a group */
    double groups = gpu_limits(gpu)->work / 64 / pass, seconds = 0;
    struct peak_args args = {.steps = 1, .a = 0.999f, .b = 0.001f};
    struct gpu_dispatch dispatch = {.push_bytes = sizeof(args), .groups = {1, 1, 1}};
    if (groups > (double)(bytes / 4 / WORKGROUP))
        groups = (double)(bytes / 4 / WORKGROUP);
    if (groups > gpu_limits(gpu)->groups[0])
        groups = gpu_limits(gpu)->groups[0];
    dispatch.groups[0] = groups < 1 ? 1 : (uint32_t)groups;
    for (int i = 0; i < GPU_BINDINGS; i++)
        dispatch.ranges[i] = (struct gpu_range){buffer, 0, bytes};
    int error = gpu_pipeline_get(gpu, row->shader, row->code, row->bytes, 0, constants,
                                 ARRAY_COUNT(constants), &dispatch.pipeline);
    for (bool warm = false; !error; warm = true, args.steps *= 2) {
        memcpy(dispatch.push, &args, sizeof(args));
        error = time_dispatch(gpu, &dispatch, 1, &seconds);
        if (warm && (seconds >= LONG_ENOUGH || args.steps >= 1 << 20))
            break;
    }
    if (!error)
        error = time_dispatch(gpu, &dispatch, RUNS, &seconds);
    const double flops = pass * dispatch.groups[0] * args.steps / seconds;
    if (!error)
        log_message(VKCLIP_LOG_DEBUG, "%s %s, %u chains: %.1f GFLOP/s", row->shader, row->name,
                    sums, flops / 1e9);
    if (!error && flops > peaks->flops) {
        peaks->flops = flops;
        snprintf(peaks->how, sizeof(peaks->how), "%s, %u chains", row->name, sums);
    }
    return error;
}

static void keep_copy(double seconds, uint64_t bytes, struct vkclip_peaks *peaks)
{
    const double speed = 2 * (double)bytes / seconds;
    log_message(VKCLIP_LOG_DEBUG, "copy: %.1f GB/s", speed / 1e9);
    if (speed > peaks->bytes)
        peaks->bytes = speed;
}

/* By a shader and by the device's own command. */
static int measure_copy(struct gpu *gpu, struct gpu_range from, struct gpu_range to,
                        const struct peak *row, struct vkclip_peaks *peaks)
{
    const uint32_t constants[] = {WORKGROUP, 1, 1};
    struct gpu_dispatch dispatch = {.ranges = {from, to, to, to},
                                    .push_bytes = 4, /* none is not valid */
                                    .groups = {(uint32_t)(from.size / 16 / WORKGROUP), 1, 1}};
    double seconds;
    int error = VKCLIP_OK;
    if (dispatch.groups[0] > gpu_limits(gpu)->groups[0])
        dispatch.groups[0] = gpu_limits(gpu)->groups[0];
    if (!row) {
        for (int i = 0; i < RUNS && !error; i++) {
            double start = clock_seconds();
            error = gpu_copy(gpu, from, to);
            seconds = clock_seconds() - start;
            if (!error)
                keep_copy(seconds, from.size, peaks);
        }
        return error;
    }
    error = gpu_pipeline_get(gpu, row->shader, row->code, row->bytes, 0, constants,
                             ARRAY_COUNT(constants), &dispatch.pipeline);
    if (!error)
        error = time_dispatch(gpu, &dispatch, RUNS, &seconds);
    if (!error)
        keep_copy(seconds, (uint64_t)dispatch.groups[0] * 16 * WORKGROUP, peaks);
    return error;
}

int peak_measure(struct gpu *gpu, struct vkclip_peaks *peaks)
{
    static const uint32_t sums[] = {8, 16, 32};
    struct gpu_buffer *buffers[2] = {NULL, NULL};
    uint64_t bytes = COPY_BYTES;
    int error = VKCLIP_OK;
    *peaks = (struct vkclip_peaks){0};
    while (bytes > gpu_limits(gpu)->buffer_range)
        bytes /= 2;
    for (int i = 0; i < 2 && !error; i++)
        error = gpu_buffer_create(gpu, GPU_DEVICE, bytes, &buffers[i]);
    const struct gpu_range from = {buffers[0], 0, bytes}, to = {buffers[1], 0, bytes};
    if (!error)
        error = measure_copy(gpu, from, to, NULL, peaks);
    for (size_t i = 0; i < ARRAY_COUNT(rows) && !error; i++) {
        if (!strcmp(rows[i].shader, "peak_copy"))
            error = measure_copy(gpu, from, to, &rows[i], peaks);
        else
            for (size_t j = 0; j < ARRAY_COUNT(sums) && !error; j++)
                error = measure_fma(gpu, buffers[0], bytes, &rows[i], sums[j], peaks);
    }
    for (int i = 0; i < 2; i++)
        gpu_buffer_destroy(gpu, &buffers[i]);
    return error;
}
