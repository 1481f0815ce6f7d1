/* SPDX-License-Identifier: MIT
 *
 * The models that clients use: opened when one is first named, kept, and closed when nobody has
 * used them for a while or their memory is needed.
 */
#ifndef VKCLIP_SERVER_MODELS_H
#define VKCLIP_SERVER_MODELS_H

#include "vkclip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct models;
struct request;
struct server_options;

/* A model in use. */
struct loaded_model {
    struct vkclip_model *model;
    struct vkclip_model_info info;
    const char *name; /* by which it was first asked for */
};

/* *no_model tells that the default model, or that of an alias, cannot be loaded. */
int models_open(const struct server_options *options, struct models **models, bool *no_model);
void models_close(struct models **models);
/* Sets the model of requests that name none, which is that of the options if they name one. Called
 * before there are requests. */
int models_set_default(struct models *models, const char *name);
/* Finds a model by its name, an alias, or NULL for the default one, and opens it if it is not open.
 * With `paths`, which only requests of the server's own user have, an absolute path is a name, too.
 * Other requests for the same one wait meanwhile, but not beyond their time (ECANCELLED). The model
 * stays open until models_release. Errors: EABSENT (no such name), EUNSUPPORTED (it is larger than
 * all memory), EDEVICEMEMORY (no memory is left for it), those of vkclip_open_model. */
int models_use(struct models *models, struct request *request, const char *name, bool paths,
               const struct loaded_model **model);
/* Has a tower's weights read and its kernels built, once, by the thread of the request that needs
 * it first: the thread that computes batches would hold up the requests for all other models.
 * Others wait meanwhile as in models_use. Errors: those of reading, after which the model is opened
 * anew for later requests. */
int models_prepare(struct models *models, struct request *request, const struct loaded_model *model,
                   enum vkclip_tower tower);
void models_release(struct models *models, const struct loaded_model *model);
/* Ends the opening of models, now and later. */
void models_stop(struct models *models);
/* Closes models that were not used for the time to live. */
void models_expire(struct models *models);

/* How many times a model was opened. */
uint64_t models_count_opened(struct models *models);

/* Receives a name that clients may use, and its model if that is open. */
typedef void models_list_fn(void *user, const char *name, const struct loaded_model *loaded);
/* Lists the default model first, then aliases, then other models that are open. */
void models_list(struct models *models, models_list_fn *fn, void *user);

#endif
