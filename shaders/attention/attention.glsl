/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of ATTENTION and ATTENTION_MASKED that take any shape on any device, or read texels.
 * An invocation computes one query of one head with the running softmax of Milakov and Gimelshein 2018, so that no T x T
 * matrix is kept. It takes KEYS keys at a time: q and the sums are then read, written and scaled once for all of them.
 */
#include "attention/score.glsl"

const uint KEYS = 2;

void main()
{
    uint query = gl_GlobalInvocationID.x, head = gl_WorkGroupID.y, item = args.first + gl_WorkGroupID.z;
    if (query >= args.t)
        return;
    uint stride = 3 * args.c;
    uint q_at = (item * args.t + query) * stride + head * D;
    uint k_at = item * args.t * stride + args.c + head * D;

    vec4 q[D4], sum[D4];
    for (uint d = 0; d < D4; d++) {
        q[d] = load_qkv(q_at + 4 * d, D - 4 * d) * args.scale;
        sum[d] = vec4(0.0);
    }
    float top = LEAST, total = 0.0;
    /* All invocations of a workgroup have the same end, so that their loads stay uniform. */
    uint end = CAUSAL ? min(args.t, (gl_WorkGroupID.x + 1) * gl_WorkGroupSize.x) : args.t;
    for (uint key = 0; key < end; key += KEYS) {
        uint index[KEYS];
        float score[KEYS];
        /* Keys past the end repeat the last one, and weigh nothing. */
        for (uint j = 0; j < KEYS; j++) {
            index[j] = k_at + min(key + j, end - 1) * stride;
            score[j] = 0.0;
        }
        for (uint d = 0; d < D4; d++)
            for (uint j = 0; j < KEYS; j++) {
                vec4 k = load_qkv(index[j] + 4 * d, D - 4 * d);
                score[j] = fma(q[d].x, k.x, score[j]);
                score[j] = fma(q[d].y, k.y, score[j]);
                score[j] = fma(q[d].z, k.z, score[j]);
                score[j] = fma(q[d].w, k.w, score[j]);
            }
        float next = top;
        for (uint j = 0; j < KEYS; j++) {
            score[j] = seen_score(score[j], item, head, query, key + j);
            next = max(next, score[j]);
        }
        float keep = exp(top - next);
        total *= keep;
        for (uint j = 0; j < KEYS; j++) {
            score[j] = exp(score[j] - next);
            total += score[j];
        }
        for (uint d = 0; d < D4; d++) {
            vec4 part = sum[d] * keep;
            for (uint j = 0; j < KEYS; j++)
                part = fma(vec4(score[j]), load_qkv(index[j] + args.c + 4 * d, D - 4 * d), part);
            sum[d] = part;
        }
        top = next;
    }

    uint y_at = (item * args.t + query) * args.c + head * D;
    for (uint d = 0; d < D4; d++)
        for (uint c = 0; c < 4; c++) /* An index that is no constant would move the sums to memory. */
            if (4 * d + c < D)
                y[y_at + 4 * d + c] = XTYPE(sum[d][c] / total);
    store_stats(item, head, query, top, total);
}
