/* SPDX-License-Identifier: MIT
 *
 * Which tensors the towers need, by name and shape: the list that a checkpoint is held against and
 * that a new one is written from.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/string.h"
#include "checkpoint/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tensor and its shape, a letter a dimension: see `letter`. */
struct expected {
    const char *name, *shape;
};
static const struct expected text_tensors[] = {
    {"token_embedding.weight", "vw"}, {"positional_embedding", "tw"}, {"ln_final.weight", "w"},
    {"ln_final.bias", "w"},           {"text_projection", "wd"},
};
static const struct expected image_tensors[] = {
    {"visual.class_embedding", "w"},       {"visual.conv1.weight", "wcpp"},
    {"visual.positional_embedding", "nw"}, {"visual.ln_pre.weight", "w"},
    {"visual.ln_pre.bias", "w"},           {"visual.ln_post.weight", "w"},
    {"visual.ln_post.bias", "w"},          {"visual.proj", "wd"},
};
static const struct expected block_tensors[] = {
    {"ln_1.weight", "w"},           {"ln_1.bias", "w"},
    {"attn.in_proj_weight", "qw"},  {"attn.in_proj_bias", "q"},
    {"attn.out_proj.weight", "ww"}, {"attn.out_proj.bias", "w"},
    {"ln_2.weight", "w"},           {"ln_2.bias", "w"},
    {"mlp.c_fc.weight", "mw"},      {"mlp.c_fc.bias", "m"},
    {"mlp.c_proj.weight", "wm"},    {"mlp.c_proj.bias", "w"},
};

/* One tower as the tables describe it. */
struct layout {
    const struct config *config;
    const struct config_tower *tower;
    const struct expected *tensors;
    size_t count;
    const char *blocks, *prefix; /* of its blocks; of everything that must be known */
    uint32_t embed_dim;
};

static struct layout text_layout(const struct config *config)
{
    return (struct layout){config,
                           &config->text,
                           text_tensors,
                           ARRAY_COUNT(text_tensors),
                           "transformer.resblocks.",
                           "transformer.",
                           config->text_embed_dim};
}

static struct layout image_layout(const struct config *config)
{
    return (struct layout){config,
                           &config->image,
                           image_tensors,
                           ARRAY_COUNT(image_tensors),
                           "visual.transformer.resblocks.",
                           "visual.",
                           config->image_embed_dim};
}

static uint64_t letter(const struct layout *layout, char symbol)
{
    const struct config *config = layout->config;
    uint64_t grid = config->patch_size ? config->image_size / config->patch_size : 0;
    switch (symbol) {
    case 'w':
        return layout->tower->width;
    case 'q': /* query, key and value */
        return 3 * (uint64_t)layout->tower->width;
    case 'm':
        return layout->tower->mlp;
    case 'd':
        return layout->embed_dim;
    case 'c':
        return 3;
    case 'p':
        return config->patch_size;
    case 'n':
        return grid * grid + 1;
    case 't':
        return config->context;
    default:
        return config->vocabulary;
    }
}

static bool is_projection(const char *name)
{
    return !strcmp(name, "text_projection") || !strcmp(name, "visual.proj");
}

static int give(const struct layout *layout, const char *name, const char *letters,
                config_tensor_fn *each, void *user)
{
    uint64_t shape[TENSOR_MAX_RANK] = {0};
    unsigned rank = (unsigned)strlen(letters);
    for (unsigned i = 0; i < rank; i++)
        shape[i] = letter(layout, letters[i]);
    return each(user, name, rank, shape);
}

static int each_of_tower(const struct layout *layout, config_tensor_fn *each, void *user)
{
    char name[128];
    int error = VKCLIP_OK;
    for (size_t i = 0; !error && i < layout->count; i++)
        if (layout->tower->projection || !is_projection(layout->tensors[i].name))
            error = give(layout, layout->tensors[i].name, layout->tensors[i].shape, each, user);
    for (uint32_t block = 0; !error && block < layout->tower->layers; block++)
        for (size_t i = 0; !error && i < ARRAY_COUNT(block_tensors); i++) {
            snprintf(name, sizeof(name), "%s%u.%s", layout->blocks, block, block_tensors[i].name);
            error = give(layout, name, block_tensors[i].shape, each, user);
        }
    return error;
}

int config_each_tensor(const struct config *config, config_tensor_fn *each, void *user)
{
    const struct layout text = text_layout(config), image = image_layout(config);
    int error = config->text.kind ? each_of_tower(&text, each, user) : VKCLIP_OK;
    if (error || !config->image.kind)
        return error;
    return config->image.kind == KIND_RESNET ? config_resnet_each(config, each, user)
                                             : each_of_tower(&image, each, user);
}

/* ---- Checking -------------------------------------------------------------------------------- */

static void show_shape(const uint64_t *shape, unsigned rank, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "[");
    for (unsigned i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%llu", i ? "," : "",
                               (unsigned long long)shape[i]);
    if (at < size)
        snprintf(text + at, size - at, "]");
}

static int check_tensor(void *user, const char *name, unsigned rank, const uint64_t *expected)
{
    const struct weights *weights = user;
    uint64_t found[TENSOR_MAX_RANK];
    unsigned found_rank;
    char expected_text[192], found_text[192] = "none: it is missing";
    bool there = weights_shape(weights, name, found, &found_rank);
    if (there && found_rank == rank && !memcmp(found, expected, rank * sizeof(*found)))
        return VKCLIP_OK;
    show_shape(expected, rank, expected_text, sizeof(expected_text));
    if (there)
        show_shape(found, found_rank, found_text, sizeof(found_text));
    return error_fail(VKCLIP_EFORMAT, "%s: tensor %s: expected shape %s, found %s",
                      weights_path(weights), name, expected_text, found_text);
}

/* Whether the layout has a tensor of this name. */
static bool is_known(const struct layout *layout, const char *name)
{
    const struct expected *tensors = layout->tensors;
    size_t count = layout->count;
    if (string_begins_with(name, layout->blocks)) {
        char *rest, canonical[16];
        const char *number = name + strlen(layout->blocks);
        unsigned long block = strtoul(number, &rest, 10);
        int length = snprintf(canonical, sizeof(canonical), "%lu.", block);
        if (block >= layout->tower->layers || strncmp(number, canonical, (size_t)length))
            return false;
        name = rest + 1;
        tensors = block_tensors;
        count = ARRAY_COUNT(block_tensors);
    }
    for (size_t i = 0; i < count; i++)
        if (!strcmp(tensors[i].name, name))
            return layout->tower->projection || !is_projection(name);
    return false;
}

static int check_known(const struct weights *weights, const struct layout *layout)
{
    const char *found;
    for (size_t i = 0; (found = weights_name(weights, i)); i++)
        if (string_begins_with(found, layout->prefix) && !is_known(layout, found))
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: tensor %s: not part of a CLIP tower of %u layers, as the "
                              "configuration says it is",
                              weights_path(weights), found, layout->tower->layers);
    return VKCLIP_OK;
}

int config_check_tensors(struct weights *weights, const struct config *config)
{
    const struct layout text = text_layout(config), image = image_layout(config);
    int error = config_each_tensor(config, check_tensor, weights);
    if (config->text.kind && !error)
        error = check_known(weights, &text);
    if (config->image.kind && config->image.kind != KIND_RESNET && !error)
        error = check_known(weights, &image);
    return error;
}
