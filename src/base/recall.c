/* SPDX-License-Identifier: MIT
 *
 * Compares each owner with all rows of the other matrix, one job per owner.
 */
#include "base/recall.h"
#include "base/memory.h"

#include <stdatomic.h>

const size_t recall_places[RECALL_PLACES] = {1, 5, 10};

struct ranking {
    const struct recall_input *input;
    double *best;          /* similarity of an owner with its best own row [owners] */
    double *own;           /* similarity of a row with its owner [owned] */
    size_t *better;        /* rows of others that are as similar to an owner as its best [owners] */
    atomic_size_t *closer; /* other owners that are as similar to a row as its own [owned] */
};

/* Eight sums let the compiler use vectors, because it may not reorder a single one. */
double recall_compare(const float *a, const float *b, size_t dim)
{
    double sums[8] = {0};
    size_t d = 0;
    for (; d + 8 <= dim; d += 8)
        for (size_t i = 0; i < 8; i++)
            sums[i] += (double)a[d + i] * b[d + i];
    for (; d < dim; d++)
        sums[0] += (double)a[d] * b[d];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static double compare_pair(const struct recall_input *input, size_t owner, size_t row)
{
    return recall_compare(&input->owners.rows[owner * input->dim],
                          &input->owned.rows[row * input->dim], input->dim);
}

/* A row whose owner is not there cannot be found. */
static bool has_own(const struct recall_input *input, size_t owner)
{
    bool found = false;
    for (size_t j = input->first[owner]; j < input->first[owner + 1]; j++)
        found |= input->owned.there[j];
    return found && input->owners.there[owner];
}

/* Compares an owner with its own rows. Is a workers_job_fn. */
static int compare_own(void *user, size_t owner, unsigned thread)
{
    const struct ranking *ranking = user;
    const struct recall_input *input = ranking->input;
    bool found = false;
    (void)thread;
    for (size_t j = input->first[owner]; j < input->first[owner + 1]; j++) {
        if (!input->owners.there[owner] || !input->owned.there[j])
            continue;
        ranking->own[j] = compare_pair(input, owner, j);
        if (!found || ranking->own[j] > ranking->best[owner])
            ranking->best[owner] = ranking->own[j];
        found = true;
    }
    return 0;
}

/* Compares an owner with the rows of the owners [first, end): counts those that are at least as
 * similar to it as its best own row, and counts it for rows that it is as similar to as their own
 * owner. */
static void compare_rows(const struct ranking *ranking, size_t owner, size_t first, size_t end)
{
    const struct recall_input *input = ranking->input;
    for (size_t other = first; other < end; other++)
        for (size_t j = input->first[other]; j < input->first[other + 1]; j++) {
            if (!input->owners.there[other] || !input->owned.there[j])
                continue;
            const double similarity = compare_pair(input, owner, j);
            ranking->better[owner] += similarity >= ranking->best[owner];
            if (similarity >= ranking->own[j])
                atomic_fetch_add_explicit(&ranking->closer[j], 1, memory_order_relaxed);
        }
}

/* Is a workers_job_fn. */
static int compare_others(void *user, size_t owner, unsigned thread)
{
    const struct ranking *ranking = user;
    (void)thread;
    if (!ranking->input->owners.there[owner])
        return 0;
    compare_rows(ranking, owner, 0, owner);
    compare_rows(ranking, owner, owner + 1, ranking->input->owners.count);
    return 0;
}

static void count_query(struct recall *recall, size_t better)
{
    recall->queries++;
    for (size_t i = 0; i < RECALL_PLACES; i++)
        recall->found[i] += better < recall_places[i];
}

static void count_queries(const struct ranking *ranking, struct recall *owners,
                          struct recall *owned)
{
    const struct recall_input *input = ranking->input;
    *owners = *owned = (struct recall){0};
    for (size_t i = 0; i < input->owners.count; i++) {
        if (!has_own(input, i))
            continue;
        count_query(owners, ranking->better[i]);
        for (size_t j = input->first[i]; j < input->first[i + 1]; j++)
            if (input->owned.there[j])
                count_query(owned, ranking->closer[j]);
    }
}

int recall_rank(const struct recall_input *input, struct workers *workers, struct recall *owners,
                struct recall *owned)
{
    struct ranking ranking = {
        .input = input,
        .best = memory_calloc(input->owners.count + 1, sizeof(*ranking.best)),
        .own = memory_calloc(input->owned.count + 1, sizeof(*ranking.own)),
        .better = memory_calloc(input->owners.count + 1, sizeof(*ranking.better)),
        .closer = memory_calloc(input->owned.count + 1, sizeof(*ranking.closer)),
    };
    int error = VKCLIP_OK;
    if (!ranking.best || !ranking.own || !ranking.better || !ranking.closer)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the ranks of %zu rows",
                           input->owned.count);
    if (!error)
        error = workers_run(workers, compare_own, &ranking, input->owners.count);
    if (!error)
        error = workers_run(workers, compare_others, &ranking, input->owners.count);
    if (!error)
        count_queries(&ranking, owners, owned);
    memory_free(ranking.best);
    memory_free(ranking.own);
    memory_free(ranking.better);
    memory_free(ranking.closer);
    return error;
}

double recall_percent(const struct recall *recall, size_t place)
{
    return recall->queries ? 100.0 * (double)recall->found[place] / (double)recall->queries : 0;
}
