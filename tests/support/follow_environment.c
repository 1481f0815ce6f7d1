/* SPDX-License-Identifier: MIT
 *
 * Is linked into every test: lets the library follow the environment that the test was started
 * with, before main. A test that changes a variable calls set_variable of support/variable.h.
 */
#include "base/environment.h"

__attribute__((constructor)) static void follow_environment(void)
{
    environment_read();
}
