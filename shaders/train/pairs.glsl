/* SPDX-License-Identifier: MIT
 *
 * Defines what PAIRS_LOSS and PAIRS_GRAD have in common: the logit of a pair, which is right where picture and text have
 * one number, though there may be more texts than pictures, and the gradient of the pair's loss, -log(sigmoid(logit)) of a right pair and -log(sigmoid(-logit)) of
 * another one (Zhai et al. 2023, equation 1).
 */
layout(push_constant) uniform Args { elements_args args; }; /* n pictures, and c texts, of all the batch */

/* Returns the logit where it ought to be positive, and its negative elsewhere. */
float signed_logit(float scale, float bias, float cosine, bool right)
{
    float logit = scale * cosine + bias;
    return right ? logit : -logit;
}

/* Returns sigmoid(-x), whose exponential never overflows. */
float miss(float x)
{
    float small = exp(-abs(x));
    return (x > 0.0 ? small : 1.0) / (1.0 + small);
}

float pair_gradient(float x, bool right)
{
    return (right ? -miss(x) : miss(x)) / float(args.c);
}
