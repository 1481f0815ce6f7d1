/* SPDX-License-Identifier: MIT
 *
 * What vkclip bench measured, and how it is shown.
 */
#ifndef VKCLIP_CLI_COMMANDS_BENCH_H
#define VKCLIP_CLI_COMMANDS_BENCH_H

#include "cli/cli.h"

#define BENCH_BATCHES 32 /* at most */

/* Nodes of one op, shape and kernel. */
struct bench_op {
    struct vkclip_node node; /* the first of them; figures: of all */
    char op[16];
    unsigned calls;
};

/* One tower and batch. */
struct bench_row {
    enum vkclip_tower tower;
    uint32_t batch, runs;
    double seconds, low, high; /* of a batch: the median, and of the middle half of the runs */
    struct vkclip_cost cost;
    struct bench_op *ops; /* with --profile: longest first */
    size_t op_count;
};

struct bench {
    struct vkclip_device_info device;
    struct vkclip_peaks peaks; /* 0: not measured */
    double cold[2], warm[2];   /* start-up of each tower, seconds; below 0: not measured */
    uint64_t host_bytes;       /* the most that the process had; 0: the system does not tell */
    struct bench_row *rows;
    size_t count;
};

const char *bench_tower_name(enum vkclip_tower tower);
bool bench_print(const struct cli *cli, const struct bench *bench);
/* Items a second over batch size as a picture: a line a tower. False: it cannot be written. */
bool bench_write_svg(const struct cli *cli, const struct bench *bench, const char *path);

#endif
