/* SPDX-License-Identifier: MIT
 *
 * Compares a unigram tokenizer with the reference's ids of many texts.
 */
#ifndef VKCLIP_TESTS_TEXT_UNIGRAM_CASES_H
#define VKCLIP_TESTS_TEXT_UNIGRAM_CASES_H

#include "support/json_lines.h"
#include "text/tokenizer.h"

enum { UNIGRAM_CASES = 443 };

/* Compares the ids of one text. Messages name the tokenizer by `path`. */
static inline void compare_unigram_ids(const struct tokenizer *tokenizer, const json_t *text,
                                       const json_t *expected, const char *path)
{
    const char *string = json_string_value(text);
    const size_t length = json_string_length(text);
    size_t count, again;
    assert_int_equal(tokenizer_encode(tokenizer, string, length, NULL, 0, &count), 0);
    int32_t *ids = malloc(count * sizeof(*ids));
    assert_int_equal(tokenizer_encode(tokenizer, string, length, ids, count, &again), 0);
    bool same = again == count && count == json_array_size(expected);
    for (size_t i = 0; same && i < count; i++)
        same = json_integer_value(json_array_get(expected, i)) == ids[i];
    if (!same)
        fail_msg("%s: other ids for \"%s\"", path, string);
    free(ids);
}

/* Compares the ids of all cases of a file of the reference data. A case's ids are those of its
 * first key among `keys`, a list that ends with NULL. */
static inline void compare_unigram_cases(const struct tokenizer *tokenizer, const char *file,
                                         const char *const *keys, const char *path)
{
    json_t *cases = read_lines(file), *item;
    size_t i;
    json_array_foreach (cases, i, item) {
        json_t *expected = NULL;
        for (size_t k = 0; !expected && keys[k]; k++)
            expected = json_object_get(item, keys[k]);
        assert_non_null(expected);
        compare_unigram_ids(tokenizer, json_object_get(item, "text"), expected, path);
    }
    assert_int_equal(i, UNIGRAM_CASES);
    json_decref(cases);
}

#endif
