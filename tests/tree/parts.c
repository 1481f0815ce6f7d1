/* SPDX-License-Identifier: MIT
 *
 * parts OPTION... checks a library that was built with VKCLIP_WITH_OPTION off for every argument: a
 * function of each part fails with EUNSUPPORTED and the option's name if the part is left out, and
 * otherwise works as far as its arguments allow.
 */
#include "vkclip.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int count;
static char **options;

static bool is_off(const char *option)
{
    for (int i = 1; i < count; i++)
        if (!strcmp(options[i], option))
            return true;
    return false;
}

/* Compares the error of a function with whether its part is there; `expected` is the error if it is
 * not. */
static int check(const char *option, const char *word, int error, int expected)
{
    char name[64];
    snprintf(name, sizeof(name), "VKCLIP_WITH_%s", option);
    const bool off = is_off(option), named = strstr(vkclip_last_error(), name);
    const bool told = strstr(vkclip_get_build(), word);
    if (error && off == named && off != told && (!off || error == expected))
        return 0;
    printf("%s is %s: error %d, \"%s\", built with \"%s\"\n", option, off ? "off" : "on", error,
           vkclip_last_error(), vkclip_get_build());
    return 1;
}

/* Opens what is not there as a model, and returns the error. */
static int open_model(const char *path)
{
    struct vkclip_model *model;
    const int error = vkclip_open_model(NULL, path, NULL, &model);
    vkclip_close_model(&model);
    return error;
}

int main(int argc, char **argv)
{
    struct vkclip_trainer *trainer = (struct vkclip_trainer *)argv;
    char path[4096];
    count = argc;
    options = argv;
    int failed = check("TRAINING", "training", vkclip_open_trainer(NULL, NULL, &trainer),
                       VKCLIP_EUNSUPPORTED);
    if (is_off("TRAINING") && trainer) {
        printf("vkclip_open_trainer leaves its handle as it was\n");
        failed = 1;
    }
    failed |= check("TRAINING", "training", vkclip_explain(NULL, NULL, NULL, 1, NULL, NULL, NULL),
                    VKCLIP_EUNSUPPORTED);
    failed |= check("TRAINING", "training", vkclip_train_tokenizer(NULL, 0, NULL, NULL, NULL),
                    VKCLIP_EUNSUPPORTED);
    failed |= check("SEARCH", "search", vkclip_get_index_info(NULL, NULL), VKCLIP_EUNSUPPORTED);
    snprintf(path, sizeof(path), "%s.bin", argv[0]);
    FILE *file = fopen(path, "wb");
    if (!file || fputs("no model of any kind", file) < 0 || fclose(file)) {
        printf("%s: cannot be written\n", path);
        return 1;
    }
    failed |= check("TORCH", "torch", open_model(path), VKCLIP_EUNSUPPORTED);
    failed |= check("HUB", "hub", open_model("no/model"), VKCLIP_EIO);
    return failed;
}
