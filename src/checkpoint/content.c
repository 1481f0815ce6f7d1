/* SPDX-License-Identifier: MIT
 *
 * Tells by a file's first bytes what it is instead of weights.
 */
#include "checkpoint/content.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"

int content_check(const struct file_source *source)
{
    static const struct {
        const char *begin, *what;
    } others[] = {
        {"version https://git-lfs", "a pointer of Git LFS: 'git lfs pull' fetches the file itself"},
        {"<!DOCTYPE", "a web page: fetch the file itself"},
        {"<!doctype", "a web page: fetch the file itself"},
        {"<html", "a web page: fetch the file itself"},
    };
    char begin[32] = "";
    size_t size = sizeof(begin) - 1;
    if (!file_source_begin(source, begin, &size))
        return VKCLIP_OK; /* The reader of its format says why it cannot be opened. */
    if (!size)
        return error_fail(VKCLIP_EFORMAT, "%s: is empty, expected weights: fetch the file again",
                          source->name);
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (string_begins_with(begin, others[i].begin))
            return error_fail(VKCLIP_EFORMAT, "%s: expected weights, found %s", source->name,
                              others[i].what);
    return VKCLIP_OK;
}
