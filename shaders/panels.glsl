/* SPDX-License-Identifier: MIT
 *
 * How MATMUL and CONV read w at binding 1: by storage loads, or with TEXELS as texels; by values, or
 * where the storage has no such type by words. Gives load_w, and load_scale where w has blocks.
 */
#if defined(TEXELS) && (defined(W_q8) || defined(W_q4))
layout(set = 1, binding = 1) uniform utextureBuffer w_words;
#define load_word(at) texelFetch(w_words, int(at)).x
#include "words.glsl"
#elif defined(TEXELS)
layout(set = 1, binding = 1) uniform textureBuffer w_texels;
#define load_w(at) texelFetch(w_texels, int(at))
#else
layout(set = 0, binding = 1) readonly buffer W { WTYPE w_values[]; };
#ifdef W_WORDS
#define load_word(at) w_values[at]
#include "words.glsl"
#else
LOADER(load_w_at, w_values)
#define load_w(at) load_w_at(4 * (at), 4)
#endif
#endif
