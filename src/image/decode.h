/* SPDX-License-Identifier: MIT
 *
 * Decodes picture files to pixels. Files that are truncated, corrupt, of another format or too
 * large are refused.
 */
#ifndef VKCLIP_IMAGE_DECODE_H
#define VKCLIP_IMAGE_DECODE_H

#include "base/file.h"
#include "base/scratch.h"
#include "image/facts.h"
#include "vkclip.h"

/* Memory that one thread keeps from one picture to the next. All zeros is none yet. */
struct image_memory {
    struct scratch file, pixels;
};

struct image_options {
    uint64_t max_pixels; /* 0: the limit that vkclip_load_image states */
    bool orient;         /* Turn and mirror the pixels as the file's EXIF orientation says. */
    /* A decoder that can decode at a fraction of the size, which saves most of its time, may do so
     * while both sides stay at least this long. 0: exact pixels. */
    uint32_t least_side;
    struct image_memory *memory; /* used, and enlarged if it is too small; NULL: none is kept */
};

/* Decodes the picture in a file, whose format is recognised by its content. A file that is no
 * picture, or too long for the limit of pixels, is refused before it is read as a whole, and a
 * picture of too many pixels before memory for it is allocated. `options` and `facts` may be NULL.
 * After an error the picture is all zero. May be called from any thread. */
int image_load(const char *path, const struct image_options *options, struct vkclip_image *image,
               struct image_facts *facts);
/* Where the bytes of a picture are: in a part of what a function reads. */
struct image_part {
    int (*read)(void *user, uint64_t offset, size_t size, void *copy);
    void *user;
    uint64_t offset;
    size_t size;
    const char *name; /* for messages */
};
/* Decodes a part in the same way. */
int image_load_part(const struct image_part *part, const struct image_options *options,
                    struct vkclip_image *image, struct image_facts *facts);
/* Decodes the picture in memory in the same way; `name` is used in messages. */
int image_decode(const void *data, size_t size, const char *name,
                 const struct image_options *options, struct vkclip_image *image,
                 struct image_facts *facts);
void image_free(struct vkclip_image *image);
/* Keeps the memory of a picture, which is no longer used, for the pixels of the next one, unless it
 * is larger than most pictures need. */
void image_keep(struct vkclip_image *image, struct image_memory *memory);

/* Tells whether this program has the library or plugin for the lack of which one refused a file
 * with this message, which must be without the file's name. */
bool image_has_library_now(const char *message);

/* Writes the names of the formats that this build decodes: "PNG, JPEG or BMP". */
void image_formats(char *text, size_t capacity);

#endif
