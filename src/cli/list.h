/* SPDX-License-Identifier: MIT
 *
 * The list of paths and texts that a command works on.
 */
#ifndef VKCLIP_CLI_LIST_H
#define VKCLIP_CLI_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tensor_view;

/* One input: a path or a text. Until cli_read_lists has run, it may be the name of a file that
 * lists such inputs. */
struct cli_input {
    char *text;
    size_t length;
    bool list;                        /* `text` names a file of inputs */
    const struct tensor_view *tensor; /* not NULL: the input is this tensor's row number `row`, and
                                       * `text` is the name that messages use */
    uint64_t row;
};

struct cli_inputs {
    struct cli_input *items;
    size_t count, capacity;
};

/* Appends a copy of `text`; false when out of memory. */
bool cli_add_input(struct cli_inputs *inputs, const char *text, size_t length);
void cli_free_inputs(struct cli_inputs *inputs);
/* The texts as an array that ends with NULL, to be freed; NULL when out of memory. */
const char **cli_list_texts(const struct cli_inputs *inputs);

#endif
