/* SPDX-License-Identifier: MIT
 *
 * Measures a run on pictures with captions that it does not train on: the loss of its own kind, and
 * how pictures and captions find each other. The weights are the averages, if the run has some.
 * Pictures are prepared as at inference, and those that cannot be read are left out.
 */
#ifndef VKCLIP_TRAIN_VALIDATION_H
#define VKCLIP_TRAIN_VALIDATION_H

#include "data/dataset.h"
#include "text/tokenizer.h"
#include "train/session.h"

struct validation_params {
    const struct dataset *dataset; /* samples with captions, no prepared batches */
    const struct tokenizer *tokenizer;
    const struct config *config;
    uint32_t batch; /* pairs that the loss compares at once; the last batch may have fewer */
    unsigned workers;
};

/* What params points to must outlive the call, which changes nothing in the session. */
int validation_run(const struct validation_params *params, struct session *session,
                   struct vkclip_validation *result);

#endif
