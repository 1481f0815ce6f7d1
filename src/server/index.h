/* SPDX-License-Identifier: MIT
 *
 * The index that the server searches, and the thread that keeps it up to date.
 */
#ifndef VKCLIP_SERVER_INDEX_H
#define VKCLIP_SERVER_INDEX_H

#include "server/options.h"

#include <stdint.h>

struct request;
struct served_index;
struct results;

/* What the thread does, and what its last pass has done. */
struct index_status {
    bool updating, watching;
    struct vkclip_update_progress progress;
    struct vkclip_update_result result; /* of the last pass */
    int error;                          /* of the last pass */
    char message[512];
    uint64_t passes; /* that have ended */
};

/* Opens the index that the options name; *index is NULL without one. Folders are indexed into the
 * user's index. `results` are forgotten whenever it has changed. *no_model tells that the error is
 * about the model. */
int server_index_open(const struct server_options *options, struct results *results,
                      struct served_index **index, bool *no_model);
/* Gives up the pass that runs, which the next one continues, and waits for the database. No request
 * may use the index. */
void server_index_stop(struct served_index *index);
void server_index_close(struct served_index **index);

/* Takes a handle, which no other thread has until server_index_give. Without a request it waits for
 * as long as requests have all handles. Errors: those of vkclip_open_index, ECANCELLED (others had
 * all handles for the request's time). */
int server_index_take(struct served_index *index, struct request *request,
                      struct vkclip_index **handle);
void server_index_give(struct served_index *index, struct vkclip_index *handle);
/* The model of the index, without a device: for searches by embeddings, which wait for no turn. */
struct vkclip_model *server_index_model(struct served_index *index);
/* The name of that model for models_use. */
const char *server_index_model_name(struct served_index *index);

/* Tells whether passes can run here. */
bool server_index_is_writable(const struct served_index *index);
/* Starts a pass; false: the index cannot be written, or one runs. */
bool server_index_start_update(struct served_index *index, bool retry);
void server_index_stop_update(struct served_index *index);
void server_index_get_status(struct served_index *index, struct index_status *status);

#endif
