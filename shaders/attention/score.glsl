/* SPDX-License-Identifier: MIT
 *
 * Defines what all variants of ATTENTION and, with MASKED, of ATTENTION_MASKED have: their constants and tensors, how
 * four values of qkv are loaded, with TEXELS as a texel, what mask and bias make of a score, and the logarithms of the
 * softmax's sums. In training ATTENTION has a mask too, because ATTENTION_MASKED has no binding left for the logarithms.
 */
#include "attention/heads.glsl"

layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

/* Returns four values of qkv from element `index`, zero from `left` on. */
#ifdef TEXELS
layout(set = 1, binding = 0) uniform textureBuffer qkv_texels;

#define load_qkv(index, left) texelFetch(qkv_texels, int((index) / 4))
#else
layout(set = 0, binding = 0) readonly buffer Qkv { XTYPE qkv[]; };
layout(set = 0, binding = 0) readonly buffer Qkv4 { XVEC4 qkv4[]; };

LOADER(load_qkv_any, qkv)
#define load_qkv(index, left) (D % 4 == 0 ? vec4(qkv4[(index) / 4]) : load_qkv_any(index, left))
#endif

/* The score of a masked key, which weighs nothing unless all keys of an item are masked, and that of a key past the end
 * or after the query, which weighs nothing even then. */
const float LEAST = -1e38, UNSEEN = -3e38;

#ifdef MASKED
layout(constant_id = 5) const bool MASK = false;
layout(constant_id = 6) const bool BIAS = false;

layout(set = 0, binding = 1) readonly buffer Mask { int mask[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };

float masked_score(float score, uint item, uint head, uint query, uint key)
{
    if (BIAS)
        score += float(bias[head * (2 * args.t - 1) + args.t - 1 + key - query]);
    return MASK && mask[item * args.t + key] == 0 ? LEAST : score;
}

void store_stats(uint item, uint head, uint query, float top, float total)
{
}
#else
layout(constant_id = 5) const bool STATS = false;
layout(constant_id = 6) const bool MASK = false;

layout(set = 0, binding = 1) buffer Stats { float stats[]; };
layout(set = 0, binding = 2) readonly buffer Mask { int mask[]; };

float masked_score(float score, uint item, uint head, uint query, uint key)
{
    return MASK && mask[item * args.t + key] == 0 ? LEAST : score;
}

/* Stores the logarithm of the sum of exponentials, beside which ATTENTION_DELTA stores its value. */
void store_stats(uint item, uint head, uint query, float top, float total)
{
    if (STATS)
        stats[2 * ((item * args.t + query) * args.heads + head)] = top + log(total);
}
#endif

/* Returns what mask and order make of the score of a query, which is in the item, and a key, which need not be. */
float seen_score(float score, uint item, uint head, uint query, uint key)
{
    return key <= (CAUSAL ? query : args.t - 1) ? masked_score(score, item, head, query, key) : UNSEEN;
}
