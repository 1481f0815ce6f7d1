/* SPDX-License-Identifier: MIT
 *
 * Writes a model as a folder: configuration, weights in fp32, and the tokenizer's files. A model
 * with a ViT gets Hugging Face's layout, unless it was read in OpenCLIP's; a ModifiedResNet, which
 * Hugging Face's library does not have, gets OpenCLIP's. A callback gives the values one tensor at
 * a time, so that trained values can come from the device and new ones can be computed. Refuses to
 * replace a configuration or tokenizer file that has other content.
 */
#ifndef VKCLIP_CHECKPOINT_WRITE_H
#define VKCLIP_CHECKPOINT_WRITE_H

#include "model/config.h"
#include "model/tensors.h"

/* Gives all values of tensor number `tensor`, in the order of its shape. */
typedef int checkpoint_read_fn(void *user, size_t tensor, float *values);

/* Describes a model to be written; owns nothing. */
struct checkpoint_source {
    const struct config *config;
    const struct model_tensor *tensors;
    size_t count;
    checkpoint_read_fn *read;
    void *user; /* first argument of `read` */
};

/* Writes the model into an existing folder. Each file gets its name when it is complete; after an
 * error the new files are removed. */
int checkpoint_write(const struct checkpoint_source *source, const char *folder);
/* Checks that a model can be written into an existing folder: that it is writable, and has no other
 * configuration or tokenizer and, unless `replaces`, no weights. Changes nothing. */
int checkpoint_check_folder(const struct config *config, const char *folder, bool replaces);

#endif
