/* SPDX-License-Identifier: MIT
 *
 * An option is a row of the table: its name, where its value is, its default, and what follows if a
 * run resumes with another value.
 */
#include "train/options.h"
#include "base/array.h"
#include "base/dump.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"

#include <stddef.h>

enum kind { FLAG, CHARACTER, NUMBER, LONG_NUMBER, REAL, TEXT, TEXTS, CHOICE };

/* What follows if a resumed run has another value. */
enum effect {
    OTHER_RESULTS, /* a warning */
    SAME_RESULTS,  /* a line for those who asked for more */
    NOT_USED,      /* a warning if it was given, because a resumed run has a model of its own */
    NO_RUN         /* an error: what was saved does not fit */
};

struct row {
    const char *name;
    size_t offset; /* in struct vkclip_trainer_params */
    enum kind kind;
    enum effect effect;
    unsigned reals;             /* of REAL: how many numbers there are, if not one */
    double otherwise[4];        /* of numbers: the default */
    size_t count;               /* of TEXTS: the offset of their number */
    const char *const *choices; /* of CHOICE: the names of the values */
};

static const char *const precisions[] = {"f32", "f16", NULL};
static const char *const losses[] = {"auto", "softmax", "sigmoid", NULL};
static const char *const rates[] = {"cosine", "const", "const-cooldown", NULL};
static const char *const flags[] = {"no", "yes"};

#define OFFSET(member) offsetof(struct vkclip_trainer_params, member)
#define ROW_WITH(member, kind_, effect_, ...)                                                    \
    {                                                                                            \
        .name = #member, .offset = OFFSET(member), .kind = kind_, .effect = effect_, __VA_ARGS__ \
    }
#define ROW(member, kind_, effect_) ROW_WITH(member, kind_, effect_, .count = 0)

static const struct row rows[] = {
    ROW(model, TEXT, NOT_USED),
    ROW(init, TEXT, NOT_USED),
    ROW(vocab, TEXT, NOT_USED),
    ROW(state_dict, TEXT, NOT_USED),
    ROW_WITH(data, TEXTS, OTHER_RESULTS, .count = OFFSET(data_count)),
    ROW(val_data, TEXT, SAME_RESULTS),
    ROW(data_raw, TEXT, OTHER_RESULTS),
    ROW(csv_separator, CHARACTER, OTHER_RESULTS),
    ROW(csv_img_key, TEXT, OTHER_RESULTS),
    ROW(csv_caption_key, TEXT, OTHER_RESULTS),
    ROW(label_key, TEXT, OTHER_RESULTS),
    ROW_WITH(templates, TEXTS, OTHER_RESULTS, .count = OFFSET(template_count)),
    ROW(augmentation.off, FLAG, OTHER_RESULTS),
    ROW_WITH(augmentation.scale, REAL, OTHER_RESULTS, .reals = 2, .otherwise = {0.9, 1}),
    ROW_WITH(augmentation.ratio, REAL, OTHER_RESULTS, .reals = 2, .otherwise = {3. / 4, 4. / 3}),
    ROW(augmentation.rotate, REAL, OTHER_RESULTS),
    ROW(augmentation.fill_mean, FLAG, OTHER_RESULTS),
    ROW_WITH(augmentation.color_jitter, REAL, OTHER_RESULTS, .reals = 4),
    ROW_WITH(augmentation.color_jitter_prob, REAL, OTHER_RESULTS, .otherwise = {1}),
    ROW(augmentation.gray_scale_prob, REAL, OTHER_RESULTS),
    ROW(augmentation.channel_gain, REAL, OTHER_RESULTS),
    ROW(workers, NUMBER, SAME_RESULTS),
    ROW(batch_size, NUMBER, OTHER_RESULTS),
    ROW_WITH(accum_freq, NUMBER, OTHER_RESULTS, .otherwise = {1}),
    ROW_WITH(lr, REAL, OTHER_RESULTS, .otherwise = {5e-4}),
    ROW_WITH(beta1, REAL, OTHER_RESULTS, .otherwise = {0.9}),
    ROW_WITH(beta2, REAL, OTHER_RESULTS, .otherwise = {0.98}),
    ROW_WITH(eps, REAL, OTHER_RESULTS, .otherwise = {1e-6}),
    ROW_WITH(wd, REAL, OTHER_RESULTS, .otherwise = {0.2}),
    ROW(grad_clip_norm, REAL, OTHER_RESULTS),
    ROW(ema_decay, REAL, OTHER_RESULTS),
    ROW(warmup, LONG_NUMBER, OTHER_RESULTS),
    ROW_WITH(lr_scheduler, CHOICE, OTHER_RESULTS, .choices = rates),
    ROW(steps_cooldown, LONG_NUMBER, OTHER_RESULTS),
    ROW(epochs_cooldown, NUMBER, OTHER_RESULTS),
    ROW_WITH(lr_cooldown_power, REAL, OTHER_RESULTS, .otherwise = {1}),
    ROW(lr_cooldown_end, REAL, OTHER_RESULTS),
    ROW(steps, LONG_NUMBER, OTHER_RESULTS),
    ROW_WITH(epochs, NUMBER, SAME_RESULTS,
             .otherwise = {32}), /* `steps` has what follows from it. */
    ROW(seed, LONG_NUMBER, OTHER_RESULTS),
    ROW(freeze_bn_stats, FLAG, OTHER_RESULTS),
    ROW(lock_image, FLAG, NO_RUN), /* The moments of a locked tower are not saved. */
    ROW(lock_text, FLAG, NO_RUN),
    ROW(lock_image_unlocked_groups, NUMBER, NO_RUN),
    ROW(lock_text_unlocked_layers, NUMBER, NO_RUN),
    ROW_WITH(precision, CHOICE, OTHER_RESULTS, .choices = precisions),
    ROW(checkpoint_activations, FLAG, SAME_RESULTS),
    ROW_WITH(loss, CHOICE, NO_RUN, .choices = losses), /* Only one of them trains logit_bias. */
    ROW_WITH(keep, NUMBER, SAME_RESULTS, .otherwise = {3}),
};

/* ---- Values ---------------------------------------------------------------------------------- */

static unsigned count_reals(const struct row *row)
{
    return row->reals ? row->reals : 1;
}

static void complete_reals(const struct row *row, double *values)
{
    bool given = false;
    for (unsigned i = 0; i < count_reals(row); i++)
        given = given || values[i] != 0;
    for (unsigned i = 0; i < count_reals(row); i++) {
        if (!given)
            values[i] = row->otherwise[i];
        else if (values[i] < 0)
            values[i] = 0;
    }
}

void options_complete(struct vkclip_trainer_params *params)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        void *value = (char *)params + rows[i].offset;
        uint32_t *number = value;
        if (rows[i].kind == REAL)
            complete_reals(&rows[i], value);
        if (rows[i].kind == NUMBER && !*number)
            *number = (uint32_t)rows[i].otherwise[0];
    }
}

static json_t *pack_reals(const struct row *row, const double *values)
{
    if (count_reals(row) == 1)
        return json_real(values[0]);
    json_t *list = json_array();
    for (unsigned i = 0; i < count_reals(row); i++)
        json_array_append_new(list, json_real(values[i]));
    return list;
}

/* A path or a text that is not UTF-8 is kept with question marks, since JSON has no bytes. */
static json_t *pack_text(const char *text)
{
    char *copy = string_format("%s", text);
    json_t *packed = copy ? json_string(copy) : NULL;
    for (size_t i = 0; copy && !packed && copy[i]; i++)
        copy[i] = copy[i] & 0x80 ? '?' : copy[i];
    if (copy && !packed)
        packed = json_string(copy);
    memory_free(copy);
    return packed;
}

static json_t *pack_texts(const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, pack_text(texts[i]));
    return list;
}

/* A number that the list does not name is kept as a number. */
static json_t *pack_choice(const struct row *row, unsigned value)
{
    for (unsigned i = 0; row->choices[i]; i++)
        if (i == value)
            return json_string(row->choices[i]);
    return json_integer(value);
}

static json_t *pack_value(const struct row *row, const struct vkclip_trainer_params *params)
{
    const char *base = (const char *)params, *value = base + row->offset;
    const char *const text = row->kind == TEXT ? *(const char *const *)value : NULL;
    const char character[] = {*value, 0};
    switch (row->kind) {
    case FLAG:
        return json_string(flags[*(const bool *)value]);
    case CHARACTER:
        return *value ? pack_text(character) : json_null();
    case NUMBER:
        return json_integer(*(const uint32_t *)value);
    case LONG_NUMBER:
        return json_integer((json_int_t) * (const uint64_t *)value);
    case REAL:
        return pack_reals(row, (const double *)value);
    case TEXT:
        return text ? pack_text(text) : json_null();
    case TEXTS:
        return pack_texts(*(const char *const *const *)value, *(const size_t *)(base + row->count));
    case CHOICE:
        return pack_choice(row, *(const unsigned *)value);
    }
    return NULL;
}

json_t *options_pack(const struct vkclip_trainer_params *params)
{
    json_t *options = json_object();
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (json_object_set_new(options, rows[i].name, pack_value(&rows[i], params))) {
            json_decref(options);
            return NULL;
        }
    return options;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* Writes a value as a user would: texts without quotes, and "none" for none. */
static void print_value(const json_t *value, char text[256])
{
    char *dump = NULL;
    if (json_is_string(value))
        snprintf(text, 256, "%s", json_string_value(value));
    else if (json_is_real(value))
        snprintf(text, 256, "%g", json_real_value(value));
    else
        dump = dump_json(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (dump)
        snprintf(text, 256, "%s", json_is_null(value) ? "none" : dump);
    memory_free(dump);
}

static int report(const struct row *row, const json_t *before, const json_t *now)
{
    static const struct {
        enum vkclip_log_level level;
        const char *consequence;
    } effects[] = {
        [OTHER_RESULTS] = {VKCLIP_LOG_WARNING, "the run resumes, but with other results"},
        [SAME_RESULTS] = {VKCLIP_LOG_INFO, "results do not depend on it"},
        [NOT_USED] = {VKCLIP_LOG_WARNING, "the run resumes from its own saved step all the same"},
    };
    char stored[256] = "", given[256] = "";
    print_value(before, stored);
    print_value(now, given);
    if (row->effect == NO_RUN)
        return error_fail(VKCLIP_EINVALID,
                          "`%s`: the run began with %s, found %s, for which its saved steps have "
                          "not what is needed: give the former, or begin another run from the "
                          "saved step in another folder",
                          row->name, stored, given);
    log_message(effects[row->effect].level, "`%s`: the run began with %s, found %s: %s", row->name,
                stored, given, effects[row->effect].consequence);
    return VKCLIP_OK;
}

int options_compare(const json_t *before, const json_t *now)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < ARRAY_COUNT(rows) && !error; i++) {
        const json_t *stored = json_object_get(before, rows[i].name);
        const json_t *given = json_object_get(now, rows[i].name);
        const bool matters = rows[i].effect != NOT_USED || !json_is_null(given);
        if (stored && given && matters && !json_equal(stored, given))
            error = report(&rows[i], stored, given);
    }
    return error;
}
