/* SPDX-License-Identifier: MIT
 *
 * Passes over an index: what one without paths looks at, what is tried again, and what is said of
 * files that are no pictures.
 */
#define _GNU_SOURCE
#include "search/index.h"
#include "search/sql_store.h"
#include "support/open_index.h"

static struct vkclip_update_result update_all(struct vkclip_index *index)
{
    struct vkclip_update_result result = {.size = sizeof(result)};
    if (vkclip_index_paths(index, model, NULL, 0, NULL, &result))
        fail_msg("%s", vkclip_last_error());
    return result;
}

static void assert_counts(const struct vkclip_update_result *result, uint64_t indexed,
                          uint64_t changed, uint64_t removed)
{
    assert_int_equal(result->indexed, indexed);
    assert_int_equal(result->changed, changed);
    assert_int_equal(result->removed, removed);
}

/* A pass without paths looks at files that were named by themselves, with and without folders in
 * the index. It marks those as missing that are gone, but not if nothing else is where they were,
 * because that may be a disk that is not mounted. */
static void named_files_are_looked_at(void **state)
{
    (void)state;
    for (int with_folder = 0; with_folder < 2; with_folder++) {
        char *folder = scratch_folder(), *p = scratch_path(folder, "p"),
             *disk = scratch_path(folder, "disk"), *away = scratch_path(folder, "away"),
             *file = scratch_path(folder, "disk/a.ppm"), *other = scratch_path(folder, "disk/b");
        struct vkclip_index *index = open_index(folder);
        size_t failures;
        assert_int_equal(folder_make(p), 0);
        assert_int_equal(folder_make(disk), 0);
        write_picture(file, 1);
        write_picture(other, 2);
        update(index, file, &failures);
        update(index, other, &failures);
        if (with_folder)
            update(index, p, &failures);
        struct vkclip_update_result result = update_all(index);
        assert_counts(&result, 2, 0, 0);

        write_picture(file, 3);
        result = update_all(index);
        assert_counts(&result, 2, 1, 0);
        assert_int_equal(rename(disk, away), 0);
        result = update_all(index);
        assert_counts(&result, 2, 0, 0);
        assert_int_equal(folder_make(disk), 0);
        result = update_all(index);
        assert_counts(&result, 2, 0, 0);
        folder_remove_empty(disk);
        assert_int_equal(rename(away, disk), 0);
        assert_int_equal(remove(file), 0);
        result = update_all(index);
        assert_counts(&result, 1, 0, 1);
        vkclip_close_index(&index);
        free(p);
        free(disk);
        free(away);
        free(file);
        free(other);
        scratch_remove(folder);
    }
}

/* ---- Failures -------------------------------------------------------------------------------- */

/* Pretends that a program failed for the reason in `message` to decode all pictures. */
static void fail_contents(struct vkclip_index *index, const char *message)
{
    struct database *database = sql_database(index->store);
    assert_int_equal(database_execute(database, "DELETE FROM vector"), 0);
    assert_int_equal(database_run(database, "UPDATE content SET error = $1, message = $2", NULL,
                                  "it", (int64_t)VKCLIP_EUNSUPPORTED, message),
                     0);
}

/* A picture that another program could not read for lack of a library is tried again by one that
 * has it, and a copy of it, too. */
static void failures_end_where_the_library_is_there(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        uint64_t encoded;
    } cases[] = {
        {"PNM picture, which this build of vkclip cannot read because it was built without a", 1},
        {"QOI picture, expected PNG, JPEG or PNM", 0},
        {"PNMs picture, which this build of vkclip cannot read because it was built without a", 0},
    };
    char *folder = scratch_folder(), *p = scratch_path(folder, "p"),
         *first = scratch_path(folder, "p/a.ppm"), *copy = scratch_path(folder, "p/copy.ppm");
    struct vkclip_index *index = open_index(folder);
    size_t failures;
    assert_int_equal(folder_make(p), 0);
    write_picture(first, 1);
    update(index, p, &failures);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        fail_contents(index, cases[i].message);
        struct vkclip_update_result result = update(index, first, &failures);
        assert_int_equal(result.encoded, cases[i].encoded);
        assert_int_equal(result.failed, !cases[i].encoded);

        fail_contents(index, cases[i].message);
        write_picture(copy, 1);
        result = update(index, copy, &failures);
        assert_int_equal(result.encoded, cases[i].encoded);
        assert_int_equal(result.indexed, cases[i].encoded);
    }
    vkclip_close_index(&index);
    free(p);
    free(first);
    free(copy);
    scratch_remove(folder);
}

/* ---- Files that are no pictures -------------------------------------------------------------- */

struct seen_messages {
    int warnings, others;
};

static void see_message(void *user, enum vkclip_log_level level, const char *message)
{
    struct seen_messages *seen = user;
    if (!strstr(message,
                "/p: 3 files were left out, by the ending of the name no pictures: 2 .txt, "
                "1 without an ending"))
        return;
    seen->warnings += level == VKCLIP_LOG_WARNING;
    seen->others += level == VKCLIP_LOG_INFO;
}

/* A folder that is new to the index says which files it leaves out; a known one says so only to who
 * wants to read more. */
static void a_new_folder_says_what_it_leaves_out(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *p = scratch_path(folder, "p"),
         *q = scratch_path(folder, "p/q");
    struct vkclip_index *index = open_index(folder);
    struct seen_messages seen = {0};
    size_t failures;
    assert_int_equal(folder_make(p), 0);
    assert_int_equal(folder_make(q), 0);
    scratch_text(p, "a.txt", "");
    scratch_text(q, "b.TXT", "");
    scratch_text(q, "c", "");
    scratch_text(q, ".d", "");
    vkclip_set_log(see_message, &seen);
    update(index, p, &failures);
    assert_int_equal(seen.warnings, 1);
    assert_int_equal(seen.others, 0);
    update(index, p, &failures);
    vkclip_set_log(NULL, NULL);
    assert_int_equal(seen.warnings, 1);
    assert_int_equal(seen.others, 1);
    vkclip_close_index(&index);
    free(p);
    free(q);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_files_are_looked_at),
        cmocka_unit_test(failures_end_where_the_library_is_there),
        cmocka_unit_test(a_new_folder_says_what_it_leaves_out),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
