/* SPDX-License-Identifier: MIT
 *
 * Learning vocabularies: the merges equal those of a simple implementation that counts all pairs
 * again for every merge, the tokenizer opens the written files, and rows of CSV files are read.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/folder.h"
#include "support/scratch.h"

#include "text/bpe.h"
#include "text/clip_bpe.h"
#include "format/csv.h"
#include "text/tokenizer.h"

/* ---- The simple implementation --------------------------------------------------------------- */

enum { WORDS = 300, LENGTH = 12, MERGES = 60, TOKEN = 80 };

struct plain {
    char words[WORDS][LENGTH][TOKEN]; /* tokens as text */
    int lengths[WORDS], count;
};

static void add_word(void *user, const int32_t *word, size_t length)
{
    struct plain *plain = user;
    assert_true(plain->count < WORDS && length <= LENGTH);
    for (size_t i = 0; i < length; i++)
        snprintf(plain->words[plain->count][i], TOKEN, "%c%s", (char)word[i],
                 i + 1 == length ? "</w>" : "");
    plain->lengths[plain->count++] = (int)length;
}

static int count_pair(const struct plain *plain, const char *left, const char *right)
{
    int count = 0;
    for (int w = 0; w < plain->count; w++)
        for (int i = 0; i + 1 < plain->lengths[w]; i++)
            count += !strcmp(plain->words[w][i], left) && !strcmp(plain->words[w][i + 1], right);
    return count;
}

/* Finds the most frequent pair, and among equally frequent ones the last. Returns 0 if no pair
 * occurs twice. */
static int best_pair(const struct plain *plain, char left[TOKEN], char right[TOKEN])
{
    int best = 1;
    for (int w = 0; w < plain->count; w++)
        for (int i = 0; i + 1 < plain->lengths[w]; i++) {
            const char *a = plain->words[w][i], *b = plain->words[w][i + 1];
            int count = count_pair(plain, a, b), order = strcmp(a, left);
            order = order ? order : strcmp(b, right);
            if (count > best || (count == best && best > 1 && order > 0)) {
                best = count;
                strcpy(left, a);
                strcpy(right, b);
            }
        }
    return best > 1 ? best : 0;
}

static void join_pair(struct plain *plain, const char *left, const char *right)
{
    for (int w = 0; w < plain->count; w++)
        for (int i = 0; i + 1 < plain->lengths[w]; i++)
            if (!strcmp(plain->words[w][i], left) && !strcmp(plain->words[w][i + 1], right)) {
                strcat(plain->words[w][i], right);
                for (int k = i + 1; k + 1 < plain->lengths[w]; k++)
                    strcpy(plain->words[w][k], plain->words[w][k + 1]);
                plain->lengths[w]--;
            }
}

/* Makes words of three letters, so that counts are often equal and letters repeat. */
static void make_texts(uint32_t seed, char texts[WORDS][LENGTH + 1], int count)
{
    for (int i = 0; i < count; i++) {
        int length = 1 + (int)((seed = seed * 1664525 + 1013904223) >> 16) % (LENGTH - 1);
        for (int k = 0; k < length; k++)
            texts[i][k] = "abc"[((seed = seed * 1664525 + 1013904223) >> 16) % 3];
        texts[i][length] = 0;
    }
}

static void test_merges_are_those_of_the_plain_way(void **state)
{
    static char texts[WORDS][LENGTH + 1];
    (void)state;
    for (uint32_t seed = 1; seed <= 4; seed++) {
        const int count = seed < 3 ? 30 : WORDS;
        struct plain *plain = calloc(1, sizeof(*plain));
        struct vocabulary vocabulary;
        struct bpe *bpe = NULL;
        assert_non_null(plain);
        make_texts(seed, texts, count);
        assert_int_equal(bpe_open(&bpe), 0);
        for (int i = 0; i < count; i++) {
            assert_int_equal(clip_bpe_split(texts[i], strlen(texts[i]), add_word, plain), 0);
            const char *text = texts[count - 1 - i]; /* The order must not matter. */
            assert_int_equal(bpe_add_text(bpe, text, strlen(text)), 0);
        }
        assert_int_equal(bpe_learn(bpe, 514 + MERGES, 2, &vocabulary), 0);
        uint32_t merges = 0;
        for (char left[TOKEN] = "", right[TOKEN] = "", joined[2 * TOKEN];
             merges < MERGES && best_pair(plain, left, right); *left = *right = 0) {
            snprintf(joined, sizeof(joined), "%s%s", left, right);
            join_pair(plain, left, right);
            assert_string_equal(vocabulary.tokens[512 + merges++], joined);
        }
        assert_int_equal(vocabulary.count, 514 + merges);
        /* Learning must end in both ways: early, and after all merges. */
        assert_true(seed < 3 ? merges < MERGES : merges == MERGES);
        vocabulary_close(&vocabulary);
        bpe_close(&bpe);
        free(plain);
    }
}

static void test_words_are_the_tokenizers(void **state)
{
    static const char text[] = "  It's  \xc3\x85ngstr\xc3\xb6m no.7\t<|endoftext|>\xff ";
    static const char *const words[] = {"it", "'s",        "\xc3\xa5ngstr\xc3\xb6m", "no", ".", "7",
                                        "<|", "endoftext", "|>\xef\xbf\xbd"};
    (void)state;
    struct bpe *bpe = NULL;
    struct vocabulary vocabulary;
    assert_int_equal(bpe_open(&bpe), 0);
    assert_int_equal(bpe_add_text(bpe, text, strlen(text)), 0);
    assert_int_equal(bpe_words(bpe), ARRAY_COUNT(words));
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        assert_int_equal(bpe_add_text(bpe, words[i], strlen(words[i])), 0);
    assert_int_equal(bpe_words(bpe), ARRAY_COUNT(words));
    char *much = calloc(1, 2000);
    assert_non_null(much);
    memset(much, 'a', 1999);
    assert_int_equal(bpe_add_text(bpe, much, 1999), 0);
    assert_int_equal(bpe_long_words(bpe), 1);
    free(much);
    assert_failed(bpe_learn(bpe, 513, 2, &vocabulary), VKCLIP_EINVALID, "513");
    bpe_close(&bpe);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void train(const char *const *paths, size_t count, const char *folder, uint32_t size,
                  const char *column, struct vkclip_tokenizer_result *result)
{
    const struct vkclip_tokenizer_params params = {
        .size = sizeof(params), .vocabulary = size, .context = 20, .column = column};
    if (vkclip_train_tokenizer(paths, count, &params, folder, result))
        fail_msg("%s", vkclip_last_error());
}

static void check_trained_tokenizer(const char *folder)
{
    struct tokenizer *tokenizer = NULL;
    char *vocab = scratch_path(folder, "vocab.json"), *text = NULL;
    assert_int_equal(tokenizer_open(vocab, TOKENIZER_BY_FILE, &tokenizer), 0);
    assert_int_equal(tokenizer_size(tokenizer), 518);
    assert_int_equal(tokenizer_start(tokenizer), 516);
    assert_int_equal(tokenizer_end(tokenizer), 517);
    assert_int_equal(tokenizer_pad(tokenizer), 517);
    int32_t ids[8];
    size_t count;
    assert_int_equal(tokenizer_encode(tokenizer, "Red owl!", 8, ids, 8, &count), 0);
    assert_int_equal(count, 5); /* start, two words, a byte at a word's end, end */
    assert_int_equal(tokenizer_decode(tokenizer, ids + 1, 3, &text), 0);
    assert_string_equal(text, "red owl ! ");
    free(text);
    free(vocab);
    tokenizer_close(&tokenizer);
}

/* Both folders must hold the same files of a tokenizer. */
static void check_same_files(const char *one, const char *two)
{
    static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json",
                                        "special_tokens_map.json"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char *a = scratch_path(one, names[i]), *b = scratch_path(two, names[i]), *x, *y;
        size_t x_size, y_size;
        assert_int_equal(file_read(a, 1 << 20, &x, &x_size), 0);
        assert_int_equal(file_read(b, 1 << 20, &y, &y_size), 0);
        assert_int_equal(x_size, y_size);
        assert_memory_equal(x, y, x_size);
        free(x);
        free(y);
        free(a);
        free(b);
    }
}

static void test_files_open(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *lines = scratch_path(folder, "a.txt"),
         *table = scratch_path(folder, "b.tsv"), *commas = scratch_path(folder, "c.csv"),
         *one = scratch_path(folder, "one"), *two = scratch_path(folder, "two");
    struct vkclip_tokenizer_result result = {.size = sizeof(result)};
    scratch_text(folder, "a.txt", "a red owl\r\n\nan owl, red\nred owls' owl\n");
    scratch_text(folder, "b.tsv",
                 "filepath\ttitle\n1.png\tan owl, red\n2.png\ta red owl\n3.png\tred owls' owl");
    scratch_text(folder, "c.csv",
                 "title,caption\n,a red owl\n,\"red owls' owl\"\n\n,\"an owl, red\"\n");
    train((const char *const[]){lines}, 1, one, 518, NULL, &result);
    assert_int_equal(result.vocabulary, 518);
    assert_int_equal(result.texts, 3);
    assert_int_equal(result.words, 7);
    check_trained_tokenizer(one);

    /* One table with the texts, and two such tables, which double all counts, give the same
     * merges as the texts. */
    train((const char *const[]){table}, 1, two, 518, NULL, &result);
    check_same_files(one, two);
    scratch_clear(two);
    train((const char *const[]){commas, commas}, 2, two, 518, "caption", &result);
    check_same_files(one, two);
    scratch_clear(two);
    free(lines);
    free(table);
    free(commas);
    free(one);
    free(two);
    scratch_remove(folder);
}

/* A file of lines is read in pieces of 64 KiB, in which neither lines nor words end. */
static void test_long_files(void **state)
{
    (void)state;
    enum { LINES = 3000, LONG_LINE = 30000 };
    char *folder = scratch_folder(), *lines = scratch_path(folder, "a.txt"),
         *table = scratch_path(folder, "b.tsv"), *one = scratch_path(folder, "one"),
         *two = scratch_path(folder, "two");
    struct vkclip_tokenizer_result result = {.size = sizeof(result)};
    FILE *text = fopen(lines, "wb"), *rows = fopen(table, "wb");
    assert_true(text && rows);
    fprintf(rows, "title\n");
    for (int i = 0; i < LINES; i++) {
        const int words = i == LINES / 2 ? LONG_LINE : 10;
        for (int j = 0; j < words; j++) {
            fprintf(text, "owl%d ", i * j % 101);
            fprintf(rows, "owl%d ", i * j % 101);
        }
        fprintf(text, "%s", i + 1 < LINES ? "\n" : "");
        fprintf(rows, "\n");
    }
    fclose(text);
    fclose(rows);
    train((const char *const[]){lines}, 1, one, 600, NULL, &result);
    assert_int_equal(result.texts, LINES);
    train((const char *const[]){table}, 1, two, 600, NULL, &result);
    check_same_files(one, two);
    free(lines);
    free(table);
    free(one);
    free(two);
    scratch_remove(folder);
}

static void test_refusals(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *out = scratch_path(folder, "out");
    const struct vkclip_tokenizer_params params = {.size = sizeof(params), .vocabulary = 600};
    static const struct {
        const char *name, *text, *message;
        int error;
    } cases[] = {
        {"none.txt", NULL, "none.txt", VKCLIP_EIO},
        {"empty.txt", "", "no words", VKCLIP_EFORMAT},
        {"empty.tsv", "", "empty", VKCLIP_EFORMAT},
        {"a.tsv", "filepath\tcaption\n",
         "no column \"title\" in its first row, which has: filepath", VKCLIP_EFORMAT},
        {"b.tsv", "filepath\ttitle\na\tb\n\nonly\n", "line 4: no column", VKCLIP_EFORMAT},
        {"c.csv", "a,title\n1,\"never\nclosed\n", "line 2: a quote", VKCLIP_EFORMAT},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *path = scratch_path(folder, cases[i].name);
        const char *paths[] = {path};
        if (cases[i].text)
            scratch_text(folder, cases[i].name, cases[i].text);
        assert_failed(vkclip_train_tokenizer(paths, 1, &params, out, NULL), cases[i].error,
                      cases[i].message);
        assert_false(folder_exists(out));
        free(path);
    }
    scratch_text(folder, "good.txt", "a b c");
    char *good = scratch_path(folder, "good.txt");
    const char *paths[] = {good};
    assert_failed(vkclip_train_tokenizer(paths, 1, &params, folder, NULL), VKCLIP_EINVALID,
                  "new or empty");
    assert_failed(vkclip_train_tokenizer(paths, 0, &params, out, NULL), VKCLIP_EINVALID, "paths");
    free(good);
    free(out);
    scratch_remove(folder);
}

static void test_rows(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbfname,b,\"c \"\"d\"\"\"\r\n"
                               "1,,3\n\n"
                               "\"two\nlines\",x\"y,\n"
                               "x\"y,\"\nsome\nmore\nlines\",\n"
                               "last";
    static const struct {
        uint64_t line;
        size_t count;
        const char *fields[3];
    } rows[] = {{2, 3, {"1", "", "3"}},
                {4, 3, {"two\nlines", "x\"y", ""}},
                {6, 3, {"x\"y", "\nsome\nmore\nlines", ""}},
                {10, 1, {"last"}}};
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.csv");
    struct csv csv;
    size_t column;
    bool more;
    scratch_text(folder, "a.csv", text);
    assert_int_equal(csv_open(path, 0, &csv), 0);
    assert_int_equal(csv_column(&csv, "name", &column), 0);
    assert_int_equal(column, 0);
    assert_int_equal(csv_column(&csv, "c \"d\"", &column), 0);
    assert_int_equal(column, 2);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(csv_next(&csv, &more), 0);
        assert_true(more);
        assert_int_equal(csv.line, rows[i].line);
        assert_int_equal(csv.count, rows[i].count);
        for (size_t k = 0; k < rows[i].count; k++)
            assert_string_equal(csv.fields[k].text, rows[i].fields[k]);
    }
    assert_int_equal(csv_next(&csv, &more), 0);
    assert_false(more);
    csv_close(&csv);
    free(path);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges_are_those_of_the_plain_way),
        cmocka_unit_test(test_words_are_the_tokenizers),
        cmocka_unit_test(test_files_open),
        cmocka_unit_test(test_long_files),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
