/* SPDX-License-Identifier: MIT
 *
 * Other keys of the file are read elsewhere, or change nothing of the ids.
 */
#include "text/tokenizer_config.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"
#include "text/vocabulary_file.h"

#include <stdio.h>
#include <string.h>

static void take_class(const json_t *root, struct tokenizer_config *config)
{
    static const char fast[] = "Fast";
    const char *name = json_string_value(json_object_get(root, "tokenizer_class"));
    if (!name)
        return;
    size_t length = strlen(name);
    if (string_ends_with(name, fast))
        length -= strlen(fast);
    snprintf(config->class, sizeof(config->class), "%.*s", (int)length, name);
}

static void take_truth(const json_t *root, const char *key, bool *value, bool *present)
{
    const json_t *truth = json_object_get(root, key);
    *present = json_is_boolean(truth);
    *value = json_is_true(truth);
}

int tokenizer_config_read(const char *path, struct tokenizer_config *config)
{
    json_t *root = NULL;
    char *file = vocabulary_file_beside(path, "tokenizer_config.json");
    *config = (struct tokenizer_config){0};
    if (!file)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    int error = file_exists(file) ? vocabulary_file_read_settings(file, &root) : VKCLIP_OK;
    if (!error) {
        take_class(root, config);
        take_truth(root, "do_lower_case", &config->lower, &config->has_lower);
        take_truth(root, "tokenize_chinese_chars", &config->ideographs, &config->has_ideographs);
        take_truth(root, "strip_accents", &config->accents, &config->has_accents);
        take_truth(root, "add_prefix_space", &config->spaced, &config->has_spaced);
        config->plain = json_is_false(json_object_get(root, "do_basic_tokenize"));
    }
    json_decref(root);
    memory_free(file);
    return error;
}
