/* SPDX-License-Identifier: MIT
 *
 * Byte-pair encoding over bytes as GPT-2 has it, with RoBERTa's tokens around a text: words keep
 * the space before them, and case and accents stay. Reads tokenizer.json whose pre_tokenizer is
 * ByteLevel, and vocab.json with merges.txt in which texts begin with "<s>".
 */
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "format/json.h"
#include "text/characters.h"
#include "text/merger.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_kind.h"
#include "text/vocabulary_file.h"
#include "text/vocabulary_readers.h"

#include <string.h>
#include <utf8proc.h>

struct byte_bpe {
    struct tokenizer tokenizer;
    struct vocabulary vocabulary;
    struct added_tokens added;
    bool prefix_space; /* A text that begins without a space gets one. */
};

/* ---- Splitting into words -------------------------------------------------------------------- */

/* Returns the length of the contraction with which the text begins, or 0. */
static size_t contraction_length(const int32_t *codes, size_t length)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    for (size_t i = 0; i < ARRAY_COUNT(endings) && *codes == '\''; i++) {
        const char *ending = endings[i];
        size_t k = 0;
        while (ending[k] && k + 1 < length && codes[k + 1] == ending[k])
            k++;
        if (!ending[k])
            return k + 1;
    }
    return 0;
}

/* Returns the length of the word with which the text begins: the match of GPT-2's regex,
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+. */
static size_t word_length(const int32_t *codes, size_t length)
{
    const size_t contraction = contraction_length(codes, length);
    const size_t space = *codes == ' ' && length > 1;
    const enum character_kind kind = character_kind(codes[space]);
    size_t end = space + 1;
    if (contraction)
        return contraction;
    if (kind != CHARACTER_SPACE) {
        while (end < length && character_kind(codes[end]) == kind)
            end++;
        return end;
    }
    while (end < length && code_point_is_space(codes[end]))
        end++;
    /* The last one of several white spaces belongs to the word after them. */
    return end < length && end > 1 ? end - 1 : end;
}

/* ---- From text to ids ------------------------------------------------------------------------ */

/* This is the `normalize` of added_walk: texts stay as they are. */
static void keep_text(const void *tokenizer, struct code_points *text)
{
    (void)tokenizer;
    (void)text;
}

static void encode_word(const struct byte_bpe *bpe, struct merger *merger, const int32_t *codes,
                        size_t length)
{
    if (!merger_begin(merger, 4 * length))
        return;
    for (size_t i = 0; i < length; i++) {
        uint8_t bytes[4];
        const size_t size = (size_t)utf8proc_encode_char(codes[i], bytes);
        for (size_t k = 0; k < size; k++)
            if (bpe->vocabulary.symbols[0][bytes[k]] >= 0)
                merger_push(merger, bpe->vocabulary.symbols[0][bytes[k]]);
    }
    merger_end(merger);
}

/* Encodes the text between two added tokens. */
static void encode_part(struct added_walk *walk, const int32_t *codes, size_t length, bool first)
{
    const struct byte_bpe *bpe = walk->tokenizer;
    struct merger *merger = walk->job;
    struct code_points spaced = {0};
    (void)first;
    if (bpe->prefix_space && length && *codes != ' ') {
        code_points_push(&spaced, ' ');
        code_points_push_all(&spaced, codes, length);
        codes = spaced.codes;
        length = spaced.length;
    }
    for (size_t i = 0, size; i < length && !spaced.failed && !merger->failed; i += size) {
        size = word_length(codes + i, length - i);
        encode_word(bpe, merger, codes + i, size);
    }
    walk->failed |= merger->failed || spaced.failed;
    code_points_free(&spaced);
}

static bool encode_byte_bpe(const struct tokenizer *tokenizer, struct code_points *text,
                            struct token_ids *ids)
{
    const struct byte_bpe *bpe = (const struct byte_bpe *)tokenizer;
    struct merger merger = {.vocabulary = &bpe->vocabulary, .ids = ids};
    struct added_walk walk = {.tokens = &bpe->added,
                              .ids = ids,
                              .normalize = keep_text,
                              .encode = encode_part,
                              .tokenizer = bpe,
                              .job = &merger};
    if (!text->failed)
        added_tokens_walk(&walk, text->codes, text->length);
    merger_free(&merger);
    return !text->failed && !walk.failed;
}

/* ---- From ids to text ------------------------------------------------------------------------ */

/* Tells whether decoding leaves a token out. There are only a few such tokens. */
static bool is_special(const struct vocabulary *vocabulary, int32_t id)
{
    for (size_t i = 0; i < vocabulary->added_count; i++)
        if (vocabulary->added[i].id == id)
            return vocabulary->added[i].special;
    return false;
}

static char *decode_byte_bpe(const struct tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    const struct vocabulary *vocabulary = &((const struct byte_bpe *)tokenizer)->vocabulary;
    struct code_points points = {0};
    size_t room = 1, size = 0;
    for (size_t i = 0; i < count; i++)
        room += strlen(vocabulary->tokens[ids[i]]);
    char *bytes = memory_alloc(room), *text = NULL;
    for (size_t i = 0; bytes && i < count; i++)
        if (!is_special(vocabulary, ids[i]))
            size += vocabulary_token_bytes(vocabulary->tokens[ids[i]], bytes + size);
    if (bytes)
        code_points_push_utf8(&points, bytes, size);
    if (bytes && !points.failed)
        text = code_points_utf8(&points);
    memory_free(bytes);
    code_points_free(&points);
    return text;
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static int check_steps(struct byte_bpe *bpe, const char *path, const json_t *root)
{
    const json_t *splits = json_object_get(root, "pre_tokenizer");
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *regex = json_object_get(splits, "use_regex");
    const json_t *space = json_object_get(splits, "add_prefix_space");
    if (normalizer && !json_is_null(normalizer))
        return tokenizer_json_refuse(path, "normalizer", normalizer, "none");
    if ((regex && !json_is_true(regex)) || !json_is_boolean(space))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: pre_tokenizer: expected use_regex true, and add_prefix_space true "
                          "or false",
                          path);
    bpe->prefix_space = json_is_true(space);
    return VKCLIP_OK;
}

static int load_json(struct byte_bpe *bpe, const char *path, const json_t *root)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *merges = json_object_get(model, "merges");
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    struct vocabulary *vocabulary = &bpe->vocabulary;
    int error = tokenizer_json_check_merges(path, model);
    if (!error && json_is_true(json_object_get(model, "fuse_unk")))
        error = error_fail(VKCLIP_EUNSUPPORTED, "%s: model.fuse_unk: expected false", path);
    if (!error)
        error = check_steps(bpe, path, root);
    if (!error)
        error =
            vocabulary_load_tokens(vocabulary, path, json_object_get(model, "vocab"),
                                   json_object_get(root, "added_tokens"), json_array_size(merges));
    if (!error)
        error = vocabulary_load_merges(vocabulary, path, merges);
    if (!error)
        error = tokenizer_json_ends(path, root, vocabulary->count, &vocabulary->start,
                                    &vocabulary->end);
    if (!error)
        vocabulary_find_symbols(
            vocabulary, unknown ? vocabulary_find(vocabulary, unknown, strlen(unknown)) : -1);
    return error;
}

/* ---- vocab.json and merges.txt --------------------------------------------------------------- */

static const char START[] = "<s>", END[] = "</s>";

/* Adds those of RoBERTa's special tokens that the vocabulary has. A mask takes the white space
 * before it. */
static int add_specials(const char *path, const json_t *vocab, json_t *added)
{
    static const char *const texts[] = {START, "<pad>", END, "<unk>", "<mask>"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        json_t *id = json_object_get(vocab, texts[i]);
        if (id && json_array_append_new(added, json_pack("{ss sO sb sb}", "content", texts[i], "id",
                                                         id, "lstrip", !strcmp(texts[i], "<mask>"),
                                                         "special", 1)))
            return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    }
    return VKCLIP_OK;
}

static int load_pair(struct byte_bpe *bpe, const char *path, json_t *vocab)
{
    struct vocabulary *vocabulary = &bpe->vocabulary;
    json_t *merges = NULL, *added = NULL;
    char *merges_path = vocabulary_file_beside(path, "merges.txt");
    int error = merges_path ? vocabulary_read_pair(path, merges_path, &merges, &added)
                            : error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error)
        error = add_specials(path, vocab, added);
    if (!error)
        error = vocabulary_load_tokens(vocabulary, path, vocab, added, json_array_size(merges));
    if (!error)
        error = vocabulary_load_merges(vocabulary, merges_path, merges);
    if (!error)
        error = vocabulary_find_ends(vocabulary, path, START, END);
    if (!error)
        vocabulary_find_symbols(vocabulary, -1);
    json_decref(merges);
    json_decref(added);
    memory_free(merges_path);
    return error;
}

/* ---- The kind -------------------------------------------------------------------------------- */

static bool is_tokenizer_json(const struct vocabulary_source *source)
{
    return json_is_object(json_object_get(source->root, "model"));
}

static bool recognize_byte_bpe(const struct vocabulary_source *source)
{
    const json_t *splits = json_object_get(source->root, "pre_tokenizer");
    if (is_tokenizer_json(source))
        return json_is_text(json_object_get(splits, "type"), "ByteLevel");
    return !source->in_memory && json_object_get(source->root, START) &&
           !json_object_get(source->root, VOCABULARY_START);
}

/* Spells an added token. This is the added_text_fn of these tokenizers. */
static void spell_added(const void *user, const struct added_token *token, struct code_points *text)
{
    const char *string = ((const struct vocabulary *)user)->tokens[token->id];
    code_points_push_utf8(text, string, strlen(string));
}

/* Lets the files beside the vocabulary decide what they name, as transformers does. */
static int apply_config(struct byte_bpe *bpe, const char *path)
{
    struct tokenizer_config config;
    const int error = tokenizer_config_read(path, &config);
    if (!error && config.has_spaced)
        bpe->prefix_space = config.spaced;
    return error;
}

static int load(struct byte_bpe *bpe, const struct vocabulary_source *source)
{
    struct vocabulary *vocabulary = &bpe->vocabulary;
    const char *path = source->path;
    int error = is_tokenizer_json(source) ? load_json(bpe, path, source->root)
                                          : load_pair(bpe, path, source->root);
    if (!error)
        error = vocabulary_find_pad(vocabulary, source, "<pad>");
    if (!error && !source->in_memory)
        error = apply_config(bpe, path);
    if (!error && !added_tokens_open(&bpe->added, vocabulary->added, vocabulary->added_count,
                                     spell_added, vocabulary))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory for the added tokens", path);
    return error;
}

static void close_byte_bpe(struct tokenizer *tokenizer)
{
    struct byte_bpe *bpe = (struct byte_bpe *)tokenizer;
    added_tokens_close(&bpe->added);
    vocabulary_close(&bpe->vocabulary);
    memory_free(bpe);
}

static int open_byte_bpe(const struct vocabulary_source *source, enum tokenizer_rules rules,
                         struct tokenizer **result)
{
    struct byte_bpe *bpe = memory_calloc(1, sizeof(*bpe));
    (void)rules;
    if (!bpe)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", source->path);
    int error = load(bpe, source);
    if (error) {
        close_byte_bpe(&bpe->tokenizer);
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

const struct tokenizer_kind tokenizer_byte_bpe = {
    .recognizes = recognize_byte_bpe,
    .open = open_byte_bpe,
    .encode = encode_byte_bpe,
    .decode = decode_byte_bpe,
    .close = close_byte_bpe,
};
