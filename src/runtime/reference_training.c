/* SPDX-License-Identifier: MIT
 *
 * Computes every op of training in double precision.
 */
#include "base/memory.h"
#include "runtime/reference_ops.h"

#include <math.h>
#include <string.h>

#include "shaders/args.h"
#include "shaders/attention/masked.h"

void ref_CAST(const struct ref *r)
{
    memcpy(r->out, r->in[0], tensor_elements(r->y) * sizeof(*r->out));
}

void ref_SCALE(const struct ref *r)
{
    for (size_t i = 0; i < tensor_elements(r->y); i++)
        r->out[i] = r->in[0][i] * r->in[1][0];
}

void ref_ACTIVATE(const struct ref *r)
{
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        double x = r->in[0][i];
        if (r->node->activate.relu)
            r->out[i] = fmax(x, 0);
        else if (r->node->activate.tanh)
            r->out[i] = tanh(x);
        else
            r->out[i] = ref_activate(r->node->activate.activation, x);
    }
}

void ref_ACTIVATE_GRAD(const struct ref *r)
{
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        double x = r->in[0][i];
        double slope = r->node->activate.relu ? x > 0 : ref_slope(r->node->activate.activation, x);
        if (r->node->activate.tanh)
            slope = 1 - tanh(x) * tanh(x);
        r->out[i] = r->in[1][i] * slope;
    }
}

void ref_ADD(const struct ref *r)
{
    for (size_t i = 0; i < tensor_elements(r->y); i++)
        r->out[i] = r->in[0][i] + r->in[1][i];
}

void ref_MULTIPLY(const struct ref *r)
{
    const size_t factors = tensor_elements(r->second);
    for (size_t i = 0; i < tensor_elements(r->y); i++)
        r->out[i] = r->in[0][i] * r->in[1][i % factors];
}

void ref_GATE_GRAD(const struct ref *r)
{
    const size_t c = tensor_columns(r->second);
    const enum vkclip_activation activation = r->node->gate.activation;
    for (size_t i = 0; i < tensor_elements(r->second); i++) {
        const size_t index = i / c * 2 * c + i % c;
        const double gate = r->in[0][index], value = r->in[0][index + c];
        r->out[index] = r->in[1][i] * value * ref_slope(activation, gate);
        r->out[index + c] = r->in[1][i] * ref_activate(activation, gate);
    }
}

static void find_moments(const double *x, size_t count, size_t stride, double *mean,
                         double *variance)
{
    *mean = *variance = 0;
    for (size_t i = 0; i < count; i++)
        *mean += x[i * stride] / (double)count;
    for (size_t i = 0; i < count; i++)
        *variance += (x[i * stride] - *mean) * (x[i * stride] - *mean) / (double)count;
}

void ref_BATCHSTATS(const struct ref *r)
{
    size_t rows = tensor_rows(r->x), c = tensor_columns(r->x);
    for (size_t i = 0; i < c; i++) {
        double mean, variance;
        find_moments(r->in[0] + i, rows, c, &mean, &variance);
        double rstd = 1 / sqrt(variance + (double)r->node->batchstats.epsilon);
        r->out[i] = r->in[1][i] * rstd;
        r->out[c + i] = r->in[2][i];
        r->out[2 * c + i] = mean;
        r->out[3 * c + i] = rstd;
    }
}

void ref_BATCHNORM(const struct ref *r)
{
    size_t c = tensor_columns(r->y);
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        double value =
            (r->in[0][i] - r->in[1][2 * c + i % c]) * r->in[1][i % c] + r->in[1][c + i % c];
        value += r->in[2] ? r->in[2][i] : 0;
        r->out[i] = r->node->batchnorm.relu ? fmax(value, 0) : value;
    }
}

void ref_BATCHNORM_GRAD(const struct ref *r)
{
    size_t rows = tensor_rows(r->x), c = tensor_columns(r->x);
    for (size_t i = 0; i < c; i++) {
        double scale = r->in[2][i], mean = r->in[2][2 * c + i], rstd = r->in[2][3 * c + i];
        double sum = 0, product = 0;
        for (size_t row = 0; row < rows; row++) {
            sum += r->in[1][row * c + i];
            product += r->in[1][row * c + i] * (r->in[0][row * c + i] - mean) * rstd;
        }
        /* dx = scale (dy - mean(dy) - normalised x mean(dy normalised x)) */
        r->out[i] = scale;
        r->out[c + i] = r->node->batchnorm_grad.frozen ? 0 : -scale * product / (double)rows * rstd;
        r->out[2 * c + i] = r->node->batchnorm_grad.frozen ? 0 : -scale * sum / (double)rows;
        r->out[3 * c + i] = mean;
        r->out[4 * c + i] = product;
        r->out[5 * c + i] = sum;
    }
}

void ref_AFFINE(const struct ref *r)
{
    size_t c = tensor_columns(r->y);
    for (size_t i = 0; i < tensor_elements(r->y); i++)
        r->out[i] = r->in[2][i % c] * r->in[0][i] +
                    r->in[2][c + i % c] * (r->in[1][i] - r->in[2][3 * c + i % c]) +
                    r->in[2][2 * c + i % c];
}

/* Returns the index of the value that panels [N,K] hold at (i, j). The transpose of a convolution's
 * weight has its taps in reverse order. */
static size_t panel_source(const struct ref *r, size_t i, size_t j, size_t n, size_t k)
{
    if (r->y->layout == LAYOUT_CONV) {
        size_t channels = k / 9, tap = j / channels;
        return j % channels * 9 * n + (8 - tap) * n + i;
    }
    return r->node->panels.transposed ? j * n + i : i * k + j;
}

void ref_PANELS(const struct ref *r)
{
    size_t n = tensor_n(r->y), k = tensor_elements(r->y) / n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++)
            r->out[i * k + j] = r->in[0][panel_source(r, i, j, n, k)];
}

void ref_OUTER(const struct ref *r)
{
    size_t m = tensor_rows(r->x), n = tensor_columns(r->x), k = tensor_elements(r->y) / n;
    const uint32_t *x = r->second->shape, *dy = r->x->shape;
    double *bias = (double *)r->in[2];
    for (size_t i = 0; i < m * n && bias; i++)
        bias[i % n] += r->in[0][i];
    for (size_t i = 0; i < n && !r->node->residual; i++)
        memset(r->out + i * k, 0, k * sizeof(*r->out));
    for (size_t row = 0; row < m; row++)
        for (size_t j = 0; j < k; j++) {
            double value = 0;
            if (!r->node->outer.stride) {
                value = r->in[1][row * k + j];
            } else {
                size_t c = k / 9, stride = r->node->outer.stride;
                int64_t iy = (int64_t)(row / dy[2] % dy[1] * stride + j / c / 3) - 1;
                int64_t ix = (int64_t)(row % dy[2] * stride + j / c % 3) - 1;
                size_t item = row / dy[2] / dy[1];
                if (iy >= 0 && ix >= 0 && iy < x[1] && ix < x[2])
                    value = r->in[1][((item * x[1] + (size_t)iy) * x[2] + (size_t)ix) * c + j % c];
            }
            for (size_t i = 0; i < n; i++)
                r->out[i * k + j] += r->in[0][row * n + i] * value;
        }
}

void ref_COLSUM(const struct ref *r)
{
    const struct node *node = r->node;
    size_t rows =
        (tensor_elements(r->x) - node->colsum.offset + node->colsum.pitch - 1) / node->colsum.pitch;
    size_t group = node->colsum.group ? node->colsum.group : rows,
           groups = (rows + group - 1) / group;
    size_t columns = node->colsum.columns ? node->colsum.columns : tensor_elements(r->y) / groups;
    for (size_t i = 0; i < groups * columns; i++) {
        double sum = node->residual ? r->out[i] : 0;
        for (size_t row = i / columns * group; row < rows && row < (i / columns + 1) * group;
             row++) {
            sum += r->in[0][node->colsum.offset + row * node->colsum.pitch + i % columns];
        }
        r->out[i] = sum;
    }
}

void ref_LAYERNORM_SUMS(const struct ref *r)
{
    size_t c = tensor_columns(r->x);
    memset(r->out, 0, tensor_elements(r->y) * sizeof(*r->out));
    for (size_t row = 0; row < tensor_rows(r->x); row++) {
        const double *x = r->in[0] + row * c, *dy = r->in[1] + row * c;
        double mean, variance, *sums = r->out + row / LAYERNORM_ROWS * 2 * c;
        find_moments(x, c, 1, &mean, &variance);
        for (size_t i = 0; i < c; i++) {
            sums[i] += dy[i] * (x[i] - mean) / sqrt(variance + (double)r->node->layernorm.epsilon);
            sums[c + i] += dy[i];
        }
    }
}

void ref_LAYERNORM_GRAD(const struct ref *r)
{
    size_t c = tensor_columns(r->x);
    for (size_t row = 0; row < tensor_rows(r->x); row++) {
        const double *x = r->in[0] + row * c, *dy = r->in[2] + row * c;
        double mean, variance, of_mean = 0, of_deviation = 0;
        find_moments(x, c, 1, &mean, &variance);
        double rstd = 1 / sqrt(variance + (double)r->node->layernorm.epsilon);
        for (size_t i = 0; i < c; i++) {
            of_mean += dy[i] * r->in[1][i] / (double)c;
            of_deviation += dy[i] * r->in[1][i] * (x[i] - mean) * rstd / (double)c;
        }
        for (size_t i = 0; i < c; i++)
            r->out[row * c + i] =
                (r->node->residual ? r->out[row * c + i] : 0) +
                rstd * (dy[i] * r->in[1][i] - of_mean - (x[i] - mean) * rstd * of_deviation);
    }
}

void ref_ATTENTION_DELTA(const struct ref *r)
{
    size_t d = tensor_columns(r->x) / r->y->shape[2];
    for (size_t i = 0; i < tensor_elements(r->y) / 2; i++) {
        r->out[2 * i + 1] = 0;
        for (size_t j = i * d; j < (i + 1) * d; j++)
            r->out[2 * i + 1] += r->in[0][j] * r->in[1][j];
        if (r->in[2] && r->in[2][i / r->y->shape[2]] == 0)
            r->out[2 * i] = (double)MASKED_STAT;
    }
}

void ref_ATTENTION_GRAD(const struct ref *r)
{
    size_t t = r->x->shape[1], c = r->x->shape[2] / 3, heads = r->node->attention.heads,
           d = c / heads;
    const double scale = (double)r->node->attention.scale;
    memset(r->out, 0, tensor_elements(r->y) * sizeof(*r->out));
    for (size_t i = 0; i < r->x->shape[0] * t * heads; i++) {
        size_t head = i % heads, query = i / heads % t, item = i / heads / t;
        const double *dy = r->in[1] + (item * t + query) * c + head * d;
        for (size_t key = 0; key < t; key++) {
            if (r->node->attention.masked &&
                r->in[2][2 * ((item * t + key) * heads + head)] >= (double)MASKED_LEAST)
                continue;
            double p = exp(ref_score(r, item, head, query, key) - r->in[2][2 * i]), dp = 0;
            size_t q_at = (item * t + query) * 3 * c + head * d;
            size_t k_at = (item * t + key) * 3 * c + c + head * d;
            for (size_t j = 0; j < d; j++)
                dp += dy[j] * r->in[0][k_at + c + j];
            double ds = p * (dp - r->in[2][2 * i + 1]) * (scale > 0 ? scale : 1 / sqrt((double)d));
            for (size_t j = 0; j < d; j++) {
                r->out[q_at + j] += ds * r->in[0][k_at + j];
                r->out[k_at + j] += ds * r->in[0][q_at + j];
                r->out[k_at + c + j] += p * dy[j];
            }
        }
    }
}

/* Adds the gradients that one query of one head gives its item's keys and values, or itself. */
static void pool_query_grad(const struct ref *r, size_t item, size_t head, size_t query,
                            const double *weights)
{
    const size_t t = r->second->shape[1], c = r->second->shape[2] / 2;
    const size_t d = c / r->node->pool.heads, row = query * c + head * d;
    const size_t queries = tensor_rows(r->x);
    const double *dy = r->in[2] + item * queries * c + row;
    double delta = 0;
    for (size_t key = 0; key < t; key++)
        for (size_t i = 0; i < d; i++)
            delta += weights[key] * dy[i] * r->in[1][((item * t + key) * 2 + 1) * c + head * d + i];
    for (size_t key = 0; key < t; key++) {
        const size_t k = (item * t + key) * 2 * c + head * d;
        double dp = 0;
        for (size_t i = 0; i < d; i++)
            dp += dy[i] * r->in[1][k + c + i];
        const double ds = weights[key] * (dp - delta) / sqrt((double)d);
        for (size_t i = 0; i < d && r->node->pool.queries; i++)
            r->out[item * queries * c + row + i] += ds * r->in[1][k + i];
        for (size_t i = 0; i < d && !r->node->pool.queries; i++) {
            r->out[k + i] += ds * r->in[0][row + i];
            r->out[k + c + i] += weights[key] * dy[i];
        }
    }
}

void ref_POOL_GRAD(const struct ref *r)
{
    const size_t heads = r->node->pool.heads, queries = tensor_rows(r->x);
    double *weights = memory_alloc(r->second->shape[1] * sizeof(*weights));
    memset(r->out, 0, tensor_elements(r->y) * sizeof(*r->out));
    for (size_t i = 0; i < r->second->shape[0] * queries * heads && weights; i++) {
        const size_t head = i % heads, query = i / heads % queries, item = i / heads / queries;
        ref_weigh_keys(r, item, head, query, weights);
        pool_query_grad(r, item, head, query, weights);
    }
    memory_free(weights);
}

void ref_EMBEDDING_GRAD(const struct ref *r)
{
    size_t c = tensor_columns(r->x), tokens = tensor_rows(r->x);
    for (size_t run = 0; run < tokens; run++)
        for (size_t j = (size_t)r->in[2][2 * run]; j < (size_t)r->in[2][2 * run + 2]; j++)
            for (size_t i = 0; i < c; i++)
                r->out[(size_t)r->in[2][2 * run + 1] * c + i] +=
                    r->in[0][(size_t)r->in[1][j] * c + i];
}

void ref_CLASSTOKEN_GRAD(const struct ref *r)
{
    size_t c = tensor_columns(r->x), t = r->x->shape[1];
    for (size_t b = 0; b < r->x->shape[0]; b++)
        memcpy(r->out + b * (t - 1) * c, r->in[0] + (b * t + 1) * c, (t - 1) * c * sizeof(*r->out));
}

void ref_MEANTOKEN_GRAD(const struct ref *r)
{
    size_t c = tensor_columns(r->x), p = r->x->shape[1] - 1;
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        const double *item = r->in[0] + i / c / p * (p + 1) * c;
        r->out[i] = item[(i / c % p + 1) * c + i % c] + item[i % c] / (double)p;
    }
}

void ref_SELECT_GRAD(const struct ref *r)
{
    size_t t = r->y->shape[1], c = r->y->shape[2];
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        size_t item = i / c / t, row = r->in[1] ? (size_t)r->in[1][item] : 0;
        r->out[i] = i / c % t == row ? r->in[0][item * c + i % c] : 0;
    }
}

void ref_MEAN_GRAD(const struct ref *r)
{
    const size_t t = tensor_rows(r->y) / r->y->shape[0], c = tensor_columns(r->y);
    for (size_t item = 0; item < r->y->shape[0]; item++) {
        double count = 0;
        for (size_t row = r->node->mean.skip; row < t; row++)
            count += !r->in[1] || r->in[1][item * t + row] != 0;
        for (size_t i = 0; i < t * c; i++) {
            const size_t row = i / c;
            const bool taken =
                row >= r->node->mean.skip && (!r->in[1] || r->in[1][item * t + row] != 0);
            r->out[item * t * c + i] = taken ? r->in[0][item * c + i % c] / count : 0;
        }
    }
}

void ref_NORMALIZE_GRAD(const struct ref *r)
{
    size_t c = tensor_columns(r->x);
    for (size_t row = 0; row < tensor_rows(r->x); row++) {
        const double *x = r->in[0] + row * c, *dy = r->in[1] + row * c;
        double squares = 0, along = 0;
        for (size_t i = 0; i < c; i++) {
            squares += x[i] * x[i];
            along += x[i] * dy[i];
        }
        for (size_t i = 0; i < c; i++)
            r->out[row * c + i] = (dy[i] - x[i] * along / squares) / sqrt(squares);
    }
}

void ref_AVGPOOL_GRAD(const struct ref *r)
{
    const uint32_t *dx = r->y->shape, *dy = r->x->shape, size = r->node->avgpool.size;
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        size_t c = i % dx[3], column = i / dx[3] % dx[2] / size;
        size_t row = i / dx[3] / dx[2] % dx[1] / size, item = i / dx[3] / dx[2] / dx[1];
        r->out[i] =
            row < dy[1] && column < dy[2]
                ? r->in[0][((item * dy[1] + row) * dy[2] + column) * dx[3] + c] / (size * size)
                : 0;
    }
}

void ref_UNFOLD_GRAD(const struct ref *r)
{
    for (size_t i = 0; i < tensor_elements(r->y); i++)
        r->out[i] = r->in[0][ref_unfolded(r->y->shape, r->node->unfold.size, i)];
}

/* Adds what one value of dy gives to the sums [taps + 1,C] of its share. */
static void add_taps(const struct ref *r, size_t i, double *sums)
{
    const uint32_t *x = r->x->shape; /* [B,H,W,C] */
    const size_t side = r->node->dwconv.side, c = i % x[3], line = i / x[3] / x[2];
    const int64_t row = (int64_t)(line % x[1]), column = (int64_t)(i / x[3] % x[2]);
    for (size_t tap = 0; tap < side * side; tap++) {
        const int64_t down = (int64_t)(tap / side) - (int64_t)(side / 2);
        const int64_t across = (int64_t)(tap % side) - (int64_t)(side / 2);
        if (row + down < 0 || row + down >= x[1] || column + across < 0 || column + across >= x[2])
            continue;
        const size_t pixel = (size_t)(((int64_t)line + down) * x[2] + column + across);
        sums[tap * x[3] + c] += r->in[1][i] * r->in[0][pixel * x[3] + c];
    }
    sums[side * side * x[3] + c] += r->in[1][i];
}

void ref_DWCONV_SUMS(const struct ref *r)
{
    const size_t share = (size_t)DWCONV_ROWS * r->x->shape[2] * r->x->shape[3];
    const size_t sums = (size_t)r->y->shape[1] * r->y->shape[2];
    memset(r->out, 0, tensor_elements(r->y) * sizeof(*r->out));
    for (size_t i = 0; i < tensor_elements(r->x); i++)
        add_taps(r, i, r->out + i / share * sums);
}

void ref_CONTRAST_STATS(const struct ref *r)
{
    size_t n = r->x->shape[0];
    double scale = exp(r->in[1][0]);
    for (size_t line = 0; line < 2 * n; line++) {
        double total = 0;
        for (size_t i = 0; i < n; i++)
            total += exp(scale * r->in[0][line < n ? line * n + i : i * n + line - n]);
        r->out[line] = log(total);
    }
}

/* Returns the sum of a pair's softmax over its row and its softmax over its column. */
static double pair_softmax(const struct ref *r, const double *stats, double logit, size_t i,
                           size_t j)
{
    size_t n = tensor_rows(r->y);
    return exp(logit - stats[i]) + exp(logit - stats[n + j]);
}

void ref_CONTRAST_LOSS(const struct ref *r)
{
    size_t n = r->x->shape[0];
    double scale = exp(r->in[1][0]);
    for (size_t i = 0; i < n; i++) {
        double paired = scale * r->in[0][i * n + i], sum = 0;
        for (size_t j = 0; j < n; j++) {
            double logit = scale * r->in[0][i * n + j];
            sum += pair_softmax(r, r->in[2], logit, i, j) * logit;
        }
        r->out[2 * i] = ((r->in[2][i] + r->in[2][n + i]) / 2 - paired) / (double)n;
        r->out[2 * i + 1] = (sum / 2 - paired) / (double)n;
    }
}

void ref_CONTRAST_GRAD(const struct ref *r)
{
    size_t n = r->y->shape[0];
    double scale = exp(r->in[1][0]);
    for (size_t i = 0; i < n * n; i++)
        r->out[i] =
            scale / (double)n *
            (pair_softmax(r, r->in[0], scale * r->out[i], i / n, i % n) / 2 - (i / n == i % n));
}

/* Returns the derivative of the loss of pair (i, j) of n pairs by its logit. */
static double pair_slope(double logit, size_t i, size_t j, size_t n)
{
    return (1 / (1 + exp(-logit)) - (i == j)) / (double)n;
}

void ref_PAIRS_LOSS(const struct ref *r)
{
    const size_t rows = r->x->shape[0], n = r->x->shape[1];
    const double scale = exp(r->in[1][0]), bias = r->in[2][0];
    memset(r->out, 0, 3 * rows * sizeof(*r->out));
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) {
            const double product = scale * r->in[0][i * n + j], logit = product + bias;
            r->out[3 * i] += log1p(exp(i == j ? -logit : logit)) / (double)n;
            r->out[3 * i + 1] += pair_slope(logit, i, j, n) * product;
            r->out[3 * i + 2] += pair_slope(logit, i, j, n);
        }
}

void ref_PAIRS_GRAD(const struct ref *r)
{
    const size_t rows = r->y->shape[0], n = r->y->shape[1];
    const double scale = exp(r->in[0][0]), bias = r->in[1][0];
    for (size_t i = 0; i < rows * n; i++)
        r->out[i] = scale * pair_slope(scale * r->out[i] + bias, i / n, i % n, n);
}

/* Two nodes fill one tensor. The first one stores the mean and zeros, and the second one, which has
 * the variance, fills in the other values. */
void ref_RUNNINGSTATS(const struct ref *r)
{
    size_t c = tensor_columns(r->x);
    const double epsilon = (double)r->node->runningstats.epsilon;
    if (!r->node->runningstats.variance) {
        memset(r->out, 0, 4 * c * sizeof(*r->out));
        memcpy(r->out + 2 * c, r->in[0], c * sizeof(*r->out));
        return;
    }
    for (size_t i = 0; i < c; i++) {
        double rstd = 1 / sqrt(r->in[0][i] + epsilon);
        r->out[i] = r->in[1][i] * rstd;
        r->out[c + i] = r->in[2][i];
        r->out[3 * c + i] = rstd;
    }
}

void ref_RUNNING(const struct ref *r)
{
    size_t c = tensor_columns(r->x);
    const double epsilon = (double)r->node->running.epsilon;
    const double momentum = (double)r->node->running.momentum;
    for (size_t i = 0; i < c; i++) {
        double value = r->in[0][2 * c + i], rstd = r->in[0][3 * c + i];
        if (r->node->running.variance)
            value = (1 / (rstd * rstd) - epsilon) * (double)r->node->running.unbias;
        r->out[i] += momentum * (value - r->out[i]);
    }
}

void ref_SUMSQ(const struct ref *r)
{
    size_t n = tensor_elements(r->x);
    for (size_t first = 0; first < n; first += SUMSQ_PART) {
        double sum = 0;
        for (size_t i = first; i < n && i < first + SUMSQ_PART; i++)
            sum += r->in[0][i] * r->in[0][i];
        r->out[r->node->sumsq.offset + first / SUMSQ_PART] = sum;
    }
}

void ref_CLIP(const struct ref *r)
{
    const double *step = r->in[1];
    double sum = 0;
    for (size_t i = 0; i < tensor_elements(r->x); i++)
        sum += r->in[0][i];
    double norm = sqrt(sum) * step[4];
    memcpy(r->out, step, 5 * sizeof(*step));
    r->out[5] = step[4] * (step[3] > 0 ? fmin(step[3] / (norm + 1e-6), 1) : 1);
    r->out[6] = norm;
    r->out[7] = 0;
}

void ref_ADAMW(const struct ref *r)
{
    const double beta1 = (double)r->node->adamw.beta1, beta2 = (double)r->node->adamw.beta2;
    const double epsilon = (double)r->node->adamw.epsilon, decay = (double)r->node->adamw.decay;
    double *gradient = (double *)r->in[0], *moment = (double *)r->in[1];
    const double *step = r->in[2];
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        double g = gradient[i] * step[5], *m = &moment[2 * i], *v = &moment[2 * i + 1];
        *m = beta1 * *m + (1 - beta1) * g;
        *v = beta2 * *v + (1 - beta2) * g * g;
        r->out[i] *= 1 - step[0] * decay;
        r->out[i] -= step[0] * *m * step[1] / (sqrt(*v * step[2]) + epsilon);
        gradient[i] = 0;
    }
}

void ref_AVERAGE(const struct ref *r)
{
    const double *w = r->in[0], *step = r->in[1];
    for (size_t i = 0; i < tensor_elements(r->y) && step[5] != 0; i++)
        r->out[i] += (1 - (double)r->node->average.decay) * (w[i] - r->out[i]);
}

void ref_CLAMP(const struct ref *r)
{
    for (size_t i = 0; i < tensor_elements(r->y); i++)
        r->out[i] =
            fmin(fmax(r->in[0][i], (double)r->node->clamp.least), (double)r->node->clamp.most);
}
