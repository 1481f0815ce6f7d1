/* SPDX-License-Identifier: MIT
 *
 * Compares a full-size model of random weights with the reference's embeddings:
 *     test_fullsize MODEL.safetensors EXPECTED.safetensors [ITEMS [STORAGES]]
 * The pictures are the reference's inputs, already cropped. If the system tells how much memory a
 * process takes, loading must also stay within its bound on the host's memory.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/string.h"
#include "support/testing.h"

#include <math.h>

#include "format/safetensors.h"

static const char *model_path, *expected_path;
static size_t most_items = 4, most_storages = 4;

static void log_all(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    if (level <= VKCLIP_LOG_INFO)
        printf("%s\n", message);
}

/* Checks the smallest cosine, and the largest error as a share of the largest value. */
static void compare(const char *name, const float *found, const struct tensor_view *expected,
                    size_t items, double relative, double cosine)
{
    size_t dim = expected->shape[1];
    double worst = 0, largest = 0, least = 1;
    for (size_t i = 0; i < items; i++) {
        double dot = 0, a = 0, b = 0;
        for (size_t d = 0; d < dim; d++) {
            double x = found[i * dim + d], y = tensor_view_value(expected, i * dim + d);
            worst = fmax(worst, isfinite(x) ? fabs(x - y) : INFINITY);
            largest = fmax(largest, fabs(y));
            dot += x * y, a += x * x, b += y * y;
        }
        least = fmin(least, dot / sqrt(a * b));
    }
    printf("%s: relative error %.2g, 1 - cosine %.2g\n", name, worst / largest, 1 - least);
    assert_true(worst <= relative * largest && least >= cosine);
}

/* Reads the pictures that the .json file beside the expected values names from the reference data
 * of preprocessing. Sets *count to the number of pictures of this size if there are fewer. */
static float *read_pixels(uint32_t size, size_t *count)
{
    const size_t items = *count;
    static const char *const names[] = {"astronaut_png", "rocket_jpg", "chelsea_png",
                                        "diagram_png"};
    const float mean[] = {0.48145466f, 0.4578275f, 0.40821073f};
    const float std[] = {0.26862954f, 0.26130258f, 0.27577711f};
    float *pixels = malloc(items * 3 * size * size * sizeof(*pixels));
    char tensor[16];
    snprintf(tensor, sizeof(tensor), "u8_%u", size);
    for (size_t i = 0; i < items; i++) {
        char *name = string_format("preprocess/expected/%s.safetensors", names[i]);
        const char *folder = getenv("VKCLIP_GOLDEN");
        char *path = string_format("%s/%s", folder ? folder : "../shared/golden", name);
        struct safetensors *file = NULL;
        if (safetensors_open(path, &file))
            fail_msg("%s", vkclip_last_error());
        const struct tensor_view *u8 = safetensors_find(file, tensor);
        *count = u8 || *count < i ? *count : i;
        for (size_t channel = 0; u8 && channel < 3; channel++)
            for (size_t p = 0; p < (size_t)size * size; p++)
                pixels[(i * 3 + channel) * size * size + p] =
                    (((const uint8_t *)u8->data)[p * 3 + channel] / 255.0f - mean[channel]) /
                    std[channel];
        safetensors_close(&file);
        free(path);
        free(name);
    }
    return pixels;
}

static void embeddings_match_the_reference(void **state)
{
    (void)state;
    struct safetensors *expected = NULL;
    struct vkclip_device *device = NULL;
    struct vkclip_device_info device_info = {.size = sizeof(device_info)};
    struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    assert_int_equal(safetensors_open(expected_path, &expected), 0);
    const struct tensor_view *image = safetensors_find(expected, "image_embeds");
    const struct tensor_view *text = safetensors_find(expected, "text_embeds");
    const struct tensor_view *tokens = safetensors_find(expected, "tokens");
    size_t n = most_items < image->shape[0] ? most_items : image->shape[0];
    size_t m = most_items < text->shape[0] ? most_items : text->shape[0];
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    vkclip_get_device_info(device, &device_info);
    static const struct {
        enum vkclip_precision precision;
        enum vkclip_weights weights;
        double cosine;
    } storages[] = {
        {VKCLIP_PRECISION_F32, VKCLIP_WEIGHTS_AUTO, 0.99999},
        {VKCLIP_PRECISION_F16, VKCLIP_WEIGHTS_AUTO, 0.999},
        {VKCLIP_PRECISION_F32, VKCLIP_WEIGHTS_Q8, 0.999},
        {VKCLIP_PRECISION_F32, VKCLIP_WEIGHTS_Q4, 0.975},
    };
    for (size_t i = 0; i < ARRAY_COUNT(storages) && i < most_storages; i++) {
        const bool rounded = i > 0; /* Something is stored in less than fp32. */
        if (storages[i].precision == VKCLIP_PRECISION_F16 && !strstr(device_info.caps, "f16"))
            continue;
        struct vkclip_model *model = NULL;
        struct vkclip_model_params model_params = {.size = sizeof(model_params),
                                                   .precision = storages[i].precision,
                                                   .weights = storages[i].weights};
        struct vkclip_model_info info = {.size = sizeof(info)};
        struct vkclip_encode_params encode = {.size = sizeof(encode), .no_normalize = true};
        if (vkclip_open_model(device, model_path, &model_params, &model))
            fail_msg("%s", vkclip_last_error());
        vkclip_get_model_info(model, &info);
        float *pixels = read_pixels(info.image_size, &n);
        assert_true(n > 0);
        float *found = malloc((n + m) * info.embed_dim * sizeof(*found));
        if (vkclip_encode_pixels(model, pixels, rounded ? 1 : n, &encode, found))
            fail_msg("%s", vkclip_last_error());
        compare("image_embeds", found, image, rounded ? 1 : n, rounded ? INFINITY : 1e-4,
                storages[i].cosine);
        if (vkclip_encode_tokens(model, tokens->data, m, info.context, &encode, found))
            fail_msg("%s", vkclip_last_error());
        compare("text_embeds", found, text, m, rounded ? INFINITY : 1e-4, storages[i].cosine);
        free(found);
        free(pixels);
        vkclip_close_model(&model);
    }
    vkclip_close_device(&device);
    safetensors_close(&expected);
}

/* With q4, every one of the fixed inputs with which `vkclip convert` checks a conversion must stay
 * close to fp32. Only the smallest model is tested, because twelve pictures take long with the
 * others. */
static void q4_stays_close_on_fixed_inputs(void **state)
{
    (void)state;
    static const struct vkclip_model_params q4 = {.size = sizeof(q4), .weights = VKCLIP_WEIGHTS_Q4};
    struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_comparison found = {.size = sizeof(found)};
    assert_int_equal(vkclip_open_model(NULL, model_path, NULL, &model), 0);
    vkclip_get_model_info(model, &info);
    vkclip_close_model(&model);
    if (info.patch_size != 32)
        return;
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    if (vkclip_compare_models(device, model_path, NULL, model_path, &q4, NULL, NULL, &found))
        fail_msg("%s", vkclip_last_error());
    printf("q4: images %.4f %.4f, texts %.4f %.4f\n", found.image_min, found.image_mean,
           found.text_min, found.text_mean);
    assert_true(found.images > 0 && found.image_min >= 0.99);
    assert_true(found.texts > 0 && found.text_min >= 0.975);
    vkclip_close_device(&device);
}

/* Returns VmHWM or VmRSS of this process in bytes, or 0 without /proc. */
static uint64_t read_memory(const char *what)
{
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, what, strlen(what)))
            sscanf(line + strlen(what), ": %llu", &kilobytes);
    if (file)
        fclose(file);
    return kilobytes * 1024;
}

/* On a device whose memory is the host's, the process may grow by the weights on the device and by
 * 64 MiB, which leaves no room for a second copy of the weights. */
static void loading_is_bounded(void **state)
{
    (void)state;
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    /* The code and data of the driver are no part of loading. */
    const uint64_t before = read_memory("VmRSS");
    if (!before) {
        printf("skipped: this system does not tell a process's memory\n");
        vkclip_close_device(&device);
        return;
    }
    FILE *clear = fopen("/proc/self/clear_refs", "w"); /* Writing 5 resets the peak. */
    if (clear) {
        fputs("5", clear);
        fclose(clear);
    }
    assert_int_equal(vkclip_open_model(device, model_path, NULL, &model), 0);
    vkclip_get_model_info(model, &info);
    uint64_t peak = read_memory("VmHWM") - before;
    printf("weights %.1f MiB on the device, peak growth while loading %.1f MiB\n",
           (double)info.weights_bytes / 0x100000, (double)peak / 0x100000);
    assert_true(peak <= info.weights_bytes + ((uint64_t)64 << 20));
    vkclip_close_model(&model);
    vkclip_close_device(&device);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    model_path = argv[1];
    expected_path = argv[2];
    if (argc > 3)
        most_items = (size_t)atoi(argv[3]);
    if (argc > 4)
        most_storages = (size_t)atoi(argv[4]);
    vkclip_set_log(log_all, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_is_bounded),
        cmocka_unit_test(embeddings_match_the_reference),
        cmocka_unit_test(q4_stays_close_on_fixed_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
