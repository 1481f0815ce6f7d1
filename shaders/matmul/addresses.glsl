/* SPDX-License-Identifier: MIT
 *
 * Declares the push constants of the variants that read x and w by their addresses. The including file defines OP_ARGS,
 * the struct of its op's arguments, which the addresses follow.
 */
/* A turn of the loop multiplies this many quads along K of each row and column. All loads of a turn have constant
 * distances, so that their addresses are computed once. */
const uint TURN = BLOCK / 4;
layout(buffer_reference, std430) readonly buffer XTurns { vec4 quads[][TURN]; };
layout(buffer_reference, std430) readonly buffer WTurns { vec4 quads[][TURN][PANEL / 8][8]; };
layout(push_constant) uniform Args { OP_ARGS args; XTurns x; WTurns w; };
