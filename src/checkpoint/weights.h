/* SPDX-License-Identifier: MIT
 *
 * Gives a checkpoint's tensors under their canonical names and in their canonical orientation (see
 * checkpoint/names.h), whatever file they come from. Works on the host only: files stay mapped, and
 * values are converted to fp32 when they are read. Tensors that do not hold
 * floating-point numbers are left out, and refused where they have a weight's name. Refuses two
 * tensors with one canonical name, and query, key and value that do not fit together.
 */
#ifndef VKCLIP_CHECKPOINT_WEIGHTS_H
#define VKCLIP_CHECKPOINT_WEIGHTS_H

#include "base/file_source.h"
#include "checkpoint/names.h"
#include "format/tensor_view.h"
#include "graph/row_reader.h"
#include "vkclip.h"

struct weights;
struct gguf;

/* Opens a .safetensors file with the names of any family, a .gguf file of clip.cpp, a file of
 * PyTorch, or the index of several files (model.safetensors.index.json,
 * pytorch_model.bin.index.json). */
int weights_open(const char *path, struct weights **weights);
/* Opens one text encoder of a single-file Stable Diffusion checkpoint: the one called `encoder`
 * ("clip_l", "clip_h" or "clip_g"), or the first if that is NULL. If `encoder` is NULL, other files
 * open as they do in weights_open. Returns EABSENT if the file has no such encoder. */
int weights_open_encoder(const char *path, const char *encoder, struct weights **weights);

/* Says which of the weights in a file are opened. All zeros: the only ones that there are. */
struct weights_selection {
    const char *encoder;    /* as in weights_open_encoder */
    const char *state_dict; /* the prefix of the names of a set of weights, see prefixes.h */
};
/* Opens the weights in a source, of which they keep a copy. */
int weights_open_selection(const struct file_source *source,
                           const struct weights_selection *selection, struct weights **weights);
void weights_close(struct weights **weights);

/* Returns the family whose names the file uses: VKCLIP_FAMILY_HF, or VKCLIP_FAMILY_OPENAI for the
 * names that OpenAI and OpenCLIP share and for clip.cpp's. */
enum vkclip_family weights_family(const struct weights *weights);
enum names_form weights_form(const struct weights *weights);
/* Returns the name of the training run of which the file is a checkpoint by OpenCLIP, or NULL. */
const char *weights_run(const struct weights *weights);
/* Returns the element type of the largest tensor. */
enum dtype weights_dtype(const struct weights *weights);
/* Tells whether every value is one of fp16, so that storing the weights as fp16 changes none. */
bool weights_are_halves(const struct weights *weights);
/* Returns the name of the text encoder that was opened, or NULL if the file is not a Stable
 * Diffusion checkpoint. */
const char *weights_encoder(const struct weights *weights);
/* Returns the prefix of the encoder's tensors in that file; NULL if it is no such file. */
const char *weights_encoder_prefix(const struct weights *weights);
/* Returns the GGUF file of the weights, which also has the configuration, or NULL for other
 * formats. */
const struct gguf *weights_gguf(const struct weights *weights);
/* Tells whether a vocabulary is in the file at weights_path: GGUF's tokens, or ComfyUI's tensor
 * spiece_model. */
bool weights_has_vocabulary(const struct weights *weights);
/* Returns the path, or the name of a source that has none. */
const char *weights_path(const struct weights *weights);
/* Returns where the weights are read from. It is valid as long as they are. */
const struct file_source *weights_source(const struct weights *weights);
uint64_t weights_parameters(const struct weights *weights);
/* Returns the bytes of all tensors as the files store them. */
uint64_t weights_bytes(const struct weights *weights);
/* Tells whether the weights are read from this file, whatever path names it. */
bool weights_uses_file(const struct weights *weights, const char *path);

/* Returns the canonical name of tensor number `index` in the order of names, or NULL after the
 * last. */
const char *weights_name(const struct weights *weights, size_t index);
/* Tells whether the form of the file has a rule for the stored name of tensor number `index`. */
bool weights_is_ruled(const struct weights *weights, size_t index);
/* Fails with EUNSUPPORTED if the file has a tensor of that name which holds no numbers. */
int weights_explain_absence(const struct weights *weights, const char *name);

/* Gives the canonical shape; returns false if the checkpoint has no such tensor. */
bool weights_shape(const struct weights *weights, const char *name, uint64_t shape[TENSOR_MAX_RANK],
                   unsigned *rank);

/* Reads rows [first, first + rows) of the first dimension, each of which has the product of the
 * other dimensions as its length. A tensor of rank 0 has one row. The pages of the file are
 * released as they are read, so that a long read needs little memory. Returns EABSENT if there is
 * no such tensor. */
int weights_read(const struct weights *weights, const char *name, uint64_t first, uint64_t rows,
                 float *values);

/* Reads rows with a batch norm folded in, as evaluation computes it (epsilon 1e-5). Rows of a
 * convolution's weight are multiplied by gain / sqrt(running variance + epsilon); the norm's own
 * bias becomes bias - mean * that factor. `norm` is the name of the norm, or that of a vector with
 * a factor for each row; "" folds nothing. */
int weights_read_folded(const struct weights *weights, const char *name, const char *norm,
                        uint64_t first, uint64_t rows, float *values);

/* Fails with EIO if one of the files was written to since it was opened. Who reads long after
 * weights_open must call this first: values may be mixed, and reading a file that became shorter
 * would end the process. */
int weights_check(const struct weights *weights);

/* Returns a number that changes when one of the files is replaced or written to; 0 of memory, and
 * if a file was written to just now, so that a later write could have the same time. */
uint64_t weights_stamp(const struct weights *weights);

/* Returns the weights as the source of an upload to a device. The reader must not outlive them. */
struct row_reader weights_row_reader(const struct weights *weights);

/* Replaces a tensor's values by fp32 values; its rank stays. Takes ownership of `values`, even
 * after an error. */
int weights_replace(struct weights *weights, const char *name, const uint64_t *shape,
                    float *values);

/* Forgets a tensor, if there is one of that name. */
void weights_remove(struct weights *weights, const char *name);
/* Adds a tensor of fp32 values. Takes ownership of the values, in memory of memory_alloc. */
int weights_add(struct weights *weights, const char *name, unsigned rank, const uint64_t *shape,
                float *values);
/* Appends rows to a tensor's first dimension, as for tokens that a model did not have. Takes
 * ownership of `values`, even after an error. Can be called once per tensor. */
int weights_append_rows(struct weights *weights, const char *name, uint64_t rows, float *values);

/* A product of two small matrices, left [rows,rank] times right [rank,columns], in fp32. */
struct weights_product {
    uint64_t rows, columns, rank;
    float *left, *right; /* from memory_alloc */
};
/* Adds a product to the values of a tensor of two dimensions, beginning with row `first`, whenever
 * they are read. Takes ownership of the matrices, even after an error. Returns EINVALID if the
 * product has not the tensor's columns or exceeds its rows. */
int weights_add_product(struct weights *weights, const char *name, uint64_t first,
                        const struct weights_product *product);

#endif
