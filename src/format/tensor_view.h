/* SPDX-License-Identifier: MIT
 *
 * This module describes tensors as files store them: the element types of all file formats that
 * vkclip reads, and views of tensors in memory. All decoding of stored elements to fp32 is in this
 * module, so that the reader of a file format only has to find where its tensors lie. Only
 * little-endian hosts are supported.
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
    DTYPE_F8_E4M3, /* without infinity: float8_e4m3fn of PyTorch */
    DTYPE_F8_E5M2,
    DTYPE_Q4_0, /* The Q types store blocks of 32 or 256 elements; only GGUF files have them. */
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q8_0,
    DTYPE_Q2_K,
    DTYPE_Q3_K,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_COUNT
};

/* Returns the name that safetensors files and GGUF's documentation use: "F32", "Q8_0". */
const char *dtype_name(enum dtype dtype);
/* Returns the number of bytes of one element, or 0 for the types that store blocks. */
size_t dtype_size(enum dtype dtype);
/* Tells whether the type is F32, F16, BF16 or F64. */
bool dtype_is_float(enum dtype dtype);
/* Tells whether tensor_view_read decodes the type: F32, F16, BF16, F64, the F8 types and those that
 * store blocks. */
bool dtype_is_readable(enum dtype dtype);

/* A row of a tensor is a whole number of blocks. Types without blocks have blocks of one element.
 */
struct dtype_block {
    unsigned elements, bytes;
};
struct dtype_block dtype_block(enum dtype dtype);

#define TENSOR_MAX_RANK 8

struct file_map;

/* This is a tensor in memory or in a file. The view owns nothing, and its data may have any
 * alignment. */
struct tensor_view {
    const char *name;
    enum dtype dtype;
    unsigned rank;
    uint64_t shape[TENSOR_MAX_RANK];
    const void *data;
    uint64_t size; /* in bytes */
    /* The open file in whose mapping the data lie. They must be read by the functions below and not
     * where they are, because another program may make the file shorter. NULL: they are memory. */
    const struct file_map *map;
    bool resident; /* The data are an allocated copy, which the owner of the view releases. */
    bool scaled;   /* tensor_view_read multiplies the decoded values by `scale`. */
    float scale;
};

uint64_t tensor_view_elements(const struct tensor_view *view);
/* Copies bytes of the data. Fails if the file has become shorter. */
int tensor_view_copy(const struct tensor_view *view, uint64_t offset, size_t size, void *copy);
/* Decodes `count` elements to fp32, beginning at element `first` in row-major order. Elements of a
 * type that dtype_is_readable refuses become zeros. Fails as tensor_view_copy does. */
int tensor_view_read(const struct tensor_view *view, uint64_t first, uint64_t count, float *values);
/* Decodes one element where it lies, for tests: it does not expect that a file becomes shorter. */
float tensor_view_value(const struct tensor_view *view, uint64_t index);

/* Sorts views by name, which is the order that tensor_view_find needs. */
void tensor_view_sort(struct tensor_view *views, size_t count);
/* Returns the view of that name, or NULL if there is none. */
const struct tensor_view *tensor_view_find(const struct tensor_view *views, size_t count,
                                           const char *name);

#endif
