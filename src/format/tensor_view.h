/* SPDX-License-Identifier: MIT
 *
 * Tensors as files store them: the element types of every file format that is read here, and views
 * of tensors in memory. All decoding of stored elements to fp32 is in this module, so that a file
 * format's reader only has to find where its tensors lie. Little-endian hosts only.
 */
#ifndef VKCLIP_FORMAT_TENSOR_VIEW_H
#define VKCLIP_FORMAT_TENSOR_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_F64,
    DTYPE_U8,
    DTYPE_I8,
    DTYPE_BOOL,
    DTYPE_I16,
    DTYPE_U16,
    DTYPE_I32,
    DTYPE_U32,
    DTYPE_I64,
    DTYPE_U64,
    DTYPE_F8_E4M3, /* A file may have tensors of the F8 types, but their values cannot be read. */
    DTYPE_F8_E5M2,
    DTYPE_Q4_0, /* The Q types store blocks of 32 elements, and only GGUF files have them. */
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q8_0,
    DTYPE_COUNT
};

/* The name that safetensors files and GGUF's documentation use: "F32", "Q8_0". */
const char *dtype_name(enum dtype dtype);
/* Bytes of one element; 0 for the types that store blocks. */
size_t dtype_size(enum dtype dtype);
/* Whether the type is F32, F16, BF16 or F64. */
bool dtype_is_float(enum dtype dtype);
/* Whether tensor_view_read decodes the type: the four above, and those that store blocks. */
bool dtype_is_readable(enum dtype dtype);

/* A row of a tensor is a whole number of blocks. Types without blocks have blocks of one element.
 */
struct dtype_block {
    unsigned elements, bytes;
};
struct dtype_block dtype_block(enum dtype dtype);

#define TENSOR_MAX_RANK 8

/* A tensor somewhere in memory. It owns nothing, and its data may lie at any alignment. */
struct tensor_view {
    const char *name;
    enum dtype dtype;
    unsigned rank;
    uint64_t shape[TENSOR_MAX_RANK];
    const void *data;
    uint64_t size; /* in bytes */
    /* The data lie in memory of their own and not in a mapped file: a reader must not tell the
     * system to drop their pages, which would be lost. */
    bool resident;
};

uint64_t tensor_view_elements(const struct tensor_view *view);
/* Decodes `count` elements from element `first` (row-major) on to fp32. The type must be readable;
 * the elements of other types are given as zeros. */
void tensor_view_read(const struct tensor_view *view, uint64_t first, uint64_t count,
                      float *values);
/* Decodes one element. */
float tensor_view_value(const struct tensor_view *view, uint64_t index);

/* Sorts views by name, in the order that tensor_view_find needs. */
void tensor_view_sort(struct tensor_view *views, size_t count);
/* The view of that name; NULL if there is none. */
const struct tensor_view *tensor_view_find(const struct tensor_view *views, size_t count,
                                           const char *name);

#endif
