/* SPDX-License-Identifier: MIT
 *
 * Compares the augmentation of pictures with formulas in double precision on the same random
 * numbers, and the crop also with Pillow's pixels.
 */
#include "base/array.h"
#include "support/testing.h"

#include <math.h>

#include "data/augment.h"

enum { SIZE = 16, COUNT = SIZE * SIZE };

static const struct image_transform transform = {
    SIZE, {0.48f, 0.46f, 0.41f}, {0.27f, 0.26f, 0.28f}, true};
static const double grey_weights[3] = {0.299, 0.587, 0.114};

/* Makes a smooth picture with noise, which is the same each time. */
static struct vkclip_image make_image(uint32_t width, uint32_t height, uint32_t channels)
{
    struct vkclip_image image = {.width = width, .height = height, .channels = channels};
    const size_t count = (size_t)width * height * channels;
    uint8_t *pixels = malloc(count);
    assert_non_null(pixels);
    for (size_t i = 0; i < count; i++) {
        double x = (double)(i / channels % width) / width, y = (double)(i / channels / width) / 20;
        double c = (double)(i % channels);
        pixels[i] = (uint8_t)(128 + 90 * sin(3 * x + 5 * y + c) + (double)(rng_word(9, i) % 30));
    }
    image.pixels = pixels;
    return image;
}

static void free_image(struct vkclip_image *image)
{
    free((void *)image->pixels);
    *image = (struct vkclip_image){0};
}

/* Returns a normalised value in the range 0..1 that it had before normalisation. */
static double value_at(const float *values, unsigned channel, size_t i)
{
    return (double)values[channel * COUNT + i] * transform.std[channel] + transform.mean[channel];
}

static void augment(const struct vkclip_augmentation *params, const struct vkclip_image *image,
                    uint64_t key, float *values)
{
    struct rng rng = {.key = key};
    assert_int_equal(augment_check(params), 0);
    assert_int_equal(augment_image(params, &transform, image, &rng, values), 0);
}

/* ---- The crop -------------------------------------------------------------------------------- */

static const struct vkclip_augmentation whole = {.scale = {1, 1}, .ratio = {1, 1}};

static void crops_the_whole_as_inference_does(void **state)
{
    (void)state;
    static const struct vkclip_augmentation off = {.off = true, .rotate = 9};
    static const uint32_t sizes[] = {5, SIZE, 17, 40, 131};
    float expected[3 * COUNT], found[3 * COUNT];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        for (uint32_t kind = 1; kind <= 5; kind++) { /* The last one is CMYK. */
            const uint32_t channels = kind < 5 ? kind : 4;
            struct vkclip_image image = make_image(sizes[i], sizes[i], channels);
            image.cmyk = kind == 5;
            assert_int_equal(image_preprocess(&image, &transform, NULL, expected), 0);
            augment(&whole, &image, i, found);
            assert_memory_equal(found, expected, sizeof(found));
            free_image(&image);
            image = make_image(sizes[i], 30, channels);
            image.cmyk = kind == 5;
            assert_int_equal(image_preprocess(&image, &transform, NULL, expected), 0);
            augment(&off, &image, i, found);
            assert_memory_equal(found, expected, sizeof(found));
            free_image(&image);
        }
}

/* Resizes with Keys' cubic filter, widened for reductions, in double precision, as Pillow does
 * before it rounds. */
static double cubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static double filtered(const double *line, int64_t in, int out)
{
    double scale = (double)in / SIZE, width = scale < 1 ? 1 : scale, sum = 0, weights = 0;
    double middle = (out + 0.5) * scale;
    for (int64_t i = 0; i < in; i++) {
        double weight = cubic(((double)i + 0.5 - middle) / width);
        sum += weight * line[i];
        weights += weight;
    }
    return sum / weights;
}

/* Chooses a crop as torchvision's RandomResizedCrop does, from the same random numbers. */
static void choose(const double scale[2], const double ratio[2], int64_t width, int64_t height,
                   struct rng *rng, int64_t box[4])
{
    for (int i = 0; i < 10; i++) {
        double area = (double)(width * height) * rng_between(rng, scale[0], scale[1]);
        double aspect = exp(rng_between(rng, log(ratio[0]), log(ratio[1])));
        box[2] = (int64_t)nearbyint(sqrt(area * aspect));
        box[3] = (int64_t)nearbyint(sqrt(area / aspect));
        if (box[2] < 1 || box[3] < 1 || box[2] > width || box[3] > height)
            continue;
        box[0] = (int64_t)rng_below(rng, (uint64_t)(width - box[2] + 1));
        box[1] = (int64_t)rng_below(rng, (uint64_t)(height - box[3] + 1));
        return;
    }
    double aspect = (double)width / (double)height;
    box[2] = aspect > ratio[1] ? (int64_t)nearbyint((double)height * ratio[1]) : width;
    box[3] = aspect < ratio[0] ? (int64_t)nearbyint((double)width / ratio[0]) : height;
    box[0] = (width - box[2]) / 2;
    box[1] = (height - box[3]) / 2;
}

/* Resizes one channel of a crop in double precision: first its rows, then its columns. */
static void resize_box(const struct vkclip_image *image, const int64_t box[4], unsigned c,
                       double expected[SIZE][SIZE])
{
    static double column[128], rows[128][SIZE];
    for (int64_t y = 0; y < box[3]; y++) {
        for (int64_t x = 0; x < box[2]; x++)
            column[x] = image->pixels[((box[1] + y) * image->width + box[0] + x) * 3 + c];
        for (int x = 0; x < SIZE; x++)
            rows[y][x] = fmin(255, fmax(0, filtered(column, box[2], x)));
    }
    for (int x = 0; x < SIZE; x++) {
        for (int64_t y = 0; y < box[3]; y++)
            column[y] = rows[y][x];
        for (int y = 0; y < SIZE; y++)
            expected[y][x] = fmin(255, fmax(0, filtered(column, box[3], y)));
    }
}

static void crops_as_the_reference(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        struct vkclip_augmentation params;
        double scale[2], ratio[2];
    } cases[] = {
        {50, 37, {0}, {0.9, 1}, {3.0 / 4, 4.0 / 3}},
        {20, 90, {.scale = {0.08, 1}}, {0.08, 1}, {3.0 / 4, 4.0 / 3}},
        /* Most crops of this case are the one from the middle. */
        {90, 20, {.ratio = {0.5, 2}}, {0.9, 1}, {0.5, 2}},
        {9, 11, {.scale = {0.2, 0.4}, .ratio = {1, 1}}, {0.2, 0.4}, {1, 1}},
    };
    double expected[SIZE][SIZE];
    float values[3 * COUNT];
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct vkclip_image image = make_image(cases[i].width, cases[i].height, 3);
        for (uint64_t key = 0; key < 20; key++) {
            struct rng rng = {.key = key};
            int64_t box[4];
            choose(cases[i].scale, cases[i].ratio, image.width, image.height, &rng, box);
            augment(&cases[i].params, &image, key, values);
            double worst = 0;
            for (unsigned c = 0; c < 3; c++) {
                resize_box(&image, box, c, expected);
                for (size_t p = 0; p < COUNT; p++) {
                    double found = 255 * value_at(values, c, p);
                    worst = fmax(worst, fabs(found - expected[p / SIZE][p % SIZE]));
                }
            }
            assert_true(worst < 1.3); /* Both directions round to bytes once. */
        }
        free_image(&image);
    }
}

/* Pillow 9.4.0 gave these bytes for a 23 x 17 picture of values (7 x + 11 y + 50 c) % 256 by
 * crop((3, 2, 18, 14)).resize((8, 8), BICUBIC). */
static const uint8_t pillow_bytes[8][8][3] = {{{49, 99, 149},
                                               {62, 112, 162},
                                               {75, 125, 175},
                                               {88, 138, 188},
                                               {102, 152, 202},
                                               {115, 165, 215},
                                               {128, 178, 231},
                                               {141, 191, 253}},
                                              {{65, 115, 165},
                                               {78, 128, 178},
                                               {91, 141, 191},
                                               {104, 154, 204},
                                               {118, 168, 217},
                                               {131, 181, 241},
                                               {144, 194, 223},
                                               {157, 207, 90}},
                                              {{82, 132, 182},
                                               {95, 145, 195},
                                               {108, 158, 208},
                                               {121, 171, 221},
                                               {135, 185, 243},
                                               {148, 198, 202},
                                               {161, 211, 73},
                                               {174, 225, 1}},
                                              {{98, 148, 198},
                                               {111, 161, 211},
                                               {124, 174, 225},
                                               {137, 187, 245},
                                               {151, 201, 210},
                                               {164, 214, 23},
                                               {177, 229, 12},
                                               {190, 239, 34}},
                                              {{115, 165, 215},
                                               {128, 178, 230},
                                               {141, 191, 255},
                                               {154, 204, 149},
                                               {168, 218, 10},
                                               {181, 235, 21},
                                               {194, 250, 38},
                                               {207, 95, 51}},
                                              {{131, 181, 236},
                                               {144, 194, 235},
                                               {157, 207, 112},
                                               {170, 220, 21},
                                               {184, 246, 24},
                                               {197, 219, 41},
                                               {210, 76, 54},
                                               {223, 13, 67}},
                                              {{148, 198, 206},
                                               {161, 211, 32},
                                               {174, 224, 8},
                                               {187, 249, 29},
                                               {201, 196, 46},
                                               {214, 64, 58},
                                               {227, 6, 71},
                                               {245, 34, 84}},
                                              {{164, 214, 46},
                                               {177, 227, 14},
                                               {190, 244, 34},
                                               {203, 124, 47},
                                               {217, 19, 61},
                                               {230, 15, 74},
                                               {249, 37, 87},
                                               {171, 50, 100}}};

static void resizes_as_pillow(void **state)
{
    (void)state;
    struct image_transform small = {8, {0}, {1, 1, 1}, true};
    uint8_t pixels[17][23][3], found[8][8][3];
    for (int y = 0; y < 17; y++)
        for (int x = 0; x < 23; x++)
            for (int c = 0; c < 3; c++)
                pixels[y][x][c] = (uint8_t)(7 * x + 11 * y + 50 * c);
    struct vkclip_image image = {.width = 15, .height = 12, .channels = 3, .stride = 23 * 3};
    image.pixels = pixels[2][3];
    assert_int_equal(image_resize(&image, &small, found[0][0]), 0);
    assert_memory_equal(found, pillow_bytes, sizeof(found));
}

/* ---- Rotated crops and crops over the edges -------------------------------------------------- */

/* Makes a picture of one colour on the left and another on the right. */
static struct vkclip_image make_halves(uint32_t size)
{
    struct vkclip_image image = make_image(size, size, 3);
    uint8_t *pixels = (uint8_t *)image.pixels;
    for (size_t i = 0; i < (size_t)size * size; i++)
        memset(pixels + 3 * i, i % size < size / 2 ? 40 : 200, 3);
    return image;
}

static void turns_about_the_middle(void **state)
{
    (void)state;
    const uint32_t size = 96;
    struct vkclip_image image = make_halves(size);
    float values[3 * COUNT];
    double least = 1, most = -1;
    for (uint64_t key = 0; key < 40; key++) {
        struct vkclip_augmentation params = {.scale = {1, 1}, .ratio = {1, 1}, .rotate = 40};
        augment(&params, &image, key, values);
        /* The crop's area, ratio and position take four random numbers before the rotation. */
        struct rng rng = {.key = key, .counter = 4};
        double angle = rng_between(&rng, -40, 40) / 180 * 3.14159265358979;
        least = fmin(least, angle);
        most = fmax(most, angle);
        for (size_t i = 0; i < COUNT; i++) {
            double x = (double)(i % SIZE) + 0.5 - SIZE / 2, y = (double)(i / SIZE) + 0.5 - SIZE / 2;
            double across = cos(angle) * x - sin(angle) * y;
            double down = sin(angle) * x + cos(angle) * y;
            double edge = fmin(fabs(across), fabs(SIZE / 2 - fmax(fabs(across), fabs(down))));
            double expected = across < 0 ? 40 : 200;
            if (fmax(fabs(across), fabs(down)) > SIZE / 2)
                expected = 255;
            /* Farther from the edge than the filter reaches there is only one colour. */
            if (edge > 2.6)
                assert_true(fabs(255 * value_at(values, 0, i) - expected) < 1.5);
        }
    }
    assert_true(least < -0.5 && most > 0.5);
    free_image(&image);
}

static void fills_what_is_outside(void **state)
{
    (void)state;
    struct vkclip_image image = make_halves(60);
    memset((uint8_t *)image.pixels, 0, 60 * 60 * 3);
    for (int fill_mean = 0; fill_mean < 2; fill_mean++)
        for (uint64_t key = 0; key < 20; key++) {
            /* The crop has twice the picture's width and height and contains all of it. */
            struct vkclip_augmentation params = {
                .scale = {4, 4}, .ratio = {1, 1}, .fill_mean = fill_mean};
            float values[3 * COUNT];
            augment(&params, &image, key, values);
            for (unsigned c = 0; c < 3; c++) {
                double fill = fill_mean ? transform.mean[c] : 1, sum = 0;
                for (size_t i = 0; i < COUNT; i++)
                    sum += fill - value_at(values, c, i);
                assert_true(fabs(sum / COUNT / fill - 0.25) < 0.02);
            }
        }
    free_image(&image);
}

/* Inks are cropped, turned and resized before they become colours, as those of a picture that is
 * not augmented are. */
static void turns_inks(void **state)
{
    (void)state;
    struct image_transform inks = transform;
    inks.rgb_first = false;
    struct vkclip_image image = make_image(40, 40, 4);
    const struct vkclip_augmentation still = {.scale = {1, 1}, .ratio = {1, 1}};
    /* A rotation by nearly nothing draws the same pixels. */
    const struct vkclip_augmentation turned = {.scale = {1, 1}, .ratio = {1, 1}, .rotate = 1e-9};
    const struct vkclip_augmentation outside = {
        .scale = {4, 4}, .ratio = {1, 1}, .fill_mean = true};
    float expected[3 * COUNT], found[3 * COUNT];
    image.cmyk = true;
    assert_int_equal(image_preprocess(&image, &inks, NULL, expected), 0);
    const struct vkclip_augmentation *const cases[] = {&still, &turned};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rng rng = {.key = 3};
        assert_int_equal(augment_image(cases[i], &inks, &image, &rng, found), 0);
        assert_memory_equal(found, expected, sizeof(found));
    }
    /* The picture is black without black ink, in the middle of what has the fill's colour. */
    for (size_t i = 0; i < 40 * 40 * 4; i++)
        ((uint8_t *)image.pixels)[i] = i % 4 < 3 ? 255 : 0;
    struct rng rng = {.key = 3};
    assert_int_equal(augment_image(&outside, &inks, &image, &rng, found), 0);
    for (unsigned c = 0; c < 3; c++) {
        double sum = 0;
        for (size_t i = 0; i < COUNT; i++)
            sum += value_at(found, c, i);
        assert_true(fabs(sum / COUNT / transform.mean[c] - 0.75) < 0.02);
    }
    free_image(&image);
}

/* ---- Colours --------------------------------------------------------------------------------- */

static double clamp(double value)
{
    return fmin(fmax(value, 0), 1);
}

static double grey_of(const double rgb[3])
{
    return grey_weights[0] * rgb[0] + grey_weights[1] * rgb[1] + grey_weights[2] * rgb[2];
}

/* Turns the hue by converting to HSV and back with the textbook's formulas. */
static void turn_hue(double rgb[3], double turn)
{
    double high = fmax(rgb[0], fmax(rgb[1], rgb[2])), low = fmin(rgb[0], fmin(rgb[1], rgb[2]));
    double spread = high - low, hue;
    if (spread == 0)
        return;
    if (high == rgb[0])
        hue = (rgb[1] - rgb[2]) / spread;
    else if (high == rgb[1])
        hue = 2 + (rgb[2] - rgb[0]) / spread;
    else
        hue = 4 + (rgb[0] - rgb[1]) / spread;
    hue = fmod(hue / 6 + turn + 2, 1) * 6;
    int sector = (int)hue;
    double part = hue - sector, rising = low + spread * part, falling = high - spread * part;
    const double all[6][3] = {{high, rising, low},  {falling, high, low}, {low, high, rising},
                              {low, falling, high}, {rising, low, high},  {high, low, falling}};
    memcpy(rgb, all[sector % 6], sizeof(all[0]));
}

/* Applies one of brightness, contrast, saturation and hue. */
static void change(unsigned what, double factor, double rgb[COUNT][3])
{
    double mean = 0;
    for (size_t i = 0; i < COUNT; i++)
        mean += grey_of(rgb[i]) / COUNT;
    for (size_t i = 0; i < COUNT; i++) {
        /* What each colour is mixed with: black, the mean grey, or the grey of the pixel. */
        const double others[] = {0, mean, grey_of(rgb[i])};
        if (what == 3)
            turn_hue(rgb[i], factor);
        for (unsigned c = 0; what < 3 && c < 3; c++)
            rgb[i][c] = clamp(factor * rgb[i][c] + (1 - factor) * others[what]);
    }
}

static void changes_colors_as_the_reference(void **state)
{
    (void)state;
    static const double jitters[][4] = {{0.4, 0, 0, 0}, {0, 0.4, 0, 0},       {0, 0, 0.4, 0},
                                        {0, 0, 0, 0.5}, {0.3, 0.3, 0.3, 0.1}, {1, 1, 1, 0.5}};
    static double rgb[COUNT][3];
    struct vkclip_image image = make_image(SIZE, SIZE, 3);
    float values[3 * COUNT];
    for (size_t k = 0; k < ARRAY_COUNT(jitters); k++)
        for (uint64_t key = 0; key < 10; key++) {
            struct vkclip_augmentation params = whole;
            memcpy(params.color_jitter, jitters[k], sizeof(params.color_jitter));
            augment(&params, &image, key, values);
            for (size_t i = 0; i < 3 * COUNT; i++)
                rgb[i / 3][i % 3] = image.pixels[i] / 255.0;
            struct rng rng = {.key = key, .counter = 5}; /* The crop takes five. */
            unsigned order[] = {0, 1, 2, 3};
            for (unsigned left = 4; left; left--) {
                uint64_t chosen = rng_below(&rng, left);
                unsigned what = order[chosen];
                order[chosen] = order[left - 1];
                double middle = what < 3, reach = jitters[k][what];
                double factor = rng_between(&rng, middle - reach, middle + reach);
                if (reach > 0)
                    change(what, factor, rgb);
            }
            for (size_t i = 0; i < COUNT; i++)
                for (unsigned c = 0; c < 3; c++)
                    assert_true(fabs(value_at(values, c, i) - rgb[i][c]) < 1e-5);
        }
    free_image(&image);
}

static void colors_come_by_chance(void **state)
{
    (void)state;
    enum { TIMES = 400 };
    struct vkclip_image image = make_image(SIZE, SIZE, 3);
    struct vkclip_augmentation params = whole;
    float plain[3 * COUNT], values[3 * COUNT];
    unsigned changed = 0, grey = 0;
    augment(&whole, &image, 0, plain);
    params.color_jitter[0] = 0.5;
    params.color_jitter_prob = 0.7;
    for (uint64_t key = 0; key < TIMES; key++) {
        augment(&params, &image, key, values);
        changed += memcmp(values, plain, sizeof(values)) != 0;
    }
    assert_in_range(changed, 240, 320); /* 280 expected, deviation 9 */
    params = whole;
    params.gray_scale_prob = 0.2;
    for (uint64_t key = 0; key < TIMES; key++) {
        augment(&params, &image, key, values);
        const double rgb[] = {value_at(plain, 0, 7), value_at(plain, 1, 7), value_at(plain, 2, 7)};
        if (!memcmp(values, plain, sizeof(values)))
            continue;
        grey++;
        for (unsigned c = 0; c < 3; c++)
            assert_true(fabs(value_at(values, c, 7) - grey_of(rgb)) < 1e-5);
    }
    assert_in_range(grey, 50, 115); /* 80 expected, deviation 8 */
    free_image(&image);
}

static void gains_differ_by_channel(void **state)
{
    (void)state;
    struct vkclip_image image = make_image(SIZE, SIZE, 3);
    struct vkclip_augmentation params = whole;
    float values[3 * COUNT];
    params.channel_gain = 0.3;
    for (uint64_t key = 0; key < 20; key++) {
        struct rng rng = {.key = key, .counter = 5};
        augment(&params, &image, key, values);
        for (unsigned c = 0; c < 3; c++) {
            double gain = rng_between(&rng, 0.7, 1.3);
            for (size_t i = 0; i < COUNT; i++)
                assert_true(fabs(value_at(values, c, i) -
                                 clamp(gain * image.pixels[3 * i + c] / 255.0)) < 1e-5);
        }
    }
    free_image(&image);
}

/* ---- Extreme parameters ---------------------------------------------------------------------- */

/* Extreme parameters and pictures give values in the range of colours, which are the same each
 * time. */
static void stays_in_bounds(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{1, 1}, {1, 200}, {200, 1}, {2, 3}, {33, 31}};
    static const struct vkclip_augmentation all[] = {
        {.scale = {1e-4, 4}, .ratio = {0.01, 100}, .rotate = 180, .channel_gain = 1},
        {.scale = {1e-4, 1e-4}, .ratio = {100, 100}},
        {.scale = {1, 1}, .ratio = {0.01, 0.01}},
        {.color_jitter = {1, 1, 1, 0.5}, .gray_scale_prob = 0.5, .rotate = 45, .fill_mean = true},
    };
    float values[3 * COUNT], again[3 * COUNT];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        for (size_t k = 0; k < ARRAY_COUNT(all); k++)
            for (uint64_t key = 0; key < 20; key++) {
                uint32_t channels = (uint32_t)(key % 4) + 1;
                struct vkclip_image image = make_image(sizes[i][0], sizes[i][1], channels);
                augment(&all[k], &image, key, values);
                augment(&all[k], &image, key, again);
                assert_memory_equal(values, again, sizeof(values));
                for (size_t n = 0; n < 3 * COUNT; n++) {
                    double value = value_at(values, (unsigned)(n / COUNT), n % COUNT);
                    assert_true(value > -1e-5 && value < 1 + 1e-5);
                }
                free_image(&image);
            }
}

static void refuses_senseless_parameters(void **state)
{
    (void)state;
    static const struct {
        struct vkclip_augmentation params;
        const char *message;
    } cases[] = {
        {{.scale = {0.5, 0.2}}, "scale 0.5 to 0.2, expected"},
        {{.scale = {0, 1}}, "scale 0 to 1"},
        {{.scale = {0.5, 5}}, "scale 0.5 to 5"},
        {{.scale = {NAN, 1}}, "scale"},
        {{.ratio = {-1, 1}}, "ratio -1 to 1"},
        {{.ratio = {1, INFINITY}}, "ratio 1 to inf"},
        {{.rotate = 181}, "rotation by 181"},
        {{.rotate = NAN}, "rotation"},
        {{.color_jitter = {0, 0, 0, 0.6}}, "hue 0.6, expected 0 to 0.5"},
        {{.color_jitter = {0, -0.1}}, "contrast -0.1, expected 0 to 1"},
        {{.color_jitter_prob = 1.5}, "probabilities 1.5"},
        {{.gray_scale_prob = -1}, "and -1 of gray scale"},
        {{.channel_gain = 2}, "channel gain 2"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(augment_check(&cases[i].params), VKCLIP_EINVALID);
        assert_non_null(strstr(vkclip_last_error(), cases[i].message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops_the_whole_as_inference_does),
        cmocka_unit_test(crops_as_the_reference),
        cmocka_unit_test(resizes_as_pillow),
        cmocka_unit_test(turns_about_the_middle),
        cmocka_unit_test(fills_what_is_outside),
        cmocka_unit_test(turns_inks),
        cmocka_unit_test(changes_colors_as_the_reference),
        cmocka_unit_test(colors_come_by_chance),
        cmocka_unit_test(gains_differ_by_channel),
        cmocka_unit_test(stays_in_bounds),
        cmocka_unit_test(refuses_senseless_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
