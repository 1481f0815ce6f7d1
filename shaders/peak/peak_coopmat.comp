#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
/* SPDX-License-Identifier: MIT
 *
 * Multiplies cooperative matrices of fp16 on registers alone and adds the products up in fp32, in SUMS sums that do not wait
 * for each other, to measure the peak of the matrix units. A driver that has none, and computes each value by itself,
 * may take the multiplications out of the loop, so that its peak is too high.
 */
#include "args.h"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 3) const uint SUMS = 8;
layout(constant_id = 4) const uint MATRIX_M = 16;
layout(constant_id = 5) const uint MATRIX_N = 16;
layout(constant_id = 6) const uint MATRIX_K = 16;

layout(set = 0, binding = 0) buffer Y { float y[]; };

layout(push_constant) uniform Args { peak_args args; };

void main()
{
    coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> a =
        coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>(float16_t(args.a));
    coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> b =
        coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>(float16_t(args.b));
    coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator> sum[SUMS], total;
    for (uint i = 0; i < SUMS; i++)
        sum[i] = coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>(float(i));
    for (uint step = 0; step < args.steps; step++)
        for (uint i = 0; i < SUMS; i++)
            sum[i] = coopMatMulAdd(a, b, sum[i]);
    total = sum[0];
    for (uint i = 1; i < SUMS; i++)
        total += sum[i];
    /* Every sum goes into what is stored, so that the compiler leaves none of them out. */
    uint subgroup = gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID;
    coopMatStore(total, y, subgroup * MATRIX_M * MATRIX_N, MATRIX_N, gl_CooperativeMatrixLayoutRowMajor);
}
