/* SPDX-License-Identifier: MIT
 *
 * Defines the public conditioner handle: the text encoders of one diffusion model on one device,
 * found in the folder of a pipeline or in files. Refuses files whose family it cannot tell.
 */
#ifndef VKCLIP_ENCODE_CONDITIONER_H
#define VKCLIP_ENCODE_CONDITIONER_H

#include "checkpoint/inversion.h"
#include "encode/families.h"
#include "encode/identity.h"
#include "encode/model.h"
#include "text/prompt.h"

struct conditioner_encoder {
    const struct family_encoder *row;
    enum family_clean clean;
    struct vkclip_model *model; /* NULL: zeros stand in for it */
    int32_t fill;               /* id of places after the end of text */
    char *pad_text;             /* the text of that token, if it is neither of the two ends */
    int32_t layers;             /* of the tower as it was published */
    char identity[IDENTITY_SIZE];
    /* The textual inversions that have vectors for this encoder. The vectors of embedding i are
     * tokens from first_ids[i] on. */
    struct vkclip_embedding *embeddings; /* [embedding_count] */
    int32_t *first_ids;                  /* [embedding_count] */
    size_t embedding_count;
};

struct vkclip_conditioner {
    const struct family *family;
    struct conditioner_encoder encoders[FAMILY_ENCODERS];
    size_t encoder_count;
    struct vkclip_encoder_info infos[FAMILY_ENCODERS];
    const struct vkclip_encoder_info *shown[FAMILY_ENCODERS]; /* of `infos` */
    uint32_t length;       /* that the family takes by default of encoders with `sequence` */
    uint32_t absent_width; /* of the rows of an encoder that is not there */
    bool zeros;            /* stand for a negative prompt that is not given */
    struct inversions inversions;
    struct guard *guard; /* see api/guard.h; that of the encoders' models, too */
};

/* Opens a conditioner's files, and reads what it needs of them at once. That uses nothing of the
 * device. `params` is not NULL. */
int conditioner_read(struct vkclip_device *device, const char *const *paths, size_t count,
                     const struct vkclip_conditioner_params *params,
                     struct vkclip_conditioner **conditioner);
/* Takes memory for all encoders on the device. Closes the conditioner if that fails. */
int conditioner_place(const struct vkclip_conditioner_params *params,
                      struct vkclip_conditioner **conditioner);
void conditioner_close(struct vkclip_conditioner **conditioner);

#endif
