/* SPDX-License-Identifier: MIT
 *
 * The grammar of queries, and the values of search's filters: what is understood, and what is
 * refused with which message.
 */
#include "support/testing.h"
#include "base/calendar.h"
#include "cli/commands/limits.h"
#include "cli/commands/query.h"

/* The files of this test are named here and lie nowhere. */
static bool is_file(const char *path)
{
    return !strcmp(path, "cat.jpg") || !strcmp(path, "my cat.jpg") || !strcmp(path, "owl");
}

static struct vkclip_query_part text(double weight, const char *value)
{
    return (struct vkclip_query_part){VKCLIP_QUERY_TEXT, value, 0, weight};
}

static struct vkclip_query_part picture(double weight, const char *value)
{
    return (struct vkclip_query_part){VKCLIP_QUERY_IMAGE, value, 0, weight};
}

static struct vkclip_query_part item(double weight, int64_t id)
{
    return (struct vkclip_query_part){VKCLIP_QUERY_ID, NULL, id, weight};
}

enum { MOST = 6 };

static void assert_parts(const struct query *query, const struct vkclip_query_part *expected)
{
    size_t count = 0;
    while (count < MOST && expected[count].weight != 0)
        count++;
    assert_int_equal(query->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(query->parts[i].kind, expected[i].kind);
        assert_float_equal(query->parts[i].weight, expected[i].weight, 1e-12);
        if (expected[i].kind == VKCLIP_QUERY_ID)
            assert_int_equal(query->parts[i].id, expected[i].id);
        else
            assert_string_equal(query->parts[i].value, expected[i].value);
    }
}

static void words_are_understood(void **state)
{
    (void)state;
    const struct {
        const char *words[MOST];
        struct vkclip_query_part parts[MOST];
    } cases[] = {
        {{"owl"}, {text(1, "owl")}}, /* a name without a dot is a text, although the file exists */
        {{"a dog", "on the", "beach"}, {text(1, "a dog on the beach")}},
        {{"horse", "+", "stripes", "-", "2:zoo"},
         {text(1, "horse"), text(1, "stripes"), text(-2, "zoo")}},
        {{"-", "zoo"}, {text(-1, "zoo")}},
        {{"+", "zoo"}, {text(1, "zoo")}},
        {{".5:fog"}, {text(0.5, "fog")}},
        {{"0.5:fog"}, {text(0.5, "fog")}},
        {{"12.:fog"}, {text(1, "12.:fog")}},
        {{"train", "at", "10:30"}, {text(1, "train at 10:30")}},
        {{"10:30 train"}, {text(10, "30 train")}},
        {{"1:10:30 train"}, {text(1, "10:30 train")}},
        {{"./cat"}, {picture(1, "./cat")}},
        {{"../a b.png"}, {picture(1, "../a b.png")}},
        {{"/x"}, {picture(1, "/x")}},
        {{"cat.jpg"}, {picture(1, "cat.jpg")}},
        {{"dog.jpg"}, {text(1, "dog.jpg")}}, /* there is no such file */
        {{"https://a/b?c=d"}, {picture(1, "https://a/b?c=d")}},
        {{"HTTP://a/b", "Https://c"}, {picture(1, "HTTP://a/b"), picture(1, "Https://c")}},
        {{"snow", "-", "2:http://a/b"}, {text(1, "snow"), picture(-2, "http://a/b")}},
        {{"http:", "ftp://a/b"}, {text(1, "http: ftp://a/b")}},
        {{"cat.jpg", "in", "snow"}, {picture(1, "cat.jpg"), text(1, "in snow")}},
        {{"snow", "3:cat.jpg", "at night"},
         {text(1, "snow"), picture(3, "cat.jpg"), text(1, "at night")}},
        {{"id:7"}, {item(1, 7)}},
        {{"-", "2:id:70000000000"}, {item(-2, 70000000000)}},
        {{"id:1", "id:2"}, {item(1, 1), item(1, 2)}},
        {{"", "owl", ""}, {text(1, "owl")}},
        {{"a-b", "+c"}, {text(1, "a-b +c")}}, /* only a sign alone is a sign */
        {{"valid: yes"}, {text(1, "valid: yes")}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct query query;
        size_t count = 0;
        while (count < MOST && cases[i].words[count])
            count++;
        if (!query_parse(cases[i].words, count, is_file, &query))
            fail_msg("'%s...': %s", cases[i].words[0], query.error);
        assert_parts(&query, cases[i].parts);
        query_free(&query);
    }
}

static void lines_are_understood(void **state)
{
    (void)state;
    const struct {
        const char *line;
        struct vkclip_query_part parts[MOST];
    } cases[] = {
        {"a dog on the beach", {text(1, "a dog on the beach")}},
        {"  horse\t+ stripes - 2:zoo ", {text(1, "horse"), text(1, "stripes"), text(-2, "zoo")}},
        {"- zoo", {text(-1, "zoo")}},
        {"./my cat.jpg + snow", {picture(1, "./my cat.jpg"), text(1, "snow")}},
        {"my cat.jpg", {picture(1, "my cat.jpg")}},
        {"http://a/b.png + snow", {picture(1, "http://a/b.png"), text(1, "snow")}},
        {"x-ray + black-and-white", {text(1, "x-ray"), text(1, "black-and-white")}},
        {"id:3 - fog", {item(1, 3), text(-1, "fog")}},
        {"train at 10:30", {text(1, "train at 10:30")}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct query query;
        if (!query_parse_line(cases[i].line, is_file, &query))
            fail_msg("'%s': %s", cases[i].line, query.error);
        assert_parts(&query, cases[i].parts);
        query_free(&query);
    }
}

static void wrong_queries_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words[MOST];
        const char *message;
    } cases[] = {
        {{NULL}, "expected a text, a picture or id:N, found the end of the query"},
        {{""}, "found the end of the query"},
        {{"owl", "-"}, "after the sign, found the end"},
        {{"owl", "-", "-", "zoo"}, "after the sign, found '-'"},
        {{"+"}, "after the sign"},
        {{"2:"}, "after the weight, found '2:'"},
        {{"0:zoo"}, "a weight above 0"},
        {{"1000001:zoo"}, "a weight above 0"},
        {{"id:"}, "id: and the number of a picture of the index, found 'id:'"},
        {{"id:-1"}, "found 'id:-1'"},
        {{"id:1x"}, "found 'id:1x'"},
        {{"id:99999999999999999999"}, "id: and the number"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct query query;
        size_t count = 0;
        while (cases[i].words[count])
            count++;
        assert_false(query_parse(cases[i].words, count, is_file, &query));
        if (!strstr(query.error, cases[i].message))
            fail_msg("expected '%s', found '%s'", cases[i].message, query.error);
        query_free(&query);
    }
    struct query query;
    assert_false(query_parse_line("owl + ", is_file, &query));
    query_free(&query);
    assert_false(query_parse_line("", is_file, &query));
    query_free(&query);
}

static void dates_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
        const char *day;
    } cases[] = {
        {"1970", 0, "1970-01-01"},
        {"1970-01-02", 86400, "1970-01-02"},
        {"1969-12-31T23:59:59", -1, "1969-12-31"},
        {"2024-07", 1719792000, "2024-07-01"},
        {"2024-07-31", 1722384000, "2024-07-31"},
        {"2024-07-31T12:30", 1722429000, "2024-07-31"},
        {"2024-07-31 12:30:59", 1722429059, "2024-07-31"},
        {"2000-02-29", 951782400, "2000-02-29"},
        {"1900-03-01", -2203891200, "1900-03-01"},
        {"2400-02-29", 13574563200, "2400-02-29"},
        {"0001-01-01", -62135596800, "0001-01-01"},
    };
    static const char *const wrong[] = {"",
                                        "24",
                                        "2024-",
                                        "2024-13",
                                        "2024-00",
                                        "2023-02-29",
                                        "1900-02-29",
                                        "2024-07-31T12",
                                        "2024-7-31",
                                        "2024/07/31",
                                        "2024-07-31T24:00",
                                        "2024-07-31 ",
                                        "0000",
                                        "2024-07-31T12:30:59Z",
                                        "yesterday"};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        int64_t seconds = 0;
        char day[32];
        if (!calendar_read(cases[i].text, &seconds) || seconds != cases[i].seconds)
            fail_msg("'%s': found %lld", cases[i].text, (long long)seconds);
        calendar_write_day(seconds, day);
        assert_string_equal(day, cases[i].day);
    }
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        int64_t seconds;
        if (calendar_read(wrong[i], &seconds))
            fail_msg("'%s' was taken", wrong[i]);
    }
}

static void places_and_sizes_are_read(void **state)
{
    (void)state;
    static const char *const wrong_places[] = {"",       "1",       "1,2",     "1,2,0",   "1,2,-3",
                                               "91,2,3", "1,181,3", "nan,2,3", "1,2,3,4", "1,2,3 "};
    static const char *const wrong_sizes[] = {"",   "0",   "x",     "5x",         "x5",
                                              "-5", "5x0", "5x6x7", "4294967296", "5.5"};
    double place[3];
    uint32_t width, height;
    assert_true(limits_read_place("-33.9,151.2,5", place));
    assert_float_equal(place[0], -33.9, 1e-12);
    assert_float_equal(place[1], 151.2, 1e-12);
    assert_float_equal(place[2], 5, 1e-12);
    assert_true(limits_read_size("640", &width, &height));
    assert_int_equal(width, 640);
    assert_int_equal(height, 640);
    assert_true(limits_read_size("1920x1080", &width, &height));
    assert_int_equal(width, 1920);
    assert_int_equal(height, 1080);
    for (size_t i = 0; i < ARRAY_COUNT(wrong_places); i++)
        if (limits_read_place(wrong_places[i], place))
            fail_msg("'%s' was taken", wrong_places[i]);
    for (size_t i = 0; i < ARRAY_COUNT(wrong_sizes); i++)
        if (limits_read_size(wrong_sizes[i], &width, &height))
            fail_msg("'%s' was taken", wrong_sizes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_understood),      cmocka_unit_test(lines_are_understood),
        cmocka_unit_test(wrong_queries_are_refused), cmocka_unit_test(dates_are_read),
        cmocka_unit_test(places_and_sizes_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
