/* SPDX-License-Identifier: MIT
 *
 * What the public trainer handle stands for: a training run with its data. The functions expect
 * arguments that are not NULL.
 */
#ifndef VKCLIP_TRAIN_TRAINER_H
#define VKCLIP_TRAIN_TRAINER_H

#include "vkclip.h"

struct gpu;
struct train_device;

struct progress;

/* Opens a run with its data; params->output is not NULL. The devices' GPUs and tuners must outlive
 * the trainer. Without a device nothing is written, and the trainer only tells what the run would
 * need. */
int trainer_open(const struct train_device *devices, size_t count,
                 const struct vkclip_trainer_params *params, struct vkclip_trainer **trainer);
void trainer_close(struct vkclip_trainer **trainer);
/* Returns what api/guard.h keeps with the handle. */
struct guard;
struct guard *trainer_guard(const struct vkclip_trainer *trainer);
void trainer_set_guard(struct vkclip_trainer *trainer, struct guard *guard);

/* Begins a call of the trainer, in which its program is asked whether to go on. */
void trainer_begin(const struct vkclip_trainer *trainer, struct progress *progress);

/* Tells the sizes of the run, and how many of its steps are done, also while another thread
 * computes one. */
void trainer_get_info(const struct vkclip_trainer *trainer, struct vkclip_trainer_info *info);
/* Whether the trainer has a GPU, which steps and saving need. */
bool trainer_is_on_device(const struct vkclip_trainer *trainer);
/* Measures the device memory of the run, if blocks are computed again for their gradients or not.
 */
int trainer_measure(const struct vkclip_trainer *trainer, bool recompute,
                    struct vkclip_trainer_memory *memory);
/* Warns if the run needs more memory than a device has left. */
int trainer_check_fit(const struct vkclip_trainer *trainer, const struct gpu *gpu);

/* Trains on the loader's next batch. EINVALID: all steps are done. */
int trainer_step(struct vkclip_trainer *trainer, struct vkclip_train_result *result);

/* Measures the run on its validation data, which it must have. */
int trainer_validate(struct vkclip_trainer *trainer, struct vkclip_validation *result);

/* Saves the run as it is now. *path is a new string, the path of the saved step. */
int trainer_save(struct vkclip_trainer *trainer, char **path);
/* Writes the model as it is now into the run's folder itself. */
int trainer_save_model(struct vkclip_trainer *trainer);

#endif
