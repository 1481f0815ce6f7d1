/* SPDX-License-Identifier: MIT
 *
 * Uses embeddings for zero-shot classification: similarities, embeddings of labels, probabilities
 * (paper, section 3.1).
 */
#ifndef VKCLIP_ENCODE_ZERO_SHOT_H
#define VKCLIP_ENCODE_ZERO_SHOT_H

#include "encode/model.h"

/* Multiplies the cosine of every picture and text by the model's logit scale: logits [n,m]. */
int zero_shot_similarity(const struct vkclip_model *model, const float *image_embeds, size_t n,
                         const float *text_embeds, size_t m, float *logits);
/* Encodes every label within every template and gives each label the normalised mean of its
 * embeddings. */
int zero_shot_labels(struct vkclip_model *model, const char *const *labels, size_t label_count,
                     const char *const *templates, size_t template_count,
                     const struct vkclip_encode_params *params, float *embeds);
/* Encodes pictures and gives their logits and probabilities among labels that are encoded already;
 * either result may be NULL. */
int zero_shot_classify(struct vkclip_model *model, const struct vkclip_image *images, size_t count,
                       const float *label_embeds, size_t label_count,
                       const struct vkclip_encode_params *params, float *logits, float *probs);

#endif
