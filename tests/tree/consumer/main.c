/* SPDX-License-Identifier: MIT
 *
 * A program like those of the library's users, which tests/tree/install.sh builds against an
 * installed vkclip: consumer MODEL PICTURE LABEL... prints the devices and the label that fits the
 * picture best.
 */
#include <stdio.h>
#include <stdlib.h>
#include <vkclip.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, vkclip_last_error());
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    struct vkclip_image image = {0};
    struct vkclip_model_info info = {.size = sizeof(info)};
    float *embeds = NULL, *probs = NULL;
    int status = EXIT_FAILURE;
    if (argc < 4)
        return EXIT_FAILURE;
    if (vkclip_read_environment()) /* It names the tests' device and their cache folder. */
        return fail("environment");
    const char *const *labels = (const char *const *)argv + 3;
    size_t label_count = (size_t)argc - 3;

    struct vkclip_device_info devices[16] = {{.size = sizeof(devices[0])}};
    size_t count;
    printf("vkclip %s\n", vkclip_version());
    if (vkclip_list_devices(devices, 16, &count))
        return fail("devices");
    for (size_t i = 0; i < count && i < 16; i++)
        printf("device %u: %s\n", (unsigned)devices[i].index, devices[i].name);

    if (vkclip_open_device(NULL, &device) || vkclip_open_model(device, argv[1], NULL, &model) ||
        vkclip_get_model_info(model, &info) || vkclip_load_image(argv[2], 0, &image)) {
        fail(argv[1]);
        goto done;
    }
    const char *template = "a picture of {}";
    embeds = calloc(label_count, info.embed_dim * sizeof(float));
    probs = calloc(label_count, sizeof(float));
    if (!embeds || !probs ||
        vkclip_encode_labels(model, labels, label_count, &template, 1, NULL, embeds) ||
        vkclip_classify(model, &image, 1, embeds, label_count, NULL, NULL, probs)) {
        fail(argv[2]);
        goto done;
    }
    size_t best = 0;
    for (size_t i = 1; i < label_count; i++)
        if (probs[i] > probs[best])
            best = i;
    printf("best: %s (%.1f %%)\n", labels[best], 100 * (double)probs[best]);
    status = EXIT_SUCCESS;
done:
    free(embeds);
    free(probs);
    vkclip_free_image(&image);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    return status;
}
