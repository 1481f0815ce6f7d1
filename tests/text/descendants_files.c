/* SPDX-License-Identifier: MIT
 *
 * Files of Gemma's and BERT's tokenizers, and what tokenizer_config.json decides: every kind of
 * broken or foreign file is refused with a message that names the file and says what is wrong with
 * it, and small vocabularies show what each setting does, also without the larger reference data.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/change_json.h"
#include "support/scratch.h"
#include "text/unigram_cases.h"

static const char SPIECE[] = "tests/golden/conditioning/tokenizers/t5-small/spiece.model";

#define TEMPLATE(before, after)                                                             \
    "{\"type\":\"TemplateProcessing\",\"single\":[" before "{\"Sequence\":{\"id\":\"A\"}}," \
    "{\"SpecialToken\":{\"id\":\"" after "\"}}],\"special_tokens\":{"

static const char WORDPIECE[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"[PAD]\",\"special\":true},"
    "{\"id\":1,\"content\":\"[UNK]\",\"special\":true},"
    "{\"id\":2,\"content\":\"[CLS]\",\"special\":true},"
    "{\"id\":3,\"content\":\"[SEP]\",\"special\":true}],"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
    "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},"
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"post_processor\":" TEMPLATE(
        "{\"SpecialToken\":{\"id\":\"[CLS]\"}},",
        "[SEP]") "\"[CLS]\":{\"ids\":[2]},\"[SEP]\":{\"ids\":[3]}}},"
                 "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
                 "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":4,"
                 "\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"a\":4,\"##b\":5,"
                 "\"ab\":6,"
                 "\"##a\":7,\"!\":8,\"\u732b\":9,\"A\":10}}}";

/* Makes the JSON of a small tokenizer of Gemma's form, whose bytes are the ids from 10 on. */
static json_t *make_gemma(void)
{
    static const char head[] =
        "{\"added_tokens\":[{\"id\":0,\"content\":\"<pad>\",\"special\":true},"
        "{\"id\":1,\"content\":\"<eos>\",\"special\":true}],"
        "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" "
        "\"},\"content\":\"\u2581\"},"
        "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},"
        "\"behavior\":\"MergedWithPrevious\",\"invert\":false},"
        "\"post_processor\":" TEMPLATE(
            "", "<eos>") "\"<eos>\":{\"ids\":[1]}}},"
                         "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"fuse_unk\":true,"
                         "\"unk_token\":\"<unk>\",\"merges\":[[\"a\",\"b\"],[\"\u2581\",\"ab\"]],"
                         "\"vocab\":{\"<pad>\":0,\"<eos>\":1,\"<unk>\":2,\"a\":3,\"b\":4,"
                         "\"\u2581\":5,\"ab\":6,"
                         "\"\u2581ab\":7,\"A\":8,\"c\":9}}}";
    json_t *root = json_loads(head, 0, NULL);
    assert_non_null(root);
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof(text), "<0x%02X>", (unsigned)byte);
        json_object_set_new(vocab, text, json_integer(10 + byte));
    }
    return root;
}

struct change {
    const char *place, *value; /* the change */
    int error;
    const char *message;
};

static void refuse_changes(json_t *(*make)(void), const struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tokenizer *tokenizer;
        json_t *root = make();
        change_json(root, changes[i].place, changes[i].value);
        char *text = json_dumps(root, JSON_COMPACT);
        assert_failed(tokenizer_parse(text, strlen(text), "some file", &tokenizer),
                      changes[i].error, changes[i].message);
        assert_null(tokenizer);
        free(text);
        json_decref(root);
    }
}

static void has_ids(const struct tokenizer *tokenizer, const char *text, const char *expected)
{
    char *array = string_format("[%s]", expected);
    json_t *string = json_string(text), *ids = json_loads(array, 0, NULL);
    assert_non_null(ids);
    compare_unigram_ids(tokenizer, string, ids, expected);
    json_decref(string);
    json_decref(ids);
    free(array);
}

static void has_text(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                     const char *expected)
{
    char *text;
    assert_int_equal(tokenizer_decode(tokenizer, ids, count, &text), 0);
    assert_string_equal(text, expected);
    free(text);
}

/* ---- WordPiece ------------------------------------------------------------------------------- */

static json_t *make_wordpiece(void)
{
    json_t *root = json_loads(WORDPIECE, 0, NULL);
    assert_non_null(root);
    return root;
}

static void bad_wordpiece(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {"normalizer.type", "\"NFC\"", VKCLIP_EUNSUPPORTED, "normalizer \"NFC\" is not known"},
        {"pre_tokenizer.type", "\"Whitespace\"", VKCLIP_EUNSUPPORTED,
         "pre_tokenizer \"Whitespace\" is not known, expected BertPreTokenizer"},
        {"model.vocab", "[]", VKCLIP_EFORMAT, "model: expected a vocab"},
        {"model.unk_token", "1", VKCLIP_EFORMAT, "model: expected a vocab, an unk_token"},
        {"model.unk_token", "\"<unk>\"", VKCLIP_EFORMAT, "no token \"<unk>\""},
        {"model.continuing_subword_prefix", "\"@\"", VKCLIP_EFORMAT, "\"##\""},
        {"model.max_input_chars_per_word", "0", VKCLIP_EFORMAT, "from 1 to 10000"},
        {"model.max_input_chars_per_word", "1e9", VKCLIP_EFORMAT, "from 1 to 10000"},
        {"model.vocab.a", "11", VKCLIP_EFORMAT, "is not one of 0 to 10"},
        {"post_processor", "null", VKCLIP_EUNSUPPORTED, "post_processor"},
        {"post_processor.special_tokens.[SEP].ids.0", "11", VKCLIP_EFORMAT, "one id below 11"},
        {"post_processor", "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",11]}", VKCLIP_EFORMAT,
         "expected cls and sep with ids below 11"},
    };
    refuse_changes(make_wordpiece, changes, ARRAY_COUNT(changes));
}

static void small_wordpiece(void **state)
{
    (void)state;
    struct tokenizer *tokenizer;
    assert_int_equal(tokenizer_parse(WORDPIECE, strlen(WORDPIECE), "small", &tokenizer), 0);
    assert_int_equal(tokenizer_pad(tokenizer), 0);
    has_ids(tokenizer, "", "2,3");
    has_ids(tokenizer, "ab AB\xc3\xa1! aba", "2,6,6,7,8,6,7,3");
    has_ids(tokenizer, "abbbb abab ac", "2,1,6,7,5,1,3");
    has_ids(tokenizer,
            "a\xe7\x8c\xab"
            "b [SEP]",
            "2,4,9,1,3,3");
    has_text(tokenizer, (const int32_t[]){2, 6, 7, 8, 4, 3}, 6, "aba! a");
    tokenizer_clean(tokenizer, CLEANING_CANONICALIZE, true);
    has_ids(tokenizer, "A_b!", "2,4,1,0");
    assert_int_equal(tokenizer_end(tokenizer), 0);
    tokenizer_close(&tokenizer);
}

static void vocab_txt(void **state)
{
    (void)state;
    static const struct {
        const char *vocab, *config; /* NULL: no such file */
        const char *text, *ids;     /* ids NULL: the text is the message */
    } rows[] = {
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nA\n", NULL, "A a", "2,4,4,3"},
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nA", "{\"do_lower_case\":false}", "A a", "2,5,4,3"},
        {"[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\n", "{\"pad_token\":\"a\"}", "a", "2,4,3"},
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\n\xe7\x8c\xab\n", "{\"tokenize_chinese_chars\":false}",
         "\xe7\x8c\xab\xe7\x8c\xab", "2,1,3"},
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\n\xc3\xa1\n", "{\"strip_accents\":false}", "\xc3\xa1",
         "2,4,3"},
        {"[PAD]\n[UNK]\n[CLS]\n", NULL, "no line \"[SEP]\"", NULL},
        {"[PAD]\n[UNK]\n[UNK]\n", NULL, "line 3: \"[UNK]\" is there already", NULL},
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\n", "{\"do_basic_tokenize\":false}", "do_basic_tokenize false",
         NULL},
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\n", "{\"pad_token\":\"b\"}", "is not in the vocabulary", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, "vocab.txt");
        struct tokenizer *tokenizer = NULL;
        scratch_text(folder, "vocab.txt", rows[i].vocab);
        if (rows[i].config)
            scratch_text(folder, "tokenizer_config.json", rows[i].config);
        const int error = tokenizer_open(path, TOKENIZER_HF, &tokenizer);
        if (rows[i].ids && !error)
            has_ids(tokenizer, rows[i].text, rows[i].ids);
        else if (rows[i].ids || !error || !strstr(vkclip_last_error(), rows[i].text))
            fail_msg("row %zu: %s", i, vkclip_last_error());
        tokenizer_close(&tokenizer);
        free(path);
        scratch_remove(folder);
    }
}

/* ---- Gemma ----------------------------------------------------------------------------------- */

static void bad_gemma(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {"model.dropout", "0.1", VKCLIP_EUNSUPPORTED, "model.dropout: expected none"},
        {"model.end_of_word_suffix", "\"</w>\"", VKCLIP_EUNSUPPORTED, "end_of_word_suffix"},
        {"model.ignore_merges", "true", VKCLIP_EUNSUPPORTED, "ignore_merges: expected false"},
        {"model.merges", "{}", VKCLIP_EFORMAT, "no list of merges"},
        {"model.merges.0", "[\"a\",\"c\"]", VKCLIP_EFORMAT, "merge 1 names or makes a token"},
        {"model.vocab.<0x41>", NULL, VKCLIP_EFORMAT, "is not one of 0 to 264"},
        {"pre_tokenizer.behavior", "\"Isolated\"", VKCLIP_EUNSUPPORTED,
         "pre_tokenizer \"Split\" is not known"},
        {"normalizer.pattern", "{\"Regex\":\"x+\"}", VKCLIP_EUNSUPPORTED, "normalizer \"Replace\""},
        {"post_processor.single.0", NULL, VKCLIP_EUNSUPPORTED, "post_processor"},
    };
    refuse_changes(make_gemma, changes, ARRAY_COUNT(changes));
}

static void small_gemma(void **state)
{
    (void)state;
    static const struct {
        const char *config, *ids; /* of "ab ab A\u00e9" */
    } rows[] = {
        {NULL, "6,7,5,8,205,179,1"},
        {"{\"tokenizer_class\":\"GemmaTokenizer\"}", "6,7,5,8,205,179,1"},
        {"{\"tokenizer_class\":\"GemmaTokenizerFast\",\"do_lower_case\":true}",
         "6,7,5,3,205,179,1"},
        {"{\"tokenizer_class\":\"Siglip2Tokenizer\"}", "6,7,5,3,205,179,1"},
    };
    json_t *root = make_gemma();
    char *json = json_dumps(root, JSON_COMPACT);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, "tokenizer.json");
        struct tokenizer *tokenizer;
        scratch_text(folder, "tokenizer.json", json);
        if (rows[i].config)
            scratch_text(folder, "tokenizer_config.json", rows[i].config);
        assert_int_equal(tokenizer_open(path, TOKENIZER_HF, &tokenizer), 0);
        has_ids(tokenizer, "ab ab A\xc3\xa9", rows[i].ids);
        has_text(tokenizer, (const int32_t[]){6, 7, 5, 8, 205, 179, 1}, 7, "ab ab A\xc3\xa9");
        assert_int_equal(tokenizer_pad(tokenizer), 0);
        tokenizer_close(&tokenizer);
        free(path);
        scratch_remove(folder);
    }
    free(json);
    json_decref(root);
}

/* A long text takes little more time than in proportion to its length, because all of it is one
 * word. */
static void long_gemma(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    json_t *root = make_gemma();
    char *json = json_dumps(root, JSON_COMPACT), *text = malloc(SIZE);
    struct tokenizer *tokenizer;
    size_t count;
    assert_int_equal(tokenizer_parse(json, strlen(json), "small", &tokenizer), 0);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = "ab "[i % 3];
    assert_int_equal(tokenizer_encode(tokenizer, text, SIZE, NULL, 0, &count), 0);
    assert_int_equal(count, SIZE / 3 + 3);
    tokenizer_close(&tokenizer);
    free(text);
    free(json);
    json_decref(root);
}

/* ---- Classes of SentencePiece's files -------------------------------------------------------- */

static void sentencepiece_classes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *config, *message;
    } rows[] = {
        {"spiece.model", "{\"tokenizer_class\":\"AlbertTokenizer\"}",
         "tokenizer_class AlbertTokenizer in tokenizer_config.json is not known"},
        {"sentencepiece.bpe.model", NULL, "expected the pieces <unk>, <s> and </s> first"},
        {"spiece.model", "{\"tokenizer_class\":\"XLMRobertaTokenizerFast\"}",
         "expected the pieces <unk>, <s> and </s> first"},
        {"spiece.model", "{\"tokenizer_class\":\"SiglipTokenizer\",\"pad_token\":\"nowhere\"}",
         "pad_token \"nowhere\" is not in the vocabulary"},
        {"spiece.model", "[", "tokenizer_config.json: line 1: not JSON"},
        {"spiece.model",
         "{\"tokenizer_class\":\"T5Tokenizer\",\"model_max_length\":"
         "1000000000000000019884624838656}",
         NULL},
    };
    char *data;
    size_t size;
    assert_int_equal(file_read(SPIECE, 1 << 20, &data, &size), 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, rows[i].name);
        struct tokenizer *tokenizer;
        scratch_write(folder, rows[i].name, data, size);
        if (rows[i].config)
            scratch_text(folder, "tokenizer_config.json", rows[i].config);
        const int error = tokenizer_open(path, TOKENIZER_HF, &tokenizer);
        if (rows[i].message && (!error || !strstr(vkclip_last_error(), rows[i].message)))
            fail_msg("row %zu: %s", i, vkclip_last_error());
        assert_true(rows[i].message || !error);
        tokenizer_close(&tokenizer);
        free(path);
        scratch_remove(folder);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_wordpiece),
        cmocka_unit_test(small_wordpiece),
        cmocka_unit_test(vocab_txt),
        cmocka_unit_test(bad_gemma),
        cmocka_unit_test(small_gemma),
        cmocka_unit_test(long_gemma),
        cmocka_unit_test(sentencepiece_classes),
    };
    return cmocka_run_group_tests_name("descendants_files", tests, NULL, NULL);
}
