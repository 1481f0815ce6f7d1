/* SPDX-License-Identifier: MIT
 *
 * Stands for gradients, in a build without training and explanations. The functions that this part
 * has in the interface refuse before these are reached.
 */
#include "base/absent.h"
#include "base/error.h"
#include "graph/grad.h"

ABSENT_ARGUMENTS

int grad_relevance(struct graph *graph, struct grad_seed seed, uint32_t layers)
{
    graph->error = error_fail(VKCLIP_EUNSUPPORTED, "this build of vkclip leaves explanations out");
    return -1;
}

void grad_sort_ids(const int32_t *ids, const int32_t *ends, uint32_t rows, uint32_t length,
                   int32_t *order, int32_t *runs)
{
}
