/* SPDX-License-Identifier: MIT
 *
 * vkclip preprocess: pictures as the image tower is given them, in a file.
 */
#include "cli/command.h"
#include "cli/commands/results.h"
#include "cli/inputs.h"
#include "cli/log.h"
#include "cli/model.h"

struct options {
    struct cli_model_options model;
    struct cli_pictures pictures;
    const char *output;
};

enum { PIXEL_VALUES, BYTES }; /* positions of the two tensors among the results */

/* False: the picture cannot be read, which was reported and counted. */
static bool load_picture(struct cli_session *session, const struct cli_input *picture,
                         const struct cli_decoding *decoding, uint8_t *bytes, float *values)
{
    const struct vkclip_image_params params = {
        .size = sizeof(params),
        .max_pixels = decoding->max_pixels,
        .orient = decoding->orient,
        .least_side = decoding->fast ? 2 * session->info.image_size : 0};
    struct vkclip_image image = {0};
    if (vkclip_load_image(picture->file ? picture->file : picture->text, &params, &image)) {
        cli_fail_named_input(session, picture, vkclip_last_error());
        return false;
    }
    int error = vkclip_preprocess(session->model, &image, bytes, values);
    if (error)
        cli_fail_input(session, "%s: %s", picture->text, vkclip_last_error());
    vkclip_free_image(&image);
    return !error;
}

/* Appends the rows of one picture; a picture that cannot be read is left out. False when out of
 * memory. */
static bool take_picture(struct cli_session *session, const struct cli_input *picture,
                         const struct cli_decoding *decoding, struct results *results)
{
    struct rows *values = &results->tensors[PIXEL_VALUES], *bytes = &results->tensors[BYTES];
    const size_t row = values->count;
    if (!results_reserve(values, row + 1) || !results_reserve(bytes, row + 1))
        return false;
    if (!load_picture(session, picture, decoding, (uint8_t *)bytes->data + row * bytes->size,
                      (float *)(void *)(values->data + row * values->size)))
        return true;
    values->count = bytes->count = row + 1;
    return cli_add_input(&results->inputs, picture->text, picture->length);
}

static int take_pictures(struct cli_session *session, const struct cli_pictures *pictures,
                         struct results *results)
{
    const struct cli_inputs *images = &pictures->images;
    const size_t size = session->info.image_size;
    const size_t values[] = {0, 3, size, size}, bytes[] = {0, size, size, 3};
    bool good = results_add(results, "pixel_values", DTYPE_F32, values, 4) &&
                results_add(results, "u8", DTYPE_U8, bytes, 4);
    cli_start_progress(session, 0, images->count);
    for (size_t i = 0; good && i < images->count; i++) {
        good = take_picture(session, &images->items[i], &pictures->decoding, results);
        cli_show_progress(i + 1, "");
    }
    cli_clear_progress();
    return good ? CLI_DONE : cli_fail_memory();
}

static int check_options(const struct cli_session *session, const struct options *options)
{
    if (!options->model.path)
        return cli_fail_usage(session, "name a model with -m");
    if (!options->pictures.images.count && !session->arguments.count)
        return cli_fail_usage(session, "expected pictures");
    if (!options->output || results_find_format(options->output) != RESULTS_SAFETENSORS)
        return cli_fail_usage(session, "name the result with -o FILE.safetensors");
    return CLI_DONE;
}

static int write_result(const struct cli_session *session, const char *path,
                        const struct results *results)
{
    const struct results none = {0};
    if (!results->inputs.count)
        return cli_fail(CLI_FAILED, "%s: not written, no input is left", path);
    int status = results_write_safetensors(path, results, &none, false);
    if (!status && session->common.json && !results_print_tensors(path, results, &none))
        status = CLI_FAILED;
    return status;
}

static int run_preprocess(struct cli_session *session, void *user)
{
    struct options *options = user;
    struct results results = {0};
    int status = check_options(session, options);
    if (!status)
        status = cli_open_model(session, &options->model);
    if (!status)
        status = cli_check_model(session, options->model.path, CLI_NEED_IMAGES);
    if (!status)
        status = cli_read_pictures(session, &options->pictures);
    if (!status)
        status = take_pictures(session, &options->pictures, &results);
    if (!status)
        status = write_result(session, options->output, &results);
    results_free(&results);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_path_options, FIELD(model)),
    CLI_OPTION('o', "output", "FILE", CLI_TEXT, FIELD(output), "the result's file"),
    CLI_INCLUDE(cli_picture_options, FIELD(pictures)),
    CLI_INCLUDE(cli_image_size_options, FIELD(model)),
    CLI_INCLUDE(cli_activation_options, FIELD(model)),
    {0}};

const struct cli_command cli_preprocess_command = {
    .name = "preprocess",
    .summary = "resize, crop and normalise pictures into a file",
    .usage = "-m PATH -o FILE [OPTION...] IMAGE|FOLDER...",
    .arguments = "IMAGE|FOLDER",
    .text =
        "Writes what the image tower is given: u8 [N,S,S,3], the bytes after resizing and\n"
        "cropping, and pixel_values [N,3,S,S], the same normalised. Pictures given by --image or\n"
        "--images-from come before the arguments. Needs no device.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_preprocess,
};
