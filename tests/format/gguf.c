/* SPDX-License-Identifier: MIT
 *
 * GGUF files: tensors of every type have the values that the format defines, configuration and
 * vocabulary are read out of the file, and every kind of broken file is refused with a message that
 * says what is wrong.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "support/find_bytes.h"
#include "support/gguf_writer.h"
#include "support/json_lines.h"
#include "support/weights.h"

#include <jansson.h>

#include "checkpoint/open.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

/* ---- Values ---------------------------------------------------------------------------------- */

static void reads_every_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(gguf_kinds); i++) {
        char *folder = scratch_folder();
        char *gguf = scratch_path(folder, "model.gguf");
        char *reference = scratch_path(folder, "model.safetensors");
        struct weights *found, *expected;
        write_hf_vit(folder, &gguf_kinds[i], true, true);
        if (weights_open(gguf, &found))
            fail_msg("%s", vkclip_last_error());
        assert_int_equal(weights_open(reference, &expected), 0);
        assert_int_equal(weights_dtype(found), gguf_kinds[i].dtype);
        assert_same_weights(found, expected, false);
        weights_close(&found);
        weights_close(&expected);
        free(gguf), free(reference);
        scratch_remove(folder);
    }
}

/* ---- Configuration --------------------------------------------------------------------------- */

static void reads_towers(void **state)
{
    (void)state;
    for (int kind = 1; kind < 4; kind++) {
        bool text = kind & 1, image = kind & 2;
        char *folder = scratch_folder(), *gguf = scratch_path(folder, "model.gguf");
        struct config config;
        struct weights *weights;
        write_hf_vit(folder, &gguf_kinds[1], text, image);
        if (checkpoint_open(gguf, NULL, &config, &weights))
            fail_msg("%s", vkclip_last_error());
        assert_int_equal(config.text.kind != KIND_NONE, text);
        assert_int_equal(config.image.kind != KIND_NONE, image);
        assert_null(config.tokenizer_path);
        if (text) {
            assert_int_equal(config.text.width, 64);
            assert_int_equal(config.text.heads, 1);
            assert_int_equal(config.text.layers, 2);
            assert_int_equal(config.text.mlp, 256);
            assert_int_equal(config.text.activation, VKCLIP_ACTIVATION_QUICK_GELU);
            assert_int_equal(config.context, 77);
            assert_int_equal(config.vocabulary, 1026);
            assert_int_equal(config.text_embed_dim, 64);
        }
        if (image) {
            assert_int_equal(config.image_size, 48);
            assert_int_equal(config.patch_size, 8);
            assert_int_equal(config.image.layers, 2);
            assert_int_equal(config.image_embed_dim, 64);
            assert_true(config.image.epsilon == 1e-5f);
            assert_true(config.image_mean[0] == 0.5f && config.image_mean[2] == 0.125f);
            assert_true(config.image_std[1] == 0.2f);
        }
        weights_close(&weights);
        config_close(&config);
        free(gguf);
        scratch_remove(folder);
    }
}

/* Writes a good file in which the first occurrence of some bytes is replaced by others of the same
 * length. */
static void refuses_bad_configurations(void **state)
{
    (void)state;
    static const struct {
        const char *good, *bad;
        int error;
        const char *message;
    } cases[] = {
        {"clip", "blip", VKCLIP_EUNSUPPORTED, "general.architecture is not clip"},
        {"clip.use_gelu", "clip.use_silu", VKCLIP_EFORMAT,
         "clip.use_gelu: expected true or false, found nothing"},
        {"clip.text.block_count", "clip.text.block_COUNT", VKCLIP_EFORMAT,
         "clip.text.block_count: expected an integer from 1 to 2147483647, found nothing"},
        {"clip.vision.patch_size\4", "clip.vision.patch_size\6", VKCLIP_EFORMAT,
         "clip.vision.patch_size: expected an integer from 1 to 2147483647, found something"},
        {"clip.vision.attention.layer_norm_epsilon\6", "clip.vision.attention.layer_norm_epsilon\4",
         VKCLIP_EFORMAT, "layer_norm_epsilon: expected a number from 0 to 1, found something else"},
        {"clip.vision.image_std\11\0\0\0\6", "clip.vision.image_std\11\0\0\0\4", VKCLIP_EFORMAT,
         "clip.vision.image_std: expected three numbers above 0, found something else"},
        {"clip.text.context_length\4\0\0\0\115", "clip.text.context_length\4\0\0\0\116",
         VKCLIP_EFORMAT, "tensor positional_embedding: expected shape [78,64], found [77,64]"},
        {"clip.vision.embedding_length\4\0\0\0\100", "clip.vision.embedding_length\4\0\0\0\0",
         VKCLIP_EFORMAT, "clip.vision.embedding_length: expected an integer from 1"},
        {"t.blk.1.ln1.bias", "t.blk.1.ln3.bias", VKCLIP_EFORMAT,
         "tensor transformer.resblocks.1.ln_1.bias: expected shape [64], found none"},
        /* Only the image tower is left. */
        {"clip.has_text_encoder", "clip.has_TEXT_encoder", VKCLIP_OK, NULL},
        {"clip.vision.image_mean", "clip.vision.image_MEAN", VKCLIP_OK, NULL},
    };
    /* The lengths of `good` and `bad` are given, because a key is matched together with the bytes
     * of its value, which may be zeros. */
    static const size_t lengths[] = {4, 13, 21, 23, 41, 26, 29, 33, 16, 21, 22};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *folder = scratch_folder(), *gguf = scratch_path(folder, "model.gguf"), *data;
        size_t size;
        struct config config;
        struct weights *weights;
        write_hf_vit(folder, &gguf_kinds[0], true, true);
        assert_int_equal(file_read(gguf, 1 << 26, &data, &size), 0);
        /* The first case replaces the value "clip" and not the beginning of a key. */
        const char *good = i ? cases[i].good : "clip\25";
        char *found = find_bytes(data, size, good, i ? lengths[i] : 5);
        assert_non_null(found);
        memcpy(found, cases[i].bad, lengths[i]);
        scratch_write(folder, "model.gguf", data, size);
        int error = checkpoint_open(gguf, NULL, &config, &weights);
        if (cases[i].error)
            assert_failed(error, cases[i].error, cases[i].message);
        else if (error)
            fail_msg("%s", vkclip_last_error());
        weights_close(&weights);
        config_close(&config);
        free(gguf), free(data);
        scratch_remove(folder);
    }
}

/* ---- Vocabulary ------------------------------------------------------------------------------ */

/* Writes a file with nothing but the given tokens. */
static void write_tokens(const char *folder, const char *const *tokens, size_t count)
{
    struct gguf_writer w = {0};
    put(&w, "GGUF", 4);
    put_u32(&w, 2);
    put_u64(&w, 0);
    put_u64(&w, 1);
    put_key_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, count);
    for (size_t i = 0; i < count; i++)
        put_text(&w, tokens[i]);
    scratch_write(folder, "tokens.gguf", w.data, w.size);
    free(w.data);
}

/* Checks that the tokens of a vocab.json alone give the merges beside it, and that texts get the
 * ids of the reference. */
static void check_vocabulary(const char *vocab, const char *cases, const char *key)
{
    struct vocabulary expected, found;
    char *folder = scratch_folder(), *gguf = scratch_path(folder, "tokens.gguf");
    assert_int_equal(vocabulary_open(vocab, &expected), 0);
    write_tokens(folder, expected.tokens, expected.count);
    if (vocabulary_open(gguf, &found))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(found.count, expected.count);
    assert_memory_equal(found.symbols, expected.symbols, sizeof(found.symbols));
    uint32_t merges = 0;
    for (size_t i = 0; i <= expected.merge_mask; i++) {
        const struct merge *merge = &expected.merges[i], *same;
        if (merge->rank == UINT32_MAX)
            continue;
        same = vocabulary_merge(&found, merge->left, merge->right);
        if (!same || same->rank != merge->rank || same->joined != merge->joined)
            fail_msg("merge %u differs", merge->rank);
        merges++;
    }
    for (size_t i = 0; i <= found.merge_mask; i++)
        merges -= found.merges[i].rank != UINT32_MAX;
    assert_int_equal(merges, 0);
    vocabulary_close(&expected);
    vocabulary_close(&found);

    json_t *lines = read_lines(cases);
    struct tokenizer *tokenizer;
    size_t compared;
    assert_int_equal(tokenizer_open(gguf, TOKENIZER_BY_FILE, &tokenizer), 0);
    assert_int_equal(tokenizer_pad(tokenizer), 0);
    for (compared = 0; compared < json_array_size(lines); compared++) {
        const json_t *entry = json_array_get(lines, compared);
        const json_t *text = json_object_get(entry, "text"), *ids = json_object_get(entry, key);
        size_t count, length = json_array_size(ids);
        int32_t *out = calloc(length + 1, sizeof(*out));
        assert_true(length > 0);
        assert_int_equal(tokenizer_encode(tokenizer, json_string_value(text),
                                          json_string_length(text), out, length, &count),
                         0);
        bool same = count == length;
        for (size_t i = 0; same && i < length; i++)
            same = out[i] == json_integer_value(json_array_get(ids, i));
        if (!same)
            fail_msg("the ids differ from the reference: %s", json_string_value(text));
        free(out);
    }
    assert_true(compared > 20);
    tokenizer_close(&tokenizer);
    json_decref(lines);
    free(gguf);
    scratch_remove(folder);
}

static void reads_the_vocabulary_of_emoji_clip(void **state)
{
    (void)state;
    check_vocabulary("models/emoji-clip/vocab.json", "tokenizer-emoji/cases.jsonl", "ids_openai");
}

static void reads_the_vocabulary_of_openai(void **state)
{
    (void)state;
    char *path = golden_path("tokenizer/hf/vocab.json");
    if (!path) {
        print_message("skipped: reference data tokenizer/hf/vocab.json is not here\n");
        skip();
    }
    check_vocabulary(path, "tokenizer/cases.jsonl", "ids");
    free(path);
}

static void refuses_bad_vocabularies(void **state)
{
    (void)state;
    static const struct {
        const char *tokens[8];
        int error;
        const char *message;
    } cases[] = {
        {{"a", "b", "ab", "<|startoftext|>", "<|endoftext|>"}, VKCLIP_OK, NULL},
        {{"a", "a</w>", "aa</w>", "aaa</w>", "<|startoftext|>", "<|endoftext|>"}, VKCLIP_OK, NULL},
        {{"a", "b", "<|startoftext|>"}, VKCLIP_EFORMAT, "no token \"<|endoftext|>\""},
        {{"a", "a", "<|startoftext|>", "<|endoftext|>"},
         VKCLIP_EFORMAT,
         "token 1 is empty, occurs twice"},
        {{"a", "", "<|startoftext|>", "<|endoftext|>"},
         VKCLIP_EFORMAT,
         "token 1 is empty, occurs twice"},
        {{"a", "ac", "<|startoftext|>", "<|endoftext|>"},
         VKCLIP_EUNSUPPORTED,
         "token 1 is not two earlier tokens joined"},
        {{"a", "b", "aabb", "<|startoftext|>", "<|endoftext|>"},
         VKCLIP_EUNSUPPORTED,
         "token 2 is not two earlier tokens joined"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *folder = scratch_folder(), *gguf = scratch_path(folder, "tokens.gguf");
        struct vocabulary vocabulary;
        size_t count = 0;
        while (count < 8 && cases[i].tokens[count])
            count++;
        write_tokens(folder, cases[i].tokens, count);
        int error = vocabulary_open(gguf, &vocabulary);
        if (cases[i].error)
            assert_failed(error, cases[i].error, cases[i].message);
        else if (error)
            fail_msg("%s", vkclip_last_error());
        vocabulary_close(&vocabulary);
        free(gguf);
        scratch_remove(folder);
    }
}

/* ---- Broken files ---------------------------------------------------------------------------- */

/* Builds a file from words: xTEXT gives the bytes of TEXT, bN a u8, iN a u32, lN a u64, sTEXT a
 * string after its length, zN N zeros, and aN zeros up to a multiple of N. */
static void put_words(struct gguf_writer *w, const char *words)
{
    for (size_t length; *words; words += length + (words[length] == ' ')) {
        length = strcspn(words, " ");
        uint64_t number = strtoull(words + 1, NULL, 10);
        uint32_t number32 = (uint32_t)number;
        uint8_t zero = 0, byte = (uint8_t)number;
        switch (*words) {
        case 's':
            put_u64(w, length - 1); /* fall through */
        case 'x':
            put(w, words + 1, length - 1);
            break;
        case 'b':
            put(w, &byte, 1);
            break;
        case 'i':
            put(w, &number32, sizeof(number32));
            break;
        case 'l':
            put(w, &number, sizeof(number));
            break;
        case 'a':
            pad_to(w, number);
            break;
        default:
            for (uint64_t i = 0; i < number; i++)
                put(w, &zero, 1);
        }
    }
}

#define HEAD(tensors, values) "xGGUF i3 l" #tensors " l" #values " "
#define FORMAT VKCLIP_EFORMAT
#define UNSUPPORTED VKCLIP_EUNSUPPORTED
static const struct {
    const char *words;
    int error;
    const char *message;
} broken[] = {
    {HEAD(0, 0), 0, NULL},
    {"xGGUF i2 l0 l0", 0, NULL},
    {HEAD(0, 1) "sk i8 stext", 0, NULL},
    {HEAD(0, 1) "sk i9 i9 l1 i9 l1 i8 l1 stext", 0, NULL},
    {HEAD(2, 0) "st i1 l2 i0 l0 su i0 i1 l32 a32 z34", 0, NULL},
    {HEAD(1, 1) "sgeneral.alignment i4 i64 st i1 l2 i0 l0 a64 z8", 0, NULL},
    {"", FORMAT, "header: needs 4 bytes, found 0"},
    {"xGGU", FORMAT, "header: needs 4 bytes, found 3"},
    {"xGGUF i3 l0", FORMAT, "header: needs 8 bytes, found 0"},
    {"xGGML i3 l0 l0", FORMAT, "does not begin with \"GGUF\""},
    {"xGGUF i1 i0 i0 z8", UNSUPPORTED, "GGUF version 1, expected 2 or 3"},
    {"xGGUF i4 l0 l0", UNSUPPORTED, "GGUF version 4, expected"},
    {"xGGUF i50331648 l0 l0", UNSUPPORTED, "for big-endian machines"},
    {HEAD(18446744073709551615, 0), FORMAT, "at most 65536 tensors and values, found 1844674407"},
    {HEAD(0, 65537), FORMAT, "found 65537"},
    {HEAD(0, 65536), FORMAT, "key: needs 8 bytes, found 0"},
    {HEAD(0, 1) "l0 z64", FORMAT, "key: expected 1 to 512 bytes, found 0"},
    {HEAD(0, 1) "l513 z600", FORMAT, "key: expected 1 to 512 bytes, found 513"},
    {HEAD(0, 1) "l18446744073709551615 z64", FORMAT, "found 18446744073709551615"},
    {HEAD(0, 1) "l9 xabc", FORMAT, "key: needs 9 bytes, found 3"},
    {HEAD(0, 1) "l1 b10 i4 i0", FORMAT, "key: byte 0x0a is not printable"},
    {HEAD(0, 1) "sk i13 z64", FORMAT, "k: expected a type from 0 to 12, found 13"},
    {HEAD(0, 1) "sk i4 z3", FORMAT, "k: needs 4 bytes, found 3"},
    {HEAD(0, 1) "sk i8 l18446744073709551615 xabc", FORMAT, "k: needs 18446744073709551615 bytes"},
    {HEAD(0, 1) "sk i8 l4 xabc", FORMAT, "k: needs 4 bytes, found 3"},
    {HEAD(0, 1) "sk i7 b2", FORMAT, "k: expected 0 or 1, found 2"},
    {HEAD(0, 1) "sk i9 i13 l1 z64", FORMAT, "k: expected a type from 0 to 12"},
    {HEAD(0, 1) "sk i9 i4 l4611686018427387905 z4", FORMAT, "k: needs 18446744073709551615 bytes"},
    {HEAD(0, 1) "sk i9 i10 l3 z23", FORMAT, "k: needs 24 bytes, found 23"},
    {HEAD(0, 1) "sk i9 i8 l18446744073709551615 sa sb", FORMAT, "k: needs 8 bytes, found 0"},
    {HEAD(0, 1) "sk i9 i9 l18446744073709551615 i4 l0 i4 l0", FORMAT, "k: needs 4 bytes, found 0"},
    {HEAD(0, 1) "sk i9 i9 l1 i9 l1 i9 l1 i9 l1 i9 l1 i4 l0", UNSUPPORTED, "nested deeper than 4"},
    {HEAD(0, 2) "sk i7 b1 sk i7 b0", FORMAT, "key k occurs twice"},
    {HEAD(0, 1) "sgeneral.alignment i4 i0", FORMAT, "general.alignment: expected a power of two"},
    {HEAD(0, 1) "sgeneral.alignment i4 i24", FORMAT, "expected a power of two"},
    {HEAD(0, 1) "sgeneral.alignment i4 i2147483648", FORMAT, "expected a power of two"},
    {HEAD(0, 1) "sgeneral.alignment i8 s32", FORMAT, "expected a power of two"},
    {HEAD(0, 1) "sgeneral.alignment i5 i4294967264", FORMAT, "expected a power of two"},
    {HEAD(1, 0), FORMAT, "tensor name: needs 8 bytes, found 0"},
    {HEAD(1, 0) "l0 z64", FORMAT, "tensor name: expected 1 to 512"},
    {HEAD(1, 0) "st i5 z64", FORMAT, "t: expected at most 4 dimensions, found 5"},
    {HEAD(1, 0) "st i2 l1", FORMAT, "t: needs 8 bytes, found 0"},
    {HEAD(1, 0) "st i1 l0 i0 l0 a32", FORMAT, "t: shape is empty or overflows"},
    {HEAD(1, 0) "st i2 l4294967296 l4294967296 i0 l0", FORMAT, "t: shape is empty or overflows"},
    {HEAD(1, 0) "st i1 l4611686018427387904 i0 l0", FORMAT, "t: shape is empty or overflows"},
    {HEAD(1, 0) "st i1 l1 i4 l0", UNSUPPORTED, "t: tensor type 4 is not supported"},
    {HEAD(1, 0) "st i1 l256 i15 l0", UNSUPPORTED, "t: tensor type 15 is not supported"},
    {HEAD(1, 0) "st i1 l1 i4294967295 l0", UNSUPPORTED, "tensor type 4294967295 is not"},
    {HEAD(1, 0) "st i2 l31 l32 i2 l0 a32 z999", FORMAT, "t: Q4_0 needs rows of a multiple of 32"},
    {HEAD(1, 0) "st i1 l288 i14 l0 a32 z420", FORMAT, "t: Q6_K needs rows of a multiple of 256"},
    {HEAD(1, 0) "st i1 l256 i12 l0 a32 z143", FORMAT, "t: needs 144 bytes from 0 on, found data"},
    {HEAD(1, 0) "st i1 l1 i0 l32 a32 z64", FORMAT, "t: expected data at offset 0, found 32"},
    {HEAD(2, 0) "st i1 l2 i0 l0 su i1 l2 i0 l0 a32 z64", FORMAT, "u: expected data at offset 32"},
    {HEAD(2, 0) "st i1 l2 i0 l0 st i1 l2 i0 l32 a32 z64", FORMAT, "tensor t occurs twice"},
    {HEAD(1, 0) "st i1 l9 i0 l0 a32 z35", FORMAT, "t: needs 36 bytes from 0 on, found data of 35"},
    {HEAD(1, 0) "st i1 l32 i8 l0 a32 z33", FORMAT, "t: needs 34 bytes from 0 on, found data of 33"},
    {HEAD(1, 0) "st i1 l1 i0 l0 z1", FORMAT, "padding before the data: needs"},
    {HEAD(2, 0) "st i1 l2305843009213693951 i0 l0 su i1 l1 i0 l9223372036854775808", FORMAT,
     "t: data of all tensors overflow 64 bits"},
    {HEAD(1, 0) "st i1 l1000000000000 i0 l0 a32", FORMAT, "truncated"},
};

static void refuses_broken_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        struct gguf_writer w = {0};
        struct gguf *file;
        put_words(&w, broken[i].words);
        /* Its size is exact, so that a sanitizer sees reads past the end. */
        uint8_t *exact = malloc(w.size ? w.size : 1);
        memcpy(exact, w.data ? w.data : exact, w.size);
        int error = gguf_parse(exact, w.size, "x.gguf", &file);
        if (broken[i].error) {
            assert_failed(error, broken[i].error, broken[i].message);
            assert_non_null(strstr(vkclip_last_error(), "x.gguf: "));
            assert_null(file);
        } else if (error) {
            fail_msg("%zu: %s", i, vkclip_last_error());
        }
        gguf_close(&file);
        free(exact), free(w.data);
    }
}

/* A good file that is cut off anywhere is refused. */
static void refuses_truncated_files(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *gguf = scratch_path(folder, "model.gguf"), *data;
    size_t size, step;
    write_hf_vit(folder, &gguf_kinds[2], true, true);
    assert_int_equal(file_read(gguf, 1 << 26, &data, &size), 0);
    for (size_t length = 0; length < size - 31; length += step) {
        struct gguf *file;
        step = length < 6000 ? 1 : 977;
        uint8_t *exact = malloc(length + 1);
        memcpy(exact, data, length);
        assert_failed(gguf_parse(exact, length, "x.gguf", &file), VKCLIP_EFORMAT, "x.gguf: ");
        free(exact);
    }
    free(data), free(gguf);
    scratch_remove(folder);
}

static void reads_typed_values(void **state)
{
    (void)state;
    struct gguf_writer w = {0};
    struct gguf *file;
    uint64_t number = 7;
    double real = 0;
    bool truth = false;
    put_words(&w, HEAD(0, 7) "sa i0 b200 sb i1 b200 sc i11 l5 sd i6 i1065353216 se i12 "
                             "l4611686018427387904 sf i7 b1 sg i9 i5 l1 i3");
    assert_int_equal(gguf_parse(w.data, w.size, "x", &file), 0);
    assert_true(gguf_read_integer(gguf_find(file, "a"), &number) && number == 200);
    assert_false(gguf_read_integer(gguf_find(file, "b"), &number)); /* The value is negative. */
    assert_true(gguf_read_integer(gguf_find(file, "c"), &number) && number == 5);
    assert_false(gguf_read_integer(gguf_find(file, "d"), &number));
    assert_false(gguf_read_integer(gguf_find(file, "f"), &number));
    assert_false(gguf_read_integer(gguf_find(file, "g"), &number));
    assert_false(gguf_read_integer(gguf_find(file, "h"), &number));
    assert_true(gguf_read_number(gguf_find(file, "d"), 0, &real) && real == 1);
    assert_true(gguf_read_number(gguf_find(file, "e"), 0, &real) && real == 2);
    assert_false(gguf_read_number(gguf_find(file, "e"), 1, &real));
    assert_false(gguf_read_number(gguf_find(file, "a"), 0, &real));
    assert_true(gguf_read_bool(gguf_find(file, "f"), &truth) && truth);
    assert_false(gguf_read_bool(gguf_find(file, "a"), &truth));
    gguf_close(&file);
    free(w.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(reads_towers),
        cmocka_unit_test(refuses_bad_configurations),
        cmocka_unit_test(reads_the_vocabulary_of_emoji_clip),
        cmocka_unit_test(reads_the_vocabulary_of_openai),
        cmocka_unit_test(refuses_bad_vocabularies),
        cmocka_unit_test(refuses_broken_files),
        cmocka_unit_test(refuses_truncated_files),
        cmocka_unit_test(reads_typed_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
