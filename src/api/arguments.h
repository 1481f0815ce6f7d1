/* SPDX-License-Identifier: MIT
 *
 * Refuses arguments that the compiler lets pass: NULL among strings, numbers that an enum does not
 * have, and unknown bits of flags. Messages name the argument, what it is, and what is allowed.
 */
#ifndef VKCLIP_API_ARGUMENTS_H
#define VKCLIP_API_ARGUMENTS_H

#include "vkclip.h"

/* Checks a value of enum vkclip_NAME, whose values are 0 to `last`. */
#define ARGUMENTS_CHECK_ENUM(name, value, last) \
    arguments_check_enum(#name, "enum vkclip_" #name, (int)(value), last)

/* Checks a value that is called `name` and belongs to the enum `type`. */
int arguments_check_enum(const char *name, const char *type, int value, int last);
/* Checks that flags have bits of `known` only. */
int arguments_check_flags(const char *name, unsigned flags, unsigned known);
/* Checks that none of `count` strings is NULL. With `lengths`, a string of no bytes may be. */
int arguments_check_strings(const char *name, const char *const *strings, const size_t *lengths,
                            size_t count);

/* Check the enums and lists of params. */
int arguments_check_device(const struct vkclip_device_params *params);
int arguments_check_model(const struct vkclip_model_params *params);
int arguments_check_conditioner(const struct vkclip_conditioner_params *params);
int arguments_check_condition(const struct vkclip_condition_params *params);
int arguments_check_prompt(const struct vkclip_prompt_params *params);
int arguments_check_search(const struct vkclip_search_params *params);
int arguments_check_trainer(const struct vkclip_trainer_params *params);

#endif
