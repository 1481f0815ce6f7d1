/* SPDX-License-Identifier: MIT
 *
 * The names of the tensors in a file tell which encoder they are for. Refused are files with
 * several tensors of other names, tensors that are no list of vectors, and more than 1,024 vectors.
 */
#include "checkpoint/inversion.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/container.h"
#include "checkpoint/prefixes.h"

#include <string.h>

/* A prompt has less than a hundred places in most encoders. The widest has 4,096 values. */
enum { COUNT_MAX = 1024, WIDTH_MAX = 16384 };

/* ComfyUI has the encoders' names, and a trainer of diffusers numbers them. */
static const struct {
    const char *tensor, *encoder;
} encoders[] = {
    {"clip_l", "clip_l"},          {"clip_g", "clip_g"},          {"t5xxl", "t5xxl"},
    {"text_encoders_0", "clip_l"}, {"text_encoders_1", "clip_g"},
};

static const char *find_encoder(const char *tensor)
{
    for (size_t i = 0; i < ARRAY_COUNT(encoders); i++)
        if (!strcmp(encoders[i].tensor, tensor))
            return encoders[i].encoder;
    return NULL;
}

/* ---- One file -------------------------------------------------------------------------------- */

static int read_vectors(const char *path, const struct tensor_view *view,
                        struct inversion *inversion)
{
    struct inversion_vectors *vectors = &inversion->vectors[inversion->count];
    const uint64_t count = view->rank == 1 ? 1 : view->shape[0];
    const uint64_t width = view->rank ? view->shape[view->rank - 1] : 0;
    if (inversion->count == INVERSION_ENCODERS)
        return error_fail(VKCLIP_EFORMAT, "%s: has vectors for more than %d text encoders", path,
                          INVERSION_ENCODERS);
    if (!dtype_is_readable(view->dtype) || view->rank < 1 || view->rank > 2 || !count || !width ||
        count > COUNT_MAX || width > WIDTH_MAX)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: expected 1 to %d vectors of 1 to %d numbers, [n,width] or "
                          "[width], found %llu of %llu of type %s in %u dimensions",
                          path, view->name, COUNT_MAX, WIDTH_MAX, (unsigned long long)count,
                          (unsigned long long)width, dtype_name(view->dtype), view->rank);
    *vectors = (struct inversion_vectors){.encoder = find_encoder(view->name),
                                          .count = (uint32_t)count,
                                          .width = (uint32_t)width,
                                          .values = memory_alloc(count * width * sizeof(float))};
    if (!vectors->values)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    inversion->count++;
    return tensor_view_read(view, 0, count * width, vectors->values);
}

/* Reads the tensors of a file: those of known names, or the only one there is. */
static int read_tensors(const char *path, const struct container *container,
                        struct inversion *inversion)
{
    size_t known = 0;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < container->count; i++)
        known += find_encoder(container->views[i].name) != NULL;
    if (!known && container->count != 1)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: not a textual inversion: expected one tensor, or clip_l and clip_g, "
                          "found %zu tensors",
                          path, container->count);
    for (size_t i = 0; i < container->count && !error; i++)
        if (!known || find_encoder(container->views[i].name))
            error = read_vectors(path, &container->views[i], inversion);
    return error;
}

static void close_inversion(struct inversion *inversion)
{
    for (size_t i = 0; i < inversion->count; i++)
        memory_free(inversion->vectors[i].values);
    memory_free(inversion->name);
    memory_free(inversion->path);
}

static int open_inversion(const char *path, struct inversion *inversion)
{
    const char *name = file_name(path), *dot = strrchr(name, '.');
    struct container container = {0};
    *inversion = (struct inversion){0};
    inversion->name = string_format("%.*s", dot ? (int)(dot - name) : (int)strlen(name), name);
    inversion->path = string_format("%s", path);
    int error = container_open(path, &container);
    if (!error && (!inversion->name || !inversion->path))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error) {
        prefixes_remove_common(container.views, container.count);
        error = read_tensors(path, &container, inversion);
    }
    container_close(&container);
    if (error)
        close_inversion(inversion);
    return error;
}

/* ---- The list -------------------------------------------------------------------------------- */

static const struct inversion *find_name(const struct inversions *inversions, const char *name)
{
    for (size_t i = 0; i < inversions->count; i++)
        if (!strcmp(inversions->list[i].name, name))
            return &inversions->list[i];
    return NULL;
}

static int add_file(struct inversions *inversions, const char *path, bool listed)
{
    struct inversion added;
    struct inversion *list =
        memory_realloc(inversions->list, (inversions->count + 1) * sizeof(*inversions->list));
    if (!list)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    inversions->list = list;
    int error = open_inversion(path, &added);
    if (error)
        return error;
    const struct inversion *same = find_name(inversions, added.name);
    if (same) {
        log_message(VKCLIP_LOG_WARNING, "%s: not used, %s is %s", path, same->name, same->path);
        close_inversion(&added);
        return VKCLIP_OK;
    }
    added.listed = listed;
    list[inversions->count++] = added;
    return VKCLIP_OK;
}

static int add_folder(struct inversions *inversions, const char *folder)
{
    static const char *const endings[] = {".safetensors", ".pt", ".bin"};
    char **names = NULL;
    size_t count = 0;
    int error = folder_list(folder, &names, &count);
    for (size_t i = 0; i < count && !error; i++) {
        bool known = false;
        for (size_t e = 0; e < ARRAY_COUNT(endings); e++)
            known = known || string_ends_with(names[i], endings[e]);
        char *path = known ? string_format("%s/%s", folder, names[i]) : NULL;
        if (known && !path)
            error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", folder);
        if (path && add_file(inversions, path, true))
            log_message(VKCLIP_LOG_WARNING, "left out: %s", error_last());
        memory_free(path);
    }
    folder_free_names(&names, count);
    return error;
}

int inversions_add(struct inversions *inversions, const char *path)
{
    return folder_exists(path) ? add_folder(inversions, path) : add_file(inversions, path, false);
}

void inversions_close(struct inversions *inversions)
{
    for (size_t i = 0; i < inversions->count; i++)
        close_inversion(&inversions->list[i]);
    memory_free(inversions->list);
    *inversions = (struct inversions){0};
}

const struct inversion_vectors *inversion_find(const struct inversion *inversion,
                                               const char *encoder, uint32_t width)
{
    for (size_t i = 0; i < inversion->count; i++) {
        const struct inversion_vectors *vectors = &inversion->vectors[i];
        if (vectors->width == width && (!vectors->encoder || !strcmp(vectors->encoder, encoder)))
            return vectors;
    }
    return NULL;
}
