/* SPDX-License-Identifier: MIT
 *
 * This header has what the readers of picture formats share. image/decode.c recognises a file and
 * calls its reader; each reader is a file that is named after its format.
 */
#ifndef VKCLIP_IMAGE_READER_H
#define VKCLIP_IMAGE_READER_H

#include "base/scratch.h"
#include "vkclip.h"

/* This struct has a file's bytes, what the caller asks for, and what a reader has found. */
struct image_file {
    const char *name, *format; /* for messages */
    const uint8_t *data;
    size_t size;
    uint64_t max_pixels;
    struct scratch *spare; /* memory for the pixels, if it is large enough; may be NULL */
    uint32_t least_side; /* The reader may scale while both sides stay this long; 0: it must not. */

    /* reader_claim_size sets the size of the whole picture and that of the pixels, of which a
     * reader that scales changes the second. The reader itself sets the members that follow. */
    uint32_t full_width, full_height;
    uint32_t width, height, channels;
    bool indexed, cmyk; /* as in struct vkclip_image */
    bool oriented;      /* The pixels are already turned as the file's orientation says. */
    /* The EXIF data from their TIFF header on, in the file or in `memory`, which image/decode.c
     * releases when it has read them; NULL: there are none. */
    const uint8_t *exif;
    size_t exif_size;
    void *memory;
};

/* Sets the size that a header claims, and refuses a size of no pixels or of too many. Readers call
 * it before they allocate anything. */
int reader_claim_size(struct image_file *file, uint64_t width, uint64_t height);
/* Returns the number of pixels up to which reader_claim_size accepts a size. */
uint64_t reader_most_pixels(const struct image_file *file);
/* Keeps EXIF data, which begin with their TIFF header or with the prefix of a JPEG before it. */
void reader_set_exif(struct image_file *file, const uint8_t *data, size_t size);
/* Keeps the EXIF data of a block as HEIF and JPEG XL have it, whose first four bytes say how many
 * bytes follow them before the TIFF header. Returns false if there are not so many. */
bool reader_set_exif_block(struct image_file *file, const uint8_t *block, size_t size);
/* Makes the pixels upright and sets `oriented`, for a format that has an orientation of its own. */
int reader_orient(struct image_file *file, uint8_t **pixels, uint32_t orientation);
/* Divides the colours by the alpha, the last channel, that they are multiplied by, as Pillow does.
 */
void reader_divide_alpha(const struct image_file *file, uint8_t *pixels);
/* Refuses `bytes` of compressed data that cannot hold the claimed pixels even at the format's best
 * rate, which would give `most_pixels`. Readers call it before memory for them is allocated. */
int reader_check_data(const struct image_file *file, uint64_t bytes, uint64_t most_pixels);
/* The functions from here on fail with a message that names the file. `expected` is the least size
 * in bytes that the complete file would have. */
int reader_truncated(const struct image_file *file, uint64_t expected);
int reader_corrupt(const struct image_file *file, const char *what);
int reader_unsupported(const struct image_file *file, const char *what);
int reader_no_memory(const struct image_file *file);

/* Returns memory for pixels, which may be the spare one, or NULL when out of memory. */
uint8_t *reader_allocate(const struct image_file *file, size_t bytes);

/* A reader decodes the file to width * height * channels bytes from memory_alloc, which the caller
 * releases even after an error. A reader whose library this build does not have is NULL, so that
 * image/decode.c refuses the file with the library's name. */
typedef int image_reader(struct image_file *file, uint8_t **pixels);
image_reader image_avif_decode, image_bmp_decode, image_gif_decode, image_heif_decode,
    image_jpeg_decode, image_jxl_decode, image_png_decode, image_pnm_decode, image_psd_decode,
    image_tga_decode, image_tiff_decode, image_webp_decode;
/* These functions tell whether a file names one of the format's brands. */
bool image_avif_recognise(const struct image_file *file);
bool image_heic_recognise(const struct image_file *file);
bool image_heif_recognise(const struct image_file *file);
/* Tells whether libheif has the decoder whose absence a message tells of. */
bool image_heif_has_decoder_now(const char *message);
/* TGA has no magic number: tells whether all fields of a header fit together. */
bool image_tga_recognise(const struct image_file *file);

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
