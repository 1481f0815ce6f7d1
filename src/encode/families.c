/* SPDX-License-Identifier: MIT
 *
 * Each row follows encode_prompt of its pipeline in Hugging Face's diffusers. The comment at a row
 * says what is particular about it.
 */
#include "encode/families.h"
#include "base/string.h"

#include <ctype.h>
#include <string.h>

/* Layers count from the last, whose output is -1. The last but one is what OpenCLIP's encoders
 * condition Stable Diffusion with. */
#define LAST        \
    {               \
        .layer = -1 \
    }
#define LAST_NORM                 \
    {                             \
        .layer = -1, .norm = true \
    }
#define LAST_BUT_ONE \
    {                \
        .layer = -2  \
    }
#define LAST_BUT_ONE_NORM         \
    {                             \
        .layer = -2, .norm = true \
    }
#define POOLED                                    \
    {                                             \
        .layer = -1, .norm = true, .pooled = true \
    }

static const struct family families[] = {
    {.name = "sd1",
     .pipelines = {{"StableDiffusion", 0}},
     .bundle = "cond_stage_model.transformer.",
     .encoders = {{"clip_l", "text_encoder", LAST_NORM, .fill = FAMILY_FILL_END}}},

    /* Pipelines have a tower without the last block. Whole models in one file have that block too,
     * and a projection, which conditioning does not use (huggingface/diffusers#1721). */
    {.name = "sd2",
     .pipelines = {{"StableDiffusion", 0}},
     .bundle = "cond_stage_model.model.",
     .encoders = {{"clip_h", "text_encoder", LAST_BUT_ONE_NORM, .shortened = true}}},

    {.name = "sdxl",
     .pipelines = {{"StableDiffusionXL", 0}},
     .bundle = "conditioner.embedders.0.transformer.",
     .encoders = {{"clip_l", "text_encoder", LAST_BUT_ONE, .fill = FAMILY_FILL_END},
                  {"clip_g", "text_encoder_2", LAST_BUT_ONE, .embedding = FAMILY_PROJECTED}},
     .negative = FAMILY_NEGATIVE_ZEROS},

    {.name = "sdxl-refiner",
     .pipelines = {{"StableDiffusionXL", 0}},
     .bundle = "conditioner.embedders.0.model.",
     .encoders = {{"clip_g", "text_encoder_2", LAST_BUT_ONE, .embedding = FAMILY_PROJECTED}}},

    /* The columns of both CLIP encoders are filled with zeros up to T5's. Padding takes part in
     * T5's attention, so that the length changes every row. */
    {.name = "sd3",
     .pipelines = {{"StableDiffusion3", 256}},
     .bundle = "text_encoders.clip_l.",
     .encoders = {{"clip_l", "text_encoder", LAST_BUT_ONE, .embedding = FAMILY_EMBEDDING,
                   .fill = FAMILY_FILL_END},
                  {"clip_g", "text_encoder_2", LAST_BUT_ONE, .embedding = FAMILY_PROJECTED},
                  {"t5xxl", "text_encoder_3", LAST_NORM, .sequence = true, .stacked = true,
                   .optional = true}},
     .absent_width = 4096},

    /* FLUX.1 schnell was trained with 256 tokens, but its pipeline takes 512 by default too. */
    {.name = "flux",
     .pipelines = {{"Flux", 512}},
     .bundle = "text_encoders.clip_l.",
     .encoders = {{"clip_l", "text_encoder", POOLED, .fill = FAMILY_FILL_END},
                  {"t5xxl", "text_encoder_2", LAST_NORM, .sequence = true}},
     .negative = FAMILY_NEGATIVE_NONE},

    {.name = "cascade",
     .pipelines = {{"StableCascade", 0}},
     .encoders = {{"clip_g", "text_encoder", LAST, .embedding = FAMILY_PROJECTED,
                   .fill = FAMILY_FILL_END, .masked = true}},
     .pooled = "prompt_embeds_pooled",
     .pooled_row = true},

    {.name = "pixart",
     .pipelines = {{"PixArtAlpha", 120}, {"PixArtSigma", 300}},
     .encoders = {{"t5xxl", "text_encoder", LAST_NORM, .sequence = true, .masked = true,
                   .empty_is_fill = true}},
     .clean = FAMILY_CLEAN_LOWER,
     .attention_mask = true},

    {.name = "wan",
     .pipelines = {{"Wan", 512}},
     .encoders = {{"umt5xxl", "text_encoder", LAST_NORM, .sequence = true, .masked = true}},
     .clean = FAMILY_CLEAN_FIX,
     .zero_rest = true},

    /* The denoiser must see one pad. */
    {.name = "chroma",
     .pipelines = {{"Chroma", 512}},
     .encoders = {{"t5xxl", "text_encoder", LAST_NORM, .sequence = true, .masked = true,
                   .empty_is_fill = true}},
     .attention_mask = true,
     .mask_extra = 1},
};

const struct family *family_row(size_t index)
{
    return index < sizeof(families) / sizeof(*families) ? &families[index] : NULL;
}

const struct family *family_find(const char *name)
{
    const struct family *family = NULL;
    for (size_t i = 0; (family = family_row(i)); i++)
        if (!strcmp(family->name, name))
            break;
    return family;
}

size_t family_encoder_count(const struct family *family)
{
    size_t count = 0;
    while (count < FAMILY_ENCODERS && family->encoders[count].name)
        count++;
    return count;
}

/* A class is a family's name and a word that begins with a capital, so that Flux2Pipeline is not
 * one of FLUX.1. */
size_t family_match(const struct family *family, const char *class_name, uint32_t *length)
{
    const size_t count = sizeof(family->pipelines) / sizeof(*family->pipelines);
    for (size_t i = 0; i < count && family->pipelines[i].begin; i++) {
        const char *begin = family->pipelines[i].begin;
        if (!string_begins_with(class_name, begin) ||
            !isupper((unsigned char)class_name[strlen(begin)]))
            continue;
        *length = family->pipelines[i].length;
        return strlen(begin);
    }
    return 0;
}

size_t family_folder_index(const struct family_encoder *encoder)
{
    const char last = encoder->folder[strlen(encoder->folder) - 1];
    return last >= '2' && last <= '3' ? (size_t)(last - '1') : 0;
}
