/* SPDX-License-Identifier: MIT
 *
 * Duplicates among the pictures of an index, and pairs that the user called different.
 */
#define _GNU_SOURCE
#include "search/groups.h"
#include "base/half.h"
#include "support/open_gpu.h"
#include "support/scratch.h"

#include <math.h>

enum { DIM = 8, PICTURES = 6 };

static struct gpu *gpu;

/* Pictures by the angle of their vectors; one that is nowhere has no path. */
static const struct {
    const char *path, *copy;
    double angle;
    uint32_t width, height;
    int64_t taken;
} pictures[PICTURES] = {
    {"/p/a.jpg", "/p/copy of a.jpg", 0, 4000, 3000, 100},
    {"/p/a small.png", NULL, 0.03, 800, 600, INT64_MIN}, /* cosine with a: 0.99955 */
    {"/p/b.jpg", NULL, 0.12, 4000, 3000, 103},           /* 0.9928; with a small: 0.99595 */
    {"/p/c.jpg", NULL, 1, 640, 480, INT64_MIN},
    {NULL, NULL, 1, 640, 480, INT64_MIN},
    {"/p/d.jpg", NULL, 1.13, 480, 640, INT64_MIN}, /* with c: 0.99156 */
};

static void add_path(struct store *store, const char *path, int64_t content)
{
    const struct store_stamp stamp = {.size = 1};
    int64_t before;
    if (path)
        assert_int_equal(store->write->put_file(store, path, &stamp, content, 0, NULL, &before), 0);
}

static void add_picture(struct store *store, int64_t model, size_t number)
{
    const struct store_hash hash = {.bytes = {(uint8_t)(number + 1)}};
    const struct image_facts facts = {.width = pictures[number].width,
                                      .height = pictures[number].height,
                                      .taken = pictures[number].taken,
                                      .latitude = (double)NAN,
                                      .longitude = (double)NAN};
    const uint16_t row[DIM] = {half_from_float((float)cos(pictures[number].angle)),
                               half_from_float((float)sin(pictures[number].angle))};
    int64_t id;
    assert_int_equal(store->write->put_content(store, &hash, &id), 0);
    assert_int_equal(id, number + 1);
    add_path(store, pictures[number].path, id);
    add_path(store, pictures[number].copy, id);
    assert_int_equal(store->write->put_facts(store, id, &facts), 0);
    assert_int_equal(store->write->put_vector(store, id, model, row, DIM), 0);
}

static struct vkclip_index *make_index(const char *folder)
{
    struct vkclip_index *index;
    char *path = scratch_path(folder, "index.db");
    const struct vkclip_index_params params = {.size = sizeof(params), .path = path};
    struct vkclip_index_model model = {
        .size = sizeof(model), .identity = "1", .name = "m", .embed_dim = DIM};
    int64_t id;
    assert_int_equal(vkclip_open_index(&params, &index), 0);
    struct store *store = index->store;
    assert_int_equal(store->write->begin(store), 0);
    assert_int_equal(store->write->put_model(store, &model, &id), 0);
    for (size_t i = 0; i < PICTURES; i++)
        add_picture(store, id, i);
    assert_int_equal(store->write->commit(store), 0);
    free(path);
    return index;
}

/* Is a vkclip_group_fn: writes "exact /p/a.jpg,/p/b.jpg; near ...". */
static int write_group(void *user, const struct vkclip_group *group)
{
    static const char *const kinds[] = {"exact", "same", "near"};
    char *text = user;
    sprintf(text + strlen(text), "%s%s", *text ? "; " : "", kinds[group->kind]);
    for (size_t i = 0; i < group->count; i++)
        sprintf(text + strlen(text), "%s%s=%d", i ? "," : " ", file_name(group->paths[i]),
                (int)group->ids[i]);
    assert_true(group->cosine > 0.99 && group->cosine <= 1);
    return 0;
}

static void check_groups(struct vkclip_index *index, bool similar, const char *expected)
{
    const struct store_model model = {.id = 1, .info = {.identity = "1", .embed_dim = DIM}};
    char text[1000] = "";
    const struct groups_request request = {.current = &index->current,
                                           .model = similar ? &model : NULL,
                                           .gpu = gpu,
                                           .distance = 0.01,
                                           .group = write_group,
                                           .user = text};
    if (groups_find(&request))
        fail_msg("%s", vkclip_last_error());
    assert_string_equal(text, expected);
}

static void groups(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct vkclip_index *index = make_index(folder);
    check_groups(index, false, "exact a.jpg=1,copy of a.jpg=1");
    check_groups(index, true,
                 "exact a.jpg=1,copy of a.jpg=1; same a.jpg=1,a small.png=2,b.jpg=3; "
                 "near c.jpg=4,d.jpg=6");
    assert_int_equal(vkclip_forget_duplicates(index, "/p/a small.png", "id:3"), 0);
    check_groups(index, true,
                 "exact a.jpg=1,copy of a.jpg=1; same a.jpg=1,a small.png=2; near c.jpg=4,d.jpg=6");
    assert_int_equal(vkclip_forget_duplicates(index, "/p/d.jpg", "/p/c.jpg"), 0);
    assert_int_equal(vkclip_forget_duplicates(index, "/p/c.jpg", "/p/d.jpg"), 0);
    check_groups(index, true, "exact a.jpg=1,copy of a.jpg=1; same a.jpg=1,a small.png=2");
    vkclip_close_index(&index);
    scratch_remove(folder);
}

static const struct store_readers *readers; /* of the store in which duplicates are found */
static struct vkclip_index *writer;

/* Removes a picture before the pictures are read. */
static int each_picture_late(struct store *store, store_picture_fn *fn, void *user)
{
    const char *path = "/p/c.jpg";
    uint64_t removed;
    assert_int_equal(vkclip_remove_indexed(writer, &path, 1, &removed), 0);
    return readers->each_picture(store, fn, user);
}

/* What another process writes between the vectors and the pictures is not seen. */
static void groups_are_of_one_moment(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "index.db");
    const struct vkclip_index_params params = {.size = sizeof(params), .path = path};
    struct vkclip_index *index = make_index(folder);
    readers = index->store->read;
    struct store_readers late = *readers;
    late.each_picture = each_picture_late;
    index->store->read = &late;
    assert_int_equal(vkclip_open_index(&params, &writer), 0);
    check_groups(index, true,
                 "exact a.jpg=1,copy of a.jpg=1; same a.jpg=1,a small.png=2,b.jpg=3; "
                 "near c.jpg=4,d.jpg=6");
    vkclip_close_index(&writer);
    vkclip_close_index(&index);
    free(path);
    scratch_remove(folder);
}

static void wrong_pictures(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct vkclip_index *index = make_index(folder);
    assert_failed(vkclip_forget_duplicates(index, "/p/a.jpg", "/p/copy of a.jpg"), VKCLIP_EINVALID,
                  "have the same content");
    assert_failed(vkclip_forget_duplicates(index, "/p/a.jpg", "/p/nowhere.jpg"), VKCLIP_EABSENT,
                  "/p/nowhere.jpg: is no picture of the index");
    assert_failed(vkclip_forget_duplicates(index, "id:5", "/p/a.jpg"), VKCLIP_EABSENT,
                  "id:5: is no picture of the index");
    assert_failed(vkclip_forget_duplicates(index, NULL, "/p/a.jpg"), VKCLIP_EINVALID, "expected");
    vkclip_close_index(&index);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(groups),
                                       cmocka_unit_test(groups_are_of_one_moment),
                                       cmocka_unit_test(wrong_pictures)};
    gpu = open_gpu("");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gpu_close(&gpu);
    return failed;
}
