/* SPDX-License-Identifier: MIT
 *
 * Texts and labels, and how similar they are to pictures.
 */
#include "functions.h"

struct texts {
    struct call call;
    struct handle *model;
    const char *const *texts, *const *templates;
    size_t count, template_count;
    size_t *lengths;
    struct vkclip_encode_params params;
    uint32_t context;
    float *embeds;
    int32_t *ids;
};

static const struct member encode_members[] = {
    MEMBER(NOT, vkclip_encode_params, no_normalize, "normalize"),
    MEMBER(NOT, vkclip_encode_params, strict, "truncate"),
    {0}};
static const struct member tokenize_members[] = {MEMBER(U32, texts, context, "contextLength"), {0}};

static float *make_embeds(struct texts *texts)
{
    struct call *call = &texts->call;
    if (call->failed)
        return NULL;
    return call_result(call, napi_float32_array, texts->count * texts->model->info.text_embed_dim);
}

/* Reads the model, the texts and the options. Labels cannot have a NUL, and other texts can. */
static void read_common(struct texts *texts, bool labels)
{
    struct call *call = &texts->call;
    texts->params = (struct vkclip_encode_params){
        .size = sizeof(texts->params), .progress = call_progress, .user = call};
    texts->model = handle_get(call, call->arguments[0], HANDLE_MODEL);
    texts->texts = value_strings(call, call->arguments[1], labels ? "labels" : "texts",
                                 &texts->count, labels ? NULL : &texts->lengths);
    value_read(call, call->arguments[2], encode_members, &texts->params);
}

static void read_texts(struct call *call)
{
    struct texts *texts = (struct texts *)call;
    read_common(texts, false);
    texts->params.lengths = texts->lengths;
    texts->embeds = make_embeds(texts);
}

static int run_texts(struct call *call)
{
    const struct texts *texts = (const struct texts *)call;
    return vkclip_encode_texts(texts->model->model, texts->texts, texts->count, &texts->params,
                               texts->embeds);
}

const struct function function_encode_texts = {"encodeTexts", sizeof(struct texts), read_texts,
                                               run_texts, NULL};

static void read_labels(struct call *call)
{
    struct texts *texts = (struct texts *)call;
    read_common(texts, true);
    texts->templates =
        value_strings(call, call->arguments[3], "templates", &texts->template_count, NULL);
    texts->embeds = make_embeds(texts);
}

static int run_labels(struct call *call)
{
    const struct texts *texts = (const struct texts *)call;
    return vkclip_encode_labels(texts->model->model, texts->texts, texts->count, texts->templates,
                                texts->template_count, &texts->params, texts->embeds);
}

const struct function function_encode_labels = {"encodeLabels", sizeof(struct texts), read_labels,
                                                run_labels, NULL};

static void read_tokenize(struct call *call)
{
    struct texts *texts = (struct texts *)call;
    read_common(texts, false);
    value_read(call, call->arguments[2], tokenize_members, texts);
    if (call->failed)
        return;
    const struct vkclip_model_info *info = &texts->model->info;
    if (!texts->context)
        texts->context = info->context ? info->context : info->tokenizer_context;
    if (texts->context)
        texts->ids = call_result(call, napi_int32_array, texts->count * texts->context);
    else
        call_refuse(call, "contextLength: expected, because this model takes texts of any length");
}

static int run_tokenize(struct call *call)
{
    const struct texts *texts = (const struct texts *)call;
    const unsigned flags =
        VKCLIP_TOKENIZE_PAD | (texts->params.strict ? VKCLIP_TOKENIZE_STRICT : 0u);
    int error = VKCLIP_OK;
    for (size_t i = 0; i < texts->count && !error && !*call->stop; i++) {
        size_t count;
        error = vkclip_tokenize(texts->model->model, texts->texts[i], texts->lengths[i], flags,
                                texts->ids + i * texts->context, texts->context, &count);
    }
    return error || !*call->stop ? error : VKCLIP_ECANCELLED;
}

const struct function function_tokenize = {"tokenize", sizeof(struct texts), read_tokenize,
                                           run_tokenize, NULL};

/* ---- Similarity ------------------------------------------------------------------------------ */

struct similarity {
    struct call call;
    struct handle *model;
    float *images, *texts, *logits;
    size_t image_count, text_count;
};

/* Reads an array of embeddings, and counts its rows. */
static float *read_embeds(struct similarity *similarity, int argument, const char *name,
                          size_t *count)
{
    struct call *call = &similarity->call;
    const size_t width = call->failed ? 0 : similarity->model->info.embed_dim;
    void *data = NULL;
    size_t length = 0;
    if (!value_elements(call->env, call->arguments[argument], napi_float32_array, &data, &length))
        call_refuse(call, "%s: a Float32Array was expected", name);
    else if (!width || length % width)
        call_refuse(call, "%s: %zu numbers were found, expected a multiple of %zu", name, length,
                    width);
    else
        *count = length / width;
    return data;
}

static void read_similarity(struct call *call)
{
    struct similarity *similarity = (struct similarity *)call;
    similarity->model = handle_get(call, call->arguments[0], HANDLE_MODEL);
    similarity->images = read_embeds(similarity, 1, "imageEmbeds", &similarity->image_count);
    similarity->texts = read_embeds(similarity, 2, "textEmbeds", &similarity->text_count);
    if (!call->failed)
        similarity->logits =
            call_result(call, napi_float32_array, similarity->image_count * similarity->text_count);
}

static int run_similarity(struct call *call)
{
    const struct similarity *s = (const struct similarity *)call;
    if (!s->image_count || !s->text_count)
        return VKCLIP_OK;
    return vkclip_similarity(s->model->model, s->images, s->image_count, s->texts, s->text_count,
                             s->logits);
}

const struct function function_similarity = {"similarity", sizeof(struct similarity),
                                             read_similarity, run_similarity, NULL};
