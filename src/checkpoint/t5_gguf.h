/* SPDX-License-Identifier: MIT
 *
 * Reads the configuration of a T5 in a GGUF file, as llama.cpp's converter and others write it. The
 * tensors tell all sizes, and values that contradict them are refused.
 */
#ifndef VKCLIP_CHECKPOINT_T5_GGUF_H
#define VKCLIP_CHECKPOINT_T5_GGUF_H

#include "format/gguf.h"
#include "model/config.h"

/* Tells whether a file has a T5, of which it may have the encoder alone. */
bool t5_gguf_is_file(const struct gguf *file);

/* Compares the values of a file with a configuration that was read from its tensors, and sets what
 * they do not tell. */
int t5_gguf_read(const struct gguf *file, struct config *config);

#endif
