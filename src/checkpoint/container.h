/* SPDX-License-Identifier: MIT
 *
 * Opens a file of tensors in any format, or the index of several files, and lists its tensors. Only
 * this module knows which format a list came from.
 */
#ifndef VKCLIP_CHECKPOINT_CONTAINER_H
#define VKCLIP_CHECKPOINT_CONTAINER_H

#include "checkpoint/shards.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "format/torch_pt.h"

struct container {
    struct safetensors *safetensors; /* Only the member of the file's own format is set. */
    struct shards shards;
    struct gguf *gguf;
    struct torch_pt *torch_pt;
    struct tensor_view *views; /* copies, sorted by name; the format owns names and data */
    size_t count;
};

/* The content tells the format, except that an index is recognised by its name, and only at a path.
 * After an error nothing is left open. */
int container_open(const char *path, struct container *container);
int container_open_source(const struct file_source *source, struct container *container);
void container_close(struct container *container);

#endif
