/* SPDX-License-Identifier: MIT
 *
 * Opens a trainer of the small model with two pairs, for tests of what a trainer's handle allows.
 */
#ifndef VKCLIP_TESTS_SUPPORT_OPEN_TRAINER_H
#define VKCLIP_TESTS_SUPPORT_OPEN_TRAINER_H

#include "support/scratch.h"
#include "support/testing.h"

#define MODEL "models/emoji-clip"

/* Its data and its run lie in the folder. */
static struct vkclip_trainer *open_trainer(struct vkclip_device *device, const char *folder,
                                           uint32_t steps)
{
    char *data = scratch_path(folder, "pairs.tsv"), *output = scratch_path(folder, "run");
    char *samples = realpath(MODEL "/samples", NULL);
    struct vkclip_trainer *trainer = NULL;
    FILE *file = fopen(data, "w");
    assert_true(samples && file);
    fprintf(file, "filepath\ttitle\n%s/owl.png\ta\n%s/pizza.png\tb\n", samples, samples);
    assert_int_equal(fclose(file), 0);
    const struct vkclip_trainer_params params = {.size = sizeof(params),
                                                 .model = MODEL,
                                                 .data = (const char *const *)&data,
                                                 .data_count = 1,
                                                 .output = output,
                                                 .batch_size = 2,
                                                 .steps = steps};
    if (vkclip_open_trainer(device, &params, &trainer))
        fail_msg("%s", vkclip_last_error());
    free(data);
    free(output);
    free(samples);
    return trainer;
}

#endif
