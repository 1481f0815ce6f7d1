/* SPDX-License-Identifier: MIT
 *
 * Weights that are read as words of 32 bits, so that no device needs 8- or 16-bit storage: fp16, and
 * blocks of 32 values along K with a scale each (layouts: args.h). The row says how a word is read:
 *     uint load_word(uint at)
 */
#ifdef W_f16
vec4 load_w(uint at)
{
    return vec4(unpackHalf2x16(load_word(2 * at)), unpackHalf2x16(load_word(2 * at + 1)));
}
#else
#define W_BLOCKS
vec4 w_scale;
uint w_skip; /* words of scales up to this block */

/* Before the first load of a block: scales of the four columns. */
void load_scale(uint at)
{
    uint block = at / (BLOCK * PANEL / 4);
#ifdef W_q8
    uint word = block * Q8_BLOCK_WORDS + at % (PANEL / 4) * 2;
#else
    uint word = block * Q4_BLOCK_WORDS + at % (PANEL / 4) * 2;
#endif
    w_scale = vec4(unpackHalf2x16(load_word(word)), unpackHalf2x16(load_word(word + 1)));
    w_skip = (block + 1) * (PANEL / 2);
}

vec4 load_w(uint at)
{
#ifdef W_q8
    int word = int(load_word(w_skip + at));
    return w_scale * vec4(bitfieldExtract(word, 0, 8), bitfieldExtract(word, 8, 8),
                          bitfieldExtract(word, 16, 8), bitfieldExtract(word, 24, 8));
#else
    uint word = load_word(w_skip + at / (PANEL / 2) * (PANEL / 4) + at % (PANEL / 4));
    word >>= (at & (PANEL / 4)) * 2; /* the upper half holds the second k of two */
    return w_scale * (vec4(word & 15u, word >> 4 & 15u, word >> 8 & 15u, word >> 12 & 15u) - 8.0);
#endif
}
#endif
