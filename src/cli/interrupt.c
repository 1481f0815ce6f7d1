/* SPDX-License-Identifier: MIT
 *
 * Notes the first signal and lets the next one of its kind end the process.
 */
#include "cli/interrupt.h"

#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t noted;

static void note_signal(int number)
{
    noted = number;
    signal(number, SIG_DFL);
}

void cli_catch_interrupts(void)
{
    noted = 0;
    signal(SIGINT, note_signal);
    signal(SIGTERM, note_signal);
}

bool cli_interrupted(void)
{
    return noted != 0;
}

void cli_release_interrupts(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

void cli_end_by_interrupt(void)
{
    if (!noted)
        return;
    fflush(stdout);
    cli_release_interrupts();
    raise(noted);
}
