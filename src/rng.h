/* SPDX-License-Identifier: MIT
 *
 * Random numbers by counter: number n of a key is computed without those before it. Not for
 * secrets.
 */
#ifndef VKCLIP_RNG_H
#define VKCLIP_RNG_H

#include <stdint.h>

/* splitmix64's output function: number `counter` of the sequence `key`. Also makes keys: of a key
 * and a number the key of a sequence of its own. */
static inline uint64_t rng_word(uint64_t key, uint64_t counter)
{
    uint64_t x = key + (counter + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

#endif
