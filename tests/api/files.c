/* SPDX-License-Identifier: MIT
 *
 * Calls with a result per item: for picture files, texts and ids, the caller's function gets each
 * item's embedding or error in order, and the call continues after an error. The tests use every
 * device that the driver offers in one handle.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"
#include "support/difference.h"
#include "support/testing.h"

#include <unistd.h>

#define MODEL "models/emoji-clip"
#define GOLDEN "tests/golden/emoji-clip"
#define MISSING "no/such/picture.png"
enum { N = 13, D = 128, T = 32, LONG = 3000, PERIOD = 500 };

static struct vkclip_device *all, *one;
static struct vkclip_model *shared, *single;
static struct vkclip_image images[N];
static char *paths[N], *broken;
static float expected[N * D];

/* SwiftShader is about ten times as slow as lavapipe. */
static void choose_fast_device(char number[24])
{
    struct vkclip_device_info infos[16] = {{.size = sizeof(infos[0])}};
    size_t count = 0, fast = 0;
    assert_int_equal(vkclip_list_devices(infos, ARRAY_COUNT(infos), &count), 0);
    for (size_t i = 0; i < count && i < ARRAY_COUNT(infos); i++)
        fast = strstr(infos[i].name, "llvmpipe") ? i : fast;
    snprintf(number, 24, "%zu", fast);
}

static int open_all(void **state)
{
    char number[24];
    (void)state;
    choose_fast_device(number);
    struct vkclip_device_params every = {.size = sizeof(every), .device = "all", .cache_dir = ""};
    struct vkclip_device_params first = {.size = sizeof(first), .device = number, .cache_dir = ""};
    struct vkclip_model_params small = {.size = sizeof(small),
                                        .max_batch = 2}; /* small, so that there are many batches */
    assert_int_equal(vkclip_open_device(&every, &all), 0);
    assert_int_equal(vkclip_open_device(&first, &one), 0);
    assert_int_equal(vkclip_open_model(all, MODEL, &small, &shared), 0);
    assert_int_equal(vkclip_open_model(one, MODEL, &small, &single), 0);
    static const char *const names[N] = {"1f308", "1f319", "1f327", "1f347", "1f349",
                                         "1f34c", "1f34e", "1f353", "1f354", "1f355",
                                         "1f35f", "1f369", "1f37a"};
    for (int i = 0; i < N; i++) {
        paths[i] = string_format(GOLDEN "/samples/%s.png", names[i]);
        assert_int_equal(vkclip_load_image(paths[i], 0, &images[i]), 0);
    }
    /* A file that is cut off is a broken picture. */
    struct file_map map;
    assert_int_equal(file_map_open(paths[0], &map), 0);
    broken = string_format("%s/broken-%d.png", P_tmpdir, (int)getpid());
    struct file_part part = {map.data, map.size / 2};
    assert_int_equal(file_write(broken, &part, 1), 0);
    file_map_close(&map);
    assert_int_equal(vkclip_encode_images(single, images, N, NULL, expected), 0);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    remove(broken);
    free(broken);
    for (int i = 0; i < N; i++) {
        vkclip_free_image(&images[i]);
        free(paths[i]);
    }
    vkclip_close_model(&shared);
    vkclip_close_model(&single);
    vkclip_close_device(&all);
    vkclip_close_device(&one);
    return 0;
}

/* ---- What the item function saw -------------------------------------------------------------- */

struct seen {
    size_t count, stop_at; /* number of items; the item at which to stop, or 0 for none */
    size_t progress, total;
    int errors[LONG];
    char *messages[LONG];
    float *embeds; /* [LONG,D] */
    size_t hidden; /* number of rows of vision.pooled or text.pooled */
    size_t hidden_items[LONG];
};

static struct seen *new_seen(void)
{
    struct seen *seen = calloc(1, sizeof(*seen));
    seen->embeds = calloc(LONG * D, sizeof(*seen->embeds));
    return seen;
}

static void free_seen(struct seen *seen)
{
    for (size_t i = 0; i < seen->count; i++)
        free(seen->messages[i]);
    free(seen->embeds);
    free(seen);
}

static int see_item(void *user, const struct vkclip_item *item)
{
    struct seen *seen = user;
    assert_int_equal(item->index, seen->count);
    assert_true((item->embed != NULL) == !item->error);
    assert_true((item->message[0] != 0) == (item->error != 0));
    seen->errors[seen->count] = item->error;
    seen->messages[seen->count] = string_format("%s", item->message);
    if (item->embed)
        memcpy(&seen->embeds[seen->count * D], item->embed, D * sizeof(float));
    seen->count++;
    return seen->stop_at && item->index == seen->stop_at;
}

static int see_progress(void *user, uint64_t done, uint64_t total)
{
    struct seen *seen = user;
    assert_true(done >= seen->progress && done <= total);
    seen->progress = done;
    seen->total = total;
    return 0;
}

static int see_hidden(void *user, const char *name, const float *data, const size_t *shape,
                      size_t rank, size_t first, size_t items)
{
    struct seen *seen = user;
    assert_int_equal(shape[0], items);
    if (strcmp(name, "vision.normalized") && strcmp(name, "text.normalized"))
        return 0;
    assert_int_equal(rank, 2);
    for (size_t i = 0; i < items; i++) {
        assert_true(first + i >= seen->count); /* A row comes before its item. */
        memcpy(&seen->embeds[(first + i) * D], &data[i * D], D * sizeof(float));
        seen->hidden_items[seen->hidden++] = first + i;
    }
    return 0;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void files_equal_pictures(void **state)
{
    (void)state;
    float embeds[N * D];
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {
        .size = sizeof(params), .item = see_item, .progress = see_progress, .user = seen};
    const char *const *list = (const char *const *)paths;
    assert_int_equal(vkclip_encode_files(single, list, N, NULL, embeds), 0);
    assert_memory_equal(embeds, expected, sizeof(embeds));
    assert_int_equal(vkclip_encode_files(single, list, N, &params, NULL), 0);
    assert_int_equal(seen->count, N);
    assert_int_equal(seen->progress, N);
    assert_int_equal(seen->total, N);
    assert_memory_equal(seen->embeds, expected, sizeof(embeds));
    free_seen(seen);

    seen = new_seen(); /* The call has both an array and a function. */
    params.user = seen;
    memset(embeds, 0, sizeof(embeds));
    assert_int_equal(vkclip_encode_images(single, images, N, &params, embeds), 0);
    assert_int_equal(seen->count, N);
    assert_memory_equal(embeds, expected, sizeof(embeds));
    assert_memory_equal(seen->embeds, expected, sizeof(embeds));
    free_seen(seen);
}

/* Failing items keep their places, so the embeddings of the other items are equal to the bit to
 * those of a list without failures. */
static void failures_among_good_files(void **state)
{
    (void)state;
    const char *list[N];
    float embeds[N * D];
    for (int i = 0; i < N; i++)
        list[i] = paths[i];
    list[0] = MISSING;
    list[5] = broken;
    list[6] = MODEL; /* A folder is no picture. */
    list[7] = NULL;
    list[N - 1] = GOLDEN "/labels.tsv";
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {.size = sizeof(params), .item = see_item, .user = seen};
    assert_int_equal(vkclip_encode_files(single, list, N, &params, NULL), 0);
    assert_int_equal(seen->count, N);
    for (int i = 0; i < N; i++) {
        if (list[i] == paths[i]) {
            assert_int_equal(seen->errors[i], 0);
            assert_memory_equal(&seen->embeds[i * D], &expected[i * D], D * sizeof(float));
        } else {
            printf("%s\n", seen->messages[i]);
            assert_true(seen->errors[i] < 0);
            assert_true(!list[i] || strstr(seen->messages[i], list[i]));
        }
    }
    assert_int_equal(seen->errors[0], VKCLIP_EIO);
    assert_int_equal(seen->errors[5], VKCLIP_EFORMAT);
    assert_non_null(strstr(seen->messages[5], "truncated PNG"));
    assert_int_equal(seen->errors[7], VKCLIP_EINVALID);
    assert_int_equal(seen->errors[N - 1], VKCLIP_EUNSUPPORTED);
    free_seen(seen);
    /* Without an item function the call fails with the error of the first failing item, and a path
     * that is NULL is a wrong argument. */
    assert_int_equal(vkclip_encode_files(single, list, N, NULL, embeds), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "number 7 is NULL"));
    list[7] = paths[7];
    assert_int_equal(vkclip_encode_files(single, list, N, NULL, embeds), VKCLIP_EIO);
    assert_non_null(strstr(vkclip_last_error(), MISSING));
    assert_int_equal(vkclip_encode_files(single, list, N, NULL, NULL), VKCLIP_EINVALID);
}

static void limit_of_pixels(void **state)
{
    (void)state;
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {
        .size = sizeof(params), .item = see_item, .user = seen, .max_pixels = 72 * 72 - 1};
    assert_int_equal(vkclip_encode_files(shared, (const char *const *)paths, 2, &params, NULL), 0);
    assert_int_equal(seen->count, 2);
    assert_int_equal(seen->errors[0], VKCLIP_EUNSUPPORTED);
    assert_int_equal(seen->errors[1], VKCLIP_EUNSUPPORTED);
    assert_int_equal(seen->progress, 0);
    free_seen(seen);
}

/* The list has far more items than may wait for delivery, and most of them fail immediately. */
static void long_lists_stay_in_order(void **state)
{
    (void)state;
    const char **list = malloc(LONG * sizeof(*list));
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {
        .size = sizeof(params), .item = see_item, .progress = see_progress, .user = seen};
    for (int i = 0; i < LONG; i++)
        list[i] = i % PERIOD == PERIOD / 2 ? paths[i / PERIOD % N] : MISSING;
    /* The devices' speeds are unknown in the first call and known in the second one. */
    for (int again = 0; again < 2; again++) {
        assert_int_equal(vkclip_encode_files(shared, list, LONG, &params, NULL), 0);
        assert_int_equal(seen->count, LONG);
        assert_int_equal(seen->progress, LONG);
        for (int i = 0; i < LONG; i++) {
            const bool good = strcmp(list[i], MISSING) != 0;
            assert_int_equal(seen->errors[i], good ? VKCLIP_OK : VKCLIP_EIO);
            if (good)
                assert_true(largest_difference(&seen->embeds[i * D], &expected[i / PERIOD % N * D],
                                               D) < 1e-5);
        }
        free_seen(seen);
        seen = new_seen();
        params.user = seen;
    }
    free_seen(seen);
    free(list);
}

static void empty_lists(void **state)
{
    (void)state;
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {.size = sizeof(params),
                                          .item = see_item,
                                          .progress = see_progress,
                                          .hidden = see_hidden,
                                          .user = seen};
    assert_int_equal(vkclip_encode_files(shared, NULL, 0, &params, NULL), 0);
    assert_int_equal(vkclip_encode_texts(shared, NULL, 0, &params, NULL), 0);
    assert_int_equal(seen->count, 0);
    assert_int_equal(seen->progress, 0);
    free_seen(seen);
}

static void stopping(void **state)
{
    (void)state;
    const char **list = malloc(LONG * sizeof(*list));
    static const size_t stops[] = {1, 9, 1500};
    for (int i = 0; i < LONG; i++)
        list[i] = i < N ? paths[i] : MISSING;
    for (size_t i = 0; i < ARRAY_COUNT(stops); i++) {
        struct seen *seen = new_seen();
        struct vkclip_encode_params params = {
            .size = sizeof(params), .item = see_item, .user = seen};
        seen->stop_at = stops[i];
        assert_int_equal(vkclip_encode_files(shared, list, LONG, &params, NULL), VKCLIP_ECANCELLED);
        assert_int_equal(seen->count, stops[i] + 1); /* No item follows. */
        char *message = string_format("stopped by the caller at item %zu", stops[i]);
        assert_string_equal(vkclip_last_error(), message);
        free(message);
        free_seen(seen);
    }
    free(list);
    /* A stopped call does not affect the next one. */
    float embeds[N * D];
    assert_int_equal(vkclip_encode_files(shared, (const char *const *)paths, N, NULL, embeds), 0);
    assert_true(largest_difference(embeds, expected, N * D) < 1e-5);
}

static void hidden_states_leave_failures_out(void **state)
{
    (void)state;
    enum { SOME = 5 };
    const char *list[SOME];
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {
        .size = sizeof(params), .item = see_item, .hidden = see_hidden, .user = seen};
    size_t good = 0;
    for (int i = 0; i < SOME; i++)
        list[i] = i % 3 == 1 ? MISSING : paths[i];
    assert_int_equal(vkclip_encode_files(shared, list, SOME, &params, NULL), 0);
    for (size_t i = 0; i < SOME; i++)
        if (i % 3 != 1)
            assert_int_equal(seen->hidden_items[good++], i);
    assert_int_equal(seen->hidden, good);
    free_seen(seen);
}

/* ---- Sources --------------------------------------------------------------------------------- */

static int give_picture(void *user, size_t index, float *pixel_values)
{
    (void)user;
    if (index == 2)
        return error_fail(VKCLIP_EIO, "picture %zu is left out", index);
    return vkclip_preprocess(shared, &images[index], NULL, pixel_values);
}

static void sources_name_their_errors(void **state)
{
    (void)state;
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {.size = sizeof(params), .item = see_item, .user = seen};
    assert_int_equal(vkclip_encode_source(single, give_picture, N, &params, NULL), 0);
    assert_int_equal(seen->count, N);
    for (int i = 0; i < N; i++)
        if (i != 2)
            assert_memory_equal(&seen->embeds[i * D], &expected[i * D], D * sizeof(float));
    assert_int_equal(seen->errors[2], VKCLIP_EIO);
    assert_string_equal(seen->messages[2], "picture 2 is left out");
    free_seen(seen);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static size_t warnings;
static char last_warning[512];

static void see_log(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    if (level != VKCLIP_LOG_WARNING)
        return;
    warnings++;
    snprintf(last_warning, sizeof(last_warning), "%s", message);
}

static void long_texts_are_items(void **state)
{
    (void)state;
    char too_long[401] = "";
    for (int i = 0; i < 100; i++)
        memcpy(&too_long[4 * i], "red ", 5);
    const char *texts[] = {"a heart", too_long, "a dog", "a heart", too_long, ""};
    enum { M = ARRAY_COUNT(texts) };
    float embeds[M * D], plain[M * D];
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {
        .size = sizeof(params), .item = see_item, .strict = true, .user = seen};
    vkclip_set_log(see_log, NULL);
    assert_int_equal(vkclip_encode_texts(single, texts, M, NULL, plain), 0);
    assert_int_equal(warnings, 2);
    assert_string_equal(last_warning, "text 'red red red red red red red red red red ...': text of "
                                      "102 tokens truncated to 32");
    assert_int_equal(vkclip_encode_texts(single, texts, M, &params, embeds), 0);
    assert_int_equal(seen->count, M);
    for (int i = 0; i < M; i++) {
        const bool good = texts[i] != too_long;
        assert_int_equal(seen->errors[i], good ? VKCLIP_OK : VKCLIP_ETOOLONG);
        if (good)
            assert_true(largest_difference(&seen->embeds[i * D], &plain[i * D], D) < 1e-6);
        else
            assert_string_equal(seen->messages[i], "text 'red red red red red red red red red red "
                                                   "...': text of 102 tokens, expected at most 32");
    }
    assert_int_equal(warnings, 2);
    params.item = NULL;
    assert_int_equal(vkclip_encode_texts(single, texts, M, &params, embeds), VKCLIP_ETOOLONG);
    assert_int_equal(vkclip_encode_labels(single, texts, M, NULL, 0, &params, embeds),
                     VKCLIP_ETOOLONG);
    params.item = see_item;
    assert_int_equal(vkclip_encode_labels(single, texts, M, NULL, 0, &params, embeds),
                     VKCLIP_EINVALID);
    vkclip_set_log(NULL, NULL);
    free_seen(seen);
}

static void texts_with_hidden_states(void **state)
{
    (void)state;
    char too_long[401] = "";
    for (int i = 0; i < 100; i++)
        memcpy(&too_long[4 * i], "red ", 5);
    const char *texts[] = {too_long, "a heart", "a heart", too_long, "a dog"};
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {.size = sizeof(params),
                                          .item = see_item,
                                          .hidden = see_hidden,
                                          .strict = true,
                                          .user = seen};
    assert_int_equal(vkclip_encode_texts(shared, texts, 5, &params, NULL), 0);
    assert_int_equal(seen->count, 5);
    assert_int_equal(seen->hidden, 3);
    assert_int_equal(seen->hidden_items[0], 1);
    assert_int_equal(seen->hidden_items[1], 2);
    assert_int_equal(seen->hidden_items[2], 4);
    free_seen(seen);
}

/* A text whose length is given may contain NUL. */
static void lengths_of_texts(void **state)
{
    (void)state;
    const char *texts[] = {"a heart and more", "a\0heart"};
    const size_t lengths[] = {7, 7};
    struct vkclip_encode_params params = {.size = sizeof(params), .lengths = lengths};
    float embeds[2 * D], plain[2 * D];
    const char *whole[] = {"a heart", "a"};
    assert_int_equal(vkclip_encode_texts(single, texts, 2, &params, embeds), 0);
    assert_int_equal(vkclip_encode_texts(single, whole, 2, NULL, plain), 0);
    assert_true(largest_difference(embeds, plain, D) < 1e-6);
    assert_true(largest_difference(&embeds[D], &plain[D], D) > 0.01);
}

static void bad_ids_are_items(void **state)
{
    (void)state;
    int32_t ids[3 * T] = {0};
    struct seen *seen = new_seen();
    struct vkclip_encode_params params = {.size = sizeof(params), .item = see_item, .user = seen};
    ids[T + 3] = 2240;
    assert_int_equal(vkclip_encode_tokens(single, ids, 3, T, &params, NULL), 0);
    assert_int_equal(seen->count, 3);
    assert_int_equal(seen->errors[0], 0);
    assert_int_equal(seen->errors[1], VKCLIP_EINVALID);
    assert_int_equal(seen->errors[2], 0);
    assert_non_null(strstr(seen->messages[1], "text 1: token id 2240 at position 3"));
    free_seen(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_equal_pictures),
        cmocka_unit_test(failures_among_good_files),
        cmocka_unit_test(limit_of_pixels),
        cmocka_unit_test(long_lists_stay_in_order),
        cmocka_unit_test(empty_lists),
        cmocka_unit_test(stopping),
        cmocka_unit_test(hidden_states_leave_failures_out),
        cmocka_unit_test(sources_name_their_errors),
        cmocka_unit_test(long_texts_are_items),
        cmocka_unit_test(texts_with_hidden_states),
        cmocka_unit_test(lengths_of_texts),
        cmocka_unit_test(bad_ids_are_items),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
