/* SPDX-License-Identifier: MIT
 *
 * vkclip_train_tokenizer: texts out of files to a vocabulary, and the vocabulary to a folder.
 */
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"
#include "text/bpe.h"
#include "format/csv.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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
    while (!error && !(error = csv_next(&csv, &more)) && more) {
        if (column >= csv.count)
            error = error_fail(VKCLIP_EFORMAT, "%s: line %llu: no column \"%s\"", path,
                               (unsigned long long)csv.line, name);
        error =
            error ? error : bpe_add_text(bpe, csv.fields[column].text, csv.fields[column].length);
        ++*texts;
    }
    csv_close(&csv);
    return error;
}

static int add_lines(struct bpe *bpe, const char *path, uint64_t *texts)
{
    struct file_map map;
    int error = file_map_open(path, &map);
    if (error)
        return error;
    const char *at = (const char *)map.data, *end = map.size ? at + map.size : at;
    while (!error && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t length = (size_t)((stop ? stop : end) - at);
        error = bpe_add_text(bpe, at, length); /* a '\r' is white space */
        *texts += length > 0;
        at += length + (stop != NULL);
    }
    file_map_close(&map);
    return error;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Takes over `text`. */
static int write_text(const char *folder, const char *name, char *text)
{
    char *path = string_format("%s/%s", folder, name);
    struct file_part parts[] = {{text, text ? strlen(text) : 0}, {"\n", 1}};
    int error = path && text ? file_write(path, parts, string_ends_with(name, ".json") ? 2 : 1)
                             : error_fail(VKCLIP_EMEMORY, "%s: out of memory", folder);
    free(path);
    free(text);
    return error;
}

static char *print_json(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    return text;
}

/* vocab.json comes last: a folder that has it has all. */
static int write_folder(const struct vocabulary *v, uint32_t context, const char *folder)
{
    const char *start = v->tokens[v->start], *end = v->tokens[v->end];
    char *vocab = NULL, *merges = NULL;
    int error = folder_make_new(folder);
    error = error ? error : vocabulary_write(v, &vocab, &merges);
    if (error)
        return error;
    error = write_text(
        folder, "tokenizer_config.json",
        print_json(json_pack("{ss si ss ss ss ss sb ss sb}", "tokenizer_class", "CLIPTokenizer",
                             "model_max_length", (int)context, "bos_token", start, "eos_token", end,
                             "pad_token", end, "unk_token", end, "do_lower_case", 1, "errors",
                             "replace", "add_prefix_space", 0)));
    error = error
                ? error
                : write_text(folder, "special_tokens_map.json",
                             print_json(json_pack("{ss ss ss ss}", "bos_token", start, "eos_token",
                                                  end, "pad_token", end, "unk_token", end)));
    if (error)
        goto fail;
    error = write_text(folder, "merges.txt", merges);
    merges = NULL;
    if (error)
        goto fail;
    return write_text(folder, "vocab.json", vocab);
fail:
    free(vocab);
    free(merges);
    return error;
}

int vkclip_train_tokenizer(const char *const *paths, size_t count,
                           const struct vkclip_tokenizer_params *params, const char *folder,
                           struct vkclip_tokenizer_result *result)
{
    static const struct vkclip_tokenizer_params none;
    struct vkclip_tokenizer_result own = {0};
    struct vocabulary vocabulary = {0};
    struct bpe *bpe = NULL;
    params = params ? params : &none;
    if (!paths || !count || !folder || params->context > INT32_MAX)
        return error_fail(VKCLIP_EINVALID, "vkclip_train_tokenizer: paths and a folder expected");
    const uint32_t size = params->vocabulary ? params->vocabulary : 49408;
    int error = bpe_open(&bpe);
    for (size_t i = 0; i < count && !error; i++) {
        const char *path = paths[i];
        if (string_ends_with(path, ".csv") || string_ends_with(path, ".tsv"))
            error = add_column(bpe, path, params->column ? params->column : "title", &own.texts);
        else
            error = add_lines(bpe, path, &own.texts);
    }
    if (!error && !bpe_words(bpe))
        error = error_fail(VKCLIP_EFORMAT, "%s: no words in it", paths[0]);
    error = error ? error
                  : bpe_learn(bpe, size, params->min_frequency ? params->min_frequency : 2,
                              &vocabulary);
    error =
        error ? error : write_folder(&vocabulary, params->context ? params->context : 77, folder);
    if (!error && result) {
        own.vocabulary = vocabulary.count;
        own.words = bpe_words(bpe);
        own.skipped_words = bpe_long_words(bpe);
        *result = own;
    }
    vocabulary_close(&vocabulary);
    bpe_close(&bpe);
    return error;
}
