/* SPDX-License-Identifier: MIT
 *
 * Begins every kernel: storage types from the row's -D, the arguments, the workgroup size from
 * specialization constants 0 to 2. Arithmetic is fp32 whatever the storage is, but in PACKED and DOT rows.
 */
#extension GL_GOOGLE_include_directive : require
#ifdef X_f16
#extension GL_EXT_shader_16bit_storage : require
#define XTYPE float16_t
#define XVEC4 f16vec4
#else
#define XTYPE float
#define XVEC4 vec4
#endif

/* Weights of MATMUL and CONV and the table of EMBEDDING have a type of their own; the other, small ones are
 * of XTYPE. What no scalar of the storage holds is read as words. */
#if defined(W_f32)
#define WTYPE float
#define WVEC4 vec4
#elif defined(W_f16) && defined(X_f16)
#define WTYPE float16_t
#define WVEC4 f16vec4
#else
#define WTYPE uint
#define W_WORDS
#endif

#include "args.h"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;

/* Defines vec4 NAME(at, left): four values of a buffer, zero from `left` on. */
#define LOADER(name, values)                                                                       \
    vec4 name(uint at, uint left)                                                                  \
    {                                                                                              \
        return vec4(float(values[at]), left > 1 ? float(values[at + 1]) : 0.0,                     \
                    left > 2 ? float(values[at + 2]) : 0.0,                                        \
                    left > 3 ? float(values[at + 3]) : 0.0);                                       \
    }
