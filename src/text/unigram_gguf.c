/* SPDX-License-Identifier: MIT
 *
 * Reads the unigram model in a GGUF file, as llama.cpp's converter writes T5's: lists of pieces,
 * scores and kinds, and SentencePiece's map of characters. The file does not say whether unknown
 * characters become bytes; they do if it has the pieces for that.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "text/unigram.h"

#include <math.h>
#include <string.h>

static const struct gguf_value *find_list(const struct gguf *file, const char *key,
                                          enum gguf_type element, enum gguf_type other)
{
    const struct gguf_value *value = gguf_find(file, key);
    const bool good = value && value->type == GGUF_ARRAY &&
                      (value->element == element || value->element == other);
    return good ? value : NULL;
}

static int load_pieces(const struct gguf *file, struct sentencepiece *model)
{
    const struct gguf_value *tokens =
        find_list(file, "tokenizer.ggml.tokens", GGUF_STRING, GGUF_STRING);
    const struct gguf_value *scores = find_list(file, "tokenizer.ggml.scores", GGUF_F32, GGUF_F32);
    const struct gguf_value *kinds =
        find_list(file, "tokenizer.ggml.token_type", GGUF_I32, GGUF_U32);
    if (!tokens || !scores || !kinds || scores->count != tokens->count ||
        kinds->count != tokens->count || !tokens->count || tokens->count > SENTENCEPIECE_PIECES)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: expected lists of the same length, 1 to %d, in "
                          "tokenizer.ggml.tokens, tokenizer.ggml.scores (F32) and "
                          "tokenizer.ggml.token_type (I32)",
                          file->path, SENTENCEPIECE_PIECES);
    model->pieces = memory_alloc((size_t)tokens->count * sizeof(*model->pieces));
    if (!model->pieces)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for the pieces", file->path);
    const uint8_t *cursor = tokens->data;
    for (; model->count < tokens->count; model->count++) {
        struct sentencepiece_piece *piece = &model->pieces[model->count];
        size_t length;
        int32_t kind;
        piece->text = gguf_next_text(&cursor, &length);
        memcpy(&kind, kinds->data + model->count * sizeof(kind), sizeof(kind));
        gguf_read_number(scores, model->count, &piece->score);
        if (length > SENTENCEPIECE_PIECE_SIZE || !isfinite(piece->score) ||
            kind < SENTENCEPIECE_NORMAL || kind > SENTENCEPIECE_BYTE)
            return error_fail(VKCLIP_EFORMAT,
                              "%s: token %zu: expected at most %d bytes, a finite score and a type "
                              "from 1 to 6",
                              file->path, model->count, SENTENCEPIECE_PIECE_SIZE);
        piece->length = (uint32_t)length;
        piece->kind = (enum sentencepiece_kind)kind;
        model->byte_fallback |= kind == SENTENCEPIECE_BYTE;
    }
    return VKCLIP_OK;
}

/* Reads the id of a special token, which is -1 if the file has no such key. */
static int load_id(const struct gguf *file, const char *key, size_t count, int32_t *id)
{
    const struct gguf_value *value = gguf_find(file, key);
    uint64_t number;
    *id = -1;
    if (!value)
        return VKCLIP_OK;
    if (!gguf_read_integer(value, &number) || number >= count)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected an id below %zu", file->path, key,
                          count);
    *id = (int32_t)number;
    return VKCLIP_OK;
}

static int load_ids(const struct gguf *file, struct sentencepiece *model)
{
    const struct {
        const char *key;
        int32_t *id;
    } rows[] = {{"tokenizer.ggml.unknown_token_id", &model->unknown},
                {"tokenizer.ggml.eos_token_id", &model->end},
                {"tokenizer.ggml.padding_token_id", &model->pad}};
    int error = VKCLIP_OK;
    for (size_t i = 0; !error && i < ARRAY_COUNT(rows); i++)
        error = load_id(file, rows[i].key, model->count, rows[i].id);
    for (size_t i = 0; model->unknown < 0 && i < model->count; i++)
        if (model->pieces[i].kind == SENTENCEPIECE_UNKNOWN)
            model->unknown = (int32_t)i;
    if (!error && (model->unknown < 0 || model->end < 0))
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: expected tokenizer.ggml.unknown_token_id and "
                           "tokenizer.ggml.eos_token_id",
                           file->path);
    return error;
}

static int load_normalizer(const struct gguf *file, struct sentencepiece *model)
{
    static const char map[] = "tokenizer.ggml.precompiled_charsmap";
    const struct gguf_value *value = find_list(file, map, GGUF_U8, GGUF_I8);
    if (!value && gguf_find(file, map))
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected a list of bytes", file->path, map);
    if (value && value->count) {
        model->charsmap = value->data;
        model->charsmap_size = (size_t)value->count;
    }
    gguf_read_bool(gguf_find(file, "tokenizer.ggml.add_space_prefix"), &model->prefix_space);
    gguf_read_bool(gguf_find(file, "tokenizer.ggml.remove_extra_whitespaces"),
                   &model->remove_spaces);
    return VKCLIP_OK;
}

int unigram_open_gguf(const struct gguf *file, struct unigram **unigram)
{
    struct sentencepiece model = {
        .algorithm = SENTENCEPIECE_UNIGRAM, .prefix_space = true, .remove_spaces = true};
    int error = load_pieces(file, &model);
    if (!error)
        error = load_ids(file, &model);
    if (!error)
        error = load_normalizer(file, &model);
    if (!error)
        error = unigram_new(&model, 0, file->path, unigram);
    sentencepiece_close(&model);
    return error;
}
