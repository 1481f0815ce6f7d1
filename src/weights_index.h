/* SPDX-License-Identifier: MIT
 *
 * A checkpoint in several safetensors files with an index that says which tensor is in which. Only
 * weights.c calls this.
 */
#ifndef VKCLIP_WEIGHTS_INDEX_H
#define VKCLIP_WEIGHTS_INDEX_H

#include "safetensors.h"

struct weights_index {
    struct safetensors **files;
    size_t file_count;
    struct tensor_view *views; /* those that the index names, by name; owned by the files */
    size_t count;
};

/* Whether the path is that of an index, by its name. */
bool weights_index_is(const char *path);

/* Opens all files of a model.safetensors.index.json. On error nothing is left open. */
int weights_index_open(const char *path, struct weights_index *index);
void weights_index_close(struct weights_index *index);

#endif
