/* SPDX-License-Identifier: MIT
 *
 * Pictures with captions to train from: OpenCLIP's CSV or TSV, or WebDataset's tar shards. The
 * readers of both make a list of samples, which can be read in any order. A third form is prepared
 * batches in a safetensors file. Does not shuffle or prepare anything: see data/sampler.h and
 * data/loader.h. Refuses compressed shards, because a single sample of them cannot be read.
 */
#ifndef VKCLIP_DATA_DATASET_H
#define VKCLIP_DATA_DATASET_H

#include "format/safetensors.h"
#include "vkclip.h"

/* Zero and NULL select the defaults, which are OpenCLIP's. */
struct dataset_params {
    char separator;          /* of columns; 0: a tab where the first row has one, else a comma */
    const char *image_key;   /* column of picture files; NULL: filepath */
    const char *caption_key; /* column of captions; NULL: title */
    const char *label_key;   /* column of labels, or member of the shards' .json; NULL: none */
};

/* A picture with its captions. */
struct dataset_sample {
    const char *name;      /* its path, as in the CSV or in the shard */
    uint32_t shard;        /* DATASET_FILE: it is a file of its own */
    uint32_t label;        /* number of its label; without labels its own number */
    size_t caption, count; /* dataset.captions from `caption` on has `count` of its captions */
    uint64_t offset, size; /* bytes in the shard */
};
#define DATASET_FILE UINT32_MAX

struct dataset_shard {
    char *path;
    struct file_map map;
};

/* A piece of memory for names and captions, which never moves. */
struct dataset_chunk {
    struct dataset_chunk *earlier;
    size_t used, size;
    char text[];
};

struct dataset {
    char *path;
    struct dataset_sample *samples;
    size_t count;
    const char **captions;
    size_t caption_count;
    size_t labels;     /* different labels; `count` where there are none */
    size_t incomplete; /* rows or keys that were left out, without a picture or without a caption */
    uint64_t identity; /* a hash of the samples, by which a resumed run recognises its data */

    /* Prepared batches, in place of all above; else NULL. */
    const struct tensor_view *images; /* [S,B,3,H,W] F16 or F32 */
    const struct tensor_view *ids;    /* [S,B,T] I32 or I64 */

    struct dataset_shard *shards;
    size_t shard_count;
    struct dataset_chunk *chunks;
    char *folder; /* of the CSV, with its separator; "": the current one */
    struct safetensors *file;
};

/* Opens a data set. A path that ends in .tar names WebDataset's shards, many of them with braces:
 * train-{0000..0099}.tar; any other path is a CSV. Logs a warning where samples are incomplete. */
int dataset_open(const char *path, const struct dataset_params *params, struct dataset **dataset);
/* Opens a safetensors file with `images` and `input_ids`, prepared batches. */
int dataset_open_raw(const char *path, struct dataset **dataset);
void dataset_close(struct dataset **dataset);

/* Reads and decodes a picture, which the caller releases with image_free. May be called from
 * any thread. */
int dataset_load(const struct dataset *dataset, size_t sample, struct vkclip_image *image);
/* The name of a sample for messages, "FILE" or "SHARD: FILE", a new string; NULL: out of memory. */
char *dataset_name(const struct dataset *dataset, size_t sample);
/* Fails with EMEMORY and a message that names the data set. */
int dataset_no_memory(const struct dataset *dataset);

#endif
