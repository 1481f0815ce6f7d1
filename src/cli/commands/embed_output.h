/* SPDX-License-Identifier: MIT
 *
 * Where the results of vkclip embed go while they come: lines at once, and the other formats into
 * memory and from time to time into a file FILE.part, so that an interrupted run can resume.
 */
#ifndef VKCLIP_CLI_COMMANDS_EMBED_OUTPUT_H
#define VKCLIP_CLI_COMMANDS_EMBED_OUTPUT_H

#include "base/file_lock.h"
#include "cli/commands/resume.h"
#include "cli/commands/shard.h"

enum embed_kind { EMBED_IMAGES, EMBED_TEXTS };

struct embed_output {
    struct cli_session *session;
    const char *path;          /* the result's file, or the folder of the shards */
    const struct shard *shard; /* NULL: the result is one file */
    enum results_format format;
    bool hidden;                            /* The hidden states are wanted as well. */
    const struct vkclip_features *features; /* which --features wants; NULL: embeddings */
    const char *features_name;              /* as --features names them */
    size_t length;                          /* of the rows of token ids; 0: there are none */
    bool partial;   /* What is done is kept in `part` if the run ends early. */
    bool copied;    /* `part` is nothing but a copy of the result so far. */
    bool continues; /* The first rows are those of the result so far. */
    bool open;      /* embed_output_open succeeded. */
    char *part;
    struct file_lock lock; /* keeps other processes from the result */
    FILE *lines;           /* of RESULTS_JSONL */
    struct results kinds[2];
    struct resume_plan plans[2];
    enum embed_kind kind; /* of the inputs that are being encoded */
    size_t taken;         /* embeddings of this run */
    double saved, saving; /* when `part` was last written, and the seconds which that took */
};

/* How a run begins: anew, which refuses to overwrite what an interrupted run left, or which removes
 * that; with what it left; or with what the result's file has as well. */
enum embed_start { EMBED_ANEW, EMBED_OVERWRITE, EMBED_RESUME, EMBED_SKIP_EXISTING };

/* `session` must have a model, whose widths the rows get. All return an enum cli_exit, and print
 * what failed. */
int embed_output_open(struct embed_output *output, enum embed_start start, bool images, bool texts);
/* Leaves the inputs that are still to be encoded in *rest, which belongs to `output` or is
 * `inputs`. */
int embed_output_begin(struct embed_output *output, enum embed_kind kind,
                       const struct cli_inputs *inputs, const struct cli_inputs **rest);
/* Are the functions of a struct cli_encoding; `user` is the output. */
bool embed_output_take(void *user, const struct cli_input *input, const float *embed, size_t width);
bool embed_output_fail(void *user, const struct cli_input *input, const char *message);
int embed_output_take_hidden(void *user, const char *name, const float *data, const size_t *shape,
                             size_t rank, size_t first, size_t items);
/* Completes the result. If `status` says that the run ended early, what is done is kept instead,
 * and a line says how to continue. Does not return if a signal ended the run. */
int embed_output_close(struct embed_output *output, int status);

#endif
