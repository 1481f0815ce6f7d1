/* SPDX-License-Identifier: MIT
 *
 * What joins the files of vkclip bench: its options, what it measured, and how that is shown.
 */
#ifndef VKCLIP_CLI_COMMANDS_BENCH_H
#define VKCLIP_CLI_COMMANDS_BENCH_H

#include "cli/groups.h"

enum { BENCH_BATCHES = 32 /* batch sizes at most */ };

enum bench_towers { BENCH_ALL_TOWERS, BENCH_IMAGE, BENCH_TEXT };

struct bench_options {
    struct cli_model_options model;
    struct cli_device_options device;
    const char *batches, *svg;
    enum bench_towers towers;
    uint32_t seconds;
    bool profile, only_speed, csv;
};

/* All nodes of one op, shape and kernel. */
struct bench_op {
    struct vkclip_node node; /* the first node, with the sums of the figures of all */
    char op[16];
    unsigned calls;
};

/* One tower and batch. */
struct bench_row {
    enum vkclip_tower tower;
    uint32_t batch, runs;
    double seconds, low, high; /* per batch: the median of the runs, and the limits of their middle
                                * half */
    struct vkclip_cost cost;
    struct bench_op *ops; /* with --profile, the longest first */
    size_t op_count;
};

struct bench {
    struct vkclip_device_info device;
    struct vkclip_peaks peaks; /* 0: not measured */
    double cold[2], warm[2];   /* seconds of each tower's start-up; below 0: not measured */
    uint64_t host_bytes; /* the most memory that the process had; 0: the system does not tell */
    struct bench_row *rows;
    size_t count;
};

const char *bench_tower_name(enum vkclip_tower tower);
/* Prints the figures in the form that the options name; false: they cannot be written. */
bool bench_print(const struct cli_session *session, const struct bench_options *options,
                 const struct bench *bench);
/* Draws items per second over batch size, one line per tower. False: it cannot be written. */
bool bench_write_svg(const struct bench_options *options, const struct bench *bench);

#endif
