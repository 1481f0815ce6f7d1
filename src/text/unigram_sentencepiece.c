/* SPDX-License-Identifier: MIT
 *
 * Opens the unigram model in a file of SentencePiece as the class of transformers does that
 * tokenizer_config.json names: T5Tokenizer and no class take it as it is, SiglipTokenizer removes
 * punctuation first, and XLMRobertaTokenizer numbers the pieces as fairseq did. Other classes are
 * refused. Where no class is named, a file called sentencepiece.bpe.model is XLM-R's.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer_config.h"
#include "text/unigram.h"
#include "text/vocabulary_file.h"

#include <string.h>

/* ---- SiglipTokenizer ------------------------------------------------------------------------- */

static int32_t find_piece(const void *user, const char *text)
{
    const struct unigram *unigram = user;
    for (uint32_t id = 0; id < unigram->tokenizer.size; id++)
        if (!strcmp(unigram->pieces[id].text, text))
            return (int32_t)id;
    return -1;
}

static int open_siglip(const struct sentencepiece *model, const char *path,
                       const struct tokenizer_config *config, struct unigram **result)
{
    struct unigram *unigram = NULL;
    int error = unigram_new(model, 0, path, &unigram);
    if (error)
        return error;
    struct tokenizer *tokenizer = &unigram->tokenizer;
    unigram->class = config->has_lower && !config->lower ? UNIGRAM_SIGLIP_CASED : UNIGRAM_SIGLIP;
    tokenizer->pad = tokenizer->end;
    error = vocabulary_file_read_pad(path, find_piece, unigram, &tokenizer->pad);
    if (error) {
        unigram_free(unigram);
        return error;
    }
    const int32_t ids[] = {tokenizer->end, unigram->unknown, tokenizer->pad};
    struct added_token *list = memory_calloc(ARRAY_COUNT(ids), sizeof(*list));
    for (size_t i = 0; list && i < ARRAY_COUNT(ids); i++)
        list[i] = (struct added_token){.id = ids[i], .strips_left = true, .strips_right = true};
    error = unigram_add_tokens(unigram, list, ARRAY_COUNT(ids), path);
    if (error)
        unigram_free(unigram);
    else
        *result = unigram;
    return error;
}

/* ---- XLMRobertaTokenizer --------------------------------------------------------------------- */

enum { FAIRSEQ_START, FAIRSEQ_PAD, FAIRSEQ_END, FAIRSEQ_UNKNOWN, FAIRSEQ_COUNT };
enum { SPIECE_SPECIAL = 3 }; /* SentencePiece begins with <unk>, <s> and </s>. */

static struct sentencepiece_piece special_piece(const char *text, enum sentencepiece_kind kind)
{
    return (struct sentencepiece_piece){text, (uint32_t)strlen(text), kind, 0};
}

static bool has_text(const struct sentencepiece *model, size_t id, const char *text)
{
    return id < model->count && model->pieces[id].length == strlen(text) &&
           !memcmp(model->pieces[id].text, text, strlen(text));
}

/* Makes a model whose pieces are numbered as fairseq does: its own four tokens, the other pieces,
 * and <mask>. */
static int renumber(const struct sentencepiece *model, const char *path,
                    struct sentencepiece *fairseq)
{
    if (!has_text(model, 0, "<unk>") || !has_text(model, 1, "<s>") || !has_text(model, 2, "</s>"))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: expected the pieces <unk>, <s> and </s> first, with which XLM-R's "
                          "models begin",
                          path);
    *fairseq = *model;
    fairseq->count = model->count - SPIECE_SPECIAL + FAIRSEQ_COUNT + 1;
    fairseq->pieces = memory_alloc(fairseq->count * sizeof(*fairseq->pieces));
    if (!fairseq->pieces)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for the pieces", path);
    struct sentencepiece_piece *pieces = fairseq->pieces;
    pieces[FAIRSEQ_START] = special_piece("<s>", SENTENCEPIECE_CONTROL);
    pieces[FAIRSEQ_PAD] = special_piece("<pad>", SENTENCEPIECE_CONTROL);
    pieces[FAIRSEQ_END] = special_piece("</s>", SENTENCEPIECE_CONTROL);
    pieces[FAIRSEQ_UNKNOWN] = special_piece("<unk>", SENTENCEPIECE_UNKNOWN);
    memcpy(pieces + FAIRSEQ_COUNT, model->pieces + SPIECE_SPECIAL,
           (model->count - SPIECE_SPECIAL) * sizeof(*pieces));
    pieces[fairseq->count - 1] = special_piece("<mask>", SENTENCEPIECE_CONTROL);
    fairseq->unknown = FAIRSEQ_UNKNOWN;
    fairseq->end = FAIRSEQ_END;
    fairseq->pad = FAIRSEQ_PAD;
    return VKCLIP_OK;
}

static int open_xlm_roberta(const struct sentencepiece *model, const char *path,
                            const struct tokenizer_config *config, struct unigram **result)
{
    struct sentencepiece fairseq = {0};
    struct unigram *unigram = NULL;
    (void)config;
    int error = renumber(model, path, &fairseq);
    if (!error)
        error = unigram_new(&fairseq, 0, path, &unigram);
    memory_free(fairseq.pieces);
    if (error)
        return error;
    unigram->tokenizer.start = FAIRSEQ_START;
    struct added_token *list = memory_calloc(FAIRSEQ_COUNT + 1, sizeof(*list));
    for (int32_t id = 0; list && id < FAIRSEQ_COUNT; id++)
        list[id].id = id;
    if (list)
        list[FAIRSEQ_COUNT] =
            (struct added_token){.id = (int32_t)unigram->tokenizer.size - 1, .strips_left = true};
    error = unigram_add_tokens(unigram, list, FAIRSEQ_COUNT + 1, path);
    if (error)
        unigram_free(unigram);
    else
        *result = unigram;
    return error;
}

/* ---- The classes ----------------------------------------------------------------------------- */

static int open_plain(const struct sentencepiece *model, const char *path,
                      const struct tokenizer_config *config, struct unigram **result)
{
    (void)config;
    return unigram_new(model, 0, path, result);
}

static const struct class_row {
    const char *class;
    int (*open)(const struct sentencepiece *model, const char *path,
                const struct tokenizer_config *config, struct unigram **result);
} classes[] = {
    {"", open_plain},
    {"T5Tokenizer", open_plain},
    {"MT5Tokenizer", open_plain},
    {"SiglipTokenizer", open_siglip},
    {"XLMRobertaTokenizer", open_xlm_roberta},
};

static int open_class(const struct sentencepiece *model, const char *path,
                      const struct tokenizer_config *config, struct unigram **result)
{
    const bool xlm_roberta = !strcmp(file_name(path), "sentencepiece.bpe.model");
    const char *class = config->class;
    if (!*class && xlm_roberta)
        class = "XLMRobertaTokenizer";
    for (size_t i = 0; i < ARRAY_COUNT(classes); i++)
        if (!strcmp(class, classes[i].class))
            return classes[i].open(model, path, config, result);
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: tokenizer_class %s in tokenizer_config.json is not known, expected "
                      "T5Tokenizer, SiglipTokenizer or XLMRobertaTokenizer",
                      path, class);
}

int unigram_open_sentencepiece(const struct vocabulary_source *source, struct unigram **result)
{
    struct tokenizer_config config = {0};
    struct sentencepiece model;
    int error = source->in_memory ? VKCLIP_OK : tokenizer_config_read(source->path, &config);
    if (error)
        return error;
    error = sentencepiece_parse(source->data, source->size, source->path, &model);
    if (error)
        return error;
    error = open_class(&model, source->path, &config, result);
    sentencepiece_close(&model);
    return error;
}
