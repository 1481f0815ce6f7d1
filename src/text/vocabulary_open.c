/* SPDX-License-Identifier: MIT
 *
 * Chooses the reader of a vocabulary by what the file begins with and, for one of a pair of files,
 * by its name.
 */
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "text/vocabulary_file.h"
#include "text/vocabulary_readers.h"
#include "text/vocabulary_source.h"

#include <string.h>

enum { OPENAI_MERGES = 49152 - 256 - 2 }; /* merges that the reference reads of its longer file */

/* ---- The reader ------------------------------------------------------------------------------ */

/* Loads tokenizer.json, or vocab.json with merges.txt from the same folder. */
static int load_json(struct vocabulary *v, const struct vocabulary_source *source)
{
    if (json_is_object(json_object_get(source->root, "model")))
        return vocabulary_load_tokenizer_json(v, source->path, source->root);
    if (source->in_memory)
        return error_fail(VKCLIP_EFORMAT, "%s: expected a tokenizer.json", source->path);
    char *merges = vocabulary_file_beside(source->path, "merges.txt");
    int error = VKCLIP_OK;
    if (merges)
        error = vocabulary_load_pair(v, source->path, source->root, merges);
    else
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", source->path);
    memory_free(merges);
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
    memory_free(vocab);
    return error;
}

int vocabulary_load(const struct vocabulary_source *source, struct vocabulary *v)
{
    const char *path = source->path;
    int error = VKCLIP_OK;
    *v = (struct vocabulary){0};
    if (source->gguf)
        return vocabulary_from_gguf(source->gguf, v);
    if (source->root)
        error = load_json(v, source);
    else if (!strcmp(file_name(path), "merges.txt"))
        error = load_merges(v, path);
    else
        error = vocabulary_load_openai(v, path, source->data, source->size, OPENAI_MERGES);
    if (error)
        vocabulary_close(v);
    return error;
}

int vocabulary_open(const char *path, struct vocabulary *v)
{
    const struct file_source file = file_source_path(path);
    struct vocabulary_source source;
    *v = (struct vocabulary){0};
    int error = vocabulary_source_open(&file, &source);
    if (error)
        return error;
    error = vocabulary_load(&source, v);
    vocabulary_source_close(&source);
    return error;
}

/* ---- The pad token --------------------------------------------------------------------------- */

static int32_t find_token(const void *vocabulary, const char *text)
{
    return vocabulary_find(vocabulary, text, strlen(text));
}

/* Adds the pad token to those that are found in texts. */
static int add_pad(struct vocabulary *v, const char *path)
{
    for (size_t i = 0; i < v->added_count; i++)
        if (v->added[i].id == v->pad)
            return VKCLIP_OK;
    struct added_token *larger = memory_realloc(v->added, (v->added_count + 1) * sizeof(*larger));
    if (!larger)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    v->added = larger;
    vocabulary_add_added(v, v->pad, false);
    return VKCLIP_OK;
}

int vocabulary_read_pad(struct vocabulary *v, const char *path)
{
    v->pad = v->end;
    int error = vocabulary_file_read_pad(path, find_token, v, &v->pad);
    return error || v->pad == v->end ? error : add_pad(v, path);
}

int vocabulary_find_pad(struct vocabulary *v, const struct vocabulary_source *source,
                        const char *usual)
{
    v->pad = find_token(v, usual);
    if (v->pad < 0)
        v->pad = v->end;
    if (source->in_memory)
        return VKCLIP_OK;
    return vocabulary_file_read_pad(source->path, find_token, v, &v->pad);
}
