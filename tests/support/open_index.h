/* SPDX-License-Identifier: MIT
 *
 * Opens a device and a model once for all tests of a program, and an index in a scratch folder for
 * each test.
 */
#ifndef VKCLIP_TESTS_SUPPORT_OPEN_INDEX_H
#define VKCLIP_TESTS_SUPPORT_OPEN_INDEX_H

#include "support/open_device.h"
#include "support/pictures.h"
#include "support/scratch.h"

#define MODEL "models/emoji-clip"

static struct vkclip_model *model;

static inline int open_all(void **state)
{
    struct vkclip_model_params params = {.size = sizeof(params), .max_batch = 8};
    open_device(state);
    assert_int_equal(vkclip_open_model(device, MODEL, &params, &model), 0);
    return 0;
}

static int close_all(void **state)
{
    vkclip_close_model(&model);
    return close_device(state);
}

static int count_failure(void *user, const char *path, int error, const char *message)
{
    ++*(size_t *)user;
    assert_true(error < 0 && *message && !strchr(message, '\n'));
    assert_true(path[0] == '/');
    return 0;
}

static struct vkclip_update_result update(struct vkclip_index *index, const char *path,
                                          size_t *failures)
{
    struct vkclip_update_params params = {
        .size = sizeof(params), .failure = count_failure, .user = failures};
    struct vkclip_update_result result = {.size = sizeof(result)};
    *failures = 0;
    if (vkclip_index_paths(index, model, &path, 1, &params, &result))
        fail_msg("%s: %s", path, vkclip_last_error());
    return result;
}

static struct vkclip_index *open_index(const char *folder)
{
    char *path = scratch_path(folder, "index.db");
    const struct vkclip_index_params params = {.size = sizeof(params), .path = path};
    struct vkclip_index *index;
    assert_int_equal(vkclip_open_index(&params, &index), 0);
    free(path);
    return index;
}

#endif
