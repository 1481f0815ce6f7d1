/* SPDX-License-Identifier: MIT
 *
 * Decodes picture files to pixels. Each file is recognised, and its structure is checked up to the
 * last byte that the picture needs, before stb_image decodes it, because stb_image fills what a
 * truncated file lacks with grey and trusts counts that a hostile file chooses. EXIF orientation is
 * ignored, as the reference ignores it. Files that are truncated, corrupt, of another format or too
 * large are refused.
 */
#include "image/decode.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "image/reader.h"
#include "image/stb.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* A progressive JPEG has about 10 scans. A hostile file could have so many that decoding takes
 * long.
 */
#define MAX_SCANS 100
#define SUPPORTED "PNG, JPEG, BMP, GIF, TGA, PSD or PNM"

/* Refuses compressed data that cannot hold the claimed pixels even at the format's best rate,
 * before memory for them is allocated. */
static int check_starved(const struct image_file *file, uint64_t bytes, uint64_t most_pixels)
{
    if (most_pixels >= (uint64_t)file->width * file->height)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EFORMAT,
                      "%s: corrupt %s: %llu bytes of data cannot hold %u x %u pixels", file->name,
                      file->format, (unsigned long long)bytes, file->width, file->height);
}

/* ---- PNG (ISO/IEC 15948) --------------------------------------------------------------------- */

static int check_png_header(struct image_file *file, const uint8_t *body)
{
    static const uint8_t channels[7] = {1, 0, 3, 3,
                                        2, 0, 4}; /* channels of each colour type, without tRNS */
    unsigned type = body[9];
    file->depth = body[8];
    file->channels = type < sizeof(channels) ? channels[type] : 0;
    if (!file->channels || file->depth > 16)
        return reader_corrupt(file, "no colour type of PNG in its header");
    file->indexed = type == 3 || (type == 0 && file->depth == 1);
    return reader_claim_size(file, be32(body), be32(body + 4));
}

static int check_png(struct image_file *file)
{
    uint64_t data = 0;
    for (size_t offset = 8;;) {
        if (file->size - offset < 12)
            return reader_truncated(file, (uint64_t)offset + 12);
        const uint8_t *chunk = file->data + offset;
        uint32_t length = be32(chunk), type = be32(chunk + 4);
        if (file->size - offset - 12 < length)
            return reader_truncated(file, (uint64_t)offset + 12 + length);
        /* Ancillary chunks (bit 5 of the first letter), such as tRNS, are not checked. */
        if (!(chunk[4] & 0x20) &&
            crc32(0, chunk + 4, (uInt)(length + 4)) != be32(chunk + 8 + length))
            return error_fail(VKCLIP_EFORMAT, "%s: corrupt PNG: checksum of chunk %.4s at byte %zu",
                              file->name, (const char *)chunk + 4, offset);
        bool header = type == 0x49484452; /* IHDR */
        if (header != (offset == 8) || (header && length != 13))
            return reader_corrupt(file, "its first chunk is not the only IHDR");
        if (header) {
            int error = check_png_header(file, chunk + 8);
            if (error)
                return error;
        } else if (type == 0x49444154) { /* IDAT */
            data += length;
        } else if (type == 0x504c5445) { /* PLTE */
            if (file->palette || length % 3 || length > 768)
                return reader_corrupt(file, "two palettes, or one of a wrong length");
            file->palette = offset;
            file->colors = length / 3;
        } else if (type == 0x49454e44) { /* IEND */
            break;
        } else if (!(chunk[4] & 0x20)) {
            return error_fail(VKCLIP_EFORMAT,
                              "%s: corrupt PNG: unknown critical chunk %.4s at byte %zu",
                              file->name, (const char *)chunk + 4, offset);
        }
        offset += (size_t)length + 12;
    }
    /* Deflate unpacks one byte to at most 1032 bytes, and a byte holds at most 8 pixels. */
    return check_starved(file, data, data * 1032 * 8);
}

/* Copies a file and extends its palette to all 2^depth colours, where the added colours are black
 * as in Pillow, because stb_image would show stack memory for indices beyond a short palette. The
 * checksum is not corrected, because stb_image does not read it. */
static uint8_t *fill_palette(const struct image_file *file, size_t *size)
{
    uint32_t length = 3u << file->depth;
    size_t body = file->palette + 8, old = file->colors * 3;
    *size = file->size - old + length;
    uint8_t *data = calloc(1, *size);
    if (data) {
        memcpy(data, file->data, body + old);
        data[file->palette + 2] = (uint8_t)(length >> 8);
        data[file->palette + 3] = (uint8_t)length;
        memcpy(data + body + length, file->data + body + old, file->size - body - old);
    }
    return data;
}

/* ---- JPEG (ITU-T T.81) ----------------------------------------------------------------------- */

struct jpeg {
    unsigned components, ids[4], scans;
    unsigned decoded; /* one bit per component whose DC coefficients a scan has */
    bool adobe;
};

static int check_frame(struct image_file *file, struct jpeg *jpeg, unsigned marker,
                       const uint8_t *body, size_t length)
{
    if (marker > 0xc2)
        return reader_unsupported(file, "lossless, hierarchical or arithmetic coding, expected "
                                        "Huffman-coded baseline or progressive");
    if (jpeg->components || length < 6 || body[5] < 1 || body[5] > 4 || length != 6 + 3u * body[5])
        return reader_corrupt(file, "two frame headers, or one of a wrong length");
    if (body[0] != 8)
        return reader_unsupported(file, "samples of 12 bits, expected 8");
    jpeg->components = body[5];
    for (unsigned i = 0; i < jpeg->components; i++)
        jpeg->ids[i] = body[6 + 3 * i];
    file->channels = jpeg->components < 3 ? 1 : 3;
    return reader_claim_size(file, be16(body + 3), be16(body + 1));
}

/* Checks the counts of Huffman tables, because stb_image would write past its tables if the counts
 * of one added up to more than 256. */
static int check_huffman(struct image_file *file, const uint8_t *body, size_t length)
{
    while (length) {
        unsigned sum = 0;
        for (unsigned i = 1; length >= 17 && i <= 16; i++)
            sum += body[i];
        if (!sum || sum > 256 || length - 17 < sum)
            return reader_corrupt(file, "a Huffman table of a wrong length");
        body += 17 + sum;
        length -= 17 + sum;
    }
    return VKCLIP_OK;
}

static int check_scan(struct image_file *file, struct jpeg *jpeg, const uint8_t *body,
                      size_t length)
{
    if (!jpeg->components || length < 1 || length != 4 + 2u * body[0])
        return reader_corrupt(file, "a scan of a wrong length or before the frame header");
    if (++jpeg->scans > MAX_SCANS)
        return reader_unsupported(file, "more than 100 scans");
    bool dc = body[1 + 2 * body[0]] == 0;
    for (unsigned i = 0; i < body[0]; i++)
        for (unsigned j = 0; j < jpeg->components; j++)
            if (dc && body[1 + 2 * i] == jpeg->ids[j])
                jpeg->decoded |= 1u << j;
    return VKCLIP_OK;
}

/* Finds the next marker, at `offset` or after it, that has a segment or ends the image. Returns
 * NULL if the file ends before such a marker. Entropy-coded data are skipped: in them 0xff is
 * followed by 0 or is part of a restart marker. */
static const uint8_t *find_marker(const struct image_file *file, size_t offset)
{
    const uint8_t *end = file->data + file->size, *next = file->data + offset;
    while ((next = memchr(next, 0xff, (size_t)(end - next)))) {
        while (next < end && *next == 0xff)
            next++;
        if (next == end)
            return NULL;
        if (*next > 1 && !(*next >= 0xd0 && *next <= 0xd7))
            return next;
    }
    return NULL;
}

static int check_jpeg(struct image_file *file)
{
    struct jpeg jpeg = {0};
    int error = VKCLIP_OK;
    const uint8_t *marker;
    for (size_t offset = 2; (marker = find_marker(file, offset)) && *marker != 0xd9;) {
        offset = (size_t)(marker - file->data) + 1;
        if (file->size - offset < 2 || file->size - offset < be16(file->data + offset))
            return reader_truncated(file, (uint64_t)file->size + 1);
        if (be16(file->data + offset) < 2)
            return reader_corrupt(file, "a segment of a length below 2");
        size_t length = be16(file->data + offset) - 2;
        const uint8_t *body = file->data + offset + 2;
        if (*marker == 0xc4)
            error = check_huffman(file, body, length);
        else if (*marker >= 0xc0 && *marker <= 0xcf && *marker != 0xc8 && *marker != 0xcc)
            error = check_frame(file, &jpeg, *marker, body, length);
        else if (*marker == 0xda)
            error = check_scan(file, &jpeg, body, length);
        else if (*marker == 0xee && length >= 12 && !memcmp(body, "Adobe", 5))
            jpeg.adobe = true;
        if (error)
            return error;
        offset += length + 2;
    }
    if (!marker)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: truncated JPEG: %zu bytes without the end-of-image marker",
                          file->name, file->size);
    if (!jpeg.components || jpeg.decoded != (1u << jpeg.components) - 1)
        return reader_corrupt(file, "it lacks the data of a component");
    if (jpeg.components == 4 && !jpeg.adobe) /* stb_image would take CMYK for YCbCr. */
        return reader_unsupported(file, "four components without Adobe's marker");
    /* A block of 64 samples takes at least one bit, and one sample may cover 4 pixels. */
    return check_starved(file, file->size, (uint64_t)file->size * 64 * 8 * 4);
}

/* ---- BMP ------------------------------------------------------------------------------------- */

/* Tells whether every index is within the palette, because stb_image would show stack memory for
 * other indices.
 */
static bool check_indices(const struct image_file *file, const uint8_t *row, size_t stride,
                          unsigned depth, unsigned colors)
{
    unsigned mask = (1u << depth) - 1;
    for (uint32_t y = 0; colors <= mask && y < file->height; y++, row += stride)
        for (uint64_t x = 0; x < file->width; x++) {
            uint64_t bit = x * depth;
            if ((row[bit / 8] >> (8 - depth - bit % 8) & mask) >= colors)
                return false;
        }
    return true;
}

/* Tells whether Pillow keeps the palette. A palette whose colours only repeat the indices makes a
 * grey picture, or a picture of single bits if it has two colours. */
static bool is_indexed(const uint8_t *palette, uint32_t colors, unsigned depth)
{
    bool grey = colors != 2 && colors <= 1u << depth;
    for (uint32_t i = 0; grey && i < colors; i++, palette += 4)
        grey = palette[0] == i && palette[1] == i && palette[2] == i;
    return !grey;
}

static int check_bmp(struct image_file *file)
{
    const uint8_t *data = file->data;
    if (file->size < 54)
        return reader_truncated(file, 54);
    uint32_t offset = le32(data + 10), header = le32(data + 14);
    if (header != 40 && header != 56 && header != 108 && header != 124)
        return reader_unsupported(file, "OS/2 or unknown header, expected Windows 3 to 5");
    uint32_t height = le32(data + 22), depth = le32(data + 26) >> 16, method = le32(data + 30);
    int error = reader_claim_size(file, le32(data + 18), height >> 31 ? 0 - height : height);
    if (error)
        return error;
    if (method == 3 && header == 56)
        return reader_unsupported(file, "colour masks in a version 3 header");
    if (method != 0 && (method != 3 || (depth != 16 && depth != 32)))
        return reader_unsupported(file, "compressed, expected plain pixels");
    if (depth != 1 && depth != 4 && depth != 8 && depth != 16 && depth != 24 && depth != 32)
        return reader_corrupt(file, "its header does not say 1, 4, 8, 16, 24 or 32 bits per pixel");
    uint64_t row = ((uint64_t)file->width * depth + 7) / 8, stride = (row + 3) / 4 * 4;
    uint64_t end = offset + stride * (file->height - 1) + row, least = 14 + (uint64_t)header;
    if (offset < least + (depth < 16 ? 4 : 0))
        return reader_corrupt(file, "pixels that begin before its header ends");
    if (end > file->size)
        return reader_truncated(file, end);
    file->channels = method == 3 && header >= 108 && le32(data + 66) ? 4 : 3;
    if (depth < 16) {
        uint32_t room = (offset - (uint32_t)least) / 4, used = le32(data + 46);
        uint32_t colors = used ? used : 1u << depth;
        if (!check_indices(file, data + offset, stride, depth, room))
            return reader_corrupt(file, "a pixel that refers to a colour beyond the palette");
        file->indexed = is_indexed(data + least, colors < room ? colors : room, depth);
    }
    return VKCLIP_OK;
}

/* ---- TGA ------------------------------------------------------------------------------------- */

/* Tells whether a file is a TGA. TGA has no magic number, so a file counts as TGA if all fields of
 * its header fit together. */
static bool is_tga(const struct image_file *file)
{
    const uint8_t *data = file->data;
    if (file->size < 18 || data[1] > 1 || data[17] & 0xc0)
        return false;
    unsigned kind = data[2] & 3, depth = data[16];
    if (data[2] & ~11u || (data[1] ? kind != 1 : kind != 2 && kind != 3))
        return false;
    if (data[1])
        return (depth == 8 || depth == 16) && le16(data + 5) &&
               (data[7] == 8 || data[7] == 15 || data[7] == 16 || data[7] == 24 || data[7] == 32);
    return depth == 8 || depth == 15 || depth == 16 || depth == 24 || depth == 32;
}

static int check_tga(struct image_file *file)
{
    const uint8_t *data = file->data;
    bool palette = data[1], packed = data[2] & 8, grey = (data[2] & 3) == 3;
    unsigned depth = data[16], bytes = (depth + 7) / 8;
    uint64_t offset =
        18 + data[0] + (palette ? (uint64_t)le16(data + 5) * ((data[7] + 7u) / 8) : 0);
    int error = reader_claim_size(file, le16(data + 12), le16(data + 14));
    if (error)
        return error;
    if (data[17] & 0x10)
        return reader_unsupported(file, "rows from right to left");
    if (palette && le16(data + 3))
        return reader_unsupported(file, "a palette that does not begin at colour 0");
    static const uint8_t channels[5] = {0, 1, 3, 3, 4};
    file->channels = channels[bytes];
    if (palette)
        file->channels = 3;
    else if (bytes == 2 && grey && depth == 16)
        file->channels = 2;
    file->indexed = palette;
    uint64_t pixels = (uint64_t)file->width * file->height;
    if (!packed)
        offset += pixels * bytes;
    for (uint64_t left = packed ? pixels : 0; left;) {
        if (offset >= file->size)
            return reader_truncated(file, offset + 1);
        unsigned run = (data[offset] & 127) + 1u;
        offset += 1 + (uint64_t)(data[offset] >> 7 ? 1 : run) * bytes;
        left -= run < left ? run : left;
    }
    return offset > file->size ? reader_truncated(file, offset) : VKCLIP_OK;
}

/* ---- What a file is -------------------------------------------------------------------------- */

static const struct {
    const char *format;
    unsigned offset, size; /* position and number of the magic bytes */
    const char *magic;
    int (*check)(struct image_file *);
    int (*decode)(struct image_file *, uint8_t **); /* NULL: stb_image */
} formats[] = {
    {"PNG", 0, 8, "\x89PNG\r\n\x1a\n", check_png, NULL},
    {"JPEG", 0, 3, "\xff\xd8\xff", check_jpeg, NULL},
    {"GIF", 0, 6, "GIF89a", NULL, image_gif_decode},
    {"GIF", 0, 6, "GIF87a", NULL, image_gif_decode},
    {"PSD", 0, 4, "8BPS", NULL, image_psd_decode},
    {"PNM", 0, 2, "P4", NULL, image_pnm_decode},
    {"PNM", 0, 2, "P5", NULL, image_pnm_decode},
    {"PNM", 0, 2, "P6", NULL, image_pnm_decode},
    {"BMP", 0, 2, "BM", check_bmp, NULL},
    /* The following formats have no function: they are recognised only to be refused by name. */
    {"plain-text PNM picture", 0, 2, "P1", NULL, NULL},
    {"plain-text PNM picture", 0, 2, "P2", NULL, NULL},
    {"plain-text PNM picture", 0, 2, "P3", NULL, NULL},
    {"PAM picture", 0, 2, "P7", NULL, NULL},
    {"WebP picture", 8, 4, "WEBP", NULL, NULL},
    {"TIFF picture", 0, 4, "II*\0", NULL, NULL},
    {"TIFF picture", 0, 4, "MM\0*", NULL, NULL},
    {"AVIF picture", 4, 8, "ftypavif", NULL, NULL},
    {"AVIF picture", 4, 8, "ftypavis", NULL, NULL},
    {"HEIC picture", 4, 7, "ftyphei", NULL, NULL},
    {"HEIC picture", 4, 7, "ftyphev", NULL, NULL},
    {"HEIF picture", 4, 8, "ftypmif1", NULL, NULL},
    {"video", 4, 4, "ftyp", NULL, NULL},
    {"video", 0, 4, "\x1a\x45\xdf\xa3", NULL, NULL},
    {"JPEG XL picture", 0, 2, "\xff\x0a", NULL, NULL},
    {"JPEG XL picture", 4, 4, "JXL ", NULL, NULL},
    {"JPEG 2000 picture", 4, 4, "jP  ", NULL, NULL},
    {"OpenEXR picture", 0, 4, "v/1\x01", NULL, NULL},
    {"Radiance HDR picture", 0, 2, "#?", NULL, NULL},
    {"QOI picture", 0, 4, "qoif", NULL, NULL},
    {"DDS picture", 0, 4, "DDS ", NULL, NULL},
    {"icon", 0, 4, "\0\0\x01\0", NULL, NULL},
    {"PDF document", 0, 5, "%PDF-", NULL, NULL},
    {"gzip archive", 0, 2, "\x1f\x8b", NULL, NULL},
    {"ZIP archive", 0, 4, "PK\x03\x04", NULL, NULL},
};

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

static int refuse(const struct image_file *file, const char *what)
{
    uint8_t start[4] = {0};
    memcpy(start, file->data, file->size < 4 ? file->size : 4);
    if (what)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %s, expected " SUPPORTED, file->name, what);
    return error_fail(
        VKCLIP_EFORMAT,
        "%s: unknown kind of file (it begins with %02x %02x %02x %02x), expected " SUPPORTED,
        file->name, start[0], start[1], start[2], start[3]);
}

static int decode_stb(struct image_file *file, int (*check)(struct image_file *), uint8_t **pixels)
{
    uint32_t width, height;
    const char *reason = "";
    int error = check(file);
    if (error)
        return error;
    /* The limit is the largest allocation that a decoder needs. It is 8 bytes per pixel, in whole
     * blocks of a JPEG, or 16 because a buffer that grows by doubling may be twice as large. To
     * this comes twice the compressed data, which the decoder of a PNG collects.
     */
    uint64_t limit = ((uint64_t)file->width + 31) * ((uint64_t)file->height + 31) * 16 +
                     (uint64_t)file->size * 2 + 65536;
    const uint8_t *data = file->data;
    size_t size = file->size;
    uint8_t *filled = NULL;
    if (file->palette && file->indexed && file->colors < 1u << file->depth)
        data = filled = fill_palette(file, &size);
    if (data)
        *pixels = image_stb_decode(data, size, limit < SIZE_MAX ? (size_t)limit : SIZE_MAX,
                                   file->channels, &width, &height, &reason);
    free(filled);
    if (!data || (!*pixels && !strcmp(reason, "outofmem")))
        return reader_no_memory(file);
    if (!*pixels)
        return reader_corrupt(file, reason);
    if (width != file->width || height != file->height)
        return reader_corrupt(file, "two headers that differ in size");
    return VKCLIP_OK;
}

static int decode_format(struct image_file *file, uint8_t **pixels)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(formats) &&
           (file->size < formats[i].offset + formats[i].size ||
            memcmp(file->data + formats[i].offset, formats[i].magic, formats[i].size)))
        i++;
    if (i < ARRAY_COUNT(formats)) {
        file->format = formats[i].format;
        if (formats[i].decode)
            return formats[i].decode(file, pixels);
        if (formats[i].check)
            return decode_stb(file, formats[i].check, pixels);
        return refuse(file, file->format);
    }
    if (!is_tga(file))
        return refuse(file, name_text(file->data, file->size));
    file->format = "TGA";
    return decode_stb(file, check_tga, pixels);
}

int image_decode(const void *data, size_t size, const char *name, uint64_t max_pixels,
                 struct vkclip_image *image)
{
    struct image_file file = {.name = name, .data = data, .size = size, .max_pixels = max_pixels};
    uint8_t *pixels = NULL;
    *image = (struct vkclip_image){0};
    if (!size)
        return error_fail(VKCLIP_EFORMAT, "%s: empty file, expected " SUPPORTED, name);
    int error = decode_format(&file, &pixels);
    if (error) {
        free(pixels);
        return error;
    }
    *image = (struct vkclip_image){.pixels = pixels,
                                   .width = file.width,
                                   .height = file.height,
                                   .channels = file.channels,
                                   .indexed = file.indexed};
    return VKCLIP_OK;
}

int image_load(const char *path, uint64_t max_pixels, struct vkclip_image *image)
{
    struct file_map map;
    *image = (struct vkclip_image){0};
    int error = file_map_open(path, &map);
    if (!error)
        error = image_decode(map.data, map.size, path, max_pixels, image);
    file_map_close(&map); /* Where the mapping failed, `map` is zero. */
    return error;
}

void image_free(struct vkclip_image *image)
{
    free((void *)image->pixels);
    *image = (struct vkclip_image){0};
}
