/* SPDX-License-Identifier: MIT
 *
 * Declares the push constants of the variants that read x and w by their addresses. The including file defines OP_ARGS,
 * the struct of its op's arguments, which the addresses follow. w has fp32 or fp16.
 */
/* A turn of the loop multiplies this many quads along K of each row and column. All loads of a turn have constant
 * distances, so that their addresses are computed once. */
const uint TURN = BLOCK / 4;
layout(buffer_reference, std430) readonly buffer XTurns { vec4 quads[][TURN]; };
#ifdef W_f16
#extension GL_EXT_shader_16bit_storage : require
/* Halves are decoded after each lane took its own, so that one instruction decodes those of all lanes. */
#define STORED_QUAD u16vec4
#define LOADED_QUAD uvec4
#define decode_w(value) unpackHalf2x16(value).x
#else
#define STORED_QUAD vec4
#define LOADED_QUAD vec4
#define decode_w(value) (value)
#endif
layout(buffer_reference, std430) readonly buffer WTurns { STORED_QUAD quads[][TURN][PANEL / 8][8]; };
layout(push_constant) uniform Args { OP_ARGS args; XTurns x; WTurns w; };
