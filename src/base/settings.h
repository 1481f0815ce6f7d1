/* SPDX-License-Identifier: MIT
 *
 * Reads what the user sets from outside: params, and the variables of the environment if the
 * application lets the library follow them (base/environment.h). A public function reads the
 * settings once and hands them down, so that everything below depends on its arguments alone.
 * Nothing is refused here: the module that uses a value says what it expected. The variables of the
 * Hugging Face hub are read where its folders are known, in format/hub.c.
 */
#ifndef VKCLIP_BASE_SETTINGS_H
#define VKCLIP_BASE_SETTINGS_H

#include "base/error.h"

/* Every text is NULL where neither the caller nor the environment sets it. A list is a text of
 * words with commas between them. */
struct settings {
    char *device;        /* VKCLIP_DEVICE: which device or devices to open */
    char *cache_folder;  /* VKCLIP_CACHE_DIR, else the user's cache folder; NULL: keep nothing */
    char *index;         /* VKCLIP_INDEX, else vkclip/index.db in the user's data folder; NULL:
                          * there is none */
    char *tuning;        /* VKCLIP_TUNE: whether kernels are measured, see runtime/tune.h */
    char *check;         /* VKCLIP_CHECK: whether kernels are checked, see runtime/selftest.h */
    char *disabled_caps; /* VKCLIP_DISABLE_CAPS: list of capabilities not to use, see CAPS */
    char *enabled_caps;  /* VKCLIP_ENABLE_CAPS: list of capabilities to use though they are slow */
    char *quirks;        /* VKCLIP_QUIRKS: `off` ignores what is known to be wrong with drivers */
    char *timeout;       /* VKCLIP_TIMEOUT: seconds after which a silent device counts as lost */
    double timeout_seconds; /* the caller's, which counts before `timeout`; 0: not set */
    char *
        disabled_kernels; /* VKCLIP_DISABLE_KERNELS: list of shaders to treat as if none compiled */
    unsigned threads;     /* of the host, with the one that calls; 0: one per processor */
    bool background;      /* queues and threads have low priorities */
    bool pipeline_statistics; /* drivers are asked to say how they compiled each pipeline, which
                               * only vkclip-bench sets */
};

/* Fills each setting from `params` where the caller sets it, and else from the environment.
 * `params` may be NULL. The texts are copies, which settings_free frees, also after an error. */
int settings_read(const struct vkclip_device_params *params, struct settings *settings);
void settings_free(struct settings *settings);

/* Finds which of how many processes of a job this one is, numbered from 0, by the variables of
 * Slurm's arrays and tasks, of Open MPI, of MPICH and of torchrun, the first of these that are set.
 * Fails if none is, or if a Slurm array leaves out numbers, since their share would be missing. */
int settings_read_rank(uint32_t *rank, uint32_t *count);

/* Tells whether a list contains a word. The list may be NULL, which contains none. */
bool settings_list_has(const char *list, const char *word);
/* Warns of each word of a variable's list that is not known. The list may be NULL. */
void settings_check_list(const char *variable, const char *list, bool (*is_known)(const char *word),
                         const char *expected);

#endif
