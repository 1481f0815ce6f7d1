/* SPDX-License-Identifier: MIT
 *
 * What the parts of the command share: one struct with everything a run knows, the tables of
 * commands and options, and the few services below. The command uses the library through vkclip.h
 * alone, and safetensors.h to exchange tensors.
 */
#ifndef VKCLIP_CLI_CLI_H
#define VKCLIP_CLI_CLI_H

#include <stdio.h>
#include <jansson.h>

#include "base/error.h"
#include "format/safetensors.h"
#include "vkclip.h"

enum cli_exit {
    CLI_DONE,
    CLI_FAILED,    /* some inputs failed, the others are done; or the result could not be written */
    CLI_USAGE,     /* the command line is wrong */
    CLI_NO_DEVICE, /* no usable device */
    CLI_NO_MODEL   /* the model cannot be loaded, or lacks what was asked of it */
};

/* A path, a text, or a row of a tensor; or, until cli_read_lists, the name of a file of such. */
struct cli_input {
    char *text;
    size_t length;
    bool list;
    const struct tensor_view *tensor; /* not NULL: row number `row` of it, `text` names it */
    uint64_t row;
};

struct cli_inputs {
    struct cli_input *items;
    size_t count, capacity;
};

struct cli {
    const struct cli_command *command;
    struct vkclip_device *device;
    struct vkclip_model *model;
    struct vkclip_model_info info;
    size_t failures;  /* inputs that were reported and left out */
    char subject[64]; /* the text that the library is working on, for its warnings; else "" */

    /* Options. 0 or NULL: not given. */
    const char *model_path, *device_name, *vocab, *text_encoder, *output, *raw, *batches, *svg,
        *caption_column;
    unsigned precision, weights, activation, type,
        tower; /* position in the option's choices, from 1 */
    uint32_t batch, image_size, context, top, max_pixels, seed, seconds;
    uint32_t vocab_size, min_frequency;
    uint32_t json, strict, verbose, quiet, recursive, no_normalize, hidden, full, lines, records,
        no_check, csv, profile, tuning, only_speed, help;
    struct cli_inputs images, texts, labels, templates, arguments;

    /* Of vkclip train, beside those above. */
    struct vkclip_trainer_params train;
    const char *separator, *log, *eval;
    double warmup;
    uint32_t steps, save_every, eval_every, workers, scheduler;
    uint32_t lock_image, lock_text, freeze_bn_stats, checkpoint_activations, no_augmentation,
        resume, dry_run;
    struct cli_inputs eval_templates;
};

/* ---- Options and commands: main.c, cli_options.c --------------------------------------------- */

enum cli_kind {
    CLI_FLAG,   /* uint32_t: how often it was given */
    CLI_TEXT,   /* const char * */
    CLI_NUMBER, /* uint32_t from 1 up */
    CLI_REAL,   /* double, or as many with commas between as `argument` has: from 0 up; -1 where 0
                 * was given, for 0 is what nobody gave */
    CLI_CHOICE, /* unsigned: which word of `argument`, which has a | between the words */
    CLI_ITEM,   /* struct cli_inputs: one input more */
    CLI_LIST    /* struct cli_inputs: a file that has one input a line */
};

/* The row that parses an option and describes it. */
struct cli_option {
    char letter; /* 0: none */
    const char *name, *argument, *help;
    enum cli_kind kind;
    size_t field; /* offset in struct cli */
};

struct cli_command {
    const char *name, *summary;
    const char *usage;                /* what follows the command's name, a form a line */
    const char *text;                 /* for --help, in lines */
    const struct cli_option *options; /* ends with a row without name */
    int (*run)(struct cli *cli);      /* returns an enum cli_exit */
    bool arguments;                   /* takes some beside options */
};

#define CLI_OPTION(letter, name, argument, kind, field, help)           \
    {                                                                   \
        letter, name, argument, help, kind, offsetof(struct cli, field) \
    }
#define CLI_COMMON_OPTIONS                                                                      \
    CLI_OPTION(0, "json", NULL, CLI_FLAG, json, "print JSON, one object a line"),               \
        CLI_OPTION('v', "verbose", NULL, CLI_FLAG, verbose, "tell what is done; twice: debug"), \
        CLI_OPTION('q', "quiet", NULL, CLI_FLAG, quiet, "no warnings and no progress bar"),     \
        CLI_OPTION('h', "help", NULL, CLI_FLAG, help, "show this text")
#define CLI_MODEL_OPTION                                   \
    CLI_OPTION('m', "model", "PATH", CLI_TEXT, model_path, \
               "checkpoint: a file, a folder or a hub name")
#define CLI_VOCAB_OPTION                            \
    CLI_OPTION(0, "vocab", "FILE", CLI_TEXT, vocab, \
               "vocabulary, if not the one beside the checkpoint")
#define CLI_ENCODER_OPTION                                        \
    CLI_OPTION(0, "text-encoder", "NAME", CLI_TEXT, text_encoder, \
               "of a Stable Diffusion file: clip_l, clip_h, clip_g")
#define CLI_STRICT_OPTION \
    CLI_OPTION(0, "strict", NULL, CLI_FLAG, strict, "a text longer than the context is an error")
#define CLI_ACTIVATION_OPTION                                              \
    CLI_OPTION(0, "activation", "quick_gelu|gelu", CLI_CHOICE, activation, \
               "of a checkpoint that does not say it")
#define CLI_IMAGE_SIZE_OPTION                                \
    CLI_OPTION(0, "image-size", "N", CLI_NUMBER, image_size, \
               "pixels a side, if not the checkpoint's: positions are interpolated")
#define CLI_DEVICE_OPTION                                    \
    CLI_OPTION(0, "device", "N|NAME", CLI_TEXT, device_name, \
               "device by number or part of its name; several: 0,1 or all")
#define CLI_PRECISION_OPTION                                     \
    CLI_OPTION(0, "precision", "f32|f16", CLI_CHOICE, precision, \
               "of activations and, but in training, of weights (f32)")
#define CLI_MODEL_OPTIONS                                                          \
    CLI_MODEL_OPTION, CLI_DEVICE_OPTION, CLI_PRECISION_OPTION,                     \
        CLI_OPTION(0, "weights", "f16|q8|q4", CLI_CHOICE, weights,                 \
                   "smaller matrices on the device, 16, 8.5 or 4.5 bits a value"), \
        CLI_IMAGE_SIZE_OPTION, CLI_ACTIVATION_OPTION, CLI_ENCODER_OPTION, CLI_VOCAB_OPTION
#define CLI_ENCODE_OPTIONS \
    CLI_MODEL_OPTIONS,     \
        CLI_OPTION(0, "batch", "N", CLI_NUMBER, batch, "most inputs that run at once")
#define CLI_PICTURE_OPTIONS                                                                 \
    CLI_OPTION('r', "recursive", NULL, CLI_FLAG, recursive, "also the folders in folders"), \
        CLI_OPTION(0, "max-pixels", "N", CLI_NUMBER, max_pixels,                            \
                   "refuse larger pictures (89478485)")

extern const struct cli_command *const cli_commands[]; /* ends with NULL */
extern const struct cli_command cli_devices, cli_info, cli_tokenize, cli_embed, cli_preprocess,
    cli_classify, cli_similarity, cli_pull, cli_convert, cli_init, cli_bench, cli_train,
    cli_tokenizer_train;

/* Fills `cli` from the command's arguments; argv[0] is the command's name. */
int cli_parse_options(struct cli *cli, int argc, char **argv);
void cli_print_help(const struct cli_command *command);

/* ---- Lines: cli_print.c ---------------------------------------------------------------------- */

/* "vkclip: message" on stderr; returns `status`. */
int cli_fail(int status, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same with "vkclip COMMAND --help" named; returns CLI_USAGE. */
int cli_fail_usage(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same for one input, which is counted. */
void cli_fail_input(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* "vkclip: message" on stderr, of what is no failure. */
void cli_say(const char *format, ...) PRINTF_LIKE(1, 2);
/* Sends the library's warnings, and what -v asks for, to stderr. */
void cli_start_log(struct cli *cli);

/* A bar on stderr once items have taken a second, of which `done` counts up to `total`; a `note`
 * follows the numbers. Where stderr is no terminal, a line a minute if there is a note. */
void cli_start_progress(const struct cli *cli, size_t done, size_t total);
/* The same for a file of `total` MiB, of which `done` are there already. */
void cli_start_download(const struct cli *cli, const char *name, size_t done, size_t total);
void cli_show_progress(size_t done, const char *note);
void cli_clear_progress(void);

/* Any bytes to a JSON string; those that are not UTF-8 become U+FFFD. */
json_t *cli_json_text(const char *text, size_t length);
json_t *cli_json_floats(const float *values, size_t count);
/* Prints one line and releases `json`. False: it could not be built or written. */
bool cli_print_json(json_t *json, FILE *file);
/* Text for a person: no control characters, filled up to `columns` of a terminal. */
void cli_print_text(const char *text, int columns);
int cli_text_columns(const char *text);

/* ---- Inputs: cli_inputs.c -------------------------------------------------------------------- */

bool cli_add_input(struct cli_inputs *inputs, const char *text, size_t length);
void cli_free_inputs(struct cli_inputs *inputs);

/* Reads a file's (or with "-" standard input's) texts one after the other. */
struct cli_reader {
    FILE *file;
    const char *name;
    int delimiter; /* '\n' (then a '\r' before it belongs to it) or 0 */
    size_t number; /* of the text just read, from 1 */
    char *text;
    size_t length, capacity;
};
bool cli_open_reader(struct cli *cli, struct cli_reader *reader, const char *path, int delimiter);
bool cli_read_text(struct cli *cli, struct cli_reader *reader); /* false: no more */
void cli_close_reader(struct cli_reader *reader);

/* Puts the texts of every list in the list's place; empty lines are inputs only on demand. */
int cli_read_lists(struct cli *cli, struct cli_inputs *inputs, bool keep_empty);
/* Completes cli->images: the arguments come behind them, the paths of every list in the list's
 * place, the pictures in every folder, sorted by name, in the folder's place. */
int cli_read_pictures(struct cli *cli);
/* Puts the pictures in every folder in the folder's place. */
int cli_read_folders(struct cli *cli, struct cli_inputs *inputs);

/* ---- Encoding: cli_encode.c ------------------------------------------------------------------ */

/* Opens the device (unless `without_device`) and the model that the options name. */
int cli_open_model(struct cli *cli, bool without_device);
/* What the options say of how to open it. */
struct vkclip_model_params cli_model_params(const struct cli *cli);
/* Fails with a clear line when the model cannot encode the kinds asked for. */
int cli_need(const struct cli *cli, bool images, bool texts, bool vocabulary);

/* Ids of a text; what the library says about it is printed with the text's beginning. A failure is
 * reported and counted. */
bool cli_tokenize_text(struct cli *cli, const char *text, size_t length, unsigned flags,
                       int32_t *ids, size_t capacity, size_t *count);
/* A picture file to [S,S,3] and [3,S,S], either may be NULL; a failure is reported and counted. */
bool cli_load_picture(struct cli *cli, const char *path, uint8_t *u8, float *pixel_values);

/* Every template has its {}. */
int cli_check_templates(const struct cli *cli, const struct cli_inputs *templates);
/* Embeddings [L,D] of cli->labels, each averaged over the templates. */
int cli_encode_labels(struct cli *cli, const struct cli_inputs *templates, float *embeds);
/* The texts by themselves, to be freed; NULL: out of memory. */
const char **cli_texts_of(const struct cli_inputs *inputs);

/* Receives the embeddings [count, width] of some inputs, in order. False stops the run. */
typedef bool cli_group_fn(void *user, const struct cli_input *const *inputs, size_t count,
                          const float *embeds, size_t width);

struct cli_run {
    const struct cli_input *inputs;
    size_t count;
    bool images;   /* pictures, else texts */
    size_t length; /* token ids a row, for texts */
    bool no_normalize;
    vkclip_hidden_fn *hidden;
    cli_group_fn *group;
    void *user; /* given to both */
};
/* Loads and encodes the inputs in groups, so that memory does not grow with their number. A bad one
 * is reported, counted and left out; the rest is done. */
int cli_encode(struct cli *cli, const struct cli_run *run);
/* True if all are finite numbers; else the input is reported and counted. */
bool cli_check_finite(struct cli *cli, const struct cli_input *input, const float *values,
                      size_t count);

/* ---- Training: cli_evaluate.c, cli_train_loop.c ---------------------------------------------- */

/* Zero-shot accuracy of a checkpoint on pictures whose folders' names are their labels. */
struct cli_evaluation {
    size_t images;
    double top1, top5; /* per cent */
};
/* Finds the pictures of --eval, and the labels if there are none yet. */
int cli_prepare_evaluation(struct cli *cli);
int cli_evaluate(struct cli *cli, const char *model, struct cli_evaluation *evaluation);

/* Runs all steps of an open trainer, with log, evaluations and checkpoints. */
int cli_run_training(struct cli *cli, struct vkclip_trainer *trainer);

#endif
