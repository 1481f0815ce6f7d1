/* SPDX-License-Identifier: MIT
 *
 * A data set is pictures with captions to train on. Two forms are lists of samples, which can be
 * read in any order: OpenCLIP's CSV or TSV, and WebDataset's tar shards. A third form is prepared
 * batches in a safetensors file. Nothing is shuffled or prepared here: see data/sampler.h and
 * data/loader.h. Shards may be compressed by gzip; other compressions are refused, because single
 * samples cannot be read.
 */
#ifndef VKCLIP_DATA_DATASET_H
#define VKCLIP_DATA_DATASET_H

#include "format/gzip.h"
#include "format/safetensors.h"
#include "image/decode.h"
#include "vkclip.h"

/* Zero and NULL select the defaults, which are those of OpenCLIP. */
struct dataset_params {
    char separator;          /* of columns; 0: a tab where the first row has one, else a comma */
    const char *image_key;   /* column of picture files; NULL: filepath */
    const char *caption_key; /* column of captions; NULL: title */
    const char *label_key;   /* column of labels, or member of the shards' .json; NULL: none */
    bool pictures_only;      /* One tar file: each of its pictures is a sample, without captions. */
};

/* A sample is a picture with its captions. */
struct dataset_sample {
    const char *name;      /* the picture's path, as in the table or in the shard */
    uint32_t file;         /* index of the file that lists it */
    uint32_t label;        /* number of its label; without labels the sample's own number */
    size_t caption, count; /* dataset.captions from `caption` on has `count` of its captions */
    uint64_t offset, size; /* bytes in the shard */
};

/* This is a shard, which has the pictures in it, or a table, whose pictures are separate files. */
struct dataset_file {
    char *path;
    bool is_table;
    struct file_stamp stamp;    /* when the samples of a shard were listed */
    uint64_t size;              /* bytes of the shard, or of its content if it is compressed */
    struct gzip_places *places; /* where its content can be read; NULL: it is not compressed */
};

/* What one path of dataset_open names: a table, or shards. */
struct dataset_source {
    char *path;
    size_t first, count; /* its samples */
};

/* A chunk is a piece of memory for names and captions, which never moves. */
struct dataset_chunk {
    struct dataset_chunk *earlier;
    size_t used, size;
    char text[];
};

struct dataset {
    char *path; /* for messages; of several sources the first, and how many others there are */
    struct dataset_sample *samples;
    size_t count;
    const char **captions;
    size_t caption_count;
    size_t labels;     /* number of different labels; `count` without labels */
    size_t incomplete; /* rows or keys that were left out, without a picture or without a caption */
    uint64_t identity; /* a hash of the samples, by which a resumed run recognises its data */

    /* A data set of prepared batches has these two tensors and no samples. Any other has NULL. */
    const struct tensor_view *images; /* [S,B,3,H,W] F16 or F32 */
    const struct tensor_view *ids;    /* [S,B,T] I32 or I64 */

    struct dataset_source *sources;
    size_t source_count;
    struct dataset_file *files;
    size_t file_count;
    struct dataset_chunk *chunks;
    struct safetensors *prepared;
};

/* Opens a data set of one or several sources, whose samples become one list. A path that ends in
 * .tar, .tar.gz or .tgz names WebDataset's shards, and braces name many of them, as in
 * train-{0000..0099}.tar. Any other path is a CSV. A label is the same in all sources. Logs a
 * warning if samples of a source are incomplete. */
int dataset_open(const char *const *paths, size_t count, const struct dataset_params *params,
                 struct dataset **dataset);
/* Opens a safetensors file with prepared batches, which are the tensors `images` and
 * `input_ids`. */
int dataset_open_raw(const char *path, struct dataset **dataset);
void dataset_close(struct dataset **dataset);

/* Reads and decodes a picture, which the caller releases with image_free. A shard that was written
 * to after the data set was opened is an error. May be called from any thread. */
int dataset_load(const struct dataset *dataset, size_t sample, const struct image_options *options,
                 struct vkclip_image *image);
/* Reads and decodes the first pictures of every source, and fails if none of those of a source can
 * be. */
int dataset_check(const struct dataset *dataset);
/* Returns the name of a sample for messages as a new string, "FILE" or "SHARD: FILE", or NULL when
 * out of memory. */
char *dataset_name(const struct dataset *dataset, size_t sample);
/* Fails with EMEMORY and a message that names the data set. */
int dataset_no_memory(const struct dataset *dataset);

#endif
