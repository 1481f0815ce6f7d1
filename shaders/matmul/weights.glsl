/* SPDX-License-Identifier: MIT
 *
 * Reads w of MATMUL and CONV at binding 1, one quad at a time (docs/layout.md): from storage buffers, or with TEXELS
 * as texels. Types that GLSL has no scalar for are read as words of 32 bits. This file defines
 *     vec4 load_w(uint quad, float scale)    the quad's values; scale is used for blocks alone
 *     float load_scale(uint quad)            the scale of the quad's block
 *     int load_w_word(uint quad)             the four values of a quad of q8 as they are stored
 * With PAIRS, a texel has the quads of two neighbouring columns in fp16, and this file defines instead of load_w
 *     uvec4 load_pair(uint quad)             the quad of an even column in x and y, that of the next one in z and w
 */
#include "matmul/panels.glsl"

#if defined(W_q8) || defined(W_q4)
#define W_BLOCKS
#ifdef TEXELS
layout(set = 1, binding = 1) uniform utextureBuffer w_words;
#define load_word(index) texelFetch(w_words, int(index)).x
#else
layout(set = 0, binding = 1) readonly buffer W { uint w_words[]; };
#define load_word(index) w_words[index]
#endif

float load_scale(uint quad)
{
#ifdef W_q8
    uint words = quad / (BLOCK / 4 * PANEL) * Q8_BLOCK_WORDS;
#else
    uint words = quad / (BLOCK / 4 * PANEL) * Q4_BLOCK_WORDS;
#endif
    return unpackHalf2x16(load_word(words + quad % PANEL / 2))[quad % 2];
}

/* This many words of scales lie before the values of the quad's block. */
uint scale_words(uint quad)
{
    return (quad / (BLOCK / 4 * PANEL) + 1) * (PANEL / 2);
}

#ifdef W_q8
int load_w_word(uint quad)
{
    return int(load_word(scale_words(quad) + quad));
}
#endif

vec4 load_w(uint quad, float scale)
{
#ifdef W_q8
    int word = load_w_word(quad);
    return scale * vec4(bitfieldExtract(word, 0, 8), bitfieldExtract(word, 8, 8),
                        bitfieldExtract(word, 16, 8), bitfieldExtract(word, 24, 8));
#else
    uint word = load_word(scale_words(quad) + quad / (2 * PANEL) * PANEL + quad % PANEL);
    word >>= quad / PANEL % 2 * 16;
    return scale * (vec4(word & 15u, word >> 4 & 15u, word >> 8 & 15u, word >> 12 & 15u) - 8.0);
#endif
}

#else
#define load_scale(quad) 1.0
#if defined(PAIRS)
layout(set = 1, binding = 1) uniform utextureBuffer w_pairs;
#define load_pair(quad) texelFetch(w_pairs, int((quad) / 2))
#elif defined(TEXELS)
layout(set = 1, binding = 1) uniform textureBuffer w_texels;
#define load_w(quad, scale) texelFetch(w_texels, int(quad))
#elif defined(W_WORDS)
layout(set = 0, binding = 1) readonly buffer W { uvec2 w_words[]; };
vec4 load_w(uint quad, float scale)
{
    uvec2 words = w_words[quad];
    return vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y));
}
#else
layout(set = 0, binding = 1) readonly buffer W { WVEC4 w_quads[]; };
#define load_w(quad, scale) vec4(w_quads[quad])
#endif
#endif
