/* SPDX-License-Identifier: MIT
 *
 * The data are the size of the trie in bytes, the trie, and the replacements. A unit of the trie
 * has its label in the low byte, the offset to the units below it from bit 10 on, and in bit 8
 * whether a rule ends there. The rule's own unit has bit 31 and the place of the replacement.
 */
#include "text/charsmap.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>
#include <utf8proc.h>

#define UNIT_LABEL 0x800000FFu /* A rule's unit has bit 31, so that it matches no byte. */
#define UNIT_ENDS 0x100u
#define UNIT_PLACE 0x7FFFFFFFu

static uint32_t unit_offset(uint32_t unit)
{
    return unit >> 10 << ((unit & 0x200) >> 6);
}

static uint32_t read_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

int charsmap_open(const void *data, size_t size, const char *name, struct charsmap *map)
{
    const uint8_t *bytes = data;
    *map = (struct charsmap){0};
    const size_t trie_size = size < 4 ? 0 : read_u32(bytes);
    if (!trie_size || trie_size % 4 || trie_size > size - 4 || bytes[size - 1])
        return error_fail(VKCLIP_EFORMAT,
                          "%s: the map of characters (precompiled_charsmap) has %zu bytes, of "
                          "which its trie claims %zu, or it does not end with a NUL",
                          name, size, trie_size);
    map->units = memory_alloc(size);
    if (!map->units)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for the map of characters", name);
    map->unit_count = trie_size / 4;
    map->texts_size = size - 4 - trie_size;
    for (size_t i = 0; i < map->unit_count; i++)
        map->units[i] = read_u32(bytes + 4 + 4 * i);
    char *texts = (char *)(map->units + map->unit_count);
    memcpy(texts, bytes + 4 + trie_size, map->texts_size);
    map->texts = texts;
    return VKCLIP_OK;
}

void charsmap_close(struct charsmap *map)
{
    memory_free(map->units);
    *map = (struct charsmap){0};
}

/* Follows the bytes of one code point from the unit at *place. Returns false where the trie has no
 * such path. */
static bool follow(const struct charsmap *map, int32_t code, uint32_t *place, uint32_t *unit)
{
    uint8_t bytes[4];
    const size_t size = (size_t)utf8proc_encode_char(code, bytes);
    for (size_t i = 0; i < size; i++) {
        *place ^= bytes[i];
        if (!bytes[i] || *place >= map->unit_count)
            return false;
        *unit = map->units[*place];
        if ((*unit & UNIT_LABEL) != bytes[i])
            return false;
        *place ^= unit_offset(*unit);
    }
    return size;
}

const char *charsmap_find(const struct charsmap *map, const int32_t *codes, size_t length,
                          enum charsmap_choice choice, size_t *used)
{
    const char *found = NULL;
    uint32_t unit = map->unit_count ? map->units[0] : 0, place = unit_offset(unit);
    for (size_t i = 0; i < length && follow(map, codes[i], &place, &unit); i++) {
        if (!(unit & UNIT_ENDS) || place >= map->unit_count)
            continue;
        const uint32_t text = map->units[place] & UNIT_PLACE;
        if (text >= map->texts_size)
            continue;
        found = map->texts + text;
        *used = i + 1;
        if (choice == CHARSMAP_SHORTEST)
            break;
    }
    return found;
}
