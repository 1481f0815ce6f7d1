/* SPDX-License-Identifier: MIT
 *
 * Pictures in a terminal: pixels to the bytes of each protocol.
 */
#include "cli/commands/preview.h"
#include "base/base64.h"
#include "cli/picture.h"

#include <stdlib.h>
#include <string.h>

/* ---- Size -------------------------------------------------------------------------------------- */

/* Chooses the size in pixels and in characters: the largest of the picture's shape that fits, and
 * no larger than the picture. Half blocks are pixels of one column and half a row. */
static void choose_size(const struct vkclip_image *image, const struct preview_screen *screen,
                        uint32_t rows, struct preview *preview)
{
    const bool blocks = screen->protocol >= PREVIEW_BLOCKS;
    const uint32_t cell_width = blocks ? 1 : screen->cell_width;
    const uint32_t cell_height = blocks ? 2 : screen->cell_height;
    const double most_width = (double)screen->columns * cell_width;
    const double most_height = (double)rows * cell_height;
    const double by_width = most_width / image->width, by_height = most_height / image->height;
    double scale = by_width < by_height ? by_width : by_height;
    scale = scale < 1 ? scale : 1;
    preview->width = (uint32_t)(image->width * scale + 0.5);
    preview->height = (uint32_t)(image->height * scale + 0.5);
    preview->width += !preview->width;
    preview->height += !preview->height;
    preview->columns = (preview->width + cell_width - 1) / cell_width;
    preview->rows = (preview->height + cell_height - 1) / cell_height;
}

/* Averages the pixels that fall into pixel x, y of the preview. */
static void average_area(const struct vkclip_image *image, const struct preview *preview,
                         uint32_t x, uint32_t y, uint8_t *result)
{
    const uint32_t left = (uint32_t)((uint64_t)x * image->width / preview->width);
    const uint32_t right = (uint32_t)((uint64_t)(x + 1) * image->width / preview->width);
    const uint32_t top = (uint32_t)((uint64_t)y * image->height / preview->height);
    const uint32_t bottom = (uint32_t)((uint64_t)(y + 1) * image->height / preview->height);
    const uint64_t count = (uint64_t)(right - left) * (bottom - top);
    uint64_t sums[3] = {0};
    for (uint32_t j = top; j < bottom; j++)
        for (uint32_t i = left; i < right; i++) {
            uint32_t rgb[3];
            picture_read_pixel(image, i, j, rgb);
            for (size_t c = 0; c < 3; c++)
                sums[c] += rgb[c];
        }
    for (size_t c = 0; c < 3; c++)
        result[c] = (uint8_t)((sums[c] + count / 2) / count);
}

bool preview_scale(const struct vkclip_image *image, const struct preview_screen *screen,
                   uint32_t rows, struct preview *preview)
{
    *preview = (struct preview){0};
    choose_size(image, screen, rows, preview);
    uint8_t *pixel = malloc((size_t)preview->width * preview->height * 3);
    preview->pixels = pixel;
    if (!pixel)
        return false;
    for (uint32_t y = 0; y < preview->height; y++)
        for (uint32_t x = 0; x < preview->width; x++, pixel += 3)
            average_area(image, preview, x, y, pixel);
    return true;
}

void preview_free(struct preview *preview)
{
    free(preview->pixels);
    *preview = (struct preview){0};
}

/* ---- Base64 ------------------------------------------------------------------------------------ */

static bool write_base64(const uint8_t *data, size_t size, FILE *file)
{
    char *text = base64_encode(data, size);
    const bool good = text && fputs(text, file) >= 0;
    free(text);
    return good;
}

/* ---- kitty ------------------------------------------------------------------------------------- */

/* Sends raw RGB in pieces of at most 4096 bytes of base64, as the protocol asks. q=2 stops the
 * terminal's answers, which nobody would read. */
static bool write_kitty(const struct preview *preview, FILE *file)
{
    enum { PIECE = 3072 };
    const size_t size = (size_t)preview->width * preview->height * 3;
    bool good = true;
    fprintf(file, "\033_Ga=T,f=24,q=2,s=%u,v=%u,c=%u,r=%u,", preview->width, preview->height,
            preview->columns, preview->rows);
    for (size_t done = 0; done < size; done += PIECE) {
        const bool last = size - done <= PIECE;
        fprintf(file, "%sm=%d;", done ? "\033_G" : "", !last);
        good &= write_base64(preview->pixels + done, last ? size - done : PIECE, file);
        fputs("\033\\", file);
    }
    return putc('\n', file) != EOF && good;
}

/* ---- iTerm2, which takes a picture file: a PNG ------------------------------------------------- */

static bool write_iterm(const struct preview *preview, FILE *file)
{
    struct picture_file png;
    if (!picture_make_png(preview->pixels, preview->width, preview->height, &png))
        return false;
    fprintf(file, "\033]1337;File=inline=1;size=%zu;width=%u;height=%u:", png.size,
            preview->columns, preview->rows);
    const bool good = write_base64(png.data, png.size, file);
    free(png.data);
    return fputs("\a\n", file) >= 0 && good;
}

/* ---- Sixel ------------------------------------------------------------------------------------- */

/* The palette has LEVELS shades each of red, green and blue: of the 256 colours that terminals
 * have, 216 are used, and errors are spread over the neighbours (Floyd and Steinberg 1976). */
enum { LEVELS = 6, COLOURS = LEVELS * LEVELS * LEVELS };

static int find_level(int value)
{
    if (value < 0)
        return 0;
    return value < 255 ? (value * (LEVELS - 1) + 127) / 255 : LEVELS - 1;
}

/* Makes the palette's index of every pixel; `errors` has room for two rows with a pixel around
 * them, and is all zero at first. */
static void dither(const struct preview *preview, int *errors, uint8_t *indices)
{
    const size_t width = preview->width, row = (width + 2) * 3;
    int *here = errors, *below = errors + row;
    for (size_t y = 0; y < preview->height; y++) {
        for (size_t i = 0; i < width * 3; i++) {
            const int wanted = preview->pixels[y * width * 3 + i] + here[i + 3] / 16;
            const int level = find_level(wanted), error = wanted - level * 255 / (LEVELS - 1);
            here[i + 6] += error * 7;
            below[i] += error * 3;
            below[i + 3] += error * 5;
            below[i + 6] += error;
            uint8_t *index = &indices[y * width + i / 3];
            *index = (uint8_t)((i % 3 ? *index : 0) * LEVELS + level);
        }
        int *done = here;
        here = below;
        below = done;
        memset(below, 0, row * sizeof(*below));
    }
}

static void write_run(char sixel, size_t count, FILE *file)
{
    if (count > 3)
        fprintf(file, "!%zu%c", count, sixel);
    else
        while (count--)
            putc(sixel, file);
}

/* Writes the pixels of one colour in six rows, as one character per column. */
static void write_colour(const uint8_t *indices, size_t width, size_t rows, size_t colour,
                         FILE *file)
{
    char last = 0;
    size_t count = 0;
    fprintf(file, "#%zu", colour);
    for (size_t x = 0; x < width; x++) {
        int bits = 0;
        for (size_t y = 0; y < rows; y++)
            bits |= (indices[y * width + x] == colour) << y;
        const char sixel = (char)('?' + bits);
        if (sixel != last) {
            write_run(last, count, file);
            count = 0;
        }
        last = sixel;
        count++;
    }
    if (last != '?') /* Empty columns at the end of a line need not be written. */
        write_run(last, count, file);
    putc('$', file);
}

static void write_band(const uint8_t *indices, size_t width, size_t rows, FILE *file)
{
    bool used[COLOURS] = {false};
    for (size_t i = 0; i < width * rows; i++)
        used[indices[i]] = true;
    for (size_t colour = 0; colour < COLOURS; colour++)
        if (used[colour])
            write_colour(indices, width, rows, colour, file);
    putc('-', file);
}

static bool write_sixel(const struct preview *preview, FILE *file)
{
    const size_t width = preview->width, height = preview->height;
    uint8_t *indices = calloc(width, height);
    int *errors = calloc((width + 2) * 6, sizeof(*errors));
    const bool good = indices && errors;
    if (good) {
        dither(preview, errors, indices);
        fprintf(file, "\033Pq\"1;1;%zu;%zu", width, height);
        for (int i = 0; i < COLOURS; i++)
            fprintf(file, "#%d;2;%d;%d;%d", i, i / (LEVELS * LEVELS) * 100 / (LEVELS - 1),
                    i / LEVELS % LEVELS * 100 / (LEVELS - 1), i % LEVELS * 100 / (LEVELS - 1));
        for (size_t y = 0; y < height; y += 6)
            write_band(indices + y * width, width, height - y < 6 ? height - y : 6, file);
        fputs("\033\\\n", file);
    }
    free(indices);
    free(errors);
    return good && !ferror(file);
}

/* ---- Blocks ------------------------------------------------------------------------------------ */

/* Of 256 colours, 16 to 231 are a cube with the levels 0, 95, 135, 175, 215 and 255. */
static int find_cube_level(uint8_t value)
{
    if (value < 48)
        return 0;
    return value < 115 ? 1 : (value - 35) / 40;
}

/* Chooses a colour of the text (38) or its background (48). */
static void write_block_colour(int what, const uint8_t *rgb, bool few, FILE *file)
{
    if (few)
        fprintf(file, "\033[%d;5;%dm", what,
                16 + 36 * find_cube_level(rgb[0]) + 6 * find_cube_level(rgb[1]) +
                    find_cube_level(rgb[2]));
    else
        fprintf(file, "\033[%d;2;%d;%d;%dm", what, rgb[0], rgb[1], rgb[2]);
}

/* A character is an upper half block in the colour of the upper pixel, on a background in the
 * colour of the lower one. A last odd row has no background. */
static bool write_blocks(const struct preview *preview, bool few, FILE *file)
{
    const size_t row = (size_t)preview->width * 3;
    for (size_t y = 0; y < preview->height; y += 2) {
        for (size_t x = 0; x < row; x += 3) {
            const uint8_t *upper = preview->pixels + y * row + x;
            write_block_colour(38, upper, few, file);
            if (y + 1 < preview->height)
                write_block_colour(48, upper + row, few, file);
            fputs("\xe2\x96\x80", file); /* U+2580 */
        }
        fputs("\033[0m\n", file);
    }
    return !ferror(file);
}

bool preview_write(const struct preview *preview, enum preview_protocol protocol, FILE *file)
{
    switch (protocol) {
    case PREVIEW_KITTY:
        return write_kitty(preview, file);
    case PREVIEW_ITERM:
        return write_iterm(preview, file);
    case PREVIEW_SIXEL:
        return write_sixel(preview, file);
    default:
        return write_blocks(preview, protocol == PREVIEW_BLOCKS_256, file);
    }
}
