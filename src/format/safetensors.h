/* SPDX-License-Identifier: MIT
 *
 * The safetensors file format: eight bytes of header length, a JSON header, the tensors' bytes.
 * Reads by mapping (nothing is copied) and refuses every claim that the file's size does not bear
 * out. The only module besides vkclip.h that the command may use: it exchanges tensors in this
 * format.
 */
#ifndef VKCLIP_FORMAT_SAFETENSORS_H
#define VKCLIP_FORMAT_SAFETENSORS_H

#include "base/file.h"

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
    DTYPE_F8_E4M3, /* known, so that a file may have them; not converted */
    DTYPE_F8_E5M2,
    DTYPE_Q4_0, /* these in GGUF only: in blocks, of no size by themselves */
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q8_0,
    DTYPE_COUNT
};

const char *dtype_name(enum dtype dtype); /* "F32" ... as in the files */
size_t dtype_size(enum dtype dtype);

#define TENSOR_MAX_RANK 8

/* A tensor somewhere in memory; owns nothing. */
struct tensor_view {
    const char *name;
    enum dtype dtype;
    unsigned rank;
    uint64_t shape[TENSOR_MAX_RANK];
    const void *data;
    uint64_t size; /* bytes */
    bool resident; /* in memory of its own, not in a mapped file: its pages must not be forgotten */
};

/* Element `index` (row-major) as float: F32, F16, BF16 and F64 only. */
float tensor_float(const struct tensor_view *tensor, uint64_t index);
/* The same for `count` elements from `first` on. */
void tensor_floats(const struct tensor_view *tensor, uint64_t first, uint64_t count, float *out);
bool dtype_is_float(enum dtype dtype); /* one of those four */

struct safetensors {
    char *path;
    struct file_map map;
    struct tensor_view *tensors; /* sorted by name */
    size_t count;
    char *names; /* storage of the names */
};

int safetensors_open(const char *path, struct safetensors **file);
/* The same on memory that outlives the result; `name` is used in messages. */
int safetensors_parse(const uint8_t *data, size_t size, const char *name,
                      struct safetensors **file);
const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name);
void safetensors_close(struct safetensors **file);

/* Writes tensors in the order given, beside and renamed. The data begins at a multiple of 8 bytes
 * and has no gaps, as the format wants: give wide types first to keep all of them aligned.
 * `metadata` is NULL-terminated key, value, key, value ...; may be NULL. */
int safetensors_write(const char *path, const struct tensor_view *tensors, size_t count,
                      const char *const *metadata);
/* The same with data that never lies in memory as a whole: `give` is called for each tensor in turn
 * and writes its bytes by file_output_write. */
typedef int safetensors_give_fn(void *user, const struct tensor_view *tensor,
                                struct file_output *output);
int safetensors_write_by(const char *path, const struct tensor_view *tensors, size_t count,
                         const char *const *metadata, safetensors_give_fn *give, void *user);

#endif
