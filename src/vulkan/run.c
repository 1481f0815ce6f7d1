/* SPDX-License-Identifier: MIT
 *
 * Runs recorded commands: submits them in pieces of limited time, waits for them in slices, learns
 * from the first run how fast kernels are, and finds out what was running if the device is lost. A
 * lost device takes no more commands. The only vkQueueSubmit of the library is here.
 */
#include "vulkan/internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/string.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Waiting is interrupted after this many seconds, so that a log can show that the program lives. */
#define SLICE_SECONDS 10
/* Users hear of a submit that takes longer than this without asking for information. Slow drivers
 * on busy CPUs take shorter. */
#define LONG_SECONDS 30
/* A message names at most this many of the kernels that were running. */
#define NAMED_ROWS 4
/* One submit has at most this many command buffers. */
#define SUBMIT_PARTS 64

/* ---- The rows of commands -------------------------------------------------------------------- */

/* Lists the different rows that the parts from `first` up to `end` run. */
static size_t list_rows(const struct gpu_commands *commands, size_t first, size_t end,
                        struct gpu_row *rows[ROWS_MOST])
{
    size_t count = 0;
    for (size_t d = first ? commands->parts[first - 1].end : 0;
         end && d < commands->parts[end - 1].end; d++) {
        struct gpu_row *row = commands->dispatches[d].row;
        size_t i = 0;
        while (i < count && rows[i] != row)
            i++;
        if (i == count && count < ROWS_MOST)
            rows[count++] = row;
    }
    return count;
}

bool run_is_alone(const struct gpu_commands *commands, size_t part)
{
    const size_t end = commands->parts[part].end;
    return end && commands->dispatches[end - 1].row->state == ROW_ALONE;
}

/* ---- Loss ------------------------------------------------------------------------------------ */

/* Returns the first part of the run that is not known to be done. */
static size_t first_unfinished(const struct gpu_commands *commands)
{
    size_t part = commands->finished;
    for (size_t i = part; i < commands->part_count; i++)
        if (commands->parts[i].submitted &&
            commands->gpu->vk.GetFenceStatus(commands->gpu->device, commands->parts[i].fence) ==
                VK_SUCCESS)
            part = i + 1;
    return part < commands->part_count ? part : commands->part_count - 1;
}

/* Returns the end of the submit that contains a part. */
static size_t submit_end(const struct gpu_commands *commands, size_t part)
{
    while (part + 1 < commands->part_count && !commands->parts[part].submitted)
        part++;
    return part + 1;
}

/* Fails with the message of the loss. */
static int fail_lost(const struct gpu_commands *commands)
{
    const struct gpu *gpu = commands->gpu;
    return error_fail(VKCLIP_ELOST, "%s", gpu->loss ? gpu->loss : "the device was lost");
}

/* Marks the device as lost, and says what it ran. `why` says how that was found out. */
static int lose_device(struct gpu_commands *commands, const char *why)
{
    struct gpu *gpu = commands->gpu;
    struct gpu_row *rows[ROWS_MOST];
    char names[NAMED_ROWS * 64] = "";
    const size_t first = first_unfinished(commands), end = submit_end(commands, first);
    const size_t count = list_rows(commands, first, end, rows);
    for (size_t i = 0; i < count && i < NAMED_ROWS; i++) {
        const size_t length = strlen(names);
        snprintf(names + length, sizeof(names) - length, "%s%s", i ? ", " : "", rows[i]->name);
    }
    gpu->lost = true;
    for (size_t i = 0; i < commands->part_count; i++)
        commands->parts[i].submitted = false;
    rows_blame(gpu, rows, count);
    gpu->loss =
        string_format("%s: the device was lost while it ran %s%s: %s", gpu->info.name,
                      count ? names : "a copy", count > NAMED_ROWS ? " and others" : "", why);
    return fail_lost(commands);
}

static int check_run(struct gpu_commands *commands, VkResult result, const char *call)
{
    if (result != VK_ERROR_DEVICE_LOST)
        return vulkan_check(result, call);
    return lose_device(commands, "the driver crashed, or stopped a submit that took too long");
}

static int lose_silent_device(struct gpu_commands *commands)
{
    char why[160];
    snprintf(why, sizeof(why),
             "it has shown no progress for %g s, after which a device counts as lost "
             "(VKCLIP_TIMEOUT sets the seconds)",
             commands->gpu->timeout);
    commands->gpu->hangs = true;
    return lose_device(commands, why);
}

bool gpu_is_lost(const struct gpu *gpu)
{
    return gpu->lost;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void report_waiting(const struct gpu *gpu, double waited)
{
    log_message(waited < LONG_SECONDS ? VKCLIP_LOG_INFO : VKCLIP_LOG_WARNING,
                "%s: no progress for %.0f s; after %g s the device counts as lost", gpu->info.name,
                waited, gpu->timeout);
}

/* Waits for one submit, slice by slice. At most the length of a slice counts as waited for it,
 * because a process that is stopped meanwhile finds that more time has passed. */
static int wait_for_part(struct gpu_commands *commands, struct gpu_part *part)
{
    struct gpu *gpu = commands->gpu;
    double waited = 0;
    for (;;) {
        const double left = gpu->timeout - waited, start = clock_seconds();
        const double slice = left < SLICE_SECONDS ? left : SLICE_SECONDS;
        VkResult result = gpu->vk.WaitForFences(gpu->device, 1, &part->fence, VK_TRUE,
                                                slice > 0 ? (uint64_t)(slice * 1e9) : 0);
        if (result != VK_TIMEOUT) {
            int error = check_run(commands, result, "vkWaitForFences");
            part->submitted = false;
            commands->finished = (size_t)(part - commands->parts) + 1;
            return error ? error
                         : vulkan_check(gpu->vk.ResetFences(gpu->device, 1, &part->fence),
                                        "vkResetFences");
        }
        waited += fmin(slice, clock_seconds() - start);
        if (waited >= gpu->timeout)
            return lose_silent_device(commands);
        report_waiting(gpu, waited);
    }
}

static VkResult read_seconds(const struct gpu_commands *commands, size_t query, double *seconds)
{
    const struct gpu *gpu = commands->gpu;
    const uint64_t mask =
        gpu->timestamp_bits < 64 ? ((uint64_t)1 << gpu->timestamp_bits) - 1 : UINT64_MAX;
    uint64_t stamps[2] = {0};
    VkResult result =
        gpu->vk.GetQueryPoolResults(gpu->device, commands->queries[query / DISPATCHES_PER_POOL],
                                    2 * (uint32_t)(query % DISPATCHES_PER_POOL), 2, sizeof(stamps),
                                    stamps, sizeof(*stamps), VK_QUERY_RESULT_64_BIT);
    *seconds = (double)((stamps[1] - stamps[0]) & mask) * gpu->timestamp_seconds;
    return result;
}

/* Keeps the time of each row's longest dispatch, because short ones take most of their time to
 * start. A driver that gives no time, or a longer one than the host has waited for all of them,
 * leaves the speed unknown. */
static void learn_speeds(const struct gpu_commands *commands)
{
    const double passed = clock_seconds() - commands->begun;
    for (size_t i = 0; i < commands->dispatch_count; i++) {
        const struct gpu_dispatched *dispatch = &commands->dispatches[i];
        double seconds = 0;
        if (dispatch->query != NO_QUERY &&
            read_seconds(commands, dispatch->query, &seconds) == VK_SUCCESS && seconds <= passed)
            rows_learn(commands->gpu, dispatch->row, dispatch->work, seconds);
    }
}

static int wait_for_parts(struct gpu_commands *commands, size_t end, bool *waited)
{
    int error = VKCLIP_OK;
    *waited = false;
    for (size_t i = 0; i < end && !error; i++)
        if (commands->parts[i].submitted) {
            *waited = true;
            error = wait_for_part(commands, &commands->parts[i]);
        }
    return error;
}

/* Remembers after a first run that its rows work, and how fast they are. */
static void finish_first_run(struct gpu_commands *commands)
{
    struct gpu_row *rows[ROWS_MOST];
    rows_end(commands->gpu, rows, list_rows(commands, 0, commands->part_count, rows));
    commands->proved = true;
    if (commands->learns)
        learn_speeds(commands);
}

int gpu_commands_wait(struct gpu_commands *commands)
{
    struct gpu_part *last = &commands->parts[commands->part_count - 1];
    bool waited = false;
    if (commands->gpu->lost && last->submitted) {
        last->submitted = false;
        return fail_lost(commands);
    }
    int error = VKCLIP_OK;
    if (!commands->gpu->lost)
        error = wait_for_parts(commands, commands->part_count, &waited);
    if (waited && !error && !commands->proved)
        finish_first_run(commands);
    return error;
}

/* ---- Submitting ------------------------------------------------------------------------------ */

static double part_share(const struct gpu_commands *commands, size_t part)
{
    double share = 0;
    for (size_t d = part ? commands->parts[part - 1].end : 0; d < commands->parts[part].end; d++) {
        const struct gpu_dispatched *dispatch = &commands->dispatches[d];
        share += dispatch->work / rows_submit_work(commands->gpu, dispatch->row, dispatch->weight);
    }
    return share;
}

/* Returns the end of the submit that begins with part `first`. Parts were recorded with what was
 * known then; when kernels have turned out to be faster one submit takes several of them. */
static size_t choose_end(const struct gpu_commands *commands, size_t first)
{
    size_t end = first + 1;
    if (!commands->gpu->limits.submit_seconds || run_is_alone(commands, first))
        return end;
    double share = part_share(commands, first);
    for (; end < commands->part_count && end - first < SUBMIT_PARTS; end++) {
        share += part_share(commands, end);
        if (share > 1 || run_is_alone(commands, end))
            break;
    }
    return end;
}

/* The semaphores of one submit. */
struct synchronisation {
    VkSemaphore waits[2], signals[2];
    uint64_t wait_values[2], signal_values[2];
    VkPipelineStageFlags stages[2]; /* of the waits */
    VkTimelineSemaphoreSubmitInfo values;
};

/* Makes the first submit of a run wait for the copies that it follows and for the application, and
 * the last one signal those that wait for the run. */
static void synchronise(const struct gpu_commands *commands, bool first, bool last,
                        struct synchronisation *s, VkSubmitInfo *submit)
{
    if (first && commands->leader) {
        s->stages[submit->waitSemaphoreCount] = commands->queue->stages;
        s->waits[submit->waitSemaphoreCount++] = commands->leader->done;
    }
    if (first && commands->wait) {
        s->stages[submit->waitSemaphoreCount] = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
        s->wait_values[submit->waitSemaphoreCount] = commands->wait_value;
        s->waits[submit->waitSemaphoreCount++] = commands->wait;
    }
    if (last && commands->done)
        s->signals[submit->signalSemaphoreCount++] = commands->done;
    if (last && commands->signal) {
        s->signal_values[submit->signalSemaphoreCount] = commands->signal_value;
        s->signals[submit->signalSemaphoreCount++] = commands->signal;
    }
    submit->pWaitSemaphores = s->waits;
    submit->pWaitDstStageMask = s->stages;
    submit->pSignalSemaphores = s->signals;
    if (!commands->wait_value && !commands->signal_value)
        return;
    s->values =
        (VkTimelineSemaphoreSubmitInfo){.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                        .waitSemaphoreValueCount = submit->waitSemaphoreCount,
                                        .pWaitSemaphoreValues = s->wait_values,
                                        .signalSemaphoreValueCount = submit->signalSemaphoreCount,
                                        .pSignalSemaphoreValues = s->signal_values};
    submit->pNext = &s->values;
}

static int submit_parts(struct gpu_commands *commands, size_t first, size_t end)
{
    VkCommandBuffer buffers[SUBMIT_PARTS];
    struct synchronisation semaphores = {0};
    struct gpu_part *last = &commands->parts[end - 1];
    const struct gpu *gpu = commands->gpu;
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .pCommandBuffers = buffers};
    for (size_t i = first; i < end; i++)
        buffers[submit.commandBufferCount++] = commands->parts[i].buffer;
    synchronise(commands, !first, end == commands->part_count, &semaphores, &submit);
    if (gpu->lock_queue)
        gpu->lock_queue(gpu->queue_user);
    VkResult result = gpu->vk.QueueSubmit(commands->queue->queue, 1, &submit, last->fence);
    if (gpu->unlock_queue)
        gpu->unlock_queue(gpu->queue_user);
    last->submitted = result == VK_SUCCESS;
    return check_run(commands, result, "vkQueueSubmit");
}

/* Submits a part whose row has to run alone: after everything before, and before everything later,
 * so that it is known what ran if this fails. */
static int submit_alone(struct gpu_commands *commands, size_t part)
{
    struct gpu_row *rows[ROWS_MOST];
    const size_t count = list_rows(commands, part, part + 1, rows);
    bool waited;
    int error = wait_for_parts(commands, part, &waited);
    if (error)
        return error;
    rows_begin(commands->gpu, rows, count);
    error = submit_parts(commands, part, part + 1);
    if (!error)
        error = wait_for_part(commands, &commands->parts[part]);
    if (!error)
        rows_end(commands->gpu, rows, count);
    return error;
}

static int submit_all(struct gpu_commands *commands)
{
    struct gpu_row *rows[ROWS_MOST];
    int error = VKCLIP_OK;
    commands->finished = 0;
    commands->begun = clock_seconds();
    if (!commands->proved)
        rows_begin(commands->gpu, rows, list_rows(commands, 0, commands->part_count, rows));
    for (size_t first = 0, end; first < commands->part_count && !error; first = end) {
        end = choose_end(commands, first);
        error = run_is_alone(commands, first) ? submit_alone(commands, first)
                                              : submit_parts(commands, first, end);
    }
    return error;
}

int gpu_commands_submit(struct gpu_commands *commands)
{
    char message[ERROR_MESSAGE];
    bool waited;
    if (commands->gpu->lost)
        return fail_lost(commands);
    int error = submit_all(commands);
    if (!error || error == VKCLIP_ELOST)
        return error;
    /* Earlier submits may run, and the caller may free next what they use. */
    snprintf(message, sizeof(message), "%s", error_last());
    if (!wait_for_parts(commands, commands->part_count, &waited))
        error_keep(message);
    return error;
}

int gpu_commands_run(struct gpu_commands *commands)
{
    int error = gpu_commands_submit(commands);
    return error ? error : gpu_commands_wait(commands);
}

size_t gpu_commands_dispatches(const struct gpu_commands *commands)
{
    return commands->dispatch_count;
}

size_t gpu_commands_barriers(const struct gpu_commands *commands)
{
    return commands->barrier_count;
}

int gpu_commands_read_times(struct gpu_commands *commands, double *seconds)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < commands->dispatch_count && !error; i++)
        error = vulkan_check(read_seconds(commands, commands->dispatches[i].query, &seconds[i]),
                             "vkGetQueryPoolResults");
    return error;
}

int gpu_copy(struct gpu *gpu, struct gpu_range source, struct gpu_range target)
{
    struct gpu_commands *commands;
    int error = gpu_commands_create(gpu, &commands);
    if (!error)
        error = gpu_commands_copy(commands, source, target);
    if (!error)
        error = gpu_commands_end(commands);
    if (!error)
        error = gpu_commands_run(commands);
    gpu_commands_destroy(&commands);
    return error;
}
