/* SPDX-License-Identifier: MIT
 *
 * Lists all tensors of a model by name and shape. A checkpoint is checked against this list, and a
 * new checkpoint is written from it.
 */
#ifndef VKCLIP_MODEL_TENSORS_H
#define VKCLIP_MODEL_TENSORS_H

#include "model/config.h"
#include "model/group.h"

/* Returns the number of elements of a tensor. A tensor of rank 0 has one element. */
uint64_t tensors_elements(const struct model_tensor *tensor);

/* Lists the tensors of a model: logit_scale, logit_bias if it has one, then those of the text
 * tower, then those of the image tower. The caller frees *tensors. */
int tensors_list(const struct config *config, struct model_tensor **tensors, size_t *count);

#endif
