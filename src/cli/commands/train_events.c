/* SPDX-License-Identifier: MIT
 *
 * Gives the numbers of a run their names in TensorBoard. As with OpenCLIP, recall and accuracy are
 * fractions there.
 */
#include "cli/commands/train_events.h"
#include "base/array.h"
#include "cli/print.h"
#include "format/event_file.h"

#include <time.h>

static int finish(int error)
{
    return error ? cli_fail(CLI_FAILED, "%s", vkclip_last_error()) : CLI_DONE;
}

static int put(struct event_file *file, uint64_t step, const struct event_scalar *scalars,
               size_t count)
{
    return finish(file ? event_file_write(file, (double)time(NULL), step, scalars, count)
                       : VKCLIP_OK);
}

int train_events_open(const char *folder, uint64_t step, struct event_file **file)
{
    return finish(event_file_open(folder, (double)time(NULL), step ? step + 1 : 0, file));
}

int train_events_step(struct event_file *file, const struct vkclip_train_result *result,
                      uint32_t pairs)
{
    const struct event_scalar scalars[] = {{"train/loss", (double)result->loss},
                                           {"train/lr", (double)result->lr},
                                           {"train/scale", (double)result->logit_scale},
                                           {"train/grad_norm", (double)result->grad_norm},
                                           {"train/batch_time", result->seconds},
                                           {"train/data_time", result->waiting},
                                           {"train/samples_per_second", pairs / result->seconds}};
    return put(file, result->step, scalars, ARRAY_COUNT(scalars));
}

int train_events_evaluation(struct event_file *file, uint64_t step,
                            const struct cli_evaluation *evaluation)
{
    const struct event_scalar scalars[] = {{"val/zeroshot-top1", evaluation->top1 / 100},
                                           {"val/zeroshot-top5", evaluation->top5 / 100}};
    return put(file, step, scalars, ARRAY_COUNT(scalars));
}

int train_events_validation(struct event_file *file, uint64_t step,
                            const struct vkclip_validation *validation)
{
    const double *to_text = validation->image_to_text, *to_image = validation->text_to_image;
    const struct event_scalar scalars[] = {{"val/clip_val_loss", validation->loss},
                                           {"val/image_to_text_R@1", to_text[0] / 100},
                                           {"val/image_to_text_R@5", to_text[1] / 100},
                                           {"val/image_to_text_R@10", to_text[2] / 100},
                                           {"val/text_to_image_R@1", to_image[0] / 100},
                                           {"val/text_to_image_R@5", to_image[1] / 100},
                                           {"val/text_to_image_R@10", to_image[2] / 100},
                                           {"val/num_samples", (double)validation->images}};
    return put(file, step, scalars, ARRAY_COUNT(scalars));
}

int train_events_close(struct event_file **file)
{
    return finish(event_file_close(file));
}
