/* SPDX-License-Identifier: MIT
 *
 * vkclip info: what is in a checkpoint.
 */
#include "cli/command.h"
#include "cli/model.h"
#include "format/hub.h"

#include <string.h>

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
};

/* ---- Names ------------------------------------------------------------------------------------- */

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
    switch (activation) {
    case VKCLIP_ACTIVATION_GELU:
        return "gelu";
    case VKCLIP_ACTIVATION_QUICK_GELU:
        return "quick_gelu";
    case VKCLIP_ACTIVATION_GELU_TANH:
        return "gelu_tanh";
    case VKCLIP_ACTIVATION_SILU:
        return "silu";
    case VKCLIP_ACTIVATION_RELU:
    case VKCLIP_ACTIVATION_AUTO: /* a ModifiedResNet, which has no choice of it */
        break;
    }
    return "relu";
}

static const char *precision_name(enum vkclip_precision precision)
{
    return precision == VKCLIP_PRECISION_F16 ? "f16" : "f32";
}

static const char *weights_name(const struct vkclip_model_info *info)
{
    const char *name = cli_choice_name(cli_weights_choices, (int)info->weights);
    return name ? name : precision_name(info->precision);
}

/* Returns the name of the model whose image tower goes with a text tower, or NULL. */
static const char *find_partner(const struct vkclip_model_info *info, const char *path)
{
    struct hub_name name;
    return !info->image.width && hub_parse_name(path, &name) ? hub_find_partner(name.repository)
                                                             : NULL;
}

/* ---- JSON -------------------------------------------------------------------------------------- */

/* A tower that is absent is null. */
static json_t *tower_json(const struct vkclip_tower_info *tower, const char *kind)
{
    if (!tower->width)
        return json_null();
    return json_pack("{ss si si si si si ss sb}", "kind", kind, "width", (int)tower->width,
                     "layers", (int)tower->layers, "heads", (int)tower->heads, "mlp",
                     (int)tower->mlp, "positions", (int)tower->positions, "activation",
                     activation_name(tower->activation), "projection", tower->projection);
}

/* Takes ownership of the value. A value of NULL, for which there was no memory, is a failure. */
static bool set_item(json_t *json, const char *name, json_t *value)
{
    return !json_object_set_new(json, name, value);
}

static bool set_number(json_t *json, const char *name, uint64_t number)
{
    return set_item(json, name, json_integer((json_int_t)number));
}

static bool print_json(const struct vkclip_model_info *info, const char *path)
{
    json_t *json = json_object(), *tokenizer = json_null();
    if (info->tokenizer)
        tokenizer = cli_json_text(info->tokenizer_path, strlen(info->tokenizer_path));
    bool good = json;
    good &= set_item(json, "path", cli_json_text(path, strlen(path)));
    good &= set_item(json, "family", json_string(family_name(info->family)));
    good &= set_item(json, "image", tower_json(&info->image, info->image_kind));
    if (find_partner(info, path))
        good &= set_item(json, "partner", json_string(find_partner(info, path)));
    good &= set_item(json, "text", tower_json(&info->text, info->text_kind));
    if (info->stages[0])
        good &= set_item(json, "stages",
                         json_pack("[iiii]", (int)info->stages[0], (int)info->stages[1],
                                   (int)info->stages[2], (int)info->stages[3]));
    if (info->stage_widths[0])
        good &= set_item(json, "stage_widths",
                         json_pack("[iiii]", (int)info->stage_widths[0], (int)info->stage_widths[1],
                                   (int)info->stage_widths[2], (int)info->stage_widths[3]));
    good &= set_number(json, "image_size", info->image_size);
    good &= set_number(json, "patch_size", info->patch_size);
    good &= set_number(json, "context", info->context);
    good &= set_number(json, "vocabulary", info->vocabulary);
    good &= set_number(json, "embed_dim", info->embed_dim);
    good &= set_number(json, "text_embed_dim", info->text_embed_dim);
    good &= set_item(json, "logit_scale", json_real((double)info->logit_scale));
    good &= set_item(json, "sigmoid", json_boolean(info->sigmoid));
    if (info->sigmoid)
        good &= set_item(json, "logit_bias", json_real((double)info->logit_bias));
    good &= set_item(json, "image_mean", cli_json_floats(info->image_mean, 3));
    good &= set_item(json, "image_std", cli_json_floats(info->image_std, 3));
    good &= set_number(json, "parameters", info->parameters);
    good &=
        set_item(json, "weights", cli_json_text(info->weights_path, strlen(info->weights_path)));
    good &= set_item(json, "weights_type", json_string(info->weights_type));
    good &= set_number(json, "weights_bytes", info->weights_bytes);
    good &= set_number(json, "memory_bytes", info->memory_bytes);
    good &= set_item(json, "precision", json_string(precision_name(info->precision)));
    good &= set_item(json, "device_weights", json_string(weights_name(info)));
    good &= set_item(json, "tokenizer", tokenizer);
    if (!good) {
        json_decref(json);
        json = NULL;
    }
    return cli_print_json(json, stdout);
}

/* ---- Text -------------------------------------------------------------------------------------- */

static void print_tower(const char *name, const struct vkclip_tower_info *tower, const char *kind)
{
    if (tower->width)
        printf("%-12s %s, %u layers of width %u, %u heads, MLP %u, %u positions, %s%s\n", name,
               kind, tower->layers, tower->width, tower->heads, tower->mlp, tower->positions,
               activation_name(tower->activation), tower->projection ? "" : ", no projection");
    else
        printf("%-12s none\n", name);
}

static void print_image_tower(const struct vkclip_model_info *info)
{
    const uint32_t *stages = info->stages, *widths = info->stage_widths, size = info->image_size;
    if (widths[0]) {
        printf("%-12s ConvNeXt of widths %u, %u, %u and %u, %u+%u+%u+%u blocks\n", "image tower",
               widths[0], widths[1], widths[2], widths[3], stages[0], stages[1], stages[2],
               stages[3]);
        printf("%-12s %ux%u pixels\n", "", size, size);
        return;
    }
    if (stages[0]) {
        printf("%-12s ModifiedResNet of width %u, %u+%u+%u+%u bottlenecks, %u heads over %u "
               "positions\n",
               "image tower", info->image.width, stages[0], stages[1], stages[2], stages[3],
               info->image.heads, info->image.positions);
        printf("%-12s %ux%u pixels\n", "", size, size);
        return;
    }
    print_tower("image tower", &info->image, info->image_kind);
    if (info->image.width)
        printf("%-12s %ux%u pixels in patches of %ux%u\n", "", size, size, info->patch_size,
               info->patch_size);
}

static void print_text_tower(const struct vkclip_model_info *info)
{
    print_tower("text tower", &info->text, info->text_kind);
    if (info->text.width)
        printf("%-12s %u token ids, %u at a time\n", "", info->vocabulary, info->context);
}

static void print_text(const struct vkclip_model_info *info, const char *path)
{
    const double mib = 1 << 20;
    const char *partner = find_partner(info, path);
    printf("%-12s %s\n", "family", family_name(info->family));
    print_image_tower(info);
    if (partner)
        printf("%-12s that of %s gives embeddings of pictures in the same space\n", "", partner);
    print_text_tower(info);
    printf("%-12s %u", "embeddings", info->embed_dim);
    if (info->image.width && info->text.width)
        printf(", compared at logit scale %.4g", (double)info->logit_scale);
    if (info->sigmoid)
        printf(" and bias %.4g, by the sigmoid of each pair", (double)info->logit_bias);
    printf("\n%-12s %llu, stored as %s in ", "parameters", (unsigned long long)info->parameters,
           info->weights_type);
    cli_print_text(info->weights_path, 0);
    printf("\n%-12s ", "tokenizer");
    cli_print_text(info->tokenizer ? info->tokenizer_path : "none found", 0);
    printf("\n%-12s %s, weights in %s\n", "precision", precision_name(info->precision),
           weights_name(info));
    printf("%-12s %.1f MiB on the device at least, %.1f of it for the weights\n", "memory",
           (double)info->memory_bytes / mib, (double)info->weights_bytes / mib);
}

/* ---- The command ------------------------------------------------------------------------------- */

static int run_info(struct cli_session *session, void *user)
{
    const struct options *options = user;
    int status = CLI_DONE;
    if (!options->model.path)
        return cli_fail_usage(session, "name a model with -m");
    if (options->device.name)
        status = cli_open_device(session, &options->device);
    if (!status)
        status = cli_open_model(session, &options->model);
    if (status)
        return status;
    if (session->common.json)
        return print_json(&session->info, options->model.path) ? CLI_DONE : CLI_FAILED;
    print_text(&session->info, options->model.path);
    return CLI_DONE;
}

static const struct cli_option table[] = {
    CLI_INCLUDE(cli_model_options, offsetof(struct options, model)),
    CLI_INCLUDE(cli_batch_options, offsetof(struct options, model)),
    CLI_INCLUDE(cli_device_options, offsetof(struct options, device)),
    {0}};

const struct cli_command cli_info_command = {
    .name = "info",
    .summary = "tell what is in a checkpoint",
    .usage = "-m PATH [OPTION...]",
    .text = "Tells the family of a checkpoint, the sizes of its towers, its weights and its\n"
            "vocabulary. Needs no device. With --device the weights are also loaded there.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_info,
};
