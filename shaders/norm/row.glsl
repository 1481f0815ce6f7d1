/* SPDX-License-Identifier: MIT
 *
 * Divides a row of C columns among the LANES invocations of a workgroup: each takes quads of neighbouring columns, every
 * LANES-th, which are one load each where C is a multiple of four.
 */
#include "workgroup.glsl"

layout(constant_id = 3) const uint C = 64;
const uint QUADS = (C + 3) / 4;
const uint OWN = (QUADS + LANES - 1) / LANES; /* quads of an invocation */

/* Tells whether a quad is in the row, because the last of an invocation's quads may lie past the row's end. */
#define in_row(quad) (QUADS % LANES == 0 || (quad) < QUADS)

/* Returns a quad of values with zeros for those past the row's end. */
vec4 cut_row(uint quad, vec4 values)
{
    return C % 4 == 0 ? values : mix(vec4(0.0), values, lessThan(4 * quad + uvec4(0, 1, 2, 3), uvec4(C)));
}

/* Defines vec4 load_NAME(first, quad): a quad of the row that begins with element `first` of the buffer NAME, whose
 * vectors are NAME4. */
#define ROW_LOADER(name)                                                                                               \
    LOADER(load_##name##_values, name)                                                                                 \
    vec4 load_##name(uint first, uint quad)                                                                            \
    {                                                                                                                  \
        return C % 4 == 0 ? vec4(name##4[first / 4 + quad]) : load_##name##_values(first + 4 * quad, C - 4 * quad);    \
    }

/* Defines store_NAME(first, quad, values). */
#define ROW_STORER(name, type, type4)                                                                                  \
    void store_##name(uint first, uint quad, vec4 values)                                                              \
    {                                                                                                                  \
        if (C % 4 == 0)                                                                                                \
            name##4[first / 4 + quad] = type4(values);                                                                 \
        else                                                                                                           \
            for (uint i = 0; i < 4 && 4 * quad + i < C; i++)                                                           \
                name[first + 4 * quad + i] = type(values[i]);                                                          \
    }

float add_up(vec4 values)
{
    return (values.x + values.y) + (values.z + values.w);
}
