/* SPDX-License-Identifier: MIT
 *
 * The list of all tensors of a model, by name and shape: what a checkpoint is checked against and
 * what a new one is written from.
 */
#ifndef VKCLIP_MODEL_TENSORS_H
#define VKCLIP_MODEL_TENSORS_H

#include "model/config.h"
#include "model/group.h"

/* Elements of a tensor; a tensor of rank 0 has one. */
uint64_t tensors_elements(const struct model_tensor *tensor);

/* Lists the tensors of a model: logit_scale, then those of the text tower, then those of the image
 * tower. The caller frees *tensors. */
int tensors_list(const struct config *config, struct model_tensor **tensors, size_t *count);

#endif
