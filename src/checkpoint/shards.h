/* SPDX-License-Identifier: MIT
 *
 * A checkpoint in several files, safetensors or PyTorch's, with an index that says which tensor is
 * in which. Only weights.c calls this.
 */
#ifndef VKCLIP_CHECKPOINT_SHARDS_H
#define VKCLIP_CHECKPOINT_SHARDS_H

#include "format/safetensors.h"
#include "format/torch_pt.h"

/* One of the files; of these, what its format needs. */
struct weights_shard {
    struct safetensors *safetensors;
    struct torch_pt *torch_pt;
};

struct weights_index {
    struct weights_shard *files;
    size_t file_count;
    struct tensor_view *views; /* those that the index names, by name; owned by the files */
    size_t count;
};

/* Whether the path is that of an index, by its name. */
bool weights_index_is(const char *path);

/* Opens all files of a model.safetensors.index.json or a pytorch_model.bin.index.json. On error
 * nothing is left open. */
int weights_index_open(const char *path, struct weights_index *index);
void weights_index_close(struct weights_index *index);
/* Path of one of its files. */
const char *weights_index_path(const struct weights_index *index, size_t file);

#endif
