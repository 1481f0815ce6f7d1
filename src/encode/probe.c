/* SPDX-License-Identifier: MIT
 *
 * Multinomial logistic regression by L-BFGS (Nocedal and Wright, chapter 7) with a line search for
 * the weak Wolfe conditions. The function is convex, so that the minimum which is found is the only
 * one. Parameters are stored as [D+1,K]: one row per feature and one for the biases, because the
 * inner loops over classes then need no sums across a vector.
 */
#include "encode/probe.h"
#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* The rows are cut into parts whose gradients are added up in order, so that the sums are the same
 * with any number of threads. Rows are taken four at a time, which reads the weights once for
 * four. */
enum { PARTS = 16, ROWS = 4, HISTORY = 10, DEFAULT_ITERATIONS = 1000, MOST_TRIALS = 60 };
static const double DEFAULT_C = 1, DEFAULT_TOLERANCE = 1e-5;

struct problem {
    struct probe_data data;
    double c;
    struct workers *workers;
    size_t size;         /* parameters, (D + 1) * K */
    const double *point; /* where the loss is wanted */
    double losses[PARTS];
    double *gradients; /* [PARTS,size] */
    double *scratch;   /* [PARTS,ROWS,K] */
};

/* ---- The loss -------------------------------------------------------------------------------- */

/* Turns logits into the derivative of the cross-entropy by them, and returns the cross-entropy. */
static double softmax_loss(double *logits, size_t classes, uint32_t label)
{
    double most = logits[0], sum = 0;
    for (size_t k = 1; k < classes; k++)
        most = logits[k] > most ? logits[k] : most;
    const double own = logits[label] - most;
    for (size_t k = 0; k < classes; k++) {
        logits[k] = exp(logits[k] - most);
        sum += logits[k];
    }
    for (size_t k = 0; k < classes; k++)
        logits[k] /= sum;
    logits[label] -= 1;
    return log(sum) - own;
}

/* Adds the loss of up to ROWS rows to the part, and their gradient. */
static double add_rows(const struct problem *problem, size_t first, size_t rows, double *logits,
                       double *gradient)
{
    const size_t dim = problem->data.dim, classes = problem->data.classes;
    const float *features = &problem->data.features[first * dim];
    double loss = 0;
    for (size_t r = 0; r < rows; r++)
        memcpy(&logits[r * classes], &problem->point[dim * classes], classes * sizeof(*logits));
    for (size_t d = 0; d < dim; d++) {
        const double *weights = &problem->point[d * classes];
        for (size_t r = 0; r < rows; r++) {
            const double feature = features[r * dim + d];
            double *row = &logits[r * classes];
            for (size_t k = 0; k < classes; k++)
                row[k] += feature * weights[k];
        }
    }
    for (size_t r = 0; r < rows; r++)
        loss += softmax_loss(&logits[r * classes], classes, problem->data.labels[first + r]);
    for (size_t d = 0; d <= dim; d++) {
        double *sums = &gradient[d * classes];
        for (size_t r = 0; r < rows; r++) {
            const double feature = d < dim ? features[r * dim + d] : 1;
            const double *row = &logits[r * classes];
            for (size_t k = 0; k < classes; k++)
                sums[k] += feature * row[k];
        }
    }
    return loss;
}

/* Is a workers_job_fn. */
static int compute_part(void *user, size_t part, unsigned thread)
{
    struct problem *problem = user;
    const size_t count = problem->data.count;
    const size_t begin = count * part / PARTS, end = count * (part + 1) / PARTS;
    double *gradient = &problem->gradients[part * problem->size];
    double *logits = &problem->scratch[part * ROWS * problem->data.classes];
    double loss = 0;
    (void)thread;
    memset(gradient, 0, problem->size * sizeof(*gradient));
    for (size_t i = begin; i < end; i += ROWS)
        loss += add_rows(problem, i, end - i < ROWS ? end - i : ROWS, logits, gradient);
    problem->losses[part] = loss;
    return VKCLIP_OK;
}

/* Computes the objective and its gradient. The biases are not penalised. */
static double evaluate(struct problem *problem, const double *point, double *gradient)
{
    const size_t weights = problem->data.dim * problem->data.classes;
    double loss = 0, squares = 0;
    problem->point = point;
    workers_run(problem->workers, compute_part, problem, PARTS);
    for (size_t part = 0; part < PARTS; part++)
        loss += problem->losses[part];
    for (size_t i = 0; i < problem->size; i++) {
        double sum = 0;
        for (size_t part = 0; part < PARTS; part++)
            sum += problem->gradients[part * problem->size + i];
        gradient[i] = problem->c * sum + (i < weights ? point[i] : 0);
        squares += i < weights ? point[i] * point[i] : 0;
    }
    return problem->c * loss + squares / 2;
}

/* ---- L-BFGS ---------------------------------------------------------------------------------- */

/* Everything has `size` numbers per vector. */
struct search {
    struct problem *problem;
    double *point, *gradient, *direction, *trial, *trial_gradient;
    double *steps, *changes; /* [HISTORY]: of the point and of the gradient */
    double curvatures[HISTORY];
    size_t kept, newest; /* pairs in the history, and the place of the last one */
    double value, trial_value;
};

static double dot(const double *a, const double *b, size_t size)
{
    double sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add_scaled(double *sum, double factor, const double *vector, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum[i] += factor * vector[i];
}

static double largest(const double *vector, size_t size)
{
    double most = 0;
    for (size_t i = 0; i < size; i++)
        most = fmax(most, fabs(vector[i]));
    return most;
}

/* Multiplies the negative gradient by the estimate of the inverse Hessian (two-loop recursion). */
static void find_direction(struct search *search)
{
    const size_t size = search->problem->size;
    double *direction = search->direction, factors[HISTORY];
    for (size_t i = 0; i < size; i++)
        direction[i] = -search->gradient[i];
    for (size_t i = 0; i < search->kept; i++) {
        const size_t k = (search->newest + HISTORY - i) % HISTORY;
        factors[k] = dot(&search->steps[k * size], direction, size) / search->curvatures[k];
        add_scaled(direction, -factors[k], &search->changes[k * size], size);
    }
    const double *change = &search->changes[search->newest * size];
    const double scale = search->kept
                             ? search->curvatures[search->newest] / dot(change, change, size)
                             : 1 / fmax(1, sqrt(dot(direction, direction, size)));
    for (size_t i = 0; i < size; i++)
        direction[i] *= scale;
    for (size_t i = search->kept; i-- > 0;) {
        const size_t k = (search->newest + HISTORY - i) % HISTORY;
        const double factor =
            dot(&search->changes[k * size], direction, size) / search->curvatures[k];
        add_scaled(direction, factors[k] - factor, &search->steps[k * size], size);
    }
}

/* Finds a step that lowers the objective enough and goes far enough, by doubling and bisection.
 * False: rounding leaves nothing to gain. */
static bool find_step(struct search *search)
{
    const size_t size = search->problem->size;
    const double slope = dot(search->gradient, search->direction, size);
    double low = 0, high = INFINITY, step = 1;
    for (int trial = 0; slope < 0 && trial < MOST_TRIALS; trial++) {
        memcpy(search->trial, search->point, size * sizeof(*search->trial));
        add_scaled(search->trial, step, search->direction, size);
        search->trial_value = evaluate(search->problem, search->trial, search->trial_gradient);
        if (!(search->trial_value <= search->value + 1e-4 * step * slope))
            high = step;
        else if (dot(search->trial_gradient, search->direction, size) < 0.9 * slope)
            low = step;
        else
            return true;
        step = isinf(high) ? 2 * low : (low + high) / 2;
    }
    return false;
}

/* Moves to the trial, and keeps the step if the function curves along it. */
static void take_step(struct search *search)
{
    const size_t size = search->problem->size, next = (search->newest + 1) % HISTORY;
    double *step = &search->steps[next * size], *change = &search->changes[next * size];
    for (size_t i = 0; i < size; i++) {
        step[i] = search->trial[i] - search->point[i];
        change[i] = search->trial_gradient[i] - search->gradient[i];
    }
    const double curvature = dot(step, change, size);
    if (curvature > 0) {
        search->curvatures[next] = curvature;
        search->newest = next;
        search->kept += search->kept < HISTORY;
    }
    memcpy(search->point, search->trial, size * sizeof(*search->point));
    memcpy(search->gradient, search->trial_gradient, size * sizeof(*search->gradient));
    search->value = search->trial_value;
}

static int minimise(struct search *search, const struct vkclip_probe_params *params,
                    struct vkclip_probe_result *result)
{
    const size_t size = search->problem->size;
    const uint32_t limit = params->max_iterations ? params->max_iterations : DEFAULT_ITERATIONS;
    search->value = evaluate(search->problem, search->point, search->gradient);
    const double first = fmax(largest(search->gradient, size), 1e-12);
    const double tolerance = params->tolerance > 0 ? params->tolerance : DEFAULT_TOLERANCE;
    while (largest(search->gradient, size) > tolerance * first && result->iterations < limit) {
        find_direction(search);
        if (!find_step(search))
            break;
        take_step(search);
        result->iterations++;
        if (params->progress && params->progress(params->user, result->iterations, limit))
            return error_fail(VKCLIP_ECANCELLED, "stopped by the caller after %u iterations",
                              result->iterations);
    }
    /* Where rounding ends the search the gradient is as small as it can be. */
    result->converged =
        result->iterations < limit || largest(search->gradient, size) <= tolerance * first;
    result->objective = search->value;
    return VKCLIP_OK;
}

int probe_fit(const struct probe_data *data, const struct vkclip_probe_params *params,
              struct workers *workers, float *weights, float *biases,
              struct vkclip_probe_result *result)
{
    struct problem problem = {.data = *data,
                              .c = params->c > 0 ? params->c : DEFAULT_C,
                              .workers = workers,
                              .size = (data->dim + 1) * data->classes};
    const size_t size = problem.size, vectors = 5 + 2 * HISTORY + PARTS;
    double *memory =
        size < SIZE_MAX / 8 / vectors ? memory_calloc(vectors * size, sizeof(*memory)) : NULL;
    problem.scratch = memory_calloc((size_t)PARTS * ROWS * data->classes, sizeof(*problem.scratch));
    *result = (struct vkclip_probe_result){0};
    int error =
        memory && problem.scratch
            ? VKCLIP_OK
            : error_fail(VKCLIP_EMEMORY, "out of memory for a probe of %zu parameters", size);
    if (!error) {
        struct search search = {.problem = &problem,
                                .point = memory,
                                .gradient = memory + size,
                                .direction = memory + 2 * size,
                                .trial = memory + 3 * size,
                                .trial_gradient = memory + 4 * size,
                                .steps = memory + 5 * size,
                                .changes = memory + (5 + HISTORY) * size};
        problem.gradients = memory + (5 + 2 * HISTORY) * size;
        error = minimise(&search, params, result);
        for (size_t k = 0; k < data->classes; k++) {
            for (size_t d = 0; d < data->dim; d++)
                weights[k * data->dim + d] = (float)search.point[d * data->classes + k];
            biases[k] = (float)search.point[data->dim * data->classes + k];
        }
    }
    memory_free(memory);
    memory_free(problem.scratch);
    return error;
}
