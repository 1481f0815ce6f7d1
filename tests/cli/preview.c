/* SPDX-License-Identifier: MIT
 *
 * Pictures in a terminal: what each protocol's bytes mean to a terminal is decoded here and
 * compared with the pixels; sizes, transparency, and what terminals answer.
 */
#define _GNU_SOURCE
#include "support/testing.h"
#include "cli/commands/preview.h"
#include "cli/commands/terminal.h"

static const struct preview_screen screen = {PREVIEW_SIXEL, 80, 10, 20};

/* What write_preview wrote last. */
static char *written;
static size_t written_size;

static char *write_preview(const struct preview *preview, enum preview_protocol protocol)
{
    free(written);
    written = NULL;
    FILE *file = open_memstream(&written, &written_size);
    assert_true(preview_write(preview, protocol, file));
    fclose(file);
    return written;
}

/* No protocol divides these sizes evenly, and kitty's needs several pieces. */
enum { WIDTH = 37, HEIGHT = 43 };

/* Makes a picture of smooth colours. */
static struct preview make_preview(void)
{
    struct preview preview = {malloc(WIDTH * HEIGHT * 3), WIDTH, HEIGHT, 4, 3};
    assert_non_null(preview.pixels);
    for (size_t i = 0; i < WIDTH * HEIGHT; i++) {
        preview.pixels[3 * i] = (uint8_t)(i % WIDTH * 6);
        preview.pixels[3 * i + 1] = (uint8_t)(i / WIDTH * 5);
        preview.pixels[3 * i + 2] = (uint8_t)(255 - i % WIDTH * 2);
    }
    return preview;
}

static size_t read_base64(const char *text, size_t length, uint8_t *data)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = 0;
    uint32_t bits = 0;
    assert_int_equal(length % 4, 0);
    for (size_t i = 0; i < length && text[i] != '='; i++) {
        const char *digit = strchr(digits, text[i]);
        assert_non_null(digit);
        bits = bits << 6 | (uint32_t)(digit - digits);
        if (i % 4)
            data[size++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return size;
}

static void kitty_gets_the_pixels(void **state)
{
    (void)state;
    static const char head[] = "\033_Ga=T,f=24,q=2,s=37,v=43,c=4,r=3,m=1;";
    struct preview preview = make_preview();
    size_t found = 0;
    uint8_t *pixels = malloc(WIDTH * HEIGHT * 3 + 3);
    char *bytes = write_preview(&preview, PREVIEW_KITTY), *at = bytes;
    bool more = true;
    assert_memory_equal(bytes, head, strlen(head));
    while (more) {
        char *data = strchr(at, ';') + 1, *end = strstr(data, "\033\\");
        assert_non_null(end);
        more = data[-2] == '1';
        assert_true(end - data <= 4096);
        found += read_base64(data, (size_t)(end - data), pixels + found);
        at = end + 2;
    }
    assert_string_equal(at, "\n");
    assert_int_equal(found, WIDTH * HEIGHT * 3);
    assert_memory_equal(pixels, preview.pixels, found);
    free(pixels);
    preview_free(&preview);
}

static void iterm_gets_a_png_file(void **state)
{
    (void)state;
    struct preview preview = make_preview();
    char *bytes = write_preview(&preview, PREVIEW_ITERM);
    unsigned length = 0, columns = 0, rows = 0;
    assert_int_equal(sscanf(bytes, "\033]1337;File=inline=1;size=%u;width=%u;height=%u:", &length,
                            &columns, &rows),
                     3);
    assert_int_equal(columns, 4);
    assert_int_equal(rows, 3);
    char *data = strchr(bytes, ':') + 1, *end = strchr(data, '\a');
    assert_string_equal(end, "\a\n");
    uint8_t *file = malloc((size_t)(end - data));
    assert_int_equal(read_base64(data, (size_t)(end - data), file), length);
    struct vkclip_image image;
    if (vkclip_decode_image(file, length, "preview", NULL, &image))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, HEIGHT);
    assert_int_equal(image.channels, 3);
    assert_memory_equal(image.pixels, preview.pixels, WIDTH * HEIGHT * 3);
    vkclip_free_image(&image);
    free(file);
    preview_free(&preview);
}

/* Draws sixels as a terminal does. Pixels that were never drawn stay as they are. */
static void draw_sixels(const char *text, uint8_t *pixels, size_t width, size_t height)
{
    uint8_t palette[256][3] = {{0}};
    size_t x = 0, y = 0, colour = 0;
    while (*text && *text != '\033') {
        unsigned number = 0, rgb[3], count = 1;
        int used = 0;
        if (sscanf(text, "#%u;2;%u;%u;%u%n", &number, &rgb[0], &rgb[1], &rgb[2], &used) == 4) {
            assert_true(number < 256);
            for (size_t c = 0; c < 3; c++)
                palette[number][c] = (uint8_t)((rgb[c] * 255 + 50) / 100);
            text += used;
            continue;
        }
        if (sscanf(text, "#%u%n", &number, &used) == 1) {
            colour = number;
            text += used;
            continue;
        }
        if (*text == '$' || *text == '-') {
            x = 0;
            y += *text++ == '-' ? 6 : 0;
            continue;
        }
        if (sscanf(text, "!%u%n", &count, &used) == 1)
            text += used;
        const int bits = *text++ - '?';
        assert_true(bits >= 0 && bits < 64);
        for (; count; count--, x++)
            for (size_t i = 0; i < 6; i++)
                if (bits >> i & 1) {
                    assert_true(x < width && y + i < height);
                    memcpy(pixels + ((y + i) * width + x) * 3, palette[colour], 3);
                }
    }
    assert_string_equal(text, "\033\\\n");
}

/* Every pixel is drawn, and the mean of each area of 8 by 8 pixels is right. */
static void sixel_shows_the_colours(void **state)
{
    (void)state;
    struct preview preview = make_preview();
    char *bytes = write_preview(&preview, PREVIEW_SIXEL);
    static const char head[] = "\033Pq\"1;1;37;43";
    assert_memory_equal(bytes, head, strlen(head));
    uint8_t *pixels = malloc(WIDTH * HEIGHT * 3);
    memset(pixels, 1, WIDTH * HEIGHT * 3); /* No colour of the palette has a 1. */
    draw_sixels(bytes + strlen(head), pixels, WIDTH, HEIGHT);
    assert_null(memchr(pixels, 1, WIDTH * HEIGHT * 3));
    for (size_t top = 0; top + 8 <= HEIGHT; top += 4)
        for (size_t left = 0; left + 8 <= WIDTH; left += 4)
            for (size_t c = 0; c < 3; c++) {
                int difference = 0;
                for (size_t i = 0; i < 64; i++) {
                    const size_t at = ((top + i / 8) * WIDTH + left + i % 8) * 3 + c;
                    difference += pixels[at] - preview.pixels[at];
                }
                if (abs(difference) > 64 * 16) /* a third of the step between two levels */
                    fail_msg("at %zu, %zu: colours differ by %d", left, top, difference / 64);
            }
    free(pixels);
    preview_free(&preview);
}

static void blocks_are_written(void **state)
{
    (void)state;
    uint8_t pixels[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7, 255, 255, 255, 0, 0, 0};
    const struct preview preview = {pixels, 2, 3, 2, 2};
    char *bytes = write_preview(&preview, PREVIEW_BLOCKS);
    assert_string_equal(bytes, "\033[38;2;255;0;0m\033[48;2;0;0;255m\xe2\x96\x80"
                               "\033[38;2;0;255;0m\033[48;2;9;8;7m\xe2\x96\x80\033[0m\n"
                               "\033[38;2;255;255;255m\xe2\x96\x80"
                               "\033[38;2;0;0;0m\xe2\x96\x80\033[0m\n");
    bytes = write_preview(&preview, PREVIEW_BLOCKS_256);
    assert_string_equal(bytes, "\033[38;5;196m\033[48;5;21m\xe2\x96\x80"
                               "\033[38;5;46m\033[48;5;16m\xe2\x96\x80\033[0m\n"
                               "\033[38;5;231m\xe2\x96\x80\033[38;5;16m\xe2\x96\x80\033[0m\n");
}

static void sizes_fit_the_screen(void **state)
{
    (void)state;
    static const struct {
        enum preview_protocol protocol;
        uint32_t width, height, expected_width, expected_height, columns, rows;
    } cases[] = {
        {PREVIEW_SIXEL, 480, 480, 240, 240, 24, 12}, /* 12 rows of 20 pixels */
        {PREVIEW_SIXEL, 100, 50, 100, 50, 10, 3},    /* not enlarged */
        {PREVIEW_SIXEL, 4000, 40, 800, 8, 80, 1},    /* 80 columns of 10 pixels */
        {PREVIEW_KITTY, 101, 41, 101, 41, 11, 3},    {PREVIEW_BLOCKS, 480, 480, 24, 24, 24, 12},
        {PREVIEW_BLOCKS, 1000, 1, 80, 1, 80, 1},     {PREVIEW_BLOCKS_256, 1, 1000, 1, 24, 1, 12},
    };
    uint8_t *pixels = calloc(480 * 480, 3);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct preview_screen own = screen;
        struct preview preview;
        own.protocol = cases[i].protocol;
        const struct vkclip_image image = {
            .pixels = pixels, .width = cases[i].width, .height = cases[i].height, .channels = 3};
        assert_true(preview_scale(&image, &own, 12, &preview));
        assert_int_equal(preview.width, cases[i].expected_width);
        assert_int_equal(preview.height, cases[i].expected_height);
        assert_int_equal(preview.columns, cases[i].columns);
        assert_int_equal(preview.rows, cases[i].rows);
        preview_free(&preview);
    }
    free(pixels);
}

/* Four pixels become one, of every number of channels, and transparency shows white. */
static void pixels_are_averaged(void **state)
{
    (void)state;
    static const struct {
        uint32_t channels;
        uint8_t pixels[16], expected[3];
        bool cmyk;
    } cases[] = {
        {1, {10, 20, 30, 40}, {25, 25, 25}},
        {2, {0, 255, 0, 255, 0, 0, 0, 0}, {128, 128, 128}},
        {3, {10, 0, 5, 10, 0, 5, 30, 4, 5, 30, 4, 5}, {20, 2, 5}},
        {4, {0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 255, 255}, {0, 0, 255}},
        {4, {9, 9, 9, 0, 9, 9, 9, 0, 9, 9, 9, 0, 9, 9, 9, 0}, {255, 255, 255}},
        {4, {0}, {255, 255, 255}, true}, /* no ink */
        {4, {255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0}, {0, 255, 255}, true},
        {4, {0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255}, {0, 0, 0}, true},
    };
    static const struct preview_screen tiny = {PREVIEW_KITTY, 1, 1, 1};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct preview preview;
        const struct vkclip_image image = {.pixels = cases[i].pixels,
                                           .width = 2,
                                           .height = 2,
                                           .channels = cases[i].channels,
                                           .cmyk = cases[i].cmyk};
        assert_true(preview_scale(&image, &tiny, 1, &preview));
        assert_int_equal(preview.width * preview.height, 1);
        assert_memory_equal(preview.pixels, cases[i].expected, 3);
        preview_free(&preview);
    }
}

static void answers_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum preview_protocol protocol;
    } cases[] = {
        {"\033_Gi=31;OK\033\\\033[?62;c", PREVIEW_KITTY},
        {"\033_Gi=31;ENOTSUPPORTED\033\\\033[?62;4c", PREVIEW_SIXEL},
        {"\033[?62;4;6;22c", PREVIEW_SIXEL},
        {"\033[?63;1;2;4c", PREVIEW_SIXEL},
        {"\033[?64;1;2;14;24;46c", PREVIEW_AUTO},
        {"\033[?4c", PREVIEW_AUTO}, /* the first number is the class of terminal */
        {"\033[?1;2c", PREVIEW_AUTO},
        {"\033[?1;x4c", PREVIEW_AUTO},
        {"", PREVIEW_AUTO},
        {"\033[?62;", PREVIEW_AUTO},
        {"ls -l\r", PREVIEW_AUTO},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_int_equal(terminal_read_answer(cases[i].answer, strlen(cases[i].answer)),
                         cases[i].protocol);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kitty_gets_the_pixels),   cmocka_unit_test(iterm_gets_a_png_file),
        cmocka_unit_test(sixel_shows_the_colours), cmocka_unit_test(blocks_are_written),
        cmocka_unit_test(sizes_fit_the_screen),    cmocka_unit_test(pixels_are_averaged),
        cmocka_unit_test(answers_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
