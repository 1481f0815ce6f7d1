/* SPDX-License-Identifier: MIT
 *
 * Writes the configuration from the values in memory, so that it describes the model whichever file
 * they came from. A tokenizer's files are copied if readers find them under their names; another
 * vocabulary is written as vocab.json and merges.txt.
 */
#include "checkpoint/beside.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/write_config.h"
#include "text/vocabulary.h"

#include <stdio.h>
#include <string.h>

#define FILE_MAX (96u << 20)

/* ---- One file -------------------------------------------------------------------------------- */

static int check_content(const char *path, const char *data, size_t size)
{
    char *old = NULL;
    size_t old_size = 0;
    int error = file_read(path, FILE_MAX, &old, &old_size);
    if (!error && (old_size != size || memcmp(old, data, size)))
        error = error_fail(VKCLIP_EIO,
                           "%s: is there already with other content, which the model needs: "
                           "name another folder",
                           path);
    memory_free(old);
    return error;
}

/* Writes one file, unless it already exists with this content. Takes ownership of `data`. */
static int write_file(struct beside *beside, const char *name, char *data, size_t size)
{
    const struct file_part part = {data, size};
    char *path = string_format("%s/%s", beside->folder, name);
    int error = VKCLIP_OK;
    if (!path || !data) {
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    } else if (file_exists(path)) {
        error = check_content(path, data, size);
    } else {
        error = file_write(path, &part, 1);
        if (!error) {
            beside->made[beside->count++] = path;
            path = NULL;
        }
    }
    memory_free(path);
    memory_free(data);
    return error;
}

static int write_text(struct beside *beside, const char *name, char *text)
{
    return write_file(beside, name, text, text ? strlen(text) : 0);
}

/* Copies the file `name` from the folder of `path`, if it exists, to a file called `new_name`. */
static int copy_file(struct beside *beside, const char *path, const char *name,
                     const char *new_name)
{
    char *data = NULL;
    size_t size = 0;
    char *source = string_format("%.*s%s", (int)(file_name(path) - path), path, name);
    if (!source)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    int error = VKCLIP_OK;
    if (file_exists(source)) {
        error = file_read(source, FILE_MAX, &data, &size);
        if (!error)
            error = write_file(beside, new_name, data, size);
    }
    memory_free(source);
    return error;
}

/* ---- The tokenizer --------------------------------------------------------------------------- */

/* Writes a vocabulary as vocab.json and merges.txt. */
static int write_pair(struct beside *beside, const char *path)
{
    struct vocabulary vocabulary;
    char *vocab = NULL, *merges = NULL;
    int error = vocabulary_open(path, &vocabulary);
    if (!error)
        error = vocabulary_write(&vocabulary, &vocab, &merges);
    vocabulary_close(&vocabulary);
    if (!error) {
        error = write_text(beside, "vocab.json", vocab);
        if (!error)
            error = write_text(beside, "merges.txt", merges);
        else
            memory_free(merges);
    }
    return error;
}

/* Copies the files that change how the tokenizer.json or vocab.json beside them is used. */
static int copy_settings(struct beside *beside, const char *path)
{
    int error = copy_file(beside, path, "tokenizer_config.json", "tokenizer_config.json");
    if (!error)
        error = copy_file(beside, path, "special_tokens_map.json", "special_tokens_map.json");
    if (!error)
        error = copy_file(beside, path, "added_tokens.json", "added_tokens.json");
    return error;
}

/* Copies a vocabulary that readers find by its name. */
static int copy_named(struct beside *beside, const char *path)
{
    int error = copy_file(beside, path, file_name(path), file_name(path));
    if (!error)
        error = copy_settings(beside, path);
    return error;
}

static bool has_known_name(const char *name)
{
    static const char *const names[] = {"spiece.model", "sentencepiece.bpe.model", "vocab.txt"};
    size_t i = 0;
    while (i < ARRAY_COUNT(names) && strcmp(name, names[i]))
        i++;
    return i < ARRAY_COUNT(names);
}

static int copy_pair(struct beside *beside, const char *path)
{
    int error = copy_file(beside, path, "vocab.json", "vocab.json");
    if (!error)
        error = copy_file(beside, path, "merges.txt", "merges.txt");
    if (!error)
        error = copy_settings(beside, path);
    return error;
}

static int copy_tokenizer(struct beside *beside, const char *path)
{
    int error = copy_file(beside, path, file_name(path), "tokenizer.json");
    if (!error)
        error = copy_settings(beside, path);
    return error;
}

static int write_vocabulary(struct beside *beside, const char *path, enum names_form form)
{
    const char *name = file_name(path);
    if (!file_exists(path))
        return error_fail(VKCLIP_EIO,
                          "%s: expected the vocabulary that the model was opened with, "
                          "found no file",
                          path);
    if (!strcmp(name, "vocab.json") || !strcmp(name, "merges.txt"))
        return copy_pair(beside, path);
    if (has_known_name(name))
        return copy_named(beside, path);
    if (string_ends_with(name, ".json"))
        return copy_tokenizer(beside, path);
    /* Readers find OpenAI's list of merges by its name, but ignore it beside Hugging Face's
     * weights. */
    if (string_begins_with(name, "bpe_simple_vocab_16e6.") && !names_is_hugging_face(form))
        return copy_file(beside, path, name, name);
    return write_pair(beside, path);
}

/* ---- All together ---------------------------------------------------------------------------- */

static int write_hugging_face(struct beside *beside, const struct config *config)
{
    char *model = NULL, *processor = NULL;
    int error = write_config_hugging_face(config, &model, &processor);
    if (!error)
        error = write_text(beside, "config.json", model);
    if (!error && processor)
        return write_text(beside, "preprocessor_config.json", processor);
    memory_free(processor);
    return error;
}

static int write_openclip(struct beside *beside, const struct config *config)
{
    char *model = NULL;
    int error = write_config_openclip(config, &model);
    if (!error)
        error = write_text(beside, "open_clip_config.json", model);
    return error;
}

int beside_write(struct beside *beside, const struct config *config, enum names_form form)
{
    int error = names_is_hugging_face(form) ? write_hugging_face(beside, config)
                                            : write_openclip(beside, config);
    if (!error && config->tokenizer_path)
        error = write_vocabulary(beside, config->tokenizer_path, form);
    return error;
}

void beside_close(struct beside *beside, int error)
{
    for (size_t i = 0; i < beside->count; i++) {
        if (error)
            file_remove(beside->made[i]);
        memory_free(beside->made[i]);
    }
    if (error && beside->made_folder)
        folder_remove_empty(beside->folder);
    memory_free(beside->folder);
    *beside = (struct beside){0};
}
