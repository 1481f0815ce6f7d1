/* SPDX-License-Identifier: MIT
 *
 * Decides which shape classes are measured, in which order and for how long, and keeps the results
 * in a file. tune_trial.c measures one class. No error of a measurement fails a plan: a class that
 * cannot be measured keeps the fixed order. A plan fails if the self-test leaves no kernel of an
 * op.
 */
#include "runtime/tune.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/settings.h"
#include "base/turns.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/tune_sample.h"
#include "runtime/tuning_file.h"

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
/* Without a file to keep results in, this share of the time is spent on measuring, because the next
 * process spends it again. More would delay the start of short commands, less would leave a server
 * with the fixed order. */
#define UNKEPT_SHARE 0.25
/* So many processes try to measure a class that cannot be decided; then the fixed order stays,
 * because the machine seems never to be quiet, or too slow. */
#define MOST_TRIES 3
/* A choice that replaced the fixed order is compared with it again by a later process, and then
 * once per so many seconds, a day; one process compares one class. Twenty runs of up to a quarter
 * of RECHECK_SECONDS each take a quarter of a second at most: more would be felt at the start, less
 * would keep for longer what a busy machine made look fast. */
#define RECHECK_AGE (24 * 3600)
#define RECHECK_SECONDS 0.05

struct tuner {
    struct gpu *gpu;
    struct selftest *selftest;
    bool measures;   /* whether unknown classes are measured if that is worth it */
    bool forced;     /* whether all classes are measured once per process */
    bool rechecked;  /* whether this process has compared a kept choice again */
    char *path;      /* NULL: no file is kept */
    json_t *classes; /* the known ones */
    json_t *unsure;  /* classes that earlier processes could not decide */
    const struct kernel *extra_kernel; /* see tune_add_kernel */
    trial_clock_fn *clock;             /* see tune_set_clock */
    void *clock_user;
    const struct graph *lent_graph; /* see tune_lend */
    const struct kernel_choice *lent_choices;
    size_t runs;
};

/* ---- The file -------------------------------------------------------------------------------- */

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

/* Reads the file, and parts what is known from what is to be measured again. */
static void read_classes(struct tuner *tuner)
{
    json_t *all = tuning_file_read(tuner->path, "classes"), *class;
    const char *key;
    tuner->classes = json_object();
    tuner->unsure = json_object();
    json_object_foreach (all, key, class)
        if (is_valid_class(class)) {
            const json_int_t tries = json_integer_value(json_object_get(class, "unsure"));
            const bool known = !tuner->forced && (!tries || tries >= MOST_TRIES);
            if (!json_object_get(class, "checked")) /* This process has not measured it itself. */
                json_object_set_new(class, "checked", json_real(0));
            json_object_set(known ? tuner->classes : tuner->unsure, key, class);
        }
    json_decref(all);
}

static void write_classes(const struct tuner *tuner)
{
    tuning_file_write(tuner->gpu, tuner->path, "classes", tuner->classes);
}

/* ---- Open and close -------------------------------------------------------------------------- */

static bool is_kernel(const char *word)
{
    for (size_t i = 0; i < kernel_count; i++)
        if (!strcmp(kernels[i].shader, word))
            return true;
    return false;
}

int tune_open(struct gpu *gpu, const struct settings *settings, struct tuner **result)
{
    const char *mode = settings->tuning ? settings->tuning : "on";
    struct tuner *tuner = *result = memory_calloc(1, sizeof(*tuner));
    if (!tuner)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the choice of kernels");
    const bool off = !strcmp(mode, "off");
    tuner->gpu = gpu;
    tuner->forced = !strcmp(mode, "force");
    if (!off && !tuner->forced && strcmp(mode, "on"))
        log_message(VKCLIP_LOG_WARNING,
                    "VKCLIP_TUNE is \"%s\", expected on, off or force: taken as on", mode);
    settings_check_list(
        "VKCLIP_DISABLE_KERNELS", settings->disabled_kernels, is_kernel,
        "names of kernels, as `vkclip_check_device` gives them, with commas between");
    tuner->path = off ? NULL : gpu_cache_path(gpu, "tuning");
    tuner->measures = !off;
    read_classes(tuner);
    int error = VKCLIP_OK;
    if (!tuner->classes || !tuner->unsure)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the choice of kernels");
    if (!error)
        error = selftest_open(gpu, settings, &tuner->selftest);
    if (error)
        tune_close(result);
    return error;
}

void tune_close(struct tuner **handle)
{
    struct tuner *tuner = *handle;
    if (!tuner)
        return;
    selftest_close(&tuner->selftest);
    json_decref(tuner->classes);
    json_decref(tuner->unsure);
    memory_free(tuner->path);
    memory_free(tuner);
    *handle = NULL;
}

/* ---- What is known --------------------------------------------------------------------------- */

/* Lists the choices for a node, without those of variants that the self-test found wrong. */
static size_t list_choices(const struct tuner *tuner, const struct graph *graph,
                           const struct node *node, struct kernel_choice choices[KERNEL_CHOICES])
{
    size_t kept = 0, count = kernels_choices(tuner->gpu, graph, node, choices);
    if (tuner->extra_kernel)
        count = kernels_add_choices(tuner->gpu, tuner->extra_kernel, graph, node, choices, count);
    for (size_t i = 0; i < count; i++)
        if (selftest_allows(tuner->selftest, choices[i].kernel))
            choices[kept++] = choices[i];
    return kept;
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

/* Tells whether a class was measured and decided. */
static bool is_decided(json_t *class)
{
    return json_object_size(json_object_get(class, "ms"));
}

/* Returns the name of the choice that was found for a class, or else for another class of its kind
 * unless `alone`, or NULL if nothing is known. */
static const char *known_choice(const struct tuner *tuner, const char *key, bool alone)
{
    json_t *found = json_object_get(tuner->classes, key);
    json_t *class;
    const char *other_key;
    if (!is_decided(found) && !alone)
        json_object_foreach (tuner->classes, other_key, class)
            if (is_decided(class) && is_same_kind(key, other_key))
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
            !known_choice(tuner, classes[i].key, false) && leads_kind(classes, kept, i);
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
static void note_slow(struct slow_choices *slow, const struct tune_trial *trial, size_t best)
{
    const double limit = SLOW_ELSEWHERE * trial->ms[best];
    for (size_t i = 1; i < trial->count && slow->count < KERNEL_CHOICES; i++)
        if (limit > 0 && trial->ms[i] > limit)
            slow->choices[slow->count++] = trial->choices[i];
}

static json_t *list_ms(const struct tune_trial *trial)
{
    char name[KERNEL_CHOICE_NAME];
    json_t *times = json_object();
    for (size_t i = 0; i < trial->count; i++) {
        const double ms = trial->ms[i];
        kernels_choice_name(&trial->choices[i], name);
        if (ms < 0)
            json_object_set_new(times, name, json_null());
        else if (ms > 0)
            json_object_set_new(times, name, json_real(ms));
    }
    return times;
}

/* Adds a class to the known classes. `times` is stolen. A class that could not be decided has no
 * times, and the number of processes that tried to measure it. */
static void record_result(struct tuner *tuner, const char *key, const struct kernel_choice *choice,
                          json_t *times, bool undecided)
{
    char name[KERNEL_CHOICE_NAME];
    kernels_choice_name(choice, name);
    json_t *class = json_pack("{ss so}", "kernel", name, "ms", times);
    json_t *before = json_object_get(json_object_get(tuner->unsure, key), "unsure");
    if (undecided)
        json_object_set_new(class, "unsure", json_integer(json_integer_value(before) + 1));
    log_message(VKCLIP_LOG_INFO, "%s: %s%s", key, name,
                undecided ? ", because the device was too busy or too slow to tell" : "");
    json_object_set_new(tuner->classes, key, class);
}

/* Makes the trial of a class among `count` choices, the first of which is the default. */
static int run_trial(struct tuner *tuner, const struct shape_class *class, struct tune_trial *trial,
                     const struct slow_choices *slow, size_t *best)
{
    for (size_t i = 0; i < trial->count; i++)
        trial->skip[i] = i && is_slow(slow, &trial->choices[i]);
    trial->node = class->node;
    trial->default_choice = 0;
    trial->selftest = tuner->selftest;
    trial->clock = tuner->clock;
    trial->clock_user = tuner->clock_user;
    int error = trial_run(trial, best);
    tuner->runs += trial->runs;
    return error;
}

/* Runs the trial of one class, with times that the caller has set. A class that alone takes all of
 * the time gets an entry without times, so that this process does not try it again; other classes
 * that fail stay unknown. */
static void measure_class(struct tuner *tuner, const struct shape_class *class,
                          struct tune_trial *trial, bool is_first, struct slow_choices *slow)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    bool skip[KERNEL_CHOICES];
    double ms[KERNEL_CHOICES], most[KERNEL_CHOICES];
    size_t best;
    trial->choices = choices;
    trial->skip = skip;
    trial->ms = ms;
    trial->most = most;
    trial->count = list_choices(tuner, trial->graph, class->node, choices);
    int error = run_trial(tuner, class, trial, slow, &best);
    if (gpu_is_lost(tuner->gpu) || error == VKCLIP_ECANCELLED)
        return; /* This says nothing of the choices, or of the one that ran alone. */
    if (error && (!is_first || clock_seconds() < trial->deadline))
        return;
    const bool undecided = error || trial->undecided;
    json_t *times = undecided ? json_object() : list_ms(trial);
    record_result(tuner, class->key, &choices[best], times, undecided);
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
        if (seconds_left <= 0 || gpu_is_lost(tuner->gpu) || turn_pause())
            break; /* The next plan measures the rest. */
        struct tune_trial trial = {.gpu = tuner->gpu,
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

/* ---- Comparing kept choices again ------------------------------------------------------------ */

/* A kept choice that another process measured, and the node for which it is now used. */
struct kept_choice {
    char key[SAMPLE_KEY];
    const struct node *node;
    struct kernel_choice pair[2]; /* the fixed order's choice and the kept one */
    double checked;               /* time at which they were compared last */
};

/* Finds the choice of a graph that replaces the fixed order and was compared with it longest ago.
 * Returns false if none was compared so long ago that it is time again. */
static bool find_kept(const struct tuner *tuner, const struct graph *graph,
                      struct kept_choice *kept)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    kept->node = NULL;
    kept->checked = (double)time(NULL) - RECHECK_AGE;
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct node *node = &graph->nodes[n];
        char key[SAMPLE_KEY];
        json_t *class = sample_key(graph, node, key) ? json_object_get(tuner->classes, key) : NULL;
        json_t *checked = json_object_get(class, "checked");
        if (!is_decided(class) || json_number_value(checked) >= kept->checked)
            continue;
        const size_t count = list_choices(tuner, graph, node, choices);
        const size_t found = find_choice(choices, count, known_choice(tuner, key, true));
        if (!found)
            continue;
        *kept = (struct kept_choice){.node = node, .checked = json_number_value(checked)};
        memcpy(kept->key, key, SAMPLE_KEY);
        kept->pair[0] = choices[0];
        kept->pair[1] = choices[found];
    }
    return kept->node;
}

/* Compares a kept choice with the fixed order's again. One that is no longer faster is replaced;
 * one that cannot be measured now stays. */
static void compare_kept(struct tuner *tuner, const struct graph *graph,
                         const struct kept_choice *kept)
{
    const struct slow_choices none = {.count = 0};
    struct shape_class class = {.node = kept->node};
    bool skip[2];
    double ms[2], most[2];
    size_t best;
    struct tune_trial trial = {.gpu = tuner->gpu,
                               .graph = graph,
                               .choices = kept->pair,
                               .count = 2,
                               .skip = skip,
                               .ms = ms,
                               .most = most,
                               .seconds = RECHECK_SECONDS,
                               .share = RECHECK_SECONDS,
                               .deadline = INFINITY};
    int error = run_trial(tuner, &class, &trial, &none, &best);
    if (error == VKCLIP_ECANCELLED)
        return;
    if (!error && !trial.undecided && best == 0 && ms[1] > 0)
        record_result(tuner, kept->key, &kept->pair[0], list_ms(&trial), false);
    json_object_set_new(json_object_get(tuner->classes, kept->key), "checked",
                        json_real((double)time(NULL)));
    write_classes(tuner);
}

/* ---- All that is measured for a graph -------------------------------------------------------- */

static void measure_unknown(struct tuner *tuner, const struct graph *graph, double seconds)
{
    struct shape_class *classes = memory_calloc(graph->node_count + 1, sizeof(*classes));
    size_t count = classes ? list_classes(tuner, graph, classes) : 0;
    if (count)
        measure_classes(tuner, graph, tuner->path ? seconds : UNKEPT_SHARE * seconds, classes,
                        count);
    memory_free(classes);
}

static void measure_graph(struct tuner *tuner, const struct graph *graph, double seconds)
{
    struct log_target program = log_redirect((struct log_target){0});
    struct kept_choice kept;
    log_redirect((struct log_target){log_error_as_info, &program});
    if (!tuner->rechecked && tuner->path && find_kept(tuner, graph, &kept)) {
        tuner->rechecked = true;
        compare_kept(tuner, graph, &kept);
    }
    measure_unknown(tuner, graph, seconds);
    log_redirect(program);
}

/* ---- Choosing -------------------------------------------------------------------------------- */

/* Chooses for one node. Fails if the device has kernels for it, but none that may be used. A node
 * for which the device has no kernel gets none, and fails when it is recorded. */
static int choose_known(const struct tuner *tuner, const struct graph *graph,
                        const struct node *node, struct kernel_choice *choice)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    char key[SAMPLE_KEY];
    const size_t count = list_choices(tuner, graph, node, choices);
    const struct vkclip_device_info *info = gpu_info(tuner->gpu);
    *choice = (struct kernel_choice){0};
    if (!count && kernels_choices(tuner->gpu, graph, node, choices))
        return error_fail(VKCLIP_EDEVICE,
                          "%s (%s): no kernel for %s in %s can be built and gives right numbers, "
                          "so that the device cannot be used: `vkclip_check_device` lists them for "
                          "a report",
                          info->name, info->driver, op_name(node->op),
                          type_name(graph->tensors[node->out].type));
    if (!count)
        return VKCLIP_OK;
    /* What is the fastest for many rows says nothing of a node with a tile for few rows. */
    const enum walk walk = choices[0].tile.walk;
    const bool alone = walk == WALK_ONCE || walk == WALK_SLICES;
    const char *known = sample_key(graph, node, key) ? known_choice(tuner, key, alone) : NULL;
    *choice = choices[find_choice(choices, count, known)];
    return VKCLIP_OK;
}

static struct kernel_choice choose_first(const struct gpu *gpu, const struct graph *graph,
                                         const struct node *node)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    return kernels_choices(gpu, graph, node, choices) ? choices[0] : (struct kernel_choice){0};
}

/* Tells whether two nodes differ in their sizes only, so that one pipeline can compute both. */
static bool is_alike(const struct node *a, const struct node *b)
{
    if (a->op != b->op || a->residual != b->residual || (a->in[2] < 0) != (b->in[2] < 0))
        return false;
    if (a->op == OP_MATMUL)
        return !memcmp(&a->matmul, &b->matmul, sizeof(a->matmul));
    return a->op != OP_ATTENTION || (a->in[1] < 0) == (b->in[1] < 0);
}

/* Chooses what a like node of the lent graph has, or else the first choice of the fixed order. */
static struct kernel_choice choose_lent(const struct tuner *tuner, const struct graph *graph,
                                        const struct node *node)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    for (size_t n = 0; n < tuner->lent_graph->node_count; n++) {
        const struct kernel_choice *choice = &tuner->lent_choices[n];
        if (choice->kernel && is_alike(node, &tuner->lent_graph->nodes[n]) &&
            kernels_fit(tuner->gpu, choice->kernel, graph, node))
            return *choice;
    }
    return list_choices(tuner, graph, node, choices) ? choices[0] : (struct kernel_choice){0};
}

static int choose_all(const struct gpu *gpu, const struct tuner *tuner, const struct graph *graph,
                      struct kernel_choice *choices)
{
    int error = VKCLIP_OK;
    for (size_t n = 0; n < graph->node_count && !error; n++) {
        const struct node *node = &graph->nodes[n];
        if (!tuner)
            choices[n] = choose_first(gpu, graph, node);
        else if (tuner->lent_graph)
            choices[n] = choose_lent(tuner, graph, node);
        else
            error = choose_known(tuner, graph, node, &choices[n]);
    }
    return error;
}

int tune_choose(struct gpu *gpu, struct tuner *tuner, const struct graph *graph, double seconds,
                struct kernel_choice *choices)
{
    const bool chooses = tuner && !tuner->lent_graph;
    bool all_right = false;
    int error = VKCLIP_OK;
    if (chooses && tuner->measures)
        measure_graph(tuner, graph, seconds);
    error = progress_check();
    while (!error && !all_right) { /* Each turn leaves out a variant that was found wrong. */
        error = choose_all(gpu, tuner, graph, choices);
        all_right = true;
        if (!error && chooses)
            error = selftest_graph(tuner->selftest, graph, choices, &all_right);
    }
    return error;
}

void tune_lend(struct tuner *tuner, const struct graph *graph, const struct kernel_choice *choices)
{
    tuner->lent_graph = graph;
    tuner->lent_choices = choices;
}

struct selftest *tune_selftest(const struct tuner *tuner)
{
    return tuner->selftest;
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

static int list_entries(const struct tuner *tuner, json_t *classes, vkclip_tuning_fn *entry,
                        void *user)
{
    json_t *class;
    const char *key;
    json_object_foreach (classes, key, class) {
        json_t *known = json_object_get(tuner->classes, key);
        if (known && known != class)
            continue; /* This process has measured it again. */
        struct vkclip_tuning_time times[KERNEL_CHOICES];
        struct vkclip_tuning tuning = {.device = gpu_info(tuner->gpu)->name,
                                       .shape = key,
                                       .kernel =
                                           json_string_value(json_object_get(class, "kernel")),
                                       .times = times,
                                       .count = list_times(class, times)};
        if (entry(user, &tuning))
            return error_fail(VKCLIP_ECANCELLED, "the list of kernels was stopped by the caller");
    }
    return VKCLIP_OK;
}

int tune_list(const struct tuner *tuner, vkclip_tuning_fn *entry, void *user)
{
    int error = list_entries(tuner, tuner->classes, entry, user);
    return error ? error : list_entries(tuner, tuner->unsure, entry, user);
}

void tune_add_kernel(struct tuner *tuner, const struct kernel *kernel)
{
    tuner->extra_kernel = kernel;
}

void tune_set_clock(struct tuner *tuner, trial_clock_fn *clock, void *user)
{
    tuner->clock = clock;
    tuner->clock_user = user;
}

size_t tune_runs(const struct tuner *tuner)
{
    return tuner->runs;
}
