/* SPDX-License-Identifier: MIT
 *
 * Reads Hugging Face's tokenizer.json, and its vocab.json with merges.txt. Tokenizers of another
 * kind and files that contradict themselves are refused, because they would give other ids than
 * those with which the model was trained.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "text/vocabulary_file.h"
#include "text/vocabulary_readers.h"

#include <string.h>

enum { PAIR_ADDED = 2 }; /* added tokens that vocab.json has without naming them: start and end */

/* ---- Tokens ---------------------------------------------------------------------------------- */

static int load_token(struct vocabulary *v, const char *path, const char *text, const json_t *id)
{
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value >= v->count)
        return error_fail(
            VKCLIP_EFORMAT,
            "%s: the id of token \"%.40s\" is not one of 0 to %u, which it must be as no id "
            "may be left out",
            path, text, v->count - 1);
    if (v->tokens[value])
        return error_fail(VKCLIP_EFORMAT,
                          "%s: tokens \"%.40s\" and \"%.40s\" have the same id %lld", path,
                          v->tokens[value], text, (long long)value);
    if (!vocabulary_add(v, (uint32_t)value, text, strlen(text)))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: token \"%.40s\" occurs twice, or too many tokens collide", path,
                          text);
    return VKCLIP_OK;
}

/* Returns the text of an item of added_tokens if `vocab` lacks it, else NULL. */
static const char *missing_text(const json_t *item, const json_t *vocab)
{
    const char *text = json_string_value(json_object_get(item, "content"));
    return text && *text && !json_object_get(vocab, text) ? text : NULL;
}

static int load_added(struct vocabulary *v, const char *path, const json_t *item, size_t number)
{
    const char *text = json_string_value(json_object_get(item, "content"));
    const json_t *id = json_object_get(item, "id");
    if (text && !*text)
        return VKCLIP_OK;
    const int32_t known = text ? vocabulary_find(v, text, strlen(text)) : -1;
    if (known < 0 || !json_is_integer(id) || json_integer_value(id) != known)
        return error_fail(VKCLIP_EFORMAT, "%s: added token %zu has another id than its text", path,
                          number);
    if (strlen(text) > ADDED_TOKEN_SIZE || json_is_true(json_object_get(item, "single_word")))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: added token %zu is for whole words only, or longer than %d bytes",
                          path, number, ADDED_TOKEN_SIZE);
    v->added[v->added_count++] = (struct added_token){
        .id = known,
        .normalized = json_is_true(json_object_get(item, "normalized")),
        .strips_left = json_is_true(json_object_get(item, "lstrip")),
        .strips_right = json_is_true(json_object_get(item, "rstrip")),
        .special = json_is_true(json_object_get(item, "special")),
    };
    return VKCLIP_OK;
}

/* Makes the tables for the tokens of `vocab` and for those tokens of `added` that `vocab` lacks. */
static int make_tables(struct vocabulary *v, const char *path, json_t *vocab, const json_t *added,
                       size_t merges)
{
    size_t count = json_object_size(vocab), bytes = 0, i;
    const char *text;
    json_t *id, *item;
    json_object_foreach (vocab, text, id)
        bytes += strlen(text) + 1;
    json_array_foreach (added, i, item) {
        text = missing_text(item, vocab);
        bytes += text ? strlen(text) + 1 : 0;
        count += text != NULL;
    }
    int error = vocabulary_make_tables(v, path, count, bytes, merges);
    if (!error)
        error = vocabulary_make_added(v, path, json_array_size(added) + PAIR_ADDED);
    v->count = error ? 0 : (uint32_t)count;
    return error;
}

int vocabulary_load_tokens(struct vocabulary *v, const char *path, json_t *vocab,
                           const json_t *added, size_t merges)
{
    size_t i;
    const char *text;
    json_t *id, *item;
    int error = make_tables(v, path, vocab, added, merges);
    if (error)
        return error;
    json_object_foreach (vocab, text, id) {
        error = load_token(v, path, text, id);
        if (error)
            return error;
    }
    json_array_foreach (added, i, item) {
        text = missing_text(item, vocab);
        error = text ? load_token(v, path, text, json_object_get(item, "id")) : VKCLIP_OK;
        if (error)
            return error;
    }
    json_array_foreach (added, i, item) {
        error = load_added(v, path, item, i);
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

/* ---- Merges ---------------------------------------------------------------------------------- */

static int load_merge(struct vocabulary *v, const char *path, uint32_t rank, const char *left,
                      size_t left_length, const char *right, size_t right_length)
{
    const int32_t left_id = vocabulary_find(v, left, left_length);
    const int32_t right_id = vocabulary_find(v, right, right_length);
    const int32_t joined = vocabulary_find_joined(v, left, left_length, right, right_length);
    if (left_id < 0 || right_id < 0 || joined < 0)
        return vocabulary_file_bad_merge(path, rank,
                                         "names or makes a token that the vocabulary lacks");
    if (!vocabulary_add_merge(v, rank, left_id, right_id, joined))
        return vocabulary_file_bad_merge(path, rank, "is one of too many that collide");
    return VKCLIP_OK;
}

/* A merge is written as "a b" or as ["a", "b"]. */
int vocabulary_load_merges(struct vocabulary *v, const char *path, const json_t *merges)
{
    size_t i, left = 0;
    json_t *item;
    int error = VKCLIP_OK;
    json_array_foreach (merges, i, item) {
        const char *line = json_string_value(item), *first, *second;
        if (line && vocabulary_file_split_merge(line, strlen(line), &left))
            error = load_merge(v, path, (uint32_t)i, line, left, line + left + 1,
                               strlen(line) - left - 1);
        else if (!line && !json_unpack(item, "[ss!]", &first, &second))
            error = load_merge(v, path, (uint32_t)i, first, strlen(first), second, strlen(second));
        else
            error = vocabulary_file_bad_merge(path, (uint32_t)i,
                                              "is neither \"a b\" nor [\"a\", \"b\"]");
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static int refuse(const char *path, const char *what, const char *expected)
{
    return error_fail(VKCLIP_EUNSUPPORTED, "%s: %s is not that of a CLIP tokenizer, expected %s",
                      path, what, expected);
}

static bool is_off(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_string(value) && !*json_string_value(value));
}

static bool is_json(json_t *value, const char *text)
{
    json_t *expected = json_loads(text, 0, NULL);
    bool equal = value && expected && json_equal(value, expected);
    json_decref(expected);
    return equal;
}

#define NORMALIZER                                                                      \
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Replace\"," \
    "\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\" \"},{\"type\":\"Lowercase\"}]}"

#define SPLIT(literals)                                                            \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" literals                       \
    "'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|[\\\\p{N}]|[^\\\\s\\\\p{L}\\\\p{N}]+\"}," \
    "\"behavior\":\"Removed\",\"invert\":true}"

/* text/clean and text/tokenizer normalise and split texts in one way, so a file that asks for
 * another way is refused. */
static int check_steps(struct vocabulary *v, const char *path, const json_t *root)
{
    json_t *splitting = json_object_get(root, "pre_tokenizer");
    json_t *steps = json_object_get(splitting, "pretokenizers");
    json_t *words = json_array_get(steps, 0), *bytes = json_array_get(steps, 1);
    if (!is_json(json_object_get(root, "normalizer"), NORMALIZER))
        return refuse(path, "normalizer", "NFC, white space to one space, lower case");
    v->literals = is_json(words, SPLIT("<\\\\|startoftext\\\\|>|<\\\\|endoftext\\\\|>|"));
    if (!json_is_text(json_object_get(splitting, "type"), "Sequence") ||
        json_array_size(steps) != 2 || (!v->literals && !is_json(words, SPLIT(""))) ||
        !json_is_text(json_object_get(bytes, "type"), "ByteLevel") ||
        !is_off(json_object_get(bytes, "add_prefix_space")) ||
        (v->literals && json_is_false(json_object_get(bytes, "use_regex"))))
        return refuse(path, "pre_tokenizer",
                      "a split into contractions, letters, digits and others, then bytes");
    return VKCLIP_OK;
}

static int check_model(const char *path, const json_t *model)
{
    static const char *const off[] = {"dropout", "continuing_subword_prefix", "fuse_unk",
                                      "byte_fallback", "ignore_merges"};
    const json_t *type = json_object_get(model, "type");
    if ((type && !json_is_text(type, "BPE")) ||
        !json_is_text(json_object_get(model, "end_of_word_suffix"), VOCABULARY_WORD_END))
        return refuse(path, "model", "byte-pair encoding (BPE) with end_of_word_suffix \"</w>\"");
    for (size_t i = 0; i < ARRAY_COUNT(off); i++)
        if (!is_off(json_object_get(model, off[i])))
            return refuse(path, off[i], "none");
    if (!json_is_object(json_object_get(model, "vocab")) ||
        !json_is_array(json_object_get(model, "merges")))
        return error_fail(VKCLIP_EFORMAT, "%s: model has no vocab, or no list of merges", path);
    return VKCLIP_OK;
}

/* Finds the tokens around a text. The post-processor names them; without a post-processor they have
 * CLIP's names. */
static int load_ends(struct vocabulary *v, const char *path, const json_t *root)
{
    json_t *post = json_object_get(root, "post_processor");
    const char *start = VOCABULARY_START, *end = VOCABULARY_END, *text;
    json_int_t start_id = -1, end_id = -1;
    int failed = 0;
    if (json_is_text(json_object_get(post, "type"), "RobertaProcessing"))
        failed =
            json_unpack(post, "{s:[sI],s:[sI]}", "cls", &start, &start_id, "sep", &end, &end_id);
    else if (!is_off(post))
        failed = json_unpack(post, "{s:[{s:{s:s}},{s:{s:s}},{s:{s:s}}!]}", "single", "SpecialToken",
                             "id", &start, "Sequence", "id", &text, "SpecialToken", "id", &end);
    if (failed)
        return refuse(path, "post_processor", "one token before the text and one after it");
    int error = vocabulary_find_ends(v, path, start, end);
    if (!error && start_id >= 0 && (start_id != v->start || end_id != v->end))
        error = error_fail(VKCLIP_EFORMAT, "%s: post_processor has other ids than the vocabulary",
                           path);
    return error;
}

int vocabulary_load_tokenizer_json(struct vocabulary *v, const char *path, const json_t *root)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *merges = json_object_get(model, "merges");
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    int error = check_model(path, model);
    if (!error)
        error = check_steps(v, path, root);
    if (!error)
        error =
            vocabulary_load_tokens(v, path, json_object_get(model, "vocab"),
                                   json_object_get(root, "added_tokens"), json_array_size(merges));
    if (!error)
        error = vocabulary_load_merges(v, path, merges);
    if (!error) {
        vocabulary_find_symbols(v, unknown ? vocabulary_find(v, unknown, strlen(unknown)) : -1);
        error = load_ends(v, path, root);
    }
    return error;
}

/* ---- vocab.json and merges.txt --------------------------------------------------------------- */

/* Reads merges.txt as the list that tokenizer.json has. Its first line may be a comment. */
static int read_merges(const char *path, json_t **merges)
{
    char *data;
    const char *line;
    size_t size, length;
    int error = vocabulary_file_read(path, VOCABULARY_JSON_LIMIT, &data, &size);
    if (error)
        return error;
    const char *next = data;
    *merges = json_array();
    if (memchr(data, 0, size))
        error = error_fail(VKCLIP_EFORMAT, "%s: NUL bytes, expected a list of merges", path);
    while (!error && vocabulary_file_line(&next, &line, &length)) {
        const bool is_comment = line == data && !strncmp(line, "#version", 8);
        const bool is_last_and_empty = !length && !*next;
        if (!is_comment && !is_last_and_empty &&
            json_array_append_new(*merges, json_stringn(line, length)))
            error =
                vocabulary_file_bad_merge(path, (uint32_t)json_array_size(*merges), "is not UTF-8");
    }
    memory_free(data);
    return error;
}

/* Reads added_tokens.json beside vocab.json, ids by text, as a list of entries as tokenizer.json
 * has it. transformers finds such tokens in the text as it is. */
static int read_added(const char *vocab_path, json_t **added)
{
    char *path = vocabulary_file_beside(vocab_path, "added_tokens.json");
    json_t *root = NULL, *id;
    const char *text;
    int error = path ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", vocab_path);
    if (!error && file_exists(path))
        error = vocabulary_file_read_json(path, &root);
    *added = json_array();
    json_object_foreach (root, text, id)
        if (!error && json_array_append_new(*added, json_pack("{ss sO sb}", "content", text, "id",
                                                              id, "normalized", 0)))
            error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    json_decref(root);
    memory_free(path);
    return error;
}

int vocabulary_read_pair(const char *vocab_path, const char *merges_path, json_t **merges,
                         json_t **added)
{
    int error = read_merges(merges_path, merges);
    return error ? error : read_added(vocab_path, added);
}

int vocabulary_load_pair(struct vocabulary *v, const char *vocab_path, json_t *vocab,
                         const char *merges_path)
{
    json_t *merges = NULL, *added = NULL;
    int error = vocabulary_read_pair(vocab_path, merges_path, &merges, &added);
    if (!error)
        error = vocabulary_load_tokens(v, vocab_path, vocab, added, json_array_size(merges));
    if (!error)
        error = vocabulary_load_merges(v, merges_path, merges);
    if (!error && vocabulary_find(v, VOCABULARY_START, strlen(VOCABULARY_START)) < 0 &&
        vocabulary_find(v, "<s>", 3) >= 0)
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: the vocabulary of a RoBERTa, whose texts begin with \"<s>\": name "
                           "it, not merges.txt",
                           vocab_path);
    if (!error)
        error = vocabulary_find_ends(v, vocab_path, VOCABULARY_START, VOCABULARY_END);
    json_decref(merges);
    json_decref(added);
    if (!error) {
        vocabulary_find_symbols(v, v->end);
        /* As in the tokenizer.json of openai/clip-vit-*, only the start is searched for in the
         * normalised text. */
        vocabulary_add_added(v, v->start, true);
        vocabulary_add_added(v, v->end, false);
    }
    return error;
}
