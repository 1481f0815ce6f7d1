/* SPDX-License-Identifier: MIT
 *
 * Reads back what vkclip embed wrote, and finds the inputs that are still to be encoded.
 */
#ifndef VKCLIP_CLI_COMMANDS_RESUME_H
#define VKCLIP_CLI_COMMANDS_RESUME_H

#include "cli/commands/results.h"

/* Reads the rows of a file in the given format, which is not told from the path. The tensors that
 * `images` and `texts` have already must be those of the file, and others are added. Of a file of
 * lines only the names and one embedding per kind are kept, and *size is set to the bytes of its
 * complete lines. All return an enum cli_exit, after they have printed what failed. */
int resume_read(const char *path, enum results_format format, struct results *images,
                struct results *texts, uint64_t *size);

/* The inputs that have no row yet. `rows` says for each which row of the results it fills, or one
 * of the two below. */
struct resume_plan {
    struct cli_inputs rest;
    size_t *rows;
    size_t missing;   /* inputs that have no row yet */
    size_t checks;    /* 1 if the first of `rest` is RESUME_CHECK, else 0 */
    size_t check_row; /* the row of the input that is RESUME_CHECK */
};
#define RESUME_APPEND SIZE_MAX
#define RESUME_CHECK (SIZE_MAX - 1) /* It has a row, with which its embedding is compared. */

/* Compares the inputs with the rows of the results. An input that is listed twice needs two rows,
 * and rows of NaN are filled. If inputs are left, the first of `rest` is one that has a row,
 * because the rows may come from another model. Of inputs that are `files` it is one that is still
 * there; if none is, there is no such input. */
int resume_find_rest(const struct results *results, const struct cli_inputs *inputs, bool files,
                     struct resume_plan *plan);
void resume_free(struct resume_plan *plan);

/* Compares an embedding with that of the row. Fails with a message if another model, or the same
 * one with other options, made the row. */
int resume_check(const char *path, const struct cli_input *input, const float *embed,
                 const float *row, size_t width);

#endif
