/* SPDX-License-Identifier: MIT
 *
 * Decides what is checked, and keeps what is known. selftest_run.c runs one case.
 */
#include "runtime/selftest.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/turns.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/selftest_cases.h"
#include "runtime/selftest_run.h"
#include "runtime/tuning_file.h"

/* A share that stands for a result that is not a number, or that differs from run to run. JSON has
 * no infinity. */
#define SHARE_WORST 1e9

struct selftest {
    struct gpu *gpu;
    bool off;                       /* graphs are not checked */
    char *path;                     /* NULL: no file is kept */
    json_t *shares;                 /* the largest error of each case as a share of its bound */
    const struct kernel **excluded; /* variants that are not used */
    size_t excluded_count;
    bool changed; /* `shares` has something that the file has not */
};

static int out_of_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for checking kernels");
}

/* ---- What is known --------------------------------------------------------------------------- */

static void exclude(struct selftest *selftest, const struct kernel *kernel)
{
    const size_t count = selftest->excluded_count;
    const struct kernel **grown = memory_realloc(selftest->excluded, (count + 1) * sizeof(*grown));
    if (!grown)
        return; /* The variant is found wrong again when it is next chosen. */
    grown[selftest->excluded_count++] = kernel;
    selftest->excluded = grown;
}

/* Excludes the variants of which the file has a wrong result. */
static void exclude_known(struct selftest *selftest)
{
    const char *key;
    json_t *share;
    json_object_foreach (selftest->shares, key, share) {
        if (json_number_value(share) <= 1)
            continue;
        for (size_t i = 0; i < kernel_count; i++) {
            char name[SELFTEST_VARIANT];
            selftest_variant_name(&kernels[i], name);
            if (strncmp(key, name, strlen(name)) || !selftest_allows(selftest, &kernels[i]))
                continue;
            log_message(VKCLIP_LOG_INFO, "%s: kernel %sgave wrong results before, it is not used",
                        gpu_info(selftest->gpu)->name, name);
            exclude(selftest, &kernels[i]);
        }
    }
}

int selftest_open(struct gpu *gpu, const struct settings *settings, struct selftest **result)
{
    const char *mode = settings->check ? settings->check : "on";
    struct selftest *selftest = *result = memory_calloc(1, sizeof(*selftest));
    if (!selftest)
        return out_of_memory();
    if (strcmp(mode, "on") && strcmp(mode, "off"))
        log_message(VKCLIP_LOG_WARNING, "VKCLIP_CHECK is \"%s\", expected on or off: taken as on",
                    mode);
    selftest->gpu = gpu;
    selftest->off = !strcmp(mode, "off");
    selftest->path = gpu_cache_path(gpu, "checks");
    selftest->shares = tuning_file_read(selftest->path, "checks");
    if (selftest->shares) {
        exclude_known(selftest);
        return VKCLIP_OK;
    }
    selftest_close(result);
    return out_of_memory();
}

static void keep_results(struct selftest *selftest)
{
    if (selftest->changed)
        tuning_file_write(selftest->gpu, selftest->path, "checks", selftest->shares);
    selftest->changed = false;
}

void selftest_close(struct selftest **handle)
{
    struct selftest *selftest = *handle;
    if (!selftest)
        return;
    keep_results(selftest);
    json_decref(selftest->shares);
    memory_free(selftest->excluded);
    memory_free(selftest->path);
    memory_free(selftest);
    *handle = NULL;
}

bool selftest_is_on(const struct selftest *selftest)
{
    return !selftest->off;
}

bool selftest_allows(const struct selftest *selftest, const struct kernel *kernel)
{
    for (size_t i = 0; i < selftest->excluded_count; i++)
        if (selftest->excluded[i] == kernel)
            return false;
    return true;
}

double selftest_known(const struct selftest *selftest, const char *key)
{
    json_t *share = json_object_get(selftest->shares, key);
    return json_is_number(share) ? json_number_value(share) : -1;
}

void selftest_record(struct selftest *selftest, const char *key, double share)
{
    json_object_set_new(selftest->shares, key, json_real(fmin(share, SHARE_WORST)));
    selftest->changed = true;
}

/* ---- One case -------------------------------------------------------------------------------- */

/* Says in one line what is wrong with a choice. */
static void log_wrong(const struct selftest *selftest, const struct op_case *op_case,
                      const struct kernel_choice *choice, const struct selftest_result *result)
{
    const char *device = gpu_info(selftest->gpu)->name, *op = op_name(op_case->node.op);
    char name[KERNEL_CHOICE_NAME];
    kernels_choice_name(choice, name);
    if (!result->computed) /* The reason was logged when it was built. */
        return;
    if (result->stable)
        log_message(VKCLIP_LOG_WARNING,
                    "%s: kernel %s gives a wrong %s (error %.3g times its bound), it is not used",
                    device, name, op, result->error);
    else
        log_message(
            VKCLIP_LOG_WARNING,
            "%s: kernel %s gives another %s each time, or writes outside it; it is not used",
            device, name, op);
}

/* Runs a case, keeps its result and excludes a variant that is wrong. A kernel that the driver
 * cannot build is excluded for this process only, because the user may have disabled it. */
static int run_case(struct selftest *selftest, const struct op_case *op_case,
                    const struct kernel_choice *choice, struct selftest_result *result)
{
    char key[SELFTEST_KEY];
    int error = selftest_run(selftest->gpu, op_case, choice, result);
    if (error)
        return error;
    selftest_key(op_case, choice, key);
    if (result->computed)
        selftest_record(selftest, key, result->stable ? result->error : SHARE_WORST);
    if (selftest_is_right(result))
        return VKCLIP_OK;
    log_wrong(selftest, op_case, choice, result);
    if (selftest_allows(selftest, choice->kernel))
        exclude(selftest, choice->kernel);
    return VKCLIP_OK;
}

int selftest_choice(struct selftest *selftest, const struct graph *graph, const struct node *node,
                    const struct kernel_choice *choice, bool *right)
{
    struct op_case op_case;
    struct selftest_result result;
    char key[SELFTEST_KEY];
    *right = selftest_allows(selftest, choice->kernel);
    if (!*right)
        return VKCLIP_OK;
    selftest_node_case(selftest->gpu, graph, node, choice, &op_case);
    selftest_key(&op_case, choice, key);
    const double known = selftest_known(selftest, key);
    *right = known <= 1;
    if (known >= 0)
        return VKCLIP_OK;
    int error = turn_pause();
    if (!error)
        error = run_case(selftest, &op_case, choice, &result);
    *right = !error && selftest_is_right(&result);
    return error;
}

/* ---- A graph --------------------------------------------------------------------------------- */

/* Builds the pipelines of all choices that are not known at once, because the checks would build
 * them one by one. The graph uses the same pipelines. Returns the number of unknown choices. */
static size_t build_unknown(struct selftest *selftest, const struct graph *graph,
                            const struct kernel_choice *choices)
{
    size_t count = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        struct op_case op_case;
        char key[SELFTEST_KEY];
        if (!choices[n].kernel)
            continue;
        selftest_node_case(selftest->gpu, graph, &graph->nodes[n], &choices[n], &op_case);
        selftest_key(&op_case, &choices[n], key);
        if (selftest_known(selftest, key) >= 0)
            continue;
        selftest_announce(selftest->gpu, &op_case, &choices[n]);
        count++;
    }
    if (count)
        gpu_pipelines_build(selftest->gpu);
    return count;
}

int selftest_graph(struct selftest *selftest, const struct graph *graph,
                   const struct kernel_choice *choices, bool *all_right)
{
    int error = VKCLIP_OK;
    *all_right = true;
    if (selftest->off || !build_unknown(selftest, graph, choices))
        return VKCLIP_OK;
    const double start = clock_seconds();
    for (size_t n = 0; n < graph->node_count && !error; n++) {
        bool right = true;
        if (choices[n].kernel)
            error = selftest_choice(selftest, graph, &graph->nodes[n], &choices[n], &right);
        *all_right &= right;
    }
    if (!error)
        log_message(VKCLIP_LOG_INFO, "checked the kernels of a graph for %.2f s, once",
                    clock_seconds() - start);
    keep_results(selftest);
    return error;
}

/* ---- Everything ------------------------------------------------------------------------------ */

/* Lists the choices of a variant for a case. */
static size_t list_choices(const struct gpu *gpu, const struct kernel *kernel,
                           const struct op_case *op_case,
                           struct kernel_choice choices[KERNEL_CHOICES])
{
    struct graph graph;
    size_t count = 0;
    op_case_build(op_case, kernel->x, &graph);
    graph_pack(&graph, kernel->w);
    if (!graph.error)
        count = kernels_add_choices(gpu, kernel, &graph, &graph.nodes[graph.node_count - 1],
                                    choices, 0);
    graph_free(&graph);
    return count;
}

static int report(const struct selftest *selftest, const struct op_case *op_case,
                  const struct kernel_choice *choice, const struct selftest_result *result,
                  vkclip_check_fn *entry, void *user)
{
    char name[KERNEL_CHOICE_NAME], key[SELFTEST_KEY];
    kernels_choice_name(choice, name);
    selftest_key(op_case, choice, key);
    const struct vkclip_check check = {.device = gpu_info(selftest->gpu)->name,
                                       .op = op_name(op_case->node.op),
                                       .kernel = name,
                                       .activations = type_name(choice->kernel->x),
                                       .weights = type_name(choice->kernel->w),
                                       .shape = strchr(key, '['),
                                       .error = result->error,
                                       .runs = SELFTEST_RUNS,
                                       .built = result->computed,
                                       .stable = result->stable,
                                       .right = selftest_is_right(result)};
    if (entry(user, &check))
        return error_fail(VKCLIP_ECANCELLED, "the check of a device was stopped by the caller");
    return VKCLIP_OK;
}

/* Checks all tiles of one variant on one case. */
static int check_variant(struct selftest *selftest, const struct kernel *kernel,
                         const struct op_case *listed, vkclip_check_fn *entry, void *user)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    const size_t count = list_choices(selftest->gpu, kernel, listed, choices);
    int error = VKCLIP_OK;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count && !error; i++) {
            struct op_case op_case = *listed;
            struct selftest_result result;
            choices[i].tile = choices[i].listed_tile; /* The case has rows for the whole tile. */
            selftest_fit_case(selftest->gpu, &choices[i], &op_case);
            if (!round) {
                selftest_announce(selftest->gpu, &op_case, &choices[i]);
                continue;
            }
            error = turn_pause();
            if (!error)
                error = run_case(selftest, &op_case, &choices[i], &result);
            if (!error && result.fits)
                error = report(selftest, &op_case, &choices[i], &result, entry, user);
        }
        if (!round)
            gpu_pipelines_build(selftest->gpu);
    }
    return error;
}

int selftest_all(struct selftest *selftest, const char *op, vkclip_check_fn *entry, void *user)
{
    int error = VKCLIP_OK;
    if (!op) { /* What was found before is found again, or was no fault. */
        selftest->excluded_count = 0;
        json_object_clear(selftest->shares);
        if (selftest->path)
            file_remove(selftest->path);
    }
    for (size_t k = 0; k < kernel_count && !error; k++)
        for (size_t i = 0; i < selftest_case_count && !error; i++)
            if (selftest_cases[i].node.op == kernels[k].op &&
                (!op || !strcmp(op, op_name(kernels[k].op))))
                error = check_variant(selftest, &kernels[k], &selftest_cases[i], entry, user);
    keep_results(selftest);
    return error;
}
