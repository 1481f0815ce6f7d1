/* SPDX-License-Identifier: MIT
 *
 * Opens data sets and looks at their samples, and keeps the last warning.
 */
#ifndef VKCLIP_TESTS_SUPPORT_OPEN_DATASET_H
#define VKCLIP_TESTS_SUPPORT_OPEN_DATASET_H

#include "base/string.h"
#include "data/dataset.h"
#include "support/scratch.h"

/* The program frees it, and sets keep_warning with vkclip_set_log. */
static char *last_warning;

static inline void keep_warning(void *user, enum vkclip_log_level level, const char *text)
{
    (void)user;
    if (level != VKCLIP_LOG_WARNING)
        return;
    free(last_warning);
    last_warning = string_format("%s", text);
}

static inline int open_file(const char *folder, const char *name,
                            const struct dataset_params *params, struct dataset **dataset)
{
    char *path = scratch_path(folder, name);
    int error = dataset_open((const char *const *)&path, 1, params, dataset);
    if (error)
        assert_null(*dataset);
    free(path);
    return error;
}

static inline void assert_name(const struct dataset *dataset, size_t sample, const char *folder,
                               const char *name)
{
    char *path = dataset_name(dataset, sample), *expected = string_format("%s%s", folder, name);
    assert_string_equal(path, expected);
    free(path);
    free(expected);
}

static inline void assert_captions(const struct dataset *dataset, size_t sample, const char *first,
                                   const char *second)
{
    const struct dataset_sample *info = &dataset->samples[sample];
    assert_int_equal(info->count, second ? 2 : 1);
    assert_string_equal(dataset->captions[info->caption], first);
    if (second)
        assert_string_equal(dataset->captions[info->caption + 1], second);
}

#endif
