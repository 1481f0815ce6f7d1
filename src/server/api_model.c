/* SPDX-License-Identifier: MIT
 *
 * /api/v1/classify and /api/v1/similarity.
 */
#include "base/error.h"
#include "base/string.h"
#include "server/handlers.h"
#include "server/input.h"
#include "server/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What both compute: logits [image_count,text_count]. */
struct comparison {
    struct request *request;
    struct input input;
    const struct loaded_model *model;
    float *image_embeds, *text_embeds, *logits;
};

/* ---- Embeddings -------------------------------------------------------------------------------- */

/* Adds the embedding of one sentence to that of its label. */
static void add(float *sum, const float *embed, size_t dim)
{
    for (size_t i = 0; i < dim; i++)
        sum[i] += embed[i];
}

static void normalize(float *embed, size_t dim)
{
    double squares = 0;
    for (size_t i = 0; i < dim; i++)
        squares += (double)embed[i] * (double)embed[i];
    for (size_t i = 0; i < dim; i++)
        embed[i] = (float)((double)embed[i] / sqrt(squares));
}

/* Sets each label into each template. The sentences are one list, a label's after another's. */
static int make_sentences(const struct input *input, struct encode_item *items)
{
    size_t count = 0;
    for (size_t i = 0; i < input->text_count; i++)
        for (size_t k = 0; k < input->template_count; k++) {
            char *text = string_fill(input->templates[k], input->texts[i]);
            if (!text)
                return error_fail(VKCLIP_EINVALID, "templates: '%s' has no {}",
                                  input->templates[k]);
            items[count].text = items[count].data = text;
            count++;
        }
    return VKCLIP_OK;
}

/* The average over the templates, as vkclip_encode_labels computes it (paper, section 3.1.4). */
static int encode_labels(struct comparison *comparison)
{
    const struct input *input = &comparison->input;
    const size_t dim = comparison->model->info.text_embed_dim, each = input->template_count;
    const size_t count = input->text_count * (each ? each : 1);
    if (count > INPUT_MOST * 4)
        return error_fail(VKCLIP_EINVALID, "expected at most %d sentences, found %zu",
                          INPUT_MOST * 4, count);
    struct encode_item *items = calloc(count + 1, sizeof(*items));
    float *embeds = calloc(count + 1, dim * sizeof(*embeds));
    int error = items && embeds ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory");
    for (size_t i = 0; !error && !each && i < count; i++)
        items[i].text = input->texts[i];
    if (!error && each)
        error = make_sentences(input, items);
    if (!error)
        error = encode_items(comparison->request, comparison->model, items, count, embeds);
    for (size_t i = 0; !error && i < input->text_count; i++) {
        float *sum = comparison->text_embeds + i * dim;
        for (size_t k = 0; k < (each ? each : 1); k++)
            add(sum, embeds + (i * (each ? each : 1) + k) * dim, dim);
        normalize(sum, dim);
    }
    encode_free(items, count);
    free(embeds);
    return error;
}

static int compare(struct comparison *comparison, const char *texts_name)
{
    struct input *input = &comparison->input;
    struct request *request = comparison->request;
    int error = input_read(request, texts_name, input);
    if (error)
        return error;
    if (!input->image_count || !input->text_count)
        return error_fail(VKCLIP_EINVALID, "expected at least one picture and one text");
    error = models_use(request->server->models, request, input->model, request->is_local,
                       &comparison->model);
    if (error)
        return error;
    const size_t dim = comparison->model->info.embed_dim;
    comparison->image_embeds = calloc(input->image_count, dim * sizeof(float));
    comparison->text_embeds = calloc(input->text_count, dim * sizeof(float));
    comparison->logits = calloc(input->image_count, input->text_count * sizeof(float));
    if (!comparison->image_embeds || !comparison->text_embeds || !comparison->logits)
        return error_fail(VKCLIP_EMEMORY, "out of memory for embeddings");
    error = encode_labels(comparison);
    if (!error)
        error = encode_items(request, comparison->model, input->images, input->image_count,
                             comparison->image_embeds);
    if (!error)
        error = vkclip_similarity(comparison->model->model, comparison->image_embeds,
                                  input->image_count, comparison->text_embeds, input->text_count,
                                  comparison->logits);
    return error;
}

static void end_comparison(struct comparison *comparison)
{
    models_release(comparison->request->server->models, comparison->model);
    input_free(&comparison->input);
    free(comparison->image_embeds);
    free(comparison->text_embeds);
    free(comparison->logits);
}

/* ---- Answers ----------------------------------------------------------------------------------- */

/* The softmax over the labels, or the sigmoid of each where the model has one. */
static void find_probabilities(const float *logits, size_t count, bool sigmoid, double *probs)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        most = (double)logits[i] > most ? (double)logits[i] : most;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - most);
    for (size_t i = 0; i < count; i++)
        probs[i] =
            sigmoid ? 1 / (1 + exp(-(double)logits[i])) : exp((double)logits[i] - most) / sum;
}

struct label {
    size_t number;
    double prob;
};

static int compare_probs(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    if (x->prob != y->prob)
        return x->prob < y->prob ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

/* The labels of one picture, the most probable first. */
static json_t *pack_labels(const struct comparison *comparison, size_t image)
{
    const struct input *input = &comparison->input;
    const size_t count = input->text_count;
    const float *logits = comparison->logits + image * count;
    struct label *labels = calloc(count, sizeof(*labels));
    double *probs = calloc(count, sizeof(*probs));
    json_t *list = labels && probs ? json_array() : NULL;
    if (list)
        find_probabilities(logits, count, comparison->model->info.sigmoid, probs);
    for (size_t i = 0; list && i < count; i++)
        labels[i] = (struct label){i, probs[i]};
    if (list)
        qsort(labels, count, sizeof(*labels), compare_probs);
    for (size_t i = 0; list && i < count; i++)
        json_array_append_new(list, json_pack("{ss sf sf}", "label", input->texts[labels[i].number],
                                              "prob", labels[i].prob, "logit",
                                              (double)logits[labels[i].number]));
    free(labels);
    free(probs);
    return list;
}

/* Answers a request with what `pack` makes of the comparison of its pictures and texts. */
static void answer_comparison(struct request *request, const char *texts_name,
                              json_t *pack(const struct comparison *comparison))
{
    struct comparison comparison = {.request = request};
    if (input_open(request, &comparison.input)) {
        const int error = compare(&comparison, texts_name);
        if (error)
            answer_library_error(request, error);
        else
            answer_json(request, 200, pack(&comparison));
    }
    end_comparison(&comparison);
}

static json_t *pack_classification(const struct comparison *comparison)
{
    json_t *results = json_array();
    for (size_t i = 0; i < comparison->input.image_count; i++)
        json_array_append_new(results, json_pack("{so}", "labels", pack_labels(comparison, i)));
    return json_pack("{so}", "results", results);
}

void handle_classify(struct request *request)
{
    answer_comparison(request, "labels", pack_classification);
}

static json_t *pack_similarity(const struct comparison *comparison)
{
    const struct vkclip_model_info *info = &comparison->model->info;
    const size_t columns = comparison->input.text_count;
    json_t *logits = json_array(), *cosines = json_array();
    for (size_t i = 0; i < comparison->input.image_count; i++) {
        json_t *logit_row = json_array(), *cosine_row = json_array();
        for (size_t k = 0; k < columns; k++) {
            const double logit = (double)comparison->logits[i * columns + k];
            json_array_append_new(logit_row, json_real(logit));
            json_array_append_new(cosine_row, json_real((logit - (double)info->logit_bias) /
                                                        (double)info->logit_scale));
        }
        json_array_append_new(logits, logit_row);
        json_array_append_new(cosines, cosine_row);
    }
    return json_pack("{so so}", "logits", logits, "cosines", cosines);
}

void handle_similarity(struct request *request)
{
    answer_comparison(request, "texts", pack_similarity);
}
