/* SPDX-License-Identifier: MIT */
#include "train/drive.h"
#include "base/progress.h"
#include "base/turns.h"
#include "base/workers.h"

/* Computes pieces until none is left, or other calls are to go first. Is a workers_job_fn. */
static int run_device(void *user, size_t index, unsigned thread)
{
    struct drive *drive = user;
    int error = VKCLIP_OK;
    (void)thread;
    while (!error && drive->done[index] < drive->pieces[index]) {
        if (!drive->stays)
            error = progress_check();
        if (!error)
            error = drive->run(drive->user, index, drive->done[index]++);
        if (turn_pause_is_wanted())
            break;
    }
    return error;
}

/* Lets other calls go first if they are to. Where the work stays, the program is not asked
 * meanwhile, because it could cancel nothing. */
static int pause_all(const struct drive *drive)
{
    if (!drive->stays)
        return turn_pause();
    struct progress *progress = progress_lend(NULL);
    turn_pause();
    progress_return(progress);
    return VKCLIP_OK;
}

int drive_all(struct drive *drive, struct workers *drivers)
{
    bool left = true;
    int error = VKCLIP_OK;
    while (left && !error) {
        error = workers_run(drivers, run_device, drive, drive->devices);
        if (!error)
            error = pause_all(drive);
        left = false;
        for (size_t i = 0; i < drive->devices; i++)
            left |= drive->done[i] < drive->pieces[i];
    }
    return error;
}
