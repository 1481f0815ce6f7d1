/* SPDX-License-Identifier: MIT
 *
 * A set of weights is what has one prefix of known words before names that the rules of names.c, or
 * a diffusion model's prefixes, know.
 */
#include "checkpoint/prefixes.h"
#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/diffusion.h"
#include "checkpoint/names.h"

#include <stdio.h>
#include <string.h>

/* More sets than a message can name need not be told apart. */
#define SETS_MAX 16

/* ---- Words ----------------------------------------------------------------------------------- */

/* Returns the length of the known words with which a name begins, with their dots. */
static size_t prefix_length(const char *name)
{
    /* The words are keys of dicts, averages of weights by the keys of timm and others, attributes
     * of larger modules, and torch's wrappers, in this order. */
    static const char *const words[] = {
        "state_dict",
        "model_state_dict",
        "model_state",
        "ema",
        "ema_model",
        "ema_state_dict",
        "model_ema",
        "state_dict_ema",
        "model_ema_state_dict",
        "model",
        "net",
        "network",
        "clip",
        "clip_model",
        "clipmodel",
        "module",
        "_orig_mod",
        "_fsdp_wrapped_module",
        "_checkpoint_wrapped_module",
    };
    size_t length = 0;
    for (size_t i = 0; i < ARRAY_COUNT(words);) {
        const size_t word = strlen(words[i]);
        if (string_begins_with(name + length, words[i]) && name[length + word] == '.') {
            length += word + 1;
            i = 0;
        } else {
            i++;
        }
    }
    return length;
}

static bool same_prefix(const char *a, const char *b, size_t length)
{
    return !strncmp(a, b, length);
}

void prefixes_remove_common(struct tensor_view *views, size_t count)
{
    size_t length = count ? prefix_length(views[0].name) : 0;
    for (size_t i = 1; i < count; i++)
        while (length && !same_prefix(views[0].name, views[i].name, length))
            do
                length--;
            while (length && views[0].name[length - 1] != '.');
    for (size_t i = 0; i < count; i++)
        views[i].name += length;
}

/* ---- Wrappers within names ------------------------------------------------------------------- */

/* Finds a module that wraps a part of a model, such as "._orig_mod" in "visual._orig_mod.proj".
 * Returns NULL if the name has none. */
static char *find_wrapper(const char *name, size_t *length)
{
    static const char *const wrappers[] = {"._orig_mod.", "._fsdp_wrapped_module.",
                                           "._checkpoint_wrapped_module.", ".module."};
    for (size_t i = 0; i < ARRAY_COUNT(wrappers); i++) {
        const char *found = strstr(name, wrappers[i]);
        *length = strlen(wrappers[i]) - 1;
        if (found)
            return (char *)found;
    }
    return NULL;
}

static int remove_wrappers(const char *path, struct tensor_view *views, size_t count, char **names)
{
    size_t size = 0, length;
    for (size_t i = 0; i < count; i++)
        if (find_wrapper(views[i].name, &length))
            size += strlen(views[i].name) + 1;
    if (!size)
        return VKCLIP_OK;
    char *next = *names = memory_alloc(size);
    if (!next)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    for (size_t i = 0; i < count; i++) {
        if (!find_wrapper(views[i].name, &length))
            continue;
        views[i].name = strcpy(next, views[i].name);
        for (char *found; (found = find_wrapper(next, &length));)
            memmove(found, found + length, strlen(found + length) + 1);
        next += strlen(next) + 1;
    }
    tensor_view_sort(views, count);
    for (size_t i = 1; i < count; i++)
        if (!strcmp(views[i - 1].name, views[i].name))
            return error_fail(VKCLIP_EFORMAT, "%s: %s is there twice, with and without a wrapper",
                              path, views[i].name);
    return VKCLIP_OK;
}

/* ---- Sets ------------------------------------------------------------------------------------ */

/* The prefixes of the sets of weights in a file. They lie in the names of tensors. */
struct sets {
    const char *prefix[SETS_MAX];
    size_t length[SETS_MAX], count;
};

static void add_set(struct sets *sets, const char *name, size_t length)
{
    for (size_t i = 0; i < sets->count; i++)
        if (sets->length[i] == length && same_prefix(sets->prefix[i], name, length))
            return;
    if (sets->count == SETS_MAX)
        return;
    sets->prefix[sets->count] = name;
    sets->length[sets->count++] = length;
}

static void list_sets(const struct tensor_view *views, size_t count, bool gguf, struct sets *sets)
{
    *sets = (struct sets){0};
    for (size_t i = 0; i < count; i++) {
        const size_t length = prefix_length(views[i].name);
        const char *rest = views[i].name + length;
        if (names_family(rest, gguf, NULL) || diffusion_has_prefix(rest))
            add_set(sets, views[i].name, length);
    }
}

static bool has_plain(const struct sets *sets)
{
    bool found = false;
    for (size_t i = 0; i < sets->count; i++)
        found = found || !sets->length[i];
    return found;
}

/* Writes the names of all sets, as a caller can name them. */
static const char *show_sets(const struct sets *sets, char text[512])
{
    size_t length = (size_t)snprintf(text, 512, "%s", sets->count ? "" : "none by name");
    for (size_t i = 0; i < sets->count && length < 512; i++) {
        const char *separator = i ? i + 1 < sets->count ? ", " : " and " : "";
        const int named = sets->length[i] ? (int)sets->length[i] - 1 : 1;
        length +=
            (size_t)snprintf(text + length, 512 - length, "%s%.*s", separator,
                             named < 100 ? named : 100, sets->length[i] ? sets->prefix[i] : ".");
    }
    return text;
}

/* Keeps the views whose names begin with a prefix, without it. */
static void keep_prefix(const char *prefix, size_t length, struct tensor_view *views, size_t *count)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (same_prefix(views[i].name, prefix, length)) {
            views[kept] = views[i];
            views[kept++].name += length;
        }
    *count = kept;
}

/* Keeps the views that no known word begins. */
static void keep_plain(struct tensor_view *views, size_t *count)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (!prefix_length(views[i].name))
            views[kept++] = views[i];
    *count = kept;
}

/* Keeps the tensors of the set that the caller names. It may have a prefix of unknown words. */
static int keep_wanted(const char *path, const char *wanted, bool gguf, struct tensor_view *views,
                       size_t *count)
{
    struct sets sets;
    char found[512];
    list_sets(views, *count, gguf, &sets);
    show_sets(&sets, found);
    char *prefix = string_format("%s.", wanted);
    if (!prefix)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (strcmp(wanted, "."))
        keep_prefix(prefix, strlen(prefix), views, count);
    else
        keep_plain(views, count);
    memory_free(prefix);
    if (*count)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EABSENT, "%s: has no weights called %.100s, found %s", path, wanted,
                      found);
}

int prefixes_choose_set(const char *path, const char *wanted, bool gguf, struct tensor_view *views,
                        size_t *count, char **names)
{
    struct sets sets;
    char found[512];
    const size_t all = *count;
    if (wanted) {
        int error = keep_wanted(path, wanted, gguf, views, count);
        if (error)
            return error;
    }
    list_sets(views, *count, gguf, &sets);
    if (wanted && sets.count > 1 && has_plain(&sets)) { /* The set has others within it. */
        keep_plain(views, count);
        list_sets(views, *count, gguf, &sets);
    }
    if (sets.count > 1)
        return error_fail(VKCLIP_EINVALID,
                          "%s: has several sets of weights, %s: say which by the option "
                          "--state-dict or vkclip_model_params.state_dict",
                          path, show_sets(&sets, found));
    if (sets.count && sets.length[0])
        keep_prefix(sets.prefix[0], sets.length[0], views, count);
    if (*count < all)
        log_message(VKCLIP_LOG_INFO, "%s: %zu tensors are not part of the model and are not read",
                    path, all - *count);
    return remove_wrappers(path, views, *count, names);
}
