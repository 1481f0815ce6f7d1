/* SPDX-License-Identifier: MIT
 *
 * Settings: the caller's values take precedence over the environment, lists are matched word by
 * word, and an empty text counts as unset, except that an empty cache folder turns the cache off.
 */
#define _GNU_SOURCE
#include "base/settings.h"
#include "support/testing.h"
#include "support/variable.h"

static void assert_text(const char *found, const char *expected)
{
    if (expected)
        assert_string_equal(found ? found : "(none)", expected);
    else
        assert_null(found);
}

static void caller_wins_over_environment(void **state)
{
    (void)state;
    static const struct {
        const char *param, *variable, *expected;
    } cases[] = {
        {NULL, NULL, NULL},         {NULL, "", NULL},           {NULL, "outside", "outside"},
        {"", "outside", "outside"}, {"inside", NULL, "inside"}, {"inside", "outside", "inside"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct vkclip_device_params params = {.size = sizeof(params),
                                                    .device = cases[i].param};
        struct settings settings;
        set_variable("VKCLIP_DEVICE", cases[i].variable);
        assert_int_equal(settings_read(&params, &settings), 0);
        assert_text(settings.device, cases[i].expected);
        settings_free(&settings);
        assert_null(settings.device);
    }
    set_variable("VKCLIP_DEVICE", NULL);
}

static void cache_folder_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *param, *variable, *expected;
    } cases[] = {
        {"given", "named", "given"},
        {"", "named", NULL},
        {NULL, "named", "named"},
#ifndef _WIN32 /* Variables are never empty there. */
        {NULL, "", NULL},
#endif
#if !defined(_WIN32) && !defined(__APPLE__)
        {NULL, NULL, "/x/vkclip"},
#endif
    };
    set_variable("XDG_CACHE_HOME", "/x");
    set_variable("HOME", "/h");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct vkclip_device_params params = {.size = sizeof(params),
                                                    .cache_dir = cases[i].param};
        struct settings settings;
        set_variable("VKCLIP_CACHE_DIR", cases[i].variable);
        assert_int_equal(settings_read(&params, &settings), 0);
        assert_text(settings.cache_folder, cases[i].expected);
        settings_free(&settings);
    }
    set_variable("VKCLIP_CACHE_DIR", NULL);
#if !defined(_WIN32) && !defined(__APPLE__)
    struct settings settings;
    set_variable("XDG_CACHE_HOME", "");
    assert_int_equal(settings_read(NULL, &settings), 0);
    assert_text(settings.cache_folder, "/h/.cache/vkclip");
    settings_free(&settings);
    set_variable("HOME", NULL);
    assert_int_equal(settings_read(NULL, &settings), 0);
    assert_text(settings.cache_folder, NULL);
    settings_free(&settings);
#endif
}

static void other_variables_are_copied(void **state)
{
    (void)state;
    struct settings settings;
    const struct {
        const char *variable;
        char **value;
    } cases[] = {
        {"VKCLIP_TUNE", &settings.tuning},
        {"VKCLIP_CHECK", &settings.check},
        {"VKCLIP_DISABLE_CAPS", &settings.disabled_caps},
        {"VKCLIP_ENABLE_CAPS", &settings.enabled_caps},
        {"VKCLIP_QUIRKS", &settings.quirks},
        {"VKCLIP_DISABLE_KERNELS", &settings.disabled_kernels},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        set_variable(cases[i].variable, cases[i].variable);
    assert_int_equal(settings_read(NULL, &settings), 0);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        set_variable(cases[i].variable,
                     NULL); /* The values must stay valid without the variables. */
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_text(*cases[i].value, cases[i].variable);
    settings_free(&settings);
}

static void lists_are_matched_by_word(void **state)
{
    (void)state;
    assert_true(settings_list_has("f16", "f16"));
    assert_true(settings_list_has("texel,f16", "f16"));
    assert_true(settings_list_has(",f16,", "f16"));
    assert_false(settings_list_has("f16math,xf16,f1", "f16"));
    assert_false(settings_list_has("", "f16"));
    assert_false(settings_list_has(NULL, "f16"));
}

static char warnings[512];

static void keep_warning(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    (void)level;
    snprintf(warnings + strlen(warnings), sizeof(warnings) - strlen(warnings), "%s\n", message);
}

static bool is_letter(const char *word)
{
    return strlen(word) == 1;
}

static void unknown_words_are_named(void **state)
{
    (void)state;
    vkclip_set_log(keep_warning, NULL);
    settings_check_list("X", NULL, is_letter, "letters");
    settings_check_list("X", "a,b,,c,", is_letter, "letters");
    assert_string_equal(warnings, "");
    settings_check_list("X", ",a,bc,d, e", is_letter, "letters");
    vkclip_set_log(NULL, NULL);
    assert_string_equal(warnings,
                        "X has \"bc\", expected letters\nX has \" e\", expected letters\n");
}

static void index_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *data, *home, *expected;
    } cases[] = {
        {"named", "/d", "/h", "named"},
#if !defined(_WIN32) && !defined(__APPLE__)
        {"", "/d", "/h", "/d/vkclip/index.db"},
        {NULL, "", "/h", "/h/.local/share/vkclip/index.db"},
        {NULL, NULL, NULL, NULL},
#endif
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct settings settings;
        set_variable("VKCLIP_INDEX", cases[i].variable);
        set_variable("XDG_DATA_HOME", cases[i].data);
        set_variable("HOME", cases[i].home);
        assert_int_equal(settings_read(NULL, &settings), 0);
        assert_text(settings.index, cases[i].expected);
        settings_free(&settings);
    }
    set_variable("VKCLIP_INDEX", NULL);
}

static void threads_are_the_callers(void **state)
{
    const struct vkclip_device_params params = {
        .size = sizeof(params), .threads = 3, .background = true};
    struct settings settings;
    (void)state;
    assert_int_equal(settings_read(&params, &settings), 0);
    assert_int_equal(settings.threads, 3);
    assert_true(settings.background);
    settings_free(&settings);
    assert_int_equal(settings_read(NULL, &settings), 0);
    assert_int_equal(settings.threads, 0);
    assert_false(settings.background);
    settings_free(&settings);
}

static void kernels_are_the_callers(void **state)
{
    static const struct {
        enum vkclip_tune tune;
        bool skip_checks;
        double timeout;
        const char *tuning, *check;
    } cases[] = {
        {VKCLIP_TUNE_DEFAULT, false, 0, "variable", "variable"},
        {VKCLIP_TUNE_ON, false, 0, "on", "variable"},
        {VKCLIP_TUNE_OFF, true, 0, "off", "off"},
        {VKCLIP_TUNE_FORCE, true, 2.5, "force", "off"},
    };
    (void)state;
    set_variable("VKCLIP_TUNE", "variable");
    set_variable("VKCLIP_CHECK", "variable");
    set_variable("VKCLIP_TIMEOUT", "variable");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct vkclip_device_params params = {.size = sizeof(params),
                                                    .tune = cases[i].tune,
                                                    .skip_checks = cases[i].skip_checks,
                                                    .timeout = cases[i].timeout};
        struct settings settings;
        assert_int_equal(settings_read(&params, &settings), 0);
        assert_text(settings.tuning, cases[i].tuning);
        assert_text(settings.check, cases[i].check);
        assert_text(settings.timeout, "variable");
        assert_true(settings.timeout_seconds == cases[i].timeout);
        settings_free(&settings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caller_wins_over_environment), cmocka_unit_test(threads_are_the_callers),
        cmocka_unit_test(cache_folder_is_found),        cmocka_unit_test(index_is_found),
        cmocka_unit_test(other_variables_are_copied),   cmocka_unit_test(lists_are_matched_by_word),
        cmocka_unit_test(unknown_words_are_named),      cmocka_unit_test(kernels_are_the_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
