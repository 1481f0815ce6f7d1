/* SPDX-License-Identifier: MIT
 *
 * The head of a GGUF file, put together in memory: values by key, then what the tensors are. Their
 * data, each padded to GGUF_ALIGNMENT, follow it in the order given; the caller writes them.
 */
#ifndef VKCLIP_FORMAT_GGUF_WRITE_H
#define VKCLIP_FORMAT_GGUF_WRITE_H

#include "format/gguf.h"

#define GGUF_ALIGNMENT 32

/* All zero to begin with. Out of memory sticks until gguf_finish tells it. */
struct gguf_head {
    uint8_t *data; /* a buffer of values and descriptions */
    size_t size, capacity;
    uint64_t value_count, tensor_count;
    uint64_t end; /* of the tensors' data so far */
    bool failed;
};

void gguf_put_size(struct gguf_head *head, const char *key, uint32_t value);
void gguf_put_number(struct gguf_head *head, const char *key, float value);
void gguf_put_flag(struct gguf_head *head, const char *key, bool value);
void gguf_put_text(struct gguf_head *head, const char *key, const char *value);
void gguf_put_numbers(struct gguf_head *head, const char *key, const float *values, size_t count);
void gguf_put_texts(struct gguf_head *head, const char *key, const char *const *values,
                    size_t count);

/* Describes the tensor whose data come next; all values come before the first. */
void gguf_put_tensor(struct gguf_head *head, const struct tensor_view *tensor);

/* The whole head in new memory, padded so that the data follow it. Releases what it was made of,
 * also on error. */
int gguf_finish(struct gguf_head *head, uint8_t **data, size_t *size);

#endif
