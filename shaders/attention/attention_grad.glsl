/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of every variant of ATTENTION_GRAD. An invocation has one token of a head, first as a query and
 * then as a key and value. It computes the weights of the softmax again from the logarithms of their sums, so that
 * no T x T matrix is kept and no two invocations add to one value (Dao et al. 2022, algorithm 4). The including
 * file defines
 *     vec4 load_qkv(uint index, uint left)   four values of qkv from element `index`, zero from `left` on
 *     vec4 load_dy(uint index, uint left)    four values of dy from element `index`, zero from `left` on
 */
#include "attention/heads.glsl"
#include "attention/masked.h"

layout(constant_id = 5) const bool MASKED = false;

/* Tells whether the mask, which ATTENTION_DELTA has put into the statistics, leaves out a token of the item and head. */
bool is_masked(uint stat)
{
    return MASKED && stats[stat] >= MASKED_LEAST;
}

void main()
{
    uint token = gl_GlobalInvocationID.x, head = gl_WorkGroupID.y, item = args.first + gl_WorkGroupID.z;
    if (token >= args.t)
        return;
    uint stride = 3 * args.c, row0 = item * args.t;
    uint qkv0 = row0 * stride + head * D, dy0 = row0 * args.c + head * D;
    uint token_qkv = (row0 + token) * stride + head * D;
    vec4 a[D4], b[D4], sum[D4], sum2[D4];

    /* As a query, the token has q in a, dy in b and the sum dq. */
    for (uint d = 0; d < D4; d++) {
        a[d] = load_qkv(token_qkv + 4 * d, D - 4 * d);
        b[d] = load_dy(dy0 + token * args.c + 4 * d, D - 4 * d);
        sum[d] = vec4(0.0);
    }
    uint stat = 2 * ((row0 + token) * args.heads + head);
    float lse = stats[stat], y_dy = stats[stat + 1];
    uint end = CAUSAL ? min(args.t, (gl_WorkGroupID.x + 1) * gl_WorkGroupSize.x) : args.t;
    for (uint key = 0; key < end; key++) {
        uint index = qkv0 + key * stride + args.c;
        float score = 0.0, dp = 0.0;
        for (uint d = 0; d < D4; d++) {
            score += dot(a[d], load_qkv(index + 4 * d, D - 4 * d));
            dp += dot(b[d], load_qkv(index + args.c + 4 * d, D - 4 * d));
        }
        bool seen = (!CAUSAL || key <= token) && !is_masked(2 * ((row0 + key) * args.heads + head));
        float ds = seen ? exp(score * args.scale - lse) * (dp - y_dy) * args.scale : 0.0;
        for (uint d = 0; d < D4; d++)
            sum[d] = fma(vec4(ds), load_qkv(index + 4 * d, D - 4 * d), sum[d]);
    }
    for (uint d = 0; d < D4; d++)
        for (uint c = 0; c < 4; c++) /* An index that is no constant would move the sums to memory. */
            if (4 * d + c < D)
                dx[token_qkv + 4 * d + c] = XTYPE(sum[d][c]);

    /* As a key and value, it has k in a, v in b, and the sums dk and dv. */
    for (uint d = 0; d < D4; d++) {
        a[d] = load_qkv(token_qkv + args.c + 4 * d, D - 4 * d);
        b[d] = load_qkv(token_qkv + 2 * args.c + 4 * d, D - 4 * d);
        sum[d] = vec4(0.0);
        sum2[d] = vec4(0.0);
    }
    bool masked = is_masked(stat);
    for (uint query = CAUSAL ? gl_WorkGroupID.x * gl_WorkGroupSize.x : 0; query < args.t; query++) {
        uint index = qkv0 + query * stride, dy_at = dy0 + query * args.c;
        uint query_stat = 2 * ((row0 + query) * args.heads + head);
        float score = 0.0, dp = 0.0;
        for (uint d = 0; d < D4; d++) {
            score += dot(a[d], load_qkv(index + 4 * d, D - 4 * d));
            dp += dot(b[d], load_dy(dy_at + 4 * d, D - 4 * d));
        }
        bool seen = (!CAUSAL || query >= token) && !masked;
        float p = seen ? exp(score * args.scale - stats[query_stat]) : 0.0;
        float ds = p * (dp - stats[query_stat + 1]) * args.scale;
        for (uint d = 0; d < D4; d++) {
            sum[d] = fma(vec4(ds), load_qkv(index + 4 * d, D - 4 * d), sum[d]);
            sum2[d] = fma(vec4(p), load_dy(dy_at + 4 * d, D - 4 * d), sum2[d]);
        }
    }
    for (uint d = 0; d < D4; d++)
        for (uint c = 0; c < 4; c++)
            if (4 * d + c < D) {
                dx[token_qkv + args.c + 4 * d + c] = XTYPE(sum[d][c]);
                dx[token_qkv + 2 * args.c + 4 * d + c] = XTYPE(sum2[d][c]);
            }
}
