/* SPDX-License-Identifier: MIT
 *
 * Every kernel begins with this file. It defines the storage types from the variant's -D options, the push
 * constants, and the workgroup's size from specialization constants 0 to 2. Arithmetic is fp32 whatever the storage
 * is, except in the variants of packed.glsl (fp16) and dot.glsl (8-bit integers).
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

/* The weights of MATMUL and CONV and the table of EMBEDDING have a type of their own; other weights are small and
 * have XTYPE. Types that GLSL has no scalar for are read as words. */
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

/* Defines vec4 NAME(index, left): four values of a buffer from element `index`, zero from `left` on. */
#define LOADER(name, values)                                                                       \
    vec4 name(uint index, uint left)                                                                  \
    {                                                                                              \
        return vec4(float(values[index]), left > 1 ? float(values[index + 1]) : 0.0,                     \
                    left > 2 ? float(values[index + 2]) : 0.0,                                        \
                    left > 3 ? float(values[index + 3]) : 0.0);                                       \
    }
