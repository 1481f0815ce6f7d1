/* SPDX-License-Identifier: MIT
 *
 * Decides which shape classes are measured, in which order and for how long, and keeps the results
 * in a file. tune_trial.c measures one class. No error here fails a plan: a class that cannot be
 * measured keeps the fixed order.
 */
#include "runtime/tune.h"
#include "base/cache.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/version.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/tune_sample.h"
#include "runtime/tune_trial.h"

/* A graph of fewer operations is not measured, because it runs in less time than any measurement
 * takes. */
#define LEAST_GRAPH_WORK 2e9
/* A class with a smaller share of its graph's work is not measured: even a kernel that takes no
 * time at all would save only 2 %. */
#define LEAST_CLASS_SHARE 0.02
/* A choice that took this many times as long as the best one of a class is not tried for later
 * classes of the same call. This may miss a winner but leaves more time for the likelier choices.
 */
#define SLOW_ELSEWHERE 2.5

struct tuner {
    struct gpu *gpu;
    bool measures; /* whether unknown classes are measured if that is worth it */
    bool forced;   /* whether all classes are measured once per process */
    char *path;    /* NULL: no file is kept */
    json_t *classes;
    const struct kernel *extra_kernel; /* see tune_add_kernel */
    size_t runs;
};

/* ---- The file -------------------------------------------------------------------------------- */

/* Identifies the table of kernels to which the names in the file belong. The hash reads megabytes
 * of SPIR-V, so it is computed only if there is a file. */
#define TABLE_HASH 17
static const char *hash_table(char text[TABLE_HASH])
{
    uint64_t hash = hash_bytes(0, VERSION, strlen(VERSION));
    for (size_t i = 0; i < kernel_count; i++)
        hash = hash_bytes(hash, kernels[i].code, kernels[i].bytes);
    snprintf(text, TABLE_HASH, "%016llx", (unsigned long long)hash);
    return text;
}

static bool is_time(json_t *time)
{
    return json_is_null(time) || (json_is_number(time) && json_number_value(time) >= 0);
}

/* Tells whether a class has a kernel and times, as record_result writes them. */
static bool is_valid_class(json_t *class)
{
    json_t *times = json_object_get(class, "ms");
    json_t *time;
    const char *name;
    if (!json_is_string(json_object_get(class, "kernel")) || !json_is_object(times))
        return false;
    json_object_foreach (times, name, time)
        if (!is_time(time))
            return false;
    return true;
}

static bool is_current_table(json_t *file)
{
    char hash[TABLE_HASH];
    const char *table = json_string_value(json_object_get(file, "table"));
    return table && !strcmp(table, hash_table(hash));
}

/* Returns the valid classes of a file that this process or another one wrote, as a new object. It
 * is empty if there is no file for this table of kernels, and NULL if memory runs out. */
static json_t *read_classes(const char *path)
{
    struct cache_content content;
    json_t *found = json_object();
    json_t *class;
    const char *key;
    cache_read(path, &content);
    json_t *file = content.data ? json_loadb(content.data, content.size, 0, NULL) : NULL;
    cache_release(&content);
    if (is_current_table(file))
        json_object_foreach (json_object_get(file, "classes"), key, class)
            if (is_valid_class(class))
                json_object_set(found, key, class);
    json_decref(file);
    return found;
}

static void write_classes(const struct tuner *tuner)
{
    const struct vkclip_device_info *info = gpu_info(tuner->gpu);
    char hash[TABLE_HASH];
    if (!tuner->path)
        return;
    json_t *classes = read_classes(tuner->path); /* Another process may have added some. */
    json_object_update(classes, tuner->classes);
    json_t *file = json_pack("{ss so}", "table", hash_table(hash), "classes", classes);
    /* The names help a person who reads the file. A name that is not UTF-8 is left out. */
    json_object_set_new(file, "device", json_string(info->name));
    json_object_set_new(file, "driver", json_string(info->driver));
    char *text = file ? json_dumps(file, JSON_INDENT(1) | JSON_REAL_PRECISION(5)) : NULL;
    if (text)
        cache_write(tuner->path, text, strlen(text));
    free(text);
    json_decref(file);
}

/* ---- Open and close -------------------------------------------------------------------------- */

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
    if (tuner->classes)
        return VKCLIP_OK;
    tune_close(result);
    return error_fail(VKCLIP_EMEMORY, "out of memory for the choice of kernels");
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

/* ---- What is known --------------------------------------------------------------------------- */

static size_t list_choices(const struct tuner *tuner, const struct graph *graph,
                           const struct node *node, struct kernel_choice choices[KERNEL_CHOICES])
{
    size_t count = kernels_choices(tuner->gpu, graph, node, choices);
    if (tuner->extra_kernel)
        count = kernels_add_choices(tuner->gpu, tuner->extra_kernel, graph, node, choices, count);
    return count;
}

/* Tells whether two classes have the same op and types. A key has the form "OP type[shape] type ->
 * ...". */
static bool is_same_kind(const char *a, const char *b)
{
    const char *a_weights = strchr(a, ']'), *b_weights = strchr(b, ']');
    if (strncmp(a, b, strcspn(a, "[") + 1) || !a_weights || !b_weights)
        return false;
    return !strncmp(a_weights, b_weights, strcspn(a_weights, "[>"));
}

/* Returns the name of the choice that was found for a class, or else for another class of its kind,
 * or NULL if nothing is known of the kind. */
static const char *known_choice(const struct tuner *tuner, const char *key)
{
    json_t *found = json_object_get(tuner->classes, key);
    json_t *class;
    const char *other_key;
    if (!found)
        json_object_foreach (tuner->classes, other_key, class)
            if (is_same_kind(key, other_key))
                found = class;
    return json_string_value(json_object_get(found, "kernel"));
}

/* Returns the index of the choice with that name, or 0 if there is none. */
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

/* ---- Which classes are measured -------------------------------------------------------------- */

struct shape_class {
    char key[SAMPLE_KEY];
    const struct node *node; /* the first of its nodes, which represents all of them */
    size_t number;           /* number in the order of the graph */
    double cost; /* operations of all its nodes, weighted by the time that an operation takes */
    double trial_cost; /* cost of one run of the trial */
    bool leads_kind; /* It leads its kind: the other classes of its op and types use its result. */
};

static double weighted_work(const struct node *node, double work)
{
    return graph_attends(node->op) ? ATTENTION_COST * work : work;
}

static struct shape_class *find_class(struct shape_class *classes, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(classes[i].key, key))
            return &classes[i];
    return NULL;
}

/* Adds a node to its class, or begins a new class with it. Returns the number of classes. */
static size_t count_node(struct shape_class *classes, size_t count, const char *key,
                         const struct graph *graph, const struct node *node)
{
    struct shape_class *class = find_class(classes, count, key);
    if (!class) {
        class = &classes[count];
        *class = (struct shape_class){.node = node, .number = count};
        memcpy(class->key, key, SAMPLE_KEY);
        class->trial_cost = weighted_work(node, sample_work(graph, node));
        count++;
    }
    class->cost += weighted_work(node, node_work(graph, node));
    return count;
}

/* Tells whether a class leads its kind, which the class with most work does, or of equal ones the
 * last. */
static bool leads_kind(const struct shape_class *classes, size_t count, size_t index)
{
    const struct shape_class *class = &classes[index];
    for (size_t i = 0; i < count; i++) {
        const bool more = classes[i].cost > class->cost;
        const bool equal = classes[i].cost == class->cost && i > index;
        if ((more || equal) && is_same_kind(class->key, classes[i].key))
            return false;
    }
    return true;
}

/* Puts one class of each kind first, because its result serves the others until they are measured,
 * and sorts by work otherwise. */
static int compare_classes(const void *a, const void *b)
{
    const struct shape_class *x = a, *y = b;
    if (x->leads_kind != y->leads_kind)
        return x->leads_kind ? -1 : 1;
    if (x->cost != y->cost)
        return x->cost > y->cost ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* Lists the classes of a graph that are unknown and worth measuring, in the order in which they are
 * measured, in `classes`, which has room for all nodes. Returns their number. */
static size_t list_classes(const struct tuner *tuner, const struct graph *graph,
                           struct shape_class *classes)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    char key[SAMPLE_KEY];
    double graph_cost = 0;
    size_t count = 0, kept = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct node *node = &graph->nodes[n];
        graph_cost += weighted_work(node, node_work(graph, node));
        if (sample_key(graph, node, key) && !json_object_get(tuner->classes, key) &&
            list_choices(tuner, graph, node, choices) > 1)
            count = count_node(classes, count, key, graph, node);
    }
    if (!tuner->forced && graph_cost < LEAST_GRAPH_WORK)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (tuner->forced || classes[i].cost >= graph_cost * LEAST_CLASS_SHARE)
            classes[kept++] = classes[i];
    for (size_t i = 0; i < kept; i++)
        classes[i].leads_kind =
            !known_choice(tuner, classes[i].key) && leads_kind(classes, kept, i);
    qsort(classes, kept, sizeof(*classes), compare_classes);
    return kept;
}

/* ---- Measuring ------------------------------------------------------------------------------- */

/* Choices that were far slower than another one in an earlier class. */
struct slow_choices {
    struct kernel_choice choices[KERNEL_CHOICES];
    size_t count;
};

static bool is_slow(const struct slow_choices *slow, const struct kernel_choice *choice)
{
    for (size_t i = 0; i < slow->count; i++)
        if (kernels_same_choice(&slow->choices[i], choice))
            return true;
    return false;
}

/* Records slow choices, except the first, because it is the default of the unknown classes. */
static void note_slow(struct slow_choices *slow, const struct trial *trial, size_t best)
{
    const double limit = SLOW_ELSEWHERE * trial->ms[best];
    for (size_t i = 1; i < trial->count && slow->count < KERNEL_CHOICES; i++)
        if (limit > 0 && trial->ms[i] > limit)
            slow->choices[slow->count++] = trial->choices[i];
}

/* Adds a class and its times to the known classes. With `count` 0 it gets no times. */
static void record_result(struct tuner *tuner, const char *key, const struct trial *trial,
                          size_t count, size_t best)
{
    char name[KERNEL_CHOICE_NAME];
    json_t *times = json_object();
    for (size_t i = 0; i < count; i++) {
        const double ms = trial->ms[i];
        kernels_choice_name(&trial->choices[i], name);
        if (ms < 0)
            json_object_set_new(times, name, json_null());
        else if (ms > 0)
            json_object_set_new(times, name, json_real(ms));
    }
    kernels_choice_name(&trial->choices[best], name);
    log_message(VKCLIP_LOG_INFO, "%s: %s", key, name);
    json_object_set_new(tuner->classes, key, json_pack("{ss so}", "kernel", name, "ms", times));
}

/* Returns the first tile of an op's last variant. That variant needs no optional feature, so that
 * it is the reference. */
static size_t find_reference(const struct kernel_choice *choices, size_t count)
{
    size_t reference = count ? count - 1 : 0;
    while (reference && choices[reference - 1].kernel == choices[count - 1].kernel)
        reference--;
    return reference;
}

/* Runs the trial of one class, with times that the caller has set. A class that alone takes all of
 * the time gets an entry without times, so that it is not tried again; other classes that fail stay
 * unknown. */
static void measure_class(struct tuner *tuner, const struct shape_class *class, struct trial *trial,
                          bool is_first, struct slow_choices *slow)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    bool skip[KERNEL_CHOICES];
    double ms[KERNEL_CHOICES];
    size_t best;
    const size_t table_count = kernels_choices(tuner->gpu, trial->graph, class->node, choices);
    trial->node = class->node;
    trial->choices = choices;
    trial->skip = skip;
    trial->ms = ms;
    trial->reference = find_reference(choices, table_count);
    trial->count = list_choices(tuner, trial->graph, class->node, choices);
    trial->default_choice = find_choice(choices, trial->count, known_choice(tuner, class->key));
    for (size_t i = 0; i < trial->count; i++)
        skip[i] = i != trial->default_choice && is_slow(slow, &choices[i]);
    int error = trial_run(trial, &best);
    tuner->runs += trial->runs;
    if (gpu_is_lost(tuner->gpu))
        return; /* This says nothing of the choices but the one that ran. */
    if (error && (!is_first || clock_seconds() < trial->deadline))
        return;
    record_result(tuner, class->key, trial, error ? 0 : trial->count, best);
    note_slow(slow, trial, best);
}

static void measure_classes(struct tuner *tuner, const struct graph *graph, double seconds,
                            const struct shape_class *classes, size_t count)
{
    struct slow_choices slow = {.count = 0};
    const double start = clock_seconds();
    double whole_cost = 0;
    for (size_t i = 0; i < count; i++)
        whole_cost += classes[i].trial_cost;
    double cost_left = whole_cost;
    for (size_t i = 0; i < count; i++) {
        const struct shape_class *class = &classes[i];
        const double deadline = start + (class->leads_kind ? 2 * seconds : seconds);
        const double seconds_left = deadline - clock_seconds();
        if (seconds_left <= 0 || gpu_is_lost(tuner->gpu))
            break; /* The next plan measures the rest. */
        struct trial trial = {.gpu = tuner->gpu,
                              .graph = graph,
                              .seconds = seconds_left * class->trial_cost / cost_left,
                              .share = seconds * class->trial_cost / whole_cost,
                              .deadline = deadline};
        log_message(VKCLIP_LOG_INFO, "measuring kernels for this device, once: %zu of %zu", i + 1,
                    count);
        measure_class(tuner, class, &trial, i == 0, &slow);
        cost_left -= class->trial_cost;
    }
    log_message(VKCLIP_LOG_INFO, "measured kernels for %.1f s", clock_seconds() - start);
    write_classes(tuner);
}

/* Reports as information that a choice fails while it is measured, because that is not an error of
 * the program. */
static void log_error_as_info(void *user, enum vkclip_log_level level, const char *message)
{
    const struct log_target *program = user;
    struct log_target redirected = log_redirect(*program);
    log_message(level == VKCLIP_LOG_ERROR ? VKCLIP_LOG_INFO : level, "%s", message);
    log_redirect(redirected);
}

static void measure_unknown(struct tuner *tuner, const struct graph *graph, double seconds)
{
    struct shape_class *classes = calloc(graph->node_count + 1, sizeof(*classes));
    size_t count = classes ? list_classes(tuner, graph, classes) : 0;
    if (count) {
        struct log_target program = log_redirect((struct log_target){0});
        log_redirect((struct log_target){log_error_as_info, &program});
        measure_classes(tuner, graph, seconds, classes, count);
        log_redirect(program);
    }
    free(classes);
}

/* ---- Choosing -------------------------------------------------------------------------------- */

static struct kernel_choice choose_known(const struct tuner *tuner, const struct graph *graph,
                                         const struct node *node)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    char key[SAMPLE_KEY];
    const size_t count = list_choices(tuner, graph, node, choices);
    if (!count)
        return (struct kernel_choice){0};
    const char *known = sample_key(graph, node, key) ? known_choice(tuner, key) : NULL;
    return choices[find_choice(choices, count, known)];
}

static struct kernel_choice choose_first(const struct gpu *gpu, const struct graph *graph,
                                         const struct node *node)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    return kernels_choices(gpu, graph, node, choices) ? choices[0] : (struct kernel_choice){0};
}

void tune_choose(struct gpu *gpu, struct tuner *tuner, const struct graph *graph, double seconds,
                 struct kernel_choice *choices)
{
    if (tuner && tuner->measures)
        measure_unknown(tuner, graph, seconds);
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct node *node = &graph->nodes[n];
        choices[n] = tuner ? choose_known(tuner, graph, node) : choose_first(gpu, graph, node);
    }
}

/* ---- Listing --------------------------------------------------------------------------------- */

static size_t list_times(json_t *class, struct vkclip_tuning_time times[KERNEL_CHOICES])
{
    json_t *time;
    const char *name;
    size_t count = 0;
    json_object_foreach (json_object_get(class, "ms"), name, time) {
        const double ms = json_is_null(time) ? -1 : json_number_value(time);
        if (count < KERNEL_CHOICES)
            times[count++] = (struct vkclip_tuning_time){name, ms};
    }
    return count;
}

int tune_list(const struct tuner *tuner, vkclip_tuning_fn *entry, void *user)
{
    json_t *class;
    const char *key;
    json_object_foreach (tuner->classes, key, class) {
        struct vkclip_tuning_time times[KERNEL_CHOICES];
        struct vkclip_tuning tuning = {.device = gpu_info(tuner->gpu)->name,
                                       .shape = key,
                                       .kernel =
                                           json_string_value(json_object_get(class, "kernel")),
                                       .times = times,
                                       .count = list_times(class, times)};
        if (entry(user, &tuning))
            return error_fail(VKCLIP_EINVALID, "the list of kernels was stopped by its caller");
    }
    return VKCLIP_OK;
}

void tune_add_kernel(struct tuner *tuner, const struct kernel *kernel)
{
    tuner->extra_kernel = kernel;
}

size_t tune_runs(const struct tuner *tuner)
{
    return tuner->runs;
}
