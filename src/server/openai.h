/* SPDX-License-Identifier: MIT
 *
 * What a request for /v1/embeddings asks for.
 */
#ifndef VKCLIP_SERVER_OPENAI_H
#define VKCLIP_SERVER_OPENAI_H

#include "server/encode.h"

struct embeddings {
    struct request *request;
    json_t *body;
    const struct loaded_model *model;
    struct encode_item *items; /* [count] */
    size_t count;
    bool base64;
    float *embeds; /* [count,dim] */
};

/* Read the inputs, and what else decides the answer, which needs the model. An error sets
 * request->parameter. */
int openai_read_inputs(struct embeddings *embeddings);
int openai_read_parameters(struct embeddings *embeddings);

/* The numbers of one embedding. */
static inline size_t openai_dim(const struct embeddings *embeddings)
{
    const struct vkclip_model_info *info = &embeddings->model->info;
    return info->text_embed_dim ? info->text_embed_dim : info->embed_dim;
}

#endif
