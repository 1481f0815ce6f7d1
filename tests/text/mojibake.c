/* SPDX-License-Identifier: MIT
 *
 * Compares the repair of mojibake with ftfy 6.3.1: texts in ten encodings, some of which have lost
 * bytes, and texts of the same characters that must stay.
 */
#define _GNU_SOURCE
#include "support/json_lines.h"
#include "text/mojibake.h"

#include <time.h>

enum { CASES = 260, REPAIRED = 151 };

static void test_cases(void **state)
{
    (void)state;
    json_t *lines = read_lines("mojibake/cases.jsonl"), *line;
    size_t i, repaired = 0;
    json_array_foreach (lines, i, line) {
        const json_t *before = json_object_get(line, "text");
        const json_t *expected = json_object_get(line, "fixed");
        struct code_points text = {0};
        code_points_push_utf8(&text, json_string_value(before), json_string_length(before));
        mojibake_fix(&text);
        char *found = code_points_utf8(&text);
        assert_non_null(found);
        assert_string_equal(found, json_string_value(expected));
        repaired += !json_equal(before, expected);
        free(found);
        code_points_free(&text);
    }
    assert_int_equal(i, CASES);
    assert_int_equal(repaired, REPAIRED);
    json_decref(lines);
}

/* A long text takes time in proportion to its length, whether it is UTF-8 in another encoding
 * everywhere, in parts, or looks like it. */
static void test_long_texts(void **state)
{
    (void)state;
    static const char *const parts[] = {"\xc3\x83\xc2\xa9", "\xc3\x83\xc2\xa9\xe7\x8c\xab",
                                        "\xc3\x83\xc3\x83\xc2\xa9", "\xc3\x90\xc2\xb0 "};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct code_points text = {0};
        for (int k = 0; k < 40000; k++)
            code_points_push_utf8(&text, parts[i], strlen(parts[i]));
        const clock_t start = clock();
        mojibake_fix(&text);
        assert_false(text.failed);
        /* It takes 0.1 s without sanitizers. */
        assert_true(clock() - start < 20 * CLOCKS_PER_SEC);
        code_points_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_long_texts),
    };
    return cmocka_run_group_tests_name("mojibake", tests, NULL, NULL);
}
