/* SPDX-License-Identifier: MIT
 *
 * Between the readers of picture formats: image_file.c recognises a file and checks what stb_image
 * is to decode; image_gif.c, image_pnm.c and image_psd.c decode what it does not read well.
 */
#ifndef VKCLIP_IMAGE_DECODE_H
#define VKCLIP_IMAGE_DECODE_H

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
int image_file_claim(struct image_file *file, uint64_t width, uint64_t height);
/* `expected`: the least size in bytes that the file would have if it were whole. */
int image_file_truncated(const struct image_file *file, uint64_t expected);
int image_file_corrupt(const struct image_file *file, const char *what);
int image_file_unsupported(const struct image_file *file, const char *what);
int image_file_no_memory(const struct image_file *file);

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
