/* SPDX-License-Identifier: MIT
 *
 * Without the environment, the user's folders come from the list of users, or from the shell on
 * Windows. Applications on Android have folders of their own, which only they know.
 */
#ifndef _WIN32
#define _GNU_SOURCE
#endif
#include "base/environment.h"
#include "base/array.h"
#include "base/memory.h"
#include "base/string.h"
#include "base/wide.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#include <shlobj.h>
#elif !defined(__ANDROID__)
#include <pwd.h>
#include <unistd.h>
#endif

static const char *const variables[] = {
    "VKCLIP_DEVICE",
    "VKCLIP_CACHE_DIR",
    "VKCLIP_INDEX",
    "VKCLIP_TOKEN",
    "VKCLIP_TUNE",
    "VKCLIP_CHECK",
    "VKCLIP_TIMEOUT",
    "VKCLIP_QUIRKS",
    "VKCLIP_DISABLE_CAPS",
    "VKCLIP_ENABLE_CAPS",
    "VKCLIP_DISABLE_KERNELS",
    "HF_HUB_CACHE",
    "HF_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "HOME",
    "USERPROFILE",
    "LOCALAPPDATA",
    /* The sockets that systemd has opened, see sd_listen_fds(3): */
    "LISTEN_PID",
    "LISTEN_FDS",
    /* Of jobs, see settings_read_rank: */
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_MAX",
    "SLURM_ARRAY_TASK_STEP",
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_RANK",
    "PMI_SIZE",
    "RANK",
    "WORLD_SIZE",
};

static char *values[ARRAY_COUNT(variables)]; /* NULL: not set */
static bool is_followed;

static int out_of_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for the environment");
}

static int copy_variable(const char *variable, char **value)
{
#ifdef _WIN32
    wchar_t *name = wide_from_utf8(variable);
    const wchar_t *found = name ? _wgetenv(name) : NULL;
    *value = found ? wide_to_utf8(found) : NULL;
    const bool complete = name && !found == !*value;
    memory_free(name);
#else
    const char *found = getenv(variable);
    *value = found ? string_format("%s", found) : NULL;
    const bool complete = !found == !*value;
#endif
    return complete ? VKCLIP_OK : out_of_memory();
}

char *environment_ask(const char *variable)
{
    char *value;
    return copy_variable(variable, &value) ? NULL : value;
}

void environment_set(const char *variable, const char *value)
{
#ifdef _WIN32
    /* An empty value unsets a variable here. */
    wchar_t *name = wide_from_utf8(variable), *wide = wide_from_utf8(value ? value : "");
    if (name && wide)
        _wputenv_s(name, wide);
    memory_free(name);
    memory_free(wide);
#else
    if (value)
        setenv(variable, value, 1);
    else
        unsetenv(variable);
#endif
}

int environment_read(void)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < ARRAY_COUNT(variables) && !error; i++) {
        char *value;
        error = copy_variable(variables[i], &value);
        if (!error) {
            memory_free(values[i]);
            values[i] = value;
        }
    }
    is_followed = is_followed || !error;
    return error;
}

const char *environment_get(const char *variable)
{
    for (size_t i = 0; i < ARRAY_COUNT(variables); i++)
        if (!strcmp(variables[i], variable))
            return is_followed ? values[i] : NULL;
    return NULL;
}

/* ---- The user's folders ---------------------------------------------------------------------- */

#ifdef _WIN32
static char *ask_system(const char *variable)
{
    const int folder = !strcmp(variable, "LOCALAPPDATA")  ? CSIDL_LOCAL_APPDATA
                       : !strcmp(variable, "USERPROFILE") ? CSIDL_PROFILE
                                                          : -1;
    wchar_t wide[MAX_PATH];
    if (folder < 0 || SHGetFolderPathW(NULL, folder, NULL, 0, wide) != S_OK)
        return NULL;
    return wide_to_utf8(wide);
}
#elif defined(__ANDROID__)
static char *ask_system(const char *variable)
{
    (void)variable;
    return NULL;
}
#else
static char *ask_system(const char *variable)
{
    struct passwd entry, *found = NULL;
    size_t size = 1024;
    char *text = NULL, *home = NULL;
    int error;
    if (strcmp(variable, "HOME") != 0)
        return NULL;
    do { /* The entry of a user in a directory service may be long. */
        memory_free(text);
        size *= 4;
        text = memory_alloc(size);
        error = text ? getpwuid_r(getuid(), &entry, text, size, &found) : ENOMEM;
    } while (error == ERANGE && size < 1 << 20);
    if (!error && found && found->pw_dir && *found->pw_dir)
        home = string_format("%s", found->pw_dir);
    memory_free(text);
    return home;
}
#endif

int environment_find_folder(const char *variable, char **folder)
{
    const char *value = environment_get(variable);
    *folder = NULL;
    if (!is_followed)
        *folder = ask_system(variable);
    else if (value && *value && !(*folder = string_format("%s", value)))
        return out_of_memory();
    return VKCLIP_OK;
}
