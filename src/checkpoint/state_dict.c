/* SPDX-License-Identifier: MIT
 *
 * Derives the sizes of a state dict from its shapes, and the other values by rules.
 */
#include "checkpoint/state_dict.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/string.h"
#include "checkpoint/run_params.h"
#include "model/tower.h"

#include <string.h>

uint32_t state_dict_size(const struct weights *weights, const char *name, unsigned dimension)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    if (!weights_shape(weights, name, shape, &rank) || dimension >= rank)
        return 0;
    return shape[dimension] < UINT32_MAX ? (uint32_t)shape[dimension] : UINT32_MAX;
}

static uint32_t get_size(const void *checkpoint, const char *name, unsigned dimension)
{
    return state_dict_size(checkpoint, name, dimension);
}

static bool has_prefix(const struct weights *weights, const char *prefix)
{
    const char *name;
    for (size_t i = 0; (name = weights_name(weights, i)); i++)
        if (string_begins_with(name, prefix))
            return true;
    return false;
}

enum tower_kind state_dict_kind(const struct weights *weights, enum tower tower)
{
    enum tower_kind found = KIND_NONE;
    size_t longest = 0;
    for (enum tower_kind kind = KIND_NONE + 1; kind < KIND_COUNT; kind++) {
        const struct tower_row *row = tower_kind_row(kind);
        for (size_t i = 0; i < ARRAY_COUNT(row->prefixes) && row->tower == tower; i++) {
            const char *prefix = row->prefixes[i];
            if (prefix && strlen(prefix) > longest && has_prefix(weights, prefix)) {
                longest = strlen(prefix);
                found = kind;
            }
        }
    }
    return found;
}

void state_dict_read_sizes(const struct weights *weights, enum tower tower, struct config *config)
{
    const struct tower_sizes sizes = {get_size, weights};
    const struct tower_row *row = tower_find(config, tower);
    if (row)
        row->read(&sizes, config);
}

static void read_sizes(const struct weights *weights, enum tower tower, struct config *config)
{
    const enum tower_kind kind = state_dict_kind(weights, tower);
    struct config_tower *target = tower == TOWER_IMAGE ? &config->image : &config->text;
    if (kind == KIND_NONE)
        return;
    *target = (struct config_tower){.kind = kind, .projection = true, .epsilon = 1e-5f};
    state_dict_read_sizes(weights, tower, config);
}

static void fill_size(uint32_t found, uint32_t *size)
{
    if (!*size)
        *size = found;
}

void state_dict_fill_image(const struct weights *weights, struct config *config)
{
    const struct tower_sizes sizes = {get_size, weights};
    struct config_tower *image = &config->image;
    struct config found = *config;
    if (image->kind == KIND_NONE)
        return;
    tower_kind_row(image->kind)->read(&sizes, &found);
    fill_size(found.image.width, &image->width);
    fill_size(found.image.layers, &image->layers);
    fill_size(found.image.mlp, &image->mlp);
    fill_size(found.patch_size, &config->patch_size);
    fill_size(found.image_embed_dim, &config->image_embed_dim);
    if (!image->heads && image->head_width)
        image->heads = image->width / image->head_width;
}

/* ---- OpenAI's rule --------------------------------------------------------------------------- */

/* Returns the head width of a ViT, or 0 if no rule gives it. LAION's widths are used only if the
 * caller has said that the state dict is not OpenAI's. */
static uint32_t head_width(uint32_t width, bool openai)
{
    static const struct {
        uint32_t width, head;
    } laion[] = {{1280, 80}, {1408, 88}, {1664, 104}}; /* H/14, g/14, bigG/14 */
    for (size_t i = 0; i < ARRAY_COUNT(laion); i++)
        if (laion[i].width == width)
            return openai ? 0 : laion[i].head;
    return width % 64 ? 0 : 64;
}

int state_dict_read(const struct weights *weights, enum vkclip_activation activation,
                    struct config *config)
{
    const char *path = weights_path(weights);
    struct config_tower *image = &config->image, *text = &config->text;
    uint32_t head = 64;
    if (activation == VKCLIP_ACTIVATION_AUTO && weights_run(weights) &&
        weights_source(weights)->kind == FILE_SOURCE_PATH) {
        const int error = run_params_read(path, &activation);
        if (error)
            return error;
    }
    const bool openai = activation == VKCLIP_ACTIVATION_AUTO;
    if (openai && weights_run(weights))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: a checkpoint of OpenCLIP's training run \"%s\" does not tell its "
                          "activation: put the open_clip_config.json beside it, or the run's "
                          "params.txt, or name the activation",
                          path, weights_run(weights));
    config->family = VKCLIP_FAMILY_OPENAI;
    config->eos_token_id = -1;
    read_sizes(weights, TOWER_TEXT, config);
    read_sizes(weights, TOWER_IMAGE, config);
    text->heads = text->width / 64;
    if (image->kind == KIND_VIT) {
        head = head_width(image->width, openai);
        image->heads = head ? image->width / head : 0;
    }
    if (text->kind == KIND_BERT || (openai && string_begins_with(file_name(path), "open_clip_")) ||
        (image->kind && !image->heads) || (text->kind && text->width % 64))
        return error_fail(
            VKCLIP_EUNSUPPORTED,
            "%s: a state dict that is not OpenAI's (widths: image %u, text %u) does not "
            "tell its head width and activation: put the open_clip_config.json beside "
            "it%s",
            path, image->width, text->width, openai ? ", or name the activation" : "");
    image->activation = text->activation = openai ? VKCLIP_ACTIVATION_QUICK_GELU : activation;
    log_message(VKCLIP_LOG_INFO,
                "%s: no configuration beside it: OpenAI's rule, heads of %u and %s", path, head,
                openai ? "QuickGELU" : "the activation that was named");
    return VKCLIP_OK;
}

/* ---- Stable Diffusion ------------------------------------------------------------------------ */

int state_dict_read_encoder(const struct weights *weights, const char *name, struct config *config)
{
    static const struct {
        const char *name;
        uint32_t width;
        enum vkclip_activation activation;
        enum vkclip_family family; /* decides how texts are prepared */
    } encoders[] = {
        {"clip_l", 768, VKCLIP_ACTIVATION_QUICK_GELU, VKCLIP_FAMILY_HF},  /* OpenAI's ViT-L/14 */
        {"clip_h", 1024, VKCLIP_ACTIVATION_GELU, VKCLIP_FAMILY_OPENCLIP}, /* ViT-H/14 */
        {"clip_g", 1280, VKCLIP_ACTIVATION_GELU, VKCLIP_FAMILY_OPENCLIP}, /* ViT-bigG/14 */
    };
    enum { HEAD = 64 }; /* the width of a head in all of them */
    struct config_tower *text = &config->text;
    size_t i = 0;
    read_sizes(weights, TOWER_TEXT, config);
    if (text->kind == KIND_BERT)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: the text encoder is a BERT or XLM-R: expected config.json or "
                          "open_clip_config.json beside it",
                          weights_path(weights));
    if (text->kind == KIND_T5 && name && !strstr(name, "t5"))
        return error_fail(VKCLIP_EABSENT, "%s: expected the text encoder %.40s, found a T5",
                          weights_path(weights), name);
    if (text->kind == KIND_T5) { /* Its shapes tell everything. */
        config->family = VKCLIP_FAMILY_HF;
        return VKCLIP_OK;
    }
    while (i < ARRAY_COUNT(encoders) &&
           (name ? strcmp(encoders[i].name, name) : encoders[i].width != text->width))
        i++;
    if (i == ARRAY_COUNT(encoders) && name)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: text encoder %.40s: expected clip_l, clip_h or clip_g",
                          weights_path(weights), name);
    if (i == ARRAY_COUNT(encoders))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: a text encoder without config.json beside it: expected a width of "
                          "768, 1024 or 1280, found %u: say whether it is clip_l, clip_h or clip_g",
                          weights_path(weights), text->width);
    if (!text->width || text->width % HEAD)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: text encoder %s: expected a width of a multiple of %d, found %u",
                          weights_path(weights), encoders[i].name, HEAD, text->width);
    text->heads = text->width / HEAD;
    text->activation = encoders[i].activation;
    text->projection = state_dict_size(weights, "text_projection", 0) > 0;
    config->family = encoders[i].family;
    /* Hugging Face's rule pads with the end of text, which is the last id; the other rules pad with
     * 0. */
    if (config->family == VKCLIP_FAMILY_HF)
        config->pad_token_id = (int32_t)config->vocabulary - 1;
    if (!name)
        log_message(VKCLIP_LOG_INFO, "%s: no config.json beside it: read as %s by its width",
                    weights_path(weights), encoders[i].name);
    return VKCLIP_OK;
}
