/* SPDX-License-Identifier: MIT
 *
 * Unpacks the library's modules of SPIR-V.
 */
#include "vulkan/spirv.h"

#include "base/error.h"

#include <stdlib.h>
#include <zlib.h>

bool spirv_equal(const struct spirv *a, const struct spirv *b)
{
    return a->words == b->words && a->block == b->block && a->offset == b->offset &&
           a->count == b->count;
}

int spirv_unpack(const struct spirv_block *block, uint32_t **words)
{
    const size_t count = block->words;
    uLongf bytes = (uLongf)(4 * count);
    uint8_t *planes = malloc(4 * count);
    *words = malloc(4 * count);
    int result = Z_MEM_ERROR;
    if (planes && *words)
        result = uncompress(planes, &bytes, block->packed, (uLong)block->packed_bytes);
    for (size_t i = 0; i < count && result == Z_OK; i++)
        (*words)[i] = planes[i] | (uint32_t)planes[count + i] << 8 |
                      (uint32_t)planes[2 * count + i] << 16 | (uint32_t)planes[3 * count + i] << 24;
    free(planes);
    if (result == Z_OK)
        return VKCLIP_OK;
    free(*words);
    *words = NULL;
    return error_fail(VKCLIP_EMEMORY, "out of memory for a shader");
}

const uint32_t *spirv_words(const struct spirv *module, const uint32_t *block)
{
    return module->words ? module->words : block + module->offset;
}
