/* SPDX-License-Identifier: MIT
 *
 * Builds the head of a GGUF file in memory: values by key, then the descriptions of the tensors.
 * The caller writes the head, and then the data of the tensors in the same order, each padded with
 * zeros to a multiple of GGUF_ALIGNMENT.
 */
#ifndef VKCLIP_FORMAT_GGUF_WRITE_H
#define VKCLIP_FORMAT_GGUF_WRITE_H

#include "format/gguf.h"

#define GGUF_ALIGNMENT 32

/* The caller begins with a struct of zeros. Running out of memory is remembered, and gguf_finish
 * reports it. */
struct gguf_head {
    uint8_t *data; /* values and descriptions */
    size_t size, capacity;
    uint64_t value_count, tensor_count;
    uint64_t data_end; /* where the data of the tensors described so far end */
    bool failed;
};

void gguf_put_size(struct gguf_head *head, const char *key, uint32_t value);
void gguf_put_number(struct gguf_head *head, const char *key, float value);
void gguf_put_flag(struct gguf_head *head, const char *key, bool value);
void gguf_put_text(struct gguf_head *head, const char *key, const char *value);
void gguf_put_numbers(struct gguf_head *head, const char *key, const float *values, size_t count);
void gguf_put_texts(struct gguf_head *head, const char *key, const char *const *values,
                    size_t count);

/* Describes the tensor whose data come next. All values must be put before the first tensor. */
void gguf_put_tensor(struct gguf_head *head, const struct tensor_view *tensor);

/* Gives the complete head in new memory, padded so that the data of the tensors can follow it.
 * Frees what `head` owns, also after an error. */
int gguf_finish(struct gguf_head *head, uint8_t **data, size_t *size);

#endif
