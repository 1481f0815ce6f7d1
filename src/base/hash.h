/* SPDX-License-Identifier: MIT
 *
 * Computes the hash FNV-1a, for names of cache files, lookups in tables and fingerprints of data.
 * The hash does not protect against an attacker.
 */
#ifndef VKCLIP_BASE_HASH_H
#define VKCLIP_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Continues `hash`, the hash of the bytes that came before. A `hash` of 0 begins a new hash. */
static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)data;
    hash = hash ? hash : 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

#endif
