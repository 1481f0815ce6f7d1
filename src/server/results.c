/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strdup */
#include "server/results.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "server/facets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A list that took long to make is kept for so many times as long, because making it again for its
 * next piece would take as long. */
#define KEPT_TIMES 10

/* A kept list. It begins with what others see of it. */
struct entry {
    struct result_list list;
    size_t capacity;
    size_t bytes; /* of the hits and their texts */
    char *key;    /* NULL: forgotten, and freed by the last user */
    size_t users;
    double began;        /* to be made */
    double until;        /* when it is forgotten */
    struct entry *later; /* older */
};

struct results {
    struct mutex lock; /* protects all that follows */
    struct entry *first;
    size_t bytes, most;
    double seconds;
    double forgotten; /* when all lists were */
};

int server_results_open(size_t bytes, double seconds, struct results **result)
{
    struct results *results = *result = calloc(1, sizeof(*results));
    if (!results)
        return error_fail(VKCLIP_EMEMORY, "out of memory for results");
    mutex_init(&results->lock);
    results->most = bytes;
    results->seconds = seconds;
    return VKCLIP_OK;
}

void server_results_cut(struct result_list *list, size_t count)
{
    while (list->count > count) {
        const struct vkclip_hit *last = &list->hits[--list->count];
        free((char *)last->path);
        free((char *)last->camera);
        free((char *)last->format);
    }
}

static void free_entry(struct entry *entry)
{
    server_results_cut(&entry->list, 0);
    facets_free(entry->list.facets);
    free(entry->list.groups);
    free(entry->list.hits);
    free(entry->key);
    free(entry);
}

/* Takes an entry out of the list, and frees it if nobody uses it. */
static void drop(struct results *results, struct entry **link)
{
    struct entry *entry = *link;
    *link = entry->later;
    results->bytes -= entry->bytes;
    if (!entry->users) {
        free_entry(entry);
        return;
    }
    free(entry->key);
    entry->key = NULL;
}

const struct result_list *server_results_find(struct results *results, const char *key)
{
    const double now = clock_seconds();
    const struct result_list *found = NULL;
    mutex_lock(&results->lock);
    for (struct entry **link = &results->first; *link;) {
        struct entry *entry = *link;
        if (now > entry->until) {
            drop(results, link);
            continue;
        }
        if (!found && !strcmp(entry->key, key)) {
            entry->users++;
            found = &entry->list;
        }
        link = &entry->later;
    }
    mutex_unlock(&results->lock);
    return found;
}

struct result_list *server_results_begin(void)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    entry->users = 1;
    entry->began = clock_seconds();
    return &entry->list;
}

const struct result_list *server_results_share(struct results *results, struct result_list *list)
{
    mutex_lock(&results->lock);
    ((struct entry *)list)->users++;
    mutex_unlock(&results->lock);
    return list;
}

bool server_results_add(struct result_list *list, const struct vkclip_hit *hit)
{
    struct entry *entry = (struct entry *)list;
    if (list->count == entry->capacity) {
        const size_t capacity = entry->capacity ? 2 * entry->capacity : 64;
        struct vkclip_hit *hits = realloc(list->hits, capacity * sizeof(*hits));
        if (!hits)
            return false;
        list->hits = hits;
        entry->capacity = capacity;
    }
    struct vkclip_hit copy = *hit;
    copy.path = strdup(hit->path);
    copy.camera = strdup(hit->camera);
    copy.format = strdup(hit->format);
    if (!copy.path || !copy.camera || !copy.format) {
        free((char *)copy.path);
        free((char *)copy.camera);
        free((char *)copy.format);
        return false;
    }
    entry->bytes +=
        sizeof(copy) + strlen(copy.path) + strlen(copy.camera) + strlen(copy.format) + 3;
    list->hits[list->count++] = copy;
    return true;
}

bool server_results_add_group(struct result_list *list, const struct result_group *group)
{
    struct entry *entry = (struct entry *)list;
    const size_t count = list->group_count;
    if (!(count & (count - 1))) { /* The array is full whenever it has a power of two. */
        void *groups = realloc(list->groups, (count ? 2 * count : 1) * sizeof(*list->groups));
        if (!groups)
            return false;
        list->groups = groups;
    }
    entry->bytes += sizeof(*group);
    list->groups[list->group_count++] = *group;
    return true;
}

void server_results_keep(struct results *results, const char *key, struct result_list *list)
{
    struct entry *entry = (struct entry *)list;
    const double now = clock_seconds();
    entry->until = now + fmax(results->seconds, KEPT_TIMES * (now - entry->began));
    mutex_lock(&results->lock);
    entry->key = entry->began > results->forgotten ? strdup(key) : NULL;
    if (!entry->key) {
        mutex_unlock(&results->lock);
        return;
    }
    entry->bytes += sizeof(*entry) + strlen(key);
    entry->later = results->first;
    results->first = entry;
    results->bytes += entry->bytes;
    for (struct entry **link = &entry->later; *link;)
        if (results->bytes > results->most || !strcmp((*link)->key, key))
            drop(results, link);
        else
            link = &(*link)->later;
    mutex_unlock(&results->lock);
}

void server_results_release(struct results *results, const struct result_list *list)
{
    struct entry *entry = (struct entry *)(uintptr_t)list;
    if (!entry)
        return;
    mutex_lock(&results->lock);
    entry->users--;
    if (!entry->users && !entry->key)
        free_entry(entry);
    mutex_unlock(&results->lock);
}

void server_results_forget(struct results *results)
{
    mutex_lock(&results->lock);
    results->forgotten = clock_seconds();
    while (results->first)
        drop(results, &results->first);
    mutex_unlock(&results->lock);
}

void server_results_close(struct results **handle)
{
    struct results *results = *handle;
    if (!results)
        return;
    server_results_forget(results);
    mutex_destroy(&results->lock);
    free(results);
    *handle = NULL;
}
