/* SPDX-License-Identifier: MIT
 *
 * The protocol of immich's machine learning (immich_ml/main.py of versions 2 and 3): /ping and
 * /predict. Only its task `clip` is answered here. Other tasks must never be answered with an empty
 * result, which immich would keep as "no faces in this picture": they go to the server that
 * --immich-upstream names, or fail.
 */
#include "base/error.h"
#include "server/encode.h"
#include "server/form.h"
#include "server/forward.h"
#include "server/handlers.h"
#include "server/internal.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_SIZE = 20 }; /* characters of a float and its comma */

/* What one request asks for. */
struct prediction {
    struct request *request;
    json_t *entries;
    const char *name; /* of the model */
    enum vkclip_tower tower;
    struct encode_item item;
};

void handle_immich_ping(struct request *request)
{
    answer_static(request, 200, "text/plain; charset=utf-8", "pong", 4);
}

/* ---- The request --------------------------------------------------------------------------------- */

static void refuse_format(struct request *request)
{
    answer_error(request, 422, "Invalid request format.");
}

/* Tells whether the entries have any task besides `clip`. */
static bool has_other_task(const json_t *entries)
{
    const char *task;
    json_t *types;
    json_object_foreach ((json_t *)(uintptr_t)entries, task, types)
        if (strcmp(task, "clip"))
            return true;
    return false;
}

/* The only type of the task, and its model. */
static bool read_type(struct prediction *prediction)
{
    json_t *types = json_object_get(prediction->entries, "clip"), *entry;
    void *first = json_object_iter(types);
    if (!first || json_object_size(types) != 1)
        return false;
    const char *type = json_object_iter_key(first);
    entry = json_object_iter_value(first);
    prediction->name = json_string_value(json_object_get(entry, "modelName"));
    prediction->tower = strcmp(type, "textual") ? VKCLIP_TOWER_IMAGE : VKCLIP_TOWER_TEXT;
    return prediction->name && (!strcmp(type, "textual") || !strcmp(type, "visual"));
}

/* The original takes what follows the last slash for the name. */
static const char *clean_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* Moves the picture or the text out of the form. False: it was answered. */
static bool take_input(struct prediction *prediction, struct form *form)
{
    struct form_part *image = (struct form_part *)(uintptr_t)form_find(form, "image");
    const struct form_part *text = form_find(form, "text");
    if (!image && !text)
        answer_error(prediction->request, 400, "Either image or text must be provided");
    else if (!(prediction->tower == VKCLIP_TOWER_IMAGE ? image : text))
        answer_error(prediction->request, 400, "%s: expected the part \"%s\"",
                     prediction->tower == VKCLIP_TOWER_IMAGE ? "visual" : "textual",
                     prediction->tower == VKCLIP_TOWER_IMAGE ? "image" : "text");
    else if (prediction->tower == VKCLIP_TOWER_TEXT) {
        prediction->item.text = text->data ? text->data : "";
        return true;
    } else {
        prediction->item.data = image->data;
        prediction->item.size = image->size;
        prediction->item.exact = prediction->item.as_stored = true; /* as immich's own server */
        image->data = NULL;
        return true;
    }
    return false;
}

/* ---- The answer ---------------------------------------------------------------------------------- */

/* immich hands this text to its database as it is. */
static char *print_vector(const float *embed, size_t dim)
{
    char *text = malloc(dim * NUMBER_SIZE + 3), *end = text;
    if (!text)
        return NULL;
    *end++ = '[';
    for (size_t i = 0; i < dim; i++)
        end += snprintf(end, NUMBER_SIZE, i ? ",%.9g" : "%.9g", (double)embed[i]);
    strcpy(end, "]");
    return text;
}

static void answer_prediction(struct prediction *prediction, const float *embed, size_t dim)
{
    char *text = print_vector(embed, dim);
    json_t *json = text ? json_pack("{ss}", "clip", text) : NULL;
    free(text);
    if (json && prediction->tower == VKCLIP_TOWER_IMAGE) {
        json_object_set_new(json, "imageHeight", json_integer(prediction->item.height));
        json_object_set_new(json, "imageWidth", json_integer(prediction->item.width));
    }
    answer_json(prediction->request, 200, json);
}

static void predict(struct prediction *prediction)
{
    struct request *request = prediction->request;
    const struct loaded_model *model = NULL;
    float *embed = NULL;
    int error =
        models_use(request->server->models, request, clean_name(prediction->name), false, &model);
    if (!error && model->info.weights == VKCLIP_WEIGHTS_Q4)
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "weights of 4 bits are too coarse for immich, which takes pictures at a "
                           "distance of 0.01 for duplicates");
    if (!error) {
        embed = malloc(model->info.embed_dim * sizeof(*embed));
        error = embed ? encode_items(request, model, &prediction->item, 1, embed)
                      : error_fail(VKCLIP_EMEMORY, "out of memory for an embedding");
    }
    if (error)
        answer_library_error(request, error);
    else
        answer_prediction(prediction, embed, model->info.embed_dim);
    free(embed);
    models_release(request->server->models, model);
}

void handle_immich_predict(struct request *request)
{
    struct form form;
    struct prediction prediction = {.request = request};
    const struct form_part *entries = NULL;
    const int error = form_read(request, &form);
    if (!error)
        entries = form_find(&form, "entries");
    if (entries)
        request_read_json(request, entries->data, entries->size, &prediction.entries);
    if (error || !entries)
        answer_error(request, 422, "%s", error ? vkclip_last_error() : "expected the part entries");
    else if (!json_is_object(prediction.entries) || !json_object_size(prediction.entries))
        refuse_format(request);
    else if (has_other_task(prediction.entries))
        forward_request(request);
    else if (!read_type(&prediction))
        refuse_format(request);
    else if (take_input(&prediction, &form))
        predict(&prediction);
    free(prediction.item.data);
    json_decref(prediction.entries);
    form_free(&form);
}
