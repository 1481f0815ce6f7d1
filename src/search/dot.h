/* SPDX-License-Identifier: MIT
 *
 * Computes scalar products of fp32 queries with fp16 vectors on the host, with the instructions
 * that the processor at hand has. Every function sums in fp32, in an order of its own, so that
 * their results differ in the last digits: dot_error bounds by how much.
 */
#ifndef VKCLIP_SEARCH_DOT_H
#define VKCLIP_SEARCH_DOT_H

#include "base/error.h"

/* Computes scores[q * pitch + r], the product of query q of `queries` [query_count,dim] and row r
 * of `rows` [count,dim]. */
typedef void dot_fn(const uint16_t *rows, size_t count, size_t dim, const float *queries,
                    size_t query_count, float *scores, size_t pitch);

struct dot_kernel {
    const char *name;        /* of the instructions */
    bool (*is_usable)(void); /* tells whether the processor has them */
    dot_fn *compute;
};

/* Lists what this program was built with, the fastest first. The last one is always usable. */
const struct dot_kernel *dot_kernels(size_t *count);
/* Returns the fastest one that this processor can run. */
const struct dot_kernel *dot_fastest(void);

/* Returns a bound of the difference between a product that was summed in fp32, in any order, and
 * the exact one, for vectors of unit length in fp16. */
float dot_error(const float *query, size_t dim);

/* Returns the product of a query and a vector: products and sum in double precision, added in the
 * order of the elements, and rounded at the end. */
float dot_exact(const float *query, const uint16_t *row, size_t dim);

#endif
