/* SPDX-License-Identifier: MIT
 *
 * vkclip devices and vkclip info: what is on this machine, what is in a checkpoint.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

/* ---- devices --------------------------------------------------------------------------------- */

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

static json_t *words(const char *text)
{
    json_t *array = json_array();
    while (array && *text) {
        size_t length = strcspn(text, " ");
        if (length)
            json_array_append_new(array, cli_json_text(text, length));
        text += length + (text[length] == ' ');
    }
    return array;
}

static bool print_device_json(const struct vkclip_device_info *info)
{
    char api[40];
    snprintf(api, sizeof(api), "%u.%u.%u", info->api_version[0], info->api_version[1],
             info->api_version[2]);
    json_t *json =
        json_pack("{si so ss so ss sI so sb}", "index", (int)info->index, "name",
                  cli_json_text(info->name, strlen(info->name)), "type", type_name(info->type),
                  "driver", cli_json_text(info->driver, strlen(info->driver)), "api", api, "memory",
                  (json_int_t)info->memory, "caps", words(info->caps), "usable", info->usable);
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
    printf("\n    %s%s\n", info->usable ? "can use: " : "not usable: ",
           !info->usable ? info->why
           : *info->caps ? info->caps
                         : "nothing optional");
}

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

static int print_tuning(void *user, const struct vkclip_tuning *tuning)
{
    const struct cli *cli = user;
    if (cli->json)
        return print_tuning_json(tuning);
    printf("    %s: %s\n", tuning->shape, tuning->kernel);
    for (size_t i = 0; i < tuning->count; i++)
        if (tuning->times[i].ms < 0)
            printf("        not used  %s\n", tuning->times[i].kernel);
        else
            printf("    %9.3f ms  %s\n", tuning->times[i].ms, tuning->times[i].kernel);
    return 0;
}

/* What was measured on a device. */
static int list_tuning(struct cli *cli, uint32_t index)
{
    char number[16];
    struct vkclip_device_params params = {.device = number};
    struct vkclip_device *device = NULL;
    snprintf(number, sizeof(number), "%u", index);
    int error = vkclip_open_device(&params, &device);
    if (!error)
        error = vkclip_list_tuning(device, print_tuning, cli);
    vkclip_close_device(&device);
    return error ? cli_fail(CLI_FAILED, "%s", vkclip_last_error()) : CLI_DONE;
}

static int run_devices(struct cli *cli)
{
    struct vkclip_device_info *infos = NULL;
    size_t count = 0, usable = 0;
    int status = CLI_DONE;
    if (vkclip_list_devices(NULL, 0, &count))
        return cli_fail(CLI_NO_DEVICE, "%s", vkclip_last_error());
    infos = calloc(count + 1, sizeof(*infos));
    size_t present = count;
    if (!infos)
        status = cli_fail(CLI_FAILED, "out of memory");
    else if (vkclip_list_devices(infos, count, &present))
        status = cli_fail(CLI_NO_DEVICE, "%s", vkclip_last_error());
    for (size_t i = 0; !status && i < count && i < present; i++) {
        usable += infos[i].usable;
        if (!cli->json)
            print_device(&infos[i]);
        else if (!cli->tuning && !print_device_json(&infos[i]))
            status = CLI_FAILED;
        if (!status && cli->tuning && infos[i].usable)
            status = list_tuning(cli, infos[i].index);
    }
    if (!status && !usable)
        status = cli_fail(CLI_NO_DEVICE, "no usable Vulkan device among %zu", count);
    free(infos);
    return status;
}

static const struct cli_option devices_options[] = {
    CLI_OPTION(0, "tuning", NULL, CLI_FLAG, tuning, "also the kernels that were measured there"),
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_devices = {
    .name = "devices",
    .summary = "list the Vulkan devices of this machine",
    .usage = "[OPTION...]",
    .text =
        "Lists every Vulkan device with its number, type, driver, memory and the optional "
        "features\n"
        "that vkclip can use. --device and the environment variable VKCLIP_DEVICE choose one by\n"
        "number or by part of its name, or several, as 0,1 or all, which then share the work;\n"
        "otherwise a discrete device goes before an integrated, a virtual and a CPU one.\n"
        "--tuning lists, for each shape that was measured there, the kernel that is used and the\n"
        "milliseconds of all that were tried; in JSON that is all, a line a shape.",
    .options = devices_options,
    .run = run_devices,
};

/* ---- info ------------------------------------------------------------------------------------ */

static const char *family_name(enum vkclip_family family)
{
    switch (family) {
    case VKCLIP_FAMILY_OPENAI:
        return "OpenAI";
    case VKCLIP_FAMILY_OPENCLIP:
        return "OpenCLIP";
    case VKCLIP_FAMILY_HF:
        return "Hugging Face";
    case VKCLIP_FAMILY_NONE:
        break;
    }
    return "none";
}

static const char *activation_name(enum vkclip_activation activation)
{
    return activation == VKCLIP_ACTIVATION_GELU         ? "gelu"
           : activation == VKCLIP_ACTIVATION_QUICK_GELU ? "quick_gelu"
                                                        : "relu";
}

static const char *precision_name(enum vkclip_precision precision)
{
    return precision == VKCLIP_PRECISION_F16 ? "f16" : "f32";
}

static const char *weights_name(const struct vkclip_model_info *info)
{
    static const char *const names[] = {"", "f16", "q8", "q4"};
    return info->weights ? names[info->weights] : precision_name(info->precision);
}

/* null for a tower that is absent */
static json_t *tower_json(const struct vkclip_tower_info *tower)
{
    if (!tower->width)
        return json_null();
    return json_pack("{si si si si si ss sb}", "width", (int)tower->width, "layers",
                     (int)tower->layers, "heads", (int)tower->heads, "mlp", (int)tower->mlp,
                     "positions", (int)tower->positions, "activation",
                     activation_name(tower->activation), "projection", tower->projection);
}

static bool print_info_json(const struct cli *cli)
{
    const struct vkclip_model_info *info = &cli->info;
    json_t *json = json_object(), *tokenizer = json_null();
    if (info->tokenizer)
        tokenizer = cli_json_text(info->tokenizer_path, strlen(info->tokenizer_path));
    int bad = !json;
#define SET(name, value) bad = bad || json_object_set_new(json, name, value)
#define SET_NUMBER(name) SET(#name, json_integer((json_int_t)info->name))
    SET("path", cli_json_text(cli->model_path, strlen(cli->model_path)));
    SET("family", json_string(family_name(info->family)));
    SET("image", tower_json(&info->image));
    SET("text", tower_json(&info->text));
    if (info->stages[0])
        SET("stages", json_pack("[iiii]", (int)info->stages[0], (int)info->stages[1],
                                (int)info->stages[2], (int)info->stages[3]));
    SET_NUMBER(image_size);
    SET_NUMBER(patch_size);
    SET_NUMBER(context);
    SET_NUMBER(vocabulary);
    SET_NUMBER(embed_dim);
    SET_NUMBER(text_embed_dim);
    SET("logit_scale", json_real((double)info->logit_scale));
    SET("image_mean", cli_json_floats(info->image_mean, 3));
    SET("image_std", cli_json_floats(info->image_std, 3));
    SET_NUMBER(parameters);
    SET("weights", cli_json_text(info->weights_path, strlen(info->weights_path)));
    SET("weights_type", json_string(info->weights_type));
    SET_NUMBER(weights_bytes);
    SET_NUMBER(memory_bytes);
    SET("precision", json_string(precision_name(info->precision)));
    SET("device_weights", json_string(weights_name(info)));
    SET("tokenizer", tokenizer);
#undef SET_NUMBER
#undef SET
    if (bad) {
        json_decref(json);
        json = NULL;
    }
    return cli_print_json(json, stdout);
}

static void print_tower(const char *name, const struct vkclip_tower_info *tower)
{
    if (tower->width)
        printf("%-12s %u layers of width %u, %u heads, MLP %u, %u positions, %s%s\n", name,
               tower->layers, tower->width, tower->heads, tower->mlp, tower->positions,
               activation_name(tower->activation), tower->projection ? "" : ", no projection");
    else
        printf("%-12s none\n", name);
}

static void print_info(const struct cli *cli)
{
    const struct vkclip_model_info *info = &cli->info;
    printf("%-12s %s\n", "family", family_name(info->family));
    if (info->stages[0])
        printf("%-12s ModifiedResNet of width %u, %u+%u+%u+%u bottlenecks, %u heads over %u "
               "positions\n%-12s %ux%u pixels\n",
               "image tower", info->image.width, info->stages[0], info->stages[1], info->stages[2],
               info->stages[3], info->image.heads, info->image.positions, "", info->image_size,
               info->image_size);
    else
        print_tower("image tower", &info->image);
    if (info->image.width && !info->stages[0])
        printf("%-12s %ux%u pixels in patches of %ux%u\n", "", info->image_size, info->image_size,
               info->patch_size, info->patch_size);
    print_tower("text tower", &info->text);
    if (info->text.width)
        printf("%-12s %u token ids, %u at a time\n", "", info->vocabulary, info->context);
    printf("%-12s %u", "embeddings", info->embed_dim);
    if (info->image.width && info->text.width)
        printf(", compared at logit scale %.4g", (double)info->logit_scale);
    printf("\n%-12s %llu, stored as %s in ", "parameters", (unsigned long long)info->parameters,
           info->weights_type);
    cli_print_text(info->weights_path, 0);
    printf("\n%-12s ", "tokenizer");
    cli_print_text(info->tokenizer ? info->tokenizer_path : "none found", 0);
    printf("\n%-12s %s, weights in %s\n%-12s %.1f MiB on the device at least, %.1f of it for the "
           "weights\n",
           "precision", precision_name(info->precision), weights_name(info), "memory",
           (double)info->memory_bytes / (1 << 20), (double)info->weights_bytes / (1 << 20));
}

static int run_info(struct cli *cli)
{
    if (!cli->model_path)
        return cli_fail_usage(cli, "name a model with -m");
    int status = cli_open_model(cli, !cli->device_name);
    if (status)
        return status;
    if (!cli->json)
        print_info(cli);
    return !cli->json || print_info_json(cli) ? CLI_DONE : CLI_FAILED;
}

static const struct cli_option info_options[] = {CLI_ENCODE_OPTIONS, CLI_COMMON_OPTIONS, {0}};

const struct cli_command cli_info = {
    .name = "info",
    .summary = "tell what is in a checkpoint",
    .usage = "-m PATH [OPTION...]",
    .text = "Tells the family of a checkpoint, the sizes of its towers, its weights and its "
            "vocabulary.\n"
            "Needs no device. With --device the weights are also loaded there.",
    .options = info_options,
    .run = run_info,
};
