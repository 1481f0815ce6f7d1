/* SPDX-License-Identifier: MIT
 *
 * Holds that programs and the library may have different versions of vkclip.h. The same program is
 * compiled against tests/api/old/vkclip.h, against today's header, and against one in which every
 * struct that tells its size has grown.
 */
#define _GNU_SOURCE
#include "api/growth.h"
#include "api/growth_caller.h"
#include "support/scratch.h"
#include "support/testing.h"

enum { GUARD = 0xa5, SPACE = 256 };

/* A struct of this version. */
struct known {
    size_t size;
    uint32_t members[10];
};

static void run_caller(const char *(*call)(const char *folder))
{
    char *folder = scratch_folder();
    const char *failure = call(folder);
    scratch_remove(folder);
    if (failure)
        fail_msg("%s", failure);
}

static void an_old_program_works(void **state)
{
    (void)state;
    run_caller(growth_call_old);
}

static void a_program_of_today_works(void **state)
{
    (void)state;
    run_caller(growth_call_today);
}

static void a_newer_program_works(void **state)
{
    (void)state;
    run_caller(growth_call_newer);
}

/* Makes a caller's struct of any size, behind which are guards. */
static void fill(unsigned char *given, size_t size)
{
    memset(given, GUARD, SPACE);
    memset(given, 0, size);
    memcpy(given, &size, sizeof(size));
    for (size_t i = sizeof(size); i < size && i < sizeof(struct known); i++)
        given[i] = (unsigned char)i;
}

static void params_of_every_size_are_read(void **state)
{
    (void)state;
    unsigned char given[SPACE];
    for (size_t size = sizeof(size_t) + 1; size < 2 * sizeof(struct known); size++) {
        struct known copy;
        fill(given, size);
        memset(&copy, GUARD, sizeof(copy));
        assert_int_equal(GROWTH_READ(known, &copy, given), VKCLIP_OK);
        assert_int_equal(copy.size, sizeof(copy));
        const unsigned char *bytes = (const unsigned char *)&copy;
        for (size_t i = sizeof(size); i < sizeof(copy); i++)
            assert_int_equal(bytes[i], i < size ? i : 0);
    }
    struct known copy, none = {0};
    assert_int_equal(GROWTH_READ(known, &copy, NULL), VKCLIP_OK);
    assert_memory_equal(&copy, &none, sizeof(copy));
}

static void unknown_params_are_refused(void **state)
{
    (void)state;
    unsigned char given[SPACE];
    struct known copy;
    for (size_t i = sizeof(struct known); i < sizeof(struct known) + 24; i++) {
        fill(given, sizeof(struct known) + 24);
        given[i] = 1;
        assert_int_equal(GROWTH_READ(known, &copy, given), VKCLIP_EUNSUPPORTED);
        assert_non_null(strstr(vkclip_last_error(), "struct known"));
        assert_non_null(strstr(vkclip_last_error(), "72 bytes"));
    }
}

static void sizes_that_nobody_means_are_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, sizeof(size_t), (size_t)1 << 20, SIZE_MAX};
    unsigned char given[SPACE];
    struct known copy;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        memset(given, 0, sizeof(given));
        memcpy(given, &sizes[i], sizeof(sizes[i]));
        assert_int_equal(GROWTH_READ(known, &copy, given), VKCLIP_EINVALID);
        assert_int_equal(GROWTH_CHECK(known, given), VKCLIP_EINVALID);
        assert_non_null(strstr(vkclip_last_error(), "`size` of struct known"));
        assert_non_null(strstr(vkclip_last_error(), "set it to sizeof"));
    }
    assert_int_equal(GROWTH_CHECK(known, NULL), VKCLIP_OK);
}

static void infos_of_every_size_are_written(void **state)
{
    (void)state;
    struct known info = {.size = sizeof(info)};
    unsigned char given[SPACE];
    memset(info.members, 7, sizeof(info.members));
    for (size_t size = sizeof(size_t) + 1; size <= SPACE / 3; size++) {
        fill(given, size);
        memset(given + sizeof(size), GUARD, SPACE - sizeof(size));
        GROWTH_WRITE_ENTRY(known, given, 0, &info);
        GROWTH_WRITE_ENTRY(known, given, 2, &info);
        for (size_t k = 0; k < SPACE; k++) {
            const size_t entry = k / size, byte = k % size;
            const bool written = (entry == 0 || entry == 2) && byte < sizeof(info);
            if (byte >= sizeof(size) || !written)
                assert_int_equal(given[k], written ? 7 : GUARD);
            else if (!byte)
                assert_memory_equal(&given[k], &size, sizeof(size));
        }
    }
    GROWTH_WRITE(known, NULL, &info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(params_of_every_size_are_read),
        cmocka_unit_test(unknown_params_are_refused),
        cmocka_unit_test(sizes_that_nobody_means_are_refused),
        cmocka_unit_test(infos_of_every_size_are_written),
        cmocka_unit_test(a_program_of_today_works),
        cmocka_unit_test(an_old_program_works),
        cmocka_unit_test(a_newer_program_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
