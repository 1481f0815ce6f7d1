/* SPDX-License-Identifier: MIT
 *
 * What is left of an index when the process that makes it is killed. `kills KILLS PICTURES` does it
 * with other numbers than the test.
 */
#define _GNU_SOURCE
#include "search/sqlite.h"
#include "support/pictures.h"
#include "support/scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *program;

/* The other process indexes, and tells here how far it is. */
struct shared {
    volatile uint64_t done, started;
};

static int share_progress(void *user, const struct vkclip_update_progress *progress)
{
    struct shared *shared = user;
    shared->done = progress->done;
    shared->started |= progress->total > 0;
    return 0;
}

static int index_in_child(char **arguments)
{
    const struct vkclip_index_params index_params = {.size = sizeof(index_params),
                                                     .path = arguments[0]};
    const struct vkclip_device_params device_params = {.size = sizeof(device_params),
                                                       .cache_dir = arguments[3]};
    const char *paths[] = {arguments[1]};
    int file = open(arguments[2], O_RDWR);
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    struct vkclip_update_params params = {
        .size = sizeof(params), .progress = share_progress, .user = shared};
    struct vkclip_index *index = NULL;
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    int error = vkclip_open_index(&index_params, &index);
    if (!error)
        error = vkclip_open_device(&device_params, &device);
    if (!error)
        error = vkclip_open_model(device, arguments[4], NULL, &model);
    if (!error)
        error = vkclip_index_paths(index, model, paths, 1, &params, NULL);
    if (error)
        fprintf(stderr, "%s\n", vkclip_last_error());
    vkclip_close_index(&index);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    return error != 0;
}

static pid_t start_child(char *const *arguments)
{
    pid_t child = fork();
    if (!child) {
        char *const command[] = {(char *)program, (char *)"child", arguments[0], arguments[1],
                                 arguments[2],    arguments[3],    arguments[4], NULL};
        execv(program, command);
        _exit(127);
    }
    assert_true(child > 0);
    return child;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

struct dump {
    char *text;
    size_t size, capacity, rows;
};

static int dump_row(void *user, const struct row *row)
{
    struct dump *dump = user;
    for (int i = 0; i < 3; i++) {
        size_t bytes;
        const void *value = row_bytes(row, i, &bytes);
        if (dump->size + bytes > dump->capacity) {
            dump->capacity = 2 * (dump->size + bytes);
            dump->text = realloc(dump->text, dump->capacity);
        }
        memcpy(dump->text + dump->size, value, bytes);
        dump->size += bytes;
    }
    dump->rows++;
    return 0;
}

/* Reads every path with its hash and its vector. */
static struct dump dump_index(const char *path)
{
    struct dump dump = {0};
    struct sqlite sqlite;
    assert_int_equal(sqlite_open(path, SQLITE_MODE_READ, &sqlite), 0);
    assert_int_equal(
        database_each(&sqlite.database,
                      "SELECT path, hash, data FROM file JOIN content ON content.id = file.content"
                      " JOIN vector ON vector.id = (1 << 40) + content.id WHERE missing = 0"
                      " AND file.error = 0 AND content.error = 0 ORDER BY path",
                      dump_row, &dump, ""),
        0);
    sqlite_close(&sqlite);
    return dump;
}

static int64_t count_vectors(const char *path)
{
    struct sqlite sqlite;
    int64_t count = 0, tables = 0;
    if (!file_exists(path))
        return 0;
    assert_int_equal(sqlite_open(path, SQLITE_MODE_READ, &sqlite), 0);
    assert_int_equal(database_find_number(&sqlite.database,
                                          "SELECT count(*) FROM sqlite_master WHERE name ="
                                          " 'vector'",
                                          0, &tables, ""),
                     0);
    if (tables)
        assert_int_equal(
            database_find_number(&sqlite.database, "SELECT count(*) FROM vector", 0, &count, ""),
            0);
    sqlite_close(&sqlite);
    return count;
}

static void remove_index(const char *path)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++) {
        char *name = string_format("%s%s", path, endings[i]);
        remove(name);
        free(name);
    }
}

/* Kills processes that index `pictures` pictures at random moments, `kills` times. An index that
 * becomes complete in between is compared with one that was made without a kill, and removed. */
static void kill_indexing(const char *model, int kills, int pictures)
{
    char *folder = scratch_folder(), *p = scratch_path(folder, "p"),
         *path = scratch_path(folder, "index.db"), *whole = scratch_path(folder, "whole.db"),
         *shared_path = scratch_path(folder, "shared"), *cache = scratch_path(folder, "cache");
    char *const arguments[] = {path, p, shared_path, cache, (char *)model}, *const first[] = {
                                                                                whole, p,
                                                                                shared_path, cache,
                                                                                (char *)model};
    int status, complete = 0, killed = 0;
    uint64_t again = 0, most_again = 0;
    assert_int_equal(mkdir(p, 0700), 0);
    for (int i = 0; i < pictures; i++) {
        char *name = string_format("%s/%05d.ppm", p, i);
        write_picture(name, i % (pictures - pictures / 10));
        free(name);
    }
    scratch_text(p, "broken.ppm", "P6 24 24 255\n");
    struct shared zero = {0};
    scratch_write(folder, "shared", &zero, sizeof(zero));
    int file = open(shared_path, O_RDWR);
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    assert_true(shared != MAP_FAILED);
    const double started = now();
    const pid_t uninterrupted = start_child(first);
    while (!shared->started && kill(uninterrupted, 0) == 0 && now() - started < 60)
        usleep(10000);
    const double start = now() - started;
    waitpid(uninterrupted, &status, 0);
    assert_int_equal(status, 0);
    const double duration = now() - started;
    const struct dump expected = dump_index(whole);
    assert_int_equal(expected.rows, pictures);

    /* All kills together take about as long as one run. */
    const double most_wait = 2 * (start + (duration - start) / kills);
    unsigned seed = 12345;
    while (killed < kills) {
        const int64_t before = count_vectors(path);
        shared->done = shared->started = 0;
        const double wait = most_wait * (rand_r(&seed) % 1000) / 1000;
        const pid_t child = start_child(arguments);
        usleep((useconds_t)(wait * 1e6));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        const uint64_t done = shared->done;
        const int64_t after = count_vectors(path);
        assert_true(after >= before);
        if (WIFSIGNALED(status)) {
            killed++;
            /* At most 256 files wait to be written. Copies and the broken picture are done without
             * a vector. */
            const uint64_t gained = (uint64_t)(after - before);
            const uint64_t lost = done > gained ? done - gained : 0;
            again += lost;
            most_again = lost > most_again ? lost : most_again;
            assert_true(lost <= 256 + (uint64_t)pictures / 10 + 1);
            continue;
        }
        assert_int_equal(status, 0);
        complete++;
        struct dump found = dump_index(path);
        assert_int_equal(found.rows, expected.rows);
        assert_int_equal(found.size, expected.size);
        assert_memory_equal(found.text, expected.text, expected.size);
        free(found.text);
        remove_index(path);
    }
    waitpid(start_child(arguments), &status, 0);
    assert_int_equal(status, 0);
    struct dump found = dump_index(path);
    assert_int_equal(found.size, expected.size);
    assert_memory_equal(found.text, expected.text, expected.size);
    printf("%d kills, %d complete indexes, a run takes %.2f s; after a kill %.1f files were read "
           "again, at most %llu\n",
           killed, complete + 1, duration, (double)again / killed, (unsigned long long)most_again);
    free(found.text);
    free(expected.text);
    munmap(shared, sizeof(*shared));
    close(file);
    free(p);
    free(path);
    free(whole);
    free(shared_path);
    free(cache);
    scratch_remove(folder);
}

static void kills_lose_nothing(void **state)
{
    (void)state;
    kill_indexing("tests/golden/models/hf-vit", 6, 1200);
}

int main(int argc, char **argv)
{
    char self[1024] = {0};
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        return 1;
    program = self;
    if (argc == 7 && !strcmp(argv[1], "child"))
        return index_in_child(argv + 2);
    if (argc == 3) {
        kill_indexing("models/emoji-clip", atoi(argv[1]), atoi(argv[2]));
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(kills_lose_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
