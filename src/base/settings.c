/* SPDX-License-Identifier: MIT
 *
 * Fills settings from what callers say and from the copy of the environment. Values are copied
 * again, because the environment may be read anew while a device is open.
 */
#include "base/settings.h"
#include "base/array.h"
#include "base/environment.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"

#include <stdlib.h>
#include <string.h>

static int out_of_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for settings");
}

/* An empty text counts as unset. */
static int copy_text(const char *text, char **copy)
{
    if (!text || !*text)
        return VKCLIP_OK;
    *copy = string_format("%s", text);
    return *copy ? VKCLIP_OK : out_of_memory();
}

/* A folder of the user is below the first of these variables that is set. */
struct place {
    const char *variable, *below;
};

static const struct place cache_places[] = {
#if defined(_WIN32)
    {"LOCALAPPDATA", "vkclip"},
#elif defined(__APPLE__)
    {"HOME", "Library/Caches/vkclip"},
#else
    {"XDG_CACHE_HOME", "vkclip"},
    {"HOME", ".cache/vkclip"},
#endif
    {NULL, NULL}};

static const struct place index_places[] = {
#if defined(_WIN32)
    {"LOCALAPPDATA", "vkclip/index.db"},
#elif defined(__APPLE__)
    {"HOME", "Library/Application Support/vkclip/index.db"},
#else
    {"XDG_DATA_HOME", "vkclip/index.db"},
    {"HOME", ".local/share/vkclip/index.db"},
#endif
    {NULL, NULL}};

static int find_place(const struct place *places, char **path)
{
    for (; places->variable; places++) {
        char *root;
        int error = environment_find_folder(places->variable, &root);
        if (error)
            return error;
        if (root) {
            *path = string_format("%s/%s", root, places->below);
            memory_free(root);
            return *path ? VKCLIP_OK : out_of_memory();
        }
    }
    return VKCLIP_OK;
}

/* An empty name means that nothing is cached; it does not select the next place to look. */
static int find_cache_folder(const char *wanted, char **folder)
{
    const char *named = wanted ? wanted : environment_get("VKCLIP_CACHE_DIR");
    return named ? copy_text(named, folder) : find_place(cache_places, folder);
}

/* What VKCLIP_TUNE may say, by enum vkclip_tune. */
static const char *const tuning_modes[] = {NULL, "on", "off", "force"};

int settings_read(const struct vkclip_device_params *params, struct settings *settings)
{
    *settings = (struct settings){0};
    const struct {
        const char *variable;
        char **value;
    } texts[] = {
        {"VKCLIP_TUNE", &settings->tuning},
        {"VKCLIP_CHECK", &settings->check},
        {"VKCLIP_DISABLE_CAPS", &settings->disabled_caps},
        {"VKCLIP_ENABLE_CAPS", &settings->enabled_caps},
        {"VKCLIP_DISABLE_KERNELS", &settings->disabled_kernels},
        {"VKCLIP_QUIRKS", &settings->quirks},
        {"VKCLIP_TIMEOUT", &settings->timeout},
    };
    settings->threads = params ? params->threads : 0;
    settings->background = params && params->background;
    settings->timeout_seconds = params ? params->timeout : 0;
    int error = copy_text(params ? params->device : NULL, &settings->device);
    if (!error)
        error = copy_text(params ? tuning_modes[params->tune] : NULL, &settings->tuning);
    if (!error && params && params->skip_checks)
        error = copy_text("off", &settings->check);
    if (!error && !settings->device)
        error = copy_text(environment_get("VKCLIP_DEVICE"), &settings->device);
    if (!error)
        error = find_cache_folder(params ? params->cache_dir : NULL, &settings->cache_folder);
    if (!error)
        error = copy_text(environment_get("VKCLIP_INDEX"), &settings->index);
    if (!error && !settings->index)
        error = find_place(index_places, &settings->index);
    for (size_t i = 0; i < ARRAY_COUNT(texts) && !error; i++)
        if (!*texts[i].value)
            error = copy_text(environment_get(texts[i].variable), texts[i].value);
    return error;
}

void settings_free(struct settings *settings)
{
    memory_free(settings->device);
    memory_free(settings->cache_folder);
    memory_free(settings->index);
    memory_free(settings->tuning);
    memory_free(settings->check);
    memory_free(settings->disabled_caps);
    memory_free(settings->enabled_caps);
    memory_free(settings->disabled_kernels);
    memory_free(settings->quirks);
    memory_free(settings->timeout);
    *settings = (struct settings){0};
}

/* Reads a number of the environment; false if it is not set or no such number. */
static bool read_number(const char *variable, uint32_t *number)
{
    const char *text = environment_get(variable);
    char *end = NULL;
    const unsigned long value = text ? strtoul(text, &end, 10) : 0;
    *number = (uint32_t)value;
    return text && *text >= '0' && *text <= '9' && !*end && value < UINT32_MAX;
}

/* The numbers of a Slurm array begin anywhere and may have any distance. Programs that stand in for
 * Slurm may only set a task's number and the count. */
static int read_array_task(uint32_t *rank, uint32_t *count)
{
    uint32_t id, first, last, step;
    if (!environment_get("SLURM_ARRAY_TASK_MIN") && !environment_get("SLURM_ARRAY_TASK_MAX"))
        return VKCLIP_OK;
    if (!read_number("SLURM_ARRAY_TASK_MIN", &first) ||
        !read_number("SLURM_ARRAY_TASK_MAX", &last) ||
        !read_number("SLURM_ARRAY_TASK_STEP", &step) || !read_number("SLURM_ARRAY_TASK_ID", &id) ||
        !step || id < first || (last - first) / step + 1 != *count)
        return error_fail(
            VKCLIP_EINVALID,
            "the numbers of this Slurm array do not follow each other: name the shard, "
            "as in $SLURM_ARRAY_TASK_ID/100");
    *rank = (id - first) / step;
    return VKCLIP_OK;
}

int settings_read_rank(uint32_t *rank, uint32_t *count)
{
    static const struct {
        const char *rank, *count;
    } variables[] = {
        {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"},
        {"SLURM_PROCID", "SLURM_NTASKS"},
        {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
        {"PMI_RANK", "PMI_SIZE"},
        {"RANK", "WORLD_SIZE"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(variables); i++) {
        if (!environment_get(variables[i].rank) || !environment_get(variables[i].count))
            continue;
        if (!read_number(variables[i].rank, rank) || !read_number(variables[i].count, count))
            return error_fail(VKCLIP_EINVALID, "%s and %s: expected numbers from 0 up",
                              variables[i].rank, variables[i].count);
        int error = i ? VKCLIP_OK : read_array_task(rank, count);
        if (!error && *rank >= *count)
            error = error_fail(VKCLIP_EINVALID, "%s: expected a number below %s, %u, found %u",
                               variables[i].rank, variables[i].count, *count, *rank);
        return error;
    }
    return error_fail(VKCLIP_EINVALID,
                      "no variables of a job are set: SLURM_ARRAY_TASK_ID, SLURM_PROCID, "
                      "OMPI_COMM_WORLD_RANK, PMI_RANK or RANK with its count");
}

bool settings_list_has(const char *list, const char *word)
{
    const size_t length = strlen(word);
    while (list && *list) {
        size_t found = strcspn(list, ",");
        if (found == length && !strncmp(list, word, length))
            return true;
        list += found;
        list += *list == ',';
    }
    return false;
}

void settings_check_list(const char *variable, const char *list, bool (*is_known)(const char *word),
                         const char *expected)
{
    while (list && *list) {
        const size_t length = strcspn(list, ",");
        char *word = string_format("%.*s", (int)length, list);
        if (word && *word && !is_known(word))
            log_message(VKCLIP_LOG_WARNING, "%s has \"%s\", expected %s", variable, word, expected);
        memory_free(word);
        list += length;
        list += *list == ',';
    }
}
