/* SPDX-License-Identifier: MIT
 *
 * OpenAI's /v1/embeddings and /v1/models ("API Reference", Embeddings and Models).
 */
#include "server/openai.h"
#include "base/base64.h"
#include "base/string.h"
#include "server/handlers.h"
#include "server/internal.h"

#include <stdlib.h>
#include <string.h>

static const char *get_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- Embeddings -------------------------------------------------------------------------------- */

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

/* The tokens that were computed. Pictures have none. */
static size_t count_tokens(const struct embeddings *embeddings)
{
    const size_t context = embeddings->model->info.context;
    size_t tokens = 0, length;
    for (size_t i = 0; i < embeddings->count; i++) {
        const char *text = embeddings->items[i].text;
        tokens += embeddings->items[i].token_count;
        if (text && !vkclip_tokenize(embeddings->model->model, text, encode_text_length(text),
                                     VKCLIP_TOKENIZE_FULL, NULL, 0, &length))
            tokens += context && length > context ? context : length;
    }
    return tokens;
}

static void answer_embeddings(struct embeddings *embeddings)
{
    const size_t dim = openai_dim(embeddings);
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
                          name && *name ? name : embeddings->model->name, "usage", "prompt_tokens",
                          tokens, "total_tokens", tokens));
}

static int use_model(struct embeddings *embeddings)
{
    struct request *request = embeddings->request;
    const json_t *name = json_object_get(embeddings->body, "model");
    request->parameter = "model";
    if (name && !json_is_null(name) && !json_is_string(name))
        return error_fail(VKCLIP_EINVALID, "model: expected a string");
    return models_use(request->server->models, request, json_string_value(name), request->is_local,
                      &embeddings->model);
}

static int encode_inputs(struct embeddings *embeddings)
{
    int error = openai_read_inputs(embeddings);
    if (!error)
        error = use_model(embeddings);
    if (!error)
        error = openai_read_parameters(embeddings);
    if (error)
        return error;
    embeddings->embeds = malloc(embeddings->count * openai_dim(embeddings) * sizeof(float));
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

/* ---- Models ------------------------------------------------------------------------------------ */

/* The models that are told, each once. */
struct listing {
    const struct server *server;
    json_t *models;   /* by name */
    const char *only; /* NULL: all */
};

static json_t *pack_model(const struct listing *listing, const char *name, const char *owner)
{
    return json_pack("{ss ss sI ss sb}", "id", name, "object", "model", "created",
                     (json_int_t)listing->server->started, "owned_by", owner, "loaded", 0);
}

/* Is a models_list_fn. */
static void add_model(void *user, const char *name, const struct loaded_model *loaded)
{
    struct listing *listing = user;
    /* Only the server's own user can name a model by its path, which others need not know. */
    if (*name == '/')
        return;
    if ((listing->only && strcmp(listing->only, name)) || json_object_get(listing->models, name))
        return;
    json_t *model = pack_model(listing, name, "vkclip");
    if (model && loaded) {
        const struct vkclip_model_info *info = &loaded->info;
        json_object_set_new(model, "loaded", json_true());
        json_object_set_new(model, "dimensions", json_integer(info->embed_dim));
        json_object_set_new(model, "context", json_integer(info->context));
        json_object_set_new(model, "image_size", json_integer(info->image_size));
    }
    json_object_set_new(listing->models, name, model);
}

/* The published models that the hub's cache has, so that they need no download. */
static void add_cached(struct listing *listing)
{
    const struct vkclip_hub_model *published;
    for (size_t i = 0; (published = vkclip_get_hub_model(i)); i++) {
        if ((listing->only && vkclip_find_hub_model(listing->only) != published) ||
            json_object_get(listing->models, published->name) || published->obstacle ||
            !vkclip_has_cached_model(published->name, NULL))
            continue;
        char *owner = string_format("%s", published->repository);
        if (owner)
            owner[strcspn(owner, "/")] = 0;
        json_t *model = pack_model(listing, listing->only ? listing->only : published->name,
                                   owner ? owner : "");
        if (model && published->embed_dim)
            json_object_set_new(model, "dimensions", json_integer(published->embed_dim));
        json_object_set_new(listing->models, published->name, model);
        free(owner);
    }
}

static void list_models(struct listing *listing)
{
    models_list(listing->server->models, add_model, listing);
    if (!listing->only || !json_object_size(listing->models))
        add_cached(listing);
}

void handle_openai_models(struct request *request)
{
    struct listing listing = {.server = request->server, .models = json_object()};
    json_t *data = json_array(), *model;
    const char *name;
    list_models(&listing);
    json_object_foreach (listing.models, name, model)
        json_array_append(data, model);
    json_decref(listing.models);
    answer_json(request, 200, json_pack("{ss so}", "object", "list", "data", data));
}

void handle_openai_model(struct request *request)
{
    struct listing listing = {.server = request->server,
                              .models = json_object(),
                              .only = request->path + strlen("/v1/models/")};
    list_models(&listing);
    void *first = json_object_iter(listing.models);
    request->parameter = "model";
    if (first)
        answer_json(request, 200, json_incref(json_object_iter_value(first)));
    else
        answer_error(request, 404, "%s: no such model", listing.only);
    json_decref(listing.models);
}
