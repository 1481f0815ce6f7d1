/* SPDX-License-Identifier: MIT
 *
 * Options that several commands share.
 */
#include "cli/groups.h"

/* ---- The model ------------------------------------------------------------------------------- */

#define FIELD(name) offsetof(struct cli_model_options, name)
const struct cli_choice cli_precision_choices[] = {
    {"f32", VKCLIP_PRECISION_F32}, {"f16", VKCLIP_PRECISION_F16}, {0}};
static const struct cli_choice activations[] = {
    {"quick_gelu", VKCLIP_ACTIVATION_QUICK_GELU}, {"gelu", VKCLIP_ACTIVATION_GELU}, {0}};
const struct cli_choice cli_weights_choices[] = {
    {"f16", VKCLIP_WEIGHTS_F16}, {"q8", VKCLIP_WEIGHTS_Q8}, {"q4", VKCLIP_WEIGHTS_Q4}, {0}};
static const struct cli_choice computes[] = {
    {"f32", VKCLIP_COMPUTE_F32}, {"f16", VKCLIP_COMPUTE_F16}, {0}};

const struct cli_option cli_path_options[] = {
    CLI_OPTION('m', "model", "PATH", CLI_TEXT, FIELD(path),
               "checkpoint: a file, a folder or a hub name"),
    {0}};
const struct cli_option cli_vocab_options[] = {
    CLI_OPTION(0, "vocab", "FILE", CLI_TEXT, FIELD(vocab),
               "vocabulary, if not the one beside the checkpoint"),
    {0}};
const struct cli_option cli_activation_options[] = {
    CLI_OPTION_CHOICE("activation", activations, FIELD(activation),
                      "for a checkpoint that does not name its activation"),
    CLI_OPTION(0, "state-dict", "NAME", CLI_TEXT, FIELD(state_dict),
               "weights of a file with several sets, by their prefix"),
    {0}};
const struct cli_option cli_image_size_options[] = {
    CLI_OPTION(0, "image-size", "N", CLI_NUMBER, FIELD(image_size),
               "pixels per side, if not the checkpoint's: positions are interpolated"),
    {0}};
const struct cli_option cli_encoder_options[] = {
    CLI_OPTION(0, "text-encoder", "clip_l|clip_h|clip_g|t5xxl|umt5xxl", CLI_TEXT,
               FIELD(text_encoder),
               "which text encoder of a file with several, or which one a file is"),
    {0}};
const struct cli_option cli_text_options[] = {
    CLI_INCLUDE(cli_encoder_options, 0), CLI_INCLUDE(cli_vocab_options, 0), {0}};
const struct cli_option cli_precision_options[] = {
    CLI_OPTION_CHOICE("precision", cli_precision_choices, FIELD(precision),
                      "of activations and, except in training, of weights (f32)"),
    {0}};
const struct cli_option cli_arithmetic_options[] = {
    CLI_INCLUDE(cli_precision_options, 0),
    CLI_OPTION_CHOICE("weights", cli_weights_choices, FIELD(weights),
                      "smaller matrices on the device: 16, 8.5 or 4.5 bits per value"),
    CLI_OPTION_CHOICE("compute", computes, FIELD(compute),
                      "f16: matrix units multiply f32 rounded to f16, where there are any (f32)"),
    CLI_OPTION(0, "stream", NULL, CLI_FLAG, FIELD(stream),
               "keep two blocks of a tower on the device, and read the others as they run"),
    {0}};
const struct cli_option cli_model_options[] = {
    CLI_INCLUDE(cli_path_options, 0),       CLI_INCLUDE(cli_arithmetic_options, 0),
    CLI_INCLUDE(cli_image_size_options, 0), CLI_INCLUDE(cli_activation_options, 0),
    CLI_INCLUDE(cli_text_options, 0),       {0}};
const struct cli_option cli_batch_options[] = {
    CLI_OPTION_PARAMETER(0, "batch", "N", CLI_NUMBER, FIELD(batch), "max_batch",
                         "the most inputs that run at once"),
    {0}};
#undef FIELD

const struct cli_option cli_device_options[] = {
    CLI_OPTION(0, "device", "N|NAME", CLI_TEXT, offsetof(struct cli_device_options, name),
               "device by number or part of its name; several: 0,1 or all"),
    {0}};

const struct cli_option cli_index_options[] = {
    CLI_OPTION(0, "index", "FILE|URI", CLI_TEXT, offsetof(struct cli_index_options, path),
               "the index or its database, if not VKCLIP_INDEX or the user's"),
    {0}};

/* ---- Inputs ---------------------------------------------------------------------------------- */

#define FIELD(name) offsetof(struct cli_decoding, name)
const struct cli_option cli_decoding_options[] = {
    CLI_OPTION(0, "max-pixels", "N", CLI_NUMBER, FIELD(max_pixels),
               "refuse larger pictures (89478485)"),
    CLI_OPTION(0, "orient", NULL, CLI_FLAG, FIELD(orient),
               "turn pictures as their EXIF orientation says"),
    CLI_OPTION(0, "fast-decode", NULL, CLI_FLAG, FIELD(fast),
               "decode large JPEGs at a fraction of their size"),
    {0}};
#undef FIELD

#define FIELD(name) offsetof(struct cli_pictures, name)
const struct cli_option cli_picture_options[] = {
    CLI_OPTION(0, "image", "FILE", CLI_ITEM, FIELD(images),
               "a picture, or a folder of pictures; -: a picture from stdin"),
    CLI_OPTION(0, "images-from", "FILE", CLI_LIST, FIELD(images),
               "a list of pictures, one per line; -: stdin"),
    CLI_OPTION('0', "null", NULL, CLI_FLAG, FIELD(null),
               "the inputs of lists end with a NUL byte, as find -print0 writes them"),
    CLI_OPTION('r', "recursive", NULL, CLI_FLAG, FIELD(recursive),
               "also the pictures in folders within folders"),
    CLI_INCLUDE(cli_decoding_options, FIELD(decoding)),
    {0}};
#undef FIELD

#define FIELD(name) offsetof(struct cli_texts, name)
const struct cli_option cli_texts_options[] = {
    CLI_OPTION(0, "text", "TEXT", CLI_ITEM, FIELD(texts), "a text"),
    CLI_OPTION(0, "texts-from", "FILE", CLI_LIST, FIELD(texts),
               "a file of texts, one per line; -: stdin"),
    {0}};
#undef FIELD

const struct cli_option cli_strict_options[] = {
    CLI_OPTION(0, "strict", NULL, CLI_FLAG, offsetof(struct cli_strictness, strict),
               "a text longer than the context is an error"),
    {0}};

#define FIELD(name) offsetof(struct cli_remote_options, name)
const struct cli_option cli_remote_options[] = {
    CLI_OPTION(0, "server", "auto|never|ADDRESS", CLI_TEXT, FIELD(server),
               "vkclip serve that has the model loaded: a socket or URL (auto: your own)"),
    CLI_OPTION(0, "server-ca", "FILE", CLI_TEXT, FIELD(authority),
               "trust an https:// server by this PEM file: its certificate or its authority's"),
    {0}};
#undef FIELD

const struct cli_choice cli_syntax_choices[] = {
#define X(name, text) {text, 1 + VKCLIP_SYNTAX_##name},
    VKCLIP_SYNTAXES(X)
#undef X
        {0}};
const struct cli_option cli_syntax_options[] = {
    CLI_OPTION_CHOICE("syntax", cli_syntax_choices, offsetof(struct cli_syntax, given),
                      "brackets, weights and chunks of prompts as another program has them"),
    {0}};

enum vkclip_syntax cli_find_syntax(const struct cli_syntax *syntax)
{
    return syntax->given ? (enum vkclip_syntax)(syntax->given - 1) : VKCLIP_SYNTAX_NONE;
}
