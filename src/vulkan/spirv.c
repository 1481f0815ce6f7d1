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

static int fail_damaged(void)
{
    return error_fail(VKCLIP_EFORMAT, "a shader of this library is damaged");
}

/* Does what zlib's uncompress does, which has no place for an allocator. */
static int inflate_block(const struct spirv_block *block, uint8_t *planes, size_t bytes)
{
    z_stream stream = {.next_in = (Bytef *)block->packed,
                       .avail_in = (uInt)block->packed_bytes,
                       .next_out = planes,
                       .avail_out = (uInt)bytes,
                       .zalloc = memory_zlib_alloc,
                       .zfree = memory_zlib_free};
    int result = inflateInit(&stream);
    if (result == Z_OK)
        result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    if (result == Z_MEM_ERROR)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a shader");
    return result == Z_STREAM_END && !stream.avail_out ? VKCLIP_OK : fail_damaged();
}

/* Replaces the codes of a block by the ids that they stand for. */
static int decode(uint32_t *words, size_t count, uint32_t *ids, size_t id_count)
{
    size_t first = 0, next = 0; /* the module's first id, and the one that is not known yet */
    for (size_t i = 1; i < id_count; i++)
        ids[i] = (ids[i] + ids[i - 1]) % SPIRV_IDS;
    for (size_t i = 0; i < count; i++) {
        const uint32_t code = words[i];
        if (code == SPIRV_MAGIC)
            first = next;
        if (code >= SPIRV_IDS)
            continue;
        next += !code;
        const size_t id = code > SPIRV_NEAR ? first + code - SPIRV_NEAR - 1 : next - code - !code;
        if (id < first || id >= next || next > id_count)
            return fail_damaged();
        words[i] = ids[id];
    }
    return VKCLIP_OK;
}

int spirv_unpack(const struct spirv_block *block, uint32_t **words)
{
    const size_t count = block->words + block->ids;
    uint8_t *planes = memory_alloc(4 * count);
    uint32_t *codes = memory_alloc(4 * count);
    int error = planes && codes ? inflate_block(block, planes, 4 * count)
                                : error_fail(VKCLIP_EMEMORY, "out of memory for a shader");
    for (size_t i = 0; i < count && !error; i++)
        codes[i] = planes[i] | (uint32_t)planes[count + i] << 8 |
                   (uint32_t)planes[2 * count + i] << 16 | (uint32_t)planes[3 * count + i] << 24;
    memory_free(planes);
    if (!error)
        error = decode(codes, block->words, codes + block->words, block->ids);
    if (error) {
        memory_free(codes);
        codes = NULL;
    }
    *words = codes;
    return error;
}

const uint32_t *spirv_words(const struct spirv *module, const uint32_t *block)
{
    return module->words ? module->words : block + module->offset;
}
