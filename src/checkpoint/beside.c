/* SPDX-License-Identifier: MIT
 *
 * Configuration and vocabulary beside converted weights. The configuration is written anew, so that
 * it says what was read, wherever that came from; the vocabulary's files are copied as they are,
 * but for those that are found under no name: they become vocab.json and merges.txt.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"
#include "checkpoint/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/write_config.h"
#include "text/vocabulary.h"

#define FILE_MAX (64u << 20)

/* Writes one file, unless it is there with this content. Takes over `data`. */
static int write_file(struct convert_beside *beside, const char *name, char *data, size_t size)
{
    char *path = string_format("%s/%s", beside->folder, name), *old = NULL;
    size_t old_size = 0;
    int error = path && data ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    if (!error && file_exists(path)) {
        error = file_read(path, FILE_MAX, &old, &old_size);
        if (!error && (old_size != size || memcmp(old, data, size)))
            error = error_fail(VKCLIP_EIO,
                               "%s: is there already with other content, which the model needs: "
                               "name another folder",
                               path);
    } else if (!error) {
        struct file_part part = {data, size};
        error = file_write(path, &part, 1);
        if (!error) {
            beside->made[beside->count++] = path;
            path = NULL;
        }
    }
    free(old);
    free(path);
    free(data);
    return error;
}

static int write_text(struct convert_beside *beside, const char *name, char *text)
{
    return write_file(beside, name, text, text ? strlen(text) : 0);
}

/* The file `name` beside `path`, where there is one, as `as`. */
static int copy_beside(struct convert_beside *beside, const char *path, const char *name,
                       const char *as)
{
    char *data = NULL, *from = string_format("%.*s%s", (int)(file_name(path) - path), path, name);
    size_t size = 0;
    int error = from ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    bool there = !error && file_exists(from);
    if (there)
        error = file_read(from, FILE_MAX, &data, &size);
    if (there && !error)
        error = write_file(beside, as, data, size);
    free(from);
    return error;
}

static int write_pair(struct convert_beside *beside, const char *path)
{
    struct vocabulary vocabulary;
    char *vocab = NULL, *merges = NULL;
    int error = vocabulary_open(path, &vocabulary);
    error = error ? error : vocabulary_write(&vocabulary, &vocab, &merges);
    vocabulary_close(&vocabulary);
    if (error)
        return error;
    error = write_text(beside, "vocab.json", vocab);
    if (error)
        free(merges);
    return error ? error : write_text(beside, "merges.txt", merges);
}

static int write_vocabulary(struct convert_beside *beside, const char *path, enum weights_form form)
{
    const char *name = file_name(path);
    bool pair = !strcmp(name, "vocab.json") || !strcmp(name, "merges.txt");
    bool json = !pair && string_ends_with(name, ".json"),
         list = !strncmp(name, "bpe_simple_vocab_16e6.", 22);
    int error;
    if (list && form != WEIGHTS_HF)
        return copy_beside(beside, path, name, name);
    if (!pair && !json) /* a list of merges or a GGUF file that would not be found by its name */
        return write_pair(beside, path);
    error = json ? copy_beside(beside, path, name, "tokenizer.json")
                 : copy_beside(beside, path, "vocab.json", "vocab.json");
    if (!error && pair)
        error = copy_beside(beside, path, "merges.txt", "merges.txt");
    static const char *const more[] = {"tokenizer_config.json", "special_tokens_map.json"};
    for (size_t i = 0; i < ARRAY_COUNT(more) && !error; i++)
        error = copy_beside(beside, path, more[i], more[i]);
    return error;
}

int convert_write_beside(struct convert_beside *beside, const struct config *config,
                         enum weights_form form)
{
    char *model = NULL, *processor = NULL;
    int error = form == WEIGHTS_HF ? config_write_hf(config, &model, &processor)
                                   : config_write_openclip(config, &model);
    if (!error)
        error =
            write_text(beside, form == WEIGHTS_HF ? "config.json" : "open_clip_config.json", model);
    if (!error && processor)
        error = write_text(beside, "preprocessor_config.json", processor);
    else
        free(processor);
    if (!error && config->tokenizer_path)
        error = write_vocabulary(beside, config->tokenizer_path, form);
    return error;
}

void convert_close_beside(struct convert_beside *beside, int error)
{
    for (size_t i = 0; i < beside->count; i++) {
        if (error)
            remove(beside->made[i]);
        free(beside->made[i]);
    }
    if (error && beside->made_folder)
        remove(beside->folder);
    free(beside->folder);
    *beside = (struct convert_beside){0};
}
