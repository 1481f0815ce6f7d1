/* SPDX-License-Identifier: MIT
 *
 * Reads and writes the safetensors file format: eight bytes that say the length of a JSON header,
 * the header, the data of the tensors. A file is mapped and its tensors are views into the mapping,
 * so that opening it copies nothing. Every number in a header that the file's size contradicts is
 * refused.
 */
#ifndef VKCLIP_FORMAT_SAFETENSORS_H
#define VKCLIP_FORMAT_SAFETENSORS_H

#include "base/file.h"
#include "format/tensor_view.h"

/* The reference library refuses a file whose header has more bytes. */
#define SAFETENSORS_HEADER_MAX 100000000u

struct safetensors {
    char *path;
    struct file_map map;
    const char *header; /* JSON in the file, [header_size] */
    size_t header_size;
    struct tensor_view *tensors; /* sorted by name */
    size_t count;
    char *names; /* storage of the names */
};

/* Tells whether the file begins as safetensors files do. */
bool safetensors_is_file(const struct file_source *source);

int safetensors_open(const char *path, struct safetensors **file);
int safetensors_open_source(const struct file_source *source, struct safetensors **file);
/* Parses a file in memory that outlives the result. Messages call the file `name`. */
int safetensors_parse(const uint8_t *data, size_t size, const char *name,
                      struct safetensors **file);
/* Returns the tensor of that name, or NULL if the file has none. */
const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name);
/* Returns a text of the file's metadata as a new string, or NULL if it has none of that key. */
char *safetensors_metadata(const struct safetensors *file, const char *key);
void safetensors_close(struct safetensors **file);

/* Writes tensors in the order given. The file appears at `path` only when it is complete. The data
 * begin at a multiple of 8 bytes and have no gaps, as the format demands, so that all tensors are
 * aligned if those of the widest types come first. `metadata` is key, value, key, value ... and
 * ends with NULL; it may be NULL. Names that are not UTF-8 or occur twice, and sizes that do not
 * follow from the shape, are refused, and a header that is too large is EUNSUPPORTED. */
int safetensors_write(const char *path, const struct tensor_view *tensors, size_t count,
                      const char *const *metadata);

/* Writes the data of one tensor of a file whose data never lie in memory as a whole. It is called
 * for each tensor in turn and must write exactly the tensor's bytes with file_output_write. */
typedef int safetensors_data_fn(void *user, const struct tensor_view *tensor,
                                struct file_output *output);
int safetensors_write_streamed(const char *path, const struct tensor_view *tensors, size_t count,
                               const char *const *metadata, safetensors_data_fn *write_data,
                               void *user);

#endif
