/* SPDX-License-Identifier: MIT
 *
 * Options that several commands share: small structs, and the tables that fill them. A command has
 * the struct as a member of its own and includes the tables that it needs.
 */
#ifndef VKCLIP_CLI_GROUPS_H
#define VKCLIP_CLI_GROUPS_H

#include "cli/table.h"

/* These options say which checkpoint is opened, and how. Commands include the tables that they
 * need. */
struct cli_model_options {
    const char *path, *vocab, *text_encoder, *state_dict;
    enum vkclip_activation activation;
    enum vkclip_precision precision;
    enum vkclip_weights weights;
    enum vkclip_compute compute;
    uint32_t image_size, batch;
    bool stream;
};
extern const struct cli_choice cli_precision_choices[], cli_weights_choices[];
extern const struct cli_option cli_path_options[];       /* -m */
extern const struct cli_option cli_vocab_options[];      /* --vocab */
extern const struct cli_option cli_activation_options[]; /* --activation, --state-dict */
extern const struct cli_option cli_image_size_options[]; /* --image-size */
extern const struct cli_option cli_encoder_options[];    /* --text-encoder */
extern const struct cli_option cli_text_options[];       /* --text-encoder, --vocab */
extern const struct cli_option cli_precision_options[];  /* --precision */
extern const struct cli_option cli_arithmetic_options[]; /* that, --weights, --compute, --stream */
extern const struct cli_option cli_model_options[];      /* all of those */
extern const struct cli_option cli_batch_options[];      /* --batch */

struct cli_device_options {
    const char *name;
};
extern const struct cli_option cli_device_options[];

/* These options say how picture files are decoded. */
struct cli_decoding {
    uint32_t max_pixels;
    bool orient, fast;
};
extern const struct cli_option cli_decoding_options[];

/* The index of pictures, a file; NULL: the library's default. */
struct cli_index_options {
    const char *path;
};
extern const struct cli_option cli_index_options[]; /* --index */

/* Pictures may also be given as arguments; see cli_read_pictures. */
struct cli_pictures {
    struct cli_inputs images;
    struct cli_decoding decoding;
    bool recursive, null;
};
extern const struct cli_option cli_picture_options[];

struct cli_texts {
    struct cli_inputs texts;
};
extern const struct cli_option cli_texts_options[];

/* With `strict` a text that is too long is an error. */
struct cli_strictness {
    bool strict;
};
extern const struct cli_option cli_strict_options[];

/* Which server encodes; see cli/remote.h. */
struct cli_remote_options {
    const char *server;    /* "auto", "never", a socket's path or a URL; NULL: auto */
    const char *authority; /* a PEM file; NULL: what the system trusts */
};
extern const struct cli_option cli_remote_options[]; /* --server, --server-ca */

struct cli_syntax {
    int given; /* 1 + an enum vkclip_syntax; 0: the option was not given */
};
extern const struct cli_choice cli_syntax_choices[];
extern const struct cli_option cli_syntax_options[]; /* --syntax */
enum vkclip_syntax cli_find_syntax(const struct cli_syntax *syntax);

#endif
