/* SPDX-License-Identifier: MIT
 *
 * The params.txt of a training run of OpenCLIP, which says what its checkpoints leave open. It lies
 * beside the folder of the checkpoints, or in it.
 */
#ifndef VKCLIP_CHECKPOINT_RUN_PARAMS_H
#define VKCLIP_CHECKPOINT_RUN_PARAMS_H

#include "vkclip.h"

/* Reads the activation of both towers. It stays AUTO where there is no such file. Refuses a run of
 * an architecture whose options the tensors do not show. */
int run_params_read(const char *weights_path, enum vkclip_activation *activation);

#endif
