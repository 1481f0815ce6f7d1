/* SPDX-License-Identifier: MIT
 *
 * vkclip convert: a checkpoint to another file format or smaller types, and what that costs.
 */
#include "base/array.h"
#include "cli/cli.h"

#include <signal.h>
#include <string.h>

/* In the order of enum vkclip_type, which --type's choices have as well. */
#define TYPES "f16|f32|bf16|q8|q4"

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
    caught = number;
}

/* A conversion that is stopped takes back what it has written. */
static void catch_signals(bool on)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        signal(numbers[i], on ? catch_signal : SIG_DFL);
}

struct shown {
    const struct cli *cli;
    const char *name;
    bool started;
};

static int show_bytes(void *user, uint64_t done, uint64_t total)
{
    struct shown *shown = user;
    if (!shown->started)
        cli_start_download(shown->cli, shown->name, 0, (size_t)(total >> 20));
    shown->started = true;
    cli_show_progress((size_t)(done >> 20), "");
    return caught;
}

static const char *type_name(unsigned type, char name[8])
{
    const char *at = TYPES;
    for (; type; type--)
        at += strcspn(at, "|") + 1;
    snprintf(name, 8, "%.*s", (int)strcspn(at, "|"), at);
    return name;
}

static json_t *tower_json(size_t inputs, double least, double mean)
{
    return inputs ? json_pack("{si sf sf}", "inputs", (int)inputs, "cosine_min", least,
                              "cosine_mean", mean)
                  : json_null();
}

static bool print_result(const struct cli *cli, const struct vkclip_conversion *conversion,
                         const struct vkclip_comparison *found)
{
    char type[8];
    type_name(cli->type ? cli->type - 1 : 0, type);
    if (cli->json) {
        json_t *check =
            found ? json_pack("{so so}", "image",
                              tower_json(found->images, found->image_min, found->image_mean),
                              "text", tower_json(found->texts, found->text_min, found->text_mean))
                  : json_null();
        return cli_print_json(json_pack("{so ss sI sI so}", "output",
                                        cli_json_text(conversion->path, strlen(conversion->path)),
                                        "type", type, "bytes_before",
                                        (json_int_t)conversion->bytes_before, "bytes_after",
                                        (json_int_t)conversion->bytes_after, "check", check),
                              stdout);
    }
    cli_print_text(conversion->path, 0);
    printf(": %s, %.1f MiB, before %s, %.1f MiB\n", type,
           (double)conversion->bytes_after / (1 << 20), cli->info.weights_type,
           (double)conversion->bytes_before / (1 << 20));
    if (found && found->images)
        printf("images: cosine to the original at least %.6f, %.6f on average of %zu\n",
               found->image_min, found->image_mean, found->images);
    if (found && found->texts)
        printf("texts:  cosine to the original at least %.6f, %.6f on average of %zu\n",
               found->text_min, found->text_mean, found->texts);
    return true;
}

/* Opens the device first: if one that was named is not there, nothing is written. */
static int open_device(struct cli *cli)
{
    struct vkclip_device_params where = {.device = cli->device_name};
    if (cli->no_check || !vkclip_open_device(&where, &cli->device))
        return CLI_DONE;
    if (cli->device_name)
        return cli_fail(CLI_NO_DEVICE, "%s", vkclip_last_error());
    cli_say("the conversion will not be checked: %s", vkclip_last_error());
    return CLI_DONE;
}

static int run_convert(struct cli *cli)
{
    struct shown shown = {.cli = cli};
    struct vkclip_convert_params how = {.type = cli->type ? cli->type - 1 : VKCLIP_TYPE_F16,
                                        .progress = show_bytes,
                                        .user = &shown};
    struct vkclip_model_params from;
    struct vkclip_conversion conversion;
    struct vkclip_comparison comparison;
    if (cli->arguments.count != 2)
        return cli_fail_usage(cli, "expected IN and OUT, found %zu arguments",
                              cli->arguments.count);
    const char *output = shown.name = cli->arguments.items[1].text;
    cli->model_path = cli->arguments.items[0].text;
    int status = cli_open_model(cli, true);
    status = status ? status : open_device(cli);
    if (status)
        return status;
    vkclip_close_model(&cli->model); /* opened to tell errors of the input from others */
    from = cli_model_params(cli);
    catch_signals(true);
    int error = vkclip_convert_model(cli->model_path, &from, output, &how, &conversion);
    cli_clear_progress();
    catch_signals(false);
    if (error && caught) {
        raise(caught);
        return CLI_FAILED;
    }
    if (error)
        return error == VKCLIP_EINVALID ? cli_fail_usage(cli, "%s", vkclip_last_error())
                                        : cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    if (cli->device && vkclip_compare_models(cli->device, cli->model_path, &from, conversion.path,
                                             NULL, &comparison))
        return cli_fail(CLI_FAILED, "%s is written, but not checked: %s", conversion.path,
                        vkclip_last_error());
    return print_result(cli, &conversion, cli->device ? &comparison : NULL) ? CLI_DONE : CLI_FAILED;
}

static const struct cli_option convert_options[] = {
    CLI_OPTION(0, "type", TYPES, CLI_CHOICE, type, "of the matrices in the file (f16)"),
    CLI_OPTION(0, "no-check", NULL, CLI_FLAG, no_check, "do not compare embeddings on a device"),
    CLI_DEVICE_OPTION,
    CLI_IMAGE_SIZE_OPTION,
    CLI_ACTIVATION_OPTION,
    CLI_ENCODER_OPTION,
    CLI_VOCAB_OPTION,
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_convert = {
    .name = "convert",
    .summary = "write a checkpoint in another format or smaller",
    .usage = "IN OUT [OPTION...]",
    .text =
        "IN is what -m takes. OUT is a .gguf file (f32, f16, q8, q4: Q8_0 and Q4_0; vocabulary\n"
        "inside; no ModifiedResNets), a .safetensors file or else a folder (f32, f16, bf16), with\n"
        "configuration and vocabulary beside the weights. Matrices and the token table get the\n"
        "type, the small rest stays in fp32. Then both models encode the same generated pictures\n"
        "and texts, and the cosines of their embeddings are printed.",
    .options = convert_options,
    .run = run_convert,
    .arguments = true,
};
