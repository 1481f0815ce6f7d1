/* SPDX-License-Identifier: MIT
 *
 * zlib decompresses block by block (Z_BLOCK) and tells at the end of a block how many bits of the
 * next byte belong to it. From there decompression can begin again, if it gets the text before.
 */
#include "format/gzip.h"
#include "base/memory.h"

#include <string.h>
#include <zlib.h>

/* Bytes of text from one place to the next. Reading at any place decompresses half of that on
 * average, some 7 ms; the places take 0.8 % of the text in memory. */
enum { SPAN = 4 << 20, WINDOW = 32 << 10, PIECE = 16 << 10, TRAILER = 8, RAW = -15, GZIP = 31 };

struct place {
    uint64_t input, output; /* bytes before it in the file and in the text */
    int bits;               /* bits of the byte before `input` that come after it */
    unsigned before;        /* bytes of text in `window` */
    uint8_t *window;
};

struct gzip_places {
    struct place *items;
    size_t count, capacity;
};

struct gzip {
    const struct file_map *map;
    const struct gzip_places *places;
    struct gzip_places *noted; /* NULL: it was read before */
    z_stream stream;
    bool is_open, is_raw; /* The stream is open; it began at a place and not at a header. */
    bool has_ended;
    uint64_t input, output; /* bytes read from the file and given of the text */
    uint8_t piece[PIECE];
};

bool gzip_is_magic(const uint8_t start[2])
{
    return start[0] == 0x1f && start[1] == 0x8b;
}

static int no_memory(const struct file_map *map)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory to decompress it", map->path);
}

/* ---- Opening --------------------------------------------------------------------------------- */

int gzip_open(const struct file_map *map, const struct gzip_places *places, struct gzip **result)
{
    struct gzip *gzip = *result = memory_calloc(1, sizeof(*gzip));
    if (!gzip)
        return no_memory(map);
    gzip->map = map;
    gzip->places = places;
    return VKCLIP_OK;
}

int gzip_open_first(const struct file_map *map, struct gzip **gzip, struct gzip_places **places)
{
    *places = memory_calloc(1, sizeof(**places));
    if (!*places)
        return no_memory(map);
    int error = gzip_open(map, *places, gzip);
    if (!error)
        (*gzip)->noted = *places;
    return error;
}

void gzip_close(struct gzip **handle)
{
    struct gzip *gzip = *handle;
    if (!gzip)
        return;
    if (gzip->is_open)
        inflateEnd(&gzip->stream);
    memory_free(gzip);
    *handle = NULL;
}

void gzip_free_places(struct gzip_places **handle)
{
    struct gzip_places *places = *handle;
    for (size_t i = 0; places && i < places->count; i++)
        memory_free(places->items[i].window);
    if (places)
        memory_free(places->items);
    memory_free(places);
    *handle = NULL;
}

/* ---- Places ---------------------------------------------------------------------------------- */

/* Notes the end of a block, if the last place is far enough before it. */
static int note_place(struct gzip *gzip)
{
    struct gzip_places *places = gzip->noted;
    const uint64_t last = places->count ? places->items[places->count - 1].output : 0;
    const bool is_end = (gzip->stream.data_type & 128) && !(gzip->stream.data_type & 64);
    if (!is_end || gzip->output - last < SPAN)
        return VKCLIP_OK;
    if (places->count == places->capacity) {
        const size_t capacity = places->capacity ? 2 * places->capacity : 16;
        struct place *grown = memory_realloc(places->items, capacity * sizeof(*grown));
        if (!grown)
            return no_memory(gzip->map);
        places->items = grown;
        places->capacity = capacity;
    }
    struct place place = {.input = gzip->input - gzip->stream.avail_in,
                          .output = gzip->output,
                          .bits = gzip->stream.data_type & 7,
                          .window = memory_alloc(WINDOW)};
    if (!place.window || inflateGetDictionary(&gzip->stream, place.window, &place.before)) {
        memory_free(place.window);
        return no_memory(gzip->map);
    }
    places->items[places->count++] = place;
    return VKCLIP_OK;
}

/* Finds the last place at or before an offset of the text, or NULL if that is the start. */
static const struct place *find_place(const struct gzip_places *places, uint64_t offset)
{
    size_t low = 0, high = places->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (places->items[middle].output <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &places->items[low - 1] : NULL;
}

/* Gives the stream what it needs to begin at a place. */
static int prime(struct gzip *gzip, const struct place *place)
{
    uint8_t byte = 0;
    int error = VKCLIP_OK, result = Z_OK;
    if (place->bits)
        error = file_map_read(gzip->map, place->input - 1, 1, &byte);
    if (!error && place->bits)
        result = inflatePrime(&gzip->stream, place->bits, byte >> (8 - place->bits));
    if (!error && result == Z_OK)
        result = inflateSetDictionary(&gzip->stream, place->window, place->before);
    return error || result == Z_OK ? error : no_memory(gzip->map);
}

static int begin(struct gzip *gzip, const struct place *place)
{
    if (gzip->is_open)
        inflateEnd(&gzip->stream);
    gzip->stream = (z_stream){.zalloc = memory_zlib_alloc, .zfree = memory_zlib_free};
    gzip->is_open = inflateInit2(&gzip->stream, place ? RAW : GZIP) == Z_OK;
    gzip->is_raw = place != NULL;
    gzip->has_ended = false;
    gzip->input = place ? place->input : 0;
    gzip->output = place ? place->output : 0;
    if (!gzip->is_open)
        return no_memory(gzip->map);
    return place ? prime(gzip, place) : VKCLIP_OK;
}

/* ---- Decompressing --------------------------------------------------------------------------- */

static int fail_truncated(const struct gzip *gzip)
{
    return error_fail(VKCLIP_EFORMAT, "%s: gzip: ends after %llu bytes of its content (truncated?)",
                      gzip->map->path, (unsigned long long)gzip->output);
}

/* Gives the stream the next bytes of the file, if it has used all before. */
static int feed(struct gzip *gzip)
{
    const uint64_t left = gzip->map->size - gzip->input;
    const size_t size = left < PIECE ? (size_t)left : PIECE;
    if (gzip->stream.avail_in)
        return VKCLIP_OK;
    if (!size)
        return fail_truncated(gzip);
    int error = file_map_read(gzip->map, gzip->input, size, gzip->piece);
    gzip->input += size;
    gzip->stream.next_in = gzip->piece;
    gzip->stream.avail_in = (unsigned)size;
    return error;
}

/* Goes on with the next member after the end of one. What follows is padding if it has no header.
 */
static int begin_member(struct gzip *gzip)
{
    uint8_t magic[2] = {0, 0};
    int error = VKCLIP_OK;
    gzip->input -= gzip->stream.avail_in;
    gzip->stream.avail_in = 0;
    if (gzip->is_raw) /* The stream has not read the sums at the end of the member. */
        gzip->input += TRAILER;
    if (gzip->input > gzip->map->size)
        return fail_truncated(gzip);
    if (gzip->map->size - gzip->input > sizeof(magic))
        error = file_map_read(gzip->map, gzip->input, sizeof(magic), magic);
    gzip->has_ended = !gzip_is_magic(magic);
    gzip->is_raw = false;
    if (!error && !gzip->has_ended && inflateReset2(&gzip->stream, GZIP) != Z_OK)
        error = no_memory(gzip->map);
    return error;
}

int gzip_read_next(struct gzip *gzip, size_t size, void *copy, size_t *count)
{
    int error = gzip->is_open ? VKCLIP_OK : begin(gzip, NULL);
    *count = 0;
    while (!error && *count < size && !gzip->has_ended) {
        error = feed(gzip);
        if (error)
            return error;
        const size_t left = size - *count, part = left < (1u << 30) ? left : 1u << 30;
        gzip->stream.next_out = (uint8_t *)copy + *count;
        gzip->stream.avail_out = (unsigned)part;
        const int result = inflate(&gzip->stream, Z_BLOCK);
        *count += part - gzip->stream.avail_out;
        gzip->output += part - gzip->stream.avail_out;
        if (result == Z_STREAM_END)
            error = begin_member(gzip);
        else if (result != Z_OK && result != Z_BUF_ERROR)
            error = error_fail(VKCLIP_EFORMAT, "%s: gzip: %s", gzip->map->path,
                               gzip->stream.msg ? gzip->stream.msg : "corrupt");
        else if (gzip->noted)
            error = note_place(gzip);
    }
    return error;
}

/* Goes to an offset of the text: on from where it is, or from the last place before the offset. */
static int seek(struct gzip *gzip, uint64_t offset)
{
    const struct place *place = find_place(gzip->places, offset);
    const bool is_near =
        gzip->is_open && gzip->output <= offset && (!place || gzip->output >= place->output);
    uint8_t skipped[PIECE];
    int error = is_near ? VKCLIP_OK : begin(gzip, place);
    while (!error && gzip->output < offset) {
        const uint64_t left = offset - gzip->output;
        size_t count;
        error = gzip_read_next(gzip, left < PIECE ? (size_t)left : PIECE, skipped, &count);
        if (!error && !count)
            error = fail_truncated(gzip);
    }
    return error;
}

int gzip_read(struct gzip *gzip, uint64_t offset, size_t size, void *copy)
{
    size_t count = 0;
    int error = seek(gzip, offset);
    if (!error)
        error = gzip_read_next(gzip, size, copy, &count);
    if (!error && count < size)
        error = fail_truncated(gzip);
    return error;
}
