/* SPDX-License-Identifier: MIT
 *
 * The self-test: right kernels pass and are known afterwards, a variant that gives wrong numbers is
 * left out with one line, also by later processes, and a device on which an op has no right kernel
 * is refused. The fault layer (tests/vulkan/fault_layer.c) makes the wrong numbers; without it
 * those cases are skipped.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/testing.h"
#include "support/variable.h"

#include <math.h>

#include "runtime/plan.h"
#include "runtime/selftest_cases.h"
#include "runtime/selftest_model.h"
#include "runtime/selftest_run.h"
#include "support/open_gpu.h"
#include "support/scratch.h"
#include "vulkan/internal.h"

static size_t warnings, rounds;
static char last_warning[512];

static void count_messages(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    if (level == VKCLIP_LOG_WARNING) {
        warnings++;
        snprintf(last_warning, sizeof(last_warning), "%s", message);
        printf("log: %s\n", message);
    }
    rounds += strstr(message, "checked the kernels of a graph") != NULL;
}

static struct opened open_tuner(const char *cache)
{
    struct opened opened;
    warnings = rounds = 0;
    opened.gpu = open_gpu_and_tuner(cache, &opened.tuner);
    return opened;
}

static bool has_fault_layer(void)
{
    const char *layers = getenv("VK_INSTANCE_LAYERS");
    return layers && strstr(layers, "VK_LAYER_VKCLIP_fault");
}

/* Builds what leads into an attention, and returns its result. */
static int build_graph(struct graph *graph, enum vkclip_activation activation)
{
    const uint32_t x_shape[] = {2, 40, 96}, w_shape[] = {96, 96}, b_shape[] = {96};
    graph_init(graph, TYPE_F32);
    int x = graph_input(graph, "x", TYPE_F32, 3, x_shape);
    const int w = graph_weight(graph, "w", LAYOUT_PANELS, 2, w_shape);
    const int bias = graph_weight(graph, "b", LAYOUT_ROWS, 1, b_shape);
    x = graph_matmul(graph, "y", x, w, bias, activation, -1);
    x = graph_attention(graph, "z", x, 2, false);
    assert_int_equal(graph->error, 0);
    return x;
}

static int choose(const struct opened *opened, struct kernel_choice choices[2])
{
    struct graph graph;
    build_graph(&graph, VKCLIP_ACTIVATION_GELU);
    int error = tune_choose(opened->gpu, opened->tuner, &graph, 0, choices);
    graph_free(&graph);
    return error;
}

/* Makes the plan of the graph, with weights that nothing has filled, and checks it as a model does.
 */
static int check_plan(const struct opened *opened, enum vkclip_activation activation)
{
    struct graph graph;
    const struct graph *const graphs[] = {&graph};
    struct weight_store *store = NULL;
    struct plan *plan = NULL;
    const int out = build_graph(&graph, activation);
    assert_int_equal(weight_store_create(opened->gpu, graphs, 1, &store), 0);
    const struct plan_params params = {.gpu = opened->gpu,
                                       .tuner = opened->tuner,
                                       .weights = store,
                                       .outputs = &out,
                                       .output_count = 1};
    int error = plan_create(&params, &graph, &plan);
    if (!error)
        error = selftest_plan(opened->gpu, opened->tuner, plan);
    plan_destroy(&plan);
    weight_store_destroy(&store);
    return error;
}

/* ---- Right kernels --------------------------------------------------------------------------- */

static void every_op_has_a_case(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        size_t count = 0;
        for (size_t i = 0; i < selftest_case_count; i++)
            count += (int)selftest_cases[i].node.op == op;
        if (!count)
            fail_msg("%s has no case in selftest_cases.c", op_name(op));
    }
}

static void known_kernels_are_not_run_again(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct kernel_choice choices[2];
    for (int process = 0; process < 2; process++) {
        struct opened opened = open_tuner(folder);
        assert_int_equal(choose(&opened, choices), 0);
        assert_int_equal(choose(&opened, choices), 0);
        assert_int_equal(rounds, process == 0);
        assert_int_equal(check_plan(&opened, VKCLIP_ACTIVATION_GELU), 0);
        assert_int_equal(rounds, process == 0);
        assert_int_equal(warnings, 0);
        close_opened(&opened);
    }
    scratch_remove(folder);
}

/* The record of a model's check tells the activations of a product apart. */
static void every_activation_is_checked(void **state)
{
    (void)state;
    static const char *const names[] = {[VKCLIP_ACTIVATION_AUTO] = "",
                                        [VKCLIP_ACTIVATION_QUICK_GELU] = " quick_gelu",
                                        [VKCLIP_ACTIVATION_GELU] = " gelu",
                                        [VKCLIP_ACTIVATION_GELU_TANH] = " gelu_tanh"};
    struct opened opened = open_tuner("");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char key[96];
        snprintf(key, sizeof(key), "two layers f32 f32 heads of 16%s", names[i]);
        const struct selftest *selftest = tune_selftest(opened.tuner);
        assert_true(selftest_known(selftest, key) < 0);
        assert_int_equal(check_plan(&opened, (enum vkclip_activation)i), 0);
        assert_true(selftest_known(selftest, key) >= 0);
    }
    close_opened(&opened);
}

static void can_be_turned_off(void **state)
{
    (void)state;
    struct kernel_choice choices[2];
    set_variable("VKCLIP_CHECK", "off");
    struct opened opened = open_tuner("");
    assert_int_equal(choose(&opened, choices), 0);
    assert_int_equal(rounds, 0);
    close_opened(&opened);
    set_variable("VKCLIP_CHECK", "never");
    opened = open_tuner("");
    assert_int_equal(choose(&opened, choices), 0);
    assert_int_equal(rounds, 1);
    assert_int_equal(warnings, 1);
    close_opened(&opened);
    set_variable("VKCLIP_CHECK", NULL);
}

/* The case of a node runs the pipeline that the node runs, and its largest error is far below the
 * bound, so that rounding on other devices is no fault. */
static void right_kernels_are_far_from_the_bound(void **state)
{
    (void)state;
    struct opened opened = open_tuner("");
    struct kernel_choice choices[2];
    struct graph graph;
    assert_int_equal(choose(&opened, choices), 0);
    build_graph(&graph, VKCLIP_ACTIVATION_GELU);
    for (int n = 0; n < 2; n++) {
        struct op_case op_case;
        struct selftest_result result;
        selftest_node_case(opened.gpu, &graph, &graph.nodes[n], &choices[n], &op_case);
        assert_int_equal(selftest_run(opened.gpu, &op_case, &choices[n], &result), 0);
        assert_true(result.fits && result.computed && result.stable);
        printf("%s: %.4f of the bound\n", op_name(op_case.node.op), result.error);
        assert_true(result.error < 0.2);
    }
    graph_free(&graph);
    close_opened(&opened);
}

/* The driver's functions, and the memory that was mapped last: that of the results. */
static PFN_vkMapMemory map_memory;
static PFN_vkWaitForFences wait_for_fences;
static unsigned char *mapped;
static int waits;

static VkResult note_memory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset,
                            VkDeviceSize size, VkMemoryMapFlags flags, void **data)
{
    const VkResult result = map_memory(device, memory, offset, size, flags, data);
    mapped = *data;
    return result;
}

static VkResult change_last_run(VkDevice device, uint32_t count, const VkFence *fences,
                                VkBool32 all, uint64_t timeout)
{
    const VkResult result = wait_for_fences(device, count, fences, all, timeout);
    if (result == VK_SUCCESS && ++waits == SELFTEST_RUNS)
        *mapped ^= 1;
    return result;
}

/* A kernel is wrong if one bit differs between its runs, however small its error is. */
static void runs_agree_to_the_bit(void **state)
{
    (void)state;
    struct opened opened = open_tuner("");
    struct device_functions *vk = &opened.gpu->vk;
    struct kernel_choice choices[2];
    struct graph graph;
    struct op_case op_case;
    struct selftest_result result;
    assert_int_equal(choose(&opened, choices), 0);
    build_graph(&graph, VKCLIP_ACTIVATION_GELU);
    selftest_node_case(opened.gpu, &graph, &graph.nodes[0], &choices[0], &op_case);
    map_memory = vk->MapMemory;
    wait_for_fences = vk->WaitForFences;
    vk->MapMemory = note_memory;
    vk->WaitForFences = change_last_run;
    waits = 0;
    assert_int_equal(selftest_run(opened.gpu, &op_case, &choices[0], &result), 0);
    assert_int_equal(waits, SELFTEST_RUNS);
    assert_true(result.fits && result.computed && result.error < 0.2);
    assert_false(result.stable || selftest_is_right(&result));
    graph_free(&graph);
    close_opened(&opened);
}

/* ---- Wrong kernels --------------------------------------------------------------------------- */

static void wrong_variant_is_left_out(void **state)
{
    (void)state;
    if (!has_fault_layer())
        skip();
    char *folder = scratch_folder();
    struct kernel_choice choices[2];
    struct opened opened = open_tuner("");
    assert_int_equal(choose(&opened, choices), 0);
    const struct kernel *first = choices[0].kernel;
    close_opened(&opened);

    setenv("VKCLIP_FAULT_CORRUPT", first->shader, 1);
    opened = open_tuner(folder);
    assert_int_equal(choose(&opened, choices), 0);
    assert_ptr_not_equal(choices[0].kernel, first);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, first->shader));
    assert_non_null(strstr(last_warning, "MATMUL"));
    assert_int_equal(check_plan(&opened, VKCLIP_ACTIVATION_GELU), 0);
    close_opened(&opened);

    unsetenv("VKCLIP_FAULT_CORRUPT"); /* The file says that the variant is wrong. */
    opened = open_tuner(folder);
    assert_int_equal(choose(&opened, choices), 0);
    assert_ptr_not_equal(choices[0].kernel, first);
    assert_int_equal(warnings + rounds, 0);
    close_opened(&opened);
    scratch_remove(folder);
}

static void device_without_a_right_kernel_is_refused(void **state)
{
    (void)state;
    if (!has_fault_layer())
        skip();
    struct kernel_choice choices[2];
    setenv("VKCLIP_FAULT_CORRUPT", "attention,attention_texel,attention_shared", 1);
    struct opened opened = open_tuner("");
    assert_int_equal(choose(&opened, choices), VKCLIP_EDEVICE);
    assert_non_null(strstr(vkclip_last_error(), "no kernel for ATTENTION in f32 can be built"));
    close_opened(&opened);
    unsetenv("VKCLIP_FAULT_CORRUPT");
}

/* A fault that no single kernel shows, only the model of two layers: here one dispatch of its plan.
 */
static void wrong_model_is_refused(void **state)
{
    (void)state;
    if (!has_fault_layer())
        skip();
    char *folder = scratch_folder();
    struct kernel_choice choices[2];
    struct opened opened = open_tuner(folder);
    assert_int_equal(choose(&opened, choices), 0); /* The kernels are known then. */
    close_opened(&opened);
    setenv("VKCLIP_FAULT_CORRUPT", "12", 1); /* after the two of the graph's own plan */
    opened = open_tuner(folder);
    assert_int_equal(check_plan(&opened, VKCLIP_ACTIVATION_GELU), VKCLIP_EDEVICE);
    assert_non_null(strstr(vkclip_last_error(), "a model of two layers"));
    close_opened(&opened);
    unsetenv("VKCLIP_FAULT_CORRUPT");
    scratch_remove(folder);
}

static int stop_at_wrong(void *user, const struct vkclip_check *check)
{
    size_t *right = user;
    if (!check->right)
        printf("%s %s %s: %.3g of the bound\n", check->op, check->kernel, check->shape,
               check->error);
    *right += check->right;
    return !check->right;
}

/* One wrong result in twenty is found within the first fifty checks of a device. */
static void rare_faults_are_found(void **state)
{
    (void)state;
    if (!has_fault_layer())
        skip();
    struct vkclip_device *device = NULL;
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    size_t right = 0, wrong = 0;
    setenv("VKCLIP_FAULT_CORRUPT", "/20", 1);
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    assert_int_equal(vkclip_check_device(device, NULL, stop_at_wrong, &right, &wrong),
                     VKCLIP_ECANCELLED);
    assert_int_equal(wrong, 1);
    assert_true(right < 50);
    vkclip_close_device(&device);
    unsetenv("VKCLIP_FAULT_CORRUPT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_a_case),
        cmocka_unit_test(known_kernels_are_not_run_again),
        cmocka_unit_test(every_activation_is_checked),
        cmocka_unit_test(can_be_turned_off),
        cmocka_unit_test(right_kernels_are_far_from_the_bound),
        cmocka_unit_test(runs_agree_to_the_bit),
        cmocka_unit_test(wrong_variant_is_left_out),
        cmocka_unit_test(device_without_a_right_kernel_is_refused),
        cmocka_unit_test(wrong_model_is_refused),
        cmocka_unit_test(rare_faults_are_found),
    };
    set_variable("VKCLIP_CHECK", NULL); /* which other tests turn off */
    vkclip_set_log(count_messages, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
