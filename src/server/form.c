/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strdup */
#include "server/form.h"
#include "base/error.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of the headers of one part. */
enum { HEADER_BUFFER = 4096 };

bool form_is_sent(const struct request *request)
{
    const char *type = request_header(request, MHD_HTTP_HEADER_CONTENT_TYPE);
    return type && !strncasecmp(type, MHD_HTTP_POST_ENCODING_MULTIPART_FORMDATA,
                                strlen(MHD_HTTP_POST_ENCODING_MULTIPART_FORMDATA));
}

/* Is an MHD_PostDataIterator. A value comes in pieces, the first of which has offset 0. */
static enum MHD_Result take_piece(void *user, enum MHD_ValueKind kind, const char *name,
                                  const char *file_name, const char *type, const char *coding,
                                  const char *data, uint64_t offset, size_t size)
{
    struct form *form = user;
    (void)kind;
    (void)file_name;
    (void)type;
    (void)coding;
    if (!offset) {
        form->too_many = form->count == FORM_MOST_PARTS;
        if (form->too_many)
            return MHD_NO;
        form->parts[form->count++] = (struct form_part){.name = strdup(name ? name : "")};
    }
    struct form_part *part = &form->parts[form->count - 1];
    char *grown = realloc(part->data, part->size + size + 1);
    form->no_memory = !grown || !part->name;
    if (form->no_memory)
        return MHD_NO;
    memcpy(grown + part->size, data, size);
    part->data = grown;
    part->size += size;
    part->data[part->size] = 0;
    return MHD_YES;
}

int form_read(const struct request *request, struct form *form)
{
    *form = (struct form){.count = 0};
    if (!form_is_sent(request))
        return error_fail(VKCLIP_EINVALID, "expected a form, as multipart/form-data");
    struct MHD_PostProcessor *processor =
        MHD_create_post_processor(request->connection, HEADER_BUFFER, take_piece, form);
    if (!processor)
        return error_fail(VKCLIP_EINVALID, "the form has no boundary");
    bool good = !request->size || MHD_post_process(processor, request->body, request->size);
    /* RFC 2046 lets a form end with its last boundary; libmicrohttpd wants a line's end there. */
    if (good && request->size > 2 && request->body[request->size - 1] == '-')
        good = MHD_post_process(processor, "\r\n", 2);
    good = MHD_destroy_post_processor(processor) && good;
    if (form->no_memory)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a form");
    if (form->too_many)
        return error_fail(VKCLIP_EINVALID, "the form has more than %d parts", FORM_MOST_PARTS);
    return good ? VKCLIP_OK
                : error_fail(VKCLIP_EINVALID, "the form is malformed, or ends before its end");
}

void form_free(struct form *form)
{
    for (size_t i = 0; i < form->count; i++) {
        free(form->parts[i].name);
        free(form->parts[i].data);
    }
    form->count = 0;
}

const struct form_part *form_find(const struct form *form, const char *name)
{
    for (size_t i = 0; i < form->count; i++)
        if (!strcmp(form->parts[i].name, name))
            return &form->parts[i];
    return NULL;
}
