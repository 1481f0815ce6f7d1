/* SPDX-License-Identifier: MIT
 *
 * Inputs through the model's encoders, by the library's functions that give a result per item. An
 * input that fails is reported, counted as failed and left out.
 */
#ifndef VKCLIP_CLI_ENCODE_H
#define VKCLIP_CLI_ENCODE_H

#include "cli/groups.h"
#include "format/tensor_view.h"

/* Receives the embedding or the features of one input [width]. False stops the run. With `hidden`,
 * `embed` is NULL for an input whose hidden states were given and whose embedding is unusable,
 * which was reported.
 */
typedef bool cli_embed_fn(void *user, const struct cli_input *input, const float *embed,
                          size_t width);

/* Is told why an input has no embedding, after that was reported. May be NULL. False stops the run.
 */
typedef bool cli_failure_fn(void *user, const struct cli_input *input, const char *message);

struct cli_encoding {
    bool no_normalize, strict;
    bool interruptible;           /* The run stops at the next item when cli_interrupted. */
    size_t checks;                /* The first inputs, this many, may fail without a report. */
    struct cli_decoding decoding; /* for files */
    vkclip_hidden_fn *hidden;     /* may be NULL */
    const struct vkclip_features *features; /* wanted in place of embeddings; NULL: none are */
    size_t length;                          /* of rows of token ids; 0: the inputs are none */
    cli_embed_fn *embed;
    cli_failure_fn *failure;
    void *user; /* given to these functions */
};

/* All return an enum cli_exit. The inputs are picture files, texts, or the names of the rows of a
 * tensor: pixel values, or `length` token ids per row. */
int cli_encode_files(struct cli_session *session, const struct cli_encoding *encoding,
                     const struct cli_inputs *inputs);
int cli_encode_texts(struct cli_session *session, const struct cli_encoding *encoding,
                     const struct cli_inputs *inputs);
int cli_encode_pixels(struct cli_session *session, const struct cli_encoding *encoding,
                      const struct cli_inputs *inputs, const struct tensor_view *pixel_values);
int cli_encode_ids(struct cli_session *session, const struct cli_encoding *encoding,
                   const struct cli_inputs *inputs, const int32_t *ids, const int32_t *mask,
                   size_t length);

/* True if all values are finite numbers; else the input is reported and counted as failed. */
bool cli_check_finite(struct cli_session *session, const struct cli_input *input,
                      const float *values, size_t count);

/* Writes the embeddings [L,D] of the labels, each averaged over the templates. With `strict` a
 * label that is cut fails the call: without one of them the others' probabilities mean nothing. */
int cli_encode_labels(struct cli_session *session, const struct cli_inputs *labels,
                      const struct cli_inputs *templates, bool strict, float *embeds);

#endif
