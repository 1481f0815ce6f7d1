/* SPDX-License-Identifier: MIT
 *
 * Defines what POOL and its gradient have in common: their constants and tensors, and the scores of a query
 * with a tile of keys.
 */
#include "workgroup.glsl"

layout(constant_id = 3) const uint D = 64; /* width of a head */
const uint D4 = (D + 3) / 4;
const uint CHANNELS = (D + LANES - 1) / LANES; /* of an invocation */

layout(push_constant) uniform Args { pool_args args; };

layout(set = 0, binding = 0) readonly buffer Q { XTYPE q[]; };
layout(set = 0, binding = 0) readonly buffer Q4 { XVEC4 q4[]; };
layout(set = 0, binding = 1) readonly buffer Kv { XTYPE kv[]; };
layout(set = 0, binding = 1) readonly buffer Kv4 { XVEC4 kv4[]; };

LOADER(load_q_any, q)
#define load_q(index, left) (D % 4 == 0 ? vec4(q4[(index) / 4]) : load_q_any(index, left))
LOADER(load_kv_any, kv)
#define load_kv(index, left) (D % 4 == 0 ? vec4(kv4[(index) / 4]) : load_kv_any(index, left))

/* No score is as small as this. */
const float UNSEEN = -3e38;

shared float scores[LANES];  /* of the tile's keys */
shared float weights[LANES]; /* their exponentials */

/* Returns where the key of a token begins; its value begins args.c elements later. */
uint key_index(uint item, uint head, uint key)
{
    return (item * args.t + key) * 2 * args.c + head * D;
}

float compute_score(uint item, uint head, uint query, uint key)
{
    uint query_at = query * args.c + head * D, key_at = key_index(item, head, key);
    float score = 0.0;
    for (uint d = 0; d < D4; d++)
        score += dot(load_q(query_at + 4 * d, D - 4 * d), load_kv(key_at + 4 * d, D - 4 * d));
    return score * args.scale;
}

/* Fills the scores of a query with `count` keys from `tile` on and returns the largest one. The order of operations is
 * fixed, so that every invocation gets the same value. */
float share_scores(uint item, uint head, uint query, uint tile, uint count)
{
    uint lane = gl_LocalInvocationID.x;
    float score = lane < count ? compute_score(item, head, query, tile + lane) : UNSEEN;
    barrier(); /* Every invocation must have read the previous tile. */
    scores[lane] = score;
    barrier();
    float top = UNSEEN;
    for (uint j = 0; j < count; j++)
        top = max(top, scores[j]);
    return top;
}
