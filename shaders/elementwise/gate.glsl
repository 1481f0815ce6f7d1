/* SPDX-License-Identifier: MIT
 *
 * Defines the activations of GATE, which are those of MATMUL and two more, and their slopes.
 */
#include "elementwise/activation.glsl"

float open_gate(uint activation, float value)
{
    if (activation == ACTIVATION_SILU)
        return value / (1.0 + exp(-value));
    if (activation == ACTIVATION_RELU)
        return max(value, 0.0);
    return activate(activation, value);
}

/* Returns the derivative of open_gate(). */
float gate_slope(uint activation, float value)
{
    if (activation == ACTIVATION_SILU) {
        float s = 1.0 / (1.0 + exp(-value));
        return s * (1.0 + value * (1.0 - s));
    }
    if (activation == ACTIVATION_RELU)
        return value > 0.0 ? 1.0 : 0.0;
    return slope(activation, value);
}
