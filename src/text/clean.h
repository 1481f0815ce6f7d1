/* SPDX-License-Identifier: MIT
 *
 * Does the two cleanings that CLIP's tokenizers apply to a text before they split it into words.
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

#endif
