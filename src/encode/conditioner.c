/* SPDX-License-Identifier: MIT
 *
 * Opens the text encoders of a family one after the other, and changes them before their weights
 * are uploaded: textual inversions are more rows of the token table, LoRAs products that are added
 * to matrices.
 */
#include "encode/conditioner.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "checkpoint/lora.h"
#include "encode/sources.h"

#include <stdio.h>
#include <string.h>

/* ---- The encoders ---------------------------------------------------------------------------- */

/* Tells whether a vocabulary is of T5's kind, whose texts have no start, or of CLIP's. */
static int find_kind(const char *path, bool *sequence)
{
    struct tokenizer *tokenizer;
    int error = tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer);
    if (error)
        return error;
    *sequence = tokenizer_start(tokenizer) < 0;
    tokenizer_close(&tokenizer);
    return VKCLIP_OK;
}

/* What the encoders are opened with. */
struct opening {
    struct vkclip_device *device;
    const struct vkclip_conditioner_params *params;
    struct sources sources;
    struct lora **loras; /* [params->lora_count] */
    bool *sequences;     /* [params->vocab_count], as find_kind tells */
    struct vkclip_conditioner *conditioner;
    struct conditioner_encoder *encoder; /* the one that is being opened */
};

/* Gives the vectors of an inversion to an encoder, as tokens that follow those of its table. */
static int add_inversion(struct vkclip_model *model, const struct inversion *inversion,
                         struct conditioner_encoder *encoder, float **values, uint64_t *rows)
{
    struct config *config = &model->spec.config;
    const uint32_t width = config->text.width;
    const struct inversion_vectors *vectors = inversion_find(inversion, encoder->row->name, width);
    if (!vectors)
        return VKCLIP_OK;
    const size_t row = width * sizeof(**values);
    float *grown = memory_realloc(*values, (size_t)(*rows + vectors->count) * row);
    if (!grown)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", inversion->path);
    memcpy(grown + *rows * width, vectors->values, vectors->count * row);
    *values = grown;
    encoder->embeddings[encoder->embedding_count] =
        (struct vkclip_embedding){inversion->name, vectors->count};
    encoder->first_ids[encoder->embedding_count++] = (int32_t)(config->vocabulary + *rows);
    *rows += vectors->count;
    return VKCLIP_OK;
}

static int add_inversions(const struct inversions *inversions, struct vkclip_model *model,
                          struct conditioner_encoder *encoder)
{
    float *values = NULL;
    uint64_t rows = 0;
    encoder->embeddings = memory_calloc(inversions->count + 1, sizeof(*encoder->embeddings));
    encoder->first_ids = memory_calloc(inversions->count + 1, sizeof(*encoder->first_ids));
    int error = encoder->embeddings && encoder->first_ids
                    ? VKCLIP_OK
                    : error_fail(VKCLIP_EMEMORY, "out of memory for textual inversions");
    for (size_t i = 0; i < inversions->count && !error; i++)
        error = add_inversion(model, &inversions->list[i], encoder, &values, &rows);
    if (error || !rows) {
        memory_free(values);
        return error;
    }
    model->spec.config.vocabulary += (uint32_t)rows;
    const char *table = tower_find(&model->spec.config, TOWER_TEXT)->token_table;
    return weights_append_rows(model->weights, table, rows, values);
}

/* Changes an encoder before the types of its weights are chosen, which depend on their values. The
 * identity is that of the files, because the caller knows what else it has named. */
static int change_encoder(const struct opening *opening, struct vkclip_model *model)
{
    const struct vkclip_conditioner_params *params = opening->params;
    struct conditioner_encoder *encoder = opening->encoder;
    const char *cache = opening->device ? opening->device->settings.cache_folder : NULL;
    int error = VKCLIP_OK;
    if (params->identify)
        error = identity_of_model(model, cache, encoder->identity);
    if (!error || error == VKCLIP_EUNSUPPORTED) /* This build has no hash, so that it stays "". */
        error = add_inversions(&opening->conditioner->inversions, model, encoder);
    for (size_t i = 0; i < params->lora_count && !error; i++)
        error = lora_merge(opening->loras[i], (unsigned)family_folder_index(encoder->row) + 1,
                           model->weights);
    return error;
}

/* Finds a vocabulary of the encoder's kind: one that the caller names, or else, if it `searches`,
 * one beside the sources, the last one first. It is empty if there is none. */
static void find_vocabulary(const struct opening *opening, bool searches,
                            char vocabulary[FILES_PATH_SIZE])
{
    const struct vkclip_conditioner_params *params = opening->params;
    const struct sources *sources = &opening->sources;
    const struct family_encoder *row = opening->encoder->row;
    bool sequence;
    for (size_t i = 0; i < params->vocab_count; i++)
        if (opening->sequences[i] == row->sequence) {
            snprintf(vocabulary, FILES_PATH_SIZE, "%s", params->vocabs[i]);
            return;
        }
    for (size_t i = sources->count; searches && i-- > 0;)
        if (sources_find_vocabulary(sources, i, row, vocabulary) &&
            !find_kind(vocabulary, &sequence) && sequence == row->sequence)
            return;
    *vocabulary = 0;
}

/* Finds the file or folder of an encoder: the last file that holds it, or else the folder of the
 * pipeline. `path` is empty if zeros stand in for it, and `vocabulary` if it is beside the weights.
 */
static int find_encoder(const struct opening *opening, char path[FILES_PATH_SIZE],
                        char vocabulary[FILES_PATH_SIZE], bool *inside)
{
    const struct sources *sources = &opening->sources;
    const struct family_encoder *row = opening->encoder->row;
    const struct source *file = sources_find_file(sources, row->name);
    *path = *vocabulary = 0;
    *inside = !file && sources_find_folder(sources, row, path);
    if (!file && !*inside && !row->optional)
        return error_fail(VKCLIP_EABSENT, "%s: has no %s: name its file too", sources->list[0].path,
                          row->name);
    find_vocabulary(opening, file && !file->vocabulary, vocabulary);
    if (file)
        snprintf(path, FILES_PATH_SIZE, "%s", file->path);
    return VKCLIP_OK;
}

static struct vkclip_model_params describe_model(const struct vkclip_conditioner_params *params)
{
    return (struct vkclip_model_params){.precision = params->precision,
                                        .weights = params->weights,
                                        .max_batch = params->max_batch,
                                        .stream = params->stream,
                                        .compute = params->compute};
}

static int read_encoder(struct opening *opening)
{
    struct conditioner_encoder *encoder = opening->encoder;
    char path[FILES_PATH_SIZE], vocabulary[FILES_PATH_SIZE];
    bool inside;
    int error = find_encoder(opening, path, vocabulary, &inside);
    if (error || !*path)
        return error;
    const struct file_source source = file_source_path(path);
    struct vkclip_model_params model = describe_model(opening->params);
    model.text_encoder = inside ? NULL : encoder->row->name;
    model.vocab = *vocabulary ? vocabulary : NULL;
    error = model_read(opening->device, &source, &model, &encoder->model);
    if (!error)
        error = change_encoder(opening, encoder->model);
    if (error)
        return error;
    encoder->layers = (int32_t)encoder->model->spec.config.text.layers;
    if (inside && encoder->row->shortened)
        encoder->layers += -1 - encoder->row->features.layer;
    return VKCLIP_OK;
}

/* Pipelines prepare texts by Hugging Face's rules, whatever file the weights come from. */
static int settle_tokenizer(const struct sources *sources, struct conditioner_encoder *encoder)
{
    const struct family_encoder *row = encoder->row;
    struct vkclip_model *model = encoder->model;
    int error = VKCLIP_OK;
    if (!row->sequence && model->spec.config.family != VKCLIP_FAMILY_HF) {
        tokenizer_close(&model->tokenizer);
        error = tokenizer_open(model->info.tokenizer_path, TOKENIZER_HF, &model->tokenizer);
    }
    if (error)
        return error;
    if ((tokenizer_start(model->tokenizer) < 0) != row->sequence)
        return error_fail(VKCLIP_EINVALID, "%s: is no vocabulary of %s: name another (`vocab`)",
                          model->info.tokenizer_path, row->name);
    const int32_t end = tokenizer_end(model->tokenizer);
    encoder->fill = row->fill == FAMILY_FILL_END ? end : row->fill;
    if (sources->folder && !sources_find_file(sources, row->name))
        encoder->fill = tokenizer_pad(model->tokenizer);
    if (row->sequence || encoder->fill == end)
        return VKCLIP_OK;
    return tokenizer_decode(model->tokenizer, &encoder->fill, 1, &encoder->pad_text);
}

/* Checks what the family's row needs of an encoder, and takes from its files what they decide. */
static int settle_encoder(const struct sources *sources, struct conditioner_encoder *encoder)
{
    const struct family_encoder *row = encoder->row;
    const struct vkclip_model *model = encoder->model;
    if (!model)
        return VKCLIP_OK;
    if (!replica_has_tower(&model->spec, TOWER_TEXT))
        return error_fail(VKCLIP_EABSENT, "%s has no text tower, expected %s", model_name(model),
                          row->name);
    if ((model->spec.config.text.kind == KIND_T5) != row->sequence)
        return error_fail(VKCLIP_EINVALID, "%s: is no %s, expected a text encoder of %s",
                          model_name(model), row->name, row->sequence ? "T5's kind" : "CLIP");
    if (!model->tokenizer)
        return error_fail(VKCLIP_EABSENT, "%s: no vocabulary for %s beside it: name one (`vocab`)",
                          model_name(model), row->name);
    if (row->embedding == FAMILY_PROJECTED && !model->spec.config.text.projection)
        return error_fail(VKCLIP_EABSENT, "%s: has no text_projection, which %s needs",
                          model_name(model), row->name);
    return settle_tokenizer(sources, encoder);
}

static void take_defaults(struct vkclip_conditioner *conditioner, const struct sources *sources)
{
    const struct family *family = conditioner->family;
    const struct pipeline *pipeline = &sources->pipeline;
    conditioner->encoder_count = family_encoder_count(family);
    conditioner->length = family->pipelines[0].length;
    conditioner->absent_width = family->absent_width;
    conditioner->zeros = family->negative == FAMILY_NEGATIVE_ZEROS;
    for (size_t i = 0; i < conditioner->encoder_count; i++) {
        conditioner->encoders[i].row = &family->encoders[i];
        conditioner->encoders[i].clean = family->clean;
    }
    if (!sources->folder)
        return;
    family_match(family, pipeline->class_name, &conditioner->length);
    if (pipeline->joint_width)
        conditioner->absent_width = pipeline->joint_width;
    if (pipeline->force_zeros >= 0 && family->negative != FAMILY_NEGATIVE_NONE)
        conditioner->zeros = pipeline->force_zeros;
}

/* Finds out of which kind the vocabularies are that the caller names, and refuses those that no
 * encoder of the family takes. */
static int find_kinds(struct opening *opening)
{
    const struct vkclip_conditioner_params *params = opening->params;
    const struct vkclip_conditioner *conditioner = opening->conditioner;
    int error = VKCLIP_OK;
    opening->sequences = memory_calloc(params->vocab_count + 1, sizeof(*opening->sequences));
    if (!opening->sequences)
        return error_fail(VKCLIP_EMEMORY, "out of memory for vocabularies");
    for (size_t i = 0; i < params->vocab_count && !error; i++) {
        bool fits = false;
        error = find_kind(params->vocabs[i], &opening->sequences[i]);
        for (size_t e = 0; e < conditioner->encoder_count; e++)
            fits |= conditioner->encoders[e].row->sequence == opening->sequences[i];
        if (!error && !fits)
            error = error_fail(VKCLIP_EINVALID, "%s: is no vocabulary for an encoder of %s",
                               params->vocabs[i], conditioner->family->name);
    }
    return error;
}

/* Returns a bit for each place of a text encoder that the family has, counted as lora_merge does.
 */
static unsigned find_places(const struct vkclip_conditioner *conditioner)
{
    unsigned places = 0;
    for (size_t i = 0; i < conditioner->encoder_count; i++) {
        const struct family_encoder *row = conditioner->encoders[i].row;
        places |= 2u << family_folder_index(row) | (row->sequence ? 1u << LORA_PLACE_T5 : 0);
    }
    return places;
}

/* Opens the files that change encoders. */
static int open_changes(struct opening *opening)
{
    const struct vkclip_conditioner_params *params = opening->params;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < params->embedding_count && !error; i++)
        error = inversions_add(&opening->conditioner->inversions, params->embeddings[i]);
    if (error || !params->lora_count)
        return error;
    opening->loras = memory_calloc(params->lora_count, sizeof(*opening->loras));
    if (!opening->loras)
        return error_fail(VKCLIP_EMEMORY, "out of memory for LoRA files");
    for (size_t i = 0; i < params->lora_count && !error; i++) {
        const struct vkclip_lora *lora = &params->loras[i];
        error = lora_open(lora->path, lora->scale == 0 ? 1 : lora->scale, &opening->loras[i]);
        if (!error)
            error = lora_check_places(opening->loras[i], find_places(opening->conditioner));
    }
    return error;
}

/* Refuses an inversion that no encoder has vectors of. Folders are those of all models that someone
 * has, so that in them such files are left out. */
static int check_inversions(const struct vkclip_conditioner *conditioner)
{
    for (size_t i = 0; i < conditioner->inversions.count; i++) {
        const struct inversion *inversion = &conditioner->inversions.list[i];
        bool used = false;
        for (size_t e = 0; e < conditioner->encoder_count; e++)
            for (size_t k = 0; k < conditioner->encoders[e].embedding_count; k++)
                used |= conditioner->encoders[e].embeddings[k].name == inversion->name;
        if (used)
            continue;
        int error =
            error_fail(VKCLIP_EINVALID, "%s: its vectors of width %u fit no encoder of %s",
                       inversion->path, inversion->vectors[0].width, conditioner->family->name);
        if (!inversion->listed)
            return error;
        log_message(VKCLIP_LOG_WARNING, "left out: %s", error_last());
    }
    return VKCLIP_OK;
}

static int read_all(struct opening *opening)
{
    struct vkclip_conditioner *conditioner = opening->conditioner;
    int error = find_kinds(opening);
    if (!error)
        error = open_changes(opening);
    for (size_t i = 0; i < conditioner->encoder_count && !error; i++) {
        opening->encoder = &conditioner->encoders[i];
        error = read_encoder(opening);
        if (!error)
            error = settle_encoder(&opening->sources, opening->encoder);
    }
    if (!error)
        error = check_inversions(conditioner);
    for (size_t i = 0; opening->loras && i < opening->params->lora_count; i++) {
        if (!error)
            lora_report(opening->loras[i]);
        lora_close(&opening->loras[i]);
    }
    memory_free(opening->loras);
    memory_free(opening->sequences);
    return error;
}

static void describe_encoders(struct vkclip_conditioner *conditioner)
{
    for (size_t i = 0; i < conditioner->encoder_count; i++) {
        const struct conditioner_encoder *encoder = &conditioner->encoders[i];
        const struct vkclip_model *model = encoder->model;
        struct vkclip_encoder_info info = {.name = encoder->row->name,
                                           .absent = !model,
                                           .model = model,
                                           .identity = encoder->identity,
                                           .embeddings = encoder->embeddings,
                                           .embedding_count = encoder->embedding_count};
        info.variable = encoder->row->sequence;
        info.width = model ? model->spec.config.text.width : conditioner->absent_width;
        info.length = encoder->row->sequence ? conditioner->length : model->spec.config.context;
        conditioner->infos[i] = info;
        conditioner->shown[i] = &conditioner->infos[i];
    }
}

int conditioner_read(struct vkclip_device *device, const char *const *paths, size_t count,
                     const struct vkclip_conditioner_params *params,
                     struct vkclip_conditioner **result)
{
    struct vkclip_conditioner *conditioner = *result = memory_calloc(1, sizeof(*conditioner));
    struct opening opening = {.device = device, .params = params, .conditioner = conditioner};
    if (!conditioner)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a conditioner");
    int error = sources_open(paths, count, params->hub_dir, &opening.sources);
    if (!error)
        error = sources_find_family(&opening.sources, params->family, &conditioner->family);
    if (!error)
        error = sources_check(&opening.sources, conditioner->family);
    if (!error) {
        take_defaults(conditioner, &opening.sources);
        error = read_all(&opening);
    }
    if (!error)
        describe_encoders(conditioner);
    sources_close(&opening.sources);
    if (error)
        conditioner_close(result);
    return error;
}

int conditioner_place(const struct vkclip_conditioner_params *params,
                      struct vkclip_conditioner **result)
{
    struct vkclip_conditioner *conditioner = *result;
    const struct vkclip_model_params model = describe_model(params);
    int error = VKCLIP_OK;
    for (size_t i = 0; i < conditioner->encoder_count && !error; i++)
        if (conditioner->encoders[i].model)
            error = model_place(&model, &conditioner->encoders[i].model);
    if (error)
        conditioner_close(result);
    return error;
}

void conditioner_close(struct vkclip_conditioner **handle)
{
    struct vkclip_conditioner *conditioner = *handle;
    if (!conditioner)
        return;
    for (size_t i = 0; i < FAMILY_ENCODERS; i++) {
        struct conditioner_encoder *encoder = &conditioner->encoders[i];
        model_close(&encoder->model);
        memory_free(encoder->pad_text);
        memory_free(encoder->embeddings);
        memory_free(encoder->first_ids);
    }
    inversions_close(&conditioner->inversions);
    memory_free(conditioner);
    *handle = NULL;
}
