/* SPDX-License-Identifier: MIT
 *
 * A checkpoint's tensors by canonical name and orientation, whatever file they come from.
 * Canonical are OpenAI's names and shapes (clip/model.py's state_dict):
 *     visual.conv1.weight [width,3,p,p], visual.class_embedding, visual.positional_embedding,
 *     visual.ln_pre.{weight,bias}, visual.transformer.resblocks.I.{ln_1,ln_2}.{weight,bias},
 *     ....attn.{in_proj_weight [3C,C],in_proj_bias}, ....attn.out_proj.{weight,bias},
 *     ....mlp.{c_fc,c_proj}.{weight,bias}, visual.ln_post.{weight,bias}, visual.proj [width,D],
 *     token_embedding.weight, positional_embedding, transformer.resblocks.I...,
 * ln_final.{weight,bias}, text_projection [width,D], logit_scale. Hugging Face names come through
 * one rename table: q, k and v are stacked to in_proj, projections transposed. Host side only:
 * files stay mapped, values are converted when they are read.
 */
#ifndef VKCLIP_CHECKPOINT_WEIGHTS_H
#define VKCLIP_CHECKPOINT_WEIGHTS_H

#include "format/tensor_view.h"
#include "graph/row_reader.h"
#include "vkclip.h"

struct weights;

/* Opens a .safetensors file in any of the three layouts, clip.cpp's .gguf file, one of PyTorch's,
 * or the index of several (model.safetensors.index.json, pytorch_model.bin.index.json). */
int weights_open(const char *path, struct weights **weights);
/* The same; of a single-file Stable Diffusion checkpoint only the text encoder called "clip_l",
 * "clip_h" or "clip_g" (NULL: the first). Errors: EABSENT. */
int weights_open_encoder(const char *path, const char *encoder, struct weights **weights);
void weights_close(struct weights **weights);

/* VKCLIP_FAMILY_HF or VKCLIP_FAMILY_OPENAI (which OpenCLIP shares), by the names found. */
enum vkclip_family weights_layout(const struct weights *weights);
enum dtype weights_dtype(const struct weights *weights); /* of the largest tensor */
/* The name of the text encoder where the file is such a checkpoint; else NULL. */
const char *weights_encoder(const struct weights *weights);
struct gguf;
/* The GGUF file that the weights come from, which has the configuration too; else NULL. */
const struct gguf *weights_gguf(const struct weights *weights);
const char *weights_path(const struct weights *weights);
uint64_t weights_parameters(const struct weights *weights);
uint64_t weights_bytes(const struct weights *weights); /* of all tensors, as stored */
/* Whether this is a file that the weights are read from. */
bool weights_reads(const struct weights *weights, const char *path);

/* Canonical name of tensor `index`, in order of names; NULL behind the last. */
const char *weights_name(const struct weights *weights, size_t index);

/* Shape by canonical name and orientation; false if the checkpoint has no such tensor. */
bool weights_shape(const struct weights *weights, const char *name, uint64_t shape[TENSOR_MAX_RANK],
                   unsigned *rank);

/* Rows [first, first + rows) of the first dimension, converted to fp32, to `out` (rows * the
 * product of the other dimensions). Tensors of rank 0 have one row. The file's pages are released
 * behind the read. Errors: EABSENT. */
int weights_read(const struct weights *weights, const char *name, uint64_t first, uint64_t rows,
                 float *out);

/* The same with a batch norm folded in (eval mode, epsilon 1e-5): rows of a convolution's weight
 * times gain / sqrt(running variance + epsilon); of the norm's own bias: bias - mean * that. `norm`
 * is the name of the norm; "": none. */
int weights_read_folded(const struct weights *weights, const char *name, const char *norm,
                        uint64_t first, uint64_t rows, float *out);

/* The weights as the source of what is uploaded to a device; must not outlive them. */
struct row_reader weights_row_reader(const struct weights *weights);

/* How files of a layout have a tensor: a part of a canonical one under a name of its own. */
enum weights_form { WEIGHTS_OPENAI, WEIGHTS_HF, WEIGHTS_GGUF };
struct weights_stored {
    char *name; /* a new string */
    unsigned rank;
    uint64_t shape[TENSOR_MAX_RANK];
    uint64_t first;  /* its first row of the canonical tensor */
    bool transposed; /* it is the canonical tensor's columns */
};
/* Part `part`, from 0 up, of the tensor called `name`; EABSENT behind the last, without a message.
 */
int weights_store_as(const struct weights *weights, const char *name, enum weights_form form,
                     unsigned part, struct weights_stored *stored);

/* The same of a tensor that is in no file yet. */
int weights_store_shape(const char *name, unsigned rank, const uint64_t *shape,
                        enum weights_form form, unsigned part, struct weights_stored *stored);

/* Puts fp32 values in a tensor's place, which keeps its rank. `values` is taken over, also on
 * error. */
int weights_replace(struct weights *weights, const char *name, const uint64_t *shape,
                    float *values);

#endif
