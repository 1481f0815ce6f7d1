/* SPDX-License-Identifier: MIT
 *
 * Zero-shot accuracy of a checkpoint on pictures whose folders' names are their labels (paper,
 * section 3.1).
 */
#ifndef VKCLIP_CLI_EVALUATE_H
#define VKCLIP_CLI_EVALUATE_H

#include "cli/groups.h"

/* These options say with what to evaluate. */
struct cli_evaluation_options {
    const char *folder; /* NULL: no evaluation */
    struct cli_inputs templates, labels;
};
extern const struct cli_option cli_evaluation_options[];

/* These stay the same in all evaluations of a run. */
struct cli_evaluation_inputs {
    const struct cli_evaluation_options *options;
    struct cli_model_options model; /* its path is set by cli_evaluate */
    struct cli_decoding decoding;
    struct cli_inputs pictures, folders; /* `folders` has the name of each label's folder */
    bool strict;                         /* A label that is cut fails the evaluation. */
};

struct cli_evaluation {
    size_t images;
    double top1, top5; /* per cent of the images; of equal labels the first is the better one */
};

/* Returns the number of a picture's label, which is the name of its folder, or the count of labels
 * if it is none of them. */
size_t cli_find_label(const struct cli_inputs *labels, const char *path);
/* Makes the names of all pictures' folders labels, unless labels were given, of which they must be.
 * Returns an enum cli_exit. */
int cli_add_labels(struct cli_inputs *labels, const struct cli_inputs *pictures);

/* Finds the pictures and the folders' names, and makes these the labels if none were given. Lines
 * FOLDER<TAB>LABEL say which label a folder has. Lines without a TAB are the folders' names in any
 * order, or if none of them is one, the labels of the folders sorted by name. All functions below
 * return an enum cli_exit. */
int cli_prepare_evaluation(struct cli_session *session, struct cli_evaluation_options *options,
                           struct cli_evaluation_inputs *inputs);
void cli_free_evaluation(struct cli_evaluation_inputs *inputs);
/* Evaluates the open model. `confusion` [L,L] counts the pictures by their own label and the best
 * one, and begins as zeros. It may be NULL. */
int cli_score(struct cli_session *session, const struct cli_evaluation_inputs *inputs,
              uint32_t *confusion, struct cli_evaluation *evaluation);
/* Evaluates the checkpoint `path` on the session's device. */
int cli_evaluate(struct cli_session *session, const struct cli_evaluation_inputs *inputs,
                 const char *path, struct cli_evaluation *evaluation);

#endif
