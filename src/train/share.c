/* SPDX-License-Identifier: MIT
 *
 * Measures devices and predicts the time of a step on several of them.
 */
#include "train/share.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <stdlib.h>

#include "runtime/plan.h"
#include "runtime/tune.h"
#include "runtime/upload.h"
#include "train/parameters.h"

/* A step computes the forward pass, and for the gradients about twice as much. A step of
 * micro-batches computes the forward pass once more. */
#define PASSES_WHOLE 3
#define PASSES_MICRO 4

/* A forward pass of at least so many seconds is not measured again, although the first one is
 * slower on some drivers: a device that slow is left out anyway or its first run counts little. */
#define SLOW_SECONDS 1.0

/* Bytes that are copied to measure the speed of copies. */
#define COPY_BYTES ((uint64_t)16 << 20)

/* ---- Prediction ------------------------------------------------------------------------------ */

uint32_t share_micro_batch(const struct train_params *params, size_t count)
{
    const uint32_t micro = pass_micro_batch(params);
    uint32_t most = params->batch / (uint32_t)count;
    most = most < 1 ? 1 : most;
    most = most < micro ? most : micro;
    while (params->batch % most)
        most--;
    return most;
}

/* Returns the seconds of a step on the first `count` devices. Adding up gradients copies them from
 * every device, back to the leading one, and the weights from there to the others. */
static double step_seconds(const struct share_speed *speeds, size_t count,
                           const struct train_params *params, double bytes)
{
    const double passes = count == 1 && pass_is_whole(params) ? PASSES_WHOLE : PASSES_MICRO;
    const uint32_t micro = count == 1 ? pass_micro_batch(params) : share_micro_batch(params, count);
    const uint32_t parts = params->batch / micro;
    const double pairs = (double)((parts + count - 1) / count) * micro;
    double slowest = 0, copies = 0;
    for (size_t i = 0; i < count; i++) {
        slowest = speeds[i].pair > slowest ? speeds[i].pair : slowest;
        copies += (i ? 2 : 3) * bytes / speeds[i].bytes;
    }
    return passes * pairs * slowest + (count > 1 ? copies : 0);
}

size_t share_count(const struct share_speed *speeds, size_t count,
                   const struct train_params *params, double bytes)
{
    size_t best = 1;
    double least = step_seconds(speeds, 1, params, bytes);
    for (size_t n = 2; n <= count && n <= params->batch; n++) {
        const double seconds = step_seconds(speeds, n, params, bytes);
        if (seconds < 0.9 * least) {
            best = n;
            least = seconds;
        }
    }
    return best;
}

/* ---- Measurement ----------------------------------------------------------------------------- */

/* A device while it is measured. */
struct trial {
    struct weight_store *store;
    struct plan *plans[TOWER_COUNT];
};

static int open_trial(const struct train_device *device, const struct config *config,
                      const struct weights *weights, const struct train_params *params,
                      struct trial *trial)
{
    struct pass passes[TOWER_COUNT];
    const struct graph *graphs[TOWER_COUNT];
    int error = VKCLIP_OK;
    for (enum tower tower = 0; tower < TOWER_COUNT; tower++) {
        pass_build_tower(config, params, tower, false, &passes[tower]);
        graphs[tower] = &passes[tower].graph;
        error = error ? error : passes[tower].graph.error;
    }
    if (!error)
        error = weight_store_create(device->gpu, graphs, TOWER_COUNT, &trial->store);
    struct row_reader reader = weights_row_reader(weights);
    if (!error)
        error = upload_weights(device->gpu, trial->store, &reader);
    for (enum tower tower = 0; tower < TOWER_COUNT; tower++) {
        const struct plan_params plan = {.gpu = device->gpu,
                                         .tuner = device->tuner,
                                         .tuning_seconds = TUNE_SECONDS_TRAINING,
                                         .weights = trial->store,
                                         .outputs = &passes[tower].tensors.features[tower],
                                         .output_count = 1};
        if (!error)
            error = plan_create(&plan, &passes[tower].graph, &trial->plans[tower]);
        pass_close(&passes[tower]);
    }
    return error;
}

static void close_trial(struct trial *trial)
{
    for (enum tower tower = 0; tower < TOWER_COUNT; tower++)
        plan_destroy(&trial->plans[tower]);
    weight_store_destroy(&trial->store);
}

/* Gives the seconds of a forward pass of both towers on inputs of zeros. */
static int time_pass(const struct trial *trial, double *seconds)
{
    const double start = clock_seconds();
    int error = plan_run(trial->plans[TOWER_IMAGE]);
    if (!error)
        error = plan_run(trial->plans[TOWER_TEXT]);
    *seconds = clock_seconds() - start;
    return error;
}

static int time_copies(struct gpu *gpu, const struct weight_store *store, double *rate)
{
    struct gpu_buffer *host = NULL;
    uint64_t size = 0;
    struct gpu_buffer *source = weight_store_buffer(store, 0, &size);
    size = size < COPY_BYTES ? size : COPY_BYTES;
    int error = gpu_buffer_create(gpu, GPU_DOWNLOAD, size, &host);
    double seconds = 0;
    for (int run = 0; run < 2 && !error; run++) { /* The first copy touches new memory. */
        const double start = clock_seconds();
        error =
            gpu_copy(gpu, (struct gpu_range){source, 0, size}, (struct gpu_range){host, 0, size});
        seconds = clock_seconds() - start;
    }
    *rate = (double)size / (seconds + 1e-9);
    gpu_buffer_destroy(gpu, &host);
    return error;
}

static int measure_device(const struct train_device *device, const struct config *config,
                          const struct weights *weights, const struct train_params *params,
                          struct share_speed *speed)
{
    struct trial trial = {.store = NULL};
    double seconds = 0;
    if (params->mixed && !(gpu_caps(device->gpu) & CAP_F16))
        return error_fail(VKCLIP_EUNSUPPORTED, "it has no 16-bit storage");
    int error = open_trial(device, config, weights, params, &trial);
    if (!error)
        error = time_pass(&trial, &seconds);
    if (!error && seconds < SLOW_SECONDS)
        error = time_pass(&trial, &seconds);
    if (!error)
        error = time_copies(device->gpu, trial.store, &speed->bytes);
    speed->pair = seconds / params->micro_batch;
    close_trial(&trial);
    return error;
}

/* ---- Choice ---------------------------------------------------------------------------------- */

/* A device with its speed. */
struct candidate {
    struct train_device device;
    struct share_speed speed;
    size_t place; /* in the order given */
};

static int compare_speeds(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    if (left->speed.pair != right->speed.pair)
        return left->speed.pair < right->speed.pair ? -1 : 1;
    return left->place < right->place ? -1 : 1;
}

static int compare_places(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    return left->place < right->place ? -1 : 1;
}

/* Measures all devices and sorts those that can train, the fastest first. Another device's failure
 * is only a warning, unless no device can. */
static int measure_devices(const struct train_device *devices, size_t count,
                           const struct config *config, const struct weights *weights,
                           const struct train_params *params, struct candidate *candidates,
                           size_t *found)
{
    struct train_params trial = *params;
    int error = VKCLIP_OK;
    trial.micro_batch = share_micro_batch(params, count);
    *found = 0;
    for (size_t i = 0; i < count; i++) {
        struct candidate *candidate = &candidates[*found];
        *candidate = (struct candidate){.device = devices[i], .place = i};
        const int failed = measure_device(&devices[i], config, weights, &trial, &candidate->speed);
        const struct vkclip_device_info *info = gpu_info(devices[i].gpu);
        if (failed) {
            error = failed;
            log_message(VKCLIP_LOG_WARNING, "device %u, %s, is left out of training: %s",
                        info->index, info->name, error_last());
            continue;
        }
        log_message(VKCLIP_LOG_INFO, "device %u, %s: %.3g pairs/s forward, %.3g GB/s of copies",
                    info->index, info->name, 1 / candidate->speed.pair,
                    candidate->speed.bytes * 1e-9);
        ++*found;
    }
    qsort(candidates, *found, sizeof(*candidates), compare_speeds);
    return *found ? VKCLIP_OK : error;
}

/* Says which devices were left out, and why. */
static void log_left_out(const struct candidate *candidates, size_t chosen, size_t found,
                         bool batch_norm)
{
    const struct vkclip_device_info *best = gpu_info(candidates[0].device.gpu);
    for (size_t i = chosen; i < found; i++) {
        const struct vkclip_device_info *info = gpu_info(candidates[i].device.gpu);
        if (batch_norm)
            log_message(VKCLIP_LOG_WARNING,
                        "device %u, %s, is left out of training: batch norm is trained on one "
                        "device (`freeze_bn_stats` lets several share it)",
                        info->index, info->name);
        else
            log_message(VKCLIP_LOG_WARNING,
                        "device %u, %s, is left out of training: a pair takes %.1f times as long "
                        "as on device %u, %s, so that it would not make a step shorter",
                        info->index, info->name,
                        candidates[i].speed.pair / candidates[0].speed.pair, best->index,
                        best->name);
    }
}

int share_choose(const struct train_device *devices, size_t count, const struct config *config,
                 const struct weights *weights, const struct train_params *params,
                 struct share *share)
{
    *share = (struct share){.devices = {devices[0]}, .count = 1, params->micro_batch};
    if (count == 1)
        return VKCLIP_OK;
    struct candidate candidates[TRAIN_DEVICES];
    struct share_speed speeds[TRAIN_DEVICES];
    struct train_memory memory;
    size_t found = 0;
    int error = train_measure(config, params, &memory);
    if (!error)
        error = measure_devices(devices, count, config, weights, params, candidates, &found);
    if (error)
        return error;
    for (size_t i = 0; i < found; i++)
        speeds[i] = candidates[i].speed;
    const bool batch_norm = pass_moves_statistics(config, params);
    if (!batch_norm)
        share->count = share_count(speeds, found, params, (double)memory.gradients);
    log_left_out(candidates, share->count, found, batch_norm);
    qsort(candidates, share->count, sizeof(*candidates), compare_places);
    for (size_t i = 0; i < share->count; i++)
        share->devices[i] = candidates[i].device;
    if (share->count > 1)
        share->micro_batch = share_micro_batch(params, share->count);
    return VKCLIP_OK;
}
