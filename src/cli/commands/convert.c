/* SPDX-License-Identifier: MIT
 *
 * vkclip convert: a checkpoint in another file format or smaller types, and what that costs.
 */
#include "base/array.h"
#include "cli/command.h"
#include "cli/log.h"
#include "cli/model.h"

#include <signal.h>
#include <string.h>

struct options {
    struct cli_model_options model; /* its path is the first argument */
    struct cli_device_options device;
    enum vkclip_type type;
    bool no_check;
};

static const struct cli_choice types[] = {{"f16", VKCLIP_TYPE_F16},   {"f32", VKCLIP_TYPE_F32},
                                          {"bf16", VKCLIP_TYPE_BF16}, {"q8", VKCLIP_TYPE_Q8},
                                          {"q4", VKCLIP_TYPE_Q4},     {0}};

/* ---- Signals ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
    caught = number;
}

/* A conversion that a signal stops removes what it has written. */
static void catch_signals(bool on)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        signal(numbers[i], on ? catch_signal : SIG_DFL);
}

struct shown {
    const struct cli_session *session;
    const char *name;
    bool started;
};

static int show_bytes(void *user, uint64_t done, uint64_t total)
{
    struct shown *shown = user;
    if (!shown->started)
        cli_start_download(shown->session, shown->name, 0, (size_t)(total >> 20));
    shown->started = true;
    cli_show_progress((size_t)(done >> 20), "");
    return caught;
}

/* ---- The result -------------------------------------------------------------------------------- */

static json_t *tower_json(size_t inputs, double least, double mean)
{
    return inputs ? json_pack("{si sf sf}", "inputs", (int)inputs, "cosine_min", least,
                              "cosine_mean", mean)
                  : json_null();
}

/* `found` NULL: the conversion was not checked. */
static bool print_json(const struct options *options, const struct vkclip_conversion *conversion,
                       const struct vkclip_comparison *found)
{
    const char *type = cli_choice_name(types, (int)options->type);
    json_t *check = json_null();
    if (found)
        check = json_pack("{so so}", "image",
                          tower_json(found->images, found->image_min, found->image_mean), "text",
                          tower_json(found->texts, found->text_min, found->text_mean));
    return cli_print_json(json_pack("{so ss sI sI so}", "output",
                                    cli_json_text(conversion->path, strlen(conversion->path)),
                                    "type", type, "bytes_before",
                                    (json_int_t)conversion->bytes_before, "bytes_after",
                                    (json_int_t)conversion->bytes_after, "check", check),
                          stdout);
}

static void print_text(const struct cli_session *session, const struct options *options,
                       const struct vkclip_conversion *conversion,
                       const struct vkclip_comparison *found)
{
    const double mib = 1 << 20;
    cli_print_text(conversion->path, 0);
    printf(": %s, %.1f MiB, before %s, %.1f MiB\n", cli_choice_name(types, (int)options->type),
           (double)conversion->bytes_after / mib, session->info.weights_type,
           (double)conversion->bytes_before / mib);
    if (found && found->images)
        printf("images: cosine to the original at least %.6f, %.6f on average of %zu\n",
               found->image_min, found->image_mean, found->images);
    if (found && found->texts)
        printf("texts:  cosine to the original at least %.6f, %.6f on average of %zu\n",
               found->text_min, found->text_mean, found->texts);
}

/* ---- The command ------------------------------------------------------------------------------- */

/* Opens the device for the check. If a device that was named is not there, nothing is written. */
static int open_device(struct cli_session *session, const struct options *options)
{
    const struct vkclip_device_params params = {.size = sizeof(params),
                                                .device = options->device.name};
    if (options->no_check || !vkclip_open_device(&params, &session->device))
        return CLI_DONE;
    if (options->device.name)
        return cli_fail_library(session, CLI_NO_DEVICE);
    cli_say("the conversion will not be checked: %s", vkclip_last_error());
    return CLI_DONE;
}

static int convert_model(struct cli_session *session, const struct options *options,
                         const char *output, struct vkclip_conversion *conversion)
{
    const struct vkclip_model_params model = cli_model_params(&options->model);
    struct shown shown = {.session = session, .name = output};
    const struct vkclip_convert_params params = {
        .size = sizeof(params), .type = options->type, .progress = show_bytes, .user = &shown};
    catch_signals(true);
    int error = vkclip_convert_model(options->model.path, &model, output, &params, conversion);
    cli_clear_progress();
    catch_signals(false);
    if (error && caught)
        raise(caught);
    if (error == VKCLIP_EINVALID)
        return cli_fail_library_usage(session);
    return error ? cli_fail_library(session, CLI_FAILED) : CLI_DONE;
}

/* Compares both models on the device, if one is open, and prints the result. */
static int check_conversion(const struct cli_session *session, const struct options *options,
                            const struct vkclip_conversion *conversion)
{
    const struct vkclip_model_params model = cli_model_params(&options->model);
    struct vkclip_comparison comparison = {.size = sizeof(comparison)}, *found = NULL;
    if (session->device) {
        found = &comparison;
        if (vkclip_compare_models(session->device, options->model.path, &model, conversion->path,
                                  NULL, NULL, NULL, found))
            return cli_fail(CLI_FAILED, "%s is written, but not checked: %s", conversion->path,
                            vkclip_last_error());
    }
    if (session->common.json)
        return print_json(options, conversion, found) ? CLI_DONE : CLI_FAILED;
    print_text(session, options, conversion, found);
    return CLI_DONE;
}

static int run_convert(struct cli_session *session, void *user)
{
    struct options *options = user;
    const struct cli_inputs *arguments = &session->arguments;
    struct vkclip_conversion conversion = {.size = sizeof(conversion)};
    if (arguments->count != 2)
        return cli_fail_usage(session, "expected IN and OUT, found %zu arguments",
                              arguments->count);
    options->model.path = arguments->items[0].text;
    /* The model is opened before the device, and closed again, to tell errors of the input from
     * others. */
    int status = cli_open_model(session, &options->model);
    vkclip_close_model(&session->model);
    if (!status)
        status = open_device(session, options);
    if (!status)
        status = convert_model(session, options, arguments->items[1].text, &conversion);
    if (!status)
        status = check_conversion(session, options, &conversion);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_OPTION_CHOICE("type", types, FIELD(type), "of the matrices in the file (f16)"),
    CLI_OPTION(0, "no-check", NULL, CLI_FLAG, FIELD(no_check),
               "do not compare embeddings on a device"),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    CLI_INCLUDE(cli_image_size_options, FIELD(model)),
    CLI_INCLUDE(cli_activation_options, FIELD(model)),
    CLI_INCLUDE(cli_text_options, FIELD(model)),
    {0}};

const struct cli_command cli_convert_command = {
    .name = "convert",
    .summary = "write a checkpoint in another format or smaller",
    .usage = "IN OUT [OPTION...]",
    .arguments = "FILE|FOLDER",
    .text =
        "IN is what -m takes. OUT is a .gguf file (f32, f16, q8, q4: Q8_0 and Q4_0; with the\n"
        "vocabulary inside; ViTs alone), a .safetensors file, or else a\n"
        "folder (f32, f16, bf16), with configuration and vocabulary beside the weights. Matrices\n"
        "and the token table get the type; the rest, which is small, stays in fp32. Then both\n"
        "models encode the same generated pictures and texts, and the cosines of their embeddings\n"
        "are printed.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_convert,
};
