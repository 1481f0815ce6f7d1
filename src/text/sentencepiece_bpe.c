/* SPDX-License-Identifier: MIT
 *
 * Byte-pair encoding over the characters of a whole text, with bytes in place of characters that
 * have no token, as Gemma's tokenizers and with them SigLIP 2 have it: a tokenizer.json with
 * byte_fallback. transformers' class Siglip2Tokenizer makes texts lower case first, and so does
 * do_lower_case in tokenizer_config.json, which SigLIP 2's files have; the class GemmaTokenizer
 * alone does not.
 */
#include "base/error.h"
#include "base/memory.h"
#include "format/json.h"
#include "format/sentencepiece.h"
#include "text/merger.h"
#include "text/normalizer.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_kind.h"
#include "text/vocabulary_readers.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

static const char SPACE[] = "\xe2\x96\x81"; /* stands for a space in tokens */

struct sentencepiece_bpe {
    struct tokenizer tokenizer;
    struct vocabulary vocabulary;
    struct normalizer normalizer;
    struct added_tokens added;
    bool *special;      /* [vocabulary.count] by id: decoding leaves the token out */
    int32_t bytes[256]; /* ids of the tokens of bytes */
};

/* ---- From text to ids ------------------------------------------------------------------------ */

static void normalize_part(const void *tokenizer, struct code_points *text)
{
    const struct sentencepiece_bpe *bpe = tokenizer;
    normalizer_apply(&bpe->normalizer, text);
}

/* Appends the token of a character, or those of its bytes. */
static void push_character(const struct sentencepiece_bpe *bpe, struct merger *merger, int32_t code)
{
    char bytes[4];
    const size_t size = (size_t)utf8proc_encode_char(code, (uint8_t *)bytes);
    const int32_t id = vocabulary_find(&bpe->vocabulary, bytes, size);
    if (id >= 0)
        merger_push(merger, id);
    for (size_t i = 0; id < 0 && i < size; i++)
        merger_push(merger, bpe->bytes[(uint8_t)bytes[i]]);
}

/* Encodes the text between two added tokens. A word ends behind each space, of which the normalizer
 * leaves none. */
static void encode_part(struct added_walk *walk, const int32_t *codes, size_t length, bool first)
{
    struct merger *merger = walk->job;
    (void)first;
    for (size_t i = 0, end; i < length && !merger->failed; i = end) {
        for (end = i; end < length && codes[end] != ' ';)
            end++;
        end += end < length;
        if (!merger_begin(merger, 4 * (end - i)))
            break;
        for (size_t k = i; k < end; k++)
            push_character(walk->tokenizer, merger, codes[k]);
        merger_end(merger);
    }
    walk->failed |= merger->failed;
}

static bool encode_bpe(const struct tokenizer *tokenizer, struct code_points *text,
                       struct token_ids *ids)
{
    const struct sentencepiece_bpe *bpe = (const struct sentencepiece_bpe *)tokenizer;
    struct merger merger = {.vocabulary = &bpe->vocabulary, .ids = ids};
    struct added_walk walk = {.tokens = &bpe->added,
                              .ids = ids,
                              .normalize = normalize_part,
                              .encode = encode_part,
                              .tokenizer = bpe,
                              .job = &merger};
    if (!text->failed)
        added_tokens_walk(&walk, text->codes, text->length);
    merger_free(&merger);
    return !text->failed && !walk.failed;
}

/* ---- From ids to text ------------------------------------------------------------------------ */

static size_t spell_token(const char *text, char *out)
{
    const int byte = sentencepiece_byte(text, strlen(text));
    size_t size = 0;
    if (byte >= 0) {
        *out = (char)byte;
        return 1;
    }
    while (*text) {
        const bool is_space = !strncmp(text, SPACE, strlen(SPACE));
        out[size++] = is_space ? ' ' : *text;
        text += is_space ? strlen(SPACE) : 1;
    }
    return size;
}

static char *decode_bpe(const struct tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    const struct sentencepiece_bpe *bpe = (const struct sentencepiece_bpe *)tokenizer;
    struct code_points points = {0};
    size_t room = 1, size = 0;
    for (size_t i = 0; i < count; i++)
        room += strlen(bpe->vocabulary.tokens[ids[i]]);
    char *bytes = memory_alloc(room), *text = NULL;
    for (size_t i = 0; bytes && i < count; i++)
        if (!bpe->special[ids[i]])
            size += spell_token(bpe->vocabulary.tokens[ids[i]], bytes + size);
    if (bytes)
        code_points_push_utf8(&points, bytes, size);
    if (bytes && !points.failed)
        text = code_points_utf8(&points);
    memory_free(bytes);
    code_points_free(&points);
    return text;
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

/* Gemma's pre-tokenizer splits behind spaces, of which the normalizer leaves none. */
static int check_splits(const char *path, const json_t *value)
{
    const json_t *pattern = json_object_get(value, "pattern");
    const bool none = !value || json_is_null(value);
    if (none || (json_is_text(json_object_get(value, "type"), "Split") &&
                 json_is_text(json_object_get(pattern, "String"), " ") &&
                 json_is_text(json_object_get(value, "behavior"), "MergedWithPrevious") &&
                 !json_is_true(json_object_get(value, "invert"))))
        return VKCLIP_OK;
    return tokenizer_json_refuse(path, "pre_tokenizer", value,
                                 "none, or a Split behind each space (MergedWithPrevious)");
}

static int find_bytes(struct sentencepiece_bpe *bpe, const char *path)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof(text), "<0x%02X>", byte);
        bpe->bytes[byte] = vocabulary_find(&bpe->vocabulary, text, strlen(text));
        if (bpe->bytes[byte] < 0)
            return error_fail(VKCLIP_EFORMAT,
                              "%s: unknown characters become bytes (byte_fallback), but there is "
                              "no token %s",
                              path, text);
    }
    return VKCLIP_OK;
}

/* Spells an added token. This is the added_text_fn of these tokenizers. */
static void spell_added(const void *user, const struct added_token *token, struct code_points *text)
{
    const struct sentencepiece_bpe *bpe = user;
    const char *string = bpe->vocabulary.tokens[token->id];
    code_points_push_utf8(text, string, strlen(string));
    if (token->normalized)
        normalizer_apply(&bpe->normalizer, text);
}

static int load_added(struct sentencepiece_bpe *bpe, const char *path, const json_t *added)
{
    const struct vocabulary *vocabulary = &bpe->vocabulary;
    bpe->special = memory_calloc((size_t)vocabulary->count + 1, sizeof(*bpe->special));
    if (!bpe->special || !added_tokens_open(&bpe->added, vocabulary->added, vocabulary->added_count,
                                            spell_added, bpe))
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for the added tokens", path);
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i);
        const json_int_t id = json_integer_value(json_object_get(entry, "id"));
        if (id >= 0 && id < vocabulary->count && json_is_true(json_object_get(entry, "special")))
            bpe->special[id] = true;
    }
    return VKCLIP_OK;
}

/* Reads what the files beside tokenizer.json say: the pad token, and whether texts become lower
 * case. Where no pad token is named, it is <pad>. */
static int load_settings(struct sentencepiece_bpe *bpe, const struct vocabulary_source *source)
{
    struct vocabulary *vocabulary = &bpe->vocabulary;
    struct tokenizer_config config = {0};
    int error = vocabulary_find_pad(vocabulary, source, "<pad>");
    if (source->in_memory)
        return error;
    if (!error)
        error = tokenizer_config_read(source->path, &config);
    if (!error && (config.lower || !strcmp(config.class, "Siglip2Tokenizer")))
        error = normalizer_lower_first(source->path, &bpe->normalizer);
    return error;
}

static int load(struct sentencepiece_bpe *bpe, const struct vocabulary_source *source)
{
    const json_t *model = json_object_get(source->root, "model");
    const json_t *merges = json_object_get(model, "merges");
    const json_t *added = json_object_get(source->root, "added_tokens");
    struct vocabulary *vocabulary = &bpe->vocabulary;
    const char *path = source->path;
    int error = tokenizer_json_check_merges(path, model);
    if (!error)
        error = check_splits(path, json_object_get(source->root, "pre_tokenizer"));
    if (!error)
        error =
            normalizer_load(json_object_get(source->root, "normalizer"), path, &bpe->normalizer);
    if (!error)
        error = vocabulary_load_tokens(vocabulary, path, json_object_get(model, "vocab"), added,
                                       json_array_size(merges));
    if (!error)
        error = vocabulary_load_merges(vocabulary, path, merges);
    if (!error)
        error = find_bytes(bpe, path);
    if (!error)
        error = tokenizer_json_ends(path, source->root, vocabulary->count, &vocabulary->start,
                                    &vocabulary->end);
    if (!error)
        error = load_settings(bpe, source);
    if (!error)
        error = load_added(bpe, path, added);
    return error;
}

/* ---- The kind -------------------------------------------------------------------------------- */

static bool recognize_bpe(const struct vocabulary_source *source)
{
    const json_t *model = json_object_get(source->root, "model");
    return json_is_text(json_object_get(model, "type"), "BPE") &&
           json_is_true(json_object_get(model, "byte_fallback"));
}

static void close_bpe(struct tokenizer *tokenizer)
{
    struct sentencepiece_bpe *bpe = (struct sentencepiece_bpe *)tokenizer;
    added_tokens_close(&bpe->added);
    normalizer_close(&bpe->normalizer);
    vocabulary_close(&bpe->vocabulary);
    memory_free(bpe->special);
    memory_free(bpe);
}

static int open_bpe(const struct vocabulary_source *source, enum tokenizer_rules rules,
                    struct tokenizer **result)
{
    struct sentencepiece_bpe *bpe = memory_calloc(1, sizeof(*bpe));
    (void)rules;
    if (!bpe)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", source->path);
    int error = load(bpe, source);
    if (error) {
        close_bpe(&bpe->tokenizer);
        return error;
    }
    const struct vocabulary *vocabulary = &bpe->vocabulary;
    *result = &bpe->tokenizer;
    **result = (struct tokenizer){.start = vocabulary->start,
                                  .end = vocabulary->end,
                                  .pad = vocabulary->pad,
                                  .size = vocabulary->count};
    return VKCLIP_OK;
}

const struct tokenizer_kind tokenizer_sentencepiece_bpe = {
    .recognizes = recognize_bpe,
    .open = open_bpe,
    .encode = encode_bpe,
    .decode = decode_bpe,
    .close = close_bpe,
};
