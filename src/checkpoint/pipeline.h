/* SPDX-License-Identifier: MIT
 *
 * Reads what a pipeline folder of diffusers says about its text encoders: model_index.json.
 */
#ifndef VKCLIP_CHECKPOINT_PIPELINE_H
#define VKCLIP_CHECKPOINT_PIPELINE_H

#include "vkclip.h"

struct pipeline {
    char class_name[64]; /* such as StableDiffusionXLPipeline */
    /* What the pipeline does without a negative prompt; -1 if it does not say. */
    int force_zeros;
    bool encoders[3];     /* Which of text_encoder, text_encoder_2 and text_encoder_3 it has. */
    uint32_t joint_width; /* of the text that its transformer takes; 0 if it does not say */
};

/* Finds the file or folder, a new string, of a path or of the name of a model on the hub, whose
 * cache is `hub_dir`, or the usual one if that is NULL. */
int pipeline_find(const char *path, const char *hub_dir, char **found);
/* Tells whether a path is the folder of a pipeline. */
bool pipeline_is_folder(const char *path);
int pipeline_read(const char *folder, struct pipeline *pipeline);

#endif
