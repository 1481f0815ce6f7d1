/* SPDX-License-Identifier: MIT
 *
 * Between the readers of data sets: what dataset_csv.c and dataset_tar.c find becomes samples here.
 */
#ifndef VKCLIP_DATA_BUILD_H
#define VKCLIP_DATA_BUILD_H

#include "base/file.h"
#include "data/dataset.h"

struct dataset_shard {
    char *path;
    struct file_map map;
};

/* Strings in the order of their first coming, found by hash. */
struct dataset_names {
    const char **names;
    size_t count, capacity;
    size_t *slots, slot_count; /* number of a name + 1 */
};

struct dataset_caption {
    const char *text;
    size_t sample;
};

struct dataset_builder {
    struct dataset *dataset;
    const struct dataset_params *params;
    size_t capacity;
    struct dataset_caption *captions;
    size_t caption_count, caption_capacity;
    struct dataset_names pictures, labels;
    char *incomplete; /* the first that is, and why */
};

int dataset_csv_read(struct dataset_builder *builder);
int dataset_tar_read(struct dataset_builder *builder);

/* The array with room for one more of `size` bytes, *capacity elements in all; NULL: out of memory,
 * and it is as it was. */
void *dataset_grow(void *array, size_t count, size_t *capacity, size_t size);
/* A copy that lives as long as the data set. */
int dataset_keep(struct dataset *dataset, const char *text, const char **copy);
/* The number of a name, a new one where it was not there. */
int dataset_number(struct dataset *dataset, struct dataset_names *names, const char *name,
                   size_t *number);

bool dataset_is_blank(const char *text);
/* Appends; its name is kept already. `label` may be NULL. */
int dataset_add_picture(struct dataset_builder *builder, const struct dataset_sample *sample,
                        const char *label);
/* To picture number `sample`. */
int dataset_add_caption(struct dataset_builder *builder, size_t sample, const char *text);
/* Counts what is left out. */
int dataset_leave_out(struct dataset_builder *builder, const char *where, const char *why);

#endif
