/* SPDX-License-Identifier: MIT
 *
 * Event files for TensorBoard have the bytes that its reader expects: these were made by a program
 * of its own from the definitions of TFRecord and of tensorflow.Event.
 */
#define _GNU_SOURCE
#include "format/event_file.h"
#include "support/scratch.h"

/* A version, the start of a session at step 8, and two scalars of step 300. */
static const unsigned char expected[] = {
    0x18, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa3, 0x7f, 0x4b, 0x22, 0x09, 0x00, 0x00, 0xa0,
    0x24, 0xcf, 0x4a, 0xda, 0x41, 0x1a, 0x0d, 0x62, 0x72, 0x61, 0x69, 0x6e, 0x2e, 0x45, 0x76, 0x65,
    0x6e, 0x74, 0x3a, 0x32, 0x76, 0x3f, 0xb5, 0x0c, 0x0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x6d, 0x53, 0x2b, 0x09, 0x09, 0x00, 0x00, 0xa0, 0x24, 0xcf, 0x4a, 0xda, 0x41, 0x10, 0x08, 0x3a,
    0x02, 0x08, 0x01, 0xa9, 0x94, 0x30, 0xac, 0x32, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x24,
    0x19, 0x56, 0xec, 0x09, 0x00, 0x00, 0xb0, 0x24, 0xcf, 0x4a, 0xda, 0x41, 0x10, 0xac, 0x02, 0x2a,
    0x24, 0x0a, 0x11, 0x0a, 0x0a, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c, 0x6f, 0x73, 0x73, 0x15,
    0x00, 0x00, 0xc0, 0x3f, 0x0a, 0x0f, 0x0a, 0x08, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c, 0x72,
    0x15, 0x00, 0x00, 0x00, 0x80, 0xa3, 0xb2, 0x75, 0x88,
};

static void has_these_bytes(void **state)
{
    const struct event_scalar scalars[] = {{"train/loss", 1.5}, {"train/lr", -0.0}};
    struct event_file *file = NULL;
    char *scratch = scratch_folder(), *folder = scratch_path(scratch, "events");
    char *path = scratch_path(folder, "events.out.tfevents.1764441234.vkclip.0"), *bytes = NULL;
    size_t size = 0;
    (void)state;
    assert_int_equal(event_file_open(folder, 1764441234.5, 8, &file), 0);
    assert_int_equal(event_file_write(file, 1764441234.75, 300, scalars, 2), 0);
    assert_int_equal(file_read(path, SIZE_MAX, &bytes, &size), 0);
    assert_int_equal(size, sizeof(expected));
    assert_memory_equal(bytes, expected, size);
    free(bytes);
    assert_int_equal(event_file_close(&file), 0);
    free(path);
    /* Another run of the same second has a file of its own, here without the start of a session. */
    assert_int_equal(event_file_open(folder, 1764441234.5, 0, &file), 0);
    assert_int_equal(event_file_close(&file), 0);
    path = scratch_path(folder, "events.out.tfevents.1764441234.vkclip.1");
    assert_int_equal(file_read(path, SIZE_MAX, &bytes, &size), 0);
    assert_int_equal(size, 40);
    assert_memory_equal(bytes, expected, size);
    free(bytes);
    free(path);
    free(folder);
    scratch_remove(scratch);
}

static void refuses_what_it_cannot_write(void **state)
{
    struct event_scalar scalars[512];
    struct event_file *file = NULL;
    char *scratch = scratch_folder(), *taken = scratch_path(scratch, "file");
    (void)state;
    assert_int_equal(file_write(taken, &(struct file_part){"x", 1}, 1), 0);
    assert_int_not_equal(event_file_open(taken, 1, 0, &file), 0);
    assert_null(file);
    assert_int_equal(event_file_open(scratch, 1, 0, &file), 0);
    for (size_t i = 0; i < 512; i++)
        scalars[i] = (struct event_scalar){"train/a_name_of_some_length", 1};
    assert_int_equal(event_file_write(file, 1, 1, scalars, 512), VKCLIP_EINVALID);
    assert_int_equal(event_file_close(&file), 0);
    free(taken);
    scratch_remove(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(has_these_bytes),
                                       cmocka_unit_test(refuses_what_it_cannot_write)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
