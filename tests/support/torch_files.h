/* SPDX-License-Identifier: MIT
 *
 * PyTorch files written by hand, right and wrong: zip archives of stored records, and the words of
 * which the pickles in them are put together.
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
    uint32_t claimed; /* size that the directory tells; 0: the true one */
    uint16_t method;  /* 0: stored, 8: deflated (the data is written as it is) */
    uint16_t flags;   /* 1: encrypted */
    size_t same_as;   /* lies where the record of this index + 1 lies, which comes before it */
};

static inline uint8_t *archive_put(uint8_t *at, uint64_t number, unsigned size)
{
    for (; size--; number >>= 8)
        *at++ = (uint8_t)number;
    return at;
}

/* What a record's local header and its entry in the directory have in common. */
static inline uint8_t *archive_header(uint8_t *at, const struct archive_record *record)
{
    at = archive_put(at, 20, 2);
    at = archive_put(at, record->flags, 2);
    at = archive_put(at, record->method, 2);
    at = archive_put(at, 0, 4); /* time, date */
    at = archive_put(
        at, crc32(0, record->size ? record->data : (const void *)"", (uInt)record->size), 4);
    at = archive_put(at,
                     record->method    ? record->size
                     : record->claimed ? record->claimed
                                       : record->size,
                     4);
    at = archive_put(at, record->claimed ? record->claimed : record->size, 4);
    at = archive_put(at, strlen(record->name), 2);
    return archive_put(at, 0, 2);
}

/* The archive in memory of exactly its size; free it. */
static inline uint8_t *archive_build(const struct archive_record *records, size_t count,
                                     size_t *size)
{
    size_t bound = 22;
    for (size_t i = 0; i < count; i++)
        bound += 30 + 46 + 2 * strlen(records[i].name) + records[i].size;
    uint8_t *data = malloc(bound), *at = data, *directory;
    uint32_t *offsets = calloc(count + 1, sizeof(*offsets));
    if (!data || !offsets)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (records[i].same_as) {
            offsets[i] = offsets[records[i].same_as - 1];
            continue;
        }
        offsets[i] = (uint32_t)(at - data);
        at = archive_header(archive_put(at, 0x04034b50, 4), &records[i]);
        memcpy(at, records[i].name, strlen(records[i].name));
        at += strlen(records[i].name);
        if (records[i].size)
            memcpy(at, records[i].data, records[i].size);
        at += records[i].size;
    }
    directory = at;
    for (size_t i = 0; i < count; i++) {
        at = archive_put(archive_put(at, 0x02014b50, 4), 20, 2);
        at = archive_put(archive_header(at, &records[i]), 0, 2 + 2 + 2 + 4);
        at = archive_put(at, offsets[i], 4);
        memcpy(at, records[i].name, strlen(records[i].name));
        at += strlen(records[i].name);
    }
    uint32_t length = (uint32_t)(at - directory);
    at = archive_put(archive_put(at, 0x06054b50, 4), 0, 4);
    at = archive_put(archive_put(at, count, 2), count, 2);
    at = archive_put(archive_put(at, length, 4), (uint64_t)(directory - data), 4);
    at = archive_put(at, 0, 2);
    free(offsets);
    *size = (size_t)(at - data);
    if (!(data = realloc(data, *size)))
        abort();
    return data;
}

/* A string and a number in a pickle. */
static inline uint8_t *archive_text(uint8_t *at, const char *text, size_t length)
{
    *at++ = 'X';
    at = archive_put(at, length, 4);
    memcpy(at, text, length);
    return at + length;
}

static inline uint8_t *archive_number(uint8_t *at, uint64_t number)
{
    *at++ = 'J';
    return archive_put(at, number, 4);
}

/* What torch.save writes of these tensors: a state dict. F32, F16 and BF16 only. */
static inline uint8_t *archive_save(const struct tensor_view *views, size_t count, size_t *size)
{
    static const char *const storages[] = {"Float", "Half", "BFloat16"};
    struct archive_record *records = calloc(count + 1, sizeof(*records));
    char(*names)[32] = calloc(count + 1, sizeof(*names));
    uint8_t *pickle = malloc(4 + count * 1024), *at = pickle;
    if (!records || !names || !pickle)
        abort();
    memcpy(at, "\x80\x02}(", 4);
    at += 4;
    for (size_t i = 0; i < count; i++) {
        const struct tensor_view *view = &views[i];
        uint64_t strides[TENSOR_MAX_RANK], elements = 1;
        for (unsigned d = view->rank; d--; elements *= view->shape[d])
            strides[d] = elements;
        int length = snprintf(names[i], sizeof(names[i]), "archive/data/%zu", i);
        const char *key = strrchr(names[i], '/') + 1;
        records[i + 1] = (struct archive_record){
            .name = names[i], .data = view->data, .size = (size_t)view->size};
        at = archive_text(at, view->name, strlen(view->name));
        at += sprintf((char *)at, "ctorch._utils\n_rebuild_tensor_v2\n((");
        at = archive_text(at, "storage", 7);
        at += sprintf((char *)at, "ctorch\n%sStorage\n", storages[view->dtype]);
        at = archive_text(at, key, (size_t)(names[i] + length - key));
        at = archive_text(at, "cpu", 3);
        at = archive_number(at, elements);
        at += sprintf((char *)at, "tQ");
        at = archive_number(at, 0);
        for (int list = 0; list < 2; list++) {
            *at++ = '(';
            for (unsigned d = 0; d < view->rank; d++)
                at = archive_number(at, list ? strides[d] : view->shape[d]);
            *at++ = 't';
        }
        at += sprintf((char *)at, "\x89)tR");
    }
    at += sprintf((char *)at, "u.");
    records[0] = (struct archive_record){
        .name = "archive/data.pkl", .data = pickle, .size = (size_t)(at - pickle)};
    uint8_t *data = archive_build(records, count + 1, size);
    free(records);
    free(names);
    free(pickle);
    return data;
}

/* Words of pickles. Lengths and numbers are written as the bytes they are. */
#define STR(length, text) "\x8c" length text
#define INT(byte) "K" byte
#define FLOATS "ctorch\nFloatStorage\n"
#define STORAGE(type, key, elements) \
    "(" STR("\x07", "storage") type STR("\x01", key) STR("\x03", "cpu") elements "tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define TENSOR(storage, offset, sizes, strides) REBUILD "(" storage offset sizes strides "\x89)tR"
/* Of the 16 floats in the record data/0. */
#define SIXTEEN STORAGE(FLOATS, "0", INT("\x10"))
#define W STR("\x01", "w")
#define DICT(items) "}(" items "u"
#define PICKLE(value) "\x80\x02" value "."

#endif
