/* SPDX-License-Identifier: MIT
 *
 * Reads the configuration inside clip.cpp's GGUF files. Every value that decides a result must be
 * present. Refuses files whose image tower feeds a language model.
 */
#ifndef VKCLIP_CHECKPOINT_CLIP_CPP_H
#define VKCLIP_CHECKPOINT_CLIP_CPP_H

#include "format/gguf.h"
#include "model/config.h"

/* Reads the towers, except for the size of the vocabulary, which only the token table shows. */
int clip_cpp_read(const struct gguf *file, struct config *config);

/* Finds the logit scale as a tensor. Files that `vkclip convert` writes store it as a value,
 * because clip.cpp knows no tensor of that name. *found is false for files that other programs
 * wrote. */
int clip_cpp_find_logit_scale(const struct gguf *file, struct tensor_view *view, bool *found);

#endif
