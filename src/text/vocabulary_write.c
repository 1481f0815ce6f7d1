/* SPDX-License-Identifier: MIT
 *
 * Writes a vocabulary as vocab.json and merges.txt, which every reader of such tokenizers knows.
 */
#include "base/dump.h"
#include "base/error.h"
#include "base/memory.h"
#include "text/vocabulary.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_ranks(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Returns the text of merges.txt, one merge per line in the order of their ranks, or NULL when out
 * of memory.
 */
static char *merges_text(const struct vocabulary *v)
{
    static const char head[] = "#version: 0.2\n";
    struct merge *sorted = memory_alloc(((size_t)v->merge_mask + 1) * sizeof(*sorted));
    size_t count = 0, size = sizeof(head);
    if (!sorted)
        return NULL;
    for (size_t i = 0; i <= v->merge_mask; i++)
        if (v->merges[i].rank != MERGE_NONE) {
            sorted[count++] = v->merges[i];
            size += strlen(v->tokens[v->merges[i].joined]) + 2; /* a space and a line end */
        }
    qsort(sorted, count, sizeof(*sorted), compare_ranks);
    char *text = memory_alloc(size);
    if (text) {
        char *end = text + sprintf(text, "%s", head);
        for (size_t i = 0; i < count; i++)
            end += sprintf(end, "%s %s\n", v->tokens[sorted[i].left], v->tokens[sorted[i].right]);
    }
    memory_free(sorted);
    return text;
}

int vocabulary_write(const struct vocabulary *v, char **vocab, char **merges)
{
    json_t *ids = json_object();
    bool good = ids;
    for (uint32_t id = 0; good && id < v->count; id++)
        good = !json_object_set_new(ids, v->tokens[id], json_integer(id));
    *vocab = good ? dump_json(ids, JSON_COMPACT) : NULL;
    *merges = good ? merges_text(v) : NULL;
    json_decref(ids);
    if (*vocab && *merges)
        return VKCLIP_OK;
    memory_free(*vocab);
    memory_free(*merges);
    *vocab = *merges = NULL;
    return error_fail(VKCLIP_EMEMORY, "out of memory for a vocabulary");
}
