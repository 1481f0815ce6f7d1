/* SPDX-License-Identifier: MIT
 *
 * PyTorch's checkpoints (.pt, .pth, .bin): the named tensors in the zip archives of torch.save and
 * of TorchScript. A file is mapped and its tensors are views into the mapping; only those that are
 * stored transposed are copied. Nothing in a file is run.
 */
#ifndef VKCLIP_FORMAT_TORCH_PT_H
#define VKCLIP_FORMAT_TORCH_PT_H

#include "base/file.h"
#include "format/tensor_view.h"

struct torch_pt {
    char *path;
    struct file_map map;
    struct tensor_view *tensors; /* sorted by name; owns the names and the data of copies */
    size_t count;
};

/* Whether the file is one of PyTorch's, even of a form that is refused: by its first bytes, and if
 * they say nothing, by its name. */
bool torch_pt_is_file(const char *path);

int torch_pt_open(const char *path, struct torch_pt **file);
/* Parses a file in memory that outlives the result; messages call it `name`. */
int torch_pt_parse(const uint8_t *data, size_t size, const char *name, struct torch_pt **file);
void torch_pt_close(struct torch_pt **file);

#endif
