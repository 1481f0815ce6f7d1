/* SPDX-License-Identifier: MIT
 *
 * Reads the GGUF file format, versions 2 and 3: typed values by key, then tensors, many of them in
 * blocks of 32 or 256 small integers with scales. A file is mapped, and its values and tensors are
 * views into the mapping. Every number in a file that the file's size contradicts is refused. This
 * module knows nothing of CLIP.
 */
#ifndef VKCLIP_FORMAT_GGUF_H
#define VKCLIP_FORMAT_GGUF_H

#include "base/file.h"
#include "format/tensor_view.h"

/* The types of values have the numbers that they have in the files. */
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
    enum gguf_type element; /* of an array; the same as `type` for other values */
    uint64_t count;         /* elements of an array; 1 for other values */
    const uint8_t *data;    /* the first element, in the mapped file */
};

struct gguf {
    char *path;
    struct file_map map;
    struct gguf_value *values; /* sorted by key */
    size_t value_count;
    struct tensor_view *tensors; /* sorted by name */
    size_t count;
};

/* Tells whether the file begins as GGUF files do. */
bool gguf_is_file(const struct file_source *source);

int gguf_open(const char *path, struct gguf **file);
int gguf_open_source(const struct file_source *source, struct gguf **file);
/* Parses a file in memory that outlives the result. Messages call the file `name`. */
int gguf_parse(const uint8_t *data, size_t size, const char *name, struct gguf **file);
void gguf_close(struct gguf **file);

/* Returns the value of a key, or NULL if the file has no such key. */
const struct gguf_value *gguf_find(const struct gguf *file, const char *key);

/* The three gguf_read functions return false if the value is NULL or of another kind than they
 * read: an integer of any size that is not negative, a truth value, or element number `index` of
 * type F32 or F64. */
bool gguf_read_integer(const struct gguf_value *value, uint64_t *number);
bool gguf_read_bool(const struct gguf_value *value, bool *truth);
bool gguf_read_number(const struct gguf_value *value, uint64_t index, double *number);
/* Tells whether the value is this string. */
bool gguf_is_text(const struct gguf_value *value, const char *text);

/* Returns the string at *cursor, which is not terminated, and moves the cursor to the next string.
 * The cursor begins as the data of a value whose elements are strings. */
const char *gguf_next_text(const uint8_t **cursor, size_t *length);

/* Returns the number by which files name a type of tensors. GGUF must have the type. */
uint32_t gguf_type_number(enum dtype dtype);

#endif
