/* SPDX-License-Identifier: MIT
 *
 * In a forked child the parent's handles are refused and closed as nothing, whatever the parent's
 * threads were doing, and the child may open a device of its own. An alarm ends a child that hangs.
 */
#define _GNU_SOURCE
#include "support/open_trainer.h"
#include "support/scratch.h"
#include "support/testing.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { D = 128, ALARM = 600 };

static struct vkclip_device *device;
static struct vkclip_model *model;
static float expected[D];

static int open_both(struct vkclip_device **opened_device, struct vkclip_model **opened_model)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    int error = vkclip_open_device(&params, opened_device);
    return error ? error : vkclip_open_model(*opened_device, MODEL, NULL, opened_model);
}

static int encode(struct vkclip_model *used, float *embed)
{
    const char *text = "an owl";
    return vkclip_encode_texts(used, &text, 1, NULL, embed);
}

static int open_all(void **state)
{
    (void)state;
    assert_int_equal(open_both(&device, &model), VKCLIP_OK);
    assert_int_equal(encode(model, expected), VKCLIP_OK);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    return 0;
}

/* ---- The child ------------------------------------------------------------------------------- */

/* The functions below return 0, or the number of what went wrong, which is the child's status. */
static bool is_refused(int error)
{
    return error == VKCLIP_EINVALID && strstr(vkclip_last_error(), "was opened by process") &&
           strstr(vkclip_last_error(), "open it in this process");
}

static int ignore_tuning(void *user, const struct vkclip_tuning *tuning)
{
    (void)user;
    (void)tuning;
    return 0;
}

static int use_inherited(void)
{
    struct vkclip_device_info device_info = {.size = sizeof(device_info)};
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_model *opened = NULL;
    float embed[D];
    int32_t ids[16];
    size_t count;
    if (!is_refused(encode(model, embed)))
        return 1;
    if (!is_refused(vkclip_get_device_info(device, &device_info)))
        return 2;
    if (!is_refused(vkclip_get_model_info(model, &info)))
        return 3;
    if (!is_refused(vkclip_tokenize(model, "owl", 3, 0, ids, 16, &count)))
        return 4;
    if (!is_refused(vkclip_open_model(device, MODEL, NULL, &opened)) || opened)
        return 5;
    if (!is_refused(vkclip_list_tuning(device, ignore_tuning, NULL)))
        return 6;
    return 0;
}

static int close_inherited(void)
{
    vkclip_close_device(&device);
    vkclip_close_model(&model);
    return device || model ? 10 : 0;
}

static int use_own(void)
{
    struct vkclip_device *own_device = NULL;
    struct vkclip_model *own_model = NULL;
    float embed[D] = {0};
    int error = open_both(&own_device, &own_model);
    if (!error)
        error = encode(own_model, embed);
    vkclip_close_model(&own_model);
    vkclip_close_device(&own_device);
    if (error)
        fprintf(stderr, "%d: %s\n", error, vkclip_last_error());
    return error || memcmp(embed, expected, sizeof(embed)) ? 20 : 0;
}

typedef int child_fn(void);

/* Runs a child that ends by exit(), with all that drivers do then, or by _exit. */
static void run_child(child_fn *child, bool exits)
{
    const pid_t process = fork();
    assert_true(process >= 0);
    if (!process) {
        alarm(ALARM);
        const int status = child();
        if (exits)
            exit(status);
        _exit(status);
    }
    int status = 0;
    assert_int_equal(waitpid(process, &status, 0), process);
    if (WIFSIGNALED(status))
        fail_msg("the child was ended by signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void check_parent(void)
{
    float embed[D];
    assert_int_equal(encode(model, embed), VKCLIP_OK);
    assert_memory_equal(embed, expected, sizeof(embed));
}

static int use_and_close(void)
{
    const int failed = use_inherited();
    return failed ? failed : close_inherited();
}

static int close_and_open(void)
{
    const int failed = close_inherited();
    return failed ? failed : use_own();
}

static void inherited_handles(void **state)
{
    (void)state;
    run_child(use_inherited, true);
    run_child(use_and_close, true);
    check_parent();
}

static struct vkclip_archive *archive;

static int use_archive(void)
{
    struct vkclip_image image = {0};
    const int error = vkclip_load_archived(archive, 0, NULL, &image);
    vkclip_free_image(&image);
    vkclip_close_archive(&archive);
    return error || archive;
}

/* An archive is usable in both processes, one after the other and at the same time. */
static void archives(void **state)
{
    (void)state;
    if (!strstr(vkclip_get_build(), "tar"))
        skip();
    char *folder = scratch_folder(), *path = scratch_path(folder, "pictures.tar");
    char *command = string_format("tar -C " MODEL "/samples -cf \"%s\" .", path);
    assert_int_equal(system(command), 0);
    assert_int_equal(vkclip_open_archive(path, &archive), VKCLIP_OK);
    run_child(use_archive, true);
    assert_int_equal(use_archive(), 0);
    scratch_remove(folder);
    free(command);
    free(path);
}

/* ---- Other handles --------------------------------------------------------------------------- */

static struct vkclip_model *deviceless;
static struct vkclip_conditioner *conditioner;
static struct vkclip_trainer *trainer;
static struct vkclip_index *pictures;

static int use_others(void)
{
    struct vkclip_conditioner_info info = {.size = sizeof(info)};
    struct vkclip_trainer_info trainer_info = {.size = sizeof(trainer_info)};
    struct vkclip_index_info index_info = {.size = sizeof(index_info)};
    struct vkclip_train_result step = {.size = sizeof(step)};
    int32_t ids[16];
    size_t count;
    uint64_t removed;
    if (!is_refused(vkclip_tokenize(deviceless, "owl", 3, 0, ids, 16, &count)))
        return 30;
    if (!is_refused(vkclip_get_conditioner_info(conditioner, &info)))
        return 31;
    if (trainer && !is_refused(vkclip_get_trainer_info(trainer, &trainer_info)))
        return 32;
    if (trainer && !is_refused(vkclip_train_step(trainer, &step)))
        return 33;
    if (pictures && !is_refused(vkclip_get_index_info(pictures, &index_info)))
        return 34;
    if (pictures && !is_refused(vkclip_prune_index(pictures, &removed)))
        return 35;
    vkclip_close_trainer(&trainer);
    vkclip_close_index(&pictures);
    vkclip_close_conditioner(&conditioner);
    vkclip_close_model(&deviceless);
    return trainer || pictures || conditioner || deviceless ? 36 : 0;
}

static void other_handles(void **state)
{
    char *folder = scratch_folder(), *path = scratch_path(folder, "index.db");
    const char *pipeline = "tests/golden/conditioning/pipelines/chroma";
    const struct vkclip_index_params params = {.size = sizeof(params), .path = path};
    struct vkclip_index_info info = {.size = sizeof(info)};
    (void)state;
    assert_int_equal(vkclip_open_model(NULL, MODEL, NULL, &deviceless), VKCLIP_OK);
    assert_int_equal(vkclip_open_conditioner(device, &pipeline, 1, NULL, &conditioner), VKCLIP_OK);
    if (strstr(vkclip_get_build(), "training"))
        trainer = open_trainer(device, folder, 1);
    if (vkclip_has_search())
        assert_int_equal(vkclip_open_index(&params, &pictures), VKCLIP_OK);
    run_child(use_others, true);
    if (pictures)
        assert_int_equal(vkclip_get_index_info(pictures, &info), VKCLIP_OK);
    vkclip_close_trainer(&trainer);
    vkclip_close_index(&pictures);
    vkclip_close_conditioner(&conditioner);
    vkclip_close_model(&deviceless);
    scratch_remove(folder);
    free(path);
}

static void own_handles(void **state)
{
    (void)state;
    run_child(use_own, true);
    run_child(close_and_open, true);
    check_parent();
}

/* ---- A fork during calls --------------------------------------------------------------------- */

static void *encode_many(void *argument)
{
    float embed[D];
    int *error = argument;
    for (int i = 0; i < 100 && !*error; i++)
        *error = encode(model, embed);
    return NULL;
}

/* Other threads have turns and locks at the moment of the fork. The child must not take the
 * driver's, which are none of vkclip's, so that it ends by _exit. */
static void busy_parent(void **state)
{
    pthread_t threads[2];
    int errors[2] = {0};
    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_many, &errors[i]), 0);
    for (int i = 0; i < 8; i++)
        run_child(use_and_close, false);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(errors[i], VKCLIP_OK);
    }
    check_parent();
}

/* A function of the program may fork, too. */
static int fork_in_call(void *user, const struct vkclip_item *item)
{
    assert_int_equal(item->error, VKCLIP_OK);
    run_child(use_and_close, false);
    ++*(size_t *)user;
    return 0;
}

static void fork_within_call(void **state)
{
    size_t items = 0;
    const char *text = "an owl";
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .item = fork_in_call, .user = &items};
    (void)state;
    assert_int_equal(vkclip_encode_texts(model, &text, 1, &params, NULL), VKCLIP_OK);
    assert_int_equal(items, 1);
    check_parent();
}

/* With an argument the program leaves out children that open a device. SwiftShader has threads for
 * the whole process, which a child does not have while its copy of the parent's device is open. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inherited_handles), cmocka_unit_test(archives),
        cmocka_unit_test(other_handles),     cmocka_unit_test(busy_parent),
        cmocka_unit_test(fork_within_call),  cmocka_unit_test(own_handles),
    };
    (void)argv;
    const size_t left_out = argc > 1;
    return _cmocka_run_group_tests("forks", tests, ARRAY_COUNT(tests) - left_out, open_all,
                                   close_all);
}
