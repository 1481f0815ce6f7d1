/* SPDX-License-Identifier: MIT
 *
 * Every chunk of a prompt is a row that runs through the encoder alone, as the webui and ComfyUI do
 * it. The vector of a prompt is that of its first chunk.
 */
#include "encode/encoding.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"
#include "encode/batches.h"
#include "encode/texts.h"
#include "text/clean.h"

#include <string.h>

enum { SHOWN = 40 }; /* bytes of a prompt in messages */

static int fail_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for prompts");
}

/* ---- Places ---------------------------------------------------------------------------------- */

static struct prompt_form describe_form(const struct conditioner_encoder *encoder, uint32_t length,
                                        bool strict)
{
    const struct vkclip_model *model = encoder->model;
    return (struct prompt_form){.name = encoder->row->name,
                                .tokenizer = model->tokenizer,
                                .length =
                                    encoder->row->sequence ? length : model->spec.config.context,
                                .fill = encoder->fill,
                                .pad_text = encoder->pad_text,
                                .sequence = encoder->row->sequence,
                                .empty_is_fill = encoder->row->empty_is_fill,
                                .strict = strict,
                                .embeddings = encoder->embeddings,
                                .embedding_count = encoder->embedding_count};
}

/* Returns a text as its pipeline gives it to the tokenizer, a new string; NULL when out of memory.
 */
static char *clean_text(const char *text, enum family_clean clean)
{
    struct code_points codes = {0};
    code_points_push_utf8(&codes, text, strlen(text));
    if (clean == FAMILY_CLEAN_LOWER)
        clean_lower(&codes);
    else
        clean_fix(&codes);
    char *cleaned = codes.failed ? NULL : code_points_utf8(&codes);
    code_points_free(&codes);
    return cleaned;
}

int encoding_tokenize_text(const struct conditioner_encoder *encoder, const char *name,
                           const char *text, const struct vkclip_prompt_params *params,
                           struct vkclip_prompt *prompt)
{
    struct prompt_form form = describe_form(encoder, params->length, params->strict);
    form.name = name;
    if (encoder->clean == FAMILY_CLEAN_NOTHING)
        return prompt_encode(text, strlen(text), params->syntax, &form, prompt);
    char *cleaned = clean_text(text, encoder->clean);
    int error = cleaned ? prompt_encode(cleaned, strlen(cleaned), params->syntax, &form, prompt)
                        : fail_memory();
    memory_free(cleaned);
    return error;
}

/* Names a prompt by its beginning in messages, which may be one of many. */
static int tokenize_named(const struct conditioner_encoder *encoder, const char *text,
                          const struct vkclip_prompt_params *params, struct vkclip_prompt *prompt)
{
    const size_t length = strlen(text), shown = string_fit(text, length, SHOWN);
    char *name = string_format("prompt '%.*s%s': %s", (int)shown, text, shown < length ? "..." : "",
                               encoder->row->name);
    int error = name ? encoding_tokenize_text(encoder, name, text, params, prompt) : fail_memory();
    memory_free(name);
    return error;
}

int encoding_tokenize(const struct conditioner_encoder *encoder, const char *const *texts,
                      size_t count, const struct vkclip_condition_params *params, uint32_t length,
                      struct encoding *encoding)
{
    const struct vkclip_prompt_params wanted = {
        .syntax = params->syntax, .length = length, .strict = params->strict};
    *encoding = (struct encoding){
        .encoder = encoder, .count = count, .length = describe_form(encoder, length, false).length};
    encoding->prompts = memory_calloc(count + 1, sizeof(*encoding->prompts));
    int error = encoding->prompts ? VKCLIP_OK : fail_memory();
    for (size_t i = 0; i < count && !error; i++) {
        struct vkclip_prompt *prompt = &encoding->prompts[i];
        error = tokenize_named(encoder, texts[i], &wanted, prompt);
        if (error)
            return error;
        if (i && prompt->length != encoding->length)
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: prompts of %u and %u places: condition them one by one",
                              encoder->row->name, encoding->length, prompt->length);
        encoding->length = prompt->length;
        encoding->interpolates |= prompt->weighting == VKCLIP_WEIGHTING_INTERPOLATE;
        if (prompt->chunks > encoding->chunks)
            encoding->chunks = prompt->chunks;
    }
    return error;
}

/* Writes the ids of a row: of a chunk of a prompt, or of the empty prompt. */
static void write_row(struct encoding *encoding, size_t row)
{
    const struct prompt_form form = {.tokenizer = encoding->encoder->model->tokenizer,
                                     .length = encoding->length,
                                     .fill = encoding->encoder->fill,
                                     .sequence = encoding->encoder->row->sequence,
                                     .empty_is_fill = encoding->encoder->row->empty_is_fill};
    const size_t text = row / encoding->chunks, chunk = row % encoding->chunks;
    const struct vkclip_prompt *prompt = text < encoding->count ? &encoding->prompts[text] : NULL;
    int32_t *ids = &encoding->ids[row * encoding->length];
    if (!prompt || chunk >= prompt->chunks) {
        prompt_empty(&form, encoding->length, ids);
        return;
    }
    for (size_t i = 0; i < encoding->length; i++) {
        const struct vkclip_prompt_place *place = &prompt->places[chunk * encoding->length + i];
        ids[i] = place->id;
        if (place->embedding >= 0)
            ids[i] = encoding->encoder->first_ids[place->embedding] + (int32_t)place->vector;
    }
}

/* Returns the place at which a row's text ends: the first end of text, or the last place. */
static uint32_t find_end(const struct encoding *encoding, size_t row)
{
    const int32_t end = tokenizer_end(encoding->encoder->model->tokenizer);
    const int32_t *ids = &encoding->ids[row * encoding->length];
    uint32_t place = 0;
    while (place + 1 < encoding->length && ids[place] != end)
        place++;
    return place;
}

static int write_rows(struct encoding *encoding)
{
    encoding->rows = encoding->count * encoding->chunks + encoding->interpolates;
    encoding->ids = memory_calloc(encoding->rows * encoding->length + 1, sizeof(*encoding->ids));
    encoding->ends = memory_calloc(encoding->rows + 1, sizeof(*encoding->ends));
    if (!encoding->ids || !encoding->ends)
        return fail_memory();
    for (size_t row = 0; row < encoding->rows; row++) {
        write_row(encoding, row);
        encoding->ends[row] = find_end(encoding, row);
    }
    return VKCLIP_OK;
}

/* ---- Running --------------------------------------------------------------------------------- */

/* The rows of several encodings by one encoder, which run in the same batches. */
struct rows {
    struct encoding *const *encodings;
    size_t count; /* of encodings */
};

/* Returns the encoding that has a row, whose number in it *row becomes. */
static struct encoding *find_row(const struct rows *rows, size_t *row)
{
    size_t i = 0;
    while (*row >= rows->encodings[i]->rows)
        *row -= rows->encodings[i++]->rows;
    return rows->encodings[i];
}

/* Is the write function of struct batches. */
static int put_row(void *user, struct replica *replica, const struct replica_plan *plan, size_t row,
                   uint32_t place, unsigned thread)
{
    const struct encoding *encoding = find_row(user, &row);
    const struct conditioner_encoder *encoder = encoding->encoder;
    const uint32_t length = encoding->length;
    const int32_t end = (int32_t)encoding->ends[row];
    if (plan->rows >= 0)
        plan_write_ids(plan->plan, plan->rows, place, &end, 1);
    for (uint32_t i = 0; i < length && plan->mask >= 0; i++) {
        const int32_t seen = !encoder->row->masked || i <= encoding->ends[row];
        plan_write_ids(plan->plan, plan->mask, (uint64_t)place * length + i, &seen, 1);
    }
    return texts_write_ids(encoder->model, replica, plan, &encoding->ids[row * length], length,
                           place, thread);
}

/* Is the read function of struct batches. Each row is written by one replica. */
static int take_rows(void *user, const struct replica_plan *plan, size_t first, size_t number)
{
    for (size_t place = 0; place < number; place++) {
        size_t row = first + place;
        const struct encoding *encoding = find_row(user, &row);
        const size_t states = encoding->length * encoding->width, pooled = encoding->pooled_width;
        const int vectors = encoding->states ? plan->embeddings : plan->features;
        if (encoding->states)
            plan_read(plan->plan, plan->features, place * states, &encoding->states[row * states],
                      states);
        if (encoding->pooled)
            plan_read(plan->plan, vectors, place * pooled, &encoding->pooled[row * pooled], pooled);
    }
    return VKCLIP_OK;
}

static int allocate_results(struct encoding *encoding, const struct tower_features *features)
{
    const struct config *config = &encoding->encoder->model->spec.config;
    encoding->width = config->text.width;
    encoding->pooled_width = features->embedding ? config->text_embed_dim : config->text.width;
    if (!features->pooled)
        encoding->states =
            memory_calloc(encoding->rows * encoding->length * encoding->width + 1, sizeof(float));
    if (features->pooled || features->embedding)
        encoding->pooled =
            memory_calloc(encoding->rows * encoding->pooled_width + 1, sizeof(float));
    const bool good = (features->pooled || encoding->states) &&
                      (!(features->pooled || features->embedding) || encoding->pooled);
    return good ? VKCLIP_OK : fail_memory();
}

static int run_rows(struct rows *rows, const struct tower_features *features)
{
    const struct encoding *first = rows->encodings[0];
    const struct vkclip_model *model = first->encoder->model;
    struct batches_group all = {.length = first->length};
    for (size_t i = 0; i < rows->count; i++)
        all.end += rows->encodings[i]->rows;
    const struct batches work = {.tower = TOWER_TEXT,
                                 .count = all.end,
                                 .groups = &all,
                                 .features = *features,
                                 .user = rows,
                                 .write = put_row,
                                 .parallel = true,
                                 .read = take_rows};
    return batches_run(&work, model->replicas, model->replica_count, model->device->drivers,
                       gpu_workers(model->device->gpus[0]));
}

static void weigh_rows(struct encoding *encoding)
{
    const size_t row = encoding->length * encoding->width;
    const float *empty = &encoding->states[(encoding->rows - encoding->interpolates) * row];
    for (size_t i = 0; i < encoding->count; i++)
        for (uint32_t chunk = 0; chunk < encoding->prompts[i].chunks; chunk++)
            prompt_weigh(&encoding->prompts[i], chunk, encoding->width, empty,
                         &encoding->states[(i * encoding->chunks + chunk) * row]);
}

int encoding_run(struct encoding *const *encodings, size_t count,
                 const struct vkclip_features *wanted)
{
    const struct conditioner_encoder *encoder = encodings[0]->encoder;
    const struct vkclip_model *model = encoder->model;
    struct rows rows = {.encodings = encodings, .count = count};
    struct tower_features features;
    int error =
        tower_find_features(model_name(model), &model->spec.config, TOWER_TEXT, wanted, &features);
    features.embedding = encoder->row->embedding != FAMILY_NO_EMBEDDING;
    features.masked = encoder->row->masked;
    if (!error)
        error = weights_check(model->weights);
    for (size_t i = 0; i < count && !error; i++) {
        error = write_rows(encodings[i]);
        if (!error)
            error = allocate_results(encodings[i], &features);
    }
    if (!error)
        error = run_rows(&rows, &features);
    for (size_t i = 0; i < count && !error; i++)
        if (encodings[i]->states)
            weigh_rows(encodings[i]);
    return error;
}

void encoding_close(struct encoding *encoding)
{
    for (size_t i = 0; encoding->prompts && i < encoding->count; i++)
        prompt_free(&encoding->prompts[i]);
    memory_free(encoding->prompts);
    memory_free(encoding->ids);
    memory_free(encoding->ends);
    memory_free(encoding->states);
    memory_free(encoding->pooled);
    *encoding = (struct encoding){0};
}
