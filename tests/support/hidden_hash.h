/* SPDX-License-Identifier: MIT
 *
 * Hashes the names and values of all hidden states of a run, so that two runs can be compared to
 * the bit without keeping the states.
 */
#ifndef VKCLIP_TESTS_SUPPORT_HIDDEN_HASH_H
#define VKCLIP_TESTS_SUPPORT_HIDDEN_HASH_H

#include "base/hash.h"
#include "vkclip.h"

#include <string.h>

struct hidden_hash {
    uint64_t hash;
    size_t count; /* number of tensors */
};

/* Adds a tensor to the hash. It is a vkclip_hidden_fn whose `user` is the hash. */
static inline int hidden_hash_add(void *user, const char *name, const float *data,
                                  const size_t *shape, size_t rank, size_t first, size_t items)
{
    struct hidden_hash *states = user;
    size_t size = items;
    (void)first;
    for (size_t i = 1; i < rank; i++)
        size *= shape[i];
    states->hash = hash_bytes(states->hash, name, strlen(name));
    states->hash = hash_bytes(states->hash, data, size * sizeof(*data));
    states->count++;
    return 0;
}

#endif
