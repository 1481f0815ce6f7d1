/* SPDX-License-Identifier: MIT
 *
 * The table of published models, and the forms in which their names may be written.
 */
#include "base/array.h"
#include "format/hub.h"

#include <string.h>

static const struct vkclip_hub_model models[] = {
#define MODEL(name_, aliases_, repository_, family_, millions_, width_, languages_, licence_, \
              obstacle_)                                                                      \
    {.name = name_,                                                                           \
     .aliases = aliases_,                                                                     \
     .repository = repository_,                                                               \
     .family = family_,                                                                       \
     .millions = millions_,                                                                   \
     .embed_dim = width_,                                                                     \
     .languages = languages_,                                                                 \
     .licence = licence_,                                                                     \
     .obstacle = obstacle_},
#include "format/hub_models.def"
#undef MODEL
};

const struct vkclip_hub_model *hub_model(size_t index)
{
    return index < ARRAY_COUNT(models) ? &models[index] : NULL;
}

static const struct hub_family families[] = {
#define FAMILY(...) {__VA_ARGS__},
#include "format/hub_families.def"
#undef FAMILY
};

const struct hub_family *hub_family(size_t index)
{
    return index < ARRAY_COUNT(families) ? &families[index] : NULL;
}

/* M-CLIP's text towers were trained to give the embeddings of these models' texts. */
static const struct {
    const char *repository, *model;
} partners[] = {
    {"M-CLIP/LABSE-Vit-L-14", "ViT-L/14"},
    {"M-CLIP/XLM-Roberta-Large-Vit-B-16Plus", "ViT-B-16-plus-240:laion400m_e32"},
    {"M-CLIP/XLM-Roberta-Large-Vit-B-32", "ViT-B/32"},
    {"M-CLIP/XLM-Roberta-Large-Vit-L-14", "ViT-L/14"},
};

const char *hub_find_partner(const char *repository)
{
    for (size_t i = 0; i < ARRAY_COUNT(partners); i++)
        if (!strcmp(partners[i].repository, repository))
            return partners[i].model;
    return NULL;
}

/* Returns a character of a tag as OpenCLIP compares tags: in lower case and with '_' for '-'. */
static char clean_tag(char character)
{
    if (character == '-')
        return '_';
    return character >= 'A' && character <= 'Z' ? (char)(character - 'A' + 'a') : character;
}

static bool is_tag(const char *tag, size_t tag_length, const char *text, size_t length)
{
    if (tag_length != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (clean_tag(tag[i]) != clean_tag(text[i]))
            return false;
    return true;
}

/* Returns the length of what stands between architecture and tag, or 0 if it is no separator. */
static size_t measure_separator(const char *text, size_t length)
{
    if (length > 1 && !memcmp(text, "__", 2))
        return 2;
    return length && strchr(":/", *text) ? 1 : 0;
}

static bool is_name(const char *name, size_t name_length, const char *text, size_t length)
{
    const char *colon = memchr(name, ':', name_length);
    const size_t head = colon ? (size_t)(colon - name) : name_length;
    if (length < head || memcmp(name, text, head))
        return false;
    if (!colon)
        return length == head;
    const size_t skipped = head + measure_separator(text + head, length - head);
    return skipped > head &&
           is_tag(colon + 1, name_length - head - 1, text + skipped, length - skipped);
}

static bool is_alias(const char *aliases, const char *text, size_t length)
{
    while (*aliases) {
        const size_t size = strcspn(aliases, " ");
        if (is_name(aliases, size, text, length))
            return true;
        aliases += size + strspn(aliases + size, " ");
    }
    return false;
}

const struct vkclip_hub_model *hub_find_model(const char *text, size_t length)
{
    for (size_t i = 0; i < ARRAY_COUNT(models); i++)
        if (is_name(models[i].name, strlen(models[i].name), text, length) ||
            is_alias(models[i].aliases, text, length))
            return &models[i];
    return NULL;
}
