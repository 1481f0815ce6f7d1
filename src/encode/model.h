/* SPDX-License-Identifier: MIT
 *
 * Defines the public model handle: one model, its vocabulary, and a replica of it on every GPU of
 * its device.
 */
#ifndef VKCLIP_ENCODE_MODEL_H
#define VKCLIP_ENCODE_MODEL_H

#include "base/file_source.h"
#include "encode/device.h"
#include "encode/replica.h"
#include "text/tokenizer.h"

struct guard;

struct vkclip_model {
    struct vkclip_device *device; /* NULL: the model was opened without one */
    struct replica_spec spec;
    struct weights *weights; /* open as long as a replica may upload some of them, again too */
    struct replica *replicas[DEVICE_GPUS]; /* one per GPU of the device */
    size_t replica_count;
    struct tokenizer *tokenizer; /* NULL: no vocabulary was found */
    struct texts *texts;         /* memory of encode/texts.c, kept for the next call */
    struct vkclip_model_info info;
    struct guard *guard; /* see api/guard.h */
};

/* Opens the model at a path, or only the vocabulary that `params` names where the path is NULL, and
 * takes memory for the weights unless `device` is NULL. `params` and `model` are not NULL. */
int model_open(struct vkclip_device *device, const char *path,
               const struct vkclip_model_params *params, struct vkclip_model **model);
/* Does the first half of that for the model in a source, which uses nothing of the device: reads
 * files. A descriptor is duplicated; memory must outlive the model. */
int model_read(struct vkclip_device *device, const struct file_source *source,
               const struct vkclip_model_params *params, struct vkclip_model **model);
/* Does the second half: chooses the types of weights, which depend on the values, and takes memory
 * on the device. The weights may be changed before. Closes the model if that fails. */
int model_place(const struct vkclip_model_params *params, struct vkclip_model **model);
void model_close(struct vkclip_model **model);

/* Returns the model's name in messages. */
const char *model_name(const struct vkclip_model *model);

#endif
