/* SPDX-License-Identifier: MIT
 *
 * Options are tried in the order of what they cost: computing blocks again, then micro-batches,
 * half as large each time, then both.
 */
#include "train/fit.h"
#include "base/error.h"
#include "base/log.h"

#include <stdio.h>

static uint64_t add_up(const struct train_memory *memory)
{
    return memory->weights + memory->gradients + memory->moments + memory->activations;
}

/* Sets the largest micro-batch with which a step fits, or 0 if none does, and gives its bytes. */
static int find_micro_batch(const struct config *config, uint64_t bytes, struct train_params *way,
                            uint64_t *needed)
{
    uint32_t size = pass_micro_batch(way);
    for (; size; size /= 2) {
        struct train_memory memory;
        if (way->batch % size)
            continue;
        way->micro_batch = size;
        int error = train_measure(config, way, &memory);
        if (error)
            return error;
        *needed = add_up(&memory);
        if (*needed <= bytes)
            break;
    }
    way->micro_batch = size;
    return VKCLIP_OK;
}

/* Writes the options that a way to compute a step needs, with its bytes. */
static void write_way(const struct train_params *params, const struct train_params *way,
                      uint64_t needed, char text[96])
{
    char batch[48] = "";
    const bool again = way->recompute && !params->recompute;
    if (way->micro_batch != pass_micro_batch(params))
        snprintf(batch, sizeof(batch), "%s`batch_size` %u `accum_freq` %u", again ? " " : "",
                 way->micro_batch, way->batch / way->micro_batch);
    snprintf(text, 96, "%s%s (%llu MiB)", again ? "`checkpoint_activations`" : "", batch,
             (unsigned long long)(needed >> 20));
}

int fit_advise(const struct config *config, const struct train_params *params, uint64_t bytes,
               char advice[256])
{
    char ways[2][96] = {"", ""};
    for (int again = params->recompute; again < 2; again++) {
        struct train_params way = *params;
        uint64_t needed = 0;
        way.recompute = again;
        int error = find_micro_batch(config, bytes, &way, &needed);
        if (error)
            return error;
        if (way.micro_batch)
            write_way(params, &way, needed, ways[again]);
    }
    if (*ways[0] || *ways[1])
        snprintf(advice, 256, "what fits: %s%s%s", ways[0], *ways[0] && *ways[1] ? ", or " : "",
                 ways[1]);
    else
        snprintf(advice, 256, "no batch fits, expected a smaller model or a locked tower");
    return VKCLIP_OK;
}

int fit_check(const struct gpu *gpu, const struct config *config, const struct train_params *params)
{
    struct train_memory memory;
    char advice[256];
    const uint64_t left = gpu_memory_left(gpu);
    int error = train_measure(config, params, &memory);
    if (error || add_up(&memory) <= left)
        return error;
    error = fit_advise(config, params, left, advice);
    if (!error)
        log_message(VKCLIP_LOG_WARNING,
                    "%s: a step needs %llu MiB of memory, and %llu MiB are left: %s",
                    gpu_info(gpu)->name, (unsigned long long)(add_up(&memory) >> 20),
                    (unsigned long long)(left >> 20), advice);
    return error;
}

int fit_explain(const struct config *config, const struct train_params *params, uint64_t left)
{
    struct train_memory memory;
    char message[ERROR_MESSAGE], advice[256];
    snprintf(message, sizeof(message), "%s", error_last());
    int error = train_measure(config, params, &memory);
    const uint64_t needed = add_up(&memory);
    if (!error) /* Less than what was left was there in fact. */
        error = fit_advise(config, params, needed <= left ? needed / 4 * 3 : left, advice);
    return error ? error
                 : error_fail(VKCLIP_EDEVICEMEMORY, "%s: a step needs %llu MiB; %s", message,
                              (unsigned long long)(needed >> 20), advice);
}
