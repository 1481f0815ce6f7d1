/* SPDX-License-Identifier: MIT
 *
 * OpenAI's /v1/embeddings and /v1/models ("API Reference", Embeddings), where an input may also be
 * a picture, in the forms in which other servers take one: a data URL (infinity), {"text"} or
 * {"image"} (Jina), content parts and messages (vLLM).
 */
#include "base/base64.h"
#include "base/string.h"
#include "server/encode.h"
#include "server/handlers.h"
#include "server/internal.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_INPUTS = 2048 };

struct embeddings {
    struct request *request;
    json_t *body;
    const struct loaded_model *model;
    struct encode_item *items;
    size_t count;
    bool base64;
    float *embeds;
};

static const char *get_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- Inputs ------------------------------------------------------------------------------------ */

static bool is_picture_url(const char *text)
{
    return string_begins_with(text, "data:image/") || string_begins_with(text, "http://") ||
           string_begins_with(text, "https://");
}

/* {"text": ...}, {"image": ...}, {"type": "text"...} or {"type": "image_url", "image_url": ...} */
static int read_object(struct embeddings *embeddings, const json_t *input, const char *name,
                       struct encode_item *item)
{
    const json_t *url = json_object_get(input, "image_url");
    const char *text = get_text(input, "text"), *picture = get_text(input, "image");
    if (json_is_object(url))
        url = json_object_get(url, "url");
    if (url)
        picture = json_string_value(url);
    if (!text == !picture)
        return error_fail(VKCLIP_EINVALID, "%s: expected one of \"text\" and \"image\"", name);
    if (picture)
        return encode_read_picture(embeddings->request, picture, name, item);
    item->text = text;
    return VKCLIP_OK;
}

static int read_input(struct embeddings *embeddings, const json_t *input, size_t number,
                      bool pictures)
{
    struct encode_item *item = &embeddings->items[number];
    char name[32];
    snprintf(name, sizeof(name), "input %zu", number);
    const char *text = json_string_value(input);
    if (json_is_object(input))
        return read_object(embeddings, input, name, item);
    if (!text)
        return error_fail(VKCLIP_EINVALID, "%s: expected a string or an object", name);
    if (strlen(text) != json_string_length(input))
        return error_fail(VKCLIP_EINVALID, "%s: the text has a NUL", name);
    if (pictures || is_picture_url(text))
        return encode_read_picture(embeddings->request, text, name, item);
    if (!*text)
        return error_fail(VKCLIP_EINVALID, "%s: expected a text, found an empty string", name);
    item->text = text;
    return VKCLIP_OK;
}

/* vLLM's messages: the last one's only part is the input. */
static const json_t *find_message(const json_t *messages)
{
    const json_t *message = json_array_get(messages, json_array_size(messages) - 1);
    const json_t *content = json_object_get(message, "content");
    if (json_is_array(content) && json_array_size(content) == 1)
        return json_array_get(content, 0);
    return json_is_string(content) ? content : NULL;
}

static int read_inputs(struct embeddings *embeddings)
{
    const json_t *body = embeddings->body, *input = json_object_get(body, "input");
    const json_t *messages = json_object_get(body, "messages");
    const char *modality = get_text(body, "modality");
    if (!input && messages && !(input = find_message(messages)))
        return error_fail(VKCLIP_EINVALID, "messages: expected one message with one part, because "
                                           "CLIP has no vector of several");
    const bool several = json_is_array(input);
    embeddings->count = several ? json_array_size(input) : !!input;
    if (!embeddings->count || embeddings->count > MOST_INPUTS)
        return error_fail(VKCLIP_EINVALID, "input: expected 1 to %d inputs, found %zu", MOST_INPUTS,
                          embeddings->count);
    embeddings->items = calloc(embeddings->count, sizeof(*embeddings->items));
    if (!embeddings->items)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu inputs", embeddings->count);
    for (size_t i = 0; i < embeddings->count; i++) {
        /* The defaults are those of `vkclip embed` and of the reference implementations. */
        embeddings->items[i].exact = !json_is_true(json_object_get(body, "fast_decode"));
        embeddings->items[i].as_stored = !json_is_true(json_object_get(body, "orient"));
        const int error = read_input(embeddings, several ? json_array_get(input, i) : input, i,
                                     modality && !strcmp(modality, "image"));
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

static int read_parameters(struct embeddings *embeddings)
{
    const json_t *body = embeddings->body, *dimensions = json_object_get(body, "dimensions");
    const char *format = get_text(body, "encoding_format");
    const struct vkclip_model_info *info = &embeddings->model->info;
    embeddings->base64 = format && !strcmp(format, "base64");
    if (format && !embeddings->base64 && strcmp(format, "float"))
        return error_fail(VKCLIP_EINVALID, "encoding_format: expected float or base64, found %s",
                          format);
    if (dimensions && !json_is_null(dimensions) &&
        json_integer_value(dimensions) != (json_int_t)info->text_embed_dim)
        return error_fail(VKCLIP_EINVALID, "dimensions: expected %u, which this model has",
                          info->text_embed_dim);
    return VKCLIP_OK;
}

/* ---- Results ----------------------------------------------------------------------------------- */

static json_t *pack_embedding(const struct embeddings *embeddings, const float *embed, size_t dim)
{
    if (embeddings->base64) {
        char *text = base64_encode(embed, dim * sizeof(float));
        json_t *json = text ? json_string(text) : NULL;
        free(text);
        return json;
    }
    json_t *numbers = json_array();
    for (size_t i = 0; i < dim; i++)
        json_array_append_new(numbers, json_real(embed[i]));
    return numbers;
}

static size_t count_tokens(const struct embeddings *embeddings)
{
    size_t tokens = 0, length;
    for (size_t i = 0; i < embeddings->count; i++) {
        const char *text = embeddings->items[i].text;
        if (text && !vkclip_tokenize(embeddings->model->model, text, strlen(text),
                                     VKCLIP_TOKENIZE_FULL, NULL, 0, &length))
            tokens += length;
    }
    return tokens;
}

static void answer_embeddings(struct embeddings *embeddings)
{
    const size_t dim = embeddings->model->info.text_embed_dim;
    json_t *data = json_array();
    const char *name = get_text(embeddings->body, "model");
    for (size_t i = 0; i < embeddings->count; i++)
        json_array_append_new(
            data,
            json_pack("{ss sI so}", "object", "embedding", "index", (json_int_t)i, "embedding",
                      pack_embedding(embeddings, embeddings->embeds + i * dim, dim)));
    const json_int_t tokens = (json_int_t)count_tokens(embeddings);
    answer_json(embeddings->request, 200,
                json_pack("{ss so ss s{sI sI}}", "object", "list", "data", data, "model",
                          name ? name : embeddings->model->name, "usage", "prompt_tokens", tokens,
                          "total_tokens", tokens));
}

static int encode_inputs(struct embeddings *embeddings)
{
    const char *name = get_text(embeddings->body, "model");
    int error = read_inputs(embeddings);
    if (!error)
        error = models_use(embeddings->request->server->models, name, embeddings->request->is_local,
                           &embeddings->model);
    if (!error)
        error = read_parameters(embeddings);
    if (error)
        return error;
    embeddings->embeds =
        malloc(embeddings->count * embeddings->model->info.text_embed_dim * sizeof(float));
    if (!embeddings->embeds)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu embeddings", embeddings->count);
    return encode_items(embeddings->request, embeddings->model, embeddings->items,
                        embeddings->count, embeddings->embeds);
}

void handle_openai_embeddings(struct request *request)
{
    struct embeddings embeddings = {.request = request, .body = request_json(request)};
    if (!embeddings.body)
        return;
    const int error = encode_inputs(&embeddings);
    if (error)
        answer_library_error(request, error);
    else
        answer_embeddings(&embeddings);
    models_release(request->server->models, embeddings.model);
    encode_free(embeddings.items, embeddings.count);
    free(embeddings.embeds);
    json_decref(embeddings.body);
}

/* Is a models_list_fn. */
static void add_model(void *user, const char *name, const struct loaded_model *loaded)
{
    json_t *list = user, *entry;
    size_t i;
    (void)loaded;
    json_array_foreach (list, i, entry)
        if (!strcmp(get_text(entry, "id"), name))
            return;
    json_array_append_new(list, json_pack("{ss ss si ss}", "id", name, "object", "model", "created",
                                          0, "owned_by", "vkclip"));
}

void handle_openai_models(struct request *request)
{
    json_t *list = json_array();
    models_list(request->server->models, add_model, list);
    answer_json(request, 200, json_pack("{ss so}", "object", "list", "data", list));
}
