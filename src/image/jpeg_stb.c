/* SPDX-License-Identifier: MIT
 *
 * Decodes JPEG (ITU-T T.81) by stb_image in a build without libjpeg. The markers are checked up to
 * the last byte that the picture needs, because stb_image fills what a truncated file lacks with
 * grey and trusts counts that a hostile file chooses. Refused are arithmetic coding and CMYK
 * without Adobe's marker.
 */
#include "base/error.h"
#include "image/reader.h"
#include "image/stb.h"

#include <string.h>

/* A progressive JPEG has about 10 scans. A hostile file could have so many that decoding takes
 * long. */
#define MAX_SCANS 100

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

static int check_markers(struct image_file *file)
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
        else if (*marker == 0xe1 && length > 6 && !memcmp(body, "Exif\0", 6) && !file->exif) {
            file->exif = body + 6;
            file->exif_size = length - 6;
        }
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
    return reader_check_data(file, file->size, (uint64_t)file->size * 64 * 8 * 4);
}

int image_jpeg_decode(struct image_file *file, uint8_t **pixels)
{
    int error = check_markers(file);
    return error ? error : image_stb_decode(file, file->data, file->size, pixels);
}
