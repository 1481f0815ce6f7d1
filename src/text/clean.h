/* SPDX-License-Identifier: MIT
 *
 * Does the cleanings that CLIP's tokenizers, and some pipelines of diffusion models before any
 * tokenizer, apply to a text.
 * Mojibake (UTF-8 that was once read as another encoding) is not repaired, because that is
 * guesswork.
 */
#ifndef VKCLIP_TEXT_CLEAN_H
#define VKCLIP_TEXT_CLEAN_H

#include "text/code_points.h"

/* Cleans a text as OpenAI does: ftfy.fix_text without mojibake repair, html.unescape twice, white
 * space trimmed and each run of it replaced by one space, str.lower. */
void clean_openai(struct code_points *text);

/* Cleans a text as Hugging Face's CLIP normaliser does: NFC, each run of white space replaced by
 * one space, lower case letter by letter. */
void clean_hugging_face(struct code_points *text);

/* Does the first part of clean_openai, all but the lower case. Wan's pipeline in diffusers does it.
 */
void clean_fix(struct code_points *text);

/* Does str.lower and str.strip, as PixArt's pipeline in diffusers does. */
void clean_lower(struct code_points *text);

#endif
