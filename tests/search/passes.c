/* SPDX-License-Identifier: MIT
 *
 * Passes over an index: what is tried again.
 */
#define _GNU_SOURCE
#include "search/index.h"
#include "search/sql_store.h"
#include "support/open_index.h"

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
    assert_int_equal(mkdir(p, 0700), 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_end_where_the_library_is_there),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
