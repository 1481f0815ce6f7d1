/* SPDX-License-Identifier: MIT
 *
 * Reads the body of a form: multipart/form-data (RFC 7578).
 */
#ifndef VKCLIP_SERVER_FORM_H
#define VKCLIP_SERVER_FORM_H

#include "server/request.h"

enum { FORM_MOST_PARTS = 64 };

struct form {
    struct form_part {
        char *name;
        char *data; /* [size], and a NUL after it */
        size_t size;
    } parts[FORM_MOST_PARTS];
    size_t count;
};

/* Tells whether the body is a form by the header Content-Type. curl -d says that JSON is one, of
 * application/x-www-form-urlencoded, which is therefore no form here. */
bool form_is_sent(const struct request *request);
/* Fails with EINVALID if the body is no whole form. form_free frees the parts in any case. */
int form_read(const struct request *request, struct form *form);
/* The same for any body and its Content-Type. */
int form_parse(const char *type, const char *body, size_t size, struct form *form);
void form_free(struct form *form);
/* Finds the first part of a name; NULL: there is none. */
const struct form_part *form_find(const struct form *form, const char *name);

#endif
