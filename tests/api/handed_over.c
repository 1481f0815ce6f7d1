/* SPDX-License-Identifier: MIT
 *
 * Models from a part of an open file and from memory. They compute the same bits as models from a
 * path, after the file was closed and removed, and with weights that stay in the file. What is no
 * regular file, ends too early or becomes shorter is refused with a reason.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/difference.h"
#include "support/open_device.h"
#include "support/random.h"
#include "support/scratch.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MODEL "models/emoji-clip"
/* The part begins at an odd place of the file and of the memory, and not with a page. */
enum { LEAD = 7, TAIL = 5, ITEMS = 2, T5_TOKENS = 9, MOST = ITEMS * 2 * 2048 };

static char *folder, *gguf; /* the model as one file, which has its vocabulary */

static int open_all(void **state)
{
    folder = scratch_folder();
    gguf = scratch_path(folder, "model.gguf");
    if (vkclip_convert_model(MODEL, NULL, gguf, NULL, NULL))
        fail_msg("%s", vkclip_last_error());
    return open_device(state);
}

static int close_all(void **state)
{
    scratch_remove(folder);
    free(gguf);
    return close_device(state);
}

/* ---- What a model computes ------------------------------------------------------------------- */

struct embeds {
    float values[MOST];
    size_t images, texts; /* the values of each */
};

static void encode_images(struct vkclip_model *model, const struct vkclip_model_info *info,
                          struct embeds *embeds)
{
    const size_t count = (size_t)ITEMS * 3 * info->image_size * info->image_size;
    float *pixels = malloc(count * sizeof(*pixels));
    uint32_t random = 1;
    random_values(&random, pixels, count);
    if (vkclip_encode_pixels(model, pixels, ITEMS, NULL, embeds->values))
        fail_msg("%s", vkclip_last_error());
    embeds->images = (size_t)ITEMS * info->embed_dim;
    free(pixels);
}

static void encode_texts(struct vkclip_model *model, const struct vkclip_model_info *info,
                         struct embeds *embeds)
{
    static const char *const texts[ITEMS] = {"an owl", "a red heart"};
    const size_t tokens = info->context ? info->context : T5_TOKENS;
    int32_t *ids = calloc(ITEMS * tokens, sizeof(*ids));
    for (size_t i = 0; i < ITEMS * tokens; i++)
        ids[i] = (int32_t)(i * 37 % info->vocabulary);
    float *values = &embeds->values[embeds->images];
    if (info->tokenizer ? vkclip_encode_texts(model, texts, ITEMS, NULL, values)
                        : vkclip_encode_tokens(model, ids, ITEMS, tokens, NULL, values))
        fail_msg("%s", vkclip_last_error());
    embeds->texts = (size_t)ITEMS * info->text_embed_dim;
    free(ids);
}

static struct embeds *encode(struct vkclip_model *model)
{
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct embeds *embeds = calloc(1, sizeof(*embeds));
    assert_int_equal(vkclip_get_model_info(model, &info), 0);
    assert_true(ITEMS * (info.embed_dim + info.text_embed_dim) <= MOST);
    if (info.image.width)
        encode_images(model, &info, embeds);
    if (info.text.width)
        encode_texts(model, &info, embeds);
    return embeds;
}

/* Closes the model, whose embeddings must be those that are expected, to the bit. */
static void encode_as_expected(struct vkclip_model *model, const struct embeds *expected)
{
    struct embeds *found = encode(model);
    assert_int_equal(found->images, expected->images);
    assert_int_equal(found->texts, expected->texts);
    assert_memory_equal(found->values, expected->values, sizeof(found->values));
    free(found);
    vkclip_close_model(&model);
}

/* ---- Opening --------------------------------------------------------------------------------- */

struct content {
    char *data;
    size_t size;
};

static struct content read_content(const char *path)
{
    struct content content;
    assert_int_equal(file_read(path, (size_t)1 << 30, &content.data, &content.size), 0);
    return content;
}

/* Returns a descriptor of a new file that has the content between other bytes. The file has no name
 * any more. */
static int make_file(const struct content *content)
{
    static const char around[] = "PK\3\4GGUF";
    const struct file_part parts[] = {
        {around, LEAD}, {content->data, content->size}, {around, TAIL}};
    char *path = scratch_path(folder, "container");
    assert_int_equal(file_write(path, parts, ARRAY_COUNT(parts)), 0);
    const int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(remove(path), 0);
    free(path);
    return file;
}

/* Opens the model in a part of a file, which is then closed, and does not move its position. */
static struct vkclip_model *open_part(struct vkclip_device *on, const struct content *content,
                                      const struct vkclip_model_params *params)
{
    struct vkclip_model *model = NULL;
    const int file = make_file(content);
    assert_int_equal(lseek(file, 3, SEEK_SET), 3);
    if (vkclip_open_model_file(on, file, LEAD, content->size, params, &model))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(lseek(file, 0, SEEK_CUR), 3);
    close(file);
    return model;
}

/* Opens the model in memory. The caller frees the block. */
static struct vkclip_model *open_memory(struct vkclip_device *on, const struct content *content,
                                        const struct vkclip_model_params *params, char **block)
{
    struct vkclip_model *model = NULL;
    *block = malloc(content->size + LEAD); /* no byte more, which sanitizers check */
    memcpy(*block + LEAD, content->data, content->size);
    if (vkclip_open_model_memory(on, *block + LEAD, content->size, params, &model))
        fail_msg("%s", vkclip_last_error());
    return model;
}

static void check_file(const char *path, const struct vkclip_model_params *params)
{
    struct content content = read_content(path);
    struct vkclip_model *model = NULL;
    char *block = NULL;
    if (vkclip_open_model(device, path, params, &model))
        fail_msg("%s", vkclip_last_error());
    struct embeds *expected = encode(model);
    vkclip_close_model(&model);
    encode_as_expected(open_part(device, &content, params), expected);
    encode_as_expected(open_memory(device, &content, params, &block), expected);
    free(block);
    free(expected);
    free(content.data);
}

static void check_golden(const char *name, const struct vkclip_model_params *params)
{
    char *path = golden_path(name);
    if (path)
        check_file(path, params);
    else
        printf("skipped: reference data %s is not here\n", name);
    free(path);
}

/* ---- Models ---------------------------------------------------------------------------------- */

static void gguf_has_everything_inside(void **state)
{
    (void)state;
    check_file(gguf, NULL);
    check_file(gguf, &(struct vkclip_model_params){.size = sizeof(struct vkclip_model_params),
                                                   .stream = true,
                                                   .max_batch = 1});
}

/* The rest of a file is the part whose length is 0. */
static void a_length_of_zero_is_the_rest(void **state)
{
    (void)state;
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    const int file = open(gguf, O_RDONLY | O_CLOEXEC);
    char name[64];
    if (vkclip_open_model_file(NULL, file, 0, 0, NULL, &model))
        fail_msg("%s", vkclip_last_error());
    close(file);
    assert_int_equal(vkclip_get_model_info(model, &info), 0);
    snprintf(name, sizeof(name), "descriptor %d at 0", file);
    assert_string_equal(info.weights_path, name);
    assert_string_equal(info.tokenizer_path, name);
    vkclip_close_model(&model);
}

static void other_formats(void **state)
{
    (void)state;
    check_golden("models/openai-rn/model.safetensors", NULL);
    check_golden("models/openai-vit/model.pt", NULL);
    check_golden("models/openai-vit/model_jit.pt", NULL);
}

/* A T5 looks its tokens up on the host, in the file. One file has its vocabulary as a tensor. */
static void text_encoders(void **state)
{
    (void)state;
    const struct vkclip_model_params stream = {.size = sizeof(stream), .stream = true};
    check_golden("conditioning/t5/gguf/t5_q8_0.gguf", NULL);
    check_golden("conditioning/t5/gguf/t5_q8_0.gguf", &stream);
    check_golden("conditioning/t5/single/umt5_xxl_fp8_e4m3fn_scaled.safetensors", NULL);
}

static void a_configuration_is_not_looked_for(void **state)
{
    (void)state;
    struct vkclip_model *model = NULL;
    const int file = open(MODEL "/model.safetensors", O_RDONLY | O_CLOEXEC);
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .name = MODEL "/model.safetensors"};
    assert_true(file >= 0);
    assert_failed(vkclip_open_model_file(NULL, file, 0, 0, &params, &model), VKCLIP_EIO,
                  "expected config.json");
    assert_null(model);
    close(file);
}

/* ---- Names and refusals ---------------------------------------------------------------------- */

static void messages_use_the_name(void **state)
{
    (void)state;
    struct content content = read_content(gguf);
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_model_params params = {.size = sizeof(params), .name = "assets/clip"};
    char name[64];
    assert_int_equal(vkclip_open_model_memory(NULL, content.data, content.size, &params, &model),
                     0);
    assert_int_equal(vkclip_get_model_info(model, &info), 0);
    assert_string_equal(info.weights_path, "assets/clip");
    vkclip_close_model(&model);
    assert_failed(vkclip_open_model_memory(NULL, content.data, 1000, &params, &model),
                  VKCLIP_EFORMAT, "assets/clip: ");
    assert_int_equal(vkclip_open_model_memory(NULL, content.data, content.size, NULL, &model), 0);
    assert_int_equal(vkclip_get_model_info(model, &info), 0);
    snprintf(name, sizeof(name), "memory of %zu bytes", content.size);
    assert_string_equal(info.weights_path, name);
    vkclip_close_model(&model);
    free(content.data);
}

static void refuse_file(int file, uint64_t offset, uint64_t length, int error, const char *part)
{
    struct vkclip_model *model = NULL;
    assert_failed(vkclip_open_model_file(NULL, file, offset, length, NULL, &model), error, part);
    assert_null(model);
}

static void parts_that_are_not_there(void **state)
{
    (void)state;
    struct content content = read_content(gguf);
    const int file = make_file(&content);
    const uint64_t size = LEAD + content.size + TAIL;
    refuse_file(-1, 0, 0, VKCLIP_EINVALID, "descriptor -1 at 0: expected a descriptor");
    refuse_file(file, size + 1, 0, VKCLIP_EINVALID, "found a file of");
    refuse_file(file, UINT64_MAX, 2, VKCLIP_EINVALID, "found a file of");
    refuse_file(file, LEAD, size - LEAD + 1, VKCLIP_EINVALID, "`length`, `offset`");
    refuse_file(file, LEAD, UINT64_MAX - 3, VKCLIP_EINVALID, "`length`, `offset`");
    refuse_file(file, size, 0, VKCLIP_EFORMAT, "is empty, expected weights");
    refuse_file(file, LEAD, 1000, VKCLIP_EFORMAT, "to the end of the file");
    refuse_file(file, LEAD + 1, 0, VKCLIP_EFORMAT, "at 8: ");
    close(file);
    refuse_file(file, LEAD, 0, VKCLIP_EIO, "Bad file descriptor");
    struct vkclip_model *model = NULL;
    assert_failed(vkclip_open_model_memory(NULL, NULL, 5, NULL, &model), VKCLIP_EINVALID, "data");
    assert_failed(vkclip_open_model_memory(NULL, content.data, 0, NULL, &model), VKCLIP_EFORMAT,
                  "is empty, expected weights");
    free(content.data);
}

static void what_is_no_regular_file(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    refuse_file(ends[0], 0, 0, VKCLIP_EIO, "not a regular file: what a pipe or socket sends");
    close(ends[0]), close(ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    refuse_file(ends[0], 0, 0, VKCLIP_EIO, "not a regular file");
    close(ends[0]), close(ends[1]);
    int file = open(folder, O_RDONLY | O_CLOEXEC);
    refuse_file(file, 0, 0, VKCLIP_EIO, "not a regular file");
    close(file);
    file = open(gguf, O_WRONLY | O_CLOEXEC);
    refuse_file(file, 0, 0, VKCLIP_EIO, "cannot be");
    close(file);
}

/* A mapping alone would end the process by SIGBUS. */
static void a_file_that_becomes_shorter(void **state)
{
    (void)state;
    struct content content = read_content(gguf);
    struct vkclip_model *model = NULL;
    float embeds[1024], pixels[3 * 64 * 64] = {0};
    const int file = make_file(&content);
    assert_int_equal(vkclip_open_model_file(device, file, LEAD, content.size, NULL, &model), 0);
    assert_int_equal(ftruncate(file, LEAD + 100), 0);
    assert_failed(vkclip_encode_pixels(model, pixels, 1, NULL, embeds), VKCLIP_EIO,
                  "at 7: was changed while the model was open");
    vkclip_close_model(&model);
    close(file);
    free(content.data);
}

/* ---- Several devices ------------------------------------------------------------------------- */

/* Every device reads the weights for itself. */
static void every_device_has_the_weights(void **state)
{
    (void)state;
    const struct vkclip_device_params every = {
        .size = sizeof(every), .device = "all", .cache_dir = ""};
    const struct vkclip_model_params small = {.size = sizeof(small), .max_batch = 1};
    struct content content = read_content(gguf);
    struct vkclip_device *all = NULL;
    struct vkclip_model *model = NULL;
    char *block = NULL;
    assert_int_equal(vkclip_open_device(&every, &all), 0);
    assert_int_equal(vkclip_open_model(all, gguf, &small, &model), 0);
    struct embeds *expected = encode(model);
    vkclip_close_model(&model);
    for (int memory = 0; memory < 2; memory++) {
        model =
            memory ? open_memory(all, &content, &small, &block) : open_part(all, &content, &small);
        struct embeds *found = encode(model);
        assert_true(largest_difference(found->values, expected->values, MOST) < 1e-5);
        free(found);
        vkclip_close_model(&model);
    }
    vkclip_close_device(&all);
    free(block);
    free(expected);
    free(content.data);
}

/* The first argument is the name of the only test that runs. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_has_everything_inside),
        cmocka_unit_test(a_length_of_zero_is_the_rest),
        cmocka_unit_test(other_formats),
        cmocka_unit_test(text_encoders),
        cmocka_unit_test(a_configuration_is_not_looked_for),
        cmocka_unit_test(messages_use_the_name),
        cmocka_unit_test(parts_that_are_not_there),
        cmocka_unit_test(what_is_no_regular_file),
        cmocka_unit_test(a_file_that_becomes_shorter),
        cmocka_unit_test(every_device_has_the_weights),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, open_all, close_all);
}
