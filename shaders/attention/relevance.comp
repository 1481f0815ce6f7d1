#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes RELEVANCE. A workgroup has one query of an item, and an invocation every LANES-th key. The weights of the
 * softmax are computed again, so that no graph has to keep them. Queries without relevance have no share in that of the
 * keys: in the last block, whose class token alone is read, nearly all of them.
 */
#include "common.glsl"
#include "workgroup.glsl"

layout(constant_id = 3) const uint D = 64; /* width of a head */
layout(constant_id = 4) const bool POOLED = false;
const uint D4 = (D + 3) / 4;

layout(push_constant) uniform Args { pool_args args; };

layout(set = 0, binding = 0) readonly buffer Q { float q[]; };
layout(set = 0, binding = 0) readonly buffer Q4 { vec4 q4[]; };
layout(set = 0, binding = 1) readonly buffer Kv { float kv[]; }; /* without POOLED the relevance of the queries */
layout(set = 0, binding = 1) readonly buffer Kv4 { vec4 kv4[]; };
layout(set = 0, binding = 2) readonly buffer Dy { float dy[]; };
layout(set = 0, binding = 2) readonly buffer Dy4 { vec4 dy4[]; };
layout(set = 0, binding = 3) buffer Y { float y[]; };

LOADER(load_q_any, q)
#define load_q(index, left) (D % 4 == 0 ? q4[(index) / 4] : load_q_any(index, left))
LOADER(load_kv_any, kv)
#define load_kv(index, left) (D % 4 == 0 ? kv4[(index) / 4] : load_kv_any(index, left))
LOADER(load_dy_any, dy)
#define load_dy(index, left) (D % 4 == 0 ? dy4[(index) / 4] : load_dy_any(index, left))

shared vec2 stats[LANES]; /* of the keys of each invocation: largest score, sum of exponentials */

uint item()
{
    return args.first + gl_WorkGroupID.z;
}

/* Returns where a head's q of the workgroup's query begins. */
uint query_index(uint head)
{
    return (POOLED ? gl_WorkGroupID.x : 3 * (item() * args.t + gl_WorkGroupID.x)) * args.c + head * D;
}

/* Returns where a head's key begins; its value begins args.c elements later. */
uint key_index(uint head, uint key)
{
    uint token = item() * args.t + key;
    return (POOLED ? 2 * token : 3 * token + 1) * args.c + head * D;
}

vec4 load_key(uint index, uint left)
{
    return POOLED ? load_kv(index, left) : load_q(index, left);
}

float compute_score(uint head, uint key)
{
    uint q_at = query_index(head), k_at = key_index(head, key);
    float score = 0.0;
    for (uint d = 0; d < D4; d++)
        score += dot(load_q(q_at + 4 * d, D - 4 * d), load_key(k_at + 4 * d, D - 4 * d));
    return score * args.scale;
}

/* Returns the gradient of a key's weight. */
float compute_gradient(uint head, uint key)
{
    uint dy_at = (item() * args.queries + gl_WorkGroupID.x) * args.c + head * D;
    uint v_at = key_index(head, key) + args.c;
    float product = 0.0;
    for (uint d = 0; d < D4; d++)
        product += dot(load_dy(dy_at + 4 * d, D - 4 * d), load_key(v_at + 4 * d, D - 4 * d));
    return product;
}

/* Returns the logarithm of the sum of exponentials of the scores. The order of operations is fixed, so that every
 * invocation gets the same value. */
float sum_exponentials(uint head)
{
    uint lane = gl_LocalInvocationID.x;
    vec2 stat = vec2(-3e38, 0.0); /* No score is as small as that. */
    for (uint key = lane; key < args.t; key += LANES) {
        float score = compute_score(head, key), top = max(stat.x, score);
        stat = vec2(top, stat.y * exp(stat.x - top) + exp(score - top));
    }
    barrier(); /* Every invocation must have read those of the previous head. */
    stats[lane] = stat;
    barrier();
    float top = stats[0].x, total = 0.0;
    [[dont_unroll]] for (uint i = 1; i < LANES; i++)
        top = max(top, stats[i].x);
    [[dont_unroll]] for (uint i = 0; i < LANES; i++)
        total += stats[i].y * exp(stats[i].x - top);
    return top + log(total);
}

void main()
{
    uint query = gl_WorkGroupID.x, row = (item() * args.queries + query) * args.t, heads = args.c / D;
    float share = POOLED ? 1.0 : kv[item() * args.t + query];
    for (uint key = gl_LocalInvocationID.x; key < args.t; key += LANES)
        y[row + key] = !POOLED && key == query ? share : 0.0;
    for (uint head = 0; head < heads && share != 0.0; head++) {
        float lse = sum_exponentials(head);
        for (uint key = gl_LocalInvocationID.x; key < args.t; key += LANES) {
            float weight = exp(compute_score(head, key) - lse);
            y[row + key] += share / float(heads) * max(weight * compute_gradient(head, key), 0.0);
        }
    }
}
