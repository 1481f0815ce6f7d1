/* SPDX-License-Identifier: MIT
 *
 * Values out of JSON configuration files. The functions have no common prefix because jansson's own
 * are called json_*. Every message says the file, the key with its place in the file, what was
 * expected and what was found.
 */
#ifndef VKCLIP_CHECKPOINT_JSON_H
#define VKCLIP_CHECKPOINT_JSON_H

#include "vkclip.h"

#include <jansson.h>

/* Reads a file of at most `limit` bytes. Refuses what is not JSON, and keys that stand twice. */
int json_file_read(const char *path, size_t limit, json_t **root);

/* An open configuration file. The first error is kept, and all getters then give their fallbacks,
 * so that a reader asks for everything and looks at the error once. */
struct document {
    const char *path;
    json_t *root;
    int error;
};

/* An object of the file. If `object` is NULL it has no keys. */
struct section {
    struct document *document;
    json_t *object;
    char prefix[96]; /* where in the file it is, such as "text_config." */
};

/* Reads a file, which must be an object, and gives that object. Close it also after an error. */
struct section document_open(const char *path, struct document *document);
/* Returns the first error. */
int document_close(struct document *document);

/* Keeps an error: the value of `key` is malformed. */
void section_wrong(const struct section *section, const char *key, const char *expected);
/* Keeps an error: the value of `key` asks for something that is not computed here. */
void section_refuse(const struct section *section, const char *key, const char *expected);

/* The value of `key`; NULL if it is missing or null. */
json_t *section_get(const struct section *section, const char *key);
/* The object under `key`, without keys if it is missing. */
struct section section_child(const struct section *section, const char *key);
/* A size from 1 up; smaller limits are checked when the configuration is complete. */
uint32_t section_size(const struct section *section, const char *key, uint32_t fallback);
/* A token id, or -1. */
int32_t section_id(const struct section *section, const char *key, int32_t fallback);
double section_number(const struct section *section, const char *key, double fallback,
                      double lowest, double highest);
bool section_bool(const struct section *section, const char *key, bool fallback);
/* A string; "" if it is missing. */
const char *section_text(const struct section *section, const char *key);
/* Three numbers, one per colour; `colours` stays as it is if they are missing. */
void section_colours(const struct section *section, const char *key, double lowest,
                     float colours[3]);

#endif
