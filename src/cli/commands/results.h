/* SPDX-License-Identifier: MIT
 *
 * The tensors that vkclip embed and vkclip preprocess write. They are held in memory until all are
 * there, so that the file is written whole or not at all.
 */
#ifndef VKCLIP_CLI_COMMANDS_RESULTS_H
#define VKCLIP_CLI_COMMANDS_RESULTS_H

#include "cli/session.h"
#include "format/safetensors.h"

/* A tensor that grows by rows of one shape. */
struct rows {
    char *name;
    size_t shape[TENSOR_MAX_RANK], rank; /* shape[0] is not used: it is the number of rows */
    size_t size;                         /* bytes of a row */
    enum dtype dtype;
    char *data;
    size_t count, capacity;
};

/* The tensors of pictures, or those of texts. */
struct results {
    struct rows *tensors; /* the first one holds the embeddings */
    size_t count;
    struct cli_inputs inputs; /* input i is what row i of each tensor belongs to */
};

/* Both return NULL or false when out of memory. */
struct rows *results_add(struct results *results, const char *name, enum dtype dtype,
                         const size_t *shape, size_t rank);
bool results_reserve(struct rows *rows, size_t count);
void results_remove_row(struct rows *rows, size_t row);
void results_free(struct results *results);

/* What a result's name says about its format: .safetensors, .npy, .jsonl, or - for lines on
 * standard output. */
enum results_format { RESULTS_UNKNOWN, RESULTS_SAFETENSORS, RESULTS_NPY, RESULTS_JSONL };
enum results_format results_find_format(const char *path);

/* Writes both kinds into the file `path`, and with --json prints what was written. Fails if no
 * input is left. Returns an enum cli_exit. */
int results_write(const struct cli_session *session, const char *path, const struct results *images,
                  const struct results *texts);

#endif
