#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * POOL attends with queries that are the same for all items, one workgroup per query of a head of an item. An
 * invocation scores one key of each tile and then adds up its channels of the tile's values.
 */
#include "common.glsl"
#include "attention/pool.glsl"

layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

void main()
{
    uint lane = gl_LocalInvocationID.x, query = gl_WorkGroupID.x, head = gl_WorkGroupID.y;
    uint item = args.first + gl_WorkGroupID.z;
    float sum[CHANNELS], top = UNSEEN, total = 0.0;
    for (uint i = 0; i < CHANNELS; i++)
        sum[i] = 0.0;
    for (uint tile = 0; tile < args.t; tile += LANES) {
        uint count = min(args.t - tile, LANES);
        float before = top;
        top = max(top, share_scores(item, head, query, tile, count));
        float kept = exp(before - top);
        total *= kept;
        for (uint i = 0; i < CHANNELS; i++)
            sum[i] *= kept;
        float weight = lane < count ? exp(scores[lane] - top) : 0.0;
        weights[lane] = weight;
        barrier();
        for (uint j = 0; j < count; j++) {
            total += weights[j];
            uint value = key_index(item, head, tile + j) + args.c;
            for (uint i = 0; i < CHANNELS; i++)
                if (lane + i * LANES < D)
                    sum[i] = fma(weights[j], float(kv[value + lane + i * LANES]), sum[i]);
        }
    }
    for (uint i = 0; i < CHANNELS; i++)
        if (lane + i * LANES < D)
            y[(item * args.queries + query) * args.c + head * D + lane + i * LANES] = XTYPE(sum[i] / total);
}
