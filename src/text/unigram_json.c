/* SPDX-License-Identifier: MIT
 *
 * Reads Hugging Face's tokenizer.json with a unigram model. Normalisers and pre-tokenizers that are
 * not among those of T5's tokenizers are refused, because without them a text would get other ids
 * than those with which the model was trained.
 */
#include "base/array.h"
#include "base/base64.h"
#include "base/error.h"
#include "format/json.h"
#include "text/unigram_pipeline.h"
#include "text/vocabulary_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_LIMIT = 16 }; /* normalisers; T5's tokenizers have at most 3 */

/* Keeps what is needed while a file is read. */
struct reader {
    const char *path;
    const json_t *root;
    struct sentencepiece model;
    size_t searched; /* pieces of the model; the rest are added tokens */
    char *charsmap;  /* decoded */
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
    reader->model.pieces = calloc(count + added, sizeof(*reader->model.pieces));
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
    const char *text = json_string_value(json_object_get(item, "content"));
    const json_t *id_value = json_object_get(item, "id");
    const json_int_t id = json_is_integer(id_value) ? json_integer_value(id_value) : -1;
    const size_t length = text ? strlen(text) : 0;
    const size_t room =
        reader->searched + json_array_size(json_object_get(reader->root, "added_tokens"));
    if (!length || length > ADDED_TOKEN_SIZE || id < 0 || (uint64_t)id >= room ||
        json_is_true(json_object_get(item, "single_word")))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: added token %zu: expected a text of 1 to %d bytes that need not be "
                          "a whole word, and an id below %zu",
                          reader->path, number, ADDED_TOKEN_SIZE, room);
    struct sentencepiece_piece *piece = &reader->model.pieces[id];
    if (piece->length && (piece->length != length || memcmp(piece->text, text, length)))
        return error_fail(VKCLIP_EFORMAT, "%s: added token %zu has the id %d of \"%.*s\"",
                          reader->path, number, (int)id, (int)piece->length, piece->text);
    piece->text = text;
    piece->length = (uint32_t)length;
    if (piece->kind != SENTENCEPIECE_UNKNOWN)
        piece->kind = json_is_true(json_object_get(item, "special")) ? SENTENCEPIECE_CONTROL
                                                                     : SENTENCEPIECE_USER_DEFINED;
    if ((size_t)id >= reader->model.count)
        reader->model.count = (size_t)id + 1;
    *token = (struct added_token){
        .id = (int32_t)id,
        .normalized = json_is_true(json_object_get(item, "normalized")),
        .strips_left = json_is_true(json_object_get(item, "lstrip")),
        .strips_right = json_is_true(json_object_get(item, "rstrip")),
    };
    return VKCLIP_OK;
}

/* Loads the added tokens into model and pipeline. Every id must have a text. */
static int load_added(struct reader *reader)
{
    const json_t *added = json_object_get(reader->root, "added_tokens");
    const size_t count = reader->pipeline->added_count = json_array_size(added);
    struct added_token *list = reader->pipeline->list = calloc(count + 1, sizeof(*list));
    int error = list ? VKCLIP_OK : out_of_memory(reader);
    for (size_t i = 0; i < count && !error; i++)
        error = load_added_token(reader, i, json_array_get(added, i), &list[i]);
    for (size_t id = 0; id < reader->model.count && !error; id++)
        if (!reader->model.pieces[id].length)
            error = error_fail(VKCLIP_EFORMAT, "%s: no piece and no added token has the id %zu",
                               reader->path, id);
    return error;
}

/* Spells an added token. This is the added_text_fn of unigram tokenizers. */
static void spell_added(const void *user, const struct added_token *token, struct code_points *text)
{
    const struct unigram *unigram = user;
    const char *string = unigram->pieces[token->id].text;
    code_points_push_utf8(text, string, strlen(string));
    if (token->normalized)
        unigram_normalize(unigram, text);
}

/* ---- Normalisers ----------------------------------------------------------------------------- */

static int refuse(const struct reader *reader, const char *what, const json_t *value,
                  const char *expected)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: %s \"%.40s\" is not that of a T5 tokenizer, expected %s", reader->path,
                      what, type ? type : "", expected);
}

static int read_charsmap(struct reader *reader, const json_t *value, struct unigram_step *step)
{
    const char *text = json_string_value(json_object_get(value, "precompiled_charsmap"));
    step->apply = unigram_step_charsmap;
    if (!text || reader->charsmap)
        return refuse(reader, "normalizer", value, "one precompiled_charsmap");
    reader->charsmap = base64_decode(text, &reader->model.charsmap_size);
    if (!reader->charsmap)
        return error_fail(VKCLIP_EFORMAT, "%s: precompiled_charsmap is not base64", reader->path);
    reader->model.charsmap = (const uint8_t *)reader->charsmap;
    return VKCLIP_OK;
}

static int read_strip(struct reader *reader, const json_t *value, struct unigram_step *step)
{
    (void)reader;
    step->apply = unigram_step_strip;
    step->left = read_truth(json_object_get(value, "strip_left"), true);
    step->right = read_truth(json_object_get(value, "strip_right"), true);
    return VKCLIP_OK;
}

static int read_spaces(struct reader *reader, const json_t *value, struct unigram_step *step)
{
    const char *content = json_string_value(json_object_get(value, "content"));
    const json_t *pattern = json_object_get(value, "pattern");
    step->apply = unigram_step_spaces;
    if (!content || !json_is_text(json_object_get(pattern, "Regex"), " {2,}"))
        return refuse(reader, "normalizer", value, "the pattern \" {2,}\" for two or more spaces");
    code_points_push_utf8(&step->content, content, strlen(content));
    return step->content.failed ? out_of_memory(reader) : VKCLIP_OK;
}

static int load_step(struct reader *reader, const json_t *value)
{
    static const struct {
        const char *type;
        int (*read)(struct reader *reader, const json_t *value, struct unigram_step *step);
    } rows[] = {{"Precompiled", read_charsmap}, {"Strip", read_strip}, {"Replace", read_spaces}};
    struct unigram_pipeline *pipeline = reader->pipeline;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (json_is_text(json_object_get(value, "type"), rows[i].type))
            return rows[i].read(reader, value, &pipeline->steps[pipeline->step_count++]);
    return refuse(reader, "normalizer", value, "Precompiled, Strip or Replace");
}

static int load_normalizer(struct reader *reader)
{
    const json_t *value = json_object_get(reader->root, "normalizer");
    const json_t *list = json_object_get(value, "normalizers");
    const bool sequence = json_is_text(json_object_get(value, "type"), "Sequence");
    const size_t count = sequence ? json_array_size(list) : 1;
    int error = VKCLIP_OK;
    if (!value || json_is_null(value))
        return VKCLIP_OK;
    if (count > STEPS_LIMIT)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %zu normalizers, expected at most %d",
                          reader->path, count, STEPS_LIMIT);
    reader->pipeline->steps = calloc(count + 1, sizeof(*reader->pipeline->steps));
    if (!reader->pipeline->steps)
        return out_of_memory(reader);
    for (size_t i = 0; i < count && !error; i++)
        error = load_step(reader, sequence ? json_array_get(list, i) : value);
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
        return refuse(reader, "pre_tokenizer", value, "Metaspace with U+2581");
    while (scheme && prefix < ARRAY_COUNT(names) && !json_is_text(scheme, names[prefix]))
        prefix++;
    if (prefix == ARRAY_COUNT(names))
        return refuse(reader, "pre_tokenizer", value, "a prepend_scheme always, first or never");
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
        return refuse(reader, "pre_tokenizer", first, "WhitespaceSplit and Metaspace");
    return read_metaspace(reader, json_array_get(list, count - 1));
}

/* ---- Start, end and padding ------------------------------------------------------------------ */

/* Reads the id of a token of the template. */
static int read_special(const struct reader *reader, const char *text, int32_t *id)
{
    const json_t *post = json_object_get(reader->root, "post_processor");
    const json_t *token = json_object_get(json_object_get(post, "special_tokens"), text);
    const json_t *ids = json_object_get(token, "ids");
    const json_int_t value = json_integer_value(json_array_get(ids, 0));
    if (json_array_size(ids) != 1 || value < 0 || (uint64_t)value >= reader->model.count)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: post_processor: expected one id below %zu for the token \"%.40s\"",
                          reader->path, reader->model.count, text);
    *id = (int32_t)value;
    return VKCLIP_OK;
}

/* Finds the tokens around a text: none or one before it, and one after it. */
static int load_ends(struct reader *reader, int32_t *start)
{
    const json_t *post = json_object_get(reader->root, "post_processor");
    json_t *single = json_object_get(post, "single");
    const char *before = NULL, *after = NULL, *text;
    const bool plain = !json_unpack(single, "[{s:{s:s}},{s:{s:s}}!]", "Sequence", "id", &text,
                                    "SpecialToken", "id", &after);
    const bool begun =
        !plain && !json_unpack(single, "[{s:{s:s}},{s:{s:s}},{s:{s:s}}!]", "SpecialToken", "id",
                               &before, "Sequence", "id", &text, "SpecialToken", "id", &after);
    if (!plain && !begun)
        return refuse(reader, "post_processor", post,
                      "a template with one token after the text and at most one before it");
    int error = read_special(reader, after, &reader->model.end);
    if (!error && begun)
        error = read_special(reader, before, start);
    return error;
}

static int32_t find_piece(const void *user, const char *text)
{
    const struct sentencepiece *model = user;
    const size_t length = strlen(text);
    for (size_t id = 0; id < model->count; id++)
        if (model->pieces[id].length == length && !memcmp(model->pieces[id].text, text, length))
            return (int32_t)id;
    return -1;
}

/* ---- The file -------------------------------------------------------------------------------- */

static int load_file(struct reader *reader, bool in_memory, int32_t *start)
{
    int error = load_pieces(reader);
    if (!error)
        error = load_added(reader);
    if (!error)
        error = load_normalizer(reader);
    if (!error)
        error = load_splits(reader);
    if (!error)
        error = load_ends(reader, start);
    reader->model.pad = error ? -1 : find_piece(&reader->model, "<pad>");
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
                            .pipeline = calloc(1, sizeof(*reader.pipeline))};
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
        struct unigram_pipeline *pipeline = unigram->pipeline;
        if (!added_tokens_open(&pipeline->added, pipeline->list, pipeline->added_count, spell_added,
                               unigram))
            error = out_of_memory(&reader);
    }
    if (error)
        unigram_free(unigram);
    else
        *result = unigram;
    if (reader.pipeline)
        unigram_free_pipeline(reader.pipeline);
    sentencepiece_close(&reader.model);
    free(reader.charsmap);
    return error;
}
