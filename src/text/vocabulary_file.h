/* SPDX-License-Identifier: MIT
 *
 * The bytes of a vocabulary file, unpacked where it is packed with gzip, and the JSON in it.
 * Refuses files that are empty, cut short or above a limit.
 */
#ifndef VKCLIP_TEXT_VOCABULARY_FILE_H
#define VKCLIP_TEXT_VOCABULARY_FILE_H

#include "vkclip.h"

#include <jansson.h>

enum { VOCABULARY_JSON_LIMIT = 16 << 20 }; /* bytes, which take up to fifty times as much parsed */

/* Reads a whole file, unpacked where it is packed, into new memory with a NUL after its end. */
int vocabulary_file_read(const char *path, size_t limit, char **data, size_t *size);
/* Parses a JSON object without duplicate keys. `path` is for messages. */
int vocabulary_file_parse_json(const char *path, const char *data, size_t size, json_t **root);
int vocabulary_file_read_json(const char *path, json_t **root);
/* The path of the file `name` in the folder of `path`, a new string. */
char *vocabulary_file_beside(const char *path, const char *name);

/* Takes the next line, without its end, from the text at *next; false at the end of the text. */
bool vocabulary_file_line(const char **next, const char **line, size_t *length);
/* Finds the one space between the two tokens of a merge: *left is the length of the first token.
 * False: the line has another form. */
bool vocabulary_file_split_merge(const char *line, size_t length, size_t *left);
/* Fails with a message about merge number `number`, counted from 0. */
int vocabulary_file_bad_merge(const char *path, uint32_t number, const char *what);

#endif
