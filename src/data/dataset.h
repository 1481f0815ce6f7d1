/* SPDX-License-Identifier: MIT
 *
 * Pictures with captions to train from: OpenCLIP's CSV or TSV, or WebDataset's tar shards, which
 * are indexed once, so that both are the same then: a list of samples in any order. And
 * preprocessed batches in a safetensors file. Does not shuffle or prepare: see sampler.h, loader.h.
 * Compressed shards are refused, for a sample of them cannot be read alone.
 */
#ifndef VKCLIP_DATA_DATASET_H
#define VKCLIP_DATA_DATASET_H

#include "format/safetensors.h"
#include "vkclip.h"

/* Zero and NULL are the defaults, OpenCLIP's. */
struct dataset_params {
    char separator;          /* of columns; 0: a tab where the first row has one, else a comma */
    const char *image_key;   /* column of picture files; NULL: filepath */
    const char *caption_key; /* column of captions; NULL: title */
    const char *label_key;   /* column, or member of shards' .json, of labels; NULL: none */
};

/* A picture. */
struct dataset_sample {
    const char *name;      /* path as in the CSV; path in the shard */
    uint32_t shard;        /* DATASET_FILE: a file of its own */
    uint32_t label;        /* number of its label; without labels its own number */
    size_t caption, count; /* its captions: `count` of dataset.captions from `caption` on */
    uint64_t offset, size; /* bytes in the shard */
};
#define DATASET_FILE UINT32_MAX

struct dataset {
    char *path;
    struct dataset_sample *samples;
    size_t count;
    const char **captions;
    size_t caption_count;
    size_t labels;     /* different ones; `count` where there are none */
    size_t incomplete; /* rows or keys left out: without a picture or without a caption */
    uint64_t identity; /* a hash of the samples: the same where a run may be resumed */

    /* Preprocessed batches, in place of all above; else NULL. */
    const struct tensor_view *images; /* [S,B,3,H,W] F16 or F32 */
    const struct tensor_view *ids;    /* [S,B,T] I32 or I64 */

    struct dataset_shard *shards;
    size_t shard_count;
    struct dataset_chunk *texts; /* where names and captions are */
    char *folder;                /* of the CSV, with its separator; "" for none */
    struct safetensors *file;
};

/* A path that ends in .tar is WebDataset's, with braces for many: train-{0000..0099}.tar; any other
 * a CSV. Logs a warning where samples are incomplete. */
int dataset_open(const char *path, const struct dataset_params *params, struct dataset **dataset);
/* A safetensors file with `images` and `input_ids`. */
int dataset_open_raw(const char *path, struct dataset **dataset);
void dataset_close(struct dataset **dataset);

/* Reads and decodes a picture; release with vkclip_free_image. From any thread. */
int dataset_load(const struct dataset *dataset, size_t sample, struct vkclip_image *image);
/* "FILE" or "SHARD: FILE", a new string; NULL: out of memory. */
char *dataset_name(const struct dataset *dataset, size_t sample);

#endif
