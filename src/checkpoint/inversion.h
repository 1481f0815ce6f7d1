/* SPDX-License-Identifier: MIT
 *
 * Reads textual inversions (Gal et al. 2022): vectors that take the places of tokens, under the
 * name of their file. Known are the files of AUTOMATIC1111's webui (.pt), those of diffusers and of
 * other trainers with one tensor (.bin, .safetensors), and those for Stable Diffusion XL, which
 * have a tensor per text encoder.
 */
#ifndef VKCLIP_CHECKPOINT_INVERSION_H
#define VKCLIP_CHECKPOINT_INVERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Vectors for one text encoder. */
struct inversion_vectors {
    const char *encoder; /* "clip_l", "clip_g" or "t5xxl"; NULL: for any encoder of their width */
    uint32_t count, width;
    float *values; /* [count,width] */
};

enum { INVERSION_ENCODERS = 3 };

struct inversion {
    char *name; /* of the file without its extension, by which prompts call it */
    char *path;
    bool listed; /* It was found in a folder, and may be for another model. */
    struct inversion_vectors vectors[INVERSION_ENCODERS];
    size_t count;
};

struct inversions {
    struct inversion *list; /* in the order in which they were added */
    size_t count;
};

/* Adds the inversion of a file, or of all such files of a folder, in the order of their names. A
 * file of a folder that cannot be read is left out with a warning, and so is one whose name is
 * there already. After an error the list is as it was, but for files of the folder that were added.
 */
int inversions_add(struct inversions *inversions, const char *path);
void inversions_close(struct inversions *inversions);

/* Returns the vectors that an inversion has for a text encoder of this name ("clip_l") and width,
 * or NULL if it has none. */
const struct inversion_vectors *inversion_find(const struct inversion *inversion,
                                               const char *encoder, uint32_t width);

#endif
