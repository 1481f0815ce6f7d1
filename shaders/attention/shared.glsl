/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of ATTENTION and ATTENTION_MASKED that go through shared memory (Dao et al. 2022,
 * algorithm 1). A workgroup computes 4 * HEIGHT queries of a head with a running softmax, and takes 2 * LANES keys at
 * a time. An invocation computes the scores of four queries and two keys, and then QUADS quads of the result of these
 * queries: it multiplies what it loads from shared memory by several values, and keeps few enough values for every
 * GPU's registers. Loops that are not unrolled keep the loads of several turns from being in registers at once.
 */
#include "attention/score.glsl"
#include "workgroup.glsl"

layout(constant_id = 1) const uint HEIGHT = 8;

const uint QUERIES = 4 * HEIGHT, KEYS = 2 * LANES;
const uint QUADS = (D4 + LANES - 1) / LANES;
const uint SLICE = 8; /* quads of q and k that are in shared memory at once */
/* An odd number of vectors in a row spreads the vectors of a column over all banks of the shared memory. */
const uint QUERY_PITCH = HEIGHT | 1, KEY_PITCH = LANES | 1;
const uint VALUE_PITCH = QUADS * LANES; /* quads of v */
const uint KEYS_SIZE = 4 * SLICE * KEY_PITCH, VALUES_SIZE = 2 * LANES * VALUE_PITCH;

/* A vector has one value of each of four queries: first a slice of q, then the weights of the softmax by key. */
shared vec4 query_tile[(KEYS > 4 * SLICE ? KEYS : 4 * SLICE) * QUERY_PITCH];
/* First a slice of k, where a vector has one value of each of two keys, then v of LANES keys. */
shared vec2 key_tile[KEYS_SIZE > VALUES_SIZE ? KEYS_SIZE : VALUES_SIZE];
shared vec4 partial[HEIGHT * LANES];

uint head, item;

/* Loads a quad of q, k or v, which are the parts 0 to 2 of a row. Tokens past the end repeat the last one. What all
 * invocations share is added up first. */
vec4 load_token(uint token, uint part, uint quad)
{
    uint first = (3 * item * args.t + part) * args.c + head * D;
    return load_qkv(first + min(token, args.t - 1) * (3 * args.c) + 4 * quad, D - 4 * quad);
}

/* Loads up to SLICE quads of q and k. */
void load_slice(uint first_query, uint first_key, uint first_quad, uint quads)
{
    for (uint i = gl_LocalInvocationIndex; i < HEIGHT * quads; i += LANES * HEIGHT) {
        uint quad = first_quad + i % quads, query = first_query + i / quads;
        mat4 q = transpose(mat4(load_token(query, 0, quad), load_token(query + HEIGHT, 0, quad),
                                load_token(query + 2 * HEIGHT, 0, quad), load_token(query + 3 * HEIGHT, 0, quad)));
        for (uint c = 0; c < 4; c++)
            query_tile[(c * SLICE + i % quads) * QUERY_PITCH + i / quads] = q[c];
    }
    for (uint i = gl_LocalInvocationIndex; i < LANES * quads; i += LANES * HEIGHT) {
        uint quad = first_quad + i % quads, key = first_key + i / quads;
        mat4x2 k = transpose(mat2x4(load_token(key, 1, quad), load_token(key + LANES, 1, quad)));
        for (uint c = 0; c < 4; c++)
            key_tile[(c * SLICE + i % quads) * KEY_PITCH + i / quads] = k[c];
    }
}

void load_values(uint first_key)
{
    for (uint i = gl_LocalInvocationIndex; i < LANES * D4; i += LANES * HEIGHT) {
        vec4 v = load_token(first_key + i / D4, 2, i % D4);
        uint index = i / D4 * VALUE_PITCH + i % D4;
        key_tile[2 * index] = v.xy;
        key_tile[2 * index + 1] = v.zw;
    }
}

void main()
{
    uint lane = gl_LocalInvocationID.x, group = gl_LocalInvocationID.y;
    uint first_query = gl_WorkGroupID.x * QUERIES;
    head = gl_WorkGroupID.y;
    item = args.first + gl_WorkGroupID.z;

    vec4 sum[4][QUADS];
    for (uint r = 0; r < 4; r++)
        for (uint j = 0; j < QUADS; j++)
            sum[r][j] = vec4(0.0);
    vec4 top = vec4(LEAST), total = vec4(0.0); /* by query; `total` has only the keys of this lane */
    uint end = CAUSAL ? min(args.t, first_query + QUERIES) : args.t;
    [[dont_unroll]] for (uint first_key = 0; first_key < end; first_key += KEYS) {
        vec2 score[4]; /* by query, with the keys in the vector */
        for (uint r = 0; r < 4; r++)
            score[r] = vec2(0.0);
        [[dont_unroll]] for (uint first_quad = 0; first_quad < D4; first_quad += SLICE) {
            uint quads = min(SLICE, D4 - first_quad);
            load_slice(first_query, first_key, first_quad, quads);
            barrier();
            [[dont_unroll]] for (uint quad = 0; quad < quads; quad++)
                for (uint c = 0; c < 4; c++) {
                    vec4 q = query_tile[(c * SLICE + quad) * QUERY_PITCH + group];
                    vec2 k = key_tile[(c * SLICE + quad) * KEY_PITCH + lane];
                    for (uint r = 0; r < 4; r++)
                        score[r] = fma(vec2(q[r]), k, score[r]);
                }
            barrier();
        }

        vec4 next = vec4(LEAST);
        for (uint j = 0; j < 2; j++)
            for (uint r = 0; r < 4; r++) {
                uint query = min(first_query + r * HEIGHT + group, args.t - 1);
                uint key = first_key + j * LANES + lane;
                score[r][j] = seen_score(score[r][j] * args.scale, item, head, query, key);
                next[r] = max(next[r], score[r][j]);
            }
        partial[group * LANES + lane] = next;
        barrier();
        next = top;
        [[dont_unroll]] for (uint i = 0; i < LANES; i += 4)
            for (uint j = 0; j < 4; j++)
                next = max(next, partial[group * LANES + i + j]);
        vec4 keep = exp(top - next);
        top = next;
        total *= keep;
        for (uint j = 0; j < 2; j++) {
            vec4 weight = exp(vec4(score[0][j], score[1][j], score[2][j], score[3][j]) - top);
            total += weight;
            query_tile[(j * LANES + lane) * QUERY_PITCH + group] = weight;
        }
        for (uint r = 0; r < 4; r++)
            for (uint j = 0; j < QUADS; j++)
                sum[r][j] *= keep[r];
        [[dont_unroll]] for (uint first = 0; first < min(KEYS, end - first_key); first += LANES) {
            load_values(first_key + first);
            barrier();
            [[dont_unroll]] for (uint key = 0; key < LANES; key += 2)
                for (uint i = 0; i < 2; i++) {
                    vec4 weight = query_tile[(first + key + i) * QUERY_PITCH + group];
                    for (uint j = 0; j < QUADS; j++) {
                        uint index = 2 * ((key + i) * VALUE_PITCH + j * LANES + lane);
                        vec4 v = vec4(key_tile[index], key_tile[index + 1]);
                        for (uint r = 0; r < 4; r++)
                            sum[r][j] = fma(vec4(weight[r]), v, sum[r][j]);
                    }
                }
            barrier();
        }
    }

    partial[group * LANES + lane] = total;
    barrier();
    total = vec4(0.0);
    [[dont_unroll]] for (uint i = 0; i < LANES; i++)
        total += partial[group * LANES + i];
    for (uint r = 0; r < 4; r++) {
        uint query = first_query + r * HEIGHT + group;
        if (query >= args.t)
            break;
        for (uint j = 0; j < QUADS; j++)
            for (uint c = 0; c < 4; c++) {
                uint d = 4 * (j * LANES + lane) + c;
                if (d < D)
                    y[(item * args.t + query) * args.c + head * D + d] = XTYPE(sum[r][j][c] / total[r]);
            }
        if (lane == 0)
            store_stats(item, head, query, top[r], total[r]);
    }
}
