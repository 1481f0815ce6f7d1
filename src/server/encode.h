/* SPDX-License-Identifier: MIT
 *
 * Encodes the texts, token ids and pictures that a request has brought, in any mixture.
 */
#ifndef VKCLIP_SERVER_ENCODE_H
#define VKCLIP_SERVER_ENCODE_H

#include "server/models.h"
#include "server/request.h"

/* A text, token ids, or the bytes of a picture file. */
struct encode_item {
    char name[32];      /* for messages, such as "input 3"; "": the picture */
    const char *text;   /* NULL: token ids or a picture */
    void *data;         /* of malloc: the ids or the file, released by encode_free */
    size_t size;        /* bytes */
    size_t token_count; /* 0: a text or a picture */
    bool raw;           /* The embedding keeps its length. All items of a call have the same. */
    bool exact;     /* It is decoded in full size. Otherwise a JPEG is decoded at a scale that is
                     * still twice as large as the model's pictures, as in an index. */
    bool as_stored; /* Its EXIF orientation is ignored, as the reference implementations do. */
    uint32_t width, height; /* of the picture, set when it was decoded */
};

/* Fills an item from what clients write for a picture: a data URL, base64 alone, or, if the server
 * may fetch, an URL. The item gets the name, which is for messages. */
int encode_read_picture(struct request *request, const char *text, const char *name,
                        struct encode_item *item);
/* Writes embeddings [count,dim], of unit length unless the items say otherwise. Both towers of the
 * model have this `dim`. */
int encode_items(struct request *request, const struct loaded_model *model,
                 struct encode_item *items, size_t count, float *embeds);
/* How many bytes of a text are looked at. */
size_t encode_text_length(const char *text);
void encode_free(struct encode_item *items, size_t count);

#endif
