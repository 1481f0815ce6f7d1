/* SPDX-License-Identifier: MIT
 *
 * Adds the embeddings of a query's parts, and cuts its results off.
 */
#ifndef VKCLIP_SEARCH_QUERY_H
#define VKCLIP_SEARCH_QUERY_H

#include "vkclip.h"

/* Adds a part's embedding, divided by its length, times the part's weight. Fails if the embedding
 * has no length or is no number. */
int query_add(float *sum, const float *embed, size_t dim, double weight);
/* Divides the sum by its length, so that scores are cosines. Fails if the parts cancel each other
 * out: what is left of them is then rounding. */
int query_normalize(float *sum, size_t dim);

/* Returns how many standard deviations a score is above the mean; 0 if all scores are equal. */
double query_z(double score, double mean, double deviation);
/* Tells whether a score reaches the limits of `params`, where `best` is the highest score. */
bool query_reaches(const struct vkclip_search_params *params, double score, double z, double best);

#endif
