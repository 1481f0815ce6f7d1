/* SPDX-License-Identifier: MIT
 *
 * Files of unigram tokenizers: every kind of broken or foreign file is refused with a message that
 * names the file and says what is wrong with it, and settings that T5's own files do not have do
 * what the references do.
 */
#define _GNU_SOURCE
#include "support/change_json.h"
#include "support/gguf_writer.h"
#include "support/scratch.h"
#include "format/sentencepiece.h"
#include "text/unigram_cases.h"

static const char SPIECE[] = "tests/golden/conditioning/tokenizers/t5-small/spiece.model";
static const char JSON[] = "tests/golden/conditioning/tokenizers/t5-small/tokenizer.json";
static const char CASES[] = "conditioning/tokenizers/t5-small_cases.jsonl";

/* Checks that data in memory are refused with an error that names them. */
static void refused(const void *data, size_t size, int error, const char *message)
{
    struct tokenizer *tokenizer = (struct tokenizer *)(uintptr_t)1;
    assert_failed(tokenizer_parse(data, size, "some file", &tokenizer), error, message);
    assert_null(tokenizer);
    if (!string_begins_with(vkclip_last_error(), "some file: "))
        fail_msg("the message does not name the file: %s", vkclip_last_error());
}

/* Checks that a text has the ids `expected`, written as JSON without brackets. */
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

/* ---- spiece.model ---------------------------------------------------------------------------- */

#define UNKNOWN "\x0a\x09\x0a\x05<unk>\x18\x02"
#define END "\x0a\x08\x0a\x04</s>\x18\x03"
#define PLAIN          \
    "\x0a\x08\x0a\x01" \
    "a\x15\x00\x00\x80\xbf"
#define GOOD UNKNOWN END PLAIN
#define ROW(bytes) bytes, sizeof(bytes) - 1

static const struct {
    const char *data;
    size_t size;
    int error;
    const char *message;
} bad_models[] = {
    {ROW(""), VKCLIP_EFORMAT, "neither a SentencePiece model nor a tokenizer.json"},
    {ROW("\x0a\x09"), VKCLIP_EFORMAT, "neither a SentencePiece model nor a tokenizer.json"},
    {ROW("a text"), VKCLIP_EFORMAT, "neither a SentencePiece model nor a tokenizer.json"},
    {ROW(GOOD "\x0a"), VKCLIP_EFORMAT, "a field is malformed or cut off"},
    {ROW(GOOD "\x0a\x80"), VKCLIP_EFORMAT, "a field is malformed or cut off"},
    {ROW(GOOD "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), VKCLIP_EFORMAT,
     "a field is malformed or cut off"},
    {ROW(GOOD "\x0b"), VKCLIP_EFORMAT, "a field is malformed or cut off"},
    {ROW(GOOD "\x02\x01"), VKCLIP_EFORMAT, "a field is malformed or cut off"},
    {ROW(GOOD "\x0d\x01"), VKCLIP_EFORMAT, "a field is malformed or cut off"},
    {ROW(GOOD "\x0a\x01\x0a"), VKCLIP_EFORMAT, "a piece is malformed or cut off"},
    {ROW(GOOD "\x0a\x02\x15\x01"), VKCLIP_EFORMAT, "a piece is malformed or cut off"},
    {ROW(GOOD "\x0a\x00"), VKCLIP_EFORMAT, "piece 3: expected a text of 1 to 512 bytes"},
    {ROW(GOOD "\x08\x01"), VKCLIP_EFORMAT, "piece 3: expected a text of 1 to 512 bytes"},
    {ROW(GOOD "\x0a\x08\x0a\x01"
              "b\x15\x00\x00\xc0\x7f"),
     VKCLIP_EFORMAT, "piece 3: expected a text of 1 to 512 bytes, a finite score"},
    {ROW(GOOD "\x0a\x05\x0a\x01"
              "b\x18\x07"),
     VKCLIP_EFORMAT, "a type from 1 to 6"},
    {ROW(GOOD "\x0a\x05\x0a\x01"
              "b\x18\x00"),
     VKCLIP_EFORMAT, "a type from 1 to 6"},
    {ROW(END PLAIN), VKCLIP_EFORMAT, "no piece means unknown characters"},
    {ROW(GOOD UNKNOWN), VKCLIP_EFORMAT, "pieces 0 and 3 both mean unknown characters"},
    {ROW(UNKNOWN PLAIN), VKCLIP_EFORMAT, "no piece \"</s>\", with which every text ends"},
    {ROW(GOOD "\x12\x01\x18"), VKCLIP_EFORMAT, "the training specification is malformed"},
    {ROW(GOOD "\x12\x02\x18\x02"), VKCLIP_EUNSUPPORTED,
     "a SentencePiece model of type BPE, expected unigram"},
    {ROW(GOOD "\x12\x03\xc0\x01\x01"), VKCLIP_EUNSUPPORTED, "spaces stand behind words"},
    {ROW(GOOD "\x12\x03\x98\x02\x01"), VKCLIP_EFORMAT, "there is no piece <0x00>"},
    {ROW(GOOD "\x1a\x01\x10"), VKCLIP_EFORMAT, "the normaliser's specification is malformed"},
    {ROW(GOOD "\x1a\x02\x28\x00"), VKCLIP_EUNSUPPORTED, "spaces stay spaces"},
    {ROW(GOOD "\x1a\x03\x12\x01\x00"), VKCLIP_EFORMAT, "has 1 bytes, of which its trie claims 0"},
    {ROW(GOOD "\x1a\x0a\x12\x08\x08\x00\x00\x00\x00\x00\x00\x00"), VKCLIP_EFORMAT,
     "has 8 bytes, of which its trie claims 8"},
    {ROW(GOOD "\x1a\x0b\x12\x09\x04\x00\x00\x00\x00\x00\x00\x00\x01"), VKCLIP_EFORMAT,
     "or it does not end with a NUL"},
};

static void bad_spiece_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_models); i++)
        refused(bad_models[i].data, bad_models[i].size, bad_models[i].error, bad_models[i].message);
}

/* Opens the small spiece.model with more fields after its end, which replace or extend what it
 * says. */
static struct tokenizer *open_extended(const char *more, size_t size)
{
    char *data;
    size_t length;
    struct tokenizer *tokenizer;
    assert_int_equal(file_read(SPIECE, 1 << 20, &data, &length), 0);
    data = realloc(data, length + size);
    assert_non_null(data);
    memcpy(data + length, more, size);
    if (tokenizer_parse(data, length + size, "extended", &tokenizer))
        fail_msg("%s", vkclip_last_error());
    free(data);
    return tokenizer;
}

static void other_spiece_model(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
        const char *text, *ids;
    } rows[] = {
        {ROW(""), "  a \xef\xbc\xa2  a ", "5,4,444,5,1"},
        /* A user-defined piece U+FF22 is searched for before the text is normalised. */
        {ROW("\x0a\x07\x0a\x03\xef\xbc\xa2\x18\x04"), "a \xef\xbc\xa2 a", "5,4,480,5,1"},
        /* An unused piece is not searched for. */
        {ROW("\x0a\x07\x0a\x03\xe7\x8c\xab\x18\x05"), "a\xe7\x8c\xab", "5,2,1"},
        /* remove_extra_whitespaces is false. */
        {ROW("\x1a\x02\x20\x00"), " a  a ", "4,5,4,5,4,1"},
        /* add_dummy_prefix is false. */
        {ROW("\x1a\x02\x18\x00"), " a a", "479,5,1"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct tokenizer *tokenizer = open_extended(rows[i].data, rows[i].size);
        has_ids(tokenizer, rows[i].text, rows[i].ids);
        tokenizer_close(&tokenizer);
    }
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

/* What a file is written with in place of what the model has. */
struct gguf_fault {
    size_t scores, kinds; /* elements that the lists lack */
    uint32_t kind;        /* the kind of the last piece; 0: its own */
    bool no_end;
    uint32_t unknown; /* added to its id */
    bool text_map;    /* The map of characters is a list of numbers. */
};

static void put_model(struct gguf_writer *w, const struct sentencepiece *model,
                      const struct gguf_fault *fault)
{
    put_key_text(w, "tokenizer.ggml.model", "t5");
    put_key_array(w, "tokenizer.ggml.tokens", GGUF_STRING, model->count);
    for (size_t i = 0; i < model->count; i++) {
        put_u64(w, model->pieces[i].length);
        put(w, model->pieces[i].text, model->pieces[i].length);
    }
    put_key_array(w, "tokenizer.ggml.scores", GGUF_F32, model->count - fault->scores);
    for (size_t i = 0; i < model->count - fault->scores; i++) {
        const float score = (float)model->pieces[i].score;
        put(w, &score, sizeof(score));
    }
    put_key_array(w, "tokenizer.ggml.token_type", GGUF_I32, model->count - fault->kinds);
    for (size_t i = 0; i < model->count - fault->kinds; i++)
        put_u32(w, i + 1 == model->count && fault->kind ? fault->kind : model->pieces[i].kind);
    put_key_array(w, "tokenizer.ggml.precompiled_charsmap", fault->text_map ? GGUF_I16 : GGUF_I8,
                  model->charsmap_size / (fault->text_map ? 2 : 1));
    put(w, model->charsmap, model->charsmap_size);
    put_key_bool(w, "tokenizer.ggml.add_space_prefix", model->prefix_space);
    put_key_bool(w, "tokenizer.ggml.remove_extra_whitespaces", model->remove_spaces);
    put_key_u32(w, "tokenizer.ggml.unknown_token_id", (uint32_t)model->unknown + fault->unknown);
    put_key_u32(w, "tokenizer.ggml.padding_token_id", (uint32_t)model->pad);
    if (!fault->no_end)
        put_key_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)model->end);
}

/* Writes the small model as GGUF in memory and opens the tokenizer in it. */
static int open_gguf(const struct gguf_fault *fault, struct tokenizer **tokenizer)
{
    struct gguf_writer w = {0};
    struct sentencepiece model;
    struct gguf *file;
    char *data;
    size_t size;
    assert_int_equal(file_read(SPIECE, 1 << 20, &data, &size), 0);
    assert_int_equal(sentencepiece_parse(data, size, SPIECE, &model), 0);
    put(&w, "GGUF", 4);
    put_u32(&w, 3);
    put_u64(&w, 0);
    put_u64(&w, fault->no_end ? 9 : 10);
    put_model(&w, &model, fault);
    pad_to(&w, 32);
    if (gguf_parse(w.data, w.size, "some file", &file))
        fail_msg("%s", vkclip_last_error());
    int error = tokenizer_from_gguf(file, tokenizer);
    gguf_close(&file);
    sentencepiece_close(&model);
    free(w.data);
    free(data);
    return error;
}

static void test_gguf(void **state)
{
    (void)state;
    static const struct {
        struct gguf_fault fault;
        const char *message;
    } rows[] = {
        {{.scores = 1}, "expected lists of the same length"},
        {{.kinds = 1}, "expected lists of the same length"},
        {{.kind = 7}, "token 479: expected at most 512 bytes, a finite score and a type from 1"},
        {{.no_end = true}, "tokenizer.ggml.eos_token_id"},
        {{.unknown = 478}, "tokenizer.ggml.unknown_token_id: expected an id below 480"},
        {{.text_map = true}, "tokenizer.ggml.precompiled_charsmap: expected a list of bytes"},
    };
    static const char *const keys[] = {"ids_spm", NULL};
    struct tokenizer *tokenizer;
    assert_int_equal(open_gguf(&(struct gguf_fault){0}, &tokenizer), 0);
    assert_int_equal(tokenizer_pad(tokenizer), 0);
    compare_unigram_cases(tokenizer, CASES, keys, "GGUF");
    tokenizer_close(&tokenizer);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_failed(open_gguf(&rows[i].fault, &tokenizer), VKCLIP_EFORMAT, rows[i].message);
        assert_null(tokenizer);
    }
}

/* ---- safetensors ----------------------------------------------------------------------------- */

static void test_tensor(void **state)
{
    (void)state;
    static const char *const keys[] = {"ids_spm", NULL};
    char *folder = scratch_folder(), *path = scratch_path(folder, "some file"), *data;
    struct tokenizer *tokenizer;
    size_t size;
    assert_int_equal(file_read(SPIECE, 1 << 20, &data, &size), 0);
    struct tensor_view tensor = {.name = "spiece_model",
                                 .dtype = DTYPE_U8,
                                 .rank = 1,
                                 .shape = {size},
                                 .data = data,
                                 .size = size};
    assert_int_equal(safetensors_write(path, &tensor, 1, NULL), 0);
    assert_int_equal(tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer), 0);
    compare_unigram_cases(tokenizer, CASES, keys, path);
    tokenizer_close(&tokenizer);
    tensor.dtype = DTYPE_I8;
    assert_int_equal(safetensors_write(path, &tensor, 1, NULL), 0);
    assert_failed(tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer), VKCLIP_EFORMAT,
                  "a tensor \"spiece_model\" of type U8");
    assert_null(tokenizer);
    free(data);
    free(path);
    scratch_remove(folder);
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static const struct {
    const char *place, *value;
    int error;
    const char *message;
} bad_json[] = {
    {"model.unk_id", "null", VKCLIP_EFORMAT, "model.unk_id: expected the id of the piece"},
    {"model.unk_id", "-1", VKCLIP_EFORMAT, "model.unk_id"},
    {"model.unk_id", "580", VKCLIP_EFORMAT, "0 to 579"},
    {"model.vocab", "[]", VKCLIP_EFORMAT, "0 pieces in model.vocab"},
    {"model.vocab", "{}", VKCLIP_EFORMAT, "0 pieces in model.vocab"},
    {"model.vocab.3", "[\",\"]", VKCLIP_EFORMAT, "piece 3 of model.vocab"},
    {"model.vocab.3", "[\",\",-1,2]", VKCLIP_EFORMAT, "piece 3 of model.vocab"},
    {"model.vocab.3", "[\"\",-1]", VKCLIP_EFORMAT, "piece 3 of model.vocab"},
    {"model.vocab.3", "[1,-1]", VKCLIP_EFORMAT, "piece 3 of model.vocab"},
    {"model.vocab.3", "[\",\",\"-1\"]", VKCLIP_EFORMAT, "piece 3 of model.vocab"},
    {"model.vocab.3", "null", VKCLIP_EFORMAT, "piece 3 of model.vocab"},
    {"model.byte_fallback", "true", VKCLIP_EFORMAT, "there is no piece <0x00>"},
    {"added_tokens.0.id", "1", VKCLIP_EFORMAT, "added token 0 has the id 1 of \"</s>\""},
    {"added_tokens.3.id", "-1", VKCLIP_EUNSUPPORTED, "added token 3: expected a text"},
    {"added_tokens.3.id", "683", VKCLIP_EUNSUPPORTED, "an id below 683"},
    {"added_tokens.3.id", "\"480\"", VKCLIP_EUNSUPPORTED, "added token 3"},
    {"added_tokens.3.content", "\"\"", VKCLIP_EUNSUPPORTED, "added token 3"},
    {"added_tokens.3.single_word", "true", VKCLIP_EUNSUPPORTED, "need not be a whole word"},
    {"added_tokens.3.id", "581", VKCLIP_EFORMAT, "no piece and no added token has the id 580"},
    {"normalizer.type", "\"NFC\"", VKCLIP_EUNSUPPORTED,
     "normalizer \"NFC\" is not known, expected Precompiled, Strip"},
    {"normalizer", "[]", VKCLIP_EUNSUPPORTED, "normalizer"},
    {"normalizer.precompiled_charsmap", "null", VKCLIP_EUNSUPPORTED, "one precompiled_charsmap"},
    {"normalizer.precompiled_charsmap", "\"!\"", VKCLIP_EFORMAT, "is not base64"},
    {"normalizer.precompiled_charsmap", "\"AAAA\"", VKCLIP_EFORMAT, "the map of characters"},
    {"normalizer", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"b\"}",
     VKCLIP_EUNSUPPORTED, "normalizer \"Replace\" is not known, expected a text"},
    {"normalizer", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[a-z]\"},\"content\":\"b\"}",
     VKCLIP_EUNSUPPORTED, "normalizer \"Replace\" is not known, expected a text"},
    {"normalizer", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[\\\\d]\"},\"content\":\"b\"}",
     VKCLIP_EUNSUPPORTED, "characters in brackets"},
    {"pre_tokenizer", "null", VKCLIP_EUNSUPPORTED, "pre_tokenizer"},
    {"pre_tokenizer.pretokenizers", "[]", VKCLIP_EUNSUPPORTED, "WhitespaceSplit and Metaspace"},
    {"pre_tokenizer.pretokenizers.0.type", "\"Digits\"", VKCLIP_EUNSUPPORTED,
     "pre_tokenizer \"Digits\""},
    {"pre_tokenizer.pretokenizers.1.type", "\"ByteLevel\"", VKCLIP_EUNSUPPORTED,
     "pre_tokenizer \"ByteLevel\" is not known, expected Metaspace"},
    {"pre_tokenizer.pretokenizers.1.replacement", "\"_\"", VKCLIP_EUNSUPPORTED, "U+2581"},
    {"pre_tokenizer.pretokenizers.1.prepend_scheme", "\"last\"", VKCLIP_EUNSUPPORTED,
     "always, first or never"},
    {"post_processor", "null", VKCLIP_EUNSUPPORTED, "post_processor"},
    {"post_processor.single.1", NULL, VKCLIP_EUNSUPPORTED, "one token after the text"},
    {"post_processor.special_tokens", "{}", VKCLIP_EFORMAT, "one id below 580"},
    {"post_processor.special_tokens.</s>.ids", "[580]", VKCLIP_EFORMAT, "one id below 580"},
    {"post_processor.special_tokens.</s>.ids", "[1,1]", VKCLIP_EFORMAT, "for the token \"</s>\""},
};

static void bad_tokenizer_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_json); i++) {
        json_t *root = json_load_file(JSON, 0, NULL);
        change_json(root, bad_json[i].place, bad_json[i].value);
        char *text = json_dumps(root, JSON_COMPACT);
        refused(text, strlen(text), bad_json[i].error, bad_json[i].message);
        free(text);
        json_decref(root);
    }
}

#define TOKEN(id, content, more) "{\"id\":" #id ",\"content\":\"" content "\"" more "}"
#define METASPACE(more) "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\"" more "}"

/* The pieces 3 to 8 are for words of "a" and "b". */
static const char SMALL[] =
    "{\"added_tokens\":[" TOKEN(0, "<pad>", "") "," TOKEN(1, "</s>", "") "," TOKEN(
        2, "<unk>", "") "," TOKEN(9, "<x>",
                                  "") "],\"normalizer\":null,"
                                      "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
                                      "{\"type\":\"WhitespaceSplit\"}," METASPACE(
                                          "") "]},"
                                              "\"post_processor\":{\"type\":\"TemplateProcessing\","
                                              "\"single\":[{\"Sequence\":{\"id\":\"A\"}},"
                                              "{\"SpecialToken\":{\"id\":\"</"
                                              "s>\"}}],\"special_tokens\":{\"</s>\":{\"ids\":[1]},"
                                              "\"<pad>\":{\"ids\":[0]}}},"
                                              "\"model\":{\"type\":\"Unigram\",\"unk_id\":2,"
                                              "\"vocab\":[[\"<pad>\",0],[\"</s>\",0],"
                                              "[\"<unk>\",0],[\"\u2581\",-2],[\"a\",-3],[\"b\",-3],"
                                              "[\"\u2581a\",-1],[\"ab\",-1.5],"
                                              "[\"b\u2581a\",-0.5]]}}";

static const struct {
    const char *place, *value; /* the change */
    const char *text, *ids;
} other_json[] = {
    {"normalizer", "null", "a b<x>a", "6,3,5,9,6,1"},
    {"normalizer", "null", "", "1"},
    {"normalizer", "null", "\ta\u3000 a\n", "6,6,1"},
    {"normalizer", "null", "aQQ Q\u2581Q", "6,2,3,2,3,2,1"},
    {"normalizer", "null", "a<unk>a", "6,2,6,1"},
    {"model.type", NULL, "a b", "6,3,5,1"},
    /* Words are kept together where Metaspace does not split. */
    {"pre_tokenizer", METASPACE(""), "ab a", "3,7,6,1"},
    {"pre_tokenizer", METASPACE(",\"split\":false"), "ab a", "6,8,1"},
    {"pre_tokenizer", METASPACE(",\"prepend_scheme\":\"never\""), "a b", "4,3,5,1"},
    {"pre_tokenizer", METASPACE(",\"add_prefix_space\":false"), "a b", "4,3,5,1"},
    {"pre_tokenizer", METASPACE(",\"prepend_scheme\":\"first\""), "a<x>a <x> a", "6,9,4,3,9,6,1"},
    {"pre_tokenizer", METASPACE(",\"prepend_scheme\":\"first\""), "<x>a", "9,4,1"},
    {"normalizer", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"bb\"},\"content\":\"a\"}",
     "bbb", "3,7,1"},
    {"normalizer", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[\\\\.b]\"},\"content\":\"\"}",
     "b.a.b", "6,1"},
    {"normalizer", "{\"type\":\"Lowercase\"}", "A", "6,1"},
    {"normalizer", "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":false}", "  a", "6,1"},
    /* An added token may take the white space beside it. */
    {"added_tokens.3", TOKEN(9, "<x>", ",\"lstrip\":true,\"rstrip\":true"), "a <x> <x> a",
     "6,9,9,6,1"},
    /* A normalised one is searched for in the normalised text. */
    {"added_tokens.3", TOKEN(9, "b", ",\"normalized\":true"), "aba", "6,9,6,1"},
    {"post_processor.single",
     "[{\"SpecialToken\":{\"id\":\"<pad>\"}},{\"Sequence\":{\"id\":\"A\"}},"
     "{\"SpecialToken\":{\"id\":\"</s>\"}}]",
     "a", "0,6,1"},
};

static void other_tokenizer_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(other_json); i++) {
        struct tokenizer *tokenizer;
        json_t *root = json_loads(SMALL, 0, NULL);
        assert_non_null(root);
        change_json(root, other_json[i].place, other_json[i].value);
        char *text = json_dumps(root, JSON_COMPACT);
        if (tokenizer_parse(text, strlen(text), other_json[i].place, &tokenizer))
            fail_msg("%s", vkclip_last_error());
        has_ids(tokenizer, other_json[i].text, other_json[i].ids);
        tokenizer_close(&tokenizer);
        free(text);
        json_decref(root);
    }
}

/* The pad token is that of tokenizer_config.json, else "<pad>", else the end of text. */
static void test_pad(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        int32_t pad;
    } rows[] = {{NULL, 0}, {"{\"pad_token\":\"</s>\"}", 1}, {"{\"pad_token\":null}", 0}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, "tokenizer.json");
        struct tokenizer *tokenizer;
        scratch_text(folder, "tokenizer.json", SMALL);
        if (rows[i].config)
            scratch_text(folder, "tokenizer_config.json", rows[i].config);
        assert_int_equal(tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer), 0);
        assert_int_equal(tokenizer_pad(tokenizer), rows[i].pad);
        tokenizer_close(&tokenizer);
        free(path);
        scratch_remove(folder);
    }
    struct tokenizer *tokenizer;
    assert_int_equal(tokenizer_parse(GOOD, sizeof(GOOD) - 1, "no pad", &tokenizer), 0);
    assert_int_equal(tokenizer_pad(tokenizer), 1);
    assert_int_equal(tokenizer_size(tokenizer), 3);
    tokenizer_close(&tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_spiece_model),   cmocka_unit_test(other_spiece_model),
        cmocka_unit_test(test_gguf),          cmocka_unit_test(test_tensor),
        cmocka_unit_test(bad_tokenizer_json), cmocka_unit_test(other_tokenizer_json),
        cmocka_unit_test(test_pad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
