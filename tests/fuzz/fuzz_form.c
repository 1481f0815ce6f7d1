/* SPDX-License-Identifier: MIT
 *
 * Parses the input as a form that a client of the server sends. Its first line is the value of the
 * header Content-Type. The parts of a form that is taken must lie within the body, in order.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "server/form.h"

/* Stands for that of the server, which form_read alone calls. */
const char *request_header(const struct request *request, const char *name)
{
    (void)request;
    (void)name;
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line_end = memchr(data, '\n', size);
    const size_t length = line_end ? (size_t)(line_end - data) : size;
    char *type = malloc(length + 1);
    fuzz_check(type, "memory");
    memcpy(type, data, length);
    type[length] = 0;
    const char *body = line_end ? (const char *)line_end + 1 : NULL;
    const size_t body_size = line_end ? size - length - 1 : 0;
    struct form form;
    const int error = form_parse(type, body, body_size, &form);
    size_t total = 0;
    for (size_t i = 0; !error && i < form.count; i++) {
        const struct form_part *part = &form.parts[i];
        fuzz_check(part->name && part->data && !part->data[part->size], "part");
        fuzz_check(memmem(body, body_size, part->data, part->size), "a part is of the body");
        fuzz_check(form_find(&form, part->name), "a part is found");
        total += part->size;
    }
    fuzz_check(error || total <= body_size, "all parts fit into the body");
    form_free(&form);
    free(type);
    return 0;
}
