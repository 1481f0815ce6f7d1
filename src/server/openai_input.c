/* SPDX-License-Identifier: MIT
 *
 * An input of /v1/embeddings is a text or token ids, as OpenAI's API has it ("API Reference",
 * Embeddings), or a picture in one of the forms in which other servers take one: a data URL
 * (infinity), {"text"} or {"image"} (Jina), content parts and messages (vLLM). Parameters that no
 * vector depends on, such as `user`, are ignored.
 */
#include "base/array.h"
#include "base/string.h"
#include "server/internal.h"
#include "server/openai.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_INPUTS = 2048, MOST_TOKENS = 4096, MOST_ENDS = 8 };

/* What a string among the inputs is. */
enum modality { MODALITY_ANY, MODALITY_TEXT, MODALITY_IMAGE };

/* Reads a member that is a string or is not there. */
static int read_text(struct embeddings *embeddings, const char *key, const char **text)
{
    const json_t *json = json_object_get(embeddings->body, key);
    embeddings->request->parameter = key;
    *text = json_string_value(json);
    if (json && !json_is_null(json) && !*text)
        return error_fail(VKCLIP_EINVALID, "%s: expected a string", key);
    return VKCLIP_OK;
}

/* ---- One input --------------------------------------------------------------------------------- */

static bool is_picture_url(const char *text)
{
    return string_begins_with(text, "data:") || string_begins_with(text, "http://") ||
           string_begins_with(text, "https://");
}

static int read_string(struct request *request, const json_t *input, enum modality modality,
                       const char *name, struct encode_item *item)
{
    const char *text = json_string_value(input);
    if (modality == MODALITY_IMAGE || (modality == MODALITY_ANY && is_picture_url(text)))
        return encode_read_picture(request, text, name, item);
    if (!*text)
        return error_fail(VKCLIP_EINVALID, "%s: expected a text, found an empty string", name);
    item->text = text;
    return VKCLIP_OK;
}

static bool is_tokens(const json_t *input)
{
    return json_is_array(input) && json_is_integer(json_array_get(input, 0));
}

static int read_tokens(const json_t *input, const char *name, struct encode_item *item)
{
    const size_t count = json_array_size(input);
    if (count > MOST_TOKENS)
        return error_fail(VKCLIP_ETOOLONG, "%s: expected at most %d token ids, found %zu", name,
                          MOST_TOKENS, count);
    int32_t *ids = item->data = malloc(count * sizeof(*ids));
    if (!ids)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(input, i);
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value > INT32_MAX)
            return error_fail(VKCLIP_EINVALID, "%s: expected token ids only", name);
        ids[i] = (int32_t)value;
    }
    item->token_count = count;
    return VKCLIP_OK;
}

/* {"text": ...}, {"image": ...}, {"type": "text", "text": ...}, {"type": "image_url", "image_url":
 * ...}, where a picture may also stand in {"url": ...}. */
static int read_object(struct request *request, const json_t *input, const char *name,
                       struct encode_item *item)
{
    const json_t *text = json_object_get(input, "text");
    const json_t *picture = json_object_get(input, "image");
    if (!picture)
        picture = json_object_get(input, "image_url");
    if (json_is_object(picture))
        picture = json_object_get(picture, "url");
    if (json_is_string(text) == json_is_string(picture))
        return error_fail(VKCLIP_EINVALID, "%s: expected one of \"text\" and \"image\"", name);
    return json_is_string(text) ? read_string(request, text, MODALITY_TEXT, name, item)
                                : read_string(request, picture, MODALITY_IMAGE, name, item);
}

static int read_input(struct embeddings *embeddings, const json_t *input, size_t number,
                      enum modality modality)
{
    struct request *request = embeddings->request;
    struct encode_item *item = &embeddings->items[number];
    char name[sizeof(item->name)];
    snprintf(name, sizeof(name), "input %zu", number);
    memcpy(item->name, name, sizeof(name));
    if (json_is_object(input))
        return read_object(request, input, name, item);
    if (is_tokens(input))
        return read_tokens(input, name, item);
    if (json_is_string(input))
        return read_string(request, input, modality, name, item);
    return error_fail(VKCLIP_EINVALID, "%s: expected a string, token ids or an object", name);
}

/* ---- All inputs -------------------------------------------------------------------------------- */

/* vLLM's messages, of which one part of one message is the input. */
static int find_message(const json_t *messages, const json_t **input)
{
    const json_t *content = json_object_get(json_array_get(messages, 0), "content");
    const bool is_list = json_is_array(content);
    if (json_array_size(messages) != 1 || (is_list && json_array_size(content) != 1) ||
        !(is_list || json_is_string(content)))
        return error_fail(VKCLIP_EINVALID, "messages: expected one message with one part, because "
                                           "CLIP has no vector of several");
    *input = is_list ? json_array_get(content, 0) : content;
    return VKCLIP_OK;
}

static int read_modality(struct embeddings *embeddings, enum modality *modality)
{
    const char *text;
    const int error = read_text(embeddings, "modality", &text);
    if (error)
        return error;
    *modality = MODALITY_ANY;
    if (!text)
        return VKCLIP_OK;
    *modality = strcmp(text, "image") ? MODALITY_TEXT : MODALITY_IMAGE;
    if (*modality == MODALITY_TEXT && strcmp(text, "text"))
        return error_fail(VKCLIP_EINVALID, "modality: expected text or image, found %s", text);
    return VKCLIP_OK;
}

/* Finds the input or the inputs. */
static int find_inputs(struct embeddings *embeddings, const json_t **input, bool *several)
{
    const json_t *messages = json_object_get(embeddings->body, "messages");
    *input = json_object_get(embeddings->body, "input");
    *several = false;
    embeddings->request->parameter = *input ? "input" : messages ? "messages" : "input";
    if (!*input && messages) {
        embeddings->count = 1;
        return find_message(messages, input);
    }
    *several = json_is_array(*input) && !is_tokens(*input);
    embeddings->count = *several ? json_array_size(*input) : *input && !json_is_null(*input);
    if (!embeddings->count || embeddings->count > MOST_INPUTS)
        return error_fail(VKCLIP_EINVALID, "input: expected 1 to %d inputs, found %zu", MOST_INPUTS,
                          embeddings->count);
    return VKCLIP_OK;
}

int openai_read_inputs(struct embeddings *embeddings)
{
    const json_t *body = embeddings->body, *input;
    enum modality modality;
    bool several;
    if (!json_is_object(body))
        return error_fail(VKCLIP_EINVALID, "the body: expected an object");
    int error = read_modality(embeddings, &modality);
    if (!error)
        error = find_inputs(embeddings, &input, &several);
    if (error)
        return error;
    embeddings->items = calloc(embeddings->count, sizeof(*embeddings->items));
    if (!embeddings->items)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu inputs", embeddings->count);
    for (size_t i = 0; !error && i < embeddings->count; i++) {
        /* The defaults are those of `vkclip embed` and of the reference implementations. */
        embeddings->items[i].exact = !json_is_true(json_object_get(body, "fast_decode"));
        embeddings->items[i].as_stored = !json_is_true(json_object_get(body, "orient"));
        embeddings->items[i].raw = json_is_false(json_object_get(body, "normalized"));
        error = read_input(embeddings, several ? json_array_get(input, i) : input, i, modality);
    }
    return error;
}

/* ---- What depends on the model ------------------------------------------------------------------- */

/* Clients that count the tokens of OpenAI's models send their ids, which would be other words here:
 * those rows lack the marks by which a text begins and ends. */
static int check_tokens(const struct embeddings *embeddings, const struct encode_item *item)
{
    const struct loaded_model *model = embeddings->model;
    const int32_t *ids = item->data;
    int32_t ends[MOST_ENDS];
    size_t end_count = 0;
    bool good = true, ended = false;
    if (item->token_count > model->info.context && model->info.context)
        return error_fail(VKCLIP_ETOOLONG, "%s: expected at most %u token ids, found %zu",
                          item->name, model->info.context, item->token_count);
    for (size_t i = 0; i < item->token_count; i++)
        if ((uint32_t)ids[i] >= model->info.vocabulary)
            return error_fail(VKCLIP_EINVALID,
                              "%s: %d is no token id of this model, whose last one is %u",
                              item->name, ids[i], model->info.vocabulary - 1);
    if (!model->info.tokenizer)
        return VKCLIP_OK;
    const int error = vkclip_tokenize(model->model, "", 0, 0, ends, MOST_ENDS, &end_count);
    if (error)
        return error;
    if (end_count > 1)
        good = ids[0] == ends[0];
    for (size_t i = 0; i < item->token_count; i++)
        ended |= end_count && ids[i] == ends[end_count - 1];
    if (!good || (end_count && !ended))
        return error_fail(VKCLIP_EINVALID,
                          "%s: expected token ids of this model with the start and the end of the "
                          "text, as `vkclip tokenize` prints them; otherwise send the text",
                          item->name);
    return VKCLIP_OK;
}

/* Jina has a name of its own for the format. */
static int read_format(struct embeddings *embeddings)
{
    static const char *const keys[] = {"encoding_format", "embedding_type"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        const char *format;
        const int error = read_text(embeddings, keys[i], &format);
        if (error)
            return error;
        if (!format || !strcmp(format, "float"))
            continue;
        if (strcmp(format, "base64"))
            return error_fail(VKCLIP_EINVALID, "%s: expected float or base64, found %s", keys[i],
                              format);
        embeddings->base64 = true;
    }
    return VKCLIP_OK;
}

int openai_read_parameters(struct embeddings *embeddings)
{
    const json_t *dimensions = json_object_get(embeddings->body, "dimensions");
    const json_t *normalized = json_object_get(embeddings->body, "normalized");
    int error = read_format(embeddings);
    if (error)
        return error;
    embeddings->request->parameter = "dimensions";
    if (dimensions && !json_is_null(dimensions) &&
        json_integer_value(dimensions) != (json_int_t)openai_dim(embeddings))
        return error_fail(VKCLIP_EINVALID,
                          "dimensions: expected %zu, all that the embeddings of this model have",
                          openai_dim(embeddings));
    embeddings->request->parameter = "normalized";
    if (normalized && !json_is_null(normalized) && !json_is_boolean(normalized))
        return error_fail(VKCLIP_EINVALID, "normalized: expected true or false");
    embeddings->request->parameter = "input";
    for (size_t i = 0; !error && i < embeddings->count; i++)
        if (embeddings->items[i].token_count)
            error = check_tokens(embeddings, &embeddings->items[i]);
    return error;
}
