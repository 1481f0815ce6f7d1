/* SPDX-License-Identifier: MIT
 *
 * Parses the names of models and finds them in the hub's cache. What a file of the cache says is
 * checked before it becomes part of a path, because other programs write to the cache too.
 */
#include "format/hub.h"
#include "base/array.h"
#include "base/environment.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/string.h"

#include <stdio.h>
#include <string.h>

#define COMMIT_LENGTH 40
#define ALPHANUMERIC HUB_ALPHANUMERIC

/* ---- Names ----------------------------------------------------------------------------------- */

bool hub_is_commit(const char *text)
{
    return strlen(text) == COMMIT_LENGTH && strspn(text, "0123456789abcdef") == COMMIT_LENGTH;
}

/* Tells whether a text may be ORG or NAME in ORG/NAME by the hub's own rule. The rule forbids "--",
 * which replaces the '/' in the names of the cache's folders. */
static bool is_part(const char *text, size_t length)
{
    if (!length || strchr(".-", text[0]) || strchr(".-", text[length - 1]))
        return false;
    for (size_t i = 0; i + 1 < length; i++)
        if (!strncmp(text + i, "--", 2) || !strncmp(text + i, "..", 2))
            return false;
    return strspn(text, ALPHANUMERIC "._-") >= length;
}

/* Tells whether a text may be a branch, a tag or a commit. Branches and tags may have slashes, and
 * each piece between slashes has to be a harmless name. */
static bool is_revision(const char *text)
{
    char piece[HUB_NAME_SIZE];
    if (strlen(text) >= HUB_NAME_SIZE)
        return false;
    for (;;) {
        const size_t length = strcspn(text, "/");
        snprintf(piece, sizeof(piece), "%.*s", (int)length, text);
        if (!hub_is_file_name(piece))
            return false;
        if (!text[length])
            return true;
        text += length + 1;
    }
}

/* Reads the first `length` characters as a model's name or as ORG/NAME. */
static bool parse_repository(const char *text, size_t length, struct hub_name *name)
{
    name->model = hub_find_model(text, length);
    if (name->model) {
        snprintf(name->repository, HUB_NAME_SIZE, "%s", name->model->repository);
        return true;
    }
    const char *slash = memchr(text, '/', length);
    size_t head = slash ? (size_t)(slash - text) : 0;
    if (length >= HUB_NAME_SIZE || !slash || !is_part(text, head) ||
        !is_part(slash + 1, length - head - 1))
        return false;
    snprintf(name->repository, HUB_NAME_SIZE, "%.*s", (int)length, text);
    return true;
}

bool hub_parse_name(const char *text, struct hub_name *name)
{
    *name = (struct hub_name){.revision = "main"};
    if (parse_repository(text, strlen(text), name)) /* A model's name may contain an '@'. */
        return true;
    const char *sign = strrchr(text, '@');
    if (!sign || !is_revision(sign + 1) || !parse_repository(text, (size_t)(sign - text), name))
        return false;
    snprintf(name->revision, HUB_NAME_SIZE, "%s", sign + 1);
    return true;
}

/* ---- The cache ------------------------------------------------------------------------------- */

/* The hub's folders are below the first of these variables that is set. */
struct place {
    const char *variable, *below;
};

static const struct place home_places[] = {{"HF_HOME", ""},
                                           {"XDG_CACHE_HOME", "/huggingface"},
                                           {"HOME", "/.cache/huggingface"},
                                           {"USERPROFILE", "/.cache/huggingface"}};

/* Finds a folder as a new string, or NULL without an error if the variable is not set. */
static int find_place(const struct place *place, char **path)
{
    char *root;
    int error = environment_find_folder(place->variable, &root);
    *path = root ? string_format("%s%s", root, place->below) : NULL;
    if (root && !*path)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", root);
    memory_free(root);
    return error;
}

char *hub_home(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(home_places); i++) {
        char *path;
        if (find_place(&home_places[i], &path) || path)
            return path;
    }
    error_fail(VKCLIP_EIO,
               "the location of the hub's cache is unknown: set HF_HUB_CACHE, HF_HOME or HOME");
    return NULL;
}

char *hub_cache(void)
{
    static const struct place cache_place = {"HF_HUB_CACHE", ""};
    char *path;
    if (find_place(&cache_place, &path) || path)
        return path;
    char *home = hub_home();
    if (home && !(path = string_format("%s/hub", home)))
        error_fail(VKCLIP_EMEMORY, "%s: out of memory", home);
    memory_free(home);
    return path;
}

/* Returns the caller's folder of all models as a new string, or else that of the hub's client. */
static char *find_cache(const char *wanted)
{
    if (!wanted || !*wanted)
        return hub_cache();
    char *copy = string_format("%s", wanted);
    if (!copy)
        error_fail(VKCLIP_EMEMORY, "%s: out of memory", wanted);
    return copy;
}

char *hub_model_folder(const struct hub_name *name)
{
    char *cache = find_cache(name->cache), *path = NULL;
    int head = (int)strcspn(name->repository, "/");
    if (cache && !(path = string_format("%s/models--%.*s--%s", cache, head, name->repository,
                                        name->repository + head + 1)))
        error_fail(VKCLIP_EMEMORY, "%s: out of memory", cache);
    memory_free(cache);
    return path;
}

/* Reads the commit that refs/REVISION holds. */
static bool read_ref(const char *folder, const char *revision, char commit[COMMIT_LENGTH + 1])
{
    char *data = NULL, *path = string_format("%s/refs/%s", folder, revision);
    size_t size;
    bool good = path && file_exists(path) && !file_read(path, 256, &data, &size);
    if (good)
        data[strcspn(data, " \r\n")] = 0;
    good = good && hub_is_commit(data);
    if (good)
        memcpy(commit, data, COMMIT_LENGTH + 1);
    memory_free(data);
    memory_free(path);
    return good;
}

/* Finds the only snapshot in a folder. Returns false if there is none, or more than one. */
static bool find_only_commit(const char *folder, char commit[COMMIT_LENGTH + 1])
{
    char **names = NULL, *path = string_format("%s/snapshots", folder);
    size_t count = 0, found = 0;
    if (path && folder_exists(path) && folder_list(path, &names, &count))
        count = 0;
    for (size_t i = 0; i < count; i++)
        if (hub_is_commit(names[i])) {
            memcpy(commit, names[i], COMMIT_LENGTH + 1);
            found++;
        }
    folder_free_names(&names, count);
    memory_free(path);
    return found == 1;
}

/* A cache that another program filled may have no refs, and then "main" is its only snapshot. */
static bool find_commit(const char *folder, const char *revision, char commit[COMMIT_LENGTH + 1])
{
    if (hub_is_commit(revision)) {
        memcpy(commit, revision, COMMIT_LENGTH + 1);
        return true;
    }
    return read_ref(folder, revision, commit) ||
           (!strcmp(revision, "main") && find_only_commit(folder, commit));
}

char *hub_find_snapshot(const struct hub_name *name)
{
    char commit[COMMIT_LENGTH + 1], *path = NULL, *folder = hub_model_folder(name);
    if (folder && find_commit(folder, name->revision, commit))
        path = string_format("%s/snapshots/%s", folder, commit);
    if (path && !folder_exists(path)) {
        memory_free(path);
        path = NULL;
    }
    memory_free(folder);
    return path;
}

int hub_find(const char *path, const char *wanted_cache, char **found)
{
    struct hub_name name;
    const bool is_path = file_exists(path) || folder_exists(path) || !hub_parse_name(path, &name);
    name.cache = wanted_cache;
    *found = is_path ? string_format("%s", path) : hub_find_snapshot(&name);
    if (*found)
        return VKCLIP_OK;
    if (is_path)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (name.model && name.model->obstacle)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: vkclip does not run this model: %s", path,
                          name.model->obstacle);
    char *cache = find_cache(wanted_cache);
    int error = error_fail(VKCLIP_EIO,
                           "%s: no such file or folder, and not in the hub's cache %s: "
                           "'vkclip pull %s' fetches it",
                           path, cache ? cache : "(which has no place)", path);
    memory_free(cache);
    return error;
}
