/* SPDX-License-Identifier: MIT
 *
 * Decodes the primary picture of a HEIF file with libheif: HEIC, and AVIF in builds without
 * libavif. libheif applies the rotation, the mirroring and the cropping that the file asks for
 * itself. Samples of more than 8 bits are reduced to 8. Sequences without a still picture are
 * refused.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/mute.h"
#include "base/string.h"
#include "base/thread.h"
#include "image/reader.h"

#include <libheif/heif.h>
#include <math.h>
#include <string.h>

/* Registers the decoders that are installed as plugins. They stay registered, because searching
 * their folder again for every picture would take longer than decoding a small one. */
static struct once once = ONCE_INIT;

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

#define NO_DECODER "libheif has no decoder of "

bool image_heif_has_decoder_now(const char *message)
{
    const char *codec = strstr(message, NO_DECODER);
    once_run(&once, register_decoders);
    for (size_t i = 0; codec && i < ARRAY_COUNT(decoders); i++)
        if (string_begins_with(codec + strlen(NO_DECODER), decoders[i].codec))
            return heif_have_decoder_for_format(decoders[i].compression);
    return false;
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
                          "%s: %s picture, but " NO_DECODER "%s; install the package %s",
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

/* ---- The size of coded frames ---------------------------------------------------------------- */

/* These are the bits of a unit of HEVC, in which a 3 after two zero bytes is no data. */
struct bits {
    const uint8_t *next, *end;
    uint32_t byte, left; /* the current byte, and how many of its bits are not read */
    unsigned zeros;      /* zero bytes before the next one */
};

/* Returns 0 beyond the end. */
static uint32_t read_bit(struct bits *bits)
{
    if (!bits->left) {
        if (bits->zeros >= 2 && bits->next < bits->end && *bits->next == 3) {
            bits->next++;
            bits->zeros = 0;
        }
        bits->byte = bits->next < bits->end ? *bits->next++ : 0;
        bits->zeros = bits->byte ? 0 : bits->zeros + 1;
        bits->left = 8;
    }
    return bits->byte >> --bits->left & 1;
}

static uint32_t read_bits(struct bits *bits, unsigned count)
{
    uint32_t value = 0;
    while (count--)
        value = value << 1 | read_bit(bits);
    return value;
}

static void skip_bits(struct bits *bits, unsigned count)
{
    while (count--)
        read_bit(bits);
}

/* Reads an Exp-Golomb number, which begins with as many zeros as bits follow its first one. */
static uint64_t read_golomb(struct bits *bits)
{
    unsigned count = 0;
    while (count < 32 && !read_bit(bits))
        count++;
    return ((uint64_t)1 << count) - 1 + read_bits(bits, count);
}

/* Reads the size of the frames from a sequence parameter set of HEVC, whose header of two bytes has
 * been read. Returns false if it is none. */
static bool read_frame_size(struct bits *bits, uint64_t *width, uint64_t *height)
{
    enum { PROFILE = 88, LEVEL = 8 };
    unsigned skipped = 0; /* bits of lower layers */
    skip_bits(bits, 4);   /* the number of its video parameter set */
    const unsigned layers = read_bits(bits, 3);
    skip_bits(bits, 1 + PROFILE + LEVEL);
    for (unsigned i = 0; i < layers; i++) {
        skipped += read_bit(bits) * PROFILE;
        skipped += read_bit(bits) * LEVEL;
    }
    skip_bits(bits, layers ? 2 * (8 - layers) + skipped : 0);
    const uint64_t number = read_golomb(bits), colours = read_golomb(bits);
    if (colours == 3)
        read_bit(bits);
    *width = read_golomb(bits);
    *height = read_golomb(bits);
    return number < 16 && colours < 4 && *width && *height && bits->next < bits->end;
}

/* Refuses frames of more than the allowed pixels. A frame is up to 63 pixels wider and higher than
 * what is shown of it. */
static int check_frame(const struct image_file *file, const uint8_t *unit, const uint8_t *end)
{
    struct bits bits = {.next = unit + 2, .end = end};
    uint64_t width, height;
    if (!read_frame_size(&bits, &width, &height))
        return VKCLIP_OK;
    const uint64_t shown_width = width > 63 ? width - 63 : 1;
    const uint64_t shown_height = height > 63 ? height - 63 : 1;
    if (shown_width <= reader_most_pixels(file) / shown_height)
        return VKCLIP_OK;
    struct image_file frame = *file;
    return reader_claim_size(&frame, width, height);
}

/* Checks the parameter sets between two places, where each unit follows its length. libde265
 * ignores the highest bit of a unit, which must be 0. */
static int check_units(const struct image_file *file, const uint8_t *begin, const uint8_t *end,
                       unsigned length_size)
{
    enum { PARAMETERS = 33 << 1 }; /* the first byte of a sequence parameter set */
    int error = VKCLIP_OK;
    for (const uint8_t *next = begin + length_size; !error && end - next > 2; next++) {
        if ((*next & 0x7f) != PARAMETERS || next[1] >> 3)
            continue;
        const uint64_t length =
            length_size == 2 ? be16(next - length_size) : be32(next - length_size);
        if (length > 2 && length <= (uint64_t)(end - next))
            error = check_frame(file, next, next + length);
    }
    return error;
}

/* Refuses a file with a coded frame that is larger than what may be decoded, because a container
 * may claim a smaller picture, and libde265 decodes a frame before anybody compares the two.
 * Parameter sets are in the boxes hvcC and may be among the data of a picture too. */
static int check_frames(const struct image_file *file)
{
    const uint8_t *end = file->data + file->size, *next = file->data + 4;
    int error = check_units(file, file->data, end, 4);
    while (!error && next + 4 < end && (next = memchr(next, 'h', (size_t)(end - next) - 3))) {
        uint64_t size = be32(next - 4);
        if (size == 1 && end - next >= 12) /* It follows the name as 64 bits. */
            size = be32(next + 8);
        if (!memcmp(next, "hvcC", 4) && size >= 8 && size - 4 <= (uint64_t)(end - next))
            error = check_units(file, next + 4, next + size - 4, 2);
        next++;
    }
    return error;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

/* Copies the block of EXIF. A picture without a readable block has none. */
static void copy_exif(struct image_file *file, const struct heif_image_handle *handle)
{
    heif_item_id id;
    if (!heif_image_handle_get_list_of_metadata_block_IDs(handle, "Exif", &id, 1))
        return;
    size_t size = heif_image_handle_get_metadata_size(handle, id);
    uint8_t *block = size > 4 && size <= file->size ? memory_alloc(size) : NULL;
    if (!block)
        return;
    if (heif_image_handle_get_metadata(handle, id, block).code == heif_error_Ok &&
        reader_set_exif_block(file, block, size))
        file->memory = block;
    else
        memory_free(block);
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
    *pixels = memory_alloc(row * file->height);
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
    error = check_frames(file);
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
    /* The limit, of a side of a square, holds for the canvas that a grid or an overlay asks for. */
    heif_context_set_maximum_image_size_limit(context,
                                              (int)ceil(sqrt((double)reader_most_pixels(file))));
    int error = decode_handle(file, handle, pixels);
    heif_image_handle_release(handle);
    return error;
}

int image_heif_decode(struct image_file *file, uint8_t **pixels)
{
    once_run(&once, register_decoders);
    struct heif_context *context = heif_context_alloc();
    if (!context)
        return reader_no_memory(file);
    int error = decode_primary(file, context, pixels);
    heif_context_free(context);
    return error;
}
