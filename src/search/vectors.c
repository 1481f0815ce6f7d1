/* SPDX-License-Identifier: MIT
 *
 * Writes the vectors of a model into a file, and maps it. A checksum of everything is compared
 * whenever a file is mapped: a search that is wrong without anybody noticing would be worse than
 * one that takes a tenth of a second longer for each gigabyte.
 */
#include "search/vectors.h"

#include "base/hash.h"
#include "base/memory.h"

#include <string.h>

#define HEADER_BYTES 4096
/* The number reads differently in another byte order. */
#define BYTE_ORDER 0x0102030405060708u

static const char magic[16] = "vkclip vectors 1";

struct header {
    char magic[16];
    uint64_t byte_order, count, dim;
    int64_t changes, rewrites;
    char model[64];
    uint64_t content; /* checksum of everything after the header */
    uint64_t header;  /* checksum of the members before this one */
};

struct vectors_file {
    struct file_output output;
    struct header header;
    int64_t *ids;
    size_t capacity;
};

/* ---- Checksums ------------------------------------------------------------------------------- */

/* Threads compute checksums of parts of this size. */
#define PART_BYTES (1u << 20)

struct checksum {
    const uint8_t *data;
    size_t size;
    uint64_t *parts;
};

/* Is a workers_job_fn: computes the checksum of one part. Eight hashes of every eighth word keep a
 * processor's multipliers busy, which makes this as fast as reading memory. */
static int hash_part(void *user, size_t index, unsigned thread)
{
    (void)thread;
    enum { LANES = 8 };
    const struct checksum *sum = user;
    const uint8_t *data = sum->data + index * PART_BYTES;
    const size_t left = sum->size - index * PART_BYTES,
                 size = left < PART_BYTES ? left : PART_BYTES;
    uint64_t lanes[LANES] = {1, 2, 3, 4, 5, 6, 7, 8}, words[LANES];
    size_t i = 0;
    for (; i + sizeof(words) <= size; i += sizeof(words)) {
        memcpy(words, data + i, sizeof(words));
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] = (lanes[lane] ^ words[lane]) * 0x9e3779b97f4a7c15u;
    }
    sum->parts[index] = hash_bytes(hash_bytes(0, lanes, sizeof(lanes)), data + i, size - i);
    return VKCLIP_OK;
}

static int hash_content(const void *data, size_t size, struct workers *workers, uint64_t *result)
{
    const size_t count = (size + PART_BYTES - 1) / PART_BYTES;
    struct checksum sum = {data, size, memory_alloc((count + 1) * sizeof(*sum.parts))};
    if (!sum.parts)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a checksum");
    int error = workers_run(workers, hash_part, &sum, count);
    *result = hash_bytes(0, sum.parts, count * sizeof(*sum.parts));
    memory_free(sum.parts);
    return error;
}

static uint64_t hash_header(const struct header *header)
{
    return hash_bytes(0, header, offsetof(struct header, header));
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Returns the bytes of the vectors, filled up so that the ids begin at a multiple of 8 bytes. */
static uint64_t row_bytes(const struct header *header)
{
    return (header->count * header->dim * sizeof(uint16_t) + 7) / 8 * 8;
}

static uint64_t content_bytes(const struct header *header)
{
    return row_bytes(header) + header->count * sizeof(int64_t);
}

/* Tells whether a header is intact, of this key and of a file of this size. */
static bool is_header_right(const struct header *header, const struct vectors_key *key, size_t size)
{
    return !memcmp(header->magic, magic, sizeof(magic)) && header->byte_order == BYTE_ORDER &&
           header->header == hash_header(header) && header->dim == key->dim &&
           !strncmp(header->model, key->model, sizeof(header->model)) &&
           header->count <= size / sizeof(int64_t) && content_bytes(header) == size - HEADER_BYTES;
}

static bool is_file_right(const struct file_map *map, const struct vectors_key *key,
                          struct workers *workers)
{
    const struct header *header = (const struct header *)(const void *)map->data;
    uint64_t content = 0;
    return map->size >= HEADER_BYTES && is_header_right(header, key, map->size) &&
           !hash_content(map->data + HEADER_BYTES, map->size - HEADER_BYTES, workers, &content) &&
           content == header->content;
}

bool vectors_map(const char *path, struct vectors_key *key, struct workers *workers,
                 struct vectors *vectors)
{
    struct file_map map = {0};
    *vectors = (struct vectors){0};
    if (!file_exists(path) || file_map_open(path, &map))
        return false;
    if (!is_file_right(&map, key, workers)) {
        file_map_close(&map);
        return false;
    }
    const struct header *header = (const struct header *)(const void *)map.data;
    const uint8_t *content = map.data + HEADER_BYTES;
    key->changes = header->changes;
    key->rewrites = header->rewrites;
    *vectors = (struct vectors){.ids = (const int64_t *)(const void *)(content + row_bytes(header)),
                                .rows = (const uint16_t *)(const void *)content,
                                .count = header->count,
                                .dim = header->dim,
                                .map = map};
    return true;
}

void vectors_close(struct vectors *vectors)
{
    file_map_close(&vectors->map);
    *vectors = (struct vectors){0};
}

/* ---- Writing --------------------------------------------------------------------------------- */

int vectors_write(const char *path, const struct vectors_key *key, struct vectors_file **result)
{
    static const uint8_t zeros[HEADER_BYTES];
    struct vectors_file *file = *result = memory_calloc(1, sizeof(*file));
    if (!file)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    file->header = (struct header){.byte_order = BYTE_ORDER,
                                   .dim = key->dim,
                                   .changes = key->changes,
                                   .rewrites = key->rewrites};
    memcpy(file->header.magic, magic, sizeof(magic));
    strncpy(file->header.model, key->model, sizeof(file->header.model) - 1);
    int error = file_output_open(path, &file->output);
    if (!error)
        error = file_output_write(&file->output, zeros, sizeof(zeros));
    if (error)
        vectors_write_end(result, NULL, error);
    return error;
}

static int reserve_ids(struct vectors_file *file, size_t count)
{
    if (file->header.count + count <= file->capacity)
        return VKCLIP_OK;
    const size_t capacity = 2 * (file->header.count + count);
    int64_t *ids = memory_realloc(file->ids, capacity * sizeof(*ids));
    if (!ids)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", file->output.path);
    file->ids = ids;
    file->capacity = capacity;
    return VKCLIP_OK;
}

int vectors_add(struct vectors_file *file, const int64_t *ids, const uint16_t *rows, size_t count)
{
    int error = reserve_ids(file, count);
    if (error || !count)
        return error;
    memcpy(file->ids + file->header.count, ids, count * sizeof(*ids));
    file->header.count += count;
    return file_output_write(&file->output, rows, count * file->header.dim * sizeof(*rows));
}

/* Writes the ids, then computes the checksum of what was written, and writes the header. */
static int complete_file(struct vectors_file *file, struct workers *workers)
{
    static const uint8_t zeros[8];
    struct file_output *output = &file->output;
    struct header *header = &file->header;
    struct file_map map = {0};
    file_output_write(output, zeros,
                      row_bytes(header) - header->count * header->dim * sizeof(uint16_t));
    int error = file_output_write(output, file->ids, header->count * sizeof(*file->ids));
    if (!error && fflush(output->file))
        error = file_fail_writing(output->path);
    if (!error)
        error = file_map_open(output->temporary, &map);
    if (!error)
        error = hash_content(map.data + HEADER_BYTES, map.size - HEADER_BYTES, workers,
                             &header->content);
    file_map_close(&map);
    header->header = hash_header(header);
    if (!error && fseek(output->file, 0, SEEK_SET))
        error = file_fail_writing(output->path);
    return error ? error : file_output_write(output, header, sizeof(*header));
}

int vectors_write_end(struct vectors_file **handle, struct workers *workers, int error)
{
    struct vectors_file *file = *handle;
    if (!error)
        error = complete_file(file, workers);
    error = file_output_close(&file->output, error);
    memory_free(file->ids);
    memory_free(file);
    *handle = NULL;
    return error;
}
