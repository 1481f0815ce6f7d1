/* SPDX-License-Identifier: MIT
 *
 * The configuration inside clip.cpp's GGUF files. Every value that decides a result must be there.
 * Refused are files whose image tower feeds a language model.
 */
#ifndef VKCLIP_CHECKPOINT_CLIP_CPP_H
#define VKCLIP_CHECKPOINT_CLIP_CPP_H

#include "format/gguf.h"
#include "model/config.h"

/* Reads the towers, except for the size of the vocabulary, which only the token table has. */
int clip_cpp_read(const struct gguf *file, struct config *config);

/* The logit scale as a tensor: the files that `vkclip convert` writes have it as a value, because
 * clip.cpp knows no tensor of that name. *found is false in the files of others. */
int clip_cpp_find_logit_scale(const struct gguf *file, struct tensor_view *view, bool *found);

#endif
