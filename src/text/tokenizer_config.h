/* SPDX-License-Identifier: MIT
 *
 * Reads what Hugging Face's tokenizer_config.json, in the folder of a vocabulary, says of how the
 * vocabulary is used. The file may be missing.
 */
#ifndef VKCLIP_TEXT_TOKENIZER_CONFIG_H
#define VKCLIP_TEXT_TOKENIZER_CONFIG_H

#include "vkclip.h"

struct tokenizer_config {
    char class[64]; /* tokenizer_class without "Fast" at its end; "": it is not said */
    /* Values, each with whether the file has it. */
    bool lower, has_lower;           /* do_lower_case */
    bool ideographs, has_ideographs; /* tokenize_chinese_chars */
    bool accents, has_accents;       /* strip_accents */
    bool spaced, has_spaced;         /* add_prefix_space */
    bool plain;                      /* do_basic_tokenize is false */
};

/* Reads the file in the folder of `path`. */
int tokenizer_config_read(const char *path, struct tokenizer_config *config);

#endif
