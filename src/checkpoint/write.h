/* SPDX-License-Identifier: MIT
 *
 * Writes a model as a folder: configuration, weights in fp32, and the files of its tokenizer. A
 * model with a ViT gets Hugging Face's layout, unless it came in OpenCLIP's; a ModifiedResNet,
 * which Hugging Face does not know, gets OpenCLIP's. Values come from a callback, so that a trained
 * model is fetched from the device and a new one is computed, tensor by tensor. Refuses to replace
 * a configuration or tokenizer file that has other content.
 */
#ifndef VKCLIP_CHECKPOINT_WRITE_H
#define VKCLIP_CHECKPOINT_WRITE_H

#include "model/config.h"
#include "model/tensors.h"

/* Gives all values of tensor number `tensor`, in the order of its shape. */
typedef int checkpoint_read_fn(void *user, size_t tensor, float *values);

/* A model to be written; it owns nothing. */
struct checkpoint_source {
    const struct config *config;
    const struct model_tensor *tensors;
    size_t count;
    checkpoint_read_fn *read;
    void *user; /* is passed to `read` */
};

/* Writes the model into a folder that exists. Each file gets its name when all of it is written;
 * after an error the files that were new are removed again. */
int checkpoint_write(const struct checkpoint_source *source, const char *folder);

#endif
