/* SPDX-License-Identifier: MIT
 *
 * Classes, the file of choices, and the loop that fills it; one class is measured by tune_trial.c.
 */
#include "runtime/tune.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/settings.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cache.h"
#include "runtime/tune_trial.h"

/* Graphs of less work, in operations, run in less time than it takes to measure anything; so do
 * classes that are a small part of theirs. */
#define WORTHY_WORK 2e9
#define WORTHY_PART 0.02
/* An operation of attention, which loads for each, takes about as long as so many of a tile. */
#define ATTENTION_COST 8

struct tuner {
    struct gpu *gpu;
    bool measures, forced;
    char *path;      /* NULL: no cache */
    json_t *classes; /* key -> {"kernel": name, "ms": {name: number, or null: failed or wrong}} */
    const struct kernel *extra;
    size_t runs;
};

/* ---- The file -------------------------------------------------------------------------------- */

/* Of the kernels that the names in the file stand for. Of megabytes: only where there is a file. */
#define TABLE_HASH 17
static const char *hash_table(char text[TABLE_HASH])
{
    uint64_t hash = hash_bytes(0, vkclip_version(), strlen(vkclip_version()));
    for (size_t i = 0; i < kernel_count; i++)
        hash = hash_bytes(hash, kernels[i].code, kernels[i].bytes);
    snprintf(text, TABLE_HASH, "%016llx", (unsigned long long)hash);
    return text;
}

static bool is_class(json_t *value)
{
    json_t *ms = json_object_get(value, "ms"), *time;
    const char *name;
    bool good = json_is_string(json_object_get(value, "kernel")) && json_is_object(ms);
    json_object_foreach (ms, name, time)
        good =
            good && (json_is_null(time) || (json_is_number(time) && json_number_value(time) >= 0));
    return good;
}

/* The classes in the file that another process or an earlier one wrote; none where it is no good.
 */
static json_t *read_classes(const char *path)
{
    struct cache_content content;
    char table[TABLE_HASH];
    const char *key;
    json_t *classes = json_object(), *value;
    cache_read(path, &content);
    json_t *file = content.data ? json_loadb(content.data, content.size, 0, NULL) : NULL;
    const char *of = json_string_value(json_object_get(file, "table"));
    if (of && !strcmp(of, hash_table(table)))
        json_object_foreach (json_object_get(file, "classes"), key, value)
            if (is_class(value))
                json_object_set(classes, key, value);
    json_decref(file);
    cache_release(&content);
    return classes;
}

static void write_classes(const struct tuner *tuner)
{
    const struct vkclip_device_info *info = gpu_info(tuner->gpu);
    char table[TABLE_HASH];
    if (!tuner->path)
        return;
    json_t *classes = read_classes(tuner->path); /* another process may have added some */
    json_object_update(classes, tuner->classes);
    json_t *file = json_pack("{ss so}", "table", hash_table(table), "classes", classes);
    /* names that are no UTF-8 are left out: they are for a person who looks into the file */
    json_object_set_new(file, "device", json_string(info->name));
    json_object_set_new(file, "driver", json_string(info->driver));
    char *text = file ? json_dumps(file, JSON_INDENT(1) | JSON_REAL_PRECISION(5)) : NULL;
    if (text)
        cache_write(tuner->path, text, strlen(text));
    free(text);
    json_decref(file);
}

/* ---- The state of a device ------------------------------------------------------------------- */

int tune_open(struct gpu *gpu, const struct settings *settings, struct tuner **result)
{
    const char *mode = settings->tuning ? settings->tuning : "on";
    struct tuner *tuner = *result = calloc(1, sizeof(*tuner));
    if (!tuner)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the choice of kernels");
    const bool off = !strcmp(mode, "off");
    tuner->gpu = gpu;
    tuner->forced = !strcmp(mode, "force");
    if (!off && !tuner->forced && strcmp(mode, "on"))
        log_message(VKCLIP_LOG_WARNING,
                    "VKCLIP_TUNE is \"%s\", expected on, off or force: taken as on", mode);
    tuner->path = off ? NULL : gpu_cache_path(gpu, "tuning");
    tuner->measures = tuner->forced || tuner->path;
    tuner->classes = tuner->forced ? json_object() : read_classes(tuner->path);
    if (!tuner->classes) {
        tune_close(result);
        return error_fail(VKCLIP_EMEMORY, "out of memory for the choice of kernels");
    }
    return VKCLIP_OK;
}

void tune_close(struct tuner **handle)
{
    struct tuner *tuner = *handle;
    if (!tuner)
        return;
    json_decref(tuner->classes);
    free(tuner->path);
    free(tuner);
    *handle = NULL;
}

static size_t list_choices(const struct tuner *tuner, const struct graph *graph,
                           const struct node *node, struct kernel_choice choices[KERNEL_CHOICES],
                           size_t *trusted)
{
    size_t count = kernels_choices(tuner->gpu, graph, node, choices);
    *trusted = 0; /* the first of the table's last row, which needs nothing */
    while (*trusted < count && choices[*trusted].kernel != choices[count - 1].kernel)
        ++*trusted;
    return tuner->extra ? kernels_add_choices(tuner->gpu, tuner->extra, graph, node, choices, count)
                        : count;
}

/* ---- Choosing -------------------------------------------------------------------------------- */

struct class
{
    char key[TUNE_KEY];
    const struct node *node; /* the first of them */
    double cost;             /* of all, and of one as it is measured: operations of a tile */
    double one;
    bool leads; /* nothing akin is known, and of its kind this has the most work */
    struct class *next;
};

static double weigh(const struct node *node, double work)
{
    return graph_attends(node->op) ? ATTENTION_COST * work : work;
}

/* Whether two classes are of one op and of the same types: a key is "OP x[..] w -> ..". */
static bool is_akin(const char *key, const char *other)
{
    size_t length = strcspn(key, "[");
    const char *w = strchr(key, ']'), *other_w = strchr(other, ']');
    return !strncmp(key, other, length + 1) && w && other_w &&
           !strncmp(w, other_w, strcspn(w, "[>"));
}

/* The kernel that was found for a class, or, where nothing is known of it yet, for one akin to it;
 * NULL: none. */
static const char *known_kernel(const struct tuner *tuner, const char *key)
{
    const char *other;
    json_t *class = json_object_get(tuner->classes, key), *akin;
    if (!class)
        json_object_foreach (tuner->classes, other, akin)
            if (is_akin(key, other))
                class = akin;
    return json_string_value(json_object_get(class, "kernel"));
}

/* The choice of that name; the first where there is none. */
static size_t find_choice(const struct kernel_choice *choices, size_t count, const char *wanted)
{
    char name[KERNEL_CHOICE_NAME];
    for (size_t i = 0; wanted && i < count; i++) {
        kernels_choice_name(&choices[i], name);
        if (!strcmp(name, wanted))
            return i;
    }
    return 0;
}

/* First one class of each kind, whose kernel the others have until they are measured. */
static bool is_before(const struct class *a, const struct class *b)
{
    return a->leads != b->leads ? a->leads : a->cost > b->cost;
}

static void insert_class(struct class **at, struct class *class)
{
    while (*at && is_before(*at, class))
        at = &(*at)->next;
    class->next = *at;
    *at = class;
}

/* The classes of a graph that are worth measuring and are not yet known, in the order to do so. */
static struct class *find_unknown(const struct tuner *tuner, const struct graph *graph)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    struct class *first = NULL, *class, *other;
    size_t trusted;
    double all = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct node *node = &graph->nodes[n];
        char key[TUNE_KEY];
        all += weigh(node, node_work(graph, node));
        if (!tune_key(graph, node, key) || json_object_get(tuner->classes, key) ||
            list_choices(tuner, graph, node, choices, &trusted) < 2)
            continue;
        for (class = first; class && strcmp(class->key, key); class = class->next)
            ;
        if (!class && (class = calloc(1, sizeof(*class)))) {
            memcpy(class->key, key, sizeof(key));
            class->node = node;
            class->one = weigh(node, tune_work(graph, node));
            class->next = first;
            first = class;
        }
        if (class)
            class->cost += weigh(node, node_work(graph, node));
    }
    for (class = first; class; class = class->next) {
        class->leads = !known_kernel(tuner, class->key);
        for (other = first; other; other = other->next)
            if (is_akin(class->key, other->key)) /* those that follow do not lead yet */
                class->leads &= class->cost > other->cost ||
                                (class->cost == other->cost && (other == class || !other->leads));
    }
    struct class *sorted = NULL;
    while ((class = first)) {
        first = class->next;
        if (tuner->forced || (all >= WORTHY_WORK && class->cost >= all * WORTHY_PART))
            insert_class(&sorted, class);
        else
            free(class);
    }
    return sorted;
}

/* What was found of a class becomes an entry. */
static void keep_result(struct tuner *tuner, const char *key, const struct kernel_choice *choices,
                        const double *ms, size_t count, size_t best)
{
    char name[KERNEL_CHOICE_NAME];
    json_t *times = json_object();
    for (size_t i = 0; i < count; i++) {
        kernels_choice_name(&choices[i], name);
        if (ms[i])
            json_object_set_new(times, name, ms[i] < 0 ? json_null() : json_real(ms[i]));
    }
    kernels_choice_name(&choices[best], name);
    log_message(VKCLIP_LOG_INFO, "%s: %s", key, name);
    json_object_set_new(tuner->classes, key, json_pack("{ss so}", "kernel", name, "ms", times));
}

/* While measuring, errors are no failures: what cannot be measured keeps the fixed order. */
static void soften(void *user, enum vkclip_log_level level, const char *message)
{
    const struct log_target *before = user;
    struct log_target here = log_redirect(*before);
    log_message(level == VKCLIP_LOG_ERROR ? VKCLIP_LOG_INFO : level, "%s", message);
    log_redirect(here);
}

/* Choices that were far slower than another in an earlier class: they are not tried again. */
#define HOPELESS 2.5
struct hopeless {
    struct kernel_choice choices[KERNEL_CHOICES];
    size_t count;
};

static bool is_hopeless(const struct hopeless *hopeless, const struct kernel_choice *choice)
{
    for (size_t i = 0; i < hopeless->count; i++)
        if (kernels_same_choice(&hopeless->choices[i], choice))
            return true;
    return false;
}

static void add_hopeless(struct hopeless *hopeless, const struct tune_trial *trial, size_t best)
{
    for (size_t i = 1; i < trial->count && hopeless->count < KERNEL_CHOICES; i++)
        if (trial->ms[i] > HOPELESS * trial->ms[best] && trial->ms[best] > 0)
            hopeless->choices[hopeless->count++] = trial->choices[i];
}

static void measure(struct tuner *tuner, const struct graph *graph, double budget,
                    struct class *classes)
{
    struct hopeless hopeless = {.count = 0};
    double start = clock_seconds(), left = 0;
    size_t number = 0, total = 0;
    for (struct class *class = classes; class; class = class->next, total++)
        left += class->one;
    double whole = left;
    for (struct class *class = classes; class; left -= class->one, class = class->next) {
        struct kernel_choice choices[KERNEL_CHOICES];
        bool skip[KERNEL_CHOICES];
        double ms[KERNEL_CHOICES], end = start + budget * (class->leads ? 2 : 1);
        double seconds = end - clock_seconds();
        size_t best, trusted;
        size_t count = list_choices(tuner, graph, class->node, choices, &trusted);
        size_t favourite = find_choice(choices, count, known_kernel(tuner, class->key));
        for (size_t i = 0; i < count; i++)
            skip[i] = i != favourite && is_hopeless(&hopeless, &choices[i]);
        if (seconds <= 0)
            break; /* the rest another time */
        log_message(VKCLIP_LOG_INFO, "measuring kernels for this device, once: %zu of %zu",
                    ++number, total);
        struct tune_trial trial = {.gpu = tuner->gpu,
                                   .graph = graph,
                                   .node = class->node,
                                   .choices = choices,
                                   .skip = skip,
                                   .count = count,
                                   .trusted = trusted,
                                   .favourite = favourite,
                                   .seconds = seconds * class->one / left,
                                   .fair = budget * class->one / whole,
                                   .deadline = end,
                                   .ms = ms};
        int error = tune_measure(&trial, &best);
        tuner->runs += trial.runs;
        /* what takes all the time there is, and that alone, is not tried again: without numbers */
        if (error && (number > 1 || clock_seconds() < trial.deadline))
            continue;
        keep_result(tuner, class->key, choices, ms, error ? 0 : count, best);
        add_hopeless(&hopeless, &trial, best);
    }
    log_message(VKCLIP_LOG_INFO, "measured kernels for %.1f s", clock_seconds() - start);
    write_classes(tuner);
}

static void measure_softly(struct tuner *tuner, const struct graph *graph, double budget)
{
    struct class *classes = find_unknown(tuner, graph);
    if (classes) {
        struct log_target before = log_redirect((struct log_target){0});
        log_redirect((struct log_target){soften, &before});
        measure(tuner, graph, budget, classes);
        log_redirect(before);
    }
    for (struct class *next; classes; classes = next) {
        next = classes->next;
        free(classes);
    }
}

static struct kernel_choice choose_one(const struct tuner *tuner, const struct graph *graph,
                                       const struct node *node)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    char key[TUNE_KEY];
    size_t trusted, count = list_choices(tuner, graph, node, choices, &trusted);
    const char *known = tune_key(graph, node, key) ? known_kernel(tuner, key) : NULL;
    return count ? choices[find_choice(choices, count, known)] : (struct kernel_choice){0};
}

static struct kernel_choice first_choice(const struct gpu *gpu, const struct graph *graph,
                                         const struct node *node)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    return kernels_choices(gpu, graph, node, choices) ? choices[0] : (struct kernel_choice){0};
}

void tune_choose(struct gpu *gpu, struct tuner *tuner, const struct graph *graph, double seconds,
                 struct kernel_choice *choices)
{
    if (tuner && tuner->measures)
        measure_softly(tuner, graph, seconds);
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct node *node = &graph->nodes[n];
        choices[n] = tuner ? choose_one(tuner, graph, node) : first_choice(gpu, graph, node);
    }
}

/* ---- Listing --------------------------------------------------------------------------------- */

int tune_list(const struct tuner *tuner, vkclip_tuning_fn *entry, void *user)
{
    const char *key, *name;
    json_t *class, *time;
    int stopped = 0;
    json_object_foreach (tuner->classes, key, class) {
        json_t *ms = json_object_get(class, "ms");
        struct vkclip_tuning_time times[KERNEL_CHOICES];
        struct vkclip_tuning tuning = {.device = gpu_info(tuner->gpu)->name,
                                       .shape = key,
                                       .kernel =
                                           json_string_value(json_object_get(class, "kernel")),
                                       .times = times};
        json_object_foreach (ms, name, time)
            if (tuning.count < KERNEL_CHOICES)
                times[tuning.count++] = (struct vkclip_tuning_time){
                    name, json_is_null(time) ? -1 : json_number_value(time)};
        if (!stopped)
            stopped = entry(user, &tuning);
    }
    return stopped ? error_fail(VKCLIP_EINVALID, "the list of kernels was stopped by its caller")
                   : VKCLIP_OK;
}

void tune_add_kernel(struct tuner *tuner, const struct kernel *kernel)
{
    tuner->extra = kernel;
}

size_t tune_runs(const struct tuner *tuner)
{
    return tuner->runs;
}
