/* SPDX-License-Identifier: MIT
 *
 * Lists what a pass searches, and compares it with itself, so that nothing is searched twice.
 */
#include "search/roots.h"
#include "base/memory.h"
#include "base/string.h"
#include "search/walk.h"

#include <string.h>

void roots_free(struct roots *roots)
{
    for (size_t i = 0; i < roots->count; i++)
        memory_free(roots->items[i].path);
    memory_free(roots->items);
    *roots = (struct roots){0};
}

/* Adds a root and takes the path over. */
static int add_root(struct roots *roots, char *path)
{
    struct root *larger = memory_realloc(roots->items, (roots->count + 1) * sizeof(*larger));
    if (larger)
        roots->items = larger;
    if (!larger || !path) {
        memory_free(path);
        return error_fail(VKCLIP_EMEMORY, "out of memory for a list of folders");
    }
    struct root *root = &larger[roots->count++];
    struct file_status status;
    *root = (struct root){.path = path};
    root->exists = file_status(path, &status);
    root->folder = root->exists && status.kind == FILE_KIND_FOLDER;
    return VKCLIP_OK;
}

static int add_known_root(void *user, const char *path)
{
    return add_root(user, string_format("%s", path));
}

static int see_known_root(void *user, const char *path)
{
    struct roots *roots = user;
    for (size_t i = 0; i < roots->count; i++)
        roots->items[i].known |= !strcmp(roots->items[i].path, path);
    return 0;
}

/* A hidden folder, or a file whose name is no picture's, is found only if it is named. */
static void compare_roots(struct root *root, const struct root *other)
{
    root->below |= walk_is_below(root->path, other->path);
    root->covered |= walk_finds(root->path, other->path) &&
                     (!root->exists || root->folder || walk_is_picture(root->path));
}

int roots_list(struct vkclip_index *index, const char *const *paths, size_t count,
               struct roots *roots)
{
    struct store *store = index->store;
    uint64_t files = 0;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < count && !error; i++)
        error = add_root(roots, walk_make_absolute(paths[i]));
    if (!count)
        error = store->read->each_root(store, add_known_root, roots);
    if (!error && !count)
        error = store->write->count_below(store, "/", &files);
    if (!error && !roots->count && !files)
        error =
            error_fail(VKCLIP_EINVALID, "%s: has no folders or files yet: name some", index->path);
    if (!error)
        error = store->read->each_root(store, see_known_root, roots);
    for (size_t i = 0; i < roots->count && !error; i++) {
        struct root *root = &roots->items[i];
        for (size_t j = 0; j < roots->count; j++)
            if (j < i || (j > i && strcmp(root->path, roots->items[j].path) != 0))
                compare_roots(root, &roots->items[j]);
        if (!root->exists)
            error = store->write->count_below(store, root->path, &files);
        if (!error && !root->exists && !root->known && !files)
            error = error_fail(VKCLIP_EINVALID, "%s: no such file or folder", paths[i]);
    }
    return error;
}
