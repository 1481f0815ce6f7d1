/* SPDX-License-Identifier: MIT */
#ifndef VKCLIP_TESTS_SUPPORT_WITHIN_H
#define VKCLIP_TESTS_SUPPORT_WITHIN_H

#include "base/turns.h"

/* Lets the calls of this thread be within another one, so that they give way to none and end in
 * their turn, however long the thread has to wait for the processor. Returns what is given to
 * turn_adopt afterwards. */
static struct turn *begin_within(struct turn *around)
{
    *around = (struct turn){.function = "the test"};
    return turn_adopt(around);
}

#endif
