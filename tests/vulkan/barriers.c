/* SPDX-License-Identifier: MIT
 *
 * Commands wait for previous ones exactly where their ranges conflict. With the argument `wrong`
 * the program says of a dispatch that it does not write what it writes, so that a barrier is
 * missing: the validation layer has to name the hazard, or its silence in the other tests would
 * prove nothing.
 */
#include "base/array.h"
#include "support/open_gpu.h"

#include <string.h>

#include "barriers_spirv.h"

enum { WORDS = 256, RANGES = 6 };

/* The ranges follow one another in one buffer, as tensors do in an arena. */
static struct gpu_range get_range(struct gpu_buffer *buffer, char name)
{
    const uint64_t bytes = WORDS * sizeof(uint32_t);
    return (struct gpu_range){buffer, (uint64_t)(name - 'A') * bytes, bytes};
}

static struct gpu_dispatch make_dispatch(struct gpu *gpu, struct gpu_buffer *buffer, char source,
                                         char target)
{
    const struct gpu_range written = get_range(buffer, target);
    struct gpu_dispatch dispatch = {
        .ranges = {get_range(buffer, source), written, written, written},
        .only_read = {true},
        .push_bytes = 4,
        .groups = {WORDS, 1, 1},
        .weight = 1};
    const struct spirv code = {.words = barriers_spirv, .count = sizeof(barriers_spirv) / 4};
    const uint32_t unused = 0; /* Without constants the pointer must still be one. */
    assert_int_equal(gpu_pipeline_get(gpu, "barriers", &code, 0, &unused, 0, &dispatch.pipeline),
                     0);
    return dispatch;
}

static const struct {
    bool copy;
    char source, target;
    size_t barriers; /* up to this command */
} steps[] = {
    {false, 'A', 'B', 1}, /* The first command waits for earlier submits. */
    {false, 'A', 'C', 1}, /* Two commands may read one range. */
    {false, 'B', 'A', 2}, /* B is read after it was written. */
    {false, 'C', 'D', 2}, /* C was written before the last barrier. */
    {false, 'C', 'D', 3}, /* D is written twice. */
    {false, 'A', 'C', 4}, /* C is written after it was read. */
    {true, 'D', 'E', 5},  /* The first copy waits for all dispatches. */
    {true, 'C', 'F', 5},  /* The next copy has other ranges. */
    {true, 'A', 'E', 6},  /* E is written twice. */
    {false, 'E', 'B', 7}, /* E is read after it was copied. */
    {false, 'F', 'D', 7}, /* F was copied before the last barrier. */
    {true, 'D', 'A', 8},
};

static void commands_wait_where_ranges_conflict(void **state)
{
    struct gpu *gpu = open_gpu("");
    struct gpu_buffer *buffer;
    struct gpu_commands *commands;
    uint32_t expected[RANGES] = {0};
    (void)state;
    assert_int_equal(gpu_buffer_create(gpu, GPU_INPUT, RANGES * WORDS * 4, &buffer), 0);
    uint32_t *words = gpu_buffer_map(buffer);
    memset(words, 0, RANGES * WORDS * sizeof(*words));
    assert_int_equal(gpu_commands_create(gpu, &commands), 0);
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        const char source = steps[i].source, target = steps[i].target;
        const struct gpu_dispatch dispatch = make_dispatch(gpu, buffer, source, target);
        if (steps[i].copy)
            assert_int_equal(
                gpu_commands_copy(commands, get_range(buffer, source), get_range(buffer, target)),
                0);
        else
            assert_int_equal(gpu_commands_dispatch(commands, &dispatch), 0);
        assert_int_equal(gpu_commands_barriers(commands), steps[i].barriers);
        expected[target - 'A'] = expected[source - 'A'] + !steps[i].copy;
    }
    assert_int_equal(gpu_commands_end(commands), 0);
    assert_int_equal(gpu_commands_run(commands), 0);
    for (size_t i = 0; i < RANGES * WORDS; i++)
        assert_int_equal(words[i], expected[i / WORDS]);
    gpu_commands_destroy(&commands);
    gpu_buffer_destroy(gpu, &buffer);
    gpu_close(&gpu);
}

static void record_a_hazard(void **state)
{
    struct gpu *gpu = open_gpu("");
    struct gpu_buffer *buffer;
    struct gpu_commands *commands;
    (void)state;
    assert_int_equal(gpu_buffer_create(gpu, GPU_DEVICE, RANGES * WORDS * 4, &buffer), 0);
    assert_int_equal(gpu_commands_create(gpu, &commands), 0);
    struct gpu_dispatch dispatch = make_dispatch(gpu, buffer, 'A', 'B');
    for (int i = 0; i < GPU_BINDINGS; i++)
        dispatch.only_read[i] = true;
    assert_int_equal(gpu_commands_dispatch(commands, &dispatch), 0);
    dispatch = make_dispatch(gpu, buffer, 'B', 'C');
    assert_int_equal(gpu_commands_dispatch(commands, &dispatch), 0);
    assert_int_equal(gpu_commands_barriers(commands), 1);
    assert_int_equal(gpu_commands_end(commands), 0);
    gpu_commands_destroy(&commands);
    gpu_buffer_destroy(gpu, &buffer);
    gpu_close(&gpu);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest right[] = {cmocka_unit_test(commands_wait_where_ranges_conflict)};
    const struct CMUnitTest wrong[] = {cmocka_unit_test(record_a_hazard)};
    (void)argv;
    return argc > 1 ? cmocka_run_group_tests(wrong, NULL, NULL)
                    : cmocka_run_group_tests(right, NULL, NULL);
}
