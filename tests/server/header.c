/* SPDX-License-Identifier: MIT
 *
 * What the server reads out of headers and forms.
 */
#include "support/testing.h"
#include "base/array.h"
#include "server/form.h"
#include "server/header.h"

/* Stands for that of receive.c, which form_read alone calls. */
const char *request_header(const struct request *request, const char *name)
{
    (void)request;
    (void)name;
    return NULL;
}

static void check_cookie(const char *cookies, const char *expected)
{
    size_t length = 0;
    const char *value = header_find_cookie(cookies, "token", &length);
    if (!value != !expected)
        fail_msg("'%s' has %s cookie", cookies, value ? "a" : "no");
    if (value && (strlen(expected) != length || strncmp(value, expected, length)))
        fail_msg("'%s': expected %s, found %.*s", cookies, expected, (int)length, value);
}

static void cookies_are_found(void **state)
{
    check_cookie(NULL, NULL);
    check_cookie("", NULL);
    check_cookie("token", NULL);
    check_cookie("token=", "");
    check_cookie("token=a", "a");
    check_cookie("other=b; token=a", "a");
    check_cookie("other=b;token=a;", "a");
    check_cookie("xtoken=b; token=a", "a");
    check_cookie("other=token=b; token=a", "a");
    check_cookie("tokens=b", NULL);
    check_cookie("; ; =; token=a b", "a");
    (void)state;
}

static void hosts_are_measured(void **state)
{
    static const struct {
        const char *host;
        size_t length;
    } rows[] = {{"", 0},           {"localhost", 9},   {"localhost:80", 9},
                {"localhost:", 0}, {"localhost:x", 0}, {"localhost:8x", 0},
                {"a:80:80", 0},    {"[::1]", 5},       {"[::1]:80", 5},
                {"[::1]x", 0},     {"[::1", 0},        {"[::1]:", 0},
                {"[]", 2},         {":80", 0},         {"a b", 3},
                {"a/b", 3}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (header_host_length(rows[i].host) != rows[i].length)
            fail_msg("%s: %zu", rows[i].host, header_host_length(rows[i].host));
    (void)state;
}

static void check_parameter(const char *header, const char *expected)
{
    char value[8];
    const bool found = header_find_parameter(header, "b", value, sizeof(value));
    if (found != !!expected)
        fail_msg("'%s' has %s parameter", header, found ? "a" : "no");
    if (found)
        assert_string_equal(value, expected);
}

static void parameters_are_found(void **state)
{
    check_parameter("", NULL);
    check_parameter("b=1", NULL);
    check_parameter("t; b=1", "1");
    check_parameter("t;b=1;c=2", "1");
    check_parameter("t; B=\"1; 2\"", "1; 2");
    check_parameter("t; b=\"1\\\"2\"", "1\"2");
    check_parameter("t; a=\"; b=3\"; b=1", "1");
    check_parameter("t; ab=3; b=1 ", "1");
    check_parameter("t; b", NULL);
    check_parameter("t; b=", "");
    check_parameter("t; b=\"1", NULL);
    check_parameter("t; b=\"1\\", NULL);
    check_parameter("t; b=1234567", "1234567");
    check_parameter("t; b=12345678", NULL);
    check_parameter("t; a=123456789; b=1", "1");
    check_parameter("t; a=\"123456789\"; b=1", "1");
    check_parameter("t; =; ==; b=1", "1");
    (void)state;
}

static void codes_are_decoded(void **state)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {{"", ""},           {"abc", "abc"},   {"%41%62", "Ab"},    {"%00", "%00"},
                {"a%00b", "a%00b"}, {"%", "%"},       {"%4", "%4"},        {"%4x", "%4x"},
                {"%zz", "%zz"},     {"%2541", "%41"}, {"%ff%2F", "\xff/"}, {"%%41", "%A"}};
    char text[16];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        snprintf(text, sizeof(text), "%s", rows[i].text);
        assert_int_equal(header_unescape(text), strlen(rows[i].expected));
        assert_string_equal(text, rows[i].expected);
    }
    (void)state;
}

static void ranges_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t size, first, count;
        bool good, partial;
    } rows[] = {{NULL, 9, 0, 9, true, false},
                {"bytes=0-0", 9, 0, 1, true, true},
                {"bytes=2-4", 9, 2, 3, true, true},
                {"bytes=2-", 9, 2, 7, true, true},
                {"bytes=-2", 9, 7, 2, true, true},
                {"bytes=-99", 9, 0, 9, true, true},
                {"bytes=2-99", 9, 2, 7, true, true},
                {"bytes=2-18446744073709551615", 9, 2, 7, true, true},
                {"bytes=2-99999999999999999999999", 9, 2, 7, true, true},
                {"bytes=9-", 9, 9, 0, false, true},
                {"bytes=99999999999999999999999-", 9, UINT64_MAX, 0, false, true},
                {"bytes=-0", 9, 9, 0, false, true},
                {"bytes=0-", 0, 0, 0, false, true},
                {"bytes=-1", 0, 0, 0, false, true},
                {"bytes=4-2", 9, 4, 0, false, true},
                {"bytes=0-1,3-4", 9, 0, 9, true, false},
                {"bytes=", 9, 0, 9, true, false},
                {"bytes=-", 9, 0, 9, true, false},
                {"bytes=1", 9, 0, 9, true, false},
                {"bytes=--1", 9, 0, 9, true, false},
                {"bytes=1-2x", 9, 0, 9, true, false},
                {"bytes = 1-2", 9, 0, 9, true, false},
                {"lines=1-2", 9, 0, 9, true, false}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct header_range range;
        if (header_read_range(rows[i].text, rows[i].size, &range) != rows[i].good ||
            range.first != rows[i].first || range.size != rows[i].count ||
            range.partial != rows[i].partial)
            fail_msg("%s of %d: %d from %d", rows[i].text, (int)rows[i].size, (int)range.size,
                     (int)range.first);
    }
    (void)state;
}

/* Bytes of every value go through a form, and what looks like its boundary without a line's end. */
static void forms_keep_their_bytes(void **state)
{
    static const char start[] = "preamble\r\n--x y\r\nContent-Type: a\r\nContent-Disposition: "
                                "form-data; filename=\"name=no\"; name=\"pic;ture\"\r\n\r\n";
    static const char end[] = "\r\n--x y \t\r\ncontent-disposition:form-data;NAME=empty\r\n\r\n"
                              "\r\n--x y--\r\nepilogue";
    char body[sizeof(start) + sizeof(end) + 300];
    struct form form;
    size_t size = sizeof(start) - 1;
    memcpy(body, start, size);
    for (int i = 0; i < 256; i++)
        body[size++] = (char)i;
    memcpy(body + size, "\n--x y", 6);
    size += 6;
    memcpy(body + size, end, sizeof(end) - 1);
    size += sizeof(end) - 1;
    assert_int_equal(form_parse("Multipart/Form-Data; boundary=\"x y\"", body, size, &form), 0);
    assert_int_equal(form.count, 2);
    const struct form_part *picture = form_find(&form, "pic;ture"),
                           *empty = form_find(&form, "empty");
    assert_non_null(picture);
    assert_int_equal(picture->size, 262);
    assert_memory_equal(picture->data, body + sizeof(start) - 1, 262);
    assert_int_equal(picture->data[262], 0);
    assert_non_null(empty);
    assert_string_equal(empty->data, "");
    assert_null(form_find(&form, "no"));
    form_free(&form);
    /* Every shorter body is refused, up to the two hyphens that end the form. */
    for (size_t i = 0; i < size - strlen("\r\nepilogue"); i++) {
        assert_int_equal(form_parse("multipart/form-data;boundary=\"x y\"", body, i, &form),
                         VKCLIP_EINVALID);
        form_free(&form);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cookies_are_found),    cmocka_unit_test(hosts_are_measured),
        cmocka_unit_test(parameters_are_found), cmocka_unit_test(codes_are_decoded),
        cmocka_unit_test(ranges_are_read),      cmocka_unit_test(forms_keep_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
