/* SPDX-License-Identifier: MIT
 *
 * Reads PyTorch's checkpoints (.pt, .pth, .bin): the named tensors in the zip archives of
 * torch.save and of TorchScript. A file is mapped and its tensors are views into the mapping; only
 * tensors that are stored transposed are copied. Nothing in a file is run.
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
    char *run; /* the name of the training run that a checkpoint of OpenCLIP has; else NULL */
};

/* Tells whether the file is one of PyTorch's, even of a form that is refused. The first bytes
 * decide, or the name if the bytes fit no form. */
bool torch_pt_is_file(const struct file_source *source);

int torch_pt_open(const char *path, struct torch_pt **file);
int torch_pt_open_source(const struct file_source *source, struct torch_pt **file);
/* Parses a file in memory that outlives the result. Messages call the file `name`. */
int torch_pt_parse(const uint8_t *data, size_t size, const char *name, struct torch_pt **file);
void torch_pt_close(struct torch_pt **file);

#endif
