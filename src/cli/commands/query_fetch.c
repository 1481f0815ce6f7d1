/* SPDX-License-Identifier: MIT
 *
 * Downloads the pictures of a query, as vkclip pull downloads models.
 */
#include "cli/commands/query.h"
#ifdef VKCLIP_WITH_CURL
#include "cli/http.h"
#endif

#include <stdio.h>

#ifdef VKCLIP_WITH_CURL
/* The most bytes of a picture: no format needs more than eight per pixel, for four channels of 16
 * bits, and what is beside the pixels seldom has a MiB. */
static int64_t most_bytes(uint64_t max_pixels)
{
    const uint64_t pixels = max_pixels ? max_pixels : 89478485; /* the default of --max-pixels */
    return (int64_t)((pixels < UINT32_MAX ? pixels : UINT32_MAX) * 8 + (1 << 20));
}

static bool fetch_picture(struct cli_session *session, uint64_t max_pixels, struct query *query,
                          struct vkclip_query_part *part)
{
    struct cli_http *http = NULL;
    if (!cli_open_http(session, NULL, &http))
        part->data = cli_get_picture(http, part->value, most_bytes(max_pixels), &part->size,
                                     query->error, sizeof(query->error));
    else
        snprintf(query->error, sizeof(query->error), "%s: no connection", part->value);
    cli_close_http(&http);
    return part->data;
}
#else
static bool fetch_picture(struct cli_session *session, uint64_t max_pixels, struct query *query,
                          struct vkclip_query_part *part)
{
    (void)session;
    (void)max_pixels;
    snprintf(query->error, sizeof(query->error),
             "%s: this vkclip cannot download pictures: it was built without libcurl", part->value);
    return false;
}
#endif

bool query_fetch(struct cli_session *session, uint64_t max_pixels, struct query *query)
{
    for (size_t i = 0; i < query->count; i++)
        if (query->parts[i].kind == VKCLIP_QUERY_IMAGE && query_is_url(query->parts[i].value) &&
            !fetch_picture(session, max_pixels, query, &query->parts[i]))
            return false;
    return true;
}
