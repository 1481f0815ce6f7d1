/* SPDX-License-Identifier: MIT
 *
 * Chooses pictures of an index by what is known of them besides their embedding: path, date, place,
 * camera, format and size. Knows nothing of how an index is stored.
 */
#ifndef VKCLIP_SEARCH_FILTER_H
#define VKCLIP_SEARCH_FILTER_H

#include "vkclip.h"

/* Refuses values that no picture can have. */
int filter_check(const struct vkclip_search_params *params);
/* Tells whether every picture passes. */
bool filter_is_empty(const struct vkclip_search_params *params);
/* Tells whether a picture passes; its score is not looked at. */
bool filter_match(const struct vkclip_search_params *params, const struct vkclip_hit *hit);

/* Tells whether a text matches a pattern with *, ? and sets such as [a-z] or [!a-z]. A backslash
 * makes the character after it an ordinary one. * stands for slashes too. */
bool filter_match_glob(const char *pattern, const char *text);
/* Returns the distance of two places on a sphere of the earth's mean radius. */
double filter_distance(double latitude_a, double longitude_a, double latitude_b,
                       double longitude_b);

#endif
