/* SPDX-License-Identifier: MIT
 *
 * Reads reference data in the form of JSON Lines, one case per line.
 */
#ifndef VKCLIP_TESTS_SUPPORT_JSON_LINES_H
#define VKCLIP_TESTS_SUPPORT_JSON_LINES_H

#include "support/testing.h"

#include <jansson.h>

/* Reads the lines of a file of the reference data, which must be there, as an array. */
static inline json_t *read_lines(const char *file)
{
    char *path = golden_path(file), *text, *line;
    size_t size, length;
    json_t *lines = json_array();
    assert_non_null(path);
    assert_int_equal(file_read(path, SIZE_MAX - 1, &text, &size), VKCLIP_OK);
    for (line = text; *line; line += length + 1) {
        length = strcspn(line, "\n");
        line[length] = 0;
        assert_int_equal(json_array_append_new(lines, json_loads(line, JSON_ALLOW_NUL, NULL)), 0);
    }
    assert_true(json_array_size(lines) > 0);
    free(text);
    free(path);
    return lines;
}

#endif
