/* SPDX-License-Identifier: MIT
 *
 * Reads the forms of CLIP's byte-pair vocabulary: Hugging Face's tokenizer.json, its vocab.json
 * with merges.txt, OpenAI's list of merges, packed or not, and the tokens in a GGUF file. Refuses
 * tokenizers of another kind, and files that contradict themselves, rather than giving other ids
 * than the model was trained with.
 */
#include "text/vocabulary.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/string.h"

#include "format/gguf.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char START[] = "<|startoftext|>", END[] = "<|endoftext|>", WORD_END[] = "</w>";

enum {
    OPENAI_MERGES = 49152 - 256 - 2, /* what the reference reads of its longer file */
    TEXT_LIMIT = 64 << 20,           /* bytes of OpenAI's list of merges, unpacked */
    JSON_LIMIT = 16 << 20,           /* bytes; parsed they take up to fifty times as much */
    TOKENS_LIMIT = 4 << 20,
    GGUF_LIMIT = 1 << 18, /* tokens; CLIP has 49408 */
    PIECES_LIMIT = 64,    /* characters of a token; CLIP's have 32 */
    ADDED_LIMIT = 256,    /* bytes of an added token: each is compared at every place of a text */
    PROBES = 1024 /* an honest table needs a few; one made to collide must not take forever */
};

/* ---- Tables ---------------------------------------------------------------------------------- */

/* The character that stands for a byte in a token's text. */
static int32_t symbol_of(uint8_t byte)
{
    if ((byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD))
        return byte;
    return byte <= ' ' ? 256 + byte : byte == 0xAD ? 323 : 289 + byte - 127;
}

int vocabulary_byte(int32_t symbol)
{
    if (symbol >= 256 && symbol <= 323)
        return symbol < 289 ? symbol - 256 : symbol == 323 ? 0xAD : symbol - 289 + 127;
    return symbol >= 0 && symbol < 256 && symbol_of((uint8_t)symbol) == symbol ? symbol : -1;
}

static uint32_t table_size(size_t entries)
{
    uint32_t size = 16;
    while (size < 2 * entries)
        size *= 2;
    return size;
}

/* The slot of the token `left` + `right`, or the free one where it would go; NULL when the way
 * there is too long. */
static uint32_t *slot_of(const struct vocabulary *v, const char *left, size_t left_length,
                         const char *right, size_t right_length)
{
    uint64_t hash = hash_bytes(hash_bytes(0, left, left_length), right, right_length);
    hash ^= hash >> 32;
    for (uint32_t i = 0; i < PROBES; i++) {
        uint32_t *slot = v->slots + ((hash + i) & v->slot_mask);
        const char *token = *slot ? v->tokens[*slot - 1] : NULL;
        if (!token || (!strncmp(token, left, left_length) &&
                       !strncmp(token + left_length, right, right_length) &&
                       !token[left_length + right_length]))
            return slot;
    }
    return NULL;
}

static int32_t find_joined(const struct vocabulary *v, const char *left, size_t left_length,
                           const char *right, size_t right_length)
{
    uint32_t *slot = slot_of(v, left, left_length, right, right_length);
    return slot && *slot ? (int32_t)*slot - 1 : -1;
}

static int32_t find_token(const struct vocabulary *v, const char *token, size_t length)
{
    return find_joined(v, token, length, "", 0);
}

static struct merge *merge_slot(const struct vocabulary *v, int32_t left, int32_t right)
{
    uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    for (uint32_t i = 0; i < PROBES; i++) {
        struct merge *merge = v->merges + ((hash + i) & v->merge_mask);
        if (merge->rank == UINT32_MAX || (merge->left == left && merge->right == right))
            return merge;
    }
    return NULL;
}

const struct merge *vocabulary_merge(const struct vocabulary *v, int32_t left, int32_t right)
{
    const struct merge *merge = merge_slot(v, left, right);
    return merge && merge->rank != UINT32_MAX ? merge : NULL;
}

static int make_tables(struct vocabulary *v, const char *path, size_t tokens, size_t bytes,
                       size_t merges)
{
    if (tokens > TOKENS_LIMIT || merges > TOKENS_LIMIT)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %zu tokens and %zu merges, expected at most %d",
                          path, tokens, merges, TOKENS_LIMIT);
    v->slot_mask = table_size(tokens) - 1;
    v->merge_mask = table_size(merges) - 1;
    v->arena = malloc(bytes + 1);
    v->tokens = calloc(tokens + 1, sizeof(*v->tokens));
    v->slots = calloc((size_t)v->slot_mask + 1, sizeof(*v->slots));
    v->merges = malloc(((size_t)v->merge_mask + 1) * sizeof(*v->merges));
    if (!v->arena || !v->tokens || !v->slots || !v->merges)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu tokens", path, tokens);
    for (size_t i = 0; i <= v->merge_mask; i++)
        v->merges[i].rank = UINT32_MAX;
    return VKCLIP_OK;
}

/* `*end` is the end of what the arena holds. The token must not be there yet. */
static bool add_token(struct vocabulary *v, char **end, uint32_t id, const char *left,
                      size_t left_length, const char *right, size_t right_length)
{
    uint32_t *slot = slot_of(v, left, left_length, right, right_length);
    if (!slot || *slot)
        return false;
    char *token = *end;
    memcpy(token, left, left_length);
    memcpy(token + left_length, right, right_length);
    token[left_length + right_length] = 0;
    *end = token + left_length + right_length + 1;
    v->tokens[id] = token;
    *slot = id + 1;
    return true;
}

static bool add_merge(struct vocabulary *v, uint32_t rank, int32_t left, int32_t right,
                      int32_t joined)
{
    struct merge *merge = merge_slot(v, left, right);
    if (merge)
        *merge = (struct merge){left, right, joined, rank};
    return merge != NULL;
}

/* A byte's symbol as text, with "</w>" behind it or not. */
static size_t symbol_text(uint8_t byte, bool last, char text[8])
{
    int32_t code = symbol_of(byte);
    size_t length = 0;
    if (code >= 0x80)
        text[length++] = (char)(0xC0 | code >> 6);
    text[length] = (char)(length ? 0x80 | (code & 0x3F) : code);
    length++;
    memcpy(text + length, WORD_END, last ? 4 : 0);
    return length + (last ? 4 : 0);
}

/* `unknown` stands for a byte that has no token of its own. */
static void find_symbols(struct vocabulary *v, int32_t unknown)
{
    for (int i = 0; i < 512; i++) {
        char text[8];
        int32_t id = find_token(v, text, symbol_text((uint8_t)i, i >= 256, text));
        v->symbols[i >= 256][i & 255] = id < 0 ? unknown : id;
    }
}

static int find_ends(struct vocabulary *v, const char *path, const char *start, const char *end)
{
    v->start = find_token(v, start, strlen(start));
    v->end = find_token(v, end, strlen(end));
    if (v->start < 0 || v->end < 0)
        return error_fail(VKCLIP_EFORMAT, "%s: no token \"%.40s\", which every text %s with", path,
                          v->start < 0 ? start : end, v->start < 0 ? "starts" : "ends");
    return VKCLIP_OK;
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Unpacks the one member of a gzip file, with a NUL behind it. Not by gzread, which from zlib 1.3.2
 * on takes a file that was cut short for a whole one. */
static int unpack(const char *path, char *packed, size_t packed_size, size_t limit, char **data,
                  size_t *size)
{
    z_stream stream = {.next_in = (Bytef *)packed, .avail_in = (uInt)packed_size};
    int error = VKCLIP_OK, status = inflateInit2(&stream, 16 + MAX_WBITS); /* 16: gzip's header */
    size_t capacity = 0;
    *data = NULL;
    *size = 0;
    while (status == Z_OK) {
        if (capacity - *size < 2) {
            capacity = capacity ? 2 * capacity : 1 << 18;
            char *larger = realloc(*data, capacity);
            if (!larger) {
                error =
                    error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu bytes", path, capacity);
                goto done;
            }
            *data = larger;
        }
        stream.next_out = (Bytef *)*data + *size;
        stream.avail_out = (uInt)(capacity - *size - 1);
        status = inflate(&stream, Z_NO_FLUSH);
        *size = stream.total_out;
        if (*size > limit) {
            error =
                error_fail(VKCLIP_EFORMAT, "%s: more than %zu bytes when unpacked", path, limit);
            goto done;
        }
    }
    if (status != Z_STREAM_END)
        error = error_fail(status == Z_MEM_ERROR ? VKCLIP_EMEMORY : VKCLIP_EFORMAT,
                           "%s: cannot be unpacked: %s", path,
                           status == Z_BUF_ERROR ? "it ends too early"
                           : stream.msg          ? stream.msg
                                                 : zError(status));
done:
    inflateEnd(&stream);
    if (error) {
        free(*data);
        *data = NULL;
    } else {
        (*data)[*size] = 0;
    }
    return error;
}

/* A whole file, unpacked where it is packed, with a NUL behind it. */
static int read_file(const char *path, size_t limit, char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    if (!file_exists(path))
        return error_fail(VKCLIP_EIO, "%s: %s", path,
                          folder_exists(path) ? "a folder, expected a vocabulary file"
                                              : "no such file, or it cannot be read");
    int error = file_read(path, limit, data, size);
    if (!error && *size >= 2 && !memcmp(*data, "\x1f\x8b", 2)) {
        char *packed = *data;
        error = unpack(path, packed, *size, limit, data, size);
        free(packed);
    }
    if (!error && !*size) {
        error = error_fail(VKCLIP_EFORMAT, "%s: empty, expected a vocabulary", path);
        free(*data);
        *data = NULL;
    }
    return error;
}

static int parse_json(const char *path, const char *data, size_t size, json_t **root)
{
    json_error_t problem;
    if (size > JSON_LIMIT)
        return error_fail(VKCLIP_EFORMAT, "%s: more than %d bytes of JSON", path, JSON_LIMIT);
    *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &problem);
    if (!*root)
        return error_fail(VKCLIP_EFORMAT, "%s: line %d: not JSON: %s", path, problem.line,
                          problem.text);
    if (!json_is_object(*root))
        return error_fail(VKCLIP_EFORMAT, "%s: expected a JSON object", path);
    return VKCLIP_OK;
}

static int read_json(const char *path, json_t **root)
{
    char *data;
    size_t size;
    int error = read_file(path, JSON_LIMIT, &data, &size);
    if (!error)
        error = parse_json(path, data, size, root);
    free(data);
    return error;
}

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
#ifdef _WIN32
    const char *backslash = strrchr(path, '\\');
    slash = backslash && (!slash || backslash > slash) ? backslash : slash;
#endif
    return slash ? (size_t)(slash + 1 - path) : 0;
}

static char *beside(const char *path, const char *name)
{
    return string_format("%.*s%s", (int)folder_length(path), path, name);
}

/* ---- OpenAI's list of merges ----------------------------------------------------------------- */

/* One line without its end; false at the end of the text. */
static bool next_line(const char **at, const char **line, size_t *length)
{
    if (!**at)
        return false;
    *line = *at;
    *length = strcspn(*at, "\n");
    *at += *length + ((*at)[*length] == '\n');
    *length -= *length && (*line)[*length - 1] == '\r';
    return true;
}

/* Two tokens with one space between; false when the line is another. */
static bool split_merge(const char *line, size_t length, size_t *left)
{
    const char *space = memchr(line, ' ', length);
    *left = space ? (size_t)(space - line) : 0;
    return *left && *left + 1 < length && !memchr(space + 1, ' ', length - *left - 1);
}

static int bad_merge(const char *path, uint32_t number, const char *what)
{
    return error_fail(VKCLIP_EFORMAT, "%s: merge %u %s", path, number + 1, what);
}

/* The vocabulary that OpenAI's rule makes of the first `limit` of a list of merges: the bytes, the
 * bytes at a word's end, one token a merge, start and end of text. */
static int load_openai(struct vocabulary *v, const char *path, const char *data, size_t size,
                       uint32_t limit)
{
    const char *at = data, *line;
    const char *mark = strstr(data, "#version");
    size_t length, left, lines = 1;
    uint32_t rank = 0;
    if (memchr(data, 0, size) || !next_line(&at, &line, &length) || !mark || mark > line + length)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: neither JSON nor a list of merges whose first line has \"#version\"",
                          path);
    for (const char *i = at; *i && lines < limit; i++)
        lines += *i == '\n';
    /* a token's text is its line without the space, so the file's size is enough for all of them */
    int error =
        make_tables(v, path, 512 + lines + 2, size + 512 * 8 + sizeof(START) + sizeof(END), lines);
    if (error)
        return error;
    char *end = v->arena;
    for (int i = 0; i < 512; i++) {
        /* the printable bytes first, then those with stand-ins, as their code points rise */
        int32_t place = i & 255, code = place + (place < 94 ? 33 : place < 106 ? 67 : 68);
        char text[8];
        size_t text_length = symbol_text((uint8_t)vocabulary_byte(code), i >= 256, text);
        add_token(v, &end, v->count++, text, text_length, "", 0);
    }
    while (rank < limit && next_line(&at, &line, &length)) {
        if (!length && !*at)
            break;
        if (!split_merge(line, length, &left))
            return bad_merge(path, rank, "is not two tokens with a space between");
        const char *right = line + left + 1;
        size_t right_length = length - left - 1;
        int32_t left_id = find_token(v, line, left);
        int32_t right_id = find_token(v, right, right_length);
        if (left_id < 0 || right_id < 0)
            return bad_merge(path, rank, "names a token that no line before it makes");
        if (!add_token(v, &end, v->count, line, left, right, right_length) ||
            !add_merge(v, rank, left_id, right_id, (int32_t)v->count))
            return bad_merge(path, rank, "makes a token that is there already");
        rank++;
        v->count++;
    }
    add_token(v, &end, v->count++, START, strlen(START), "", 0);
    add_token(v, &end, v->count++, END, strlen(END), "", 0);
    find_symbols(v, -1);
    v->openai = true;
    return find_ends(v, path, START, END);
}

/* ---- Hugging Face ---------------------------------------------------------------------------- */

static int load_token(struct vocabulary *v, const char *path, char **end, const char *text,
                      const json_t *id)
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
    if (!add_token(v, end, (uint32_t)value, text, strlen(text), "", 0))
        return error_fail(VKCLIP_EFORMAT, "%s: token \"%.40s\" twice, or tokens made to collide",
                          path, text);
    return VKCLIP_OK;
}

static void add_added(struct vocabulary *v, int32_t id, bool normalized)
{
    v->added[v->added_count++] = (struct added_token){v->tokens[id], id, normalized};
}

static int load_added(struct vocabulary *v, const char *path, const json_t *added)
{
    size_t i;
    json_t *item;
    json_array_foreach (added, i, item) {
        const char *text = json_string_value(json_object_get(item, "content"));
        const json_t *id = json_object_get(item, "id");
        if (text && !*text)
            continue;
        int32_t known = text ? find_token(v, text, strlen(text)) : -1;
        if (known < 0 || !json_is_integer(id) || json_integer_value(id) != known)
            return error_fail(VKCLIP_EFORMAT, "%s: added token %zu has another id than its text",
                              path, i);
        if (strlen(text) > ADDED_LIMIT || json_is_true(json_object_get(item, "single_word")))
            return error_fail(
                VKCLIP_EUNSUPPORTED,
                "%s: added token %zu is for whole words only, or longer than %d bytes", path, i,
                ADDED_LIMIT);
        add_added(v, known, json_is_true(json_object_get(item, "normalized")));
    }
    return VKCLIP_OK;
}

/* All tokens: those of `vocab`, and those of `added` that it lacks. */
static int load_tokens(struct vocabulary *v, const char *path, json_t *vocab, const json_t *added,
                       size_t merges)
{
    size_t count = json_object_size(vocab), bytes = 0, i;
    const char *text;
    json_t *id, *item;
    json_object_foreach (vocab, text, id)
        bytes += strlen(text) + 1;
    json_array_foreach (added, i, item) {
        text = json_string_value(json_object_get(item, "content"));
        if (text && *text && !json_object_get(vocab, text)) {
            bytes += strlen(text) + 1;
            count++;
        }
    }
    int error = make_tables(v, path, count, bytes, merges);
    if (error)
        return error;
    char *end = v->arena;
    v->count = (uint32_t)count;
    v->added = calloc(json_array_size(added) + 2, sizeof(*v->added)); /* 2: see load_pair */
    if (!v->added)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    json_object_foreach (vocab, text, id)
        if ((error = load_token(v, path, &end, text, id)))
            return error;
    json_array_foreach (added, i, item) {
        text = json_string_value(json_object_get(item, "content"));
        if (text && *text && !json_object_get(vocab, text) &&
            (error = load_token(v, path, &end, text, json_object_get(item, "id"))))
            return error;
    }
    return load_added(v, path, added);
}

static int load_merge(struct vocabulary *v, const char *path, uint32_t rank, const char *left,
                      size_t left_length, const char *right, size_t right_length)
{
    int32_t left_id = find_token(v, left, left_length);
    int32_t right_id = find_token(v, right, right_length);
    int32_t joined = find_joined(v, left, left_length, right, right_length);
    if (left_id < 0 || right_id < 0 || joined < 0)
        return bad_merge(path, rank, "names or makes a token that the vocabulary lacks");
    if (!add_merge(v, rank, left_id, right_id, joined))
        return bad_merge(path, rank, "is one of many made to collide");
    return VKCLIP_OK;
}

/* Merges as "a b" or as ["a", "b"]. */
static int load_merges(struct vocabulary *v, const char *path, const json_t *merges)
{
    size_t i, left = 0;
    json_t *item;
    int error = VKCLIP_OK;
    json_array_foreach (merges, i, item) {
        const char *line = json_string_value(item), *first, *second;
        if (line && split_merge(line, strlen(line), &left))
            error = load_merge(v, path, (uint32_t)i, line, left, line + left + 1,
                               strlen(line) - left - 1);
        else if (!line && !json_unpack(item, "[ss!]", &first, &second))
            error = load_merge(v, path, (uint32_t)i, first, strlen(first), second, strlen(second));
        else
            error = bad_merge(path, (uint32_t)i, "is neither \"a b\" nor [\"a\", \"b\"]");
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

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

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static bool is_json(json_t *value, const char *text)
{
    json_t *expected = json_loads(text, 0, NULL);
    bool equal = value && expected && json_equal(value, expected);
    json_decref(expected);
    return equal;
}

#define SPLIT(literals)                                                            \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" literals                       \
    "'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|[\\\\p{N}]|[^\\\\s\\\\p{L}\\\\p{N}]+\"}," \
    "\"behavior\":\"Removed\",\"invert\":true}"

/* How the text is cleaned and split is code here, so it must be what the file asks for. */
static int check_steps(struct vocabulary *v, const char *path, const json_t *root)
{
    json_t *splitting = json_object_get(root, "pre_tokenizer");
    json_t *steps = json_object_get(splitting, "pretokenizers");
    json_t *bytes = json_array_get(steps, 1);
    if (!is_json(
            json_object_get(root, "normalizer"),
            "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Replace\","
            "\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\" \"},{\"type\":\"Lowercase\"}]}"))
        return refuse(path, "normalizer", "NFC, white space to one space, lower case");
    v->literals =
        is_json(json_array_get(steps, 0), SPLIT("<\\\\|startoftext\\\\|>|<\\\\|endoftext\\\\|>|"));
    if (!is_text(json_object_get(splitting, "type"), "Sequence") || json_array_size(steps) != 2 ||
        (!v->literals && !is_json(json_array_get(steps, 0), SPLIT(""))) ||
        !is_text(json_object_get(bytes, "type"), "ByteLevel") ||
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
    if ((type && !is_text(type, "BPE")) ||
        !is_text(json_object_get(model, "end_of_word_suffix"), WORD_END))
        return refuse(path, "model", "byte-pair encoding (BPE) with end_of_word_suffix \"</w>\"");
    for (size_t i = 0; i < ARRAY_COUNT(off); i++)
        if (!is_off(json_object_get(model, off[i])))
            return refuse(path, off[i], "none");
    if (!json_is_object(json_object_get(model, "vocab")) ||
        !json_is_array(json_object_get(model, "merges")))
        return error_fail(VKCLIP_EFORMAT, "%s: model has no vocab, or no list of merges", path);
    return VKCLIP_OK;
}

static int load_ends(struct vocabulary *v, const char *path, const json_t *root)
{
    json_t *post = json_object_get(root, "post_processor");
    const char *start = START, *end = END, *text;
    json_int_t start_id = -1, end_id = -1;
    if (is_text(json_object_get(post, "type"), "RobertaProcessing")
            ? json_unpack(post, "{s:[sI],s:[sI]}", "cls", &start, &start_id, "sep", &end, &end_id)
            : !is_off(post) && json_unpack(post, "{s:[{s:{s:s}},{s:{s:s}},{s:{s:s}}!]}", "single",
                                           "SpecialToken", "id", &start, "Sequence", "id", &text,
                                           "SpecialToken", "id", &end))
        return refuse(path, "post_processor", "one token before the text and one behind it");
    int error = find_ends(v, path, start, end);
    if (!error && start_id >= 0 && (start_id != v->start || end_id != v->end))
        error = error_fail(VKCLIP_EFORMAT, "%s: post_processor has other ids than the vocabulary",
                           path);
    return error;
}

static int load_tokenizer_json(struct vocabulary *v, const char *path, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"),
                 *merges = json_object_get(model, "merges");
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    int error = check_model(path, model);
    if (!error)
        error = check_steps(v, path, root);
    if (!error)
        error = load_tokens(v, path, json_object_get(model, "vocab"),
                            json_object_get(root, "added_tokens"), json_array_size(merges));
    if (!error)
        error = load_merges(v, path, merges);
    if (error)
        return error;
    find_symbols(v, unknown ? find_token(v, unknown, strlen(unknown)) : -1);
    return load_ends(v, path, root);
}

/* merges.txt as the list that tokenizer.json has; its first line may be a comment. */
static int read_merges(const char *path, json_t **merges)
{
    char *data;
    const char *line;
    size_t size, length;
    int error = read_file(path, JSON_LIMIT, &data, &size);
    if (error)
        return error;
    const char *at = data;
    *merges = json_array();
    if (memchr(data, 0, size))
        error = error_fail(VKCLIP_EFORMAT, "%s: NUL bytes, expected a list of merges", path);
    while (!error && next_line(&at, &line, &length)) {
        bool skipped = (line == data && !strncmp(line, "#version", 8)) || (!length && !*at);
        if (!skipped && json_array_append_new(*merges, json_stringn(line, length)))
            error = bad_merge(path, (uint32_t)json_array_size(*merges), "is not UTF-8");
    }
    free(data);
    return error;
}

static int load_pair(struct vocabulary *v, const char *vocab_path, json_t *vocab,
                     const char *merges_path)
{
    json_t *merges = NULL;
    int error = read_merges(merges_path, &merges);
    if (!error)
        error = load_tokens(v, vocab_path, vocab, NULL, json_array_size(merges));
    if (!error)
        error = load_merges(v, merges_path, merges);
    if (!error)
        error = find_ends(v, vocab_path, START, END);
    json_decref(merges);
    if (error)
        return error;
    find_symbols(v, v->end);
    add_added(v, v->start, true); /* as openai/clip-vit-* have them in their tokenizer.json */
    add_added(v, v->end, false);
    return VKCLIP_OK;
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

/* The symbols of a token's text, "</w>" being part of the last one; 0 where there are none such. */
static size_t split_symbols(const struct vocabulary *v, const char *text,
                            int32_t pieces[PIECES_LIMIT])
{
    size_t count = 0, size = strlen(text), suffix = strlen(WORD_END);
    bool last = size > suffix && !strcmp(text + size - suffix, WORD_END);
    size -= last ? suffix : 0;
    for (size_t at = 0, length; at < size; at += length) {
        for (length = 1; at + length < size && (text[at + length] & 0xC0) == 0x80;)
            length++;
        const char *end = last && at + length == size ? WORD_END : "";
        int32_t id = find_joined(v, text + at, length, end, strlen(end));
        if (id < 0 || count == PIECES_LIMIT)
            return 0;
        pieces[count++] = id;
    }
    return count;
}

/* Joins the pair whose merge was learnt first; false where none is known. */
static bool join_pieces(const struct vocabulary *v, int32_t *pieces, size_t count)
{
    const struct merge *best = NULL;
    size_t place = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        const struct merge *merge = vocabulary_merge(v, pieces[i], pieces[i + 1]);
        if (merge && (!best || merge->rank < best->rank)) {
            best = merge;
            place = i;
        }
    }
    if (!best)
        return false;
    pieces[place] = best->joined;
    memmove(pieces + place + 1, pieces + place + 2, (count - place - 2) * sizeof(*pieces));
    return true;
}

/* The file has the tokens without the merges, but in the order in which these were learnt: a
 * token's merge joins the two pieces that the merges before it make of its text. For OpenAI's
 * vocabulary this gives back every merge. */
static int derive_merges(struct vocabulary *v, const char *path)
{
    uint32_t rank = 0;
    for (uint32_t id = 0; id < v->count; id++) {
        int32_t pieces[PIECES_LIMIT];
        if ((int32_t)id == v->start || (int32_t)id == v->end)
            continue;
        size_t count = split_symbols(v, v->tokens[id], pieces);
        bool symbol = count == 1;
        while (count > 2 && join_pieces(v, pieces, count))
            count--;
        if (!symbol && (count != 2 || !add_merge(v, rank++, pieces[0], pieces[1], (int32_t)id)))
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: token %u is not two earlier ones joined, as CLIP's are: name a "
                              "vocabulary (--vocab)",
                              path, id);
    }
    return VKCLIP_OK;
}

static int load_texts(struct vocabulary *v, const char *path, const struct gguf_value *value)
{
    const uint8_t *at = value->data;
    size_t bytes = 0, length;
    for (uint64_t i = 0; i < value->count; i++, bytes += length + 1)
        gguf_text(&at, &length);
    if (bytes > 16 * GGUF_LIMIT)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: tokens of %zu bytes, expected at most %d", path,
                          bytes, 16 * GGUF_LIMIT);
    int error = make_tables(v, path, (size_t)value->count, bytes, (size_t)value->count);
    if (error)
        return error;
    char *end = v->arena;
    for (at = value->data; v->count < value->count; v->count++) {
        const char *text = gguf_text(&at, &length);
        if (!length || memchr(text, 0, length) ||
            !add_token(v, &end, v->count, text, length, "", 0))
            return error_fail(VKCLIP_EFORMAT, "%s: token %u is empty, twice there or no text", path,
                              v->count);
    }
    return VKCLIP_OK;
}

int vocabulary_from_gguf(const struct gguf *file, struct vocabulary *v)
{
    const char *path = file->path;
    const struct gguf_value *value = gguf_find(file, "tokenizer.ggml.tokens");
    int error = VKCLIP_OK;
    *v = (struct vocabulary){0};
    if (!value || value->type != GGUF_ARRAY || value->element != GGUF_STRING ||
        value->count > GGUF_LIMIT)
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: tokenizer.ggml.tokens: expected a list of at most %d tokens", path,
                           GGUF_LIMIT);
    error = error ? error : load_texts(v, path, value);
    error = error ? error : find_ends(v, path, START, END);
    error = error ? error : derive_merges(v, path);
    if (!error && !(v->added = calloc(2, sizeof(*v->added))))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error) {
        find_symbols(v, -1);
        add_added(v, v->start, true); /* as load_pair */
        add_added(v, v->end, false);
        v->openai = true;
    } else {
        vocabulary_close(v);
    }
    return error;
}

static int load_gguf(struct vocabulary *v, const char *path)
{
    struct gguf *file = NULL;
    int error = gguf_open(path, &file);
    error = error ? error : vocabulary_from_gguf(file, v);
    gguf_close(&file);
    return error;
}

/* ---- Padding --------------------------------------------------------------------------------- */

/* Goes on to the next file where `name` beside the vocabulary gives none. */
static int read_pad(struct vocabulary *v, const char *path, const char *name, bool *found)
{
    json_t *root = NULL;
    char *file = beside(path, name);
    int error = file ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error && file_exists(file))
        error = read_json(file, &root);
    const json_t *pad = json_object_get(root, "pad_token");
    const char *text =
        json_string_value(json_is_object(pad) ? json_object_get(pad, "content") : pad);
    if (text) {
        v->pad = find_token(v, text, strlen(text));
        *found = true;
        if (v->pad < 0)
            error =
                error_fail(VKCLIP_EFORMAT, "%s: pad_token \"%.40s\" is not in the vocabulary %s",
                           file, text, path);
    }
    json_decref(root);
    free(file);
    return error;
}

int vocabulary_read_pad(struct vocabulary *v, const char *path)
{
    bool found = false;
    int error = read_pad(v, path, "tokenizer_config.json", &found);
    if (!error && !found)
        error = read_pad(v, path, "special_tokens_map.json", &found);
    if (!found)
        v->pad = v->end;
    return error;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int load(struct vocabulary *v, const char *path, const char *data, size_t size)
{
    bool json = data[strspn(data, " \t\r\n")] == '{';
    if (!json && strcmp(path + folder_length(path), "merges.txt"))
        return load_openai(v, path, data, size, OPENAI_MERGES);
    json_t *root = NULL;
    char *other = beside(path, json ? "merges.txt" : "vocab.json");
    int error = !other ? error_fail(VKCLIP_EMEMORY, "%s: out of memory", path)
                : json ? parse_json(path, data, size, &root)
                       : read_json(other, &root);
    if (!error && json && json_is_object(json_object_get(root, "model")))
        error = load_tokenizer_json(v, path, root);
    else if (!error)
        error = load_pair(v, json ? path : other, root, json ? other : path);
    json_decref(root);
    free(other);
    return error;
}

int vocabulary_open(const char *path, struct vocabulary *v)
{
    char *data = NULL;
    size_t size;
    *v = (struct vocabulary){0};
    bool gguf = gguf_is(path);
    int error = gguf ? load_gguf(v, path) : read_file(path, TEXT_LIMIT, &data, &size);
    if (!error && !gguf)
        error = load(v, path, data, size);
    free(data);
    if (error)
        vocabulary_close(v);
    return error;
}

int vocabulary_from_merges(const char *merges, size_t size, struct vocabulary *v)
{
    *v = (struct vocabulary){0};
    int error = load_openai(v, "list of merges", merges, size, TOKENS_LIMIT);
    if (error)
        vocabulary_close(v);
    return error;
}

void vocabulary_close(struct vocabulary *v)
{
    free(v->arena);
    free(v->tokens);
    free(v->slots);
    free(v->merges);
    free(v->added);
    *v = (struct vocabulary){0};
}
