#version 450
/* SPDX-License-Identifier: MIT
 *
 * Draws a heart on white, antialiased at its edge.
 */
layout(local_size_x = 8, local_size_y = 8) in;
layout(set = 0, binding = 0, rgba8) writeonly uniform image2D picture;

float inside(vec2 p)
{
    float x = p.x * p.x, y = p.y * p.y, a = x + y - 1.0;
    return a * a * a - x * y * p.y;
}

void main()
{
    ivec2 size = imageSize(picture), at = ivec2(gl_GlobalInvocationID.xy);
    if (any(greaterThanEqual(at, size)))
        return;
    float covered = 0.0;
    for (int i = 0; i < 16; i++) {
        vec2 place = (vec2(at) + (vec2(i % 4, i / 4) + 0.5) / 4.0) / vec2(size);
        vec2 p = (place - vec2(0.5, 0.47)) * vec2(2.7, -2.7);
        covered += inside(p) < 0.0 ? 1.0 / 16.0 : 0.0;
    }
    imageStore(picture, at, vec4(mix(vec3(1.0), vec3(0.87, 0.10, 0.16), covered), 1.0));
}
