/* SPDX-License-Identifier: MIT
 *
 * Packs the items of a prompt into the places of an encoder's input, as diffusers (cut), the webui
 * (chunks that end at commas) and ComfyUI (chunks that keep short groups whole) do.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"
#include "text/prompt_items.h"

#include <string.h>

enum {
    COMMA_BACKTRACK = 20, /* the webui's default: a chunk ends at a comma among its last places */
    GROUP_LIMIT = 8,      /* ComfyUI splits groups of as many places, and keeps smaller ones */
    CHUNK_LEAST = COMMA_BACKTRACK + 4, /* places of a chunk, more than are ever moved to it */
    NO_COMMA = -3,                     /* the id of no item */
    SHOWN = 200                        /* bytes of the text that was left out in a message */
};

struct packer {
    const struct prompt_form *form;
    const struct prompt_items *items;
    struct vkclip_prompt *prompt;
    bool begins;        /* A chunk begins with a start of text. */
    uint32_t room;      /* places of a chunk for tokens and vectors */
    uint32_t used;      /* of these in the last chunk */
    uint32_t capacity;  /* chunks that `places` has memory for */
    int32_t comma;      /* the comma's id, or NO_COMMA */
    int64_t last_comma; /* its place in the last chunk, or -1 */
};

static int fail_memory(const struct prompt_form *form)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for a prompt", form->name);
}

static int fail_places(const struct prompt_form *form)
{
    return error_fail(VKCLIP_EINVALID, "%s: prompt of more than %d places", form->name,
                      PROMPT_PLACES);
}

/* Returns the first place for a token in the last chunk. */
static struct vkclip_prompt_place *last_chunk(const struct packer *packer)
{
    const struct vkclip_prompt *prompt = packer->prompt;
    return prompt->places + (size_t)(prompt->chunks - 1) * prompt->length + packer->begins;
}

static int open_chunk(struct packer *packer)
{
    struct vkclip_prompt *prompt = packer->prompt;
    if (prompt->chunks == PROMPT_PLACES / prompt->length)
        return fail_places(packer->form);
    if (prompt->chunks == packer->capacity) {
        const uint32_t capacity = 2 * packer->capacity + 1;
        const size_t size = (size_t)capacity * prompt->length * sizeof(*prompt->places);
        struct vkclip_prompt_place *places = memory_realloc(prompt->places, size);
        if (!places)
            return fail_memory(packer->form);
        prompt->places = places;
        packer->capacity = capacity;
    }
    prompt->chunks++;
    packer->used = 0;
    packer->last_comma = -1;
    if (packer->begins)
        last_chunk(packer)[-1] =
            (struct vkclip_prompt_place){tokenizer_start(packer->form->tokenizer), -1, 0, true, 1};
    return VKCLIP_OK;
}

/* Ends the text of the last chunk, and fills it. */
static void close_chunk(struct packer *packer)
{
    struct vkclip_prompt_place *chunk = last_chunk(packer);
    int32_t id = tokenizer_end(packer->form->tokenizer);
    for (uint32_t i = packer->used; i + packer->begins < packer->prompt->length; i++) {
        chunk[i] = (struct vkclip_prompt_place){id, -1, 0, true, 1};
        id = packer->form->fill;
    }
}

static int next_chunk(struct packer *packer)
{
    close_chunk(packer);
    return open_chunk(packer);
}

/* Adds places of an item, from its `first` place on. They must fit the chunk. */
static void put_item(struct packer *packer, const struct prompt_item *item, uint32_t first,
                     uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        struct vkclip_prompt_place *place = last_chunk(packer) + packer->used++;
        *place = (struct vkclip_prompt_place){item->id, item->embedding, i, false, item->weight};
        if (item->id == ITEM_EMBEDDING)
            place->id = 0;
    }
}

/* ---- Cut ------------------------------------------------------------------------------------- */

static int append_text(struct vkclip_prompt *prompt, const char *more)
{
    const bool spaced = prompt->rest && !string_ends_with(prompt->rest, " ");
    char *joined =
        string_format("%s%s%s", prompt->rest ? prompt->rest : "", spaced ? " " : "", more);
    if (!joined)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the text that was left out");
    memory_free(prompt->rest);
    prompt->rest = joined;
    return VKCLIP_OK;
}

/* Appends the text of token ids to the text that was left out. */
static int append_ids(struct vkclip_prompt *prompt, const struct prompt_form *form,
                      const int32_t *ids, size_t count)
{
    char *text = NULL;
    int error = count ? tokenizer_decode(form->tokenizer, ids, count, &text) : VKCLIP_OK;
    if (!error && text)
        error = append_text(prompt, text);
    memory_free(text);
    return error;
}

/* Spells the items from `first` on, which were left out. */
static int spell_rest(struct packer *packer, size_t first)
{
    const struct prompt_items *items = packer->items;
    size_t count = 0;
    int32_t *ids = memory_alloc((items->count + 1) * sizeof(*ids));
    int error = ids ? VKCLIP_OK : fail_memory(packer->form);
    for (size_t i = first; i < items->count && !error; i++) {
        const struct prompt_item *item = &items->list[i];
        if (item->id >= 0)
            ids[count++] = item->id;
        if (item->id != ITEM_EMBEDDING)
            continue;
        error = append_ids(packer->prompt, packer->form, ids, count);
        count = 0;
        if (!error)
            error = append_text(packer->prompt, packer->form->embeddings[item->embedding].name);
    }
    if (!error)
        error = append_ids(packer->prompt, packer->form, ids, count);
    memory_free(ids);
    if (!error && string_ends_with(packer->prompt->rest, " "))
        packer->prompt->rest[strlen(packer->prompt->rest) - 1] = 0;
    return error;
}

/* Says what was left out, or fails where that is an error. */
static int report_rest(const struct vkclip_prompt *prompt, const struct prompt_form *form)
{
    const size_t length = strlen(prompt->rest), shown = string_fit(prompt->rest, length, SHOWN);
    const char *more = shown < length ? "..." : "";
    if (form->strict)
        return error_fail(VKCLIP_ETOOLONG,
                          "%s: %u tokens, expected at most %u; does not fit: '%.*s%s'", form->name,
                          prompt->used, prompt->available, (int)shown, prompt->rest, more);
    log_message(VKCLIP_LOG_WARNING, "%s: %u tokens cut to %u; left out: '%.*s%s'", form->name,
                prompt->used, prompt->available, (int)shown, prompt->rest, more);
    return VKCLIP_OK;
}

/* Puts the items into one chunk, and leaves out what does not fit. */
static int pack_cut(struct packer *packer)
{
    const struct prompt_items *items = packer->items;
    uint64_t used = 0;
    size_t first = items->count;
    for (size_t i = 0; i < items->count; i++) {
        const struct prompt_item *item = &items->list[i];
        const uint32_t left = packer->room - packer->used;
        used += item->places;
        if (item->places > left && first == items->count)
            first = i;
        put_item(packer, item, 0, item->places < left ? item->places : left);
    }
    close_chunk(packer);
    packer->prompt->used = used < UINT32_MAX ? (uint32_t)used : UINT32_MAX;
    packer->prompt->available = packer->room;
    if (first == items->count)
        return VKCLIP_OK;
    int error = spell_rest(packer, first);
    return error ? error : report_rest(packer->prompt, packer->form);
}

/* ---- The webui ------------------------------------------------------------------------------- */

/* Closes the chunk after its last comma, and moves what followed it to the next chunk. */
static int move_after_comma(struct packer *packer)
{
    struct vkclip_prompt_place moved[COMMA_BACKTRACK];
    const uint32_t kept = (uint32_t)packer->last_comma + 1, count = packer->used - kept;
    memcpy(moved, last_chunk(packer) + kept, count * sizeof(*moved));
    packer->used = kept;
    int error = next_chunk(packer);
    if (error)
        return error;
    memcpy(last_chunk(packer), moved, count * sizeof(*moved));
    packer->used = count;
    return VKCLIP_OK;
}

static int pack_webui_item(struct packer *packer, const struct prompt_item *item)
{
    int error = VKCLIP_OK;
    if (item->places > packer->room)
        return error_fail(VKCLIP_EINVALID, "%s: embedding %s has %u vectors, but a chunk has %u",
                          packer->form->name, packer->form->embeddings[item->embedding].name,
                          item->places, packer->room);
    if (item->id == ITEM_BREAK)
        return next_chunk(packer);
    if (item->id == packer->comma)
        packer->last_comma = packer->used;
    else if (packer->used == packer->room && packer->last_comma >= 0 &&
             packer->used - packer->last_comma <= COMMA_BACKTRACK)
        error = move_after_comma(packer);
    if (!error && packer->used == packer->room)
        error = next_chunk(packer);
    if (!error && packer->used + item->places > packer->room)
        error = next_chunk(packer);
    if (!error)
        put_item(packer, item, 0, item->places);
    return error;
}

/* Sets the ids after the first end of text to the fill, also where the prompt itself has one. */
static void fill_after_end(struct packer *packer)
{
    const struct vkclip_prompt *prompt = packer->prompt;
    const int32_t end = tokenizer_end(packer->form->tokenizer);
    for (uint32_t chunk = 0; chunk < prompt->chunks; chunk++) {
        struct vkclip_prompt_place *places = prompt->places + (size_t)chunk * prompt->length;
        bool ended = false;
        for (uint32_t i = 0; i < prompt->length; i++) {
            if (ended)
                places[i].id = packer->form->fill;
            ended |= places[i].id == end;
        }
    }
}

/* Makes chunks that are closed after a comma, if one is near the end of a full chunk. */
static int pack_webui(struct packer *packer)
{
    struct prompt_ids comma = {0};
    int error = prompt_ids_encode(packer->form, ",", 1, &comma);
    packer->comma = comma.count == 1 ? comma.list[0] : NO_COMMA;
    memory_free(comma.list);
    for (size_t i = 0; i < packer->items->count && !error; i++)
        error = pack_webui_item(packer, &packer->items->list[i]);
    if (error)
        return error;
    if (!packer->used && packer->prompt->chunks > 1) { /* A break was the last item. */
        packer->prompt->chunks--;
        packer->used = packer->room;
    } else {
        close_chunk(packer);
    }
    if (packer->form->fill != tokenizer_end(packer->form->tokenizer))
        fill_after_end(packer);
    return VKCLIP_OK;
}

/* ---- ComfyUI --------------------------------------------------------------------------------- */

/* Adds the items first to last - 1, which are a group of `places` places. */
static int pack_group(struct packer *packer, size_t first, size_t last, uint64_t places)
{
    int error = VKCLIP_OK;
    if (places < GROUP_LIMIT && packer->used + places > packer->room)
        error = next_chunk(packer);
    for (size_t i = first; i < last; i++) {
        const struct prompt_item *item = &packer->items->list[i];
        for (uint32_t k = 0; k < item->places && !error; k++) {
            if (packer->used == packer->room)
                error = next_chunk(packer);
            if (!error)
                put_item(packer, item, k, 1);
        }
    }
    return error;
}

/* Makes chunks that have short groups whole. */
static int pack_comfy(struct packer *packer)
{
    const struct prompt_items *items = packer->items;
    int error = VKCLIP_OK;
    for (size_t i = 0, last; i < items->count && !error; i = last) {
        uint64_t places = 0;
        for (last = i; last < items->count && items->list[last].group == items->list[i].group;)
            places += items->list[last++].places;
        error = pack_group(packer, i, last, places);
    }
    if (!error)
        close_chunk(packer);
    return error;
}

/* ---- The interface --------------------------------------------------------------------------- */

struct rules {
    int (*pack)(struct packer *packer);
    enum vkclip_weighting weighting;
};

static const struct rules syntaxes[] = {
    [VKCLIP_SYNTAX_NONE] = {pack_cut, VKCLIP_WEIGHTING_NONE},
    [VKCLIP_SYNTAX_A1111] = {pack_webui, VKCLIP_WEIGHTING_RENORMALISE},
    [VKCLIP_SYNTAX_A1111_NO_NORM] = {pack_webui, VKCLIP_WEIGHTING_MULTIPLY},
    [VKCLIP_SYNTAX_A1111_IGNORE] = {pack_webui, VKCLIP_WEIGHTING_NONE},
    [VKCLIP_SYNTAX_A1111_NONE] = {pack_webui, VKCLIP_WEIGHTING_NONE},
    [VKCLIP_SYNTAX_COMFY] = {pack_comfy, VKCLIP_WEIGHTING_INTERPOLATE},
};

/* Returns the rules of a syntax for an encoder. The webui knows a sequence, T5's, only for Stable
 * Diffusion 3, and cuts it and leaves its rows as they are. */
static struct rules find_rules(enum vkclip_syntax syntax, const struct prompt_form *form)
{
    const struct rules rules = syntaxes[syntax];
    if (form->sequence && rules.pack == pack_webui)
        return (struct rules){pack_cut, VKCLIP_WEIGHTING_NONE};
    return rules;
}

/* Makes the first chunk, in which ComfyUI's sequences have room for all items. */
static int open_packer(struct packer *packer, const struct rules *rules)
{
    const struct prompt_form *form = packer->form;
    packer->begins = tokenizer_start(form->tokenizer) >= 0;
    uint64_t length = form->length, needed = 1 + packer->begins;
    const uint64_t least = form->sequence || rules->pack == pack_cut ? needed : CHUNK_LEAST;
    const bool grows = form->sequence && (rules->pack == pack_comfy || !length);
    for (size_t i = 0; i < packer->items->count; i++)
        needed += packer->items->list[i].places;
    if (grows && needed > length)
        length = needed;
    if (length < least)
        return error_fail(VKCLIP_EINVALID, "%s: prompt of %u places, expected at least %u",
                          form->name, form->length, (unsigned)least);
    if (length > PROMPT_PLACES)
        return fail_places(form);
    packer->prompt->length = (uint32_t)length;
    packer->room = (uint32_t)length - 1 - packer->begins;
    return open_chunk(packer);
}

static bool is_weighted(const struct vkclip_prompt *prompt)
{
    for (size_t i = 0; i < (size_t)prompt->chunks * prompt->length; i++)
        if (prompt->places[i].weight != 1)
            return true;
    return false;
}

/* Decides how the rows are weighted, and says where weights have no effect. */
static void choose_weighting(struct vkclip_prompt *prompt, enum vkclip_weighting wanted,
                             enum vkclip_weighting possible, const struct prompt_form *form)
{
    const bool weighted = is_weighted(prompt);
    prompt->weighting = weighted ? possible : VKCLIP_WEIGHTING_NONE;
    if (weighted && wanted != possible)
        log_message(VKCLIP_LOG_WARNING,
                    "%s: the prompt's weights do not change this encoder's output, as in the webui",
                    form->name);
}

int prompt_encode(const char *text, size_t length, enum vkclip_syntax syntax,
                  const struct prompt_form *form, struct vkclip_prompt *prompt)
{
    struct prompt_items items;
    struct packer packer = {.form = form, .items = &items, .prompt = prompt};
    *prompt = (struct vkclip_prompt){0};
    int error = prompt_items_make(text, length, syntax, form, &items);
    if (error)
        return error;
    const struct rules rules = find_rules(syntax, form);
    error = open_packer(&packer, &rules);
    if (!error)
        error = rules.pack(&packer);
    if (!error && rules.pack != pack_cut) {
        prompt->available = prompt->chunks * packer.room;
        prompt->used = prompt->available - packer.room + packer.used;
    }
    if (!error)
        choose_weighting(prompt, syntaxes[syntax].weighting, rules.weighting, form);
    prompt_items_free(&items);
    if (error)
        prompt_free(prompt);
    return error;
}

void prompt_free(struct vkclip_prompt *prompt)
{
    memory_free(prompt->places);
    memory_free(prompt->rest);
    *prompt = (struct vkclip_prompt){0};
}

void prompt_empty(const struct prompt_form *form, uint32_t length, int32_t *ids)
{
    uint32_t i = 0;
    if (!form->empty_is_fill && tokenizer_start(form->tokenizer) >= 0 && i < length)
        ids[i++] = tokenizer_start(form->tokenizer);
    if (!form->empty_is_fill && i < length)
        ids[i++] = tokenizer_end(form->tokenizer);
    while (i < length)
        ids[i++] = form->fill;
}
