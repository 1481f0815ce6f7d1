/* SPDX-License-Identifier: MIT
 *
 * What the files of the list of weights share; all others see weights.h.
 */
#ifndef VKCLIP_CHECKPOINT_WEIGHTS_INTERNAL_H
#define VKCLIP_CHECKPOINT_WEIGHTS_INTERNAL_H

#include "checkpoint/container.h"
#include "checkpoint/weights.h"

struct diffusion_encoder;

/* A product that is added to rows of a tensor. */
struct addend {
    struct weights_product product;
    uint64_t first; /* row of the tensor */
    struct addend *next;
};

struct weight {
    char *name; /* canonical name */
    unsigned rank;
    uint64_t shape[TENSOR_MAX_RANK];
    /* Parts along the first dimension: query, key and value, gate and value, or one part that is
     * the whole tensor. A part that is NULL is zero. */
    const struct tensor_view *views[3];
    unsigned view_count;
    unsigned part, parts; /* of a tensor in parts until they are stacked, see names.h */
    bool keyless;         /* The second part is zero and in no file. */
    bool transposed;      /* stored as [D,width], while the canonical shape is [width,D] */
    bool copy;            /* of another tensor, if there is one of the same name */
    bool ruled;           /* The file's form has a rule for the stored name. */
    struct tensor_view *replacement; /* NULL, or views[0] with memory of its own */
    struct addend *addends;          /* in the order in which they are added */
    float *appended;                 /* the last `appended_rows` rows, which no file has; or NULL */
    uint64_t appended_rows;
};

struct weights {
    struct file_source source; /* kept by file_source_keep */
    const char *path;          /* the source's name */
    struct container container;
    struct file_stamp *stamps; /* of the source, and after it of each shard */
    const struct diffusion_encoder *encoder;
    struct tensor_view *views; /* sorted by name; the format owns data and most names */
    char *names;               /* of views that lost a wrapper within their names; or NULL */
    size_t view_count;
    struct tensor_view *slices; /* rows of views that are tensors of their own */
    size_t slice_count;
    enum vkclip_family family;
    enum names_form form;
    enum dtype dtype;
    uint64_t parameters, bytes;
    struct weight *tensors; /* sorted by name */
    size_t count;
};

/* Returns the tensor of a canonical name, or NULL. */
struct weight *weights_find(const struct weights *weights, const char *name);
/* Frees what a tensor of the list holds. */
void weights_free_one(struct weight *weight);

#endif
