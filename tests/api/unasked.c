/* SPDX-License-Identifier: MIT
 *
 * The library reads no variable of the environment before vkclip_read_environment is called. This
 * program has a getenv of its own, which the shared library calls in place of the system's, and
 * counts the calls that come from the library. The loader and the drivers call it too.
 *     test_unasked MODEL PICTURE
 */
#define _GNU_SOURCE
#include "vkclip.h"

#include <dlfcn.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;
static bool watches;
static unsigned reads;

__attribute__((visibility("default"))) char *getenv(const char *name)
{
    const size_t length = strlen(name);
    Dl_info caller;
    if (watches && dladdr(__builtin_return_address(0), &caller) && caller.dli_fname &&
        strstr(caller.dli_fname, "libvkclip")) {
        reads++;
        printf("the library reads %s\n", name);
    }
    for (char **entry = environ; *entry; entry++)
        if (!strncmp(*entry, name, length) && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

#define EXPECT(condition)                                                                   \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            printf("FAILED: line %d: %s: %s\n", __LINE__, #condition, vkclip_last_error()); \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

/* Opening "a/b" fails with the folder where it was looked for. */
static void expect_hub(const char *wanted, const char *folder)
{
    struct vkclip_model_params params = {.size = sizeof(params), .hub_dir = wanted};
    struct vkclip_model *model;
    EXPECT(vkclip_open_model(NULL, "a/b", &params, &model) == VKCLIP_EIO);
    EXPECT(strstr(vkclip_last_error(), folder));
}

static void use(struct vkclip_device *device, const char *path, const char *picture)
{
    struct vkclip_model *model;
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_image image;
    const char *text = "a picture of an owl";
    EXPECT(!vkclip_open_model(device, path, NULL, &model));
    EXPECT(!vkclip_get_model_info(model, &info));
    float *embeds = malloc(info.embed_dim * sizeof(*embeds));
    EXPECT(embeds && !vkclip_load_image(picture, NULL, &image));
    EXPECT(!vkclip_encode_images(model, &image, 1, NULL, embeds));
    EXPECT(!vkclip_encode_texts(model, &text, 1, NULL, embeds));
    vkclip_free_image(&image);
    free(embeds);
    vkclip_close_model(&model);
}

int main(int argc, char **argv)
{
    static const char *const variables[][2] = {
        {"VKCLIP_DEVICE", "no such device"},  {"VKCLIP_CACHE_DIR", "/nowhere"},
        {"VKCLIP_TUNE", "nonsense"},          {"VKCLIP_CHECK", "nonsense"},
        {"VKCLIP_TIMEOUT", "nonsense"},       {"VKCLIP_DISABLE_CAPS", "nonsense"},
        {"HF_HUB_CACHE", "/hub_of_variable"}, {"HOME", "/nowhere"},
    };
    struct vkclip_device_params params = {.size = sizeof(params),
                                          .cache_dir = "",
                                          .skip_checks = true,
                                          .tune = VKCLIP_TUNE_OFF,
                                          .timeout = 100};
    struct vkclip_device *device;
    const struct passwd *user = getpwuid(getuid());
    char hub[4096];
    size_t count;
    EXPECT(argc == 3);
    for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
        setenv(variables[i][0], variables[i][1], 1);
    watches = true;
    EXPECT(!vkclip_list_devices(NULL, 0, &count));
    EXPECT(!vkclip_open_device(&params, &device));
    use(device, argv[1], argv[2]);
    vkclip_close_device(&device);
    expect_hub("/hub_of_params", "/hub_of_params");
    if (user) {
        snprintf(hub, sizeof(hub), "%s/.cache/huggingface/hub", user->pw_dir);
        expect_hub(NULL, hub);
    }
    EXPECT(reads == 0);

    EXPECT(!vkclip_read_environment());
    EXPECT(reads > 0);
    reads = 0;
    EXPECT(vkclip_open_device(&params, &device) == VKCLIP_ENODEVICE);
    expect_hub(NULL, "/hub_of_variable");
    expect_hub("/hub_of_params", "/hub_of_params");
    unsetenv("VKCLIP_DEVICE");
    EXPECT(vkclip_open_device(&params, &device) == VKCLIP_ENODEVICE);
    EXPECT(reads == 0);
    EXPECT(!vkclip_read_environment());
    EXPECT(!vkclip_open_device(&params, &device));
    vkclip_close_device(&device);
    puts("the library reads variables only when it is asked to");
    return 0;
}
