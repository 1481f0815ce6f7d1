/* SPDX-License-Identifier: MIT
 *
 * Finds the best pieces by Viterbi's algorithm, as EncodeOptimized of SentencePiece's
 * unigram_model.cc and its copy in `tokenizers` do: of equally good pieces before a place, the one
 * that was found first stays.
 */
#include "base/memory.h"
#include "text/unigram.h"

#include <utf8proc.h>

enum { NO_PIECE = -1 };

/* A place between two characters, with the piece that ends there on the best path. */
struct unigram_node {
    double score; /* the sum of the path's scores */
    int32_t id;
    uint32_t start; /* place where the piece begins; later where the next piece ends */
};

/* The part of a text that is being searched. No piece goes over its beginning, so that the path up
 * to there is final, and memory need not grow with the text. */
struct window {
    const int32_t *codes;
    uint32_t reach; /* the farthest place where a piece ends */
};

static bool make_room(struct unigram_search *search, size_t nodes)
{
    if (nodes <= search->room)
        return true;
    const size_t room = 2 * nodes + 64;
    struct unigram_node *larger = memory_realloc(search->nodes, room * sizeof(*larger));
    search->failed |= !larger;
    if (larger) {
        search->nodes = larger;
        search->room = room;
    }
    return larger;
}

/* Offers a piece from `start` to `end` for the best path. */
static void offer(struct unigram_search *search, struct window *window, uint32_t start,
                  uint32_t end, int32_t id, double score)
{
    const bool single = !search->unigram->pipeline;
    if (!make_room(search, (size_t)end + 1))
        return;
    for (; window->reach < end; window->reach++)
        search->nodes[window->reach + 1].id = NO_PIECE;
    struct unigram_node *node = &search->nodes[end];
    score += search->nodes[start].score;
    if (single)
        score = (float)score;
    if (node->id == NO_PIECE || score > node->score)
        *node = (struct unigram_node){score, id, start};
}

/* Offers all pieces that begin at `start`. If no piece is this one character, the character is
 * unknown. */
static void offer_pieces(struct unigram_search *search, struct window *window, uint32_t start,
                         size_t length)
{
    const struct unigram *unigram = search->unigram;
    const struct trie_node *node = trie_root(&unigram->trie);
    bool known = false;
    for (size_t end = start; end < length && !search->failed;) {
        node = trie_child(&unigram->trie, node, window->codes[end++]);
        if (!node)
            break;
        if (node->value < 0)
            continue;
        known |= end == start + 1;
        offer(search, window, start, (uint32_t)end, node->value,
              unigram->pieces[node->value].score);
    }
    if (!known)
        offer(search, window, start, start + 1, unigram->unknown, unigram->unknown_score);
}

/* Appends the ids of a piece. Unknown characters become the pieces of their bytes, or one id for
 * all that follow one another. */
static void push_piece(struct unigram_search *search, int32_t id, const int32_t *codes,
                       size_t length)
{
    const struct unigram *unigram = search->unigram;
    const bool unknown = id == unigram->unknown;
    if (!unknown || (!unigram->byte_fallback && !search->after_unknown))
        token_ids_push(search->ids, id);
    search->after_unknown = unknown;
    for (size_t i = 0; unknown && unigram->byte_fallback && i < length; i++) {
        uint8_t bytes[4];
        const size_t size = (size_t)utf8proc_encode_char(codes[i], bytes);
        for (size_t k = 0; k < size; k++)
            token_ids_push(search->ids, unigram->bytes[bytes[k]]);
    }
}

/* Appends the ids of the best path up to `end`. */
static void push_path(struct unigram_search *search, const struct window *window, uint32_t end)
{
    struct unigram_node *nodes = search->nodes;
    uint32_t next = end;
    for (uint32_t place = end; place;) {
        const uint32_t start = nodes[place].start;
        nodes[place].start = next;
        next = place;
        place = start;
    }
    for (uint32_t place = 0; place < end;) {
        push_piece(search, nodes[next].id, window->codes + place, next - place);
        place = next;
        next = nodes[place].start;
    }
}

void unigram_search_run(struct unigram_search *search, const int32_t *codes, size_t length)
{
    struct window window = {.codes = codes};
    uint32_t place = 0;
    search->after_unknown = false;
    search->failed |= length > INT32_MAX;
    if (search->failed || !length || !make_room(search, 1))
        return;
    search->nodes[0] = (struct unigram_node){0};
    while (window.codes + place < codes + length && !search->failed) {
        offer_pieces(search, &window, place, length - (size_t)(window.codes - codes));
        place++;
        if (place < window.reach || search->failed)
            continue;
        push_path(search, &window, place);
        search->nodes[0] = search->nodes[place];
        window = (struct window){.codes = window.codes + place};
        place = 0;
    }
}

void unigram_search_free(struct unigram_search *search)
{
    memory_free(search->nodes);
}
