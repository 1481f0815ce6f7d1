/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of duplicates.
 */
#include "api/growth.h"
#include "api/index_call.h"
#include "base/file.h"
#include "base/memory.h"
#include "encode/device.h"
#include "search/current.h"
#include "search/groups.h"
#include "search/walk.h"

#include <string.h>

/* This is immich's default, whose users found that larger ones bring together pictures that are
 * merely similar. */
#define DEFAULT_DISTANCE 0.01

/* Tells by which model the embeddings are that are compared. */
struct choice {
    const char *name; /* or identity; NULL: any */
    const char *path; /* of the name's file; NULL: there is none */
    struct store_model model;
    size_t count; /* models that fit */
};

/* Is a store_model_fn. */
static int choose_model(void *user, const struct store_model *model)
{
    struct choice *choice = user;
    const bool fits = !choice->name || !strcmp(choice->name, model->info.name) ||
                      !strcmp(choice->name, model->info.identity) ||
                      (choice->path && !strcmp(choice->path, model->info.name));
    if (fits)
        choice->model = *model;
    choice->count += fits;
    return VKCLIP_OK;
}

static int find_model(struct vkclip_index *index, struct choice *choice)
{
    char *path = choice->name ? file_resolve(choice->name) : NULL;
    choice->path = path;
    int error = index->store->read->each_model(index->store, choose_model, choice);
    choice->path = NULL;
    memory_free(path);
    if (!error && !choice->count && choice->name)
        error = error_fail(VKCLIP_EABSENT, "%s: the index has no pictures by the model %s",
                           index->path, choice->name);
    if (!error && choice->count > 1)
        error = error_fail(VKCLIP_EINVALID,
                           "%s: the index has pictures by %zu models: expected the name of one "
                           "(`model`), such as %s",
                           index->path, choice->count, choice->model.info.name);
    return error;
}

/* The functions of a caller. */
struct receiver {
    vkclip_share_fn *tell_share;
    vkclip_group_fn *group;
    void *user;
    double share; /* what `tell_share` is told */
    struct progress progress;
};

static int stop_call(void)
{
    return error_fail(VKCLIP_ECANCELLED, "the search for duplicates was stopped by the caller");
}

/* Is a vkclip_progress_fn. */
static int ask(void *user, uint64_t done, uint64_t total)
{
    const struct receiver *receiver = user;
    (void)done;
    (void)total;
    return receiver->tell_share && receiver->tell_share(receiver->user, receiver->share);
}

/* Is a vkclip_share_fn. Steps are counted without a total, so that a share of 1 can be refused. */
static int give_share(void *user, double share)
{
    struct receiver *receiver = user;
    receiver->share = share;
    return progress_report(&receiver->progress, receiver->progress.done + 1);
}

/* Is a vkclip_group_fn. */
static int give_group(void *user, const struct vkclip_group *group)
{
    const struct receiver *receiver = user;
    return receiver->group(receiver->user, group) ? stop_call() : VKCLIP_OK;
}

int vkclip_find_duplicates(struct vkclip_index *index, struct vkclip_device *device,
                           const struct vkclip_duplicates_params *params, vkclip_group_fn *group,
                           void *user)
{
    struct vkclip_duplicates_params full;
    int error = GROWTH_READ(vkclip_duplicates_params, &full, params);
    if (error)
        return error;
    if (!index || !group || !(full.distance >= 0 && full.distance < 1))
        return error_fail(VKCLIP_EINVALID, "vkclip_find_duplicates: index, group and a distance "
                                           "from 0 to less than 1 expected");
    struct receiver receiver = {.tell_share = full.progress, .group = group, .user = user};
    struct progress *progress = &receiver.progress;
    struct choice choice = {.name = full.model};
    struct groups_request request = {.current = &index->current,
                                     .distance =
                                         full.distance > 0 ? full.distance : DEFAULT_DISTANCE,
                                     .progress = give_share,
                                     .group = give_group,
                                     .user = &receiver};
    struct index_call call;
    index_ask(&call, index);
    progress_begin(progress, ask, &receiver, 0);
    progress->independent = true;
    error = guard_enter_both(&call.turn, __func__, device ? device->guard : NULL, index->guard);
    if (error)
        return progress_end(&call.progress, progress_end(progress, error));
    error = progress_check();
    if (!error && device)
        error = find_model(index, &choice);
    if (!error && choice.count) {
        request.model = &choice.model;
        request.gpu = device->gpus[0];
        request.tuner = device->tuners[0];
    }
    if (!error)
        error = groups_find(&request);
    return index_leave(&call, progress_end(progress, error));
}

int vkclip_forget_duplicates(struct vkclip_index *index, const char *a, const char *b)
{
    if (!index || !a || !b)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_forget_duplicates: index and two pictures expected");
    struct index_call call;
    const int error = index_enter(&call, __func__, index);
    return error ? error : index_leave(&call, groups_forget(index, a, b));
}
