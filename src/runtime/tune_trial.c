/* SPDX-License-Identifier: MIT
 *
 * Runs a trial on a sample: a graph of the one node, with fewer rows or items if the whole would
 * take too long. Each step of the trial runs more of the sample with fewer choices: build all
 * pipelines, time a few rows to know how many there is time for, check every choice against the
 * reference (selftest.h) and time it on a few rows, drop those that are far slower, time the others
 * in rounds, and check the winner again in the node's full form.
 *
 * The device's own timestamps are used where it has them, because the host's clock also counts the
 * submit, which takes longer than a small kernel.
 */
#include "runtime/tune_trial.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/turns.h"
#include "base/error.h"
#include "base/half.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/launch.h"
#include "runtime/layout.h"
#include "runtime/op_values.h"
#include "runtime/tune_sample.h"
#include "shaders/args.h"

/* A matrix for which there is too little time is timed on a multiple of this many rows, so that
 * tiles are full. */
#define LEAST_ROWS 128
/* Every choice is timed on this many rows first, which decides which choices are dropped: the least
 * time of this many runs, because one run may be disturbed. */
#define FEW_ROWS 19
#define FEW_RUNS 3
/* This many rows are run first, to know how many there is time for. */
#define PROBE_ROWS 16
/* Another choice replaces the default only if its fastest run takes less than this share of the
 * default's, because choices within 5 % change from run to run; of few rows alone, times are less
 * certain. This gives up gains that are smaller than the noise. */
#define CLEARLY_FASTER 0.95
#define CLEARLY_FASTER_ROUGHLY 0.75
/* If the slowest run of the default or of the fastest choice took this many times as long as its
 * fastest one, something else was using the device or the processor. A trial that then finds no
 * clearly faster choice is made again by a later process. Rounds on a quiet machine differ by less
 * than 10 %. A larger factor would keep what a busy machine hid; a smaller one would measure again
 * and again where the clock rate varies. */
#define DISAGREEMENT 1.25
/* A choice that took this many times as long as the best one is not run in the next round. If only
 * few rows were timed, whose times are less certain, the other factor applies and the choice is not
 * run at all. */
#define DROPPED_IN_ROUNDS 1.3
#define DROPPED_ON_FEW 2.5
/* If the first tile of a kernel takes this many times as long as the best choice, the kernel's
 * other tiles are left out. Most of a trial's time goes into compiling, and a kernel that loads too
 * slowly does so with every tile. */
#define SLOW_KERNEL 2
/* More rounds show a disturbance more surely, and each costs the time of all choices that are left.
 * LEAST_ROUNDS are run even if the trial's time is over, because fewer show nothing. */
#define ROUNDS 5
#define LEAST_ROUNDS 3
/* A choice that is about to replace the default is timed with it, in turn, in this many further
 * rounds, of which it must win so many: all but one, because a single run of a fast choice may be
 * slowed down. Where runs disagree, it must do so twice: chance alone wins so many of eight rounds
 * once in 28 times, and twice once in 800, and besides each run of the default must have been
 * slowed down. */
#define PAIR_ROUNDS 8
#define LEAST_WINS 7
/* The time of a trial is divided by this: one round of every choice, as much again for the further
 * rounds of those that are left, and a tenth more for submits and copies. More would time fewer
 * rows, less would exceed the trial's time. */
#define ROUNDS_WITH_OVERHEAD 2.2
/* Shorter runs are repeated within one submit until they take this long, because shorter times are
 * disturbed by single interrupts and by the steps of a device's clock. Longer ones would leave time
 * for fewer choices. */
#define LEAST_SECONDS 2e-3
#define MOST_REPEATS 256
/* Before the rounds the default runs for this share of the trial's time, and at most for so long,
 * because devices raise their clock rate only when they have worked for a while. */
#define WARM_UP_SHARE 0.05
#define MOST_WARM_UP 0.1
/* Random values repeat after this many. It is a prime, so that no two rows are equal. */
#define RANDOM_VALUES 65521

/* ---- Scratch memory -------------------------------------------------------------------------- */

struct scratch {
    struct gpu *gpu;
    struct gpu_range ranges[KERNEL_SLOTS];
};

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
    float *columns = memory_alloc(k * PANEL * sizeof(*columns));
    if (!columns)
        return error_fail(VKCLIP_EMEMORY, "out of memory for measuring kernels");
    for (int panel = 0; panel < 3 && known < bytes; panel++, known += panel_bytes) {
        for (size_t i = 0; i < k * PANEL; i++)
            columns[i] = (float)op_values_next(&state);
        layout_store_panel(tensor->type, columns, k, data + known);
    }
    repeat_bytes(data, bytes, known);
    memory_free(columns);
    return VKCLIP_OK;
}

static int fill_rows(const struct tensor *tensor, uint64_t bytes, char *data)
{
    const uint64_t size = type_size(tensor->type), elements = bytes / size;
    const uint64_t count = elements < RANDOM_VALUES ? elements : RANDOM_VALUES;
    uint32_t state = 2463534242u;
    for (uint64_t i = 0; i < count; i++) {
        const float value = (float)op_values_next(&state);
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
    return tensor_in_rows(tensor) ? fill_rows(tensor, bytes, data)
                                  : fill_panels(tensor, bytes, data);
}

/* Creates a tensor, with random values unless it is a result that the kernel writes. */
static int create_tensor(struct scratch *scratch, const struct sample *sample, int slot)
{
    const struct tensor *tensor = &sample->tensors[slot];
    const uint64_t bytes = layout_tensor_bytes(tensor);
    const bool is_read = slot != KERNEL_OUT || sample->node.residual;
    struct gpu_range *range = &scratch->ranges[slot];
    struct gpu_buffer *upload = NULL;
    range->size = bytes;
    int error = gpu_buffer_create(scratch->gpu, GPU_DEVICE, bytes, &range->buffer);
    if (!error && is_read)
        error = gpu_buffer_create(scratch->gpu, GPU_UPLOAD, bytes, &upload);
    if (!error && is_read)
        error = fill_tensor(tensor, bytes, gpu_buffer_map(upload));
    if (!error && is_read)
        error = gpu_copy(scratch->gpu, (struct gpu_range){upload, 0, bytes}, *range);
    gpu_buffer_destroy(scratch->gpu, &upload);
    return error;
}

static int create_scratch(struct scratch *scratch, const struct sample *sample)
{
    int error = VKCLIP_OK;
    for (int slot = 0; slot < KERNEL_SLOTS && !error; slot++)
        if (slot == KERNEL_OUT || sample->node.in[slot] >= 0)
            error = create_tensor(scratch, sample, slot);
    return error;
}

static void destroy_scratch(struct scratch *scratch)
{
    for (int slot = 0; slot < KERNEL_SLOTS; slot++)
        gpu_buffer_destroy(scratch->gpu, &scratch->ranges[slot].buffer);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

/* Commands that run one choice, with the timestamps of their dispatches if the device has them. */
struct timed_commands {
    struct gpu_commands *commands;
    double *times; /* of each dispatch; NULL: the host's clock is used */
    size_t choice;
};

static void destroy_timed(struct timed_commands *timed)
{
    gpu_commands_destroy(&timed->commands);
    memory_free(timed->times);
    timed->times = NULL;
}

/* Records a choice `repeats` times. The sample may have fewer items than the memory holds. */
static int record_choice(const struct tune_trial *trial, const struct sample *sample,
                         const struct scratch *scratch, size_t choice, uint32_t repeats,
                         struct timed_commands *timed)
{
    struct gpu_range ranges[KERNEL_SLOTS];
    memcpy(ranges, scratch->ranges, sizeof(ranges));
    for (int slot = 0; slot < KERNEL_SLOTS; slot++)
        if (ranges[slot].buffer)
            ranges[slot].size = layout_tensor_bytes(&sample->tensors[slot]);
    *timed = (struct timed_commands){.choice = choice};
    int error = gpu_commands_create(trial->gpu, &timed->commands);
    const bool has_times = !error && !gpu_commands_time(timed->commands);
    for (uint32_t i = 0; i < repeats && !error; i++)
        error = launch_choice(trial->gpu, timed->commands, &sample->graph, &sample->node, ranges,
                              &trial->choices[choice]);
    if (!error)
        error = gpu_commands_end(timed->commands);
    if (!error && has_times)
        timed->times =
            memory_calloc(gpu_commands_dispatches(timed->commands), sizeof(*timed->times));
    if (error)
        destroy_timed(timed);
    return error;
}

/* Runs commands and measures their seconds. */
static int run_timed(struct tune_trial *trial, struct timed_commands *timed, double *seconds)
{
    const double start = clock_seconds();
    int error = gpu_commands_run(timed->commands);
    *seconds = clock_seconds() - start;
    if (!error && timed->times && !gpu_commands_read_times(timed->commands, timed->times)) {
        double sum = 0;
        for (size_t i = 0; i < gpu_commands_dispatches(timed->commands); i++)
            sum += timed->times[i];
        *seconds = sum > 0 ? sum : *seconds;
    }
    if (trial->clock)
        *seconds = trial->clock(trial->clock_user, &trial->choices[timed->choice], *seconds);
    trial->runs++;
    return error;
}

/* Builds the pipelines of all choices at once, on several threads. Errors are ignored here, because
 * a choice that cannot be built fails again when it is recorded. */
static int build_pipelines(const struct tune_trial *trial, const struct sample *sample,
                           const struct scratch *scratch)
{
    for (size_t i = 0; i < trial->count; i++)
        if (!trial->skip[i])
            launch_choice(trial->gpu, NULL, &sample->graph, &sample->node, scratch->ranges,
                          &trial->choices[i]);
    return gpu_pipelines_build(trial->gpu);
}

/* ---- How fast the device is ------------------------------------------------------------------ */

/* Returns the seconds of that many items with the first choice that can be built. The second run
 * counts, because some drivers compile in the first. */
static int time_items(struct tune_trial *trial, const struct scratch *scratch, uint32_t items,
                      double *seconds)
{
    struct sample sample;
    struct timed_commands timed = {0};
    int error = VKCLIP_EDEVICE;
    sample_make(trial->graph, trial->node, items, &sample);
    sample_make_plain(&sample);
    for (size_t i = 0; i < trial->count && error == VKCLIP_EDEVICE; i++)
        error = record_choice(trial, &sample, scratch, i, 1, &timed);
    for (int i = 0; i < 2 && !error; i++)
        error = run_timed(trial, &timed, seconds);
    destroy_timed(&timed);
    return error;
}

/* Measures the seconds per item. A run of few items takes longer per item than a run of many, so
 * that more items are run if the first ones took little of the trial's time. */
static int probe_speed(struct tune_trial *trial, const struct scratch *scratch,
                       double *item_seconds)
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
static uint32_t count_items(const struct tune_trial *trial, double seconds, size_t choices,
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

/* Notes a time: ms has the least one and `most` the largest one since the choice was first timed.
 */
static void note_time(struct tune_trial *trial, size_t choice, double ms, bool first)
{
    trial->ms[choice] = first ? ms : fmin(trial->ms[choice], ms);
    trial->most[choice] = first ? ms : fmax(trial->most[choice], ms);
}

/* Times a choice on a sample of few items. The first run is not counted, because some drivers
 * compile in it. */
static int time_few(struct tune_trial *trial, const struct sample *sample,
                    const struct scratch *scratch, size_t choice)
{
    struct timed_commands timed;
    double seconds;
    int error = record_choice(trial, sample, scratch, choice, 1, &timed);
    if (!error)
        error = run_timed(trial, &timed, &seconds);
    for (int i = 0; i < FEW_RUNS && !error; i++) {
        error = run_timed(trial, &timed, &seconds);
        if (!error)
            note_time(trial, choice, seconds * 1e3, i == 0);
    }
    destroy_timed(&timed);
    return error;
}

/* Times a choice if its result is right. Its time becomes negative if it fails or is wrong. */
static void check_choice(struct tune_trial *trial, const struct sample *sample,
                         const struct scratch *scratch, size_t choice)
{
    bool right;
    int error = selftest_choice(trial->selftest, &sample->graph, &sample->node,
                                &trial->choices[choice], &right);
    if (error || !right || time_few(trial, sample, scratch, choice))
        trial->ms[choice] = -1;
}

/* Returns the choice that has the same kernel with its first tile. */
static size_t first_tile(const struct tune_trial *trial, size_t choice)
{
    while (choice && trial->choices[choice - 1].kernel == trial->choices[choice].kernel)
        choice--;
    return choice;
}

/* Checks the first tile of every kernel, or the other tiles. */
static int check_tiles(struct tune_trial *trial, const struct sample *sample,
                       const struct scratch *scratch, bool first)
{
    for (size_t i = 0; i < trial->count; i++) {
        if (trial->skip[i] || (i == first_tile(trial, i)) != first)
            continue;
        if (clock_seconds() > trial->deadline)
            return VKCLIP_EUNSUPPORTED; /* The time is over; report nothing. */
        const int error = turn_pause();
        if (error)
            return error;
        check_choice(trial, sample, scratch, i);
    }
    return VKCLIP_OK;
}

static double least_ms(const struct tune_trial *trial)
{
    double least = INFINITY;
    for (size_t i = 0; i < trial->count; i++)
        if (trial->ms[i] > 0)
            least = fmin(least, trial->ms[i]);
    return least;
}

static void skip_slow_kernels(struct tune_trial *trial)
{
    const double least = least_ms(trial);
    for (size_t i = 0; i < trial->count; i++) {
        const size_t first = first_tile(trial, i);
        const bool slow = trial->skip[first] || trial->ms[first] > SLOW_KERNEL * least;
        if (slow && i != first && i != trial->default_choice)
            trial->skip[i] = true;
    }
}

static int check_all(struct tune_trial *trial, const struct sample *sample,
                     const struct scratch *scratch)
{
    int error = check_tiles(trial, sample, scratch, true);
    if (error)
        return error;
    skip_slow_kernels(trial);
    return check_tiles(trial, sample, scratch, false);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* Drops the choices that are far slower on few items. Returns how many are left. */
static size_t drop_slow(struct tune_trial *trial)
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

static void warm_up(struct tune_trial *trial, struct timed_commands *timed)
{
    const double most = fmin(MOST_WARM_UP, WARM_UP_SHARE * trial->share);
    const double end = clock_seconds() + most;
    double seconds;
    while (clock_seconds() < end && !run_timed(trial, timed, &seconds))
        continue;
}

/* Tells whether a choice takes part in a round. */
static bool is_in_round(const struct tune_trial *trial, size_t choice, int round, double best)
{
    if (trial->ms[choice] < 0 || trial->skip[choice])
        return false;
    return !round || choice == trial->default_choice ||
           trial->ms[choice] <= DROPPED_IN_ROUNDS * best;
}

/* Times the remaining choices in turn, round by round, so that a disturbance does not affect only
 * one of them. */
static int time_rounds(struct tune_trial *trial, const struct sample *sample,
                       const struct scratch *scratch, uint32_t repeats, double end)
{
    struct timed_commands timed[KERNEL_CHOICES] = {{0}};
    double best = INFINITY, seconds;
    int error = VKCLIP_OK;
    for (int round = 0; round < ROUNDS && !error; round++) {
        if (round >= LEAST_ROUNDS && clock_seconds() > end)
            break;
        for (size_t i = 0; i < trial->count && !error; i++) {
            if (!is_in_round(trial, i, round, best))
                continue;
            if (!round && clock_seconds() > trial->deadline)
                error = VKCLIP_EUNSUPPORTED; /* The time is over; report nothing. */
            if (!error)
                error = progress_check();
            if (!error && !timed[i].commands)
                error = record_choice(trial, sample, scratch, i, repeats, &timed[i]);
            if (!error && !round && i == trial->default_choice)
                warm_up(trial, &timed[i]);
            if (!error)
                error = run_timed(trial, &timed[i], &seconds);
            if (error)
                break;
            note_time(trial, i, seconds * 1e3 / repeats, round == 0);
            best = fmin(best, trial->ms[i]);
        }
    }
    for (size_t i = 0; i < trial->count; i++)
        destroy_timed(&timed[i]);
    return error;
}

/* Scales the times of few items to estimates for `items`, for choices that are not run again. */
static void scale_times(struct tune_trial *trial, double factor)
{
    for (size_t i = 0; i < trial->count; i++)
        if (trial->ms[i] > 0) {
            trial->ms[i] *= factor;
            trial->most[i] *= factor;
        }
}

/* Returns the default, or if it failed the first choice that works. */
static size_t find_default(const struct tune_trial *trial)
{
    size_t first = trial->ms[trial->default_choice] < 0 ? 0 : trial->default_choice;
    while (first + 1 < trial->count && trial->ms[first] < 0)
        first++;
    return first;
}

/* Tells whether a choice is clearly faster than the default `first`. */
static bool is_faster(const struct tune_trial *trial, size_t choice, size_t first, bool rough)
{
    const double share = rough ? CLEARLY_FASTER_ROUGHLY : CLEARLY_FASTER;
    return trial->ms[choice] > 0 && trial->ms[choice] < share * trial->ms[first];
}

/* Returns the fastest choice. */
static size_t find_fastest(const struct tune_trial *trial)
{
    size_t best = find_default(trial);
    for (size_t i = 0; i < trial->count; i++)
        if (!trial->skip[i] && trial->ms[i] > 0 && trial->ms[i] < trial->ms[best])
            best = i;
    return best;
}

static bool is_disturbed(const struct tune_trial *trial, size_t choice)
{
    return trial->ms[choice] > 0 && trial->most[choice] > DISAGREEMENT * trial->ms[choice];
}

static uint32_t count_repeats(double seconds)
{
    const double repeats = LEAST_SECONDS / seconds;
    if (repeats < 1)
        return 1;
    return repeats < MOST_REPEATS ? (uint32_t)repeats : MOST_REPEATS;
}

/* How choices are compared: on so many items, so often per run. */
struct comparison {
    uint32_t items, repeats;
    bool rough; /* on few items, because there is no time for more */
};

/* Drops the slow choices and times the others on as many items as there is time for. */
static int compare_choices(struct tune_trial *trial, const struct scratch *scratch,
                           double item_seconds, double end, struct comparison *comparison)
{
    struct sample sample;
    const size_t choices = drop_slow(trial);
    const double left = fmax(end - clock_seconds(), trial->share / 2);
    const uint32_t items = count_items(trial, left, choices, item_seconds);
    comparison->rough = !items;
    if (!items)
        return VKCLIP_OK;
    scale_times(trial, (double)items / comparison->items);
    comparison->items = items;
    comparison->repeats = count_repeats(item_seconds * items);
    sample_make(trial->graph, trial->node, items, &sample);
    sample_make_plain(&sample);
    return time_rounds(trial, &sample, scratch, comparison->repeats, end);
}

/* Times two choices again in turn, adds these times to those that are known, and counts the rounds
 * in which the second was faster. */
static int time_pair(struct tune_trial *trial, const struct scratch *scratch,
                     const struct comparison *comparison, const size_t pair[2], unsigned *wins)
{
    struct sample sample;
    struct timed_commands timed[2] = {{0}};
    double seconds[2];
    int error = VKCLIP_OK;
    sample_make(trial->graph, trial->node, comparison->items, &sample);
    sample_make_plain(&sample);
    for (int i = 0; i < 2 && !error; i++)
        error = record_choice(trial, &sample, scratch, pair[i], comparison->repeats, &timed[i]);
    for (int run = 0; run < 2 * PAIR_ROUNDS && !error; run++) {
        error = run_timed(trial, &timed[run % 2], &seconds[run % 2]);
        if (!error)
            note_time(trial, pair[run % 2], seconds[run % 2] * 1e3 / comparison->repeats, false);
        *wins += !error && run % 2 && seconds[1] < seconds[0];
    }
    for (int i = 0; i < 2; i++)
        destroy_timed(&timed[i]);
    return error;
}

/* Decides whether the fastest choice replaces the default. It must be faster in further rounds of
 * the two alone, and its result must be right in the node's own form, with bias, activation and
 * residual. */
static int confirm_choice(struct tune_trial *trial, const struct scratch *scratch,
                          const struct comparison *comparison, size_t *best)
{
    const size_t first = find_default(trial), fastest = find_fastest(trial);
    const size_t pair[] = {first, fastest};
    unsigned wins = 0;
    bool right = false;
    int error = VKCLIP_OK;
    *best = first;
    if (fastest != first && is_faster(trial, fastest, first, comparison->rough))
        error = time_pair(trial, scratch, comparison, pair, &wins);
    const bool disturbed = is_disturbed(trial, first) || is_disturbed(trial, fastest);
    if (!error && disturbed && wins >= LEAST_WINS) {
        wins = 0; /* Rounds on a busy machine count only if as many say the same again. */
        error = time_pair(trial, scratch, comparison, pair, &wins);
    }
    const bool faster = wins >= LEAST_WINS && is_faster(trial, fastest, first, comparison->rough);
    trial->undecided = !faster && disturbed;
    if (error || !faster)
        return error;
    error = selftest_choice(trial->selftest, trial->graph, trial->node, &trial->choices[fastest],
                            &right);
    if (!error && right)
        *best = fastest;
    else
        trial->ms[fastest] = -1;
    return error;
}

/* Checks the choices on `few` items, and times those that are correct. */
static int try_choices(struct tune_trial *trial, const struct scratch *scratch, uint32_t few,
                       double item_seconds, double end, size_t *best)
{
    struct comparison comparison = {.items = few, .repeats = count_repeats(item_seconds * few)};
    struct sample sample;
    sample_make(trial->graph, trial->node, few, &sample);
    sample_make_plain(&sample);
    int error = check_all(trial, &sample, scratch);
    if (!error)
        error = compare_choices(trial, scratch, item_seconds, end, &comparison);
    if (!error)
        error = confirm_choice(trial, scratch, &comparison, best);
    return error;
}

static int run_trial(struct tune_trial *trial, const struct scratch *scratch, double end,
                     size_t *best)
{
    const uint32_t all = sample_items(trial->graph, trial->node);
    uint32_t few = sample_has_rows(trial->node->op) ? FEW_ROWS : 1;
    struct sample sample;
    double item_seconds = 0;
    few = few < all ? few : all;
    sample_make(trial->graph, trial->node, all, &sample);
    sample_make_plain(&sample);
    int error = build_pipelines(trial, &sample, scratch);
    if (!error)
        error = probe_speed(trial, scratch, &item_seconds);
    /* A device that is too slow for even two choices keeps the default. It may be slow only now. */
    trial->undecided = !error && !count_items(trial, trial->share, 2, item_seconds);
    if (!error && !trial->undecided)
        error = try_choices(trial, scratch, few, item_seconds, end, best);
    return error;
}

int trial_run(struct tune_trial *trial, size_t *best)
{
    const double end = clock_seconds() + trial->seconds;
    struct scratch scratch = {.gpu = trial->gpu};
    struct sample sample;
    memset(trial->ms, 0, trial->count * sizeof(*trial->ms));
    memset(trial->most, 0, trial->count * sizeof(*trial->most));
    trial->undecided = false;
    sample_make(trial->graph, trial->node, sample_items(trial->graph, trial->node), &sample);
    *best = trial->default_choice;
    int error = create_scratch(&scratch, &sample);
    if (!error)
        error = run_trial(trial, &scratch, end, best);
    if (error)
        *best = find_default(trial);
    destroy_scratch(&scratch);
    return error;
}
