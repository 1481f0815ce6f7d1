/* SPDX-License-Identifier: MIT
 *
 * Random numbers by counter: number n of a key is computed without those before it, so that what is
 * random in a training step depends on the number of the step alone. Not for secrets.
 */
#ifndef VKCLIP_BASE_RNG_H
#define VKCLIP_BASE_RNG_H

#include <stdint.h>

/* Number `counter` of the sequence `key`, by the output function of splitmix64. It also derives
 * keys: a key and a number give the key of another sequence. */
static inline uint64_t rng_word(uint64_t key, uint64_t counter)
{
    uint64_t x = key + (counter + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* A sequence that is read number by number. */
struct rng {
    uint64_t key, counter;
};

/* A number of 0 .. count - 1; `count` is at least 1. */
static inline uint64_t rng_below(struct rng *rng, uint64_t count)
{
    return rng_word(rng->key, rng->counter++) % count;
}

/* A number from `low` to below `high`; `low` where they are equal. */
static inline double rng_between(struct rng *rng, double low, double high)
{
    double unit = (double)(rng_word(rng->key, rng->counter++) >> 11) * 0x1p-53;
    return low + (high - low) * unit;
}

#endif
