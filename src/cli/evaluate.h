/* SPDX-License-Identifier: MIT
 *
 * Zero-shot accuracy of a checkpoint on pictures whose folders' names are their labels (paper,
 * section 3.1).
 */
#ifndef VKCLIP_CLI_EVALUATE_H
#define VKCLIP_CLI_EVALUATE_H

#include "cli/groups.h"

/* These options of vkclip train say how to evaluate. */
struct cli_evaluation_options {
    const char *folder; /* NULL: no evaluation */
    uint32_t every;     /* steps; 0: at the end only */
    struct cli_inputs templates, labels;
};
extern const struct cli_option cli_evaluation_options[];

/* These stay the same in all evaluations of a run. */
struct cli_evaluation_inputs {
    const struct cli_evaluation_options *options;
    struct cli_model_options model; /* its path is set by cli_evaluate */
    struct cli_inputs pictures;
};

struct cli_evaluation {
    size_t images;
    double top1, top5; /* per cent of the images */
};

/* Returns the number of a picture's label, which is the name of its folder, or the count of labels
 * if it is none of them. */
size_t cli_find_label(const struct cli_inputs *labels, const char *path);
/* Makes the names of all pictures' folders labels, unless labels were given, of which they must be.
 * Returns an enum cli_exit. */
int cli_add_labels(struct cli_inputs *labels, const struct cli_inputs *pictures);

/* Finds the pictures, and takes the folders' names for labels if none were given. Both return an
 * enum cli_exit. */
int cli_prepare_evaluation(struct cli_session *session, struct cli_evaluation_options *options,
                           struct cli_inputs *pictures);
/* Evaluates the checkpoint `path` on the session's device. */
int cli_evaluate(struct cli_session *session, const struct cli_evaluation_inputs *inputs,
                 const char *path, struct cli_evaluation *evaluation);

#endif
