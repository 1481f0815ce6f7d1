/* SPDX-License-Identifier: MIT
 *
 * Names of models, and the cache folders that belong to them. Filling a cache and opening models
 * from it is the subject of tests/cli/pull.py.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "format/hub.h"
#include "support/scratch.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void names(void **state)
{
    static const char *const cases[][3] = {
        {"openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32", "main"},
        {"a/b@v1.0", "a/b", "v1.0"},
        {"a/b@refs/pr/1", "a/b", "refs/pr/1"},
        {"a.b/c_d-e@" COMMIT, "a.b/c_d-e", COMMIT},
        {"ViT-B/32", "openai/clip-vit-base-patch32", "main"},
        {"ViT-L/14@336px", "openai/clip-vit-large-patch14-336", "main"},
        {"ViT-L/14", "openai/clip-vit-large-patch14", "main"},
        {"ViT-L/14@336px@v2", "openai/clip-vit-large-patch14-336", "v2"},
        {"RN50@v2", "timm/resnet50_clip.openai", "v2"},
        {"ViT-H-14:laion2b_s32b_b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "main"},
    };
    static const char *const wrong[] = {
        "",        "a",        "RN51",   "/",       "/a",       "a/",     "a/b/c",
        "../a",    "a/..",     "./a",    "a/.",     "a/b@",     "a/b@..", "a/b@/x",
        "a/b@x/",  "a/b@x//y", "a/b@.x", "a/b@x y", "a\\b/c",   "a/b\\c", "a/b c",
        "a--b/c",  "a/b--c",   "a/b..c", "-a/b",    "a/b-",     "a/b.",   "a/b\n",
        "a/b@x\n", "C:/x",     "@main",  "a/b:c",   "a/b@x@y z"};
    struct hub_name name;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_true(hub_parse_name(cases[i][0], &name));
        assert_string_equal(name.repository, cases[i][1]);
        assert_string_equal(name.revision, cases[i][2]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        if (hub_parse_name(wrong[i], &name))
            fail_msg("'%s' was accepted as a name", wrong[i]);
    char *longest = calloc(1, 100001);
    for (int part = 0; part < 2; part++) { /* First the name is too long, then the revision. */
        memset(longest, 'a', 100000);
        memcpy(longest, part ? "a/b@" : "a/b", part ? 4 : 3);
        assert_false(hub_parse_name(longest, &name));
        for (int i = 5; part && i < 100000; i += 2)
            longest[i] = '/';
        assert_false(hub_parse_name(longest, &name));
    }
    free(longest);
}

/* Every alias occurs once and leads to a repository whose own name is not an alias. */
static void aliases(void **state)
{
    const char *name, *repository, *other, *where;
    struct hub_name parsed;
    size_t count = 0;
    (void)state;
    for (; hub_alias(count, &name, &repository); count++) {
        assert_true(hub_parse_name(name, &parsed));
        assert_string_equal(parsed.repository, repository);
        assert_string_equal(parsed.revision, "main");
        assert_true(hub_parse_name(repository, &parsed));
        assert_string_equal(parsed.repository, repository);
        for (size_t i = 0; i < count && hub_alias(i, &other, &where); i++)
            assert_string_not_equal(name, other);
    }
    assert_true(count > 40);
}

static void file_names(void **state)
{
    (void)state;
    assert_true(hub_is_file_name("model-00001-of-00002.safetensors"));
    static const char *const wrong[] = {"",   ".",   "..",  ".a",  "a/b",     "a\\b",
                                        "/a", "a b", "a\n", "C:a", "\303\244"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_false(hub_is_file_name(wrong[i]));
    assert_true(hub_is_commit(COMMIT));
    assert_false(hub_is_commit("0123456789ABCDEF0123456789abcdef01234567"));
    assert_false(hub_is_commit(COMMIT "0"));
}

static void assert_path(char *found, const char *expected)
{
    assert_non_null(found);
    assert_string_equal(found, expected);
    free(found);
}

static void places(void **state)
{
    static const char *const variables[] = {"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME",
                                            "USERPROFILE"};
    struct hub_name name;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(variables); i++)
        unsetenv(variables[i]);
    assert_null(hub_cache());
    assert_non_null(strstr(vkclip_last_error(), "HF_HUB_CACHE"));
    assert_true(hub_parse_name("a/b", &name));
    assert_null(hub_find_snapshot(&name));
    setenv("HOME", "/h", 1);
    assert_path(hub_cache(), "/h/.cache/huggingface/hub");
    setenv("XDG_CACHE_HOME", "/x", 1);
    assert_path(hub_cache(), "/x/huggingface/hub");
    setenv("HF_HOME", "/f", 1);
    assert_path(hub_cache(), "/f/hub");
    setenv("HF_HUB_CACHE", "/c", 1);
    assert_path(hub_cache(), "/c");
    assert_path(hub_home(), "/f");
    assert_path(hub_model_folder(&name), "/c/models--a--b");
}

static void finding(void **state)
{
    char *folder = scratch_folder(), *found = NULL;
    (void)state;
    setenv("HF_HUB_CACHE", folder, 1);
    assert_failed(hub_find("a/b", &found), VKCLIP_EIO, "'vkclip pull a/b'");
    assert_null(found);
    assert_int_equal(hub_find("/no/such/path", &found), 0);
    assert_path(found, "/no/such/path");
    static const char *const parts[] = {"models--a--b", "models--a--b/snapshots",
                                        ("models--a--b/snapshots/" COMMIT), "models--a--b/refs"};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        char *path = scratch_path(folder, parts[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
    }
    char *expected = scratch_path(folder, parts[2]);
    static const char *const opened[] = {"a/b", ("a/b@" COMMIT), "a/b@v1"};
    scratch_text(folder, "models--a--b/refs/v1", COMMIT);
    for (size_t i = 0; i < ARRAY_COUNT(opened); i++) {
        assert_int_equal(hub_find(opened[i], &found), 0);
        assert_path(found, expected);
    }
    assert_failed(hub_find("a/b@v2", &found), VKCLIP_EIO, folder);
    scratch_text(folder, "models--a--b/refs/v2",
                 "../../../../../../../../../../../../../../../../..");
    assert_failed(hub_find("a/b@v2", &found), VKCLIP_EIO, folder);
    free(expected);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),  cmocka_unit_test(aliases), cmocka_unit_test(file_names),
        cmocka_unit_test(places), cmocka_unit_test(finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
