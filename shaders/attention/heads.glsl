/* SPDX-License-Identifier: MIT
 *
 * Defines the specialization constants and push constants of ATTENTION and ATTENTION_GRAD.
 */
layout(constant_id = 3) const uint D = 64; /* width of a head */
layout(constant_id = 4) const bool CAUSAL = false;
const uint D4 = (D + 3) / 4;

layout(push_constant) uniform Args { attention_args args; };
