/* SPDX-License-Identifier: MIT
 *
 * Compares the ids of the tokenizers of CLIP's descendants with those of transformers and OpenCLIP,
 * for each file of a vocabulary that their folders have. The folders are part of the larger
 * reference data.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/json_lines.h"
#include "support/scratch.h"
#include "text/tokenizer.h"

#include <time.h>

#define FOLDER "family/"

static const struct row {
    const char *folder, *file;
    enum tokenizer_cleaning cleaning; /* of OpenCLIP's folders */
    bool strip_end;
    const char *key; /* of the expected ids */
    size_t context;
    int32_t start, end, pad;
} rows[] = {
    {"siglip-hf", "spiece.model", 0, false, "ids", 64, -1, 1, 1},
    {"siglip-hf", "tokenizer.json", 0, false, "ids_tokenizer_json", 64, -1, 1, 1},
    {"siglip-openclip", "tokenizer.json", CLEANING_CANONICALIZE, false, "ids", 64, -1, 1, 1},
    {"siglip2-hf", "tokenizer.json", 0, false, "ids", 64, -1, 1, 0},
    {"siglip2-openclip", "tokenizer.json", CLEANING_CANONICALIZE, false, "ids", 64, -1, 1, 0},
    {"metaclip2-hf", "tokenizer.json", 0, false, "ids", 77, 0, 2, 1},
    {"metaclip2-hf", "sentencepiece.bpe.model", 0, false, "ids", 77, 0, 2, 1},
    {"metaclip2-openclip", "tokenizer.json", CLEANING_WHITESPACE, false, "ids", 77, 0, 2, 1},
    {"clipa-openclip", "tokenizer.json", CLEANING_WHITESPACE, true, "ids", 32, 101, 0, 0},
    {"clipa-openclip", "vocab.txt", CLEANING_WHITESPACE, true, "ids", 32, 101, 0, 0},
    {"chineseclip-hf", "tokenizer.json", 0, false, "ids", 52, 101, 102, 0},
    {"chineseclip-hf", "vocab.txt", 0, false, "ids", 52, 101, 102, 0},
};

/* Encodes a text as a model does: with all ids if they fit the context, else with the end as the
 * last one. */
static size_t encode(const struct tokenizer *tokenizer, const json_t *text, int32_t *ids,
                     size_t context)
{
    size_t count;
    assert_int_equal(tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text),
                                      ids, context, &count),
                     0);
    if (count <= context)
        return count;
    ids[context - 1] = tokenizer_end(tokenizer);
    return context;
}

/* Leaves out what the reference data leaves out: of OpenCLIP's ids those after the first end, and
 * zeros at the end where ends are stripped. */
static size_t trim(const struct row *row, const int32_t *ids, size_t count)
{
    size_t kept = 0;
    if (row->strip_end)
        while (count && !ids[count - 1])
            count--;
    else if (row->cleaning) {
        while (kept < count && ids[kept] != row->end)
            kept++;
        count = kept + 1;
    }
    return count;
}

static char *describe(const json_t *line, const int32_t *ids, size_t count)
{
    json_t *found = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(found, json_integer(ids[i]));
    char *text = json_dumps(line, JSON_ENSURE_ASCII), *other = json_dumps(found, JSON_COMPACT);
    char *message = string_format("%s: found %s", text, other);
    json_decref(found);
    free(text);
    free(other);
    return message;
}

static size_t compare(const struct row *row, const struct tokenizer *tokenizer, const json_t *line)
{
    const json_t *expected = json_object_get(line, row->key);
    int32_t ids[256];
    size_t count = encode(tokenizer, json_object_get(line, "text"), ids, row->context);
    count = trim(row, ids, count);
    bool same = count == json_array_size(expected);
    for (size_t i = 0; same && i < count; i++)
        same = json_integer_value(json_array_get(expected, i)) == ids[i];
    if (!same) {
        char *message = describe(line, ids, count);
        print_message("%s/%s: %s\n", row->folder, row->file, message);
        free(message);
    }
    return !same;
}

/* Returns the number of texts that have other ids than expected. */
static size_t compare_row(const struct row *row, const char *path)
{
    struct tokenizer *tokenizer;
    char *cases = string_format(FOLDER "%s/tokens.jsonl", row->folder);
    json_t *lines = read_lines(cases), *line;
    size_t i, failed = 0;
    if (tokenizer_open(path, TOKENIZER_HF, &tokenizer))
        fail_msg("%s", vkclip_last_error());
    tokenizer_clean(tokenizer, row->cleaning, row->strip_end);
    assert_int_equal(tokenizer_start(tokenizer), row->start);
    assert_int_equal(tokenizer_end(tokenizer), row->end);
    assert_int_equal(tokenizer_pad(tokenizer), row->pad);
    json_array_foreach (lines, i, line)
        failed += compare(row, tokenizer, line);
    assert_int_equal(i, 294);
    tokenizer_close(&tokenizer);
    json_decref(lines);
    free(cases);
    return failed;
}

static void test_tokens(void **state)
{
    size_t failed = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *relative = string_format(FOLDER "%s/%s", rows[i].folder, rows[i].file);
        char *path = golden_path(relative);
        if (path)
            failed += compare_row(&rows[i], path);
        else
            print_message("skipped: reference data %s is not here\n", relative);
        free(relative);
        free(path);
    }
    if (failed)
        fail_msg("%zu texts have other ids", failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
