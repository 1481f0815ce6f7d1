/* SPDX-License-Identifier: MIT
 *
 * Finds a checkpoint's files, lets the reader of their family read the configuration, and compares
 * the weights with it.
 */
#include "checkpoint/open.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/bert.h"
#include "checkpoint/check.h"
#include "checkpoint/clip_cpp.h"
#include "checkpoint/files.h"
#include "checkpoint/hugging_face.h"
#include "checkpoint/openclip.h"
#include "checkpoint/pool.h"
#include "checkpoint/positions.h"
#include "checkpoint/state_dict.h"
#include "checkpoint/t5_gguf.h"
#include "format/hub.h"
#include "model/tower.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- What the weights say -------------------------------------------------------------------- */

static bool has_tensor(const struct weights *weights, const char *name)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    return weights_shape(weights, name, shape, &rank);
}

/* Reads the only value of a tensor. Returns false if there is no such tensor. */
static bool read_single(const struct weights *weights, const char *name, float *value, int *error)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    if (!weights_shape(weights, name, shape, &rank))
        return false;
    if (rank > 1 || (rank == 1 && shape[0] != 1))
        *error = error_fail(VKCLIP_EFORMAT, "%s: tensor %s: expected one value",
                            weights_path(weights), name);
    else
        *error = weights_read(weights, name, 0, 1, value);
    return true;
}

static int read_logit_scale(const struct weights *weights, struct config *config)
{
    float value = 0;
    int error = VKCLIP_OK;
    if (!read_single(weights, "logit_scale", &value, &error)) {
        const bool pair = config->text.kind && config->image.kind;
        const bool configured = pair && config->logit_scale > 0;
        config->logit_scale = configured ? config->logit_scale : 1;
        if (pair)
            log_message(VKCLIP_LOG_WARNING,
                        configured
                            ? "%s: has no logit_scale: similarities are scaled by the value with "
                              "which training begins, as the configuration says"
                            : "%s: has no logit_scale: similarities are not scaled",
                        weights_path(weights));
        return VKCLIP_OK;
    }
    config->logit_scale = expf(value);
    if (!error && !(config->logit_scale > 0 && config->logit_scale < INFINITY))
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: tensor logit_scale: expected a number below 88, found %g",
                           weights_path(weights), (double)value);
    return error;
}

/* A model has a logit_bias exactly if its configuration says that it was trained with the sigmoid
 * loss. */
static int read_logit_bias(const struct weights *weights, struct config *config)
{
    const bool both = config->image.kind && config->text.kind, expected = config->sigmoid;
    int error = VKCLIP_OK;
    if (!expected && has_tensor(weights, "logit_bias"))
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: tensor logit_bias: not part of CLIP",
                          weights_path(weights));
    config->sigmoid = read_single(weights, "logit_bias", &config->logit_bias, &error) && both;
    if (!error && both && expected && !config->sigmoid)
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: tensor logit_bias: expected one value, found none: it is missing",
                           weights_path(weights));
    if (!error && !isfinite(config->logit_bias))
        error = error_fail(VKCLIP_EFORMAT, "%s: tensor logit_bias: expected a finite number",
                           weights_path(weights));
    return error;
}

/* ---- Which towers there are ------------------------------------------------------------------- */

/* Removes a tower that the configuration or the weights do not have. */
static void settle_tower(const struct weights *weights, enum tower tower, const char *name,
                         struct config_tower *sizes)
{
    const bool present = state_dict_kind(weights, tower) != KIND_NONE;
    if (sizes->kind && !present)
        log_message(VKCLIP_LOG_WARNING, "%s: has no %s tower, although its configuration has one",
                    weights_path(weights), name);
    if (!sizes->kind || !present)
        *sizes = (struct config_tower){0};
}

/* Tells from the weights whether there are projections, because the configuration of Hugging Face's
 * single encoders does not say so. */
static void settle_projections(const struct weights *weights, struct config *config)
{
    struct config_tower *image = &config->image, *text = &config->text;
    if (config->family == VKCLIP_FAMILY_HF) {
        image->projection |= image->kind && has_tensor(weights, "visual.proj");
        text->projection |= text->kind && (has_tensor(weights, "text_projection") ||
                                           has_tensor(weights, "bert.proj.weight"));
    }
    if (!image->projection)
        config->image_embed_dim = image->width;
    if (!text->projection)
        config->text_embed_dim = text->transformation ? text->transformation : text->width;
}

/* Refuses the tensors of OpenCLIP's other text towers, which it calls text.NAME. */
static int check_text_names(const struct weights *weights)
{
    const char *name;
    for (size_t i = 0; (name = weights_name(weights, i)); i++)
        if (string_begins_with(name, "text."))
            return error_fail(VKCLIP_EUNSUPPORTED, "%s: tensor %s: not part of CLIP's text tower",
                              weights_path(weights), name);
    return VKCLIP_OK;
}

/* Finds out which towers there are, and whether they have projections. */
static int settle_towers(const struct weights *weights, struct config *config)
{
    int error = check_text_names(weights);
    if (error)
        return error;
    config->custom_text |= weights_form(weights) == NAMES_CUSTOM_TEXT;
    settle_tower(weights, TOWER_TEXT, "text", &config->text);
    settle_tower(weights, TOWER_IMAGE, "image", &config->image);
    if (!config->image.kind && !config->text.kind)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: has no tower that can be computed",
                          weights_path(weights));
    settle_projections(weights, config);
    if (!config->image.kind)
        config->image_size = config->patch_size = 0;
    if (!config->text.kind)
        config->context = config->vocabulary = 0;
    return VKCLIP_OK;
}

/* ---- The configuration ----------------------------------------------------------------------- */

/* Reads a GGUF file's values, which give everything but the size of the vocabulary. Those of a T5
 * are compared with the sizes of its tensors. */
static int read_gguf(const struct weights *weights, const char *encoder, struct config *config)
{
    if (t5_gguf_is_file(weights_gguf(weights))) {
        int error = state_dict_read_encoder(weights, encoder, config);
        return error ? error : t5_gguf_read(weights_gguf(weights), config);
    }
    int error = clip_cpp_read(weights_gguf(weights), config);
    if (config->text.kind)
        config->vocabulary = state_dict_size(weights, "token_embedding.weight", 0);
    return error;
}

static int read_preprocessor(const char *folder, struct config *config)
{
    char path[FILES_PATH_SIZE];
    if (!config->image.kind || !files_find_preprocessor(folder, path))
        return VKCLIP_OK;
    return hugging_face_read_preprocessor(path, config);
}

/* Tells whether the weights are a text encoder alone. */
static bool is_text_alone(const struct weights *weights)
{
    return state_dict_kind(weights, TOWER_TEXT) != KIND_NONE &&
           state_dict_kind(weights, TOWER_IMAGE) == KIND_NONE;
}

/* Reads the configuration from the weights' own file, or from the file beside it that fits their
 * names. The activation and the name of the text encoder that `params` has are used only if no file
 * tells them. */
static int read_config(const struct weights *weights, const char *folder,
                       const struct vkclip_model_params *params, struct config *config)
{
    const bool hugging_face = !weights_gguf(weights) && !weights_encoder(weights) &&
                              weights_family(weights) == VKCLIP_FAMILY_HF;
    const char *source = weights_path(weights);
    char beside[FILES_PATH_SIZE];
    bool configured = true;
    int error;
    if (weights_gguf(weights)) {
        error = read_gguf(weights, params->text_encoder, config);
    } else if (weights_encoder(weights)) {
        error = state_dict_read_encoder(weights, weights_encoder(weights), config);
    } else if (files_find(folder, hugging_face ? "config.json" : "open_clip_config.json", beside)) {
        source = beside;
        error = hugging_face ? hugging_face_read(beside, config) : openclip_read(beside, config);
    } else if (is_text_alone(weights) && (hugging_face || params->text_encoder)) {
        error = state_dict_read_encoder(weights, params->text_encoder, config);
    } else if (hugging_face) {
        error = error_fail(
            VKCLIP_EIO, "%s: its tensors have Hugging Face names, expected config.json beside it",
            source);
    } else {
        configured = false;
        error = state_dict_read(weights, params->activation, config);
    }
    if (!error && configured && params->activation != VKCLIP_ACTIVATION_AUTO)
        log_message(VKCLIP_LOG_WARNING,
                    "%s says what the activation is: the one asked for is ignored", source);
    if (!error)
        error = bert_fit_tensors(weights, source, config);
    if (!error)
        state_dict_fill_image(weights, config);
    if (!error)
        error = settle_towers(weights, config);
    if (!error)
        error = tower_check(source, config);
    if (!error && hugging_face)
        error = read_preprocessor(folder, config);
    return error;
}

/* ---- All together ---------------------------------------------------------------------------- */

/* Finds the vocabulary: the one that the caller names, else the file's own, else the one beside it.
 */
static int find_tokenizer(const struct weights *weights, const char *folder, const char *vocab,
                          struct config *config)
{
    char path[FILES_PATH_SIZE];
    if (vocab && !file_exists(vocab))
        return error_fail(VKCLIP_EIO, "%s: no such vocabulary file", vocab);
    if (!vocab && weights_has_vocabulary(weights))
        vocab = weights_path(weights);
    /* A tokenizer of transformers has transformers' files. */
    const enum vkclip_family family =
        config->cleaning == TEXT_CLEAN_NONE ? config->family : VKCLIP_FAMILY_HF;
    if (!vocab && files_find_vocabulary(folder, family, path))
        vocab = path;
    if (!vocab)
        return VKCLIP_OK;
    config->tokenizer_path = string_format("%s", vocab);
    return config->tokenizer_path ? VKCLIP_OK
                                  : error_fail(VKCLIP_EMEMORY, "%s: out of memory", vocab);
}

/* Finds the file of weights for a path or for a model's name on the hub. */
static int find_weights(const char *path, const char *hub_dir, char file[FILES_PATH_SIZE])
{
    char *found = NULL;
    int error = hub_find(path, hub_dir, &found);
    if (!error)
        error = files_find_weights(found, file);
    memory_free(found);
    return error;
}

/* Opens weights that were found. `folder` has the files beside them; "": there are none. */
static int open_found(const struct file_source *source, const char *folder,
                      const struct vkclip_model_params *params, struct config *config,
                      struct weights **weights)
{
    const struct weights_selection selection = {.encoder = params->text_encoder,
                                                .state_dict = params->state_dict};
    int error = weights_open_selection(source, &selection, weights);
    if (!error)
        error = read_config(*weights, folder, params, config);
    if (!error)
        error = pool_split(*weights, config);
    if (!error)
        error = check_tensors(*weights, config);
    if (!error && params->image_size && config->image.kind)
        error = positions_fit(*weights, params->image_size, config);
    if (!error)
        error = read_logit_scale(*weights, config);
    if (!error)
        error = read_logit_bias(*weights, config);
    if (!error)
        error = find_tokenizer(*weights, folder, params->vocab, config);
    if (error) {
        config_close(config);
        weights_close(weights);
    }
    return error;
}

int checkpoint_open(const char *path, const struct vkclip_model_params *params,
                    struct config *config, struct weights **weights)
{
    const struct file_source source = file_source_path(path);
    return checkpoint_open_source(&source, params, config, weights);
}

int checkpoint_open_source(const struct file_source *source,
                           const struct vkclip_model_params *params, struct config *config,
                           struct weights **weights)
{
    static const struct vkclip_model_params none = {0};
    char file[FILES_PATH_SIZE], folder[FILES_PATH_SIZE] = "";
    struct file_source found = *source;
    *config = config_defaults;
    *weights = NULL;
    if (source->kind == FILE_SOURCE_PATH) {
        int error = find_weights(source->name, params ? params->hub_dir : NULL, file);
        if (error)
            return error;
        files_folder(file, folder);
        found = file_source_path(file);
    }
    return open_found(&found, folder, params ? params : &none, config, weights);
}

int checkpoint_read_config(const char *path, struct config *config)
{
    char folder[FILES_PATH_SIZE];
    const bool openclip = !strcmp(file_name(path), "open_clip_config.json");
    *config = config_defaults;
    files_folder(path, folder);
    int error = openclip ? openclip_read(path, config) : hugging_face_read(path, config);
    config->logit_scale = 1 / 0.07f; /* initial value of training: paper, section 2.5 */
    if (config->sigmoid) {
        config->logit_scale = 10; /* SigLIP's paper, section 3.3 */
        config->logit_bias = -10;
    }
    if (!error)
        error = tower_check(path, config);
    if (!error && !openclip)
        error = read_preprocessor(folder, config);
    return error;
}
