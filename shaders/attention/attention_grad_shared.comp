#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_GRAD in tiles, for heads of at most 128 values. With KEYS the tokens of a workgroup are keys, whose
 * dk and dv are sums over the queries; without it they are queries, whose dq is a sum over the keys. "Others" are what
 * the sums go over. The weights of the softmax are computed again from the logarithms of their sums, so that no T x T
 * matrix is kept and no two workgroups add to one value (Dao et al. 2022, algorithm 4).
 *
 * For each tile an invocation first computes the weights of TOKENS tokens and SPAN others. Shared memory hands them to
 * the invocations that add up the gradients, of which LANES share a token: each keeps an eighth of its sums in
 * registers.
 */
#include "common.glsl"
#include "attention/heads.glsl"
#include "attention/masked.h"

layout(constant_id = 5) const uint TOKENS = 2;
layout(constant_id = 6) const bool KEYS = false;
layout(constant_id = 7) const bool MASKED = false;

/* launch_ATTENTION_GRAD in src/runtime/launch.c launches workgroups of LANES x LANES. */
const uint LANES = 8, SPAN = 2;
const uint PARTS = (D4 + LANES - 1) / LANES;
const uint PITCH = D4 | 1; /* An odd pitch spreads the tokens over the banks of shared memory. */

layout(set = 0, binding = 0) readonly buffer Qkv { XTYPE qkv[]; };
layout(set = 0, binding = 0) readonly buffer Qkv4 { XVEC4 qkv4[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 1) readonly buffer Dy4 { XVEC4 dy4[]; };
layout(set = 0, binding = 2) readonly buffer Stats { vec2 stats[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };
layout(set = 0, binding = 3) writeonly buffer Dx4 { XVEC4 dx4[]; };

LOADER(load_qkv_any, qkv)
LOADER(load_dy_any, dy)

shared vec4 first_own[TOKENS * LANES][PITCH];  /* q of queries, k of keys */
shared vec4 second_own[TOKENS * LANES][PITCH]; /* dy of queries, v of keys */
/* The softmax's weight and the gradient of its argument. Two tiles take turns, so that one barrier is enough. */
shared vec2 weights[2][SPAN * LANES][TOKENS * LANES];

/* Returns where q (0), k (1) or v (2) of a token begins. */
uint qkv_index(uint token, uint part)
{
    return (3 * token + part) * args.c + gl_WorkGroupID.y * D;
}

uint first_index(bool key, uint token)
{
    return qkv_index(token, key ? 1 : 0);
}

uint second_index(bool key, uint token)
{
    return key ? qkv_index(token, 2) : token * args.c + gl_WorkGroupID.y * D;
}

vec4 load_first(uint index, uint d)
{
    return D % 4 == 0 ? vec4(qkv4[index / 4 + d]) : load_qkv_any(index + 4 * d, D - 4 * d);
}

vec4 load_second(bool key, uint index, uint d)
{
    if (key)
        return load_first(index, d);
    return D % 4 == 0 ? vec4(dy4[index / 4 + d]) : load_dy_any(index + 4 * d, D - 4 * d);
}

void store(uint index, uint d, vec4 value)
{
    if (D % 4 == 0)
        dx4[index / 4 + d] = XVEC4(value);
    else
        for (uint c = 0; c < 4 && 4 * d + c < D; c++)
            dx[index + 4 * d + c] = XTYPE(value[c]);
}

vec4 first_sum[TOKENS][PARTS];  /* dq of queries, dk of keys */
vec4 second_sum[TOKENS][PARTS]; /* dv of keys */

uint row0() /* the first row of the item */
{
    return (args.first + gl_WorkGroupID.z) * args.t;
}

uint token0()
{
    return gl_WorkGroupID.x * TOKENS * LANES;
}

void share_tokens()
{
    for (uint i = gl_LocalInvocationIndex; i < TOKENS * LANES * D4; i += LANES * LANES) {
        uint token = row0() + min(token0() + i / D4, args.t - 1), d = i % D4;
        first_own[i / D4][d] = load_first(first_index(KEYS, token), d);
        second_own[i / D4][d] = load_second(KEYS, second_index(KEYS, token), d);
    }
}

vec2 weigh(uint token, uint other, float score, float dp)
{
    uint query = KEYS ? other : token, key = KEYS ? token : other;
    bool seen = other < args.t && (!CAUSAL || key <= query);
    /* The logarithm of the sum of exponentials, and y.dy. */
    vec2 stat = stats[(row0() + min(query, args.t - 1)) * args.heads + gl_WorkGroupID.y];
    if (MASKED) /* ATTENTION_DELTA has put the mask into the statistics. */
        seen = seen && stats[(row0() + min(key, args.t - 1)) * args.heads + gl_WorkGroupID.y].x < MASKED_LEAST;
    float weight = seen ? exp(score * args.scale - stat.x) : 0.0;
    return vec2(weight, weight * (dp - stat.y) * args.scale);
}

/* Computes the weights of the workgroup's tokens and the others from `tile` on. */
void share_weights(uint tile, uint turn)
{
    uint lane = gl_LocalInvocationID.x, line = gl_LocalInvocationID.y;
    float score[TOKENS][SPAN], dp[TOKENS][SPAN];
    uint first_at[SPAN], second_at[SPAN];
    for (uint j = 0; j < SPAN; j++) {
        uint other = row0() + min(tile + line + j * LANES, args.t - 1);
        first_at[j] = first_index(!KEYS, other);
        second_at[j] = second_index(!KEYS, other);
        for (uint i = 0; i < TOKENS; i++)
            score[i][j] = dp[i][j] = 0.0;
    }
    [[dont_unroll]] for (uint d0 = 0; d0 < D4; d0 += 4)
        [[unroll]] for (uint d = d0; d < d0 + 4; d++)
            if (D4 % 4 == 0 || d < D4)
                for (uint j = 0; j < SPAN; j++) {
                    vec4 first = load_first(first_at[j], d), second = load_second(!KEYS, second_at[j], d);
                    for (uint i = 0; i < TOKENS; i++) {
                        score[i][j] += dot(first_own[lane + i * LANES][d], first);
                        dp[i][j] += dot(second_own[lane + i * LANES][d], second);
                    }
                }
    for (uint j = 0; j < SPAN; j++)
        for (uint i = 0; i < TOKENS; i++)
            weights[turn][line + j * LANES][lane + i * LANES] =
                weigh(token0() + lane + i * LANES, tile + line + j * LANES, score[i][j], dp[i][j]);
}

/* Adds the shares of the others from `tile` on to the gradients. Past the end the last one repeats with no weight. */
void add_tile(uint tile, uint turn)
{
    uint lane = gl_LocalInvocationID.x, line = gl_LocalInvocationID.y;
    uint first_at = first_index(!KEYS, row0() + tile), second_at = second_index(!KEYS, row0() + tile);
    [[unroll]] for (uint j = 0; j < SPAN * LANES; j++) {
        for (uint p = 0; p < PARTS; p++) {
            uint d = min(lane + p * LANES, D4 - 1);
            vec4 first = load_first(first_at, d), second = KEYS ? load_second(!KEYS, second_at, d) : vec4(0.0);
            for (uint i = 0; i < TOKENS; i++) {
                vec2 weight = weights[turn][j][line + i * LANES];
                first_sum[i][p] = fma(vec4(weight.y), first, first_sum[i][p]);
                if (KEYS)
                    second_sum[i][p] = fma(vec4(weight.x), second, second_sum[i][p]);
            }
        }
        if (tile + j + 1 < args.t) {
            first_at += 3 * args.c;
            second_at += KEYS ? args.c : 3 * args.c;
        }
    }
}

void main()
{
    share_tokens();
    for (uint i = 0; i < TOKENS; i++)
        for (uint p = 0; p < PARTS; p++)
            first_sum[i][p] = second_sum[i][p] = vec4(0.0);
    barrier();

    uint begin = CAUSAL && KEYS ? token0() : 0;
    uint end = CAUSAL && !KEYS ? min(args.t, token0() + TOKENS * LANES) : args.t;
    for (uint tile = begin, turn = 0; tile < end; tile += SPAN * LANES, turn ^= 1) {
        share_weights(tile, turn);
        barrier();
        add_tile(tile, turn);
    }

    for (uint i = 0; i < TOKENS; i++)
        for (uint p = 0; p < PARTS; p++) {
            uint token = token0() + gl_LocalInvocationID.y + i * LANES, d = gl_LocalInvocationID.x + p * LANES;
            if (token < args.t && d < D4) {
                store(first_index(KEYS, row0() + token), d, first_sum[i][p]);
                if (KEYS)
                    store(second_index(KEYS, row0() + token), d, second_sum[i][p]);
            }
        }
}
