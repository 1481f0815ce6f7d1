/* SPDX-License-Identifier: MIT
 *
 * A heap has the merge that was learnt first on top, and the pieces of a word form a doubly linked
 * list, so that a merge changes two pairs only.
 */
#include "text/merger.h"
#include "base/memory.h"

struct merger_piece {
    int32_t id;             /* -1: it has merged into the piece before it */
    uint32_t before, after; /* neighbours; `after` of the last piece is the number of pieces */
};

static void enqueue(struct merger *merger, uint64_t key)
{
    size_t i = merger->queued++;
    for (; i && merger->queue[(i - 1) / 2] > key; i = (i - 1) / 2)
        merger->queue[i] = merger->queue[(i - 1) / 2];
    merger->queue[i] = key;
}

static uint64_t dequeue(struct merger *merger)
{
    const uint64_t first = merger->queue[0], key = merger->queue[--merger->queued];
    size_t i = 0, child = 1;
    while (child < merger->queued) {
        if (child + 1 < merger->queued && merger->queue[child + 1] < merger->queue[child])
            child++;
        if (merger->queue[child] >= key)
            break;
        merger->queue[i] = merger->queue[child];
        i = child;
        child = 2 * i + 1;
    }
    merger->queue[i] = key;
    return first;
}

/* Returns the merge of a piece and the piece after it, or NULL if there is none. */
static const struct merge *find_merge(const struct merger *merger, uint32_t left)
{
    const uint32_t right = merger->pieces[left].after;
    if (right == merger->count)
        return NULL;
    return vocabulary_merge(merger->vocabulary, merger->pieces[left].id, merger->pieces[right].id);
}

static void enqueue_merge(struct merger *merger, uint32_t left)
{
    const struct merge *merge = find_merge(merger, left);
    if (merge)
        enqueue(merger, (uint64_t)merge->rank << 32 | left);
}

bool merger_begin(struct merger *merger, size_t pieces)
{
    merger->count = 0;
    if (pieces <= merger->room)
        return true;
    const size_t room = 2 * pieces + 64;
    struct merger_piece *larger = memory_realloc(merger->pieces, room * sizeof(*larger));
    merger->pieces = larger ? larger : merger->pieces;
    /* A merge takes one entry from the queue and adds at most two. */
    uint64_t *queue = memory_realloc(merger->queue, 2 * room * sizeof(*queue));
    merger->queue = queue ? queue : merger->queue;
    merger->failed = !larger || !queue;
    if (!merger->failed)
        merger->room = room;
    return !merger->failed;
}

void merger_push(struct merger *merger, int32_t id)
{
    const uint32_t place = merger->count++;
    merger->pieces[place] = (struct merger_piece){id, place - 1, place + 1};
}

/* Applies the merge that was learnt first, leftmost first, until none is left. OpenAI's lists make
 * the parts of a merge before the merge, so the result equals that of OpenAI's code, which joins
 * all pairs of one kind before those of the next. */
void merger_end(struct merger *merger)
{
    struct merger_piece *pieces = merger->pieces;
    const uint32_t count = merger->count;
    merger->queued = 0;
    for (uint32_t i = 0; i < count; i++)
        enqueue_merge(merger, i);
    while (merger->queued) {
        const uint64_t key = dequeue(merger);
        const uint32_t left = (uint32_t)key, right = pieces[left].after;
        const struct merge *merge = pieces[left].id < 0 ? NULL : find_merge(merger, left);
        if (!merge || merge->rank != key >> 32)
            continue; /* One of the two pieces has merged with another one meanwhile. */
        pieces[left].id = merge->joined;
        pieces[left].after = pieces[right].after;
        pieces[right].id = -1;
        if (pieces[left].after != count)
            pieces[pieces[left].after].before = left;
        enqueue_merge(merger, left);
        if (left)
            enqueue_merge(merger, pieces[left].before);
    }
    for (uint32_t i = 0; i < count; i = pieces[i].after)
        token_ids_push(merger->ids, pieces[i].id);
}

void merger_free(struct merger *merger)
{
    memory_free(merger->pieces);
    memory_free(merger->queue);
}
