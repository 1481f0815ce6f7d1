/* SPDX-License-Identifier: MIT
 *
 * Joins search/ and encode/, which do not know each other: a pass over files gives pictures, and
 * the model encodes them.
 */
#ifndef VKCLIP_API_UPDATE_H
#define VKCLIP_API_UPDATE_H

#include "encode/model.h"
#include "search/index.h"

/* Describes a model as an index knows it. */
int update_describe_model(const struct vkclip_index *index, const struct vkclip_model *model,
                          struct vkclip_index_model *described);
int update_index(struct vkclip_index *index, struct vkclip_model *model, const char *const *paths,
                 size_t count, const struct vkclip_update_params *params,
                 struct vkclip_update_result *result);

#endif
