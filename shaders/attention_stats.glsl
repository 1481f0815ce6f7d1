/* SPDX-License-Identifier: MIT
 *
 * ATTENTION_STATS: what ATTENTION_GRAD needs of a query of a head, from one pass over its keys: the logarithm
 * of its sum of exponentials, and y.dy (Dao et al. 2022, algorithm 4). A row of the table gives
 *     vec4 load_qkv(uint at, uint left)    four values from element `at`, zero from `left` on
 */
#include "heads.glsl"

void main()
{
    uint query = gl_GlobalInvocationID.x, head = gl_WorkGroupID.y, item = args.first + gl_WorkGroupID.z;
    if (query >= args.t)
        return;
    uint stride = 3 * args.c, row = item * args.t + query;
    uint q_at = row * stride + head * D, k_at = item * args.t * stride + args.c + head * D;
    vec4 q[D4];
    for (uint d = 0; d < D4; d++)
        q[d] = load_qkv(q_at + 4 * d, D - 4 * d) * args.scale;
    float top = -3.4e38, total = 0.0;
    uint end = CAUSAL ? min(args.t, (gl_WorkGroupID.x + 1) * gl_WorkGroupSize.x) : args.t;
    for (uint key = 0; key < end; key++) {
        float score = 0.0;
        for (uint d = 0; d < D4; d++)
            score += dot(q[d], load_qkv(k_at + key * stride + 4 * d, D - 4 * d));
        bool seen = !CAUSAL || key <= query;
        float next = seen ? max(top, score) : top;
        total = total * exp(top - next) + (seen ? exp(score - next) : 0.0);
        top = next;
    }
    float along = 0.0;
    for (uint d = 0; d < D; d++)
        along += float(y[row * args.c + head * D + d]) * float(dy[row * args.c + head * D + d]);
    uint at = 2 * (row * args.heads + head);
    stats[at] = top + log(total);
    stats[at + 1] = along;
}
