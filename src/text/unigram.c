/* SPDX-License-Identifier: MIT
 *
 * Makes unigram tokenizers, normalises texts as SentencePiece does, and decodes ids.
 */
#include "text/unigram.h"
#include "base/error.h"
#include "base/memory.h"
#include "format/json.h"
#include "text/clean.h"

#include <float.h>
#include <string.h>

enum { UNKNOWN_PENALTY = 10 }; /* An unknown character is that much worse than the worst piece. */

/* ---- Making a tokenizer ---------------------------------------------------------------------- */

static int out_of_memory(const char *name)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for the pieces", name);
}

static bool copy_pieces(struct unigram *unigram, const struct sentencepiece *model)
{
    size_t bytes = 0;
    for (size_t i = 0; i < model->count; i++)
        bytes += model->pieces[i].length + 1;
    char *text = unigram->arena = memory_alloc(bytes);
    unigram->pieces = memory_alloc(model->count * sizeof(*unigram->pieces));
    if (!text || !unigram->pieces)
        return false;
    for (size_t i = 0; i < model->count; i++) {
        const struct sentencepiece_piece *piece = &model->pieces[i];
        memcpy(text, piece->text, piece->length);
        text[piece->length] = 0;
        unigram->pieces[i] = (struct unigram_piece){text, piece->kind, piece->score};
        text += piece->length + 1;
    }
    return true;
}

/* Gives unknown characters and user-defined pieces their scores. */
static void set_scores(struct unigram *unigram, size_t searched)
{
    /* SentencePiece's largest score begins with FLT_MIN, which is above all logarithms. */
    double least = FLT_MAX, largest = FLT_MIN;
    const size_t count = searched ? searched : unigram->tokenizer.size;
    for (size_t i = 0; i < count; i++) {
        const struct unigram_piece *piece = &unigram->pieces[i];
        if (!searched && piece->kind != SENTENCEPIECE_NORMAL)
            continue;
        least = piece->score < least ? piece->score : least;
        largest = piece->score > largest ? piece->score : largest;
    }
    unigram->unknown_score = least - UNKNOWN_PENALTY;
    if (!searched)
        unigram->unknown_score = (float)unigram->unknown_score;
    for (size_t i = 0; i < count; i++) {
        struct unigram_piece *piece = &unigram->pieces[i];
        if (!searched && piece->kind == SENTENCEPIECE_USER_DEFINED)
            piece->score = (float)((float)strlen(piece->text) * (float)largest - 0.1);
    }
}

static bool is_searched(const struct unigram *unigram, size_t id, size_t searched)
{
    const enum sentencepiece_kind kind = unigram->pieces[id].kind;
    if (searched)
        return id < searched;
    return kind == SENTENCEPIECE_NORMAL || kind == SENTENCEPIECE_USER_DEFINED;
}

/* Builds the two tries. The code points of all pieces lie one after the other in `codes`. */
static bool build_tries(struct unigram *unigram, struct code_points *codes, struct trie_text *texts,
                        struct trie_text *user_defined, size_t searched)
{
    size_t count = 0, user_count = 0, used = 0;
    for (size_t id = 0; id < unigram->tokenizer.size; id++)
        if (is_searched(unigram, id, searched)) {
            const char *text = unigram->pieces[id].text;
            code_points_push_utf8(codes, text, strlen(text));
            texts[count++] = (struct trie_text){.length = (uint32_t)(codes->length - used),
                                                .value = (int32_t)id};
            used = codes->length;
        }
    if (codes->failed)
        return false;
    for (size_t i = 0, first = 0; i < count; i++) {
        texts[i].codes = codes->codes + first;
        first += texts[i].length;
        if (!searched && unigram->pieces[texts[i].value].kind == SENTENCEPIECE_USER_DEFINED)
            user_defined[user_count++] = texts[i];
    }
    return trie_build(&unigram->trie, texts, count) &&
           trie_build(&unigram->user_defined, user_defined, user_count);
}

static bool make_tries(struct unigram *unigram, size_t searched)
{
    const size_t count = unigram->tokenizer.size;
    struct code_points codes = {0};
    struct trie_text *texts = memory_alloc(2 * count * sizeof(*texts));
    const bool good = texts && build_tries(unigram, &codes, texts, texts + count, searched);
    memory_free(texts);
    code_points_free(&codes);
    return good;
}

static int find_bytes(struct unigram *unigram, const char *name)
{
    memset(unigram->bytes, -1, sizeof(unigram->bytes));
    for (uint32_t id = 0; id < unigram->tokenizer.size; id++) {
        const struct unigram_piece *piece = &unigram->pieces[id];
        const int byte = sentencepiece_byte(piece->text, strlen(piece->text));
        if (piece->kind == SENTENCEPIECE_BYTE && byte >= 0)
            unigram->bytes[byte] = (int32_t)id;
    }
    for (int byte = 0; unigram->byte_fallback && byte < 256; byte++)
        if (unigram->bytes[byte] < 0)
            return error_fail(VKCLIP_EFORMAT,
                              "%s: unknown characters become bytes (byte_fallback), but there is "
                              "no piece <0x%02X>",
                              name, byte);
    return VKCLIP_OK;
}

int unigram_new(const struct sentencepiece *model, size_t searched, const char *name,
                struct unigram **result)
{
    if (model->algorithm != SENTENCEPIECE_UNIGRAM)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: a SentencePiece model of type %s, expected unigram: name the "
                          "tokenizer.json of the same tokenizer",
                          name, model->algorithm == SENTENCEPIECE_BPE ? "BPE" : "word or char");
    if (model->end < 0)
        return error_fail(VKCLIP_EFORMAT, "%s: no piece \"</s>\", with which every text ends",
                          name);
    struct unigram *unigram = *result = memory_calloc(1, sizeof(*unigram));
    if (!unigram)
        return out_of_memory(name);
    unigram->tokenizer = (struct tokenizer){.start = -1,
                                            .end = model->end,
                                            .pad = model->pad < 0 ? model->end : model->pad,
                                            .size = (uint32_t)model->count};
    unigram->unknown = model->unknown;
    unigram->byte_fallback = model->byte_fallback;
    unigram->prefix_space = model->prefix_space;
    unigram->remove_spaces = model->remove_spaces;
    int error = copy_pieces(unigram, model) && make_tries(unigram, searched) ? VKCLIP_OK
                                                                             : out_of_memory(name);
    if (!error && model->charsmap)
        error = charsmap_open(model->charsmap, model->charsmap_size, name, &unigram->charsmap);
    if (!error)
        error = find_bytes(unigram, name);
    if (!error)
        set_scores(unigram, searched);
    if (error) {
        unigram_free(unigram);
        *result = NULL;
    }
    return error;
}

/* Spells an added token. This is the added_text_fn of unigram tokenizers. */
static void spell_added(const void *user, const struct added_token *token, struct code_points *text)
{
    const struct unigram *unigram = user;
    const char *string = unigram->pieces[token->id].text;
    code_points_push_utf8(text, string, strlen(string));
    if (token->normalized && unigram->pipeline)
        unigram_normalize_pipeline(unigram, text);
}

int unigram_add_tokens(struct unigram *unigram, struct added_token *list, size_t count,
                       const char *name)
{
    unigram->list = list;
    unigram->list_count = count;
    return list && added_tokens_open(&unigram->added, list, count, spell_added, unigram)
               ? VKCLIP_OK
               : out_of_memory(name);
}

void unigram_free(struct unigram *unigram)
{
    if (!unigram)
        return;
    if (unigram->pipeline)
        unigram_free_pipeline(unigram->pipeline);
    added_tokens_close(&unigram->added);
    memory_free(unigram->list);
    charsmap_close(&unigram->charsmap);
    trie_free(&unigram->trie);
    trie_free(&unigram->user_defined);
    memory_free(unigram->pieces);
    memory_free(unigram->arena);
    memory_free(unigram);
}

/* ---- SentencePiece's normalisation ----------------------------------------------------------- */

/* Normalises the first characters of `codes` into `out`, which is emptied, and returns their
 * number. */
static size_t normalize_prefix(const struct unigram *unigram, const int32_t *codes, size_t length,
                               struct code_points *out)
{
    int32_t id;
    size_t used = trie_longest(&unigram->user_defined, codes, length, &id);
    out->length = 0;
    if (used) {
        code_points_push_all(out, codes, used);
        return used;
    }
    const char *text = charsmap_find(&unigram->charsmap, codes, length, CHARSMAP_LONGEST, &used);
    if (text) {
        code_points_push_utf8(out, text, strlen(text));
        return used;
    }
    code_points_push(out, codes[0]);
    return 1;
}

/* Appends the normalised text, as Normalizer::Normalize in SentencePiece's normalizer.cc. Where the
 * text does not begin a line (`begins`), it gets no space before it and keeps its own. */
static void normalize(const struct unigram *unigram, const int32_t *codes, size_t length,
                      bool begins, struct code_points *out)
{
    struct code_points part = {0};
    size_t next = 0;
    bool after_space = begins && unigram->remove_spaces;
    while (after_space && next < length && !part.failed) {
        const size_t used = normalize_prefix(unigram, codes + next, length - next, &part);
        if (part.length != 1 || part.codes[0] != ' ')
            break;
        next += used;
    }
    if (next < length && begins && unigram->prefix_space)
        code_points_push(out, UNIGRAM_SPACE);
    while (next < length && !part.failed) {
        next += normalize_prefix(unigram, codes + next, length - next, &part);
        size_t first = 0;
        while (after_space && first < part.length && part.codes[first] == ' ')
            first++;
        for (size_t i = first; i < part.length; i++)
            code_points_push(out, part.codes[i] == ' ' ? UNIGRAM_SPACE : part.codes[i]);
        if (first < part.length)
            after_space = unigram->remove_spaces && part.codes[part.length - 1] == ' ';
    }
    while (unigram->remove_spaces && out->length && out->codes[out->length - 1] == UNIGRAM_SPACE)
        out->length--;
    out->failed |= part.failed;
    code_points_free(&part);
}

/* Does what the classes of transformers do with the text between two special tokens. */
static void normalize_part(const void *tokenizer, struct code_points *text)
{
    const struct unigram *unigram = tokenizer;
    if (unigram->class == UNIGRAM_PLAIN)
        return;
    clean_remove_punctuation(text);
    clean_trim(text);
}

static void encode_part(struct added_walk *walk, const int32_t *codes, size_t length, bool first)
{
    const struct unigram *unigram = walk->tokenizer;
    struct unigram_search *search = walk->job;
    struct code_points normalized = {0};
    /* SiglipTokenizer puts a space before the whole text only. */
    normalize(unigram, codes, length, first || unigram->class == UNIGRAM_PLAIN, &normalized);
    if (!normalized.failed)
        unigram_search_run(search, normalized.codes, normalized.length);
    walk->failed |= normalized.failed || search->failed;
    code_points_free(&normalized);
}

/* Does what SiglipTokenizer does with a whole text. */
static void prepare_siglip(const struct unigram *unigram, struct code_points *text)
{
    if (unigram->class == UNIGRAM_SIGLIP)
        clean_lower_letters(text);
    for (size_t i = 0; i < text->length; i++)
        if (text->codes[i] == UNIGRAM_SPACE)
            text->codes[i] = ' ';
}

static bool encode_unigram(const struct tokenizer *tokenizer, struct code_points *text,
                           struct token_ids *ids)
{
    const struct unigram *unigram = (const struct unigram *)tokenizer;
    struct unigram_search search = {.unigram = unigram, .ids = ids};
    struct added_walk walk = {.tokens = &unigram->added,
                              .ids = ids,
                              .normalize = normalize_part,
                              .encode = encode_part,
                              .tokenizer = unigram,
                              .job = &search};
    const size_t before = ids->count;
    if (unigram->pipeline)
        return unigram_encode_pipeline(unigram, text, ids);
    if (unigram->class != UNIGRAM_PLAIN)
        prepare_siglip(unigram, text);
    if (!text->failed)
        added_tokens_walk(&walk, text->codes, text->length);
    unigram_search_free(&search);
    /* SiglipTokenizer adds no second end of text. */
    if (unigram->class != UNIGRAM_PLAIN && ids->count > before && ids->last == tokenizer->end)
        ids->count--;
    return !walk.failed && !text->failed;
}

/* ---- From ids to text ------------------------------------------------------------------------ */

/* Writes the text of a piece and returns its size. At the beginning of a text the space before its
 * first word is left out. */
static size_t spell_piece(const struct unigram_piece *piece, bool first, char *out)
{
    static const char space[] = "\xe2\x96\x81", unknown[] = " \xe2\x81\x87 ";
    const char *text = piece->text;
    size_t size = 0;
    if (piece->kind == SENTENCEPIECE_CONTROL)
        return 0;
    if (piece->kind == SENTENCEPIECE_UNKNOWN)
        text = unknown;
    if (piece->kind == SENTENCEPIECE_BYTE && sentencepiece_byte(text, strlen(text)) >= 0) {
        *out = (char)sentencepiece_byte(text, strlen(text));
        return 1;
    }
    if (first && !strncmp(text, space, strlen(space)))
        text += strlen(space);
    while (*text) {
        const bool is_space = !strncmp(text, space, strlen(space));
        out[size++] = is_space ? ' ' : *text;
        text += is_space ? strlen(space) : 1;
    }
    return size;
}

static char *decode_unigram(const struct tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    const struct unigram *unigram = (const struct unigram *)tokenizer;
    struct code_points points = {0};
    size_t room = 1, size = 0;
    for (size_t i = 0; i < count; i++)
        room +=
            strlen(unigram->pieces[ids[i]].text) + 8; /* 8 is more than an unknown piece takes. */
    char *bytes = memory_alloc(room), *text = NULL;
    for (size_t i = 0; bytes && i < count; i++)
        size += spell_piece(&unigram->pieces[ids[i]], !size, bytes + size);
    if (bytes)
        code_points_push_utf8(&points, bytes, size);
    memory_free(bytes);
    if (bytes && !points.failed)
        text = code_points_utf8(&points);
    code_points_free(&points);
    return text;
}

/* ---- The kind -------------------------------------------------------------------------------- */

static bool recognize_unigram(const struct vocabulary_source *source)
{
    if (source->gguf) {
        const struct gguf_value *model = gguf_find(source->gguf, "tokenizer.ggml.model");
        size_t length;
        if (!model || model->type != GGUF_STRING)
            return false;
        const uint8_t *cursor = model->data;
        const char *text = gguf_next_text(&cursor, &length);
        return length == 2 && !memcmp(text, "t5", 2);
    }
    if (source->root) {
        const json_t *model = json_object_get(source->root, "model");
        const json_t *type = json_object_get(model, "type");
        /* Old files name no type, but only unigram models have a list of pieces. */
        return type ? json_is_text(type, "Unigram")
                    : json_is_array(json_object_get(model, "vocab"));
    }
    return sentencepiece_is_model(source->data, source->size);
}

static int open_unigram(const struct vocabulary_source *source, enum tokenizer_rules rules,
                        struct tokenizer **result)
{
    struct unigram *unigram = NULL;
    int error;
    (void)rules;
    if (source->gguf)
        error = unigram_open_gguf(source->gguf, &unigram);
    else if (source->root)
        error = unigram_open_json(source, &unigram);
    else
        error = unigram_open_sentencepiece(source, &unigram);
    if (!error)
        *result = &unigram->tokenizer;
    return error;
}

static void close_unigram(struct tokenizer *tokenizer)
{
    unigram_free((struct unigram *)tokenizer);
}

const struct tokenizer_kind tokenizer_unigram = {
    .recognizes = recognize_unigram,
    .open = open_unigram,
    .encode = encode_unigram,
    .decode = decode_unigram,
    .close = close_unigram,
};
