/* SPDX-License-Identifier: MIT
 *
 * Decodes the first page of a TIFF with libtiff as Pillow does: grey, palette, RGB, CMYK and YCbCr,
 * of 1 to 16 bits per sample, in strips or tiles, with or without alpha. Of 16 bits the high byte
 * is taken. Kinds that Pillow does not read either, and those whose samples are no plain numbers
 * (Lab, floating point, old-style JPEG), are refused by name.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "image/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

#define MAX_SAMPLES \
    8 /* Pillow reads up to 6. Pictures of science with more have no usual colours. */

/* The compressions that are read, and how many bits of pixels a byte of each can hold at most, so
 * that a small file cannot claim a large picture; 0: there is no limit. A code of LZW has at least
 * 9 bits and stands for at most 4096 bytes, PackBits has 128 bytes in two, and a JPEG takes at
 * least one bit for 64 samples, each of which may cover 4 pixels. */
static const struct compression {
    uint16_t value;
    uint32_t most_bits;
} compressions[] = {
    {COMPRESSION_NONE, 8},
    {COMPRESSION_CCITTRLE, 0},
    {COMPRESSION_CCITTFAX3, 0},
    {COMPRESSION_CCITTFAX4, 0},
    {COMPRESSION_LZW, 4096 * 8},
    {COMPRESSION_JPEG, 64 * 8 * 4 * 8},
    {COMPRESSION_ADOBE_DEFLATE, 1032 * 8},
    {COMPRESSION_DEFLATE, 1032 * 8},
    {COMPRESSION_PACKBITS, 64 * 8},
    {COMPRESSION_LZMA, 0},
    {COMPRESSION_ZSTD, 0},
    {COMPRESSION_WEBP, 0},
};

struct reader {
    struct image_file *file;
    TIFF *tiff;
    uint64_t offset;  /* where libtiff reads next */
    char reason[256]; /* libtiff's first error */
    /* What the page has: */
    uint16_t photometric, bits, samples, planar, compression;
    uint16_t alpha;               /* EXTRASAMPLE_*; EXTRASAMPLE_UNSPECIFIED: no alpha */
    uint16_t kept;                /* samples that the picture keeps: colours, then alpha */
    uint8_t levels[256];          /* of a sample's values, of which 2^bits or 256 are used */
    uint8_t flip;                 /* 255: the first sample is 0 for white, as ink on paper is */
    uint16_t *red, *green, *blue; /* the palette's colours, 2^bits of each */
};

/* ---- The file in memory ---------------------------------------------------------------------- */

static tmsize_t read_bytes(thandle_t handle, void *buffer, tmsize_t size)
{
    struct reader *reader = (struct reader *)handle;
    uint64_t left = reader->offset < reader->file->size ? reader->file->size - reader->offset : 0;
    size_t count = (uint64_t)size < left ? (size_t)size : (size_t)left;
    if (size <= 0 || !count)
        return 0;
    memcpy(buffer, reader->file->data + reader->offset, count);
    reader->offset += count;
    return (tmsize_t)count;
}

static tmsize_t refuse_write(thandle_t handle, void *buffer, tmsize_t size)
{
    (void)handle, (void)buffer, (void)size;
    return 0;
}

static toff_t seek_bytes(thandle_t handle, toff_t offset, int whence)
{
    struct reader *reader = (struct reader *)handle;
    if (whence == SEEK_CUR)
        offset += reader->offset;
    else if (whence == SEEK_END)
        offset += reader->file->size;
    return reader->offset = offset;
}

static int close_bytes(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t count_bytes(thandle_t handle)
{
    return ((struct reader *)handle)->file->size;
}

static int keep_reason(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    struct reader *reader = user;
    (void)tiff, (void)module;
    if (!*reader->reason)
        vsnprintf(reader->reason, sizeof(reader->reason), format, args);
    return 1; /* The handler of the whole process, which prints, is not called. */
}

static int ignore_warning(TIFF *tiff, void *user, const char *module, const char *format,
                          va_list args)
{
    (void)tiff, (void)user, (void)module, (void)format, (void)args;
    return 1;
}

static TIFF *open_bytes(struct reader *reader)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options)
        return NULL;
    /* A directory's arrays lie in the file, and a strip or a tile has no more bytes than the pixels
     * that may be decoded: 16 bits of all samples for each. */
    uint64_t limit =
        reader->file->size + (uint64_t)MAX_SAMPLES * 2 * reader_most_pixels(reader->file);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, limit < PTRDIFF_MAX ? (tmsize_t)limit : 0);
    TIFFOpenOptionsSetErrorHandlerExtR(options, keep_reason, reader);
    TIFFOpenOptionsSetWarningHandlerExtR(options, ignore_warning, NULL);
    TIFF *tiff = TIFFClientOpenExt("picture", "rm", (thandle_t)reader, read_bytes, refuse_write,
                                   seek_bytes, close_bytes, count_bytes, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    return tiff;
}

static int fail_reading(const struct reader *reader)
{
    return reader_corrupt(reader->file,
                          *reader->reason ? reader->reason : "libtiff cannot decode it");
}

/* ---- What the first page is ------------------------------------------------------------------ */

static int refuse_kind(const struct reader *reader, const char *what, unsigned value)
{
    char text[96];
    snprintf(text, sizeof(text), what, value);
    return reader_unsupported(reader->file, text);
}

/* Returns a number of 2, 4 or 8 bytes in the file's byte order, or 0 beyond its end. */
static uint64_t read_number(const struct image_file *file, uint64_t offset, unsigned bytes)
{
    uint64_t value = 0;
    bool little = file->data[0] == 'I';
    if (offset > file->size || file->size - offset < bytes)
        return 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | file->data[offset + (little ? bytes - 1 - i : i)];
    return value;
}

/* Returns the bytes of an offset, which are more in a BigTIFF. */
static unsigned offset_size(const struct image_file *file)
{
    return read_number(file, 2, 2) == 43 ? 8 : 4;
}

static uint64_t find_first(const struct image_file *file)
{
    return read_number(file, offset_size(file), offset_size(file));
}

/* Returns where the entry of a tag of a directory lies in the file itself, because libtiff adds
 * tags that are missing and changes others. Returns 0 if the directory does not have it. */
static uint64_t find_entry(const struct image_file *file, uint64_t directory, unsigned tag)
{
    const unsigned wide = offset_size(file), size = wide == 8 ? 8 : 2;
    const uint64_t count = read_number(file, directory, size);
    for (uint64_t i = 0; i < count && count <= UINT16_MAX; i++) {
        const uint64_t entry = directory + size + i * (4 + 2 * wide);
        if (read_number(file, entry, 2) == tag)
            return entry;
    }
    return 0;
}

/* Returns where the value of a tag lies, or where the offset of a longer value does. */
static uint64_t find_value(const struct image_file *file, unsigned tag)
{
    const uint64_t entry = find_entry(file, find_first(file), tag);
    return entry ? entry + 4 + offset_size(file) : 0;
}

/* Finds out what the samples after the colours are. If a file of four samples for RGB does not say
 * what the fourth is, it is alpha as in Pillow, where libtiff leaves it unspecified. */
static void find_alpha(struct reader *reader, uint16_t colours)
{
    uint16_t count = 0, *extra = NULL;
    reader->alpha = EXTRASAMPLE_UNSPECIFIED;
    if (reader->samples <= colours || colours == 4)
        return;
    if (TIFFGetField(reader->tiff, TIFFTAG_EXTRASAMPLES, &count, &extra) && count)
        reader->alpha = extra[0];
    if (reader->alpha == EXTRASAMPLE_UNSPECIFIED && reader->samples == 4 && colours == 3 &&
        !find_value(reader->file, TIFFTAG_EXTRASAMPLES))
        reader->alpha = EXTRASAMPLE_UNASSALPHA;
}

static void fill_levels(struct reader *reader)
{
    unsigned top = reader->bits < 8 ? (1u << reader->bits) - 1 : 255;
    for (unsigned i = 0; i <= top; i++)
        reader->levels[i] = (uint8_t)(i * 255 / top);
    reader->flip = reader->photometric == PHOTOMETRIC_MINISWHITE ? 255 : 0;
}

static int read_photometric(struct reader *reader)
{
    struct image_file *file = reader->file;
    uint16_t colours = 1;
    uint64_t written = find_value(file, TIFFTAG_PHOTOMETRIC);
    if (reader->photometric != PHOTOMETRIC_PALETTE && written &&
        read_number(file, written, 2) == PHOTOMETRIC_PALETTE)
        return reader_corrupt(file, "it lacks its palette");
    if (reader->photometric == PHOTOMETRIC_YCBCR && reader->samples == 1)
        reader->photometric = PHOTOMETRIC_MINISBLACK;
    switch (reader->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
        break;
    case PHOTOMETRIC_PALETTE:
        if (reader->bits > 8)
            return refuse_kind(reader, "a palette of %u bits, expected at most 8", reader->bits);
        if (!TIFFGetField(reader->tiff, TIFFTAG_COLORMAP, &reader->red, &reader->green,
                          &reader->blue))
            return reader_corrupt(file, "it lacks its palette");
        break;
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_YCBCR:
        colours = 3;
        break;
    case PHOTOMETRIC_SEPARATED:
        colours = 4;
        break;
    default:
        return refuse_kind(reader,
                           "photometric interpretation %u, expected grey, palette, RGB, CMYK or "
                           "YCbCr",
                           reader->photometric);
    }
    if (reader->samples < colours)
        return reader_corrupt(file, "fewer samples than its colours");
    if (colours > 1 && reader->bits < 8)
        return refuse_kind(reader, "colours of %u bits, expected 8 or 16", reader->bits);
    file->cmyk = colours == 4;
    file->indexed = reader->photometric == PHOTOMETRIC_PALETTE ||
                    (colours == 1 && reader->samples == 1 && reader->bits == 1);
    if (!file->indexed)
        find_alpha(reader, colours);
    reader->kept = colours + (reader->alpha != EXTRASAMPLE_UNSPECIFIED);
    file->channels = reader->photometric == PHOTOMETRIC_PALETTE ? 3 : reader->kept;
    fill_levels(reader);
    return VKCLIP_OK;
}

static const struct compression *find_compression(uint16_t value)
{
    for (size_t i = 0; i < ARRAY_COUNT(compressions); i++)
        if (compressions[i].value == value && TIFFIsCODECConfigured(value))
            return &compressions[i];
    return NULL;
}

/* Refuses strips or tiles that share so many bytes that reading them all takes far longer than
 * reading the file: a thousand may have the same megabyte as their data. The bytes of the pixels
 * are allowed besides those of the file, because empty tiles may share their few bytes. */
static int check_units(const struct reader *reader)
{
    const struct image_file *file = reader->file;
    TIFF *tiff = reader->tiff;
    const uint64_t samples = (uint64_t)file->width * file->height * reader->samples;
    const uint64_t most = file->size + samples * reader->bits / 8;
    const uint32_t count = TIFFIsTiled(tiff) ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
    uint64_t total = 0;
    for (uint32_t i = 0; i < count && total <= most; i++) {
        const uint64_t bytes = TIFFGetStrileByteCount(tiff, i);
        total += bytes < file->size ? bytes : file->size;
    }
    return total <= most ? VKCLIP_OK
                         : reader_corrupt(file, "its strips or tiles share the same bytes");
}

static int read_directory(struct reader *reader)
{
    TIFF *tiff = reader->tiff;
    struct image_file *file = reader->file;
    uint32_t width = 0, height = 0, tile_width = 1, tile_height = 1;
    uint16_t format = SAMPLEFORMAT_UINT;
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &tile_width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &tile_height);
    /* A tile may be larger than the picture, so that what is decoded counts. */
    int error = VKCLIP_OK;
    if (TIFFIsTiled(tiff) && width && height && tile_width && tile_height)
        error =
            reader_claim_size(file, ((uint64_t)width + tile_width - 1) / tile_width * tile_width,
                              ((uint64_t)height + tile_height - 1) / tile_height * tile_height);
    if (!error)
        error = reader_claim_size(file, width, height);
    if (error)
        return error;
    TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &reader->photometric);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &reader->bits);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &reader->samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &reader->planar);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &reader->compression);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
    const struct compression *compression = find_compression(reader->compression);
    if (!compression)
        return refuse_kind(reader, "compression %u", reader->compression);
    if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID)
        return refuse_kind(reader, "sample format %u, expected unsigned numbers", format);
    if (reader->bits != 1 && reader->bits != 2 && reader->bits != 4 && reader->bits != 8 &&
        reader->bits != 16)
        return refuse_kind(reader, "samples of %u bits, expected 1, 2, 4, 8 or 16", reader->bits);
    if (reader->samples > MAX_SAMPLES)
        return refuse_kind(reader, "%u samples per pixel, expected at most 8", reader->samples);
    error = read_photometric(reader);
    /* Of a strip without compression libtiff reads only what its pixels need. */
    if (!error && reader->compression != COMPRESSION_NONE)
        error = check_units(reader);
    if (error || !compression->most_bits)
        return error;
    /* Subsampled colours may add little to the 8 bits of brightness. */
    unsigned bits = reader->bits * (reader->photometric == PHOTOMETRIC_YCBCR ? 1 : reader->samples);
    return reader_check_data(file, file->size,
                             (uint64_t)file->size * compression->most_bits / bits);
}

/* ---- EXIF data ------------------------------------------------------------------------------- */

/* libexif reads only the first 64 KiB of a block, and no BigTIFF, while many programs write the
 * directories behind the pixels. So it gets a small TIFF without pixels, into which the tags that
 * image/exif.c reads are copied, of a text longer than VALUE its beginning. */
enum { MOST_TAGS = 4, ENTRY = 12, VALUE = 64 };
enum { DIRECTORY = 2 + (MOST_TAGS + 2) * ENTRY + 4, HEADER = 8 };

static const struct directory {
    uint16_t pointer; /* the tag of the first directory that leads to this one; 0: this is it */
    uint16_t tags[MOST_TAGS];
} directories[] = {
    {0, {TIFFTAG_MAKE, TIFFTAG_MODEL, TIFFTAG_ORIENTATION, TIFFTAG_DATETIME}},
    {TIFFTAG_EXIFIFD, {EXIFTAG_DATETIMEORIGINAL, EXIFTAG_DATETIMEDIGITIZED}},
    {TIFFTAG_GPSIFD, {GPSTAG_LATITUDEREF, GPSTAG_LATITUDE, GPSTAG_LONGITUDEREF, GPSTAG_LONGITUDE}},
};

struct block {
    uint8_t data[HEADER + ARRAY_COUNT(directories) * (DIRECTORY + MOST_TAGS * VALUE)];
    size_t used; /* by directories, and by values after them */
};

/* Writes a number of 2 or 4 bytes in the file's byte order. */
static void write_number(const struct image_file *file, uint64_t value, unsigned bytes,
                         uint8_t *place)
{
    for (unsigned i = 0; i < bytes; i++)
        place[i] = (uint8_t)(value >> 8 * (file->data[0] == 'I' ? i : bytes - 1 - i));
}

/* Copies an entry with its value. Returns false if the value lies outside the file, or is of a type
 * that none of the tags has. */
static bool copy_entry(const struct image_file *file, uint64_t entry, struct block *block,
                       uint8_t *place)
{
    static const uint8_t sizes[] = {
        [TIFF_BYTE] = 1, [TIFF_ASCII] = 1, [TIFF_SHORT] = 2, [TIFF_LONG] = 4, [TIFF_RATIONAL] = 8};
    const unsigned wide = offset_size(file);
    const uint64_t type = read_number(file, entry + 2, 2);
    const unsigned size = type < ARRAY_COUNT(sizes) ? sizes[type] : 0;
    uint64_t count = read_number(file, entry + 4, wide), source = entry + 4 + wide;
    uint8_t *value = place + 8;
    if (!entry || !size || !count)
        return false;
    if (count > wide / size)
        source = read_number(file, source, wide);
    count = count < VALUE / size ? count : VALUE / size;
    const size_t bytes = (size_t)count * size;
    if (source > file->size || file->size - source < bytes)
        return false;
    memcpy(place, file->data + entry, 4);
    write_number(file, count, 4, place + 4);
    if (bytes > 4) {
        write_number(file, block->used, 4, value);
        value = block->data + block->used;
        block->used += VALUE;
    }
    memcpy(value, file->data + source, bytes);
    return true;
}

/* Copies the tags of a directory and returns how many it has of them. */
static unsigned copy_tags(const struct image_file *file, uint64_t source, const uint16_t *tags,
                          struct block *block, uint8_t *place)
{
    unsigned count = 0;
    for (unsigned i = 0; i < MOST_TAGS && tags[i]; i++)
        count +=
            copy_entry(file, find_entry(file, source, tags[i]), block, place + 2 + count * ENTRY);
    write_number(file, count, 2, place);
    return count;
}

/* Without memory there are no EXIF data. */
static void copy_exif(struct image_file *file)
{
    const uint64_t first = find_first(file);
    struct block *block = file->memory = memory_calloc(1, sizeof(*block));
    if (!block)
        return;
    uint8_t *copy = block->data + HEADER;
    memcpy(block->data, file->data, 2); /* the byte order */
    write_number(file, 42, 2, block->data + 2);
    write_number(file, HEADER, 4, block->data + 4);
    block->used = HEADER + ARRAY_COUNT(directories) * DIRECTORY;
    unsigned count = copy_tags(file, first, directories[0].tags, block, copy);
    for (unsigned i = 1; i < ARRAY_COUNT(directories); i++) {
        const uint64_t pointer = find_entry(file, first, directories[i].pointer);
        const unsigned bytes = read_number(file, pointer + 2, 2) >= TIFF_LONG8 ? 8 : 4;
        const uint64_t source = read_number(file, pointer + 4 + offset_size(file), bytes);
        uint8_t *entry = copy + 2 + count * ENTRY;
        if (!pointer || !copy_tags(file, source, directories[i].tags, block, copy + i * DIRECTORY))
            continue;
        write_number(file, directories[i].pointer, 2, entry);
        write_number(file, TIFF_LONG, 2, entry + 2);
        write_number(file, 1, 4, entry + 4);
        write_number(file, HEADER + i * DIRECTORY, 4, entry + 8);
        write_number(file, ++count, 2, copy);
    }
    reader_set_exif(file, block->data, sizeof(block->data));
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

/* Returns a sample's value, of 16 bits only the high byte. libtiff gives samples of 16 bits in the
 * processor's byte order and smaller ones from the highest bit on. */
static inline unsigned read_sample(const uint8_t *row, size_t index, unsigned bits)
{
    if (bits == 8)
        return row[index];
    if (bits == 16) {
        uint16_t value;
        memcpy(&value, row + index * 2, sizeof(value));
        return value >> 8;
    }
    size_t bit = index * bits;
    return row[bit / 8] >> (8 - bits - bit % 8) & ((1u << bits) - 1);
}

/* Writes `count` pixels of a row, or of its plane `plane` if each sample has a plane of its own. */
static void convert_row(const struct reader *reader, const uint8_t *in, uint32_t count,
                        unsigned plane, uint8_t *out)
{
    const bool separate = reader->planar == PLANARCONFIG_SEPARATE;
    const size_t step = separate ? 1 : reader->samples, channels = reader->file->channels;
    const unsigned end = separate ? plane + 1 : reader->kept;
    if (reader->bits == 8 && step == channels && !separate && !reader->red && !reader->flip) {
        memcpy(out, in, count * channels);
        return;
    }
    for (unsigned c = plane; c < end; c++)
        for (size_t x = 0; x < count; x++) {
            unsigned value = read_sample(in, x * step + (separate ? 0 : c), reader->bits);
            uint8_t *pixel = out + x * channels;
            if (reader->red) {
                pixel[0] = (uint8_t)(reader->red[value] >> 8);
                pixel[1] = (uint8_t)(reader->green[value] >> 8);
                pixel[2] = (uint8_t)(reader->blue[value] >> 8);
            } else {
                pixel[c] = reader->levels[value] ^ (c ? 0 : reader->flip);
            }
        }
}

struct unit {
    uint32_t width, height; /* pixels of a strip or a tile */
    tmsize_t size, row;     /* bytes of it and of one of its rows */
    uint8_t *buffer;
};

/* Decodes the strip or the tile at (x, y) into the picture. */
static int read_unit(struct reader *reader, const struct unit *unit, uint32_t x, uint32_t y,
                     uint16_t plane, uint8_t *pixels)
{
    const struct image_file *file = reader->file;
    TIFF *tiff = reader->tiff;
    uint32_t rows = file->height - y < unit->height ? file->height - y : unit->height;
    uint32_t count = file->width - x < unit->width ? file->width - x : unit->width;
    tmsize_t found;
    if (TIFFIsTiled(tiff))
        found = TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, x, y, 0, plane), unit->buffer,
                                    unit->size);
    else
        found =
            TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, y, plane), unit->buffer, unit->size);
    if (found < 0)
        return fail_reading(reader);
    if (found < unit->row * (tmsize_t)rows)
        return reader_corrupt(file, "a strip or a tile with fewer rows than it should have");
    for (uint32_t i = 0; i < rows; i++)
        convert_row(reader, unit->buffer + (size_t)unit->row * i, count, plane,
                    pixels + ((size_t)(y + i) * file->width + x) * file->channels);
    return VKCLIP_OK;
}

static int read_units(struct reader *reader, struct unit *unit, uint8_t *pixels)
{
    const struct image_file *file = reader->file;
    uint16_t planes = reader->planar == PLANARCONFIG_SEPARATE ? reader->kept : 1;
    size_t samples = planes > 1 ? 1 : reader->samples;
    size_t row = (unit->width * samples * reader->bits + 7) / 8;
    if (unit->size <= 0 || unit->row < 0 || (size_t)unit->row < row)
        return fail_reading(reader);
    unit->buffer = memory_alloc((size_t)unit->size);
    if (!unit->buffer)
        return reader_no_memory(file);
    int error = VKCLIP_OK;
    for (uint16_t plane = 0; !error && plane < planes; plane++)
        for (uint32_t y = 0; !error && y < file->height; y += unit->height)
            for (uint32_t x = 0; !error && x < file->width; x += unit->width)
                error = read_unit(reader, unit, x, y, plane, pixels);
    memory_free(unit->buffer);
    return error;
}

static int read_samples(struct reader *reader, uint8_t **pixels)
{
    struct image_file *file = reader->file;
    TIFF *tiff = reader->tiff;
    struct unit unit = {.width = file->width, .height = file->height};
    if (TIFFIsTiled(tiff)) {
        TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &unit.width);
        TIFFGetField(tiff, TIFFTAG_TILELENGTH, &unit.height);
        unit.size = TIFFTileSize(tiff);
        unit.row = TIFFTileRowSize(tiff);
    } else {
        uint32_t rows = 0;
        TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &rows);
        unit.height = rows && rows < file->height ? rows : file->height;
        unit.size = TIFFStripSize(tiff);
        unit.row = TIFFScanlineSize(tiff);
    }
    *pixels = memory_alloc((size_t)file->width * file->height * file->channels);
    if (!*pixels)
        return reader_no_memory(file);
    int error = read_units(reader, &unit, *pixels);
    if (!error && reader->alpha == EXTRASAMPLE_ASSOCALPHA)
        reader_divide_alpha(file, *pixels);
    return error;
}

/* Reads YCbCr by libtiff's own conversion to RGB, as Pillow does. */
static int read_ycbcr(struct reader *reader, uint8_t **pixels)
{
    struct image_file *file = reader->file;
    TIFFRGBAImage image;
    char reason[1024] = "";
    size_t count = (size_t)file->width * file->height;
    if (reader->bits != 8 || reader->samples != 3)
        return refuse_kind(reader, "YCbCr of %u bits or with alpha, expected 3 samples of 8 bits",
                           reader->bits);
    if (!TIFFRGBAImageOK(reader->tiff, reason) ||
        !TIFFRGBAImageBegin(&image, reader->tiff, 1, reason))
        return reader_unsupported(file, reason);
    int error = VKCLIP_OK;
    image.req_orientation = image.orientation; /* Rows stay in the file's order. */
    uint32_t *raster = memory_alloc(count * sizeof(*raster));
    *pixels = memory_alloc(count * 3);
    if (!raster || !*pixels)
        error = reader_no_memory(file);
    else if (!TIFFRGBAImageGet(&image, raster, file->width, file->height))
        error = fail_reading(reader);
    for (size_t i = 0; !error && i < count; i++) {
        (*pixels)[i * 3] = (uint8_t)TIFFGetR(raster[i]);
        (*pixels)[i * 3 + 1] = (uint8_t)TIFFGetG(raster[i]);
        (*pixels)[i * 3 + 2] = (uint8_t)TIFFGetB(raster[i]);
    }
    TIFFRGBAImageEnd(&image);
    memory_free(raster);
    return error;
}

int image_tiff_decode(struct image_file *file, uint8_t **pixels)
{
    struct reader reader = {.file = file};
    reader.tiff = open_bytes(&reader);
    if (!reader.tiff)
        return fail_reading(&reader);
    copy_exif(file);
    int error = read_directory(&reader);
    if (!error)
        error = reader.photometric == PHOTOMETRIC_YCBCR ? read_ycbcr(&reader, pixels)
                                                        : read_samples(&reader, pixels);
    /* Pillow makes this format's pictures upright whatever its caller asks for. */
    uint16_t orientation = ORIENTATION_TOPLEFT;
    TIFFGetFieldDefaulted(reader.tiff, TIFFTAG_ORIENTATION, &orientation);
    if (!error)
        error = reader_orient(file, pixels, orientation);
    TIFFClose(reader.tiff);
    return error;
}
