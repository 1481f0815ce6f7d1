/* SPDX-License-Identifier: MIT
 *
 * Compares the ids of unigram tokenizers with the references: SentencePiece for spiece.model and
 * the `tokenizers` library for tokenizer.json. The smallest vocabulary is among the tests; the
 * others are read if the larger reference data is present.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "support/scratch.h"
#include "text/tokenizer.h"

#include <jansson.h>

static const char *const models[] = {"t5-small", "t5", "mt5", "umt5"};

/* The keys of a file's ids, in the order in which they are looked for. */
static const struct {
    const char *file;
    const char *keys[4];
} forms[] = {
    {"spiece.model", {"ids_spm"}},
    {"tokenizer.json", {"ids_hf", "ids_spm"}},
    {"tokenizer_metaspace.json", {"ids_hf_metaspace", "ids_hf", "ids_spm"}},
};

/* Returns the path of a file of the reference data of tokenizers, or NULL. */
static char *data_path(const char *format, const char *name, const char *file)
{
    char *relative = string_format(format, name, file);
    char *path = golden_path(relative);
    free(relative);
    return path;
}

static json_t *expected_ids(const json_t *item, const char *const *keys)
{
    json_t *ids = NULL;
    for (; !ids && *keys; keys++)
        ids = json_object_get(item, *keys);
    assert_non_null(ids);
    return ids;
}

static void compare_ids(const struct tokenizer *tokenizer, const json_t *item,
                        const json_t *expected, const char *path)
{
    const json_t *text = json_object_get(item, "text");
    const size_t length = json_string_length(text);
    size_t count, again;
    assert_int_equal(tokenizer_encode(tokenizer, json_string_value(text), length, NULL, 0, &count),
                     0);
    int32_t *ids = malloc(count * sizeof(*ids));
    assert_int_equal(
        tokenizer_encode(tokenizer, json_string_value(text), length, ids, count, &again), 0);
    assert_int_equal(again, count);
    bool same = count == json_array_size(expected);
    for (size_t i = 0; same && i < count; i++)
        same = json_integer_value(json_array_get(expected, i)) == ids[i];
    if (!same)
        fail_msg("%s: other ids for \"%s\"", path, json_string_value(text));
    free(ids);
}

/* Compares the ids of all cases. Returns their number. */
static size_t compare_cases(const struct tokenizer *tokenizer, const char *cases,
                            const char *const *keys, const char *path)
{
    FILE *stream = fopen(cases, "r");
    char *line = NULL;
    size_t capacity = 0, count = 0;
    assert_non_null(stream);
    for (; getline(&line, &capacity, stream) > 0; count++) {
        json_t *item = json_loads(line, JSON_ALLOW_NUL, NULL);
        compare_ids(tokenizer, item, expected_ids(item, keys), path);
        json_decref(item);
    }
    free(line);
    fclose(stream);
    return count;
}

static void test_ids(void **state)
{
    (void)state;
    for (size_t m = 0; m < ARRAY_COUNT(models); m++)
        for (size_t f = 0; f < ARRAY_COUNT(forms); f++) {
            char *cases = data_path("conditioning/tokenizers/%s_cases.jsonl%s", models[m], "");
            char *path = data_path("conditioning/tokenizers/%s/%s", models[m], forms[f].file);
            struct tokenizer *tokenizer = NULL;
            if (cases && path) {
                if (tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer))
                    fail_msg("%s", vkclip_last_error());
                assert_int_equal(tokenizer_start(tokenizer), -1);
                assert_int_equal(tokenizer_end(tokenizer), 1);
                assert_int_equal(tokenizer_pad(tokenizer), 0);
                assert_int_equal(tokenizer_context(tokenizer), 0);
                assert_int_equal(compare_cases(tokenizer, cases, forms[f].keys, path), 443);
            } else if (!cases) {
                print_message("skipped: reference data of %s is not here\n", models[m]);
            }
            tokenizer_close(&tokenizer);
            free(cases);
            free(path);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
