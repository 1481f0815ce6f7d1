/* SPDX-License-Identifier: MIT
 *
 * Stands for training, its data sets, and explanations, which need the kernels of gradients, in a
 * build without them.
 */
#include "base/absent.h"
#include "base/error.h"

ABSENT_ARGUMENTS

static int training_absent(const char *function)
{
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: this build of vkclip leaves training out (VKCLIP_WITH_TRAINING)",
                      function);
}

int vkclip_open_trainer(struct vkclip_device *device, const struct vkclip_trainer_params *params,
                        struct vkclip_trainer **trainer)
{
    if (trainer)
        *trainer = NULL;
    return training_absent(__func__);
}

int vkclip_get_trainer_info(const struct vkclip_trainer *trainer, struct vkclip_trainer_info *info)
{
    return training_absent(__func__);
}

int vkclip_measure_trainer(const struct vkclip_trainer *trainer, bool checkpoint_activations,
                           struct vkclip_trainer_memory *memory)
{
    return training_absent(__func__);
}

int vkclip_check_trainer_memory(const struct vkclip_trainer *trainer,
                                const struct vkclip_device *device)
{
    return training_absent(__func__);
}

int vkclip_train_step(struct vkclip_trainer *trainer, struct vkclip_train_result *result)
{
    return training_absent(__func__);
}

int vkclip_validate_trainer(struct vkclip_trainer *trainer, struct vkclip_validation *result)
{
    return training_absent(__func__);
}

int vkclip_save_trainer(struct vkclip_trainer *trainer, char *path, size_t capacity)
{
    return training_absent(__func__);
}

int vkclip_save_trained_model(struct vkclip_trainer *trainer)
{
    return training_absent(__func__);
}

void vkclip_close_trainer(struct vkclip_trainer **trainer)
{
}

int vkclip_open_archive(const char *path, struct vkclip_archive **archive)
{
    if (archive)
        *archive = NULL;
    return training_absent(__func__);
}

int vkclip_open_tar(const char *path, const struct vkclip_archive_params *params,
                    struct vkclip_archive **archive)
{
    if (archive)
        *archive = NULL;
    return training_absent(__func__);
}

const char *vkclip_get_archived_name(const struct vkclip_archive *archive, size_t index)
{
    return NULL;
}

int vkclip_load_archived(const struct vkclip_archive *archive, size_t index,
                         const struct vkclip_image_params *params, struct vkclip_image *image)
{
    return training_absent(__func__);
}

void vkclip_close_archive(struct vkclip_archive **archive)
{
}

int vkclip_explain(struct vkclip_model *model, const struct vkclip_image *image,
                   const float *text_embeds, size_t count,
                   const struct vkclip_explain_params *params, float *relevance, float *cosines)
{
    return training_absent(__func__);
}

int vkclip_train_tokenizer(const char *const *paths, size_t count,
                           const struct vkclip_tokenizer_params *params, const char *folder,
                           struct vkclip_tokenizer_result *result)
{
    return training_absent(__func__);
}
