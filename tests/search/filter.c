/* SPDX-License-Identifier: MIT
 *
 * Filters and sums of queries: patterns, places, names, limits, and values that no picture has.
 */
#include "support/testing.h"
#include "search/filter.h"
#include "search/query.h"

#include <math.h>

static void patterns_match(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "/a/b.jpg", true},
        {"*.jpg", "/a/b.jpg", true},
        {"*.jpg", "/a/b.jpeg", false},
        {"/a/*", "/a/b/c.png", true},
        {"/a/*", "/b/a/c.png", false},
        {"*/a/*.png", "/x/a/y/z.png", true},
        {"a*b*c", "aXbXbXc", true},
        {"a*b*c", "aXbXbXd", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"a?c",
         "a\xc3\xa4"
         "c",
         true}, /* one character of two bytes */
        {"a??c",
         "a\xc3\xa4"
         "c",
         false},
        {"a?c",
         "a\xff"
         "c",
         true}, /* a byte that is no UTF-8 is one character */
        {"[a-c]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"[!a-c]x", "dx", true},
        {"[^a-c]x", "bx", false},
        {"[]]", "]", true},
        {"[!]]", "]", false},
        {"[a-]", "-", true},
        {"[ac", "[ac", true}, /* a bracket without an end is an ordinary character */
        {"[\xc3\xa4-\xc3\xbc]", "\xc3\xb6", true},
        {"[\xc3\xa4-\xc3\xbc]", "o", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\[a]", "[a]", true},
        {"a\\", "a\\", true},
        {"Img", "img", false},
        {"", "", true},
        {"", "a", false},
        {"[", "[", true},
        {"[!", "[!", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        if (filter_match_glob(cases[i].pattern, cases[i].text) != cases[i].match)
            fail_msg("'%s' and '%s': expected %s", cases[i].pattern, cases[i].text,
                     cases[i].match ? "a match" : "no match");
}

/* A pattern of many stars must not take exponential time: this test would not end. */
static void many_stars_take_little_time(void **state)
{
    (void)state;
    char pattern[201], text[5001] = {0};
    for (size_t i = 0; i < 200; i++)
        pattern[i] = i % 2 ? '*' : 'a';
    pattern[198] = 'b';
    pattern[199] = pattern[200] = 0;
    memset(text, 'a', 5000);
    assert_false(filter_match_glob(pattern, text));
}

/* Known distances of airports and poles, within the difference between the sphere and the earth. */
static void distances_are_right(void **state)
{
    (void)state;
    static const struct {
        double a[2], b[2], kilometers, tolerance;
    } cases[] = {
        {{52.5, 13.4}, {52.5, 13.4}, 0, 0},
        {{90, 0}, {-90, 0}, 20015, 1},
        {{0, 179.5}, {0, -179.5}, 111.2, 0.1}, /* over the date line */
        {{90, 10}, {90, -170}, 0, 1e-6},       /* one pole */
        {{40.6413, -73.7781}, {51.4700, -0.4543}, 5540, 15},
        {{-33.9, 151.2}, {33.9, -28.8}, 20015, 1}, /* opposite places */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const double found =
            filter_distance(cases[i].a[0], cases[i].a[1], cases[i].b[0], cases[i].b[1]);
        if (!(fabs(found - cases[i].kilometers) <= cases[i].tolerance))
            fail_msg("case %zu: expected %g km, found %g", i, cases[i].kilometers, found);
    }
}

static void filters_choose(void **state)
{
    (void)state;
    static const struct vkclip_hit photo = {.path = "/photos/2024/IMG 1.JPG",
                                            .width = 4000,
                                            .height = 3000,
                                            .date = 1000,
                                            .latitude = 52.5,
                                            .longitude = 13.4,
                                            .camera = "Canon EOS 80D",
                                            .format = "jpeg"};
    static const struct vkclip_hit bare = {
        .path = "/x.png", .latitude = NAN, .longitude = NAN, .camera = "", .format = "png"};
    static const struct {
        struct vkclip_search_params params;
        bool photo, bare;
    } cases[] = {
        {{0}, true, true},
        {{.path_glob = "*.JPG"}, true, false},
        {{.path_glob = "IMG*"}, true, false}, /* without a slash: the file's name */
        {{.path_glob = "/photos/*"}, true, false},
        {{.path_glob = "photos/*"}, false, false},
        {{.path_glob = "/photos/**/IMG*"}, true, false}, /* folders, and the file's name */
        {{.path_glob = "/photos/2024/**/*.JPG"}, true, false},
        {{.path_glob = "/photos/**/2024*"}, false, false},
        {{.path_glob = "/[p/**/*]*"},
         false,
         false}, /* The set has no end before that of folders. */
        {{.path_glob = "/**/*.*"}, true, true},
        {{.after = 1000}, true, false},
        {{.after = 1001}, false, false},
        {{.before = 1000}, false, true},
        {{.before = 1001}, true, true},
        {{.after = 500, .before = 1001}, true, false},
        {{.latitude = 52.5, .longitude = 13.5, .kilometers = 10}, true, false},
        {{.latitude = 52.5, .longitude = 13.5, .kilometers = 5}, false, false},
        {{.latitude = 0, .longitude = 0, .kilometers = 30000}, true, false}, /* unknown: nowhere */
        {{.camera = "canon"}, true, false},
        {{.camera = "eos 80d"}, true, false},
        {{.camera = "nikon"}, false, false},
        {{.type = "jpeg"}, true, false},
        {{.type = "JPG"}, true, false},
        {{.type = "jpe"}, false, false},
        {{.type = "png"}, false, true},
        {{.min_width = 4000, .min_height = 3000}, true, false},
        {{.min_width = 3001, .min_height = 3001}, false, false},
        {{.camera = "canon", .type = "png"}, false, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(filter_check(&cases[i].params), 0);
        assert_int_equal(filter_is_empty(&cases[i].params), !i);
        if (filter_match(&cases[i].params, &photo) != cases[i].photo ||
            filter_match(&cases[i].params, &bare) != cases[i].bare)
            fail_msg("case %zu", i);
    }
}

static void impossible_filters_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct vkclip_search_params params;
        const char *message;
    } cases[] = {
        {{.latitude = 91}, "found 91"},    {{.longitude = -180.5}, "found 0 and -180.5"},
        {{.latitude = NAN}, "latitude"},   {{.kilometers = -1}, "found -1"},
        {{.relative = 1.5}, "`relative`"}, {{.after = 20, .before = 20}, "`after`"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(filter_check(&cases[i].params), VKCLIP_EINVALID);
        assert_non_null(strstr(vkclip_last_error(), cases[i].message));
    }
}

static void parts_are_added(void **state)
{
    (void)state;
    static const float x[] = {3, 0, 0}, y[] = {0, 0.5f, 0}, none[] = {0, 0, 0},
                       wrong[] = {NAN, 0, 0};
    float sum[3] = {0};
    assert_int_equal(query_add(sum, x, 3, 3), 0);
    assert_int_equal(query_add(sum, y, 3, -4), 0);
    assert_int_equal(query_normalize(sum, 3), 0);
    assert_float_equal(sum[0], 0.6, 1e-7);
    assert_float_equal(sum[1], -0.8, 1e-7);
    assert_int_equal(query_add(sum, none, 3, 1), VKCLIP_EINVALID);
    assert_int_equal(query_add(sum, wrong, 3, 1), VKCLIP_EINVALID);
    memset(sum, 0, sizeof(sum));
    query_add(sum, x, 3, 1);
    query_add(sum, x, 3, -1);
    assert_int_equal(query_normalize(sum, 3), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "cancel"));
}

static void limits_cut(void **state)
{
    (void)state;
    static const struct {
        struct vkclip_search_params params;
        double score, z, best;
        bool reaches;
    } cases[] = {
        {{0}, -1, -5, 1, true},
        {{.min_score = 0.2}, 0.2, 0, 1, true},
        {{.min_score = 0.2}, 0.19, 9, 1, false},
        {{.min_z = 3}, 0.1, 3, 1, true},
        {{.min_z = 3}, 0.9, 2.9, 1, false},
        {{.relative = 0.9}, 0.27, 0, 0.3, true},
        {{.relative = 0.9}, 0.26, 0, 0.3, false},
        {{.relative = 1}, 0.3, 0, 0.3, true},
        {{.relative = 0.9}, -0.1, 0, -0.1, true}, /* the best is always within its share */
        {{.relative = 0.9}, -0.2, 0, -0.1, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        if (query_reaches(&cases[i].params, cases[i].score, cases[i].z, cases[i].best) !=
            cases[i].reaches)
            fail_msg("case %zu", i);
    assert_float_equal(query_z(0.5, 0.3, 0.1), 2, 1e-12);
    assert_float_equal(query_z(0.5, 0.5, 0), 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match),      cmocka_unit_test(many_stars_take_little_time),
        cmocka_unit_test(distances_are_right), cmocka_unit_test(filters_choose),
        cmocka_unit_test(parts_are_added),     cmocka_unit_test(impossible_filters_are_refused),
        cmocka_unit_test(limits_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
