/* SPDX-License-Identifier: MIT
 *
 * ATTENTION_GRAD: an invocation has one token of a head, first as a query, then as a key and value; the
 * weights of the softmax come again from their logarithms of sums, so that no T x T matrix is kept and
 * nothing is added by two at once (Dao et al. 2022, algorithm 4). A row of the table gives
 *     vec4 load_qkv(uint at, uint left)    four values of qkv from element `at`, zero from `left` on
 *     vec4 load_dy(uint at, uint left)
 */
#include "attention/heads.glsl"

void main()
{
    uint token = gl_GlobalInvocationID.x, head = gl_WorkGroupID.y, item = args.first + gl_WorkGroupID.z;
    if (token >= args.t)
        return;
    uint stride = 3 * args.c, row0 = item * args.t;
    uint at0 = row0 * stride + head * D, dy0 = row0 * args.c + head * D, own = (row0 + token) * stride + head * D;
    vec4 a[D4], b[D4], sum[D4], sum2[D4];

    for (uint d = 0; d < D4; d++) { /* as a query: q, dy, dq */
        a[d] = load_qkv(own + 4 * d, D - 4 * d);
        b[d] = load_dy(dy0 + token * args.c + 4 * d, D - 4 * d);
        sum[d] = vec4(0.0);
    }
    uint stat = 2 * ((row0 + token) * args.heads + head);
    float lse = stats[stat], along = stats[stat + 1];
    uint end = CAUSAL ? min(args.t, (gl_WorkGroupID.x + 1) * gl_WorkGroupSize.x) : args.t;
    for (uint key = 0; key < end; key++) {
        uint at = at0 + key * stride + args.c;
        float score = 0.0, dp = 0.0;
        for (uint d = 0; d < D4; d++) {
            score += dot(a[d], load_qkv(at + 4 * d, D - 4 * d));
            dp += dot(b[d], load_qkv(at + args.c + 4 * d, D - 4 * d));
        }
        bool seen = !CAUSAL || key <= token;
        float ds = seen ? exp(score * args.scale - lse) * (dp - along) * args.scale : 0.0;
        for (uint d = 0; d < D4; d++)
            sum[d] = fma(vec4(ds), load_qkv(at + 4 * d, D - 4 * d), sum[d]);
    }
    for (uint d = 0; d < D; d++)
        dx[own + d] = XTYPE(sum[d / 4][d % 4]);

    for (uint d = 0; d < D4; d++) { /* as a key and value: k, v, dk, dv */
        a[d] = load_qkv(own + args.c + 4 * d, D - 4 * d);
        b[d] = load_qkv(own + 2 * args.c + 4 * d, D - 4 * d);
        sum[d] = vec4(0.0);
        sum2[d] = vec4(0.0);
    }
    for (uint query = CAUSAL ? gl_WorkGroupID.x * gl_WorkGroupSize.x : 0; query < args.t; query++) {
        uint at = at0 + query * stride, dy_at = dy0 + query * args.c;
        uint of_query = 2 * ((row0 + query) * args.heads + head);
        float score = 0.0, dp = 0.0;
        for (uint d = 0; d < D4; d++) {
            score += dot(a[d], load_qkv(at + 4 * d, D - 4 * d));
            dp += dot(b[d], load_dy(dy_at + 4 * d, D - 4 * d));
        }
        bool seen = !CAUSAL || query >= token;
        float p = seen ? exp(score * args.scale - stats[of_query]) : 0.0;
        float ds = p * (dp - stats[of_query + 1]) * args.scale;
        for (uint d = 0; d < D4; d++) {
            sum[d] = fma(vec4(ds), load_qkv(at + 4 * d, D - 4 * d), sum[d]);
            sum2[d] = fma(vec4(p), load_dy(dy_at + 4 * d, D - 4 * d), sum2[d]);
        }
    }
    for (uint d = 0; d < D; d++) {
        dx[own + args.c + d] = XTYPE(sum[d / 4][d % 4]);
        dx[own + 2 * args.c + d] = XTYPE(sum2[d / 4][d % 4]);
    }
}
