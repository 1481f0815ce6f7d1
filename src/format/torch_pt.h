/* SPDX-License-Identifier: MIT
 *
 * PyTorch checkpoints (.pt, .bin, .pth): the zip archives of torch.save and of TorchScript, from
 * which it takes the named tensors. Reads by mapping: tensors are views into the file, only those
 * that are stored transposed are copied. Nothing in a file is run.
 */
#ifndef VKCLIP_FORMAT_TORCH_PT_H
#define VKCLIP_FORMAT_TORCH_PT_H

#include "base/file.h"
#include "format/tensor_view.h"

struct torch_pt {
    char *path;
    struct file_map map;
    struct tensor_view *tensors; /* sorted by name; the names are their own */
    size_t count;
};

/* Whether the file is one of PyTorch's, also of a form that is refused: by its first bytes, and
 * where they say nothing, by its name. */
bool torch_pt_is_file(const char *path);

int torch_pt_open(const char *path, struct torch_pt **file);
/* The same on memory that outlives the result; `name` is used in messages. */
int torch_pt_parse(const uint8_t *data, size_t size, const char *name, struct torch_pt **file);
void torch_pt_close(struct torch_pt **file);

#endif
