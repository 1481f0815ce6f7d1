/* SPDX-License-Identifier: MIT
 *
 * A row reader is the source of the values of a graph's weights, as callbacks, so that the code
 * that fills a device with weights knows no file format. checkpoint/weights.h has a reader for
 * every checkpoint.
 */
#ifndef VKCLIP_GRAPH_ROW_READER_H
#define VKCLIP_GRAPH_ROW_READER_H

#include <stdint.h>

/* Several threads may call `row_length` and `read` at once. */
struct row_reader {
    const void *user;
    const char *name; /* what messages call the source: the path of a checkpoint */
    /* Returns the number of values in one row of a tensor, or 0 where the source has no such
     * tensor. A row is everything at one index of the first dimension; a tensor without dimensions
     * is one row. */
    uint64_t (*row_length)(const void *user, const char *tensor);
    /* Writes `count` rows to `values` as fp32, beginning with row `first`. Unless `norm` is empty,
     * the batch norm or the vector of factors of that name is folded into the values. */
    int (*read)(const void *user, const char *tensor, const char *norm, uint64_t first,
                uint64_t count, float *values);
};

#endif
