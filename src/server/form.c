/* SPDX-License-Identifier: MIT
 *
 * The body is in memory as a whole, so that a part is what lies between two boundaries.
 */
#define _GNU_SOURCE /* memmem, strndup */
#include "server/form.h"
#include "base/error.h"
#include "server/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MOST_BOUNDARY = 70, /* characters, by RFC 2046 */
    MOST_HEADERS = 4096 /* bytes of the headers of one part */
};

static const char form_type[] = "multipart/form-data", line_end[] = "\r\n";

static bool is_form(const char *type)
{
    const size_t length = sizeof(form_type) - 1;
    return type && !strncasecmp(type, form_type, length) &&
           (!type[length] || strchr("; \t", type[length]));
}

bool form_is_sent(const struct request *request)
{
    return is_form(request_header(request, "Content-Type"));
}

/* What is left of a body, which begins behind a boundary. */
struct rest {
    const char *next, *end;
    char delimiter[MOST_BOUNDARY + 5]; /* a line's end, two hyphens and the boundary */
    size_t delimiter_length;
};

static const char *find(const struct rest *rest, const char *from, const char *text, size_t length)
{
    return memmem(from, (size_t)(rest->end - from), text, length);
}

/* Finds the name in the line Content-Disposition of a part's headers. */
static int read_name(const char *headers, char **name)
{
    static const char key[] = "Content-Disposition:";
    char value[MOST_HEADERS];
    for (const char *line = headers; *line && !*name;) {
        const size_t length = strcspn(line, line_end);
        if (!strncasecmp(line, key, sizeof(key) - 1)) {
            char *copy = strndup(line, length);
            const bool found = copy && header_find_parameter(copy, "name", value, sizeof(value));
            *name = found ? strdup(value) : NULL;
            free(copy);
            if (!copy || (found && !*name))
                return error_fail(VKCLIP_EMEMORY, "out of memory for a form");
        }
        line += length;
        line += strspn(line, line_end);
    }
    return *name ? VKCLIP_OK : error_fail(VKCLIP_EINVALID, "a part of the form has no name");
}

/* Reads the headers of a part; rest->next is then its first byte. */
static int read_headers(struct rest *rest, char **name)
{
    char headers[MOST_HEADERS];
    const char *end = find(rest, rest->next, "\r\n\r\n", 4);
    const size_t length = end ? (size_t)(end - rest->next) : 0;
    if (!end || length >= sizeof(headers) || memchr(rest->next, 0, length))
        return error_fail(VKCLIP_EINVALID, "a part of the form has no headers, or too long ones");
    memcpy(headers, rest->next, length);
    headers[length] = 0;
    rest->next = end + 4;
    return read_name(headers, name);
}

static int read_part(struct rest *rest, struct form_part *part)
{
    const int error = read_headers(rest, &part->name);
    if (error)
        return error;
    const char *end = find(rest, rest->next, rest->delimiter, rest->delimiter_length);
    if (!end)
        return error_fail(VKCLIP_EINVALID, "the form ends before its last boundary");
    part->size = (size_t)(end - rest->next);
    part->data = malloc(part->size + 1);
    if (!part->data)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a form");
    memcpy(part->data, rest->next, part->size);
    part->data[part->size] = 0;
    rest->next = end + rest->delimiter_length;
    return VKCLIP_OK;
}

/* Steps over the end of a boundary's line. Tells whether another part follows. */
static int end_boundary(struct rest *rest, bool *more)
{
    const size_t left = (size_t)(rest->end - rest->next);
    *more = left < 2 || memcmp(rest->next, "--", 2);
    if (!*more)
        return VKCLIP_OK;
    while (rest->next < rest->end && (*rest->next == ' ' || *rest->next == '\t'))
        rest->next++;
    if (rest->end - rest->next < 2 || memcmp(rest->next, line_end, 2))
        return error_fail(VKCLIP_EINVALID, "a boundary of the form is no line of its own");
    rest->next += 2;
    return VKCLIP_OK;
}

/* The first boundary may be the first line of the body, where no line ends before it. */
static int find_first(struct rest *rest)
{
    const char *start = rest->delimiter + 2;
    const size_t length = rest->delimiter_length - 2;
    if ((size_t)(rest->end - rest->next) >= length && !memcmp(rest->next, start, length)) {
        rest->next += length;
        return VKCLIP_OK;
    }
    const char *found = find(rest, rest->next, rest->delimiter, rest->delimiter_length);
    if (!found)
        return error_fail(VKCLIP_EINVALID, "the form does not have its boundary");
    rest->next = found + rest->delimiter_length;
    return VKCLIP_OK;
}

int form_parse(const char *type, const char *body, size_t size, struct form *form)
{
    char boundary[MOST_BOUNDARY + 1];
    struct rest rest = {.next = body ? body : "", .end = body ? body + size : ""};
    bool more;
    *form = (struct form){.count = 0};
    if (!is_form(type))
        return error_fail(VKCLIP_EINVALID, "expected a form, as multipart/form-data");
    if (!header_find_parameter(type, "boundary", boundary, sizeof(boundary)) || !*boundary)
        return error_fail(VKCLIP_EINVALID, "the form has no boundary of at most %d characters",
                          MOST_BOUNDARY);
    rest.delimiter_length =
        (size_t)snprintf(rest.delimiter, sizeof(rest.delimiter), "\r\n--%s", boundary);
    int error = find_first(&rest);
    while (!error && !(error = end_boundary(&rest, &more)) && more) {
        if (form->count == FORM_MOST_PARTS)
            error = error_fail(VKCLIP_EINVALID, "the form has more than %d parts", FORM_MOST_PARTS);
        else
            error = read_part(&rest, &form->parts[form->count++]);
    }
    return error;
}

int form_read(const struct request *request, struct form *form)
{
    return form_parse(request_header(request, "Content-Type"), request->body, request->size, form);
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
