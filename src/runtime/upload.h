/* SPDX-License-Identifier: MIT
 *
 * Fills a store with the weights that a row reader gives, in the type and layout that the graphs
 * ask for. The weights pass through two staging buffers of fixed size, so that the host never holds
 * a second copy of them.
 */
#ifndef VKCLIP_RUNTIME_UPLOAD_H
#define VKCLIP_RUNTIME_UPLOAD_H

#include "graph/row_reader.h"
#include "runtime/weight_store.h"

/* Reads, converts and copies every weight of the store. The reader is not needed afterwards. Warns
 * of each tensor that has values too large for the type in which it is stored. */
int upload_weights(struct gpu *gpu, struct weight_store *store, const struct row_reader *reader);
/* Does the same with the weights of one segment, unless they are in their slot. The device must not
 * be reading the slot. upload_weights leaves such weights out. */
int upload_segment(struct gpu *gpu, struct weight_store *store, const struct row_reader *reader,
                   uint32_t segment);

#endif
