/* SPDX-License-Identifier: MIT
 *
 * Reads rows of x from memory once: an invocation keeps its quads in registers until they are needed again, unless they
 * are so many that a GPU's compiler would move them to memory.
 */
#include "norm/row.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 0) readonly buffer X4 { XVEC4 x4[]; };
layout(set = 0, binding = 1) readonly buffer Gain { XTYPE gain[]; };
layout(set = 0, binding = 1) readonly buffer Gain4 { XVEC4 gain4[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };
layout(set = 0, binding = 3) writeonly buffer Y4 { XVEC4 y4[]; };
ROW_LOADER(x)
ROW_LOADER(gain)
ROW_STORER(y, XTYPE, XVEC4)

layout(push_constant) uniform Args { rows_args args; };

const bool KEPT = OWN < 32;
vec4 kept[OWN];

void keep_row(uint first)
{
    if (KEPT)
        for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
            if (in_row(quad))
                kept[j] = load_x(first, quad);
}

#define row_quad(first, j, quad) (KEPT ? kept[j] : load_x(first, quad))
