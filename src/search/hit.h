/* SPDX-License-Identifier: MIT
 *
 * What a search of vectors gives, on the processor and on a device.
 */
#ifndef VKCLIP_SEARCH_HIT_H
#define VKCLIP_SEARCH_HIT_H

#include "search/vectors.h"

/* The most hits of a query. A wrong number must not take all memory. */
#define HIT_MOST_TOP 100000

struct scan_hit {
    int64_t id;
    size_t row; /* index of the vector: vectors.ids[row] is its id */
    float score;
};

/* Describes the scores of one query with all vectors, whether or not the mask allows them. The
 * values are computed in fp32 and differ between processors and devices in the last digits. */
struct scan_statistics {
    double mean, deviation;
    size_t found; /* hits of this query: `top`, or the number of allowed vectors where it is less */
};

#endif
