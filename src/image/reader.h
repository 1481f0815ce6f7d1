/* SPDX-License-Identifier: MIT
 *
 * This header has what the readers of picture formats share: image/decode.c recognises a file and
 * checks what stb_image decodes; image/gif.c, image/pnm.c and image/psd.c decode the formats that
 * stb_image does not read well.
 */
#ifndef VKCLIP_IMAGE_READER_H
#define VKCLIP_IMAGE_READER_H

#include "vkclip.h"

/* This struct has a file's bytes, and what a reader has found in them. */
struct image_file {
    const char *name, *format; /* for messages */
    const uint8_t *data;
    size_t size;
    uint64_t max_pixels;
    uint32_t width, height, channels;
    bool indexed;
    /* Only a PNG sets these members: */
    size_t palette;  /* where the chunk with the palette begins; 0: there is none */
    unsigned colors; /* colours of the palette */
    unsigned depth;  /* bits of a sample, so that a pixel may name 2^depth colours */
};

/* Sets the size that a header claims, and refuses a size of no pixels or of too many. Readers call
 * it before they allocate anything. */
int reader_claim_size(struct image_file *file, uint64_t width, uint64_t height);
/* The functions from here on fail with a message that names the file. `expected` is the least size
 * in bytes that the complete file would have. */
int reader_truncated(const struct image_file *file, uint64_t expected);
int reader_corrupt(const struct image_file *file, const char *what);
int reader_unsupported(const struct image_file *file, const char *what);
int reader_no_memory(const struct image_file *file);

int image_gif_decode(struct image_file *file, uint8_t **pixels);
int image_pnm_decode(struct image_file *file, uint8_t **pixels);
int image_psd_decode(struct image_file *file, uint8_t **pixels);

static inline uint32_t le16(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8;
}
static inline uint32_t le32(const uint8_t *bytes)
{
    return le16(bytes) | le16(bytes + 2) << 16;
}
static inline uint32_t be16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}
static inline uint32_t be32(const uint8_t *bytes)
{
    return be16(bytes) << 16 | be16(bytes + 2);
}

#endif
