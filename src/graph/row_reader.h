/* SPDX-License-Identifier: MIT
 *
 * Where the values of a graph's weights come from, as callbacks, so that what fills a device with
 * weights knows no file format. checkpoint/weights.h has a reader for every checkpoint.
 */
#ifndef VKCLIP_GRAPH_ROW_READER_H
#define VKCLIP_GRAPH_ROW_READER_H

#include <stdint.h>

/* Several threads may call both functions at once. */
struct row_reader {
    const void *user;
    const char *name; /* what messages call the source: the path of a checkpoint */
    /* The number of values in one row of a tensor, 0 where the source has no such tensor. A row is
     * everything at one index of the first dimension; a tensor without dimensions is one row. */
    uint64_t (*row_length)(const void *user, const char *tensor);
    /* Writes `count` rows from row `first` on to `values`, as fp32. Unless `norm` is empty, the
     * batch norm of that name is folded into them. */
    int (*read)(const void *user, const char *tensor, const char *norm, uint64_t first,
                uint64_t count, float *values);
};

#endif
