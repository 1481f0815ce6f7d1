/* SPDX-License-Identifier: MIT
 *
 * What requests of the server's own protocol bring: parameters, and what /api/v1/classify and
 * /api/v1/similarity are asked about, pictures and texts as JSON or as a form, which `curl -F`
 * sends.
 */
#ifndef VKCLIP_SERVER_INPUT_H
#define VKCLIP_SERVER_INPUT_H

#include "server/encode.h"
#include "server/form.h"

enum { INPUT_MOST = 4096 };

struct input {
    const char *model;          /* NULL: the default one */
    struct encode_item *images; /* [image_count] */
    size_t image_count;
    const char **texts; /* [text_count] the labels of a classification */
    size_t text_count;
    const char **templates; /* [template_count] */
    size_t template_count;

    /* The texts above lie in one of these. */
    json_t *json;
    struct form form;
};

/* Reads a whole number of the URL's parameters; without it *value stays. Fails with EINVALID. */
int input_read_number(const struct request *request, const char *name, size_t most, size_t *value);
/* Parses the body. False: it was answered. input_free frees everything in any case. */
bool input_open(struct request *request, struct input *input);
/* Reads what the body has, whose texts are called `texts_name` in JSON, and so without its last s
 * in a form. */
int input_read(struct request *request, const char *texts_name, struct input *input);
void input_free(struct input *input);

/* Reads the file of a picture of the index. encode_free frees it, or free(item->data). */
int input_read_indexed(struct request *request, int64_t id, struct encode_item *item);

#endif
