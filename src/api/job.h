/* SPDX-License-Identifier: MIT
 *
 * Makes the calls that encode: on the thread of their caller, or as jobs on threads of their own.
 * Refuses params of a job where there are none.
 */
#ifndef VKCLIP_API_JOB_H
#define VKCLIP_API_JOB_H

#include "encode/pictures.h"
#include "encode/texts.h"

struct job_work;

typedef int job_run_fn(const struct job_work *work);

/* What a call has to do. */
struct job_work {
    const char *function; /* which the program has called; a literal */
    job_run_fn *run;      /* is called with the turn of the model's device */
    struct vkclip_model *model;
    union {
        struct pictures pictures;
        struct text_items texts;
    };
    size_t count;
    struct vkclip_encode_params params;
    float *embeds;
};

/* Does the work, or starts a job that does it if params.job is set. */
int job_do(const struct job_work *work);
/* Fails if the params want a job, for functions that cannot start one. */
int job_refuse(const char *function, const struct vkclip_encode_params *params);

#endif
