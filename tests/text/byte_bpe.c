/* SPDX-License-Identifier: MIT
 *
 * Compares ids and texts of a small vocabulary of RoBERTa's form with those of the library
 * tokenizers, for each of its files, and refuses broken and foreign files by name.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/change_json.h"
#include "support/json_lines.h"
#include "support/scratch.h"
#include "text/tokenizer.h"

#define FOLDER "tokenizer-roberta/"

static struct tokenizer *open_file(const char *path)
{
    struct tokenizer *tokenizer;
    if (tokenizer_open(path, TOKENIZER_HF, &tokenizer))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(tokenizer_start(tokenizer), 0);
    assert_int_equal(tokenizer_end(tokenizer), 2);
    assert_int_equal(tokenizer_pad(tokenizer), 1);
    assert_int_equal(tokenizer_size(tokenizer), 701);
    return tokenizer;
}

static size_t encode(const struct tokenizer *tokenizer, const json_t *text, int32_t ids[512])
{
    size_t count;
    assert_int_equal(tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text),
                                      ids, 512, &count),
                     0);
    assert_true(count <= 512);
    return count;
}

/* Compares the ids of a text, and the text that they are decoded to. */
static void compare(const struct tokenizer *tokenizer, const json_t *line, bool spaced)
{
    const json_t *text = json_object_get(line, "text"), *decoded = json_object_get(line, "decoded");
    const json_t *expected = spaced ? json_object_get(line, "ids_prefix_space") : NULL;
    int32_t ids[512];
    const size_t count = encode(tokenizer, text, ids);
    expected = expected ? expected : json_object_get(line, "ids");
    bool same = count == json_array_size(expected);
    for (size_t i = 0; same && i < count; i++)
        same = json_integer_value(json_array_get(expected, i)) == ids[i];
    if (!same)
        fail_msg("other ids than expected: %s", json_dumps(line, JSON_ENSURE_ASCII));
    if (spaced)
        return;
    char *found;
    assert_int_equal(tokenizer_decode(tokenizer, ids, count, &found), 0);
    if (strcmp(found, json_string_value(decoded)) != 0)
        fail_msg("decoded to \"%s\": %s", found, json_dumps(line, JSON_ENSURE_ASCII));
    free(found);
}

static void compare_all(const char *path, bool spaced)
{
    struct tokenizer *tokenizer = open_file(path);
    json_t *lines = read_lines(FOLDER "cases.jsonl"), *line;
    size_t i;
    json_array_foreach (lines, i, line)
        compare(tokenizer, line, spaced);
    assert_int_equal(i, 268);
    json_decref(lines);
    tokenizer_close(&tokenizer);
}

static void ids_are_those_of_tokenizers(void **state)
{
    static const char *const files[] = {FOLDER "tokenizer.json", FOLDER "vocab.json"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char *path = golden_path(files[i]);
        compare_all(path, false);
        free(path);
    }
}

static json_t *load_golden(void)
{
    char *path = golden_path(FOLDER "tokenizer.json");
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    free(path);
    return root;
}

/* tokenizer.json says whether texts get a space, and tokenizer_config.json beside it has the last
 * word. */
static void a_space_before_texts(void **state)
{
    static const struct {
        const char *prefix, *config;
        bool spaced;
    } rows[] = {
        {"true", NULL, true},
        {"false", "{\"add_prefix_space\":true}", true},
        {"true", "{\"add_prefix_space\":false}", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, "tokenizer.json");
        json_t *root = load_golden();
        change_json(root, "pre_tokenizer.add_prefix_space", rows[i].prefix);
        assert_int_equal(json_dump_file(root, path, 0), 0);
        if (rows[i].config)
            scratch_text(folder, "tokenizer_config.json", rows[i].config);
        compare_all(path, rows[i].spaced);
        json_decref(root);
        free(path);
        scratch_remove(folder);
    }
}

static void bad_files(void **state)
{
    static const struct {
        const char *place, *value;
        int error;
        const char *message;
    } changes[] = {
        {"normalizer", "{\"type\":\"NFC\"}", VKCLIP_EUNSUPPORTED,
         "normalizer \"NFC\" is not known, expected none"},
        {"pre_tokenizer.use_regex", "false", VKCLIP_EUNSUPPORTED, "use_regex true"},
        {"pre_tokenizer.add_prefix_space", NULL, VKCLIP_EUNSUPPORTED, "add_prefix_space true"},
        {"post_processor", "{\"type\":\"ByteLevel\"}", VKCLIP_EUNSUPPORTED,
         "post_processor \"ByteLevel\" is not known"},
        {"post_processor.sep.1", "701", VKCLIP_EFORMAT, "expected cls and sep with ids below 701"},
        {"model.fuse_unk", "true", VKCLIP_EUNSUPPORTED, "model.fuse_unk: expected false"},
        {"model.ignore_merges", "true", VKCLIP_EUNSUPPORTED, "model.ignore_merges"},
        {"model.dropout", "0.1", VKCLIP_EUNSUPPORTED, "model.dropout: expected none"},
        {"model.end_of_word_suffix", "\"</w>\"", VKCLIP_EUNSUPPORTED, "end_of_word_suffix"},
        {"model.merges", "null", VKCLIP_EFORMAT, "no list of merges"},
        {"model.merges.0", "\"a\"", VKCLIP_EFORMAT, "merge 1 is neither"},
        {"model.vocab.a", "701", VKCLIP_EFORMAT, "is not one of 0 to 700"},
        {"added_tokens.0.id", "5", VKCLIP_EFORMAT, "added token 0 has another id than its text"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        struct tokenizer *tokenizer = NULL;
        json_t *root = load_golden();
        change_json(root, changes[i].place, changes[i].value);
        char *text = json_dumps(root, 0);
        assert_int_equal(tokenizer_parse(text, strlen(text), "broken", &tokenizer),
                         changes[i].error);
        if (!strstr(vkclip_last_error(), changes[i].message))
            fail_msg("%s: %s", changes[i].place, vkclip_last_error());
        assert_null(tokenizer);
        free(text);
        json_decref(root);
    }
}

/* Bytes without a token are left out, or unknown where the model has such a token. */
static void bytes_without_a_token(void **state)
{
    static const char vocab[] = "{\"<s>\":0,\"</s>\":1,\"a\":2,\"b\":3,\"ab\":4,\"\xc4\xa0"
                                "a\":5,\"\xc4\xa0\":6,\"<unk>\":7}";
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "vocab.json");
    struct tokenizer *tokenizer;
    int32_t ids[16];
    size_t count;
    scratch_text(folder, "vocab.json", vocab);
    scratch_text(folder, "merges.txt", "#version: 0.2\na b\n\xc4\xa0 a\n");
    assert_int_equal(tokenizer_open(path, TOKENIZER_HF, &tokenizer), 0);
    assert_int_equal(tokenizer_pad(tokenizer), 1);
    assert_int_equal(tokenizer_encode(tokenizer, "ab ?ab a", 8, ids, 16, &count), 0);
    assert_int_equal(count, 6); /* The space before "?" is a token, and "?" is none. */
    assert_memory_equal(ids, ((const int32_t[]){0, 4, 6, 4, 5, 1}), 6 * sizeof(*ids));
    tokenizer_close(&tokenizer);
    free(path);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_tokenizers),
        cmocka_unit_test(a_space_before_texts),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(bytes_without_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
