/* SPDX-License-Identifier: MIT
 *
 * The tensors that vkclip embed and vkclip preprocess write, with the names of the inputs that
 * their rows belong to, and the files in which they are written.
 */
#ifndef VKCLIP_CLI_COMMANDS_RESULTS_H
#define VKCLIP_CLI_COMMANDS_RESULTS_H

#include <jansson.h>
#include <stdio.h>

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

/* Why an input has no embedding. */
struct results_failure {
    size_t row; /* the row of NaN that takes its place, if there is one */
    char *name, *message;
};

/* The tensors of pictures, or those of texts. */
struct results {
    struct rows *tensors; /* the first one holds the embeddings */
    size_t count;
    const char *features;     /* what the first one holds instead, for the file's metadata; NULL */
    struct cli_inputs inputs; /* input i is what row i of each tensor belongs to */
    size_t good;              /* inputs that have an embedding */
    struct results_failure *failures;
    size_t failure_count, failure_capacity;
};

/* All return NULL or false when out of memory. */
struct rows *results_add(struct results *results, const char *name, enum dtype dtype,
                         const size_t *shape, size_t rank);
bool results_reserve(struct rows *rows, size_t count);
void results_remove_row(struct rows *rows, size_t row);
/* Appends the embedding of an input, or a row of NaN if `embed` is NULL. */
bool results_append(struct results *results, const struct cli_input *input, const float *embed);
bool results_add_failure(struct results *results, size_t row, const struct cli_input *input,
                         const char *message);
void results_free(struct results *results);
/* Returns a row of the embeddings [D]. */
float *results_row(const struct results *results, size_t row);

/* What a result's name says about its format: .safetensors, .npy, .jsonl, or - for lines on
 * standard output. */
enum results_format { RESULTS_UNKNOWN, RESULTS_SAFETENSORS, RESULTS_NPY, RESULTS_JSONL };
enum results_format results_find_format(const char *path);

/* The functions below return an enum cli_exit, after they have printed what failed. */

/* Returns the least bytes that the names of inputs take in the header of a .safetensors file, which
 * has at most SAFETENSORS_HEADER_MAX. */
size_t results_names_size(const struct cli_inputs *inputs);
/* What to do where a header would be larger. */
#define RESULTS_LARGE "write .npy or .jsonl, or divide the inputs with --shard"
/* Writes the tensors of both kinds into one file, whose metadata names the inputs row by row, or
 * for a `part` tensors of bytes, which may have any length. Only rows that have an input are
 * written. */
int results_write_safetensors(const char *path, const struct results *images,
                              const struct results *texts, bool part);
/* Returns the metadata of an open file, an object of strings, or NULL if it has none. */
json_t *results_read_metadata(const struct safetensors *file);
/* Writes the embeddings of one kind in fp32 to an .npy file, and beside it the file of the names of
 * the rows: a line of JSON for each, {KEY:...}, with "error" for a row of NaN. With `continues` the
 * first rows are those of the file that is there. */
int results_write_npy(const char *path, const struct results *results, const char *key,
                      bool continues);
/* Returns the path of the file of names, as a new string. */
char *results_names_path(const char *path);
/* Writes the embeddings alone, in fp16. */
int results_write_matrix(const char *path, const struct results *results);
/* Prints one line, {KEY:...,"embedding":[...]}. */
bool results_print_line(FILE *file, const char *key, const struct cli_input *input,
                        const float *embed, size_t width);
/* With --json: prints the tensors that were written, with their shapes. */
bool results_print_tensors(const char *path, const struct results *images,
                           const struct results *texts);

#endif
