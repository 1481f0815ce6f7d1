/* SPDX-License-Identifier: MIT
 *
 * Opens a checkpoint in several files of safetensors or PyTorch, with an index that says which
 * tensor is in which file. Only weights.c calls this.
 */
#ifndef VKCLIP_CHECKPOINT_SHARDS_H
#define VKCLIP_CHECKPOINT_SHARDS_H

#include "format/tensor_view.h"

struct safetensors;
struct torch_pt;

/* One open file. The member of its format is set, the other is NULL. */
struct shard {
    struct safetensors *safetensors;
    struct torch_pt *torch_pt;
};

struct shards {
    struct shard *files;
    size_t file_count;
    struct tensor_view *views; /* of the tensors that the index names, sorted by name */
    size_t count;
};

/* Tells whether a file's name is that of an index. */
bool shards_is_index(const char *path);

/* Opens all files of a model.safetensors.index.json or a pytorch_model.bin.index.json. After an
 * error nothing is left open. */
int shards_open(const char *path, struct shards *shards);
void shards_close(struct shards *shards);
/* Returns the path of file number `index`. */
const char *shards_path(const struct shards *shards, size_t index);

#endif
