/* SPDX-License-Identifier: MIT
 *
 * Files of vocabularies: every kind of broken or foreign file is refused with a message that names
 * the file and says what is wrong with it, and the pad token is found in each file that may name
 * it.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/string.h"
#include "support/change_json.h"
#include "support/scratch.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <zlib.h>

static const char EMOJI[] = "models/emoji-clip/tokenizer.json";

/* Checks that opening FOLDER/`name` fails with an error that names the file, and leaves nothing
 * open.
 */
static void refused(const char *folder, const char *name, int error, const char *message)
{
    struct tokenizer *tokenizer = (struct tokenizer *)(uintptr_t)1;
    char *path = scratch_path(folder, name);
    assert_failed(tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer), error, message);
    assert_null(tokenizer);
    if (!strstr(vkclip_last_error(), folder))
        fail_msg("the message does not name the file: %s", vkclip_last_error());
    free(path);
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static const struct {
    const char *place, *value;
    int error;
    const char *message;
} bad_json[] = {
    {"model", "1", VKCLIP_EIO, "merges.txt: no such file"},
    {"model", "{}", VKCLIP_EUNSUPPORTED, "byte-pair encoding (BPE) with end_of_word_suffix"},
    {"model.type", "\"WordLevel\"", VKCLIP_EUNSUPPORTED, "byte-pair encoding"},
    {"model.type", "1", VKCLIP_EUNSUPPORTED, "byte-pair encoding"},
    {"model.end_of_word_suffix", "null", VKCLIP_EUNSUPPORTED, "\"</w>\""},
    {"model.end_of_word_suffix", "\"</W>\"", VKCLIP_EUNSUPPORTED, "\"</w>\""},
    {"model.continuing_subword_prefix", "\"##\"", VKCLIP_EUNSUPPORTED, "continuing_subword_prefix"},
    {"model.dropout", "0.1", VKCLIP_EUNSUPPORTED, "dropout"},
    {"model.fuse_unk", "true", VKCLIP_EUNSUPPORTED, "fuse_unk"},
    {"model.byte_fallback", "true", VKCLIP_EUNSUPPORTED, "end_of_word_suffix: expected none"},
    {"model.ignore_merges", "true", VKCLIP_EUNSUPPORTED, "ignore_merges"},
    {"model.vocab", NULL, VKCLIP_EFORMAT, "no vocab"},
    {"model.vocab", "[]", VKCLIP_EFORMAT, "no vocab"},
    {"model.vocab", "{}", VKCLIP_EFORMAT, "id of token \"<|startoftext|>\" is not one of 0 to 1"},
    {"model.merges", NULL, VKCLIP_EFORMAT, "no list of merges"},
    {"model.merges", "{}", VKCLIP_EFORMAT, "no list of merges"},
    {"model.vocab.!", "-1", VKCLIP_EFORMAT, "id of token \"!\" is not one of 0 to 2239"},
    {"model.vocab.!", "2240", VKCLIP_EFORMAT, "id of token \"!\""},
    {"model.vocab.!", "9223372036854775807", VKCLIP_EFORMAT, "id of token \"!\""},
    {"model.vocab.!", "0.0", VKCLIP_EFORMAT, "id of token \"!\""},
    {"model.vocab.!", "\"0\"", VKCLIP_EFORMAT, "id of token \"!\""},
    {"model.vocab.!", "null", VKCLIP_EFORMAT, "id of token \"!\""},
    {"model.vocab.!", "1", VKCLIP_EFORMAT, "have the same id 1"},
    {"model.vocab.!", NULL, VKCLIP_EFORMAT, "is not one of 0 to 2238"},
    {"model.vocab.zzzz", "2241", VKCLIP_EFORMAT, "id of token \"zzzz\" is not one of 0 to 2240"},
    {"model.merges.7", "\"ab\"", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "\"a b c\"", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "\"a  b\"", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "\" b\"", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "\"a \"", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "\"\"", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "[]", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "[\"a\"]", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "[\"a\",\"b\",\"c\"]", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "[\"a\",1]", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "7", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "null", VKCLIP_EFORMAT, "merge 8 is neither"},
    {"model.merges.7", "\"a nowhere\"", VKCLIP_EFORMAT, "merge 8 names or makes a token"},
    {"model.merges.7", "[\"q\",\"x\"]", VKCLIP_EFORMAT, "merge 8 names or makes a token"},
    {"normalizer", NULL, VKCLIP_EUNSUPPORTED, "normalizer is not that of a CLIP tokenizer"},
    {"normalizer", "null", VKCLIP_EUNSUPPORTED, "normalizer"},
    {"normalizer.type", "\"Other\"", VKCLIP_EUNSUPPORTED, "normalizer"},
    {"normalizer.normalizers.0.type", "\"NFKC\"", VKCLIP_EUNSUPPORTED, "normalizer"},
    {"normalizer.normalizers.2", NULL, VKCLIP_EUNSUPPORTED, "normalizer"},
    {"normalizer.normalizers.3", "{\"type\":\"StripAccents\"}", VKCLIP_EUNSUPPORTED, "normalizer"},
    {"normalizer.normalizers.1.content", "\"\"", VKCLIP_EUNSUPPORTED, "normalizer"},
    {"pre_tokenizer", NULL, VKCLIP_EUNSUPPORTED, "pre_tokenizer"},
    {"pre_tokenizer", "{\"type\":\"Whitespace\"}", VKCLIP_EUNSUPPORTED, "pre_tokenizer"},
    {"pre_tokenizer.type", "1", VKCLIP_EUNSUPPORTED, "pre_tokenizer"},
    {"pre_tokenizer.pretokenizers.2", "{\"type\":\"Digits\"}", VKCLIP_EUNSUPPORTED,
     "pre_tokenizer"},
    {"pre_tokenizer.pretokenizers.0.pattern.Regex", "\"\\\\s+\"", VKCLIP_EUNSUPPORTED,
     "pre_tokenizer"},
    {"pre_tokenizer.pretokenizers.0.invert", "false", VKCLIP_EUNSUPPORTED, "pre_tokenizer"},
    {"pre_tokenizer.pretokenizers.1.type", "\"Metaspace\"", VKCLIP_EUNSUPPORTED, "pre_tokenizer"},
    {"pre_tokenizer.pretokenizers.1.add_prefix_space", "true", VKCLIP_EUNSUPPORTED,
     "pre_tokenizer"},
    {"post_processor.type", "\"BertProcessing\"", VKCLIP_EUNSUPPORTED, "post_processor"},
    {"post_processor.cls", NULL, VKCLIP_EUNSUPPORTED, "post_processor"},
    {"post_processor.sep.1", "\"2239\"", VKCLIP_EUNSUPPORTED, "post_processor"},
    {"post_processor.sep.1", "5", VKCLIP_EFORMAT, "post_processor has other ids"},
    {"post_processor.cls.0", "\"[CLS]\"", VKCLIP_EFORMAT,
     "no token \"[CLS]\", with which every text starts"},
    {"post_processor.sep.0", "\"\"", VKCLIP_EFORMAT, "no token \"\", with which every text ends"},
    {"added_tokens.0.id", "7", VKCLIP_EFORMAT, "added token 0 has another id than its text"},
    {"added_tokens.0.id", NULL, VKCLIP_EFORMAT, "added token 0"},
    {"added_tokens.0.content", "7", VKCLIP_EFORMAT, "added token 0"},
    {"added_tokens.1", "7", VKCLIP_EFORMAT, "added token 1"},
    {"added_tokens.0.single_word", "true", VKCLIP_EUNSUPPORTED, "whole words only"},
    {"added_tokens.2", "{\"content\":\"<new>\",\"id\":2241}", VKCLIP_EFORMAT, "token \"<new>\""},
    {"added_tokens.2", "{\"content\":\"<new>\",\"id\":7}", VKCLIP_EFORMAT, "have the same id 7"},
};

static json_t *emoji(void)
{
    json_t *root = json_load_file(EMOJI, 0, NULL);
    assert_non_null(root);
    return root;
}

static void write_json(const char *folder, const char *name, const json_t *root)
{
    char *path = scratch_path(folder, name);
    assert_int_equal(json_dump_file(root, path, JSON_COMPACT), 0);
    free(path);
}

static void bad_tokenizer_json(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    for (size_t i = 0; i < ARRAY_COUNT(bad_json); i++) {
        json_t *root = emoji();
        change_json(root, bad_json[i].place, bad_json[i].value);
        write_json(folder, "tokenizer.json", root);
        refused(folder, "tokenizer.json", bad_json[i].error, bad_json[i].message);
        json_decref(root);
    }
    scratch_remove(folder);
}

/* Versions of the tokenizers library write the same vocabulary in several forms, which give the
 * same ids. */
static void other_tokenizer_json(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        {"model.type", NULL},
        {"model.dropout", "0.0"},
        {"model.ignore_merges", NULL},
        {"model.continuing_subword_prefix", "null"},
        {"model.unk_token", "null"},
        {"model.merges.0", "\"i n\""},
        {"model.merges.1", "\"' s</w>\""},
        {"pre_tokenizer.pretokenizers.1.use_regex", NULL},
        {"pre_tokenizer.pretokenizers.0.pattern.Regex",
         "\"<\\\\|startoftext\\\\|>|<\\\\|endoftext\\\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|["
         "\\\\p{N}]|"
         "[^\\\\s\\\\p{L}\\\\p{N}]+\""},
        {"post_processor", NULL},
        {"post_processor", "null"},
        {"post_processor",
         "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<|startoftext|>"
         "\","
         "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":"
         "\"<|endoftext|>\",\"type_id\":0}}]}"},
        {"added_tokens", NULL},
        {"truncation", "{\"max_length\":32}"},
    };
    static const char text[] = "It's a dog's picture, 2 dogs'";
    char *folder = scratch_folder(), *path = scratch_path(folder, "tokenizer.json");
    struct tokenizer *tokenizer;
    int32_t ids[32], same[32];
    size_t count, again;
    assert_int_equal(tokenizer_open(EMOJI, TOKENIZER_HF, &tokenizer), 0);
    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), ids, 32, &count), 0);
    tokenizer_close(&tokenizer);
    assert_true(count > 8 && count <= 32);
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        json_t *root = emoji();
        change_json(root, changes[i][0], changes[i][1]);
        write_json(folder, "tokenizer.json", root);
        if (tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer))
            fail_msg("%s: %s", changes[i][0], vkclip_last_error());
        assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), same, 32, &again), 0);
        assert_int_equal(again, count);
        assert_memory_equal(same, ids, count * sizeof(*ids));
        tokenizer_close(&tokenizer);
        json_decref(root);
    }
    free(path);
    scratch_remove(folder);
}

/* ---- vocab.json with merges.txt -------------------------------------------------------------- */

#define ENDS "\"<|startoftext|>\":3,\"<|endoftext|>\":4"
#define TINY "{\"a\":0,\"b</w>\":1,\"ab</w>\":2," ENDS "}"

static const struct {
    const char *vocab, *merges; /* NULL: no such file */
    const char *opened;
    int error;
    const char *message;
} bad_pairs[] = {
    {NULL, NULL, "vocab.json", VKCLIP_EIO, "no such file"},
    {TINY, NULL, "vocab.json", VKCLIP_EIO, "merges.txt: no such file"},
    {NULL, "a b</w>\n", "merges.txt", VKCLIP_EIO, "vocab.json: no such file"},
    {TINY, "a b</w>\n", "other.json", VKCLIP_EIO, "other.json: no such file"},
    {"", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT,
     "vocab.json: expected a vocabulary, found an empty"},
    {TINY, "", "vocab.json", VKCLIP_EFORMAT, "merges.txt: expected a vocabulary, found an empty"},
    {"{", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT, "line 1: not JSON"},
    {"{\"a\":0,", "a b</w>\n", "merges.txt", VKCLIP_EFORMAT, "vocab.json: line 1: not JSON"},
    {"[1]", "a b</w>\n", "merges.txt", VKCLIP_EFORMAT, "expected a JSON object"},
    {"[1]", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT, "neither JSON nor a list of merges"},
    {"{}", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT, "merge 1 names or makes"},
    {"{\"a\":0,\"a\":1}", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT, "duplicate object key"},
    {"{\"\xff\":0}", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT, "unable to decode byte 0xff"},
    {"{\"a\\u0000\":0}", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT, "NUL"},
    {"{\"a\":99999999999999999999}", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT, "too big integer"},
    {"{\"a\":0} x", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT, "end of file expected"},
    {"{\"a\":0,\"b</w>\":1,\"ab</w>\":2}", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT,
     "vocab.json: no token \"<|startoftext|>\""},
    {"{\"<s>\":0,\"</s>\":1,\"a\":2,\"b\":3,\"ab\":4}", "a b\n", "merges.txt", VKCLIP_EUNSUPPORTED,
     "vocab.json: the vocabulary of a RoBERTa, whose texts begin with \"<s>\": name it"},
    {"{\"a\":0,\"b</w>\":1,\"ab</w>\":2,\"<|startoftext|>\":3}", "a b</w>\n", "vocab.json",
     VKCLIP_EFORMAT, "no token \"<|endoftext|>\", with which every text ends"},
    {"{\"a\":0,\"b</w>\":1,\"ab</w>\":5," ENDS "}", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT,
     "id of token \"ab</w>\" is not one of 0 to 4"},
    {"{\"a\":{},\"b</w>\":1,\"ab</w>\":2," ENDS "}", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT,
     "id of token \"a\""},
    {"{\"a\":1,\"b</w>\":1,\"ab</w>\":2," ENDS "}", "a b</w>\n", "vocab.json", VKCLIP_EFORMAT,
     "tokens \"a\" and \"b</w>\" have the same id 1"},
    {TINY, "#version: 0.2\na b</w>\nb a\n", "vocab.json", VKCLIP_EFORMAT,
     "merges.txt: merge 2 names or makes"},
    {TINY, "a b</w>\n#version: 0.2\n", "vocab.json", VKCLIP_EFORMAT, "merges.txt: merge 2 names"},
    {TINY, "a b</w> c\n", "merges.txt", VKCLIP_EFORMAT, "merge 1 is neither"},
    {TINY, "ab\n", "merges.txt", VKCLIP_EFORMAT, "merge 1 is neither"},
    {TINY, "\na b</w>\n", "merges.txt", VKCLIP_EFORMAT, "merge 1 is neither"},
    {TINY, "a b</w>\n\n\n", "merges.txt", VKCLIP_EFORMAT, "merge 2 is neither"},
    {TINY, "a b</w>\n\xff \xfe\n", "merges.txt", VKCLIP_EFORMAT, "merge 2 is not UTF-8"},
};

static void bad_vocab_and_merges(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_pairs); i++) {
        char *folder = scratch_folder();
        if (bad_pairs[i].vocab)
            scratch_text(folder, "vocab.json", bad_pairs[i].vocab);
        if (bad_pairs[i].merges)
            scratch_text(folder, "merges.txt", bad_pairs[i].merges);
        refused(folder, bad_pairs[i].opened, bad_pairs[i].error, bad_pairs[i].message);
        scratch_remove(folder);
    }
    char *folder = scratch_folder();
    scratch_text(folder, "vocab.json", TINY);
    scratch_write(folder, "merges.txt", "a b</w>\n\0", 9);
    refused(folder, "vocab.json", VKCLIP_EFORMAT, "merges.txt: NUL bytes");
    scratch_remove(folder);
}

/* In the smallest vocabulary, a byte that has no token becomes end of text, Hugging Face's unknown
 * token. */
static void smallest(void **state)
{
    (void)state;
    static const char *const endings[] = {"a b</w>", "a b</w>\n", "#version: 0.2\r\na b</w>\r\n"};
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, "merges.txt");
        struct tokenizer *tokenizer;
        int32_t ids[16];
        size_t count;
        scratch_text(folder, "vocab.json", TINY);
        scratch_text(folder, "merges.txt", endings[i]);
        if (tokenizer_open(path, TOKENIZER_HF, &tokenizer))
            fail_msg("%s", vkclip_last_error());
        assert_int_equal(tokenizer_size(tokenizer), 5);
        assert_int_equal(tokenizer_encode(tokenizer, "ab aab ba", 9, ids, 16, &count), 0);
        assert_int_equal(count, 7);
        assert_memory_equal(ids, ((int32_t[]){3, 2, 0, 2, 4, 4, 4}), 7 * sizeof(*ids));
        assert_int_equal(tokenizer_encode(tokenizer, "ab aab ba", 9, ids, 2, &count), 0);
        assert_int_equal(count, 7);
        tokenizer_close(&tokenizer);
        free(path);
        scratch_remove(folder);
    }
}

/* ---- OpenAI's list of merges ----------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *message; /* NULL: good */
} lists[] = {
    {"#version: 0.2\na b\nab c</w>\n", NULL},
    {"\"bpe.txt#version: 0.2\r\na b\r\nab c</w>\r\n", NULL},
    {"#version: 0.2", NULL},
    {"", "expected a vocabulary, found an empty file"},
    {"a b\nab c</w>\n", "first line has \"#version\""},
    {"a b\n#version: 0.2\n", "first line has \"#version\""},
    {"just a text\nand another line\n", "neither JSON nor a list of merges"},
    {"#version: 0.2\na b\nab  c\n", "merge 2 is not two tokens"},
    {"#version: 0.2\nab\n", "merge 1 is not two tokens"},
    {"#version: 0.2\na b\n\nab c\n", "merge 2 is not two tokens"},
    {"#version: 0.2\n a\n", "merge 1 is not two tokens"},
    {"#version: 0.2\na \n", "merge 1 is not two tokens"},
    {"#version: 0.2\na b c\n", "merge 1 is not two tokens"},
    {"#version: 0.2\nab c\na b\n", "merge 1 names a token that no line before it makes"},
    {"#version: 0.2\na \xff\n", "merge 1 names a token"},
    {"#version: 0.2\na \xc3\xa9\xc3\xa9\n", "merge 1 names a token"},
    {"#version: 0.2\na b\na b\n", "merge 2 makes a token that exists already"},
    {"#version: 0.2\nb c\na b\nab c\na bc\n", "merge 4 makes a token that exists already"},
    {"#version: 0.2\n< |startoftext|>\n", "merge 1 names a token"},
};

static void lists_of_merges(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "bpe.txt");
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        struct tokenizer *tokenizer;
        int32_t ids[8];
        size_t count;
        scratch_text(folder, "bpe.txt", lists[i].text);
        if (lists[i].message) {
            refused(folder, "bpe.txt", VKCLIP_EFORMAT, lists[i].message);
            continue;
        }
        if (tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer))
            fail_msg("%s", vkclip_last_error());
        uint32_t size = tokenizer_size(tokenizer);
        assert_int_equal(size, i == 2 ? 514 : 516);
        assert_int_equal(tokenizer_encode(tokenizer, "ABC", 3, ids, 8, &count), 0);
        if (i == 2)
            assert_memory_equal(ids, ((int32_t[]){512, 64, 65, 256 + 66, 513}),
                                count * sizeof(*ids));
        else
            assert_memory_equal(ids, ((int32_t[]){514, 513, 515}), count * sizeof(*ids));
        tokenizer_close(&tokenizer);
    }
    scratch_write(folder, "bpe.txt", "#version\na b\0", 13);
    refused(folder, "bpe.txt", VKCLIP_EFORMAT, "neither JSON nor a list of merges");
    refused(folder, ".", VKCLIP_EIO, "expected a vocabulary file, found a folder");
    free(path);
    scratch_remove(folder);
}

/* Repeats `line` up to `size` bytes. */
static void write_packed(const char *path, const char *line, size_t size)
{
    gzFile file = gzopen(path, "wb1");
    assert_non_null(file);
    gzputs(file, "#version: 0.2\n");
    for (size_t done = 0; done < size; done += strlen(line))
        gzputs(file, line);
    assert_int_equal(gzclose(file), Z_OK);
}

static void bad_packed(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "bpe.txt.gz"), *data;
    size_t size;
    write_packed(path, "a b\n", 4);
    struct tokenizer *tokenizer;
    assert_int_equal(tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer), 0);
    tokenizer_close(&tokenizer);
    assert_int_equal(file_read(path, 1 << 20, &data, &size), 0);
    /* A file of one byte is cut off inside the magic number, so it does not count as packed. */
    for (size_t cut = 1; cut < size; cut++) {
        scratch_write(folder, "cut.gz", data, cut);
        refused(folder, "cut.gz", VKCLIP_EFORMAT, cut == 1 ? "neither" : "cut.gz: ");
    }
    /* Damage to the stream, the checksum or the length is always found. */
    for (size_t i = 10; i < size; i++) {
        data[i] ^= 0x55;
        scratch_write(folder, "flipped.gz", data, size);
        refused(folder, "flipped.gz", VKCLIP_EFORMAT, "flipped.gz: ");
        data[i] ^= 0x55;
    }
    free(data);
    write_packed(path, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
                 97 << 20);
    refused(folder, "bpe.txt.gz", VKCLIP_EFORMAT, "more than 100663296 bytes when unpacked");
    free(path);
    scratch_remove(folder);
}

/* A token's text that contains a line end does not break the message into lines. */
static void hostile_names(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    scratch_text(folder, "vocab.json", "{\"a\\n\\u001b[31m%s%n\":9,\"b\":0}");
    scratch_text(folder, "merges.txt", "a b\n");
    refused(folder, "vocab.json", VKCLIP_EFORMAT, "token \"a??[31m%s%n\"");
    scratch_remove(folder);
}

/* ---- Padding --------------------------------------------------------------------------------- */

static void pad_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *config, *map; /* NULL: no such file */
        int32_t pad;
        int error;
        const char *message;
    } cases[] = {
        {NULL, NULL, 4, 0, NULL},
        {"{}", NULL, 4, 0, NULL},
        {"{\"pad_token\":null}", NULL, 4, 0, NULL},
        {"{\"pad_token\":\"a\"}", NULL, 0, 0, NULL},
        {"{\"pad_token\":{\"content\":\"b</w>\"}}", NULL, 1, 0, NULL},
        {"{\"pad_token\":\"<|endoftext|>\"}", "{\"pad_token\":\"a\"}", 4, 0, NULL},
        {"{}", "{\"pad_token\":\"a\"}", 0, 0, NULL},
        {NULL, "{\"pad_token\":{\"content\":\"a\",\"lstrip\":false}}", 0, 0, NULL},
        {"{\"pad_token\":\"[PAD]\"}", NULL, 0, VKCLIP_EFORMAT,
         "tokenizer_config.json: pad_token \"[PAD]\" is not in the vocabulary"},
        {"{}", "{\"pad_token\":\"[PAD]\"}", 0, VKCLIP_EFORMAT,
         "special_tokens_map.json: pad_token"},
        {"{", NULL, 0, VKCLIP_EFORMAT, "tokenizer_config.json: line 1: not JSON"},
        {"[]", NULL, 0, VKCLIP_EFORMAT, "tokenizer_config.json: expected a JSON object"},
        {NULL, "", 0, VKCLIP_EFORMAT,
         "special_tokens_map.json: expected a vocabulary, found an empty"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, "vocab.json");
        struct tokenizer *tokenizer;
        scratch_text(folder, "vocab.json", TINY);
        scratch_text(folder, "merges.txt", "a b</w>\n");
        if (cases[i].config)
            scratch_text(folder, "tokenizer_config.json", cases[i].config);
        if (cases[i].map)
            scratch_text(folder, "special_tokens_map.json", cases[i].map);
        if (cases[i].error) {
            refused(folder, "vocab.json", cases[i].error, cases[i].message);
        } else {
            if (tokenizer_open(path, TOKENIZER_HF, &tokenizer))
                fail_msg("%s", vkclip_last_error());
            assert_int_equal(tokenizer_pad(tokenizer), cases[i].pad);
            tokenizer_close(&tokenizer);
        }
        /* OpenAI's rules pad with 0 and read neither file. */
        assert_int_equal(tokenizer_open(path, TOKENIZER_OPENAI, &tokenizer), 0);
        assert_int_equal(tokenizer_pad(tokenizer), 0);
        tokenizer_close(&tokenizer);
        free(path);
        scratch_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_tokenizer_json),   cmocka_unit_test(other_tokenizer_json),
        cmocka_unit_test(bad_vocab_and_merges), cmocka_unit_test(smallest),
        cmocka_unit_test(lists_of_merges),      cmocka_unit_test(bad_packed),
        cmocka_unit_test(hostile_names),        cmocka_unit_test(pad_tokens),
    };
    return cmocka_run_group_tests_name("tokenizer_files", tests, NULL, NULL);
}
