/* SPDX-License-Identifier: MIT
 *
 * Learns a vocabulary from files of texts and writes it to a folder.
 */
#ifndef VKCLIP_TEXT_LEARN_H
#define VKCLIP_TEXT_LEARN_H

#include "vkclip.h"

/* Counts the words of all files, learns merges until the vocabulary is as large as `params` say,
 * and writes vocab.json and merges.txt to `folder`, which is new or empty. `params` must not be
 * NULL, `result` may be. */
int learn_tokenizer(const char *const *paths, size_t count,
                    const struct vkclip_tokenizer_params *params, const char *folder,
                    struct vkclip_tokenizer_result *result);

#endif
