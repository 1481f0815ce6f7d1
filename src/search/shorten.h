/* SPDX-License-Identifier: MIT
 *
 * Shortens vectors, so that pairs with a large cosine are found among short vectors first. A short
 * vector has some values of the long one and, last, the length of all others. The product of two
 * short vectors is at least that of the long ones, because the product of what was left out is at
 * most that of its lengths. So no pair is missed, and those that are no pairs are left to find out.
 */
#ifndef VKCLIP_SEARCH_SHORTEN_H
#define VKCLIP_SEARCH_SHORTEN_H

#include "search/vectors.h"

/* Makes the shortest vectors of which few products reach `least` that should not. They have the ids
 * of the long ones, and shorten_free frees them. If no such vectors are shorter, the result is the
 * long vectors themselves. */
int shorten_vectors(const struct vectors *vectors, double least, struct vectors *result);
void shorten_free(const struct vectors *vectors, struct vectors *result);

#endif
