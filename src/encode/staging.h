/* SPDX-License-Identifier: MIT
 *
 * Prepares pictures that lie on the device: copies, resizes, crops and normalises them there, to
 * the same values as image/prepare.h does it on the host. Keeps what is needed for pictures of one
 * size and format, and is therefore slow where these change from one picture to the next.
 */
#ifndef VKCLIP_ENCODE_STAGING_H
#define VKCLIP_ENCODE_STAGING_H

#include "image/prepare.h"
#include "runtime/tune.h"
#include "vulkan/gpu.h"

struct staging;

/* Opens memory for no picture yet. The GPU and its tuner must outlive it. */
int staging_open(struct gpu *gpu, struct tuner *tuner, const struct image_transform *transform,
                 struct staging **staging);
/* Waits for what was submitted, unless the device is lost. */
void staging_close(struct staging **staging);

/* Submits the commands that write the values [3,S,S] of a picture to `target`, before whatever is
 * submitted next. They are kept until staging_release. */
int staging_prepare(struct staging *staging, const struct gpu_picture *picture,
                    struct gpu_range target);
/* Forgets the commands of the `count` pictures that were prepared first, or of all if there are
 * fewer, and waits for those that still run. */
void staging_release(struct staging *staging, size_t count);

#endif
