/* SPDX-License-Identifier: MIT
 *
 * Every test includes this file: it finds reference data, and includes cmocka after the headers
 * that cmocka needs.
 */
#ifndef VKCLIP_TESTS_SUPPORT_TESTING_H
#define VKCLIP_TESTS_SUPPORT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"
#include "vkclip.h"

/* Returns the path of a file of the reference data, a new string, from the first folder that has
 * it: that of VKCLIP_GOLDEN, tests/golden or ../shared/golden. Returns NULL if none has it. */
static inline char *golden_path(const char *relative)
{
    const char *roots[] = {getenv("VKCLIP_GOLDEN"), "tests/golden", "../shared/golden"};
    for (size_t i = 0; i < ARRAY_COUNT(roots); i++) {
        char *path = roots[i] ? string_format("%s/%s", roots[i], relative) : NULL;
        if (path && (file_exists(path) || folder_exists(path)))
            return path;
        free(path);
    }
    return NULL;
}

#endif
