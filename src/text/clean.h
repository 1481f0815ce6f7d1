/* SPDX-License-Identifier: MIT
 *
 * Does the cleanings that CLIP's tokenizers, and some pipelines of diffusion models before any
 * tokenizer, apply to a text.
 */
#ifndef VKCLIP_TEXT_CLEAN_H
#define VKCLIP_TEXT_CLEAN_H

#include "text/code_points.h"

/* Cleans a text as OpenAI does: ftfy.fix_text, html.unescape twice, white
 * space trimmed and each run of it replaced by one space, str.lower. */
void clean_openai(struct code_points *text);

/* Cleans a text as Hugging Face's CLIP normaliser does: NFC, each run of white space replaced by
 * one space, lower case letter by letter. */
void clean_hugging_face(struct code_points *text);

/* Does the first part of clean_openai, all but the lower case. Wan's pipeline in diffusers does it.
 */
void clean_fix(struct code_points *text);

/* Does clean_fix, puts a space in place of "_", deletes ASCII's punctuation, and does str.lower and
 * clean_trim, as OpenCLIP's `canonicalize` does. */
void clean_canonicalize(struct code_points *text);

/* Removes outer white space, and makes each run of white space one space. */
void clean_trim(struct code_points *text);
/* Deletes ASCII's 32 characters of punctuation. */
void clean_remove_punctuation(struct code_points *text);
/* Makes the text lower case letter by letter, so that a sigma at the end of a word is as others. */
void clean_lower_letters(struct code_points *text);
/* Splits letters from their accents (normal form D) and removes marks that take no space. */
void clean_strip_accents(struct code_points *text);

/* Does str.lower and str.strip, as PixArt's pipeline in diffusers does. */
void clean_lower(struct code_points *text);

#endif
