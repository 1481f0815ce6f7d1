/* SPDX-License-Identifier: MIT
 *
 * A vocabulary as the two files that everybody reads.
 */
#include "base/error.h"
#include "text/vocabulary.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_rank(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* merges.txt: a merge a line, in the order of their ranks. */
static char *merges_text(const struct vocabulary *v)
{
    static const char head[] = "#version: 0.2\n";
    struct merge *sorted = malloc(((size_t)v->merge_mask + 1) * sizeof(*sorted));
    size_t count = 0, size = sizeof(head);
    for (size_t i = 0; sorted && i <= v->merge_mask; i++)
        if (v->merges[i].rank != UINT32_MAX) {
            sorted[count++] = v->merges[i];
            size += strlen(v->tokens[v->merges[i].joined]) + 2;
        }
    char *text = sorted ? malloc(size) : NULL, *at = text;
    if (text) {
        qsort(sorted, count, sizeof(*sorted), by_rank);
        at += sprintf(at, "%s", head);
    }
    for (size_t i = 0; text && i < count; i++)
        at += sprintf(at, "%s %s\n", v->tokens[sorted[i].left], v->tokens[sorted[i].right]);
    free(sorted);
    return text;
}

int vocabulary_write(const struct vocabulary *v, char **vocab, char **merges)
{
    json_t *ids = json_object();
    bool good = ids;
    for (uint32_t id = 0; good && id < v->count; id++)
        good = !json_object_set_new(ids, v->tokens[id], json_integer(id));
    *vocab = good ? json_dumps(ids, JSON_COMPACT) : NULL;
    *merges = good ? merges_text(v) : NULL;
    json_decref(ids);
    if (*vocab && *merges)
        return VKCLIP_OK;
    free(*vocab);
    free(*merges);
    *vocab = *merges = NULL;
    return error_fail(VKCLIP_EMEMORY, "out of memory for a vocabulary");
}
