/* SPDX-License-Identifier: MIT
 *
 * The page in which people search, and openapi.json, which describes everything that the server
 * answers. The files are in page/ and become a part of the command.
 */
#include "server/page.h"
#include "server/handlers.h"

#include <string.h>

/* Nothing but what this server gives may run, be shown or be asked; pictures that a person drops
 * are shown as blobs. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

static void answer_page_file(struct request *request, const char *name)
{
    const struct page_file *file = page_files;
    while (file->name && strcmp(file->name, name))
        file++;
    if (!file->name) {
        answer_error(request, 404, "%s: no such address", request->path);
        return;
    }
    const char *known = request_header(request, "If-None-Match");
    if (known && strstr(known, file->etag))
        answer_static(request, 304, file->type, "", 0);
    else
        answer_static(request, 200, file->type, file->data, file->size);
    answer_header(request, "ETag", file->etag);
    answer_header(request, "Cache-Control", "no-cache");
    answer_header(request, "Content-Security-Policy", policy);
    answer_header(request, "Referrer-Policy", "no-referrer");
}

/* "/" is the page, and "/page/NAME" a file of it. */
void handle_page(struct request *request)
{
    const char *name = request->path[1] ? request->path + strlen("/page/") : "index.html";
    answer_page_file(request, name);
}

void handle_openapi(struct request *request)
{
    answer_page_file(request, "openapi.json");
}
