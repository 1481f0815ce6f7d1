#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * PANELS packs a matrix, or its transpose, into the panels that MATMUL and CONV read as w.
 */
#include "common.glsl"
#include "matmul/panels.glsl"

layout(set = 0, binding = 0) readonly buffer W { XTYPE w[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { panels_args args; };

/* Returns value k of column n of the result, as a float, because a choice between halves would be arithmetic of fp16,
 * which a device with storage of fp16 need not have. */
float value_of(uint n, uint k)
{
    uint from_n = n, from_k = k, k_count = args.k;
    if (args.conv != 0) { /* The taps come in reverse order, with channels in and out exchanged. */
        uint channels = args.k / 9;
        from_n = k % channels;
        from_k = (8 - k / channels) * args.n + n;
        k_count = 9 * args.n;
    } else if (args.transposed != 0) {
        from_n = k;
        from_k = n;
        k_count = args.n;
    }
    if (args.rows != 0)
        return float(w[from_n * k_count + from_k]);
    return float(w[panel_quad(from_n, from_k / 4, (k_count + 3) / 4) * 4 + from_k % 4]);
}

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x, quads = (args.k + 3) / 4;
    for (uint i = gl_GlobalInvocationID.x; i < (args.n + PANEL - 1) / PANEL * PANEL * quads; i += all) {
        uint n = panel_quad_column(i, quads), k = panel_quad_k4(i, quads) * 4;
        for (uint j = 0; j < 4; j++)
            y[4 * i + j] = XTYPE(n < args.n && k + j < args.k ? value_of(n, k + j) : 0.0);
    }
}
