/* SPDX-License-Identifier: MIT
 *
 * What the public model handle is.
 */
#ifndef VKCLIP_API_MODEL_H
#define VKCLIP_API_MODEL_H

#include "api/device.h"
#include "image/prepare.h"
#include "encode/replica.h"
#include "text/tokenizer.h"

struct vkclip_model {
    struct vkclip_device *device; /* NULL: opened without */
    struct replica_spec spec;
    struct replica *replicas[DEVICE_GPUS]; /* one for each of the device's GPUs */
    size_t replica_count;
    struct tokenizer *tokenizer;
    struct texts *texts; /* of vkclip_encode.c: kept for the next call */
    struct vkclip_model_info info;
};

/* How a model's pictures are prepared. */
struct image_transform vkclip_image_transform(const struct config *config);
/* A vocabulary by the rules of the model's family, and not larger than its table. */
int vkclip_open_vocabulary(const struct config *config, const char *path,
                           struct tokenizer **tokenizer);

#endif
