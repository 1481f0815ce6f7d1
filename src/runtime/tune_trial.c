/* SPDX-License-Identifier: MIT
 *
 * Runs a trial on a sample: a graph of the one node, with fewer rows or items if the whole would
 * take too long. Each step of the trial runs more of the sample with fewer choices: build all
 * pipelines, time a few rows to know how many there is time for, check every choice on a few rows
 * against the reference, drop those that are far slower, time the others in rounds, and check the
 * winner again in the node's full form.
 */
#include "runtime/tune_trial.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/half.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/launch.h"
#include "runtime/layout.h"
#include "runtime/tune_sample.h"
#include "shaders/args.h"

/* A matrix for which there is too little time is timed on a multiple of this many rows, so that
 * tiles are full. */
#define LEAST_ROWS 128
/* The number of rows that are compared with the reference is not a multiple of a tile, so that the
 * tile's edge is checked too. */
#define CHECK_ROWS 19
/* The least time of this many runs decides which choices are dropped, because one run may be
 * disturbed. */
#define CHECK_RUNS 3
/* This many rows are run first, to know how many there is time for. */
#define PROBE_ROWS 16
/* Another choice replaces the default only if it takes less than this share of the default's time,
 * because choices within 5 % change from run to run; of few rows alone, times are less certain. */
#define CLEARLY_FASTER 0.95
#define CLEARLY_FASTER_ROUGHLY 0.75
/* A choice that took this many times as long as the best one is not run in the next round. If only
 * few rows were timed, whose times are less certain, the other factor applies and the choice is not
 * run at all. */
#define DROPPED_IN_ROUNDS 1.3
#define DROPPED_ON_FEW 2.5
/* If the first tile of a kernel takes this many times as long as the best choice, the kernel's
 * other tiles are left out. Most of a trial's time goes into compiling, and a kernel that loads too
 * slowly does so with every tile. */
#define SLOW_KERNEL 2
/* More rounds make the least time of a choice less likely to be a disturbed one, and each costs the
 * time of all choices that are left. */
#define ROUNDS 4
/* The time of a trial is divided by this: two rounds of every choice, and a tenth more for submits
 * and copies. More would time fewer rows, less would exceed the trial's time. */
#define ROUNDS_WITH_OVERHEAD 2.2
/* Shorter runs are repeated within one submit until they take this long, so that the overhead of a
 * submit does not hide the differences. */
#define LEAST_SECONDS 1e-3
#define MOST_REPEATS 64
/* Random values repeat after this many. It is a prime, so that no two rows are equal. */
#define RANDOM_VALUES 65521

/* ---- Scratch memory -------------------------------------------------------------------------- */

struct scratch {
    struct gpu *gpu;
    struct gpu_buffer *upload;   /* result's content before a run */
    struct gpu_buffer *download; /* result's content after a run */
    struct gpu_range ranges[KERNEL_SLOTS];
};

static float next_value(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (float)*state / 2147483648.0f - 1;
}

/* Fills memory with repetitions of its first `known` bytes. */
static void repeat_bytes(char *data, uint64_t bytes, uint64_t known)
{
    for (; known < bytes; known *= 2)
        memcpy(data + known, data, known < bytes - known ? known : bytes - known);
}

/* Fills panels by repeating three panels of random values, so that neighbours differ. */
static int fill_panels(const struct tensor *tensor, uint64_t bytes, char *data)
{
    const uint32_t n = tensor_n(tensor);
    const size_t k = tensor_elements(tensor) / n;
    const uint64_t panel_bytes = layout_panel_bytes(tensor->type, k);
    uint32_t state = 88172645;
    uint64_t known = 0;
    float *columns = malloc(k * PANEL * sizeof(*columns));
    if (!columns)
        return error_fail(VKCLIP_EMEMORY, "out of memory for measuring kernels");
    for (int panel = 0; panel < 3 && known < bytes; panel++, known += panel_bytes) {
        for (size_t i = 0; i < k * PANEL; i++)
            columns[i] = next_value(&state);
        layout_store_panel(tensor->type, columns, k, data + known);
    }
    repeat_bytes(data, bytes, known);
    free(columns);
    return VKCLIP_OK;
}

static int fill_rows(const struct tensor *tensor, uint64_t bytes, char *data)
{
    const uint64_t size = type_size(tensor->type), elements = bytes / size;
    const uint64_t count = elements < RANDOM_VALUES ? elements : RANDOM_VALUES;
    uint32_t state = 2463534242u;
    for (uint64_t i = 0; i < count; i++) {
        const float value = next_value(&state);
        if (tensor->type == TYPE_F32)
            ((float *)(void *)data)[i] = value;
        else
            ((uint16_t *)(void *)data)[i] = half_from_float(value);
    }
    repeat_bytes(data, bytes, count * size);
    return VKCLIP_OK;
}

static int fill_tensor(const struct tensor *tensor, uint64_t bytes, char *data)
{
    return tensor->layout == LAYOUT_ROWS ? fill_rows(tensor, bytes, data)
                                         : fill_panels(tensor, bytes, data);
}

/* Creates a tensor. A result that a kernel does not write stays NaN, which the check finds; a
 * result that a kernel adds to begins with random values. */
static int create_tensor(struct scratch *scratch, const struct sample *sample, int slot)
{
    const struct tensor *tensor = &sample->tensors[slot];
    const uint64_t bytes = layout_tensor_bytes(tensor);
    const bool is_read = slot != KERNEL_OUT || sample->node.residual;
    struct gpu_range *range = &scratch->ranges[slot];
    struct gpu_buffer *upload = NULL;
    range->size = bytes;
    int error = gpu_buffer_create(scratch->gpu, GPU_DEVICE, bytes, &range->buffer);
    if (!error)
        error = gpu_buffer_create(scratch->gpu, GPU_UPLOAD, bytes, &upload);
    if (!error && is_read)
        error = fill_tensor(tensor, bytes, gpu_buffer_map(upload));
    if (!error && !is_read)
        memset(gpu_buffer_map(upload), 0xff, bytes);
    if (!error)
        error = gpu_copy(scratch->gpu, (struct gpu_range){upload, 0, bytes}, *range);
    if (slot == KERNEL_OUT)
        scratch->upload = upload;
    else
        gpu_buffer_destroy(scratch->gpu, &upload);
    return error;
}

static int create_scratch(struct scratch *scratch, const struct sample *sample)
{
    int error = VKCLIP_OK;
    for (int slot = 0; slot < KERNEL_SLOTS && !error; slot++)
        if (slot == KERNEL_OUT || sample->node.in[slot] >= 0)
            error = create_tensor(scratch, sample, slot);
    if (!error)
        error = gpu_buffer_create(scratch->gpu, GPU_DOWNLOAD, scratch->ranges[KERNEL_OUT].size,
                                  &scratch->download);
    return error;
}

static void destroy_scratch(struct scratch *scratch)
{
    for (int slot = 0; slot < KERNEL_SLOTS; slot++)
        gpu_buffer_destroy(scratch->gpu, &scratch->ranges[slot].buffer);
    gpu_buffer_destroy(scratch->gpu, &scratch->upload);
    gpu_buffer_destroy(scratch->gpu, &scratch->download);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

/* Records a choice `repeats` times. The sample may have fewer items than the memory holds. */
static int record_choice(const struct trial *trial, const struct sample *sample,
                         const struct scratch *scratch, size_t choice, uint32_t repeats,
                         struct gpu_commands **commands)
{
    struct gpu_range ranges[KERNEL_SLOTS];
    memcpy(ranges, scratch->ranges, sizeof(ranges));
    for (int slot = 0; slot < KERNEL_SLOTS; slot++)
        if (ranges[slot].buffer)
            ranges[slot].size = layout_tensor_bytes(&sample->tensors[slot]);
    int error = gpu_commands_create(trial->gpu, commands);
    for (uint32_t i = 0; i < repeats && !error; i++)
        error = launch_choice(trial->gpu, *commands, &sample->graph, &sample->node, ranges,
                              &trial->choices[choice]);
    if (!error)
        error = gpu_commands_end(*commands);
    if (error)
        gpu_commands_destroy(commands);
    return error;
}

static int run_commands(struct trial *trial, struct gpu_commands *commands, double *seconds)
{
    const double start = clock_seconds();
    int error = gpu_commands_run(commands);
    *seconds = clock_seconds() - start;
    trial->runs++;
    return error;
}

/* Builds the pipelines of all choices at once, on several threads. Errors are ignored here, because
 * a choice that cannot be built fails again when it is recorded. */
static int build_pipelines(const struct trial *trial, const struct sample *sample,
                           const struct scratch *scratch)
{
    for (size_t i = 0; i < trial->count; i++)
        if (!trial->skip[i] || i == trial->reference)
            launch_choice(trial->gpu, NULL, &sample->graph, &sample->node, scratch->ranges,
                          &trial->choices[i]);
    return gpu_pipelines_build(trial->gpu);
}

/* ---- How fast the device is ------------------------------------------------------------------ */

/* Returns the seconds of that many items with the first choice that can be built. The second run
 * counts, because some drivers compile in the first. */
static int time_items(struct trial *trial, const struct scratch *scratch, uint32_t items,
                      double *seconds)
{
    struct sample sample;
    struct gpu_commands *commands = NULL;
    int error = VKCLIP_EDEVICE;
    sample_make(trial->graph, trial->node, items, &sample);
    sample_make_plain(&sample);
    for (size_t i = 0; i < trial->count && error == VKCLIP_EDEVICE; i++)
        error = record_choice(trial, &sample, scratch, i, 1, &commands);
    for (int i = 0; i < 2 && !error; i++)
        error = run_commands(trial, commands, seconds);
    gpu_commands_destroy(&commands);
    return error;
}

/* Measures the seconds per item. A run of few items takes longer per item than a run of many, so
 * that more items are run if the first ones took little of the trial's time. */
static int probe_speed(struct trial *trial, const struct scratch *scratch, double *item_seconds)
{
    const uint32_t all = sample_items(trial->graph, trial->node);
    uint32_t items = sample_has_rows(trial->node->op) ? PROBE_ROWS : 1;
    double seconds = 0;
    items = items < all ? items : all;
    int error = time_items(trial, scratch, items, &seconds);
    if (!error && items < all && seconds < trial->share / 40) {
        items = 4 * items < all ? 4 * items : all;
        error = time_items(trial, scratch, items, &seconds);
    }
    *item_seconds = seconds / items;
    return error;
}

/* Returns how many items `choices` choices can run twice in that time, with some overhead; 0 means
 * too few for a meaningful time. */
static uint32_t count_items(const struct trial *trial, double seconds, size_t choices,
                            double item_seconds)
{
    const uint32_t all = sample_items(trial->graph, trial->node);
    const double fit = seconds / (ROUNDS_WITH_OVERHEAD * (double)choices * item_seconds);
    if (fit >= all)
        return all;
    if (sample_has_rows(trial->node->op))
        return (uint32_t)fit / LEAST_ROWS * LEAST_ROWS;
    return (uint32_t)fit;
}

/* ---- Checking -------------------------------------------------------------------------------- */

/* Compares choices with the reference on a sample of few items. */
struct checker {
    struct trial *trial;
    const struct sample *sample;
    const struct scratch *scratch;
    void *expected, *found; /* results of the reference and of another choice */
};

/* Runs a choice and reads its result. The first run is not timed, because some drivers compile in
 * it. */
static int run_check(const struct checker *checker, size_t choice, void *result)
{
    struct trial *trial = checker->trial;
    const struct scratch *scratch = checker->scratch;
    struct gpu_range out = scratch->ranges[KERNEL_OUT];
    struct gpu_commands *commands = NULL;
    double seconds = 0, least = INFINITY;
    out.size = layout_tensor_bytes(&checker->sample->tensors[KERNEL_OUT]);
    int error = record_choice(trial, checker->sample, scratch, choice, 1, &commands);
    if (!error)
        error = gpu_copy(trial->gpu, (struct gpu_range){scratch->upload, 0, out.size}, out);
    if (!error)
        error = run_commands(trial, commands, &seconds);
    if (!error)
        error = gpu_copy(trial->gpu, out, (struct gpu_range){scratch->download, 0, out.size});
    if (!error)
        memcpy(result, gpu_buffer_map(scratch->download), out.size);
    for (int i = 0; i < CHECK_RUNS && !error; i++) {
        error = run_commands(trial, commands, &seconds);
        least = fmin(least, seconds);
    }
    trial->ms[choice] = error ? -1 : least * 1e3;
    gpu_commands_destroy(&commands);
    return error;
}

static double result_value(const struct tensor *tensor, const void *data, uint64_t i)
{
    return tensor->type == TYPE_F32 ? (double)((const float *)data)[i]
                                    : (double)half_to_float(((const uint16_t *)data)[i]);
}

/* Tells whether two results differ by no more than the order of their sums and `rounding` explain.
 */
static bool is_close(const struct tensor *tensor, const void *found, const void *expected,
                     double rounding)
{
    const double relative = tensor->type == TYPE_F16 ? 4e-3 : 1e-4;
    double largest = 0, worst = 0;
    for (uint64_t i = 0; i < tensor_elements(tensor); i++) {
        const double value = result_value(tensor, expected, i);
        const double difference = fabs(result_value(tensor, found, i) - value);
        if (!isfinite(value) || !(difference <= 1e30))
            return false;
        largest = fmax(largest, fabs(value));
        worst = fmax(worst, difference);
    }
    return worst <= relative * fmax(largest, 1e-3) + rounding;
}

static int open_checker(struct checker *checker)
{
    const size_t bytes = layout_tensor_bytes(&checker->sample->tensors[KERNEL_OUT]);
    checker->expected = malloc(bytes);
    checker->found = malloc(bytes);
    if (!checker->expected || !checker->found)
        return error_fail(VKCLIP_EMEMORY, "out of memory for measuring kernels");
    return run_check(checker, checker->trial->reference, checker->expected);
}

static void close_checker(struct checker *checker)
{
    free(checker->expected);
    free(checker->found);
}

/* Times a choice. Its time becomes negative if it fails or its result differs from the reference's.
 */
static void check_choice(const struct checker *checker, size_t choice)
{
    struct trial *trial = checker->trial;
    const struct sample *sample = checker->sample;
    const struct kernel_choice *checked = &trial->choices[choice];
    const double rounding = kernels_rounding(checked->kernel, &sample->graph, &sample->node);
    char name[KERNEL_CHOICE_NAME];
    if (run_check(checker, choice, checker->found))
        return;
    if (is_close(&sample->tensors[KERNEL_OUT], checker->found, checker->expected, rounding))
        return;
    trial->ms[choice] = -1;
    kernels_choice_name(checked, name);
    log_message(VKCLIP_LOG_WARNING, "%s: kernel %s gives a wrong %s, it is not used",
                gpu_info(trial->gpu)->name, name, op_name(sample->node.op));
}

/* Returns the choice that has the same kernel with its first tile. */
static size_t first_tile(const struct trial *trial, size_t choice)
{
    while (choice && trial->choices[choice - 1].kernel == trial->choices[choice].kernel)
        choice--;
    return choice;
}

/* Checks the first tile of every kernel, or the other tiles. */
static int check_tiles(const struct checker *checker, bool first)
{
    const struct trial *trial = checker->trial;
    for (size_t i = 0; i < trial->count; i++) {
        if (i == trial->reference || trial->skip[i] || (i == first_tile(trial, i)) != first)
            continue;
        if (clock_seconds() > trial->deadline)
            return VKCLIP_EUNSUPPORTED; /* The time is over; report nothing. */
        check_choice(checker, i);
    }
    return VKCLIP_OK;
}

static double least_ms(const struct trial *trial)
{
    double least = INFINITY;
    for (size_t i = 0; i < trial->count; i++)
        if (trial->ms[i] > 0)
            least = fmin(least, trial->ms[i]);
    return least;
}

static void skip_slow_kernels(struct trial *trial)
{
    const double least = least_ms(trial);
    for (size_t i = 0; i < trial->count; i++) {
        const size_t first = first_tile(trial, i);
        const bool slow = trial->skip[first] || trial->ms[first] > SLOW_KERNEL * least;
        if (slow && i != first && i != trial->default_choice)
            trial->skip[i] = true;
    }
}

static int check_all(struct trial *trial, const struct sample *sample,
                     const struct scratch *scratch)
{
    struct checker checker = {.trial = trial, .sample = sample, .scratch = scratch};
    int error = open_checker(&checker);
    if (!error)
        error = check_tiles(&checker, true);
    if (!error) {
        skip_slow_kernels(trial);
        error = check_tiles(&checker, false);
    }
    close_checker(&checker);
    return error;
}

static int check_one(struct trial *trial, const struct sample *sample,
                     const struct scratch *scratch, size_t choice)
{
    struct checker checker = {.trial = trial, .sample = sample, .scratch = scratch};
    int error = open_checker(&checker);
    if (!error)
        check_choice(&checker, choice);
    close_checker(&checker);
    return error;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* Drops the choices that are far slower on few items. Returns how many are left. */
static size_t drop_slow(struct trial *trial)
{
    const double least = least_ms(trial);
    size_t left = 0;
    for (size_t i = 0; i < trial->count; i++) {
        if (i != trial->default_choice && trial->ms[i] > DROPPED_ON_FEW * least)
            trial->skip[i] = true;
        left += trial->ms[i] > 0 && !trial->skip[i];
    }
    return left;
}

/* Times the remaining choices in turn, round by round, so that a disturbance does not affect only
 * one of them; the least time counts. Two rounds are run even if the trial's time is over, because
 * one alone is not reliable. */
static int time_rounds(struct trial *trial, const struct sample *sample,
                       const struct scratch *scratch, uint32_t repeats, double end)
{
    struct gpu_commands *commands[KERNEL_CHOICES] = {0};
    double best = INFINITY, seconds;
    int error = VKCLIP_OK;
    for (int round = 0; round < ROUNDS && !error; round++)
        for (size_t i = 0; i < trial->count && !error; i++) {
            double *ms = &trial->ms[i];
            if (*ms < 0 || trial->skip[i] || (round && *ms > DROPPED_IN_ROUNDS * best))
                continue;
            if (round > 1 && clock_seconds() > end)
                break;
            if (!round && clock_seconds() > trial->deadline)
                error = VKCLIP_EUNSUPPORTED; /* The time is over; report nothing. */
            if (!error && !commands[i])
                error = record_choice(trial, sample, scratch, i, repeats, &commands[i]);
            if (!error)
                error = run_commands(trial, commands[i], &seconds);
            if (error)
                break;
            const double now = seconds * 1e3 / repeats;
            *ms = round ? fmin(*ms, now) : now;
            best = fmin(best, *ms);
        }
    for (size_t i = 0; i < trial->count; i++)
        gpu_commands_destroy(&commands[i]);
    return error;
}

/* Scales the times of few items to estimates for `items`, for choices that are not run again. */
static void scale_times(struct trial *trial, double factor)
{
    for (size_t i = 0; i < trial->count; i++)
        if (trial->ms[i] > 0)
            trial->ms[i] *= factor;
}

/* Returns the default, or if it failed the first choice that works, unless another is clearly
 * faster. */
static size_t choose_best(const struct trial *trial, bool rough)
{
    const double share = rough ? CLEARLY_FASTER_ROUGHLY : CLEARLY_FASTER;
    size_t first = trial->ms[trial->default_choice] < 0 ? 0 : trial->default_choice;
    while (first + 1 < trial->count && trial->ms[first] < 0)
        first++;
    size_t best = first;
    for (size_t i = 0; i < trial->count; i++)
        if (trial->ms[i] > 0 && trial->ms[i] < trial->ms[best])
            best = i;
    return trial->ms[best] < share * trial->ms[first] ? best : first;
}

/* Finds the best choice whose result is also right in the node's own form, with bias, activation
 * and residual. */
static int choose_confirmed(struct trial *trial, const struct scratch *scratch, uint32_t few,
                            bool rough, size_t *best)
{
    const double reference_ms = trial->ms[trial->reference];
    struct sample sample;
    sample_make(trial->graph, trial->node, few, &sample);
    for (;;) {
        *best = choose_best(trial, rough);
        if (*best == trial->reference)
            return VKCLIP_OK;
        const double best_ms = trial->ms[*best];
        int error = check_one(trial, &sample, scratch, *best);
        trial->ms[trial->reference] = reference_ms;
        if (error)
            return error;
        if (trial->ms[*best] >= 0) {
            trial->ms[*best] = best_ms;
            return VKCLIP_OK;
        }
    }
}

static uint32_t count_repeats(double seconds)
{
    const double repeats = LEAST_SECONDS / seconds;
    if (repeats < 1)
        return 1;
    return repeats < MOST_REPEATS ? (uint32_t)repeats : MOST_REPEATS;
}

/* Drops the slow choices and times the others on as many items as there is time for. Sets `rough`
 * if only the times of few items are known, because there was no time for more or timing more
 * failed. */
static void compare_choices(struct trial *trial, const struct scratch *scratch, uint32_t few,
                            double item_seconds, double end, bool *rough)
{
    struct sample sample;
    const size_t choices = drop_slow(trial);
    const double left = fmax(end - clock_seconds(), trial->share / 2);
    const uint32_t items = count_items(trial, left, choices, item_seconds);
    *rough = true;
    if (!items)
        return;
    scale_times(trial, (double)items / few);
    sample_make(trial->graph, trial->node, items, &sample);
    sample_make_plain(&sample);
    *rough = time_rounds(trial, &sample, scratch, count_repeats(item_seconds * items), end) != 0;
}

/* Checks the choices on `few` items, and times those that are correct. */
static int try_choices(struct trial *trial, const struct scratch *scratch, uint32_t few,
                       double item_seconds, double end, size_t *best)
{
    struct sample sample;
    bool rough;
    sample_make(trial->graph, trial->node, few, &sample);
    sample_make_plain(&sample);
    int error = check_all(trial, &sample, scratch);
    if (error)
        return error;
    compare_choices(trial, scratch, few, item_seconds, end, &rough);
    return choose_confirmed(trial, scratch, few, rough, best);
}

static int run_trial(struct trial *trial, const struct scratch *scratch, double end, size_t *best)
{
    const uint32_t all = sample_items(trial->graph, trial->node);
    uint32_t few = sample_has_rows(trial->node->op) ? CHECK_ROWS : 1;
    struct sample sample;
    double item_seconds = 0;
    few = few < all ? few : all;
    sample_make(trial->graph, trial->node, all, &sample);
    sample_make_plain(&sample);
    int error = build_pipelines(trial, &sample, scratch);
    if (!error)
        error = probe_speed(trial, scratch, &item_seconds);
    /* A device that is too slow for even two choices keeps the default. */
    if (!error && count_items(trial, trial->share, 2, item_seconds))
        error = try_choices(trial, scratch, few, item_seconds, end, best);
    return error;
}

int trial_run(struct trial *trial, size_t *best)
{
    const double end = clock_seconds() + trial->seconds;
    struct scratch scratch = {.gpu = trial->gpu};
    struct sample sample;
    memset(trial->ms, 0, trial->count * sizeof(*trial->ms));
    sample_make(trial->graph, trial->node, sample_items(trial->graph, trial->node), &sample);
    *best = trial->default_choice;
    int error = create_scratch(&scratch, &sample);
    if (!error)
        error = run_trial(trial, &scratch, end, best);
    if (error)
        *best = choose_best(trial, true);
    destroy_scratch(&scratch);
    return error;
}
