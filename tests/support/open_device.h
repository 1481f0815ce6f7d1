/* SPDX-License-Identifier: MIT
 *
 * Opens the device that the environment names, once for all tests of a program.
 */
#ifndef VKCLIP_TESTS_SUPPORT_OPEN_DEVICE_H
#define VKCLIP_TESTS_SUPPORT_OPEN_DEVICE_H

#include "support/testing.h"

static struct vkclip_device *device;

static int open_device(void **state)
{
    (void)state;
    struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    assert_int_equal(vkclip_open_device(&params, &device), VKCLIP_OK);
    return 0;
}

static int close_device(void **state)
{
    (void)state;
    vkclip_close_device(&device);
    return 0;
}

#endif
