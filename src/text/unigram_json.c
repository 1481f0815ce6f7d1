/* SPDX-License-Identifier: MIT
 *
 * Reads Hugging Face's tokenizer.json with a unigram model. Pre-tokenizers other than those
 * of T5, SigLIP and XLM-R are refused, because without them a text would get other ids than those
 * with which the model was trained.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "format/json.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"
#include "text/unigram_pipeline.h"
#include "text/vocabulary_file.h"

#include <math.h>
#include <string.h>

/* Keeps what is needed while a file is read. */
struct reader {
    const char *path;
    const json_t *root;
    struct sentencepiece model;
    size_t searched;           /* pieces of the model; the rest are added tokens */
    struct added_token *added; /* [added_count] */
    size_t added_count;
    struct unigram_pipeline *pipeline;
};

/* Returns a truth value, or `otherwise` if there is none. */
static bool read_truth(const json_t *value, bool otherwise)
{
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static int out_of_memory(const struct reader *reader)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", reader->path);
}

/* ---- Pieces ---------------------------------------------------------------------------------- */

static int load_piece(struct reader *reader, size_t id, const json_t *item, bool byte_fallback)
{
    const char *text = json_string_value(json_array_get(item, 0));
    const json_t *score = json_array_get(item, 1);
    const size_t length = text ? strlen(text) : 0;
    if (json_array_size(item) != 2 || !length || length > SENTENCEPIECE_PIECE_SIZE ||
        !json_is_number(score) || !isfinite(json_number_value(score)))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: piece %zu of model.vocab: expected a text of 1 to %d bytes and a "
                          "score",
                          reader->path, id, SENTENCEPIECE_PIECE_SIZE);
    const bool byte = byte_fallback && sentencepiece_byte(text, length) >= 0;
    reader->model.pieces[id] = (struct sentencepiece_piece){
        text, (uint32_t)length, byte ? SENTENCEPIECE_BYTE : SENTENCEPIECE_NORMAL,
        json_number_value(score)};
    return VKCLIP_OK;
}

/* Makes room for the pieces and for the added tokens with larger ids, and loads the pieces. */
static int load_pieces(struct reader *reader)
{
    const json_t *model = json_object_get(reader->root, "model");
    const json_t *vocab = json_object_get(model, "vocab");
    const json_t *unknown = json_object_get(model, "unk_id");
    const size_t count = json_array_size(vocab);
    const size_t added = json_array_size(json_object_get(reader->root, "added_tokens"));
    reader->searched = reader->model.count = count;
    if (!count || count > SENTENCEPIECE_PIECES || added > SENTENCEPIECE_PIECES)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %zu pieces in model.vocab and %zu added tokens, expected 1 to %d",
                          reader->path, count, added, SENTENCEPIECE_PIECES);
    if (!json_is_integer(unknown) || json_integer_value(unknown) < 0 ||
        (uint64_t)json_integer_value(unknown) >= count)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: model.unk_id: expected the id of the piece for unknown characters, "
                          "0 to %zu",
                          reader->path, count - 1);
    reader->model.pieces = memory_calloc(count + added, sizeof(*reader->model.pieces));
    if (!reader->model.pieces)
        return out_of_memory(reader);
    reader->model.byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    for (size_t id = 0; id < count; id++) {
        int error = load_piece(reader, id, json_array_get(vocab, id), reader->model.byte_fallback);
        if (error)
            return error;
    }
    reader->model.unknown = (int32_t)json_integer_value(unknown);
    reader->model.pieces[reader->model.unknown].kind = SENTENCEPIECE_UNKNOWN;
    return VKCLIP_OK;
}

/* ---- Added tokens ---------------------------------------------------------------------------- */

static int load_added_token(struct reader *reader, size_t number, const json_t *item,
                            struct added_token *token)
{
    const size_t room =
        reader->searched + json_array_size(json_object_get(reader->root, "added_tokens"));
    const char *text;
    int error = tokenizer_json_added(reader->path, number, item, room, &text, token);
    if (error)
        return error;
    const size_t length = strlen(text);
    struct sentencepiece_piece *piece = &reader->model.pieces[token->id];
    if (piece->length && (piece->length != length || memcmp(piece->text, text, length)))
        return error_fail(VKCLIP_EFORMAT, "%s: added token %zu has the id %d of \"%.*s\"",
                          reader->path, number, token->id, (int)piece->length, piece->text);
    piece->text = text;
    piece->length = (uint32_t)length;
    if (piece->kind != SENTENCEPIECE_UNKNOWN)
        piece->kind = json_is_true(json_object_get(item, "special")) ? SENTENCEPIECE_CONTROL
                                                                     : SENTENCEPIECE_USER_DEFINED;
    if ((size_t)token->id >= reader->model.count)
        reader->model.count = (size_t)token->id + 1;
    return VKCLIP_OK;
}

/* Loads the added tokens into the model and the list. Every id must have a text. */
static int load_added(struct reader *reader)
{
    const json_t *added = json_object_get(reader->root, "added_tokens");
    const size_t count = reader->added_count = json_array_size(added);
    struct added_token *list = reader->added = memory_calloc(count + 1, sizeof(*list));
    int error = list ? VKCLIP_OK : out_of_memory(reader);
    for (size_t i = 0; i < count && !error; i++)
        error = load_added_token(reader, i, json_array_get(added, i), &list[i]);
    for (size_t id = 0; id < reader->model.count && !error; id++)
        if (!reader->model.pieces[id].length)
            error = error_fail(VKCLIP_EFORMAT, "%s: no piece and no added token has the id %zu",
                               reader->path, id);
    return error;
}

/* ---- Pre-tokenizers -------------------------------------------------------------------------- */

static int read_metaspace(struct reader *reader, const json_t *value)
{
    static const char *const names[] = {[UNIGRAM_PREFIX_ALWAYS] = "always",
                                        [UNIGRAM_PREFIX_FIRST] = "first",
                                        [UNIGRAM_PREFIX_NEVER] = "never"};
    const json_t *scheme = json_object_get(value, "prepend_scheme");
    size_t prefix = UNIGRAM_PREFIX_ALWAYS;
    if (!json_is_text(json_object_get(value, "type"), "Metaspace") ||
        !json_is_text(json_object_get(value, "replacement"), "\xe2\x96\x81"))
        return tokenizer_json_refuse(reader->path, "pre_tokenizer", value, "Metaspace with U+2581");
    while (scheme && prefix < ARRAY_COUNT(names) && !json_is_text(scheme, names[prefix]))
        prefix++;
    if (prefix == ARRAY_COUNT(names))
        return tokenizer_json_refuse(reader->path, "pre_tokenizer", value,
                                     "a prepend_scheme always, first or never");
    if (json_is_false(json_object_get(value, "add_prefix_space")))
        prefix = UNIGRAM_PREFIX_NEVER;
    reader->pipeline->prefix = (enum unigram_prefix)prefix;
    reader->pipeline->splits_prefix = read_truth(json_object_get(value, "split"), true);
    return VKCLIP_OK;
}

static int load_splits(struct reader *reader)
{
    const json_t *value = json_object_get(reader->root, "pre_tokenizer");
    const json_t *list = json_object_get(value, "pretokenizers");
    const size_t count = json_array_size(list);
    if (!json_is_text(json_object_get(value, "type"), "Sequence"))
        return read_metaspace(reader, value);
    const json_t *first = json_array_get(list, 0);
    reader->pipeline->splits_space =
        json_is_text(json_object_get(first, "type"), "WhitespaceSplit");
    if (count != (reader->pipeline->splits_space ? 2u : 1u))
        return tokenizer_json_refuse(reader->path, "pre_tokenizer", first,
                                     "WhitespaceSplit and Metaspace");
    return read_metaspace(reader, json_array_get(list, count - 1));
}

/* ---- Padding ---------------------------------------------------------------------------------- */

static int32_t find_piece(const void *user, const char *text)
{
    const struct sentencepiece *model = user;
    const size_t length = strlen(text);
    for (size_t id = 0; id < model->count; id++)
        if (model->pieces[id].length == length && !memcmp(model->pieces[id].text, text, length))
            return (int32_t)id;
    return -1;
}

/* OpenCLIP uses T5Tokenizer of transformers 5, which splits at white space whatever the file says.
 * diffusers takes the file as it is. */
static int read_class(struct reader *reader)
{
    struct tokenizer_config config;
    int error = tokenizer_config_read(reader->path, &config);
    reader->pipeline->splits_cleaned = !strcmp(config.class, "T5Tokenizer");
    return error;
}

/* ---- The file -------------------------------------------------------------------------------- */

static int load_file(struct reader *reader, bool in_memory, int32_t *start)
{
    int error = load_pieces(reader);
    if (!error)
        error = load_added(reader);
    if (!error)
        error = normalizer_load(json_object_get(reader->root, "normalizer"), reader->path,
                                &reader->pipeline->normalizer);
    if (!error)
        error = load_splits(reader);
    if (!error)
        error = tokenizer_json_ends(reader->path, reader->root, reader->model.count, start,
                                    &reader->model.end);
    reader->model.pad = error ? -1 : find_piece(&reader->model, "<pad>");
    if (!error && !in_memory)
        error = read_class(reader);
    if (!error && !in_memory)
        error =
            vocabulary_file_read_pad(reader->path, find_piece, &reader->model, &reader->model.pad);
    return error;
}

int unigram_open_json(const struct vocabulary_source *source, struct unigram **result)
{
    struct reader reader = {.path = source->path,
                            .root = source->root,
                            .model = {.algorithm = SENTENCEPIECE_UNIGRAM},
                            .pipeline = memory_calloc(1, sizeof(*reader.pipeline))};
    struct unigram *unigram = NULL;
    int32_t start = -1;
    int error =
        reader.pipeline ? load_file(&reader, source->in_memory, &start) : out_of_memory(&reader);
    if (!error)
        error = unigram_new(&reader.model, reader.searched, source->path, &unigram);
    if (!error) {
        unigram->tokenizer.start = start;
        unigram->pipeline = reader.pipeline;
        reader.pipeline = NULL;
        error = unigram_add_tokens(unigram, reader.added, reader.added_count, source->path);
        reader.added = NULL;
    }
    if (error)
        unigram_free(unigram);
    else
        *result = unigram;
    if (reader.pipeline)
        unigram_free_pipeline(reader.pipeline);
    memory_free(reader.added);
    sentencepiece_close(&reader.model);
    return error;
}
