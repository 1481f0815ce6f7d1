/* SPDX-License-Identifier: MIT
 *
 * A device's pool of threads has the number and the priority that the device was opened with.
 */
#define _GNU_SOURCE
#include "base/settings.h"
#include "base/workers.h"
#include "support/testing.h"
#include "vulkan/gpu.h"

#ifdef __linux__
#include <pthread.h>
#include <sys/resource.h>
#endif

enum { THREADS = 3, LOWEST = 19 };

/* On Linux getpriority tells the priority of the thread that calls it. */
static int find_priority(void)
{
#ifdef __linux__
    return getpriority(PRIO_PROCESS, 0);
#else
    return 0;
#endif
}

#ifdef __linux__
static pthread_barrier_t all;
#endif

/* Waits until each thread has a job. */
static int note_priority(void *user, size_t index, unsigned thread)
{
    int *priorities = user;
    (void)index;
#ifdef __linux__
    pthread_barrier_wait(&all);
#endif
    priorities[thread] = find_priority();
    return VKCLIP_OK;
}

static struct gpu *open_with(struct vkclip_device_params params)
{
    struct settings settings;
    struct gpu *gpu = NULL;
    params.size = sizeof(params);
    params.cache_dir = "";
    int error = settings_read(&params, &settings);
    if (!error)
        error = gpu_open(&settings, settings.device, &gpu);
    settings_free(&settings);
    if (error)
        fail_msg("%s", vkclip_last_error());
    return gpu;
}

static void number_of_threads(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= THREADS; threads++) {
        struct gpu *gpu = open_with((struct vkclip_device_params){.threads = threads});
        assert_int_equal(workers_threads(gpu_workers(gpu)), threads);
        gpu_close(&gpu);
    }
}

/* The thread that calls is the program's own, and keeps its priority. */
static void priority_of_threads(void **state)
{
    (void)state;
    const int own = find_priority();
#ifdef __linux__
    pthread_barrier_init(&all, NULL, THREADS);
#endif
    for (unsigned background = 0; background < 2; background++) {
        struct gpu *gpu =
            open_with((struct vkclip_device_params){.threads = THREADS, .background = background});
        int priorities[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            priorities[i] = own;
        assert_int_equal(workers_run(gpu_workers(gpu), note_priority, priorities, THREADS), 0);
        size_t lower = 0;
        for (size_t i = 0; i < THREADS; i++)
            lower += priorities[i] > own;
#ifdef __linux__
        assert_int_equal(lower, background && own < LOWEST ? THREADS - 1 : 0);
#endif
        assert_int_equal(find_priority(), own);
        gpu_close(&gpu);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(number_of_threads),
        cmocka_unit_test(priority_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
