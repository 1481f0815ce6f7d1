/* SPDX-License-Identifier: MIT
 *
 * Tells by a file's first bytes what it is instead of weights.
 */
#include "checkpoint/content.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"

int content_check(const char *path)
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
    FILE *file = file_exists(path) ? fopen(path, "rb") : NULL;
    if (!file) /* The reader of its format says why it cannot be opened. */
        return VKCLIP_OK;
    const size_t size = fread(begin, 1, sizeof(begin) - 1, file);
    const bool failed = ferror(file) != 0;
    fclose(file);
    if (!size && !failed)
        return error_fail(VKCLIP_EFORMAT, "%s: is empty, expected weights: fetch the file again",
                          path);
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (string_begins_with(begin, others[i].begin))
            return error_fail(VKCLIP_EFORMAT, "%s: expected weights, found %s", path,
                              others[i].what);
    return VKCLIP_OK;
}
