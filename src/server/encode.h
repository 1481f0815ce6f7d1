/* SPDX-License-Identifier: MIT
 *
 * Encodes the texts and pictures that a request has brought, in any mixture.
 */
#ifndef VKCLIP_SERVER_ENCODE_H
#define VKCLIP_SERVER_ENCODE_H

#include "server/models.h"
#include "server/request.h"

/* A text, or the bytes of a picture file. */
struct encode_item {
    const char *text; /* NULL: a picture */
    void *data;       /* of malloc, released by encode_free */
    size_t size;
    bool exact;     /* It is decoded in full size. Otherwise a JPEG is decoded at a scale that is
                     * still twice as large as the model's pictures, as in an index. */
    bool as_stored; /* Its EXIF orientation is ignored, as the reference implementations do. */
    uint32_t width, height; /* of the picture, set when it was decoded */
};

/* Fills an item from what clients write for a picture: a data URL, base64 alone, or, if the server
 * may fetch, an URL. `name` is for messages. */
int encode_read_picture(struct request *request, const char *text, const char *name,
                        struct encode_item *item);
/* Writes embeddings [count,dim] of unit length. Both towers of the model have this `dim`. */
int encode_items(struct request *request, const struct loaded_model *model,
                 struct encode_item *items, size_t count, float *embeds);
void encode_free(struct encode_item *items, size_t count);

#endif
