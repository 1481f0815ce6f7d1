/* SPDX-License-Identifier: MIT
 *
 * vkclip condition: prompts to what a diffusion model is conditioned with, in a file.
 */
#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"
#include "cli/command.h"
#include "cli/commands/prompts.h"
#include "cli/conditioner.h"
#include "cli/log.h"
#include "cli/model.h"
#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* Prompts that are encoded at once where each gets a file of its own. */
enum { GROUP = 16 };

struct options {
    struct cli_encoder_files files;
    struct cli_inputs loras;
    struct cli_inputs prompts[VKCLIP_ENCODERS], negatives;
    struct cli_model_options model; /* how the encoders compute; `files` says which they are */
    struct cli_device_options device;
    struct cli_strictness strictness;
    const char *prompts_from, *output;
    struct cli_syntax syntax;
    uint32_t clip_skip, clip_skip_diffusers, max_sequence_length;
    bool zero_negative, half;
};

/* A run of the command. */
struct run {
    struct cli_session *session;
    const struct options *options;
    struct prompts prompts;
    struct vkclip_conditioner *conditioner;
    struct vkclip_conditioner_info info;
    char **entries; /* key, value, key, value, of the files' metadata */
    size_t entry_count;
};

/* ---- The conditioner ------------------------------------------------------------------------- */

/* Reads FILE[:SCALE]. A file whose name has a colon of its own is found first. */
static bool read_lora(const struct cli_input *input, char **path, struct vkclip_lora *lora)
{
    const char *colon = strrchr(input->text, ':');
    char *end;
    lora->scale = 1;
    size_t length = input->length;
    if (colon && !file_exists(input->text)) {
        const float scale = strtof(colon + 1, &end);
        if (end != colon + 1 && !*end) {
            lora->scale = scale;
            length = (size_t)(colon - input->text);
        }
    }
    *path = string_format("%.*s", (int)length, input->text);
    lora->path = *path;
    return *path != NULL;
}

static int open_conditioner(struct run *run)
{
    const struct options *options = run->options;
    size_t count = 0;
    struct vkclip_lora *loras = calloc(options->loras.count + 1, sizeof(*loras));
    char **paths = calloc(options->loras.count + 1, sizeof(*paths));
    int status = loras && paths ? CLI_DONE : cli_fail_memory();
    for (size_t i = 0; i < options->loras.count && !status; i++) {
        if (!read_lora(&options->loras.items[i], &paths[i], &loras[count]))
            status = cli_fail_memory();
        count += loras[count].scale != 0; /* To the library 0 is the default. */
    }
    const struct vkclip_conditioner_params params = {.size = sizeof(params),
                                                     .precision = options->model.precision,
                                                     .weights = options->model.weights,
                                                     .compute = options->model.compute,
                                                     .stream = options->model.stream,
                                                     .max_batch = options->model.batch,
                                                     .loras = loras,
                                                     .lora_count = count,
                                                     .identify = true};
    if (!status)
        status = cli_open_conditioner(run->session, &options->files, params, &run->conditioner,
                                      &run->info);
    for (size_t i = 0; paths && i < options->loras.count; i++)
        free(paths[i]);
    free(paths);
    free(loras);
    return status;
}

/* ---- Metadata -------------------------------------------------------------------------------- */

/* Adds an entry, whose value is taken over. */
static bool add_entry(struct run *run, const char *key, char *value)
{
    char **entries = realloc(run->entries, (run->entry_count + 3) * sizeof(*entries));
    char *name = string_format("%s", key);
    run->entries = entries ? entries : run->entries;
    if (!entries || !name || !value) {
        free(name);
        free(value);
        return false;
    }
    entries[run->entry_count++] = name;
    entries[run->entry_count++] = value;
    entries[run->entry_count] = NULL;
    return true;
}

static void drop_entries(struct run *run, size_t count)
{
    while (run->entry_count > count)
        free(run->entries[--run->entry_count]);
    if (run->entries)
        run->entries[run->entry_count] = NULL;
}

static bool add_number(struct run *run, const char *key, uint32_t number)
{
    return !number || add_entry(run, key, string_format("%u", number));
}

/* Adds `count` texts from number `first` on as a JSON list. */
static bool add_texts(struct run *run, const char *key, const struct cli_inputs *inputs,
                      size_t first, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct cli_input *input = &inputs->items[first + i];
        json_array_append_new(list, cli_json_text(input->text, input->length));
    }
    const bool good = !count || add_entry(run, key, json_dumps(list, JSON_COMPACT));
    json_decref(list);
    return good;
}

/* Adds the names of the encoders with the hashes of their weights. */
static bool add_encoders(struct run *run)
{
    json_t *encoders = json_object();
    for (size_t i = 0; i < run->info.encoder_count; i++) {
        const struct vkclip_encoder_info *info = run->info.encoders[i];
        json_object_set_new(encoders, info->name,
                            info->absent ? json_null() : json_string(info->identity));
    }
    const bool good = add_entry(run, "encoders", json_dumps(encoders, JSON_COMPACT));
    json_decref(encoders);
    return good;
}

static uint32_t find_length(const struct run *run)
{
    for (size_t i = 0; i < run->info.encoder_count; i++)
        if (run->info.encoders[i]->variable)
            return run->options->max_sequence_length ? run->options->max_sequence_length
                                                     : run->info.encoders[i]->length;
    return 0;
}

/* Writes down everything that decides the values, so that a cache can tell files apart. */
static int describe(struct run *run)
{
    const struct options *options = run->options;
    const struct cli_model_options *model = &options->model;
    const char *precision = cli_choice_name(cli_precision_choices, (int)model->precision);
    const char *weights = cli_choice_name(cli_weights_choices, (int)model->weights);
    const bool good =
        add_entry(run, "vkclip", string_format("%s", vkclip_version())) &&
        add_entry(run, "family", string_format("%s", run->info.family)) && add_encoders(run) &&
        add_entry(run, "precision", string_format("%s", precision)) &&
        (!weights || add_entry(run, "weights", string_format("%s", weights))) &&
        (!model->compute || add_entry(run, "compute", string_format("f16"))) &&
        add_entry(
            run, "syntax",
            string_format("%s", cli_choice_name(cli_syntax_choices,
                                                1 + (int)cli_find_syntax(&options->syntax)))) &&
        add_number(run, "clip_skip", options->clip_skip) &&
        add_number(run, "clip_skip_diffusers", options->clip_skip_diffusers) &&
        add_number(run, "max_sequence_length", find_length(run)) &&
        (!options->zero_negative || add_entry(run, "zero_negative", string_format("true"))) &&
        add_texts(run, "embeddings", &options->files.embeddings, 0,
                  options->files.embeddings.count) &&
        add_texts(run, "loras", &options->loras, 0, options->loras.count);
    return good ? CLI_DONE : cli_fail_memory();
}

/* Adds the prompts of one file. */
static bool describe_prompts(struct run *run, size_t first, size_t count)
{
    static const char *const keys[VKCLIP_ENCODERS] = {"prompts", "prompts_2", "prompts_3"};
    const struct prompts *prompts = &run->prompts;
    const bool shared = prompts->negatives.count == 1;
    bool good = add_texts(run, "negative_prompts", &prompts->negatives, shared ? 0 : first,
                          prompts->negatives.count > 1 ? count : prompts->negatives.count) &&
                add_texts(run, "names", &prompts->names, first, prompts->names.count ? count : 0);
    for (size_t i = 0; i < VKCLIP_ENCODERS; i++)
        good = good && add_texts(run, keys[i], &prompts->texts[i], first,
                                 prompts->texts[i].count ? count : 0);
    return good;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static enum dtype find_dtype(enum vkclip_tensor_type type)
{
    static const enum dtype types[] = {[VKCLIP_TENSOR_F32] = DTYPE_F32,
                                       [VKCLIP_TENSOR_F16] = DTYPE_F16,
                                       [VKCLIP_TENSOR_I32] = DTYPE_I32};
    return types[type];
}

/* Writes pictures `first` to `first + count - 1` of a conditioning. `prompt` is the number of the
 * first one's prompt. */
static int write_file(struct run *run, const char *path,
                      const struct vkclip_conditioning *conditioning, size_t first, size_t count,
                      size_t prompt)
{
    struct tensor_view views[8];
    const size_t entries = run->entry_count;
    for (size_t i = 0; i < conditioning->tensor_count; i++) {
        const struct vkclip_tensor *tensor = &conditioning->tensors[i];
        const size_t item = tensor->size / tensor->shape[0];
        views[i] = (struct tensor_view){.name = tensor->name,
                                        .dtype = find_dtype(tensor->type),
                                        .rank = (unsigned)tensor->rank,
                                        .shape = {count},
                                        .data = (const uint8_t *)tensor->data + first * item,
                                        .size = count * item};
        for (size_t d = 1; d < tensor->rank; d++)
            views[i].shape[d] = tensor->shape[d];
    }
    int status = describe_prompts(run, prompt, count) ? CLI_DONE : cli_fail_memory();
    if (!status && safetensors_write(path, views, conditioning->tensor_count,
                                     (const char *const *)run->entries))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    drop_entries(run, entries);
    return status;
}

/* Writes each picture into a file of the prompt's name. */
static int write_files(struct run *run, const struct vkclip_conditioning *conditioning,
                       size_t prompt)
{
    int status = CLI_DONE;
    for (size_t i = 0; i < conditioning->tensors->shape[0] && !status; i++) {
        const char *name = run->prompts.names.items[prompt + i].text;
        char *path = string_format("%s/%s.safetensors", run->options->output, name);
        status = path ? write_file(run, path, conditioning, i, 1, prompt + i) : cli_fail_memory();
        free(path);
    }
    return status;
}

/* ---- Results --------------------------------------------------------------------------------- */

static json_t *describe_usage(const struct vkclip_prompt_usage *usage, size_t prompt)
{
    json_t *line =
        json_pack("{ss sb sI sI sI}", "encoder", usage->encoder, "negative", usage->negative,
                  "prompt", (json_int_t)(prompt + usage->prompt), "used", (json_int_t)usage->used,
                  "available", (json_int_t)usage->available);
    return usage->rest
               ? cli_json_with(line, "rest", cli_json_text(usage->rest, strlen(usage->rest)))
               : line;
}

static bool print_json(const struct run *run, const struct vkclip_conditioning *conditioning,
                       size_t prompt)
{
    json_t *tensors = json_object(), *usage = json_array();
    for (size_t i = 0; i < conditioning->tensor_count; i++) {
        const struct vkclip_tensor *tensor = &conditioning->tensors[i];
        json_t *shape = json_array();
        for (size_t d = 0; d < tensor->rank; d++)
            json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d]));
        json_object_set_new(tensors, tensor->name, shape);
    }
    for (size_t i = 0; i < conditioning->usage_count; i++)
        json_array_append_new(usage, describe_usage(&conditioning->usage[i], prompt));
    const char *output = run->options->output;
    return cli_print_json(json_pack("{so ss so so}", "output",
                                    cli_json_text(output, strlen(output)), "family",
                                    run->info.family, "tensors", tensors, "usage", usage),
                          stdout);
}

/* Prints one line per prompt and encoder, which large batches drop with --quiet, or per group of
 * prompts with --json. */
static bool print_conditioning(const struct run *run,
                               const struct vkclip_conditioning *conditioning, size_t prompt)
{
    if (run->session->common.json)
        return print_json(run, conditioning, prompt);
    for (size_t i = 0; i < conditioning->usage_count && !run->session->common.quiet; i++) {
        const struct vkclip_prompt_usage *usage = &conditioning->usage[i];
        printf("%s %zu, %s: %u of %u tokens\n", usage->negative ? "negative prompt" : "prompt",
               prompt + usage->prompt + 1, usage->encoder, usage->used, usage->available);
    }
    return !ferror(stdout);
}

static bool is_folder(const struct options *options)
{
    return !string_ends_with(options->output, ".safetensors");
}

/* Encodes `count` prompts from number `first` on and writes them. */
static int run_group(struct run *run, const char **texts[VKCLIP_ENCODERS], const char **negatives,
                     size_t first, size_t count)
{
    const struct options *options = run->options;
    const size_t negative_count = run->prompts.negatives.count;
    struct vkclip_condition_params params = {.size = sizeof(params),
                                             .count = count,
                                             .zero_negative = options->zero_negative,
                                             .syntax = cli_find_syntax(&options->syntax),
                                             .clip_skip = options->clip_skip,
                                             .clip_skip_diffusers = options->clip_skip_diffusers,
                                             .max_sequence_length = options->max_sequence_length,
                                             .strict = options->strictness.strict,
                                             .f16 = options->half};
    struct vkclip_conditioning *conditioning = NULL;
    for (size_t i = 0; i < VKCLIP_ENCODERS; i++)
        params.prompts[i] = run->prompts.texts[i].count ? texts[i] + first : NULL;
    params.negatives[0] = negative_count ? negatives + (negative_count > 1 ? first : 0) : NULL;
    params.negative_count = negative_count > 1 ? count : negative_count;
    if (vkclip_condition(run->conditioner, &params, &conditioning))
        return cli_fail_library(run->session, CLI_FAILED);
    int status = is_folder(options)
                     ? write_files(run, conditioning, first)
                     : write_file(run, options->output, conditioning, 0, count, first);
    if (!status && !print_conditioning(run, conditioning, first))
        status = CLI_FAILED;
    vkclip_free_conditioning(&conditioning);
    return status;
}

static int run_groups(struct run *run)
{
    const size_t count = run->prompts.texts[0].count;
    const size_t group = is_folder(run->options) ? GROUP : count;
    const char **negatives = cli_list_texts(&run->prompts.negatives);
    const char **texts[VKCLIP_ENCODERS] = {NULL};
    int status = negatives ? CLI_DONE : cli_fail_memory();
    for (size_t i = 0; i < VKCLIP_ENCODERS && !status; i++)
        if (!(texts[i] = cli_list_texts(&run->prompts.texts[i])))
            status = cli_fail_memory();
    for (size_t first = 0; first < count && !status; first += group) {
        const size_t left = count - first;
        status = run_group(run, texts, negatives, first, left < group ? left : group);
    }
    for (size_t i = 0; i < VKCLIP_ENCODERS; i++)
        free(texts[i]);
    free(negatives);
    return status;
}

/* ---- The command ----------------------------------------------------------------------------- */

/* Refuses a name that two prompts have, because the second file would replace the first. */
static int check_twins(const struct run *run)
{
    const struct cli_inputs *names = &run->prompts.names;
    json_t *seen = json_object();
    int status = seen ? CLI_DONE : cli_fail_memory();
    for (size_t i = 0; i < names->count && !status; i++) {
        if (json_object_get(seen, names->items[i].text))
            status = cli_fail(CLI_FAILED, "%s: two prompts have the name '%s'",
                              run->options->prompts_from, names->items[i].text);
        else if (json_object_set_new(seen, names->items[i].text, json_true()))
            status = cli_fail_memory();
    }
    json_decref(seen);
    return status;
}

/* Looks for the folder of the result before the encoders are opened, which may take minutes. */
static int check_folder(const char *output)
{
    char *folder = string_format("%.*s", (int)(file_name(output) - output), output);
    const bool good = folder && (!*folder || folder_exists(folder));
    free(folder);
    return good ? CLI_DONE
                : cli_fail(CLI_FAILED, "%s: cannot be written: there is no such folder", output);
}

/* A folder needs names of files. */
static int check_names(const struct run *run)
{
    const struct cli_inputs *names = &run->prompts.names;
    if (!is_folder(run->options))
        return check_folder(run->options->output);
    if (!names->count)
        return cli_fail_usage(run->session, "%s: expected a name that ends in .safetensors",
                              run->options->output);
    for (size_t i = 0; i < names->count; i++)
        if (!*names->items[i].text || strpbrk(names->items[i].text, "/\\"))
            return cli_fail(CLI_FAILED, "%s: the name '%s' cannot be that of a file",
                            run->options->prompts_from, names->items[i].text);
    if (check_twins(run))
        return CLI_FAILED;
    return folder_make_all(run->options->output, 0777)
               ? CLI_DONE
               : cli_fail(CLI_FAILED, "%s: cannot be made", run->options->output);
}

static int check_options(const struct run *run)
{
    const struct options *options = run->options;
    bool given = options->negatives.count > 0;
    for (size_t i = 0; i < VKCLIP_ENCODERS; i++)
        given = given || options->prompts[i].count;
    if (!options->files.models.count)
        return cli_fail_usage(run->session, "name a pipeline or its files with -m");
    if (!options->output)
        return cli_fail_usage(run->session, "name the result with -o");
    if (options->prompts_from && given)
        return cli_fail_usage(run->session, "--prompts-from takes no other prompts");
    return CLI_DONE;
}

/* Takes the prompts of the options, or reads those of the file. */
static int take_prompts(struct run *run, struct options *options)
{
    int status = CLI_DONE;
    for (size_t i = 0; i < VKCLIP_ENCODERS; i++) {
        run->prompts.texts[i] = options->prompts[i];
        options->prompts[i] = (struct cli_inputs){0};
    }
    run->prompts.negatives = options->negatives;
    options->negatives = (struct cli_inputs){0};
    if (options->prompts_from)
        status = prompts_read(run->session, options->prompts_from, &run->prompts);
    return status ? status : prompts_check(run->session, &run->prompts);
}

static int run_condition(struct cli_session *session, void *user)
{
    struct options *options = user;
    struct run run = {.session = session, .options = options, .info.size = sizeof(run.info)};
    int status = check_options(&run);
    if (!status)
        status = take_prompts(&run, options);
    if (!status)
        status = check_names(&run);
    if (!status)
        status = cli_open_device(session, &options->device);
    if (!status)
        status = open_conditioner(&run);
    if (!status)
        status = describe(&run);
    if (!status)
        status = run_groups(&run);
    drop_entries(&run, 0);
    free(run.entries);
    prompts_free(&run.prompts);
    vkclip_close_conditioner(&run.conditioner);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_encoder_files_options, FIELD(files)),
    CLI_OPTION('p', "prompt", "TEXT", CLI_ITEM, FIELD(prompts[0]),
               "a prompt; several make a batch"),
    CLI_OPTION(0, "prompt-2", "TEXT", CLI_ITEM, FIELD(prompts[1]),
               "another one for the second text encoder"),
    CLI_OPTION(0, "prompt-3", "TEXT", CLI_ITEM, FIELD(prompts[2]),
               "another one for the third text encoder"),
    CLI_OPTION(0, "negative", "TEXT", CLI_ITEM, FIELD(negatives),
               "a negative prompt: one for all, or one per prompt"),
    CLI_OPTION(0, "prompts-from", "FILE", CLI_TEXT, FIELD(prompts_from),
               "prompts as lines of JSON; -: stdin"),
    CLI_INCLUDE(cli_syntax_options, FIELD(syntax)),
    CLI_OPTION(0, "clip-skip", "K", CLI_NUMBER, FIELD(clip_skip),
               "the block from CLIP's end, 1 the last, as the webui counts"),
    CLI_OPTION(0, "clip-skip-diffusers", "K", CLI_NUMBER, FIELD(clip_skip_diffusers),
               "blocks before the model's own, as diffusers counts"),
    CLI_OPTION(0, "max-sequence-length", "N", CLI_NUMBER, FIELD(max_sequence_length),
               "tokens of T5, if not the family's"),
    CLI_OPTION(0, "zero-negative", NULL, CLI_FLAG, FIELD(zero_negative),
               "zeros for a negative prompt that is empty or not given"),
    CLI_OPTION(0, "lora", "FILE", CLI_ITEM, FIELD(loras),
               "a LoRA of the text encoders; with another strength FILE:SCALE"),
    CLI_INCLUDE(cli_strict_options, FIELD(strictness)),
    CLI_OPTION('o', "output", "FILE", CLI_TEXT, FIELD(output), "the result's file"),
    CLI_OPTION(0, "half", NULL, CLI_FLAG, FIELD(half), "write fp16 instead of fp32"),
    CLI_INCLUDE(cli_arithmetic_options, FIELD(model)),
    CLI_INCLUDE(cli_batch_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_condition_command = {
    .name = "condition",
    .summary = "encode prompts to what a diffusion model is conditioned with",
    .usage = "-m PIPELINE|FILE [-m FILE]... --prompt TEXT [OPTION...] -o FILE",
    .text =
        "Writes what encode_prompt of the model's pipeline in diffusers returns, under the same\n"
        "names: prompt_embeds, negative_prompt_embeds and, by the family, pooled_prompt_embeds,\n"
        "prompt_attention_mask and others, in a .safetensors file whose metadata says how they\n"
        "were made. Families: sd1, sd2, sdxl, sdxl-refiner, sd3, flux, cascade, pixart, wan,\n"
        "chroma; the folder of a pipeline or the file of a whole model tells which it is.\n"
        "\n"
        "--prompts-from reads {\"prompt\":TEXT} per line, with \"prompt_2\", \"prompt_3\", "
        "\"negative\"\n"
        "and \"name\" where they are wanted; -o FOLDER then makes a file of each name.\n"
        "\n"
        "--clip-skip: 1 is the last block, for Stable Diffusion 1, where 2 is \"clip skip 2\" of\n"
        "model cards and 1 for --clip-skip-diffusers; XL's and 3's own is 2. --clip-skip concerns\n"
        "negative prompts too, --clip-skip-diffusers does not, as in diffusers.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_condition,
};
