/* SPDX-License-Identifier: MIT
 *
 * vkclip check: compares every kernel that a device can run with the reference, for reports of
 * wrong numbers.
 */
#include "base/array.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/log.h"
#include "cli/model.h"

#include <math.h>
#include <string.h>

struct options {
    struct cli_device_options device;
    const char *op;
};

/* What the report has come to. */
struct report {
    const struct cli_session *session;
    const char *device; /* whose checks are printed, or NULL where there is only one */
};

/* What the report says about a check. */
static const char *verdict(const struct vkclip_check *check)
{
    if (!check->built)
        return "not built";
    if (!check->stable)
        return "unstable";
    return check->right ? "right" : "wrong";
}

/* Makes a JSON number, or null for an error that is not a number or of which nothing is known. */
static json_t *error_number(const struct vkclip_check *check)
{
    return check->built && isfinite(check->error) ? json_real(check->error) : json_null();
}

static int print_check_json(const struct vkclip_check *check)
{
    json_t *json = json_pack("{so ss ss ss ss ss so si ss}", "device",
                             cli_json_text(check->device, strlen(check->device)), "op", check->op,
                             "kernel", check->kernel, "activations", check->activations, "weights",
                             check->weights, "shape", check->shape, "error", error_number(check),
                             "runs", (int)check->runs, "result", verdict(check));
    return !cli_print_json(json, stdout);
}

/* Is a vkclip_check_fn. Each line is written at once, because the next kernel may end the process.
 * A signal ends the checks between two kernels: a process that ended while one runs for the first
 * time would look like a crash of the driver. */
static int print_check(void *user, const struct vkclip_check *check)
{
    struct report *report = user;
    const struct cli_session *session = report->session;
    char error[16] = "";
    cli_clear_progress();
    if (session->common.json)
        return print_check_json(check) || fflush(stdout) || cli_interrupted();
    if (check->built)
        snprintf(error, sizeof(error), "%.3f", check->error);
    if (report->device && report->device != check->device) { /* Names may be equal. */
        report->device = check->device;
        cli_print_text(check->device, 0);
        printf("\n");
    }
    printf("  %-9s %8s  %-15s %-3s %-3s %s %s\n", verdict(check), error, check->op,
           check->activations, check->weights, check->kernel, check->shape);
    /* The checks that are left take minutes, which are for nobody when the reader has gone. */
    if (fflush(stdout))
        return 1;
    cli_show_wait(session, "checking kernels");
    return cli_interrupted();
}

static bool print_device_json(const struct vkclip_device_info *info)
{
    json_t *json = json_pack(
        "{so so so so ss}", "device", cli_json_text(info->name, strlen(info->name)), "driver",
        cli_json_text(info->driver, strlen(info->driver)), "api", cli_json_api(info), "caps",
        cli_json_words(info->caps), "version", vkclip_version());
    return cli_print_json(json, stdout);
}

static void print_device(const struct vkclip_device_info *info)
{
    cli_print_text(info->name, 0);
    printf("\n  driver ");
    cli_print_text(info->driver, 0);
    printf(", Vulkan %u.%u.%u, vkclip %s\n  can use: %s\n", info->api_version[0],
           info->api_version[1], info->api_version[2], vkclip_version(),
           *info->caps ? info->caps : "nothing optional");
    printf("  result    error/bound  op, types of activations and weights, kernel, shape\n");
}

/* Prints what identifies the devices: a report needs it. */
static int print_devices(struct report *report, struct cli_session *session)
{
    struct vkclip_device_info infos[16] = {{.size = sizeof(infos[0])}};
    size_t count = 0;
    if (vkclip_get_device_infos(session->device, infos, ARRAY_COUNT(infos), &count))
        return cli_fail_library(session, CLI_FAILED);
    for (size_t i = 0; i < count; i++)
        if (!session->common.json)
            print_device(&infos[i]);
        else if (!print_device_json(&infos[i]))
            return CLI_FAILED;
    report->device = count > 1 ? "" : NULL;
    fflush(stdout);
    return CLI_DONE;
}

static int run_check(struct cli_session *session, void *user)
{
    const struct options *options = user;
    struct report report = {.session = session};
    size_t wrong = 0;
    int status = cli_open_device(session, &options->device);
    if (!status)
        status = print_devices(&report, session);
    if (status)
        return status;
    cli_show_wait(session, "checking kernels");
    cli_catch_interrupts();
    int error = vkclip_check_device(session->device, options->op, print_check, &report, &wrong);
    cli_clear_progress();
    cli_end_by_interrupt();
    if (ferror(stdout)) /* main reports it */
        return CLI_FAILED;
    if (error)
        return cli_fail_library(session, CLI_FAILED);
    if (wrong)
        return cli_fail(CLI_FAILED, "%zu checks are not right; vkclip does not use these kernels",
                        wrong);
    if (!session->common.json)
        printf("all right\n");
    return CLI_DONE;
}

static const struct cli_option table[] = {
    CLI_OPTION(0, "op", "OP", CLI_TEXT, offsetof(struct options, op),
               "only one op, such as MATMUL, or MODEL"),
    CLI_INCLUDE(cli_device_options, offsetof(struct options, device)),
    {0}};

const struct cli_command cli_check_command = {
    .name = "check",
    .summary = "check a device's arithmetic",
    .usage = "[OPTION...]",
    .text =
        "Runs every kernel that the device can run, with every tile, and a model of two layers, "
        "and\n"
        "compares the results with a computation in double precision: one line per check with the\n"
        "largest error as a share of its bound. Wrong kernels are not used afterwards. vkclip "
        "checks\n"
        "the kernels of a model by itself before it first uses them; this is the whole report, "
        "for\n"
        "wrong numbers. It takes from some seconds to some minutes, most of them in the driver's\n"
        "compiler. Fails if a check is not right.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_check,
};
