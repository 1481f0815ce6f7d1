/* SPDX-License-Identifier: MIT
 *
 * Decodes PNG (ISO/IEC 15948) by libspng, or by stb_image in a build without it. Its chunks are
 * checked first, and the decoder gets only those that hold pixels, so that hostile or damaged
 * metadata do nothing. As in Pillow, a file may end as soon as all pixels are there, the checksum
 * of the unpacked data is not used, and indices beyond the palette are black. Transparency by
 * colour (tRNS) is ignored, as it is when Pillow converts to RGB.
 */
#include "base/error.h"
#include "base/memory.h"
#include "image/reader.h"

#include <string.h>
#include <zlib.h>

#ifdef VKCLIP_WITH_PNG
#include <spng.h>
#else
#include "image/stb.h"
#endif

#define SIGNATURE 8     /* bytes before the first chunk */
#define CHUNK 12        /* bytes of a chunk without its body: length, type, checksum */
#define IHDR 0x49484452 /* the types of chunks, as 32-bit numbers */
#define PLTE 0x504c5445
#define IDAT 0x49444154
#define IEND 0x49454e44
#define EXIF 0x65584966

struct chunks {
    const uint8_t *header, *palette; /* bodies; NULL: there is none */
    uint32_t palette_size;
    uint64_t data_size; /* of all chunks IDAT together */
    uint64_t missing;   /* size that the file would have at least; 0: it is complete */
    unsigned depth;     /* bits of a sample */
};

/* ---- Chunks ---------------------------------------------------------------------------------- */

static int read_header(struct image_file *file, const uint8_t *body, struct chunks *found)
{
    /* channels of each colour type, without tRNS */
    static const uint8_t channels[7] = {1, 0, 3, 3, 2, 0, 4};
    const unsigned depth = body[8], type = body[9];
    file->channels = type < sizeof(channels) ? channels[type] : 0;
    if (!file->channels)
        return reader_corrupt(file, "no colour type of PNG in its header");
    if ((depth != 1 && depth != 2 && depth != 4 && depth != 8 && depth != 16) ||
        (type == 3 && depth == 16) || (type != 0 && type != 3 && depth < 8))
        return reader_corrupt(file, "a bit depth that its colour type does not have");
    if (body[10] || body[11] || body[12] > 1)
        return reader_corrupt(file, "a bad compression, filter or interlace method");
    found->header = body;
    found->depth = depth;
    file->indexed = type == 3 || (type == 0 && depth == 1);
    return reader_claim_size(file, be32(body), be32(body + 4));
}

/* Handles the chunk at `offset`, which is within the file. Sets *end at the last chunk. */
static int read_chunk(struct image_file *file, size_t offset, struct chunks *found, bool *end)
{
    const uint8_t *chunk = file->data + offset, *body = chunk + 8;
    const uint32_t length = be32(chunk), type = be32(chunk + 4);
    const bool ancillary = chunk[4] & 0x20; /* bit 5 of the first letter */
    if (!ancillary && crc32(0, chunk + 4, (uInt)(length + 4)) != be32(body + length))
        return error_fail(VKCLIP_EFORMAT, "%s: corrupt PNG: checksum of chunk %.4s at byte %zu",
                          file->name, (const char *)chunk + 4, offset);
    if ((type == IHDR) != (offset == SIGNATURE) || (type == IHDR && length != 13))
        return reader_corrupt(file, "its first chunk is not the only IHDR");
    if (type == IHDR)
        return read_header(file, body, found);
    if (type == PLTE && (found->palette || length % 3 || length > 768))
        return reader_corrupt(file, "two palettes, or one of a wrong length");
    if (type == PLTE) {
        found->palette = body;
        found->palette_size = length;
    } else if (type == IDAT) {
        found->data_size += length;
    } else if (type == EXIF && length) {
        file->exif = body;
        file->exif_size = length;
    } else if (!ancillary && type != IEND) {
        return error_fail(VKCLIP_EFORMAT,
                          "%s: corrupt PNG: unknown critical chunk %.4s at byte %zu", file->name,
                          (const char *)chunk + 4, offset);
    }
    *end = type == IEND;
    return VKCLIP_OK;
}

/* Reads all chunks. Of a file that is cut off in its pixels or behind them, what is there counts,
 * because the missing part may only be a checksum. */
static int read_chunks(struct image_file *file, struct chunks *found)
{
    bool end = false;
    for (size_t offset = SIGNATURE; !end && !found->missing;) {
        const size_t left = file->size - offset;
        const uint32_t length = left >= 8 ? be32(file->data + offset) : 0;
        if (left < CHUNK || left - CHUNK < length) {
            found->missing = (uint64_t)offset + CHUNK + length;
            if (left > 8 && be32(file->data + offset + 4) == IDAT)
                found->data_size += left - 8 < length ? left - 8 : length;
        } else {
            int error = read_chunk(file, offset, found, &end);
            if (error)
                return error;
            offset += (size_t)length + CHUNK;
        }
    }
    if (found->missing && (!found->header || !found->data_size))
        return reader_truncated(file, found->missing);
    if (found->header[9] == 3 && !found->palette)
        return reader_corrupt(file, "no PLTE chunk with its palette");
    if (found->data_size > INT32_MAX)
        return reader_unsupported(file, "data of more than 2 GiB");
    /* Deflate unpacks one byte to at most 1032 bytes, and a byte holds at most 8 pixels. */
    return reader_check_data(file, found->data_size, found->data_size * 1032 * 8);
}

/* ---- A file of the pixels alone -------------------------------------------------------------- */

/* Appends a chunk and returns its body. Its checksum stays 0, because no decoder reads it. */
static uint8_t *add_chunk(uint8_t *chunk, uint32_t type, uint32_t length)
{
    for (unsigned i = 0; i < 4; i++) {
        chunk[i] = (uint8_t)(length >> (24 - 8 * i));
        chunk[4 + i] = (uint8_t)(type >> (24 - 8 * i));
    }
    return chunk + 8;
}

/* Copies the data of all chunks IDAT, of which the file may lack the end of the last. */
static void copy_data(const struct image_file *file, uint64_t size, uint8_t *out)
{
    for (size_t offset = SIGNATURE; size;) {
        const uint8_t *chunk = file->data + offset;
        const uint32_t length = be32(chunk);
        if (be32(chunk + 4) == IDAT) {
            const size_t part = size < length ? (size_t)size : length;
            memcpy(out, chunk + 8, part);
            out += part;
            size -= part;
        }
        offset += (size_t)length + CHUNK;
    }
}

/* Makes a PNG of the header, a palette with all colours that the indices can name, and the data. */
static uint8_t *copy_pixels(const struct image_file *file, const struct chunks *found, size_t *size)
{
    const bool palette = found->header[9] == 3;
    const uint32_t palette_size = palette ? 3u << found->depth : 0;
    *size = SIGNATURE + 4 * CHUNK + 13 + palette_size + (size_t)found->data_size;
    uint8_t *copy = memory_calloc(1, *size), *end = copy;
    if (!copy)
        return NULL;
    memcpy(copy, file->data, SIGNATURE);
    end = add_chunk(copy + SIGNATURE, IHDR, 13);
    memcpy(end, found->header, 13);
    end += 13 + 4;
    if (palette) {
        const uint32_t used = found->palette_size;
        end = add_chunk(end, PLTE, palette_size);
        memcpy(end, found->palette, used < palette_size ? used : palette_size);
        end += palette_size + 4;
    }
    end = add_chunk(end, IDAT, (uint32_t)found->data_size);
    copy_data(file, found->data_size, end);
    end = add_chunk(end + found->data_size + 4, IEND, 0) + 4;
    *size = (size_t)(end - copy);
    return copy;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

#ifdef VKCLIP_WITH_PNG
/* Chooses what libspng converts: few bits and palettes to bytes. Other samples it leaves as they
 * are. */
static int choose_format(const struct chunks *found)
{
    if (found->header[9] == 3)
        return SPNG_FMT_RGB8;
    return found->depth < 8 ? SPNG_FMT_G8 : SPNG_FMT_RAW;
}

static int run_spng(const struct image_file *file, spng_ctx *spng, const uint8_t *data, size_t size,
                    int format, uint8_t **pixels)
{
    size_t bytes = 0;
    int error = spng_set_crc_action(spng, SPNG_CRC_USE, SPNG_CRC_USE);
    if (!error)
        error = spng_set_png_buffer(spng, data, size);
    if (!error)
        error = spng_decoded_image_size(spng, format, &bytes);
    if (error)
        return error;
    *pixels = reader_allocate(file, bytes);
    return *pixels ? spng_decode_image(spng, *pixels, bytes, format, 0) : SPNG_EMEM;
}

static int decode_pixels(struct image_file *file, const struct chunks *found, const uint8_t *data,
                         size_t size, uint8_t **pixels)
{
    struct spng_alloc memory = {memory_alloc, memory_realloc, memory_calloc, memory_free};
    spng_ctx *spng = spng_ctx_new2(&memory, SPNG_CTX_IGNORE_ADLER32);
    const int error =
        spng ? run_spng(file, spng, data, size, choose_format(found), pixels) : SPNG_EMEM;
    spng_ctx_free(spng);
    if (error == SPNG_EMEM)
        return reader_no_memory(file);
    if (error && found->missing)
        return reader_truncated(file, found->missing);
    if (error)
        return reader_corrupt(file, spng_strerror(error));
    /* Of 16 bits, the high byte comes first. */
    const size_t samples = (size_t)file->width * file->height * file->channels;
    for (size_t i = 0; found->depth == 16 && i < samples; i++)
        (*pixels)[i] = (*pixels)[2 * i];
    return VKCLIP_OK;
}
#else
static int decode_pixels(struct image_file *file, const struct chunks *found, const uint8_t *data,
                         size_t size, uint8_t **pixels)
{
    int error = image_stb_decode(file, data, size, pixels);
    return error == VKCLIP_EFORMAT && found->missing ? reader_truncated(file, found->missing)
                                                     : error;
}
#endif

int image_png_decode(struct image_file *file, uint8_t **pixels)
{
    struct chunks found = {0};
    size_t size;
    int error = read_chunks(file, &found);
    if (error)
        return error;
    uint8_t *data = copy_pixels(file, &found, &size);
    error = data ? decode_pixels(file, &found, data, size, pixels) : reader_no_memory(file);
    memory_free(data);
    return error;
}
