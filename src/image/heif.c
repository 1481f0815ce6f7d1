/* SPDX-License-Identifier: MIT
 *
 * Decodes the primary picture of a HEIF file with libheif: HEIC, and AVIF in builds without
 * libavif. libheif applies the rotation, the mirroring and the cropping that the file asks for
 * itself. Samples of more than 8 bits are reduced to 8. Sequences without a still picture are
 * refused.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/array.h"
#include "base/error.h"
#include "base/mute.h"
#include "image/reader.h"

#include <libheif/heif.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Registers the decoders that are installed as plugins. They stay registered, because searching
 * their folder again for every picture would take longer than decoding a small one. */
static void register_decoders(void)
{
    heif_init(NULL);
}

static const struct decoder {
    const char *format;
    enum heif_compression_format compression;
    const char *codec, *package;
} decoders[] = {
    {"HEIC", heif_compression_HEVC, "HEVC", "libheif-plugin-libde265"},
    {"AVIF", heif_compression_AV1, "AV1", "libheif-plugin-dav1d"},
};

/* Returns the decoder that a file needs and libheif does not have, or NULL if it has it. A file
 * whose brand is only HEIF may need any. */
static const struct decoder *find_absent(const struct image_file *file)
{
    for (size_t i = 0; i < ARRAY_COUNT(decoders); i++)
        if ((!strcmp(file->format, decoders[i].format) || !strcmp(file->format, "HEIF")) &&
            !heif_have_decoder_for_format(decoders[i].compression))
            return &decoders[i];
    return NULL;
}

/* Fails with libheif's message, or with the name of the package that the decoder is in. */
static int fail_heif(const struct image_file *file, struct heif_error failure)
{
    const struct decoder *absent = NULL;
    if (failure.subcode == heif_suberror_Unsupported_codec ||
        failure.code == heif_error_Plugin_loading_error)
        absent = find_absent(file);
    if (absent)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: %s picture, but libheif has no decoder of %s; install the package "
                          "%s",
                          file->name, file->format, absent->codec, absent->package);
    if (failure.subcode == heif_suberror_Security_limit_exceeded)
        return reader_unsupported(file, failure.message);
    if (failure.code == heif_error_Memory_allocation_error)
        return reader_no_memory(file);
    if (failure.code == heif_error_Unsupported_feature ||
        failure.code == heif_error_Unsupported_filetype)
        return reader_unsupported(file, failure.message);
    return reader_corrupt(file, failure.message);
}

/* Copies the block of EXIF. A picture without a readable block has none. */
static void copy_exif(struct image_file *file, const struct heif_image_handle *handle)
{
    heif_item_id id;
    if (!heif_image_handle_get_list_of_metadata_block_IDs(handle, "Exif", &id, 1))
        return;
    size_t size = heif_image_handle_get_metadata_size(handle, id);
    uint8_t *block = size > 4 && size <= file->size ? malloc(size) : NULL;
    if (!block)
        return;
    if (heif_image_handle_get_metadata(handle, id, block).code == heif_error_Ok &&
        reader_set_exif_block(file, block, size))
        file->memory = block;
    else
        free(block);
}

/* Copies the rows, whose colours become independent of the alpha that they may be multiplied by. */
static int copy_pixels(struct image_file *file, const struct heif_image *image, bool multiplied,
                       uint8_t **pixels)
{
    int stride;
    const uint8_t *plane = heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
    int width = heif_image_get_width(image, heif_channel_interleaved);
    int height = heif_image_get_height(image, heif_channel_interleaved);
    if (!plane || width < 0 || height < 0)
        return reader_corrupt(file, "it has no pixels");
    int error = reader_claim_size(file, (uint64_t)width, (uint64_t)height);
    if (error)
        return error;
    size_t row = (size_t)file->width * file->channels;
    *pixels = malloc(row * file->height);
    if (!*pixels)
        return reader_no_memory(file);
    for (size_t y = 0; y < file->height; y++)
        memcpy(*pixels + y * row, plane + y * (size_t)stride, row);
    if (multiplied)
        reader_divide_alpha(file, *pixels);
    return VKCLIP_OK;
}

static int decode_handle(struct image_file *file, const struct heif_image_handle *handle,
                         uint8_t **pixels)
{
    int width = heif_image_handle_get_width(handle), height = heif_image_handle_get_height(handle);
    int error =
        reader_claim_size(file, width > 0 ? (uint64_t)width : 0, height > 0 ? (uint64_t)height : 0);
    if (error)
        return error;
    copy_exif(file, handle);
    file->oriented = true;
    bool alpha = heif_image_handle_has_alpha_channel(handle);
    file->channels = alpha ? 4 : 3;
    struct heif_decoding_options *options = heif_decoding_options_alloc();
    if (!options)
        return reader_no_memory(file);
    options->convert_hdr_to_8bit = 1;
    options->strict_decoding = 1;
    struct heif_image *image = NULL;
    mute_set(true);
    struct heif_error failure = heif_decode_image(
        handle, &image, heif_colorspace_RGB,
        alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, options);
    mute_set(false);
    heif_decoding_options_free(options);
    if (failure.code != heif_error_Ok)
        return fail_heif(file, failure);
    error =
        copy_pixels(file, image, alpha && heif_image_handle_is_premultiplied_alpha(handle), pixels);
    heif_image_release(image);
    return error;
}

static int decode_primary(struct image_file *file, struct heif_context *context, uint8_t **pixels)
{
    struct heif_image_handle *handle = NULL;
    /* Pictures are decoded on the library's own threads, one on each. */
    heif_context_set_max_decoding_threads(context, 0);
    struct heif_error failure =
        heif_context_read_from_memory_without_copy(context, file->data, file->size, NULL);
    if (failure.code == heif_error_Ok)
        failure = heif_context_get_primary_image_handle(context, &handle);
    if (failure.code != heif_error_Ok)
        return fail_heif(file, failure);
    int error = decode_handle(file, handle, pixels);
    heif_image_handle_release(handle);
    return error;
}

int image_heif_decode(struct image_file *file, uint8_t **pixels)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_decoders);
    struct heif_context *context = heif_context_alloc();
    if (!context)
        return reader_no_memory(file);
    int error = decode_primary(file, context, pixels);
    heif_context_free(context);
    return error;
}
