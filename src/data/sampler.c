/* SPDX-License-Identifier: MIT
 *
 * Without labels the order of a pass is a permutation of which each element can be computed alone,
 * so that no pass is kept. With labels a pass is a table with a column per batch. The pictures of
 * one label stand side by side and fill the table row after row, as McNaughton (1959) fills
 * machines with tasks: a label that has at most as many pictures as there are columns is in no
 * column twice. Columns, labels and, as far as that stays so, the pictures of a row are shuffled.
 */
#include "data/sampler.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

/* Each use of random numbers has its own sequences. */
enum sequence { PASS_ORDER, LABEL_ORDER, ROW, REPLACEMENT };

static uint64_t sequence_key(const struct sampler *sampler, enum sequence use, uint64_t a,
                             uint64_t b)
{
    return rng_word(rng_word(rng_word(sampler->seed, use), a), b);
}

/* Returns element `place` of a permutation of 0 to count - 1 by the swap-or-not shuffle (Hoang,
 * Morris, Rogaway 2012). Each round pairs every number with another one and swaps half of the
 * pairs. */
static uint64_t permuted(uint64_t key, uint64_t count, uint64_t place)
{
    enum { ROUNDS = 96 };
    for (uint64_t i = 0; i < ROUNDS; i++) {
        const uint64_t sum = rng_word(key, 2 * i) % count;
        const uint64_t partner = sum >= place ? sum - place : sum + count - place;
        const uint64_t pair = partner > place ? partner : place;
        if (rng_word(rng_word(key, 2 * i + 1), pair) & 1)
            place = partner;
    }
    return place;
}

static void swap(size_t *a, size_t *b)
{
    const size_t kept = *a;
    *a = *b;
    *b = kept;
}

static void shuffle(size_t *values, size_t count, struct rng *rng)
{
    for (size_t i = count; i > 1; i--)
        swap(&values[i - 1], &values[rng_below(rng, i)]);
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Sorts the samples by label with a counting sort, and shuffles those of each label. */
static void sort_members(struct sampler *sampler)
{
    const struct dataset *dataset = sampler->dataset;
    size_t *first = sampler->first, sum = 0;
    for (size_t i = 0; i < dataset->count; i++)
        first[dataset->samples[i].label]++;
    for (size_t label = 0; label <= dataset->labels; label++) {
        sum += first[label];
        first[label] = sum; /* the end of the label, from which its members are filled in */
    }
    for (size_t i = dataset->count; i-- > 0;) {
        const uint32_t label = dataset->samples[i].label;
        sampler->members[--first[label]] = i;
    }
    for (size_t label = 0; label < dataset->labels; label++) {
        struct rng rng = {.key = sequence_key(sampler, LABEL_ORDER, label, 0)};
        shuffle(sampler->members + first[label], first[label + 1] - first[label], &rng);
    }
}

static bool has_labels(const struct sampler *sampler)
{
    return sampler->dataset->labels < sampler->dataset->count;
}

static size_t count_members(const struct sampler *sampler, size_t label)
{
    return has_labels(sampler) ? sampler->first[label + 1] - sampler->first[label] : 1;
}

/* Tells whether so many batches can be filled with no label twice in any of them. */
static bool can_fill(const struct sampler *sampler, uint64_t batches)
{
    uint64_t usable = 0;
    for (size_t label = 0; label < sampler->dataset->labels; label++) {
        const uint64_t count = count_members(sampler, label);
        usable += count < batches ? count : batches;
    }
    return usable >= batches * sampler->batch;
}

/* Finds the largest number of batches that can be filled. If some number can be, all smaller ones
 * can. */
static uint64_t count_batches(const struct sampler *sampler)
{
    uint64_t low = 1, high = sampler->dataset->count / sampler->batch;
    while (low < high) {
        const uint64_t middle = high - (high - low) / 2;
        if (can_fill(sampler, middle))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Warns if more pictures are left out of a pass than do not fill a last batch. */
static void warn_of_frequent_label(const struct sampler *sampler)
{
    const struct dataset *dataset = sampler->dataset;
    const uint64_t shown = sampler->batches * sampler->batch;
    size_t label = 0;
    if (dataset->count - shown < sampler->batch)
        return;
    for (size_t i = 1; i < dataset->labels; i++)
        if (count_members(sampler, i) > count_members(sampler, label))
            label = i;
    log_message(VKCLIP_LOG_WARNING,
                "%s: a pass over the data shows %llu of %zu pictures, others in the next pass: no "
                "batch has two of one label, and that of %s has %zu pictures",
                dataset->path, (unsigned long long)shown, dataset->count,
                dataset->samples[sampler->members[sampler->first[label]]].name,
                count_members(sampler, label));
}

static bool allocate(struct sampler *sampler)
{
    const struct dataset *dataset = sampler->dataset;
    sampler->first = memory_calloc(dataset->labels + 1, sizeof(*sampler->first));
    sampler->members = memory_calloc(dataset->count, sizeof(*sampler->members));
    sampler->chosen = memory_calloc(dataset->count, sizeof(*sampler->chosen));
    sampler->columns = memory_calloc(dataset->count, sizeof(*sampler->columns));
    sampler->labels = memory_calloc(dataset->labels, sizeof(*sampler->labels));
    return sampler->first && sampler->members && sampler->chosen && sampler->columns &&
           sampler->labels;
}

int sampler_open(const struct dataset *dataset, uint32_t batch, uint64_t seed,
                 struct sampler *sampler)
{
    *sampler =
        (struct sampler){.dataset = dataset, .seed = seed, .batch = batch, .pass = UINT64_MAX};
    if (!batch)
        return error_fail(VKCLIP_EINVALID, "a batch of 0 samples, expected at least 1");
    if (dataset->labels < batch)
        return error_fail(
            VKCLIP_EINVALID, "%s: %zu %s, expected at least as many as a batch has rows, %u",
            dataset->path, dataset->labels,
            dataset->labels < dataset->count ? "different labels" : "pictures", batch);
    sampler->batches = dataset->count / batch;
    if (!has_labels(sampler))
        return VKCLIP_OK;
    if (!allocate(sampler)) {
        sampler_close(sampler);
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory to shuffle %zu samples", dataset->path,
                          dataset->count);
    }
    sort_members(sampler);
    sampler->batches = count_batches(sampler);
    warn_of_frequent_label(sampler);
    return VKCLIP_OK;
}

void sampler_close(struct sampler *sampler)
{
    memory_free(sampler->first);
    memory_free(sampler->members);
    memory_free(sampler->chosen);
    memory_free(sampler->columns);
    memory_free(sampler->labels);
    *sampler = (struct sampler){0};
}

/* ---- A pass ---------------------------------------------------------------------------------- */

/* Returns the cell of the table at a place, counted row after row. */
static size_t *find_cell(const struct sampler *sampler, uint64_t place)
{
    const uint64_t batch = sampler->columns[place % sampler->batches];
    return &sampler->chosen[batch * sampler->batch + place / sampler->batches];
}

/* Shuffles the cells from `begin` to `end`, which are in one row. */
static void shuffle_cells(const struct sampler *sampler, uint64_t begin, uint64_t end,
                          struct rng *rng)
{
    for (uint64_t i = end; i > begin + 1; i--)
        swap(find_cell(sampler, i - 1), find_cell(sampler, begin + rng_below(rng, i - begin)));
}

/* Puts pictures of a label into the cells from `begin` on, and returns the end of its cells. Where
 * the label has more pictures than there are columns, they take turns from pass to pass. */
static uint64_t place_label(const struct sampler *sampler, size_t label, uint64_t begin)
{
    const uint64_t count = count_members(sampler, label);
    const uint64_t shown = count < sampler->batches ? count : sampler->batches;
    const size_t *members = sampler->members + sampler->first[label];
    const uint64_t most = sampler->batches * sampler->batch;
    for (uint64_t i = 0; i < shown && begin + i < most; i++)
        *find_cell(sampler, begin + i) = members[(sampler->pass * shown + i) % count];
    return begin + shown < most ? begin + shown : most;
}

/* Fills the table of a pass. A label whose pictures end in another row than they begin in keeps its
 * columns, because its pictures could meet in one otherwise; those between two such labels are
 * shuffled. */
static void make_pass(struct sampler *sampler, uint64_t pass)
{
    struct rng rng = {.key = sequence_key(sampler, PASS_ORDER, pass, 0)};
    const uint64_t batches = sampler->batches, most = batches * sampler->batch;
    sampler->pass = pass;
    for (size_t i = 0; i < sampler->dataset->labels; i++)
        sampler->labels[i] = i;
    for (size_t i = 0; i < batches; i++)
        sampler->columns[i] = i;
    shuffle(sampler->labels, sampler->dataset->labels, &rng);
    shuffle(sampler->columns, batches, &rng);
    uint64_t inner = 0, begin = 0; /* the cells from `inner` to `begin` may be shuffled */
    for (size_t i = 0; begin < most; i++) {
        const uint64_t end = place_label(sampler, sampler->labels[i], begin);
        const bool ends_row = end % batches == 0, crosses = begin / batches != (end - 1) / batches;
        if (crosses)
            shuffle_cells(sampler, inner, begin, &rng);
        else if (ends_row)
            shuffle_cells(sampler, inner, end, &rng);
        if (crosses || ends_row)
            inner = end;
        begin = end;
    }
}

void sampler_choose(struct sampler *sampler, uint64_t step, size_t *samples)
{
    const uint64_t pass = step / sampler->batches;
    const uint64_t begin = step % sampler->batches * sampler->batch;
    const uint64_t order = sequence_key(sampler, PASS_ORDER, pass, 0);
    if (has_labels(sampler) && sampler->pass != pass)
        make_pass(sampler, pass);
    for (uint32_t row = 0; row < sampler->batch; row++)
        samples[row] = has_labels(sampler)
                           ? sampler->chosen[begin + row]
                           : (size_t)permuted(order, sampler->dataset->count, begin + row);
}

/* ---- Replacements ---------------------------------------------------------------------------- */

static size_t find_label(const struct sampler *sampler, size_t sample)
{
    return has_labels(sampler) ? sampler->dataset->samples[sample].label : sample;
}

/* Returns a picture of a label, counted from one of its pictures, `start`, or from the first. */
static size_t find_member(const struct sampler *sampler, size_t label, size_t start, size_t index)
{
    if (!has_labels(sampler))
        return label;
    const size_t *members = sampler->members + sampler->first[label];
    const size_t count = count_members(sampler, label);
    size_t place = 0;
    while (place < count && members[place] != start)
        place++;
    return members[(place + index) % count];
}

/* Returns number `index` of the labels that are not in the batch, in the order of their numbers. */
static size_t find_absent(const struct sampler *sampler, const size_t *samples, size_t index)
{
    size_t label = index, before = SIZE_MAX;
    while (label != before) { /* More labels of the batch may come before a higher number. */
        size_t passed = 0;
        for (uint32_t i = 0; i < sampler->batch; i++)
            passed += find_label(sampler, samples[i]) <= label;
        before = label;
        label = index + passed;
    }
    return label;
}

/* Returns picture `index` of labels that are not in the batch. The rows take turns in choosing
 * labels of a common order, so that two rows choose the same one only where few are left. A row
 * that finds nothing in half of them finds nothing. */
static size_t find_other(const struct sampler *sampler, uint64_t step, const size_t *samples,
                         uint32_t row, uint64_t index)
{
    const uint64_t order = sequence_key(sampler, REPLACEMENT, step, 0);
    const uint64_t absent = sampler->dataset->labels - sampler->batch;
    for (uint64_t turn = 0; 2 * turn < absent; turn++) {
        const uint64_t passed = turn * sampler->batch;
        const uint64_t place = (row + passed + passed / absent) % absent;
        const size_t number = (size_t)permuted(order, absent, place);
        const size_t label = find_absent(sampler, samples, number);
        if (index < count_members(sampler, label))
            return find_member(sampler, label, SAMPLER_NONE, index);
        index -= count_members(sampler, label);
    }
    return SAMPLER_NONE;
}

size_t sampler_replace(const struct sampler *sampler, uint64_t step, const size_t *samples,
                       uint32_t row, uint32_t attempt)
{
    const size_t label = find_label(sampler, samples[row]), count = count_members(sampler, label);
    if (attempt < count)
        return find_member(sampler, label, samples[row], attempt);
    return find_other(sampler, step, samples, row, attempt - count);
}

struct rng sampler_rng(const struct sampler *sampler, uint64_t step, uint32_t row)
{
    return (struct rng){.key = sequence_key(sampler, ROW, step, row)};
}
