/* SPDX-License-Identifier: MIT
 *
 * Unpacks the library's modules of SPIR-V.
 */
#include "vulkan/spirv.h"

#include "base/error.h"
#include "base/memory.h"

#include <zlib.h>

bool spirv_equal(const struct spirv *a, const struct spirv *b)
{
    return a->words == b->words && a->block == b->block && a->offset == b->offset &&
           a->count == b->count;
}

/* Does what zlib's uncompress does, which has no place for an allocator. */
static bool inflate_block(const struct spirv_block *block, uint8_t *planes)
{
    z_stream stream = {.next_in = (Bytef *)block->packed,
                       .avail_in = (uInt)block->packed_bytes,
                       .next_out = planes,
                       .avail_out = (uInt)(4 * block->words),
                       .zalloc = memory_zlib_alloc,
                       .zfree = memory_zlib_free};
    if (inflateInit(&stream) != Z_OK)
        return false;
    const int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return result == Z_STREAM_END;
}

int spirv_unpack(const struct spirv_block *block, uint32_t **words)
{
    const size_t count = block->words;
    uint8_t *planes = memory_alloc(4 * count);
    *words = memory_alloc(4 * count);
    const bool good = planes && *words && inflate_block(block, planes);
    for (size_t i = 0; i < count && good; i++)
        (*words)[i] = planes[i] | (uint32_t)planes[count + i] << 8 |
                      (uint32_t)planes[2 * count + i] << 16 | (uint32_t)planes[3 * count + i] << 24;
    memory_free(planes);
    if (good)
        return VKCLIP_OK;
    memory_free(*words);
    *words = NULL;
    return error_fail(VKCLIP_EMEMORY, "out of memory for a shader");
}

const uint32_t *spirv_words(const struct spirv *module, const uint32_t *block)
{
    return module->words ? module->words : block + module->offset;
}
