/* SPDX-License-Identifier: MIT
 *
 * All memory of the library comes from the application's allocator, and is given back. When an
 * allocation fails, whichever it is, the call fails with EMEMORY or does without it, nothing is
 * lost, and the same call then succeeds. This program does not read the environment, which would
 * take memory before its allocator is set.
 *     test_allocator [all]    fails every allocation, and not a sample of them
 */
#define _GNU_SOURCE
#include "support/testing.h"

#include <stdatomic.h>
#include <unistd.h>

#define MODEL "models/emoji-clip"
#define GOLDEN "tests/golden/"
#define CONDITIONER GOLDEN "conditioning/pipelines/chroma"
#define PICTURE MODEL "/samples/owl.png"
enum { D = 128 };

/* ---- An allocator that counts and fails ------------------------------------------------------ */

#define MAGIC 0x7ab1e5eedULL

/* This header precedes each piece. It shows memory that did not come from here. */
union piece {
    struct {
        uint64_t magic;
        size_t size;
    } known;
    max_align_t alignment;
};

static atomic_size_t calls, pieces, bytes;
static atomic_size_t failing; /* number of the call that fails, from 1 on; 0: none does */
static bool from_then_on;     /* All calls after that one fail too. */

static bool fails(void)
{
    const size_t call = atomic_fetch_add(&calls, 1) + 1;
    return failing && (call == failing || (from_then_on && call > failing));
}

static void *take(void *user, size_t size)
{
    assert_ptr_equal(user, &calls);
    if (fails())
        return NULL;
    union piece *piece = malloc(sizeof(*piece) + size);
    assert_non_null(piece);
    piece->known.magic = MAGIC;
    piece->known.size = size;
    memset(piece + 1, 0xa5, size); /* A reader of memory that was never set reads this. */
    atomic_fetch_add(&pieces, 1);
    atomic_fetch_add(&bytes, size);
    return piece + 1;
}

static union piece *find_piece(void *memory)
{
    union piece *piece = (union piece *)memory - 1;
    if (piece->known.magic != MAGIC)
        abort(); /* Other threads may be here, where cmocka cannot fail. */
    return piece;
}

static void give_back(void *user, void *memory)
{
    (void)user;
    union piece *piece = find_piece(memory);
    atomic_fetch_sub(&pieces, 1);
    atomic_fetch_sub(&bytes, piece->known.size);
    memset(piece, 0x5a, sizeof(*piece) + piece->known.size);
    free(piece);
}

/* Memory always moves, so that a pointer to where it was is wrong. */
static void *resize(void *user, void *memory, size_t size)
{
    const size_t before = find_piece(memory)->known.size;
    void *moved = take(user, size);
    if (!moved)
        return NULL;
    memcpy(moved, memory, before < size ? before : size);
    give_back(user, memory);
    return moved;
}

static const struct vkclip_allocator allocator = {.size = sizeof(allocator),
                                                  .user = &calls,
                                                  .allocate = take,
                                                  .reallocate = resize,
                                                  .release = give_back};

/* ---- What is called -------------------------------------------------------------------------- */

static struct vkclip_device *device;
static struct vkclip_model *model;
static float expected[D];
static char folder[256], gguf[300], base[300], vectors[300];
static bool tries_all;

static const struct vkclip_device_params device_params = {.size = sizeof(device_params),
                                                          .cache_dir = "",
                                                          .threads = 2,
                                                          .tune = VKCLIP_TUNE_OFF,
                                                          .skip_checks = true};

static int open_device(void)
{
    struct vkclip_device *opened = NULL;
    const int error = vkclip_open_device(&device_params, &opened);
    assert_true(!opened == (error != 0));
    vkclip_close_device(&opened);
    return error;
}

static int open_model(void)
{
    struct vkclip_model *opened = NULL;
    const int error = vkclip_open_model(device, MODEL, NULL, &opened);
    assert_true(!opened == (error != 0));
    vkclip_close_model(&opened);
    return error;
}

static int encode_with(struct vkclip_model *used)
{
    const char *path = PICTURE;
    float found[D];
    const int error = vkclip_encode_files(used, &path, 1, NULL, found);
    for (size_t i = 0; i < D && !error; i++)
        assert_true(found[i] - expected[i] < 1e-5F && expected[i] - found[i] < 1e-5F);
    return error;
}

static int encode_picture(void)
{
    return encode_with(model);
}

/* Weights are read and kernels built by a model's first call. */
static int encode_first(void)
{
    struct vkclip_model *opened = NULL;
    int error = vkclip_open_model(device, MODEL, NULL, &opened);
    if (!error)
        error = encode_with(opened);
    vkclip_close_model(&opened);
    return error;
}

static int classify(void)
{
    static const char *const labels[] = {"owl", "pizza"}, *const templates[] = {"{}", "a {}"};
    float found[2 * D];
    const int error = vkclip_encode_labels(model, labels, 2, templates, 2, NULL, found);
    if (error)
        return error;
    float similarities[2] = {0};
    for (size_t d = 0; d < 2 * D; d++)
        similarities[d / D] += expected[d % D] * found[d];
    assert_true(similarities[0] > similarities[1]);
    return error;
}

static int tokenize(void)
{
    static const char text[] = "&eacute;t\xc3\xa9: a picture of 12 owls";
    int32_t ids[77];
    size_t count = 0;
    int error = vkclip_tokenize(model, text, sizeof(text) - 1, 0, ids, 77, &count);
    if (!error)
        assert_true(count > 8);
    return error;
}

static int encode_by_job(void)
{
    const char *path = PICTURE;
    struct vkclip_job *job = NULL;
    struct vkclip_encode_params params = {.size = sizeof(params), .job = &job};
    float found[D];
    bool ended = false;
    int error = vkclip_encode_files(model, &path, 1, &params, found);
    if (!error)
        error = vkclip_wait_job(job, -1, &ended);
    vkclip_close_job(&job);
    return error;
}

static const char *picture;
static const struct vkclip_image_params upright = {.size = sizeof(upright), .orient = true};

static int load_picture(void)
{
    struct vkclip_image image;
    const int error = vkclip_load_image(picture, &upright, &image);
    vkclip_free_image(&image);
    return error;
}

static int convert(void)
{
    return vkclip_convert_model(MODEL, NULL, gguf, NULL, NULL);
}

static int open_gguf(void)
{
    struct vkclip_model *opened = NULL;
    const int error = vkclip_open_model(device, gguf, NULL, &opened);
    vkclip_close_model(&opened);
    return error;
}

static int open_conditioner(void)
{
    const char *path = CONDITIONER;
    struct vkclip_conditioner *opened = NULL;
    const int error = vkclip_open_conditioner(device, &path, 1, NULL, &opened);
    vkclip_close_conditioner(&opened);
    return error;
}

static int take_hit(void *user, const struct vkclip_hit *hit)
{
    (void)user, (void)hit;
    return 0;
}

/* Indexes the samples and searches them. A picture for which memory ran out is read again by the
 * next call, so that only this one lacks it. */
static int search(void)
{
    const char *samples = MODEL "/samples";
    const struct vkclip_index_params params = {.size = sizeof(params), .path = base};
    const struct vkclip_query_part part = {.value = "a picture of a owl"};
    const struct vkclip_search_params query = {
        .size = sizeof(query), .parts = &part, .part_count = 1, .top = 1};
    struct vkclip_index *index = NULL;
    int error = vkclip_open_index(&params, &index);
    if (!error)
        error = vkclip_index_paths(index, model, &samples, 1, NULL, NULL);
    if (!error)
        error = vkclip_search(index, model, &query, take_hit, NULL);
    vkclip_close_index(&index);
    remove(base);
    remove(vectors);
    return error;
}

/* ---- Failing at each allocation -------------------------------------------------------------- */

/* Fails the allocations of a call one by one, up to `most` of them, which are spread over all. */
static void fail_each(const char *name, int (*call)(void), size_t most)
{
    assert_int_equal(call(), VKCLIP_OK); /* What is kept for later calls is there now. */
    calls = 0;
    assert_int_equal(call(), VKCLIP_OK);
    const size_t count = calls;
    const size_t stride = tries_all || count <= most ? 1 : count / most;
    size_t failed = 0, tried = 0;
    assert_true(count > 0);
    for (size_t n = 1; n <= count; n += stride)
        for (int then = 0; then < 2; then++, tried++) {
            from_then_on = then;
            calls = 0;
            failing = n;
            const int error = call();
            failing = 0;
            if (error && error != VKCLIP_EMEMORY)
                fail_msg("%s: when allocation %zu of %zu failed%s: %d: %s", name, n, count,
                         then ? " and all after it" : "", error, vkclip_last_error());
            if (then && !error && calls >= n)
                fail_msg("%s: succeeded without memory from allocation %zu of %zu on", name, n,
                         count);
            failed += error != 0;
        }
    assert_int_equal(call(), VKCLIP_OK);
    print_message("%s: %zu allocations, %zu of %zu calls failed\n", name, count, failed, tried);
}

/* The functions that other tests use for their folders take memory of the library. */
static int make_folder(void **state)
{
    const char *parent = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof(folder), "%s/vkclip-test-XXXXXX", parent ? parent : P_tmpdir);
    if (!mkdtemp(folder))
        return 1;
    snprintf(gguf, sizeof(gguf), "%s/model.gguf", folder);
    snprintf(base, sizeof(base), "%s/index.db", folder);
    snprintf(vectors, sizeof(vectors), "%s/index.db.1.vectors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    remove(gguf);
    return rmdir(folder);
}

static void set(void **state)
{
    (void)state;
    struct vkclip_allocator wrong = allocator;
    wrong.release = NULL;
    assert_int_equal(vkclip_set_allocator(&wrong), VKCLIP_EINVALID);
    assert_int_equal(vkclip_set_allocator(&allocator), VKCLIP_OK);
}

/* Each format of pictures has a reader of its own, and most have a library behind it. */
static void pictures(void **state)
{
    static const char *const paths[] = {
        GOLDEN "pictures/jxl/rgb-container.jxl",      GOLDEN "pictures/tiff/ycbcr-jpeg.tif",
        GOLDEN "pictures/webp/rgb-exif.webp",         GOLDEN "pictures/heif/rgb-exif.heic",
        GOLDEN "pictures/heif/rgb_upright-exif.avif", GOLDEN "preprocess/images/jpeg_exif.jpg",
        GOLDEN "preprocess/images/animated.gif",      GOLDEN "preprocess/images/palette.bmp",
        "tests/fuzz/corpus/image/packed16.psd",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        struct vkclip_image image;
        picture = paths[i];
        if (vkclip_load_image(picture, &upright, &image) == VKCLIP_EUNSUPPORTED)
            continue; /* This build lacks the format's library. */
        vkclip_free_image(&image);
        fail_each(picture, load_picture, 30);
    }
    assert_int_equal(pieces, 0);
}

static void opening_a_device(void **state)
{
    (void)state;
    fail_each("vkclip_open_device", open_device, 20);
    assert_int_equal(pieces, 0);
}

/* What one call has lost is found when everything is closed. */
static void calls_of_a_model(void **state)
{
    static const struct {
        const char *name;
        int (*call)(void);
        size_t most;
    } rows[] = {
        {"vkclip_open_model", open_model, 60},
        {"vkclip_tokenize", tokenize, 60},
        {"vkclip_encode_files", encode_picture, 60},
        {"vkclip_encode_labels", classify, 60},
        {"a job", encode_by_job, 60},
        {"a model's first vkclip_encode_files", encode_first, 20},
        {"vkclip_convert_model", convert, 20},
        {"vkclip_open_model of a GGUF file", open_gguf, 20},
        {"vkclip_open_conditioner", open_conditioner, 20},
        {"an index", search, 4},
    };
    const char *path = PICTURE;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(vkclip_open_device(&device_params, &device), VKCLIP_OK);
        assert_int_equal(vkclip_open_model(device, MODEL, NULL, &model), VKCLIP_OK);
        assert_int_equal(vkclip_encode_files(model, &path, 1, NULL, expected), VKCLIP_OK);
        assert_int_equal(vkclip_set_allocator(NULL), VKCLIP_EINVALID);
        assert_non_null(strstr(vkclip_last_error(), "pieces of memory in use"));
        fail_each(rows[i].name, rows[i].call, rows[i].most);
        vkclip_close_model(&model);
        vkclip_close_device(&device);
        if (pieces || bytes)
            fail_msg("%s: %zu pieces of memory are lost, %zu bytes", rows[i].name, (size_t)pieces,
                     (size_t)bytes);
    }
}

/* With everything closed another allocator may take over. */
static void reset(void **state)
{
    (void)state;
    const size_t before = calls;
    assert_int_equal(vkclip_set_allocator(NULL), VKCLIP_OK);
    assert_int_equal(open_device(), VKCLIP_OK);
    assert_int_equal(calls, before);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set),
        cmocka_unit_test(opening_a_device),
        cmocka_unit_test(calls_of_a_model),
        cmocka_unit_test(pictures),
        cmocka_unit_test(reset),
    };
    tries_all = argc > 1 && !strcmp(argv[1], "all");
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
