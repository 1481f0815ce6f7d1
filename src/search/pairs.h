/* SPDX-License-Identifier: MIT
 *
 * Finds all pairs of vectors with a large cosine. The device multiplies batches of vectors with
 * chunks of them, and MAXIMA tells which blocks of the product reach the bound; the host looks at
 * those only, and computes the cosines of what it finds there in double precision.
 */
#ifndef VKCLIP_SEARCH_PAIRS_H
#define VKCLIP_SEARCH_PAIRS_H

#include "search/vectors.h"

struct gpu;
struct tuner;

struct pair {
    size_t a, b; /* rows of the vectors, a < b */
    double cosine;
};

struct pairs_params {
    struct gpu *gpu;
    struct tuner *tuner; /* chooses the kernels; NULL for the fixed order */
    const struct vectors *vectors;
    double least;            /* the smallest cosine of a pair */
    const uint64_t *allowed; /* vectors that may be in a pair, as scan_top takes it; NULL: all */
    /* Each function stops the search by returning nonzero, which is then the result. `progress` is
     * called now and then with the share that is done, and may be NULL. */
    int (*found)(void *user, const struct pair *pair);
    int (*progress)(void *user, double share);
    void *user;
};

/* Calls `found` for every pair, in an order that depends on the vectors only. */
int pairs_find(const struct pairs_params *params);

#endif
