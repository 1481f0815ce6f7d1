/* SPDX-License-Identifier: MIT
 *
 * Names of models and the hub's cache. What a file of the cache says is checked before it becomes
 * part of a path, for other programs write there too.
 */
#include "format/hub.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* OpenAI's names (clip.available_models), then OpenCLIP's (open_clip.list_pretrained, as
 * MODEL:TAG), with the repository that OpenCLIP's own table (pretrained.py) has for each. */
static const struct {
    const char *name, *repository;
} aliases[] = {
    {"RN50", "timm/resnet50_clip.openai"},
    {"RN101", "timm/resnet101_clip.openai"},
    {"RN50x4", "timm/resnet50x4_clip.openai"},
    {"RN50x16", "timm/resnet50x16_clip.openai"},
    {"RN50x64", "timm/resnet50x64_clip.openai"},
    {"ViT-B/32", "openai/clip-vit-base-patch32"},
    {"ViT-B/16", "openai/clip-vit-base-patch16"},
    {"ViT-L/14", "openai/clip-vit-large-patch14"},
    {"ViT-L/14@336px", "openai/clip-vit-large-patch14-336"},

    {"RN50:openai", "timm/resnet50_clip.openai"},
    {"RN50:yfcc15m", "timm/resnet50_clip.yfcc15m"},
    {"RN50:cc12m", "timm/resnet50_clip.cc12m"},
    {"RN101:openai", "timm/resnet101_clip.openai"},
    {"RN101:yfcc15m", "timm/resnet101_clip.yfcc15m"},
    {"RN50x4:openai", "timm/resnet50x4_clip.openai"},
    {"RN50x16:openai", "timm/resnet50x16_clip.openai"},
    {"RN50x64:openai", "timm/resnet50x64_clip.openai"},
    {"ViT-B-32:openai", "timm/vit_base_patch32_clip_224.openai"},
    {"ViT-B-32:laion400m_e31", "timm/vit_base_patch32_clip_224.laion400m_e31"},
    {"ViT-B-32:laion400m_e32", "timm/vit_base_patch32_clip_224.laion400m_e32"},
    {"ViT-B-32:laion2b_e16", "timm/vit_base_patch32_clip_224.laion2b_e16"},
    {"ViT-B-32:laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"},
    {"ViT-B-32:datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K"},
    {"ViT-B-32:metaclip_400m", "timm/vit_base_patch32_clip_224.metaclip_400m"},
    {"ViT-B-32:metaclip_fullcc", "timm/vit_base_patch32_clip_224.metaclip_2pt5b"},
    {"ViT-B-32-256:datacomp_s34b_b86k", "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K"},
    {"ViT-B-16:openai", "timm/vit_base_patch16_clip_224.openai"},
    {"ViT-B-16:laion400m_e31", "timm/vit_base_patch16_clip_224.laion400m_e31"},
    {"ViT-B-16:laion400m_e32", "timm/vit_base_patch16_clip_224.laion400m_e32"},
    {"ViT-B-16:laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"},
    {"ViT-B-16:datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K"},
    {"ViT-B-16:datacomp_l_s1b_b8k", "laion/CLIP-ViT-B-16-DataComp.L-s1B-b8K"},
    {"ViT-B-16:dfn2b", "apple/DFN2B-CLIP-ViT-B-16"},
    {"ViT-B-16:metaclip_400m", "timm/vit_base_patch16_clip_224.metaclip_400m"},
    {"ViT-B-16:metaclip_fullcc", "timm/vit_base_patch16_clip_224.metaclip_2pt5b"},
    {"ViT-L-14:openai", "timm/vit_large_patch14_clip_224.openai"},
    {"ViT-L-14:laion400m_e31", "timm/vit_large_patch14_clip_224.laion400m_e31"},
    {"ViT-L-14:laion400m_e32", "timm/vit_large_patch14_clip_224.laion400m_e32"},
    {"ViT-L-14:laion2b_s32b_b82k", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K"},
    {"ViT-L-14:datacomp_xl_s13b_b90k", "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K"},
    {"ViT-L-14:dfn2b", "apple/DFN2B-CLIP-ViT-L-14"},
    {"ViT-L-14:metaclip_400m", "timm/vit_large_patch14_clip_224.metaclip_400m"},
    {"ViT-L-14:metaclip_fullcc", "timm/vit_large_patch14_clip_224.metaclip_2pt5b"},
    {"ViT-L-14-336:openai", "timm/vit_large_patch14_clip_336.openai"},
    {"ViT-H-14:laion2b_s32b_b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"},
    {"ViT-H-14:dfn5b", "apple/DFN5B-CLIP-ViT-H-14"},
    {"ViT-H-14:metaclip_fullcc", "timm/vit_huge_patch14_clip_224.metaclip_2pt5b"},
    {"ViT-H-14:metaclip_altogether", "timm/vit_huge_patch14_clip_224.metaclip_altogether"},
    {"ViT-H-14-378:dfn5b", "apple/DFN5B-CLIP-ViT-H-14-378"},
    {"ViT-g-14:laion2b_s12b_b42k", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K"},
    {"ViT-g-14:laion2b_s34b_b88k", "laion/CLIP-ViT-g-14-laion2B-s34B-b88K"},
    {"ViT-bigG-14:laion2b_s39b_b160k", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"},
    {"ViT-bigG-14:laion2b_39b_b160k", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"},
    {"ViT-bigG-14:metaclip_fullcc", "timm/vit_gigantic_patch14_clip_224.metaclip_2pt5b"},
};

bool hub_alias(size_t index, const char **name, const char **repository)
{
    if (index >= ARRAY_COUNT(aliases))
        return false;
    *name = aliases[index].name;
    *repository = aliases[index].repository;
    return true;
}

/* ---- Names ----------------------------------------------------------------------------------- */

bool hub_is_commit(const char *text)
{
    return strlen(text) == 40 && strspn(text, "0123456789abcdef") == 40;
}

bool hub_is_file_name(const char *text)
{
    return *text && *text != '.' && !text[strspn(text, ALPHANUMERIC "._-+")];
}

/* One of the two parts of ORG/NAME by the hub's own rule, under which '--' can stand for the '/'.
 */
static bool is_part(const char *text, size_t length)
{
    bool inner = length && !strchr(".-", text[0]) && !strchr(".-", text[length - 1]);
    for (size_t i = 0; inner && i + 1 < length; i++)
        inner = strncmp(text + i, "--", 2) && strncmp(text + i, "..", 2);
    return inner && strspn(text, ALPHANUMERIC "._-") >= length;
}

/* Branches and tags may have slashes; each piece has to be a harmless name. */
static bool is_revision(const char *text, size_t length)
{
    for (size_t i = 0; i <= length; i++)
        if (i == length || text[i] == '/') {
            char piece[HUB_NAME_SIZE] = {0};
            if (i >= HUB_NAME_SIZE)
                return false;
            memcpy(piece, text, i);
            if (!hub_is_file_name(piece))
                return false;
            return i == length || is_revision(text + i + 1, length - i - 1);
        }
    return false;
}

/* The first `length` characters as an alias or ORG/NAME. */
static bool parse_repository(const char *text, size_t length, struct hub_name *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(aliases); i++)
        if (strlen(aliases[i].name) == length && !memcmp(aliases[i].name, text, length)) {
            snprintf(name->repository, HUB_NAME_SIZE, "%s", aliases[i].repository);
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
    const char *at = strrchr(text, '@');
    *name = (struct hub_name){.revision = "main"};
    if (parse_repository(text, strlen(text), name)) /* an alias may have an '@' itself */
        return true;
    if (!at || strlen(at + 1) >= HUB_NAME_SIZE || !is_revision(at + 1, strlen(at + 1)) ||
        !parse_repository(text, (size_t)(at - text), name))
        return false;
    snprintf(name->revision, HUB_NAME_SIZE, "%s", at + 1);
    return true;
}

/* ---- The cache ------------------------------------------------------------------------------- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* A new string from a format with one argument, or an error. */
static char *place(const char *format, const char *base)
{
    char *path = NULL;
    if (!base)
        error_fail(VKCLIP_EIO, "the hub's cache has no place: set HF_HUB_CACHE, HF_HOME or HOME");
    else if (!(path = string_format(format, base)))
        error_fail(VKCLIP_EMEMORY, "%s: out of memory", base);
    return path;
}

char *hub_home(void)
{
    const char *home = variable("HOME");
    if (variable("HF_HOME"))
        return place("%s", variable("HF_HOME"));
    if (variable("XDG_CACHE_HOME"))
        return place("%s/huggingface", variable("XDG_CACHE_HOME"));
    return place("%s/.cache/huggingface", home ? home : variable("USERPROFILE"));
}

char *hub_cache(void)
{
    if (variable("HF_HUB_CACHE"))
        return place("%s", variable("HF_HUB_CACHE"));
    char *home = hub_home(), *path = home ? place("%s/hub", home) : NULL;
    free(home);
    return path;
}

char *hub_model_folder(const struct hub_name *name)
{
    char *cache = hub_cache(), *path = NULL;
    int head = (int)strcspn(name->repository, "/");
    if (cache && !(path = string_format("%s/models--%.*s--%s", cache, head, name->repository,
                                        name->repository + head + 1)))
        error_fail(VKCLIP_EMEMORY, "%s: out of memory", cache);
    free(cache);
    return path;
}

/* The commit that refs/REVISION names. */
static bool read_ref(const char *folder, const char *revision, char commit[41])
{
    char *data = NULL, *path = string_format("%s/refs/%s", folder, revision);
    size_t size;
    bool good = path && file_exists(path) && !file_read(path, 256, &data, &size);
    if (good)
        data[strcspn(data, " \r\n")] = 0;
    good = good && hub_is_commit(data);
    if (good)
        memcpy(commit, data, 41);
    free(data);
    free(path);
    return good;
}

/* The only commit that is there; false where there are more, or none. */
static bool find_only(const char *folder, char commit[41])
{
    char **names = NULL, *path = string_format("%s/snapshots", folder);
    size_t count = 0, found = 0;
    if (path && folder_exists(path) && !folder_list(path, &names, &count))
        for (size_t i = 0; i < count; i++)
            if (hub_is_commit(names[i]) && ++found)
                memcpy(commit, names[i], 41);
    folder_free_names(&names, count);
    free(path);
    return found == 1;
}

char *hub_find_snapshot(const struct hub_name *name)
{
    char commit[41], *path = NULL, *folder = hub_model_folder(name);
    bool found = folder && hub_is_commit(name->revision);
    if (found)
        memcpy(commit, name->revision, sizeof(commit));
    found = found || (folder && (read_ref(folder, name->revision, commit) ||
                                 (!strcmp(name->revision, "main") && find_only(folder, commit))));
    if (found && (path = string_format("%s/snapshots/%s", folder, commit)) &&
        !folder_exists(path)) {
        free(path);
        path = NULL;
    }
    free(folder);
    return path;
}

int hub_find(const char *path, char **found)
{
    struct hub_name name;
    bool here = file_exists(path) || folder_exists(path) || !hub_parse_name(path, &name);
    *found = here ? string_format("%s", path) : hub_find_snapshot(&name);
    if (*found)
        return VKCLIP_OK;
    if (here)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    char *cache = hub_cache();
    int error = error_fail(VKCLIP_EIO,
                           "%s: no such file or folder, and not in the hub's cache %s: "
                           "'vkclip pull %s' fetches it",
                           path, cache ? cache : "(which has no place)", path);
    free(cache);
    return error;
}
