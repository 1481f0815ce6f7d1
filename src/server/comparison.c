/* SPDX-License-Identifier: MIT */
#include "server/comparison.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/string.h"
#include "base/thread.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/request.h"
#include "server/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A search for which nobody waits goes on for so many seconds after the last answer that said so,
 * because its client may ask again. It makes way for a search of another distance after fewer: a
 * client that asks again and again pauses for less. */
#define KEPT_SECONDS 60.
#define RIVAL_SECONDS 2.

enum state { IDLE, RUNNING, ENDED };

struct comparison {
    struct server *server;
    struct thread thread;
    struct mutex lock; /* protects all that follows */
    struct condition changed;
    enum state state;
    double distance, share;   /* of the search that runs or has ended */
    size_t waiters;           /* requests of this distance */
    size_t rivals;            /* requests of other distances */
    double left;              /* when a client was last told to ask again */
    struct result_list *list; /* of the search that has ended; NULL: it has failed */
    int error;
    char message[ERROR_MESSAGE];
    bool closing;
};

/* ---- The search ---------------------------------------------------------------------------------- */

/* The groups as they are found, and the ids of their pictures, which are described later. */
struct finding {
    struct comparison *comparison;
    struct result_list *list;
    int64_t *ids; /* [id_count] */
    size_t id_count, capacity;
    bool only_first, has_first, no_memory;
};

/* Is a vkclip_group_fn. */
static int take_group(void *user, const struct vkclip_group *group)
{
    struct finding *finding = user;
    const struct result_group added = {group->kind, group->cosine, finding->id_count, group->count};
    if (finding->id_count + group->count > finding->capacity) {
        const size_t capacity = 2 * (finding->id_count + group->count);
        void *ids = realloc(finding->ids, capacity * sizeof(*finding->ids));
        finding->no_memory = !ids;
        if (!ids)
            return 1;
        finding->ids = ids;
        finding->capacity = capacity;
    }
    memcpy(finding->ids + finding->id_count, group->ids, group->count * sizeof(*finding->ids));
    finding->id_count += group->count;
    finding->no_memory = !server_results_add_group(finding->list, &added);
    return finding->no_memory;
}

/* Tells whether a search for which nobody waits has been kept for long enough. */
static bool is_abandoned(const struct comparison *comparison)
{
    const double kept = comparison->rivals ? RIVAL_SECONDS : KEPT_SECONDS;
    return !comparison->waiters && clock_seconds() > comparison->left + kept;
}

static bool must_end(struct comparison *comparison, double share)
{
    mutex_lock(&comparison->lock);
    comparison->share = fmax(comparison->share, share);
    const bool end = comparison->closing || is_abandoned(comparison);
    mutex_unlock(&comparison->lock);
    return end;
}

/* Is a vkclip_share_fn. */
static int ask_share(void *user, double share)
{
    const struct finding *finding = user;
    return must_end(finding->comparison, share);
}

/* Is a vkclip_progress_fn. */
static int ask_progress(void *user, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return must_end(user, 0);
}

/* Is a vkclip_hit_fn. */
static int take_file(void *user, const struct vkclip_hit *hit)
{
    struct finding *finding = user;
    if (finding->only_first && finding->has_first)
        return 0;
    finding->has_first = true;
    finding->no_memory = !server_results_add(finding->list, hit);
    return finding->no_memory || must_end(finding->comparison, 1);
}

/* Describes the files of the groups. A picture that has gone meanwhile is left out. */
static int describe(struct finding *finding, struct vkclip_index *handle)
{
    struct result_list *list = finding->list;
    for (size_t i = 0; i < list->group_count; i++) {
        struct result_group *group = &list->groups[i];
        const int64_t *ids = finding->ids + group->first;
        /* All files of an exact group are files of one picture. */
        const size_t ids_count = group->kind == VKCLIP_GROUP_EXACT ? 1 : group->count;
        finding->only_first = group->kind != VKCLIP_GROUP_EXACT;
        group->first = list->count;
        for (size_t k = 0; k < ids_count; k++) {
            finding->has_first = false;
            const int error = vkclip_find_indexed(handle, ids[k], take_file, finding);
            if (error && error != VKCLIP_EABSENT)
                return error;
        }
        group->count = list->count - group->first;
    }
    return VKCLIP_OK;
}

/* The search has a device of its own, which computes in the background: on the server's, it would
 * give way to requests between its pieces only, which are long where an index is large. */
static int find_groups(struct comparison *comparison, double distance, struct result_list *list)
{
    const struct server *server = comparison->server;
    struct finding finding = {.comparison = comparison, .list = list};
    struct vkclip_index *handle = NULL;
    struct vkclip_device *device = NULL;
    const struct vkclip_device_params device_params = {.size = sizeof(device_params),
                                                       .device = server->options.device_name,
                                                       .background = true,
                                                       .progress = ask_progress,
                                                       .user = comparison};
    const struct vkclip_duplicates_params params = {
        .size = sizeof(params), .distance = distance, .progress = ask_share};
    int error = vkclip_open_device(&device_params, &device);
    if (!error)
        error = server_index_take(server->index, NULL, &handle);
    if (!error)
        error = vkclip_find_duplicates(handle, device, &params, take_group, &finding);
    if (!error)
        error = describe(&finding, handle);
    if (handle)
        server_index_give(server->index, handle);
    vkclip_close_device(&device);
    free(finding.ids);
    return finding.no_memory ? error_fail(VKCLIP_EMEMORY, "out of memory for duplicates") : error;
}

/* Names the list among the results. NULL: out of memory. */
static char *make_key(const struct comparison *comparison, double distance)
{
    struct index_status status;
    server_index_get_status(comparison->server->index, &status);
    return string_format("%llu duplicates %g", (unsigned long long)status.passes, distance);
}

static int search(struct comparison *comparison, double distance, struct result_list **result)
{
    char *key = make_key(comparison, distance);
    struct result_list *list = *result = key ? server_results_begin() : NULL;
    const int error = list ? find_groups(comparison, distance, list)
                           : error_fail(VKCLIP_EMEMORY, "out of memory for duplicates");
    if (!error)
        server_results_keep(comparison->server->results, key, list);
    free(key);
    if (!error)
        return VKCLIP_OK;
    server_results_release(comparison->server->results, list);
    *result = NULL;
    return error;
}

/* A search that was given up just before somebody asked for it again begins anew. */
static void end_search(struct comparison *comparison, int error, struct result_list *list)
{
    const bool again = error == VKCLIP_ECANCELLED && comparison->waiters;
    comparison->state = again ? RUNNING : error == VKCLIP_ECANCELLED ? IDLE : ENDED;
    comparison->share = again ? 0 : comparison->share;
    comparison->list = list;
    comparison->error = error;
    snprintf(comparison->message, sizeof(comparison->message), "%s",
             error ? vkclip_last_error() : "");
    condition_tell(&comparison->changed);
}

/* Is the thread that searches. */
static void compare(void *user)
{
    struct comparison *comparison = user;
    mutex_lock(&comparison->lock);
    while (!comparison->closing) {
        if (comparison->state != RUNNING) {
            condition_wait(&comparison->changed, &comparison->lock);
            continue;
        }
        struct result_list *list;
        const double distance = comparison->distance;
        mutex_unlock(&comparison->lock);
        const int error = search(comparison, distance, &list);
        mutex_lock(&comparison->lock);
        end_search(comparison, error, list);
    }
    mutex_unlock(&comparison->lock);
}

/* ---- Requests ------------------------------------------------------------------------------------ */

static void forget_search(struct comparison *comparison)
{
    server_results_release(comparison->server->results, comparison->list);
    comparison->list = NULL;
    comparison->state = IDLE;
    condition_tell(&comparison->changed);
}

static bool is_other(const struct comparison *comparison, double distance)
{
    return comparison->state != IDLE && comparison->distance != distance;
}

static void drop_abandoned(struct comparison *comparison)
{
    if (comparison->state == ENDED && is_abandoned(comparison))
        forget_search(comparison);
}

static bool is_over(struct request *request, double end)
{
    return request_is_over(request, 0, 0) || clock_seconds() >= end;
}

/* Waits until the search of another distance makes way; false: it does not in time. */
static bool wait_for_others(struct comparison *comparison, struct request *request, double distance,
                            double end)
{
    comparison->rivals++;
    while (is_other(comparison, distance) && !is_over(request, end)) {
        condition_wait_for(&comparison->changed, &comparison->lock, CLOCK_MOMENT);
        drop_abandoned(comparison);
    }
    comparison->rivals--;
    return !is_other(comparison, distance);
}

/* Begins the search unless it runs, and waits for its end. */
static void wait_for_search(struct comparison *comparison, struct request *request, double distance,
                            double end)
{
    if (comparison->state == IDLE) {
        comparison->state = RUNNING;
        comparison->distance = distance;
        comparison->share = 0;
        comparison->left = -INFINITY;
        condition_tell(&comparison->changed);
    }
    comparison->waiters++;
    while (comparison->state == RUNNING && !is_over(request, end))
        condition_wait_for(&comparison->changed, &comparison->lock, CLOCK_MOMENT);
    comparison->waiters--;
    if (!request->gone)
        comparison->left = clock_seconds();
}

/* Takes the result for a request. It is forgotten when all that waited have it. */
static int take_result(struct comparison *comparison, const struct result_list **list)
{
    const int error = comparison->error;
    if (error)
        error_keep(comparison->message);
    else
        *list = server_results_share(comparison->server->results, comparison->list);
    if (!comparison->waiters)
        forget_search(comparison);
    return error;
}

static int wait_for_result(struct comparison *comparison, struct request *request, double distance,
                           double end, const struct result_list **list, double *share)
{
    *share = 0;
    drop_abandoned(comparison);
    if (wait_for_others(comparison, request, distance, end)) {
        wait_for_search(comparison, request, distance, end);
        if (comparison->state == ENDED)
            return take_result(comparison, list);
        *share = comparison->share;
    }
    if (request->gone || atomic_load(&request->server->stopping))
        return error_fail(VKCLIP_ECANCELLED, "the comparison was given up");
    return VKCLIP_OK;
}

int comparison_find(struct comparison *comparison, struct request *request, double distance,
                    double seconds, const struct result_list **list, double *share)
{
    char *key = make_key(comparison, distance);
    *list = key ? server_results_find(comparison->server->results, key) : NULL;
    const int error = key ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for duplicates");
    free(key);
    if (error || *list)
        return error;
    mutex_lock(&comparison->lock);
    const int result =
        wait_for_result(comparison, request, distance, clock_seconds() + seconds, list, share);
    mutex_unlock(&comparison->lock);
    return result;
}

int comparison_open(struct server *server, struct comparison **result)
{
    struct comparison *comparison = *result = calloc(1, sizeof(*comparison));
    if (!comparison)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the server");
    comparison->server = server;
    mutex_init(&comparison->lock);
    condition_init(&comparison->changed);
    if (thread_start(&comparison->thread, compare, comparison))
        return VKCLIP_OK;
    comparison->closing = true;
    comparison_close(result);
    return error_fail(VKCLIP_EMEMORY, "the thread that compares pictures cannot be started");
}

void comparison_close(struct comparison **handle)
{
    struct comparison *comparison = *handle;
    if (!comparison)
        return;
    mutex_lock(&comparison->lock);
    const bool has_thread = !comparison->closing;
    comparison->closing = true;
    condition_tell(&comparison->changed);
    mutex_unlock(&comparison->lock);
    if (has_thread)
        thread_join(&comparison->thread);
    server_results_release(comparison->server->results, comparison->list);
    condition_destroy(&comparison->changed);
    mutex_destroy(&comparison->lock);
    free(comparison);
    *handle = NULL;
}
