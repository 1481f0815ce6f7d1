/* SPDX-License-Identifier: MIT
 *
 * The GGUF file format, versions 2 and 3: typed values by key, then tensors, many of them in blocks
 * of 32 small integers with a scale. Reads by mapping (nothing is copied) and refuses every claim
 * that the file's size does not bear out. Knows nothing of CLIP.
 */
#ifndef VKCLIP_FORMAT_GGUF_H
#define VKCLIP_FORMAT_GGUF_H

#include "base/file.h"
#include "format/tensor_view.h"

/* As numbered in the files. */
enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

struct gguf_value {
    char *key;
    enum gguf_type type;
    enum gguf_type element; /* an array's; else as `type` */
    uint64_t count;         /* an array's; else 1 */
    const uint8_t *data;    /* of the first element, in the mapped file */
};

struct gguf {
    char *path;
    struct file_map map;
    struct gguf_value *values; /* sorted by key */
    size_t value_count;
    struct tensor_view *tensors; /* sorted by name */
    size_t count;
};

/* Whether the file begins as GGUF does. */
bool gguf_is(const char *path);

int gguf_open(const char *path, struct gguf **file);
/* The same on memory that outlives the result; `name` is used in messages. */
int gguf_parse(const uint8_t *data, size_t size, const char *name, struct gguf **file);
void gguf_close(struct gguf **file);

/* NULL where the file has no such key. */
const struct gguf_value *gguf_find(const struct gguf *file, const char *key);
/* Each is false where the value is NULL or of another kind. */
bool gguf_integer(const struct gguf_value *value, uint64_t *number); /* not negative */
bool gguf_bool(const struct gguf_value *value, bool *truth);
bool gguf_number(const struct gguf_value *value, uint64_t index, double *number); /* F32 or F64 */
/* The string at `*at`, which begins as `value->data` and moves to the next one: not terminated. */
const char *gguf_text(const uint8_t **at, size_t *length);

/* What files call a type that they may have. */
uint32_t gguf_type_number(enum dtype dtype);

#endif
