/* SPDX-License-Identifier: MIT
 *
 * The only file of the library that knows the order of values inside panels and rows.
 */
#include "runtime/layout.h"
#include "base/half.h"

#include <string.h>

#include "graph/quant.h"
#include "shaders/args.h"

_Static_assert(QUANT_BLOCK == BLOCK, "host and shaders share the length of a block");

static uint64_t block_count(uint64_t values)
{
    return (values + BLOCK - 1) / BLOCK;
}

/* Returns the number of words that the scales of a row take; a word holds two scales. */
static uint64_t scale_words(uint64_t c)
{
    return (block_count(c) + 1) / 2;
}

/* Stores fp16 values. Returns false if one of them is infinite or not a number. */
static bool store_halves(const float *values, size_t c, uint16_t *halves)
{
    bool finite = true;
    half_from_floats(values, c, halves);
    for (size_t i = 0; i < c; i++)
        finite &= (halves[i] & 0x7c00) != 0x7c00;
    return finite;
}

uint64_t layout_panel_bytes(enum type type, uint64_t k)
{
    if (type == TYPE_Q8)
        return block_count(k) * Q8_BLOCK_WORDS * 4;
    if (type == TYPE_Q4)
        return block_count(k) * Q4_BLOCK_WORDS * 4;
    return (k + 3) / 4 * 4 * PANEL * type_size(type);
}

uint64_t layout_row_bytes(enum type type, uint64_t c)
{
    if (type == TYPE_Q8)
        return scale_words(c) * 4 + block_count(c) * BLOCK;
    if (type == TYPE_Q4)
        return scale_words(c) * 4 + block_count(c) * BLOCK / 2;
    return c * type_size(type);
}

uint64_t layout_tensor_bytes(const struct tensor *tensor)
{
    uint64_t elements = tensor_elements(tensor);
    if (!tensor_in_rows(tensor)) {
        uint64_t n = tensor_n(tensor), panels = (n + PANEL - 1) / PANEL;
        return panels * layout_panel_bytes(tensor->type, elements / n);
    }
    uint64_t c = tensor_columns(tensor);
    uint64_t bytes = elements / c * layout_row_bytes(tensor->type, c);
    return (bytes + 3) / 4 * 4; /* Some kernels read 16-bit values two at a time. */
}

/* ---- Panels ---------------------------------------------------------------------------------- */

/* Returns the index of the quad of column n that begins with value 4 * k4; a column has `quads` of
 * them. */
static uint64_t panel_quad(uint64_t n, uint64_t k4, uint64_t quads)
{
    return (n / PANEL * quads + k4) * PANEL + n % PANEL;
}

uint64_t layout_panel_index(uint64_t n, uint64_t k, uint64_t k_count)
{
    return panel_quad(n, k / 4, (k_count + 3) / 4) * 4 + k % 4;
}

/* Quads of four columns fill a cache line of 64 bytes. */
#define LINE_QUADS 4

/* Stores the quads `first` to `end`, at most LINE_QUADS, of all columns. A column's quads are taken
 * together, because they lie in one line of the cache. */
static bool store_quads(enum type type, const float *columns, size_t k, size_t first, size_t end,
                        char *panel)
{
    const size_t bytes = 4 * type_size(type), quads = (k + 3) / 4;
    bool finite = true;
    for (size_t n = 0; n < PANEL; n++) {
        const float *values = &columns[n * k + 4 * first];
        const char *source = (const char *)values;
        uint16_t halves[4 * LINE_QUADS];
        if (type == TYPE_F16) {
            finite &= store_halves(values, 4 * (end - first), halves);
            source = (const char *)halves;
        }
        for (size_t k4 = first; k4 < end; k4++, source += bytes)
            memcpy(panel + panel_quad(n, k4, quads) * bytes, source, bytes);
    }
    return finite;
}

/* Stores the last quad of all columns, if K is no multiple of four and it is filled up by zeros. */
static bool store_tail(enum type type, const float *columns, size_t k, char *panel)
{
    float tail[4 * PANEL] = {0};
    const size_t whole = k / 4 * 4;
    if (whole == k)
        return true;
    for (size_t n = 0; n < PANEL; n++)
        memcpy(&tail[4 * n], &columns[n * k + whole], (k - whole) * sizeof(*tail));
    return store_quads(type, tail, 4, 0, 1, panel + panel_quad(0, k / 4, 0) * 4 * type_size(type));
}

static bool store_values(enum type type, const float *columns, size_t k, char *panel)
{
    bool finite = true;
    for (size_t first = 0; first < k / 4; first += LINE_QUADS) {
        const size_t end = first + LINE_QUADS < k / 4 ? first + LINE_QUADS : k / 4;
        finite &= store_quads(type, columns, k, first, end, panel);
    }
    return finite & store_tail(type, columns, k, panel);
}

/* Adds the block of column n to `words`, the panel's words for this block of K. */
static void store_block(enum type type, const struct quant_block *block, size_t n, uint32_t *words)
{
    uint32_t *values = words + PANEL / 2;
    words[n / 2] |= (uint32_t)block->scale << n % 2 * 16;
    for (size_t k = 0; k < BLOCK; k++)
        if (type == TYPE_Q8)
            values[k / 4 * PANEL + n] |= (uint32_t)(uint8_t)block->q[k] << k % 4 * 8;
        else
            values[k / 8 * PANEL + n] |= (uint32_t)(block->q[k] + 8) << k % 8 * 4;
}

/* Words are put together here and written once, because the panel may be memory that the host reads
 * slowly. */
static bool store_blocks(enum type type, const float *columns, size_t k, char *panel)
{
    const uint64_t bytes = layout_panel_bytes(type, BLOCK);
    bool finite = true;
    for (size_t first = 0; first < k; first += BLOCK) {
        const size_t count = k - first < BLOCK ? k - first : BLOCK;
        uint32_t words[Q8_BLOCK_WORDS] = {0};
        for (size_t n = 0; n < PANEL; n++) {
            struct quant_block block;
            finite &= quant_pack(type, &columns[n * k + first], count, &block);
            store_block(type, &block, n, words);
        }
        memcpy(panel, words, bytes);
        panel += bytes;
    }
    return finite;
}

bool layout_store_panel(enum type type, const float *columns, size_t k, void *panel)
{
    if (type == TYPE_Q8 || type == TYPE_Q4)
        return store_blocks(type, columns, k, panel);
    return store_values(type, columns, k, panel);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Stores a row block by block, each word once, because the row may be memory that the host reads
 * slowly. */
static bool store_row_blocks(enum type type, const float *values, size_t c, char *row)
{
    const size_t block_bytes = type == TYPE_Q8 ? BLOCK : BLOCK / 2;
    char *stored = row + scale_words(c) * 4;
    bool finite = true;
    memset(row, 0, scale_words(c) * 4);
    for (size_t first = 0; first < c; first += BLOCK) {
        struct quant_block block;
        const size_t count = c - first < BLOCK ? c - first : BLOCK;
        uint32_t words[BLOCK / 4] = {0};
        finite &= quant_pack(type, &values[first], count, &block);
        memcpy(row + first / BLOCK * sizeof(block.scale), &block.scale, sizeof(block.scale));
        for (size_t i = 0; i < BLOCK; i++)
            if (type == TYPE_Q8)
                words[i / 4] |= (uint32_t)(uint8_t)block.q[i] << i % 4 * 8;
            else
                words[i / 8] |= (uint32_t)(block.q[i] + 8) << i % 8 * 4;
        memcpy(stored, words, block_bytes);
        stored += block_bytes;
    }
    return finite;
}

bool layout_store_row(enum type type, const float *values, size_t c, void *row)
{
    switch (type) {
    case TYPE_F16:
        return store_halves(values, c, row);
    case TYPE_Q8:
    case TYPE_Q4:
        return store_row_blocks(type, values, c, row);
    default:
        memcpy(row, values, c * sizeof(*values));
        return true;
    }
}
