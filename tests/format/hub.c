/* SPDX-License-Identifier: MIT
 *
 * Names of models, and the cache folders that belong to them. Filling a cache and opening models
 * from it is the subject of tests/cli/pull.py.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "format/hub.h"
#include "support/scratch.h"
#include "support/variable.h"

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
        {"ViT-H-14/laion2b_s32b_b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "main"},
        {"ViT-H-14__laion2b-s32B-b79K@v1", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "v1"},
        {"ViT-H-14/laion2b", "ViT-H-14/laion2b", "main"},
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

/* Returns the model that a name written with another separator leads to. */
static const struct vkclip_hub_model *find_written(const char *name, size_t length,
                                                   const char *separator)
{
    char text[HUB_NAME_SIZE * 2];
    const char *colon = memchr(name, ':', length);
    if (!colon)
        return hub_find_model(name, length);
    const int head = (int)(colon - name), tail = (int)length - head - 1;
    const int size =
        snprintf(text, sizeof(text), "%.*s%s%.*s", head, name, separator, tail, colon + 1);
    return hub_find_model(text, (size_t)size);
}

/* Every name and alias leads to its own row, in every form, and so none occurs twice. */
static void models(void **state)
{
    static const char *const separators[] = {":", "__", "/"};
    const struct vkclip_hub_model *model;
    struct hub_name parsed;
    size_t count = 0;
    (void)state;
    for (; (model = hub_model(count)); count++) {
        char names[512];
        snprintf(names, sizeof(names), "%s %s", model->name, model->aliases);
        for (const char *name = strtok(names, " "); name; name = strtok(NULL, " "))
            for (size_t i = 0; i < ARRAY_COUNT(separators); i++)
                assert_ptr_equal(find_written(name, strlen(name), separators[i]), model);
        assert_true(hub_parse_name(model->name, &parsed));
        assert_string_equal(parsed.repository, model->repository);
        assert_string_equal(parsed.revision, "main");
        assert_ptr_equal(parsed.model, model);
        assert_true(hub_parse_name(model->repository, &parsed));
        assert_string_equal(parsed.repository, model->repository);
        assert_null(parsed.model);
        assert_true(model->embed_dim > 0 && *model->family);
    }
    assert_true(count > 100);
}

/* The names of models/constants.py of immich. Each has a row, with the width of its embeddings, for
 * which immich's database has a column. */
static const struct {
    uint32_t width;
    const char *names, *refused; /* that vkclip runs, and does not run */
} immich[] = {
    {512,
     "RN101__openai RN101__yfcc15m ViT-B-16__laion400m_e31 ViT-B-16__laion400m_e32 "
     "ViT-B-16__openai ViT-B-32__laion2b-s34b-b79k ViT-B-32__laion2b_e16 ViT-B-32__laion400m_e31 "
     "ViT-B-32__laion400m_e32 ViT-B-32__openai XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k "
     "XLM-Roberta-Large-Vit-B-32",
     ""},
    {640,
     "RN50x4__openai ViT-B-16-plus-240__laion400m_e31 ViT-B-16-plus-240__laion400m_e32 "
     "XLM-Roberta-Large-Vit-B-16Plus",
     ""},
    {768,
     "RN50x16__openai ViT-L-14-336__openai ViT-L-14-quickgelu__dfn2b ViT-L-14__laion2b-s32b-b82k "
     "ViT-L-14__laion400m_e31 ViT-L-14__laion400m_e32 ViT-L-14__openai LABSE-Vit-L-14 "
     "XLM-Roberta-Large-Vit-L-14 ViT-B-16-SigLIP__webli ViT-B-16-SigLIP-256__webli "
     "ViT-B-16-SigLIP-384__webli ViT-B-16-SigLIP-512__webli ViT-B-16-SigLIP-i18n-256__webli "
     "ViT-B-16-SigLIP2__webli ViT-B-32-SigLIP2-256__webli",
     "nllb-clip-base-siglip__mrl nllb-clip-base-siglip__v1 fg-clip2-base"},
    {1024,
     "RN50__cc12m RN50__openai RN50__yfcc15m RN50x64__openai ViT-H-14-378-quickgelu__dfn5b "
     "ViT-H-14-quickgelu__dfn5b ViT-H-14__laion2b-s32b-b79k ViT-g-14__laion2b-s12b-b42k "
     "XLM-Roberta-Large-ViT-H-14__frozen_laion5b_s13b_b90k ViT-L-16-SigLIP-256__webli "
     "ViT-L-16-SigLIP-384__webli ViT-L-16-SigLIP2-256__webli ViT-L-16-SigLIP2-384__webli "
     "ViT-L-16-SigLIP2-512__webli",
     ""},
    {1152,
     "ViT-SO400M-14-SigLIP-384__webli ViT-SO400M-14-SigLIP2__webli "
     "ViT-SO400M-14-SigLIP2-378__webli ViT-SO400M-16-SigLIP2-256__webli "
     "ViT-SO400M-16-SigLIP2-384__webli ViT-SO400M-16-SigLIP2-512__webli",
     "nllb-clip-large-siglip__mrl nllb-clip-large-siglip__v1"},
    {1536, "ViT-gopt-16-SigLIP2-256__webli ViT-gopt-16-SigLIP2-384__webli", ""},
};

static size_t check_immich(const char *names, uint32_t width, bool runs)
{
    char copy[1024];
    size_t count = 0;
    snprintf(copy, sizeof(copy), "%s", names);
    for (const char *name = strtok(copy, " "); name; name = strtok(NULL, " "), count++) {
        const struct vkclip_hub_model *model = vkclip_find_hub_model(name);
        if (!model)
            fail_msg("%s has no row", name);
        if (model->embed_dim != width || !model->obstacle != runs)
            fail_msg("%s: width %u, %s", name, model->embed_dim,
                     model->obstacle ? model->obstacle : "runs");
    }
    return count;
}

static void names_of_immich(void **state)
{
    size_t count = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(immich); i++)
        count += check_immich(immich[i].names, immich[i].width, true) +
                 check_immich(immich[i].refused, immich[i].width, false);
    assert_int_equal(count, 59);
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
        set_variable(variables[i], NULL);
    assert_null(hub_cache());
    assert_non_null(strstr(vkclip_last_error(), "HF_HUB_CACHE"));
    assert_true(hub_parse_name("a/b", &name));
    assert_null(hub_find_snapshot(&name));
    set_variable("HOME", "/h");
    assert_path(hub_cache(), "/h/.cache/huggingface/hub");
    set_variable("XDG_CACHE_HOME", "/x");
    assert_path(hub_cache(), "/x/huggingface/hub");
    set_variable("HF_HOME", "/f");
    assert_path(hub_cache(), "/f/hub");
    set_variable("HF_HUB_CACHE", "/c");
    assert_path(hub_cache(), "/c");
    assert_path(hub_home(), "/f");
    assert_path(hub_model_folder(&name), "/c/models--a--b");
}

static void finding(void **state)
{
    char *folder = scratch_folder(), *found = NULL;
    (void)state;
    set_variable("HF_HUB_CACHE", folder);
    assert_failed(hub_find("a/b", NULL, &found), VKCLIP_EIO, "'vkclip pull a/b'");
    assert_null(found);
    assert_failed(hub_find("RN50", NULL, &found), VKCLIP_EIO, "'vkclip pull RN50'");
    assert_failed(hub_find("nllb-clip-base__v1", NULL, &found), VKCLIP_EUNSUPPORTED, "NLLB");
    assert_int_equal(hub_find("/no/such/path", NULL, &found), 0);
    assert_path(found, "/no/such/path");
    static const char *const parts[] = {"models--a--b", "models--a--b/snapshots",
                                        ("models--a--b/snapshots/" COMMIT), "models--a--b/refs"};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        char *path = scratch_path(folder, parts[i]);
        assert_int_equal(folder_make(path), 0);
        free(path);
    }
    char *expected = scratch_path(folder, parts[2]);
    static const char *const opened[] = {"a/b", ("a/b@" COMMIT), "a/b@v1"};
    scratch_text(folder, "models--a--b/refs/v1", COMMIT);
    for (size_t i = 0; i < ARRAY_COUNT(opened); i++) {
        assert_int_equal(hub_find(opened[i], NULL, &found), 0);
        assert_path(found, expected);
        assert_true(vkclip_has_cached_model(opened[i], NULL));
        assert_false(vkclip_has_cached_model(opened[i], "/c"));
    }
    assert_false(vkclip_has_cached_model("ViT-B-32__openai", NULL));
    assert_false(vkclip_has_cached_model("/no/such/path", NULL));
    assert_false(vkclip_has_cached_model(NULL, NULL));
    /* The caller's folder takes the place of the variable's, unless it is empty. */
    assert_failed(hub_find("a/b", "/c", &found), VKCLIP_EIO, "the hub's cache /c:");
    assert_int_equal(hub_find("a/b", "", &found), 0);
    assert_path(found, expected);
    set_variable("HF_HUB_CACHE", "/c");
    assert_int_equal(hub_find("a/b", folder, &found), 0);
    assert_path(found, expected);
    set_variable("HF_HUB_CACHE", folder);
    assert_failed(hub_find("a/b@v2", NULL, &found), VKCLIP_EIO, folder);
    scratch_text(folder, "models--a--b/refs/v2",
                 "../../../../../../../../../../../../../../../../..");
    assert_failed(hub_find("a/b@v2", NULL, &found), VKCLIP_EIO, folder);
    free(expected);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),      cmocka_unit_test(models), cmocka_unit_test(names_of_immich),
        cmocka_unit_test(file_names), cmocka_unit_test(places), cmocka_unit_test(finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
