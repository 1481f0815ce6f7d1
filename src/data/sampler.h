/* SPDX-License-Identifier: MIT
 *
 * Chooses the samples of a batch, as a function of the seed and the number of the step, so that a
 * run needs nothing else to resume. Each pass goes over all labels in a different order and leaves
 * out those that do not fill a last batch; without labels, each picture is its own label. The
 * pictures of a label take turns, one per pass, so that two pictures of one label are never each
 * other's negatives.
 */
#ifndef VKCLIP_DATA_SAMPLER_H
#define VKCLIP_DATA_SAMPLER_H

#include "base/rng.h"
#include "data/dataset.h"

struct sampler {
    const struct dataset *dataset;
    uint64_t seed;
    uint32_t batch;
    uint64_t batches; /* batches of one pass */
    size_t *first;    /* [labels + 1] where the pictures of a label begin in `members` */
    size_t *members;  /* [samples] pictures by label */
};

/* Opens a sampler. Fails if the data set has fewer labels than a batch has rows. The data set must
 * outlive the sampler.
 */
int sampler_open(const struct dataset *dataset, uint32_t batch, uint64_t seed,
                 struct sampler *sampler);
void sampler_close(struct sampler *sampler);

#define SAMPLER_NONE SIZE_MAX
/* Chooses the sample of a row of the batch of a step. An `attempt` above 0 gives a replacement for
 * the samples of the earlier attempts, which could not be read: the label's other pictures, then
 * the pictures of labels that are not in the batch. Returns SAMPLER_NONE if there are no more. */
size_t sampler_pick(const struct sampler *sampler, uint64_t step, uint32_t row, uint32_t attempt);
/* Returns the random numbers for preparing a row of the batch of a step. */
struct rng sampler_rng(const struct sampler *sampler, uint64_t step, uint32_t row);

#endif
