/* SPDX-License-Identifier: MIT
 *
 * Decodes JPEG (ITU-T T.81) by libjpeg-turbo with the settings that Pillow leaves as they are, so
 * that the pixels are Pillow's: accurate integer DCT, fancy upsampling, smoothing where scans are
 * missing. As in Pillow, warnings about damaged data are ignored, and a file that ends before its
 * end-of-image marker is refused. Refused are also samples of other than 8 bits, two components,
 * and files whose scans would take too long.
 */
#include "base/error.h"
#include "image/reader.h"

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/* A progressive JPEG has about 10 scans, each of which visits every block. A hostile file could
 * have so many that decoding takes long: with these limits at most about a minute. */
#define MAX_SCANS 100
#define MAX_SCANNED_PIXELS ((uint64_t)1 << 32)

/* libjpeg reports errors by a function that must not return. */
struct decoder {
    struct jpeg_decompress_struct jpeg; /* has pointers to the four members below */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    struct image_file *file;
    jmp_buf failed;
    int error;
};

static struct decoder *find_decoder(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

_Noreturn static void fail(struct decoder *decoder, int error)
{
    decoder->error = error;
    longjmp(decoder->failed, 1);
}

/* ---- What libjpeg calls ---------------------------------------------------------------------- */

static int name_error(struct decoder *decoder)
{
    const struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    const int code = decoder->errors.msg_code;
    char message[JMSG_LENGTH_MAX];
    int error = VKCLIP_OK;
    decoder->errors.format_message((j_common_ptr)&decoder->jpeg, message);
    if (code == JERR_OUT_OF_MEMORY)
        return reader_no_memory(decoder->file);
    if (code == JERR_EMPTY_IMAGE || code == JERR_IMAGE_TOO_BIG)
        error = reader_claim_size(decoder->file, jpeg->image_width, jpeg->image_height);
    if (error)
        return error;
    if (code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED || code == JERR_IMAGE_TOO_BIG)
        return reader_unsupported(decoder->file, message);
    return reader_corrupt(decoder->file, message);
}

static void exit_on_error(j_common_ptr jpeg)
{
    struct decoder *decoder = find_decoder(jpeg);
    fail(decoder, name_error(decoder));
}

static void print_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void do_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

/* All data are there from the beginning, so that libjpeg asks for more only at the file's end. */
static boolean refuse_end(j_decompress_ptr jpeg)
{
    struct decoder *decoder = find_decoder((j_common_ptr)jpeg);
    fail(decoder,
         error_fail(VKCLIP_EFORMAT, "%s: truncated JPEG: %zu bytes without the end-of-image marker",
                    decoder->file->name, decoder->file->size));
}

static void skip_data(j_decompress_ptr jpeg, long count)
{
    struct jpeg_source_mgr *source = jpeg->src;
    if (count > 0 && (size_t)count > source->bytes_in_buffer)
        refuse_end(jpeg);
    if (count > 0) {
        source->next_input_byte += count;
        source->bytes_in_buffer -= (size_t)count;
    }
}

static void limit_scans(j_common_ptr jpeg)
{
    struct decoder *decoder = find_decoder(jpeg);
    const uint64_t pixels = (uint64_t)decoder->jpeg.image_width * decoder->jpeg.image_height;
    const uint64_t scans = (uint64_t)decoder->jpeg.input_scan_number;
    if (scans > MAX_SCANS || scans * pixels > MAX_SCANNED_PIXELS)
        fail(decoder, reader_unsupported(decoder->file, "more than 100 scans, or too many for its "
                                                        "size"));
}

/* Finds the EXIF data, which stay where they are in the file. */
static boolean read_app1(j_decompress_ptr jpeg)
{
    static const uint8_t name[6] = "Exif\0";
    const struct jpeg_source_mgr *source = jpeg->src;
    struct image_file *file = find_decoder((j_common_ptr)jpeg)->file;
    if (source->bytes_in_buffer < 2)
        refuse_end(jpeg);
    const uint8_t *segment = source->next_input_byte;
    const size_t length = be16(segment), header = 2 + sizeof(name);
    if (length < 2)
        ERREXIT(jpeg, JERR_BAD_LENGTH);
    if (!file->exif && length > header && length <= source->bytes_in_buffer &&
        !memcmp(segment + 2, name, sizeof(name))) {
        file->exif = segment + header;
        file->exif_size = length - header;
    }
    skip_data(jpeg, (long)length);
    return TRUE;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

static void open_decoder(struct decoder *decoder)
{
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    jpeg->err = jpeg_std_error(&decoder->errors);
    decoder->errors.error_exit = exit_on_error;
    decoder->errors.output_message = print_nothing;
    jpeg->client_data = decoder;
    jpeg_create_decompress(jpeg);
    decoder->source = (struct jpeg_source_mgr){.next_input_byte = decoder->file->data,
                                               .bytes_in_buffer = decoder->file->size,
                                               .init_source = do_nothing,
                                               .fill_input_buffer = refuse_end,
                                               .skip_input_data = skip_data,
                                               .resync_to_restart = jpeg_resync_to_restart,
                                               .term_source = do_nothing};
    jpeg->src = &decoder->source;
    decoder->progress.progress_monitor = limit_scans;
    jpeg->progress = &decoder->progress;
    jpeg_set_marker_processor(jpeg, JPEG_APP0 + 1, read_app1);
}

/* Chooses the colours as Pillow does, which leaves the file's colour space to libjpeg's guess. */
static int choose_colours(struct jpeg_decompress_struct *jpeg, struct image_file *file)
{
    if (jpeg->data_precision != 8)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: this kind of %s is not supported: samples of %d bits", file->name,
                          file->format, jpeg->data_precision);
    if (jpeg->num_components == 1)
        jpeg->out_color_space = JCS_GRAYSCALE;
    else if (jpeg->num_components == 3)
        jpeg->out_color_space = JCS_RGB;
    else if (jpeg->num_components == 4)
        jpeg->out_color_space = JCS_CMYK;
    else
        return reader_unsupported(file, "expected 1, 3 or 4 components");
    file->channels = (uint32_t)jpeg->num_components;
    file->cmyk = file->channels == 4;
    return VKCLIP_OK;
}

/* The last pixel of a side that a scale does not divide stands for less than the others, so that
 * resizing moves what is seen. A thousandth of the side is a sixteenth of a pixel where a model
 * takes 64, and a quarter where it takes 224. */
static bool keeps_place(uint32_t side, unsigned scale)
{
    return 1000 * ((scale - side % scale) % scale) <= side;
}

/* Chooses a scale of which the DCT computes fewer samples. libjpeg-turbo has vector code for these
 * three scales. */
static void choose_scale(struct jpeg_decompress_struct *jpeg, const struct image_file *file)
{
    const uint32_t shorter = file->width < file->height ? file->width : file->height;
    jpeg->scale_num = jpeg->scale_denom = 1;
    for (unsigned scale = 2; scale <= 8 && shorter / scale >= file->least_side; scale *= 2)
        if (file->least_side && keeps_place(file->width, scale) && keeps_place(file->height, scale))
            jpeg->scale_denom = scale;
}

static int read_header(struct jpeg_decompress_struct *jpeg, struct image_file *file)
{
    jpeg_read_header(jpeg, TRUE);
    int error = reader_claim_size(file, jpeg->image_width, jpeg->image_height);
    if (!error)
        error = choose_colours(jpeg, file);
    /* By Huffman's codes a block of 64 samples takes at least one bit, and one sample may cover 4
     * pixels. Arithmetic coding has no such bound. */
    if (!error && !jpeg->arith_code)
        error = reader_check_data(file, file->size, (uint64_t)file->size * 64 * 8 * 4);
    if (error)
        return error;
    /* The coefficients of a progressive file take at most 8 bytes per pixel in whole blocks. */
    const uint64_t most = ((uint64_t)file->width + 64) * ((uint64_t)file->height + 64) * 8;
    jpeg->mem->max_memory_to_use = most < LONG_MAX / 2 ? (long)most + (1 << 20) : LONG_MAX;
    choose_scale(jpeg, file);
    jpeg_start_decompress(jpeg);
    file->width = jpeg->output_width;
    file->height = jpeg->output_height;
    return VKCLIP_OK;
}

static int read_pixels(struct jpeg_decompress_struct *jpeg, const struct image_file *file,
                       uint8_t **pixels)
{
    const size_t row_size = (size_t)file->width * file->channels;
    *pixels = reader_allocate(file, row_size * file->height);
    if (!*pixels)
        return reader_no_memory(file);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = *pixels + row_size * jpeg->output_scanline;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
    /* Pillow takes every CMYK file for Adobe's, which stores how much ink is missing. */
    for (size_t i = 0; file->cmyk && i < row_size * file->height; i++)
        (*pixels)[i] = 255 - (*pixels)[i];
    return VKCLIP_OK;
}

static int decode(struct decoder *decoder, uint8_t **pixels)
{
    if (setjmp(decoder->failed))
        return decoder->error;
    open_decoder(decoder);
    int error = read_header(&decoder->jpeg, decoder->file);
    return error ? error : read_pixels(&decoder->jpeg, decoder->file, pixels);
}

int image_jpeg_decode(struct image_file *file, uint8_t **pixels)
{
    struct decoder decoder = {.file = file};
    int error = decode(&decoder, pixels);
    jpeg_destroy_decompress(&decoder.jpeg);
    return error;
}
