/* SPDX-License-Identifier: MIT
 *
 * A post-processor is a template with one token after the text and at most one before it, or the
 * older BertProcessing and RobertaProcessing, which name the two.
 */
#include "text/tokenizer_json.h"
#include "base/array.h"
#include "base/error.h"
#include "format/json.h"

#include <string.h>

int tokenizer_json_refuse(const char *path, const char *part, const json_t *value,
                          const char *expected)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    return error_fail(VKCLIP_EUNSUPPORTED, "%s: %s \"%.40s\" is not known, expected %s", path, part,
                      type ? type : "", expected);
}

int tokenizer_json_added(const char *path, size_t number, const json_t *entry, size_t room,
                         const char **text, struct added_token *token)
{
    const json_t *value = json_object_get(entry, "id");
    const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    *text = json_string_value(json_object_get(entry, "content"));
    const size_t length = *text ? strlen(*text) : 0;
    if (!length || length > ADDED_TOKEN_SIZE || id < 0 || (uint64_t)id >= room ||
        json_is_true(json_object_get(entry, "single_word")))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: added token %zu: expected a text of 1 to %d bytes that need not be "
                          "a whole word, and an id below %zu",
                          path, number, ADDED_TOKEN_SIZE, room);
    *token = (struct added_token){
        .id = (int32_t)id,
        .normalized = json_is_true(json_object_get(entry, "normalized")),
        .strips_left = json_is_true(json_object_get(entry, "lstrip")),
        .strips_right = json_is_true(json_object_get(entry, "rstrip")),
        .special = json_is_true(json_object_get(entry, "special")),
    };
    return VKCLIP_OK;
}

int tokenizer_json_check_merges(const char *path, const json_t *model)
{
    static const char *const absent[] = {"dropout", "continuing_subword_prefix",
                                         "end_of_word_suffix"};
    for (size_t i = 0; i < ARRAY_COUNT(absent); i++) {
        const json_t *value = json_object_get(model, absent[i]);
        const bool empty = json_is_string(value) && !json_string_length(value);
        if (value && !json_is_null(value) && !empty)
            return error_fail(VKCLIP_EUNSUPPORTED, "%s: model.%s: expected none", path, absent[i]);
    }
    if (json_is_true(json_object_get(model, "ignore_merges")))
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: model.ignore_merges: expected false", path);
    if (!json_is_object(json_object_get(model, "vocab")) ||
        !json_is_array(json_object_get(model, "merges")))
        return error_fail(VKCLIP_EFORMAT, "%s: model has no vocab, or no list of merges", path);
    return VKCLIP_OK;
}

/* ---- The post-processor ---------------------------------------------------------------------- */

/* Reads the id of a token of the template. */
static int read_special(const char *path, const json_t *post, const char *text, size_t count,
                        int32_t *id)
{
    const json_t *token = json_object_get(json_object_get(post, "special_tokens"), text);
    const json_t *ids = json_object_get(token, "ids");
    const json_int_t value = json_integer_value(json_array_get(ids, 0));
    if (json_array_size(ids) != 1 || value < 0 || (uint64_t)value >= count)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: post_processor: expected one id below %zu for the token \"%.40s\"",
                          path, count, text);
    *id = (int32_t)value;
    return VKCLIP_OK;
}

/* Reads the two tokens that a BertProcessing or RobertaProcessing names. */
static int read_pair(const char *path, json_t *post, size_t count, int32_t *start, int32_t *end)
{
    const char *text;
    json_int_t first = -1, last = -1;
    json_unpack(post, "{s:[sI],s:[sI]}", "cls", &text, &first, "sep", &text, &last);
    if (first < 0 || (uint64_t)first >= count || last < 0 || (uint64_t)last >= count)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: post_processor: expected cls and sep with ids below "
                          "%zu",
                          path, count);
    *start = (int32_t)first;
    *end = (int32_t)last;
    return VKCLIP_OK;
}

int tokenizer_json_ends(const char *path, const json_t *root, size_t count, int32_t *start,
                        int32_t *end)
{
    json_t *post = json_object_get(root, "post_processor");
    json_t *single = json_object_get(post, "single");
    const json_t *type = json_object_get(post, "type");
    const char *before = NULL, *after = NULL, *text;
    if (json_is_text(type, "BertProcessing") || json_is_text(type, "RobertaProcessing"))
        return read_pair(path, post, count, start, end);
    const bool plain = !json_unpack(single, "[{s:{s:s}},{s:{s:s}}!]", "Sequence", "id", &text,
                                    "SpecialToken", "id", &after);
    const bool begun =
        !plain && !json_unpack(single, "[{s:{s:s}},{s:{s:s}},{s:{s:s}}!]", "SpecialToken", "id",
                               &before, "Sequence", "id", &text, "SpecialToken", "id", &after);
    *start = -1;
    if (!plain && !begun)
        return tokenizer_json_refuse(path, "post_processor", post,
                                     "a template with one token after the text and at most one "
                                     "before it");
    int error = read_special(path, post, after, count, end);
    if (!error && begun)
        error = read_special(path, post, before, count, start);
    return error;
}
