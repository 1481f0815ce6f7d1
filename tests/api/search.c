/* SPDX-License-Identifier: MIT
 *
 * Searches an index of 60 samples among thousands of other vectors: the results are those of a
 * computation in double precision over all of them. Further tests are of filters, sorting, pictures
 * in queries, pictures that are gone, and wrong arguments.
 */
#define _GNU_SOURCE
#include "support/open_device.h"
#include "support/random.h"
#include "support/scratch.h"
#include "base/half.h"
#include "search/index.h"

#include <math.h>
#include <unistd.h>

#define MODEL "models/emoji-clip"
#define SAMPLES "tests/golden/emoji-clip/samples"
enum { D = 128, OTHERS = 3000, MOST = 64, MANY = 1000 };

static struct vkclip_model *model;
static struct vkclip_index *pictures;
static char *folder, *path, *samples;

/* The index as vkclip_list_indexed gives it. */
static struct listed {
    int64_t id;
    char path[512];
    float embed[D];
    double score;
} * list;
static size_t list_count;

/* The results of a search. */
static struct result {
    int64_t id, date;
    char path[512];
    float score, z;
    size_t copies;
} results[MANY];
static size_t result_count;

/* ---- The index --------------------------------------------------------------------------------- */

static void must(int error)
{
    if (error)
        fail_msg("%d: %s", error, vkclip_last_error());
}

/* Puts a picture into the store that lies nowhere: its embedding is a mean of two samples with
 * noise, since random directions would be far from all texts, and easy to tell from pictures. */
static void add_other(struct store *store, int64_t model_id, size_t number, uint32_t *random)
{
    char name[64];
    float noise[D + 4];
    uint16_t row[D];
    double squares = 0;
    struct store_hash hash = {{1, 2, 3, (uint8_t)(number >> 8), (uint8_t)number}};
    random_values(random, noise, D + 4);
    const size_t first = (size_t)((noise[D] + 1) * 30), step = (size_t)((noise[D + 1] + 1) * 29);
    const float *a = list[first % 60].embed, *b = list[(first + 1 + step) % 60].embed;
    for (size_t i = 0; i < D; i++) {
        noise[i] = a[i] + b[i] + 0.3f * noise[i];
        squares += (double)noise[i] * (double)noise[i];
    }
    for (size_t i = 0; i < D; i++)
        row[i] = half_from_float((float)((double)noise[i] / sqrt(squares)));
    struct image_facts facts = {.format = number % 2 ? "jpeg" : "png",
                                .width = 100 + (uint32_t)number,
                                .height = 50,
                                .orientation = 1,
                                .taken = number % 5 ? (int64_t)number * 86400 : INT64_MIN,
                                .latitude = number % 7 ? 50 + (double)noise[D + 2] : (double)NAN,
                                .longitude = number % 7 ? 10 + (double)noise[D + 3] : (double)NAN};
    snprintf(facts.camera, sizeof(facts.camera), "%s", number % 3 ? "Canon EOS 80D" : "");
    const struct store_stamp stamp = {.size = number, .modified = (int64_t)number * 1000000000};
    int64_t id, before;
    snprintf(name, sizeof(name), "/others/%s/%zu.img", number % 2 ? "odd" : "even", number);
    must(store->write->put_content(store, &hash, &id));
    must(store->write->put_facts(store, id, &facts));
    must(store->write->put_file(store, name, &stamp, id, 0, NULL, &before));
    must(store->write->put_vector(store, id, model_id, row, D));
}

static int add_to_list(void *user, const struct vkclip_hit *hit, const float *embed)
{
    (void)user;
    struct listed *item = &list[list_count++];
    item->id = hit->id;
    snprintf(item->path, sizeof(item->path), "%s", hit->path);
    memcpy(item->embed, embed, sizeof(item->embed));
    return 0;
}

static void list_index(void)
{
    list_count = 0;
    must(vkclip_list_indexed(pictures, model, NULL, add_to_list, NULL));
}

static int open_all(void **state)
{
    struct vkclip_index_model known = {.size = sizeof(known)};
    size_t count = 0;
    uint32_t random = 1;
    open_device(state);
    must(vkclip_open_model(device, MODEL, NULL, &model));
    folder = scratch_folder();
    path = scratch_path(folder, "index.db");
    samples = realpath(SAMPLES, NULL);
    list = calloc(OTHERS + MOST, sizeof(*list));
    const struct vkclip_index_params params = {.size = sizeof(params), .path = path};
    const char *const paths[] = {samples};
    must(vkclip_open_index(&params, &pictures));
    must(vkclip_index_paths(pictures, model, paths, 1, NULL, NULL));
    must(vkclip_list_index_models(pictures, &known, 1, &count));
    assert_int_equal(count, 1);
    list_index();
    assert_int_equal(list_count, 60);
    struct store *store = pictures->store;
    int64_t model_id = 0;
    must(store->read->find_model(store, known.identity, &model_id));
    must(store->write->begin(store));
    for (size_t i = 0; i < OTHERS; i++)
        add_other(store, model_id, i, &random);
    must(store->write->commit(store));
    list_index();
    assert_int_equal(list_count, 60 + OTHERS);
    return 0;
}

static int close_all(void **state)
{
    vkclip_close_index(&pictures);
    vkclip_close_model(&model);
    scratch_remove(folder);
    free(path);
    free(samples);
    free(list);
    return close_device(state);
}

/* ---- Searches ---------------------------------------------------------------------------------- */

static int take_hit(void *user, const struct vkclip_hit *hit)
{
    (void)user;
    assert_true(result_count < MANY);
    struct result *result = &results[result_count++];
    *result = (struct result){
        .id = hit->id, .date = hit->date, .score = hit->score, .z = hit->z, .copies = hit->copies};
    snprintf(result->path, sizeof(result->path), "%s", hit->path);
    return 0;
}

static int run_search(const struct vkclip_search_params *params)
{
    result_count = 0;
    return vkclip_search(pictures, model, params, take_hit, NULL);
}

/* Searches for one text. */
static void search_text(const char *text, struct vkclip_search_params params)
{
    const struct vkclip_query_part part = {.value = text};
    params.size = sizeof(params);
    params.parts = &part;
    params.part_count = 1;
    must(run_search(&params));
}

static int compare_scores(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Computes all scores of a query in double precision, sorts by them, and returns their mean and
 * deviation. */
static void compute_scores(const double *query, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < list_count; i++) {
        list[i].score = 0;
        for (size_t k = 0; k < D; k++)
            list[i].score += query[k] * (double)list[i].embed[k];
        sum += list[i].score;
    }
    *mean = sum / (double)list_count;
    for (size_t i = 0; i < list_count; i++)
        squares += (list[i].score - *mean) * (list[i].score - *mean);
    *deviation = sqrt(squares / (double)list_count);
    qsort(list, list_count, sizeof(*list), compare_scores);
}

/* Compares the results with the first of the sorted list that are not `left_out`. */
static void assert_results(const double *query, size_t count, int64_t left_out)
{
    double mean, deviation;
    compute_scores(query, &mean, &deviation);
    assert_int_equal(result_count, count);
    for (size_t i = 0, k = 0; i < count; i++, k++) {
        k += list[k].id == left_out;
        if (fabs((double)results[i].score - list[k].score) > 2e-6)
            fail_msg("result %zu: expected %.8f, found %.8f", i, list[k].score,
                     (double)results[i].score);
        assert_float_equal(results[i].z, (list[k].score - mean) / deviation, 1e-3);
        /* Scores that are equal within rounding may come in either order. */
        if (k + 1 < list_count && list[k].score - list[k + 1].score > 1e-6 &&
            (!k || list[k - 1].score - list[k].score > 1e-6))
            assert_int_equal(results[i].id, list[k].id);
    }
}

static void add_text(double *query, const char *text, double weight)
{
    float embed[D];
    must(vkclip_encode_texts(model, &text, 1, NULL, embed));
    for (size_t i = 0; i < D; i++)
        query[i] += weight * (double)embed[i];
}

static void divide_by_length(double *query)
{
    double squares = 0;
    for (size_t i = 0; i < D; i++)
        squares += query[i] * query[i];
    for (size_t i = 0; i < D; i++)
        query[i] /= sqrt(squares);
}

/* The labels of the samples: their files, and prompts that fit them. */
static struct {
    char file[64], prompt[128];
} labels[MOST];

static size_t read_labels(void)
{
    char line[512], name[128];
    size_t count = 0;
    FILE *file = fopen("tests/golden/emoji-clip/labels.tsv", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "samples/%63[^\t]\t%127[^\t]\t%127[^\t]", labels[count].file, name,
                   labels[count].prompt) == 3)
            count++;
    fclose(file);
    return count;
}

/* Recall at 1 and at 10 of all prompts is that of the computation in double precision. */
static void recall_is_exact(void **state)
{
    (void)state;
    const size_t count = read_labels();
    size_t first[2] = {0}, tenth[2] = {0};
    assert_int_equal(count, 60);
    for (size_t i = 0; i < count; i++) {
        double query[D] = {0};
        add_text(query, labels[i].prompt, 1);
        search_text(labels[i].prompt, (struct vkclip_search_params){0});
        assert_results(query, 10, 0);
        for (size_t k = 0; k < 10; k++) {
            const bool found = string_ends_with(results[k].path, labels[i].file);
            const bool expected = string_ends_with(list[k].path, labels[i].file);
            first[0] += found && !k;
            first[1] += expected && !k;
            tenth[0] += found;
            tenth[1] += expected;
        }
    }
    print_message("recall at 1: %zu of %zu, at 10: %zu\n", first[0], count, tenth[0]);
    assert_int_equal(first[0], first[1]);
    assert_int_equal(tenth[0], tenth[1]);
    assert_true(first[0] >= 10); /* The model is not lost among the others. */
}

/* A device that keeps the vectors gives the results of the processor to the bit. */
static void a_device_finds_the_same(void **state)
{
    (void)state;
    static struct result expected[MANY];
    const struct vkclip_search_params cases[] = {
        {.top = 20}, {.top = 5, .path_glob = "/others/*"}, {.min_z = 2}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        search_text("a picture of robot", cases[i]);
        const size_t count = result_count;
        memcpy(expected, results, sizeof(results));
        must(vkclip_upload_index(pictures, model));
        assert_non_null(pictures->current.resident);
        search_text("a picture of robot", cases[i]);
        assert_int_equal(result_count, count);
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(results[k].id, expected[k].id);
            assert_memory_equal(&results[k].score, &expected[k].score, sizeof(float));
            assert_float_equal(results[k].z, expected[k].z, 1e-4);
        }
        must(current_keep(&pictures->current, NULL, NULL));
        assert_null(pictures->current.resident);
    }
}

/* The samples of the model have an owl, which is found first. */
static void owl_comes_first(void **state)
{
    (void)state;
    char *owl_path = scratch_path(folder, "owl.db");
    const char *const paths[] = {MODEL "/samples"};
    const struct vkclip_index_params params = {.size = sizeof(params), .path = owl_path};
    struct vkclip_index *kept = pictures;
    must(vkclip_open_index(&params, &pictures));
    must(vkclip_index_paths(pictures, model, paths, 1, NULL, NULL));
    search_text("a picture of owl", (struct vkclip_search_params){0});
    assert_int_equal(result_count, 10);
    assert_true(string_ends_with(results[0].path, "/owl.png"));
    assert_true(results[0].z > 1);
    vkclip_close_index(&pictures);
    pictures = kept;
    free(owl_path);
}

static void parts_are_added(void **state)
{
    (void)state;
    const struct vkclip_query_part parts[] = {{.value = "a picture of owl", .weight = 2},
                                              {.value = "a picture of pizza", .weight = 1},
                                              {.value = "a picture of robot", .weight = -0.5}};
    const struct vkclip_search_params params = {
        .size = sizeof(params), .parts = parts, .part_count = 3, .top = 20};
    double query[D] = {0};
    for (size_t i = 0; i < 3; i++)
        add_text(query, parts[i].value, parts[i].weight);
    divide_by_length(query);
    must(run_search(&params));
    assert_results(query, 20, 0);
}

static const struct listed *find_listed(const char *end)
{
    for (size_t i = 0; i < list_count; i++)
        if (string_ends_with(list[i].path, end))
            return &list[i];
    fail_msg("%s is not in the index", end);
    return NULL;
}

/* A picture by its number, by its file, and by a copy elsewhere are the same query, and none of
 * them is encoded: a model without a device is enough. */
static void pictures_of_the_index_are_queries(void **state)
{
    (void)state;
    const struct listed owl = *find_listed("/1f989.png");
    char *copy = scratch_path(folder, "copy.png");
    struct file_map map;
    float scaled[D];
    must(file_map_open(owl.path, &map));
    scratch_write(folder, "copy.png", map.data, map.size);
    file_map_close(&map);
    const struct vkclip_query_part parts[] = {
        {.kind = VKCLIP_QUERY_ID, .id = owl.id},
        {.kind = VKCLIP_QUERY_IMAGE, .value = owl.path},
        {.kind = VKCLIP_QUERY_IMAGE, .value = copy},
        {.kind = VKCLIP_QUERY_EMBED, .data = scaled, .size = sizeof(scaled)}};
    must(vkclip_read_embedding(pictures, model, owl.id, scaled));
    assert_memory_equal(scaled, owl.embed, sizeof(scaled));
    assert_failed(vkclip_read_embedding(pictures, model, 999999, scaled), VKCLIP_EABSENT,
                  "id:999999");
    for (size_t i = 0; i < D; i++)
        scaled[i] = 3 * owl.embed[i];
    struct vkclip_model *on_device = model;
    must(vkclip_open_model(NULL, MODEL, NULL, &model));
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        const struct vkclip_search_params params = {
            .size = sizeof(params), .parts = &parts[i], .part_count = 1};
        double query[D] = {0};
        for (size_t k = 0; k < D; k++)
            query[k] = (double)owl.embed[k];
        divide_by_length(query);
        must(run_search(&params));
        assert_results(query, 10, parts[i].kind == VKCLIP_QUERY_EMBED ? 0 : owl.id);
    }
    vkclip_close_model(&model);
    model = on_device;
    free(copy);
}

/* A picture that the index does not know is encoded. */
static void other_pictures_are_encoded(void **state)
{
    (void)state;
    char *unknown = scratch_path(folder, "unknown.ppm");
    uint8_t pixels[12 + 12 * 3] = "P6 4 3 255\n";
    float embed[D];
    double query[D];
    memset(pixels + 11, 0xe0, 36);
    scratch_write(folder, "unknown.ppm", pixels, 47);
    const char *const paths[] = {unknown};
    const struct vkclip_query_part part = {.kind = VKCLIP_QUERY_IMAGE, .value = unknown};
    const struct vkclip_search_params params = {
        .size = sizeof(params), .parts = &part, .part_count = 1};
    must(vkclip_encode_files(model, paths, 1, NULL, embed));
    for (size_t i = 0; i < D; i++)
        query[i] = (double)embed[i];
    must(run_search(&params));
    assert_results(query, 10, 0);
    free(unknown);
}

/* Filters leave the order of what passes as it is, and scores and z too. */
static void filters_choose(void **state)
{
    (void)state;
    static const struct {
        struct vkclip_search_params params;
        const char *part; /* of the path of every result */
        size_t count;
    } cases[] = {
        {{.path_glob = "/others/odd/*"}, "/others/odd/", 10},
        {{.path_glob = "12?.img", .top = 20}, "/12", 10},
        {{.type = "JPG"}, "/odd/", 10},
        {{.camera = "canon", .top = 60}, "/others/", 60},
        {{.after = 2990 * (int64_t)86400, .before = 3001 * (int64_t)86400},
         "/29",
         8}, /* two of ten have no date */
        /* Of a picture without a date counts that of its file, which is any day for the samples. */
        {{.before = 86400, .path_glob = "/others/*", .top = MANY}, ".img", OTHERS / 5},
        {{.min_width = 3090}, "/29", 10},
        {{.min_width = 3090, .min_height = 51}, "", 0},
        {{.latitude = 50, .longitude = 10, .kilometers = 150, .top = 60}, "/others/", 60},
        {{.latitude = -50, .longitude = 10, .kilometers = 150}, "", 0},
    };
    search_text("a picture of pizza", (struct vkclip_search_params){.top = 1});
    const float best_z = results[0].z;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        search_text("a picture of pizza", cases[i].params);
        if (result_count != cases[i].count)
            fail_msg("case %zu: found %zu", i, result_count);
        for (size_t k = 0; k < result_count; k++) {
            if (!strstr(results[k].path, cases[i].part))
                fail_msg("case %zu: found %s", i, results[k].path);
            assert_true(!k || results[k].score <= results[k - 1].score);
            assert_true(results[k].z <= best_z);
        }
    }
}

static void limits_cut(void **state)
{
    (void)state;
    const char *text = "a picture of pizza";
    search_text(text, (struct vkclip_search_params){.top = MOST});
    assert_int_equal(result_count, MOST);
    const float score = results[5].score, z = results[7].z, best = results[0].score;
    search_text(text, (struct vkclip_search_params){.top = MOST, .min_score = (double)score});
    assert_int_equal(result_count, 6);
    search_text(text, (struct vkclip_search_params){.top = MOST, .min_z = (double)z - 1e-6});
    assert_int_equal(result_count, 8);
    search_text(text, (struct vkclip_search_params){.relative = (double)(score / best) - 1e-6});
    assert_int_equal(result_count, 6);
    search_text(text, (struct vkclip_search_params){.min_z = 1000});
    assert_int_equal(result_count, 0);
    search_text(text, (struct vkclip_search_params){.top = MOST, .sort = VKCLIP_SORT_DATE});
    assert_int_equal(result_count, MOST);
    for (size_t i = 1; i < MOST; i++)
        assert_true(results[i].date <= results[i - 1].date);
}

/* A picture of two files has two copies, a filter names the file that passes, and a picture without
 * any file is not found any more, although its vector is still there. A few results are looked up,
 * and for many all pictures are listed. */
static void files_come_and_go(void **state)
{
    (void)state;
    char *copies = scratch_path(folder, "copies"),
         *pizza = scratch_path(folder, "copies/zpizza.png");
    const struct listed sample = *find_listed("/1f355.png");
    /* The source code may lie before or behind the folder of temporary files. */
    const char *first = strcmp(pizza, sample.path) < 0 ? pizza : sample.path;
    struct file_map map;
    const char *const paths[] = {copies};
    const char *const gone[] = {copies, sample.path};
    static const struct vkclip_search_params params[] = {
        {.top = 5}, {.top = 5, .path_glob = "*"}, {.top = MANY}, {.top = MANY, .path_glob = "*"}};
    must(folder_make(copies));
    must(file_map_open(sample.path, &map));
    scratch_write(folder, "copies/zpizza.png", map.data, map.size);
    file_map_close(&map);
    must(vkclip_index_paths(pictures, model, paths, 1, NULL, NULL));
    for (size_t i = 0; i < ARRAY_COUNT(params); i++) {
        search_text("a picture of pizza", params[i]);
        assert_int_equal(results[0].id, sample.id);
        assert_int_equal(results[0].copies, 2);
        assert_string_equal(results[0].path, first);
    }
    search_text("a picture of pizza", (struct vkclip_search_params){.path_glob = "1f355.png"});
    assert_int_equal(result_count, 1);
    assert_int_equal(results[0].copies, 2);
    assert_string_equal(results[0].path, sample.path);
    must(vkclip_remove_indexed(pictures, gone, 2, NULL));
    for (size_t i = 0; i < ARRAY_COUNT(params); i++) {
        search_text("a picture of pizza", params[i]);
        assert_int_equal(result_count, params[i].top);
        for (size_t k = 0; k < result_count; k++) {
            assert_true(results[k].id != sample.id);
            assert_true(!k || results[k].score <= results[k - 1].score);
        }
    }
    const char *const again[] = {samples};
    must(vkclip_index_paths(pictures, model, again, 1, NULL, NULL));
    search_text("a picture of pizza", (struct vkclip_search_params){.top = 1});
    assert_string_equal(results[0].path, sample.path);
    list_index();
    free(copies);
    free(pizza);
}

/* Copies of the paths that vkclip_find_indexed gives. */
static int collect_path(void *user, const struct vkclip_hit *hit)
{
    struct result **next = user;
    snprintf((*next)->path, sizeof((*next)->path), "%s", hit->path);
    (*next)->id = hit->id;
    (*next)++;
    return 0;
}

static void check_jpeg(void *user, const void *data, size_t size)
{
    (void)user;
    assert_true(size > 100);
    assert_memory_equal(data, "\xff\xd8\xff", 3);
}

/* A path of the index gives the file that was indexed, or none: also if it is a link to another
 * file meanwhile. */
static void pictures_are_opened_by_id(void **state)
{
    (void)state;
    char *copies = scratch_path(folder, "opened"), *copy = scratch_path(folder, "opened/a.png");
    const struct vkclip_update_params params = {.size = sizeof(params), .thumbnails = true};
    const char *const paths[] = {copies};
    struct file_map map;
    struct result *end = results;
    uint8_t begin[8];
    uint64_t size = 0;
    int file = -1;
    must(folder_make(copies));
    must(file_map_open(SAMPLES "/1f355.png", &map));
    scratch_write(folder, "opened/a.png", map.data, map.size);
    scratch_write(folder, "opened/b.png", map.data, map.size);
    file_map_close(&map);
    must(vkclip_remove_indexed(pictures, (const char *[]){samples}, 1, NULL));
    must(vkclip_index_paths(pictures, model, paths, 1, &params, NULL));
    search_text("a picture of pizza", (struct vkclip_search_params){.top = 1});
    const int64_t id = results[0].id;
    must(vkclip_find_indexed(pictures, id, collect_path, &end));
    assert_int_equal(end - results, 2);
    assert_true(string_ends_with(results[0].path, "/a.png"));
    assert_true(string_ends_with(results[1].path, "/b.png"));
    assert_int_equal(results[1].id, id);
    must(vkclip_read_thumbnail(pictures, id, check_jpeg, NULL));
    assert_int_equal(vkclip_read_thumbnail(pictures, id + 100000, check_jpeg, NULL),
                     VKCLIP_EABSENT);

    scratch_write(folder, "opened/b.png", "changed", 7);
    must(vkclip_open_indexed(pictures, id, &file, &size));
    assert_int_equal(read(file, begin, 8), 8);
    assert_memory_equal(begin, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(lseek(file, 0, SEEK_END), size);
    close(file);
    assert_int_equal(remove(copy), 0);
    assert_int_equal(symlink("/etc/passwd", copy), 0);
    assert_int_equal(vkclip_open_indexed(pictures, id, &file, &size), VKCLIP_EABSENT);
    assert_int_equal(file, -1);
    assert_int_equal(vkclip_open_indexed(pictures, 1 << 30, &file, &size), VKCLIP_EABSENT);
    assert_int_equal(vkclip_find_indexed(pictures, 1 << 30, collect_path, &end), VKCLIP_EABSENT);
    must(vkclip_index_paths(pictures, model, (const char *[]){samples}, 1, NULL, NULL));
    must(vkclip_remove_indexed(pictures, paths, 1, NULL));
    list_index();
    free(copies);
    free(copy);
}

/* An index that is deleted and made anew has other vectors under the same names of files. */
static void an_index_is_made_anew(void **state)
{
    (void)state;
    char *anew = scratch_path(folder, "anew.db");
    const struct vkclip_index_params params = {.size = sizeof(params), .path = anew};
    static const char *const files[] = {MODEL "/samples/owl.png", MODEL "/samples/pizza.png"};
    struct vkclip_index *kept = pictures;
    for (size_t i = 0; i < 2; i++) {
        must(vkclip_open_index(&params, &pictures));
        must(vkclip_index_paths(pictures, model, &files[i], 1, NULL, NULL));
        search_text("a picture of owl", (struct vkclip_search_params){0});
        assert_int_equal(result_count, 1);
        assert_true(i ? results[0].score < 0.3f : results[0].score > 0.5f);
        vkclip_close_index(&pictures);
        assert_int_equal(remove(anew), 0);
    }
    pictures = kept;
    free(anew);
}

static int stop(void *user, const struct vkclip_hit *hit)
{
    (void)hit;
    return ++*(int *)user;
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct vkclip_query_part parts[2];
        size_t count;
        int error;
        const char *message;
    } cases[] = {
        {{{0}}, 0, VKCLIP_EINVALID, "no part"},
        {{{0}}, 1, VKCLIP_EINVALID, "no value"},
        {{{.kind = VKCLIP_QUERY_ID, .id = 999999}}, 1, VKCLIP_EABSENT, "id:999999"},
        {{{.kind = VKCLIP_QUERY_IMAGE, .value = "no/such.png"}}, 1, VKCLIP_EIO, "no/such.png"},
        {{{.kind = VKCLIP_QUERY_IMAGE, .value = "README.md"}}, 1, VKCLIP_EUNSUPPORTED, "README.md"},
        {{{.kind = VKCLIP_QUERY_EMBED}}, 1, VKCLIP_EINVALID, "no data"},
        {{{.kind = VKCLIP_QUERY_EMBED, .data = "12345678", .size = 8}},
         1,
         VKCLIP_EINVALID,
         "8 bytes"},
        {{{.value = "owl"}, {.value = "owl", .weight = -1}}, 2, VKCLIP_EINVALID, "cancel"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct vkclip_search_params params = {
            .size = sizeof(params), .parts = cases[i].parts, .part_count = cases[i].count};
        assert_failed(run_search(&params), cases[i].error, cases[i].message);
    }
    int calls = 0;
    const struct vkclip_query_part part = {.value = "owl"};
    const struct vkclip_search_params params = {
        .size = sizeof(params), .parts = &part, .part_count = 1};
    assert_failed(vkclip_search(pictures, model, &params, stop, &calls), VKCLIP_ECANCELLED,
                  "stopped");
    assert_int_equal(calls, 1);
}

/* An index without pictures, and one of another model, are told apart. */
static void other_indexes_are_refused(void **state)
{
    (void)state;
    char *empty_path = scratch_path(folder, "empty.db");
    struct vkclip_index *empty, *kept = pictures;
    struct vkclip_model *other = NULL, *own = model;
    const struct vkclip_index_params index_params = {.size = sizeof(index_params),
                                                     .path = empty_path};
    const struct vkclip_query_part part = {.value = "owl"};
    const struct vkclip_search_params params = {
        .size = sizeof(params), .parts = &part, .part_count = 1};
    must(vkclip_open_index(&index_params, &empty));
    pictures = empty;
    assert_failed(run_search(&params), VKCLIP_EABSENT, "empty.db: the index has no pictures");
    pictures = kept;
    must(vkclip_open_model(NULL, "tests/golden/models/hf-vit", NULL, &other));
    model = other;
    assert_failed(run_search(&params), VKCLIP_EABSENT, "emoji-clip");
    model = own;
    vkclip_close_model(&other);
    vkclip_close_index(&empty);
    free(empty_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recall_is_exact),
        cmocka_unit_test(a_device_finds_the_same),
        cmocka_unit_test(owl_comes_first),
        cmocka_unit_test(parts_are_added),
        cmocka_unit_test(pictures_of_the_index_are_queries),
        cmocka_unit_test(other_pictures_are_encoded),
        cmocka_unit_test(filters_choose),
        cmocka_unit_test(limits_cut),
        cmocka_unit_test(files_come_and_go),
        cmocka_unit_test(pictures_are_opened_by_id),
        cmocka_unit_test(an_index_is_made_anew),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(other_indexes_are_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
