/* SPDX-License-Identifier: MIT
 *
 * Chooses the samples of a batch, as a function of the seed and the number of the step, so that a
 * run needs nothing else to resume. A pass takes every picture once, in another order each time,
 * and leaves out those that do not fill a last batch. No batch has two pictures of one label, which
 * would be each other's negatives: a label that has more pictures than a pass has batches shows
 * some of them, and the others in the next passes.
 */
#ifndef VKCLIP_DATA_SAMPLER_H
#define VKCLIP_DATA_SAMPLER_H

#include "base/rng.h"
#include "data/dataset.h"

struct sampler {
    const struct dataset *dataset;
    uint64_t seed;
    uint32_t batch;
    uint64_t batches; /* of one pass */

    /* Without labels, where every picture is its own label, the following are NULL. */
    size_t *first;   /* [labels + 1] where the pictures of a label begin in `members` */
    size_t *members; /* [samples] pictures by label */
    size_t *chosen;  /* [batches * batch] the pictures of pass number `pass` */
    size_t *labels;  /* [labels] in the order of that pass */
    size_t *columns; /* [batches] where the batches of that pass are */
    uint64_t pass;
};

/* Opens a sampler. Fails if the data set has fewer labels than a batch has rows. Warns if a pass
 * cannot show all pictures. The data set must outlive the sampler. */
int sampler_open(const struct dataset *dataset, uint32_t batch, uint64_t seed,
                 struct sampler *sampler);
void sampler_close(struct sampler *sampler);

/* Chooses the samples [batch] of the batch of a step. With labels, the first step of another pass
 * takes time in proportion to the number of pictures. Only one thread may call it at once. */
void sampler_choose(struct sampler *sampler, uint64_t step, size_t *samples);

#define SAMPLER_NONE SIZE_MAX
/* Returns replacement number `attempt`, from 1 up, for a row of the samples of a step that cannot
 * be read: the label's other pictures, then the pictures of labels that are not in the batch.
 * Returns SAMPLER_NONE if there are no more. May be called from any thread. */
size_t sampler_replace(const struct sampler *sampler, uint64_t step, const size_t *samples,
                       uint32_t row, uint32_t attempt);
/* Returns the random numbers for preparing a row of the batch of a step. */
struct rng sampler_rng(const struct sampler *sampler, uint64_t step, uint32_t row);

#endif
