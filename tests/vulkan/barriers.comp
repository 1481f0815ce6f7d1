/* Adds one to the words of one range and writes them to another. */
#version 450
layout(local_size_x = 1) in;
layout(set = 0, binding = 0) readonly buffer Before { uint before[]; };
layout(set = 0, binding = 1) writeonly buffer After { uint after[]; };

void main()
{
    after[gl_GlobalInvocationID.x] = before[gl_GlobalInvocationID.x] + 1u;
}
