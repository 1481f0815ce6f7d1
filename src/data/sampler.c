/* SPDX-License-Identifier: MIT
 *
 * The order of a pass is a permutation of which each element can be computed alone, so that nothing
 * is kept between steps and any thread may ask for any row.
 */
#include "data/sampler.h"
#include "base/error.h"

#include <stdlib.h>

/* Each use of random numbers has its own sequences. */
enum sequence { PASS_ORDER, LABEL_ORDER, ROW };

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

/* Sorts the samples by label with a counting sort. */
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
}

int sampler_open(const struct dataset *dataset, uint32_t batch, uint64_t seed,
                 struct sampler *sampler)
{
    *sampler = (struct sampler){.dataset = dataset, .seed = seed, .batch = batch};
    if (!batch)
        return error_fail(VKCLIP_EINVALID, "a batch of 0 samples, expected at least 1");
    if (dataset->labels < batch)
        return error_fail(
            VKCLIP_EINVALID, "%s: %zu %s, expected at least as many as a batch has rows, %u",
            dataset->path, dataset->labels,
            dataset->labels < dataset->count ? "different labels" : "pictures", batch);
    sampler->batches = dataset->labels / batch;
    sampler->first = calloc(dataset->labels + 1, sizeof(*sampler->first));
    sampler->members = calloc(dataset->count, sizeof(*sampler->members));
    if (!sampler->first || !sampler->members) {
        sampler_close(sampler);
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory to shuffle %zu samples", dataset->path,
                          dataset->count);
    }
    sort_members(sampler);
    return VKCLIP_OK;
}

void sampler_close(struct sampler *sampler)
{
    free(sampler->first);
    free(sampler->members);
    *sampler = (struct sampler){0};
}

size_t sampler_pick(const struct sampler *sampler, uint64_t step, uint32_t row, uint32_t attempt)
{
    const uint64_t labels = sampler->dataset->labels, batch = sampler->batch;
    const uint64_t pass = step / sampler->batches, begin = step % sampler->batches * batch;
    const uint64_t order = sequence_key(sampler, PASS_ORDER, pass, 0);
    uint64_t place = begin + row, left = attempt;
    while (true) {
        const uint64_t label = permuted(order, labels, place), first = sampler->first[label];
        const uint64_t count = sampler->first[label + 1] - first;
        if (left < count) {
            const uint64_t key = sequence_key(sampler, LABEL_ORDER, label, pass / count);
            return sampler->members[first + permuted(key, count, (pass + left) % count)];
        }
        if (labels == batch)
            return SAMPLER_NONE;
        left -= count;
        /* The replacement is the label one batch further, so that the labels of all rows still
         * differ. Labels of this batch are skipped. */
        do
            place = (place + batch) % labels;
        while (place - begin < batch);
    }
}

struct rng sampler_rng(const struct sampler *sampler, uint64_t step, uint32_t row)
{
    return (struct rng){.key = sequence_key(sampler, ROW, step, row)};
}
