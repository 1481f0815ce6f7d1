/* SPDX-License-Identifier: MIT
 *
 * What the readers of picture formats share: image/decode.c recognises a file and checks what
 * stb_image decodes; image/gif.c, image/pnm.c and image/psd.c decode the formats that stb_image
 * does not read well.
 */
#ifndef VKCLIP_IMAGE_READER_H
#define VKCLIP_IMAGE_READER_H

#include "vkclip.h"

/* A file's bytes, and what a reader found out about them. */
struct image_file {
    const char *name, *format; /* for messages */
    const uint8_t *data;
    size_t size;
    uint64_t max_pixels;
    uint32_t width, height, channels;
    bool indexed;
    size_t palette;  /* PNG: where the chunk with the palette begins, */
    unsigned colors; /* how many it has, */
    unsigned depth;  /* and 2^depth that pixels may ask for */
};

/* Takes the size that a header claims, unless it is 0 or has too many pixels. Before any
 * allocation. */
int reader_claim_size(struct image_file *file, uint64_t width, uint64_t height);
/* `expected`: the least size in bytes that the file would have if it were whole. */
int reader_truncated(const struct image_file *file, uint64_t expected);
int reader_corrupt(const struct image_file *file, const char *what);
int reader_unsupported(const struct image_file *file, const char *what);
int reader_no_memory(const struct image_file *file);

int image_gif_decode(struct image_file *file, uint8_t **pixels);
int image_pnm_decode(struct image_file *file, uint8_t **pixels);
int image_psd_decode(struct image_file *file, uint8_t **pixels);

static inline uint32_t le16(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8;
}
static inline uint32_t le32(const uint8_t *at)
{
    return le16(at) | le16(at + 2) << 16;
}
static inline uint32_t be16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}
static inline uint32_t be32(const uint8_t *at)
{
    return be16(at) << 16 | be16(at + 2);
}

#endif
