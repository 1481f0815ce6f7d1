/* SPDX-License-Identifier: MIT
 *
 * Loads inputs and runs them through the encoders in groups.
 */
#include "base/clock.h"
#include "base/string.h"
#include "cli/encode.h"
#include "cli/log.h"
#include "cli/print.h"
#include "format/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP = 64,      /* two of the largest batches that the library chooses by itself */
    PICTURES = 1024, /* in a group, of which few are in memory at once */
};

/* A picture file to [S,S,3] and [3,S,S]. A failure is told in a new string, or in `none` where
 * there is no memory for one; else NULL. May run on several threads at once. */
static char *load_picture(const struct cli_session *session, const char *path, uint32_t max_pixels,
                          uint8_t *u8, float *pixel_values, char *none)
{
    struct vkclip_image image = {0};
    char *told = NULL;
    if (vkclip_load_image(path, max_pixels, &image))
        told = cli_name_options(session, vkclip_last_error());
    else if (vkclip_preprocess(session->model, &image, u8, pixel_values))
        told = string_format("%s: %s", path, vkclip_last_error());
    else
        none = NULL;
    vkclip_free_image(&image);
    return told ? told : none;
}

static char no_memory[] = "out of memory";

/* Reports what load_picture told, if anything. */
static bool is_loaded(struct cli_session *session, char *told)
{
    if (told)
        cli_fail_input(session, "%s", told);
    if (told != no_memory)
        free(told);
    return !told;
}

bool cli_load_picture(struct cli_session *session, const char *path, uint32_t max_pixels,
                      uint8_t *u8, float *pixel_values)
{
    return is_loaded(session, load_picture(session, path, max_pixels, u8, pixel_values, no_memory));
}

bool cli_tokenize_text(struct cli_session *session, const char *text, size_t length, unsigned flags,
                       int32_t *ids, size_t capacity, size_t *count)
{
    size_t shown = length < 40 ? length : 40;
    while (shown && shown < length && (text[shown] & 0xc0) == 0x80)
        shown--; /* not within a character */
    snprintf(session->subject, sizeof(session->subject), "text '%.*s%s': ", (int)shown, text,
             shown < length ? "..." : "");
    int error = vkclip_tokenize(session->model, text, length, flags, ids, capacity, count);
    if (error)
        cli_fail_library_input(session, session->subject);
    session->subject[0] = 0;
    return !error;
}

/* Whether the model has these ids is left to the library. */
static bool load_ids(struct cli_session *session, const struct cli_input *input, int32_t *ids,
                     size_t length)
{
    const char *data = input->tensor->data;
    size_t first = (size_t)input->row * length;
    if (input->tensor->dtype == DTYPE_I32)
        memcpy(ids, data + first * sizeof(*ids), length * sizeof(*ids));
    for (size_t i = 0; i < length && input->tensor->dtype == DTYPE_I64; i++) {
        int64_t id;
        memcpy(&id, data + (first + i) * sizeof(id), sizeof(id));
        if (id < 0 || id > INT32_MAX) {
            cli_fail_input(session, "%s: %lld is not a token id", input->text, (long long)id);
            return false;
        }
        ids[i] = (int32_t)id;
    }
    return true;
}

/* One row of the group: pixel values or ids, four bytes an element. */
static bool load_row(struct cli_session *session, const struct cli_encoding *encoding,
                     const struct cli_input *input, void *row, size_t length)
{
    if (encoding->images && !input->tensor)
        return cli_load_picture(session, input->text, encoding->max_pixels, NULL, row);
    if (!input->tensor) {
        unsigned flags = VKCLIP_TOKENIZE_PAD | (encoding->strict ? VKCLIP_TOKENIZE_STRICT : 0);
        size_t count;
        return cli_tokenize_text(session, input->text, input->length, flags, row, length, &count);
    }
    if (!encoding->images)
        return load_ids(session, input, row, length);
    tensor_view_read(input->tensor, input->row * length, length, row);
    return true;
}

bool cli_check_finite(struct cli_session *session, const struct cli_input *input,
                      const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i])) {
            cli_fail_input(
                session, "%s: the model's answer is not a finite number; %s", input->text,
                session->info.precision == VKCLIP_PRECISION_F16 ? "try --precision f32"
                                                                : "are the weights damaged?");
            return false;
        }
    return true;
}

/* The state of one run. */
struct group {
    struct cli_session *session;
    const struct cli_encoding *encoding;
    size_t row, width; /* elements of an input's row and of its embedding */
    char *rows;        /* [GROUP,row] */
    float *embeds;
    const struct cli_input *inputs[PICTURES]; /* those that were loaded */
    char *told[PICTURES];                     /* what is wrong with the others */
    size_t done;                              /* inputs of earlier groups */
};

static void show_progress(void *user, size_t done, size_t total)
{
    (void)total;
    cli_show_progress(((struct group *)user)->done + done, "");
}

static int hand_over_hidden(void *user, const char *name, const float *data, const size_t *shape,
                            size_t rank, size_t first, size_t items)
{
    const struct cli_encoding *encoding = ((struct group *)user)->encoding;
    return encoding->hidden(encoding->user, name, data, shape, rank, first, items);
}

/* Rows [first, first + count) through the model and on to the command. */
static int encode_rows(struct group *group, size_t first, size_t count)
{
    const struct cli_encoding *encoding = group->encoding;
    struct vkclip_encode_params params = {.no_normalize = encoding->no_normalize,
                                          .hidden = encoding->hidden ? hand_over_hidden : NULL,
                                          .progress = show_progress,
                                          .user = group};
    const char *rows = group->rows + first * group->row * 4;
    struct vkclip_model *model = group->session->model;
    int error = encoding->images
                    ? vkclip_encode_pixels(model, (const void *)rows, count, &params, group->embeds)
                    : vkclip_encode_tokens(model, (const void *)rows, count, group->row, &params,
                                           group->embeds);
    if (!error)
        return encoding->group(encoding->user, group->inputs + first, count, group->embeds,
                               group->width)
                   ? CLI_DONE
                   : CLI_FAILED;
    if (error != VKCLIP_EINVALID)
        return cli_fail_library(group->session, CLI_FAILED);
    if (count == 1) {
        cli_fail_input(group->session, "%s: %s", group->inputs[first]->text, vkclip_last_error());
        return CLI_DONE;
    }
    int status = CLI_DONE; /* one of them is not acceptable: find out which */
    for (size_t i = 0; i < count && !status; i++)
        status = encode_rows(group, first + i, 1);
    return status;
}

/* Inputs of a group to rows, and these through the model. */
static int encode_group(struct group *group, size_t count)
{
    const struct cli_encoding *encoding = group->encoding;
    size_t loaded = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cli_input *input = &encoding->inputs[group->done + i];
        if (load_row(group->session, encoding, input, group->rows + loaded * group->row * 4,
                     group->row))
            group->inputs[loaded++] = input;
    }
    return loaded ? encode_rows(group, 0, loaded) : CLI_DONE;
}

/* On threads of the library. */
static int give_picture(void *user, size_t index, float *pixel_values)
{
    struct group *group = user;
    const struct cli_encoding *encoding = group->encoding;
    const struct cli_input *input = &encoding->inputs[group->done + index];
    if (input->tensor)
        tensor_view_read(input->tensor, input->row * group->row, group->row, pixel_values);
    else
        group->told[index] = load_picture(group->session, input->text, encoding->max_pixels, NULL,
                                          pixel_values, no_memory);
    return group->told[index] != NULL;
}

/* Pictures of a group through the model while the next ones are loaded. */
static int encode_pictures(struct group *group, size_t count)
{
    const struct cli_encoding *encoding = group->encoding;
    struct cli_session *session = group->session;
    struct vkclip_encode_params params = {
        .no_normalize = encoding->no_normalize, .progress = show_progress, .user = group};
    size_t loaded = 0;
    memset(group->told, 0, sizeof(group->told));
    int error = vkclip_encode_source(session->model, give_picture, count, &params, group->embeds);
    for (size_t i = 0; i < count; i++) {
        if (!is_loaded(session, group->told[i]) || error)
            continue;
        group->inputs[loaded] = &encoding->inputs[group->done + i];
        memmove(&group->embeds[loaded++ * group->width], &group->embeds[i * group->width],
                group->width * sizeof(*group->embeds));
    }
    if (error)
        return cli_fail_library(session, CLI_FAILED);
    return !loaded || encoding->group(encoding->user, group->inputs, loaded, group->embeds,
                                      group->width)
               ? CLI_DONE
               : CLI_FAILED;
}

int cli_encode(struct cli_session *session, const struct cli_encoding *encoding)
{
    const struct vkclip_model_info *info = &session->info;
    size_t pixels = 3 * (size_t)info->image_size * info->image_size;
    bool stream = encoding->images && !encoding->hidden; /* hidden states are of loaded rows only */
    size_t most = stream ? PICTURES : GROUP, size = GROUP;
    struct group *group = calloc(1, sizeof(*group));
    if (!group)
        return cli_fail(CLI_FAILED, "out of memory");
    group->session = session;
    group->encoding = encoding;
    group->row = encoding->images ? pixels : encoding->length;
    group->width = encoding->images ? info->embed_dim : info->text_embed_dim;
    group->rows = stream ? NULL : calloc(GROUP * group->row, 4);
    group->embeds = calloc(most * group->width, sizeof(*group->embeds));
    int status =
        (stream || group->rows) && group->embeds ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
    cli_start_progress(session, 0, encoding->count);
    while (!status && group->done < encoding->count) {
        size_t count = encoding->count - group->done < size ? encoding->count - group->done : size;
        double start = clock_seconds();
        status = (stream ? encode_pictures : encode_group)(group, count);
        if (size < most && clock_seconds() - start < 1) /* a fast device is kept from waiting, */
            size *= 2;                                  /* from a slow one results come soon */
        group->done += count;
        cli_show_progress(group->done, "");
    }
    cli_clear_progress();
    free(group->rows);
    free(group->embeds);
    free(group);
    return status;
}

int cli_check_templates(const struct cli_session *session, const struct cli_inputs *templates)
{
    for (size_t i = 0; i < templates->count; i++)
        if (!strstr(templates->items[i].text, "{}"))
            return cli_fail_usage(session, "template '%s' has no {} for the label",
                                  templates->items[i].text);
    return CLI_DONE;
}

int cli_encode_labels(struct cli_session *session, const struct cli_inputs *labels,
                      const struct cli_inputs *templates, float *embeds)
{
    const char **label_texts = cli_list_texts(labels), **template_texts = cli_list_texts(templates);
    int status = CLI_DONE;
    if (!label_texts || !template_texts)
        status = cli_fail(CLI_FAILED, "out of memory");
    else if (vkclip_encode_labels(session->model, label_texts, labels->count, template_texts,
                                  templates->count, NULL, embeds))
        status = cli_fail_library(session, CLI_FAILED);
    free(label_texts);
    free(template_texts);
    return status;
}
