/* SPDX-License-Identifier: MIT
 *
 * Reads values from JSON configuration files. The functions have no common prefix because jansson's
 * own are called json_*. Every message has the file, the key with its place in the file, what was
 * expected and what was found.
 */
#ifndef VKCLIP_CHECKPOINT_JSON_H
#define VKCLIP_CHECKPOINT_JSON_H

#include "vkclip.h"

#include <jansson.h>

/* Reads a file of at most `limit` bytes. Refuses malformed JSON and duplicate keys. NaN and
 * Infinity, which Python writes, become strings, so that they are refused only where a number is
 * asked for. */
int json_file_read(const char *path, size_t limit, json_t **root);

/* An open configuration file. The first error is kept, and all later getters return their
 * fallbacks, so that a reader asks for everything and checks the error once. */
struct document {
    const char *path;
    json_t *root;
    int error;
};

/* An object of the file. If `object` is NULL, it has no keys. */
struct section {
    struct document *document;
    json_t *object;
    char prefix[96]; /* place in the file, such as "text_config." */
};

/* Reads a file, which must be an object, and returns that object. document_close must be called
 * even after an error. */
struct section document_open(const char *path, struct document *document);
/* Closes the file and returns the first error. */
int document_close(struct document *document);

/* Keeps an error which says that the value of `key` is malformed. */
void section_wrong(const struct section *section, const char *key, const char *expected);
/* Keeps an error which says that the value of `key` asks for something unsupported. */
void section_refuse(const struct section *section, const char *key, const char *expected);

/* Returns the value of `key`, or NULL if it is missing or null. */
json_t *section_get(const struct section *section, const char *key);
/* Returns the object under `key`, which has no keys if it is missing. */
struct section section_child(const struct section *section, const char *key);
/* Returns a size of at least 1. Upper limits are checked when the configuration is complete. */
uint32_t section_size(const struct section *section, const char *key, uint32_t fallback);
/* Returns the side of a square: an integer, or a height and a width that are equal. */
uint32_t section_square(const struct section *section, const char *key, uint32_t fallback);
/* Returns a token id, or -1. */
int32_t section_id(const struct section *section, const char *key, int32_t fallback);
double section_number(const struct section *section, const char *key, double fallback,
                      double lowest, double highest);
/* Returns the width of an MLP, of which `mlp_ratio` is the ratio to the tower's width. */
uint32_t section_mlp(const struct section *section, double fallback, uint32_t width);
bool section_bool(const struct section *section, const char *key, bool fallback);
/* Returns a string, which is "" if it is missing. */
const char *section_text(const struct section *section, const char *key);
/* Reads three numbers, one per colour, or one for all; `colours` keeps its values if they are
 * missing. */
void section_colours(const struct section *section, const char *key, double lowest,
                     float colours[3]);

/* A known key. If `only` is NULL, the key has no effect on the computation, or another function
 * reads its value; otherwise `only` is the one string that it may hold. */
struct known_key {
    const char *key, *only;
};
/* Refuses the first key that is not in the table, unless its value is null, false, 0 or empty. */
void section_check_keys(const struct section *section, const struct known_key *table, size_t count);
/* Refuses the first key that is not in the table, unless its value is null. This is for arguments
 * of a constructor, whose own values are not all null, false or 0. */
void section_check_arguments(const struct section *section, const struct known_key *table,
                             size_t count);

#endif
