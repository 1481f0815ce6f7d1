/* SPDX-License-Identifier: MIT
 *
 * Derives from a configuration how pictures are prepared and by which rules texts are split.
 */
#include "checkpoint/inputs.h"
#include "base/error.h"

#include <string.h>

struct image_transform checkpoint_image_transform(const struct config *config)
{
    struct image_transform transform = {
        .size = config->image_size, .rgb_first = config->rgb_first, .resize = config->resize};
    memcpy(transform.mean, config->image_mean, sizeof(transform.mean));
    memcpy(transform.std, config->image_std, sizeof(transform.std));
    return transform;
}

int checkpoint_open_vocabulary(const struct config *config, const char *path,
                               struct tokenizer **tokenizer)
{
    const struct file_source source = file_source_path(path);
    return checkpoint_open_vocabulary_source(config, &source, tokenizer);
}

int checkpoint_open_vocabulary_source(const struct config *config, const struct file_source *source,
                                      struct tokenizer **tokenizer)
{
    static const enum tokenizer_cleaning cleanings[] = {
        [TEXT_CLEAN_NONE] = CLEANING_NONE,
        [TEXT_CLEAN_WHITESPACE] = CLEANING_WHITESPACE,
        [TEXT_CLEAN_LOWER] = CLEANING_LOWER,
        [TEXT_CLEAN_CANONICALIZE] = CLEANING_CANONICALIZE,
    };
    enum tokenizer_rules rules = TOKENIZER_OPENAI;
    if (config->family == VKCLIP_FAMILY_NONE)
        rules = TOKENIZER_BY_FILE;
    else if (config->family == VKCLIP_FAMILY_HF || config->cleaning != TEXT_CLEAN_NONE)
        rules = TOKENIZER_HF;
    int error = tokenizer_open_source(source, rules, tokenizer);
    if (!error && config->cleaning != TEXT_CLEAN_NONE)
        tokenizer_clean(*tokenizer, cleanings[config->cleaning], config->strip_end);
    if (!error && config->text.kind && tokenizer_size(*tokenizer) > config->vocabulary)
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: %u entries, but the model's token table has %u: not its vocabulary",
                           source->name, tokenizer_size(*tokenizer), config->vocabulary);
    return error;
}
