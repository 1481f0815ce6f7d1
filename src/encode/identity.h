/* SPDX-License-Identifier: MIT
 *
 * Tells whether two models give comparable embeddings: those of one identity have the same weights,
 * whatever file they come from, and prepare pictures in the same way.
 */
#ifndef VKCLIP_ENCODE_IDENTITY_H
#define VKCLIP_ENCODE_IDENTITY_H

#include "encode/model.h"

#define IDENTITY_SIZE 33 /* bytes of an identity's hexadecimal digits, NUL included */

/* Hashes the values of all tensors, the activations, and how pictures are prepared. Neither the
 * precision nor the type of the weights on the device count, because their embeddings are meant to
 * be those of the model. The hash is kept in the cache folder, which may be NULL, as long as the
 * files of the model do not change. Returns EUNSUPPORTED in a build without xxHash. */
int identity_of_model(const struct vkclip_model *model, const char *cache_folder,
                      char identity[IDENTITY_SIZE]);

#endif
