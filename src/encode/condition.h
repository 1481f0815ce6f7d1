/* SPDX-License-Identifier: MIT
 *
 * Conditions a diffusion model: encodes prompts and negative prompts by the row of its family, and
 * arranges what the encoders give.
 */
#ifndef VKCLIP_ENCODE_CONDITION_H
#define VKCLIP_ENCODE_CONDITION_H

#include "encode/conditioner.h"

/* `params` is not NULL in both. */
int condition_tokenize(const struct vkclip_conditioner *conditioner, size_t encoder,
                       const char *text, const struct vkclip_prompt_params *params,
                       struct vkclip_prompt *prompt);
int condition_run(struct vkclip_conditioner *conditioner,
                  const struct vkclip_condition_params *params,
                  struct vkclip_conditioning **conditioning);
void condition_free(struct vkclip_conditioning **conditioning);

#endif
