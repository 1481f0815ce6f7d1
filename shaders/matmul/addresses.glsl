/* SPDX-License-Identifier: MIT
 *
 * Declares the push constants of the variants that read x and w by their addresses. The including file defines OP_ARGS,
 * the struct of its op's arguments, which the addresses follow.
 */
/* A turn of the loop multiplies this many quads along K of each row and column. All loads of a turn have constant
 * distances, so that their addresses are computed once. */
const uint TURN = BLOCK / 4;
layout(buffer_reference, std430) readonly buffer XTurns { vec4 quads[][TURN]; };
/* Halves and words are decoded after each lane took its own, so that one instruction decodes those of all lanes. */
#if defined(W_q8) || defined(W_q4)
#define W_BLOCKS /* A turn is a block of each column. */
#ifdef W_q8
#define WORDS TURN
#define decode_w(loaded, u) float(bitfieldExtract(int(loaded), int(lane % 4 * 8), 8))
#else
#define WORDS (TURN / 2) /* A word has two quads. */
#define decode_w(loaded, u) (float((loaded) >> (u) % 2 * 16 + lane % 4 * 4 & 15) - 8.0)
#endif
#define W_LOADED uint
#define W_CHOICE bool
#define w_stored(turn, u) w.turns[turn].words[(u) * WORDS / TURN]
struct WTurn {
    uint scales[PANEL / 2];
    uint words[WORDS][PANEL / 8][8];
};
layout(buffer_reference, std430) readonly buffer WTurns { WTurn turns[]; };
#else
#ifdef W_f16
#extension GL_EXT_shader_16bit_storage : require
#define W_STORED u16vec4
#define W_LOADED uvec4
#define decode_w(loaded, u) unpackHalf2x16(lane_value(loaded)).x
#else
#define W_STORED vec4
#define W_LOADED vec4
#define decode_w(loaded, u) lane_value(loaded)
#endif
#define W_CHOICE bvec4
#define w_stored(turn, u) w.quads[turn][u]
layout(buffer_reference, std430) readonly buffer WTurns { W_STORED quads[][TURN][PANEL / 8][8]; };
#endif
layout(push_constant) uniform Args { OP_ARGS args; XTurns x; WTurns w; };
