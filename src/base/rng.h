/* SPDX-License-Identifier: MIT
 *
 * Computes random numbers by counter: number n of a key is computed without the numbers before it,
 * so that what is random in a training step depends on the number of the step alone. The numbers
 * are no secrets: anyone can predict them.
 */
#ifndef VKCLIP_BASE_RNG_H
#define VKCLIP_BASE_RNG_H

#include <stdint.h>

/* Returns number `counter` of the sequence `key`, by the output function of splitmix64. The
 * function also derives keys: a key and a number give the key of another sequence. */
static inline uint64_t rng_word(uint64_t key, uint64_t counter)
{
    uint64_t x = key + (counter + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* This is a sequence that is read number by number. */
struct rng {
    uint64_t key, counter;
};

/* Returns a number from 0 to count - 1. `count` must be at least 1. */
static inline uint64_t rng_below(struct rng *rng, uint64_t count)
{
    return rng_word(rng->key, rng->counter++) % count;
}

/* Returns a number that is at least `low` and below `high`, or `low` where `low` equals `high`. */
static inline double rng_between(struct rng *rng, double low, double high)
{
    double unit = (double)(rng_word(rng->key, rng->counter++) >> 11) * 0x1p-53;
    return low + (high - low) * unit;
}

#endif
