/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of ATTENTION and ATTENTION_MASKED with cooperative matrices of fp16, summed in fp32
 * (Dao et al. 2022, algorithm 1). A subgroup computes MATRIX_M queries of a head with a running softmax, and takes KEYS
 * keys at a time, whose k and v all subgroups of the workgroup share. Which lane has which element of a matrix is the
 * driver's secret, so that scores go through shared memory, where PARTS lanes have a row each, and a row's factor
 * becomes a matrix by a load with a stride of 0.
 */
#include "attention/score.glsl"
#include "workgroup.glsl"

layout(constant_id = 1) const uint HEIGHT = 4; /* subgroups of a workgroup */
layout(constant_id = 7) const uint MATRIX_M = 16;
layout(constant_id = 8) const uint MATRIX_N = 16;
layout(constant_id = 9) const uint MATRIX_K = 16;

const uint QUERIES = HEIGHT * MATRIX_M, KEYS = 32;
const uint WIDTH = (D + 15) / 16 * 16; /* a multiple of MATRIX_N and MATRIX_K */
const uint PARTS = LANES / MATRIX_M, PART_QUADS = KEYS / 4 / PARTS;
/* Rows of the tiles in quads. What they have beyond their values spreads a column over the banks. */
const uint PITCH = WIDTH / 4 + 2, SCORE_PITCH = KEYS / 4 + 1, WEIGHT_PITCH = KEYS / 4 + 2;

/* First q, then KEYS rows of k and KEYS rows of v. */
shared f16vec4 tile[(QUERIES > 2 * KEYS ? QUERIES : 2 * KEYS) * PITCH];
shared vec4 scores[QUERIES * SCORE_PITCH];
shared f16vec4 weights[QUERIES * WEIGHT_PITCH];
shared float factors[QUERIES];
shared float partial[HEIGHT * LANES];

#define MATRIX(type, rows, columns, use) coopmat<type, gl_ScopeSubgroup, rows, columns, gl_MatrixUse##use>

uint head, item;

/* Loads rows of q, k or v, which are the parts 0 to 2 of a row of qkv. Tokens past the end repeat the last one. */
void load_rows(uint first_row, uint rows, uint first_token, uint part)
{
    for (uint i = gl_LocalInvocationIndex; i < rows * (WIDTH / 4); i += LANES * HEIGHT) {
        uint quad = i % (WIDTH / 4), row = i / (WIDTH / 4);
        uint token = item * args.t + min(first_token + row, args.t - 1);
        vec4 value = vec4(0.0);
        if (quad < D4)
            value = load_qkv((3 * token + part) * args.c + head * D + 4 * quad, D - 4 * quad);
        tile[(first_row + row) * PITCH + quad] = f16vec4(value);
    }
}

void main()
{
    uint first_query = gl_WorkGroupID.x * QUERIES;
    head = gl_WorkGroupID.y;
    item = args.first + gl_WorkGroupID.z;
    uint subgroup_row = gl_SubgroupID * MATRIX_M; /* of the queries, scores and weights */
    uint row = subgroup_row + gl_SubgroupInvocationID / PARTS, part = gl_SubgroupInvocationID % PARTS;
    uint query = min(first_query + row, args.t - 1), self = gl_SubgroupID * LANES + gl_SubgroupInvocationID;
    uint neighbours = self - part; /* the first lane that has a part of the row */

    MATRIX(float16_t, MATRIX_M, MATRIX_K, A) q[WIDTH / MATRIX_K];
    load_rows(0, QUERIES, first_query, 0);
    barrier();
    for (uint i = 0; i < WIDTH / MATRIX_K; i++)
        coopMatLoad(q[i], tile, subgroup_row * PITCH + i * MATRIX_K / 4, PITCH, gl_CooperativeMatrixLayoutRowMajor);
    barrier();

    MATRIX(float, MATRIX_M, MATRIX_N, Accumulator) sum[WIDTH / MATRIX_N];
    for (uint j = 0; j < WIDTH / MATRIX_N; j++)
        sum[j] = MATRIX(float, MATRIX_M, MATRIX_N, Accumulator)(0.0);
    float top = LEAST, total = 0.0; /* of the row; `total` has only this lane's keys */
    uint end = CAUSAL ? min(args.t, first_query + QUERIES) : args.t;
    [[dont_unroll]] for (uint first_key = 0; first_key < end; first_key += KEYS) {
        load_rows(0, KEYS, first_key, 1);
        load_rows(KEYS, KEYS, first_key, 2);
        barrier();
        for (uint j = 0; j < KEYS / MATRIX_N; j++) {
            MATRIX(float, MATRIX_M, MATRIX_N, Accumulator) score =
                MATRIX(float, MATRIX_M, MATRIX_N, Accumulator)(0.0);
            for (uint i = 0; i < WIDTH / MATRIX_K; i++) {
                MATRIX(float16_t, MATRIX_K, MATRIX_N, B) k;
                coopMatLoad(k, tile, j * MATRIX_N * PITCH + i * MATRIX_K / 4, PITCH,
                            gl_CooperativeMatrixLayoutColumnMajor);
                score = coopMatMulAdd(q[i], k, score);
            }
            coopMatStore(score, scores, subgroup_row * SCORE_PITCH + j * MATRIX_N / 4, SCORE_PITCH,
                         gl_CooperativeMatrixLayoutRowMajor);
        }
        subgroupBarrier();

        vec4 score[PART_QUADS];
        float next = top;
        for (uint i = 0; i < PART_QUADS; i++) {
            score[i] = scores[row * SCORE_PITCH + part * PART_QUADS + i] * args.scale;
            for (uint c = 0; c < 4; c++) {
                uint key = first_key + 4 * (part * PART_QUADS + i) + c;
                score[i][c] = seen_score(score[i][c], item, head, query, key);
                next = max(next, score[i][c]);
            }
        }
        partial[self] = next;
        subgroupBarrier();
        for (uint i = 0; i < PARTS; i++)
            next = max(next, partial[neighbours + i]);
        float keep = exp(top - next);
        top = next;
        total *= keep;
        if (part == 0)
            factors[row] = keep;
        for (uint i = 0; i < PART_QUADS; i++) {
            vec4 weight = exp(score[i] - top);
            total += weight.x + weight.y + weight.z + weight.w;
            weights[row * WEIGHT_PITCH + part * PART_QUADS + i] = f16vec4(weight);
        }
        subgroupBarrier();

        MATRIX(float, MATRIX_M, MATRIX_N, Accumulator) factor;
        coopMatLoad(factor, factors, subgroup_row, 0, gl_CooperativeMatrixLayoutColumnMajor);
        for (uint j = 0; j < WIDTH / MATRIX_N; j++)
            sum[j] *= factor;
        for (uint i = 0; i < KEYS / MATRIX_K; i++) {
            MATRIX(float16_t, MATRIX_M, MATRIX_K, A) weight;
            coopMatLoad(weight, weights, subgroup_row * WEIGHT_PITCH + i * MATRIX_K / 4, WEIGHT_PITCH,
                        gl_CooperativeMatrixLayoutRowMajor);
            for (uint j = 0; j < WIDTH / MATRIX_N; j++) {
                MATRIX(float16_t, MATRIX_K, MATRIX_N, B) v;
                coopMatLoad(v, tile, (KEYS + i * MATRIX_K) * PITCH + j * MATRIX_N / 4, PITCH,
                            gl_CooperativeMatrixLayoutRowMajor);
                sum[j] = coopMatMulAdd(weight, v, sum[j]);
            }
        }
        barrier();
    }

    partial[self] = total;
    subgroupBarrier();
    total = 0.0;
    for (uint i = 0; i < PARTS; i++)
        total += partial[neighbours + i];
    if (part == 0) {
        factors[row] = 1.0 / total;
        if (first_query + row < args.t)
            store_stats(item, head, query, top, total);
    }
    for (uint j = 0; j < WIDTH / MATRIX_N; j++) {
        coopMatStore(sum[j], scores, subgroup_row * SCORE_PITCH, SCORE_PITCH, gl_CooperativeMatrixLayoutRowMajor);
        subgroupBarrier();
        for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * MATRIX_N / 4; i += LANES) {
            uint y_row = subgroup_row + i / (MATRIX_N / 4), quad = i % (MATRIX_N / 4);
            vec4 value = scores[y_row * SCORE_PITCH + quad] * factors[y_row];
            for (uint c = 0; c < 4; c++) {
                uint d = j * MATRIX_N + 4 * quad + c;
                if (d < D && first_query + y_row < args.t)
                    y[(item * args.t + first_query + y_row) * args.c + head * D + d] = XTYPE(value[c]);
            }
        }
        subgroupBarrier();
    }
}
