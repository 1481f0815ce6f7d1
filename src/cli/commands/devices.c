/* SPDX-License-Identifier: MIT
 *
 * vkclip devices: the Vulkan devices of this machine, and the kernels that were measured on them.
 */
#include "cli/command.h"
#include "cli/log.h"

#include <stdlib.h>
#include <string.h>

struct options {
    bool tuning;
};

static const char *type_name(enum vkclip_device_type type)
{
    switch (type) {
    case VKCLIP_DEVICE_CPU:
        return "cpu";
    case VKCLIP_DEVICE_VIRTUAL:
        return "virtual";
    case VKCLIP_DEVICE_INTEGRATED:
        return "integrated";
    case VKCLIP_DEVICE_DISCRETE:
        return "discrete";
    case VKCLIP_DEVICE_OTHER:
        break;
    }
    return "other";
}

/* Makes the UUID's text in hexadecimal, or null where the driver gives none. */
static json_t *list_uuid(const uint8_t *uuid)
{
    char text[33];
    bool given = false;
    for (int i = 0; i < 16; i++) {
        given |= uuid[i] != 0;
        snprintf(text + 2 * i, 3, "%02x", uuid[i]);
    }
    return given ? json_string(text) : json_null();
}

static bool print_device_json(const struct vkclip_device_info *info)
{
    json_t *json = json_pack(
        "{si so ss so so so sI so sb}", "index", (int)info->index, "name",
        cli_json_text(info->name, strlen(info->name)), "type", type_name(info->type), "driver",
        cli_json_text(info->driver, strlen(info->driver)), "api", cli_json_api(info), "uuid",
        list_uuid(info->uuid), "memory", (json_int_t)info->memory, "caps",
        cli_json_words(info->caps), "usable", info->usable);
    if (json && !info->usable)
        json_object_set_new(json, "why", cli_json_text(info->why, strlen(info->why)));
    return cli_print_json(json, stdout);
}

static void print_device(const struct vkclip_device_info *info)
{
    printf("%2u  ", info->index);
    cli_print_text(info->name, 0);
    printf("\n    %s, Vulkan %u.%u.%u, %.1f GiB, driver ", type_name(info->type),
           info->api_version[0], info->api_version[1], info->api_version[2],
           (double)info->memory / (1 << 30));
    cli_print_text(info->driver, 0);
    if (info->usable)
        printf("\n    can use: %s\n", *info->caps ? info->caps : "nothing optional");
    else
        printf("\n    not usable: %s\n", info->why);
}

/* ---- Measured kernels -------------------------------------------------------------------------- */

static int print_tuning_json(const struct vkclip_tuning *tuning)
{
    json_t *times = json_object();
    for (size_t i = 0; i < tuning->count; i++)
        json_object_set_new(times, tuning->times[i].kernel,
                            tuning->times[i].ms < 0 ? json_null() : json_real(tuning->times[i].ms));
    json_t *json =
        json_pack("{so ss ss so}", "device", cli_json_text(tuning->device, strlen(tuning->device)),
                  "shape", tuning->shape, "kernel", tuning->kernel, "ms", times);
    return !cli_print_json(json, stdout);
}

/* Is a vkclip_tuning_fn. */
static int print_tuning(void *user, const struct vkclip_tuning *tuning)
{
    const struct cli_session *session = user;
    if (session->common.json)
        return print_tuning_json(tuning);
    printf("    %s: %s\n", tuning->shape, tuning->kernel);
    for (size_t i = 0; i < tuning->count; i++)
        if (tuning->times[i].ms < 0)
            printf("        not used  %s\n", tuning->times[i].kernel);
        else
            printf("    %9.3f ms  %s\n", tuning->times[i].ms, tuning->times[i].kernel);
    return 0;
}

static int list_tuning(struct cli_session *session, uint32_t index)
{
    char number[16];
    struct vkclip_device_params params = {.size = sizeof(params), .device = number};
    struct vkclip_device *device = NULL;
    snprintf(number, sizeof(number), "%u", index);
    int error = vkclip_open_device(&params, &device);
    if (!error)
        error = vkclip_list_tuning(device, print_tuning, session);
    vkclip_close_device(&device);
    return error ? cli_fail_library(session, CLI_FAILED) : CLI_DONE;
}

/* ---- The command ------------------------------------------------------------------------------- */

static int show_device(struct cli_session *session, const struct vkclip_device_info *info,
                       bool tuning)
{
    int status = CLI_DONE;
    if (!session->common.json)
        print_device(info);
    else if (!tuning && !print_device_json(info))
        status = CLI_FAILED;
    if (!status && tuning && info->usable)
        status = list_tuning(session, info->index);
    return status;
}

/* *count: the devices listed, of which there may be fewer than before by the second call. */
static int list_devices(const struct cli_session *session, struct vkclip_device_info **infos,
                        size_t *count)
{
    size_t present = 0;
    if (vkclip_list_devices(NULL, 0, count))
        return cli_fail_library(session, CLI_NO_DEVICE);
    *infos = calloc(*count + 1, sizeof(**infos));
    if (!*infos)
        return cli_fail_memory();
    (*infos)->size = sizeof(**infos);
    if (vkclip_list_devices(*infos, *count, &present))
        return cli_fail_library(session, CLI_NO_DEVICE);
    if (present < *count)
        *count = present;
    return CLI_DONE;
}

static int run_devices(struct cli_session *session, void *user)
{
    const struct options *options = user;
    struct vkclip_device_info *infos = NULL;
    size_t count = 0, usable = 0;
    int status = list_devices(session, &infos, &count);
    for (size_t i = 0; !status && i < count; i++) {
        usable += infos[i].usable;
        status = show_device(session, &infos[i], options->tuning);
    }
    if (!status && !usable)
        status = cli_fail(CLI_NO_DEVICE, "no usable Vulkan device among %zu", count);
    free(infos);
    return status;
}

static const struct cli_option table[] = {CLI_OPTION(0, "tuning", NULL, CLI_FLAG,
                                                     offsetof(struct options, tuning),
                                                     "also the kernels that were measured there"),
                                          {0}};

const struct cli_command cli_devices_command = {
    .name = "devices",
    .summary = "list the Vulkan devices of this machine",
    .usage = "[OPTION...]",
    .text =
        "Lists every Vulkan device with its number, type, driver, memory and the optional\n"
        "features that vkclip can use. --device and the environment variable VKCLIP_DEVICE choose\n"
        "one by its number or by part of its name, or several (0,1 or all), which then share the\n"
        "work; otherwise a discrete device is chosen before an integrated, a virtual and a CPU\n"
        "one, and the one with the most memory of several. all means every GPU once, and the CPU\n"
        "only where there is no GPU. --tuning lists, for each shape that was measured there, the\n"
        "kernel that is used and the milliseconds of every kernel that was tried; its JSON has "
        "one\n"
        "line per shape and nothing else.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_devices,
};
