/* SPDX-License-Identifier: MIT
 *
 * vkclip explain: which parts of a picture speak for texts.
 */
#include "base/file.h"
#include "base/string.h"
#include "cli/command.h"
#include "cli/commands/heat.h"
#include "cli/encode.h"
#include "cli/log.h"
#include "cli/model.h"
#include "cli/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_decoding decoding;
    struct cli_strictness strictness;
    const char *output;
    uint32_t layers;
    double alpha;
    enum heat_colours colours;
};

/* The arguments are a picture and then texts. */
struct explain {
    struct cli_session *session;
    const struct options *options;
    const struct cli_input *picture;
    struct cli_inputs texts; /* part of the arguments */
    struct vkclip_image image;
    struct vkclip_grid grid;
    float *embeds, *relevance, *cosines; /* [M,D], [M,side,side], [M] */
};

/* ---- Results ---------------------------------------------------------------------------------- */

/* Returns the name of a text's file, to be freed; NULL: none is written, or there is no memory. */
static char *name_file(const struct explain *explain, size_t text)
{
    const char *output = explain->options->output;
    char number[24];
    if (!output)
        return NULL;
    if (!strstr(output, "{}")) /* There is one text. */
        return string_format("%s", output);
    snprintf(number, sizeof(number), "%zu", text + 1);
    return string_fill(output, number);
}

static const float *get_relevance(const struct explain *explain, size_t text)
{
    return explain->relevance + text * explain->grid.side * explain->grid.side;
}

static double find_logit(const struct explain *explain, size_t text)
{
    const struct vkclip_model_info *info = &explain->session->info;
    return (double)explain->cosines[text] * info->logit_scale + info->logit_bias;
}

/* A number that was not given is 0, and 0 that was given is negative. */
static double choose_alpha(const struct options *options)
{
    return options->alpha == 0 ? 0.6 : fmax(options->alpha, 0);
}

static int write_picture(const struct explain *explain, size_t text, const char *path)
{
    const struct vkclip_image *image = &explain->image;
    const struct heat heat = {.image = image,
                              .grid = explain->grid,
                              .relevance = get_relevance(explain, text),
                              .colours = explain->options->colours,
                              .alpha = choose_alpha(explain->options)};
    struct picture_file png = {0};
    uint8_t *pixels = malloc((size_t)image->width * image->height * 3);
    int status = CLI_DONE;
    if (pixels)
        heat_draw(&heat, pixels);
    if (!path || !pixels || !picture_make_png(pixels, image->width, image->height, &png))
        status = cli_fail_memory();
    const struct file_part part = {png.data, png.size};
    if (!status && file_write(path, &part, 1))
        status = cli_fail(CLI_FAILED, "%s", error_last());
    free(png.data);
    free(pixels);
    return status;
}

static json_t *list_rows(const struct explain *explain, size_t text)
{
    const uint32_t side = explain->grid.side;
    json_t *rows = json_array();
    for (uint32_t row = 0; row < side; row++)
        json_array_append_new(rows,
                              cli_json_floats(get_relevance(explain, text) + row * side, side));
    return rows;
}

static json_t *list_texts(const struct explain *explain)
{
    json_t *list = json_array();
    for (size_t i = 0; i < explain->texts.count; i++) {
        const struct cli_input *text = &explain->texts.items[i];
        char *path = name_file(explain, i);
        json_t *json =
            json_pack("{so sf sf}", "text", cli_json_text(text->text, text->length), "cosine",
                      (double)explain->cosines[i], "logit", find_logit(explain, i));
        if (path)
            json = cli_json_with(json, "output", cli_json_text(path, strlen(path)));
        json_array_append_new(list, cli_json_with(json, "relevance", list_rows(explain, i)));
        free(path);
    }
    return list;
}

static bool print_json(const struct explain *explain)
{
    const struct vkclip_grid *grid = &explain->grid;
    json_t *json = cli_json_name("path", explain->picture->text, explain->picture->length);
    json = cli_json_with(json, "width", json_integer(explain->image.width));
    json = cli_json_with(json, "height", json_integer(explain->image.height));
    json = cli_json_with(json, "grid",
                         json_pack("{sI sf sf sf sf}", "side", (json_int_t)grid->side, "left",
                                   grid->left, "top", grid->top, "width", grid->width, "height",
                                   grid->height));
    return cli_print_json(cli_json_with(json, "texts", list_texts(explain)), stdout);
}

static bool print_table(const struct explain *explain)
{
    int columns = 0;
    for (size_t i = 0; i < explain->texts.count; i++)
        if (cli_text_columns(explain->texts.items[i].text) > columns)
            columns = cli_text_columns(explain->texts.items[i].text);
    for (size_t i = 0; i < explain->texts.count; i++) {
        char *path = name_file(explain, i);
        cli_print_text(explain->texts.items[i].text, columns);
        printf("  cosine %7.4f  logit %8.3f  ", (double)explain->cosines[i],
               find_logit(explain, i));
        cli_print_text(path ? path : "", 0);
        putchar('\n');
        free(path);
    }
    return !ferror(stdout);
}

/* ---- The command ------------------------------------------------------------------------------ */

static bool ends_in_png(const char *path)
{
    const size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, ".png");
}

static int check_options(const struct cli_session *session, const struct options *options)
{
    const size_t count = session->arguments.count;
    if (!options->model.path)
        return cli_fail_usage(session, "name a model with -m");
    if (count < 2)
        return cli_fail_usage(session, "expected a picture and texts");
    if (!options->output && !session->common.json)
        return cli_fail_usage(session, "name the result with -o FILE.png, or ask for --json");
    if (options->output && !ends_in_png(options->output))
        return cli_fail_usage(session, "-o %s: expected a name that ends in .png", options->output);
    if (options->output && count > 2 && !strstr(options->output, "{}"))
        return cli_fail_usage(session,
                              "-o %s: expected {} in the name for the number of each of the %zu "
                              "texts",
                              options->output, count - 1);
    if (options->alpha > 1)
        return cli_fail_usage(session, "--alpha: expected A, a number from 0 to 1");
    return CLI_DONE;
}

static int load_picture(struct explain *explain)
{
    const struct cli_decoding *decoding = &explain->options->decoding;
    const struct cli_input *picture = explain->picture;
    struct cli_session *session = explain->session;
    const struct vkclip_image_params params = {
        .size = sizeof(params),
        .max_pixels = decoding->max_pixels,
        .orient = decoding->orient,
        .least_side = decoding->fast ? 2 * session->info.image_size : 0};
    if (vkclip_load_image(picture->text, &params, &explain->image) ||
        vkclip_get_grid(session->model, explain->image.width, explain->image.height,
                        &explain->grid))
        return cli_fail_library(session, CLI_FAILED);
    return CLI_DONE;
}

static int allocate(struct explain *explain)
{
    const size_t count = explain->texts.count, side = explain->grid.side;
    explain->embeds = calloc(count * explain->session->info.embed_dim, sizeof(float));
    explain->relevance = calloc(count * side * side, sizeof(float));
    explain->cosines = calloc(count, sizeof(float));
    if (!explain->embeds || !explain->relevance || !explain->cosines)
        return cli_fail_memory();
    return CLI_DONE;
}

static int compute(struct explain *explain)
{
    const struct vkclip_explain_params params = {.size = sizeof(params),
                                                 .layers = explain->options->layers};
    const struct cli_inputs no_templates = {0};
    int status = cli_encode_labels(explain->session, &explain->texts, &no_templates,
                                   explain->options->strictness.strict, explain->embeds);
    if (!status &&
        vkclip_explain(explain->session->model, &explain->image, explain->embeds,
                       explain->texts.count, &params, explain->relevance, explain->cosines))
        status = cli_fail_library(explain->session, CLI_FAILED);
    return status;
}

static int write_pictures(const struct explain *explain)
{
    int status = CLI_DONE;
    for (size_t i = 0; i < explain->texts.count && explain->options->output && !status; i++) {
        char *path = name_file(explain, i);
        status = write_picture(explain, i, path);
        free(path);
    }
    return status;
}

static int open_model(struct cli_session *session, const struct options *options)
{
    int status = cli_open_model_on_device(session, &options->model, &options->device);
    if (!status)
        status = cli_check_model(session, options->model.path, CLI_NEED_ALL);
    if (!status && session->info.embed_dim != session->info.text_embed_dim)
        status = cli_fail(CLI_NO_MODEL, "%s: its pictures and texts have no space in common",
                          options->model.path);
    return status;
}

static int run_explain(struct cli_session *session, void *user)
{
    const struct options *options = user;
    const struct cli_inputs *arguments = &session->arguments;
    struct explain explain = {.session = session, .options = options, .picture = arguments->items};
    int status = check_options(session, options);
    if (!status)
        status = open_model(session, options);
    if (!status) {
        explain.texts = (struct cli_inputs){arguments->items + 1, arguments->count - 1, 0};
        status = load_picture(&explain);
    }
    if (!status)
        status = allocate(&explain);
    if (!status)
        status = compute(&explain);
    if (!status)
        status = write_pictures(&explain);
    if (!status && !(session->common.json ? print_json(&explain) : print_table(&explain)))
        status = CLI_FAILED;
    vkclip_free_image(&explain.image);
    free(explain.embeds);
    free(explain.relevance);
    free(explain.cosines);
    return status;
}

static const struct cli_choice colour_choices[] = {
    {"viridis", HEAT_VIRIDIS}, {"magma", HEAT_MAGMA}, {"grey", HEAT_GREY}, {0}};

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_OPTION('o', "output", "FILE", CLI_TEXT, FIELD(output), "the result's file"),
    CLI_OPTION(0, "layers", "N", CLI_NUMBER, FIELD(layers),
               "how many of the last blocks are followed back (all)"),
    CLI_OPTION(0, "alpha", "A", CLI_REALS, FIELD(alpha),
               "share of the colours, the rest is the picture (0.6)"),
    CLI_OPTION_CHOICE("colours", colour_choices, FIELD(colours), "colours of relevance (viridis)"),
    CLI_INCLUDE(cli_decoding_options, FIELD(decoding)),
    CLI_INCLUDE(cli_strict_options, FIELD(strictness)),
    CLI_INCLUDE(cli_model_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_explain_command = {
    .name = "explain",
    .summary = "show which parts of a picture speak for texts",
    .usage = "-m PATH -o FILE.png [OPTION...] IMAGE TEXT...\n"
             "-m PATH --json [OPTION...] IMAGE TEXT...",
    .arguments = "IMAGE|TEXT",
    .text =
        "Draws over a picture, in grey and of its own size, how relevant each part is for a text,\n"
        "by the attention of the last blocks times its gradient (Chefer, Gur and Wolf 2021). The\n"
        "part with the most relevance has the last colour, and the first colour stands for none:\n"
        "what speaks against the text is not shown. Dark edges were cut off before the model saw\n"
        "the picture. Several texts have a file each, whose number from 1 on takes the place of "
        "{}\n"
        "in FILE. JSON: {\"path\":...,\"width\":...,\n"
        "\"height\":...,\"grid\":{\"side\":...,\"left\":...,\"top\":...,\"width\":...,\"height\":"
        "...},\n"
        "\"texts\":[{\"text\":...,\"cosine\":...,\"logit\":...,\"output\":...,\"relevance\":"
        "[[...],\n"
        "...]},...]}, where the grid's rectangle is in pixels of the picture.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_explain,
};
