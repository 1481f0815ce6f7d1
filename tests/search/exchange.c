/* SPDX-License-Identifier: MIT
 *
 * An index's embeddings for and from other programs: clip-retrieval's layout, rclip's database.
 */
#define _GNU_SOURCE
#include "base/half.h"
#include "search/sqlite.h"
#include "support/find_bytes.h"
#include "support/open_index.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>

enum { N = 5, D = 128 };

/* A folder with pictures and their exact embeddings. */
struct scene {
    char *folder, *pictures, *paths[N], *database;
    float embeds[N * D];
    struct vkclip_index *index;
};

static struct scene *open_scene(void)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    scene->folder = scratch_folder();
    scene->pictures = scratch_path(scene->folder, "p");
    scene->database = scratch_path(scene->folder, "rclip.sqlite3");
    assert_int_equal(folder_make(scene->pictures), 0);
    for (int i = 0; i < N; i++) {
        scene->paths[i] = string_format("%s/%c.ppm", scene->pictures, 'a' + i);
        write_picture(scene->paths[i], i);
    }
    assert_int_equal(
        vkclip_encode_files(model, (const char *const *)scene->paths, N, NULL, scene->embeds), 0);
    scene->index = open_index(scene->folder);
    return scene;
}

static void close_scene(struct scene *scene)
{
    vkclip_close_index(&scene->index);
    for (int i = 0; i < N; i++)
        free(scene->paths[i]);
    scratch_remove(scene->folder);
    free(scene->pictures);
    free(scene->database);
    free(scene);
}

static struct vkclip_update_result update_scene(const struct scene *scene)
{
    size_t failures;
    return update(scene->index, scene->pictures, &failures);
}

/* ---- clip-retrieval -------------------------------------------------------------------------- */

static void exported_rows_are_in_step(void **state)
{
    (void)state;
    struct scene *scene = open_scene();
    char *folder = scratch_path(scene->folder, "out"), *data;
    size_t size;
    uint64_t count;
    assert_failed(vkclip_export_index(scene->index, model, folder, &count), VKCLIP_EINVALID,
                  "has no embeddings of this model");
    char *odd = string_format("%s/\xff.ppm", scene->pictures);
    write_picture(odd, 0); /* A copy of a picture, whose name Parquet cannot have. */
    assert_int_equal(update_scene(scene).indexed, N + 1);
    assert_int_equal(vkclip_export_index(scene->index, model, folder, &count), 0);
    assert_int_equal(count, N);

    char *vectors = scratch_path(folder, "img_emb/img_emb_0.npy");
    assert_int_equal(file_read(vectors, SIZE_MAX, &data, &size), 0);
    assert_int_equal(size, 128 + N * D * 2);
    assert_memory_equal(data, "\x93NUMPY\x01\x00\x76\x00", 10);
    assert_non_null(strstr(data + 10, "'<f2', 'fortran_order': False, 'shape': (5, 128)}"));
    uint16_t rows[N * D];
    memcpy(rows, data + 128, sizeof(rows));
    free(data);
    free(vectors);

    char *metadata = scratch_path(folder, "metadata/metadata_0.parquet"), *places[N];
    assert_int_equal(file_read(metadata, SIZE_MAX, &data, &size), 0);
    assert_memory_equal(data, "PAR1", 4);
    for (int i = 0; i < N; i++) {
        places[i] = find_bytes(data, size, scene->paths[i], strlen(scene->paths[i]));
        assert_non_null(places[i]);
    }
    for (int i = 0; i < N; i++) {
        int row = 0; /* the number of paths that stand before this one */
        for (int j = 0; j < N; j++)
            row += places[j] < places[i];
        for (int k = 0; k < D; k++)
            assert_true(fabsf(half_to_float(rows[row * D + k]) - scene->embeds[i * D + k]) < 1e-3f);
    }
    assert_null(find_bytes(data, size, "\xff.ppm", 5));
    free(data);
    free(metadata);
    assert_failed(vkclip_export_index(scene->index, model, folder, &count), VKCLIP_EINVALID,
                  "expected a new or empty folder");
    free(folder);
    free(odd);
    close_scene(scene);
}

/* ---- rclip ----------------------------------------------------------------------------------- */

static void make_rclip(const struct scene *scene, const float *embeds, size_t dim)
{
    struct sqlite sqlite;
    remove(scene->database);
    assert_int_equal(sqlite_open(scene->database, SQLITE_MODE_CREATE, &sqlite), 0);
    assert_int_equal(database_execute(&sqlite.database,
                                      "CREATE TABLE images(id INTEGER PRIMARY KEY, deleted "
                                      "BOOLEAN, filepath NVARCHAR UNIQUE, modified_at "
                                      "DATETIME, size INTEGER, vector BLOB, indexing "
                                      "BOOLEAN, hash NVARCHAR)"),
                     0);
    for (int i = 0; i < N; i++) {
        struct stat status;
        assert_int_equal(stat(scene->paths[i], &status), 0);
        const double modified =
            (double)status.st_mtim.tv_sec + (double)status.st_mtim.tv_nsec * 1e-9;
        assert_int_equal(database_run(&sqlite.database,
                                      "INSERT INTO images(filepath, modified_at, size, vector)"
                                      " VALUES($1, $2, $3, $4)",
                                      NULL, "trib", scene->paths[i], modified,
                                      (int64_t)status.st_size, &embeds[(size_t)i * dim],
                                      dim * sizeof(*embeds)),
                         0);
    }
    assert_int_equal(database_execute(&sqlite.database,
                                      "INSERT INTO images(deleted, filepath, modified_at, "
                                      "size, vector) VALUES(1, '/deleted', 0, 0, x'00')"),
                     0);
    sqlite_close(&sqlite);
}

static void rclip_embeddings_are_taken_over(void **state)
{
    (void)state;
    struct scene *scene = open_scene();
    struct vkclip_import_result result = {.size = sizeof(result)};
    memset(scene->embeds + 2 * D, 0, D * sizeof(*scene->embeds)); /* It has no direction. */
    make_rclip(scene, scene->embeds, D);
    write_picture(scene->paths[3], 33); /* It has changed since. */
    const struct timespec times[2] = {{1, 0}, {1, 0}};
    assert_int_equal(utimensat(AT_FDCWD, scene->paths[3], times, 0), 0);
    remove(scene->paths[4]);
    assert_int_equal(vkclip_import_rclip(scene->index, model, scene->database, NULL, NULL, &result),
                     0);
    assert_int_equal(result.rows, N);
    assert_int_equal(result.imported, 2);
    assert_int_equal(result.left_out, 3);
    assert_int_equal(result.compared, 2);
    assert_true(result.least_cosine > 0.9999);
    const struct vkclip_update_result found = update_scene(scene);
    assert_int_equal(found.indexed, 4);
    assert_int_equal(found.added, 2);
    assert_int_equal(found.encoded, 2);
    close_scene(scene);
}

/* Cancels at the question with this number. */
struct stop {
    size_t calls, at;
};

static int stop_at(void *user, uint64_t done, uint64_t total)
{
    struct stop *stop = user;
    assert_true(done <= total);
    return ++stop->calls == stop->at;
}

static void an_import_can_be_cancelled(void **state)
{
    (void)state;
    struct scene *scene = open_scene();
    struct vkclip_index_info info = {.size = sizeof(info)};
    make_rclip(scene, scene->embeds, D);
    uint64_t imported = 0;
    for (struct stop stop = {.at = 1}; imported < N; stop.at++) {
        struct vkclip_import_result result = {.size = sizeof(result)};
        stop.calls = 0;
        const int error =
            vkclip_import_rclip(scene->index, model, scene->database, stop_at, &stop, &result);
        if (error)
            assert_int_equal(error, VKCLIP_ECANCELLED);
        assert_int_equal(stop.calls >= stop.at && result.imported < N, error != 0);
        imported = result.imported > imported ? result.imported : imported;
        assert_int_equal(vkclip_get_index_info(scene->index, &info), 0);
        assert_int_equal(info.files, imported);
    }
    close_scene(scene);
}

static void other_databases_are_refused(void **state)
{
    (void)state;
    struct scene *scene = open_scene();
    struct vkclip_import_result result = {.size = sizeof(result)};
    struct vkclip_index_info info = {.size = sizeof(info)};
    float other[N * D];
    for (int i = 0; i < N * D; i++)
        other[i] = scene->embeds[N * D - 1 - i];
    make_rclip(scene, other, D);
    assert_failed(vkclip_import_rclip(scene->index, model, scene->database, NULL, NULL, &result),
                  VKCLIP_EINVALID, "comes from another model: the cosine of a picture is");
    make_rclip(scene, scene->embeds, 64);
    assert_failed(vkclip_import_rclip(scene->index, model, scene->database, NULL, NULL, &result),
                  VKCLIP_EINVALID, "an embedding of 256 bytes, expected 128 values");
    make_rclip(scene, scene->embeds, D);
    for (int i = 0; i < N; i++)
        remove(scene->paths[i]);
    assert_failed(vkclip_import_rclip(scene->index, model, scene->database, NULL, NULL, &result),
                  VKCLIP_EINVALID, "none of 5 files of a sample is as it was");
    assert_failed(vkclip_import_rclip(scene->index, model, "none", NULL, NULL, &result), VKCLIP_EIO,
                  "cannot be opened");
    char *own = scratch_path(scene->folder, "index.db");
    assert_failed(vkclip_import_rclip(scene->index, model, own, NULL, NULL, &result),
                  VKCLIP_EFORMAT, "expected a database of rclip");
    free(own);
    assert_int_equal(vkclip_get_index_info(scene->index, &info), 0);
    assert_int_equal(info.files, 0);
    close_scene(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exported_rows_are_in_step),
        cmocka_unit_test(rclip_embeddings_are_taken_over),
        cmocka_unit_test(an_import_can_be_cancelled),
        cmocka_unit_test(other_databases_are_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
