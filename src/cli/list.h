/* SPDX-License-Identifier: MIT
 *
 * The list of paths and texts that a command works on.
 */
#ifndef VKCLIP_CLI_LIST_H
#define VKCLIP_CLI_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_archive;

/* One input: a path, a text, or the name of a row of a tensor. Until cli_read_lists has run, it may
 * be the name of a file that lists such inputs. */
struct cli_input {
    char *text;
    size_t length;
    bool list;  /* `text` names a file of inputs */
    char *file; /* a path that is opened in place of `text`, a copy of standard input; or NULL */
    const struct cli_archive *archive; /* has the picture; NULL: a file of its own */
    size_t member;                     /* the number of the picture in the archive */
};

struct cli_inputs {
    struct cli_input *items;
    size_t count, capacity;
};

/* Appends a copy of `text`; false when out of memory. */
bool cli_add_input(struct cli_inputs *inputs, const char *text, size_t length);
void cli_free_inputs(struct cli_inputs *inputs);
/* Returns the texts as an array that ends with NULL and is to be freed; NULL when out of memory. */
const char **cli_list_texts(const struct cli_inputs *inputs);
/* Returns the paths to open in the same way. */
const char **cli_list_paths(const struct cli_inputs *inputs);

#endif
