/* SPDX-License-Identifier: MIT
 *
 * Groups of pairs: which pairs are the same picture, what connects, and what the user called
 * different.
 */
#include "search/duplicates.h"
#include "base/error.h"
#include "support/testing.h"

#include <time.h>

#define UNKNOWN INT64_MIN
static const struct duplicates_item large = {4000, 3000, UNKNOWN};

/* Writes groups as text: "same 0 1: 0.996; near 0 2: 0.99". */
static int write_group(void *user, const struct duplicates_group *group)
{
    char *text = user;
    sprintf(text + strlen(text), "%s%s", *text ? "; " : "", group->same ? "same" : "near");
    for (size_t i = 0; i < group->count; i++)
        sprintf(text + strlen(text), " %zu", group->rows[i]);
    sprintf(text + strlen(text), ": %.4g", group->cosine);
    return 0;
}

static void check_groups(const struct duplicates_item *items, size_t count,
                         const struct pair *pairs, size_t pair_count,
                         const struct duplicates_distinct *distinct, size_t distinct_count,
                         const char *expected)
{
    struct duplicates *duplicates;
    char text[1000] = "";
    assert_int_equal(duplicates_open(items, count, distinct, distinct_count, &duplicates), 0);
    for (size_t i = 0; i < pair_count; i++)
        duplicates_add(duplicates, &pairs[i]);
    assert_int_equal(duplicates_each(duplicates, write_group, text), 0);
    assert_string_equal(text, expected);
    duplicates_close(&duplicates);
}

static void check_pair(struct duplicates_item a, struct duplicates_item b, double cosine,
                       const char *expected)
{
    const struct duplicates_item items[] = {a, b};
    const struct pair pair = {0, 1, cosine};
    check_groups(items, 2, &pair, 1, NULL, 0, expected);
}

static void kinds(void **state)
{
    (void)state;
    check_pair(large, large, 0.996, "same 0 1: 0.996");
    check_pair(large, large, 0.994, "near 0 1: 0.994");
    check_pair(large, (struct duplicates_item){800, 600, UNKNOWN}, 0.999, "same 0 1: 0.999");
    check_pair((struct duplicates_item){640, 427, UNKNOWN},
               (struct duplicates_item){6000, 4000, UNKNOWN}, 0.999, "same 0 1: 0.999");
    check_pair(large, (struct duplicates_item){800, 500, UNKNOWN}, 0.999, "near 0 1: 0.999");
    check_pair(large, (struct duplicates_item){600, 800, UNKNOWN}, 0.999, "near 0 1: 0.999");
    check_pair(large, (struct duplicates_item){0, 0, UNKNOWN}, 0.999, "near 0 1: 0.999");
    check_pair((struct duplicates_item){4000, 3000, 100}, (struct duplicates_item){4000, 3000, 101},
               0.999, "near 0 1: 0.999");
    check_pair((struct duplicates_item){4000, 3000, 100}, (struct duplicates_item){400, 300, 100},
               0.999, "same 0 1: 0.999");
    check_pair((struct duplicates_item){4000, 3000, 100}, large, 0.999, "same 0 1: 0.999");
}

/* Pictures 0, 2 and 5 are the same, 1 is near them, 3 and 4 are near each other. */
static void groups(void **state)
{
    (void)state;
    const struct duplicates_item items[] = {large, large, large, large, large, large, large};
    const struct pair pairs[] = {
        {0, 1, 0.992}, {0, 2, 0.998}, {1, 5, 0.991}, {2, 5, 0.996}, {3, 4, 0.993}};
    check_groups(items, 7, pairs, 5, NULL, 0,
                 "same 0 2 5: 0.996; near 0 1: 0.991; near 3 4: 0.993");
    check_groups(items, 7, NULL, 0, NULL, 0, "");
    check_groups(NULL, 0, NULL, 0, NULL, 0, "");
}

/* Pictures that the user called different do not come together through others either. */
static void distinct(void **state)
{
    (void)state;
    const struct duplicates_item items[] = {large, large, large, large};
    const struct pair pairs[] = {{0, 1, 0.999}, {0, 2, 0.998}, {1, 2, 0.997}, {2, 3, 0.991}};
    const struct duplicates_distinct apart[] = {{0, 2}, {1, 3}};
    check_groups(items, 4, pairs, 4, apart, 1, "same 0 1: 0.999; near 2 3: 0.991");
    check_groups(items, 4, pairs, 4, apart + 1, 1, "same 0 1 2: 0.997");
}

static int count_rows(void *user, const struct duplicates_group *group)
{
    *(size_t *)user += group->same ? group->count : 0;
    return 0;
}

/* Each of 20,000 pictures of one group is called different from one beyond it. Comparing each pair
 * that is found with all of these takes some seconds. */
static void many_distinct_pairs(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct duplicates_item *items = malloc(2 * N * sizeof(*items));
    struct duplicates_distinct *apart = malloc(N * sizeof(*apart));
    struct duplicates *duplicates;
    size_t rows = 0;
    const clock_t start = clock();
    for (size_t i = 0; i < 2 * N; i++)
        items[i] = large;
    for (size_t i = 0; i < N; i++)
        apart[i] = (struct duplicates_distinct){i, i + N};
    assert_int_equal(duplicates_open(items, 2 * N, apart, N, &duplicates), 0);
    for (size_t i = 0; i + 1 < N; i++)
        duplicates_add(duplicates, &(struct pair){i, i + 1, 1});
    for (size_t i = 0; i < N; i++)
        duplicates_add(duplicates, &(struct pair){i, 2 * N - 1 - i, 1});
    assert_int_equal(duplicates_each(duplicates, count_rows, &rows), 0);
    assert_int_equal(rows, N);
    assert_true(clock() - start < CLOCKS_PER_SEC);
    duplicates_close(&duplicates);
    free(apart);
    free(items);
}

static int refuse_group(void *user, const struct duplicates_group *group)
{
    (void)user;
    (void)group;
    return VKCLIP_EINVALID;
}

static void stopped(void **state)
{
    (void)state;
    const struct duplicates_item items[] = {large, large};
    const struct pair pair = {0, 1, 1};
    struct duplicates *duplicates;
    assert_int_equal(duplicates_open(items, 2, NULL, 0, &duplicates), 0);
    duplicates_add(duplicates, &pair);
    assert_int_equal(duplicates_each(duplicates, refuse_group, NULL), VKCLIP_EINVALID);
    duplicates_close(&duplicates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds), cmocka_unit_test(groups), cmocka_unit_test(distinct),
        cmocka_unit_test(many_distinct_pairs), cmocka_unit_test(stopped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
