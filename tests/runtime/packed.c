/* SPDX-License-Identifier: MIT
 *
 * Compares a model that has packed weights with the same model in fp32, on the device that the
 * environment names: how far the embeddings turn, and how many bytes the weights take.
 */
#include "base/array.h"
#include "support/testing.h"

#include <math.h>

#include "checkpoint/weights.h"

#define MODEL "models/emoji-clip"
/* The test compares this many items. Their arithmetic takes nearly all of its time, so SwiftShader,
 * which computes about 1 GFLOP/s, gets a third of them. */
enum { ITEMS = 12, ITEMS_SWIFTSHADER = 4 };
static size_t items = ITEMS;

static struct vkclip_device *device;
static struct vkclip_model_info plain = {.size = sizeof(plain)};
static float *image_embeds, *text_embeds, *pixels;
static int32_t *ids;

static void encode(const struct vkclip_model_params *params, struct vkclip_model_info *info,
                   float *images, float *texts)
{
    struct vkclip_model *model = NULL;
    if (vkclip_open_model(device, MODEL, params, &model))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(vkclip_get_model_info(model, info), 0);
    if (vkclip_encode_pixels(model, pixels, items, NULL, images) ||
        vkclip_encode_tokens(model, ids, items, info->context, NULL, texts))
        fail_msg("%s", vkclip_last_error());
    vkclip_close_model(&model);
}

/* Makes pictures of stripes and checks in changing widths and colours, and texts whose ids are
 * spread over the whole table, and encodes them in fp32. */
static int open_all(void **state)
{
    (void)state;
    struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    struct vkclip_model *model = NULL;
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    struct vkclip_device_info device_info = {.size = sizeof(device_info)};
    vkclip_get_device_info(device, &device_info);
    if (strstr(device_info.name, "SwiftShader"))
        items = ITEMS_SWIFTSHADER;
    assert_int_equal(vkclip_open_model(NULL, MODEL, NULL, &model), 0);
    vkclip_get_model_info(model, &plain);
    vkclip_close_model(&model);
    size_t side = plain.image_size;
    pixels = malloc(items * 3 * side * side * sizeof(*pixels));
    ids = malloc(items * plain.context * sizeof(*ids));
    image_embeds = malloc(items * plain.embed_dim * sizeof(float));
    text_embeds = malloc(items * plain.text_embed_dim * sizeof(float));
    for (size_t i = 0; i < items * 3 * side * side; i++) {
        size_t x = i % side, y = i / side % side, item = i / side / side / 3,
               colour = i / side / side;
        pixels[i] =
            sinf((float)(x * (item % 4) + y * (item / 4 + 1)) * 0.2f + (float)colour) * 1.8f;
    }
    for (size_t i = 0; i < items * plain.context; i++) {
        size_t item = i / plain.context, place = i % plain.context;
        uint32_t end = plain.vocabulary - 1;
        size_t id = (i * 7919 + 13) % (end - 1);
        if (place == 0)
            id = end - 1;
        else if (place > item + 1)
            id = end;
        ids[i] = (int32_t)id;
    }
    encode(NULL, &plain, image_embeds, text_embeds);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    vkclip_close_device(&device);
    free(pixels);
    free(ids);
    free(image_embeds);
    free(text_embeds);
    return 0;
}

/* Returns the smallest cosine of a pair of embeddings, or -1 if a value is not finite. */
static double least_cosine(const float *a, const float *b, size_t dim)
{
    double least = 1;
    for (size_t i = 0; i < items; i++) {
        double dot = 0;
        for (size_t d = 0; d < dim; d++)
            dot += (double)a[i * dim + d] * (double)b[i * dim + d];
        least = fmin(least, isfinite(dot) ? dot : -1);
    }
    return least;
}

/* Returns the bytes of all weights if matrices and the token table have `bits` bits per value, and
 * other weights are fp32. Matrices that would lose too much accuracy with q4 have at least 8.5
 * bits. */
static double packed_bytes(double bits)
{
    struct weights *weights = NULL;
    double bytes = 0;
    assert_int_equal(weights_open(MODEL "/model.safetensors", &weights), 0);
    const char *name;
    for (size_t i = 0; (name = weights_name(weights, i)); i++) {
        uint64_t shape[TENSOR_MAX_RANK];
        unsigned rank;
        assert_true(weights_shape(weights, name, shape, &rank));
        double elements = 1;
        for (unsigned j = 0; j < rank; j++)
            elements *= (double)shape[j];
        bool matrix = rank >= 2 && !strstr(name, "positional_embedding");
        bool delicate = !strncmp(name, "transformer.resblocks.0.", 24) ||
                        !strcmp(name, "text_projection") || !strcmp(name, "visual.proj");
        double value_bits = delicate ? fmax(bits, 8.5) : bits;
        bytes += elements * (matrix ? value_bits : 32) / 8;
    }
    weights_close(&weights);
    return bytes;
}

static void every_type(void **state)
{
    (void)state;
    static const struct {
        enum vkclip_weights weights;
        double cosine, bits;
    } types[] = {{VKCLIP_WEIGHTS_F16, 0.999, 16},
                 {VKCLIP_WEIGHTS_Q8, 0.999, 8.5},
                 {VKCLIP_WEIGHTS_Q4, 0.97, 4.5}};
    struct vkclip_device_info device_info = {.size = sizeof(device_info)};
    vkclip_get_device_info(device, &device_info);
    bool f16 = strstr(device_info.caps, "f16");
    float *images = malloc(items * plain.embed_dim * sizeof(float));
    float *texts = malloc(items * plain.text_embed_dim * sizeof(float));
    for (size_t i = 0; i < ARRAY_COUNT(types) * (f16 ? 2 : 1); i++) {
        size_t t = i % ARRAY_COUNT(types);
        struct vkclip_model_params params = {.size = sizeof(params),
                                             .precision = i >= ARRAY_COUNT(types),
                                             .weights = types[t].weights};
        struct vkclip_model_info info = {.size = sizeof(info)};
        encode(&params, &info, images, texts);
        double image = least_cosine(images, image_embeds, plain.embed_dim);
        double text = least_cosine(texts, text_embeds, plain.text_embed_dim);
        printf("precision %s, %4.1f bits: 1 - cosine %.2g images, %.2g texts; %llu bytes\n",
               params.precision ? "f16" : "f32", types[t].bits, 1 - image, 1 - text,
               (unsigned long long)info.weights_bytes);
        assert_true(image >= types[t].cosine && text >= types[t].cosine);
        assert_true((double)info.weights_bytes <= 1.1 * packed_bytes(types[t].bits));
        assert_int_equal(info.precision, params.precision);
        if (!(params.precision && params.weights == VKCLIP_WEIGHTS_F16))
            assert_int_equal(info.weights, types[t].weights);
    }
    free(images);
    free(texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_type)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
