/* SPDX-License-Identifier: MIT
 *
 * Reads CSV and TSV tables, and prepared batches. Broken files are refused with messages that say
 * what is wrong.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/string.h"
#include "support/open_dataset.h"

#include "format/csv.h"

static const char *const tsv = "filepath\ttitle\tname\n"
                               "a.ppm\tone\tx\n"
                               "sub/b.ppm\t\"two\twith \"\"tab\"\"\nand line\"\ty\n"
                               "\n"
                               "a.ppm\tthree\tx\r\n"
                               "/c.ppm\t\"\"\ty\n"
                               "\tnothing\ty\n"
                               "d.ppm\tshort\n"
                               "/e.ppm\tfive\ty";

static void reads_rows(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *inside = string_format("%s/", folder);
    struct dataset *dataset;
    scratch_text(folder, "a.tsv", tsv);
    const struct dataset_params labels = {.label_key = "name"};
    assert_int_equal(open_file(folder, "a.tsv", &labels, &dataset), 0);
    assert_int_equal(dataset->count, 3);
    assert_int_equal(dataset->caption_count, 4);
    assert_int_equal(dataset->labels, 2);
    assert_int_equal(dataset->incomplete, 3);
    assert_non_null(strstr(last_warning, "3 samples left out, the first: line 7: no caption"));
    assert_name(dataset, 0, inside, "a.ppm");
    assert_name(dataset, 1, inside, "sub/b.ppm");
    assert_name(dataset, 2, "", "/e.ppm");
    assert_captions(dataset, 0, "one", "three");
    assert_captions(dataset, 1, "two\twith \"tab\"\nand line", NULL);
    assert_captions(dataset, 2, "five", NULL);
    assert_int_equal(dataset->samples[0].label, 0);
    assert_int_equal(dataset->samples[1].label, 1);
    assert_int_equal(dataset->samples[2].label, 1);
    dataset_close(&dataset);
    dataset_close(&dataset);

    /* Without a column of labels each picture has a label of its own, and the row of d.ppm is
     * complete. */
    assert_int_equal(open_file(folder, "a.tsv", NULL, &dataset), 0);
    assert_int_equal(dataset->count, 4);
    assert_int_equal(dataset->labels, 4);
    for (size_t i = 0; i < dataset->count; i++)
        assert_int_equal(dataset->samples[i].label, i);
    dataset_close(&dataset);
    free(inside);
    scratch_remove(folder);
}

static void finds_columns(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    const struct dataset_params names = {.image_key = "file", .caption_key = "text"},
                                semicolon = {.separator = ';'};
    struct dataset *dataset;
    scratch_text(folder, "names.csv", "\xef\xbb\xbftext,other,file\nhello,,p.png\n");
    assert_int_equal(open_file(folder, "names.csv", &names, &dataset), 0);
    assert_captions(dataset, 0, "hello", NULL);
    assert_string_equal(dataset->samples[0].name, "p.png");
    dataset_close(&dataset);
    scratch_text(folder, "semicolon.csv", "filepath;title\np,1.png;a, b\tc\n");
    assert_int_equal(open_file(folder, "semicolon.csv", &semicolon, &dataset), 0);
    assert_captions(dataset, 0, "a, b\tc", NULL);
    assert_string_equal(dataset->samples[0].name, "p,1.png");
    dataset_close(&dataset);
    /* Excel on a Mac ends lines with CR alone; a tab in a later row is not the separator. */
    scratch_text(folder, "cr.csv", "filepath,title\rp.png,\"a\rb\"\rq.png,c\td\r");
    assert_int_equal(open_file(folder, "cr.csv", NULL, &dataset), 0);
    assert_int_equal(dataset->count, 2);
    assert_captions(dataset, 0, "a\rb", NULL);
    assert_captions(dataset, 1, "c\td", NULL);
    dataset_close(&dataset);
    const struct dataset_params byte = {.separator = '\xff'};
    scratch_text(folder, "byte.csv", "filepath\xfftitle\np\xffone");
    assert_int_equal(open_file(folder, "byte.csv", &byte, &dataset), 0);
    assert_captions(dataset, 0, "one", NULL);
    dataset_close(&dataset);
    scratch_remove(folder);
}

static void refuses_files(void **state)
{
    (void)state;
    const struct dataset_params labels = {.label_key = "name"}, quote = {.separator = '"'};
    const struct {
        const char *text, *message;
        const struct dataset_params *params;
        int error;
    } files[] = {
        {"", "expected a row with the columns' names", NULL, VKCLIP_EFORMAT},
        {"filepath\ttitle\n", "contains no samples", NULL, VKCLIP_EFORMAT},
        {"filepath\tcaption\na\tb\n", "no column \"title\"", NULL, VKCLIP_EFORMAT},
        {"file\ttitle\na\tb\n", "no column \"filepath\" in its first row, which has: file, title",
         NULL, VKCLIP_EFORMAT},
        {"filepath\ttitle\na\tb\n", "no column \"name\"", &labels, VKCLIP_EFORMAT},
        {"filepath\ttitle\na\t \n\tb\n",
         "none of 2 samples has a picture and a caption (line 2: "
         "no caption)",
         NULL, VKCLIP_EFORMAT},
        {"filepath\ttitle\tname\na\tb\t\n", "line 2: no label", &labels, VKCLIP_EFORMAT},
        {"filepath,title\na,one, two\n", "line 2: more columns than the first row", NULL,
         VKCLIP_EFORMAT},
        {"filepath\ttitle\tname\na\tb\tc\na\tb\td\n", "a has the labels c and d", &labels,
         VKCLIP_EFORMAT},
        {"filepath\ttitle\na\t\"b\nc\td\n", "line 2: a quote that is not closed", NULL,
         VKCLIP_EFORMAT},
        {"filepath\ttitle\na\tb\n", "found a quote or a line end", &quote, VKCLIP_EINVALID},
    };
    char *folder = scratch_folder();
    struct dataset *dataset;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        scratch_text(folder, "a.tsv", files[i].text);
        assert_failed(open_file(folder, "a.tsv", files[i].params, &dataset), files[i].error,
                      files[i].message);
    }
    scratch_write(folder, "utf16.csv",
                  "\xff\xfe"
                  "f\0i\0",
                  6);
    assert_failed(open_file(folder, "utf16.csv", NULL, &dataset), VKCLIP_EUNSUPPORTED,
                  "utf16.csv: UTF-16, expected UTF-8");
    scratch_write(folder, "zero.tsv", "filepath\ttitle\na\0b\tc\n", 21);
    assert_failed(open_file(folder, "zero.tsv", NULL, &dataset), VKCLIP_EFORMAT,
                  "line 2: expected text, found a NUL byte");
    assert_failed(open_file(folder, "none.tsv", NULL, &dataset), VKCLIP_EIO, "none.tsv");
    scratch_remove(folder);
}

/* Several sources are one list: pictures of one name in two folders are two samples, labels of one
 * name are one label, and each source needs samples of its own. */
static void joins_sources(void **state)
{
    (void)state;
    char *folders[] = {scratch_folder(), scratch_folder()}, *paths[3], *name;
    const struct dataset_params labels = {.label_key = "name"};
    struct dataset *dataset;
    scratch_text(folders[0], "a.tsv", "filepath\ttitle\tname\np.png\tone\tx\nq.png\ttwo\ty\n");
    scratch_text(folders[1], "a.tsv",
                 "filepath\ttitle\tname\nz.png\t \tx\np.png\tthree\ty\n"
                 "p.png\tfour\ty\nr.png\tfive\tz\n");
    scratch_text(folders[1], "b.tsv", "filepath\ttitle\tname\np.png\t\ty\n");
    paths[0] = scratch_path(folders[0], "a.tsv");
    paths[1] = scratch_path(folders[1], "a.tsv");
    paths[2] = scratch_path(folders[1], "b.tsv");
    const char *const *sources = (const char *const *)paths;
    assert_int_equal(dataset_open(sources, 2, &labels, &dataset), 0);
    assert_int_equal(dataset->count, 4);
    assert_int_equal(dataset->labels, 3);
    assert_int_equal(dataset->incomplete, 1);
    assert_non_null(strstr(last_warning, "a.tsv: 1 samples left out, the first: line 2"));
    assert_non_null(strstr(dataset->path, "a.tsv and 1 more"));
    for (size_t i = 0; i < 4; i++) {
        static const char *const names[] = {"p.png", "q.png", "p.png", "r.png"};
        static const uint32_t numbers[] = {0, 1, 1, 2};
        name = string_format("%s/", folders[i / 2]);
        assert_name(dataset, i, name, names[i]);
        assert_int_equal(dataset->samples[i].label, numbers[i]);
        free(name);
    }
    assert_captions(dataset, 2, "three", "four");
    assert_string_equal(dataset->sources[1].path, paths[1]);
    assert_int_equal(dataset->sources[1].first, 2);
    assert_int_equal(dataset->sources[1].count, 2);
    const uint64_t identity = dataset->identity;
    dataset_close(&dataset);
    assert_int_equal(dataset_open(&(const char *){paths[1]}, 1, &labels, &dataset), 0);
    assert_true(dataset->identity != identity);
    dataset_close(&dataset);
    assert_failed(dataset_open(sources, 3, &labels, &dataset), VKCLIP_EFORMAT,
                  "b.tsv: none of 1 samples has a picture and a caption (line 2: no caption)");
    for (size_t i = 0; i < 3; i++)
        free(paths[i]);
    scratch_remove(folders[0]);
    scratch_remove(folders[1]);
}

static uint64_t identity_of(const char *folder, const char *text)
{
    struct dataset *dataset;
    scratch_text(folder, "a.tsv", text);
    assert_int_equal(open_file(folder, "a.tsv", NULL, &dataset), 0);
    uint64_t identity = dataset->identity;
    dataset_close(&dataset);
    return identity;
}

/* The identity of a data set does not depend on its folder, since a run may resume after a move. */
static void tells_data_sets_apart(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *other = scratch_folder();
    uint64_t one = identity_of(folder, "filepath\ttitle\na\tb\nc\td\n");
    assert_true(one == identity_of(other, "title,filepath\nb,a\nd,c\n"));
    assert_true(one != identity_of(folder, "filepath\ttitle\nc\td\na\tb\n"));
    assert_true(one != identity_of(folder, "filepath\ttitle\na\tb\nc\te\n"));
    assert_true(one != identity_of(folder, "filepath\ttitle\na\tb\nc\td\nc\td\n"));
    scratch_remove(folder);
    scratch_remove(other);
}

static void loads_pictures(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct dataset *dataset;
    struct vkclip_image image;
    scratch_write(folder, "a.ppm", "P6 2 1 255\nabcdef", 17);
    scratch_text(folder, "a.tsv", "filepath\ttitle\na.ppm\tone\nnone.ppm\ttwo\n");
    assert_int_equal(open_file(folder, "a.tsv", NULL, &dataset), 0);
    assert_int_equal(dataset_load(dataset, 0, NULL, &image), 0);
    assert_int_equal(image.width, 2);
    assert_memory_equal(image.pixels, "abcdef", 6);
    vkclip_free_image(&image);
    assert_failed(dataset_load(dataset, 1, NULL, &image), VKCLIP_EIO, "none.ppm");
    assert_null(image.pixels);
    assert_int_equal(dataset_check(dataset), 0);
    dataset_close(&dataset);
    /* Each source must have a picture among its first ones. */
    scratch_text(folder, "b.tsv", "filepath\ttitle\ttext\nx.ppm\tone\ta.ppm\ny.ppm\ttwo\ta.ppm\n");
    char *paths[] = {scratch_path(folder, "a.tsv"), scratch_path(folder, "b.tsv")};
    const struct dataset_params text = {.image_key = "text"};
    assert_int_equal(dataset_open((const char *const *)paths, 2, NULL, &dataset), 0);
    assert_failed(dataset_check(dataset), VKCLIP_EFORMAT,
                  "b.tsv: none of its first 2 pictures can be read: ");
    assert_non_null(strstr(vkclip_last_error(), "x.ppm: No such file"));
    assert_non_null(strstr(vkclip_last_error(), "`csv_img_key`"));
    dataset_close(&dataset);
    assert_int_equal(dataset_open((const char *const *)&paths[1], 1, &text, &dataset), 0);
    assert_int_equal(dataset_check(dataset), 0);
    dataset_close(&dataset);
    free(paths[0]);
    free(paths[1]);
    scratch_remove(folder);
}

#ifndef _WIN32
/* A table that becomes shorter while it is read is an error and never a shorter table. */
static void refuses_shrinking_tables(void **state)
{
    (void)state;
    static char rows[200000];
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.csv");
    struct csv csv;
    size_t count = 0;
    bool more = true;
    memset(rows, 'x', sizeof(rows));
    for (size_t i = 9; i < sizeof(rows); i += 10)
        rows[i] = '\n';
    scratch_write(folder, "a.csv", rows, sizeof(rows));
    assert_int_equal(csv_open(path, 0, &csv), 0);
    scratch_cut(path, 100000);
    int error = 0;
    while (!error && more && count <= sizeof(rows)) {
        error = csv_next(&csv, &more);
        count++;
    }
    assert_failed(error, VKCLIP_EIO, "a.csv: became shorter while it was read");
    csv_close(&csv);
    free(path);
    scratch_remove(folder);
}

#endif

/* ---- Prepared batches ------------------------------------------------------------------------ */

static void refuses_raw(void **state)
{
    (void)state;
    const struct {
        uint64_t images[5], ids[3];
        unsigned rank;
        enum dtype image_type, id_type;
        const char *message;
    } files[] = {
        {{2, 2, 3, 1, 1}, {2, 2, 4}, 5, DTYPE_F32, DTYPE_I32, NULL},
        {{2, 2, 3, 1, 2}, {2, 2, 4}, 5, DTYPE_F16, DTYPE_I64, NULL},
        {{2, 2, 3, 1}, {2, 2, 4}, 4, DTYPE_F32, DTYPE_I32, "images has rank 4 and dtype F32"},
        {{2, 2, 4, 1, 1}, {2, 2, 4}, 5, DTYPE_F32, DTYPE_I32, "expected [S,B,3,H,W]"},
        {{2, 2, 3, 1, 1}, {2, 2, 4}, 5, DTYPE_U8, DTYPE_I32, "dtype U8, expected [S,B,3,H,W]"},
        {{2, 2, 3, 1, 1}, {2, 2, 4}, 5, DTYPE_F32, DTYPE_F32, "input_ids has rank 3 and dtype F32"},
        {{2, 2, 3, 1, 1},
         {1, 4, 4},
         5,
         DTYPE_F32,
         DTYPE_I32,
         "images has 2 batches of 2, "
         "input_ids 1 of 4"},
        {{2, 2, 3, 0, 1}, {2, 2, 4}, 5, DTYPE_F32, DTYPE_I32, "batches of no pictures"},
    };
    char *folder = scratch_folder(), *path = scratch_path(folder, "raw.safetensors");
    static const uint8_t zeros[256];
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        struct dataset *dataset;
        struct tensor_view tensors[] = {
            {.name = "images", .dtype = files[i].image_type, .rank = files[i].rank, .data = zeros},
            {.name = "input_ids", .dtype = files[i].id_type, .rank = 3, .data = zeros}};
        memcpy(tensors[0].shape, files[i].images, sizeof(files[i].images));
        memcpy(tensors[1].shape, files[i].ids, sizeof(files[i].ids));
        for (size_t t = 0; t < 2; t++) {
            tensors[t].size = dtype_size(tensors[t].dtype);
            for (unsigned k = 0; k < tensors[t].rank; k++)
                tensors[t].size *= tensors[t].shape[k];
        }
        assert_int_equal(safetensors_write(path, tensors, 2, NULL), 0);
        if (files[i].message) {
            assert_failed(dataset_open_raw(path, &dataset), VKCLIP_EFORMAT, files[i].message);
            assert_null(dataset);
            continue;
        }
        assert_int_equal(dataset_open_raw(path, &dataset), 0);
        assert_int_equal(dataset->images->shape[0], 2);
        dataset_close(&dataset);
        assert_int_equal(safetensors_write(path, tensors, 1, NULL), 0);
        assert_failed(dataset_open_raw(path, &dataset), VKCLIP_EFORMAT, "no tensor input_ids");
    }
    free(path);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_rows),
        cmocka_unit_test(finds_columns),
        cmocka_unit_test(joins_sources),
        cmocka_unit_test(refuses_files),
        cmocka_unit_test(tells_data_sets_apart),
        cmocka_unit_test(loads_pictures),
        cmocka_unit_test(refuses_raw),
#ifndef _WIN32
        cmocka_unit_test(refuses_shrinking_tables),
#endif
    };
    vkclip_set_log(keep_warning, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(last_warning);
    return failed;
}
