/* SPDX-License-Identifier: MIT */
#include "server/strict_json.h"
#include "base/error.h"

/* An archive of 10,000 pictures is the request with the most values. */
enum { MOST_DEPTH = 64, MOST_VALUES = 200000 };

/* Looks at brackets and commas alone: whether the text is JSON at all is for the parser to say. */
static int check_limits(const char *text, size_t size)
{
    size_t depth = 0, values = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (in_string) {
            in_string = text[i] != '"';
            i += text[i] == '\\'; /* The next character ends no string. */
            continue;
        }
        in_string = text[i] == '"';
        values += text[i] == ',' || text[i] == '[' || text[i] == '{';
        depth += text[i] == '[' || text[i] == '{';
        depth -= depth && (text[i] == ']' || text[i] == '}');
        if (depth > MOST_DEPTH)
            return error_fail(VKCLIP_EINVALID,
                              "JSON: expected at most %d levels of arrays and objects", MOST_DEPTH);
        if (values > MOST_VALUES)
            return error_fail(VKCLIP_EINVALID, "JSON: expected at most %d values", MOST_VALUES);
    }
    return VKCLIP_OK;
}

int strict_json_read(const char *text, size_t size, json_t **json)
{
    json_error_t problem;
    *json = NULL;
    if (!size)
        return error_fail(VKCLIP_EINVALID, "expected JSON, found nothing");
    const int error = check_limits(text, size);
    if (error)
        return error;
    *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    if (!*json)
        return error_fail(VKCLIP_EINVALID, "JSON, line %d, column %d: %s", problem.line,
                          problem.column, problem.text);
    return VKCLIP_OK;
}
