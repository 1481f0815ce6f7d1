#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#ifdef X_f16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL with cooperative matrices of the shape that the device has, accumulated in fp32. A subgroup
 * computes ROWS x COLS of them. The workgroup loads x and w into shared memory first, so that M, N and K can be
 * anything and w can have any type.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { matmul_args args; };

LOADER(load_x_at, x_values)

#include "matmul/weights.glsl"
#include "matmul/tile.glsl"

layout(constant_id = 1) const uint HEIGHT = 1; /* subgroups of a workgroup */
layout(constant_id = 11) const uint MATRIX_M = 16;
layout(constant_id = 12) const uint MATRIX_N = 16;
layout(constant_id = 13) const uint MATRIX_K = 16;
/* This many values and quads along K are in shared memory at once. */
const uint TILE_K = 2 * MATRIX_K, TILE_QUADS = TILE_K / 4;
const uint TILE_ROWS = ROWS * MATRIX_M * HEIGHT, TILE_COLS = COLS * MATRIX_N;

/* Neighbouring values follow each other along K. */
shared XTYPE x_tile[TILE_ROWS * TILE_K], w_tile[TILE_COLS * TILE_K];
shared float sums[HEIGHT * MATRIX_M * MATRIX_N];

/* Loads the tiles that begin with quad k4 of K. */
void load_tiles(uint k4, uint tile_row, uint tile_column)
{
    uint self = gl_LocalInvocationIndex, all = LANES * HEIGHT, quads = (args.k + 3) / 4;
    for (uint i = self; i < TILE_ROWS * TILE_QUADS; i += all) {
        uint quad_k4 = k4 + i % TILE_QUADS, row = min(tile_row + i / TILE_QUADS, args.m - 1);
        vec4 x = vec4(0.0);
        if (quad_k4 < quads)
            x = load_x_at(row * args.k + 4 * quad_k4, args.k - 4 * quad_k4);
        for (uint c = 0; c < 4; c++)
            x_tile[4 * i + c] = XTYPE(x[c]);
    }
    for (uint i = self; i < TILE_COLS * TILE_QUADS; i += all) {
        uint quad_k4 = k4 + i % TILE_QUADS;
        uint w_index = w_quad(tile_column + i / TILE_QUADS) + quad_k4 * PANEL;
        vec4 w = vec4(0.0);
        if (quad_k4 < quads)
            w = load_w(w_index, load_scale(w_index));
        for (uint c = 0; c < 4; c++)
            w_tile[4 * i + c] = XTYPE(w[c]);
    }
}

void main()
{
    uint tile_row = args.first + tile_group().y * TILE_ROWS;
    uint tile_column = args.first_column + tile_group().x * TILE_COLS;
    uint subgroup_row = gl_SubgroupID * ROWS * MATRIX_M; /* within the tile */

    coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator> total[ROWS][COLS];
    for (uint i = 0; i < ROWS; i++)
        for (uint j = 0; j < COLS; j++)
            total[i][j] = coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N,
                                  gl_MatrixUseAccumulator>(0.0);
    for (uint k4 = 0; k4 < (args.k + 3) / 4; k4 += TILE_QUADS) {
        load_tiles(k4, tile_row, tile_column);
        barrier();
        for (uint k = 0; k < TILE_K; k += MATRIX_K) {
            coopmat<XTYPE, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> w[COLS];
            for (uint j = 0; j < COLS; j++)
                coopMatLoad(w[j], w_tile, j * MATRIX_N * TILE_K + k, TILE_K,
                            gl_CooperativeMatrixLayoutColumnMajor);
            for (uint i = 0; i < ROWS; i++) {
                coopmat<XTYPE, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> x;
                coopMatLoad(x, x_tile, (subgroup_row + i * MATRIX_M) * TILE_K + k, TILE_K,
                            gl_CooperativeMatrixLayoutRowMajor);
                for (uint j = 0; j < COLS; j++)
                    total[i][j] = coopMatMulAdd(x, w[j], total[i][j]);
            }
        }
        barrier();
    }

    uint subgroup_sums = gl_SubgroupID * MATRIX_M * MATRIX_N; /* index in `sums` */
    for (uint i = 0; i < ROWS; i++)
        for (uint j = 0; j < COLS; j++) {
            coopMatStore(total[i][j], sums, subgroup_sums, MATRIX_N,
                         gl_CooperativeMatrixLayoutRowMajor);
            barrier();
            for (uint e = gl_SubgroupInvocationID; e < MATRIX_M * MATRIX_N; e += LANES) {
                uint row = tile_row + subgroup_row + i * MATRIX_M + e / MATRIX_N;
                uint column = tile_column + j * MATRIX_N + e % MATRIX_N;
                if (row < args.m && column < args.n)
                    end_value(row, column, sums[subgroup_sums + e], BIAS ? float(bias[column]) : 0.0);
            }
            barrier();
        }
}
