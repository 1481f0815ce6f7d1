/* SPDX-License-Identifier: MIT
 *
 * vkclip probe: a linear classifier of embeddings, fitted to pictures whose folders are their
 * labels. Its file is safetensors with `weight` [K,D] and `bias` [K], whose metadata names the
 * labels and the model.
 */
#include "base/string.h"
#include "cli/command.h"
#include "cli/commands/results.h"
#include "cli/encode.h"
#include "cli/evaluate.h"
#include "cli/inputs.h"
#include "cli/log.h"
#include "cli/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The paper's authors publish 0.316 as the C of their example, for embeddings of the same kind. */
static const double DEFAULT_C = 0.316;
enum { DEFAULT_TOP = 5, MODEL_SIZE = 512 };

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_pictures pictures;
    const char *output, *probe, *test;
    double c[1];
    uint32_t iterations, top;
};

struct probe {
    struct cli_session *session;
    struct cli_inputs labels;
    float *weights, *biases, *probs; /* [K,D], [K] and [K] of one picture */
    size_t dim;
    char model[MODEL_SIZE]; /* what made the embeddings */
};

/* The embeddings of labelled pictures. */
struct features {
    const struct probe *probe;
    float *rows;      /* [count,D] */
    uint32_t *labels; /* [count] */
    size_t count;
};

static bool make_arrays(struct probe *probe)
{
    const size_t classes = probe->labels.count;
    probe->weights = calloc(classes * probe->dim + 1, sizeof(*probe->weights));
    probe->biases = calloc(classes + 1, sizeof(*probe->biases));
    probe->probs = calloc(classes + 1, sizeof(*probe->probs));
    return probe->weights && probe->biases && probe->probs;
}

static void close_probe(struct probe *probe)
{
    cli_free_inputs(&probe->labels);
    free(probe->weights);
    free(probe->biases);
    free(probe->probs);
}

/* ---- Embeddings -------------------------------------------------------------------------------- */

/* Is a cli_embed_fn. */
static bool take_feature(void *user, const struct cli_input *picture, const float *embed,
                         size_t width)
{
    struct features *features = user;
    memcpy(&features->rows[features->count * width], embed, width * sizeof(*embed));
    features->labels[features->count++] =
        (uint32_t)cli_find_label(&features->probe->labels, picture->text);
    return true;
}

static int encode_pictures(const struct probe *probe, const struct cli_inputs *pictures,
                           const struct options *options, cli_embed_fn *embed, void *user)
{
    const struct cli_encoding encoding = {
        .no_normalize = true, .decoding = options->pictures.decoding, .embed = embed, .user = user};
    return cli_encode_files(probe->session, &encoding, pictures);
}

static int encode_features(const struct probe *probe, const struct cli_inputs *pictures,
                           const struct options *options, struct features *features)
{
    *features = (struct features){.probe = probe};
    features->rows = calloc(pictures->count * probe->dim + 1, sizeof(*features->rows));
    features->labels = calloc(pictures->count + 1, sizeof(*features->labels));
    if (!features->rows || !features->labels)
        return cli_fail_memory();
    return encode_pictures(probe, pictures, options, take_feature, features);
}

static void free_features(struct features *features)
{
    free(features->rows);
    free(features->labels);
}

/* Returns the number of the most probable label, and leaves the probabilities in the probe. */
static size_t apply(const struct probe *probe, const float *row)
{
    const size_t classes = probe->labels.count;
    size_t best = 0;
    vkclip_apply_probe(row, 1, probe->dim, probe->weights, probe->biases, classes, probe->probs);
    for (size_t k = 1; k < classes; k++)
        best = probe->probs[k] > probe->probs[best] ? k : best;
    return best;
}

/* Returns the percentage of pictures whose own label is the most probable one. */
static double measure_accuracy(const struct probe *probe, const struct features *features)
{
    size_t right = 0;
    for (size_t i = 0; i < features->count; i++)
        right += apply(probe, &features->rows[i * probe->dim]) == features->labels[i];
    return features->count ? 100.0 * (double)right / (double)features->count : 0;
}

/* Measures the probe on the pictures of --test. *images stays 0 without --test. */
static int test_probe(struct probe *probe, const struct options *options, size_t *images,
                      double *accuracy)
{
    struct cli_inputs pictures = {0};
    struct features features = {0};
    int status = CLI_DONE;
    if (!options->test)
        return CLI_DONE;
    if (!cli_add_input(&pictures, options->test, strlen(options->test)))
        status = cli_fail_memory();
    if (!status)
        status = cli_read_folders(probe->session, &pictures, true);
    if (!status)
        status = cli_add_labels(&probe->labels, &pictures);
    if (!status)
        status = encode_features(probe, &pictures, options, &features);
    *images = features.count;
    *accuracy = measure_accuracy(probe, &features);
    free_features(&features);
    cli_free_inputs(&pictures);
    return status;
}

/* ---- The file ---------------------------------------------------------------------------------- */

static json_t *list_labels(const struct cli_inputs *labels)
{
    json_t *list = json_array();
    for (size_t i = 0; i < labels->count; i++)
        json_array_append_new(list, cli_json_text(labels->items[i].text, labels->items[i].length));
    return list;
}

static int write_probe(const struct probe *probe, const char *path)
{
    const uint64_t classes = probe->labels.count, dim = probe->dim;
    const struct tensor_view views[] = {{.name = "weight",
                                         .dtype = DTYPE_F32,
                                         .rank = 2,
                                         .shape = {classes, dim},
                                         .data = probe->weights,
                                         .size = classes * dim * sizeof(float)},
                                        {.name = "bias",
                                         .dtype = DTYPE_F32,
                                         .rank = 1,
                                         .shape = {classes},
                                         .data = probe->biases,
                                         .size = classes * sizeof(float)}};
    json_t *list = list_labels(&probe->labels);
    char *labels = json_dumps(list, JSON_COMPACT);
    const char *const metadata[] = {"labels", labels, "model", probe->model, NULL};
    int status = labels ? CLI_DONE : cli_fail_memory();
    if (!status && safetensors_write(path, views, 2, metadata))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    json_decref(list);
    free(labels);
    return status;
}

static bool read_labels(const json_t *metadata, struct cli_inputs *labels)
{
    const char *text = json_string_value(json_object_get(metadata, "labels"));
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    bool good = json_array_size(list) > 1;
    for (size_t i = 0; good && i < json_array_size(list); i++) {
        const json_t *label = json_array_get(list, i);
        good = json_is_string(label) &&
               cli_add_input(labels, json_string_value(label), json_string_length(label));
    }
    json_decref(list);
    return good;
}

/* Reads a tensor of the shape [K,D] or [K], whose values must be numbers: the probabilities of all
 * labels follow from each of them. */
static int copy_tensor(const char *path, const struct safetensors *file, const char *name,
                       const uint64_t shape[2], unsigned rank, float *values)
{
    const struct tensor_view *view = safetensors_find(file, name);
    const uint64_t count = view ? tensor_view_elements(view) : 0;
    if (!view || view->dtype != DTYPE_F32 || view->rank != rank ||
        memcmp(view->shape, shape, rank * sizeof(*shape)) != 0)
        return cli_fail(CLI_FAILED,
                        "%s: expected weight [%llu,%llu] and bias [%llu] in F32, which %s is not",
                        path, (unsigned long long)shape[0], (unsigned long long)shape[1],
                        (unsigned long long)shape[0], name);
    if (tensor_view_read(view, 0, count, values))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return cli_fail(CLI_FAILED,
                            "%s: %s[%llu] is not a finite number: train the probe again", path,
                            name, (unsigned long long)i);
    return CLI_DONE;
}

static int take_probe(const char *path, const struct safetensors *file, struct probe *probe)
{
    json_t *metadata = results_read_metadata(file);
    const char *model = json_string_value(json_object_get(metadata, "model"));
    int status = CLI_DONE;
    if (!model || !read_labels(metadata, &probe->labels))
        status = cli_fail(CLI_FAILED, "%s: not a file of vkclip probe train", path);
    else if (strcmp(model, probe->model) != 0)
        status = cli_fail(CLI_FAILED, "%s: made with \"%s\", expected \"%s\"", path, model,
                          probe->model);
    if (!status && !make_arrays(probe))
        status = cli_fail_memory();
    const uint64_t shape[] = {probe->labels.count, probe->dim};
    if (!status)
        status = copy_tensor(path, file, "weight", shape, 2, probe->weights);
    if (!status)
        status = copy_tensor(path, file, "bias", shape, 1, probe->biases);
    json_decref(metadata);
    return status;
}

static int read_probe(const char *path, struct probe *probe)
{
    struct safetensors *file;
    if (safetensors_open(path, &file))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    const int status = take_probe(path, file, probe);
    safetensors_close(&file);
    return status;
}

/* ---- train ------------------------------------------------------------------------------------- */

static int fit(struct probe *probe, const struct features *features, const struct options *options,
               struct vkclip_probe_result *result)
{
    const struct vkclip_probe_params params = {.size = sizeof(params),
                                               .c = options->c[0] > 0 ? options->c[0] : DEFAULT_C,
                                               .max_iterations = options->iterations,
                                               .progress = cli_show_count};
    if (!make_arrays(probe))
        return cli_fail_memory();
    cli_start_progress(probe->session, 0, options->iterations ? options->iterations : 1000);
    const int error =
        vkclip_fit_probe(features->rows, features->labels, features->count, probe->dim,
                         probe->labels.count, &params, probe->weights, probe->biases, result);
    cli_clear_progress();
    if (error)
        return cli_fail_library(probe->session, CLI_FAILED);
    if (!result->converged && !probe->session->common.quiet)
        cli_say(
            "warning: %u iterations were too few to reach the minimum; --iterations allows more",
            result->iterations);
    return CLI_DONE;
}

static bool print_training(const struct probe *probe, const struct features *features,
                           const struct options *options, const struct vkclip_probe_result *result,
                           size_t tested, double test_accuracy)
{
    const double accuracy = measure_accuracy(probe, features);
    if (!probe->session->common.json) {
        printf("%s: %zu labels, %zu pictures, %u iterations\n", options->output,
               probe->labels.count, features->count, result->iterations);
        printf("accuracy %.2f %% of these pictures\n", accuracy);
        if (tested)
            printf("accuracy %.2f %% of %zu pictures of the test\n", test_accuracy, tested);
        return !ferror(stdout);
    }
    json_t *json = json_pack(
        "{so so sI sI sb sf sf}", "output", cli_json_text(options->output, strlen(options->output)),
        "labels", list_labels(&probe->labels), "images", (json_int_t)features->count, "iterations",
        (json_int_t)result->iterations, "converged", (int)result->converged, "objective",
        result->objective, "accuracy", accuracy);
    if (tested) {
        json = cli_json_with(json, "test_images", json_integer((json_int_t)tested));
        json = cli_json_with(json, "test_accuracy", json_real(test_accuracy));
    }
    return cli_print_json(json, stdout);
}

static int train_probe(struct probe *probe, struct options *options)
{
    struct features features = {0};
    struct vkclip_probe_result result = {.size = sizeof(result)};
    size_t tested = 0;
    double test_accuracy = 0;
    options->pictures.recursive = true;
    int status = cli_read_pictures(probe->session, &options->pictures);
    if (!status)
        status = cli_add_labels(&probe->labels, &options->pictures.images);
    if (!status && probe->labels.count < 2)
        status = cli_fail(CLI_FAILED, "expected a folder for each label, at least two");
    if (!status)
        status = encode_features(probe, &options->pictures.images, options, &features);
    if (!status && !features.count)
        status =
            cli_fail(CLI_FAILED, "%s: not written, no picture could be encoded", options->output);
    if (!status)
        status = fit(probe, &features, options, &result);
    if (!status)
        status = write_probe(probe, options->output);
    if (!status)
        status = test_probe(probe, options, &tested, &test_accuracy);
    if (!status && !print_training(probe, &features, options, &result, tested, test_accuracy))
        status = CLI_FAILED;
    free_features(&features);
    return status;
}

/* ---- predict ----------------------------------------------------------------------------------- */

struct prediction {
    struct probe *probe;
    size_t top;
};

static json_t *pack_label(const struct probe *probe, size_t label)
{
    const struct cli_input *name = &probe->labels.items[label];
    return json_pack("{so sf}", "label", cli_json_text(name->text, name->length), "prob",
                     (double)probe->probs[label]);
}

/* Is a cli_embed_fn: prints the most probable labels of a picture, each of which is then taken out.
 */
static bool print_prediction(void *user, const struct cli_input *picture, const float *embed,
                             size_t width)
{
    const struct prediction *prediction = user;
    struct probe *probe = prediction->probe;
    json_t *results = json_array();
    (void)width;
    size_t best = apply(probe, embed);
    cli_clear_progress();
    for (size_t i = 0; i < prediction->top; i++) {
        if (probe->session->common.json) {
            json_array_append_new(results, pack_label(probe, best));
        } else {
            cli_print_text(i ? "" : picture->text, 40);
            printf("  ");
            cli_print_text(probe->labels.items[best].text, 24);
            printf("  %6.2f %%\n", 100 * (double)probe->probs[best]);
        }
        probe->probs[best] = -1;
        for (size_t k = 0; k < probe->labels.count; k++)
            best = probe->probs[k] > probe->probs[best] ? k : best;
    }
    if (!probe->session->common.json) {
        json_decref(results);
        return !fflush(stdout) && !ferror(stdout);
    }
    json_t *line = cli_json_name("path", picture->text, picture->length);
    return cli_print_json(cli_json_with(line, "results", results), stdout) && !fflush(stdout);
}

static int predict(struct probe *probe, struct options *options)
{
    struct prediction prediction = {.probe = probe,
                                    .top = options->top ? options->top : DEFAULT_TOP};
    size_t tested = 0;
    double accuracy = 0;
    int status = read_probe(options->probe, probe);
    if (prediction.top > probe->labels.count)
        prediction.top = probe->labels.count;
    if (!status)
        status = cli_read_pictures(probe->session, &options->pictures);
    if (!status)
        status = encode_pictures(probe, &options->pictures.images, options, print_prediction,
                                 &prediction);
    if (!status)
        status = test_probe(probe, options, &tested, &accuracy);
    if (!status && tested && probe->session->common.json)
        status = cli_print_json(json_pack("{sI sf}", "test_images", (json_int_t)tested,
                                          "test_accuracy", accuracy),
                                stdout)
                     ? CLI_DONE
                     : CLI_FAILED;
    else if (!status && tested)
        printf("accuracy %.2f %% of %zu pictures of the test\n", accuracy, tested);
    return status;
}

/* ---- The command ------------------------------------------------------------------------------- */

/* Takes the word `train` or `predict` from the arguments. */
static const char *take_action(struct cli_session *session)
{
    static const char *const actions[] = {"train", "predict"};
    struct cli_inputs *arguments = &session->arguments;
    for (size_t i = 0; arguments->count && i < 2; i++)
        if (!strcmp(arguments->items[0].text, actions[i])) {
            free(arguments->items[0].text);
            arguments->count--;
            memmove(arguments->items, arguments->items + 1,
                    arguments->count * sizeof(*arguments->items));
            return actions[i];
        }
    return NULL;
}

static int check_options(const struct cli_session *session, const struct options *options,
                         const char *action)
{
    const bool pictures = session->arguments.count || options->pictures.images.count;
    if (!action)
        return cli_fail_usage(session, "expected train or predict");
    const bool train = !strcmp(action, "train");
    if (train && (!options->output || options->probe))
        return cli_fail_usage(session, "name the probe to write with -o FILE.safetensors");
    if (train && results_find_format(options->output) != RESULTS_SAFETENSORS)
        return cli_fail_usage(session, "%s: expected a name that ends in .safetensors",
                              options->output);
    if (options->c[0] < 0) /* It was given as 0. */
        return cli_fail_usage(session, "--inverse-penalty: expected C, a number above 0");
    if (!train && (!options->probe || options->output))
        return cli_fail_usage(session, "name the probe to read with --probe");
    if (!pictures && (train || !options->test))
        return cli_fail_usage(session, "expected pictures or folders");
    return CLI_DONE;
}

static int run_probe(struct cli_session *session, void *user)
{
    struct options *options = user;
    struct probe probe = {.session = session};
    const char *action = take_action(session);
    int status = check_options(session, options, action);
    if (!status)
        status = cli_open_model_on_device(session, &options->model, &options->device);
    if (!status)
        status = cli_check_model(session, options->model.path, CLI_NEED_IMAGES);
    if (!status) {
        probe.dim = session->info.embed_dim;
        cli_describe_model(session, options->model.path, false, probe.model, sizeof(probe.model));
        status = strcmp(action, "train") ? predict(&probe, options) : train_probe(&probe, options);
    }
    close_probe(&probe);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_picture_options, FIELD(pictures)),
    CLI_OPTION('o', "output", "FILE", CLI_TEXT, FIELD(output), "the result's file"),
    CLI_OPTION(0, "probe", "FILE", CLI_TEXT, FIELD(probe), "the probe that predicts"),
    CLI_OPTION(0, "test", "FOLDER", CLI_TEXT, FIELD(test),
               "measure the probe's accuracy: a folder per label, of its name"),
    CLI_OPTION('C', "inverse-penalty", "C", CLI_REALS, FIELD(c),
               "weight of the data against large weights, scikit-learn's C (0.316)"),
    CLI_OPTION(0, "iterations", "N", CLI_NUMBER, FIELD(iterations),
               "the most iterations of L-BFGS (1000)"),
    CLI_OPTION('k', "top", "K", CLI_NUMBER, FIELD(top),
               "print the K best: labels (5), pictures (10)"),
    CLI_INCLUDE(cli_model_options, FIELD(model)),
    CLI_INCLUDE(cli_batch_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_probe_command = {
    .name = "probe",
    .summary = "fit a classifier to pictures in labelled folders",
    .usage = "train -m PATH -o FILE [OPTION...] FOLDER...\n"
             "predict -m PATH --probe FILE [OPTION...] IMAGE|FOLDER...",
    .arguments = "train|predict|FOLDER",
    .text = "Fits a multinomial logistic regression to the embeddings of pictures whose folders' "
            "names\n"
            "are their labels (the paper's linear probe), and prints its accuracy, or names the "
            "labels\n"
            "of other pictures. The embeddings are not normalised. JSON of predict, a line per "
            "picture:\n"
            "{\"path\":...,\"results\":[{\"label\":...,\"prob\":...},...]}, best first.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_probe,
};
