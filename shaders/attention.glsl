/* SPDX-License-Identifier: MIT
 *
 * The loop of every ATTENTION row: an invocation computes one query of one head, with the running
 * softmax of Milakov and Gimelshein 2018, so that no T x T matrix is kept. A row of the table gives
 *     vec4 load_qkv(uint at, uint left)   four values of qkv from element `at`, zero from `left` on
 */
layout(constant_id = 3) const uint D = 64; /* width of a head */
layout(constant_id = 4) const bool CAUSAL = false;
const uint D4 = (D + 3) / 4;

layout(push_constant) uniform Args { attention_args args; };

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
    float top = -3.4e38, total = 0.0;
    uint end = CAUSAL ? query + 1 : args.t;
    for (uint key = 0; key < end; key++) {
        vec4 products = vec4(0.0);
        for (uint d = 0; d < D4; d++)
            products = fma(q[d], load_qkv(k_at + 4 * d, D - 4 * d), products);
        float score = products.x + products.y + products.z + products.w;
        float next = max(top, score);
        float keep = exp(top - next), weight = exp(score - next);
        total = total * keep + weight;
        for (uint d = 0; d < D4; d++)
            sum[d] = fma(sum[d], vec4(keep),
                         weight * load_qkv(k_at + args.c + 4 * d, D - 4 * d));
        top = next;
        k_at += stride;
    }

    uint y_at = (item * args.t + query) * args.c + head * D;
    for (uint d = 0; d < D; d++)
        y[y_at + d] = XTYPE(sum[d / 4][d % 4] / total);
}
