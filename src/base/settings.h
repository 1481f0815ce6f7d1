/* SPDX-License-Identifier: MIT
 *
 * What the user sets from outside: the one place where the library reads VKCLIP_* variables of the
 * environment and finds the user's cache folder. A public function reads the settings once and
 * hands them down, so that everything below depends on its arguments alone. Refuses nothing: the
 * module that a value is for says what it expected. The variables of the Hugging Face hub are read
 * where its folders are known, in format/hub.c.
 */
#ifndef VKCLIP_BASE_SETTINGS_H
#define VKCLIP_BASE_SETTINGS_H

#include "base/error.h"

/* Every text is NULL where neither the caller nor the environment says anything. Lists are words
 * with commas between them. */
struct settings {
    char *device;        /* VKCLIP_DEVICE: which device or devices to open */
    char *cache_folder;  /* VKCLIP_CACHE_DIR, else the user's; NULL where nothing is to be kept */
    char *tuning;        /* VKCLIP_TUNE: whether kernels are measured, see runtime/tune.h */
    char *disabled_caps; /* VKCLIP_DISABLE_CAPS: list of capabilities not to use, see CAPS */
    char *enabled_caps;  /* VKCLIP_ENABLE_CAPS: list of capabilities to use though they are slow */
    char *
        disabled_kernels; /* VKCLIP_DISABLE_KERNELS: list of shaders to treat as if none compiled */
};

/* Fills the settings from `params`, where they say something, and else from the environment.
 * `params` may be NULL. The texts are new; settings_free frees them, also after an error. */
int settings_read(const struct vkclip_device_params *params, struct settings *settings);
void settings_free(struct settings *settings);

/* Whether a list, which may be NULL, has a word. */
bool settings_list_has(const char *list, const char *word);

#endif
