/* SPDX-License-Identifier: MIT
 *
 * BERT's WordPiece (Wu et al. 2016), which CLIPA and Chinese-CLIP have: a text is split at white
 * space and around punctuation and ideographs, and a word becomes the longest pieces from its
 * beginning on; if there are none for a part of it, the whole word is unknown. Reads
 * tokenizer.json, and vocab.txt with one piece per line.
 */
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "text/normalizer.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_kind.h"
#include "text/vocabulary_file.h"
#include "text/vocabulary_readers.h"

#include <string.h>
#include <utf8proc.h>

enum { LONGEST_WORD = 100, WORD_LIMIT = 10000 }; /* code points: BERT's own limit, and a file's */

static const char CONTINUES[] = "##"; /* begins pieces that do not begin a word */

struct wordpiece {
    struct tokenizer tokenizer;
    struct vocabulary vocabulary;
    struct normalizer normalizer;
    struct added_tokens added;
    struct trie begins, continues; /* pieces at the beginning of a word, and after it */
    bool *special;                 /* [vocabulary.count] by id: decoding leaves the token out */
    int32_t unknown;
    size_t longest; /* code points of a word; a longer one is unknown */
};

/* ---- From text to ids ------------------------------------------------------------------------ */

static void normalize_part(const void *tokenizer, struct code_points *text)
{
    const struct wordpiece *wordpiece = tokenizer;
    normalizer_apply(&wordpiece->normalizer, text);
}

static bool is_punctuation(int32_t code)
{
    if (code < 0x80)
        return code > ' ' && code < 0x7F && !(code >= '0' && code <= '9') &&
               !((code | 32) >= 'a' && (code | 32) <= 'z');
    const utf8proc_category_t category = utf8proc_category(code);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

static void encode_word(const struct wordpiece *wordpiece, struct token_ids *ids,
                        const int32_t *codes, size_t length)
{
    const struct token_ids before = *ids;
    bool known = length <= wordpiece->longest;
    for (size_t i = 0; known && i < length;) {
        int32_t id = 0;
        const struct trie *pieces = i ? &wordpiece->continues : &wordpiece->begins;
        const size_t used = trie_longest(pieces, codes + i, length - i, &id);
        token_ids_push(ids, id);
        known = used;
        i += used;
    }
    if (!known) {
        *ids = before;
        token_ids_push(ids, wordpiece->unknown);
    }
}

static void encode_part(struct added_walk *walk, const int32_t *codes, size_t length, bool first)
{
    (void)first;
    for (size_t i = 0, end; i < length; i = end) {
        end = i + 1;
        if (code_point_is_space(codes[i]))
            continue;
        while (!is_punctuation(codes[i]) && end < length && !code_point_is_space(codes[end]) &&
               !is_punctuation(codes[end]))
            end++;
        encode_word(walk->tokenizer, walk->ids, codes + i, end - i);
    }
}

static bool encode_wordpiece(const struct tokenizer *tokenizer, struct code_points *text,
                             struct token_ids *ids)
{
    const struct wordpiece *wordpiece = (const struct wordpiece *)tokenizer;
    struct added_walk walk = {.tokens = &wordpiece->added,
                              .ids = ids,
                              .normalize = normalize_part,
                              .encode = encode_part,
                              .tokenizer = wordpiece};
    if (!text->failed)
        added_tokens_walk(&walk, text->codes, text->length);
    return !text->failed && !walk.failed;
}

/* ---- From ids to text ------------------------------------------------------------------------ */

/* Tells whether no space comes before a piece: it continues a word or ends a sentence. */
static bool follows_closely(const char *text)
{
    return !strncmp(text, CONTINUES, strlen(CONTINUES)) || (*text && strchr(".?!,", *text));
}

static char *decode_wordpiece(const struct tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    const struct wordpiece *wordpiece = (const struct wordpiece *)tokenizer;
    size_t room = 1, size = 0;
    for (size_t i = 0; i < count; i++)
        room += strlen(wordpiece->vocabulary.tokens[ids[i]]) + 1;
    char *bytes = memory_alloc(room);
    for (size_t i = 0; bytes && i < count; i++) {
        const char *text = wordpiece->vocabulary.tokens[ids[i]];
        if (wordpiece->special[ids[i]])
            continue;
        if (size && !follows_closely(text))
            bytes[size++] = ' ';
        if (size && !strncmp(text, CONTINUES, strlen(CONTINUES)))
            text += strlen(CONTINUES);
        memcpy(bytes + size, text, strlen(text));
        size += strlen(text);
    }
    if (bytes)
        bytes[size] = 0;
    return bytes;
}

/* ---- The tables ------------------------------------------------------------------------------ */

static int out_of_memory(const char *path)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for the pieces", path);
}

/* Builds the trie of the pieces that begin words, or of those that continue them. */
static bool build_trie(const struct vocabulary *vocabulary, bool continues, struct trie *trie)
{
    const size_t prefix = strlen(CONTINUES);
    struct code_points codes = {0};
    struct trie_text *texts = memory_calloc((size_t)vocabulary->count + 1, sizeof(*texts));
    size_t count = 0, used = 0, first = 0;
    for (uint32_t id = 0; texts && id < vocabulary->count; id++) {
        const char *text = vocabulary->tokens[id];
        if (continues && strncmp(text, CONTINUES, prefix))
            continue;
        text += continues ? prefix : 0;
        code_points_push_utf8(&codes, text, strlen(text));
        texts[count++] =
            (struct trie_text){.length = (uint32_t)(codes.length - used), .value = (int32_t)id};
        used = codes.length;
    }
    for (size_t i = 0; i < count; first += texts[i++].length)
        texts[i].codes = codes.codes + first;
    const bool built = texts && !codes.failed && trie_build(trie, texts, count);
    memory_free(texts);
    code_points_free(&codes);
    return built;
}

/* Spells an added token. This is the added_text_fn of these tokenizers. */
static void spell_added(const void *user, const struct added_token *token, struct code_points *text)
{
    const struct wordpiece *wordpiece = user;
    const char *string = wordpiece->vocabulary.tokens[token->id];
    code_points_push_utf8(text, string, strlen(string));
    if (token->normalized)
        normalizer_apply(&wordpiece->normalizer, text);
}

/* Makes the tables that follow from vocabulary and normalizer. */
static int finish(struct wordpiece *wordpiece, const char *path)
{
    const struct vocabulary *vocabulary = &wordpiece->vocabulary;
    if (!build_trie(vocabulary, false, &wordpiece->begins) ||
        !build_trie(vocabulary, true, &wordpiece->continues) ||
        !added_tokens_open(&wordpiece->added, vocabulary->added, vocabulary->added_count,
                           spell_added, wordpiece))
        return out_of_memory(path);
    wordpiece->special = memory_calloc((size_t)vocabulary->count + 1, sizeof(*wordpiece->special));
    if (!wordpiece->special)
        return out_of_memory(path);
    for (size_t i = 0; i < vocabulary->added_count; i++)
        wordpiece->special[vocabulary->added[i].id] = true;
    return VKCLIP_OK;
}

static int32_t find_token(const void *vocabulary, const char *text)
{
    return vocabulary_find(vocabulary, text, strlen(text));
}

static int find_unknown(struct wordpiece *wordpiece, const char *path, const char *text)
{
    wordpiece->unknown = find_token(&wordpiece->vocabulary, text);
    return wordpiece->unknown >= 0
               ? VKCLIP_OK
               : error_fail(VKCLIP_EFORMAT, "%s: no token \"%.40s\", which unknown words become",
                            path, text);
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static int read_model(struct wordpiece *wordpiece, const char *path, const json_t *root)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *longest = json_object_get(model, "max_input_chars_per_word");
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_text(json_object_get(model, "continuing_subword_prefix"), CONTINUES) ||
        !json_is_object(vocab) || !unknown || !json_is_integer(longest) ||
        json_integer_value(longest) < 1 || json_integer_value(longest) > WORD_LIMIT)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: model: expected a vocab, an unk_token, continuing_subword_prefix "
                          "\"##\" and max_input_chars_per_word from 1 to %d",
                          path, WORD_LIMIT);
    wordpiece->longest = (size_t)json_integer_value(longest);
    int error = vocabulary_load_tokens(&wordpiece->vocabulary, path, vocab,
                                       json_object_get(root, "added_tokens"), 0);
    return error ? error : find_unknown(wordpiece, path, unknown);
}

static int read_json(struct wordpiece *wordpiece, const char *path, const json_t *root)
{
    struct vocabulary *vocabulary = &wordpiece->vocabulary;
    const json_t *splits = json_object_get(root, "pre_tokenizer");
    int error = VKCLIP_OK;
    if (!json_is_text(json_object_get(splits, "type"), "BertPreTokenizer"))
        error = tokenizer_json_refuse(path, "pre_tokenizer", splits, "BertPreTokenizer");
    if (!error)
        error = normalizer_load(json_object_get(root, "normalizer"), path, &wordpiece->normalizer);
    if (!error)
        error = read_model(wordpiece, path, root);
    if (!error)
        error = tokenizer_json_ends(path, root, vocabulary->count, &vocabulary->start,
                                    &vocabulary->end);
    return error;
}

/* ---- vocab.txt ------------------------------------------------------------------------------- */

/* BERT's special tokens, which are found in texts. Only the first four must be there. */
static const char *const specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
enum { SPECIALS = 5, NEEDED = 4 };

static int add_lines(struct vocabulary *vocabulary, const char *path, const char *text)
{
    const char *line;
    size_t length;
    while (vocabulary_file_line(&text, &line, &length))
        if (!vocabulary_add(vocabulary, vocabulary->count++, line, length))
            return error_fail(VKCLIP_EFORMAT, "%s: line %u: \"%.*s\" is there already", path,
                              vocabulary->count, (int)(length < 40 ? length : 40), line);
    return VKCLIP_OK;
}

static int read_lines(struct wordpiece *wordpiece, const char *path, const char *text, size_t size)
{
    struct vocabulary *vocabulary = &wordpiece->vocabulary;
    size_t lines = 1;
    for (const char *i = text; *i; i++)
        lines += *i == '\n';
    int error = vocabulary_make_tables(vocabulary, path, lines, size + lines, 0);
    if (!error)
        error = vocabulary_make_added(vocabulary, path, SPECIALS);
    if (!error)
        error = add_lines(vocabulary, path, text);
    for (int i = 0; !error && i < SPECIALS; i++) {
        const int32_t id = find_token(vocabulary, specials[i]);
        if (id >= 0)
            vocabulary_add_added(vocabulary, id, false);
        else if (i < NEEDED)
            error = error_fail(VKCLIP_EFORMAT,
                               "%s: no line \"%s\": neither a vocab.txt of BERT nor another "
                               "vocabulary that is known",
                               path, specials[i]);
    }
    if (!error)
        error = find_unknown(wordpiece, path, "[UNK]");
    wordpiece->longest = LONGEST_WORD;
    vocabulary->start = find_token(vocabulary, "[CLS]");
    vocabulary->end = find_token(vocabulary, "[SEP]");
    return error;
}

/* Makes a vocab.txt's normalizer: that of transformers' BertTokenizer by default. */
static int make_normalizer(struct wordpiece *wordpiece, const char *path)
{
    json_t *value = json_pack("{s:s}", "type", "BertNormalizer");
    int error = value ? normalizer_load(value, path, &wordpiece->normalizer) : out_of_memory(path);
    json_decref(value);
    return error;
}

/* ---- The kind -------------------------------------------------------------------------------- */

/* Lets tokenizer_config.json decide what it names, as transformers does. */
static int apply_config(struct wordpiece *wordpiece, const char *path)
{
    struct tokenizer_config config;
    int error = tokenizer_config_read(path, &config);
    if (!error && config.plain)
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: tokenizer_config.json has do_basic_tokenize false, expected true",
                           path);
    for (size_t i = 0; !error && i < wordpiece->normalizer.count; i++) {
        struct normalizer_step *step = &wordpiece->normalizer.steps[i];
        if (step->apply != normalizer_bert)
            continue;
        if (config.has_lower)
            step->accents = step->lowercase = config.lower;
        if (config.has_ideographs)
            step->ideographs = config.ideographs;
        if (config.has_accents)
            step->accents = config.accents;
    }
    return error;
}

static int load(struct wordpiece *wordpiece, const struct vocabulary_source *source)
{
    struct vocabulary *vocabulary = &wordpiece->vocabulary;
    const char *path = source->path;
    int error;
    if (source->root) {
        error = read_json(wordpiece, path, source->root);
    } else {
        error = read_lines(wordpiece, path, source->data, source->size);
        if (!error)
            error = make_normalizer(wordpiece, path);
    }
    if (!error)
        error = vocabulary_find_pad(vocabulary, source, "[PAD]");
    if (!error && !source->in_memory)
        error = apply_config(wordpiece, path);
    return error ? error : finish(wordpiece, path);
}

static bool recognize_wordpiece(const struct vocabulary_source *source)
{
    if (source->root) {
        const json_t *model = json_object_get(source->root, "model");
        return json_is_text(json_object_get(model, "type"), "WordPiece");
    }
    return !source->gguf && !source->in_memory && !strcmp(file_name(source->path), "vocab.txt");
}

static void close_wordpiece(struct tokenizer *tokenizer)
{
    struct wordpiece *wordpiece = (struct wordpiece *)tokenizer;
    added_tokens_close(&wordpiece->added);
    normalizer_close(&wordpiece->normalizer);
    trie_free(&wordpiece->begins);
    trie_free(&wordpiece->continues);
    vocabulary_close(&wordpiece->vocabulary);
    memory_free(wordpiece->special);
    memory_free(wordpiece);
}

static int open_wordpiece(const struct vocabulary_source *source, enum tokenizer_rules rules,
                          struct tokenizer **result)
{
    struct wordpiece *wordpiece = memory_calloc(1, sizeof(*wordpiece));
    (void)rules;
    if (!wordpiece)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", source->path);
    int error = load(wordpiece, source);
    if (error) {
        close_wordpiece(&wordpiece->tokenizer);
        return error;
    }
    const struct vocabulary *vocabulary = &wordpiece->vocabulary;
    *result = &wordpiece->tokenizer;
    **result = (struct tokenizer){.start = vocabulary->start,
                                  .end = vocabulary->end,
                                  .pad = vocabulary->pad,
                                  .size = vocabulary->count};
    return VKCLIP_OK;
}

const struct tokenizer_kind tokenizer_wordpiece = {
    .recognizes = recognize_wordpiece,
    .open = open_wordpiece,
    .encode = encode_wordpiece,
    .decode = decode_wordpiece,
    .close = close_wordpiece,
};
