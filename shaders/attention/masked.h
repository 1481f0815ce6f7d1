/* SPDX-License-Identifier: MIT
 *
 * Shared by shaders and C: how ATTENTION_DELTA tells ATTENTION_GRAD which tokens the mask leaves out.
 */
#ifndef VKCLIP_SHADERS_ATTENTION_MASKED_H
#define VKCLIP_SHADERS_ATTENTION_MASKED_H

/* ATTENTION_DELTA stores MASKED_STAT instead of the logarithm of the sum of exponentials of a token that the mask leaves
 * out. As a query such a token then weighs all keys with exp(score - MASKED_STAT), which is 0, and as a key it is
 * recognised by a logarithm of at least MASKED_LEAST, which no token that is seen has. */
#define MASKED_STAT 3.0e38f
#define MASKED_LEAST 1.0e38f

#endif
