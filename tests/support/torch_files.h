/* SPDX-License-Identifier: MIT
 *
 * Writes valid and broken PyTorch files by hand: zip archives of stored records, and the opcodes
 * that the pickles in them consist of.
 */
#ifndef VKCLIP_TESTS_SUPPORT_TORCH_FILES_H
#define VKCLIP_TESTS_SUPPORT_TORCH_FILES_H

#include "format/safetensors.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct archive_record {
    const char *name;
    const void *data;
    size_t size;
    uint32_t claimed; /* the size that the directory says; 0 means the true size */
    uint16_t method;  /* 0 for stored, 8 for deflated, with the same data in either case */
    uint16_t flags;   /* 1 for encrypted */
    size_t same_as;   /* 1 + the index of an earlier record whose place this one shares; 0: none */
};

/* Writes a little-endian number, and returns the position after it. */
static inline uint8_t *archive_put(uint8_t *next, uint64_t number, unsigned size)
{
    for (; size--; number >>= 8)
        *next++ = (uint8_t)number;
    return next;
}

/* Writes the fields that a record's local header and its entry in the directory have in common. */
static inline uint8_t *archive_header(uint8_t *next, const struct archive_record *record)
{
    const void *data = record->size ? record->data : "";
    const uint64_t size = record->claimed ? record->claimed : record->size;
    next = archive_put(next, 20, 2);
    next = archive_put(next, record->flags, 2);
    next = archive_put(next, record->method, 2);
    next = archive_put(next, 0, 4); /* The time and date are 0. */
    next = archive_put(next, crc32(0, data, (uInt)record->size), 4);
    next = archive_put(next, record->method ? record->size : size, 4);
    next = archive_put(next, size, 4);
    next = archive_put(next, strlen(record->name), 2);
    return archive_put(next, 0, 2);
}

/* Builds an archive in memory of exactly its size, which the caller frees. */
static inline uint8_t *archive_build(const struct archive_record *records, size_t count,
                                     size_t *size)
{
    size_t bound = 22;
    for (size_t i = 0; i < count; i++)
        bound += 30 + 46 + 2 * strlen(records[i].name) + records[i].size;
    uint8_t *data = malloc(bound), *next = data, *directory;
    uint32_t *offsets = calloc(count + 1, sizeof(*offsets));
    if (!data || !offsets)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (records[i].same_as) {
            offsets[i] = offsets[records[i].same_as - 1];
            continue;
        }
        offsets[i] = (uint32_t)(next - data);
        next = archive_header(archive_put(next, 0x04034b50, 4), &records[i]);
        memcpy(next, records[i].name, strlen(records[i].name));
        next += strlen(records[i].name);
        if (records[i].size)
            memcpy(next, records[i].data, records[i].size);
        next += records[i].size;
    }
    directory = next;
    for (size_t i = 0; i < count; i++) {
        next = archive_put(archive_put(next, 0x02014b50, 4), 20, 2);
        next = archive_put(archive_header(next, &records[i]), 0, 2 + 2 + 2 + 4);
        next = archive_put(next, offsets[i], 4);
        memcpy(next, records[i].name, strlen(records[i].name));
        next += strlen(records[i].name);
    }
    uint32_t length = (uint32_t)(next - directory);
    next = archive_put(archive_put(next, 0x06054b50, 4), 0, 4);
    next = archive_put(archive_put(next, count, 2), count, 2);
    next = archive_put(archive_put(next, length, 4), (uint64_t)(directory - data), 4);
    next = archive_put(next, 0, 2);
    free(offsets);
    *size = (size_t)(next - data);
    if (!(data = realloc(data, *size)))
        abort();
    return data;
}

/* Write a string or a number into a pickle, and return the position after it. */
static inline uint8_t *archive_text(uint8_t *next, const char *text, size_t length)
{
    *next++ = 'X';
    next = archive_put(next, length, 4);
    memcpy(next, text, length);
    return next + length;
}

static inline uint8_t *archive_number(uint8_t *next, uint64_t number)
{
    *next++ = 'J';
    return archive_put(next, number, 4);
}

/* Writes a tensor, whose elements are in the record data/KEY, into a pickle. */
static inline uint8_t *archive_tensor(uint8_t *next, const struct tensor_view *view,
                                      const char *key)
{
    static const char *const storages[] = {"Float", "Half", "BFloat16", "Double"};
    uint64_t strides[TENSOR_MAX_RANK], elements = 1;
    for (unsigned d = view->rank; d--; elements *= view->shape[d])
        strides[d] = elements;
    next += sprintf((char *)next, "ctorch._utils\n_rebuild_tensor_v2\n((");
    next = archive_text(next, "storage", 7);
    next += sprintf((char *)next, "ctorch\n%sStorage\n",
                    view->dtype == DTYPE_I64 ? "Long" : storages[view->dtype]);
    next = archive_text(next, key, strlen(key));
    next = archive_text(next, "cpu", 3);
    next = archive_number(next, elements);
    next += sprintf((char *)next, "tQ");
    next = archive_number(next, 0);
    for (int list = 0; list < 2; list++) {
        *next++ = '(';
        for (unsigned d = 0; d < view->rank; d++)
            next = archive_number(next, list ? strides[d] : view->shape[d]);
        *next++ = 't';
    }
    return next + sprintf((char *)next, "\x89)tR");
}

/* A dict of tensors with its key in the dict of a file. Without a key its tensors lie in that dict.
 * `extra` has more items of the file's dict, as opcodes. */
struct archive_dict {
    const char *key;
    const struct tensor_view *views;
    size_t count;
    const char *extra;
};

/* Builds what torch.save writes for a dict of dicts of tensors, which are F32, F16, BF16, F64 or
 * I64. */
static inline uint8_t *archive_save_dicts(const struct archive_dict *dicts, size_t count,
                                          size_t *size)
{
    size_t all = 0, record = 0;
    for (size_t i = 0; i < count; i++)
        all += dicts[i].count + 1;
    struct archive_record *records = calloc(all + 1, sizeof(*records));
    char(*names)[32] = calloc(all + 1, sizeof(*names));
    uint8_t *pickle = malloc(64 + all * 1024), *next = pickle;
    if (!records || !names || !pickle)
        abort();
    memcpy(next, "\x80\x02}(", 4);
    next += 4;
    for (size_t i = 0; i < count; i++) {
        if (dicts[i].extra)
            next += sprintf((char *)next, "%s", dicts[i].extra);
        if (dicts[i].key) {
            next = archive_text(next, dicts[i].key, strlen(dicts[i].key));
            next += sprintf((char *)next, "}(");
        }
        for (size_t j = 0; j < dicts[i].count; j++) {
            const struct tensor_view *view = &dicts[i].views[j];
            snprintf(names[record], sizeof(*names), "archive/data/%zu", record);
            next = archive_text(next, view->name, strlen(view->name));
            next = archive_tensor(next, view, strrchr(names[record], '/') + 1);
            records[record + 1] = (struct archive_record){
                .name = names[record], .data = view->data, .size = (size_t)view->size};
            record++;
        }
        if (dicts[i].key)
            *next++ = 'u';
    }
    next += sprintf((char *)next, "u.");
    records[0] = (struct archive_record){
        .name = "archive/data.pkl", .data = pickle, .size = (size_t)(next - pickle)};
    uint8_t *data = archive_build(records, record + 1, size);
    free(records);
    free(names);
    free(pickle);
    return data;
}

/* Builds what torch.save writes for a state dict of these tensors. */
static inline uint8_t *archive_save(const struct tensor_view *views, size_t count, size_t *size)
{
    return archive_save_dicts(&(struct archive_dict){NULL, views, count, NULL}, 1, size);
}

/* Pickles are composed from these macros. Lengths and numbers are given as bytes. */
#define STR(length, text) "\x8c" length text
#define INT(byte) "K" byte
#define FLOATS "ctorch\nFloatStorage\n"
#define STORAGE(type, key, elements) \
    "(" STR("\x07", "storage") type STR("\x01", key) STR("\x03", "cpu") elements "tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define TENSOR(storage, offset, sizes, strides) REBUILD "(" storage offset sizes strides "\x89)tR"
/* This storage has the 16 floats of the record data/0. */
#define SIXTEEN STORAGE(FLOATS, "0", INT("\x10"))
#define W STR("\x01", "w")
#define DICT(items) "}(" items "u"
#define PICKLE(value) "\x80\x02" value "."

#endif
