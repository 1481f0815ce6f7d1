/* SPDX-License-Identifier: MIT
 *
 * Encodes texts in windows, so that memory does not grow with their number. Within a window the
 * shorter texts run first, in batches of equal length. Refuses token ids beyond the model's table.
 */
#include "encode/texts.h"
#include "base/array.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/lookup.h"
#include "encode/call.h"

#include <string.h>

enum {
    WINDOW = CALL_WINDOW, /* the most; an item's place equals its place in struct call. */
    SHORTEST = 8,         /* token positions; shorter plans would not be faster */
    LENGTHS = 16,         /* powers of two from SHORTEST on, and the context */
    SHOWN = 40            /* bytes of a text in messages */
};

/* Holds a window of texts by their places in it. */
struct texts {
    uint32_t ends[WINDOW];      /* the token of each text that is pooled */
    uint32_t extents[WINDOW];   /* how many tokens its embedding depends on */
    uint32_t lengths[WINDOW];   /* token positions that it runs in; 0: it has failed */
    uint32_t same[WINDOW];      /* first text with the same ids */
    uint32_t order[WINDOW];     /* different texts, the shorter ones first */
    uint32_t count;             /* number of places in `order` */
    uint32_t table[2 * WINDOW]; /* open hashing by ids: 1 + a text's place, or 0 */
    struct batches_group groups[LENGTHS];
    int32_t ids[]; /* [WINDOW,T] */
};

struct text_call {
    struct call call; /* comes first, because callbacks of struct batches get a pointer to it */
    const struct text_items *items;
    struct config config; /* the model's, whose context is the width of ids that are not padded */
    const struct tower_row *row; /* of the model's text tower */
    struct texts *texts;
    size_t first; /* item at the window's first place */
};

/* ---- From a text to ids ---------------------------------------------------------------------- */

/* Holds the beginning of a text for messages, not cut within a character. */
struct quote {
    char text[sizeof("text '...': ") + SHOWN];
};

static struct quote quote_text(const char *text, size_t length)
{
    struct quote quote;
    const size_t shown = string_fit(text, length, SHOWN);
    snprintf(quote.text, sizeof(quote.text), "text '%.*s%s': ", (int)shown, text,
             shown < length ? "..." : "");
    return quote;
}

/* Truncates ids at `limit` but keeps the end of text. `quote` precedes the message. */
static int fit_ids(const struct tokenizer *tokenizer, bool strict, const char *quote, int32_t *ids,
                   size_t limit, size_t *count)
{
    if (*count <= limit)
        return VKCLIP_OK;
    if (strict)
        return error_fail(VKCLIP_ETOOLONG, "%stext of %zu tokens, expected at most %zu", quote,
                          *count, limit);
    log_message(VKCLIP_LOG_WARNING, "%stext of %zu tokens truncated to %zu", quote, *count, limit);
    ids[limit - 1] = tokenizer_end(tokenizer);
    *count = limit;
    return VKCLIP_OK;
}

static void pad_ids(const struct tokenizer *tokenizer, int32_t *ids, size_t count, size_t capacity)
{
    for (size_t i = count; i < capacity; i++)
        ids[i] = tokenizer_pad(tokenizer);
}

int texts_check_tokenizer(const struct vkclip_model *model)
{
    if (model->tokenizer)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EABSENT, "no vocabulary beside the checkpoint: name one (`vocab`), "
                                      "such as tokenizer.json or bpe_simple_vocab_16e6.txt.gz");
}

int texts_tokenize(const struct vkclip_model *model, const char *text, size_t length,
                   unsigned flags, int32_t *ids, size_t capacity, size_t *count)
{
    const bool full = flags & VKCLIP_TOKENIZE_FULL;
    const size_t context = model->spec.config.context;
    size_t limit = capacity;
    int error = texts_check_tokenizer(model);
    if (error)
        return error;
    if (!full && context && context < limit)
        limit = context;
    if (!full && limit < 2)
        return error_fail(VKCLIP_EINVALID, "vkclip_tokenize: room for at least 2 ids expected");
    error = tokenizer_encode(model->tokenizer, text, length, ids, limit, count);
    if (!error && !full)
        error = fit_ids(model->tokenizer, flags & VKCLIP_TOKENIZE_STRICT, "", ids, limit, count);
    if (!error && flags & VKCLIP_TOKENIZE_PAD)
        pad_ids(model->tokenizer, ids, *count, capacity);
    return error;
}

/* ---- A window -------------------------------------------------------------------------------- */

static int make_ids(const struct text_call *call, size_t item, int32_t *ids, size_t context)
{
    const struct vkclip_model *model = call->call.model;
    const struct vkclip_encode_params *params = &call->call.params;
    const char *text = call->items->strings[item];
    if (!text && (!params->lengths || params->lengths[item]))
        return error_fail(VKCLIP_EINVALID, "text %zu is NULL", item);
    const size_t length = params->lengths ? params->lengths[item] : strlen(text);
    const struct quote quote = quote_text(text, length);
    size_t count;
    int error = tokenizer_encode(model->tokenizer, text, length, ids, context, &count);
    if (error)
        return error_fail(error, "%s%s", quote.text, error_last());
    error = fit_ids(model->tokenizer, params->strict, quote.text, ids, context, &count);
    if (!error)
        pad_ids(model->tokenizer, ids, count, context);
    return error;
}

static void copy_ids(const struct text_call *call, size_t item, int32_t *ids, size_t context)
{
    const struct vkclip_model *model = call->call.model;
    const size_t width = call->items->width;
    const int32_t pad =
        model->tokenizer ? tokenizer_pad(model->tokenizer) : model->spec.config.pad_token_id;
    for (size_t i = 0; i < context; i++)
        ids[i] = i < width ? call->items->ids[item * width + i] : pad;
}

static int check_ids(const struct config *config, size_t item, const int32_t *ids)
{
    for (size_t i = 0; i < config->context; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= config->vocabulary)
            return error_fail(VKCLIP_EINVALID,
                              "text %zu: token id %d at position %zu, expected 0 to %u", item,
                              ids[i], i, config->vocabulary - 1);
    return VKCLIP_OK;
}

/* Tells whether more than the text's end is wanted, so that its later positions count. */
static bool wants_all(const struct text_call *call)
{
    return call->call.params.hidden || call->call.features.wanted;
}

/* Tells whether rows of ids run as they are: the tower takes any length. */
static bool is_exact(const struct text_call *call)
{
    return call->row->any_length && call->items->ids;
}

/* Makes the ids of one text, and finds its end and the length that it runs in. */
static int prepare_text(void *user, size_t place, unsigned thread)
{
    struct text_call *call = user;
    const struct config *config = &call->config;
    const size_t context = config->context, item = call->first + place;
    struct texts *texts = call->texts;
    int32_t *ids = &texts->ids[place * context];
    int error = VKCLIP_OK;
    (void)thread;
    texts->lengths[place] = 0;
    texts->same[place] = (uint32_t)place;
    if (call->items->strings)
        error = make_ids(call, item, ids, context);
    else
        copy_ids(call, item, ids, context);
    if (!error)
        error = check_ids(config, item, ids);
    if (error)
        return call_fail_item(&call->call, item, error);
    texts->ends[place] = (uint32_t)tower_text_end(config, ids);
    texts->extents[place] = tower_text_extent(config, ids);
    uint32_t length = SHORTEST;
    while (length < texts->extents[place])
        length *= 2;
    bool whole = wants_all(call) || is_exact(call) || length > context;
    texts->lengths[place] = whole ? (uint32_t)context : length;
    return VKCLIP_OK;
}

static bool are_equal(const struct texts *texts, size_t a, size_t b, size_t context)
{
    const size_t count = texts->extents[a];
    return texts->ends[a] == texts->ends[b] && count == texts->extents[b] &&
           !memcmp(&texts->ids[a * context], &texts->ids[b * context], count * sizeof(*texts->ids));
}

/* Compares texts only as far as their ids change the embedding. */
static void find_duplicates(struct texts *texts, size_t number, size_t context)
{
    const size_t entries = ARRAY_COUNT(texts->table);
    memset(texts->table, 0, sizeof(texts->table));
    for (size_t i = 0; i < number; i++) {
        if (!texts->lengths[i])
            continue;
        const size_t size = texts->extents[i] * sizeof(*texts->ids);
        size_t entry = hash_bytes(0, &texts->ids[i * context], size) % entries;
        while (texts->table[entry] && !are_equal(texts, i, texts->table[entry] - 1, context))
            entry = (entry + 1) % entries;
        if (texts->table[entry])
            texts->same[i] = texts->table[entry] - 1;
        else
            texts->table[entry] = (uint32_t)i + 1;
    }
}

/* Makes groups of equal length, the shorter ones first. */
static void order_texts(struct texts *texts, size_t number, uint32_t context)
{
    struct batches_group *group = texts->groups;
    uint32_t length = 0;
    texts->count = 0;
    for (uint32_t next = SHORTEST; length < context; next *= 2) {
        length = next < context ? next : context;
        const uint32_t before = texts->count;
        for (uint32_t i = 0; i < number; i++)
            if (texts->lengths[i] == length && texts->same[i] == i)
                texts->order[texts->count++] = i;
        if (texts->count > before)
            *group++ = (struct batches_group){length, texts->count};
    }
}

/* ---- Encoding -------------------------------------------------------------------------------- */

int texts_write_ids(const struct vkclip_model *model, struct replica *replica,
                    const struct replica_plan *plan, const int32_t *ids, uint32_t length,
                    uint32_t place, unsigned thread)
{
    const struct config *config = &model->spec.config;
    const uint64_t first = (uint64_t)place * length, width = config->text.width;
    if (!tower_looks_up(config)) {
        plan_write_ids(plan->plan, plan->input, first, ids, length);
        return VKCLIP_OK;
    }
    float *vectors =
        scratch_reserve(&replica_memory(replica, thread)->item, 2 * width * sizeof(*vectors));
    int error = vectors ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a text");
    for (uint32_t i = 0; i < length && !error; i++) {
        error = lookup_vector(model->weights, config, ids, i, vectors);
        if (!error)
            plan_write(plan->plan, plan->input, (first + i) * width, vectors, width);
    }
    return error;
}

/* Tells whether a token is attended to: the caller's mask says so, or it is no padding, or one of a
 * row of ids of which the tower knows no padding. */
static bool is_seen(const struct text_call *call, uint32_t text, uint32_t token)
{
    const struct texts *texts = call->texts;
    if (call->items->mask)
        return call->items->mask[(call->first + text) * call->items->width + token] != 0;
    if (call->row->knows_padding)
        return texts->ids[(size_t)text * call->config.context + token] != call->config.pad_token_id;
    return is_exact(call) || token <= texts->ends[text];
}

static void write_mask(const struct text_call *call, const struct replica_plan *plan, uint32_t text,
                       uint32_t place)
{
    const uint32_t length = call->texts->lengths[text];
    for (uint32_t i = 0; i < length; i++) {
        const int32_t seen = is_seen(call, text, i);
        plan_write_ids(plan->plan, plan->mask, (uint64_t)place * length + i, &seen, 1);
    }
}

static int write_text(void *user, struct replica *replica, const struct replica_plan *plan,
                      size_t index, uint32_t place, unsigned thread)
{
    const struct text_call *call = user;
    const struct texts *texts = call->texts;
    const uint32_t text = texts->order[index], length = texts->lengths[text];
    const int32_t end = (int32_t)texts->ends[text];
    const int32_t *ids = &texts->ids[(size_t)text * call->config.context];
    if (plan->rows >= 0)
        plan_write_ids(plan->plan, plan->rows, place, &end, 1);
    if (plan->mask >= 0)
        write_mask(call, plan, text, place);
    return texts_write_ids(call->call.model, replica, plan, ids, length, place, thread);
}

static int read_texts(void *user, const struct replica_plan *plan, size_t first, size_t number)
{
    const struct text_call *call = user;
    size_t items[WINDOW];
    for (size_t i = 0; i < number; i++)
        items[i] = call->first + call->texts->order[first + i];
    return call_read(&call->call, plan, 0, items, number);
}

static int report_texts(void *user, size_t done)
{
    struct text_call *call = user;
    return call_report(&call->call, call->first + done);
}

static void copy_duplicates(const struct text_call *call, size_t number)
{
    for (size_t i = 0; i < number; i++) {
        const size_t source = call->texts->same[i];
        if (source != i)
            memcpy(call_embedding(&call->call, call->first + i),
                   call_embedding(&call->call, call->first + source),
                   call->call.dim * sizeof(float));
    }
}

/* Encodes the prepared texts of a window, equal ones once. */
static int encode_prepared(struct text_call *call, size_t number)
{
    struct texts *texts = call->texts;
    if (!wants_all(call) && !is_exact(call))
        find_duplicates(texts, number, call->config.context);
    order_texts(texts, number, call->config.context);
    struct batches work = {.tower = TOWER_TEXT,
                           .count = texts->count,
                           .groups = texts->groups,
                           .write = write_text,
                           .read = read_texts,
                           .progress = report_texts};
    int error = texts->count ? call_run(&call->call, &work) : VKCLIP_OK;
    if (!error)
        copy_duplicates(call, number);
    return error;
}

static int encode_window(struct text_call *call, size_t number)
{
    const struct vkclip_model *model = call->call.model;
    int error = workers_run(gpu_workers(model->device->gpus[0]), prepare_text, call, number);
    if (!error)
        error = encode_prepared(call, number);
    if (!error)
        error = call_deliver(&call->call, call->first, number);
    if (!error)
        error = call_report(&call->call, call->first + number);
    return error;
}

static int encode_windows(struct text_call *call)
{
    struct vkclip_model *model = call->call.model;
    const size_t row = model->spec.config.context * sizeof(*model->texts->ids);
    /* Another call on the model may run between the batches of this one. */
    struct texts *texts = model->texts;
    model->texts = NULL;
    if (!texts)
        texts = memory_alloc(sizeof(*texts) + WINDOW * row);
    if (!texts)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a batch of texts");
    call->texts = texts;
    int error = tower_looks_up(&call->config) ? weights_check(model->weights) : VKCLIP_OK;
    const size_t window = call->call.places;
    for (; call->first < call->call.count && !error; call->first += window) {
        const size_t left = call->call.count - call->first;
        error = encode_window(call, left < window ? left : window);
    }
    /* A call that was cancelled while it gave way has lost its turn, and with it the model. */
    if (error || model->texts)
        memory_free(texts);
    else
        model->texts = texts;
    return error;
}

int texts_encode(struct vkclip_model *model, const struct text_items *items, size_t count,
                 const struct vkclip_encode_params *params, float *embeds)
{
    const bool given = items->strings || items->ids;
    struct text_call call = {.items = items};
    if (model)
        call.row = tower_find(&model->spec.config, TOWER_TEXT);
    const bool exact = call.row && is_exact(&call) && items->width <= model->spec.config.context;
    const uint32_t length = exact ? (uint32_t)items->width : 0;
    int error = call_open(model, TOWER_TEXT, given, count, length, params, embeds, &call.call);
    if (!error && items->strings && count)
        error = texts_check_tokenizer(model);
    const size_t context = error ? 0 : model->spec.config.context;
    if (!error && items->ids && (!items->width || items->width > context))
        error = error_fail(VKCLIP_ETOOLONG, "rows of %zu token ids, expected 1 to %zu",
                           items->width, context);
    if (!error) {
        call.config = model->spec.config;
        call.config.context = length ? length : call.config.context;
        if (model->tokenizer) /* With its padding texts are filled up, and so are rows of ids. */
            call.config.pad_token_id = tokenizer_pad(model->tokenizer);
        error = encode_windows(&call);
    }
    call_close(&call.call);
    return error;
}
