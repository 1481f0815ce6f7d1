/* SPDX-License-Identifier: MIT
 *
 * Reads the configurations of text towers that are BERT or XLM-R: those which OpenCLIP takes from
 * transformers (hf_model_name), M-CLIP's, AltCLIP's and Chinese-CLIP's. Refuses other encoders,
 * such as mT5 and NLLB, by their names.
 */
#ifndef VKCLIP_CHECKPOINT_BERT_H
#define VKCLIP_CHECKPOINT_BERT_H

#include "checkpoint/json.h"
#include "checkpoint/weights.h"
#include "model/config.h"

/* Tells whether an OpenCLIP text_cfg names an encoder of transformers. */
bool bert_is_named(const struct section *text);
/* Reads that text_cfg. */
void bert_read_openclip(const struct section *text, struct config *config);

/* Each function reads the text tower of a config.json: the objects that Chinese-CLIP and AltCLIP
 * call text_config, and M-CLIP's whole file. The tensors tell the sizes of M-CLIP's encoder, which
 * are 0 until then. */
void bert_read_chinese_clip(const struct section *text, struct config *config);
void bert_read_alt_clip(const struct section *text, struct config *config);
void bert_read_m_clip(const struct section *root, struct config *config);

/* Returns the text_cfg of an OpenCLIP configuration, or NULL if memory runs out. Takes ownership of
 * `epsilon`, which is the tower's as a JSON value. */
json_t *bert_pack_openclip(const struct config *config, json_t *epsilon);

/* Takes the sizes that the configuration `path` leaves open from the tensors. Does nothing for
 * other towers. */
int bert_fit_tensors(const struct weights *weights, const char *path, struct config *config);

#endif
