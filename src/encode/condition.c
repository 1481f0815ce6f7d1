/* SPDX-License-Identifier: MIT
 *
 * Prompts and negative prompts are two sides, which are encoded apart, because some programs take
 * another layer for each, and which get equally many rows, because denoisers run both in one batch.
 */
#include "encode/condition.h"
#include "base/array.h"
#include "base/error.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/string.h"
#include "encode/encoding.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SIDES = 2, TENSORS = 3 * SIDES };

/* What the caller gets. */
struct result {
    struct vkclip_conditioning shown; /* comes first, because the caller has a pointer to it */
    struct vkclip_tensor tensors[TENSORS];
    char *names[TENSORS];
    void *data[TENSORS];
    struct vkclip_prompt_usage *usage;
};

/* The prompts, or the negative prompts. */
struct side {
    bool negative;
    const char *const *texts[VKCLIP_ENCODERS];
    size_t count; /* texts per encoder: 0 (all is zeros), 1 (for all pictures) or one per picture */
    struct encoding encodings[FAMILY_ENCODERS];
};

struct conditioning {
    const struct vkclip_conditioner *conditioner;
    const struct vkclip_condition_params *params;
    uint32_t length; /* of encoders with `sequence` */
    struct side sides[SIDES];
    size_t side_count;
    struct result *result;
};

static int fail_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for the conditioning");
}

/* ---- What is asked for ----------------------------------------------------------------------- */

static bool has_texts(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!texts[i])
            return false;
    return true;
}

static int check_texts(const struct conditioning *conditioning)
{
    const struct vkclip_condition_params *params = conditioning->params;
    const struct vkclip_conditioner *conditioner = conditioning->conditioner;
    for (size_t i = 0; i < conditioner->encoder_count; i++)
        if (conditioner->encoders[i].model && !conditioner->encoders[i].model->replica_count)
            return error_fail(VKCLIP_ENODEVICE, "the conditioner was opened without a device");
    if (!params->count || !params->prompts[0])
        return error_fail(VKCLIP_EINVALID, "at least one prompt expected");
    if (params->negative_count && !params->negatives[0])
        return error_fail(VKCLIP_EINVALID, "negative prompts expected");
    if (params->negative_count > 1 && params->negative_count != params->count)
        return error_fail(VKCLIP_EINVALID,
                          "%zu negative prompts for %zu prompts, expected one or as many",
                          params->negative_count, params->count);
    for (size_t i = 0; i < VKCLIP_ENCODERS; i++) {
        if ((params->prompts[i] || params->negatives[i]) && i >= conditioner->encoder_count)
            return error_fail(VKCLIP_EINVALID, "prompts for encoder %zu, but %s has %zu", i + 1,
                              conditioner->family->name, conditioner->encoder_count);
        if ((params->prompts[i] && !has_texts(params->prompts[i], params->count)) ||
            (params->negatives[i] && !has_texts(params->negatives[i], params->negative_count)))
            return error_fail(VKCLIP_EINVALID, "a prompt for encoder %zu is NULL", i + 1);
    }
    return VKCLIP_OK;
}

static bool takes_length(const struct family *family)
{
    for (size_t i = 0; i < family_encoder_count(family); i++)
        if (family->encoders[i].sequence)
            return true;
    return false;
}

/* Tells whether the layer of an encoder can be chosen: it gives states, and is not T5. */
static bool takes_layer(const struct family_encoder *row)
{
    return !row->sequence && !row->features.pooled;
}

static int check_options(const struct conditioning *conditioning)
{
    const struct vkclip_condition_params *params = conditioning->params;
    const struct family *family = conditioning->conditioner->family;
    if (params->clip_skip && params->clip_skip_diffusers)
        return error_fail(VKCLIP_EINVALID, "one of `clip_skip` and `clip_skip_diffusers` expected");
    if ((params->clip_skip || params->clip_skip_diffusers) && !takes_layer(&family->encoders[0]))
        return error_fail(VKCLIP_EINVALID, "`clip_skip`: no block of %s can be skipped",
                          family->name);
    if (params->max_sequence_length && !takes_length(family))
        return error_fail(VKCLIP_EINVALID, "`max_sequence_length`: %s has no encoder that takes it",
                          family->name);
    if (params->max_sequence_length > 512)
        return error_fail(VKCLIP_EINVALID, "`max_sequence_length` %u, expected 1 to 512",
                          params->max_sequence_length);
    return VKCLIP_OK;
}

/* Chooses the layer of an encoder for one side. */
static int choose_features(const struct conditioning *conditioning, bool negative, size_t index,
                           struct vkclip_features *features)
{
    const struct vkclip_condition_params *params = conditioning->params;
    const struct conditioner_encoder *encoder = &conditioning->conditioner->encoders[index];
    const bool webui =
        params->syntax >= VKCLIP_SYNTAX_A1111 && params->syntax < VKCLIP_SYNTAX_COMFY;
    const int own = encoder->layers + 1 + encoder->row->features.layer;
    int layer = own;
    *features = encoder->row->features;
    if (!takes_layer(encoder->row))
        return VKCLIP_OK;
    if (params->clip_skip && !(webui && index))
        layer = encoder->layers + 1 - (int)params->clip_skip;
    if (!negative)
        layer -= (int)params->clip_skip_diffusers;
    const int blocks = (int)encoder->model->spec.config.text.layers;
    features->layer = layer;
    if (layer >= 0 && layer <= blocks && params->clip_skip <= (unsigned)encoder->layers)
        return VKCLIP_OK;
    if (params->clip_skip)
        return error_fail(VKCLIP_EINVALID, "`clip_skip` %u: %s has %d blocks, expected %d to %d",
                          params->clip_skip, encoder->row->name, blocks,
                          encoder->layers + 1 - blocks, encoder->layers);
    return error_fail(VKCLIP_EINVALID, "`clip_skip_diffusers` %u: expected at most %d for %s",
                      params->clip_skip_diffusers, own, encoder->row->name);
}

/* Finds the texts of both sides. A family without negative prompts has one side unless there are
 * some. */
static void take_sides(struct conditioning *conditioning)
{
    static const char *const empty[] = {""};
    const struct vkclip_condition_params *params = conditioning->params;
    const struct vkclip_conditioner *conditioner = conditioning->conditioner;
    const bool given = params->negative_count > 0;
    struct side *prompts = &conditioning->sides[0], *negatives = &conditioning->sides[1];
    *prompts = (struct side){.count = params->count};
    *negatives = (struct side){.negative = true, .count = given ? params->negative_count : 1};
    for (size_t i = 0; i < VKCLIP_ENCODERS; i++) {
        prompts->texts[i] = params->prompts[i] ? params->prompts[i] : params->prompts[0];
        negatives->texts[i] = params->negatives[i] ? params->negatives[i] : params->negatives[0];
        if (!given)
            negatives->texts[i] = empty;
    }
    if (!given && (conditioner->zeros || params->zero_negative))
        negatives->count = 0;
    conditioning->side_count =
        given || conditioner->family->negative != FAMILY_NEGATIVE_NONE ? SIDES : 1;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

static int tokenize_side(struct conditioning *conditioning, struct side *side)
{
    const struct vkclip_conditioner *conditioner = conditioning->conditioner;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < conditioner->encoder_count && !error; i++)
        if (conditioner->encoders[i].model)
            error =
                encoding_tokenize(&conditioner->encoders[i], side->texts[i], side->count,
                                  conditioning->params, conditioning->length, &side->encodings[i]);
    return error;
}

/* Gives all encoders whose rows lie side by side, on both sides, equally many chunks. */
static void settle_chunks(struct conditioning *conditioning)
{
    uint32_t most = 1;
    for (size_t s = 0; s < conditioning->side_count; s++)
        for (size_t i = 0; i < FAMILY_ENCODERS; i++)
            if (conditioning->sides[s].encodings[i].chunks > most)
                most = conditioning->sides[s].encodings[i].chunks;
    for (size_t s = 0; s < conditioning->side_count; s++)
        for (size_t i = 0; i < conditioning->conditioner->encoder_count; i++) {
            struct encoding *encoding = &conditioning->sides[s].encodings[i];
            if (encoding->encoder && encoding->encoder->row->sequence)
                encoding->chunks = 1;
            else
                encoding->chunks = most;
        }
}

/* Runs one encoder for both sides. Where they take the same layer and length they run at once, so
 * that weights that are streamed to the device pass once. */
static int run_encoder(struct conditioning *conditioning, size_t index)
{
    struct encoding *encodings[SIDES];
    struct vkclip_features features[SIDES];
    size_t count = 0;
    int error = VKCLIP_OK;
    for (size_t s = 0; s < conditioning->side_count && !error; s++) {
        struct side *side = &conditioning->sides[s];
        if (!side->count)
            continue;
        error = choose_features(conditioning, side->negative, index, &features[count]);
        encodings[count++] = &side->encodings[index];
    }
    if (error)
        return error;
    if (count == SIDES && features[0].layer == features[1].layer &&
        encodings[0]->length == encodings[1]->length)
        return encoding_run(encodings, SIDES, &features[0]);
    for (size_t i = 0; i < count && !error; i++)
        error = encoding_run(&encodings[i], 1, &features[i]);
    return error;
}

/* ---- Arranging ------------------------------------------------------------------------------- */

/* Returns which of a side's texts is that of a picture, or -1 if zeros stand for it. */
static ptrdiff_t find_text(const struct conditioning *conditioning, const struct side *side,
                           size_t picture)
{
    const size_t text = side->count > 1 ? picture : 0;
    bool empty = true;
    if (!side->count)
        return -1;
    for (size_t i = 0; i < VKCLIP_ENCODERS; i++)
        empty = empty && !*side->texts[i][text];
    const bool zeros = side->negative && conditioning->params->zero_negative && empty;
    return zeros ? -1 : (ptrdiff_t)text;
}

/* Adds a tensor of zeros [count,...] to the result, and returns its values; NULL when out of
 * memory.
 */
static void *add_tensor(struct conditioning *conditioning, const struct side *side,
                        const char *name, enum vkclip_tensor_type type, size_t rank,
                        const size_t *shape)
{
    struct result *result = conditioning->result;
    const size_t index = result->shown.tensor_count++;
    struct vkclip_tensor *tensor = &result->tensors[index];
    size_t elements = conditioning->params->count;
    *tensor = (struct vkclip_tensor){.type = type, .rank = rank, .shape = {elements}};
    for (size_t i = 1; i < rank; i++)
        elements *= tensor->shape[i] = shape[i];
    result->names[index] = string_format("%s%s", side->negative ? "negative_" : "", name);
    result->data[index] = memory_calloc(elements + 1, sizeof(float)); /* an int32_t is as large */
    tensor->name = result->names[index];
    tensor->data = result->data[index];
    tensor->size = elements * sizeof(float);
    return tensor->name ? result->data[index] : NULL;
}

/* Where the states of an encoder lie among the rows and columns of a picture. */
struct place {
    size_t row, column, rows, width; /* rows of 0: it gives no states */
};

/* Returns what an encoder made of a side, or of the prompts if nothing of this side was encoded. */
static const struct encoding *find_encoding(const struct conditioning *conditioning,
                                            const struct side *side, size_t index)
{
    return side->count ? &side->encodings[index] : &conditioning->sides[0].encodings[index];
}

/* Places all encoders, and tells the rows and columns of all together. */
static void arrange(const struct conditioning *conditioning, const struct side *side,
                    struct place places[FAMILY_ENCODERS], size_t shape[3])
{
    const struct vkclip_conditioner *conditioner = conditioning->conditioner;
    struct place all = {0};
    for (size_t i = 0; i < conditioner->encoder_count; i++) {
        const struct family_encoder *row = conditioner->encoders[i].row;
        const struct encoding *encoding = find_encoding(conditioning, side, i);
        struct place *place = &places[i];
        *place = (struct place){0};
        if (row->features.pooled)
            continue;
        place->rows = (size_t)encoding->chunks * encoding->length;
        place->width = encoding->width;
        if (!conditioner->encoders[i].model) {
            place->rows = conditioning->length;
            place->width = conditioner->absent_width;
        }
        if (row->stacked) {
            place->row = all.rows;
            all.rows += place->rows;
        } else {
            place->column = all.column;
            all.column += place->width;
            all.rows = place->rows;
        }
        all.width = all.column > all.width ? all.column : all.width;
        all.width = place->width > all.width ? place->width : all.width;
    }
    shape[1] = all.rows;
    shape[2] = all.width;
}

static void copy_states(const struct conditioning *conditioning, const struct side *side,
                        const struct encoding *encoding, const struct place *place,
                        const size_t shape[3], float *target)
{
    const bool zero_rest = conditioning->conditioner->family->zero_rest;
    for (size_t picture = 0; picture < conditioning->params->count; picture++) {
        const ptrdiff_t text = find_text(conditioning, side, picture);
        if (text < 0)
            continue;
        const size_t first = (size_t)text * place->rows;
        const size_t rows = zero_rest ? encoding->ends[text] + 1 : place->rows;
        for (size_t row = 0; row < rows; row++)
            memcpy(&target[(picture * shape[1] + place->row + row) * shape[2] + place->column],
                   &encoding->states[(first + row) * place->width], place->width * sizeof(float));
    }
}

static int add_states(struct conditioning *conditioning, const struct side *side)
{
    struct place places[FAMILY_ENCODERS];
    size_t shape[3];
    arrange(conditioning, side, places, shape);
    float *target = add_tensor(conditioning, side, "prompt_embeds", VKCLIP_TENSOR_F32, 3, shape);
    if (!target)
        return fail_memory();
    for (size_t i = 0; i < FAMILY_ENCODERS; i++)
        if (side->encodings[i].states)
            copy_states(conditioning, side, &side->encodings[i], &places[i], shape, target);
    return VKCLIP_OK;
}

static void copy_pooled(const struct conditioning *conditioning, const struct side *side,
                        const struct encoding *encoding, size_t width, float *target)
{
    for (size_t picture = 0; picture < conditioning->params->count; picture++) {
        const ptrdiff_t text = find_text(conditioning, side, picture);
        if (text >= 0)
            memcpy(&target[picture * width],
                   &encoding->pooled[(size_t)text * encoding->chunks * encoding->pooled_width],
                   encoding->pooled_width * sizeof(float));
    }
}

static size_t pooled_width(const struct encoding *encoding)
{
    return encoding->pooled ? encoding->pooled_width : 0;
}

static int add_pooled(struct conditioning *conditioning, const struct side *side)
{
    const struct family *family = conditioning->conditioner->family;
    const char *name = family->pooled ? family->pooled : "pooled_prompt_embeds";
    size_t width = 0, column = 0;
    for (size_t i = 0; i < FAMILY_ENCODERS; i++)
        width += pooled_width(find_encoding(conditioning, side, i));
    if (!width)
        return VKCLIP_OK;
    const size_t flat[] = {0, width}, row[] = {0, 1, width};
    float *target = add_tensor(conditioning, side, name, VKCLIP_TENSOR_F32,
                               family->pooled_row ? 3 : 2, family->pooled_row ? row : flat);
    if (!target)
        return fail_memory();
    for (size_t i = 0; i < FAMILY_ENCODERS; i++) {
        if (side->encodings[i].pooled)
            copy_pooled(conditioning, side, &side->encodings[i], width, target + column);
        column += pooled_width(find_encoding(conditioning, side, i));
    }
    return VKCLIP_OK;
}

/* The mask is that of the family's only encoder. */
static int add_mask(struct conditioning *conditioning, const struct side *side)
{
    const struct family *family = conditioning->conditioner->family;
    const struct encoding *encoding = &side->encodings[0];
    const size_t shape[] = {0, find_encoding(conditioning, side, 0)->length};
    if (!family->attention_mask)
        return VKCLIP_OK;
    int32_t *mask =
        add_tensor(conditioning, side, "prompt_attention_mask", VKCLIP_TENSOR_I32, 2, shape);
    if (!mask)
        return fail_memory();
    for (size_t picture = 0; picture < conditioning->params->count; picture++) {
        const ptrdiff_t text = find_text(conditioning, side, picture);
        for (size_t i = 0; i < shape[1] && text >= 0; i++)
            mask[picture * shape[1] + i] = i <= encoding->ends[text] + family->mask_extra;
    }
    return VKCLIP_OK;
}

/* ---- The result ------------------------------------------------------------------------------ */

/* Takes what the prompts say about their places. */
static int add_usage(struct conditioning *conditioning)
{
    struct result *result = conditioning->result;
    const size_t most = FAMILY_ENCODERS * SIDES * (conditioning->params->count + 1);
    result->usage = memory_calloc(most, sizeof(*result->usage));
    if (!result->usage)
        return fail_memory();
    for (size_t s = 0; s < conditioning->side_count; s++)
        for (size_t i = 0; i < FAMILY_ENCODERS; i++)
            for (size_t n = 0; n < conditioning->sides[s].encodings[i].count; n++) {
                const struct encoding *encoding = &conditioning->sides[s].encodings[i];
                struct vkclip_prompt *prompt = &encoding->prompts[n];
                result->usage[result->shown.usage_count++] =
                    (struct vkclip_prompt_usage){.encoder = encoding->encoder->row->name,
                                                 .negative = conditioning->sides[s].negative,
                                                 .prompt = n,
                                                 .used = prompt->used,
                                                 .available = prompt->available,
                                                 .rest = prompt->rest};
                prompt->rest = NULL; /* The result frees it. */
            }
    return VKCLIP_OK;
}

/* Refuses values that the results' type does not have, because a diffusion model would make black
 * pictures of them. */
static int check_values(const struct result *result, bool f16)
{
    const float most = f16 ? HALF_LARGEST : FLT_MAX;
    for (size_t i = 0; i < result->shown.tensor_count; i++) {
        const struct vkclip_tensor *tensor = &result->tensors[i];
        const float *values = tensor->data;
        size_t good = 0;
        if (tensor->type != VKCLIP_TENSOR_F32)
            continue;
        while (good < tensor->size / sizeof(*values) && fabsf(values[good]) <= most)
            good++;
        if (good < tensor->size / sizeof(*values))
            return error_fail(VKCLIP_EINVALID,
                              "%s: found the value %g, expected at most %g in fp%d: are weights in "
                              "prompts, a LoRA or an embedding too large?",
                              tensor->name, (double)values[good], (double)most, f16 ? 16 : 32);
    }
    return VKCLIP_OK;
}

static int convert_to_half(struct result *result)
{
    for (size_t i = 0; i < result->shown.tensor_count; i++) {
        struct vkclip_tensor *tensor = &result->tensors[i];
        const float *values = result->data[i];
        const size_t count = tensor->size / sizeof(*values);
        if (tensor->type != VKCLIP_TENSOR_F32)
            continue;
        uint16_t *halves = memory_alloc((count + 1) * sizeof(*halves));
        if (!halves)
            return fail_memory();
        for (size_t v = 0; v < count; v++)
            halves[v] = half_from_float(values[v]);
        memory_free(result->data[i]);
        tensor->data = result->data[i] = halves;
        tensor->type = VKCLIP_TENSOR_F16;
        tensor->size = count * sizeof(*halves);
    }
    return VKCLIP_OK;
}

static int arrange_sides(struct conditioning *conditioning)
{
    int error = VKCLIP_OK;
    for (size_t s = 0; s < conditioning->side_count && !error; s++) {
        error = add_states(conditioning, &conditioning->sides[s]);
        if (!error)
            error = add_pooled(conditioning, &conditioning->sides[s]);
        if (!error)
            error = add_mask(conditioning, &conditioning->sides[s]);
    }
    if (!error)
        error = add_usage(conditioning);
    if (!error)
        error = check_values(conditioning->result, conditioning->params->f16);
    if (!error && conditioning->params->f16)
        error = convert_to_half(conditioning->result);
    return error;
}

static int encode_sides(struct conditioning *conditioning)
{
    int error = VKCLIP_OK;
    for (size_t s = 0; s < conditioning->side_count && !error; s++)
        error = tokenize_side(conditioning, &conditioning->sides[s]);
    if (!error)
        settle_chunks(conditioning);
    for (size_t i = 0; i < conditioning->conditioner->encoder_count && !error; i++)
        if (conditioning->conditioner->encoders[i].model)
            error = run_encoder(conditioning, i);
    return error;
}

int condition_tokenize(const struct vkclip_conditioner *conditioner, size_t index, const char *text,
                       const struct vkclip_prompt_params *params, struct vkclip_prompt *prompt)
{
    struct vkclip_prompt_params wanted = *params;
    if (index >= conditioner->encoder_count)
        return error_fail(VKCLIP_EINVALID, "encoder %zu, but %s has %zu", index,
                          conditioner->family->name, conditioner->encoder_count);
    if (!conditioner->encoders[index].model)
        return error_fail(VKCLIP_EABSENT, "%s was not found among the files",
                          conditioner->encoders[index].row->name);
    if (!wanted.length)
        wanted.length = conditioner->length;
    const struct conditioner_encoder *encoder = &conditioner->encoders[index];
    return encoding_tokenize_text(encoder, encoder->row->name, text, &wanted, prompt);
}

int condition_run(struct vkclip_conditioner *conditioner,
                  const struct vkclip_condition_params *params, struct vkclip_conditioning **shown)
{
    struct conditioning conditioning = {.conditioner = conditioner, .params = params};
    struct result *result = conditioning.result = memory_calloc(1, sizeof(*result));
    conditioning.length =
        params->max_sequence_length ? params->max_sequence_length : conditioner->length;
    *shown = NULL;
    if (!result)
        return fail_memory();
    result->shown.tensors = result->tensors;
    *shown = &result->shown;
    int error = check_texts(&conditioning);
    if (!error)
        error = check_options(&conditioning);
    if (!error) {
        take_sides(&conditioning);
        error = encode_sides(&conditioning);
    }
    if (!error)
        error = arrange_sides(&conditioning);
    result->shown.usage = result->usage;
    for (size_t s = 0; s < SIDES; s++)
        for (size_t i = 0; i < FAMILY_ENCODERS; i++)
            encoding_close(&conditioning.sides[s].encodings[i]);
    if (error)
        condition_free(shown);
    return error;
}

void condition_free(struct vkclip_conditioning **shown)
{
    struct result *result = (struct result *)(void *)*shown;
    if (!result)
        return;
    for (size_t i = 0; i < TENSORS; i++) {
        memory_free(result->names[i]);
        memory_free(result->data[i]);
    }
    for (size_t i = 0; i < result->shown.usage_count; i++)
        memory_free((void *)result->usage[i].rest);
    memory_free(result->usage);
    memory_free(result);
    *shown = NULL;
}
