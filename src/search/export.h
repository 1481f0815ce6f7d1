/* SPDX-License-Identifier: MIT
 *
 * Writes a model's embeddings and their paths in the layout that clip-retrieval reads.
 */
#ifndef VKCLIP_SEARCH_EXPORT_H
#define VKCLIP_SEARCH_EXPORT_H

#include "search/index.h"

/* Writes into a new or empty folder. `identity` names the model. Row i of all .npy files and row i
 * of all .parquet files belong together. */
int export_clip_retrieval(struct vkclip_index *index, const char *identity, uint32_t dim,
                          const char *folder, uint64_t *exported);

#endif
