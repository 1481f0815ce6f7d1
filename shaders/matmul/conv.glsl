/* SPDX-License-Identifier: MIT
 *
 * Computes CONV as a matrix product with an implicit matrix (pixels.glsl) by the loops of MATMUL. A variant defines
 *     vec4 load_pixels(uint index)    four channels from element `index`, where C is a multiple of four
 *     float load_pixel(uint index)    one channel
 * includes this file and then one of the loops. The loop of subgroup.glsl needs no load_pixels.
 */
layout(push_constant) uniform Args { conv_args args; };

#include "matmul/pixels.glsl"

#ifdef load_pixels
layout(constant_id = 12) const bool WHOLE_QUADS = false; /* C is a multiple of four */

float load_x1(ROW row, uint k)
{
    uint channels = args.k / 9, pixel;
    return pixel_at(row, k / channels, pixel) ? load_pixel(pixel * channels + k % channels) : 0.0;
}

vec4 load_x(ROW row, uint k4)
{
    uint channels = args.k / 9, k = 4 * k4, pixel;
    if (!WHOLE_QUADS)
        return vec4(load_x1(row, k), load_x1(row, k + 1), load_x1(row, k + 2), load_x1(row, k + 3));
    bool inside = pixel_at(row, k / channels, pixel);
    vec4 values = load_pixels(pixel * channels + k % channels);
    return inside ? values : vec4(0.0);
}

vec4 load_x_end(ROW row, uint k4)
{
    uint k = 4 * k4;
    return vec4(load_x1(row, k), k + 1 < args.k ? load_x1(row, k + 1) : 0.0,
                k + 2 < args.k ? load_x1(row, k + 2) : 0.0, 0.0);
}
#else
float load_x_lane(ROW row, uint k)
{
    uint channels = args.k / 9, pixel;
    bool inside = pixel_at(row, k / channels, pixel);
    float value = load_pixel(pixel * channels + k % channels + gl_SubgroupInvocationID);
    return inside ? value : 0.0;
}
#endif
