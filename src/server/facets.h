/* SPDX-License-Identifier: MIT
 *
 * Counts the pictures of a list by folder, camera, format and year, so that a page can offer what
 * there is to choose from.
 */
#ifndef VKCLIP_SERVER_FACETS_H
#define VKCLIP_SERVER_FACETS_H

#include "vkclip.h"

#include <jansson.h>
#include <stddef.h>

struct facets;

/* NULL: out of memory. */
struct facets *facets_count(const struct vkclip_hit *hits, size_t count);
/* {"folders": [{"value", "count"}, ...], "cameras", "formats", "years"}, each sorted by value. A
 * folder has the pictures that lie in it itself. Pictures without a camera are in no list of
 * cameras. */
json_t *facets_pack(const struct facets *facets);
void facets_free(struct facets *facets);

#endif
