/* SPDX-License-Identifier: MIT
 *
 * Two forests of pictures: in one a tree is a picture in its sizes and formats, in the other a tree
 * has near pictures too. The root of a tree is its first picture. A pair that the user called
 * different is an edge, of which each end is in a list of its tree, so that two trees are compared
 * by the edges of one of them, and not by all.
 */
#include "search/duplicates.h"
#include "base/memory.h"

struct forest {
    size_t *parents;
    double *cosines; /* by root: the smallest of the pairs that the tree is made of */
    /* The ends of edges: 2 * i is the first of pair i, and 2 * i + 1 the second. */
    size_t *ends;       /* by root: one end in the tree, if there are any */
    size_t *end_counts; /* by root */
    size_t *next;       /* by end: the next one in the tree, in a circle */
};

struct duplicates {
    const struct duplicates_item *items;
    size_t count;
    const struct duplicates_distinct *distinct;
    size_t distinct_count;
    struct forest same, near;
};

/* ---- Forests --------------------------------------------------------------------------------- */

/* Returns the picture at an end of an edge. */
static size_t find_picture(const struct duplicates *duplicates, size_t end)
{
    const struct duplicates_distinct *pair = &duplicates->distinct[end / 2];
    return end % 2 ? pair->b : pair->a;
}

/* Adds a circle of `count` ends to that of a tree. */
static void add_ends(struct forest *forest, size_t root, size_t end, size_t count)
{
    if (!count)
        return;
    if (forest->end_counts[root]) {
        const size_t next = forest->next[forest->ends[root]];
        forest->next[forest->ends[root]] = forest->next[end];
        forest->next[end] = next;
    }
    forest->ends[root] = end;
    forest->end_counts[root] += count;
}

static int plant_forest(const struct duplicates *duplicates, struct forest *forest)
{
    const size_t count = duplicates->count, end_count = 2 * duplicates->distinct_count;
    forest->parents = memory_alloc((count + 1) * sizeof(*forest->parents));
    forest->cosines = memory_alloc((count + 1) * sizeof(*forest->cosines));
    forest->ends = memory_calloc(count + 1, sizeof(*forest->ends));
    forest->end_counts = memory_calloc(count + 1, sizeof(*forest->end_counts));
    forest->next = memory_alloc((end_count + 1) * sizeof(*forest->next));
    if (!forest->parents || !forest->cosines || !forest->ends || !forest->end_counts ||
        !forest->next)
        return error_fail(VKCLIP_EMEMORY, "out of memory for groups of %zu pictures", count);
    for (size_t i = 0; i < count; i++) {
        forest->parents[i] = i;
        forest->cosines[i] = 1;
    }
    for (size_t end = 0; end < end_count; end++) {
        forest->next[end] = end;
        add_ends(forest, find_picture(duplicates, end), end, 1);
    }
    return VKCLIP_OK;
}

static void cut_forest(struct forest *forest)
{
    memory_free(forest->parents);
    memory_free(forest->cosines);
    memory_free(forest->ends);
    memory_free(forest->end_counts);
    memory_free(forest->next);
}

static size_t find_root(const struct forest *forest, size_t row)
{
    while (forest->parents[row] != row) {
        forest->parents[row] = forest->parents[forest->parents[row]];
        row = forest->parents[row];
    }
    return row;
}

/* Tells whether the trees of two roots have pictures that the user called different. */
static bool are_distinct(const struct duplicates *duplicates, const struct forest *forest, size_t a,
                         size_t b)
{
    const bool fewer = forest->end_counts[a] < forest->end_counts[b];
    const size_t tree = fewer ? a : b, other = fewer ? b : a;
    size_t end = forest->ends[tree];
    for (size_t i = 0; i < forest->end_counts[tree]; i++, end = forest->next[end])
        if (find_root(forest, find_picture(duplicates, end ^ 1)) == other)
            return true;
    return false;
}

static void join_trees(const struct duplicates *duplicates, struct forest *forest,
                       const struct pair *pair)
{
    const size_t a = find_root(forest, pair->a), b = find_root(forest, pair->b);
    const size_t root = a < b ? a : b, other = a < b ? b : a;
    if (a != b && are_distinct(duplicates, forest, a, b))
        return;
    if (a != b)
        add_ends(forest, root, forest->ends[other], forest->end_counts[other]);
    forest->parents[other] = root;
    if (forest->cosines[other] < forest->cosines[root])
        forest->cosines[root] = forest->cosines[other];
    if (pair->cosine < forest->cosines[root])
        forest->cosines[root] = pair->cosine;
}

/* ---- Pairs ----------------------------------------------------------------------------------- */

/* Tells whether one picture has the proportion of the other to within a pixel of the smaller one.
 */
static bool have_same_proportion(const struct duplicates_item *a, const struct duplicates_item *b)
{
    const struct duplicates_item *large = a, *small = b;
    if ((uint64_t)a->width * a->height < (uint64_t)b->width * b->height) {
        large = b;
        small = a;
    }
    const int64_t across = (int64_t)large->width * small->height;
    const int64_t down = (int64_t)large->height * small->width;
    const int64_t pixel = large->width > large->height ? large->width : large->height;
    return large->width && small->width && across - down <= pixel && down - across <= pixel;
}

static bool is_same_picture(const struct duplicates *duplicates, const struct pair *pair)
{
    const struct duplicates_item *a = &duplicates->items[pair->a], *b = &duplicates->items[pair->b];
    const bool at_once = a->taken == INT64_MIN || b->taken == INT64_MIN || a->taken == b->taken;
    return pair->cosine >= DUPLICATES_SAME && at_once && have_same_proportion(a, b);
}

void duplicates_add(struct duplicates *duplicates, const struct pair *pair)
{
    if (is_same_picture(duplicates, pair))
        join_trees(duplicates, &duplicates->same, pair);
    join_trees(duplicates, &duplicates->near, pair);
}

int duplicates_open(const struct duplicates_item *items, size_t count,
                    const struct duplicates_distinct *distinct, size_t distinct_count,
                    struct duplicates **result)
{
    struct duplicates *duplicates = *result = memory_calloc(1, sizeof(*duplicates));
    if (!duplicates)
        return error_fail(VKCLIP_EMEMORY, "out of memory for groups of %zu pictures", count);
    duplicates->items = items;
    duplicates->count = count;
    duplicates->distinct = distinct;
    duplicates->distinct_count = distinct_count;
    int error = plant_forest(duplicates, &duplicates->same);
    if (!error)
        error = plant_forest(duplicates, &duplicates->near);
    if (error)
        duplicates_close(result);
    return error;
}

void duplicates_close(struct duplicates **handle)
{
    struct duplicates *duplicates = *handle;
    if (!duplicates)
        return;
    cut_forest(&duplicates->same);
    cut_forest(&duplicates->near);
    memory_free(duplicates);
    *handle = NULL;
}

/* ---- Groups ---------------------------------------------------------------------------------- */

/* Tells whether a row is in the groups of a forest: near groups have only the first picture of each
 * group of the same picture. */
static bool is_listed(const struct duplicates *duplicates, const struct forest *forest, size_t row)
{
    return forest == &duplicates->same || find_root(&duplicates->same, row) == row;
}

/* Sorts the listed rows by their trees: those of the tree of root r end before ends[r]. */
static void sort_rows(const struct duplicates *duplicates, const struct forest *forest,
                      size_t *rows, size_t *ends)
{
    size_t total = 0;
    for (size_t row = 0; row < duplicates->count; row++)
        ends[row] = 0;
    for (size_t row = 0; row < duplicates->count; row++)
        if (is_listed(duplicates, forest, row))
            ends[find_root(forest, row)]++;
    for (size_t root = 0; root < duplicates->count; root++) {
        const size_t count = ends[root];
        ends[root] = total;
        total += count;
    }
    for (size_t row = 0; row < duplicates->count; row++)
        if (is_listed(duplicates, forest, row))
            rows[ends[find_root(forest, row)]++] = row;
}

static int list_groups(const struct duplicates *duplicates, const struct forest *forest,
                       duplicates_fn *fn, void *user)
{
    const size_t count = duplicates->count;
    size_t *rows = memory_alloc((2 * count + 1) * sizeof(*rows)), *ends = rows + count;
    int error = VKCLIP_OK;
    if (!rows)
        return error_fail(VKCLIP_EMEMORY, "out of memory for groups of %zu pictures", count);
    sort_rows(duplicates, forest, rows, ends);
    for (size_t root = 0, first = 0; root < count && !error; first = ends[root++]) {
        const struct duplicates_group group = {.same = forest == &duplicates->same,
                                               .rows = rows + first,
                                               .count = ends[root] - first,
                                               .cosine = forest->cosines[root]};
        if (group.count > 1)
            error = fn(user, &group);
    }
    memory_free(rows);
    return error;
}

int duplicates_each(struct duplicates *duplicates, duplicates_fn *fn, void *user)
{
    int error = list_groups(duplicates, &duplicates->same, fn, user);
    return error ? error : list_groups(duplicates, &duplicates->near, fn, user);
}
