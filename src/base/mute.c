/* SPDX-License-Identifier: MIT
 *
 * Every thread is mute by itself, so that the messages of the others are kept.
 */
#include "base/mute.h"

static _Thread_local bool mute;

void mute_set(bool on)
{
    mute = on;
}

bool mute_is_on(void)
{
    return mute;
}
