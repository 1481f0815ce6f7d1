#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_GRAD with cooperative matrices of fp16, summed in fp32, for heads of at most 128 values. With KEYS
 * the tokens of a workgroup are keys, whose dk and dv are sums over the queries; without it they are queries, whose dq is
 * a sum over the keys. "Others" are what the sums go over. The weights of the softmax are computed again from the
 * logarithms of their sums, so that no T x T matrix is kept and no two workgroups add to one value (Dao et al. 2022,
 * algorithm 4).
 *
 * A subgroup has MATRIX_M tokens, and takes OTHERS others at a time, which all subgroups of the workgroup share. Which
 * lane has which element of a matrix is the driver's secret, so that scores go through shared memory. The gradient of a
 * score is rounded to fp16 before it is multiplied by the scale, which would make it smaller; the sums are scaled.
 */
#include "common.glsl"
#include "attention/heads.glsl"
#include "workgroup.glsl"

layout(constant_id = 1) const uint HEIGHT = 4; /* subgroups of a workgroup */
layout(constant_id = 5) const bool KEYS = false;
layout(constant_id = 6) const bool FIRST = true;   /* whether dq or dk is computed */
layout(constant_id = 7) const bool SECOND = false; /* whether dv is computed */
layout(constant_id = 8) const uint MATRIX_M = 16;
layout(constant_id = 9) const uint MATRIX_N = 16;
layout(constant_id = 10) const uint MATRIX_K = 16;

const uint TOKENS = HEIGHT * MATRIX_M, OTHERS = 32;
const uint WIDTH = (D + 15) / 16 * 16; /* a multiple of MATRIX_N and MATRIX_K */
const uint BLOCK_QUADS = MATRIX_N / 4, OTHER_QUADS = OTHERS / 4;
/* Rows of the tiles in quads. What they have beyond their values spreads a column over the banks. A row of scores has
 * MATRIX_N of them and as many of their gradients, one of weights OTHERS weights and as many gradients. */
const uint PITCH = WIDTH / 4 + 2, SCORE_PITCH = 2 * BLOCK_QUADS + 1, WEIGHT_PITCH = 2 * OTHER_QUADS + 2;
const uint Q = 0, K = 1, V = 2, DY = 3;

layout(set = 0, binding = 0) readonly buffer Qkv { XTYPE qkv[]; };
layout(set = 0, binding = 0) readonly buffer Qkv4 { XVEC4 qkv4[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 1) readonly buffer Dy4 { XVEC4 dy4[]; };
layout(set = 0, binding = 2) readonly buffer Stats { vec2 stats[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };
layout(set = 0, binding = 3) writeonly buffer Dx4 { XVEC4 dx4[]; };

LOADER(load_qkv_any, qkv)
LOADER(load_dy_any, dy)

/* OTHERS rows of k and v, or of q and dy. */
shared f16vec4 tile[(TOKENS > 2 * OTHERS ? TOKENS : 2 * OTHERS) * PITCH];
shared vec4 scores[TOKENS * SCORE_PITCH];
shared f16vec4 weights[TOKENS * WEIGHT_PITCH];
/* The logarithm of the sum of exponentials to base 2, and y.dy, of the queries in the tile. */
shared vec2 sums[TOKENS > OTHERS ? TOKENS : OTHERS];

#define MATRIX(type, rows, columns, use) coopmat<type, gl_ScopeSubgroup, rows, columns, gl_MatrixUse##use>
#define SUM MATRIX(float, MATRIX_M, MATRIX_N, Accumulator)
#define OTHER MATRIX(float16_t, MATRIX_K, MATRIX_N, B)

const float LOG2_E = 1.44269504;

uint head, row0; /* row0 is the first row of the item */

uint first_part(bool keys)
{
    return keys ? K : Q;
}

uint second_part(bool keys)
{
    return keys ? V : DY;
}

/* Returns where q, k or v of a token begins. */
uint qkv_index(uint token, uint part)
{
    return (3 * (row0 + token) + part) * args.c + head * D;
}

vec4 load_quad(uint token, uint part, uint quad)
{
    uint left = D - 4 * quad;
    if (part == DY) {
        uint index = (row0 + token) * args.c + head * D + 4 * quad;
        return D % 4 == 0 ? vec4(dy4[index / 4]) : load_dy_any(index, left);
    }
    uint index = qkv_index(token, part) + 4 * quad;
    return D % 4 == 0 ? vec4(qkv4[index / 4]) : load_qkv_any(index, left);
}

/* Loads rows of q, k, v or dy into the tile. Tokens past the end repeat the last one. */
void load_rows(uint first_row, uint rows, uint first_token, uint part)
{
    for (uint i = gl_LocalInvocationIndex; i < rows * (WIDTH / 4); i += LANES * HEIGHT) {
        uint quad = i % (WIDTH / 4), row = i / (WIDTH / 4);
        vec4 value = quad < D4 ? load_quad(min(first_token + row, args.t - 1), part, quad) : vec4(0.0);
        tile[(first_row + row) * PITCH + quad] = f16vec4(value);
    }
}

void load_sums(uint count, uint first_query)
{
    for (uint i = gl_LocalInvocationIndex; i < count; i += LANES * HEIGHT)
        sums[i] = stats[(row0 + min(first_query + i, args.t - 1)) * args.heads + head] * vec2(LOG2_E, 1.0);
}

/* Computes the weights and the gradients of the scores of the subgroup's tokens from `row` on and MATRIX_N others. */
void weigh(uint row, uint first_token, uint first_other, uint block)
{
    for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * BLOCK_QUADS; i += LANES) {
        uint own = row + i / BLOCK_QUADS, quad = i % BLOCK_QUADS;
        vec4 score = scores[own * SCORE_PITCH + quad];
        vec4 dp = FIRST ? scores[own * SCORE_PITCH + BLOCK_QUADS + quad] : vec4(0.0);
        vec4 weight, gradient;
        for (uint c = 0; c < 4; c++) {
            uint column = block * MATRIX_N + 4 * quad + c, other = first_other + column;
            vec2 sum = sums[KEYS ? column : own];
            bool seen = !CAUSAL || (KEYS ? first_token + own <= other : other <= first_token + own);
            weight[c] = seen && other < args.t ? exp2(score[c] * (args.scale * LOG2_E) - sum.x) : 0.0;
            gradient[c] = weight[c] * (dp[c] - sum.y);
        }
        uint index = own * WEIGHT_PITCH + block * BLOCK_QUADS + quad;
        if (SECOND)
            weights[index] = f16vec4(weight);
        if (FIRST)
            weights[index + OTHER_QUADS] = f16vec4(gradient);
    }
}

/* Stores columns of q, k or v's gradient, which are MATRIX_N * `block` and those after it. */
void store_sum(SUM sum, uint row, uint first_token, uint block, uint part, float factor)
{
    coopMatStore(sum, scores, row * SCORE_PITCH, SCORE_PITCH, gl_CooperativeMatrixLayoutRowMajor);
    subgroupBarrier();
    for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * BLOCK_QUADS; i += LANES) {
        uint own = row + i / BLOCK_QUADS, d = block * MATRIX_N + 4 * (i % BLOCK_QUADS);
        uint index = qkv_index(first_token + own, part) + d;
        vec4 value = scores[own * SCORE_PITCH + i % BLOCK_QUADS] * factor;
        if (first_token + own >= args.t)
            break;
        if (D % 4 == 0 && d < D)
            dx4[index / 4] = XVEC4(value);
        for (uint c = 0; D % 4 != 0 && c < 4; c++)
            if (d + c < D)
                dx[index + c] = XTYPE(value[c]);
    }
    subgroupBarrier();
}

void main()
{
    uint first_token = gl_WorkGroupID.x * TOKENS, row = gl_SubgroupID * MATRIX_M;
    head = gl_WorkGroupID.y;
    row0 = (args.first + gl_WorkGroupID.z) * args.t;

    MATRIX(float16_t, MATRIX_M, MATRIX_K, A) first[WIDTH / MATRIX_K], second[WIDTH / MATRIX_K];
    load_rows(0, TOKENS, first_token, first_part(KEYS));
    if (!KEYS)
        load_sums(TOKENS, first_token);
    barrier();
    for (uint i = 0; i < WIDTH / MATRIX_K; i++)
        coopMatLoad(first[i], tile, row * PITCH + i * MATRIX_K / 4, PITCH, gl_CooperativeMatrixLayoutRowMajor);
    barrier();
    if (FIRST) {
        load_rows(0, TOKENS, first_token, second_part(KEYS));
        barrier();
        for (uint i = 0; i < WIDTH / MATRIX_K; i++)
            coopMatLoad(second[i], tile, row * PITCH + i * MATRIX_K / 4, PITCH, gl_CooperativeMatrixLayoutRowMajor);
        barrier();
    }

    SUM first_sum[FIRST ? WIDTH / MATRIX_N : 1], second_sum[SECOND ? WIDTH / MATRIX_N : 1];
    for (uint j = 0; j < first_sum.length(); j++)
        first_sum[j] = SUM(0.0);
    for (uint j = 0; j < second_sum.length(); j++)
        second_sum[j] = SUM(0.0);
    uint begin = CAUSAL && KEYS ? first_token : 0;
    uint end = CAUSAL && !KEYS ? min(args.t, first_token + TOKENS) : args.t;
    [[dont_unroll]] for (uint first_other = begin; first_other < end; first_other += OTHERS) {
        load_rows(0, OTHERS, first_other, first_part(!KEYS));
        load_rows(OTHERS, OTHERS, first_other, second_part(!KEYS));
        if (KEYS)
            load_sums(OTHERS, first_other);
        barrier();
        for (uint block = 0; block < OTHERS / MATRIX_N; block++) {
            SUM score = SUM(0.0), dp = SUM(0.0);
            for (uint i = 0; i < WIDTH / MATRIX_K; i++) {
                OTHER other;
                uint index = block * MATRIX_N * PITCH + i * MATRIX_K / 4;
                coopMatLoad(other, tile, index, PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                score = coopMatMulAdd(first[i], other, score);
                if (FIRST) {
                    coopMatLoad(other, tile, index + OTHERS * PITCH, PITCH, gl_CooperativeMatrixLayoutColumnMajor);
                    dp = coopMatMulAdd(second[i], other, dp);
                }
            }
            uint index = row * SCORE_PITCH;
            coopMatStore(score, scores, index, SCORE_PITCH, gl_CooperativeMatrixLayoutRowMajor);
            if (FIRST)
                coopMatStore(dp, scores, index + BLOCK_QUADS, SCORE_PITCH, gl_CooperativeMatrixLayoutRowMajor);
            subgroupBarrier();
            weigh(row, first_token, first_other, block);
            subgroupBarrier();
        }
        for (uint i = 0; i < OTHERS / MATRIX_K; i++) {
            MATRIX(float16_t, MATRIX_M, MATRIX_K, A) weight, gradient;
            uint index = row * WEIGHT_PITCH + i * MATRIX_K / 4;
            if (SECOND)
                coopMatLoad(weight, weights, index, WEIGHT_PITCH, gl_CooperativeMatrixLayoutRowMajor);
            if (FIRST)
                coopMatLoad(gradient, weights, index + OTHER_QUADS, WEIGHT_PITCH, gl_CooperativeMatrixLayoutRowMajor);
            for (uint j = 0; j < WIDTH / MATRIX_N; j++) {
                OTHER other;
                uint other_index = i * MATRIX_K * PITCH + j * BLOCK_QUADS;
                if (FIRST) {
                    coopMatLoad(other, tile, other_index, PITCH, gl_CooperativeMatrixLayoutRowMajor);
                    first_sum[j] = coopMatMulAdd(gradient, other, first_sum[j]);
                }
                if (SECOND) {
                    coopMatLoad(other, tile, other_index + OTHERS * PITCH, PITCH, gl_CooperativeMatrixLayoutRowMajor);
                    second_sum[j] = coopMatMulAdd(weight, other, second_sum[j]);
                }
            }
        }
        barrier();
    }

    for (uint j = 0; j < WIDTH / MATRIX_N; j++) {
        if (FIRST)
            store_sum(first_sum[j], row, first_token, j, first_part(KEYS), args.scale);
        if (SECOND)
            store_sum(second_sum[j], row, first_token, j, V, 1.0);
    }
}
