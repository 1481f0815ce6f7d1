/* SPDX-License-Identifier: MIT
 *
 * Changes variables of the environment that the library follows.
 */
#ifndef VKCLIP_TESTS_SUPPORT_VARIABLE_H
#define VKCLIP_TESTS_SUPPORT_VARIABLE_H

#include "support/testing.h"

#include "base/environment.h"

/* Sets a variable, or unsets it if `value` is NULL, and lets the library see it. */
static inline void set_variable(const char *name, const char *value)
{
    environment_set(name, value);
    assert_int_equal(environment_read(), VKCLIP_OK);
}

#endif
