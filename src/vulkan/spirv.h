/* SPDX-License-Identifier: MIT
 *
 * Modules of SPIR-V as they are stored in the library: compressed in blocks, because they would
 * otherwise be three quarters of it. shaders/pack.c packs a block from the modules of one shader.
 * It lays the lowest bytes of all words side by side, then the second ones and so on, and
 * compresses that with zlib: the upper bytes of nearly all words are equal, so that the window of
 * deflate, 32 KiB, reaches back over several modules. This takes a quarter less space than
 * compressing the words themselves. A block is unpacked while a pipeline is built from it.
 */
#ifndef VKCLIP_VULKAN_SPIRV_H
#define VKCLIP_VULKAN_SPIRV_H

#include "base/memory.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spirv_block {
    const uint8_t *packed;
    size_t packed_bytes;
    size_t words; /* words of all its modules */
};

/* Describes a module: its words, or with `words` NULL where they lie in a block. */
struct spirv {
    const uint32_t *words;
    const struct spirv_block *block;
    size_t offset, count; /* words */
};

/* Tells whether two modules are the same one. */
bool spirv_equal(const struct spirv *a, const struct spirv *b);
/* Unpacks a block into new words, which are freed with memory_free(). Fails with EMEMORY. */
int spirv_unpack(const struct spirv_block *block, uint32_t **words);
/* Returns the words of a module, given those of its block, which are not read if it has no block.
 */
const uint32_t *spirv_words(const struct spirv *module, const uint32_t *block);

#endif
