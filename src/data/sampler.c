/* SPDX-License-Identifier: MIT
 *
 * A pass's order is a permutation that is computed at single places, so that nothing of earlier
 * passes or steps is kept and threads may ask for any row.
 */
#include "data/sampler.h"
#include "base/error.h"

#include <stdlib.h>

/* What random numbers are for, so that no two uses share a sequence. */
enum { ORDER_OF_PASS, ORDER_OF_LABEL, ROWS };

static uint64_t key_of(const struct sampler *sampler, unsigned use, uint64_t a, uint64_t b)
{
    return rng_word(rng_word(rng_word(sampler->seed, use), a), b);
}

/* Number `at` of a permutation of `count` things: the swap-or-not shuffle (Hoang, Morris, Rogaway
 * 2012). Each round pairs every number with another and swaps half of the pairs. */
static uint64_t shuffled(uint64_t key, uint64_t count, uint64_t at)
{
    enum { SHUFFLES = 96 };
    for (uint64_t i = 0; i < SHUFFLES; i++) {
        uint64_t sum = rng_word(key, 2 * i) % count;
        uint64_t partner = sum >= at ? sum - at : sum + count - at;
        uint64_t pair = partner > at ? partner : at;
        if (rng_word(rng_word(key, 2 * i + 1), pair) & 1)
            at = partner;
    }
    return at;
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
    for (size_t i = 0; i < dataset->count; i++)
        sampler->first[dataset->samples[i].label]++;
    for (size_t label = 0, sum = 0; label <= dataset->labels; label++)
        sampler->first[label] = sum += sampler->first[label]; /* the label's end so far */
    for (size_t i = dataset->count; i-- > 0;)
        sampler->members[--sampler->first[dataset->samples[i].label]] = i;
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
    const uint64_t order = key_of(sampler, ORDER_OF_PASS, pass, 0);
    for (uint64_t place = begin + row, left = attempt;;) {
        uint64_t label = shuffled(order, labels, place), first = sampler->first[label];
        uint64_t count = sampler->first[label + 1] - first;
        if (left < count) {
            uint64_t key = key_of(sampler, ORDER_OF_LABEL, label, pass / count);
            return sampler->members[first + shuffled(key, count, (pass + left) % count)];
        }
        left -= count;
        if (labels == batch)
            return SAMPLER_NONE;
        do /* a batch further; rows then differ still */
            place = (place + batch) % labels;
        while (place - begin < batch); /* not one of this batch */
    }
}

struct rng sampler_rng(const struct sampler *sampler, uint64_t step, uint32_t row)
{
    return (struct rng){.key = key_of(sampler, ROWS, step, row)};
}
