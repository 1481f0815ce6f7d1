/* SPDX-License-Identifier: MIT
 *
 * Takes off what training programs put before the names of a model's tensors: the keys of the dicts
 * in which a state dict lies, and the modules that wrap a model. One list of words serves the files
 * of every format. Refuses to choose between several sets of weights in one file, as a model and
 * its moving average are.
 */
#ifndef VKCLIP_CHECKPOINT_PREFIXES_H
#define VKCLIP_CHECKPOINT_PREFIXES_H

#include "format/tensor_view.h"

/* Removes the words with which all names begin. */
void prefixes_remove_common(struct tensor_view *views, size_t count);

/* Keeps the set of weights that the caller names by its prefix, "." for the one without, or else
 * the only set of the file, and removes its prefix from the names. Wrappers within names are
 * removed too; such names are new, and lie in *names, which the caller frees after the views.
 * `path` is the file that messages name, and `gguf` tells whether it is a GGUF file. Fails with
 * EABSENT if there is no such set, and with EINVALID if there are several. The views stay sorted by
 * name. */
int prefixes_choose_set(const char *path, const char *wanted, bool gguf, struct tensor_view *views,
                        size_t *count, char **names);

#endif
