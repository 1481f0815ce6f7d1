/* SPDX-License-Identifier: MIT
 *
 * Computes on a few embeddings, on the host and in double precision. Refuses templates without a
 * place for the label, and models without both towers.
 */
#include "encode/zero_shot.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"
#include "encode/pictures.h"
#include "encode/texts.h"

#include <math.h>
#include <string.h>

int zero_shot_similarity(const struct vkclip_model *model, const float *image_embeds, size_t n,
                         const float *text_embeds, size_t m, float *logits)
{
    const struct config *config = &model->spec.config;
    if (!config->image.kind || !config->text.kind ||
        config->image_embed_dim != config->text_embed_dim)
        return error_fail(VKCLIP_EABSENT, "similarity needs both towers in one space");
    const size_t dim = config->image_embed_dim;
    const double bias = config->sigmoid ? (double)config->logit_bias : 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) {
            double sum = 0;
            for (size_t d = 0; d < dim; d++)
                sum += (double)image_embeds[i * dim + d] * text_embeds[j * dim + d];
            logits[i * m + j] = (float)(sum * config->logit_scale + bias);
        }
    return VKCLIP_OK;
}

/* ---- Labels ---------------------------------------------------------------------------------- */

/* Writes the mean of the rows [count,dim], divided by its length. */
static void average(const float *rows, size_t count, size_t dim, float *mean)
{
    double squares = 0;
    for (size_t d = 0; d < dim; d++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += rows[i * dim + d];
        mean[d] = (float)(sum / (double)count);
        squares += (double)mean[d] * mean[d];
    }
    double norm = fmax(sqrt(squares), 1e-12);
    for (size_t d = 0; d < dim; d++)
        mean[d] = (float)(mean[d] / norm);
}

/* Puts every label into every template: texts[label * template_count + template]. */
static bool fill_templates(const char *const *labels, size_t label_count,
                           const char *const *templates, size_t template_count, char **texts)
{
    bool complete = true;
    for (size_t i = 0; i < label_count * template_count && complete; i++) {
        texts[i] = string_fill(templates[i % template_count], labels[i / template_count]);
        complete = texts[i] != NULL;
    }
    return complete;
}

static int encode_templates(struct vkclip_model *model, const char *const *labels,
                            size_t label_count, const char *const *templates, size_t template_count,
                            const struct vkclip_encode_params *params, float *embeds)
{
    const size_t dim = model->spec.config.text_embed_dim, total = label_count * template_count;
    char **texts = memory_calloc(total + 1, sizeof(*texts));
    float *each = memory_alloc((total * dim + 1) * sizeof(*each));
    int error = VKCLIP_OK;
    if (!texts || !each || !fill_templates(labels, label_count, templates, template_count, texts))
        error = error_fail(VKCLIP_EMEMORY, "out of memory for labels");
    const struct text_items items = {.strings = (const char *const *)texts};
    if (!error)
        error = texts_encode(model, &items, total, params, each);
    for (size_t i = 0; i < label_count && !error; i++)
        average(&each[i * template_count * dim], template_count, dim, &embeds[i * dim]);
    for (size_t i = 0; texts && i < total; i++)
        memory_free(texts[i]);
    memory_free(texts);
    memory_free(each);
    return error;
}

int zero_shot_labels(struct vkclip_model *model, const char *const *labels, size_t label_count,
                     const char *const *templates, size_t template_count,
                     const struct vkclip_encode_params *params, float *embeds)
{
    const struct text_items plain = {.strings = labels};
    struct vkclip_encode_params strings = params ? *params : (struct vkclip_encode_params){0};
    strings.lengths = NULL; /* Labels end with NUL. */
    if (!template_count)
        return texts_encode(model, &plain, label_count, &strings, embeds);
    for (size_t i = 0; i < template_count; i++)
        if (!strstr(templates[i], "{}"))
            return error_fail(VKCLIP_EINVALID, "template \"%s\": expected {} where the label goes",
                              templates[i]);
    return encode_templates(model, labels, label_count, templates, template_count, &strings,
                            embeds);
}

/* ---- Classification -------------------------------------------------------------------------- */

static void softmax(const float *logits, size_t count, float *probs)
{
    float top = -INFINITY;
    double total = 0;
    for (size_t i = 0; i < count; i++)
        top = logits[i] > top ? logits[i] : top;
    for (size_t i = 0; i < count; i++)
        total += exp((double)logits[i] - top);
    for (size_t i = 0; i < count; i++)
        probs[i] = (float)(exp((double)logits[i] - top) / total);
}

static void sigmoid(const float *logits, size_t count, float *probs)
{
    for (size_t i = 0; i < count; i++)
        probs[i] = (float)(1 / (1 + exp(-(double)logits[i])));
}

int zero_shot_classify(struct vkclip_model *model, const struct vkclip_image *images, size_t count,
                       const float *label_embeds, size_t label_count,
                       const struct vkclip_encode_params *params, float *logits, float *probs)
{
    const size_t dim = model->spec.config.image_embed_dim;
    const struct pictures pictures = {.images = images};
    float *embeds = memory_alloc((count * dim + 1) * sizeof(*embeds));
    float *scores = memory_alloc((count * label_count + 1) * sizeof(*scores));
    int error = VKCLIP_OK;
    if (!embeds || !scores)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for classifying");
    if (!error)
        error = pictures_encode(model, &pictures, count, params, embeds);
    if (!error)
        error = zero_shot_similarity(model, embeds, count, label_embeds, label_count, scores);
    for (size_t i = 0; i < count && probs && !error; i++)
        if (model->spec.config.sigmoid)
            sigmoid(&scores[i * label_count], label_count, &probs[i * label_count]);
        else
            softmax(&scores[i * label_count], label_count, &probs[i * label_count]);
    if (logits && !error)
        memcpy(logits, scores, count * label_count * sizeof(*logits));
    memory_free(embeds);
    memory_free(scores);
    return error;
}
