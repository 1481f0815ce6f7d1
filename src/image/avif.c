/* SPDX-License-Identifier: MIT
 *
 * Decodes AVIF with libavif, which Pillow uses too: the picture, or the first frame of a sequence.
 * The rotation and the mirroring that the file asks for are applied; its clean aperture is ignored
 * as in Pillow. Samples of more than 8 bits are reduced to 8.
 */
#include "base/memory.h"
#include "base/mute.h"
#include "image/reader.h"

#include <avif/avif.h>
#include <stdio.h>
#include <string.h>

#if AVIF_VERSION_MAJOR < 1
#define axis mode /* an older name of the same member */
#endif

static int fail_avif(const struct image_file *file, const avifDecoder *decoder, avifResult result)
{
    char text[AVIF_DIAGNOSTICS_ERROR_BUFFER_SIZE + 64];
    snprintf(text, sizeof(text), "%s%s%s", avifResultToString(result),
             *decoder->diag.error ? ": " : "", decoder->diag.error);
    if (result == AVIF_RESULT_OUT_OF_MEMORY)
        return reader_no_memory(file);
    if (result == AVIF_RESULT_TRUNCATED_DATA)
        return reader_truncated(file, (uint64_t)file->size + 1);
    if (result == AVIF_RESULT_NO_CODEC_AVAILABLE || result == AVIF_RESULT_NOT_IMPLEMENTED)
        return reader_unsupported(file, text);
    return reader_corrupt(file, text);
}

/* Copies the EXIF data, which go with the decoder. Without memory there are none. */
static void copy_exif(struct image_file *file, const avifImage *image)
{
    file->memory = image->exif.size ? memory_alloc(image->exif.size) : NULL;
    if (file->memory) {
        memcpy(file->memory, image->exif.data, image->exif.size);
        reader_set_exif(file, file->memory, image->exif.size);
    }
}

/* Turns the pixels and then mirrors them. Each combination is an orientation of EXIF. */
static int orient_pixels(struct image_file *file, const avifImage *image, uint8_t **pixels)
{
    static const uint8_t orientations[3][4] = {{1, 8, 3, 6}, {4, 5, 2, 7}, {2, 7, 4, 5}};
    const bool turned = image->transformFlags & AVIF_TRANSFORM_IROT;
    const bool mirrored = image->transformFlags & AVIF_TRANSFORM_IMIR;
    return reader_orient(file, pixels,
                         orientations[mirrored ? 1 + (image->imir.axis & 1) : 0]
                                     [turned ? image->irot.angle & 3 : 0]);
}

static int convert_pixels(struct image_file *file, const avifDecoder *decoder, uint8_t **pixels)
{
    avifRGBImage rgb;
    avifRGBImageSetDefaults(&rgb, decoder->image);
    file->channels = decoder->alphaPresent ? 4 : 3;
    rgb.depth = 8;
    rgb.format = decoder->alphaPresent ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    rgb.rowBytes = file->width * file->channels;
    rgb.pixels = *pixels = memory_alloc((size_t)rgb.rowBytes * file->height);
    if (!*pixels)
        return reader_no_memory(file);
    avifResult result = avifImageYUVToRGB(decoder->image, &rgb);
    if (result != AVIF_RESULT_OK)
        return fail_avif(file, decoder, result);
    return orient_pixels(file, decoder->image, pixels);
}

static int decode_first(struct image_file *file, avifDecoder *decoder, uint8_t **pixels)
{
    const avifImage *image;
    avifResult result = avifDecoderSetIOMemory(decoder, file->data, file->size);
    if (result == AVIF_RESULT_OK)
        result = avifDecoderParse(decoder);
    if (result != AVIF_RESULT_OK)
        return fail_avif(file, decoder, result);
    image = decoder->image;
    int error = reader_claim_size(file, image->width, image->height);
    if (error)
        return error;
    copy_exif(file, image);
    /* The container may claim a smaller picture than its coded frame is. */
    decoder->imageSizeLimit = (uint32_t)reader_most_pixels(file);
    mute_set(true);
    result = avifDecoderNextImage(decoder);
    mute_set(false);
    if (result != AVIF_RESULT_OK)
        return fail_avif(file, decoder, result);
    error = reader_claim_size(file, image->width, image->height);
    return error ? error : convert_pixels(file, decoder, pixels);
}

int image_avif_decode(struct image_file *file, uint8_t **pixels)
{
    avifDecoder *decoder = avifDecoderCreate();
    if (!decoder)
        return reader_no_memory(file);
    decoder->maxThreads = 1; /* Pictures are decoded on the library's own threads, one on each. */
    decoder->ignoreXMP = AVIF_TRUE;
    decoder->strictFlags &= ~(avifStrictFlags)(AVIF_STRICT_CLAP_VALID | AVIF_STRICT_PIXI_REQUIRED);
    int error = decode_first(file, decoder, pixels);
    avifDecoderDestroy(decoder);
    return error;
}
