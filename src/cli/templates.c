/* SPDX-License-Identifier: MIT
 *
 * Reads templates. A file whose name is that of built-in templates is given with a folder:
 * ./openai.
 */
#include "cli/templates.h"
#include "base/array.h"
#include "cli/inputs.h"
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

/* ---- Built-in templates ------------------------------------------------------------------------ */

/* The sentence of the paper's section 3.1.4. */
static const char *const simple[] = {"a photo of a {}."};

/* OpenAI's ensemble for ImageNet, from the notebook that accompanies the paper (MIT licence). */
static const char *const openai[] = {
    "a bad photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "a photo of a {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
};

struct template_set {
    const char *name, *const *texts;
    size_t count;
};

static const struct template_set template_sets[] = {
    {"simple", simple, ARRAY_COUNT(simple)},
    {"openai", openai, ARRAY_COUNT(openai)},
};

static const struct template_set *find_set(const struct cli_input *input)
{
    for (size_t i = 0; i < ARRAY_COUNT(template_sets); i++)
        if (input->list && !strcmp(input->text, template_sets[i].name))
            return &template_sets[i];
    return NULL;
}

static bool add_templates(const struct cli_input *input, struct cli_inputs *result)
{
    const struct template_set *set = find_set(input);
    bool good = set || cli_add_input(result, input->text, input->length);
    if (!set && good)
        result->items[result->count - 1].list = input->list;
    for (size_t i = 0; set && good && i < set->count; i++)
        good = cli_add_input(result, set->texts[i], strlen(set->texts[i]));
    return good;
}

static int expand_sets(struct cli_inputs *templates)
{
    struct cli_inputs result = {0};
    bool good = true;
    for (size_t i = 0; good && i < templates->count; i++)
        good = add_templates(&templates->items[i], &result);
    cli_free_inputs(templates);
    *templates = result;
    return good ? CLI_DONE : cli_fail_memory();
}

/* ---- Templates --------------------------------------------------------------------------------- */

int cli_check_templates(const struct cli_session *session, const struct cli_inputs *templates)
{
    for (size_t i = 0; i < templates->count; i++)
        if (!strstr(templates->items[i].text, "{}"))
            return cli_fail_usage(session, "template '%s' has no {} for the label",
                                  templates->items[i].text);
    return CLI_DONE;
}

static void rename_hole(struct cli_input *template)
{
    char *hole = strstr(template->text, "{c}");
    if (!hole || strstr(template->text, "{}"))
        return;
    memmove(hole + 1, hole + 2, strlen(hole + 2) + 1);
    template->length--;
}

int cli_read_templates(struct cli_session *session, struct cli_inputs *templates)
{
    const size_t failures = session->failures;
    const bool given = templates->count > 0;
    int status = expand_sets(templates);
    if (!status)
        status = cli_read_lists(session, templates, false, false);
    if (!status && session->failures != failures)
        status = CLI_FAILED;
    else if (!status && given && !templates->count)
        status = cli_fail(CLI_FAILED, "--templates: the file is empty, expected one template per "
                                      "line, with {} for the label");
    for (size_t i = 0; i < templates->count && !status; i++)
        rename_hole(&templates->items[i]);
    return status ? status : cli_check_templates(session, templates);
}
