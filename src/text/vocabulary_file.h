/* SPDX-License-Identifier: MIT
 *
 * Reads the bytes of a vocabulary file, unpacks them if the file is packed with gzip, parses the
 * JSON in it, and finds the pad token in the other files of the folder. Files that are empty,
 * truncated or above a limit are refused.
 */
#ifndef VKCLIP_TEXT_VOCABULARY_FILE_H
#define VKCLIP_TEXT_VOCABULARY_FILE_H

#include "vkclip.h"

#include <jansson.h>

/* Bytes of JSON, which take up to fifty times as much parsed. A tokenizer.json of 901,629 generated
 * pieces, as many as the largest known vocabulary (XLM-V) has, is 66 MB long. */
enum { VOCABULARY_JSON_LIMIT = 96 << 20 };

/* Reads a whole file into new memory with a NUL after its end, and unpacks it if it is packed. */
int vocabulary_file_read(const char *path, size_t limit, char **data, size_t *size);
/* Parses a JSON object without duplicate keys. `path` is for messages. */
int vocabulary_file_parse_json(const char *path, const char *data, size_t size, json_t **root);
int vocabulary_file_read_json(const char *path, json_t **root);
/* Reads tokenizer_config.json or a file like it, whose integers become floats: a model_max_length
 * that means "any" has 31 digits. */
int vocabulary_file_read_settings(const char *path, json_t **root);
/* Returns the path of the file `name` in the folder of `path` as a new string. */
char *vocabulary_file_beside(const char *path, const char *name);
/* Sets *pad to the id of the pad token that tokenizer_config.json or special_tokens_map.json in the
 * folder of `path` names, and leaves it as it is if neither does. `find` returns the id of a token,
 * or -1. */
int vocabulary_file_read_pad(const char *path, int32_t (*find)(const void *user, const char *text),
                             const void *user, int32_t *pad);

/* Takes the next line, without its end, from the text at *next. Returns false at the end of the
 * text. */
bool vocabulary_file_line(const char **next, const char **line, size_t *length);
/* Finds the one space between the two tokens of a merge: *left becomes the length of the first
 * token. Returns false if the line has another form. */
bool vocabulary_file_split_merge(const char *line, size_t length, size_t *left);
/* Fails with a message about merge number `number`, counted from 0. */
int vocabulary_file_bad_merge(const char *path, uint32_t number, const char *what);

#endif
