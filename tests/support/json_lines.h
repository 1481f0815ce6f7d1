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
    char *path = golden_path(file), *line = NULL;
    FILE *stream = path ? fopen(path, "r") : NULL;
    size_t capacity = 0;
    json_t *lines = json_array();
    assert_non_null(stream);
    while (getline(&line, &capacity, stream) > 0)
        assert_int_equal(json_array_append_new(lines, json_loads(line, JSON_ALLOW_NUL, NULL)), 0);
    assert_true(json_array_size(lines) > 0);
    fclose(stream);
    free(line);
    free(path);
    return lines;
}

#endif
