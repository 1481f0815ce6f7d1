/* SPDX-License-Identifier: MIT
 *
 * Compares the ids of texts, and the texts of ids, with the references: for the project's own
 * vocabulary, and for OpenAI's if the larger reference data is present. Broken files are the
 * subject of tokenizer_files.c.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/thread.h"
#include "support/json_lines.h"
#include "support/scratch.h"
#include "format/safetensors.h"
#include "text/clean.h"
#include "text/tokenizer.h"

#include <time.h>
#include <zlib.h>

static const char EMOJI[] = "models/emoji-clip/tokenizer.json";

static struct tokenizer *open_tokenizer(const char *path, enum tokenizer_rules rules)
{
    struct tokenizer *tokenizer;
    if (tokenizer_open(path, rules, &tokenizer))
        fail_msg("%s", vkclip_last_error());
    return tokenizer;
}

/* Opens a tokenizer of the reference data. Returns NULL and prints one message if there is none. */
static struct tokenizer *open_golden(const char *file, enum tokenizer_rules rules)
{
    char *path = golden_path(file);
    struct tokenizer *tokenizer = path ? open_tokenizer(path, rules) : NULL;
    if (!path)
        print_message("skipped: reference data %s is not here\n", file);
    free(path);
    return tokenizer;
}

static json_t *encode(const struct tokenizer *tokenizer, const char *text, size_t length)
{
    size_t count, again;
    assert_int_equal(tokenizer_encode(tokenizer, text, length, NULL, 0, &count), 0);
    int32_t *ids = malloc(count * sizeof(*ids));
    assert_int_equal(tokenizer_encode(tokenizer, text, length, ids, count, &again), 0);
    assert_true(ids && again == count);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_integer(ids[i]));
    free(ids);
    return array;
}

static json_t *encode_json(const struct tokenizer *tokenizer, const json_t *text)
{
    return encode(tokenizer, json_string_value(text), json_string_length(text));
}

static void assert_ids(const struct tokenizer *tokenizer, const json_t *text,
                       const json_t *expected)
{
    json_t *found = encode_json(tokenizer, text);
    if (!json_equal(found, expected))
        fail_msg("%s: expected %s, found %s", json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII),
                 json_dumps(expected, JSON_COMPACT), json_dumps(found, JSON_COMPACT));
    json_decref(found);
}

/* Checks for every line of `file` that the ids of its text are those of its field `ids`. */
static void check_file(const struct tokenizer *tokenizer, const char *file, const char *ids)
{
    json_t *lines = read_lines(file), *line;
    size_t i;
    json_array_foreach (lines, i, line)
        assert_ids(tokenizer, json_object_get(line, "text"), json_object_get(line, ids));
    json_decref(lines);
}

/* ---- OpenAI's vocabulary --------------------------------------------------------------------- */

static const char OPENAI_FILE[] = "tokenizer/bpe_simple_vocab_16e6.txt.gz";

static void openai_cases(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = open_golden(OPENAI_FILE, TOKENIZER_BY_FILE);
    if (!tokenizer)
        skip();
    assert_int_equal(tokenizer_size(tokenizer), 49408);
    assert_int_equal(tokenizer_start(tokenizer), 49406);
    assert_int_equal(tokenizer_end(tokenizer), 49407);
    assert_int_equal(tokenizer_pad(tokenizer), 0);
    check_file(tokenizer, "tokenizer/cases.jsonl", "ids");
    check_file(tokenizer, "tokenizer/cases_html.jsonl", "ids");
    tokenizer_close(&tokenizer);
}

/* Texts are truncated as the reference does, and the reported length is that before truncation. */
static void openai_long(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = open_golden(OPENAI_FILE, TOKENIZER_OPENAI);
    if (!tokenizer)
        skip();
    json_t *lines = read_lines("tokenizer/cases_long.jsonl"), *line;
    size_t i;
    json_array_foreach (lines, i, line) {
        const json_t *text = json_object_get(line, "text"), *ids = json_object_get(line, "ids");
        int32_t found[77];
        size_t count;
        assert_int_equal(tokenizer_encode(tokenizer, json_string_value(text),
                                          json_string_length(text), found, 77, &count),
                         0);
        assert_int_equal(count, json_integer_value(json_object_get(line, "untruncated_length")));
        for (size_t k = 0; k < json_array_size(ids); k++)
            assert_int_equal(k == 76 ? 49407 : found[k],
                             json_integer_value(json_array_get(ids, k)));
    }
    json_decref(lines);
    tokenizer_close(&tokenizer);
}

static void openai_ftfy(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = open_golden(OPENAI_FILE, TOKENIZER_OPENAI);
    if (!tokenizer)
        skip();
    check_file(tokenizer, "tokenizer/cases_ftfy.jsonl", "ids");
    tokenizer_close(&tokenizer);
}

/* The ids of every text are OpenAI's unless the text is listed as differing. */
static void hf_cases(void **state)
{
    (void)state;
    static const char *const vocabularies[] = {
        "tokenizer/hf/tokenizer.json", "tokenizer/hf/vocab.json", "tokenizer/hf/merges.txt"};
    static const char *const files[] = {"tokenizer/cases.jsonl", "tokenizer/cases_html.jsonl",
                                        "tokenizer/cases_ftfy.jsonl"};
    for (size_t v = 0; v < ARRAY_COUNT(vocabularies); v++) {
        struct tokenizer *tokenizer = open_golden(vocabularies[v], TOKENIZER_BY_FILE);
        if (!tokenizer)
            skip();
        assert_int_equal(tokenizer_pad(tokenizer), 49407);
        json_t *differing = read_lines("tokenizer/hf_differs.jsonl"), *other = json_object(), *line;
        size_t i;
        json_array_foreach (differing, i, line)
            json_object_set(other, json_string_value(json_object_get(line, "text")),
                            json_object_get(line, "ids_hf"));
        check_file(tokenizer, "tokenizer/hf_differs.jsonl", "ids_hf");
        for (size_t f = 0; f < ARRAY_COUNT(files); f++) {
            json_t *lines = read_lines(files[f]);
            json_array_foreach (lines, i, line) {
                const json_t *text = json_object_get(line, "text");
                bool nul = strlen(json_string_value(text)) < json_string_length(text);
                if (!nul && !json_object_get(other, json_string_value(text)))
                    assert_ids(tokenizer, text, json_object_get(line, "ids"));
            }
            json_decref(lines);
        }
        json_decref(differing);
        json_decref(other);
        tokenizer_close(&tokenizer);
    }
}

static void openai_decode(void **state)
{
    (void)state;
    static const char *const vocabularies[] = {OPENAI_FILE, "tokenizer/hf/tokenizer.json"};
    for (size_t v = 0; v < ARRAY_COUNT(vocabularies); v++) {
        struct tokenizer *tokenizer = open_golden(vocabularies[v], TOKENIZER_BY_FILE);
        if (!tokenizer)
            skip();
        json_t *lines = read_lines("tokenizer/decode.jsonl"), *line;
        size_t i;
        json_array_foreach (lines, i, line) {
            const json_t *ids = json_object_get(line, "ids");
            int32_t numbers[256];
            char *text;
            size_t count = json_array_size(ids);
            assert_true(count <= ARRAY_COUNT(numbers));
            for (size_t k = 0; k < count; k++)
                numbers[k] = (int32_t)json_integer_value(json_array_get(ids, k));
            assert_int_equal(tokenizer_decode(tokenizer, numbers, count, &text), 0);
            assert_string_equal(text, json_string_value(json_object_get(line, "text")));
            free(text);
        }
        json_decref(lines);
        tokenizer_close(&tokenizer);
    }
}

/* The texts of the small models have the ids of the models' case files. */
static void small_vocabulary(void **state)
{
    (void)state;
    static const char *const files[] = {
        "models/tokenizer-1026/bpe_1026.txt.gz", "models/tokenizer-1026/tokenizer.json",
        "models/tokenizer-1026/vocab.json", "models/tokenizer-1026/merges.txt"};
    for (size_t f = 0; f < ARRAY_COUNT(files); f++) {
        struct tokenizer *tokenizer = open_golden(files[f], TOKENIZER_BY_FILE);
        if (!tokenizer)
            skip();
        char *json = golden_path("models/openai-vit/case.json");
        char *tensors = golden_path("models/openai-vit/case.safetensors");
        struct safetensors *file;
        assert_int_equal(safetensors_open(tensors, &file), 0);
        const struct tensor_view *ids = safetensors_find(file, "input_ids");
        json_t *root = json_load_file(json, 0, NULL), *text;
        size_t i;
        assert_int_equal(tokenizer_size(tokenizer), 1026);
        json_array_foreach (json_object_get(root, "texts"), i, text) {
            json_t *found = encode_json(tokenizer, text);
            for (size_t k = 0; k < json_array_size(found); k++)
                assert_int_equal(((const int32_t *)ids->data)[i * ids->shape[1] + k],
                                 json_integer_value(json_array_get(found, k)));
            json_decref(found);
        }
        assert_true(i > 0);
        json_decref(root);
        safetensors_close(&file);
        free(json);
        free(tensors);
        tokenizer_close(&tokenizer);
    }
}

/* ---- The project's own vocabulary ------------------------------------------------------------ */

static const char EMOJI_CASES[] = "tokenizer-emoji/cases.jsonl";

static void emoji_cases(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = open_tokenizer(EMOJI, TOKENIZER_BY_FILE);
    assert_int_equal(tokenizer_size(tokenizer), 2240);
    assert_int_equal(tokenizer_start(tokenizer), 2238);
    assert_int_equal(tokenizer_end(tokenizer), 2239);
    assert_int_equal(tokenizer_pad(tokenizer), 2239);
    check_file(tokenizer, EMOJI_CASES, "ids_hf");
    tokenizer_close(&tokenizer);
    tokenizer = open_tokenizer(EMOJI, TOKENIZER_OPENAI);
    assert_int_equal(tokenizer_pad(tokenizer), 0);
    check_file(tokenizer, EMOJI_CASES, "ids_openai");
    tokenizer_close(&tokenizer);
}

/* The vocabulary in OpenAI's form, plain or packed, gives the ids of Hugging Face's form. */
static void emoji_as_openai(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *merges, *packed = scratch_path(folder, "bpe.txt.gz");
    size_t size;
    assert_int_equal(file_read("models/emoji-clip/merges.txt", 1 << 20, &merges, &size), 0);
    scratch_write(folder, "bpe.txt", merges, size);
    gzFile file = gzopen(packed, "wb");
    assert_int_equal(gzwrite(file, merges, (unsigned)size), size);
    gzclose(file);
    for (int i = 0; i < 2; i++) {
        char *path = scratch_path(folder, i ? "bpe.txt" : "bpe.txt.gz");
        struct tokenizer *tokenizer = open_tokenizer(path, TOKENIZER_BY_FILE);
        assert_int_equal(tokenizer_size(tokenizer), 2240);
        assert_int_equal(tokenizer_pad(tokenizer), 0);
        check_file(tokenizer, EMOJI_CASES, "ids_openai");
        tokenizer_close(&tokenizer);
        free(path);
    }
    free(merges);
    free(packed);
    scratch_remove(folder);
}

/* The padded prompts of the model's samples have the ids that the model was trained with. */
static void emoji_prompts(void **state)
{
    (void)state;
    static const char *const files[] = {EMOJI, "models/emoji-clip/vocab.json",
                                        "models/emoji-clip/merges.txt"};
    char *path = golden_path("emoji-clip/expected.safetensors");
    struct safetensors *expected;
    assert_int_equal(safetensors_open(path, &expected), 0);
    free(path);
    const struct tensor_view *ids = safetensors_find(expected, "input_ids");
    assert_true(ids && ids->rank == 2 && ids->dtype == DTYPE_I32);
    for (size_t f = 0; f < ARRAY_COUNT(files); f++) {
        struct tokenizer *tokenizer = open_tokenizer(files[f], TOKENIZER_HF);
        const int32_t *row = ids->data;
        char line[256], prompt[128];
        size_t lines = 0;
        path = golden_path("emoji-clip/labels.tsv");
        FILE *labels = fopen(path, "r");
        assert_true(labels && fgets(line, sizeof(line), labels));
        for (; fgets(line, sizeof(line), labels); lines++, row += ids->shape[1]) {
            int32_t found[64];
            size_t count;
            assert_int_equal(sscanf(line, "%*[^\t]\t%*[^\t]\t%127[^\t]", prompt), 1);
            assert_int_equal(tokenizer_encode(tokenizer, prompt, strlen(prompt), found, 64, &count),
                             0);
            assert_true(count <= ids->shape[1]);
            for (size_t k = 0; k < ids->shape[1]; k++)
                assert_int_equal(row[k], k < count ? found[k] : tokenizer_pad(tokenizer));
        }
        assert_int_equal(lines, ids->shape[0]);
        fclose(labels);
        free(path);
        tokenizer_close(&tokenizer);
    }
    safetensors_close(&expected);
}

/* Tokens that a user added are found before and after normalising, the longest first. */
static void added_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *text, *ids;
    } cases[] = {
        {"<cat-toy>", "[2238,2240,2239]"},
        {"a<cat-toy>s", "[2238,320,2240,338,2239]"},
        {"<CAT-toy>", "[2238,283,1097,268,598,344,285,2239]"}, /* It is not normalised, so it is
                                                                  found only as written. */
        {"<cat", "[2238,2241,2239]"},
        {"<cat-toy", "[2238,2241,268,598,344,2239]"},
        {"GRAND  piano", "[2238,2242,2239]"},
        {"e\u0301T\u00c9", "[2238,2243,2239]"},
        {"<cat-toy><cat<cat-toy>", "[2238,2240,2241,2240,2239]"},
    };
    char *folder = scratch_folder(), *path = scratch_path(folder, "tokenizer.json");
    json_t *root = json_load_file(EMOJI, 0, NULL);
    json_t *more =
        json_pack("[{s:s,s:i,s:b},{s:s,s:i,s:b},{s:s,s:i,s:b},{s:s,s:i,s:b}]", "content",
                  "<cat-toy>", "id", 2240, "normalized", 0, "content", "<cat", "id", 2241,
                  "normalized", 0, "content", "Grand Piano", "id", 2242, "normalized", 1, "content",
                  "\u00e9te\u0301", "id", 2243, "normalized", 1);
    json_array_extend(json_object_get(root, "added_tokens"), more);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    struct tokenizer *tokenizer = open_tokenizer(path, TOKENIZER_HF);
    assert_int_equal(tokenizer_size(tokenizer), 2244);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        json_t *found = encode(tokenizer, cases[i].text, strlen(cases[i].text));
        char *ids = json_dumps(found, JSON_COMPACT);
        assert_string_equal(ids, cases[i].ids);
        free(ids);
        json_decref(found);
    }
    tokenizer_close(&tokenizer);
    json_decref(more);
    json_decref(root);
    free(path);
    scratch_remove(folder);
}

/* ---- Cleaning, decoding ---------------------------------------------------------------------- */

static void cleaning(void **state)
{
    (void)state;
    json_t *lines = read_lines(EMOJI_CASES), *line;
    size_t i;
    json_array_foreach (lines, i, line) {
        const json_t *text = json_object_get(line, "text");
        struct code_points codes = {0}, clean = {0};
        code_points_push_utf8(&codes, json_string_value(text), json_string_length(text));
        clean_openai(&codes);
        code_points_push_utf8(&clean, json_string_value(json_object_get(line, "clean")),
                              json_string_length(json_object_get(line, "clean")));
        if (codes.length != clean.length ||
            (clean.length && memcmp(codes.codes, clean.codes, clean.length * sizeof(*clean.codes))))
            fail_msg("%s is not cleaned to %s", json_string_value(text),
                     json_string_value(json_object_get(line, "clean")));
        code_points_free(&codes);
        code_points_free(&clean);
    }
    json_decref(lines);
}

/* Returns the letter that stands for a code point in the cases of bad_utf8. */
static char code_letter(int32_t code)
{
    if (code == 0xFFFD)
        return '?';
    if (code > 0x7F)
        return '^';
    return code ? (char)code : '0';
}

/* Each maximal part of a character becomes one U+FFFD (here "?"), as with Python's "replace". */
static void bad_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
        size_t size;
    } cases[] = {
        {"\x80", "?", 1},
        {"a\xff\xfe.", "a??.", 4},
        {"\xc0\x80", "??", 2},
        {"\xc3", "?", 1},
        {"\xc3(", "?(", 2},
        {"\xe2\x82", "?", 2},
        {"\xe2\x82x", "?x", 3},
        {"\xe0\x80\x80", "???", 3},
        {"\xed\xa0\x80", "???", 3},
        {"\xf0\x9f\x98", "?", 3},
        {"\xf0\x9f\x98\xf0\x9f\x98", "??", 6},
        {"\xf0\x80\x80\x80", "????", 4},
        {"\xf4\x90\x80\x80", "????", 4},
        {"\xf5\x80", "??", 2},
        {"\xf4\x8f\xbf\xbf\x80", "^?", 5},
        {"\xef\xbf\xbd", "?", 3},
        {"\xed\x9f\xbf\xee\x80\x80", "^^", 6},
        {"a\0b", "a0b", 3},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct code_points codes = {0};
        char text[16] = "";
        code_points_push_utf8(&codes, cases[i].bytes, cases[i].size);
        for (size_t k = 0; k < codes.length; k++) {
            text[k] = code_letter(codes.codes[k]);
        }
        assert_string_equal(text, cases[i].text);
        code_points_free(&codes);
    }
}

static void decoding(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t ids[8];
        size_t count;
    } cases[] = {
        {"", {0}, 0},
        {"!", {0}, 1},
        {"a! ", {64, 256}, 2},
        {"<|startoftext|><|endoftext|>", {2238, 2239}, 2},
        {"\u00e9", {127, 102}, 2},              /* the bytes c3 a9 */
        {"\ufffd\ufffd ", {127, 256 + 127}, 2}, /* c3, then c3 and "</w>" */
        {" ",
         {27, 14, 86, 29},
         4}, /* The letters of "</w>" as tokens of their own are read as a space too. */
    };
    struct tokenizer *tokenizer = open_tokenizer(EMOJI, TOKENIZER_BY_FILE);
    char *text;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(tokenizer_decode(tokenizer, cases[i].ids, cases[i].count, &text), 0);
        assert_string_equal(text, cases[i].text);
        free(text);
    }
    for (int32_t id = 0; id < 2240; id++) {
        assert_int_equal(tokenizer_decode(tokenizer, &id, 1, &text), 0);
        free(text);
    }
    assert_failed(tokenizer_decode(tokenizer, (int32_t[]){0, 2240}, 2, &text), VKCLIP_EINVALID,
                  "id 2240 is outside the vocabulary, expected 0 to 2239");
    assert_null(text);
    assert_failed(tokenizer_decode(tokenizer, (int32_t[]){-1}, 1, &text), VKCLIP_EINVALID, "id -1");
    tokenizer_close(&tokenizer);
    tokenizer_close(&tokenizer);
}

/* ---- Time, threads --------------------------------------------------------------------------- */

/* An algorithm of quadratic time would take hours for these texts. */
static void long_texts(void **state)
{
    (void)state;
    /* The texts take less than a second each without sanitizers, under which they are shorter. */
    enum { SIZE = SANITIZED ? 1 << 17 : 1 << 20, SECONDS = 60 };
    static const char *const units[] = {
        "a",
        "ab",
        "photo",
        "!",
        "😀",
        "the ",
        "&amp;",
        "amp;",
        "&#9",
        "&xyzzy;",
        "\u0301\u0323",
        "Σ'",
        "\x1b[1",
        "\x1b[1m",
        "<",
        "&",
        "&#5;",
        "<|endoftext|>",
        "\n",
        "\u0130",
        "<|",
        "\u1112\u1161\u11ab",
        "\xff",
        "ﷺ",
        "amp;", /* This unit and the next one make texts of nested references, see below. */
        "&#5",
    };
    enum { ESCAPES = ARRAY_COUNT(units) - 2, REFERENCES };
    for (int rules = TOKENIZER_OPENAI; rules <= TOKENIZER_HF; rules++) {
        struct tokenizer *tokenizer = open_tokenizer(EMOJI, rules);
        char *text = malloc(SIZE);
        for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
            const char *unit = units[i];
            size_t size = strlen(unit), count;
            for (size_t k = 0; k < SIZE; k++)
                text[k] = unit[k % size];
            /* "&amp;amp;amp;..." has a level of escaping per repetition. */
            if (i == ESCAPES)
                text[0] = '&';
            /* In "&#5&#5...;;;;" each reference resolves only after the one inside it. */
            if (i == REFERENCES)
                memset(text + SIZE * 3 / 4, ';', SIZE / 4);
            clock_t start = clock();
            assert_int_equal(tokenizer_encode(tokenizer, text, SIZE, NULL, 0, &count), 0);
            assert_true(count >= 2);
            if (clock() - start > (clock_t)SECONDS * CLOCKS_PER_SEC)
                fail_msg("%d bytes of \"%s\" took %.1f s", SIZE, unit,
                         (double)(clock() - start) / CLOCKS_PER_SEC);
        }
        free(text);
        tokenizer_close(&tokenizer);
    }
}

struct encoding {
    struct thread thread;
    const struct tokenizer *tokenizer;
    size_t wrong;
};

static void encode_all(void *user)
{
    struct encoding *encoding = user;
    json_t *lines = read_lines(EMOJI_CASES), *line;
    size_t i;
    json_array_foreach (lines, i, line) {
        json_t *found = encode_json(encoding->tokenizer, json_object_get(line, "text"));
        encoding->wrong += !json_equal(found, json_object_get(line, "ids_openai"));
        json_decref(found);
    }
    json_decref(lines);
}

static void threads(void **state)
{
    (void)state;
    struct encoding running[4] = {0};
    struct tokenizer *tokenizer = open_tokenizer(EMOJI, TOKENIZER_OPENAI);
    for (size_t i = 0; i < ARRAY_COUNT(running); i++) {
        running[i].tokenizer = tokenizer;
        assert_true(thread_start(&running[i].thread, encode_all, &running[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(running); i++) {
        thread_join(&running[i].thread);
        assert_int_equal(running[i].wrong, 0);
    }
    tokenizer_close(&tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openai_cases),  cmocka_unit_test(openai_long),
        cmocka_unit_test(openai_ftfy),   cmocka_unit_test(hf_cases),
        cmocka_unit_test(openai_decode), cmocka_unit_test(small_vocabulary),
        cmocka_unit_test(emoji_cases),   cmocka_unit_test(emoji_as_openai),
        cmocka_unit_test(emoji_prompts), cmocka_unit_test(added_tokens),
        cmocka_unit_test(cleaning),      cmocka_unit_test(bad_utf8),
        cmocka_unit_test(decoding),      cmocka_unit_test(long_texts),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
