/* SPDX-License-Identifier: MIT
 *
 * Recognises picture files by their content, has the reader of their format decode them, and turns
 * the pixels as their EXIF orientation says where the caller wants it. Files of formats without a
 * reader are refused by name.
 */
#include "image/decode.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"
#include "image/exif.h"
#include "image/orient.h"
#include "image/formats.h"
#include "image/reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- What a file is -------------------------------------------------------------------------- */

/* The bytes of a file by which it is recognised, of which a list of brands takes the most. */
enum { START_SIZE = 4096 };

/* The readers of libraries that this build does not have. */
#ifndef VKCLIP_WITH_WEBP
#define image_webp_decode NULL
#endif
#ifndef VKCLIP_WITH_TIFF
#define image_tiff_decode NULL
#endif
#ifndef VKCLIP_WITH_HEIF
#define image_heif_decode NULL
#endif
#ifndef VKCLIP_WITH_AVIF
#define image_avif_decode image_heif_decode /* with pixels that differ from Pillow's */
#endif
#ifndef VKCLIP_WITH_JXL
#define image_jxl_decode NULL
#endif

/* A file has the format of the first row whose magic bytes it has, or which recognises it. A row
 * without a reader refuses the file by name, and image/formats.c knows the library that this build
 * lacks, if there is one. TGA is last, because its files can only be told by a header that makes
 * sense. */
/* clang-format off */
static const struct format {
    const char *name;
    unsigned offset, size; /* position and number of the magic bytes */
    const char *magic;     /* NULL: `recognise` tells whether a file has this format */
    image_reader *decode;
    bool (*recognise)(const struct image_file *);
} formats[] = {
    {"PNG", 0, 8, "\x89PNG\r\n\x1a\n", image_png_decode, NULL},
    {"JPEG", 0, 3, "\xff\xd8\xff", image_jpeg_decode, NULL},
    {"WebP", 8, 4, "WEBP", image_webp_decode, NULL},
    {"TIFF", 0, 4, "II*\0", image_tiff_decode, NULL},
    {"TIFF", 0, 4, "MM\0*", image_tiff_decode, NULL},
    {"TIFF", 0, 4, "II+\0", image_tiff_decode, NULL},
    {"TIFF", 0, 4, "MM\0+", image_tiff_decode, NULL},
    {"AVIF", 0, 0, NULL, image_avif_decode, image_avif_recognise},
    {"HEIC", 0, 0, NULL, image_heif_decode, image_heic_recognise},
    {"HEIF", 0, 0, NULL, image_heif_decode, image_heif_recognise},
    {"JPEG XL", 0, 2, "\xff\x0a", image_jxl_decode, NULL},
    {"JPEG XL", 4, 4, "JXL ", image_jxl_decode, NULL},
    {"BMP", 0, 2, "BM", image_bmp_decode, NULL},
    {"GIF", 0, 6, "GIF89a", image_gif_decode, NULL},
    {"GIF", 0, 6, "GIF87a", image_gif_decode, NULL},
    {"PSD", 0, 4, "8BPS", image_psd_decode, NULL},
    {"PNM", 0, 2, "P1", image_pnm_decode, NULL},
    {"PNM", 0, 2, "P2", image_pnm_decode, NULL},
    {"PNM", 0, 2, "P3", image_pnm_decode, NULL},
    {"PNM", 0, 2, "P4", image_pnm_decode, NULL},
    {"PNM", 0, 2, "P5", image_pnm_decode, NULL},
    {"PNM", 0, 2, "P6", image_pnm_decode, NULL},
    {"PAM picture", 0, 2, "P7", NULL, NULL},
    {"video", 4, 4, "ftyp", NULL, NULL},
    {"video", 0, 4, "\x1a\x45\xdf\xa3", NULL, NULL},
    {"JPEG 2000 picture", 4, 4, "jP  ", NULL, NULL},
    {"OpenEXR picture", 0, 4, "v/1\x01", NULL, NULL},
    {"Radiance HDR picture", 0, 2, "#?", NULL, NULL},
    {"QOI picture", 0, 4, "qoif", NULL, NULL},
    {"DDS picture", 0, 4, "DDS ", NULL, NULL},
    {"icon", 0, 4, "\0\0\x01\0", NULL, NULL},
    {"PDF document", 0, 5, "%PDF-", NULL, NULL},
    {"gzip archive", 0, 2, "\x1f\x8b", NULL, NULL},
    {"ZIP archive", 0, 4, "PK\x03\x04", NULL, NULL},
    {"TGA", 0, 0, NULL, image_tga_decode, image_tga_recognise},
};
/* clang-format on */

static bool has_format(const struct image_file *file, const struct format *format)
{
    if (!format->magic)
        return format->recognise(file);
    return file->size >= format->offset + format->size &&
           !memcmp(file->data + format->offset, format->magic, format->size);
}

void image_formats(char *text, size_t capacity)
{
    const char *names[ARRAY_COUNT(formats)];
    size_t count = 0, length = 0;
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++)
        if (formats[i].decode && (!count || strcmp(names[count - 1], formats[i].name)))
            names[count++] = formats[i].name;
    for (size_t i = 0; i < count && length < capacity; i++) {
        const char *separator = i + 1 == count ? " or " : ", ";
        length += (size_t)snprintf(text + length, capacity - length, "%s%s", i ? separator : "",
                                   names[i]);
    }
}

/* Returns the library without which this build cannot read a format, or NULL if none would help. */
static const char *find_absent(const char *name)
{
    const struct vkclip_image_format *listed;
    for (size_t i = 0; (listed = image_format(i)); i++)
        if (!strcmp(listed->name, name) && !listed->readable)
            return listed->library;
    return NULL;
}

/* Names the kind of a text file by its first kilobyte: an SVG drawing, an HTML page, or any other
 * text. Returns NULL if the file is not text. */
static const char *name_text(const uint8_t *data, size_t size)
{
    char start[1025];
    size_t length = size < sizeof(start) - 1 ? size : sizeof(start) - 1;
    for (size_t i = 0; i < length; i++) {
        start[i] = (char)(data[i] >= 'A' && data[i] <= 'Z' ? data[i] + 'a' - 'A' : data[i]);
        if ((data[i] < ' ' && !strchr("\t\n\f\r", data[i])) || data[i] == 0 || data[i] == 127)
            return NULL;
    }
    start[length] = 0;
    if (strstr(start, "<svg"))
        return "SVG drawing";
    return strstr(start, "<html") ? "HTML page" : "text";
}

#define NOT_BUILT " picture, which this build of vkclip cannot read"
#define NO_LIBEXIF "this build of vkclip has no libexif"

bool image_has_library_now(const char *message)
{
    const struct vkclip_image_format *listed;
    for (size_t i = 0; (listed = image_format(i)); i++)
        if (listed->readable && string_begins_with(message, listed->name) &&
            string_begins_with(message + strlen(listed->name), NOT_BUILT))
            return true;
#ifdef VKCLIP_WITH_EXIF
    if (strstr(message, NO_LIBEXIF))
        return true;
#endif
#ifdef VKCLIP_WITH_HEIF
    return image_heif_has_decoder_now(message);
#else
    return false;
#endif
}

/* Refuses a file of a known format without a reader, or of an unknown one. */
static int refuse(const struct image_file *file, const char *what, const char *library)
{
    char supported[256];
    uint8_t start[4] = {0};
    image_formats(supported, sizeof(supported));
    if (!file->size)
        return error_fail(VKCLIP_EFORMAT, "%s: empty file, expected %s", file->name, supported);
    memcpy(start, file->data, file->size < 4 ? file->size : 4);
    if (library)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: %s" NOT_BUILT " because it was built without %s; expected %s",
                          file->name, what, library, supported);
    if (what)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %s, expected %s", file->name, what, supported);
    return error_fail(VKCLIP_EFORMAT,
                      "%s: unknown kind of file (it begins with %02x %02x %02x %02x), expected %s",
                      file->name, start[0], start[1], start[2], start[3], supported);
}

/* Finds the reader of a file, of which the first START_SIZE bytes are enough. */
static int find_reader(struct image_file *file, image_reader **decode)
{
    const struct format *format = formats;
    const struct format *end = formats + ARRAY_COUNT(formats);
    while (format < end && !has_format(file, format))
        format++;
    if (format == end)
        return refuse(file, name_text(file->data, file->size), NULL);
    file->format = format->name;
    *decode = format->decode;
    return *decode ? VKCLIP_OK : refuse(file, format->name, find_absent(format->name));
}

/* ---- What it says besides the pixels --------------------------------------------------------- */

/* Reads the facts of a decoded file. Without libexif its orientation is not known, so that a
 * picture that shall be oriented is refused if it might lie on its side. */
static int read_facts(const struct image_file *file, bool orient, struct image_facts *facts)
{
    *facts = (struct image_facts){.format = file->format,
                                  .width = file->full_width,
                                  .height = file->full_height,
                                  .orientation = 1,
                                  .taken = INT64_MIN,
                                  .latitude = NAN,
                                  .longitude = NAN};
#ifdef VKCLIP_WITH_EXIF
    (void)orient;
    if (file->exif)
        exif_read(file->exif, file->exif_size, facts);
#else
    if (file->exif && orient && !file->oriented)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: its EXIF orientation cannot be read, because " NO_LIBEXIF,
                          file->name);
#endif
    return VKCLIP_OK;
}

/* Makes the picture upright, and its facts those of the upright picture. */
static int orient_picture(const struct image_file *file, struct vkclip_image *image,
                          struct image_facts *facts)
{
    int error = image_orient(image, facts->orientation);
    if (error)
        return error_fail(error, "%s: %s", file->name, error_last());
    if (facts->orientation >= 5) {
        facts->width = file->full_height;
        facts->height = file->full_width;
    }
    return VKCLIP_OK;
}

int image_decode(const void *data, size_t size, const char *name,
                 const struct image_options *options, struct vkclip_image *image,
                 struct image_facts *facts)
{
    static const struct image_options defaults;
    options = options ? options : &defaults;
    struct image_file file = {.name = name,
                              .data = data,
                              .size = size,
                              .max_pixels = options->max_pixels,
                              .spare = options->memory ? &options->memory->pixels : NULL,
                              .least_side = options->least_side};
    struct image_facts found = {0};
    const size_t failures = memory_failures();
    uint8_t *pixels = NULL;
    image_reader *decode;
    int error = find_reader(&file, &decode);
    if (!error)
        error = decode(&file, &pixels);
    if (!error && (facts || (options->orient && !file.oriented)))
        error = read_facts(&file, options->orient, &found);
    /* Without memory libraries may call a file damaged, and EXIF data may be left out. */
    if (error != VKCLIP_EMEMORY && memory_failures() > failures)
        error = reader_no_memory(&file);
    memory_free(file.memory);
    *image = (struct vkclip_image){.pixels = pixels,
                                   .width = file.width,
                                   .height = file.height,
                                   .channels = file.channels,
                                   .indexed = file.indexed,
                                   .cmyk = file.cmyk};
    if (!error && options->orient && !file.oriented)
        error = orient_picture(&file, image, &found);
    if (error)
        image_free(image);
    else if (facts)
        *facts = found;
    return error;
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* A file may have 16 bytes for each pixel that may be decoded, which is the most that a TIFF
 * without compression has (8 samples of 16 bits), and 64 MiB for what else it holds. The limit
 * bounds the memory that a file takes, and refuses files of many pages, layers or frames that are
 * longer. */
enum { BYTES_PER_PIXEL = 16, BYTES_BESIDE = 64 << 20 };

static int check_length(const struct image_file *file, size_t length)
{
    const uint64_t pixels = reader_most_pixels(file);
    if (length <= BYTES_PER_PIXEL * pixels + BYTES_BESIDE)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: %s of %zu bytes, expected at most %llu for the %llu pixels that "
                      "`max_pixels` allows",
                      file->name, file->format, length,
                      (unsigned long long)(BYTES_PER_PIXEL * pixels + BYTES_BESIDE),
                      (unsigned long long)pixels);
}

/* Reads a file that is a picture by its first bytes, so that the memory of a long video with a
 * wrong name is not needed. */
static int read_picture(const struct image_part *part, uint64_t max_pixels, struct scratch *memory,
                        uint8_t **data)
{
    uint8_t start[START_SIZE];
    struct image_file file = {.name = part->name, .data = start, .max_pixels = max_pixels};
    image_reader *decode;
    file.size = part->size < START_SIZE ? part->size : START_SIZE;
    int error = part->read(part->user, part->offset, file.size, start);
    if (!error)
        error = find_reader(&file, &decode);
    if (!error)
        error = check_length(&file, part->size);
    if (error)
        return error;
    *data = scratch_reserve(memory, part->size);
    if (!*data)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu bytes", part->name,
                          part->size);
    memcpy(*data, start, file.size);
    return part->read(part->user, part->offset + file.size, part->size - file.size,
                      *data + file.size);
}

int image_load_part(const struct image_part *part, const struct image_options *options,
                    struct vkclip_image *image, struct image_facts *facts)
{
    struct image_memory own = {0}, *memory = options && options->memory ? options->memory : &own;
    uint8_t *data = NULL;
    *image = (struct vkclip_image){0};
    int error = read_picture(part, options ? options->max_pixels : 0, &memory->file, &data);
    if (!error)
        error = image_decode(data, part->size, part->name, options, image, facts);
    scratch_free(&own.file);
    return error;
}

/* Reads a file for struct image_part. */
static int read_file(void *user, uint64_t offset, size_t size, void *copy)
{
    return file_map_read(user, offset, size, copy);
}

int image_load(const char *path, const struct image_options *options, struct vkclip_image *image,
               struct image_facts *facts)
{
    struct file_map map;
    *image = (struct vkclip_image){0};
    int error = file_open(path, &map);
    if (error)
        return error;
    const struct image_part whole = {
        .read = read_file, .user = &map, .size = map.size, .name = path};
    error = image_load_part(&whole, options, image, facts);
    file_map_close(&map);
    return error;
}

void image_free(struct vkclip_image *image)
{
    memory_free((void *)image->pixels);
    *image = (struct vkclip_image){0};
}

void image_keep(struct vkclip_image *image, struct image_memory *memory)
{
    scratch_free(&memory->pixels);
    memory->pixels = (struct scratch){(void *)image->pixels,
                                      (size_t)image->width * image->height * image->channels};
    scratch_trim(&memory->pixels);
    scratch_trim(&memory->file);
    *image = (struct vkclip_image){0};
}
