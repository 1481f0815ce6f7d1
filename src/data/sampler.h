/* SPDX-License-Identifier: MIT
 *
 * Which samples make which batch: a function of the seed and the number of the step, so that a run
 * resumes with nothing but these. A pass goes over all labels (where there are none, each picture
 * is one) in an order of its own; what does not fill a last batch is left out. A label's pictures
 * are taken in turn, one a pass, so that two of one thing are never each other's negatives.
 */
#ifndef VKCLIP_DATA_SAMPLER_H
#define VKCLIP_DATA_SAMPLER_H

#include "data/dataset.h"
#include "base/rng.h"

struct sampler {
    const struct dataset *dataset;
    uint64_t seed;
    uint32_t batch;
    uint64_t batches; /* in a pass */
    size_t *first;    /* [labels + 1], and */
    size_t *members;  /* [samples]: label l's pictures are members[first[l] .. first[l + 1]) */
};

/* Fails where the data set has not as many labels as a batch has rows. */
int sampler_open(const struct dataset *dataset, uint32_t batch, uint64_t seed,
                 struct sampler *sampler);
void sampler_close(struct sampler *sampler);

/* The sample of a row of the batch of a step. `attempt` above 0 gives what replaces those of the
 * attempts before, which could not be read: the label's other pictures, then those of labels that
 * are not in the batch; SAMPLER_NONE where there are none. */
#define SAMPLER_NONE SIZE_MAX
size_t sampler_pick(const struct sampler *sampler, uint64_t step, uint32_t row, uint32_t attempt);
/* The random numbers of that row. */
struct rng sampler_rng(const struct sampler *sampler, uint64_t step, uint32_t row);

#endif
