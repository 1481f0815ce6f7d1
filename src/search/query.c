/* SPDX-License-Identifier: MIT
 *
 * Adds the embeddings of a query's parts, and cuts its results off.
 */
#include "search/query.h"
#include "base/error.h"

#include <math.h>

/* A sum that is shorter is what rounding left of parts that cancel each other out: embeddings are
 * right to 1e-4. */
static const double SHORTEST_SUM = 1e-3;

static double find_length(const float *values, size_t count)
{
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (double)values[i] * (double)values[i];
    return sqrt(squares);
}

int query_add(float *sum, const float *embed, size_t dim, double weight)
{
    const double length = find_length(embed, dim);
    if (!(length > 0 && length < INFINITY))
        return error_fail(VKCLIP_EINVALID, "the embedding of a part of the query has no direction: "
                                           "are the weights damaged?");
    for (size_t i = 0; i < dim; i++)
        sum[i] += (float)(weight * (double)embed[i] / length);
    return VKCLIP_OK;
}

int query_normalize(float *sum, size_t dim)
{
    const double length = find_length(sum, dim);
    if (!(length > SHORTEST_SUM && length < INFINITY))
        return error_fail(VKCLIP_EINVALID, "the parts of the query cancel each other out: nothing "
                                           "is left to search for");
    for (size_t i = 0; i < dim; i++)
        sum[i] = (float)((double)sum[i] / length);
    return VKCLIP_OK;
}

double query_z(double score, double mean, double deviation)
{
    return deviation > 0 ? (score - mean) / deviation : 0;
}

bool query_reaches(const struct vkclip_search_params *params, double score, double z, double best)
{
    if (params->min_score != 0 && score < params->min_score)
        return false;
    if (params->min_z != 0 && z < params->min_z)
        return false;
    /* Below zero a share of the best score would be above it. */
    return params->relative <= 0 || score >= best - (1 - params->relative) * fabs(best);
}
