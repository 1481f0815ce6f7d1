/* SPDX-License-Identifier: MIT
 *
 * This module knows the Python functions and classes that PyTorch's checkpoints name. None is
 * imported or called: a pickle that names one of them gets what the call would have made, or for
 * harmless objects that hold no tensors nothing at all, and a pickle that names anything else is
 * refused.
 */
#ifndef VKCLIP_FORMAT_TORCH_GLOBALS_H
#define VKCLIP_FORMAT_TORCH_GLOBALS_H

#include "format/tensor_view.h"

enum torch_global_kind {
    GLOBAL_ORDERED_DICT,
    GLOBAL_TENSOR,
    GLOBAL_FIRST, /* a call gives its first argument */
    GLOBAL_DTYPE,
    GLOBAL_STORAGE,
    GLOBAL_CLASS, /* a class whose objects are their state: TorchScript's and ParameterDict */
    GLOBAL_INERT, /* whatever is made of it is an object without content */
};

struct torch_global {
    const char *name; /* module, '.', name in the module */
    enum torch_global_kind kind;
    enum dtype dtype; /* of GLOBAL_DTYPE and GLOBAL_STORAGE */
};

/* Finds the global of a module and a name, which are not terminated. Returns NULL if the table has
 * no such global. */
const struct torch_global *torch_globals_find(const char *module, size_t module_length,
                                              const char *name, size_t name_length);

#endif
