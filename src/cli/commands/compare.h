/* SPDX-License-Identifier: MIT
 *
 * What vkclip classify and vkclip similarity have in common: each picture is compared with the same
 * texts.
 */
#ifndef VKCLIP_CLI_COMMANDS_COMPARE_H
#define VKCLIP_CLI_COMMANDS_COMPARE_H

#include "cli/encode.h"

struct compare {
    struct cli_session *session;
    const struct cli_pictures *pictures;
    const char *model_path;
    const struct cli_inputs *texts; /* labels, or the texts that could be encoded */
    float *embeds;                  /* of the texts [M,D] */
    float *logits;                  /* of one picture [M] */
    int picture_columns, text_columns;
    bool (*print)(struct compare *compare, const struct cli_input *picture);
};

/* Makes room for `count` texts; returns an enum cli_exit. */
int compare_open(struct compare *compare, size_t count);
void compare_close(struct compare *compare);

/* Names the model and the devices, unless JSON is printed or there are no pictures. */
void compare_print_header(const struct compare *compare);
/* The probability of a pair in a model that gives each one its own. */
double compare_probability(float logit);
/* Columns that the inputs need on a terminal, within reason. */
int compare_columns(const struct cli_inputs *inputs);
/* Encodes the pictures, and calls `print` for each when its logits are there. */
int compare_pictures(struct compare *compare);
/* Calls `print` for each picture of an index, whose embeddings are there already. */
int compare_index(struct compare *compare, struct vkclip_index *index);

#endif
