/* SPDX-License-Identifier: MIT
 *
 * Names the rules of CLIP's byte-pair encoding, of which there are two sets, and how OpenCLIP
 * cleans texts for other tokenizers.
 */
#ifndef VKCLIP_TEXT_TOKENIZER_RULES_H
#define VKCLIP_TEXT_TOKENIZER_RULES_H

/* Tokenizers of another kind than CLIP's ignore them. */
enum tokenizer_rules {
    TOKENIZER_BY_FILE, /* OpenAI's for its list of merges and GGUF, Hugging Face's for other files
                        */
    TOKENIZER_OPENAI,  /* ftfy, HTML unescaping, full lower case; the pad id is 0 */
    TOKENIZER_HF       /* what tokenizer.json says; the pad id is what tokenizer_config.json says */
};

/* Says what OpenCLIP does with a text before it goes to a tokenizer of transformers. */
enum tokenizer_cleaning {
    CLEANING_NONE,        /* It is not OpenCLIP. */
    CLEANING_WHITESPACE,  /* clean_fix */
    CLEANING_LOWER,       /* clean_openai */
    CLEANING_CANONICALIZE /* clean_canonicalize */
};

#endif
