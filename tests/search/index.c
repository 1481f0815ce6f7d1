/* SPDX-License-Identifier: MIT
 *
 * An index over a folder whose files change between passes: what a pass finds, and what it encodes.
 */
#define _GNU_SOURCE
#include "search/walk.h"
#include "support/open_index.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Pictures -------------------------------------------------------------------------------- */

/* Waits until a change of a file gets another time than the file has. File systems count time in
 * steps, most of some milliseconds and some of a second. */
static void wait_for_step(const char *path)
{
    struct stat status, now = {0};
    char *other = string_format("%s.time", path);
    while (!stat(path, &status) && now.st_ctim.tv_sec <= status.st_ctim.tv_sec &&
           (now.st_ctim.tv_sec < status.st_ctim.tv_sec ||
            now.st_ctim.tv_nsec <= status.st_ctim.tv_nsec)) {
        FILE *file = fopen(other, "w");
        assert_non_null(file);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(stat(other, &now), 0);
        assert_int_equal(remove(other), 0);
        usleep(1000);
    }
    free(other);
}

/* Replaces a picture by another one of the same size, and sets the time of modification back. With
 * `renamed` the new one is another file that takes the name. */
static void replace_secretly(const char *path, int number, bool renamed)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    char *other = string_format("%s.new", path);
    write_picture(renamed ? other : path, number);
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, renamed ? other : path, times, 0), 0);
    if (renamed)
        assert_int_equal(rename(other, path), 0);
    free(other);
}

/* ---- Actions on a folder --------------------------------------------------------------------- */

/* Does one action in a folder:
 *   write FILE NUMBER    inplace FILE NUMBER    replace FILE NUMBER    touch FILE    break FILE
 *   move A B    copy A B    link A B (hard)    symlink A B    remove FILE    folder NAME
 *   allow FILE    forbid FILE */
static void act(const char *folder, const char *action)
{
    char verb[16] = "", a[64] = "", b[64] = "";
    sscanf(action, "%15s %63s %63s", verb, a, b);
    char *first = scratch_path(folder, a), *second = scratch_path(folder, b);
    const int number = atoi(b);
    int result = 0;
    if (!strcmp(verb, "write") || !strcmp(verb, "inplace") || !strcmp(verb, "replace"))
        wait_for_step(first);
    if (!strcmp(verb, "write"))
        write_picture(first, number);
    else if (!strcmp(verb, "inplace"))
        replace_secretly(first, number, false);
    else if (!strcmp(verb, "replace"))
        replace_secretly(first, number, true);
    else if (!strcmp(verb, "touch"))
        result = utimensat(AT_FDCWD, first, (const struct timespec[2]){{1, 0}, {1, 0}}, 0);
    else if (!strcmp(verb, "break"))
        scratch_text(folder, a, "P6 24 24 255\n");
    else if (!strcmp(verb, "move"))
        result = rename(first, second);
    else if (!strcmp(verb, "link"))
        result = link(first, second);
    else if (!strcmp(verb, "symlink"))
        result = symlink(a, second);
    else if (!strcmp(verb, "remove"))
        result = remove(first);
    else if (!strcmp(verb, "folder"))
        result = mkdir(first, 0700);
    else
        fail_msg("%s: no such action", action);
    if (result)
        fail_msg("%s: failed", action);
    free(first);
    free(second);
}

/* Does actions that have semicolons between them. */
static void act_all(const char *folder, const char *actions)
{
    char *copy = string_format("%s", actions), *rest = NULL;
    for (char *action = strtok_r(copy, ";", &rest); action; action = strtok_r(NULL, ";", &rest))
        act(folder, action);
    free(copy);
}

/* ---- What passes find ------------------------------------------------------------------------ */

#define TWO "write p/a.ppm 1; write p/b.ppm 2"

/* The folder p is indexed after `before`, if there is one after `between`, and after `after`; the
 * last pass must give these results. Then one more pass must find nothing. */
static const struct {
    const char *name, *before, *between, *after;
    struct vkclip_update_result expected;
    size_t failures;         /* files that the last pass reports */
    uint64_t files, missing; /* in the index, in the end */
} cases[] = {
    {"new pictures", "", NULL, TWO, {.indexed = 2, .added = 2, .encoded = 2}, 0, 2, 0},
    {"nothing changes", TWO, NULL, "", {.indexed = 2}, 0, 2, 0},
    {"renamed", TWO, NULL, "move p/a.ppm p/c.ppm", {.indexed = 2, .moved = 1}, 0, 2, 0},
    {"moved into a folder",
     TWO,
     NULL,
     "folder p/q; move p/a.ppm p/q/a.ppm",
     {.indexed = 2, .moved = 1},
     0,
     2,
     0},
    {"a folder renamed",
     "folder p/q; write p/q/a.ppm 1; write p/q/b.ppm 2",
     NULL,
     "move p/q p/r",
     {.indexed = 2, .moved = 2},
     0,
     2,
     0},
    {"two names swapped",
     TWO,
     NULL,
     "move p/a.ppm p/c; move p/b.ppm p/a.ppm; move p/c p/b.ppm",
     {.indexed = 2, .changed = 2},
     0,
     2,
     0},
    {"a copy", TWO, NULL, "write p/c.ppm 1", {.indexed = 3, .added = 1}, 0, 3, 0},
    {"copies at once",
     "",
     NULL,
     "write p/a.ppm 1; write p/b.ppm 1; write p/c.ppm 1",
     {.indexed = 3, .added = 3, .encoded = 1},
     0,
     3,
     0},
    {"a hard link", TWO, NULL, "link p/a.ppm p/c.ppm", {.indexed = 3, .added = 1}, 0, 3, 0},
    {"a copy moved while the other stays",
     "write p/a.ppm 1; write p/b.ppm 1",
     NULL,
     "move p/b.ppm p/c.ppm",
     {.indexed = 2, .moved = 1},
     0,
     2,
     0},
    {"removed", TWO, NULL, "remove p/a.ppm", {.indexed = 1, .removed = 1}, 0, 1, 1},
    {"removed and back", TWO, "move p/a.ppm a.ppm", "move a.ppm p/a.ppm", {.indexed = 2}, 0, 2, 0},
    {"removed, and back elsewhere",
     TWO,
     "move p/a.ppm a.ppm",
     "move a.ppm p/c.ppm",
     {.indexed = 2, .moved = 1},
     0,
     2,
     0},
    {"replaced",
     TWO,
     NULL,
     "remove p/a.ppm; write p/a.ppm 3",
     {.indexed = 2, .changed = 1, .encoded = 1},
     0,
     2,
     0},
    {"replaced by a known picture",
     TWO,
     NULL,
     "write p/a.ppm 2",
     {.indexed = 2, .changed = 1},
     0,
     2,
     0},
    {"overwritten, with the same time of modification",
     TWO,
     NULL,
     "inplace p/a.ppm 3",
     {.indexed = 2, .changed = 1, .encoded = 1},
     0,
     2,
     0},
    {"another file with the same time of modification",
     TWO,
     NULL,
     "replace p/a.ppm 3",
     {.indexed = 2, .changed = 1, .encoded = 1},
     0,
     2,
     0},
    {"touched", TWO, NULL, "touch p/a.ppm", {.indexed = 2}, 0, 2, 0},
    {"the folder disappears", TWO, NULL, "move p elsewhere", {.indexed = 2}, 0, 2, 0},
    {"a missing picture of a folder that disappears",
     TWO,
     "remove p/a.ppm",
     "move p elsewhere",
     {.indexed = 1},
     0,
     1,
     1},
    {"the folder is empty", TWO, NULL, "move p elsewhere; folder p", {.indexed = 2}, 0, 2, 0},
    {"the folder is back",
     TWO,
     "move p elsewhere; folder p",
     "remove p; move elsewhere p",
     {.indexed = 2},
     0,
     2,
     0},
    {"a folder in it is empty, and then back",
     "folder p/q; write p/q/a.ppm 1; write p/b.ppm 2",
     "move p/q q; folder p/q",
     "remove p/q; move q p/q",
     {.indexed = 2},
     0,
     2,
     0},
    {"a broken picture", TWO, NULL, "break p/c.ppm", {.indexed = 2, .failed = 1}, 1, 3, 0},
    {"a broken picture is not read again",
     TWO "; break p/c.ppm",
     NULL,
     "",
     {.indexed = 2, .failed = 1},
     0,
     3,
     0},
    {"a broken picture is mended",
     TWO "; break p/c.ppm",
     NULL,
     "write p/c.ppm 3",
     {.indexed = 3, .changed = 1, .encoded = 1},
     0,
     3,
     0},
    {"a broken picture is copied",
     TWO "; break p/c.ppm",
     NULL,
     "break p/d.ppm",
     {.indexed = 2, .failed = 2},
     1,
     4,
     0},
    {"a picture breaks", TWO, NULL, "break p/a.ppm", {.indexed = 1, .failed = 1}, 1, 2, 0},
    {"hidden files and system folders",
     "",
     NULL,
     "write p/.a.ppm 1; folder p/.q; write p/.q/a.ppm 1; folder p/@eaDir; write p/@eaDir/b.ppm 2; "
     "write p/c.txt 3",
     {0},
     0,
     0,
     0},
    {"links in a circle",
     TWO,
     NULL,
     "folder p/q; symlink .. p/q/up; symlink . p/same; symlink a.ppm p/c.ppm; symlink none p/d.ppm",
     {.indexed = 2},
     0,
     2,
     0},
    {"links that lead out",
     "folder o; write o/c.ppm 3; folder o/o; write o/o/d.ppm 4; symlink .. o/o/up",
     NULL,
     TWO "; symlink ../o p/o; symlink ../o/c.ppm p/c.ppm",
     {.indexed = 5, .added = 5, .encoded = 4},
     0,
     5,
     0},
};

static void assert_update(const char *name, const struct vkclip_update_result *found,
                          const struct vkclip_update_result *expected)
{
    const struct {
        const char *name;
        uint64_t found, expected;
    } numbers[] = {
        {"indexed", found->indexed, expected->indexed},
        {"added", found->added, expected->added},
        {"changed", found->changed, expected->changed},
        {"moved", found->moved, expected->moved},
        {"removed", found->removed, expected->removed},
        {"failed", found->failed, expected->failed},
        {"encoded", found->encoded, expected->encoded},
        {"thumbnails", found->thumbnails, expected->thumbnails},
    };
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        if (numbers[i].found != numbers[i].expected)
            fail_msg("%s: %s: expected %d, found %d", name, numbers[i].name,
                     (int)numbers[i].expected, (int)numbers[i].found);
}

static void changes_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *folder = scratch_folder(), *pictures = scratch_path(folder, "p");
        struct vkclip_index *index = open_index(folder);
        struct vkclip_index_info info = {.size = sizeof(info)};
        size_t failures;
        act(folder, "folder p");
        act_all(folder, cases[i].before);
        update(index, pictures, &failures);
        if (cases[i].between) {
            act_all(folder, cases[i].between);
            update(index, pictures, &failures);
        }
        act_all(folder, cases[i].after);
        struct vkclip_update_result found = update(index, pictures, &failures);
        assert_update(cases[i].name, &found, &cases[i].expected);
        if (failures != cases[i].failures)
            fail_msg("%s: expected %zu failures, found %zu", cases[i].name, cases[i].failures,
                     failures);
        found = update(index, pictures, &failures);
        const struct vkclip_update_result none = {.indexed = cases[i].expected.indexed,
                                                  .failed = cases[i].expected.failed};
        assert_update(cases[i].name, &found, &none);
        assert_int_equal(failures, 0);
        assert_int_equal(vkclip_get_index_info(index, &info), 0);
        if (info.files != cases[i].files || info.missing != cases[i].missing)
            fail_msg("%s: expected %d files and %d missing, found %d and %d", cases[i].name,
                     (int)cases[i].files, (int)cases[i].missing, (int)info.files,
                     (int)info.missing);
        vkclip_close_index(&index);
        free(pictures);
        scratch_remove(folder);
    }
}

/* ---- Paths and models ------------------------------------------------------------------------ */

static void paths_may_overlap(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *p = scratch_path(folder, "p"),
         *q = scratch_path(folder, "p/q"), *a = scratch_path(folder, "p/a.ppm"),
         *none = scratch_path(folder, "none");
    struct vkclip_index *index = open_index(folder);
    struct vkclip_update_result result = {.size = sizeof(result)};
    act_all(folder, "folder p; folder p/q; write p/a.ppm 1; write p/q/b.ppm 2");
    assert_failed(vkclip_index_paths(index, model, NULL, 0, NULL, NULL), VKCLIP_EINVALID,
                  "has no folders or files yet");
    assert_failed(vkclip_index_paths(index, model, (const char *[]){p, none}, 2, NULL, &result),
                  VKCLIP_EINVALID, "no such file or folder");
    assert_int_equal(result.encoded, 0);
    const char *paths[] = {q, p, p, a};
    assert_int_equal(vkclip_index_paths(index, model, paths, 4, NULL, &result), 0);
    assert_int_equal(result.indexed, 2);
    assert_int_equal(result.added, 2);
    assert_int_equal(result.encoded, 2);

    /* A file alone, and without arguments the folder that was named. */
    act(folder, "write p/a.ppm 3");
    act(folder, "write p/c.ppm 4");
    assert_int_equal(vkclip_index_paths(index, model, (const char *[]){a}, 1, NULL, &result), 0);
    assert_int_equal(result.indexed, 1);
    assert_int_equal(result.changed, 1);
    assert_int_equal(vkclip_index_paths(index, model, NULL, 0, NULL, &result), 0);
    assert_int_equal(result.indexed, 3);
    assert_int_equal(result.added, 1);

    /* What is removed comes back with the next pass, without being encoded. */
    uint64_t removed;
    assert_int_equal(vkclip_remove_indexed(index, (const char *[]){q, a}, 2, &removed), 0);
    assert_int_equal(removed, 2);
    assert_int_equal(vkclip_index_paths(index, model, NULL, 0, NULL, &result), 0);
    assert_int_equal(result.added, 2);
    assert_int_equal(result.encoded, 0);

    /* A file that was named and is gone is marked, unlike a folder. */
    act(folder, "remove p/a.ppm");
    assert_int_equal(vkclip_index_paths(index, model, (const char *[]){a}, 1, NULL, &result), 0);
    assert_int_equal(result.removed, 1);
    vkclip_close_index(&index);
    free(p);
    free(q);
    free(a);
    free(none);
    scratch_remove(folder);
}

/* A hidden folder and a file with another name are indexed because they were named, and a search of
 * the folder around them, which does not come to them, says nothing about them. */
static void what_was_named_stays(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *p = scratch_path(folder, "p"),
         *hidden = scratch_path(folder, "p/.hidden"), *other = scratch_path(folder, "p/other");
    struct vkclip_index *index = open_index(folder);
    struct vkclip_update_result result = {.size = sizeof(result)};
    act_all(folder, "folder p; folder p/.hidden; write p/a.ppm 1; write p/.hidden/b.ppm 2;"
                    "write p/other 3");
    const char *named[] = {hidden}, *around[] = {p}, *all[] = {p, hidden, other};
    assert_int_equal(vkclip_index_paths(index, model, named, 1, NULL, &result), 0);
    assert_int_equal(result.indexed, 1);
    assert_int_equal(vkclip_index_paths(index, model, around, 1, NULL, &result), 0);
    assert_int_equal(result.indexed, 2);
    assert_int_equal(result.removed, 0);
    assert_int_equal(vkclip_index_paths(index, model, all, 3, NULL, &result), 0);
    assert_int_equal(result.indexed, 3);
    assert_int_equal(result.removed, 0);

    /* Without arguments the hidden folder is searched, too. */
    act_all(folder, "remove p/other; remove p/.hidden/b.ppm; write p/.hidden/c.ppm 4");
    assert_int_equal(vkclip_index_paths(index, model, NULL, 0, NULL, &result), 0);
    assert_int_equal(result.added, 1);
    assert_int_equal(result.removed, 2);

    /* A known folder within another one that has no files is not mounted. */
    act_all(folder, "folder p/disk; write p/disk/d.ppm 5");
    char *disk = scratch_path(folder, "p/disk");
    assert_int_equal(vkclip_index_paths(index, model, (const char *[]){disk}, 1, NULL, &result), 0);
    act(folder, "move p/disk away");
    for (int is_there = 0; is_there < 2; is_there++) {
        assert_int_equal(vkclip_index_paths(index, model, around, 1, NULL, &result), 0);
        assert_int_equal(result.removed, 0);
        assert_int_equal(vkclip_index_paths(index, model, NULL, 0, NULL, &result), 0);
        assert_int_equal(result.removed, 0);
        act(folder, is_there ? "write p/disk/other.ppm 6" : "folder p/disk");
    }
    assert_int_equal(vkclip_index_paths(index, model, around, 1, NULL, &result), 0);
    assert_int_equal(result.removed, 1);
    free(disk);
    vkclip_close_index(&index);
    free(p);
    free(hidden);
    free(other);
    scratch_remove(folder);
}

/* So is a file that was named although something on the way to it is hidden or it has another name:
 * a search of the folder around it follows its changes. */
static void files_that_were_named_are_followed(void **state)
{
    (void)state;
    static const struct {
        const char *action;
        struct vkclip_update_result expected;
    } passes[] = {
        {"touch p/a.ppm", {.indexed = 4}},
        {"write p/.x.ppm 5", {.indexed = 4, .changed = 1, .encoded = 1}},
        {"move p/.x.ppm x", {.indexed = 3, .removed = 1}},
        {"move x p/.x.ppm", {.indexed = 4}},
        {"write p/.q/z.ppm 6", {.indexed = 4}}, /* This one was not named. */
        {"remove p/other", {.indexed = 3, .removed = 1}},
        {"move p/.q q; write p/.q 7", {.indexed = 2, .removed = 1}}, /* A file is there instead. */
    };
    static const char *const names[] = {"p/.x.ppm", "p/.q/y.ppm", "p/other"};
    char *folder = scratch_folder(), *p = scratch_path(folder, "p"), *named[ARRAY_COUNT(names)];
    struct vkclip_index *index = open_index(folder);
    struct vkclip_update_result result = {.size = sizeof(result)};
    size_t failures;
    act_all(folder, "folder p; folder p/.q; write p/a.ppm 1; write p/.x.ppm 2; write p/.q/y.ppm 3;"
                    "write p/other 4");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        named[i] = scratch_path(folder, names[i]);
    assert_int_equal(vkclip_index_paths(index, model, (const char *const *)named,
                                        ARRAY_COUNT(names), NULL, &result),
                     0);
    assert_int_equal(result.indexed, 3);
    update(index, p, &failures);
    for (size_t i = 0; i < ARRAY_COUNT(passes); i++) {
        act_all(folder, passes[i].action);
        result = update(index, p, &failures);
        assert_update(passes[i].action, &result, &passes[i].expected);
    }
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        free(named[i]);
    vkclip_close_index(&index);
    free(p);
    scratch_remove(folder);
}

/* The names in a folder can be read without the permission to look at its files. Root has it. */
static void files_that_cannot_be_looked_at_stay(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *p = scratch_path(folder, "p"),
         *q = scratch_path(folder, "p/q");
    struct vkclip_index *index = open_index(folder);
    size_t failures;
    act_all(folder, "folder p; folder p/q; write p/a.ppm 1; write p/q/b.ppm 2");
    update(index, p, &failures);
    assert_int_equal(chmod(q, 0400), 0);
    const struct vkclip_update_result result = update(index, p, &failures);
    assert_int_equal(chmod(q, 0700), 0);
    assert_int_equal(failures, geteuid() != 0);
    assert_int_equal(result.removed, 0);
    assert_int_equal(result.indexed, 2);
    vkclip_close_index(&index);
    free(p);
    free(q);
    scratch_remove(folder);
}

static void paths_become_absolute(void **state)
{
    (void)state;
    static const char *const paths[][2] = {
        {"none", "none"},   {"none/", "none"},           {"none/a.png", "none/a.png"},
        {"./none", "none"}, {"none/b//", "none/b"},      {"tests/../none", "none"},
        {"tests", "tests"}, {"tests/none", "tests/none"}};
    char *here = file_resolve("."), *path;
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        char *expected = string_format("%s/%s", here, paths[i][1]);
        path = walk_make_absolute(paths[i][0]);
        assert_string_equal(path, expected);
        free(expected);
        free(path);
    }
    path = walk_make_absolute("/none/a");
    assert_string_equal(path, "/none/a");
    free(path);
    free(here);
}

static void models_stand_side_by_side(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *p = scratch_path(folder, "p");
    const char *paths[] = {p};
    struct vkclip_index *index = open_index(folder);
    struct vkclip_update_result result = {.size = sizeof(result)};
    struct vkclip_index_model models[3] = {{.size = sizeof(models[0])}};
    size_t count;
    act_all(folder, "folder p; " TWO);
    assert_int_equal(vkclip_index_paths(index, model, paths, 1, NULL, &result), 0);

    /* The same weights in another format and for pictures of another size. */
    char *other_path = scratch_path(folder, "model.gguf");
    const struct vkclip_convert_params convert = {.size = sizeof(convert), .type = VKCLIP_TYPE_Q8};
    assert_int_equal(vkclip_convert_model(MODEL, NULL, other_path, &convert, NULL), 0);
    struct vkclip_model *other, *larger;
    assert_int_equal(vkclip_open_model(device, other_path, NULL, &other), 0);
    assert_int_equal(vkclip_index_paths(index, other, paths, 1, NULL, &result), 0);
    assert_int_equal(result.indexed, 2);
    assert_int_equal(result.added, 0);
    assert_int_equal(result.encoded, 2);
    assert_int_equal(vkclip_list_index_models(index, models, 3, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(models[0].vectors, 2);
    assert_int_equal(models[1].vectors, 2);
    assert_string_not_equal(models[0].identity, models[1].identity);

    /* The first model has nothing to do, and the same path with another preparation is refused. */
    assert_int_equal(vkclip_index_paths(index, model, paths, 1, NULL, &result), 0);
    assert_int_equal(result.encoded, 0);
    const struct vkclip_model_params size = {.size = sizeof(size), .image_size = 72};
    assert_int_equal(vkclip_open_model(device, MODEL, &size, &larger), 0);
    assert_failed(vkclip_index_paths(index, larger, paths, 1, NULL, &result), VKCLIP_EINVALID,
                  "has vectors of other weights or another preparation of pictures");
    vkclip_close_model(&larger);
    vkclip_close_model(&other);
    vkclip_close_index(&index);
    free(other_path);
    free(p);
    scratch_remove(folder);
}

/* The failures and the progress of a pass that makes thumbnails. */
struct thumbnails {
    size_t failures;
    struct vkclip_update_progress progress;
};

static int count_thumbnail_failure(void *user, const char *path, int error, const char *message)
{
    return count_failure(&((struct thumbnails *)user)->failures, path, error, message);
}

static int note_progress(void *user, const struct vkclip_update_progress *progress)
{
    ((struct thumbnails *)user)->progress = *progress;
    return 0;
}

/* Pictures that are encoded and have no thumbnail get one without being encoded again. */
static void thumbnails_are_added(void **state)
{
    (void)state;
    static const struct {
        const char *action; /* before the pass */
        uint64_t max_pixels, total, thumbnails;
        size_t failures;
    } passes[] = {
        {"touch p/a.ppm", 1, 2, 0, 2}, /* too large to be decoded: they stay in the index */
        {"write p/c.ppm 1", 0, 3, 2, 0},
        {"move p/a.ppm p/d.ppm", 0, 1, 0, 0},
        {"touch p/b.ppm", 0, 1, 0, 0},
    };
    char *folder = scratch_folder(), *p = scratch_path(folder, "p");
    struct vkclip_index *index = open_index(folder);
    struct vkclip_update_result result = {.size = sizeof(result)};
    size_t failures;
    act_all(folder, "folder p; " TWO);
    result = update(index, p, &failures);
    assert_int_equal(result.thumbnails, 0);
    for (size_t i = 0; i < ARRAY_COUNT(passes); i++) {
        struct thumbnails found = {0};
        const struct vkclip_update_params params = {.size = sizeof(params),
                                                    .thumbnails = true,
                                                    .max_pixels = passes[i].max_pixels,
                                                    .progress = note_progress,
                                                    .failure = count_thumbnail_failure,
                                                    .user = &found};
        act(folder, passes[i].action);
        assert_int_equal(vkclip_index_paths(index, model, NULL, 0, &params, &result), 0);
        assert_int_equal(found.failures, passes[i].failures);
        assert_int_equal(found.progress.total, passes[i].total);
        assert_int_equal(found.progress.done, passes[i].total);
        assert_int_equal(result.thumbnails, passes[i].thumbnails);
        assert_int_equal(result.encoded, 0);
        assert_int_equal(result.failed, 0);
        assert_int_equal(result.indexed, i ? 3 : 2);
    }
    vkclip_close_index(&index);
    free(p);
    scratch_remove(folder);
}

struct stop {
    uint64_t at;
    size_t calls;
};

static int stop_update(void *user, const struct vkclip_update_progress *progress)
{
    struct stop *stop = user;
    stop->calls++;
    return progress->total && progress->done >= stop->at;
}

static void a_pass_can_be_stopped(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    char *folder = scratch_folder(), *p = scratch_path(folder, "p"), name[32];
    const char *paths[] = {p};
    struct vkclip_index *index = open_index(folder);
    struct vkclip_update_result first = {.size = sizeof(first)}, second = {.size = sizeof(second)};
    struct stop stop = {.at = 20};
    const struct vkclip_update_params params = {
        .size = sizeof(params), .progress = stop_update, .user = &stop};
    act(folder, "folder p");
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "write p/%d.ppm %d", i, i);
        act(folder, name);
    }
    assert_failed(vkclip_index_paths(index, model, paths, 1, &params, &first), VKCLIP_ECANCELLED,
                  "stopped by the caller");
    assert_true(first.encoded >= 20 && first.encoded < COUNT);
    assert_int_equal(vkclip_index_paths(index, model, paths, 1, NULL, &second), 0);
    assert_int_equal(first.encoded + second.encoded, COUNT);
    assert_int_equal(second.indexed, COUNT);
    vkclip_close_index(&index);
    free(p);
    scratch_remove(folder);
}

static void changes_are_watched(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *p = scratch_path(folder, "p");
    const char *paths[] = {p};
    struct vkclip_index *index = open_index(folder);
    bool changed;
    act(folder, "folder p");
    act(folder, "folder p/q");
    assert_failed(vkclip_watch_index(index, 0, &changed), VKCLIP_EINVALID, "has no folders");
    assert_int_equal(vkclip_index_paths(index, model, paths, 1, NULL, NULL), 0);
    assert_int_equal(vkclip_watch_index(index, 0, &changed), 0);
    assert_false(changed);
    act(folder, "write p/q/a.ppm 1");
    assert_int_equal(vkclip_watch_index(index, 60, &changed), 0);
    assert_true(changed);
    /* Reading files and writing the index changes nothing. */
    assert_int_equal(vkclip_index_paths(index, model, NULL, 0, NULL, NULL), 0);
    act(folder, "write p/notes.txt 1");
    assert_int_equal(vkclip_watch_index(index, 0.2, &changed), 0);
    assert_false(changed);
    act(folder, "folder p/r");
    assert_int_equal(vkclip_watch_index(index, 60, &changed), 0);
    assert_true(changed);
    act(folder, "write p/r/b.ppm 2");
    assert_int_equal(vkclip_watch_index(index, 60, &changed), 0);
    assert_true(changed);
    /* The folder goes, and another one comes in its place, of which the system tells nothing. */
    char *aside = scratch_path(folder, "aside");
    assert_int_equal(rename(p, aside), 0);
    assert_int_equal(vkclip_watch_index(index, 60, &changed), 0);
    assert_true(changed);
    act(folder, "folder p");
    assert_int_equal(vkclip_watch_index(index, 60, &changed), 0);
    assert_true(changed);
    act(folder, "write p/c.ppm 3");
    assert_int_equal(vkclip_watch_index(index, 60, &changed), 0);
    assert_true(changed);
    vkclip_close_index(&index);
    free(aside);
    free(p);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_found),
        cmocka_unit_test(paths_may_overlap),
        cmocka_unit_test(what_was_named_stays),
        cmocka_unit_test(files_that_were_named_are_followed),
        cmocka_unit_test(paths_become_absolute),
        cmocka_unit_test(files_that_cannot_be_looked_at_stay),
        cmocka_unit_test(models_stand_side_by_side),
        cmocka_unit_test(thumbnails_are_added),
        cmocka_unit_test(a_pass_can_be_stopped),
        cmocka_unit_test(changes_are_watched),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
