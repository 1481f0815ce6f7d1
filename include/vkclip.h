/* SPDX-License-Identifier: MIT
 *
 * vkclip: CLIP (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
 * Supervision") on Vulkan compute. This header is the whole public interface; it compiles alone as
 * C11 and as C++17.
 *
 * Conventions
 *   Errors     Functions that can fail return 0 (VKCLIP_OK) or a negative VKCLIP_E*. A readable
 *              message (what, where, expected, found) is kept per thread: vkclip_last_error().
 *              Names of parameters and of functions to call stand in backquotes, so that a program
 *              can write its own words in their place. The library never exits, aborts or prints;
 *              warnings go to the log callback.
 *   Ownership  The caller owns what it passes in, and the library keeps no pointer to it after the
 *              call returns; vkclip_open_model_memory and jobs are the exceptions. What an open
 *              function returns is released by the close function of the same name, which accepts
 *              NULL and half-built handles and sets the handle to NULL.
 *   Threads    Any thread may use any handle. Calls on one device, which are those on all handles
 *              that were opened on it, take turns in the order in which they were made, and so do
 *              calls on one index. A vkclip_progress_fn is called while its call waits, too. A call
 *              that encodes, classifies or is a job gives way between its batches: those which wait
 *              for nothing but the device run before it goes on, but a job never before another
 *              job. So do vkclip_condition, vkclip_compare_models and vkclip_measure_peaks between
 *              their steps, vkclip_explain between its texts, and calls that use an index and a
 *              device, which keep the index. The first call on a model also gives way while it
 *              loads weights, and builds and checks kernels, to calls on other models; so do the
 *              calls on a trainer between micro-batches and between tensors that they save, and
 *              vkclip_check_device between kernels, to calls on other handles. None does within a
 *              call on another device or an index. Opening a model or a conditioner reads files
 *              before it waits for its turn. What needs neither waits for no turn: vkclip_tokenize,
 *              vkclip_tokenize_prompt, vkclip_tokenize_condition, vkclip_detokenize,
 *              vkclip_preprocess, vkclip_similarity, vkclip_get_features_shape, vkclip_get_grid,
 *              and the infos of devices, models, conditioners and trainers. Different devices are
 *              independent. The library has threads of its own, which end with their device; of the
 *              functions of the caller they call vkclip_source_fn and those of vkclip_index_paths.
 *              A job has a thread of its own, which calls its caller's functions.
 *   Callbacks  A function of the caller may make calls itself: those that wait for no turn, and
 *              those on other devices and indexes than the call uses that has called the function.
 *              Any other call would wait for itself, and is EINVALID, also one on an index whose
 *              vkclip_index_paths gives way to the call at that moment. Only when a
 *              vkclip_progress_fn hears that all is done, its call may have given back what it
 *              used, so that other calls run there; do not count on it. vkclip_hit_fn may make all
 *              calls, vkclip_done_fn all that do not wait for its own job, and every function may
 *              start jobs.
 *   Closing    A close function waits until the calls on its handle have returned; none may begin
 *              from then on. Handles may be closed in any order. A device that is closed while
 *              others are open on it keeps its memory until these are closed, which is logged as an
 *              error; what needs the device then fails with EINVALID. Called by a function of the
 *              caller that a call on the same device has called, a close function closes nothing,
 *              leaves the handle as it is, and logs that.
 *   Forks      In a forked child all functions refuse the handles of its parent with EINVALID, and
 *              the close functions only set them to NULL; an archive, which has neither threads nor
 *              a device, stays usable. The parent goes on as if there was no child. A child may
 *              open devices of its own if the driver can do so (SwiftShader cannot while the parent
 *              has a device open), but no index that its parent has open, which SQLite does not
 *              bear.
 *   Params     A params struct that is all zero but for its `size` means the defaults, and so does
 *              NULL in its place.
 *   Growth     A program that was compiled with one version of this header works with a library of
 *              another version that has the same number in its file name. For that, structs only
 *              ever grow at their end, and enums too: no member is inserted, removed or changed.
 *              - A params, info or result struct that the caller allocates begins with `size`,
 *                which the caller sets to its sizeof; all else begins as zeros. In C and in C++:
 *                    struct vkclip_model_params params = {.size = sizeof(params)};
 *                    vkclip_model_params params{}; params.size = sizeof(params);
 *                In params, what lies beyond that size counts as zero; members that a newer program
 *                has and this library does not know are EUNSUPPORTED unless they are zero. Of an
 *                info or a result, only the first `size` bytes are written, and never `size`; what
 *                this library does not know stays as it is. In an array of infos, the first one's
 *                `size` counts for all and is written to the others. A `size` that leaves no room
 *                for another member (0 to 8 bytes), or above 65536, is EINVALID.
 *              - A struct that the library allocates and shows by a pointer to one (struct
 *                vkclip_item, vkclip_check, vkclip_tuning, vkclip_node, vkclip_hit, vkclip_group,
 *                vkclip_update_progress, vkclip_encoder_info, vkclip_conditioning,
 *                vkclip_image_format, vkclip_hub_model) may grow at its end and has no `size`: do
 *                not copy it with its sizeof of another version.
 *              - Structs that are values within others or entries of arrays never change (struct
 *                vkclip_image, vkclip_features, vkclip_embedding, vkclip_lora, vkclip_query_part,
 *                vkclip_prompt_place, vkclip_prompt_usage, vkclip_tensor, vkclip_tuning_time,
 *                vkclip_tower_info, vkclip_grid, vkclip_augmentation).
 *   Cancel     A long call asks a function of the caller now and then, which cancels it by
 *              returning nonzero. The call then fails with ECANCELLED, as soon as what the device
 *              computes at that moment is done. All handles stay usable, no file is left half
 *              written, and the same call may be made again.
 *   Arguments  NULL where something is expected, also among strings, a number that an enum does not
 *              have, and unknown bits of flags are EINVALID, and the message names them.
 *   Layout     Arrays are dense and row-major. N is a number of pictures, M of texts, T of token
 *              positions (the model's context), L of labels; D is the width of the embeddings.
 */
#ifndef VKCLIP_H
#define VKCLIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VKCLIP_VERSION_MAJOR 0
#define VKCLIP_VERSION_MINOR 1
#define VKCLIP_VERSION_PATCH 0

#if defined(_WIN32) && defined(VKCLIP_SHARED) && !defined(VKCLIP_BUILD)
#define VKCLIP_API __declspec(dllimport)
#elif defined(__GNUC__) && !defined(_WIN32)
#define VKCLIP_API __attribute__((visibility("default")))
#else
#define VKCLIP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Lists every error code with its value and its text. */
#define VKCLIP_ERRORS(X)                                                  \
    X(OK, 0, "success")                                                   \
    X(EINVALID, -1, "invalid argument")                                   \
    X(EMEMORY, -2, "out of host memory")                                  \
    X(EIO, -3, "file cannot be read or written")                          \
    X(EFORMAT, -4, "malformed file")                                      \
    X(EUNSUPPORTED, -5, "well-formed, but not supported")                 \
    X(ENODEVICE, -6, "no usable Vulkan device")                           \
    X(EDEVICE, -7, "Vulkan device failed")                                \
    X(EDEVICEMEMORY, -8, "out of device memory")                          \
    X(ETOOLONG, -9, "text longer than the model's context")               \
    X(EABSENT, -10, "the checkpoint does not have what was asked for")    \
    X(EDIVERGED, -11, "training came to a number that is not finite")     \
    X(ELOST, -12, "Vulkan device lost: the driver crashed or stopped it") \
    X(ECANCELLED, -13, "stopped by the caller")

enum vkclip_error {
#define X(name, value, text) VKCLIP_##name = value,
    VKCLIP_ERRORS(X)
#undef X
};

/* ---- Library --------------------------------------------------------------------------------- */

/* Returns the version of the library in use, "major.minor.patch". The string is static. */
VKCLIP_API const char *vkclip_version(void);

/* Lets the library follow variables of the environment, as the command `vkclip` does: copies those
 * below as they are now. Without this call the library reads no variable, and what the params leave
 * open has its default; the user's folders are then below the home folder that the system knows
 * (getpwuid_r, or SHGetFolderPathW on Windows; Android tells none, so that nothing is cached unless
 * the params name a folder). Params come before variables. Call it before other functions, while no
 * other thread uses the library, or again after a variable has changed. Handles that are open keep
 * what they were opened with.
 *     VKCLIP_DEVICE           vkclip_device_params.device
 *     VKCLIP_CACHE_DIR        vkclip_device_params.cache_dir
 *     VKCLIP_TUNE             on, off or force: vkclip_device_params.tune
 *     VKCLIP_CHECK            off: vkclip_device_params.skip_checks
 *     VKCLIP_TIMEOUT          vkclip_device_params.timeout
 *     VKCLIP_INDEX            vkclip_index_params.path
 *     HF_HUB_CACHE            hub_dir of models and conditioners; otherwise `hub` in HF_HOME, or
 *                             `huggingface/hub` in XDG_CACHE_HOME
 *     XDG_CACHE_HOME, XDG_DATA_HOME, HOME, and on Windows LOCALAPPDATA and USERPROFILE
 *                             where the user's folders are
 *     VKCLIP_QUIRKS, VKCLIP_DISABLE_CAPS, VKCLIP_ENABLE_CAPS, VKCLIP_DISABLE_KERNELS
 *                             for those who look for a driver's faults: see vkclip(1)
 * The Vulkan loader, its drivers and libpq read variables of their own at any time. The error is
 * EMEMORY. */
VKCLIP_API int vkclip_read_environment(void);

/* Functions of an allocator. They are called on any thread, several at a time, and must not call
 * vkclip. */
typedef void *vkclip_allocate_fn(void *user, size_t bytes);
typedef void *vkclip_reallocate_fn(void *user, void *memory, size_t bytes);
typedef void vkclip_release_fn(void *user, void *memory);

/* All three functions are needed. They do what malloc, realloc and free do: `allocate` returns
 * memory that is aligned for every type, or NULL, upon which calls fail with EMEMORY; neither of
 * the others gets NULL as `memory`. */
struct vkclip_allocator {
    size_t size; /* sizeof(struct vkclip_allocator) */
    void *user;
    vkclip_allocate_fn *allocate;
    vkclip_reallocate_fn *reallocate;
    vkclip_release_fn *release;
};

/* Lets the library take its memory on the host from an allocator, which is copied; NULL stands for
 * malloc, the default. It is EINVALID while the library has memory in use: call it before all
 * others, also before vkclip_read_environment, or after every handle was closed and every result
 * freed; and while no other thread uses the library. The C library, Vulkan's drivers and the
 * libraries that vkclip uses take memory of their own; of these only zlib, libspng, libjxl and stb
 * use the allocator. */
VKCLIP_API int vkclip_set_allocator(const struct vkclip_allocator *allocator);

/* Names what this build has of what builds may leave out, separated by spaces: the parts training
 * (with explanations), torch (PyTorch's files), hub (names of models) and search (the index of
 * pictures), whose functions otherwise fail with EUNSUPPORTED, and the libraries postgresql, tar,
 * jpeg, png, exif, webp, tiff, heif, avif and jxl. */
VKCLIP_API const char *vkclip_get_build(void);

/* Writes the optional features of devices for which this build of the library has kernels,
 * separated by spaces and cut to `size` bytes. A device uses those of its `caps` that are among
 * them. 256 bytes are enough. */
VKCLIP_API int vkclip_get_kernel_caps(char *caps, size_t size);

/* Returns the text of an error code. The string is static. */
VKCLIP_API const char *vkclip_error_text(int error);

/* Returns the message of the last error on this thread, "" if there was none. It is valid until
 * this thread's next failing call. */
VKCLIP_API const char *vkclip_last_error(void);

enum vkclip_log_level { VKCLIP_LOG_ERROR, VKCLIP_LOG_WARNING, VKCLIP_LOG_INFO, VKCLIP_LOG_DEBUG };

/* Receives every message as one line without its end, on the thread that called the library, or on
 * that of a job. Set the function before other threads use the library. NULL, the default, drops
 * messages. Errors that calls return are logged too; ECANCELLED at the level DEBUG, because the
 * caller asked for it. */
typedef void vkclip_log_fn(void *user, enum vkclip_log_level level, const char *message);
VKCLIP_API void vkclip_set_log(vkclip_log_fn *log, void *user);

/* Called now and then with how much of a call's work is done: `done` never falls, and ends at
 * `total`. Return nonzero to cancel the call, unless all is done. */
typedef int vkclip_progress_fn(void *user, uint64_t done, uint64_t total);

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
    size_t size;    /* sizeof(struct vkclip_device_info) */
    uint32_t index; /* position in Vulkan's enumeration */
    char name[256]; /* Vulkan deviceName */
    enum vkclip_device_type type;
    char driver[512];          /* driver name and version, as the driver gives them */
    uint32_t api_version[3];   /* Vulkan major, minor, patch */
    uint64_t memory;           /* bytes of the largest device-local heap */
    uint64_t max_buffer_range; /* bytes, maxStorageBufferRange */
    char caps[256]; /* optional features found and usable, separated by spaces; "" if none */
    bool usable;    /* false: the device lacks something that the library requires */
    char why[256];  /* what the device lacks, if it is not usable */
    uint32_t vendor_id, device_id; /* PCI identifiers, or Khronos's of a vendor without any */
    /* Vulkan deviceUUID and driverUUID, by which other programs, OpenGL and CUDA name the device;
     * all 0 if the driver gives none. One GPU under two drivers has one `uuid`. */
    uint8_t uuid[16], driver_uuid[16];
    bool has_luid;
    uint8_t luid[8]; /* Windows's identifier of the adapter, if has_luid */
    double busy;     /* seconds for which it has encoded since it was opened; 0: it is not open */
};

/* Lists the Vulkan devices of this machine in index order: writes at most `capacity` entries, each
 * of infos[0].size bytes, and the number of devices to *count. `infos` may be NULL if `capacity` is
 * 0. Without a Vulkan loader or driver the result is ENODEVICE. */
VKCLIP_API int vkclip_list_devices(struct vkclip_device_info *infos, size_t capacity,
                                   size_t *count);

/* How kernels are chosen where a device has several (see vkclip_list_tuning). */
enum vkclip_tune {
    VKCLIP_TUNE_DEFAULT, /* VKCLIP_TUNE if the environment was read, or else ON */
    VKCLIP_TUNE_ON,      /* Shapes that are new to the device are measured. */
    VKCLIP_TUNE_OFF,     /* The order is fixed, and depends on the device's features alone. */
    VKCLIP_TUNE_FORCE    /* Known shapes are measured again. */
};

struct vkclip_device_params {
    size_t size; /* sizeof(struct vkclip_device_params) */
    /* An index, or part of a name in any case. Several with commas between them give one handle for
     * all of them. "all" gives one for every usable GPU, each once although two drivers list it,
     * and for the CPU only where there is no GPU. With NULL or "" VKCLIP_DEVICE decides, which has
     * the same form (see vkclip_read_environment); without it the best device is opened: discrete
     * before integrated, virtual and CPU, and of several discrete ones that with the most memory. A
     * device whose driver does not conform to Vulkan, or that runs on another driver (Dozen), comes
     * after all others, and "all" leaves it out. A warning says where the device is a CPU and
     * nothing named it. */
    const char *device;
    /* The folder for compiled pipelines and measurements. NULL means VKCLIP_CACHE_DIR if the
     * environment was read, or without it the user's cache folder; "" means that nothing is kept.
     */
    const char *cache_dir;
    /* Threads of the host that prepare pictures, read weights and compile kernels, with the one
     * that calls, at most 64. 0: as many as the process has processors. */
    uint32_t threads;
    /* The library gives way to others, as a program wants that indexes while somebody works. Its
     * queues have the lowest priority of the device, and also of the whole machine where the driver
     * has VK_KHR_global_priority; its threads on the host are niced on Linux. The thread that calls
     * keeps its priority. */
    bool background;
    enum vkclip_tune tune;
    /* Kernels are not compared with a reference before they are first used, as with
     * VKCLIP_CHECK=off (see vkclip_check_device). */
    bool skip_checks;
    /* Seconds without progress after which the device counts as lost. 0: VKCLIP_TIMEOUT if the
     * environment was read, or else 300. */
    double timeout;
    /* of opening, which asks between its steps: finding the drivers, then each device */
    vkclip_progress_fn *progress;
    void *user; /* first argument of `progress` */
};

/* Opens a device. Several devices in one handle share the items of every call: a batch goes to the
 * device that will complete it first, by its measured speed. Each device holds the model's weights.
 * Results come in the order of the items and equal those of one device within rounding. If one
 * device fails, the call fails, and its message names the device.
 *
 * A device is lost when its driver crashes or stops a submit that takes too long, when it is
 * removed, or when it shows no progress for `timeout` seconds. The functions that encode then open
 * it again, upload the weights again and go on with the batches that were lost; models stay open
 * for that, and so do their files. Where that fails, and in every other function, the error is
 * ELOST, whose message names the kernels that were running. A kernel that stopped the device or the
 * whole process when it first ran on this device is left out from then on, which a warning says.
 *
 * Errors: ENODEVICE (there is no device, none matches, or several match a name), EINVALID (a device
 * is named twice, or there are more than 16), ECANCELLED, EDEVICE, ELOST. */
VKCLIP_API int vkclip_open_device(const struct vkclip_device_params *params,
                                  struct vkclip_device **device);
/* Describes the device, or the first of several. */
VKCLIP_API int vkclip_get_device_info(const struct vkclip_device *device,
                                      struct vkclip_device_info *info);
/* Describes all devices of a handle in the order named: writes at most `capacity` entries, and the
 * number of devices to *count. `infos` may be NULL if `capacity` is 0. */
VKCLIP_API int vkclip_get_device_infos(const struct vkclip_device *device,
                                       struct vkclip_device_info *infos, size_t capacity,
                                       size_t *count);

/* The most that a device was measured to achieve. */
struct vkclip_peaks {
    size_t size;         /* sizeof(struct vkclip_peaks) */
    double flops;        /* fp32 operations per second; a multiply-add in registers counts as two */
    double bytes;        /* bytes per second that a large copy reads and writes */
    char how[64];        /* the multiply-add kernel that was the fastest */
    double matrix_flops; /* of products of cooperative matrices, summed in fp32; 0: it has none */
    char matrix_how[64]; /* shape of the matrices, and how many products were independent */
};
/* Measures the device, or the first of several, which takes a few seconds. `progress` may be NULL.
 */
VKCLIP_API int vkclip_measure_peaks(struct vkclip_device *device, vkclip_progress_fn *progress,
                                    void *user, struct vkclip_peaks *peaks);

/* Closes a device. What was opened on it is closed before (see "Closing" above). */
VKCLIP_API void vkclip_close_device(struct vkclip_device **device);

/* Drivers may compute wrong numbers without any error. Therefore each kernel is compared with a
 * reference on the host before a model first uses it on a device: one that is wrong is left out
 * with one warning, and if an op has no other, the call fails with EDEVICE. The results are kept in
 * the cache folder for the device, its driver and this version of the library.
 * vkclip_device_params.skip_checks leaves this out. */

/* The check of one kernel with one tile. */
struct vkclip_check {
    const char *device, *op,
        *kernel; /* names of the device, the op, and the shader with its tile */
    const char *activations, *weights; /* types: "f32", "f16", "q8", "q4" */
    const char *shape;                 /* sizes and options of what was computed */
    double error; /* largest error as a share of its bound: above 1 is wrong; INFINITY: no number */
    uint32_t runs; /* how often it was computed */
    bool built;    /* the driver could build the kernel */
    bool stable;   /* all runs gave the same bits, and wrote only the result */
    bool right;    /* built, stable, and error at most 1 */
};
/* Receives each check; what `check` points to is valid during the call. Return nonzero to
 * cancel vkclip_check_device. */
typedef int vkclip_check_fn(void *user, const struct vkclip_check *check);
/* Checks every kernel that the device, or each of several, can run, and a model of two layers,
 * whether or not they are known to be right, and keeps the results as above. `op` restricts this to
 * one op by its name, such as "MATMUL", or "MODEL" for the model; NULL stands for all, which takes
 * from some seconds to some minutes, most of them in the driver's compiler. Sets *wrong to the
 * number of checks that are not right; that is no error. Errors: EINVALID, also for an op that has
 * no kernel on the device, EDEVICE, EDEVICEMEMORY, EMEMORY. */
VKCLIP_API int vkclip_check_device(struct vkclip_device *device, const char *op,
                                   vkclip_check_fn *check, void *user, size_t *wrong);

/* Measurements decide which kernel computes a class of shapes on a device. They are made once, when
 * a model with enough work first runs in shapes that are new to the device, take at most about two
 * seconds each time, and are kept in the cache folder; without a cache folder they take a quarter
 * of that and last for the process. What was measured while the machine was busy is measured again.
 * vkclip_device_params.tune changes this. */
struct vkclip_tuning_time {
    const char *kernel; /* name of its shader and tile */
    double ms;          /* milliseconds of one run; negative: it failed or was wrong */
};
struct vkclip_tuning {
    const char *device, *shape;             /* names of the device and of the class of shapes */
    const char *kernel;                     /* the name of the kernel that is used */
    const struct vkclip_tuning_time *times; /* [count], times of the candidates */
    size_t count;                           /* 0: the device was too slow or too busy to tell */
};
/* Receives the choice of kernel for one class of shapes. What `tuning` points to is valid during
 * the call. Return nonzero to cancel vkclip_list_tuning. */
typedef int vkclip_tuning_fn(void *user, const struct vkclip_tuning *tuning);
VKCLIP_API int vkclip_list_tuning(struct vkclip_device *device, vkclip_tuning_fn *tuning,
                                  void *user);

/* ---- Models ---------------------------------------------------------------------------------- */

struct vkclip_model;

enum vkclip_precision {
    VKCLIP_PRECISION_F32, /* weights and activations in fp32 */
    /* Weights and activations in fp16, which needs 16-bit storage. Sums are in fp32, but sums of
     * eight products may be in fp16 where that makes the device faster. */
    VKCLIP_PRECISION_F16
};

/* How the device stores the matrices and the token table, which are nearly all of the weights. The
 * precision decides how it stores activations and small vectors, and how it computes, except that
 * Q8 and Q4 may round more. */
enum vkclip_weights {
    VKCLIP_WEIGHTS_AUTO, /* as the precision says, or fp16 for a T5 whose files are fp16 */
    VKCLIP_WEIGHTS_F16,  /* fp16, on any device, also in precision F32 */
    /* 8.5 bits per value: blocks of 32 values with a scale, as GGUF's Q8_0 has them. Activations
     * may be rounded to blocks of 8 bits as well, where the device multiplies integers faster. */
    VKCLIP_WEIGHTS_Q8,
    /* 4.5 bits per value: blocks as GGUF's Q4_0 has them. The first text block and the last
     * projections are Q8. */
    VKCLIP_WEIGHTS_Q4
};

/* How the device multiplies the matrices of a model in precision F32. Sums are in fp32 either way.
 */
enum vkclip_compute {
    VKCLIP_COMPUTE_F32, /* as it stores them */
    /* Rounded to fp16, activations too, where the device has matrix units for that, which makes it
     * several times faster; in fp32 elsewhere. Values beyond 65504 become infinite. T5, whose
     * values are that large, stays in fp32. */
    VKCLIP_COMPUTE_F16
};

enum vkclip_activation {
    VKCLIP_ACTIVATION_AUTO,
    VKCLIP_ACTIVATION_QUICK_GELU,
    VKCLIP_ACTIVATION_GELU,
    VKCLIP_ACTIVATION_GELU_TANH, /* GELU by tanh: described, not asked for */
    VKCLIP_ACTIVATION_RELU,      /* of a T5 without gates */
    VKCLIP_ACTIVATION_SILU       /* of the gates of EVA02 */
};

struct vkclip_model_params {
    size_t size; /* sizeof(struct vkclip_model_params) */
    enum vkclip_precision precision;
    /* The file with the vocabulary: tokenizer.json, spiece.model, sentencepiece.bpe.model, BERT's
     * vocab.txt, vocab.json (with merges.txt beside it), bpe_simple_vocab_16e6.txt.gz, a GGUF file,
     * or a safetensors file with the tensor spiece_model. NULL: the one in the checkpoint or beside
     * it. */
    const char *vocab;
    /* The activation of a state dict that has no configuration. AUTO means OpenAI's QuickGELU. */
    enum vkclip_activation activation;
    /* The largest batch that runs at once. 0: the device's limits decide, at most 32. It is halved
     * while the device has no memory for it; a batch of one then takes memory of the host, which is
     * slower. The log says so. */
    uint32_t max_batch;
    /* Pixels per side of the pictures, a multiple of the patch size, or of 32 for a ModifiedResNet
     * or a ConvNeXt, which has no positions.
     * Another size than the checkpoint's interpolates its table of positions (bicubic, antialiased,
     * as OpenCLIP does it). 0: the checkpoint's size. */
    uint32_t image_size;
    /* The text encoder of a diffusion model in one file: "clip_l", "clip_h", "clip_g", "t5xxl" or
     * "umt5xxl". NULL: the first that the file has. For a file that is one text encoder without a
     * configuration, it says which one; NULL: its tensors tell. */
    const char *text_encoder;
    enum vkclip_weights weights;
    /* The weights of a tower's blocks stay in the files. On the device they take turns in two slots
     * of the size of one block: one is filled while the device computes with the other. This needs
     * little memory, and every batch reads all weights. T5 does so by itself where its weights
     * would take more than three quarters of the device's memory that is left. */
    bool stream;
    enum vkclip_compute compute;
    /* Which weights of a file with several sets are opened, by the prefix of their tensors' names
     * or the key of their dict: "state_dict_ema", "ema.model"; ".": those without a prefix. NULL:
     * the only set; a file with several is refused with their names. */
    const char *state_dict;
    vkclip_progress_fn *progress; /* of opening; encoding asks its own, also for reading weights */
    void *user;                   /* first argument of `progress` */
    /* What messages and infos call a model that vkclip_open_model_file or vkclip_open_model_memory
     * opens. NULL: "descriptor 7 at 1234" or "memory of 5678 bytes". */
    const char *name;
    /* The folder of the Hugging Face hub's cache, with models--ORG--NAME in it, where models are
     * looked up by name. NULL or "": HF_HUB_CACHE and so on if the environment was read (see
     * vkclip_read_environment), or else .cache/huggingface/hub in the user's home folder. */
    const char *hub_dir;
};

enum vkclip_family {
    VKCLIP_FAMILY_NONE,
    VKCLIP_FAMILY_OPENAI,
    VKCLIP_FAMILY_OPENCLIP,
    VKCLIP_FAMILY_HF
};

/* The sizes of one tower, all zero if the checkpoint does not have it. */
struct vkclip_tower_info {
    uint32_t width, layers, heads, mlp;
    enum vkclip_activation activation;
    uint32_t positions; /* tokens of a sequence: T of a text, patches + 1 of a ViT's picture */
    bool projection;    /* false: embeddings are the pooled hidden state, so that D is the width */
};

struct vkclip_model_info {
    size_t size; /* sizeof(struct vkclip_model_info) */
    enum vkclip_family family;
    struct vkclip_tower_info image, text;
    /* Bottlenecks of a ModifiedResNet's four stages or blocks of a ConvNeXt's, all 0 for a ViT. A
     * ModifiedResNet's `width` is that of its stem, and its `heads` are those of the attention
     * pool. A ConvNeXt has no heads. */
    uint32_t stages[4];
    uint32_t stage_widths[4];        /* channels in a ConvNeXt's stages, all 0 for other towers */
    uint32_t image_size, patch_size; /* pixels, square */
    uint32_t context;                /* T */
    uint32_t vocabulary;             /* rows of the token table */
    uint32_t embed_dim; /* D of image embeddings (text embeddings where there is no image tower) */
    uint32_t text_embed_dim; /* D of text embeddings; equals embed_dim in two-tower checkpoints */
    float logit_scale; /* the factor of similarities, exp of the stored value; 1 without one */
    /* Each pair of a picture and a text has a probability of its own, sigmoid(logit_scale * cosine
     * + logit_bias), as in SigLIP. The logits of other models become probabilities by a softmax. */
    bool sigmoid;
    float logit_bias; /* 0 without `sigmoid` */
    float image_mean[3], image_std[3];
    uint64_t parameters;
    uint64_t weights_bytes; /* device memory that the weights take, in this precision */
    uint64_t memory_bytes;  /* the least device memory: the weights and one item's activations */
    enum vkclip_precision precision;
    enum vkclip_weights weights; /* AUTO: as the precision */
    bool tokenizer;              /* A vocabulary was found. */
    /* The ids of a text that models with such a vocabulary take: 77 for CLIP's, and 0 for T5's,
     * whose models take texts of any length. */
    uint32_t tokenizer_context;
    char weights_path[1024];   /* the file with the weights, or its name if it has no path */
    char weights_type[16];     /* the type of most of them: "F32", "F16", "BF16" */
    char tokenizer_path[1024]; /* the file with the vocabulary */
    /* What the towers are, "" where there is none: vit, resnet, convnext, eva, siglip for pictures,
     * and text (CLIP's), t5, bert (XLM-R, RoBERTa), siglip for texts. */
    char image_kind[16], text_kind[16];
};

/* Opens a checkpoint. `path` is one of
 *   a folder   of Hugging Face (config.json with model.safetensors or pytorch_model.bin), of
 *              OpenCLIP (open_clip_config.json with open_clip_model.safetensors), or with one
 *              OpenAI state dict in safetensors
 *   a file     .safetensors, .gguf or of PyTorch, or the .index.json of several; of a Stable
 *              Diffusion checkpoint one text encoder is opened
 *   a name     such as openai/clip-vit-base-patch32 or ViT-B/32, where no such path exists: the
 *              model is looked up in the Hugging Face hub's cache, into which `vkclip pull`
 *              downloads
 *   NULL       with params->vocab set: only the tokenizer is opened.
 * With `device` NULL only configuration and tokenizer are read, and encoding fails with ENODEVICE.
 * Device memory is taken for all weights now, but a tower's weights are read when it first encodes,
 * so that a program of pictures never waits for the text tower. The files must not be written to
 * while the model is open; they may be removed or replaced by others. What is read of a file that
 * became shorter all the same fails with EIO.
 * Errors: EIO, EFORMAT, EUNSUPPORTED, EMEMORY, EDEVICEMEMORY, EDEVICE, ELOST, EINVALID. */
VKCLIP_API int vkclip_open_model(struct vkclip_device *device, const char *path,
                                 const struct vkclip_model_params *params,
                                 struct vkclip_model **model);

/* Opens a checkpoint that is one file, or a part of one: an asset in an APK, what a portal or
 * another process hands over, a file without a name. The file is GGUF, safetensors or PyTorch's,
 * the part is `length` bytes from `offset` on, or all up to the file's end if `length` is 0. Only
 * GGUF may have other bytes after its end within the part. The library duplicates `fd` and neither
 * reads nor moves its position: the caller may close it after the call, and may open several models
 * with one descriptor. All else is as in vkclip_open_model, with these differences:
 * - No file is looked for beside it. GGUF has configuration and vocabulary inside; for other files
 *   params->vocab names the vocabulary, without which texts cannot be tokenised. A file that needs
 *   a configuration beside it, as safetensors with Hugging Face's names do, is refused.
 * - Writing to the file, even outside of the part, makes later reads fail with EIO.
 * - On Windows `fd` is a descriptor of the C runtime that the library uses (_open_osfhandle makes
 *   one of a HANDLE).
 * Errors: EINVALID (`fd` is negative, or the file ends before the part), EIO (`fd` is closed, or is
 * a pipe, a socket or another thing that is no regular file), and those of vkclip_open_model. */
VKCLIP_API int vkclip_open_model_file(struct vkclip_device *device, int fd, uint64_t offset,
                                      uint64_t length, const struct vkclip_model_params *params,
                                      struct vkclip_model **model);
/* Opens a checkpoint of `size` bytes at `data`, of any alignment, in the formats of
 * vkclip_open_model_file and with the first of its differences. The memory is not copied. It stays
 * the caller's, who neither changes nor frees it before the model is closed: weights are read from
 * it when a tower first encodes, when a lost device is opened again, and in every batch with
 * `stream`. Errors: EINVALID, and those of vkclip_open_model. */
VKCLIP_API int vkclip_open_model_memory(struct vkclip_device *device, const void *data, size_t size,
                                        const struct vkclip_model_params *params,
                                        struct vkclip_model **model);
VKCLIP_API int vkclip_get_model_info(const struct vkclip_model *model,
                                     struct vkclip_model_info *info);
VKCLIP_API void vkclip_close_model(struct vkclip_model **model);

/* A published model, of which texts that are not known are "", and numbers 0. */
struct vkclip_hub_model {
    const char *name;       /* ARCHITECTURE:TAG if OpenCLIP has the model, or as OpenAI names it */
    const char *aliases;    /* further names, with spaces between */
    const char *repository; /* ORG/NAME in the Hugging Face hub */
    const char *family;     /* what kind of model it is, or who trained it */
    uint32_t millions;      /* of parameters */
    uint32_t embed_dim;     /* D */
    const char *languages, *licence;
    const char *obstacle; /* why vkclip does not run the model; NULL: it does */
};
/* Returns the published model at a position in the list of all that vkclip_open_model knows by
 * name, NULL after the last one. A build without the hub has none. */
VKCLIP_API const struct vkclip_hub_model *vkclip_get_hub_model(size_t index);
/* Finds the published model that a name means, in any form in which vkclip_open_model takes it,
 * ViT-B-32__openai for ViT-B-32:openai among them. NULL: no published model has this name, as none
 * has NULL or "". */
VKCLIP_API const struct vkclip_hub_model *vkclip_find_hub_model(const char *name);
/* Tells whether the hub's cache has a model, so that vkclip_open_model finds it by this name, which
 * may also be ORG/NAME and have @REVISION after it. `hub_dir` is as in struct
 * vkclip_model_params. */
VKCLIP_API bool vkclip_has_cached_model(const char *name, const char *hub_dir);

/* Returns the name of an architecture that vkclip_init_model knows, as OpenCLIP writes it
 * (ViT-B-32, RN50). `index` counts from 0; after the last architecture the result is NULL. Names
 * are static.
 */
VKCLIP_API const char *vkclip_arch_name(size_t index);
/* Writes a checkpoint with random weights, as training starts from (with the paper's scales), to
 * the new or empty folder `path`. The layout is Hugging Face's, or OpenCLIP's where the image tower
 * is no ViT; the vocabulary is not written. `arch` is a name from vkclip_arch_name or a
 * configuration file (config.json or open_clip_config.json). The same seed gives the same bytes on
 * every machine. `progress` may be NULL; a call that is cancelled leaves nothing in the folder.
 * Errors: EINVALID, ECANCELLED, EIO, EFORMAT, EMEMORY. */
VKCLIP_API int vkclip_init_model(const char *arch, uint64_t seed, const char *path,
                                 vkclip_progress_fn *progress, void *user);

/* ---- Conversion ------------------------------------------------------------------------------ */

/* How a file stores the matrices and the token table, which are nearly all of the weights. The
 * other weights stay in fp32. */
enum vkclip_type {
    VKCLIP_TYPE_F16,
    VKCLIP_TYPE_F32,
    VKCLIP_TYPE_BF16, /* safetensors only */
    VKCLIP_TYPE_Q8,   /* Q8_0, GGUF only */
    VKCLIP_TYPE_Q4    /* Q4_0, GGUF only; the first text block and the last projections are Q8_0 */
};

struct vkclip_convert_params {
    size_t size; /* sizeof(struct vkclip_convert_params) */
    enum vkclip_type type;
    vkclip_progress_fn *progress; /* counts bytes; a call that is cancelled leaves no file */
    void *user;                   /* the first argument of `progress` */
};

struct vkclip_conversion {
    size_t size;           /* sizeof(struct vkclip_conversion) */
    char path[1024];       /* the file with the weights */
    uint64_t bytes_before; /* the size of all tensors of the checkpoint */
    uint64_t bytes_after;  /* the size of the file */
};

/* Writes the checkpoint that vkclip_open_model(NULL, path, model, ...) opens, with its vocabulary,
 * to a file of another kind or type. `output` is
 *   NAME.gguf         one file with clip.cpp's names of keys and tensors, whose reader prepares
 *                     texts and pictures by OpenAI's rules. A ModifiedResNet, a ConvNeXt and a
 *                     tower without a projection are refused.
 *   NAME.safetensors  one file, with configuration and vocabulary beside it; an existing file with
 *                     other content is an error
 *   NAME              a folder, created if needed: model.safetensors with config.json for
 *                     checkpoints with Hugging Face's names, else open_clip_model.safetensors with
 *                     open_clip_config.json, and the vocabulary.
 * Every file is written under another name and renamed when it is complete; only some rows of one
 * tensor are in memory. `params` and `conversion` may be NULL. Errors: EINVALID (the checkpoint is
 * read from the output), EUNSUPPORTED (a value is beyond the type's range), EIO, and those of
 * vkclip_open_model. */
VKCLIP_API int vkclip_convert_model(const char *path, const struct vkclip_model_params *model,
                                    const char *output, const struct vkclip_convert_params *params,
                                    struct vkclip_conversion *conversion);

/* Cosines of the embeddings of two models. */
struct vkclip_comparison {
    size_t size;          /* sizeof(struct vkclip_comparison) */
    size_t images, texts; /* how many were compared; 0 if one of the models has no such tower */
    double image_min, image_mean, text_min, text_mean;
};

/* Encodes fixed inputs, generated pictures and texts, by two checkpoints, one after the other, and
 * compares the embeddings. `progress` may be NULL and counts inputs; that of the params is not
 * asked. Errors: EINVALID (the embeddings have different widths), and those of opening and
 * encoding. */
VKCLIP_API int vkclip_compare_models(struct vkclip_device *device, const char *path,
                                     const struct vkclip_model_params *params, const char *other,
                                     const struct vkclip_model_params *other_params,
                                     vkclip_progress_fn *progress, void *user,
                                     struct vkclip_comparison *comparison);

/* ---- Texts ----------------------------------------------------------------------------------- */

enum vkclip_tokenize_flags {
    VKCLIP_TOKENIZE_STRICT = 1, /* A text longer than the context is ETOOLONG, not truncated. */
    VKCLIP_TOKENIZE_PAD = 2,    /* Ids are filled up to `capacity` with the family's pad id. */
    VKCLIP_TOKENIZE_FULL = 4    /* The context does not limit the ids, only `capacity` does. */
};

/* Encodes one UTF-8 text of `length` bytes to ids. CLIP's byte pairs, with start and end of text,
 * follow OpenAI's simple_tokenizer.py with ftfy or the Hugging Face tokenizer.json, as the
 * checkpoint's family says. The unigram pieces of T5, SigLIP and XLM-R follow SentencePiece for its
 * files and GGUF, and the `tokenizers` library for a tokenizer.json, as do Gemma's byte pairs,
 * RoBERTa's, and BERT's WordPiece; OpenCLIP's tokenizer_kwargs are followed. Writes at most
 * `capacity` ids, and their number without padding to *count. The limit is the smaller of the
 * model's context and `capacity`; a longer text is truncated, keeps its end of text, and a warning
 * is logged. With VKCLIP_TOKENIZE_FULL, or without a context, only `capacity` limits the ids; with
 * that flag *count is the number needed, which may exceed `capacity`. Bytes that are not UTF-8 are
 * read as U+FFFD. Errors: EABSENT (there is no vocabulary), ETOOLONG, EINVALID. */
VKCLIP_API int vkclip_tokenize(const struct vkclip_model *model, const char *text, size_t length,
                               unsigned flags, int32_t *ids, size_t capacity, size_t *count);
/* Writes the text of `count` ids as UTF-8 with its NUL, cut to `capacity` bytes, and the number of
 * its bytes without the NUL to *length, which may be larger. Start and end of text are text too. An
 * id outside the vocabulary is EINVALID. Errors: EABSENT, EINVALID, EMEMORY. */
VKCLIP_API int vkclip_detokenize(const struct vkclip_model *model, const int32_t *ids, size_t count,
                                 char *text, size_t capacity, size_t *length);

struct vkclip_tokenizer_params {
    size_t size;            /* sizeof(struct vkclip_tokenizer_params) */
    uint32_t vocabulary;    /* number of tokens, start and end included; 0: 49408 as CLIP has */
    uint32_t min_frequency; /* how often a pair must occur to be merged; 0: 2 */
    uint32_t context;       /* is written for programs that truncate texts; 0: 77 */
    const char *column;     /* the texts' column in .csv and .tsv files; NULL: "title" */
    vkclip_progress_fn *progress; /* counts tokens, after the texts were read */
    void *user;                   /* first argument of `progress` */
};

struct vkclip_tokenizer_result {
    size_t size;            /* sizeof(struct vkclip_tokenizer_result) */
    uint32_t vocabulary;    /* tokens; fewer than requested if the texts have no more pairs */
    uint64_t texts;         /* texts that were read */
    uint64_t words;         /* different words in them */
    uint64_t skipped_words; /* words longer than 1024 characters, which are not used */
};

/* Learns a byte-pair vocabulary of CLIP's form from files of texts. A file whose name ends in .csv
 * or .tsv is a table with one column of texts, separated by tabs if its first row has one; any
 * other file has one text per line. Texts are cleaned and split as vkclip_tokenize does it. Writes
 * Hugging Face's vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json to the
 * new or empty folder `folder`. The same texts in any order give the same bytes, because among
 * equally frequent pairs the last one by code points is merged first. `params` and `result` may be
 * NULL. Errors: EINVALID, EIO, EFORMAT, EMEMORY. */
VKCLIP_API int vkclip_train_tokenizer(const char *const *paths, size_t count,
                                      const struct vkclip_tokenizer_params *params,
                                      const char *folder, struct vkclip_tokenizer_result *result);

/* ---- Prompts --------------------------------------------------------------------------------- */

/* A prompt's syntax says what brackets mean, how a long prompt is split into chunks, and what
 * weights do to the encoder's output. Each has its name on the command line. */
#define VKCLIP_SYNTAXES(X)                                                                      \
    X(NONE, "none")   /* Brackets are text, and a long prompt is cut: diffusers. */             \
    X(A1111, "a1111") /* AUTOMATIC1111's webui with its emphasis Original */                    \
    X(A1111_NO_NORM, "a1111-no-norm") /* the webui with its emphasis No norm */                 \
    X(A1111_IGNORE, "a1111-ignore")   /* the webui with its emphasis Ignore: no weights */      \
    X(A1111_NONE, "a1111-none")       /* the webui with its emphasis None: brackets are text */ \
    X(COMFY, "comfy")                 /* ComfyUI */

enum vkclip_syntax {
#define X(name, text) VKCLIP_SYNTAX_##name,
    VKCLIP_SYNTAXES(X)
#undef X
};

/* What the weights of a chunk do to the rows that its encoder returns. */
enum vkclip_weighting {
    VKCLIP_WEIGHTING_NONE,        /* The rows stay as they are. */
    VKCLIP_WEIGHTING_MULTIPLY,    /* Each row is multiplied by its weight. */
    VKCLIP_WEIGHTING_RENORMALISE, /* The chunk's mean becomes again what it was before that. */
    VKCLIP_WEIGHTING_INTERPOLATE  /* Each row lies between the empty prompt's and its own. */
};

/* One row of an encoder's input. */
struct vkclip_prompt_place {
    int32_t id;        /* 0 where a vector takes the place */
    int32_t embedding; /* index of the textual inversion whose vector it is, or -1 */
    uint32_t vector;   /* which of its vectors */
    bool special;      /* The place is start of text, end of text or fill. */
    double weight;
};

struct vkclip_prompt {
    size_t size;                        /* sizeof(struct vkclip_prompt) */
    struct vkclip_prompt_place *places; /* [chunks,length] */
    uint32_t chunks, length;
    /* The places that the text takes, without the special ones, and those that there are. A chunk
     * that was closed before it was full counts whole. Where text is left out, `used` is larger. */
    uint32_t used, available;
    char *rest; /* the text that was left out, as its tokens spell it; NULL: none was */
    enum vkclip_weighting weighting; /* NONE also where all weights are 1 */
};

/* A textual inversion is a name in prompts that stands for vectors, which take places as tokens do.
 */
struct vkclip_embedding {
    const char *name;
    uint32_t vectors;
};

struct vkclip_prompt_params {
    size_t size; /* sizeof(struct vkclip_prompt_params) */
    enum vkclip_syntax syntax;
    /* Places of a chunk, start and end of text included, or of T5's sequence, at which ComfyUI's
     * prompts are not cut, and all others are. 0: the model's context, or 77, or for T5 as many as
     * the prompt needs. */
    uint32_t length;
    bool strict; /* Text that is left out is ETOOLONG, not truncated with a warning. */
    /* The textual inversions whose names the prompt may have; a conditioner knows its own. */
    const struct vkclip_embedding *embeddings;
    size_t embedding_count;
};

/* Makes the input of the model's text encoder from a prompt of `length` bytes in UTF-8, by the
 * rules of a program for diffusion models. The caller releases *prompt with vkclip_free_prompt.
 * `params` may be NULL. Errors: EABSENT (there is no vocabulary), EINVALID (also a weight that is
 * no finite number, and more than 64 KiB), ETOOLONG, EMEMORY. */
VKCLIP_API int vkclip_tokenize_prompt(const struct vkclip_model *model, const char *text,
                                      size_t length, const struct vkclip_prompt_params *params,
                                      struct vkclip_prompt *prompt);
VKCLIP_API void vkclip_free_prompt(struct vkclip_prompt *prompt);

/* ---- Pictures -------------------------------------------------------------------------------- */

/* 8-bit pixels, rows from the top. */
struct vkclip_image {
    const uint8_t *pixels;
    uint32_t width, height;
    uint32_t channels; /* 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA; colours are not premultiplied */
    size_t stride;     /* bytes from one row to the next; 0: width * channels */
    /* The file held palette indices or single bits, which OpenAI's preprocessing resizes by nearest
     * neighbour. Set it to false for any other picture. */
    bool indexed;
    /* The four channels are cyan, magenta, yellow and black, of which 0 is no ink. The reference
     * resizes such a picture before it converts it to RGB. */
    bool cmyk;
};

struct vkclip_image_params {
    size_t size; /* sizeof(struct vkclip_image_params) */
    /* A picture of more pixels is refused before it is decoded; 0: 89,478,485, where Pillow warns.
     */
    uint64_t max_pixels;
    /* Pixels are turned and mirrored as the file's EXIF orientation says. The reference
     * implementations ignore it, so that cameras' upright pictures lie on their side. */
    bool orient;
    /* A JPEG is decoded at a half, a quarter or an eighth of its size, which takes a fraction of
     * the time, while both sides stay at least this long; 0: at its size. Twice a model's
     * image_size is a good value, with little effect on embeddings. */
    uint32_t least_side;
};

/* Decodes a picture file of any format that vkclip_get_image_format lists: of an animation the
 * first frame, of a TIFF the first page. Samples of 16 bits are read as their high bytes. TIFF,
 * HEIC, AVIF and JPEG XL have an orientation of their own, which is always applied, as Pillow and
 * these formats' libraries do. `params` may be NULL. A file that begins as a picture does is read
 * as a whole before it is decoded, and refused if it is longer than 64 MiB and 16 bytes for each
 * pixel of `max_pixels`. The caller releases the picture with vkclip_free_image. Errors: EIO,
 * EFORMAT, EUNSUPPORTED, EMEMORY. */
VKCLIP_API int vkclip_load_image(const char *path, const struct vkclip_image_params *params,
                                 struct vkclip_image *image);
/* Decodes a picture file that is in memory. Messages call it `name`, which may be NULL. Errors:
 * EFORMAT, EUNSUPPORTED, EMEMORY. */
VKCLIP_API int vkclip_decode_image(const void *data, size_t size, const char *name,
                                   const struct vkclip_image_params *params,
                                   struct vkclip_image *image);
VKCLIP_API void vkclip_free_image(struct vkclip_image *image);

/* Receives the bytes of a file, which are valid during the call of the function. */
typedef void vkclip_bytes_fn(void *user, const void *data, size_t size);
/* Makes a small JPEG file of a picture, to be shown: its longer side has at most `side` pixels,
 * each the mean of those that it covers, and what is transparent is white. Errors: EINVALID,
 * EMEMORY. */
VKCLIP_API int vkclip_make_thumbnail(const struct vkclip_image *image, uint32_t side,
                                     vkclip_bytes_fn *bytes, void *user);

/* A format of picture files. */
struct vkclip_image_format {
    const char *name;
    const char *extensions; /* of its files, in lower case, separated by spaces: "tif tiff" */
    const char *library;    /* which decodes it; NULL: vkclip itself */
    bool readable;          /* false: this build lacks the library, and such files are refused. */
};

/* Returns the format at a position in the list of all formats, NULL after the last one. */
VKCLIP_API const struct vkclip_image_format *vkclip_get_image_format(size_t index);
/* Returns the format that the extension of a file's name stands for, or NULL if it stands for none.
 * The file is not opened, and vkclip_load_image goes by its content. */
VKCLIP_API const struct vkclip_image_format *vkclip_find_image_format(const char *path);

/* The pictures in a tar file, such as a shard of WebDataset. Several threads may use an archive at
 * the same time. */
struct vkclip_archive;

/* Opens a tar file that is not compressed, and lists the files in it whose names have the extension
 * of a picture, in their order; others are left out. The file is opened again for each picture, and
 * a picture is refused if the file was written to in between. Errors: EIO, EFORMAT (truncated, or
 * no tar file with pictures), EUNSUPPORTED (compressed, or this build has no libarchive), EMEMORY.
 */
VKCLIP_API int vkclip_open_archive(const char *path, struct vkclip_archive **archive);

struct vkclip_archive_params {
    size_t size;                  /* sizeof(struct vkclip_archive_params) */
    vkclip_progress_fn *progress; /* counts bytes */
    void *user;                   /* first argument of `progress` */
};
/* The same with params, which may be NULL. */
VKCLIP_API int vkclip_open_tar(const char *path, const struct vkclip_archive_params *params,
                               struct vkclip_archive **archive);
/* Returns the path of a picture within the archive, which lives as long as the archive. After the
 * last picture the result is NULL. */
VKCLIP_API const char *vkclip_get_archived_name(const struct vkclip_archive *archive, size_t index);
/* Decodes a picture as vkclip_load_image does. */
VKCLIP_API int vkclip_load_archived(const struct vkclip_archive *archive, size_t index,
                                    const struct vkclip_image_params *params,
                                    struct vkclip_image *image);
VKCLIP_API void vkclip_close_archive(struct vkclip_archive **archive);

/* Prepares a picture: resizes it until its shorter side is S (Pillow's antialiased bicubic), or to
 * what the checkpoint's configuration says, crops S x S from the centre, and normalises by the
 * checkpoint's mean and standard deviation. S is the model's image_size. Hugging Face folders
 * convert to RGB first, as their image processor does, all other checkpoints last, as OpenAI's
 * _transform does. Writes RGB bytes [S,S,3] to `u8` and normalised values [3,S,S] to
 * `pixel_values`, either of which may be NULL. */
VKCLIP_API int vkclip_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                                 uint8_t *u8, float *pixel_values);

/* ---- Encoding -------------------------------------------------------------------------------- */

enum vkclip_tower { VKCLIP_TOWER_IMAGE, VKCLIP_TOWER_TEXT };

/* Receives one intermediate tensor of `items` consecutive items, the first of which is number
 * `first`, as fp32 of shape [items, shape[1], ...]. A tower has those that it computes of
 * vision.patch_embed, vision.embeddings, vision.hidden.I (0: the input of the first block; I: the
 * output of block I), vision.final_norm (of all tokens), vision.map_attn (SigLIP, PE-Core: the pool
 * before its MLP), vision.attn_pool (CoCa), vision.pooled, vision.projected, vision.normalized; of
 * a ModifiedResNet vision.stem and vision.layerL.I, of a ConvNeXt vision.stem, vision.downsampleL
 * and vision.stageL.I with L from 0 on, all [items,C,H,W]; and of a text text.hidden.I,
 * text.final_norm, text.pooled (of T5 the last hidden state at the end of the text),
 * text.transformation (AltCLIP), text.projected and text.normalized. Return nonzero to
 * cancel the call. */
typedef int vkclip_hidden_fn(void *user, const char *name, const float *data, const size_t *shape,
                             size_t rank, size_t first, size_t items);

/* The result of one item. It and what it points to are valid during the call of the function. */
struct vkclip_item {
    size_t index;        /* position in the list that the caller gave */
    int error;           /* VKCLIP_OK, or why this item has no embedding */
    const char *message; /* what vkclip_last_error would say of it; "" without an error */
    const float *embed;  /* [D]; NULL with an error */
};

/* Called once per item in the order of the list, each as soon as it and all items before it are
 * complete. Return nonzero to cancel the call: no further item is given. */
typedef int vkclip_item_fn(void *user, const struct vkclip_item *item);

/* Selects the state of the tokens within a tower, which programs take that feed a language model or
 * a diffusion model with pictures. A ModifiedResNet and a ConvNeXt have none. */
struct vkclip_features {
    /* 0: the input of the first block; I: the output of block I. Negative numbers count from the
     * last block, whose output is -1, as Hugging Face's hidden_states do. */
    int layer;
    bool norm;     /* The tower's last LayerNorm follows. */
    bool no_class; /* The class token of a picture is left out. */
    bool pooled; /* Only the token which embeddings are made of: the class token or a text's end */
    bool projected; /* The tower's projection follows. */
};
/* Reads LAYER[,no-class][,norm|,no-norm][,pooled][,projected] or the name of a preset, after which
 * such words may follow too:
 *   llava            -2,no-class: LLaVA 1.5 and LLaVA-NeXT
 *   ip-adapter       -1,norm,pooled,projected: IP-Adapter, whose embeddings are not normalised
 *   ip-adapter-plus  -2: IP-Adapter Plus, Wan's pictures
 * Errors: EINVALID. */
VKCLIP_API int vkclip_parse_features(const char *text, struct vkclip_features *features);
/* Tells the shape of one item's features: the number of tokens (1 with `pooled`) and the width of
 * each. `length` is that of the rows of token ids, as many tokens as T5 then has; other models, and
 * T5 with texts, for which it is 0, have all positions of the context. Errors: EABSENT (the model
 * has no such tower or projection), EUNSUPPORTED (a ModifiedResNet or a ConvNeXt), EINVALID (it has
 * no such layer, or no class token). */
VKCLIP_API int vkclip_get_features_shape(const struct vkclip_model *model, enum vkclip_tower tower,
                                         const struct vkclip_features *features, size_t length,
                                         size_t shape[2]);

/* A call that goes on after the function which made it has returned. */
struct vkclip_job;

/* Called when a job has ended: `error` is what the call would have returned without a job, and
 * `message` what vkclip_last_error would say of it; "" without an error. `message` is valid during
 * the call of the function. */
typedef void vkclip_done_fn(void *user, int error, const char *message);

struct vkclip_encode_params {
    size_t size;       /* sizeof(struct vkclip_encode_params) */
    bool no_normalize; /* Embeddings are not divided by their L2 norm. */
    /* NULL: intermediate tensors stay on the device. Otherwise the first of several devices does
     * all the work, and an item's tensors are given before the item itself. Items that have failed
     * are left out. */
    vkclip_hidden_fn *hidden;
    vkclip_progress_fn *progress; /* counts items */
    void *user;                   /* first argument of all of the caller's functions */
    /* NULL: an item that fails makes the whole call fail. Otherwise this function gets the item's
     * error and the call continues with the other items. The caller may then pass NULL in place
     * of `embeds`: memory does not grow with the number of items, because results are given out as
     * the call proceeds. */
    vkclip_item_fn *item;
    uint64_t max_pixels;   /* vkclip_encode_files: as in struct vkclip_image_params */
    bool orient;           /* vkclip_encode_files: as in struct vkclip_image_params */
    bool fast_decode;      /* vkclip_encode_files: least_side is twice the model's image_size. */
    bool strict;           /* A text longer than the context is ETOOLONG instead of truncated. */
    const size_t *lengths; /* vkclip_encode_texts: bytes of each text; NULL: texts end with NUL */
    /* NULL: the result of an item is its embedding. Otherwise these features take its place, and
     * the blocks after their layer do not run: `embeds` is [count,tokens,width] as
     * vkclip_get_features_shape tells, and nothing is normalised. Texts have all positions of the
     * context. `hidden` must be NULL. */
    const struct vkclip_features *features;
    /* vkclip_encode_tokens of a T5, BERT or XLM-R: [M,length], 0 for tokens to which no other
     * attends; NULL: all tokens are attended to, the padding too by T5. CLIP ignores it, because no
     * token of its texts attends to the padding after it. */
    const int32_t *attention_mask;
    /* NULL: the call returns when all is done. Otherwise it starts a job, writes its handle here
     * before any of the caller's functions is called, and returns at once: see vkclip_wait_job. The
     * handle is NULL if the job cannot be started. */
    struct vkclip_job **job;
    vkclip_done_fn *done; /* is called when the job has ended; NULL: nothing is. It needs `job`. */
};

/* The functions below encode `count` items to embeddings [count,D], which are L2-normalised by
 * default. The library prepares items on its own threads (reads, decodes and resizes pictures,
 * tokenises texts) while the devices compute the items before them, on several devices at once
 * if the handle has several. The order of the embeddings is that of the items. All of the
 * caller's functions are called on the thread that called the library, except vkclip_source_fn, or
 * on that of params->job. With `count` 0 only the model is checked: none of the caller's functions
 * is called, except params->done.
 *
 * With params->item, `embeds` may be NULL; where it is not, the rows of failed items are undefined.
 * Errors of one item are those of its file, picture or text: EIO, EFORMAT, EUNSUPPORTED, ETOOLONG,
 * EINVALID, EMEMORY. Other errors end the call, after which the items that were not given have no
 * result: EABSENT (the model has no such tower, or no vocabulary), ENODEVICE (the model was opened
 * without a device), EINVALID (arguments), ECANCELLED, EDEVICE,
 * ELOST (see vkclip_open_device), EDEVICEMEMORY, EMEMORY. */

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
 * without params->item the row of the embeddings is undefined. If a device is lost, the pictures
 * that it was computing are asked for once more. */
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
 * rows are continued with the pad id, but T5, BERT and XLM-R take them as they are. An id
 * outside the vocabulary is the text's error EINVALID. */
VKCLIP_API int vkclip_encode_tokens(struct vkclip_model *model, const int32_t *ids, size_t count,
                                    size_t length, const struct vkclip_encode_params *params,
                                    float *embeds);

/* With params->job, the six functions above start a job on a thread of the library and return:
 * params that are wrong, NULL among strings and the handle of another process are their errors,
 * and all others are the job's. The params and the `features` are copied; everything else that
 * they and the arguments point to, such as strings, pixels and `embeds`, must stay as it is
 * until the job has ended. A job takes its turn on the device where it was started, so that jobs
 * run one after the other in the order in which they were started, and other calls that are made
 * meanwhile between their batches. It counts as a call on its model: closing the model or the
 * device waits for it, but the handle of the job stays. The functions that encode labels, classify,
 * or encode Vulkan's images and buffers have no jobs: EINVALID.
 *
 * params->progress, item, hidden and done are called on the job's thread. When `done` is called,
 * the job has left the device, so that the function may make calls and start jobs. */

/* Waits at most `seconds` until a job has ended and its `done` has returned: 0 only looks, and a
 * negative number waits as long as it takes. *ended, which may be NULL, tells whether it has. Once
 * it has, the function returns the job's error, and vkclip_last_error its message, on every call;
 * before, VKCLIP_OK. Several threads may wait. Errors: EINVALID (a function of the caller waits for
 * the job that has called it, or for one that needs the device of the call that has called it). */
VKCLIP_API int vkclip_wait_job(const struct vkclip_job *job, double seconds, bool *ended);
/* Cancels a job, also before it has its turn: it ends with ECANCELLED as soon as what the device
 * computes at that moment is done, unless it ends by itself before. Any thread may do so, and the
 * job's functions, too. Nothing happens after the job has ended. */
VKCLIP_API int vkclip_cancel_job(struct vkclip_job *job);
/* Cancels a job, waits until it and the calls of vkclip_wait_job have ended, and frees it. Each job
 * is to be closed. Called by one of the job's own functions, it closes nothing, leaves the handle
 * as it is, and logs that. */
VKCLIP_API void vkclip_close_job(struct vkclip_job **job);

/* ---- Conditioning of diffusion models -------------------------------------------------------- */

/* The text encoders of one diffusion model. */
struct vkclip_conditioner;

#define VKCLIP_ENCODERS 3 /* the most encoders that a conditioner has, in all versions */

/* A file with changes of the weights of text encoders. */
struct vkclip_lora {
    const char *path;
    float scale; /* with which the changes are multiplied; 0: 1 */
};

struct vkclip_conditioner_params {
    size_t size; /* sizeof(struct vkclip_conditioner_params) */
    /* A name of vkclip_diffusion_family, such as "sdxl". NULL: what the files are. */
    const char *family;
    /* Files with vocabularies, for files of weights that have none beside them. Each is used for
     * the encoders of its kind, CLIP's or T5's. */
    const char *const *vocabs;
    size_t vocab_count;
    enum vkclip_precision precision;
    enum vkclip_weights weights;
    uint32_t max_batch; /* as in struct vkclip_model_params */
    bool stream;        /* as there, for all encoders */
    /* Textual inversions: files (.pt, .bin, .safetensors), or folders of them, whose names without
     * extension stand in prompts for their vectors. */
    const char *const *embeddings;
    size_t embedding_count;
    const struct vkclip_lora *loras; /* are added in this order */
    size_t lora_count;
    bool identify; /* Hash the weights, for struct vkclip_encoder_info. It reads them once. */
    enum vkclip_compute compute;  /* of the encoders other than T5 */
    vkclip_progress_fn *progress; /* of opening */
    void *user;                   /* first argument of `progress` */
    const char *hub_dir;          /* as in struct vkclip_model_params */
};

/* Returns the name of a family of diffusion models: "sd1", "sd2", "sdxl" and so on. `index` counts
 * from 0; after the last family the result is NULL. Names are static. */
VKCLIP_API const char *vkclip_diffusion_family(size_t index);

/* Opens the text encoders of a diffusion model. Each path is
 *   the folder of a pipeline   of diffusers, with model_index.json
 *   a whole model in one file  such as sd_xl_base_1.0.safetensors, of which the encoders are read
 *   one encoder                a file or folder, such as clip_l.safetensors; it takes the place of
 *                              the one that an earlier path has
 *   a name                     of any of these in the Hugging Face hub's cache
 * and `count` is at least 1. Memory on the device is taken for all encoders now, and their weights
 * are read when they are first used. Errors: EINVALID (the files are of no known family or could be
 * of several, and params->family is NULL; a path, an embedding or a LoRA is for none of its
 * encoders), EABSENT (an encoder or a vocabulary is missing), EUNSUPPORTED (the pipeline of another
 * kind of model), and those of vkclip_open_model. An embedding for other encoders is left out with
 * a warning where a folder has it. */
VKCLIP_API int vkclip_open_conditioner(struct vkclip_device *device, const char *const *paths,
                                       size_t count, const struct vkclip_conditioner_params *params,
                                       struct vkclip_conditioner **conditioner);
VKCLIP_API void vkclip_close_conditioner(struct vkclip_conditioner **conditioner);

/* One text encoder of a conditioner. */
struct vkclip_encoder_info {
    const char *name; /* "clip_l", "clip_h", "clip_g", "t5xxl", "umt5xxl" */
    bool absent;      /* It was not found, and zeros stand in for it. */
    bool variable;    /* `length` is what vkclip_condition_params.max_sequence_length changes. */
    uint32_t length;  /* token positions of a text by default */
    uint32_t width;   /* of each token's state */
    const struct vkclip_model *model; /* for vkclip_get_model_info; NULL if `absent` */
    const char *identity; /* hash of the weights as they are in the files; "" without `identify` */
    const struct vkclip_embedding *embeddings; /* that have vectors for this encoder */
    size_t embedding_count;
};
struct vkclip_conditioner_info {
    size_t size; /* sizeof(struct vkclip_conditioner_info) */
    const char *family;
    const struct vkclip_encoder_info *const *encoders; /* [encoder_count] pointers */
    size_t encoder_count;
    /* What vkclip_condition does without negative prompts: gives zeros, or encodes empty texts,
     * unless the family takes no negative prompts. */
    bool zero_negative, no_negative;
};
/* What the information points to lives as long as the conditioner. */
VKCLIP_API int vkclip_get_conditioner_info(const struct vkclip_conditioner *conditioner,
                                           struct vkclip_conditioner_info *info);

/* Makes the input of the encoder with this index from a prompt, as vkclip_condition does it: with
 * the family's padding and cleaning and the conditioner's embeddings. params->length is that of
 * T5's sequence, and 0 the family's; an encoder that is absent is EABSENT. Otherwise it is
 * vkclip_tokenize_prompt. */
VKCLIP_API int vkclip_tokenize_condition(const struct vkclip_conditioner *conditioner,
                                         size_t encoder, const char *text,
                                         const struct vkclip_prompt_params *params,
                                         struct vkclip_prompt *prompt);

struct vkclip_condition_params {
    size_t size; /* sizeof(struct vkclip_condition_params) */
    /* prompts[0] has `count` texts, which condition one picture each. prompts[1] and prompts[2], if
     * they are not NULL, have as many texts for the second and the third encoder; otherwise these
     * take the first encoder's. Texts end with NUL. */
    const char *const *prompts[VKCLIP_ENCODERS];
    size_t count;
    /* Likewise `negative_count` negative prompts, which is `count`, or 1 for all pictures, or 0:
     * then the family's pipeline decides (see struct vkclip_conditioner_info). */
    const char *const *negatives[VKCLIP_ENCODERS];
    size_t negative_count;
    bool zero_negative; /* Zeros stand for a negative prompt that is empty or not given. */
    enum vkclip_syntax syntax;
    /* Which block of CLIP's encoders conditions the model, counted from the end as the webui,
     * ComfyUI and others do: 1 is the last one; 0: the family's own. With one of the webui's
     * syntaxes it is that of the first encoder alone. */
    uint32_t clip_skip;
    /* The same as diffusers count it: how many blocks before the family's own. It does not concern
     * negative prompts. At most one of both may be set. */
    uint32_t clip_skip_diffusers;
    uint32_t max_sequence_length; /* token positions of T5, 1 to 512; 0: the family's own */
    bool strict; /* Text that is cut, or an unknown embedding's name, is an error. */
    bool f16;    /* Results are fp16 instead of fp32. */
    vkclip_progress_fn *progress;
    void *user; /* first argument of `progress` */
};

enum vkclip_tensor_type { VKCLIP_TENSOR_F32, VKCLIP_TENSOR_F16, VKCLIP_TENSOR_I32 };

struct vkclip_tensor {
    const char *name; /* as the pipeline's arguments are called: "prompt_embeds" */
    enum vkclip_tensor_type type;
    size_t rank, shape[3]; /* [count,...] */
    size_t size;           /* bytes of `data` */
    const void *data;
};

/* How much of an encoder's places a prompt takes. */
struct vkclip_prompt_usage {
    const char *encoder;
    bool negative;
    size_t prompt;            /* its index */
    uint32_t used, available; /* tokens without start and end of text; more used: it was cut */
    const char *rest;         /* the text that was left out; NULL: none was */
};

struct vkclip_conditioning {
    const struct vkclip_tensor *tensors;
    size_t tensor_count;
    const struct vkclip_prompt_usage *usage;
    size_t usage_count;
};

/* Encodes prompts to what a diffusion model is conditioned with, as the encode_prompt of its
 * pipeline in diffusers returns it, and under the same names: prompt_embeds and
 * negative_prompt_embeds [count,tokens,width], by the family also pooled_prompt_embeds or
 * prompt_embeds_pooled, and prompt_attention_mask, and each with negative_ before it. A text that
 * is cut is logged as a warning. The caller releases the result with vkclip_free_conditioning.
 * Errors: EINVALID (also values that are infinite or no numbers in the type of the results),
 * ETOOLONG (`strict`), EABSENT (`strict`: an unknown embedding), EMEMORY, EDEVICE, ELOST,
 * EDEVICEMEMORY. */
VKCLIP_API int vkclip_condition(struct vkclip_conditioner *conditioner,
                                const struct vkclip_condition_params *params,
                                struct vkclip_conditioning **conditioning);
VKCLIP_API void vkclip_free_conditioning(struct vkclip_conditioning **conditioning);

/* ---- Measuring ------------------------------------------------------------------------------- */

/* A node of a tower's graph, as it runs for one batch. */
struct vkclip_node {
    const char *op;    /* such as "MATMUL" */
    const char *name;  /* the name of the result, as vkclip_hidden_fn has them */
    char shape[64];    /* "50x768x3072": rows, columns and depth of a matrix product, or the
                        * dimensions of any other result */
    char kernel[80];   /* the kernel that computes it, with its tile */
    double operations; /* arithmetic operations */
    double bytes;      /* the least memory that is read and written */
    double seconds;    /* time on the device in the last run; negative: it has no timestamps */
};
/* Receives a node. Return nonzero to cancel the call. */
typedef int vkclip_node_fn(void *user, const struct vkclip_node *node);

struct vkclip_cost {
    size_t size;              /* sizeof(struct vkclip_cost) */
    double operations, bytes; /* the sums over all nodes */
    uint64_t device_bytes;    /* the weights of all towers, activations, inputs and outputs */
};

/* Tells the cost of a tower for `batch` items; texts have the length of the whole context. If
 * `node` is not NULL, the batch runs once, and the function is called for every node in order; the
 * call keeps its turn meanwhile, unless the model has `stream`. Only the first of several devices
 * is used. */
VKCLIP_API int vkclip_profile(struct vkclip_model *model, enum vkclip_tower tower, uint32_t batch,
                              vkclip_node_fn *node, void *user, struct vkclip_cost *cost);

/* ---- Zero-shot use (paper, section 3.1) ------------------------------------------------------ */

/* Computes logits [N,M] = exp(logit_scale) * image . text of normalised embeddings, plus logit_bias
 * where the model has one. The sigmoid of a logit is then the probability that the pair belongs
 * together. */
VKCLIP_API int vkclip_similarity(const struct vkclip_model *model, const float *image_embeds,
                                 size_t n, const float *text_embeds, size_t m, float *logits);

/* Computes class embeddings [L,D] from labels: each label replaces "{}" in every template, and the
 * normalised embeddings of these texts are averaged and normalised again (paper, section 3.1.4).
 * Without templates the labels are encoded as they are. params->progress counts texts, and
 * params->item must be NULL, because an average without one of its texts would not be comparable.
 * Errors: EINVALID (also for a template without "{}"), and those of vkclip_encode_texts. */
VKCLIP_API int vkclip_encode_labels(struct vkclip_model *model, const char *const *labels,
                                    size_t label_count, const char *const *templates,
                                    size_t template_count,
                                    const struct vkclip_encode_params *params, float *embeds);

/* Compares pictures with class embeddings [L,D] from vkclip_encode_labels: writes logits [N,L] and
 * their softmax over the labels, or in a model with `sigmoid` the sigmoid of each, to probs [N,L],
 * either of which may be NULL. params->item must be NULL and params->no_normalize false. */
VKCLIP_API int vkclip_classify(struct vkclip_model *model, const struct vkclip_image *images,
                               size_t count, const float *label_embeds, size_t label_count,
                               const struct vkclip_encode_params *params, float *logits,
                               float *probs);

/* ---- Explanation ----------------------------------------------------------------------------- */

/* The patches into which the image tower cuts a picture: `side` rows of `side` patches. They cover
 * this rectangle of the picture, in its pixels from the upper left corner. What is outside of it
 * was cut off before the tower, and where the rectangle reaches beyond the picture, the tower sees
 * padding. */
struct vkclip_grid {
    uint32_t side;
    double left, top, width, height;
};
/* Tells where the patches of a picture of this size are. Of a ModifiedResNet and a ConvNeXt they
 * are the positions of the last layer. Needs no device. Errors: EABSENT (the model has no image
 * tower), EUNSUPPORTED (the picture is too thin, see vkclip_preprocess), EINVALID. */
VKCLIP_API int vkclip_get_grid(const struct vkclip_model *model, uint32_t width, uint32_t height,
                               struct vkclip_grid *grid);

struct vkclip_explain_params {
    size_t size; /* sizeof(struct vkclip_explain_params) */
    /* How many of the last blocks are followed back. 0: all, as the paper does it. The CLIP
     * notebook of its authors follows only the last one, which misleads where the tokens of the
     * last block have more of others' places in them than of their own. */
    uint32_t layers;
    vkclip_progress_fn *progress; /* counts texts */
    void *user;                   /* first argument of `progress` */
};
/* Tells which patches of a picture speak for each of `count` texts (or other pictures), whose
 * normalised embeddings are text_embeds [M,D], all finite: relevance [M,side,side], rows from the
 * top, where vkclip_get_grid says what they cover; `cosines` [M] become those of the picture with
 * each, and may be NULL. The caller owns all arrays. The picture is prepared as vkclip_preprocess
 * does it.
 *
 * It is the method of Chefer, Gur and Wolf 2021 ("Generic Attention-model Explainability for
 * Interpreting Bi-Modal and Encoder-Decoder Transformers"), as their code uses it for CLIP: in each
 * block, every head's attention times the gradient of the logit by that, where the product is
 * positive, is averaged over the heads to A, and R becomes R + A R; the relevance is the class
 * token's row of R. Where an attention pool or the mean of patches makes the embedding, its weights
 * times their gradients take that row's place. So a relevance is never negative: what speaks
 * against a text counts as 0, as what says nothing does. Values compare within one model and number
 * of layers. Gradients are computed in fp32 whatever the model's precision is; with other weights
 * than fp32, or with `stream`, the device holds the image tower's weights once more in fp32 from
 * the first call on. The first of several devices does the work.
 *
 * Errors: EABSENT (the model has no image tower), EUNSUPPORTED (a ConvNeXt, which does not
 * attend), EINVALID (also `layers` above the tower's blocks, or above 1 for a ModifiedResNet, whose
 * pool alone attends), ENODEVICE, EDEVICE, ELOST, EDEVICEMEMORY, EMEMORY. */
VKCLIP_API int vkclip_explain(struct vkclip_model *model, const struct vkclip_image *image,
                              const float *text_embeds, size_t count,
                              const struct vkclip_explain_params *params, float *relevance,
                              float *cosines);

/* ---- Linear probe (paper, section 3.2) ------------------------------------------------------- */

/* A linear probe is a classifier of embeddings: multinomial logistic regression, which measures how
 * well the embeddings separate labelled pictures. The paper fits it to embeddings that are not
 * normalised (params->no_normalize), and chooses `c` by the accuracy on pictures set aside. */
struct vkclip_probe_params {
    size_t size; /* sizeof(struct vkclip_probe_params) */
    double c;    /* as scikit-learn's C, the weight of the data against the penalty, finite; 0: 1 */
    uint32_t max_iterations; /* 0: 1000, as in the paper */
    double tolerance; /* The search ends when the largest derivative is this part of the largest one
                       * at the beginning, a finite number from 0 up; 0: 1e-5. */
    vkclip_progress_fn *progress; /* counts iterations, of which there may be fewer than `total` */
    void *user;
};
struct vkclip_probe_result {
    size_t size; /* sizeof(struct vkclip_probe_result) */
    uint32_t iterations;
    bool converged;   /* false: max_iterations was too small */
    double objective; /* the minimum that was found */
};

/* Fits a probe to features [N,D] with labels [N], which are numbers below K, by L-BFGS from zero:
 * minimises c * (sum of the rows' cross-entropies) + 1/2 * (sum of the squared weights), as
 * scikit-learn's LogisticRegression does with multi_class="multinomial". Writes weights [K,D] and
 * biases [K]. `result` may be NULL. Needs no device. Errors: EINVALID, EMEMORY. */
VKCLIP_API int vkclip_fit_probe(const float *features, const uint32_t *labels, size_t count,
                                size_t dim, size_t classes,
                                const struct vkclip_probe_params *params, float *weights,
                                float *biases, struct vkclip_probe_result *result);
/* Writes the probabilities [N,K] that a probe gives to features [N,D]. Errors: EINVALID. */
VKCLIP_API int vkclip_apply_probe(const float *features, size_t count, size_t dim,
                                  const float *weights, const float *biases, size_t classes,
                                  float *probs);

/* ---- Picture search -------------------------------------------------------------------------- */

/* An index is one file, an SQLite database, or a schema of a PostgreSQL database that several
 * machines share: which pictures lie where, what is known about each, and its embedding by one or
 * several models. A picture is known by the hash of its file's bytes, so that a file that was
 * moved, renamed or copied is never encoded again. Calls on one handle take turns; other
 * handles and other processes may read and write the same index at any time. Builds without SQLite
 * or xxHash have these functions, which then fail with EUNSUPPORTED. */
struct vkclip_index;

/* Tells whether this build has picture search, and whether it has that in PostgreSQL, too. */
VKCLIP_API bool vkclip_has_search(void);
VKCLIP_API bool vkclip_has_postgresql(void);

struct vkclip_index_params {
    size_t size; /* sizeof(struct vkclip_index_params) */
    /* The file, made if it does not exist, or a database as postgresql://USER@HOST/NAME, which gets
     * a schema `vkclip`. NULL: VKCLIP_INDEX if the environment was read, and without it
     * vkclip/index.db in the user's data folder. No message has the password of a database. */
    const char *path;
    bool read_only; /* The file must exist, and nothing is written to it. */
    /* Is asked by every call on the handle, vkclip_open_index included, on the thread that makes
     * it, also by one that has a function of its own. What a database does for long is cancelled
     * within it. Only vkclip_export_index counts: files. */
    vkclip_progress_fn *progress;
    void *user; /* first argument of `progress` */
};

/* Opens an index. Errors: EIO (cannot be opened or written, disk full, locked by another process
 * for longer than half a minute, no connection), EFORMAT (damaged, or another program's file),
 * EUNSUPPORTED (a newer version's file; PostgreSQL in a build without libpq, or a server before
 * version 14), EINVALID (no path, and no data folder; a malformed URI), ECANCELLED, EMEMORY. */
VKCLIP_API int vkclip_open_index(const struct vkclip_index_params *params,
                                 struct vkclip_index **index);
VKCLIP_API void vkclip_close_index(struct vkclip_index **index);

struct vkclip_index_info {
    size_t size; /* sizeof(struct vkclip_index_info) */
    char path[1024];
    uint64_t files;    /* indexed files, as far as is known all present */
    uint64_t pictures; /* different contents among them */
    uint64_t missing;  /* files that were there once */
    uint64_t failed;   /* files that could not be read or decoded */
    uint64_t folders;  /* folders that vkclip_index_paths was given */
    uint64_t models;   /* models that have embeddings here */
    uint64_t bytes;    /* size of the database */
};
VKCLIP_API int vkclip_get_index_info(struct vkclip_index *index, struct vkclip_index_info *info);

/* A model whose embeddings an index has. */
struct vkclip_index_model {
    size_t size;       /* sizeof(struct vkclip_index_model) */
    char identity[33]; /* hash of its weights and of how it prepares pictures */
    char name[1024];   /* path of its weights when it was first used here */
    uint32_t embed_dim;
    uint64_t vectors; /* pictures that it has encoded */
};
/* Lists the models of an index: writes at most `capacity` entries, and their number to *count.
 * `models` may be NULL if `capacity` is 0. */
VKCLIP_API int vkclip_list_index_models(struct vkclip_index *index,
                                        struct vkclip_index_model *models, size_t capacity,
                                        size_t *count);

/* Receives a folder that the index was given. Return nonzero to cancel the call. */
typedef int vkclip_folder_fn(void *user, const char *path);
VKCLIP_API int vkclip_list_index_folders(struct vkclip_index *index, vkclip_folder_fn *folder,
                                         void *user);

/* Receives a file that could not be indexed. A path is the system's bytes, which need not be UTF-8.
 * Return nonzero to cancel the call. */
typedef int vkclip_failure_fn(void *user, const char *path, int error, const char *message);
/* Lists the files that are recorded as failed. */
VKCLIP_API int vkclip_list_index_failures(struct vkclip_index *index, vkclip_failure_fn *failure,
                                          void *user);

/* How far vkclip_index_paths is. */
struct vkclip_update_progress {
    uint64_t found; /* pictures found so far in the folders */
    uint64_t total; /* files that must be read; 0 while folders are still searched */
    uint64_t done;  /* files of `total` that are done */
};
/* Called now and then. Return nonzero to cancel the call: what is done stays done. */
typedef int vkclip_update_fn(void *user, const struct vkclip_update_progress *progress);

struct vkclip_update_params {
    size_t size;       /* sizeof(struct vkclip_update_params) */
    bool thumbnails;   /* A small JPEG of each picture is kept, too, also of pictures that were
                        * encoded without one before. */
    bool retry;        /* Files that failed before are read again although they did not change. */
    bool exact_decode; /* JPEGs are decoded in full size, as vkclip_encode_files does it; otherwise
                        * at a scale that is still twice as large as the model's pictures. */
    uint64_t max_pixels; /* as in vkclip_load_image */
    vkclip_update_fn *progress;
    vkclip_failure_fn *failure; /* gets each file that fails now */
    void *user;                 /* first argument of both functions, which are called on threads of
                                 * the library, never at the same time */
};

struct vkclip_update_result {
    size_t size;         /* sizeof(struct vkclip_update_result) */
    uint64_t indexed;    /* files in the given folders that are in the index with an embedding */
    uint64_t added;      /* files that were not known, copies of known pictures included */
    uint64_t changed;    /* known files with another content than before */
    uint64_t moved;      /* known pictures in another place, whose old place is empty */
    uint64_t removed;    /* files that are gone; their rows stay, marked as missing */
    uint64_t failed;     /* files that cannot be read or decoded, now or when they were last read */
    uint64_t encoded;    /* pictures that were computed by the model */
    uint64_t thumbnails; /* pictures whose thumbnail was made */
};

/* Brings an index up to date with files and folders: finds the pictures in them and everything
 * below, reads those that are new or changed (another size, inode, or time of change), and encodes
 * contents that have no embedding by this model yet. Without paths (`count` 0) it does so for all
 * files and folders that it was given before. Hidden files and folders and those of systems
 * (@eaDir, node_modules) are left out unless they are named; a file that was named once is followed
 * by calls for a folder around it, too. The log says which other files of a new folder are left
 * out. Links are followed where they lead out of the folder. A picture's EXIF orientation is
 * applied. Files that are gone are marked as missing and are not found any more, but if a folder is
 * absent or has no files at all although the index knows some, as if its disk were not mounted, a
 * warning is logged and nothing is marked.
 *
 * Results are written in batches of at most 256 files or half a second. Whenever the process ends,
 * the index is intact, and the next call does what is left. A file that cannot be read or decoded
 * is recorded, and is not read again until it changes, or has failed for lack of something that
 * this build and machine have. `params` and `result` may be NULL; *result is valid after an error,
 * too. Errors: EINVALID (a path does not exist; the index has other vectors under this model's
 * name), ECANCELLED, and those of vkclip_open_index and
 * vkclip_encode_files. */
VKCLIP_API int vkclip_index_paths(struct vkclip_index *index, struct vkclip_model *model,
                                  const char *const *paths, size_t count,
                                  const struct vkclip_update_params *params,
                                  struct vkclip_update_result *result);

/* Waits until pictures or folders below the folders of the index change, and then until nothing has
 * changed for a second, so that a copy in progress is indexed once, but for a minute at most.
 * Returns also after `seconds`, with *changed false; a negative number waits for ever. The first
 * call begins to watch, and later ones tell also of changes between the calls: call it with 0
 * before vkclip_index_paths and with -1 after it. Other calls on this handle wait meanwhile, so
 * that threads which search need one of their own. Errors: EUNSUPPORTED (this system cannot tell of
 * changes: only Linux can), EINVALID (the index has no folders), EIO (too many folders for the
 * system's limit). */
VKCLIP_API int vkclip_watch_index(struct vkclip_index *index, double seconds, bool *changed);

/* Removes files from the index: those with these paths, and all below them if they are folders. The
 * files themselves stay. `removed` may be NULL. */
VKCLIP_API int vkclip_remove_indexed(struct vkclip_index *index, const char *const *paths,
                                     size_t count, uint64_t *removed);
/* Removes the rows of missing files, then pictures that are nowhere any more with their embeddings
 * and thumbnails, and makes the database smaller. A call that is cancelled has removed all or
 * nothing. `removed` may be NULL. */
VKCLIP_API int vkclip_prune_index(struct vkclip_index *index, uint64_t *removed);
/* Adds an HNSW index to the embeddings of each model, for programs that search in SQL by pgvector's
 * operators. It follows later changes, which become slower. Searches of this library do not use it,
 * because they are exact. Errors: EUNSUPPORTED (the index is a file, or its database had no
 * pgvector when it was made), EINVALID (opened for reading only), EIO. */
VKCLIP_API int vkclip_add_hnsw_index(struct vkclip_index *index);

/* Writes the embeddings of a model and their paths in clip-retrieval's layout to the new or empty
 * folder `folder`: img_emb/img_emb_0.npy in fp16 and metadata/metadata_0.parquet. After an error
 * the folder is as it was. `exported` may be NULL. */
VKCLIP_API int vkclip_export_index(struct vkclip_index *index, const struct vkclip_model *model,
                                   const char *folder, uint64_t *exported);

struct vkclip_import_result {
    size_t size;         /* sizeof(struct vkclip_import_result) */
    uint64_t rows;       /* pictures in the other database */
    uint64_t imported;   /* embeddings that were taken over */
    uint64_t left_out;   /* files that are gone, have changed since, or have no usable embedding */
    uint64_t compared;   /* pictures that were encoded to compare */
    double least_cosine; /* the smallest cosine of those */
};
/* Takes over the embeddings of a database of rclip, which must come from the same model: a sample
 * of 16 pictures is encoded, and if a cosine is below 0.99, nothing is imported and the error is
 * EINVALID. rclip does not apply EXIF orientation; its vectors of such pictures are left out.
 * `progress` may be NULL and counts rows; what a call that is cancelled has imported stays.
 * `result` may be NULL. */
VKCLIP_API int vkclip_import_rclip(struct vkclip_index *index, struct vkclip_model *model,
                                   const char *database, vkclip_progress_fn *progress, void *user,
                                   struct vkclip_import_result *result);

enum vkclip_query_kind {
    VKCLIP_QUERY_TEXT,  /* a UTF-8 text in `value` */
    VKCLIP_QUERY_IMAGE, /* a picture file whose path is in `value` */
    VKCLIP_QUERY_ID,    /* the picture `id` of the index */
    VKCLIP_QUERY_EMBED  /* an embedding by the model, floats of any length other than 0 in `data` */
};

/* A query is a sum: the embedding of each part, of unit length, times its weight, as rclip adds
 * them. */
struct vkclip_query_part {
    enum vkclip_query_kind kind;
    const char *value;
    int64_t id;
    double weight; /* 0: 1; negative: what pictures should not show */
    /* The bytes of the picture file, whose name for messages `value` is then; NULL: it is read. Of
     * an embedding its D floats. */
    const void *data;
    size_t size; /* bytes of `data` */
};

enum vkclip_sort {
    VKCLIP_SORT_SCORE, /* the best first */
    VKCLIP_SORT_DATE   /* the `top` best, the newest of them first */
};

/* What is searched for, how many pictures are given, and which pictures are considered. */
struct vkclip_search_params {
    size_t size; /* sizeof(struct vkclip_search_params) */
    const struct vkclip_query_part *parts;
    size_t part_count;
    size_t top; /* the most pictures to give; 0: 10 */
    enum vkclip_sort sort;
    /* A picture is given if it reaches every limit that is not 0. */
    double min_score; /* of its score */
    double min_z;     /* of its z */
    double relative;  /* of its score as a share of the best picture's, 0 to 1 */

    /* The filters below choose among the pictures before they are ranked. They do not change scores
     * or z. Zero or NULL means any. */
    const char *path_glob; /* * stands for any bytes, ? for one character, [a-z] for one of a set,
                            * and what follows a backslash for itself. A pattern without a slash is
                            * compared with the file's name, any other with the whole path.
                            * What is between two slashes may be two stars: then a pattern for
                            * folders is before it, and after it one for the names of files in
                            * those folders and below them. */
    int64_t after, before; /* `date` is at least `after` and less than `before` */
    double latitude, longitude, kilometers; /* within `kilometers` of a place in degrees */
    const char *camera;                     /* part of the camera's name, in any case */
    const char *type;                       /* format, such as "jpeg", in any case */
    uint32_t min_width, min_height;         /* pixels, as the picture is shown */
    uint64_t max_pixels;                    /* of a picture in the query: as in vkclip_load_image */
    vkclip_progress_fn *progress;           /* gets the call's `user` */
};

/* A picture of the index. It and what it points to are valid during the call of the function. Equal
 * files at several places are one picture. */
struct vkclip_hit {
    int64_t id;
    const char *path; /* of one of its files: absolute, without links such as realpath finds it */
    size_t copies;    /* files with this content that are present */
    /* The score is the cosine of the picture and the query. Of different queries they cannot be
     * compared, because all pictures are nearer to some texts than to others. z tells how far the
     * score is above the mean of all pictures of the index, in standard deviations of their
     * scores, which can be compared. */
    float score, z;
    uint32_t width, height; /* as the picture is shown */
    int64_t date;           /* seconds since 1970 in local time: when it was taken, else when its
                             * file was last modified */
    bool taken;             /* The picture says when it was taken. */
    double latitude, longitude; /* degrees; NAN: unknown */
    const char *camera;         /* "": unknown */
    const char *format;         /* such as "jpeg" */
};
/* Receives the pictures that were found, in the order of params->sort. Return nonzero to
 * cancel the call. The function may use the index and the model. */
typedef int vkclip_hit_fn(void *user, const struct vkclip_hit *hit);

/* Searches the index for the pictures whose embeddings by this model are nearest to a query. Scores
 * are exact, up to the rounding of embeddings to fp16 in the index. A picture file of the query
 * that is in the index is not encoded again, and pictures of the query are left out of the results.
 * Only the towers that the query needs are used: the model of a query of ids and embeddings needs
 * no device.
 * Errors: EABSENT (the index has no picture of this model, or not this id), EINVALID (no part, or
 * parts that cancel each other out), those of vkclip_encode_texts and vkclip_encode_files, EIO,
 * EFORMAT. */
VKCLIP_API int vkclip_search(struct vkclip_index *index, struct vkclip_model *model,
                             const struct vkclip_search_params *params, vkclip_hit_fn *hit,
                             void *user);

/* Copies the model's embeddings to the memory of the first of its devices, where searches by this
 * model run from now on, with the same results. That is faster on a GPU, if there are many
 * searches; the copy takes as long as some of them. Embeddings that change are copied again, and if
 * the device fails, the processor searches. From now on calls on this index that take a model or a
 * device wait for their turn on that device, and fail when it was closed, also those that need
 * none. Errors: ENODEVICE, EDEVICEMEMORY, EDEVICE, ELOST, and those of vkclip_search. */
VKCLIP_API int vkclip_upload_index(struct vkclip_index *index, struct vkclip_model *model);

/* Receives a picture of the index and its embedding [D], of unit length. Return nonzero to
 * cancel the call. The function must not use the index. */
typedef int vkclip_indexed_fn(void *user, const struct vkclip_hit *picture, const float *embed);
/* Lists the files that the model has encoded and that pass the filters of `params`, which may be
 * NULL, in the order of ids. Each file is listed, also where several have the same content:
 * `copies` is 1, `score` and `z` are 0. Nothing is encoded, so the model needs no device. Errors:
 * as of vkclip_search. */
VKCLIP_API int vkclip_list_indexed(struct vkclip_index *index, const struct vkclip_model *model,
                                   const struct vkclip_search_params *params, vkclip_indexed_fn *fn,
                                   void *user);

/* Decodes the thumbnail that the index has of a picture. The caller releases it with
 * vkclip_free_image. Errors: EABSENT (it has none), EIO, EFORMAT, EMEMORY. */
VKCLIP_API int vkclip_load_thumbnail(struct vkclip_index *index, int64_t id,
                                     struct vkclip_image *image);

/* Gives the thumbnail that the index has of a picture as it is kept, a JPEG file. Errors: EABSENT
 * (it has none), EIO, EMEMORY. */
VKCLIP_API int vkclip_read_thumbnail(struct vkclip_index *index, int64_t id, vkclip_bytes_fn *bytes,
                                     void *user);
/* Copies the embedding [D] of a picture by this model, of unit length. The model needs no device.
 * Errors: EABSENT (the index has no such picture of this model), EIO, EFORMAT. */
VKCLIP_API int vkclip_read_embedding(struct vkclip_index *index, const struct vkclip_model *model,
                                     int64_t id, float *embed);
/* Describes each file of a picture of the index that is present, in the order of paths: `copies` is
 * 1, `score` and `z` are 0. The function must not use the index. Errors: EABSENT (the index has no
 * such picture), ECANCELLED, EIO. */
VKCLIP_API int vkclip_find_indexed(struct vkclip_index *index, int64_t id, vkclip_hit_fn *hit,
                                   void *user);
/* Opens a file of a picture of the index for reading, provided that nobody has written to it since
 * it was indexed (its size, inode, and times of modification and change are the same), so that a
 * path of the index never leads to another file, and none to what could not be decoded. *file is a
 * descriptor, which the caller closes, and *size its bytes. Errors: EABSENT (there is no such
 * picture or no such file), EIO. */
VKCLIP_API int vkclip_open_indexed(struct vkclip_index *index, int64_t id, int *file,
                                   uint64_t *size);

enum vkclip_group_kind {
    VKCLIP_GROUP_EXACT, /* files with the same bytes */
    VKCLIP_GROUP_SAME,  /* the same picture in other sizes, formats or qualities */
    VKCLIP_GROUP_NEAR   /* similar pictures */
};

/* A group of duplicates, which is valid during the call of the function. */
struct vkclip_group {
    enum vkclip_group_kind kind;
    const char *const *paths; /* EXACT: all files; else the first file of each picture */
    const int64_t *ids;       /* of the pictures; EXACT: the same one `count` times */
    size_t count;             /* at least 2 */
    double cosine;            /* the smallest of two pictures that brought the group together */
};
/* Receives a group. Return nonzero to cancel the call. The function must not use the index. */
typedef int vkclip_group_fn(void *user, const struct vkclip_group *group);
/* Receives now and then which share of the work is done, also while the call waits. Return nonzero
 * to cancel the call. The function must not use the index. */
typedef int vkclip_share_fn(void *user, double share);

struct vkclip_duplicates_params {
    size_t size; /* sizeof(struct vkclip_duplicates_params) */
    /* Whose embeddings are compared: a model's name or identity in the index, or a path to the file
     * of its weights; NULL: that of its only model. */
    const char *model;
    double distance; /* the largest 1 - cosine of two pictures; 0: 0.01 */
    vkclip_share_fn *progress;
};

/* Finds the duplicates among the pictures of an index: all EXACT groups, then all SAME ones, then
 * all NEAR ones. Two pictures are the same if their cosine is at least 0.995 as well as 1 -
 * distance, their sides have the same proportion to within a pixel of the smaller one, and the
 * moments at which they were taken do not differ, where both are known. Groups are what such pairs
 * connect, so that two pictures of a NEAR group may be further apart than `distance`. A NEAR group
 * has one picture of each SAME group. The device's first GPU compares all pictures with each other.
 * Without a device (NULL) only EXACT groups are found. `params` may be NULL; `user` is the first
 * argument of both functions. Errors: EABSENT (the index has no such model), EINVALID (the index
 * has several models and `params` names none), ECANCELLED, ELOST, EIO, EFORMAT,
 * EMEMORY, EDEVICEMEMORY. */
VKCLIP_API int vkclip_find_duplicates(struct vkclip_index *index, struct vkclip_device *device,
                                      const struct vkclip_duplicates_params *params,
                                      vkclip_group_fn *group, void *user);

/* Remembers that two pictures of the index are no duplicates: no SAME or NEAR group has both from
 * then on. Each is the path of a file or "id:N". Errors: EABSENT (the index does not have it),
 * EINVALID (both have the same content; the index was opened for reading only), EIO. */
VKCLIP_API int vkclip_forget_duplicates(struct vkclip_index *index, const char *a, const char *b);

/* ---- Training -------------------------------------------------------------------------------- */

struct vkclip_trainer;

/* How a picture is changed each time it is shown, as OpenCLIP's image_transform does in training.
 */
struct vkclip_augmentation {
    bool off;        /* Pictures are prepared as at inference. */
    double scale[2]; /* range of the crop's area as a fraction of the picture's; both 0: 0.9 to 1.
                      * If the second is above 1, crops may reach over the picture's edges. */
    double ratio[2]; /* range of the crop's width by its height; both 0: 3/4 to 4/3 */
    double rotate;   /* most degrees by which the crop is rotated, in either direction */
    bool fill_mean;  /* The area outside the picture gets the mean colour, not white. */
    /* Brightness, contrast, saturation and hue are changed in random order: the first three by
     * factors of 1 - x to 1 + x, hue by up to x (at most 0.5) of the circle. */
    double color_jitter[4];
    double color_jitter_prob; /* probability of color_jitter; 0: always */
    double gray_scale_prob;   /* probability that a picture is made grey */
    double channel_gain;      /* Red, green and blue are each multiplied by 1 - x to 1 + x. */
};

/* The objective of training. SOFTMAX is CLIP's symmetric cross-entropy; SIGMOID takes each pair of
 * a picture and a text for itself and trains logit_bias too, which the model must have (Zhai et al.
 * 2023). */
enum vkclip_loss { VKCLIP_LOSS_AUTO, VKCLIP_LOSS_SOFTMAX, VKCLIP_LOSS_SIGMOID };

/* What the learning rate does after the warm-up: it falls along half a cosine to 0, or stays, or
 * stays until it falls in the last steps. */
enum vkclip_lr_scheduler { VKCLIP_LR_COSINE, VKCLIP_LR_CONST, VKCLIP_LR_CONST_COOLDOWN };

/* Names are those of OpenCLIP's options. 0 selects the default; where that is not 0, a negative
 * number means 0. */
struct vkclip_trainer_params {
    size_t size; /* sizeof(struct vkclip_trainer_params) */
    /* Exactly one of `model` and `init` names the model. A resumed run has a model of its own. */
    const char *model; /* path of a checkpoint, as for vkclip_open_model */
    const char *init;  /* an architecture of vkclip_arch_name, or a configuration file (config.json,
                        * open_clip_config.json): weights are random, from the seed */
    const char *vocab; /* vocabulary file; NULL: the one beside the checkpoint */
    /* These two are for `model` alone, as in struct vkclip_model_params; what a run has saved needs
     * neither. */
    enum vkclip_activation activation;
    const char *state_dict;

    /* Exactly one of `data` and `data_raw` names the pairs. */
    const char *const *data; /* CSV or TSV files, or WebDataset's shards: train-{0000..0099}.tar.
                              * Several are mixed in proportion to their numbers of pictures. */
    size_t data_count;
    const char *val_data; /* pairs for vkclip_validate_trainer, in the same forms; NULL: none */
    const char *data_raw; /* safetensors with images [S,B,3,H,W] and input_ids [S,B,T]: S prepared
                           * batches, which are taken in order, again and again */
    char csv_separator;   /* 0: a tab where the first row has one, else a comma */
    const char *csv_img_key, *csv_caption_key; /* columns; NULL: filepath, title */
    const char *label_key; /* column, or member of the shards' .json. A batch has no two pictures of
                            * one label, and a pass over the data still shows every picture. NULL:
                            * every picture is its own label. */
    const char *const *templates; /* A random one is put around each caption, at its "{}". */
    size_t template_count;
    struct vkclip_augmentation augmentation;
    unsigned workers; /* threads that prepare pictures; 0: one less than there are processors */

    /* The optimiser is AdamW, with decay on tensors of two and more dimensions. */
    uint32_t batch_size; /* pairs computed at once; 0: 64, or what data_raw has */
    uint32_t accum_freq; /* batches per step; 0: 1. All pairs of a step are each other's
                          * negatives (cached embeddings, Gao et al. 2021). */
    double lr, beta1, beta2, eps, wd; /* 0: 5e-4, 0.9, 0.98, 1e-6, 0.2 */
    double grad_clip_norm;            /* largest norm of the gradients; 0: no limit */
    double ema_decay; /* With 0.999 the run keeps an average of the weights, of which 0.999 stays in
                       * each step. It is saved in the folder "ema" beside the weights, a model of
                       * its own. 0: there is none. Running statistics of batch norm are not
                       * averaged. */
    int64_t warmup;   /* steps over which lr rises; 0: a tenth of all, at most 10000 */
    enum vkclip_lr_scheduler lr_scheduler;
    /* CONST_COOLDOWN needs one of the first two: in the last steps, or passes over the data, lr
     * falls to lr_cooldown_end, by the fraction of them that is left to the power of
     * lr_cooldown_power. */
    uint64_t steps_cooldown;
    uint32_t epochs_cooldown;
    double lr_cooldown_power, lr_cooldown_end; /* 0: 1, which is a straight line, and 0 */
    uint64_t steps;  /* steps of the whole run; 0: `epochs` passes over the data */
    uint32_t epochs; /* 0: 32 */
    uint64_t seed;
    bool freeze_bn_stats; /* A ModifiedResNet's batch norm uses its running statistics and leaves
                           * them, instead of using the batch's and moving its own. */
    bool lock_image, lock_text; /* a tower whose weights stay (LiT, Zhai et al. 2022) */
    /* A locked tower's last groups are trained all the same. Its head is the last group, if it has
     * one (what projects or pools after the last norm), then the last block with that norm, then
     * each block, and at last what comes before the blocks. */
    uint32_t lock_image_unlocked_groups, lock_text_unlocked_layers;
    enum vkclip_precision precision; /* F16: activations and their gradients take half the memory,
                                      * and the loss is scaled to keep these in range; weights and
                                      * the optimiser stay fp32 (Micikevicius et al. 2018). */
    bool checkpoint_activations; /* Blocks are computed again for their gradients instead of keeping
                                  * their activations: less memory, more time, the same result. */
    enum vkclip_loss loss;       /* AUTO: the sigmoid of each pair if the model has a logit_bias */
    const char *output;          /* the run's folder, made if it does not exist */
    bool resume;                 /* Resume from the last saved step; begin where there is none. */
    uint32_t keep;               /* saved steps to keep; 0: 3 */
    /* Is asked while the trainer is opened, and in all later calls that take long: steps,
     * validations and saving. A step that is cancelled has changed nothing and may be made again.
     */
    vkclip_progress_fn *progress;
    void *user; /* first argument of `progress`; both must stay valid as long as the trainer */
};

struct vkclip_trainer_info {
    size_t size;                /* sizeof(struct vkclip_trainer_info) */
    uint64_t step, steps;       /* steps done, and steps of the whole run */
    uint64_t epoch_steps;       /* steps per pass over the data */
    uint32_t batch, batch_size; /* pairs per step, and pairs computed at once */
    uint64_t parameters, trained_parameters;
    uint64_t samples, captions, labels; /* 0 for prepared batches */
    uint64_t incomplete;                /* rows left out, without a picture or a caption */
};

/* Bytes on the device, without the driver's own. */
struct vkclip_trainer_memory {
    size_t size;                          /* sizeof(struct vkclip_trainer_memory) */
    uint64_t weights, gradients, moments; /* `moments` with the averages of ema_decay */
    uint64_t activations;                 /* bytes of the largest part of a step */
    uint64_t least;                       /* bytes of activations that every placement needs */
};

struct vkclip_train_result {
    size_t size;   /* sizeof(struct vkclip_train_result) */
    uint64_t step; /* steps done, with this one */
    float loss; /* the mean of the cross-entropies of both directions; or the sum over the texts of
                 * the sigmoid losses of pairs, as a mean over the pictures */
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

struct vkclip_validation {
    size_t size;               /* sizeof(struct vkclip_validation) */
    uint64_t images, captions; /* that could be read */
    /* The mean of the losses of all pictures with their first captions, in batches of `batch_size`
     * pairs, of which the last may have fewer; softmax or sigmoid, as in training. */
    double loss;
    /* Recall at 1, 5 and 10 in per cent: the pictures that have one of their captions among the
     * most similar ones, and the captions whose picture is among these. */
    double image_to_text[3], text_to_image[3];
    double seconds;
};

/* Opens a training run (the paper's figure 3; OpenCLIP's train.py). If the handle has several
 * devices, each is measured first, and those share every batch that make a step shorter; the log
 * names the others as warnings. Batch norm is trained on one device only, the fastest, unless
 * `freeze_bn_stats` is set. Without a device (NULL) everything is read and checked, but nothing can
 * be trained. With `init`, random weights are written into the folder "initial" of the run's
 * folder. On an error a folder that was made is removed. Errors: EINVALID (a folder with saved
 * steps without `resume`, a batch larger than the data), EUNSUPPORTED (precision F16 on a device
 * without 16-bit storage), and those of vkclip_open_model. */
VKCLIP_API int vkclip_open_trainer(struct vkclip_device *device,
                                   const struct vkclip_trainer_params *params,
                                   struct vkclip_trainer **trainer);
VKCLIP_API int vkclip_get_trainer_info(const struct vkclip_trainer *trainer,
                                       struct vkclip_trainer_info *info);
/* Tells what this run needs on a device, with `checkpoint_activations` or without. */
VKCLIP_API int vkclip_measure_trainer(const struct vkclip_trainer *trainer,
                                      bool checkpoint_activations,
                                      struct vkclip_trainer_memory *memory);
/* Compares what this run needs with the memory that each device of the handle has left, and logs a
 * warning that names what would fit where it is less, as opening the trainer on that device does.
 * Errors: EINVALID, EMEMORY. */
VKCLIP_API int vkclip_check_trainer_memory(const struct vkclip_trainer *trainer,
                                           const struct vkclip_device *device);
/* Computes one step of the optimiser. Errors: EDIVERGED (the loss or a gradient is not finite, and
 * the step has changed nothing), EINVALID (all steps are done), EDEVICE, ELOST (the message names
 * the last saved step, from which a new trainer resumes), EFORMAT (no sample can be read). */
VKCLIP_API int vkclip_train_step(struct vkclip_trainer *trainer,
                                 struct vkclip_train_result *result);
/* Measures the run as it is now on `val_data`, with the averages of the weights if there are any.
 * Pictures are prepared as at inference. The run goes on as if this had not been called. Errors:
 * EINVALID (the trainer has no `val_data`), EFORMAT (no picture could be read), EDEVICE, ELOST. */
VKCLIP_API int vkclip_validate_trainer(struct vkclip_trainer *trainer,
                                       struct vkclip_validation *result);
/* Saves the run as it is now: writes the folder checkpoint-STEP into the run's folder and removes
 * the oldest beyond `keep`. It is an ordinary checkpoint together with what the run needs to
 * resume, and gets its name when all of it is written. A run that resumes from it computes the same
 * bits on the same device with the same kernels (see enum vkclip_tune). `path` may be NULL. */
VKCLIP_API int vkclip_save_trainer(struct vkclip_trainer *trainer, char *path, size_t capacity);
/* Writes the model as it is now into the run's folder itself: in Hugging Face's layout, or in
 * OpenCLIP's if the model came so or its image tower is no ViT. */
VKCLIP_API int vkclip_save_trained_model(struct vkclip_trainer *trainer);
VKCLIP_API void vkclip_close_trainer(struct vkclip_trainer **trainer);

#ifdef __cplusplus
}
#endif
#endif
