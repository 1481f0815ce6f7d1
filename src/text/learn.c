/* SPDX-License-Identifier: MIT
 *
 * Reads texts from lines or from a column of a table, lets text/bpe learn their merges, and writes
 * the vocabulary as Hugging Face's files. Texts without any word are refused.
 */
#include "text/learn.h"
#include "base/dump.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "format/csv.h"
#include "text/bpe.h"

#include <jansson.h>
#include <string.h>

enum { DEFAULT_SIZE = 49408, DEFAULT_FREQUENCY = 2, DEFAULT_CONTEXT = 77 };
enum { PIECE_SIZE = 64 << 10 }; /* Larger pieces are not read faster. */

/* ---- Reading --------------------------------------------------------------------------------- */

static int add_column(struct bpe *bpe, const char *path, const char *name, uint64_t *texts)
{
    struct csv csv;
    size_t column;
    bool more = true;
    int error = csv_open(path, string_ends_with(path, ".tsv") ? '\t' : 0, &csv);
    if (error)
        return error;
    error = csv_column(&csv, name, &column);
    if (!error)
        error = csv_next(&csv, &more);
    while (!error && more) {
        if (column >= csv.count)
            error = error_fail(VKCLIP_EFORMAT, "%s: line %llu: no column \"%s\"", path,
                               (unsigned long long)csv.line, name);
        if (!error)
            error = bpe_add_text(bpe, csv.fields[column].text, csv.fields[column].length);
        ++*texts;
        if (!error)
            error = csv_next(&csv, &more);
    }
    csv_close(&csv);
    return error;
}

/* Adds the lines of a text, or without `is_end` those that end in it, and tells how many bytes they
 * take. */
static int add_texts(struct bpe *bpe, const char *text, size_t size, bool is_end, size_t *taken,
                     uint64_t *texts)
{
    int error = VKCLIP_OK;
    *taken = 0;
    while (!error && *taken < size) {
        const char *line = text + *taken, *stop = memchr(line, '\n', size - *taken);
        if (!stop && !is_end)
            break;
        const size_t length = stop ? (size_t)(stop - line) : size - *taken;
        error = bpe_add_text(bpe, line, length); /* A '\r' at the end counts as white space. */
        *texts += length > 0;
        *taken += length + (stop != NULL);
        if (!error)
            error = progress_check();
    }
    return error;
}

/* Reads a file in pieces. The beginning of a line that does not end in one stays in front of the
 * next. */
static int add_lines(struct bpe *bpe, const char *path, uint64_t *texts)
{
    struct file_map map;
    char *text = NULL;
    size_t kept = 0;
    int error = file_open(path, &map);
    for (uint64_t read = 0; !error && read < map.size;) {
        const size_t step = map.size - read < PIECE_SIZE ? (size_t)(map.size - read) : PIECE_SIZE;
        char *larger = memory_realloc(text, kept + step);
        size_t taken = 0;
        if (!larger) {
            error = error_fail(VKCLIP_EMEMORY, "%s: out of memory for a line", path);
            break;
        }
        text = larger;
        error = file_map_read(&map, read, step, text + kept);
        read += step;
        if (!error)
            error = add_texts(bpe, text, kept + step, read == map.size, &taken, texts);
        kept += step - taken;
        memmove(text, text + taken, kept);
    }
    memory_free(text);
    file_map_close(&map);
    return error;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int write_text(const char *folder, const char *name, const char *text)
{
    char *path = string_format("%s/%s", folder, name);
    struct file_part parts[] = {{text, text ? strlen(text) : 0}, {"\n", 1}};
    int error = VKCLIP_OK;
    if (path && text)
        error = file_write(path, parts, string_ends_with(name, ".json") ? 2 : 1);
    else
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", folder);
    memory_free(path);
    return error;
}

/* Writes `text` as a JSON file and releases it. A `text` of NULL means that memory ran out, which
 * is the error then. */
static int write_json(const char *folder, const char *name, char *text)
{
    int error = write_text(folder, name, text);
    memory_free(text);
    return error;
}

static char *print_json(json_t *json)
{
    char *text = json ? dump_json(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    return text;
}

static char *print_tokenizer_config(const struct vocabulary *vocabulary, uint32_t context)
{
    const char *start = vocabulary->tokens[vocabulary->start];
    const char *end = vocabulary->tokens[vocabulary->end];
    return print_json(json_pack("{ss si ss ss ss ss sb ss sb}", "tokenizer_class", "CLIPTokenizer",
                                "model_max_length", (int)context, "bos_token", start, "eos_token",
                                end, "pad_token", end, "unk_token", end, "do_lower_case", 1,
                                "errors", "replace", "add_prefix_space", 0));
}

static char *print_special_tokens(const struct vocabulary *vocabulary)
{
    const char *start = vocabulary->tokens[vocabulary->start];
    const char *end = vocabulary->tokens[vocabulary->end];
    return print_json(json_pack("{ss ss ss ss}", "bos_token", start, "eos_token", end, "pad_token",
                                end, "unk_token", end));
}

/* Writes vocab.json last, so that a folder that has it is complete. */
static int write_folder(const struct vocabulary *vocabulary, uint32_t context, const char *folder)
{
    char *vocab = NULL, *merges = NULL;
    int error = folder_make_new(folder);
    if (!error)
        error = vocabulary_write(vocabulary, &vocab, &merges);
    if (!error)
        error = write_json(folder, "tokenizer_config.json",
                           print_tokenizer_config(vocabulary, context));
    if (!error)
        error = write_json(folder, "special_tokens_map.json", print_special_tokens(vocabulary));
    if (!error)
        error = write_text(folder, "merges.txt", merges);
    if (!error)
        error = write_text(folder, "vocab.json", vocab);
    memory_free(vocab);
    memory_free(merges);
    return error;
}

static bool is_table(const char *path)
{
    return string_ends_with(path, ".csv") || string_ends_with(path, ".tsv");
}

static int add_files(struct bpe *bpe, const char *const *paths, size_t count, const char *column,
                     uint64_t *texts)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < count && !error; i++) {
        if (is_table(paths[i]))
            error = add_column(bpe, paths[i], column, texts);
        else
            error = add_lines(bpe, paths[i], texts);
    }
    if (!error && !bpe_words(bpe))
        error = error_fail(VKCLIP_EFORMAT, "%s: contains no words", paths[0]);
    return error;
}

int learn_tokenizer(const char *const *paths, size_t count,
                    const struct vkclip_tokenizer_params *params, const char *folder,
                    struct vkclip_tokenizer_result *result)
{
    const uint32_t size = params->vocabulary ? params->vocabulary : DEFAULT_SIZE;
    const uint32_t frequency = params->min_frequency ? params->min_frequency : DEFAULT_FREQUENCY;
    const uint32_t context = params->context ? params->context : DEFAULT_CONTEXT;
    const char *column = params->column ? params->column : "title";
    struct vocabulary vocabulary = {0};
    struct bpe *bpe = NULL;
    uint64_t texts = 0;
    int error = progress_tell(0, size);
    if (!error)
        error = bpe_open(&bpe);
    if (!error)
        error = add_files(bpe, paths, count, column, &texts);
    if (!error)
        error = bpe_learn(bpe, size, frequency, &vocabulary);
    if (!error)
        error = write_folder(&vocabulary, context, folder);
    if (!error && result)
        *result = (struct vkclip_tokenizer_result){.vocabulary = vocabulary.count,
                                                   .texts = texts,
                                                   .words = bpe_words(bpe),
                                                   .skipped_words = bpe_long_words(bpe)};
    vocabulary_close(&vocabulary);
    bpe_close(&bpe);
    return error;
}
