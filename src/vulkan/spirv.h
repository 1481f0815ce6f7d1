/* SPDX-License-Identifier: MIT
 *
 * Modules of SPIR-V as they are stored in the library: compressed in blocks, because they would
 * otherwise be three quarters of it. shaders/pack.c packs a block from the modules of one shader.
 *
 * The modules of a shader compute alike, but an instruction more in one of them shifts the ids of
 * all that follow. Therefore codes take the place of ids: in the order in which a module first has
 * them, its ids are
 *
 *     0                   the next id that it did not have before, from a list behind the codes
 *     1 to SPIRV_NEAR     the newest id, the one before it, and so on: mostly results
 *     above SPIRV_NEAR    the module's first id, its second one, and so on: mostly types
 *
 * Every word below SPIRV_IDS is treated as an id, so that nothing needs to know which words are
 * ids, and greater words are kept. The list has the difference of each id from the one before it.
 * The lowest bytes of all codes are laid side by side, then the second ones and so on, and zlib
 * compresses that: the upper bytes of nearly all are equal, so that the window of deflate, 32 KiB,
 * reaches back over several modules. Without codes it would take 1.6 times the space, and words
 * as they are 2.4 times. A block is unpacked while a pipeline is built from it.
 */
#ifndef VKCLIP_VULKAN_SPIRV_H
#define VKCLIP_VULKAN_SPIRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A module begins with SPIRV_MAGIC. With 32 or 128 in place of 64, blocks take 2 to 3 % more space.
 */
enum { SPIRV_MAGIC = 0x07230203, SPIRV_IDS = 65536, SPIRV_NEAR = 64 };

struct spirv_block {
    const uint8_t *packed;
    size_t packed_bytes;
    size_t words; /* words of all its modules */
    size_t ids;   /* the length of the list of ids */
};

/* Describes a module: its words, or with `words` NULL where they lie in a block. */
struct spirv {
    const uint32_t *words;
    const struct spirv_block *block;
    size_t offset, count; /* words */
};

/* Tells whether two modules are the same one. */
bool spirv_equal(const struct spirv *a, const struct spirv *b);
/* Unpacks a block into new words, which are freed with memory_free(). Fails with EMEMORY, and with
 * EFORMAT if the block is damaged. */
int spirv_unpack(const struct spirv_block *block, uint32_t **words);
/* Returns the words of a module, given those of its block, which are not read if it has no block.
 */
const uint32_t *spirv_words(const struct spirv *module, const uint32_t *block);

#endif
