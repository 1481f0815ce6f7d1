/* SPDX-License-Identifier: MIT
 *
 * Chooses the reader of a vocabulary by what the file begins with and, for one of a pair of files,
 * by its name. Finds the pad token in the other files of the folder.
 */
#include "base/error.h"
#include "base/file.h"
#include "format/gguf.h"
#include "text/vocabulary_file.h"
#include "text/vocabulary_readers.h"

#include <stdlib.h>
#include <string.h>

enum {
    MERGES_LIMIT = 64 << 20,        /* bytes of OpenAI's list of merges, unpacked */
    OPENAI_MERGES = 49152 - 256 - 2 /* merges that the reference reads of its longer file */
};

/* ---- The reader ------------------------------------------------------------------------------ */

static int open_gguf(const char *path, struct vocabulary *v)
{
    struct gguf *file = NULL;
    int error = gguf_open(path, &file);
    if (!error)
        error = vocabulary_from_gguf(file, v);
    gguf_close(&file);
    return error;
}

/* Loads tokenizer.json, or vocab.json with merges.txt from the same folder. */
static int load_json(struct vocabulary *v, const char *path, const char *data, size_t size)
{
    json_t *root = NULL;
    char *merges = vocabulary_file_beside(path, "merges.txt");
    int error = VKCLIP_OK;
    if (!merges)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error)
        error = vocabulary_file_parse_json(path, data, size, &root);
    if (!error && json_is_object(json_object_get(root, "model")))
        error = vocabulary_load_tokenizer_json(v, path, root);
    else if (!error)
        error = vocabulary_load_pair(v, path, root, merges);
    json_decref(root);
    free(merges);
    return error;
}

/* Loads merges.txt with vocab.json from the same folder. */
static int load_merges(struct vocabulary *v, const char *path)
{
    json_t *root = NULL;
    char *vocab = vocabulary_file_beside(path, "vocab.json");
    int error = VKCLIP_OK;
    if (!vocab)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error)
        error = vocabulary_file_read_json(vocab, &root);
    if (!error)
        error = vocabulary_load_pair(v, vocab, root, path);
    json_decref(root);
    free(vocab);
    return error;
}

int vocabulary_open(const char *path, struct vocabulary *v)
{
    char *data;
    size_t size;
    *v = (struct vocabulary){0};
    if (gguf_is_file(path))
        return open_gguf(path, v);
    int error = vocabulary_file_read(path, MERGES_LIMIT, &data, &size);
    if (error)
        return error;
    if (data[strspn(data, " \t\r\n")] == '{')
        error = load_json(v, path, data, size);
    else if (!strcmp(file_name(path), "merges.txt"))
        error = load_merges(v, path);
    else
        error = vocabulary_load_openai(v, path, data, size, OPENAI_MERGES);
    free(data);
    if (error)
        vocabulary_close(v);
    return error;
}

/* ---- The pad token --------------------------------------------------------------------------- */

/* Looks for a pad token in the file `name` in the vocabulary's folder. *found becomes true if the
 * file has one. */
static int read_pad(struct vocabulary *v, const char *path, const char *name, bool *found)
{
    json_t *root = NULL;
    char *file = vocabulary_file_beside(path, name);
    int error = VKCLIP_OK;
    if (!file)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    else if (file_exists(file))
        error = vocabulary_file_read_json(file, &root);
    const json_t *pad = json_object_get(root, "pad_token");
    if (json_is_object(pad))
        pad = json_object_get(pad, "content");
    const char *text = json_string_value(pad);
    if (text) {
        v->pad = vocabulary_find(v, text, strlen(text));
        *found = true;
        if (v->pad < 0)
            error =
                error_fail(VKCLIP_EFORMAT, "%s: pad_token \"%.40s\" is not in the vocabulary %s",
                           file, text, path);
    }
    json_decref(root);
    free(file);
    return error;
}

int vocabulary_read_pad(struct vocabulary *v, const char *path)
{
    bool found = false;
    int error = read_pad(v, path, "tokenizer_config.json", &found);
    if (!error && !found)
        error = read_pad(v, path, "special_tokens_map.json", &found);
    if (!found)
        v->pad = v->end;
    return error;
}
