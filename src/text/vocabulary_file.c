/* SPDX-License-Identifier: MIT
 *
 * A gzip file is unpacked with inflate and not with gzread, which since zlib 1.3.2 accepts a
 * truncated file as complete.
 */
#include "text/vocabulary_file.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/string.h"

#include <string.h>
#include <zlib.h>

/* ---- Packed files ---------------------------------------------------------------------------- */

static int inflate_error(const char *path, const z_stream *stream, int status)
{
    const char *reason = stream->msg;
    if (!reason)
        reason = zError(status);
    if (status == Z_BUF_ERROR)
        reason = "it ends too early";
    return error_fail(status == Z_MEM_ERROR ? VKCLIP_EMEMORY : VKCLIP_EFORMAT,
                      "%s: cannot be unpacked: %s", path, reason);
}

/* Inflates to the end of the stream. *data grows and always has one byte left for a NUL. */
static int inflate_all(const char *path, z_stream *stream, size_t limit, char **data, size_t *size)
{
    size_t capacity = 0;
    int status = Z_OK;
    while (status == Z_OK) {
        if (capacity - *size < 2) {
            capacity = capacity ? 2 * capacity : 1 << 18;
            char *larger = memory_realloc(*data, capacity);
            if (!larger)
                return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu bytes", path,
                                  capacity);
            *data = larger;
        }
        stream->next_out = (Bytef *)*data + *size;
        stream->avail_out = (uInt)(capacity - *size - 1);
        status = inflate(stream, Z_NO_FLUSH);
        *size = stream->total_out;
        if (*size > limit)
            return error_fail(VKCLIP_EFORMAT, "%s: more than %zu bytes when unpacked", path, limit);
    }
    return status == Z_STREAM_END ? VKCLIP_OK : inflate_error(path, stream, status);
}

/* Unpacks the one member of a gzip file, with a NUL after its end. */
static int unpack(const char *path, char *packed, size_t packed_size, size_t limit, char **data,
                  size_t *size)
{
    z_stream stream = {.next_in = (Bytef *)packed,
                       .avail_in = (uInt)packed_size,
                       .zalloc = memory_zlib_alloc,
                       .zfree = memory_zlib_free};
    *data = NULL;
    *size = 0;
    int status = inflateInit2(&stream, 16 + MAX_WBITS); /* 16 selects gzip's header. */
    if (status != Z_OK)
        return inflate_error(path, &stream, status);
    int error = inflate_all(path, &stream, limit, data, size);
    inflateEnd(&stream);
    if (error) {
        memory_free(*data);
        *data = NULL;
        return error;
    }
    (*data)[*size] = 0;
    return VKCLIP_OK;
}

int vocabulary_file_read(const char *path, size_t limit, char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    if (!file_exists(path))
        return error_fail(VKCLIP_EIO, "%s: %s", path,
                          folder_exists(path) ? "expected a vocabulary file, found a folder"
                                              : "no such file, or it cannot be read");
    int error = file_read(path, limit, data, size);
    if (!error && *size >= 2 && !memcmp(*data, "\x1f\x8b", 2)) {
        char *packed = *data;
        error = unpack(path, packed, *size, limit, data, size);
        memory_free(packed);
    }
    if (!error && !*size) {
        error = error_fail(VKCLIP_EFORMAT, "%s: expected a vocabulary, found an empty file", path);
        memory_free(*data);
        *data = NULL;
    }
    return error;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static int parse_json(const char *path, const char *data, size_t size, size_t flags, json_t **root)
{
    json_error_t problem;
    if (size > VOCABULARY_JSON_LIMIT)
        return error_fail(VKCLIP_EFORMAT, "%s: more than %d bytes of JSON", path,
                          VOCABULARY_JSON_LIMIT);
    *root = json_loadb(data, size, JSON_REJECT_DUPLICATES | flags, &problem);
    if (!*root)
        return error_fail(VKCLIP_EFORMAT, "%s: line %d: not JSON: %s", path, problem.line,
                          problem.text);
    if (!json_is_object(*root))
        return error_fail(VKCLIP_EFORMAT, "%s: expected a JSON object", path);
    return VKCLIP_OK;
}

int vocabulary_file_parse_json(const char *path, const char *data, size_t size, json_t **root)
{
    return parse_json(path, data, size, 0, root);
}

static int read_json(const char *path, size_t flags, json_t **root)
{
    char *data;
    size_t size;
    int error = vocabulary_file_read(path, VOCABULARY_JSON_LIMIT, &data, &size);
    if (!error)
        error = parse_json(path, data, size, flags, root);
    memory_free(data);
    return error;
}

int vocabulary_file_read_json(const char *path, json_t **root)
{
    return read_json(path, 0, root);
}

int vocabulary_file_read_settings(const char *path, json_t **root)
{
    return read_json(path, JSON_DECODE_INT_AS_REAL, root);
}

char *vocabulary_file_beside(const char *path, const char *name)
{
    return string_format("%.*s%s", (int)(file_name(path) - path), path, name);
}

/* ---- The pad token --------------------------------------------------------------------------- */

/* Looks for a pad token in the file `name` in the vocabulary's folder. *text becomes a new string
 * if the file has one. */
static int read_pad(const char *file, char **text)
{
    json_t *root = NULL;
    int error = file_exists(file) ? vocabulary_file_read_settings(file, &root) : VKCLIP_OK;
    const json_t *pad = json_object_get(root, "pad_token");
    if (json_is_object(pad))
        pad = json_object_get(pad, "content");
    if (json_is_string(pad)) {
        *text = string_format("%s", json_string_value(pad));
        if (!*text)
            error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", file);
    }
    json_decref(root);
    return error;
}

int vocabulary_file_read_pad(const char *path, int32_t (*find)(const void *user, const char *text),
                             const void *user, int32_t *pad)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json"};
    int error = VKCLIP_OK;
    char *text = NULL;
    for (size_t i = 0; !error && !text && i < ARRAY_COUNT(names); i++) {
        char *file = vocabulary_file_beside(path, names[i]);
        if (file)
            error = read_pad(file, &text);
        else
            error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
        if (!error && text) {
            *pad = find(user, text);
            if (*pad < 0)
                error = error_fail(VKCLIP_EFORMAT,
                                   "%s: pad_token \"%.40s\" is not in the vocabulary %s", file,
                                   text, path);
        }
        memory_free(file);
    }
    memory_free(text);
    return error;
}

/* ---- Lines of merges ------------------------------------------------------------------------- */

bool vocabulary_file_line(const char **next, const char **line, size_t *length)
{
    if (!**next)
        return false;
    *line = *next;
    *length = strcspn(*line, "\n");
    *next += *length;
    if (**next == '\n')
        ++*next;
    if (*length && (*line)[*length - 1] == '\r')
        --*length;
    return true;
}

bool vocabulary_file_split_merge(const char *line, size_t length, size_t *left)
{
    const char *space = memchr(line, ' ', length);
    *left = space ? (size_t)(space - line) : 0;
    return *left && *left + 1 < length && !memchr(space + 1, ' ', length - *left - 1);
}

int vocabulary_file_bad_merge(const char *path, uint32_t number, const char *what)
{
    return error_fail(VKCLIP_EFORMAT, "%s: merge %u %s", path, number + 1, what);
}
