/* SPDX-License-Identifier: MIT
 *
 * Encodes texts: the library's threads tokenise them, equal texts are encoded once, and every text
 * runs in the shortest length that holds it.
 */
#ifndef VKCLIP_ENCODE_TEXTS_H
#define VKCLIP_ENCODE_TEXTS_H

#include "encode/model.h"

/* Gives a call's texts either as strings or as ids. */
struct text_items {
    const char *const *strings;
    const int32_t *ids;  /* [M,width] */
    const int32_t *mask; /* [M,width] beside ids: 0 for tokens to which no other attends; or NULL */
    size_t width;
};

/* Encodes texts or rows of ids on all GPUs of the model's device: embeds [M,D]. CLIP's texts are
 * padded to the context. Those of a tower that takes any length (any_length in tower.h) are rows of
 * ids as they are: without a mask T5's attend to all of their tokens, and BERT's to those that are
 * no padding. Of strings, the padding is masked. The hidden states have the names of
 * vkclip_hidden_fn. */
int texts_encode(struct vkclip_model *model, const struct text_items *items, size_t count,
                 const struct vkclip_encode_params *params, float *embeds);

/* Splits a text into ids: writes at most `capacity` of them and counts all in *count. */
int texts_tokenize(const struct vkclip_model *model, const char *text, size_t length,
                   unsigned flags, int32_t *ids, size_t capacity, size_t *count);

/* Writes the ids of a text to a place of a batch; where the host looks up tokens, their vectors.
 * weights_check must come first then. */
int texts_write_ids(const struct vkclip_model *model, struct replica *replica,
                    const struct replica_plan *plan, const int32_t *ids, uint32_t length,
                    uint32_t place, unsigned thread);

/* Fails if the model has no vocabulary. */
int texts_check_tokenizer(const struct vkclip_model *model);

#endif
