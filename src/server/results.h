/* SPDX-License-Identifier: MIT
 *
 * The results of recent searches, so that a page can show a long list piece by piece without
 * searching again.
 */
#ifndef VKCLIP_SERVER_RESULTS_H
#define VKCLIP_SERVER_RESULTS_H

#include "vkclip.h"

#include <stdbool.h>
#include <stddef.h>

struct facets;
struct results;

/* A group of duplicates, whose hits follow each other. */
struct result_group {
    enum vkclip_group_kind kind;
    double cosine;
    size_t first, count;
};

/* The list of one search, in its order. What it points to belongs to the list. */
struct result_list {
    struct vkclip_hit *hits; /* [count] */
    size_t count;
    bool truncated;              /* It ends at the most results, and there may be more. */
    struct facets *facets;       /* NULL: nobody asked for them */
    struct result_group *groups; /* [group_count]; NULL: it is no list of duplicates */
    size_t group_count;
};

/* Keeps lists of `bytes` in total, each for `seconds`, or longer if it took long to make. */
int server_results_open(size_t bytes, double seconds, struct results **results);
void server_results_close(struct results **results);
/* Finds the list of a key; NULL: it is not kept. server_results_release gives it back. */
const struct result_list *server_results_find(struct results *results, const char *key);
/* Gives a list to one more user, who gives it back by server_results_release. */
const struct result_list *server_results_share(struct results *results, struct result_list *list);
/* Makes a list, which server_results_add fills and server_results_keep keeps.
 * server_results_release gives it back too.
 */
struct result_list *server_results_begin(void);
/* False: out of memory. */
bool server_results_add(struct result_list *list, const struct vkclip_hit *hit);
bool server_results_add_group(struct result_list *list, const struct result_group *group);
/* Leaves out what follows the first `count` results. */
void server_results_cut(struct result_list *list, size_t count);
/* Keeps nothing if all lists were forgotten since the list was begun. */
void server_results_keep(struct results *results, const char *key, struct result_list *list);
void server_results_release(struct results *results, const struct result_list *list);
/* Forgets all lists, because the index has changed. */
void server_results_forget(struct results *results);

#endif
