/* SPDX-License-Identifier: MIT
 *
 * The keys of model_index.json are those that DiffusionPipeline.save_pretrained writes: a part that
 * the pipeline does not have is null or [null, null].
 */
#include "checkpoint/pipeline.h"
#include "checkpoint/files.h"
#include "checkpoint/json.h"
#include "format/hub.h"

#include <stdio.h>
#include <string.h>

int pipeline_find(const char *path, const char *hub_dir, char **found)
{
    return hub_find(path, hub_dir, found);
}

bool pipeline_is_folder(const char *path)
{
    char file[FILES_PATH_SIZE];
    return strlen(path) < FILES_PATH_SIZE - 64 && files_find(path, "model_index.json", file);
}

static bool has_part(const struct section *root, const char *key)
{
    json_t *value = section_get(root, key);
    if (value && !json_is_array(value))
        section_wrong(root, key, "a library and a class");
    return value && !json_is_null(json_array_get(value, 1)) && json_array_size(value) == 2;
}

/* Reads the configuration of a part, which may be missing. */
static int read_joint_width(const char *folder, uint32_t *width)
{
    char inner[FILES_PATH_SIZE], file[FILES_PATH_SIZE];
    struct document document;
    snprintf(inner, sizeof(inner), "%s/transformer", folder);
    if (!files_find(inner, "config.json", file))
        return VKCLIP_OK;
    const struct section root = document_open(file, &document);
    *width = section_size(&root, "joint_attention_dim", 0);
    return document_close(&document);
}

int pipeline_read(const char *folder, struct pipeline *pipeline)
{
    static const char *const encoders[] = {"text_encoder", "text_encoder_2", "text_encoder_3"};
    char file[FILES_PATH_SIZE] = "";
    struct document document;
    *pipeline = (struct pipeline){.force_zeros = -1};
    files_find(folder, "model_index.json", file);
    const struct section root = document_open(file, &document);
    snprintf(pipeline->class_name, sizeof(pipeline->class_name), "%s",
             section_text(&root, "_class_name"));
    if (section_get(&root, "force_zeros_for_empty_prompt"))
        pipeline->force_zeros = section_bool(&root, "force_zeros_for_empty_prompt", false);
    for (int i = 0; i < 3; i++)
        pipeline->encoders[i] = has_part(&root, encoders[i]);
    int error = document_close(&document);
    return error ? error : read_joint_width(folder, &pipeline->joint_width);
}
