/* SPDX-License-Identifier: MIT
 *
 * Builds the list of samples from what the readers of data sets find: data/table reads rows,
 * data/tar reads shards.
 */
#ifndef VKCLIP_DATA_BUILD_H
#define VKCLIP_DATA_BUILD_H

#include "data/dataset.h"

/* This is a set of strings, which are numbered in the order in which they were first added, and
 * found by hash. */
struct build_names {
    const char **names;
    size_t count, capacity;
    size_t *slots, slot_count; /* hash table of a name's number + 1; 0: free */
};

struct build_caption {
    const char *text;
    size_t sample;
};

struct builder {
    struct dataset *dataset;
    const struct dataset_params *params;
    const char *path;               /* of the source that is read */
    size_t first, incomplete;       /* samples before that source, and left out of it */
    size_t capacity, file_capacity; /* of dataset->samples and dataset->files */
    struct build_caption *captions; /* in the order of the file */
    size_t caption_count, caption_capacity;
    struct build_names pictures, labels;
    char *reason; /* the first sample of the source that was left out, and why */
};

/* Each reader fills the builder from one form of sources: a table, or tar shards. */
int build_from_table(struct builder *builder);
int build_from_shards(struct builder *builder);

/* Makes room for one more element of `size` bytes, sets *capacity, and returns the array, which may
 * move. Returns NULL when out of memory, and the array stays as it was. */
void *build_grow(void *array, size_t count, size_t *capacity, size_t size);
/* Copies a text to memory that lives as long as the data set. */
int build_keep_text(struct dataset *dataset, const char *text, const char **copy);
/* Finds the number of a name, and adds the name if it is new. */
int build_find_number(struct dataset *dataset, struct build_names *names, const char *name,
                      size_t *number);

/* Adds a file of samples. The function takes ownership of the path, which may be NULL when out of
 * memory. */
int build_add_file(struct builder *builder, char *path, bool is_table);
/* Tells whether a text has nothing but white space. */
bool build_is_blank(const char *text);
/* Appends a picture, whose name must live as long as the data set. `label` may be NULL. */
int build_add_picture(struct builder *builder, const struct dataset_sample *sample,
                      const char *label);
/* Adds a caption to picture number `sample`. */
int build_add_caption(struct builder *builder, size_t sample, const char *text);
/* Counts a sample that is left out, and keeps the place and the reason of the first such sample. */
int build_leave_out(struct builder *builder, const char *place, const char *reason);

/* Begins and completes a source of the data set. A source without samples is refused. */
void build_begin_source(struct builder *builder, const char *path);
int build_end_source(struct builder *builder);
/* Completes the data set. */
int build_finish(struct builder *builder);
/* Releases the memory that only building needed. */
void build_close(struct builder *builder);

#endif
