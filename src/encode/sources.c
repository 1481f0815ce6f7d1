/* SPDX-License-Identifier: MIT
 *
 * A file that is named after the folder of a pipeline takes the place of one of its encoders.
 */
#include "encode/sources.h"
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/open.h"

#include <stdio.h>
#include <string.h>

/* The encoders by the names that diffusion_pick_encoder knows. */
static const char *const encoder_names[SOURCES_NAMES] = {"clip_l", "clip_h", "clip_g", "t5xxl",
                                                         "umt5xxl"};

/* ---- What the files are ---------------------------------------------------------------------- */

static size_t name_index(const char *name)
{
    size_t i = 0;
    while (i < SOURCES_NAMES && strcmp(encoder_names[i], name) != 0)
        i++;
    return i;
}

/* Notes which encoder a text tower is that is alone in its file, by what tells published ones
 * apart. OpenCLIP's with another width could be both. */
static void name_tower(const struct config_tower *text, struct source *source)
{
    const bool quick = text->activation == VKCLIP_ACTIVATION_QUICK_GELU;
    if (text->kind == KIND_T5) {
        source->has[name_index(text->own_positions ? "umt5xxl" : "t5xxl")] = true;
        return;
    }
    source->has[name_index("clip_l")] = quick;
    source->has[name_index("clip_h")] = !quick && text->width != 1280;
    source->has[name_index("clip_g")] = !quick && text->width != 1024;
}

/* Lists the encoders that a file holds. */
static int inspect(struct source *source)
{
    struct config config;
    struct weights *weights;
    int error = checkpoint_open(source->path, NULL, &config, &weights);
    if (error)
        return error;
    const bool whole = weights_encoder(weights) != NULL;
    if (!whole && config.text.kind)
        name_tower(&config.text, source);
    source->bundle = weights_encoder_prefix(weights);
    source->vocabulary =
        config.tokenizer_path && !strcmp(config.tokenizer_path, weights_path(weights));
    for (size_t i = 0; whole && i < SOURCES_NAMES; i++) {
        struct weights *other;
        source->has[i] = !weights_open_encoder(weights_path(weights), encoder_names[i], &other);
        weights_close(&other);
    }
    config_close(&config);
    weights_close(&weights);
    return VKCLIP_OK;
}

static int inspect_path(const char *path, const char *hub_dir, struct sources *sources)
{
    struct source *source = &sources->list[sources->count++];
    int error = pipeline_find(path, hub_dir, &source->path);
    if (error)
        return error;
    if (!pipeline_is_folder(source->path))
        return inspect(source);
    if (sources->folder)
        return error_fail(VKCLIP_EINVALID, "%s: a second pipeline's folder, expected one", path);
    sources->folder = source->path;
    return pipeline_read(source->path, &sources->pipeline);
}

int sources_open(const char *const *paths, size_t count, const char *hub_dir,
                 struct sources *sources)
{
    int error = VKCLIP_OK;
    *sources = (struct sources){.list = memory_calloc(count, sizeof(*sources->list))};
    if (!sources->list)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a conditioner");
    for (size_t i = 0; i < count && !error; i++)
        error = inspect_path(paths[i], hub_dir, sources);
    return error;
}

void sources_close(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++)
        memory_free(sources->list[i].path);
    memory_free(sources->list);
    *sources = (struct sources){0};
}

/* ---- The family ------------------------------------------------------------------------------ */

/* Lists the names of all families for messages. */
static const char *list_families(char names[256])
{
    const struct family *family;
    *names = 0;
    for (size_t i = 0; (family = family_row(i)); i++)
        snprintf(names + strlen(names), 256 - strlen(names), "%s%s", i ? ", " : "", family->name);
    return names;
}

/* Tells whether the first encoder's configuration is the one of the family's encoder. Stable
 * Diffusion 1 and 2 have pipelines of one name and different encoders. */
static bool has_activation(const char *folder, const struct family_encoder *encoder)
{
    char inner[FILES_PATH_SIZE], file[FILES_PATH_SIZE];
    struct config config;
    snprintf(inner, sizeof(inner), "%.3000s/%s", folder, encoder->folder);
    if (strncmp(encoder->name, "clip_", 5) != 0 || !files_find(inner, "config.json", file) ||
        checkpoint_read_config(file, &config))
        return true;
    const bool quick = config.text.activation == VKCLIP_ACTIVATION_QUICK_GELU;
    config_close(&config);
    return quick == !strcmp(encoder->name, "clip_l");
}

static bool has_encoders(const struct sources *sources, const struct family *family)
{
    bool wanted[3] = {false};
    for (size_t i = 0; i < family_encoder_count(family); i++) {
        const size_t place = family_folder_index(&family->encoders[i]);
        wanted[place] = !family->encoders[i].optional || sources->pipeline.encoders[place];
    }
    return !memcmp(wanted, sources->pipeline.encoders, sizeof(wanted)) &&
           has_activation(sources->folder, &family->encoders[0]);
}

/* Returns the family whose name is most of the class's name, and whose encoders the folder has. */
static const struct family *find_by_class(const struct sources *sources)
{
    const struct family *family, *found = NULL;
    size_t longest = 0;
    uint32_t length;
    for (size_t i = 0; (family = family_row(i)); i++) {
        const size_t match = family_match(family, sources->pipeline.class_name, &length);
        if (!match || match < longest)
            continue;
        if (match > longest || !has_encoders(sources, found))
            found = family;
        longest = match;
    }
    return found;
}

/* Tells whether files hold all encoders of a family and no others. */
static bool is_complete(const struct sources *sources, const struct family *family)
{
    for (size_t n = 0; n < SOURCES_NAMES; n++) {
        bool has = false, wanted = false, optional = false;
        for (size_t i = 0; i < sources->count; i++)
            has = has || sources->list[i].has[n];
        for (size_t i = 0; i < family_encoder_count(family); i++)
            if (!strcmp(family->encoders[i].name, encoder_names[n])) {
                wanted = true;
                optional = family->encoders[i].optional;
            }
        if (has ? !wanted : wanted && !optional)
            return false;
    }
    return true;
}

/* Tells whether the names of tensors in a file of a whole model, if there is one, are those of the
 * family. */
static bool has_bundle(const struct sources *sources, const struct family *family)
{
    for (size_t i = 0; i < sources->count; i++)
        if (sources->list[i].bundle &&
            (!family->bundle || !string_begins_with(sources->list[i].bundle, family->bundle)))
            return false;
    return true;
}

static int find_by_files(const struct sources *sources, const struct family **found)
{
    const struct family *family;
    char names[256] = "";
    size_t count = 0;
    for (size_t i = 0; (family = family_row(i)); i++) {
        if (!is_complete(sources, family) || !has_bundle(sources, family))
            continue;
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", count++ ? ", " : "",
                 family->name);
        *found = family;
    }
    if (count == 1)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EINVALID, "%s: its encoders are %s%s: name the `family`",
                      sources->list[0].path,
                      count ? "those of several families: " : "not those of a known family; known ",
                      count ? names : list_families(names));
}

int sources_find_family(const struct sources *sources, const char *name,
                        const struct family **found)
{
    char names[256];
    if (name) {
        *found = family_find(name);
        return *found ? VKCLIP_OK
                      : error_fail(VKCLIP_EINVALID, "`family` %.40s: expected one of %s", name,
                                   list_families(names));
    }
    if (!sources->folder)
        return find_by_files(sources, found);
    *found = find_by_class(sources);
    return *found ? VKCLIP_OK
                  : error_fail(VKCLIP_EUNSUPPORTED,
                               "%s: a %s is not supported, expected a pipeline of %s",
                               sources->folder, sources->pipeline.class_name, list_families(names));
}

int sources_check(const struct sources *sources, const struct family *family)
{
    for (size_t i = 0; i < sources->count; i++) {
        const struct source *source = &sources->list[i];
        bool used = source->path == sources->folder;
        for (size_t e = 0; e < family_encoder_count(family); e++)
            used |= source->has[name_index(family->encoders[e].name)];
        if (!used)
            return error_fail(VKCLIP_EINVALID, "%s: holds none of the text encoders of %s",
                              source->path, family->name);
    }
    return VKCLIP_OK;
}

const struct source *sources_find_file(const struct sources *sources, const char *name)
{
    for (size_t i = sources->count; i-- > 0;)
        if (sources->list[i].has[name_index(name)])
            return &sources->list[i];
    return NULL;
}

bool sources_find_vocabulary(const struct sources *sources, size_t index,
                             const struct family_encoder *encoder, char path[FILES_PATH_SIZE])
{
    char folder[FILES_PATH_SIZE], inner[FILES_PATH_SIZE];
    const char *source = sources->list[index].path;
    if (source == sources->folder)
        snprintf(folder, sizeof(folder), "%.3000s", source);
    else
        files_folder(source, folder);
    snprintf(inner, sizeof(inner), "%.3000s/%s", folder, encoder->folder);
    return files_find_vocabulary(folder, VKCLIP_FAMILY_HF, path) ||
           files_find_vocabulary(inner, VKCLIP_FAMILY_HF, path);
}

bool sources_find_folder(const struct sources *sources, const struct family_encoder *encoder,
                         char path[FILES_PATH_SIZE])
{
    if (!sources->folder || !sources->pipeline.encoders[family_folder_index(encoder)])
        return false;
    snprintf(path, FILES_PATH_SIZE, "%.3000s/%s", sources->folder, encoder->folder);
    return true;
}
