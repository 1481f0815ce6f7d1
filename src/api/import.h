/* SPDX-License-Identifier: MIT
 *
 * Takes over the embeddings of other programs' databases.
 */
#ifndef VKCLIP_API_IMPORT_H
#define VKCLIP_API_IMPORT_H

#include "encode/model.h"
#include "search/index.h"

/* Imports rclip's database at a path: see vkclip_import_rclip. `result` is not NULL. */
int import_rclip(struct vkclip_index *index, struct vkclip_model *model, const char *path,
                 struct vkclip_import_result *result);

#endif
