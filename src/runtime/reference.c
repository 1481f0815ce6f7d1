/* SPDX-License-Identifier: MIT
 *
 * Computes every op of inference, of pictures and of searches in double precision.
 */
#include "runtime/reference.h"

#include "base/memory.h"
#include "runtime/reference_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shaders/args.h"
#include "shaders/pictures/pictures.h"

double ref_activate(enum vkclip_activation activation, double x)
{
    if (activation == VKCLIP_ACTIVATION_QUICK_GELU)
        return x / (1 + exp(-1.702 * x));
    if (activation == VKCLIP_ACTIVATION_GELU)
        return x * 0.5 * erfc(-x / sqrt(2));
    if (activation == VKCLIP_ACTIVATION_GELU_TANH)
        return x * 0.5 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    if (activation == VKCLIP_ACTIVATION_SILU)
        return x / (1 + exp(-x));
    return activation == VKCLIP_ACTIVATION_RELU ? fmax(x, 0) : x;
}

double ref_slope(enum vkclip_activation activation, double x)
{
    const double s = 1 / (1 + exp(-1.702 * x)), k = sqrt(2 / acos(-1));
    const double t = tanh(k * (x + 0.044715 * x * x * x));
    if (activation == VKCLIP_ACTIVATION_GELU)
        return 0.5 * erfc(-x / sqrt(2)) + x * exp(-x * x / 2) / sqrt(2 * acos(-1));
    if (activation == VKCLIP_ACTIVATION_GELU_TANH)
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
    if (activation == VKCLIP_ACTIVATION_SILU)
        return 1 / (1 + exp(-x)) * (1 + x / (1 + exp(x)));
    if (activation == VKCLIP_ACTIVATION_RELU)
        return x > 0;
    return s + x * 1.702 * s * (1 - s);
}

void ref_MATMUL(const struct ref *r)
{
    size_t m = tensor_rows(r->y), n = tensor_columns(r->y), k = tensor_columns(r->x);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            bool slope = r->node->matmul.slope;
            double sum = r->in[2] && !slope ? r->in[2][j] : 0;
            for (size_t l = 0; l < k; l++)
                sum += r->in[0][i * k + l] * r->in[1][j * k + l];
            enum vkclip_activation activation = r->node->matmul.activation;
            double value = slope ? sum * ref_slope(activation, r->in[2][i * n + j])
                                 : ref_activate(activation, sum);
            value += r->node->residual ? r->out[i * n + j] : 0;
            r->out[i * n + j] = r->node->matmul.relu ? fmax(value, 0) : value;
        }
}

void ref_CONV(const struct ref *r)
{
    const uint32_t *x = r->x->shape, *y = r->y->shape; /* [B,H,W,C] */
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        size_t n = i % y[3], column = i / y[3] % y[2], row = i / y[3] / y[2] % y[1];
        size_t item = i / y[3] / y[2] / y[1];
        double sum = r->in[2] ? r->in[2][n] : 0;
        for (size_t tap = 0; tap < 9; tap++) {
            int64_t iy = (int64_t)(row * r->node->conv.stride + tap / 3) - 1;
            int64_t ix = (int64_t)(column * r->node->conv.stride + tap % 3) - 1;
            for (size_t c = 0; c < x[3] && iy >= 0 && ix >= 0 && iy < x[1] && ix < x[2]; c++)
                sum += r->in[0][((item * x[1] + (size_t)iy) * x[2] + (size_t)ix) * x[3] + c] *
                       r->in[1][(n * 9 + tap) * x[3] + c];
        }
        r->out[i] = r->node->conv.relu ? fmax(sum, 0) : sum;
    }
}

void ref_DWCONV(const struct ref *r)
{
    const uint32_t *y = r->y->shape; /* [B,H,W,C] */
    const size_t side = r->node->dwconv.side, taps = side * side;
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        const size_t c = i % y[3], line = i / y[3] / y[2];
        const int64_t row = (int64_t)(line % y[1]), column = (int64_t)(i / y[3] % y[2]);
        double sum = r->in[2] ? r->in[2][c] : 0;
        for (size_t tap = 0; tap < taps; tap++) {
            const int64_t down = (int64_t)(tap / side) - (int64_t)(side / 2);
            const int64_t across = (int64_t)(tap % side) - (int64_t)(side / 2);
            const size_t weight = r->node->dwconv.flipped ? taps - 1 - tap : tap;
            if (row + down < 0 || row + down >= y[1] || column + across < 0 ||
                column + across >= y[2])
                continue;
            const size_t pixel = (size_t)(((int64_t)line + down) * y[2] + column + across);
            sum += r->in[0][pixel * y[3] + c] * r->in[1][weight * y[3] + c];
        }
        r->out[i] = sum + (r->node->residual ? r->out[i] : 0);
    }
}

void ref_AVGPOOL(const struct ref *r)
{
    const uint32_t *x = r->x->shape, *y = r->y->shape, size = r->node->avgpool.size;
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        size_t c = i % y[3], column = i / y[3] % y[2], row = i / y[3] / y[2] % y[1];
        size_t item = i / y[3] / y[2] / y[1];
        double sum = 0;
        for (size_t dy = 0; dy < size; dy++)
            for (size_t dx = 0; dx < size; dx++)
                sum +=
                    r->in[0]
                         [((item * x[1] + row * size + dy) * x[2] + column * size + dx) * x[3] + c];
        r->out[i] = sum / (size * size);
    }
}

size_t ref_unfolded(const uint32_t *x, uint32_t size, size_t i)
{
    const size_t c = i % x[3], column = i / x[3] % x[2], line = i / x[3] / x[2];
    const size_t square = line / size * (x[2] / size) + column / size;
    return ((square * x[3] + c) * size + line % size) * size + column % size;
}

void ref_UNFOLD(const struct ref *r)
{
    for (size_t i = 0; i < tensor_elements(r->x); i++)
        r->out[ref_unfolded(r->x->shape, r->node->unfold.size, i)] = r->in[0][i];
}

void ref_MEANTOKEN(const struct ref *r)
{
    const uint32_t *y = r->y->shape; /* [B,P+1,C] */
    size_t p = y[1] - 1, c = y[2];
    for (size_t b = 0; b < y[0]; b++)
        for (size_t i = 0; i < c; i++) {
            const double *x = r->in[0] + b * p * c + i;
            double *out = r->out + b * (p + 1) * c + i, sum = 0;
            for (size_t position = 0; position < p; position++) {
                sum += x[position * c];
                out[(position + 1) * c] = x[position * c] + r->in[1][(position + 1) * c + i];
            }
            out[0] = sum / (double)p + r->in[1][i];
        }
}

double ref_score(const struct ref *r, size_t item, size_t head, size_t query, size_t key)
{
    size_t t = r->x->shape[1], c = r->x->shape[2] / 3, d = c / r->node->attention.heads;
    const double *q = r->in[0] + (item * t + query) * 3 * c + head * d;
    const double *k = r->in[0] + (item * t + key) * 3 * c + c + head * d;
    double sum = 0;
    if (r->node->attention.causal && key > query)
        return -INFINITY;
    for (size_t i = 0; i < d; i++)
        sum += q[i] * k[i];
    sum *= r->node->attention.scale > 0 ? (double)r->node->attention.scale : 1 / sqrt((double)d);
    if (r->node->op == OP_ATTENTION_GRAD)
        return sum;
    const bool training = r->node->op == OP_ATTENTION;
    const double *mask = training ? r->in[2] : r->in[1];
    if (mask && mask[item * t + key] == 0) /* below all scores, but not below itself */
        return -1e300;
    return r->in[2] && !training ? sum + r->in[2][head * (2 * t - 1) + t - 1 + key - query] : sum;
}

/* Computes one row of one head: the result of a query, and its statistics in training. */
static void attend_query(const struct ref *r, size_t item, size_t head, size_t query)
{
    const size_t t = r->y->shape[1], c = r->y->shape[2], heads = r->node->attention.heads;
    const size_t d = c / heads;
    double *out = r->out + (item * t + query) * c + head * d;
    double *stats = r->node->op == OP_ATTENTION ? (double *)r->in[1] : NULL;
    double top = -INFINITY, total = 0;
    for (size_t key = 0; key < t; key++)
        top = fmax(top, ref_score(r, item, head, query, key));
    for (size_t i = 0; i < d; i++)
        out[i] = 0;
    for (size_t key = 0; key < t; key++) {
        const double weight = exp(ref_score(r, item, head, query, key) - top);
        const double *value = r->in[0] + ((item * t + key) * 3 + 2) * c + head * d;
        total += weight;
        for (size_t i = 0; i < d; i++)
            out[i] += weight * value[i];
    }
    for (size_t i = 0; i < d; i++)
        out[i] /= total;
    if (stats)
        stats[2 * ((item * t + query) * heads + head)] = top + log(total);
}

void ref_ATTENTION(const struct ref *r)
{
    for (size_t item = 0; item < r->y->shape[0]; item++)
        for (size_t head = 0; head < r->node->attention.heads; head++)
            for (size_t query = 0; query < r->y->shape[1]; query++)
                attend_query(r, item, head, query);
}

void ref_ATTENTION_MASKED(const struct ref *r)
{
    ref_ATTENTION(r);
}

void ref_weigh_keys(const struct ref *r, size_t item, size_t head, size_t query, double *weights)
{
    const size_t t = r->second->shape[1], c = r->second->shape[2] / 2;
    const size_t d = c / r->node->pool.heads;
    const double *q = r->in[0] + query * c + head * d;
    double top = -INFINITY, total = 0;
    for (size_t key = 0; key < t; key++) {
        const double *k = r->in[1] + (item * t + key) * 2 * c + head * d;
        weights[key] = 0;
        for (size_t i = 0; i < d; i++)
            weights[key] += q[i] * k[i] / sqrt((double)d);
        top = fmax(top, weights[key]);
    }
    for (size_t key = 0; key < t; key++)
        total += exp(weights[key] - top);
    for (size_t key = 0; key < t; key++)
        weights[key] = exp(weights[key] - top) / total;
}

void ref_POOL(const struct ref *r)
{
    const size_t t = r->second->shape[1], queries = r->y->shape[1], c = r->y->shape[2];
    const size_t heads = r->node->pool.heads, d = c / heads;
    double *weights = memory_alloc(t * sizeof(*weights));
    memset(r->out, 0, tensor_elements(r->y) * sizeof(*r->out));
    for (size_t i = 0; i < r->y->shape[0] * queries * heads && weights; i++) {
        const size_t head = i % heads, query = i / heads % queries, item = i / heads / queries;
        ref_weigh_keys(r, item, head, query, weights);
        for (size_t key = 0; key < t; key++)
            for (size_t j = 0; j < d; j++)
                r->out[(item * queries + query) * c + head * d + j] +=
                    weights[key] * r->in[1][((item * t + key) * 2 + 1) * c + head * d + j];
    }
    memory_free(weights);
}

/* Follows transformers' T5Attention._relative_position_bucket, whose logarithms are fp32. */
static size_t find_bucket(size_t buckets, uint32_t farthest, int64_t distance)
{
    const size_t half = buckets / 2, exact = half / 2, steps = (size_t)llabs(distance);
    const float range = (float)log((double)farthest / (double)exact);
    size_t bucket = steps;
    if (steps >= exact) {
        bucket = exact + (size_t)(logf((float)steps / (float)exact) / range * (float)exact);
        bucket = bucket < half ? bucket : half - 1;
    }
    return distance > 0 ? half + bucket : bucket;
}

void ref_RELATIVE(const struct ref *r)
{
    const size_t heads = r->y->shape[0], columns = r->y->shape[1], buckets = r->x->shape[0];
    for (size_t head = 0; head < heads; head++)
        for (size_t i = 0; i < columns; i++) {
            const int64_t distance = (int64_t)i - (int64_t)(columns / 2);
            r->out[head * columns + i] =
                r->in[0][find_bucket(buckets, r->node->relative.farthest, distance) * heads + head];
        }
}

void ref_RMSNORM(const struct ref *r)
{
    const size_t rows = tensor_rows(r->y), c = tensor_columns(r->y);
    for (size_t row = 0; row < rows; row++) {
        const double *x = r->in[0] + row * c;
        double squares = 0;
        for (size_t i = 0; i < c; i++)
            squares += x[i] * x[i] / (double)c;
        for (size_t i = 0; i < c; i++)
            r->out[row * c + i] =
                x[i] / sqrt(squares + (double)r->node->layernorm.epsilon) * r->in[1][i];
    }
}

void ref_GATE(const struct ref *r)
{
    const size_t c = tensor_columns(r->y);
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        const double *row = r->in[0] + i / c * 2 * c;
        r->out[i] = ref_activate(r->node->gate.activation, row[i % c]) * row[c + i % c];
    }
}

void ref_ROPE(const struct ref *r)
{
    const size_t t = r->y->shape[1], c = r->y->shape[2] / 3, side = r->x->shape[0];
    const size_t half = r->x->shape[1], first = t - side * side; /* pairs of half a head */
    for (size_t i = 0; i < tensor_elements(r->y); i += 2) {
        const double *x = r->in[1] ? r->in[1] + i : r->out + i;
        const size_t token = i / (3 * c) % t, pair = i % c / 2 % (2 * half);
        const size_t patch = token - first, row = patch / side, column = patch % side;
        const bool by_column = (pair < half) == r->node->rope.columns_first;
        double cosine = 1, sine = 0;
        if (token >= first && i % (3 * c) < 2 * c) {
            const double *turn = r->in[0] + 2 * ((by_column ? column : row) * half + pair % half);
            cosine = turn[0];
            sine = r->node->rope.back ? -turn[1] : turn[1];
        }
        const double a = x[0], b = x[1];
        r->out[i] = a * cosine - b * sine;
        r->out[i + 1] = b * cosine + a * sine;
    }
}

void ref_LAYERNORM(const struct ref *r)
{
    size_t rows = tensor_rows(r->y), c = tensor_columns(r->y);
    for (size_t row = 0; row < rows; row++) {
        const double *x = r->in[0] + row * c;
        double mean = 0, variance = 0;
        for (size_t i = 0; i < c; i++)
            mean += x[i] / (double)c;
        for (size_t i = 0; i < c; i++)
            variance += (x[i] - mean) * (x[i] - mean) / (double)c;
        for (size_t i = 0; i < c; i++)
            r->out[row * c + i] =
                (x[i] - mean) / sqrt(variance + (double)r->node->layernorm.epsilon) * r->in[1][i] +
                r->in[2][i];
    }
}

void ref_EMBEDDING(const struct ref *r)
{
    const uint32_t *shape = r->y->shape;
    const size_t c = shape[2], tokens = (size_t)shape[0] * shape[1];
    const size_t rows = r->node->embedding.first ? 1 : tensor_rows(r->third);
    for (size_t token = 0; token < tokens; token++)
        for (size_t i = 0; i < c; i++)
            r->out[token * c + i] =
                r->in[1][(size_t)r->in[0][token] * c + i] + r->in[2][token % rows * c + i];
}

void ref_PATCHES(const struct ref *r)
{
    const size_t size = r->node->patches.size, patch = r->node->patches.patch;
    const size_t side = size / patch, area = patch * patch, columns = tensor_columns(r->y);
    const size_t words = (3 * size * size + 3) / 4;
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        const size_t number = i / columns, c = i % columns / area, item = number / side / side;
        const size_t y = number / side % side * patch + i % area / patch;
        const size_t x = number % side * patch + i % patch;
        const size_t byte = (y * size + x) * 3 + c;
        if (c > 2)
            r->out[i] = 0;
        else if (!r->in[1])
            r->out[i] = r->in[0][((item * 3 + c) * size + y) * size + x];
        else
            r->out[i] =
                r->in[1][c * 256 +
                         ((uint32_t)r->in[0][item * words + byte / 4] >> 8 * (byte % 4) & 255)];
    }
}

void ref_CLASSTOKEN(const struct ref *r)
{
    const uint32_t *shape = r->y->shape;
    size_t t = shape[1], c = shape[2], tokens = r->in[1] != NULL;
    for (size_t b = 0; b < shape[0]; b++)
        for (size_t position = 0; position < t; position++)
            for (size_t i = 0; i < c; i++)
                r->out[(b * t + position) * c + i] =
                    r->in[2][position * c + i] +
                    (position < tokens ? r->in[1][i]
                                       : r->in[0][(b * (t - tokens) + position - tokens) * c + i]);
}

void ref_SELECT(const struct ref *r)
{
    size_t t = r->x->shape[1], c = r->x->shape[2];
    for (size_t b = 0; b < r->x->shape[0]; b++)
        for (size_t i = 0; i < c; i++)
            r->out[b * c + i] = r->in[0][(b * t + (r->in[1] ? (size_t)r->in[1][b] : 0)) * c + i];
}

void ref_MEAN(const struct ref *r)
{
    const size_t t = tensor_rows(r->x) / r->x->shape[0], c = tensor_columns(r->x);
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        double sum = 0, count = 0;
        for (size_t row = i / c * t + r->node->mean.skip; row < (i / c + 1) * t; row++)
            if (!r->in[1] || r->in[1][row] != 0) {
                sum += r->in[0][row * c + i % c];
                count++;
            }
        r->out[i] = sum / fmax(count, 1);
    }
}

void ref_NORMALIZE(const struct ref *r)
{
    size_t rows = tensor_rows(r->y), c = tensor_columns(r->y);
    for (size_t row = 0; row < rows; row++) {
        double squares = 0;
        for (size_t i = 0; i < c; i++)
            squares += r->in[0][row * c + i] * r->in[0][row * c + i];
        for (size_t i = 0; i < c; i++)
            r->out[row * c + i] = r->in[0][row * c + i] / fmax(sqrt(squares), 1e-12);
    }
}

void reference_node(const struct graph *graph, const struct node *node, const double *const *in,
                    double *out)
{
    static void (*const refs[])(const struct ref *) = {
#define X(op) ref_##op,
        OPS(X)
#undef X
    };
    struct ref ref = {.node = node,
                      .x = &graph->tensors[node->in[0]],
                      .second = node->in[1] < 0 ? NULL : &graph->tensors[node->in[1]],
                      .third = node->in[2] < 0 ? NULL : &graph->tensors[node->in[2]],
                      .y = &graph->tensors[node->out],
                      .out = out};
    for (int i = 0; i < NODE_INPUTS; i++)
        ref.in[i] = in[i];
    refs[node->op](&ref);
}

/* Returns a colour of a pixel of RESAMPLE's x. */
static double pixel_level(const struct ref *r, size_t row, size_t column, size_t colour)
{
    const size_t stride = r->node->resample.stride;
    if (!stride)
        return r->in[0][(row * r->x->shape[1] + column) * 3 + colour];
    const size_t byte = column * stride + (r->node->resample.swapped ? 2 - colour : colour);
    return (uint32_t)r->in[0][row * r->x->shape[1] + byte / 4] >> 8 * (byte % 4) & 255;
}

void ref_RESAMPLE(const struct ref *r)
{
    const size_t columns = r->y->shape[1], taps = r->second->shape[1] - 1;
    const size_t width = r->node->resample.stride ? r->node->resample.width : r->x->shape[1];
    const bool down = r->node->resample.down;
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        const size_t row = i / 3 / columns, column = i / 3 % columns;
        const double *tap = r->in[1] + (down ? row : column) * (taps + 1);
        const size_t first = (size_t)tap[0];
        double sum = 0;
        for (size_t k = 0; k < taps && first + k < (down ? r->x->shape[0] : width); k++)
            sum += tap[1 + k] * (down ? pixel_level(r, first + k, column, i % 3)
                                      : pixel_level(r, row, first + k, i % 3));
        r->out[i] = fmin(fmax(floor(sum / (1 << RESAMPLE_BITS) + 0.5), 0), 255);
    }
}

void ref_FRAME(const struct ref *r)
{
    const size_t size = r->node->frame.size, height = r->x->shape[0], width = r->x->shape[1];
    for (size_t i = 0; i < tensor_elements(r->y); i++) {
        const size_t colour = i / size / size, y = i / size % size, x = i % size;
        const size_t top = r->node->frame.top, left = r->node->frame.left;
        double level = r->node->frame.fill;
        if (y >= top && y < top + height && x >= left && x < left + width)
            level = r->in[0][((y - top) * width + x - left) * 3 + colour];
        r->out[i] = r->in[1][colour * 256 + (size_t)level];
    }
}

void ref_MAXIMA(const struct ref *r)
{
    const size_t rows = tensor_rows(r->x), n = tensor_columns(r->x), blocks = r->y->shape[1];
    for (size_t i = 0; i < rows * blocks; i++) {
        double *y = r->out + 3 * i;
        const double *x = r->in[0] + i / blocks * n;
        y[0] = (double)MAXIMA_NONE;
        y[1] = y[2] = 0;
        for (size_t c = i % blocks * MAXIMA_BLOCK; c < n && c / MAXIMA_BLOCK == i % blocks; c++) {
            if (!r->in[1] || (uint32_t)r->in[1][c / 32] >> c % 32 & 1)
                y[0] = fmax(y[0], x[c]);
            y[1] += x[c];
            y[2] += x[c] * x[c];
        }
    }
}
