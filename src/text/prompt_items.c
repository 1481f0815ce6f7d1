/* SPDX-License-Identifier: MIT
 *
 * The names of textual inversions are found as each program finds them: the webui by the ids of the
 * name anywhere in the ids of a piece, ComfyUI by the word "embedding:NAME", and diffusers by the
 * name in the text.
 */
#include "text/prompt_items.h"
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"
#include "text/characters.h"

#include <math.h>
#include <string.h>

static int fail_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for the tokens of a prompt");
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

/* Encodes a text with start and end of text. */
static int encode_whole(const struct prompt_form *form, const char *text, size_t length,
                        struct prompt_ids *ids)
{
    size_t capacity = ids->capacity;
    int error = tokenizer_encode(form->tokenizer, text, length, ids->list, capacity, &ids->count);
    if (error || ids->count <= capacity)
        return error;
    capacity = 2 * ids->count;
    int32_t *list = memory_realloc(ids->list, capacity * sizeof(*list));
    if (!list)
        return fail_memory();
    ids->list = list;
    ids->capacity = capacity;
    return tokenizer_encode(form->tokenizer, text, length, list, capacity, &ids->count);
}

int prompt_ids_encode(const struct prompt_form *form, const char *text, size_t length,
                      struct prompt_ids *ids)
{
    const bool begins = tokenizer_start(form->tokenizer) >= 0;
    int error = encode_whole(form, text, length, ids);
    if (error)
        return error;
    ids->count -= 1 + begins;
    memmove(ids->list, ids->list + begins, ids->count * sizeof(*ids->list));
    return VKCLIP_OK;
}

static int push_item(struct prompt_items *items, struct prompt_item item)
{
    if (items->count == items->capacity) {
        const size_t capacity = 2 * items->capacity + 64;
        struct prompt_item *list = memory_realloc(items->list, capacity * sizeof(*list));
        if (!list)
            return fail_memory();
        items->list = list;
        items->capacity = capacity;
    }
    item.group = items->groups;
    items->list[items->count++] = item;
    return VKCLIP_OK;
}

static int push_token(struct prompt_items *items, int32_t id, double weight)
{
    return push_item(items, (struct prompt_item){id, -1, 1, 0, weight});
}

static int push_embedding(struct prompt_items *items, size_t index, double weight)
{
    const uint32_t vectors = items->form->embeddings[index].vectors;
    return push_item(items,
                     (struct prompt_item){ITEM_EMBEDDING, (int32_t)index, vectors, 0, weight});
}

static int push_text(struct prompt_items *items, const char *text, size_t length, double weight)
{
    int error = prompt_ids_encode(items->form, text, length, &items->ids);
    for (size_t i = 0; i < items->ids.count && !error; i++)
        error = push_token(items, items->ids.list[i], weight);
    return error;
}

/* ---- No syntax ------------------------------------------------------------------------------- */

static char lower_case(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + 'a' - 'A') : byte;
}

/* Tells whether a text has a name at a place. A name that begins or ends with a letter must not
 * continue a word there, so that "art" is not found in "party". */
static bool is_name(const char *text, size_t length, size_t place, const char *name, size_t size)
{
    if (!size || size > length - place)
        return false;
    for (size_t i = 0; i < size; i++)
        if (lower_case(text[place + i]) != lower_case(name[i]))
            return false;
    const size_t end = place + size;
    const size_t before = place ? character_before(text, place) : 0;
    const size_t last = character_before(text, end);
    const bool continues = place && character_is_word(text + before, place - before) &&
                           character_is_word(text + place, size);
    const bool continued =
        character_is_word(text + last, end - last) && character_is_word(text + end, length - end);
    return !continues && !continued;
}

/* Finds the longest name that a text has at a place. */
static bool find_name(const struct prompt_form *form, const char *text, size_t length, size_t place,
                      size_t *index)
{
    size_t longest = 0;
    for (size_t i = 0; i < form->embedding_count; i++) {
        const size_t size = strlen(form->embeddings[i].name);
        if (size <= longest || !is_name(text, length, place, form->embeddings[i].name, size))
            continue;
        longest = size;
        *index = i;
    }
    return longest > 0;
}

/* Returns the length of the pad token's text at a place of a text, or 0. */
static size_t match_pad(const struct prompt_form *form, const char *text, size_t length)
{
    const size_t size = form->pad_text ? strlen(form->pad_text) : 0;
    return size <= length && size && !memcmp(text, form->pad_text, size) ? size : 0;
}

/* Adds a text in which names of embeddings and pad tokens may stand, as diffusers' added tokens do.
 */
static int add_plain(struct prompt_items *items, const char *text, size_t length, double weight)
{
    const struct prompt_form *form = items->form;
    size_t start = 0, index = 0;
    for (size_t i = 0; i < length;) {
        const bool named = find_name(form, text, length, i, &index);
        const size_t size =
            named ? strlen(form->embeddings[index].name) : match_pad(form, text + i, length - i);
        if (!size) {
            i++;
            continue;
        }
        int error = push_text(items, text + start, i - start, weight);
        if (!error)
            error = named ? push_embedding(items, index, weight)
                          : push_token(items, form->fill, weight);
        if (error)
            return error;
        i += size;
        start = i;
    }
    return push_text(items, text + start, length - start, weight);
}

/* ---- The webui ------------------------------------------------------------------------------- */

static int encode_names(struct prompt_items *items)
{
    const struct prompt_form *form = items->form;
    int error = VKCLIP_OK;
    items->names = memory_calloc(form->embedding_count + 1, sizeof(*items->names));
    if (!items->names)
        return fail_memory();
    for (size_t i = 0; i < form->embedding_count && !error; i++) {
        const char *name = form->embeddings[i].name;
        error = prompt_ids_encode(form, name, strlen(name), &items->names[i]);
    }
    return error;
}

/* Finds the embedding whose name has the most ids of those with which `ids` begins. */
static bool find_ids(const struct prompt_items *items, const int32_t *ids, size_t count,
                     size_t *index)
{
    size_t longest = 0;
    for (size_t i = 0; i < items->form->embedding_count; i++) {
        const struct prompt_ids *name = &items->names[i];
        if (name->count <= longest || name->count > count ||
            memcmp(name->list, ids, name->count * sizeof(*ids)))
            continue;
        longest = name->count;
        *index = i;
    }
    return longest > 0;
}

static int add_webui(struct prompt_items *items, const char *text, size_t length, double weight)
{
    static const char BREAK[] = "BREAK";
    size_t index;
    if (length == sizeof(BREAK) - 1 && !memcmp(text, BREAK, length)) {
        if (weight == -1)
            return push_item(items, (struct prompt_item){ITEM_BREAK, -1, 0, 0, 1});
        if (weight != 1)
            log_message(VKCLIP_LOG_WARNING,
                        "%s: BREAK in brackets is a word with a weight of %g, as in the webui, and "
                        "closes no chunk",
                        items->form->name, weight);
    }
    int error = items->names ? VKCLIP_OK : encode_names(items);
    if (!error)
        error = prompt_ids_encode(items->form, text, length, &items->ids);
    for (size_t i = 0; i < items->ids.count && !error;) {
        const bool named = find_ids(items, items->ids.list + i, items->ids.count - i, &index);
        error = named ? push_embedding(items, index, weight)
                      : push_token(items, items->ids.list[i], weight);
        i += named ? items->names[index].count : 1;
    }
    return error;
}

/* ---- ComfyUI --------------------------------------------------------------------------------- */

static const char MARK[] = "embedding:";
enum { MARK_LENGTH = sizeof(MARK) - 1 };

static bool has_mark(const char *text, size_t length)
{
    return length >= MARK_LENGTH && !memcmp(text, MARK, MARK_LENGTH);
}

/* Finds an embedding by its name or by the name of its file. */
static bool find_file(const struct prompt_form *form, const char *name, size_t length,
                      size_t *index)
{
    static const char *const endings[] = {"", ".safetensors", ".pt", ".bin"};
    for (size_t i = 0; i < form->embedding_count; i++) {
        const size_t size = strlen(form->embeddings[i].name);
        *index = i;
        if (size > length || memcmp(name, form->embeddings[i].name, size))
            continue;
        for (size_t k = 0; k < ARRAY_COUNT(endings); k++)
            if (strlen(endings[k]) == length - size &&
                !memcmp(endings[k], name + size, length - size))
                return true;
    }
    return false;
}

static int fail_unknown(const struct prompt_form *form, const char *name, size_t length)
{
    const int shown = (int)string_fit(name, length, 80);
    if (form->strict)
        return error_fail(VKCLIP_EABSENT, "%s: embedding:%.*s is not among the %zu embeddings",
                          form->name, shown, name, form->embedding_count);
    log_message(VKCLIP_LOG_WARNING,
                "%s: embedding:%.*s is not among the %zu embeddings and is left out", form->name,
                shown, name, form->embedding_count);
    return VKCLIP_OK;
}

/* Adds the text after the name of an embedding: the commas at the name's end, then the words that
 * follow, with one space between. */
static int add_rest(struct prompt_items *items, const char *commas, size_t comma_count,
                    const char *text, size_t length, double weight)
{
    char *rest = memory_alloc(comma_count + length + 2);
    size_t end = comma_count;
    if (!rest)
        return fail_memory();
    memcpy(rest, commas, comma_count);
    for (size_t i = 0, space; i < length; i += space ? space : 1) {
        space = character_space(text + i, length - i);
        if (space && end && rest[end - 1] != ' ')
            rest[end++] = ' ';
        else if (!space)
            rest[end++] = text[i];
    }
    while (end && rest[end - 1] == ' ')
        end--;
    items->groups++;
    int error = end ? push_text(items, rest, end, weight) : VKCLIP_OK;
    memory_free(rest);
    return error;
}

/* Adds the embedding that a text names, and the text after the name. */
static int add_marked(struct prompt_items *items, const char *text, size_t length, double weight)
{
    size_t start = 0, index, space;
    while ((space = character_space(text + start, length - start)))
        start += space;
    size_t end = start;
    while (end < length && !character_space(text + end, length - end))
        end++;
    size_t first = start, last = end;
    bool found = find_file(items->form, text + start, end - start, &index);
    if (!found) {
        while (first < last && text[first] == ',')
            first++;
        while (last > first && text[last - 1] == ',')
            last--;
        found = find_file(items->form, text + first, last - first, &index);
    }
    int error = found ? VKCLIP_OK : fail_unknown(items->form, text + start, end - start);
    items->groups++;
    if (found)
        error = push_embedding(items, index, weight);
    const size_t taken = start + (last - first);
    if (!error)
        error = add_rest(items, text + taken, end - taken, text + end, length - end, weight);
    return error;
}

/* Adds a piece, in which an embedding may begin at the start or after a space or a line feed. */
static int add_comfy(struct prompt_items *items, const char *text, size_t length, double weight)
{
    size_t start = 0;
    for (size_t i = 0; i <= length; i++) {
        const bool separates = i < length && (text[i] == ' ' || text[i] == '\n') &&
                               has_mark(text + i + 1, length - i - 1);
        if (!separates && i < length)
            continue;
        const char *word = text + start;
        const size_t size = i - start;
        items->groups++;
        int error = has_mark(word, size)
                        ? add_marked(items, word + MARK_LENGTH, size - MARK_LENGTH, weight)
                        : push_text(items, word, size, weight);
        if (error)
            return error;
        start = i + 1;
    }
    return VKCLIP_OK;
}

/* ---- The interface --------------------------------------------------------------------------- */

typedef int adder(struct prompt_items *items, const char *text, size_t length, double weight);

static adder *const adders[] = {
    [VKCLIP_SYNTAX_NONE] = add_plain,          [VKCLIP_SYNTAX_A1111] = add_webui,
    [VKCLIP_SYNTAX_A1111_NO_NORM] = add_webui, [VKCLIP_SYNTAX_A1111_IGNORE] = add_webui,
    [VKCLIP_SYNTAX_A1111_NONE] = add_webui,    [VKCLIP_SYNTAX_COMFY] = add_comfy,
};

static int check_embeddings(const struct prompt_form *form)
{
    for (size_t i = 0; i < form->embedding_count; i++)
        if (!form->embeddings[i].vectors || form->embeddings[i].vectors > PROMPT_PLACES)
            return error_fail(VKCLIP_EINVALID, "%s: embedding %s of %u vectors, expected 1 to %d",
                              form->name, form->embeddings[i].name, form->embeddings[i].vectors,
                              PROMPT_PLACES);
    return VKCLIP_OK;
}

int prompt_items_make(const char *text, size_t length, enum vkclip_syntax syntax,
                      const struct prompt_form *form, struct prompt_items *items)
{
    struct prompt_pieces pieces;
    *items = (struct prompt_items){.form = form};
    int error = check_embeddings(form);
    if (!error)
        error = prompt_parse(form->name, text, length, syntax, &pieces);
    if (error)
        return error;
    for (size_t i = 0; i < pieces.count && !error; i++) {
        const struct prompt_piece *piece = &pieces.list[i];
        if (isfinite(piece->weight))
            error = adders[syntax](items, pieces.text + piece->start, piece->length, piece->weight);
        else
            error = error_fail(VKCLIP_EINVALID, "%s: weight of '%.*s' is not finite", form->name,
                               (int)string_fit(pieces.text + piece->start, piece->length, 40),
                               pieces.text + piece->start);
    }
    prompt_free_pieces(&pieces);
    if (error)
        prompt_items_free(items);
    return error;
}

void prompt_items_free(struct prompt_items *items)
{
    for (size_t i = 0; items->names && i < items->form->embedding_count; i++)
        memory_free(items->names[i].list);
    memory_free(items->names);
    memory_free(items->ids.list);
    memory_free(items->list);
    *items = (struct prompt_items){0};
}
