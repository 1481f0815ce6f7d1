/* SPDX-License-Identifier: MIT
 *
 * {"images": [DATA_URL or {"id": N}, ...], "texts": [...], "templates": [...], "model": NAME},
 * where "image" is one picture; or a form with the parts image, text, template and model, each as
 * often as there are.
 */
#include "server/input.h"
#include "base/error.h"
#include "base/file.h"
#include "server/index.h"
#include "server/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int input_read_number(const struct request *request, const char *name, size_t most, size_t *value)
{
    const char *text = request_query(request, name);
    char *end;
    if (!text)
        return VKCLIP_OK;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || number > most)
        return error_fail(VKCLIP_EINVALID, "%s: expected a number from 0 to %zu, found '%s'", name,
                          most, text);
    *value = (size_t)number;
    return VKCLIP_OK;
}

/* ---- Pictures ---------------------------------------------------------------------------------- */

static int read_descriptor(struct request *request, int file, uint64_t size,
                           struct encode_item *item)
{
    const uint64_t most = request->server->options.max_body;
    if (size > most)
        return error_fail(VKCLIP_EUNSUPPORTED, "the picture's file has %llu bytes, more than %llu",
                          (unsigned long long)size, (unsigned long long)most);
    if (!request_hold(request, (size_t)size))
        return request_fail_memory();
    item->data = malloc((size_t)size + 1);
    if (!item->data)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a picture");
    while (item->size < size) {
        const ssize_t count =
            read(file, (char *)item->data + item->size, (size_t)size - item->size);
        if (count <= 0)
            return error_fail(VKCLIP_EIO, "the picture's file became shorter");
        item->size += (size_t)count;
    }
    return VKCLIP_OK;
}

int input_read_indexed(struct request *request, int64_t id, struct encode_item *item)
{
    struct served_index *index = request->server->index;
    struct vkclip_index *handle;
    uint64_t size;
    int file = -1;
    if (!index)
        return error_fail(VKCLIP_EABSENT, "the server has no index; see --index");
    int error = server_index_take(index, request, &handle);
    if (error)
        return error;
    error = vkclip_open_indexed(handle, id, &file, &size);
    server_index_give(index, handle);
    if (!error)
        error = read_descriptor(request, file, size, item);
    if (file >= 0)
        close(file);
    return error;
}

static int read_image(struct request *request, const json_t *json, size_t number,
                      struct encode_item *item)
{
    char name[sizeof(item->name)];
    snprintf(name, sizeof(name), "picture %zu", number);
    memcpy(item->name, name, sizeof(name));
    const json_t *id = json_object_get(json, "id"), *image = json_object_get(json, "image");
    if (json_is_string(json))
        image = json;
    if (json_is_string(image))
        return encode_read_picture(request, json_string_value(image), name, item);
    if (json_is_integer(id))
        return input_read_indexed(request, json_integer_value(id), item);
    return error_fail(VKCLIP_EINVALID, "%s: expected a data URL, or {\"id\": N}", name);
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static int read_strings(const json_t *json, const char *name, const char ***texts, size_t *count)
{
    *count = json_array_size(json);
    if (json && !json_is_array(json))
        return error_fail(VKCLIP_EINVALID, "%s: expected an array of strings", name);
    if (*count > INPUT_MOST)
        return error_fail(VKCLIP_EINVALID, "%s: expected at most %d, found %zu", name, INPUT_MOST,
                          *count);
    *texts = calloc(*count + 1, sizeof(**texts));
    if (!*texts)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu texts", *count);
    for (size_t i = 0; i < *count; i++) {
        const json_t *text = json_array_get(json, i);
        (*texts)[i] = json_string_value(text);
        if (!(*texts)[i] || strlen((*texts)[i]) != json_string_length(text))
            return error_fail(VKCLIP_EINVALID, "%s: expected an array of strings without NUL",
                              name);
    }
    return VKCLIP_OK;
}

/* A member that is null is as good as none. */
static const json_t *get_member(const struct input *input, const char *key)
{
    const json_t *json = json_object_get(input->json, key);
    return json_is_null(json) ? NULL : json;
}

static int read_images(struct request *request, struct input *input)
{
    const json_t *one = get_member(input, "image"), *several = get_member(input, "images");
    if (several && !json_is_array(several))
        return error_fail(VKCLIP_EINVALID, "images: expected an array of pictures");
    input->image_count = one ? 1 : json_array_size(several);
    if (input->image_count > INPUT_MOST)
        return error_fail(VKCLIP_EINVALID, "images: expected at most %d, found %zu", INPUT_MOST,
                          input->image_count);
    input->images = calloc(input->image_count + 1, sizeof(*input->images));
    if (!input->images)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu pictures", input->image_count);
    for (size_t i = 0; i < input->image_count; i++) {
        const int error =
            read_image(request, one ? one : json_array_get(several, i), i, &input->images[i]);
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

static int read_json(struct request *request, const char *texts_name, struct input *input)
{
    const json_t *model = get_member(input, "model");
    if (!json_is_object(input->json))
        return error_fail(VKCLIP_EINVALID, "the body: expected a JSON object or a form");
    input->model = json_string_value(model);
    if (model && !input->model)
        return error_fail(VKCLIP_EINVALID, "model: expected a string");
    int error = read_images(request, input);
    if (!error)
        error = read_strings(get_member(input, texts_name), texts_name, &input->texts,
                             &input->text_count);
    if (!error)
        error = read_strings(get_member(input, "templates"), "templates", &input->templates,
                             &input->template_count);
    return error;
}

/* ---- Forms ------------------------------------------------------------------------------------- */

static int read_form(const char *texts_name, struct input *input)
{
    const size_t text_length = strlen(texts_name) - 1;
    input->images = calloc(FORM_MOST_PARTS, sizeof(*input->images));
    input->texts = calloc(FORM_MOST_PARTS, sizeof(*input->texts));
    input->templates = calloc(FORM_MOST_PARTS, sizeof(*input->templates));
    if (!input->images || !input->texts || !input->templates)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a form");
    for (size_t i = 0; i < input->form.count; i++) {
        struct form_part *part = &input->form.parts[i];
        const char *text = part->data ? part->data : "";
        if (!strcmp(part->name, "image")) {
            struct encode_item *item = &input->images[input->image_count];
            *item = (struct encode_item){.data = part->data, .size = part->size};
            snprintf(item->name, sizeof(item->name), "picture %zu", input->image_count++);
            part->data = NULL;
        } else if (!strcmp(part->name, "template"))
            input->templates[input->template_count++] = text;
        else if (!strcmp(part->name, "model"))
            input->model = text;
        else if (strlen(part->name) == text_length && !strncmp(part->name, texts_name, text_length))
            input->texts[input->text_count++] = text;
        else
            return error_fail(VKCLIP_EINVALID,
                              "%s: no such part: expected image, %.*s, template and model",
                              part->name, (int)text_length, texts_name);
    }
    return VKCLIP_OK;
}

bool input_open(struct request *request, struct input *input)
{
    *input = (struct input){.model = NULL};
    if (!form_is_sent(request)) {
        input->json = request_json(request);
        return input->json;
    }
    const int error = form_read(request, &input->form);
    if (error)
        answer_library_error(request, error);
    return !error;
}

int input_read(struct request *request, const char *texts_name, struct input *input)
{
    return input->json ? read_json(request, texts_name, input) : read_form(texts_name, input);
}

void input_free(struct input *input)
{
    encode_free(input->images, input->image_count);
    free(input->texts);
    free(input->templates);
    json_decref(input->json);
    form_free(&input->form);
}
