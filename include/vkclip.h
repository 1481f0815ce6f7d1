/* SPDX-License-Identifier: MIT
 *
 * vkclip: CLIP (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
 * Supervision") on Vulkan compute. This header is the whole public interface; it compiles alone as
 * C11 and as C++17.
 *
 * Conventions
 *   Errors     Functions that can fail return 0 (VKCLIP_OK) or a negative VKCLIP_E*. A readable
 *              message (what, where, expected, found) is kept per thread: vkclip_last_error().
 *              Names of parameters stand in backquotes, so that a program can write its own options
 *              in their place. The library never exits, aborts or prints; warnings go to the log
 *              callback.
 *   Ownership  The caller owns what it passes in; nothing is kept after the call returns. What an
 *              open function gives is released by the close function of the same name, which
 *              accepts NULL and half-built handles and sets the handle to NULL.
 *   Threads    Handles of one device (the device and the models opened on it) are used by one
 *              thread at a time, with two exceptions that may run at any time on any thread:
 *              vkclip_tokenize and vkclip_preprocess. Different devices are independent. The
 *              library has threads of its own, which end with their device; of the caller's
 *              functions they call vkclip_source_fn only.
 *   Params     A params struct that is all zero, or a NULL in its place, means the defaults.
 *   Layout     Arrays are dense and row-major. N pictures, M texts, T token positions (the model's
 *              context), D the width of the shared space, L labels.
 */
#ifndef VKCLIP_H
#define VKCLIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VKCLIP_VERSION_MAJOR 0
#define VKCLIP_VERSION_MINOR 1
#define VKCLIP_VERSION_PATCH 0

#if defined(_WIN32) && defined(VKCLIP_SHARED)
#ifdef VKCLIP_BUILD
#define VKCLIP_API __declspec(dllexport)
#else
#define VKCLIP_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define VKCLIP_API __attribute__((visibility("default")))
#else
#define VKCLIP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Every error code with its text. */
#define VKCLIP_ERRORS(X)                                               \
    X(OK, 0, "success")                                                \
    X(EINVALID, -1, "invalid argument")                                \
    X(EMEMORY, -2, "out of host memory")                               \
    X(EIO, -3, "file cannot be read or written")                       \
    X(EFORMAT, -4, "malformed file")                                   \
    X(EUNSUPPORTED, -5, "well-formed, but not supported")              \
    X(ENODEVICE, -6, "no usable Vulkan device")                        \
    X(EDEVICE, -7, "Vulkan device failed")                             \
    X(EDEVICEMEMORY, -8, "out of device memory")                       \
    X(ETOOLONG, -9, "text longer than the model's context")            \
    X(EABSENT, -10, "the checkpoint does not have what was asked for") \
    X(EDIVERGED, -11, "training came to a number that is not finite")

enum vkclip_error {
#define X(name, value, text) VKCLIP_##name = value,
    VKCLIP_ERRORS(X)
#undef X
};

/* ---- Library --------------------------------------------------------------------------------- */

/* "major.minor.patch" of the library in use; static string. */
VKCLIP_API const char *vkclip_version(void);

/* Static text of an error code. */
VKCLIP_API const char *vkclip_error_text(int error);

/* Message of the last error on this thread; "" if none. Valid until this thread's next failing
 * call. */
VKCLIP_API const char *vkclip_last_error(void);

enum vkclip_log_level { VKCLIP_LOG_ERROR, VKCLIP_LOG_WARNING, VKCLIP_LOG_INFO, VKCLIP_LOG_DEBUG };

/* Receives every message, one line without line end. Set it before other threads use the library;
 * NULL (the default) drops messages. It is called on the thread that caused the message. */
typedef void vkclip_log_fn(void *user, enum vkclip_log_level level, const char *message);
VKCLIP_API void vkclip_set_log(vkclip_log_fn *log, void *user);

/* ---- Devices --------------------------------------------------------------------------------- */

struct vkclip_device;

enum vkclip_device_type {
    VKCLIP_DEVICE_OTHER,
    VKCLIP_DEVICE_CPU,
    VKCLIP_DEVICE_VIRTUAL,
    VKCLIP_DEVICE_INTEGRATED,
    VKCLIP_DEVICE_DISCRETE
};

struct vkclip_device_info {
    uint32_t index; /* position in Vulkan's enumeration */
    char name[256]; /* Vulkan deviceName */
    enum vkclip_device_type type;
    char driver[512];          /* driver name and version, as the driver gives them */
    uint32_t api_version[3];   /* Vulkan major, minor, patch */
    uint64_t memory;           /* bytes of the largest device-local heap */
    uint64_t max_buffer_range; /* bytes, maxStorageBufferRange */
    char caps[256]; /* optional features found and usable, separated by spaces; "" if none */
    bool usable;    /* false: seen, but lacks something required; `why` says what */
    char why[256];
};

/* Lists the Vulkan devices of this machine in index order: writes at most `capacity` entries and
 * the number present to *count. `infos` may be NULL when capacity is 0. A machine without a Vulkan
 * loader or driver gives VKCLIP_ENODEVICE. */
VKCLIP_API int vkclip_list_devices(struct vkclip_device_info *infos, size_t capacity,
                                   size_t *count);

struct vkclip_device_params {
    /* Index, or part of a name (case does not count); several of them with commas between, or
     * "all" for every usable device: then the handle stands for all of them. NULL or "": the
     * environment variable VKCLIP_DEVICE in the same form, else the best device: discrete, then
     * integrated, virtual, CPU. */
    const char *device;
    /* Folder of the pipeline cache. NULL: VKCLIP_CACHE_DIR, else the user's cache folder; "": none.
     */
    const char *cache_dir;
};

/* Opens a device. Several in one handle share every call's items out among them: a batch goes to
 * the one that will have it done first by its measured speed. Each has the model's weights, and
 * results are in the order of the items, as from one device within rounding. Where one of them
 * fails in a call, the call fails and says which. Errors: ENODEVICE (none, none matches, several
 * match a name), EINVALID (one is named twice, more than 16), EDEVICE. */
VKCLIP_API int vkclip_open_device(const struct vkclip_device_params *params,
                                  struct vkclip_device **device);
/* The device, the first of several. */
VKCLIP_API int vkclip_get_device_info(const struct vkclip_device *device,
                                      struct vkclip_device_info *info);
/* All of them in the order named: at most `capacity` entries, and their number to *count. `infos`
 * may be NULL when capacity is 0. */
VKCLIP_API int vkclip_get_device_infos(const struct vkclip_device *device,
                                       struct vkclip_device_info *infos, size_t capacity,
                                       size_t *count);

/* What a device can do at most, measured. */
struct vkclip_peaks {
    double flops; /* fp32 operations a second: multiply-adds in registers, two operations each */
    double bytes; /* a second, read and written, of a large copy */
    char how[64]; /* which of the multiply-add kernels was the fastest */
};
/* Measures the device (the first of several): a few seconds. */
VKCLIP_API int vkclip_measure_peaks(struct vkclip_device *device, struct vkclip_peaks *peaks);

/* Close the models of a device before the device. */
VKCLIP_API void vkclip_close_device(struct vkclip_device **device);

/* Which kernel a class of shapes gets on a device, from measurements. They are made once, when a
 * model whose work is worth it first runs in a form that is not known, take at most about two
 * seconds each time, and are kept in the cache folder; without one nothing is measured. The
 * environment variable VKCLIP_TUNE says `on` (the default), `off` (a fixed order that depends on
 * the device's features alone) or `force` (measured again). */
struct vkclip_tuning_time {
    const char *kernel; /* shader and tile */
    double ms;          /* of one run; negative: failed, or its result was wrong */
};
struct vkclip_tuning {
    const char *device, *shape, *kernel;    /* names; `kernel` is the one that is used */
    const struct vkclip_tuning_time *times; /* `count` of them; 0: the device was too slow for it */
    size_t count;
};
/* Valid during the call. Return nonzero to stop; the list then fails with EINVALID. */
typedef int vkclip_tuning_fn(void *user, const struct vkclip_tuning *tuning);
VKCLIP_API int vkclip_list_tuning(struct vkclip_device *device, vkclip_tuning_fn *tuning,
                                  void *user);

/* ---- Models ---------------------------------------------------------------------------------- */

struct vkclip_model;

enum vkclip_precision {
    VKCLIP_PRECISION_F32, /* weights and activations in fp32 */
    /* Both stored in fp16, accumulated in fp32, where the device is faster so with sums of eight
     * products in fp16; needs 16-bit storage. */
    VKCLIP_PRECISION_F16
};

/* How the matrices and the token table, which are nearly all of the weights, lie on the device. The
 * activations and the small vectors are stored as the precision says; arithmetic is fp32, or
 * in precision F16 what that says, but see Q8. */
enum vkclip_weights {
    VKCLIP_WEIGHTS_AUTO, /* as the precision says */
    VKCLIP_WEIGHTS_F16,  /* on any device, also in precision F32 */
    /* 8.5 bits: blocks of 32 values with a scale, those of GGUF's Q8_0. Where the device
     * multiplies such integers faster, what is multiplied with a matrix of this type may be rounded
     * to 8 bits a block too. */
    VKCLIP_WEIGHTS_Q8,
    VKCLIP_WEIGHTS_Q4 /* 4.5 bits: those of GGUF's Q4_0; first text block, last projections Q8 */
};

enum vkclip_activation {
    VKCLIP_ACTIVATION_AUTO,
    VKCLIP_ACTIVATION_QUICK_GELU,
    VKCLIP_ACTIVATION_GELU
};

struct vkclip_model_params {
    enum vkclip_precision precision;
    /* Vocabulary: tokenizer.json, vocab.json (merges.txt beside it), bpe_simple_vocab_16e6.txt.gz,
     * or a GGUF file. NULL: the one in the checkpoint, or found beside it. */
    const char *vocab;
    /* Only for a state dict without configuration: its activation, if not OpenAI's QuickGELU. */
    enum vkclip_activation activation;
    /* Largest batch that runs at once; 0: chosen from the device's limits, at most 32. */
    uint32_t max_batch;
    /* Pixels a side of the pictures, if not the checkpoint's: its table of positions is
     * interpolated (bicubic, antialiased, as OpenCLIP does). A multiple of the patch size, of 32
     * for a ModifiedResNet; 0: the checkpoint's. */
    uint32_t image_size;
    /* Which text encoder of a single-file Stable Diffusion checkpoint: "clip_l", "clip_h" or
     * "clip_g". NULL: the first that it has. */
    const char *text_encoder;
    enum vkclip_weights weights;
};

enum vkclip_family {
    VKCLIP_FAMILY_NONE,
    VKCLIP_FAMILY_OPENAI,
    VKCLIP_FAMILY_OPENCLIP,
    VKCLIP_FAMILY_HF
};

/* Sizes of one tower; all zero where the checkpoint has none. */
struct vkclip_tower_info {
    uint32_t width, layers, heads, mlp;
    enum vkclip_activation activation;
    uint32_t positions; /* tokens of the sequence: T for text, patches + 1 for a ViT */
    bool projection;    /* false: embeddings are the pooled hidden state, D = width */
};

struct vkclip_model_info {
    enum vkclip_family family;
    struct vkclip_tower_info image, text;
    /* Bottlenecks of a ModifiedResNet's four stages, its width being the stem's and its heads those
     * of the attention pool; all 0 for a ViT. */
    uint32_t stages[4];
    uint32_t image_size, patch_size; /* pixels, square */
    uint32_t context;                /* T */
    uint32_t vocabulary;             /* rows of the token table */
    uint32_t embed_dim; /* D of image embeddings (text embeddings where there is no image tower) */
    uint32_t text_embed_dim; /* D of text embeddings; equals embed_dim in two-tower checkpoints */
    float logit_scale; /* exp(logit_scale): what similarities are multiplied with; 1 where absent */
    float image_mean[3], image_std[3];
    uint64_t parameters;
    uint64_t weights_bytes; /* device memory that the weights take, in this precision */
    uint64_t memory_bytes; /* the same and the activations of one item: the least that it runs in */
    enum vkclip_precision precision;
    enum vkclip_weights weights; /* AUTO: as the precision */
    bool tokenizer;              /* a vocabulary was found */
    char weights_path[1024],
        weights_type[16]; /* the file, and its main type: "F32", "F16", "BF16" */
    char tokenizer_path[1024];
};

/* Opens a checkpoint: a folder (Hugging Face: config.json and model.safetensors; OpenCLIP:
 * open_clip_config.json and open_clip_model.safetensors; or one OpenAI state dict in safetensors),
 * or the .safetensors, .gguf or PyTorch file itself, or the .index.json of several; it may be a
 * Stable Diffusion checkpoint: then a text encoder of it. For model.safetensors there may be
 * PyTorch's pytorch_model.bin. `device` NULL: configuration and tokenizer only; encoding then fails
 * with VKCLIP_ENODEVICE. `path` NULL with params->vocab set: the tokenizer only. A `path` that is
 * none but a name (openai/clip-vit-base-patch32, ViT-B/32) is looked for in the
 * Hugging Face hub's cache, where `vkclip pull` puts it. Errors: EIO, EFORMAT, EUNSUPPORTED,
 * EMEMORY, EDEVICEMEMORY, EDEVICE, EINVALID. */
VKCLIP_API int vkclip_open_model(struct vkclip_device *device, const char *path,
                                 const struct vkclip_model_params *params,
                                 struct vkclip_model **model);
VKCLIP_API int vkclip_get_model_info(const struct vkclip_model *model,
                                     struct vkclip_model_info *info);
VKCLIP_API void vkclip_close_model(struct vkclip_model **model);

/* Names of the architectures that vkclip_init_model knows, as OpenCLIP writes them (ViT-B-32,
 * RN50), from index 0 on; NULL behind the last. Static strings. */
VKCLIP_API const char *vkclip_arch_name(size_t index);
/* Writes a checkpoint with the random weights that training begins with (the paper's scales) to the
 * new or empty folder `path`, without a vocabulary: in Hugging Face's layout, a ModifiedResNet in
 * OpenCLIP's. `arch` is one of these names or a configuration file (config.json or
 * open_clip_config.json). The same seed gives the same bytes everywhere. Errors: EINVALID, EIO,
 * EFORMAT, EMEMORY. */
VKCLIP_API int vkclip_init_model(const char *arch, uint64_t seed, const char *path);

/* ---- Conversion ------------------------------------------------------------------------------ */

/* How a file holds the matrices and the token table, which are nearly all of the weights. The
 * others stay in fp32. */
enum vkclip_type {
    VKCLIP_TYPE_F16,
    VKCLIP_TYPE_F32,
    VKCLIP_TYPE_BF16, /* safetensors only */
    VKCLIP_TYPE_Q8,   /* these two GGUF only: Q8_0 */
    VKCLIP_TYPE_Q4    /* Q4_0; first text block and last projections Q8_0 */
};

/* Called now and then with the bytes written so far. Return nonzero to stop; the call then fails
 * with EINVALID and leaves nothing. */
typedef int vkclip_convert_fn(void *user, uint64_t done, uint64_t total);

struct vkclip_convert_params {
    enum vkclip_type type;
    vkclip_convert_fn *progress;
    void *user; /* given to it */
};

struct vkclip_conversion {
    char path[1024];       /* the file with the weights */
    uint64_t bytes_before; /* of all tensors of the checkpoint */
    uint64_t bytes_after;  /* of the file */
};

/* Writes the checkpoint that vkclip_open_model(NULL, path, model, ...) opens, with its vocabulary,
 * to a file of another kind or type. `output` is
 *   NAME.gguf         one file, with clip.cpp's names of keys and tensors. Texts and pictures are
 *                     from then on prepared by OpenAI's rules. No ModifiedResNet, and no tower
 *                     without a projection.
 *   NAME.safetensors  configuration and vocabulary go beside it; files that are there with other
 *                     content are an error
 *   NAME              a folder, created if needed: model.safetensors with config.json for
 *                     checkpoints with Hugging Face's names, else open_clip_model.safetensors with
 *                     open_clip_config.json, and the vocabulary.
 * Every file is written beside and renamed; one tensor's rows at a time are in memory. An output
 * that the checkpoint is read from is EINVALID, values beyond the type are EUNSUPPORTED. `params`
 * and `conversion` may be NULL. Errors otherwise: those of vkclip_open_model, and EIO. */
VKCLIP_API int vkclip_convert_model(const char *path, const struct vkclip_model_params *model,
                                    const char *output, const struct vkclip_convert_params *params,
                                    struct vkclip_conversion *conversion);

/* Cosines of the embeddings of two models. */
struct vkclip_comparison {
    size_t images, texts; /* compared; 0 where one of the models has no such tower */
    double image_min, image_mean, text_min, text_mean;
};

/* Encodes fixed inputs, generated pictures and texts, by two checkpoints, one open after the other,
 * and compares the embeddings. Errors: those of opening and encoding; EINVALID: the widths of the
 * embeddings differ. */
VKCLIP_API int vkclip_compare_models(struct vkclip_device *device, const char *path,
                                     const struct vkclip_model_params *params, const char *other,
                                     const struct vkclip_model_params *other_params,
                                     struct vkclip_comparison *comparison);

/* ---- Texts ----------------------------------------------------------------------------------- */

enum vkclip_tokenize_flags {
    VKCLIP_TOKENIZE_STRICT = 1, /* longer than the context: VKCLIP_ETOOLONG instead of truncation */
    VKCLIP_TOKENIZE_PAD = 2,    /* fill up to `capacity` with the family's pad id */
    VKCLIP_TOKENIZE_FULL = 4    /* no limit by the context: all ids, as many as `capacity` takes */
};

/* Byte-pair encodes one UTF-8 text of `length` bytes to ids with start and end of text (source:
 * OpenAI's simple_tokenizer.py with ftfy's plain steps, or the Hugging Face tokenizer.json, as the
 * checkpoint's family says). Writes at most `capacity` ids and their number, without padding, to
 * *count. A text longer than the limit (the smaller of the model's context and capacity; without a
 * context or with VKCLIP_TOKENIZE_FULL: capacity) is truncated with its end-of-text kept and a
 * warning logged; with VKCLIP_TOKENIZE_FULL *count is the number needed, which may exceed capacity.
 * Bytes that are not UTF-8 are read as U+FFFD. Errors: EABSENT (no vocabulary), ETOOLONG, EINVALID.
 */
VKCLIP_API int vkclip_tokenize(const struct vkclip_model *model, const char *text, size_t length,
                               unsigned flags, int32_t *ids, size_t capacity, size_t *count);

struct vkclip_tokenizer_params {
    uint32_t vocabulary;    /* tokens, those of start and end included; 0: 49408, CLIP's */
    uint32_t min_frequency; /* of a pair to be merged; 0: 2 */
    uint32_t context;       /* written for programs that cut texts; 0: 77 */
    const char *column;     /* of .csv and .tsv files; NULL: "title" */
};

struct vkclip_tokenizer_result {
    uint32_t vocabulary;    /* tokens: fewer than asked for where the texts have no more pairs */
    uint64_t texts, words;  /* read; different words in them */
    uint64_t skipped_words; /* longer than 1024 characters */
};

/* Learns a byte-pair vocabulary of CLIP's form from texts: files with a text a line, or of names
 * that end in .csv or .tsv (in any case with tabs where the first row has one), whose column it is
 * that holds them. Texts are cleaned and split as vkclip_tokenize does it. Writes vocab.json,
 * merges.txt, tokenizer_config.json and special_tokens_map.json, as Hugging Face has them, to the
 * new or empty folder `folder`. The same texts in any order give the same bytes: of equally
 * frequent pairs the one that comes last by code points is merged first. `params` and `result` may
 * be NULL. Errors: EINVALID, EIO, EFORMAT, EMEMORY. */
VKCLIP_API int vkclip_train_tokenizer(const char *const *paths, size_t count,
                                      const struct vkclip_tokenizer_params *params,
                                      const char *folder, struct vkclip_tokenizer_result *result);

/* ---- Pictures -------------------------------------------------------------------------------- */

/* 8-bit pixels, rows from the top. */
struct vkclip_image {
    const uint8_t *pixels;
    uint32_t width, height;
    uint32_t channels; /* 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA (alpha not premultiplied) */
    size_t stride;     /* bytes from row to row; 0: width * channels */
    /* The file held palette indices or single bits, which OpenAI's preprocessing resizes by nearest
     * neighbour. false for anything else. */
    bool indexed;
};

/* Decodes PNG, JPEG, BMP, GIF (first frame), TGA, PSD or PNM. 16-bit samples are read as their high
 * bytes; CMYK JPEGs are converted; EXIF orientation is ignored, as the reference ignores it.
 * Pictures of more than `max_pixels` (0: 89,478,485, where Pillow warns) are refused before they
 * are decoded. Release with vkclip_free_image. Errors: EIO, EFORMAT, EUNSUPPORTED, EMEMORY. */
VKCLIP_API int vkclip_load_image(const char *path, uint64_t max_pixels, struct vkclip_image *image);
/* The same from memory; `name` is used in messages and may be NULL. */
VKCLIP_API int vkclip_decode_image(const void *data, size_t size, const char *name,
                                   uint64_t max_pixels, struct vkclip_image *image);
VKCLIP_API void vkclip_free_image(struct vkclip_image *image);

/* Resize (Pillow's antialiased bicubic, shorter side to S), centre crop to S x S, normalise by the
 * checkpoint's mean and standard deviation. Hugging Face folders follow their image processor (to
 * RGB first), all others OpenAI's _transform (to RGB last). Writes RGB bytes [S,S,3] to `u8` and
 * normalised values [3,S,S] to `pixel_values`; either may be NULL. S is the model's image_size. */
VKCLIP_API int vkclip_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                                 uint8_t *u8, float *pixel_values);

/* ---- Encoding -------------------------------------------------------------------------------- */

/* Receives one intermediate tensor of `items` consecutive items, the first of which is number
 * `first`: fp32, shape [items, shape[1], ...], shape[0] = items. Names: vision.patch_embed,
 * vision.embeddings, vision.hidden.I (0: input of the first block; I: output of block I),
 * vision.pooled, vision.projected, vision.normalized; of a ModifiedResNet vision.stem,
 * vision.layerL.I [items,C,H,W], vision.projected, vision.normalized; text.hidden.I,
 * text.final_norm, text.pooled, text.projected, text.normalized. Return nonzero to stop; the call
 * then fails with EINVALID. */
typedef int vkclip_hidden_fn(void *user, const char *name, const float *data, const size_t *shape,
                             size_t rank, size_t first, size_t items);

/* Called now and then with the number of items that are complete: it rises, and ends at `total`. */
typedef void vkclip_progress_fn(void *user, size_t done, size_t total);

/* The result of one item. It and what it points to are valid during the call of the function. */
struct vkclip_item {
    size_t index;        /* position in the list that the caller gave */
    int error;           /* VKCLIP_OK, or why this item has no embedding */
    const char *message; /* what vkclip_last_error would say of it; "" without an error */
    const float *embed;  /* [D]; NULL with an error */
};

/* Called once per item in the order of the list, each as soon as it and all items before it are
 * complete. Return nonzero to stop: the call then fails with EINVALID, and no further item is
 * given. */
typedef int vkclip_item_fn(void *user, const struct vkclip_item *item);

struct vkclip_encode_params {
    bool no_normalize; /* Embeddings are not divided by their L2 norm. */
    /* NULL: intermediate tensors stay on the device. Else the first of several devices does all
     * the work, and an item's tensors are given before the item itself. Items that have failed are
     * left out. */
    vkclip_hidden_fn *hidden;
    vkclip_progress_fn *progress;
    void *user; /* the first argument of all of the caller's functions */
    /* NULL: an item that fails lets the whole call fail. Else the item's error is given to this
     * function and the call continues with the other items. The caller may then pass NULL in place
     * of `embeds`: memory does not grow with the number of items, because results are given out as
     * the call proceeds. */
    vkclip_item_fn *item;
    uint64_t max_pixels;   /* vkclip_encode_files: as in vkclip_load_image */
    bool strict;           /* A text longer than the context is ETOOLONG instead of truncated. */
    const size_t *lengths; /* vkclip_encode_texts: bytes of each text; NULL: texts end with NUL */
};

/* The functions below encode `count` items to embeddings [count,D], which are L2-normalised by
 * default. The library prepares items on its own threads (reads, decodes and resizes pictures,
 * tokenises texts) while the devices compute the items before them, on several devices at once
 * where the handle stands for several. The order of the embeddings is that of the items. All of the
 * caller's functions are called on the thread that called the library, except vkclip_source_fn.
 * With `count` 0 nothing is called and the result is VKCLIP_OK.
 *
 * With params->item, `embeds` may be NULL; where it is not, the rows of failed items are undefined.
 * Errors of one item are those of its file, picture or text: EIO, EFORMAT, EUNSUPPORTED, ETOOLONG,
 * EINVALID, EMEMORY. Other errors end the call, after which the items that were not given have no
 * result: EABSENT (the model has no such tower, or no vocabulary), ENODEVICE (the model was opened
 * without a device), EINVALID (arguments, or a function of the caller returned nonzero), EDEVICE,
 * EDEVICEMEMORY, EMEMORY. */

/* Encodes picture files, read as vkclip_load_image and prepared as vkclip_preprocess do it. Few
 * pictures are in memory at once. */
VKCLIP_API int vkclip_encode_files(struct vkclip_model *model, const char *const *paths,
                                   size_t count, const struct vkclip_encode_params *params,
                                   float *embeds);
/* Encodes pictures that are in memory, prepared as vkclip_preprocess does it. */
VKCLIP_API int vkclip_encode_images(struct vkclip_model *model, const struct vkclip_image *images,
                                    size_t count, const struct vkclip_encode_params *params,
                                    float *embeds);
/* Encodes pictures [N,3,S,S] that are prepared already. */
VKCLIP_API int vkclip_encode_pixels(struct vkclip_model *model, const float *pixel_values,
                                    size_t count, const struct vkclip_encode_params *params,
                                    float *embeds);
/* Writes picture number `index` as pixel values [3,S,S]. It is called once per picture, roughly in
 * order, on several of the library's threads at once. Return nonzero to leave the picture out:
 * params->item gets the returned number as the error and that thread's last error as the message;
 * without params->item the row of the embeddings is undefined. */
typedef int vkclip_source_fn(void *user, size_t index, float *pixel_values);
/* Encodes pictures that the caller's function prepares while the devices compute. Few pictures are
 * in memory at once. */
VKCLIP_API int vkclip_encode_source(struct vkclip_model *model, vkclip_source_fn *source,
                                    size_t count, const struct vkclip_encode_params *params,
                                    float *embeds);
/* Encodes UTF-8 texts. Texts longer than the context are truncated as vkclip_tokenize does it, with
 * a warning that quotes the beginning of the text, unless params->strict is set. */
VKCLIP_API int vkclip_encode_texts(struct vkclip_model *model, const char *const *texts,
                                   size_t count, const struct vkclip_encode_params *params,
                                   float *embeds);
/* Encodes rows of token ids [M,length], start and end of text included. `length` is 1 to T; shorter
 * rows are continued with the pad id. An id outside the vocabulary is the text's error EINVALID. */
VKCLIP_API int vkclip_encode_tokens(struct vkclip_model *model, const int32_t *ids, size_t count,
                                    size_t length, const struct vkclip_encode_params *params,
                                    float *embeds);

/* ---- Measuring ------------------------------------------------------------------------------- */

enum vkclip_tower { VKCLIP_TOWER_IMAGE, VKCLIP_TOWER_TEXT };

/* A node of a tower's graph, as it runs for a batch. */
struct vkclip_node {
    const char *op, *name; /* "MATMUL"; the result's name, see vkclip_hidden_fn */
    char shape[64];        /* "50x768x3072": rows, columns and depth of a matrix product, else the
                              result's dimensions */
    char kernel[80];       /* the one of several that computes it, with its tile */
    double operations, bytes; /* arithmetic; memory read and written at least */
    double seconds;           /* of the device in the last run; below 0: it has no timestamps */
};
typedef void vkclip_node_fn(void *user, const struct vkclip_node *node);

struct vkclip_cost {
    double operations, bytes; /* of all nodes; weights are counted once */
    uint64_t device_bytes;    /* the weights of both towers, activations, inputs and outputs */
};

/* Tells the cost of a tower for a batch of `batch` items, texts of the whole context. With `node`
 * the batch is run once, and it is called for every node in order. On the first of several devices.
 */
VKCLIP_API int vkclip_profile(struct vkclip_model *model, enum vkclip_tower tower, uint32_t batch,
                              vkclip_node_fn *node, void *user, struct vkclip_cost *cost);

/* ---- Zero-shot use (paper, section 3.1) ------------------------------------------------------ */

/* logits [N,M] = exp(logit_scale) * image . text, of normalised embeddings. */
VKCLIP_API int vkclip_similarity(const struct vkclip_model *model, const float *image_embeds,
                                 size_t n, const float *text_embeds, size_t m, float *logits);

/* Class embeddings [L,D]: each label is set into every template in place of "{}", the normalised
 * embeddings are averaged and normalised again (paper, section 3.1.4). No templates: the labels as
 * they are. A template without "{}" is EINVALID. */
VKCLIP_API int vkclip_encode_labels(struct vkclip_model *model, const char *const *labels,
                                    size_t label_count, const char *const *templates,
                                    size_t template_count,
                                    const struct vkclip_encode_params *params, float *embeds);

/* Pictures against class embeddings [L,D] from vkclip_encode_labels: logits [N,L] and their softmax
 * over the labels, probs [N,L]. Either may be NULL. */
VKCLIP_API int vkclip_classify(struct vkclip_model *model, const struct vkclip_image *images,
                               size_t count, const float *label_embeds, size_t label_count,
                               const struct vkclip_encode_params *params, float *logits,
                               float *probs);

/* ---- Training -------------------------------------------------------------------------------- */

struct vkclip_trainer;

/* How a picture is changed each time it is shown, as OpenCLIP's image_transform does in training.
 */
struct vkclip_augmentation {
    bool off;        /* Pictures are prepared as at inference. */
    double scale[2]; /* range of the crop's area in parts of the picture's; both 0: 0.9 to 1. If the
                      * second is above 1, crops may reach over the picture's edges. */
    double ratio[2]; /* range of the crop's width by its height; both 0: 3/4 to 4/3 */
    double rotate;   /* The crop is rotated by up to so many degrees in either direction. */
    bool fill_mean;  /* Outside the picture is the mean colour instead of white. */
    /* Brightness, contrast, saturation and hue are changed in random order: the first three by
     * factors of 1 - x to 1 + x, hue by up to x (at most 0.5) of the circle. */
    double color_jitter[4];
    double color_jitter_prob; /* probability that these four are applied; 0: always */
    double gray_scale_prob;   /* probability that a picture is made grey */
    double channel_gain;      /* Red, green and blue are each multiplied by 1 - x to 1 + x. */
};

/* Names are those of OpenCLIP's options. 0 selects the default; where that is not 0, a negative
 * number means 0. */
struct vkclip_trainer_params {
    /* The model: exactly one of these two. A run that is resumed has a model of its own. */
    const char *model; /* path of a checkpoint, as for vkclip_open_model */
    const char *init;  /* an architecture of vkclip_arch_name, or a configuration file (config.json,
                        * open_clip_config.json): weights are random, from the seed */
    const char *vocab; /* vocabulary file; NULL: the one beside the checkpoint */

    /* The pairs: exactly one of these two. */
    const char *data;     /* CSV or TSV, or WebDataset's shards: train-{0000..0099}.tar */
    const char *data_raw; /* safetensors with images [S,B,3,H,W] and input_ids [S,B,T]: S prepared
                           * batches, which are taken in order, again and again */
    char csv_separator;   /* 0: a tab where the first row has one, else a comma */
    const char *csv_img_key, *csv_caption_key; /* columns; NULL: filepath, title */
    const char *label_key; /* column, or member of the shards' .json. A batch has no two pictures of
                            * one label. NULL: every picture is its own label. */
    const char *const *templates; /* A random one is put around each caption, at its "{}". */
    size_t template_count;
    struct vkclip_augmentation augmentation;
    unsigned workers; /* threads that prepare pictures; 0: one less than there are processors */

    /* The optimiser is AdamW, with decay on tensors of two and more dimensions. */
    uint32_t batch_size; /* pairs computed at once; 0: 64, or what data_raw has */
    uint32_t accum_freq; /* such batches per step; 0: 1. All pairs of a step are each other's
                          * negatives (cached embeddings, Gao et al. 2021). */
    double lr, beta1, beta2, eps, wd; /* 0: 5e-4, 0.9, 0.98, 1e-6, 0.2 */
    double grad_clip_norm;            /* largest norm of the gradients; 0: no limit */
    int64_t warmup;  /* steps over which lr rises; 0: a tenth of all, at most 10000 */
    bool lr_const;   /* After the warm-up lr stays; else it falls along half a cosine to 0. */
    uint64_t steps;  /* of the whole run; 0: `epochs` passes over the data */
    uint32_t epochs; /* 0: 32 */
    uint64_t seed;
    bool freeze_bn_stats; /* A ModifiedResNet's batch norm uses its running statistics and leaves
                           * them, instead of using the batch's and moving its own. */
    bool lock_image, lock_text;      /* a tower whose weights stay (LiT, Zhai et al. 2022) */
    enum vkclip_precision precision; /* F16: activations and their gradients take half the memory,
                                      * and the loss is scaled to keep these in range; weights and
                                      * the optimiser stay fp32 (Micikevicius et al. 2018). */
    bool checkpoint_activations; /* Blocks are computed again for their gradients instead of keeping
                                  * their activations: less memory, more time, the same result. */
    const char *output;          /* the run's folder, made if it does not exist */
    bool resume;                 /* Resume from the last saved step; begin where there is none. */
    uint32_t keep;               /* saved steps to keep; 0: 3 */
};

struct vkclip_trainer_info {
    uint64_t step, steps;       /* steps done, and steps of the whole run */
    uint64_t epoch_steps;       /* steps per pass over the data */
    uint32_t batch, batch_size; /* pairs per step, and pairs computed at once */
    uint64_t parameters, trained_parameters;
    uint64_t samples, captions, labels; /* 0 for prepared batches */
    uint64_t incomplete;                /* rows left out, without a picture or a caption */
};

/* Bytes on the device, without the driver's own. */
struct vkclip_trainer_memory {
    uint64_t weights, gradients, moments;
    uint64_t activations; /* of the largest part of a step */
    uint64_t least;       /* Any placement of these activations needs as much. */
};

struct vkclip_train_result {
    uint64_t step; /* steps done, with this one */
    float loss;    /* the mean of the cross-entropies of both directions */
    float lr;
    float logit_scale;       /* factor of the logits in this step */
    float grad_norm;         /* norm of all gradients together, before clipping */
    float loss_scale;        /* 1 with precision F32. With F16 it is halved, and the step computed
                              * again, when gradients overflow, and doubled after 2000 steps in
                              * which none did. */
    double seconds, waiting; /* time of the step, and the part of it spent waiting for pictures */
    uint64_t broken;         /* samples so far that could not be read and were replaced by others */
    uint64_t cut;            /* captions so far that were longer than the context */
};

/* Opens a training run (the paper's figure 3; OpenCLIP's train.py) on the first GPU of the device.
 * Without a device (NULL) everything is read and checked, but nothing can be trained. With `init`,
 * random weights are written into the folder "initial" of the run's folder. On an error a folder
 * that was made is removed. Errors: EINVALID (a folder with saved steps without `resume`, a batch
 * larger than the data), EUNSUPPORTED (precision F16 on a device without 16-bit storage), and those
 * of vkclip_open_model. */
VKCLIP_API int vkclip_open_trainer(struct vkclip_device *device,
                                   const struct vkclip_trainer_params *params,
                                   struct vkclip_trainer **trainer);
VKCLIP_API int vkclip_get_trainer_info(const struct vkclip_trainer *trainer,
                                       struct vkclip_trainer_info *info);
/* Tells what this run needs on a device, with `checkpoint_activations` or without. */
VKCLIP_API int vkclip_measure_trainer(const struct vkclip_trainer *trainer,
                                      bool checkpoint_activations,
                                      struct vkclip_trainer_memory *memory);
/* Computes one step of the optimiser. Errors: EDIVERGED (the loss or a gradient is not finite, and
 * the step has changed nothing), EINVALID (all steps are done), EDEVICE, EFORMAT (no sample can be
 * read). */
VKCLIP_API int vkclip_train_step(struct vkclip_trainer *trainer,
                                 struct vkclip_train_result *result);
/* Saves the run as it is now: writes the folder checkpoint-STEP into the run's folder and removes
 * the oldest beyond `keep`. It is an ordinary checkpoint together with what the run needs to
 * resume, and gets its name when all of it is written. A run that resumes from it computes the same
 * bits on the same device with the same kernels (see VKCLIP_TUNE). `path` may be NULL. */
VKCLIP_API int vkclip_save_trainer(struct vkclip_trainer *trainer, char *path, size_t capacity);
/* Writes the model as it is now into the run's folder itself: in Hugging Face's layout, or in
 * OpenCLIP's if the model came so or has a ModifiedResNet. */
VKCLIP_API int vkclip_save_trained_model(struct vkclip_trainer *trainer);
VKCLIP_API void vkclip_close_trainer(struct vkclip_trainer **trainer);

#ifdef __cplusplus
}
#endif
#endif
