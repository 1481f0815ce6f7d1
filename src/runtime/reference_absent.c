/* SPDX-License-Identifier: MIT
 *
 * Stands for the references of the ops that a build without training and explanations has no
 * kernels for, so that the self-test never calls them.
 */
#include "base/absent.h"
#include "runtime/reference_ops.h"

ABSENT_ARGUMENTS

#define X(op)                          \
    void ref_##op(const struct ref *r) \
    {                                  \
    }
TRAINING_OPS(X)
EXPLANATION_OPS(X)
#undef X
