/* SPDX-License-Identifier: MIT
 *
 * Puts pairs of similar pictures together to groups. Two pictures are the same picture, in other
 * sizes or formats, if their cosine is at least DUPLICATES_SAME, their sides are in the same
 * proportion, and no dates say that they were taken at different moments; this keeps the shots of a
 * series apart. Other pairs are near. A group is everything that pairs connect, so that two of its
 * members may be less similar than a pair must be. Pairs that would bring pictures together which
 * the user called different are left out. Knows nothing of files and databases.
 */
#ifndef VKCLIP_SEARCH_DUPLICATES_H
#define VKCLIP_SEARCH_DUPLICATES_H

#include "search/pairs.h"

/* Another size or format of a picture changes the cosine by less than this leaves; many pictures of
 * one scene are beyond it. A lower bound would call more of the latter the same picture. */
#define DUPLICATES_SAME 0.995

struct duplicates_item {
    uint32_t width, height; /* as shown; 0: not known */
    int64_t taken;          /* seconds since 1970; INT64_MIN: not known */
};

/* Two rows that are not duplicates. */
struct duplicates_distinct {
    size_t a, b;
};

struct duplicates;

/* Makes groups of `count` pictures, each of which is alone at first. The arrays must outlive the
 * result. */
int duplicates_open(const struct duplicates_item *items, size_t count,
                    const struct duplicates_distinct *distinct, size_t distinct_count,
                    struct duplicates **duplicates);
void duplicates_close(struct duplicates **duplicates);
void duplicates_add(struct duplicates *duplicates, const struct pair *pair);

struct duplicates_group {
    bool same;          /* the same picture in other sizes or formats; otherwise near */
    const size_t *rows; /* ascending */
    size_t count;
    double cosine; /* the smallest of a pair of the group */
};
/* Calls the function for all groups of the same picture and then for all near ones, until one call
 * returns nonzero, which is then the result. A near group has the first picture of each group of
 * the same picture that belongs to it. */
typedef int duplicates_fn(void *user, const struct duplicates_group *group);
int duplicates_each(struct duplicates *duplicates, duplicates_fn *fn, void *user);

#endif
