/* SPDX-License-Identifier: MIT
 *
 * One picture of the index for clients: what is known of it, its thumbnail, its file.
 */
#ifndef VKCLIP_SERVER_PICTURE_H
#define VKCLIP_SERVER_PICTURE_H

#include "server/request.h"

/* Describes a picture in JSON; without `scores` its score and z are left out. */
json_t *picture_pack(const struct vkclip_hit *hit, bool scores);
/* The system's bytes as JSON takes them: what is not UTF-8 becomes U+FFFD. */
json_t *picture_pack_text(const char *text);
/* Answers with 404 where the server has no index. */
bool picture_has_index(struct request *request);

#endif
