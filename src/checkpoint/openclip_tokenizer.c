/* SPDX-License-Identifier: MIT
 *
 * Reads which tokenizer OpenCLIP uses for a model. Where text_cfg names one of transformers
 * (hf_tokenizer_name), its HFTokenizer cleans texts as tokenizer_kwargs say; else its own
 * SimpleTokenizer splits them. Settings that change ids in another way are refused.
 */
#include "checkpoint/openclip_tokenizer.h"
#include "base/array.h"

#include <string.h>

static const char *const cleanings[] = {[TEXT_CLEAN_WHITESPACE] = "whitespace",
                                        [TEXT_CLEAN_LOWER] = "lower",
                                        [TEXT_CLEAN_CANONICALIZE] = "canonicalize"};

static enum text_cleaning find_cleaning(const char *name)
{
    for (size_t i = 1; i < ARRAY_COUNT(cleanings); i++)
        if (!strcmp(name, cleanings[i]))
            return (enum text_cleaning)i;
    return TEXT_CLEAN_NONE;
}

const char *openclip_cleaning_name(enum text_cleaning cleaning)
{
    return cleanings[cleaning];
}

/* Refuses the settings that no tokenizer here has. */
static void check_settings(const struct section *settings, const struct config *config)
{
    static const char *const known[] = {"clean", "strip_sep_token", "context_length"};
    const char *key;
    json_t *value;
    json_object_foreach (settings->object, key, value) {
        size_t i = 0;
        while (i < ARRAY_COUNT(known) && strcmp(key, known[i]))
            i++;
        if (i == ARRAY_COUNT(known) && !json_is_null(value) && !json_is_false(value))
            section_refuse(settings, key, "clean, strip_sep_token and context_length only");
    }
    if (section_size(settings, "context_length", config->context) != config->context)
        section_refuse(settings, "context_length", "that of text_cfg");
}

void openclip_read_tokenizer(const struct section *text, struct config *config)
{
    const bool named = section_get(text, "hf_tokenizer_name");
    const struct section settings = section_child(text, "tokenizer_kwargs");
    const char *cleaning = section_text(&settings, "clean");
    const char *name = section_text(text, "hf_tokenizer_name");
    const enum text_cleaning otherwise = named ? TEXT_CLEAN_WHITESPACE : TEXT_CLEAN_LOWER;
    const enum text_cleaning found = *cleaning ? find_cleaning(cleaning) : otherwise;
    check_settings(&settings, config);
    config->strip_end = section_bool(&settings, "strip_sep_token", false);
    if (found == TEXT_CLEAN_NONE)
        section_refuse(&settings, "clean", "whitespace, lower or canonicalize");
    if (strlen(name) >= sizeof(config->tokenizer_name))
        section_wrong(text, "hf_tokenizer_name", "a shorter name");
    else
        strcpy(config->tokenizer_name, name);
    if (named)
        config->cleaning = found;
    else if (found != TEXT_CLEAN_LOWER)
        section_refuse(&settings, "clean", "lower, or hf_tokenizer_name");
    else if (config->strip_end)
        section_refuse(&settings, "strip_sep_token", "false, or hf_tokenizer_name");
}
