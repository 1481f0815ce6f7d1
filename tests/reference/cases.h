/* SPDX-License-Identifier: MIT
 *
 * Awkward shapes for every op. The tests compute them with every variant of the kernel table.
 */
#ifndef VKCLIP_TESTS_REFERENCE_CASES_H
#define VKCLIP_TESTS_REFERENCE_CASES_H

#include "runtime/op_case.h"

extern const struct op_case op_cases[];
extern const size_t op_case_count;

#endif
