/* SPDX-License-Identifier: MIT
 *
 * Inputs through the model's encoders. Inputs are loaded and encoded in groups, so that memory does
 * not grow with their number. A bad one is reported, counted as failed and left out.
 */
#ifndef VKCLIP_CLI_ENCODE_H
#define VKCLIP_CLI_ENCODE_H

#include "cli/groups.h"

/* Receives the embeddings [count, width] of some inputs, in order. False stops the run. */
typedef bool cli_group_fn(void *user, const struct cli_input *const *inputs, size_t count,
                          const float *embeds, size_t width);

struct cli_encoding {
    const struct cli_input *inputs;
    size_t count;
    bool images;   /* the inputs are pictures, else texts */
    size_t length; /* token ids per row, for texts */
    bool no_normalize, strict;
    uint32_t max_pixels;
    vkclip_hidden_fn *hidden;
    cli_group_fn *group;
    void *user; /* given to both functions */
};
int cli_encode(struct cli_session *session, const struct cli_encoding *encoding);

/* Ids of a text. What the library says about the text is printed with the text's beginning; a
 * failure is counted. */
bool cli_tokenize_text(struct cli_session *session, const char *text, size_t length, unsigned flags,
                       int32_t *ids, size_t capacity, size_t *count);
/* A picture file as bytes [S,S,3] and values [3,S,S], either of which may be NULL. A failure is
 * reported and counted. */
bool cli_load_picture(struct cli_session *session, const char *path, uint32_t max_pixels,
                      uint8_t *u8, float *pixel_values);
/* True if all values are finite numbers; else the input is reported and counted as failed. */
bool cli_check_finite(struct cli_session *session, const struct cli_input *input,
                      const float *values, size_t count);

/* Fails with wrong usage if a template has no {}. */
int cli_check_templates(const struct cli_session *session, const struct cli_inputs *templates);
/* Embeddings [L,D] of the labels, each averaged over the templates. */
int cli_encode_labels(struct cli_session *session, const struct cli_inputs *labels,
                      const struct cli_inputs *templates, float *embeds);

#endif
