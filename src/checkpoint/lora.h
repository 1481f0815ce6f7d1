/* SPDX-License-Identifier: MIT
 *
 * Reads LoRA files (Hu et al. 2021) of diffusion models and adds what they have for text encoders
 * to the encoders' weights: W + strength * alpha / rank * up @ down. The names of kohya's trainer
 * (sd-scripts) and of diffusers (peft, and the two forms before it) are known, for Stable Diffusion
 * 1, 2, XL and 3, and FLUX. What a file has for other parts of a model is left alone.
 */
#ifndef VKCLIP_CHECKPOINT_LORA_H
#define VKCLIP_CHECKPOINT_LORA_H

#include "checkpoint/weights.h"

struct lora;

/* Opens a file and checks every tensor in it that belongs to a text encoder. Messages call it by
 * its path. After an error nothing is left open. Errors: EFORMAT, and EUNSUPPORTED for forms that
 * are not plain products of two matrices, such as LoHa, LoKr and DoRA. */
int lora_open(const char *path, float strength, struct lora **lora);
void lora_close(struct lora **lora);

/* Kohya's trainer gives T5 this place also in FLUX, where T5 is the second encoder. */
enum { LORA_PLACE_T5 = 3 };

/* Refuses a file with products for a text encoder whose place has no bit (1 << place) in `places`.
 * Returns EINVALID. */
int lora_check_places(const struct lora *lora, unsigned places);

/* Adds the products for one text encoder to its weights, which then own them; to be called before
 * the weights are read for a device. `place` is the
 * encoder's place in its pipeline: 1 for text_encoder, 2 for text_encoder_2, 3 for text_encoder_3.
 * An encoder that is alone in its pipeline has place 1, except that of the refiner of Stable
 * Diffusion XL, which has place 2. Returns EABSENT if the encoder has no such matrix, and EFORMAT
 * if its shape is another. */
int lora_merge(struct lora *lora, unsigned place, struct weights *weights);

/* Logs in one line how many products were added, and of which parts others are left alone. It is to
 * be called when lora_merge was called for all encoders. */
void lora_report(const struct lora *lora);

#endif
