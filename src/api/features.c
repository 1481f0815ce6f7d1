/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that describe features. Refuses words that it does not know.
 */
#include "api/arguments.h"
#include "api/guard.h"
#include "base/array.h"
#include "base/error.h"
#include "encode/model.h"

#include <stdlib.h>
#include <string.h>

/* Sources: LlavaConfig of Hugging Face's transformers (vision_feature_layer,
 * vision_feature_select_strategy), and encode_image of diffusers' StableDiffusionPipeline. */
static const struct preset {
    const char *name;
    struct vkclip_features features;
} presets[] = {
    {"llava", {.layer = -2, .no_class = true}},
    {"ip-adapter", {.layer = -1, .norm = true, .pooled = true, .projected = true}},
    {"ip-adapter-plus", {.layer = -2}},
};

/* Returns whether the first word of a text is `word`. */
static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && !memcmp(text, word, length);
}

/* Reads the first word: a preset's name or the number of a layer. */
static bool read_layer(const char *word, size_t length, struct vkclip_features *features)
{
    char *end;
    for (size_t i = 0; i < ARRAY_COUNT(presets); i++)
        if (is_word(word, length, presets[i].name)) {
            *features = presets[i].features;
            return true;
        }
    const long layer = strtol(word, &end, 10);
    *features = (struct vkclip_features){.layer = (int)layer};
    return length && end == word + length && labs(layer) <= 1000;
}

static bool read_word(const char *word, size_t length, struct vkclip_features *features)
{
    if (is_word(word, length, "no-class"))
        features->no_class = true;
    else if (is_word(word, length, "pooled"))
        features->pooled = true;
    else if (is_word(word, length, "projected"))
        features->projected = true;
    else if (is_word(word, length, "norm"))
        features->norm = true;
    else if (is_word(word, length, "no-norm"))
        features->norm = false;
    else
        return false;
    return true;
}

int vkclip_parse_features(const char *text, struct vkclip_features *features)
{
    if (!text || !features)
        return error_fail(VKCLIP_EINVALID, "vkclip_parse_features: text and features expected");
    size_t length = strcspn(text, ",");
    const char *word = text;
    bool good = read_layer(word, length, features);
    while (good && word[length]) {
        word += length + 1;
        length = strcspn(word, ",");
        good = read_word(word, length, features);
    }
    if (good)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EINVALID,
                      "`features` '%s': '%.*s' is not known; expected a layer's number, llava, "
                      "ip-adapter or ip-adapter-plus, and then any of ,no-class ,norm ,no-norm "
                      ",pooled ,projected",
                      text, (int)length, word);
}

int vkclip_get_features_shape(const struct vkclip_model *model, enum vkclip_tower tower,
                              const struct vkclip_features *features, size_t length,
                              size_t shape[2])
{
    const enum tower wanted = tower == VKCLIP_TOWER_TEXT ? TOWER_TEXT : TOWER_IMAGE;
    struct tower_features found;
    if (!model || !features || !shape)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_get_features_shape: model, features and shape expected");
    int error = ARGUMENTS_CHECK_ENUM(tower, tower, VKCLIP_TOWER_TEXT);
    if (!error)
        error = guard_check(__func__, model->guard);
    if (error)
        return error;
    if (!replica_has_tower(&model->spec, wanted))
        return error_fail(VKCLIP_EABSENT, "%s has no %s tower", model_name(model),
                          wanted == TOWER_TEXT ? "text" : "image");
    struct config config = model->spec.config; /* a copy with the texts' own length */
    if (length && length < config.context && tower_find(&config, wanted)->any_length)
        config.context = (uint32_t)length;
    error = tower_find_features(model_name(model), &config, wanted, features, &found);
    if (!error)
        tower_features_shape(&config, wanted, &found, shape);
    return error;
}
