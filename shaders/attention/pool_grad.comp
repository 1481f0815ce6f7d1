#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * POOL_GRAD computes the gradients of keys and values with one workgroup per head of an item, and those of
 * queries with one per query of a head of an item. A first pass over the keys finds the sum of exponentials and y.dy of
 * a query, so that neither the result nor its statistics are kept for the gradient.
 */
#include "common.glsl"
#include "attention/pool.glsl"

layout(constant_id = 4) const bool KEYS = false;

layout(set = 0, binding = 2) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 2) readonly buffer Dy4 { XVEC4 dy4[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

LOADER(load_dy_any, dy)
#define load_dy(index, left) (D % 4 == 0 ? vec4(dy4[(index) / 4]) : load_dy_any(index, left))

/* Quads of a key's gradient that an invocation sums at a time. All of a head at once would not fit registers; each
 * step computes the weights of the key again, of which there is one per query. */
const uint STEP = 4;

shared float products[LANES];                    /* v.dy of the tile's keys */
shared vec2 stats[KEYS ? POOL_QUERIES : 1]; /* of every query: logarithm of the sum of exponentials, y.dy */

uint dy_index(uint item, uint head, uint query)
{
    return (item * args.queries + query) * args.c + head * D;
}

/* Returns v.dy of a key and a query. */
float compute_product(uint item, uint head, uint query, uint key)
{
    uint value_at = key_index(item, head, key) + args.c, dy_at = dy_index(item, head, query);
    float product = 0.0;
    for (uint d = 0; d < D4; d++)
        product += dot(load_dy(dy_at + 4 * d, D - 4 * d), load_kv(value_at + 4 * d, D - 4 * d));
    return product;
}

vec2 find_stats(uint item, uint head, uint query)
{
    uint lane = gl_LocalInvocationID.x;
    float top = UNSEEN, total = 0.0, delta = 0.0;
    for (uint tile = 0; tile < args.t; tile += LANES) {
        uint count = min(args.t - tile, LANES);
        float before = top;
        top = max(top, share_scores(item, head, query, tile, count));
        weights[lane] = lane < count ? exp(scores[lane] - top) : 0.0;
        products[lane] = lane < count ? compute_product(item, head, query, tile + lane) : 0.0;
        barrier();
        total *= exp(before - top);
        delta *= exp(before - top);
        for (uint j = 0; j < count; j++) {
            total += weights[j];
            delta = fma(weights[j], products[j], delta);
        }
    }
    return vec2(top + log(total), delta / total);
}

/* Returns the weight of a key, and the gradient of its score before the scale. */
vec2 weigh_key(uint item, uint head, uint query, uint key, vec2 stat)
{
    float weight = exp(compute_score(item, head, query, key) - stat.x);
    return vec2(weight, weight * (compute_product(item, head, query, key) - stat.y) * args.scale);
}

/* Computes STEP quads of a key's gradient and of its value's. */
void add_quads(uint item, uint head, uint key, uint first)
{
    vec4 dk[STEP], dv[STEP];
    for (uint d = 0; d < STEP; d++)
        dk[d] = dv[d] = vec4(0.0);
    for (uint query = 0; query < args.queries; query++) {
        vec2 weight = weigh_key(item, head, query, key, stats[KEYS ? query : 0]);
        uint query_at = query * args.c + head * D, dy_at = dy_index(item, head, query);
        for (uint d = 0; d < STEP; d++) {
            uint at = 4 * (first + d);
            if (at < D) {
                dk[d] = fma(vec4(weight.y), load_q(query_at + at, D - at), dk[d]);
                dv[d] = fma(vec4(weight.x), load_dy(dy_at + at, D - at), dv[d]);
            }
        }
    }
    uint key_at = key_index(item, head, key);
    for (uint d = 0; d < STEP; d++)
        for (uint c = 0; c < 4; c++) { /* An index that is no constant would move the sums to memory. */
            uint at = 4 * (first + d) + c;
            if (at < D) {
                dx[key_at + at] = XTYPE(dk[d][c]);
                dx[key_at + args.c + at] = XTYPE(dv[d][c]);
            }
        }
}

void add_queries(uint item, uint head)
{
    for (uint query = 0; query < args.queries; query++) {
        vec2 stat = find_stats(item, head, query);
        if (gl_LocalInvocationID.x == 0)
            stats[KEYS ? query : 0] = stat;
    }
    barrier();
    for (uint key = gl_LocalInvocationID.x; key < args.t; key += LANES)
        for (uint first = 0; first < D4; first += STEP)
            add_quads(item, head, key, first);
}

void add_keys(uint item, uint head, uint query)
{
    uint lane = gl_LocalInvocationID.x;
    vec2 stat = find_stats(item, head, query);
    float sum[CHANNELS];
    for (uint i = 0; i < CHANNELS; i++)
        sum[i] = 0.0;
    for (uint tile = 0; tile < args.t; tile += LANES) {
        uint count = min(args.t - tile, LANES);
        float gradient = lane < count ? weigh_key(item, head, query, tile + lane, stat).y : 0.0;
        barrier(); /* Every invocation must have read the previous tile. */
        weights[lane] = gradient;
        barrier();
        for (uint j = 0; j < count; j++) {
            uint key_at = key_index(item, head, tile + j);
            for (uint i = 0; i < CHANNELS; i++)
                if (lane + i * LANES < D)
                    sum[i] = fma(weights[j], float(kv[key_at + lane + i * LANES]), sum[i]);
        }
    }
    for (uint i = 0; i < CHANNELS; i++)
        if (lane + i * LANES < D)
            dx[dy_index(item, head, query) + lane + i * LANES] = XTYPE(sum[i]);
}

void main()
{
    uint head = gl_WorkGroupID.y, item = args.first + gl_WorkGroupID.z;
    if (KEYS)
        add_queries(item, head);
    else
        add_keys(item, head, gl_WorkGroupID.x);
}
