/* SPDX-License-Identifier: MIT
 *
 * Compares the ids of unigram tokenizers with the references: SentencePiece for spiece.model, GGUF
 * and the tensor spiece_model, and the `tokenizers` library for tokenizer.json. The smallest
 * vocabulary is among the tests; the others are read if the larger reference data is present.
 */
#define _GNU_SOURCE
#include "support/scratch.h"
#include "text/unigram_cases.h"

#include <time.h>

#define FOLDER "conditioning/"

/* The keys of a file's ids, in the order in which they are looked for. */
static const char *const spm[] = {"ids_spm", NULL};
static const char *const hf[] = {"ids_hf", "ids_spm", NULL};
static const char *const metaspace[] = {"ids_hf_metaspace", "ids_hf", "ids_spm", NULL};

static const struct {
    const char *model, *path;
    const char *const *keys;
} files[] = {
    {"t5-small", "tokenizers/t5-small/spiece.model", spm},
    {"t5-small", "tokenizers/t5-small/tokenizer.json", hf},
    {"t5-small", "tokenizers/t5-small/tokenizer_metaspace.json", metaspace},
    {"t5", "tokenizers/t5/spiece.model", spm},
    {"t5", "tokenizers/t5/tokenizer.json", hf},
    {"t5", "t5/gguf/t5_f16.gguf", spm},
    {"mt5", "tokenizers/mt5/spiece.model", spm},
    {"mt5", "tokenizers/mt5/tokenizer.json", hf},
    {"umt5", "tokenizers/umt5/spiece.model", spm},
    {"umt5", "tokenizers/umt5/tokenizer.json", hf},
    {"umt5", "tokenizers/umt5/tokenizer_metaspace.json", metaspace},
    {"umt5", "t5/gguf/umt5_q8_0.gguf", spm},
    {"umt5", "t5/single/umt5_xxl_fp8_e4m3fn_scaled.safetensors", spm},
};

static void test_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char *relative = string_format(FOLDER "%s", files[i].path);
        char *cases = string_format(FOLDER "tokenizers/%s_cases.jsonl", files[i].model);
        char *path = golden_path(relative);
        struct tokenizer *tokenizer = NULL;
        if (!path)
            print_message("skipped: reference data %s is not here\n", relative);
        else if (tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer))
            fail_msg("%s", vkclip_last_error());
        if (tokenizer) {
            assert_int_equal(tokenizer_start(tokenizer), -1);
            assert_int_equal(tokenizer_end(tokenizer), 1);
            assert_int_equal(tokenizer_pad(tokenizer), 0);
            assert_int_equal(tokenizer_context(tokenizer), 0);
            compare_unigram_cases(tokenizer, cases, files[i].keys, path);
        }
        tokenizer_close(&tokenizer);
        free(relative);
        free(cases);
        free(path);
    }
}

/* Decoding gives the text again, where normalisation changes nothing but spaces. */
static void test_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {"a photo of a red cat", "The robots!", ""};
    char *path = golden_path(FOLDER "tokenizers/t5-small/spiece.model"), *text;
    struct tokenizer *tokenizer;
    int32_t ids[64];
    size_t count;
    assert_int_equal(tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer), 0);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        assert_int_equal(tokenizer_encode(tokenizer, texts[i], strlen(texts[i]), ids, 64, &count),
                         0);
        assert_int_equal(tokenizer_decode(tokenizer, ids, count, &text), 0);
        assert_string_equal(text, texts[i]);
        free(text);
    }
    assert_int_equal(tokenizer_encode(tokenizer, "a \xe1\x9a\xa0 a", 7, ids, 64, &count), 0);
    assert_int_equal(tokenizer_decode(tokenizer, ids, count, &text), 0);
    assert_string_equal(text, "a  \xe2\x81\x87  a");
    free(text);
    assert_failed(tokenizer_decode(tokenizer, (int32_t[]){480}, 1, &text), VKCLIP_EINVALID,
                  "expected 0 to 479");
    tokenizer_close(&tokenizer);
    free(path);
}

/* A long text takes time in proportion to its length, whether pieces overlap everywhere or no
 * character is known. */
static void test_long_texts(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    char *path = golden_path(FOLDER "tokenizers/t5-small/tokenizer.json");
    char *text = malloc(SIZE);
    struct tokenizer *tokenizer;
    assert_int_equal(tokenizer_open(path, TOKENIZER_BY_FILE, &tokenizer), 0);
    static const char *const parts[] = {"a", "a ", "\xe1\x9a\xa0", "\xcc\x81", " "};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        const size_t length = strlen(parts[i]), size = SIZE / length * length;
        size_t count;
        for (size_t k = 0; k < size; k++)
            text[k] = parts[i][k % length];
        const clock_t start = clock();
        assert_int_equal(tokenizer_encode(tokenizer, text, size, NULL, 0, &count), 0);
        /* It takes 0.2 s without sanitizers, and hours with the square of the length. */
        assert_true(clock() - start < 20 * CLOCKS_PER_SEC);
    }
    tokenizer_close(&tokenizer);
    free(text);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
