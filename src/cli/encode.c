/* SPDX-License-Identifier: MIT
 *
 * Calls the library's encoders and hands their results to a command, with a progress bar.
 */
#include "cli/encode.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/log.h"
#include "cli/print.h"
#include "cli/remote.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The largest file of a picture that a server is sent. */
enum { MOST_PICTURE = 48 << 20 };

/* ---- Results ----------------------------------------------------------------------------------- */

/* What the functions that the library calls need to know about the call. */
struct call {
    struct cli_session *session;
    const struct cli_encoding *encoding;
    const struct cli_inputs *inputs;
    size_t width;
    const struct tensor_view *pixel_values; /* of cli_encode_pixels */
    bool named;   /* The library's messages name a file or quote a text. */
    bool stopped; /* by the command, which has said why */
};

bool cli_check_finite(struct cli_session *session, const struct cli_input *input,
                      const float *values, size_t count)
{
    const bool half = session->info.precision == VKCLIP_PRECISION_F16;
    size_t i = 0;
    while (i < count && isfinite(values[i]))
        i++;
    if (i < count)
        cli_fail_input(session, "%s: the model's answer is not a finite number; %s", input->text,
                       half ? "try --precision f32" : "are the weights damaged?");
    return i == count;
}

static void report_failure(const struct call *call, const struct cli_input *input,
                           const char *message)
{
    if (call->named) {
        cli_fail_named_input(call->session, input, message);
        return;
    }
    char *named = cli_name_options(call->session, message);
    cli_fail_input(call->session, "%s: %s", input->text, named ? named : message);
    free(named);
}

/* Is a vkclip_item_fn: reports a failed item, and hands the embedding of another to the command. */
static int take_item(void *user, const struct vkclip_item *item)
{
    struct call *call = user;
    const struct cli_encoding *encoding = call->encoding;
    const struct cli_input *input = &call->inputs->items[item->index];
    const char *message = item->error ? item->message : "the embedding is not finite";
    const float *embed = item->embed;
    if (item->error && item->index >= encoding->checks)
        report_failure(call, input, item->message);
    if (!item->error && !cli_check_finite(call->session, input, embed, call->width))
        embed = NULL;
    if (embed || (encoding->hidden && !item->error))
        call->stopped = !encoding->embed(encoding->user, input, embed, call->width);
    if (!embed && encoding->failure && !call->stopped)
        call->stopped = !encoding->failure(encoding->user, input, message);
    call->stopped = call->stopped || (encoding->interruptible && cli_interrupted());
    return call->stopped;
}

/* Is a vkclip_hidden_fn. */
static int take_hidden(void *user, const char *name, const float *data, const size_t *shape,
                       size_t rank, size_t first, size_t items)
{
    const struct cli_encoding *encoding = ((const struct call *)user)->encoding;
    return encoding->hidden(encoding->user, name, data, shape, rank, first, items);
}

/* ---- Calls ------------------------------------------------------------------------------------- */

/* Returns the number of values of one input's result. The library refuses features that the model
 * does not have when the call begins. */
static size_t find_width(const struct cli_session *session, const struct cli_encoding *encoding,
                         enum vkclip_tower tower)
{
    const struct vkclip_model_info *info = &session->info;
    size_t shape[2] = {1, tower == VKCLIP_TOWER_TEXT ? info->text_embed_dim : info->embed_dim};
    if (encoding->features)
        vkclip_get_features_shape(session->model, tower, encoding->features, encoding->length,
                                  shape);
    return shape[0] * shape[1];
}

static struct vkclip_encode_params begin_call(struct call *call)
{
    const struct cli_encoding *encoding = call->encoding;
    cli_start_progress(call->session, 0, call->inputs->count);
    return (struct vkclip_encode_params){.size = sizeof(struct vkclip_encode_params),
                                         .no_normalize = encoding->no_normalize,
                                         .hidden = encoding->hidden ? take_hidden : NULL,
                                         .features = encoding->features,
                                         .progress = cli_show_count,
                                         .user = call,
                                         .item = take_item,
                                         .max_pixels = encoding->decoding.max_pixels,
                                         .orient = encoding->decoding.orient,
                                         .fast_decode = encoding->decoding.fast,
                                         .strict = encoding->strict};
}

static int end_call(const struct call *call, int error)
{
    cli_clear_progress();
    if (call->stopped)
        return CLI_FAILED;
    return error ? cli_fail_library(call->session, CLI_FAILED) : CLI_DONE;
}

/* ---- On a server --------------------------------------------------------------------------------- */

/* Gives the result of one item, or the reason why it has none, as the library does. */
static bool give_item(struct call *call, size_t index, const float *embed, const char *message)
{
    struct vkclip_item item = {.index = index,
                               .error = embed ? VKCLIP_OK : VKCLIP_EINVALID,
                               .message = message,
                               .embed = embed};
    char named[ERROR_MESSAGE];
    const char only[] = "input 0:"; /* so the server calls the only input of a request */
    if (!embed && string_begins_with(message, only)) {
        snprintf(named, sizeof(named), "%s:%s", call->inputs->items[index].text,
                 message + strlen(only));
        item.message = named;
    }
    cli_show_progress(index + 1, "");
    return !take_item(call, &item);
}

/* Encodes some inputs in one request. One that the server refuses has the whole request refused, so
 * that they are then asked for one by one. */
static bool encode_some(struct call *call, size_t first, const struct cli_remote_item *items,
                        size_t count, float *embeds)
{
    char message[ERROR_MESSAGE];
    const struct cli_decoding *decoding = &call->encoding->decoding;
    bool good = cli_encode_remotely(call->session->remote, decoding, items, count, call->width,
                                    embeds, message, sizeof(message));
    for (size_t i = 0; i < count; i++) {
        if (!good && count > 1) {
            if (!encode_some(call, first + i, &items[i], 1, embeds))
                return false;
        } else if (!give_item(call, first + i, good ? embeds + i * call->width : NULL, message))
            return false;
    }
    return true;
}

/* Reads the next inputs as the server takes them: texts as they are, pictures as files. */
static size_t read_some(struct call *call, bool texts, size_t first, struct cli_remote_item *items,
                        char **data)
{
    const struct cli_inputs *inputs = call->inputs;
    size_t count = 0;
    for (; count < CLI_REMOTE_MOST && first + count < inputs->count; count++) {
        const struct cli_input *input = &inputs->items[first + count];
        const char *path = input->file ? input->file : input->text;
        items[count] = (struct cli_remote_item){.text = input->text, .size = input->length};
        if (texts)
            continue;
        if (file_read(path, MOST_PICTURE, &data[count], &items[count].size))
            break;
        items[count].text = NULL;
        items[count].data = data[count];
    }
    return count;
}

static int encode_on_server(struct call *call, bool texts)
{
    struct cli_remote_item items[CLI_REMOTE_MOST];
    char *data[CLI_REMOTE_MOST] = {NULL};
    float *embeds = calloc(CLI_REMOTE_MOST, call->width * sizeof(*embeds));
    bool good = embeds;
    begin_call(call);
    for (size_t first = 0; good && first < call->inputs->count;) {
        const size_t count = read_some(call, texts, first, items, data);
        if (count)
            good = encode_some(call, first, items, count, embeds);
        else /* The first picture cannot be read. */
            good = give_item(call, first, NULL, vkclip_last_error());
        first += count ? count : 1;
        for (size_t i = 0; i < CLI_REMOTE_MOST; i++) {
            free(data[i]);
            data[i] = NULL;
        }
    }
    free(embeds);
    cli_clear_progress();
    return good ? CLI_DONE : CLI_FAILED;
}

/* Is a vkclip_source_fn: runs on threads of the library. */
static int read_picture(void *user, size_t index, float *pixel_values)
{
    const struct call *call = user;
    const struct cli_input *input = &call->inputs->items[index];
    const struct cli_decoding *decoding = &call->encoding->decoding;
    const uint32_t size = call->session->info.image_size;
    const struct vkclip_image_params params = {.size = sizeof(params),
                                               .max_pixels = decoding->max_pixels,
                                               .orient = decoding->orient,
                                               .least_side = decoding->fast ? 2 * size : 0};
    struct vkclip_image image = {0};
    int error = VKCLIP_OK;
    if (!input->archive)
        error = vkclip_load_image(input->file ? input->file : input->text, &params, &image);
    else if (input->archive->problem)
        error = error_fail(VKCLIP_EFORMAT, "%s", input->archive->problem);
    else
        error = vkclip_load_archived(input->archive->handle, input->member, &params, &image);
    if (error)
        return error;
    error = vkclip_preprocess(call->session->model, &image, NULL, pixel_values);
    vkclip_free_image(&image);
    return error ? error_fail(error, "%s: %s", input->text, vkclip_last_error()) : VKCLIP_OK;
}

static bool has_archives(const struct cli_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++)
        if (inputs->items[i].archive)
            return true;
    return false;
}

int cli_encode_files(struct cli_session *session, const struct cli_encoding *encoding,
                     const struct cli_inputs *inputs)
{
    struct call call = {.session = session,
                        .encoding = encoding,
                        .inputs = inputs,
                        .width = find_width(session, encoding, VKCLIP_TOWER_IMAGE),
                        .named = true};
    if (session->remote)
        return encode_on_server(&call, false);
    if (has_archives(inputs)) {
        const struct vkclip_encode_params params = begin_call(&call);
        return end_call(&call, vkclip_encode_source(session->model, read_picture, inputs->count,
                                                    &params, NULL));
    }
    const char **paths = cli_list_paths(inputs);
    if (!paths)
        return cli_fail_memory();
    const struct vkclip_encode_params params = begin_call(&call);
    int error = vkclip_encode_files(session->model, paths, inputs->count, &params, NULL);
    free(paths);
    return end_call(&call, error);
}

int cli_encode_texts(struct cli_session *session, const struct cli_encoding *encoding,
                     const struct cli_inputs *inputs)
{
    struct call call = {.session = session,
                        .encoding = encoding,
                        .inputs = inputs,
                        .width = find_width(session, encoding, VKCLIP_TOWER_TEXT),
                        .named = true};
    if (session->remote)
        return encode_on_server(&call, true);
    const char **texts = cli_list_texts(inputs);
    size_t *lengths = calloc(inputs->count + 1, sizeof(*lengths));
    int status = CLI_DONE;
    for (size_t i = 0; lengths && i < inputs->count; i++)
        lengths[i] = inputs->items[i].length;
    if (texts && lengths) {
        struct vkclip_encode_params params = begin_call(&call);
        params.lengths = lengths;
        status = end_call(&call,
                          vkclip_encode_texts(session->model, texts, inputs->count, &params, NULL));
    } else {
        status = cli_fail_memory();
    }
    free(texts);
    free(lengths);
    return status;
}

/* Is a vkclip_source_fn: runs on threads of the library. */
static int read_row(void *user, size_t index, float *pixel_values)
{
    const struct tensor_view *tensor = ((const struct call *)user)->pixel_values;
    const uint64_t row = tensor->shape[1] * tensor->shape[2] * tensor->shape[3];
    return tensor_view_read(tensor, index * row, row, pixel_values);
}

int cli_encode_pixels(struct cli_session *session, const struct cli_encoding *encoding,
                      const struct cli_inputs *inputs, const struct tensor_view *pixel_values)
{
    struct call call = {.session = session,
                        .encoding = encoding,
                        .inputs = inputs,
                        .width = find_width(session, encoding, VKCLIP_TOWER_IMAGE),
                        .pixel_values = pixel_values};
    const struct vkclip_encode_params params = begin_call(&call);
    return end_call(&call,
                    vkclip_encode_source(session->model, read_row, inputs->count, &params, NULL));
}

int cli_encode_ids(struct cli_session *session, const struct cli_encoding *encoding,
                   const struct cli_inputs *inputs, const int32_t *ids, const int32_t *mask,
                   size_t length)
{
    struct call call = {.session = session,
                        .encoding = encoding,
                        .inputs = inputs,
                        .width = find_width(session, encoding, VKCLIP_TOWER_TEXT)};
    struct vkclip_encode_params params = begin_call(&call);
    params.attention_mask = mask;
    return end_call(
        &call, vkclip_encode_tokens(session->model, ids, inputs->count, length, &params, NULL));
}

/* ---- Labels ------------------------------------------------------------------------------------ */

int cli_encode_labels(struct cli_session *session, const struct cli_inputs *labels,
                      const struct cli_inputs *templates, bool strict, float *embeds)
{
    const struct vkclip_encode_params params = {.size = sizeof(params), .strict = strict};
    const char **label_texts = cli_list_texts(labels), **template_texts = cli_list_texts(templates);
    int status = CLI_DONE;
    if (!label_texts || !template_texts)
        status = cli_fail_memory();
    else if (vkclip_encode_labels(session->model, label_texts, labels->count, template_texts,
                                  templates->count, &params, embeds))
        status = cli_fail_library(session, CLI_FAILED);
    free(label_texts);
    free(template_texts);
    return status;
}
