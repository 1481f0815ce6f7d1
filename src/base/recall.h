/* SPDX-License-Identifier: MIT
 *
 * How well the rows of two matrices find each other: recall at 1, 5 and 10. Each owner, such as a
 * picture, has some rows of the other matrix, such as its captions. Ranks are exact: all pairs are
 * compared, in double precision. Ties count against the rows.
 */
#ifndef VKCLIP_BASE_RECALL_H
#define VKCLIP_BASE_RECALL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/workers.h"

#define RECALL_PLACES 3
extern const size_t recall_places[RECALL_PLACES]; /* 1, 5, 10 */

/* Counts how many queries have an answer of their own among the first places. */
struct recall {
    size_t queries, found[RECALL_PLACES];
};

/* Rows [count,D]; `there` says which of them count. */
struct recall_rows {
    const float *rows;
    const bool *there;
    size_t count;
};

struct recall_input {
    struct recall_rows owners, owned;
    const size_t *first; /* Owner i has the owned rows from first[i] up to first[i + 1]. */
    size_t dim;          /* D */
};

/* Counts the owners that find one of their rows, and the rows that find their owner, which are left
 * out if it is not there. Fails only for lack of memory. */
int recall_rank(const struct recall_input *input, struct workers *workers, struct recall *owners,
                struct recall *owned);
/* Returns the share of the queries that one of the places is enough for, in per cent. */
double recall_percent(const struct recall *recall, size_t place);
/* Returns the product of two rows. */
double recall_compare(const float *a, const float *b, size_t dim);

#endif
