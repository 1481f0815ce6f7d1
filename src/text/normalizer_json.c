/* SPDX-License-Identifier: MIT
 *
 * Reads the normalizer of a tokenizer.json. A step that is not among those here is refused by its
 * name, because without it a text would get other ids than those with which the model was trained.
 */
#include "base/array.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/memory.h"
#include "format/json.h"
#include "text/normalizer.h"

#include <string.h>

enum { STEPS_LIMIT = 16 }; /* SigLIP's files have six */

static int out_of_memory(const char *path)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
}

static int refuse(const char *path, const json_t *value, const char *expected)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    return error_fail(VKCLIP_EUNSUPPORTED, "%s: normalizer \"%.40s\" is not known, expected %s",
                      path, type ? type : "", expected);
}

/* Returns a truth value, or `otherwise` if there is none. */
static bool read_truth(const json_t *value, const char *key, bool otherwise)
{
    const json_t *truth = json_object_get(value, key);
    return json_is_boolean(truth) ? json_is_true(truth) : otherwise;
}

/* ---- The steps ------------------------------------------------------------------------------- */

static int read_precompiled(const char *path, const json_t *value, struct normalizer *normalizer,
                            struct normalizer_step *step)
{
    const char *text = json_string_value(json_object_get(value, "precompiled_charsmap"));
    const size_t failures = memory_failures();
    size_t size;
    step->apply = normalizer_precompiled;
    if (!text || normalizer->charsmap.units)
        return refuse(path, value, "one precompiled_charsmap");
    char *map = base64_decode(text, &size);
    if (memory_failures() > failures)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!map)
        return error_fail(VKCLIP_EFORMAT, "%s: precompiled_charsmap is not base64", path);
    int error = charsmap_open(map, size, path, &normalizer->charsmap);
    memory_free(map);
    return error;
}

static int read_strip(const char *path, const json_t *value, struct normalizer *normalizer,
                      struct normalizer_step *step)
{
    (void)path;
    (void)normalizer;
    step->apply = normalizer_strip;
    step->left = read_truth(value, "strip_left", true);
    step->right = read_truth(value, "strip_right", true);
    return VKCLIP_OK;
}

/* Reads a regex that is a list of characters in brackets, each of which may have a backslash before
 * it. Returns false for every other regex. */
static bool read_characters(const char *regex, struct code_points *characters)
{
    struct code_points codes = {0};
    code_points_push_utf8(&codes, regex, strlen(regex));
    const size_t end = codes.length ? codes.length - 1 : 0;
    bool good = end > 1 && codes.codes[0] == '[' && codes.codes[end] == ']';
    for (size_t i = 1; good && i < end; i++) {
        const bool escaped = codes.codes[i] == '\\' && ++i < end;
        const int32_t code = codes.codes[i];
        /* A letter or a digit behind a backslash is a class, and these characters without one mean
         * something else than themselves. */
        if (escaped)
            good = code < 0x80 && !strchr("0123456789", code) &&
                   !((code | 32) >= 'a' && (code | 32) <= 'z');
        else
            good = !strchr("\\]-^[&", code < 0x80 ? code : 'a');
        code_points_push(characters, code);
    }
    characters->failed |= codes.failed;
    code_points_free(&codes);
    return good;
}

static bool read_pattern(const json_t *pattern, struct normalizer_step *step)
{
    const char *text = json_string_value(json_object_get(pattern, "String"));
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    step->pattern = PATTERN_TEXT;
    if (text)
        code_points_push_utf8(&step->from, text, strlen(text));
    if (text || !regex)
        return text && *text;
    step->pattern = PATTERN_CHARACTERS;
    if (!strcmp(regex, " {2,}"))
        step->pattern = PATTERN_SPACES;
    else if (!strcmp(regex, "\\s+"))
        step->pattern = PATTERN_WHITE;
    else
        return read_characters(regex, &step->from);
    return true;
}

static int read_replace(const char *path, const json_t *value, struct normalizer *normalizer,
                        struct normalizer_step *step)
{
    const char *content = json_string_value(json_object_get(value, "content"));
    (void)normalizer;
    step->apply = normalizer_replace;
    if (!content || !read_pattern(json_object_get(value, "pattern"), step))
        return refuse(path, value,
                      "a text, the pattern \" {2,}\" for two or more spaces, \"\\s+\", or "
                      "characters in brackets");
    code_points_push_utf8(&step->content, content, strlen(content));
    return step->content.failed || step->from.failed ? out_of_memory(path) : VKCLIP_OK;
}

static int read_lowercase(const char *path, const json_t *value, struct normalizer *normalizer,
                          struct normalizer_step *step)
{
    (void)path;
    (void)value;
    (void)normalizer;
    step->apply = normalizer_lowercase;
    return VKCLIP_OK;
}

static int read_bert(const char *path, const json_t *value, struct normalizer *normalizer,
                     struct normalizer_step *step)
{
    (void)path;
    (void)normalizer;
    step->apply = normalizer_bert;
    step->clean = read_truth(value, "clean_text", true);
    step->ideographs = read_truth(value, "handle_chinese_chars", true);
    step->lowercase = read_truth(value, "lowercase", true);
    step->accents = read_truth(value, "strip_accents", step->lowercase);
    return VKCLIP_OK;
}

static int load_step(const char *path, const json_t *value, struct normalizer *normalizer)
{
    static const struct {
        const char *type;
        int (*read)(const char *path, const json_t *value, struct normalizer *normalizer,
                    struct normalizer_step *step);
    } rows[] = {{"Precompiled", read_precompiled},
                {"Strip", read_strip},
                {"Replace", read_replace},
                {"Lowercase", read_lowercase},
                {"BertNormalizer", read_bert}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (json_is_text(json_object_get(value, "type"), rows[i].type))
            return rows[i].read(path, value, normalizer, &normalizer->steps[normalizer->count++]);
    return refuse(path, value, "Precompiled, Strip, Replace, Lowercase or BertNormalizer");
}

/* ---- All together ---------------------------------------------------------------------------- */

int normalizer_load(const json_t *value, const char *path, struct normalizer *normalizer)
{
    const json_t *list = json_object_get(value, "normalizers");
    const bool sequence = json_is_text(json_object_get(value, "type"), "Sequence");
    const size_t count = sequence ? json_array_size(list) : 1;
    int error = VKCLIP_OK;
    *normalizer = (struct normalizer){0};
    if (!value || json_is_null(value))
        return VKCLIP_OK;
    if (count > STEPS_LIMIT)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %zu normalizers, expected at most %d", path,
                          count, STEPS_LIMIT);
    normalizer->steps = memory_calloc(count + 1, sizeof(*normalizer->steps));
    if (!normalizer->steps)
        return out_of_memory(path);
    for (size_t i = 0; i < count && !error; i++)
        error = load_step(path, sequence ? json_array_get(list, i) : value, normalizer);
    return error;
}

int normalizer_lower_first(const char *path, struct normalizer *normalizer)
{
    struct normalizer_step *steps = memory_calloc(normalizer->count + 1, sizeof(*steps));
    if (!steps)
        return out_of_memory(path);
    steps[0].apply = normalizer_lowercase;
    for (size_t i = 0; i < normalizer->count; i++)
        steps[i + 1] = normalizer->steps[i];
    memory_free(normalizer->steps);
    normalizer->steps = steps;
    normalizer->count++;
    return VKCLIP_OK;
}
