/* SPDX-License-Identifier: MIT
 *
 * Lets the program be asked by the calls on a thread whenever they look, and not only after some
 * time, so that how often it is asked depends on what a call does and not on the machine's speed.
 */
#ifndef VKCLIP_TESTS_SUPPORT_EAGER_H
#define VKCLIP_TESTS_SUPPORT_EAGER_H

#include "base/progress.h"

/* Two calls around the others. Each lets the other one be asked the next time. */
struct eager {
    struct progress inner, outer;
};

static int eager_ask_inner(void *user, uint64_t done, uint64_t total)
{
    struct eager *eager = user;
    (void)done, (void)total;
    for (struct progress *call = progress_current(); call != &eager->inner; call = call->outer)
        call->asked = 0;
    eager->outer.asked = 0;
    return 0;
}

static int eager_ask_outer(void *user, uint64_t done, uint64_t total)
{
    struct eager *eager = user;
    (void)done, (void)total;
    eager->inner.asked = 0;
    return 0;
}

static void eager_begin(struct eager *eager)
{
    progress_begin(&eager->outer, eager_ask_outer, eager, 1);
    progress_begin(&eager->inner, eager_ask_inner, eager, 1);
    eager->outer.independent = eager->inner.independent = true;
}

/* Returns the error of the calls. */
static int eager_end(struct eager *eager, int error)
{
    return progress_end(&eager->outer, progress_end(&eager->inner, error));
}

#endif
