/* SPDX-License-Identifier: MIT
 *
 * Computes the ops of explanations in double precision.
 */
#include "runtime/reference_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A head of a query, and the keys and values that it attends to. */
struct head {
    const double *q, *dy, *keys;
    size_t t, d, step, value; /* from key to key, and from a key to its value */
};

static double dot(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Adds `factor` times the products of weights and their gradients that are positive. */
static void add_head(const struct head *head, double factor, double *relevance)
{
    const double scale = 1 / sqrt((double)head->d);
    double total = 0;
    for (size_t key = 0; key < head->t; key++)
        total += exp(dot(head->q, head->keys + key * head->step, head->d) * scale);
    for (size_t key = 0; key < head->t; key++) {
        const double *k = head->keys + key * head->step;
        const double weight = exp(dot(head->q, k, head->d) * scale) / total;
        relevance[key] += factor * fmax(weight * dot(head->dy, k + head->value, head->d), 0);
    }
}

/* Adds what all heads of query number `i` of all items find relevant. */
static void add_heads(const struct ref *r, size_t i, double factor)
{
    const size_t queries = r->y->shape[1], t = r->y->shape[2], heads = r->node->relevance.heads;
    const bool pooled = r->node->relevance.pooled;
    const size_t c = tensor_columns(r->x) / (pooled ? 1 : 3), d = c / heads, item = i / queries;
    for (size_t h = 0; h < heads; h++) {
        struct head head = {.dy = r->in[2] + i * c + h * d, .t = t, .d = d, .value = c};
        if (pooled) {
            head.q = r->in[0] + i % queries * c + h * d;
            head.keys = r->in[1] + item * t * 2 * c + h * d;
            head.step = 2 * c;
        } else {
            head.q = r->in[0] + i * 3 * c + h * d;
            head.keys = r->in[0] + (item * t * 3 + 1) * c + h * d;
            head.step = 3 * c;
        }
        add_head(&head, factor / (double)heads, r->out + i * t);
    }
}

void ref_RELEVANCE(const struct ref *r)
{
    const size_t queries = r->y->shape[1], t = r->y->shape[2];
    memset(r->out, 0, tensor_elements(r->y) * sizeof(*r->out));
    for (size_t i = 0; i < r->y->shape[0] * queries; i++) {
        const double share = r->node->relevance.pooled ? 1 : r->in[1][i];
        if (!r->node->relevance.pooled)
            r->out[i * t + i % queries] = share;
        add_heads(r, i, share);
    }
}

void ref_MEAN_RELEVANCE(const struct ref *r)
{
    const size_t t = r->y->shape[1], c = tensor_columns(r->x), skip = r->node->mean.skip;
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        const double product = dot(r->in[0] + i * c, r->in[1] + i / t * c, c);
        r->out[i] = i % t < skip ? 0 : fmax(product, 0) / (double)(t - skip);
    }
}
