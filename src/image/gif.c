/* SPDX-License-Identifier: MIT
 *
 * Decodes the first frame of a GIF as Pillow shows it: with the palette's colours everywhere,
 * because transparency is ignored. stb_image is not used because it loses the colour of transparent
 * pixels, refuses files whose encoder keeps a full code table (as gifsicle does), takes seconds per
 * megabyte of hostile codes, and needs three times the memory. Later frames are not read.
 */
#include "base/error.h"
#include "base/memory.h"
#include "image/reader.h"

#include <string.h>

#define MAX_CODES 4096

struct reader {
    const uint8_t *next, *end;
    unsigned left; /* bytes of the current sub-block that are not read yet */
    uint32_t bits;
    unsigned bit_count;
};

struct frame {
    uint32_t left, top, width, height;
    bool interlaced;
    uint8_t palette[256][3];
    unsigned colors;
    uint8_t background; /* the colour of pixels outside the frame */
    const uint8_t *codes;
};

/* Reads the next code of `width` bits. Returns -1 if the sub-blocks or the file have ended. */
static int next_code(struct reader *reader, unsigned width)
{
    while (reader->bit_count < width) {
        if (!reader->left && reader->next < reader->end)
            reader->left = *reader->next++;
        if (!reader->left || reader->next == reader->end)
            return -1;
        reader->bits |= (uint32_t)*reader->next++ << reader->bit_count;
        reader->bit_count += 8;
        reader->left--;
    }
    int code = (int)(reader->bits & ((1u << width) - 1));
    reader->bits >>= width;
    reader->bit_count -= width;
    return code;
}

/* Decodes variable-width LZW (GIF89a, appendix F). Returns how many of the `wanted` indices the
 * data have. */
static size_t unpack(struct reader *reader, unsigned start_width, uint8_t *out, size_t wanted)
{
    uint16_t prefix[MAX_CODES], length[MAX_CODES];
    uint8_t first[MAX_CODES], last[MAX_CODES];
    const int clear = 1 << start_width;
    int next = clear + 2, previous = -1;
    unsigned width = start_width + 1;
    size_t done = 0;
    for (int i = 0; i < clear; i++) {
        first[i] = last[i] = (uint8_t)i;
        length[i] = 1;
        prefix[i] = 0;
    }
    while (done < wanted) {
        int code = next_code(reader, width);
        if (code == clear) {
            next = clear + 2;
            width = start_width + 1;
            previous = -1;
            continue;
        }
        if (code < 0 || code == clear + 1 || code > next || (code >= clear && previous < 0))
            break;
        if (previous >= 0 && next < MAX_CODES) {
            prefix[next] = (uint16_t)previous;
            length[next] = length[previous] + 1;
            first[next] = first[previous];
            last[next] = first[code == next ? previous : code];
            if (++next == 1 << width && width < 12)
                width++;
        }
        done += length[code];
        size_t place = done; /* A code's string is written from its end, because each code refers to
                                its prefix. */
        for (int c = code, n = length[code]; n; n--, c = prefix[c]) {
            place--;
            if (place < wanted)
                out[place] = last[c];
        }
        previous = code;
    }
    return done < wanted ? done : wanted;
}

/* Returns where the sub-blocks at `offset` end, or more than the file's size if they do not end in
 * the file. */
static size_t skip_blocks(const struct image_file *file, size_t offset)
{
    while (offset < file->size && file->data[offset])
        offset += file->data[offset] + (size_t)1;
    return offset + 1;
}

/* Reads a palette of 2^(1 + the low bits of `flags`) colours and returns where it ends, or 0 if the
 * file ends before. */
static size_t read_palette(const struct image_file *file, size_t offset, unsigned flags,
                           struct frame *frame)
{
    frame->colors = 2u << (flags & 7);
    if (file->size - offset < frame->colors * 3)
        return 0;
    memset(frame->palette, 0, sizeof(frame->palette));
    memcpy(frame->palette, file->data + offset, frame->colors * 3);
    return offset + frame->colors * 3;
}

/* Reads from the header to the codes of the first frame. */
static int find_frame(const struct image_file *file, struct frame *frame)
{
    const uint8_t *data = file->data;
    size_t offset = 13, size = file->size;
    if (size < offset)
        return reader_truncated(file, offset);
    if (data[10] & 0x80 && !(offset = read_palette(file, offset, data[10], frame)))
        return reader_truncated(file, 13 + (size_t)frame->colors * 3);
    while (offset < size && data[offset] != 0x2c) { /* image descriptor */
        if (data[offset] == 0x3b)
            return reader_corrupt(file, "it holds no picture");
        if (data[offset] != 0x21) { /* This byte begins no extension; Pillow skips it too. */
            offset++;
            continue;
        }
        if (size - offset > 6 && data[offset + 1] == 0xf9 &&
            data[offset + 2] >= 4) /* graphic control */
            frame->background = data[offset + 3] & 1 ? data[offset + 6] : 0;
        offset = skip_blocks(file, offset + 2);
    }
    if (offset > size || size - offset < 12)
        return reader_truncated(file, (uint64_t)offset + 12);
    frame->left = le16(data + offset + 1);
    frame->top = le16(data + offset + 3);
    frame->width = le16(data + offset + 5);
    frame->height = le16(data + offset + 7);
    unsigned flags = data[offset + 9];
    frame->interlaced = flags & 0x40;
    offset += 10;
    if (flags & 0x80 && !(offset = read_palette(file, offset, flags, frame)))
        return reader_truncated(file, (uint64_t)size + 1);
    frame->codes = data + offset;
    return VKCLIP_OK;
}

/* Tells whether a picture is grey, which as in Pillow means that its palette only repeats the
 * indices, or that it has no palette. */
static bool is_grey(struct frame *frame)
{
    bool grey = true;
    for (unsigned i = 0; i < 256 && !frame->colors; i++)
        memset(frame->palette[i], (int)i, 3);
    for (unsigned i = 0; grey && i < frame->colors; i++)
        grey = frame->palette[i][0] == i && frame->palette[i][1] == i && frame->palette[i][2] == i;
    return grey;
}

/* Fills the picture with the background and draws the frame's rows into it. */
static void paint(const struct image_file *file, const struct frame *frame, const uint8_t *indices,
                  uint8_t *pixels)
{
    static const struct {
        uint32_t start, step;
    } passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}, {0, 1}};
    size_t count = (size_t)file->width * file->height;
    for (size_t i = 0; i < count; i++)
        memcpy(pixels + i * 3, frame->palette[frame->background], 3);
    for (unsigned pass = frame->interlaced ? 0 : 4; pass < (frame->interlaced ? 4 : 5); pass++)
        for (uint32_t y = passes[pass].start; y < frame->height; y += passes[pass].step) {
            uint8_t *out = pixels + ((size_t)(frame->top + y) * file->width + frame->left) * 3;
            for (uint32_t x = 0; x < frame->width; x++, out += 3)
                memcpy(out, frame->palette[*indices++], 3);
        }
}

int image_gif_decode(struct image_file *file, uint8_t **pixels)
{
    struct frame frame = {0};
    int error = find_frame(file, &frame);
    if (error)
        return error;
    uint64_t width = le16(file->data + 6), height = le16(file->data + 8);
    uint64_t right = frame.left + frame.width, bottom = frame.top + frame.height;
    error =
        reader_claim_size(file, right > width ? right : width, bottom > height ? bottom : height);
    if (error)
        return error;
    file->channels = 3;
    file->indexed = !is_grey(&frame);
    if (frame.codes == file->data + file->size)
        return reader_truncated(file, (uint64_t)file->size + 1);
    unsigned start_width = *frame.codes;
    if (!frame.width || !frame.height || start_width < 2 || start_width > 8)
        return reader_corrupt(file, "its first frame has no pixels or a wrong code size");

    struct reader reader = {frame.codes + 1, file->data + file->size, 0, 0, 0};
    size_t wanted = (size_t)frame.width * frame.height;
    uint8_t *indices = memory_alloc(wanted);
    *pixels = memory_alloc((size_t)file->width * file->height * 3);
    if (!indices || !*pixels) {
        error = reader_no_memory(file);
    } else {
        size_t found = unpack(&reader, start_width, indices, wanted);
        if (found == wanted)
            paint(file, &frame, indices, *pixels);
        else if (reader.next == reader.end)
            error = reader_truncated(file, (uint64_t)file->size + 1);
        else
            error =
                error_fail(VKCLIP_EFORMAT, "%s: corrupt GIF: its data ends after %zu of %zu pixels",
                           file->name, found, wanted);
    }
    memory_free(indices);
    return error;
}
