/* SPDX-License-Identifier: MIT
 *
 * Defines the activations of MATMUL and ACTIVATE, and their slopes.
 */

/* Computes erf by formula 7.1.26 of Abramowitz and Stegun, whose absolute error of at most 1.5e-7 is about that of
 * fp32. */
float error_function(float x)
{
    float a = abs(x);
    float t = 1.0 / (1.0 + 0.3275911 * a);
    float p = t * (0.254829592 +
                   t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    float e = 1.0 - p * exp(-a * a);
    return x < 0.0 ? -e : e;
}

/* GELU by tanh (Hendrycks and Gimpel 2016) is x times the logistic function of this argument, which cannot overflow to
 * NaN. */
float tanh_argument(float x)
{
    return 1.5957691216057308 * (x + 0.044715 * x * x * x);
}

float activate(uint activation, float x)
{
    if (activation == ACTIVATION_QUICK_GELU) /* QuickGELU in clip/model.py */
        return x / (1.0 + exp(-1.702 * x));
    if (activation == ACTIVATION_GELU)
        return 0.5 * x * (1.0 + error_function(x * 0.70710678118654752));
    if (activation == ACTIVATION_GELU_TANH)
        return x / (1.0 + exp(-tanh_argument(x)));
    return x;
}

/* Returns the derivative of activate(). */
float slope(uint activation, float x)
{
    if (activation == ACTIVATION_QUICK_GELU) {
        float s = 1.0 / (1.0 + exp(-1.702 * x));
        return s * (1.0 + 1.702 * x * (1.0 - s));
    }
    if (activation == ACTIVATION_GELU_TANH) {
        float s = 1.0 / (1.0 + exp(-tanh_argument(x)));
        return s * (1.0 + 1.5957691216057308 * (x + 0.134145 * x * x * x) * (1.0 - s));
    }
    return 0.5 * (1.0 + error_function(x * 0.70710678118654752)) + x * 0.3989422804014327 * exp(-0.5 * x * x);
}
