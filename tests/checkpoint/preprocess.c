/* SPDX-License-Identifier: MIT
 *
 * Pictures are prepared as the configurations of CLIP's descendants say: to the bit as Pillow does.
 */
#include "base/array.h"
#include "base/string.h"
#include "checkpoint/hugging_face.h"
#include "checkpoint/inputs.h"
#include "checkpoint/open.h"
#include "format/safetensors.h"
#include "support/testing.h"

#include <math.h>

/* Folders of Hugging Face have two results: Pillow's and, as `u8`, those of torchvision. Of such a
 * folder only the processor's configuration is read, for a tower whose pictures have this size. */
static const struct {
    const char *folder;
    uint32_t size;
} cases[] = {
    {"dfn-openclip-quickgelu", 0}, {"clipa-openclip", 0}, {"pe-openclip", 0},
    {"siglip-openclip", 0},        {"siglip-hf", 48},     {"siglip2-hf", 32},
    {"chineseclip-hf", 32},
};

static const struct picture {
    const char *name, *file;
} pictures[] = {
    {"rgba", "rgba_64x52.png"}, {"tall", "tall_37x118.png"}, {"wide", "wide_97x41.png"}};

/* Compares the normalised values of one of the pictures, which the reference made of `u8`. */
static void check_values(const struct safetensors *expected, const struct picture *picture,
                         const struct vkclip_image *image, const struct image_transform *transform)
{
    char *name = string_format("pixel_values.%s", picture->name);
    const struct tensor_view *tensor = safetensors_find(expected, name);
    const size_t count = (size_t)3 * transform->size * transform->size;
    float *values = malloc(count * sizeof(*values));
    assert_non_null(values);
    assert_int_equal(image_preprocess(image, transform, NULL, values), 0);
    for (size_t i = 0; tensor && i < count; i++)
        assert_true(fabs((double)values[i] - tensor_view_value(tensor, i)) < 1e-6);
    free(values);
    free(name);
}

static void check_picture(const char *prefix, const struct picture *picture,
                          const struct safetensors *expected,
                          const struct image_transform *transform)
{
    char *relative = string_format("family/images/%s", picture->file),
         *path = golden_path(relative);
    char *name = string_format("%s%s", prefix, picture->name);
    const struct tensor_view *tensor = safetensors_find(expected, name);
    struct vkclip_image image;
    assert_true(path && tensor);
    assert_int_equal(vkclip_load_image(path, NULL, &image), 0);
    uint8_t *found = malloc(tensor->size);
    assert_int_equal(tensor->size, (size_t)transform->size * transform->size * 3);
    assert_int_equal(image_preprocess(&image, transform, found, NULL), 0);
    for (size_t i = 0; i < tensor->size; i++)
        if (found[i] != ((const uint8_t *)tensor->data)[i])
            fail_msg("%s of %ux%u: %u at %zu, expected %u", name, image.width, image.height,
                     found[i], i, ((const uint8_t *)tensor->data)[i]);
    if (!strcmp(prefix, "u8."))
        check_values(expected, picture, &image, transform);
    vkclip_free_image(&image);
    free(found);
    free(name);
    free(path);
    free(relative);
}

static int read_transform(const char *folder, uint32_t size, struct image_transform *transform)
{
    struct config config = config_defaults;
    char *path =
        string_format("%s/%s", folder, size ? "preprocessor_config.json" : "open_clip_config.json");
    config.image_size = size;
    int error = size ? hugging_face_read_preprocessor(path, &config)
                     : checkpoint_read_config(path, &config);
    *transform = checkpoint_image_transform(&config);
    config_close(&config);
    free(path);
    return error;
}

static void check_folder(const char *name, uint32_t size)
{
    char *relative = string_format("family/%s", name), *folder = golden_path(relative);
    struct image_transform transform;
    struct safetensors *expected = NULL;
    if (!folder) {
        printf("skipped: reference data %s is not here\n", relative);
    } else {
        char *results = string_format("%s/preprocess.safetensors", folder);
        if (read_transform(folder, size, &transform))
            fail_msg("%s: %s", name, vkclip_last_error());
        assert_int_equal(safetensors_open(results, &expected), 0);
        for (size_t i = 0; i < ARRAY_COUNT(pictures); i++)
            check_picture(size ? "u8_pil." : "u8.", &pictures[i], expected, &transform);
        safetensors_close(&expected);
        free(results);
    }
    free(folder);
    free(relative);
}

static void follows_configurations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        check_folder(cases[i].folder, cases[i].size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(follows_configurations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
