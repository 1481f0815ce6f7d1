/* SPDX-License-Identifier: MIT
 *
 * This header has what only the files of vulkan/ share: the structs behind the handles of gpu.h,
 * what a probe finds, and the functions that these files call in each other. Vulkan's functions are
 * called through the tables of functions.h. Those of the library's own instance may be called only
 * while it is open: between gpu_loader_open and gpu_loader_close, or as long as a GPU is open.
 */
#ifndef VKCLIP_VULKAN_INTERNAL_H
#define VKCLIP_VULKAN_INTERNAL_H

#include "vulkan/functions.h"
#include "vulkan/gpu.h"
#include "vkclip_vulkan.h"

/* A physical device with the functions of its instance. */
struct physical {
    VkPhysicalDevice handle;
    const struct instance_functions *vk;
};

/* A queue, and what commands for it need. */
struct gpu_queue {
    VkQueue queue;
    uint32_t family, index; /* which queue of which family it is */
    VkCommandPool pool;
    VkPipelineStageFlags stages; /* all that its commands have */
};

struct gpu {
    bool loader; /* gpu_loader_open was called */
    bool lent;   /* the device is the application's, and is not destroyed */
    struct instance_functions lent_functions; /* of its instance */
    void (*lock_queue)(void *user); /* NULL: nobody else uses the queue at the same time */
    void (*unlock_queue)(void *user);
    void *queue_user;
    struct physical physical;
    VkDevice device;
    struct device_functions vk; /* of the device */
    struct gpu_queue queue;
    struct gpu_queue copies;  /* with CAP_COPIES; otherwise all zero */
    uint32_t families;        /* queue families of the physical device */
    uint32_t timestamp_bits;  /* valid bits of a timestamp; 0 where the queue has no timestamps */
    double timestamp_seconds; /* duration of one step of a timestamp */
    VkDescriptorSetLayout set_layouts[2]; /* storage buffers, texel buffers */
    VkPipelineLayout layout;
    VkPipelineCache cache;
    VkPhysicalDeviceMemoryProperties memory;
    bool has_budget;           /* the driver tells how much memory is in use */
    uint64_t import_alignment; /* of the process's memory that the device can use; 0: of none */
    struct gpu_pipeline *pipelines;
    struct workers *workers;
    bool told_full;     /* the log says that host memory is used because the device's is full */
    bool cache_changed; /* a pipeline was added since the cache was read */
    char *cache_path;   /* NULL where the pipeline cache is not kept on disk */
    uint32_t caps;
    struct gpu_limits limits;
    uint32_t required_subgroup; /* lanes to ask for where CAP_SUBGROUP is needed; 0: do not ask */
    struct vkclip_device_info info;
    double timeout;         /* seconds without progress after which the device counts as lost */
    bool lost;              /* the device is lost, so that nothing more can be submitted */
    char *loss;             /* the message of the loss */
    bool hangs;             /* it was never heard of again: what it uses is not destroyed */
    struct gpu_row *rows;   /* see rows.c */
    unsigned rows_left_out; /* number of rows that are left out */
    bool rows_changed;      /* something is known that the file does not have */
    char *rows_path, *running_path; /* NULL where nothing is kept on disk */
    char *cache_folder;             /* NULL where nothing is kept on disk */
    char *disabled_kernels;         /* see struct settings */
    bool statistics;                /* pipelines are built with statistics */
};

struct gpu_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkMemoryPropertyFlags properties; /* of the memory's type */
    void *map;                        /* NULL where the host does not see the memory */
    void *pages;                      /* the process's memory behind it; NULL: it is the driver's */
    uint64_t page_bytes;
    uint64_t address; /* 0 where no kernel needs it */
};

struct gpu_pipeline {
    VkPipeline pipeline; /* NULL until it is built, and if building failed */
    VkResult result;     /* what building it gave; VK_NOT_READY until then */
    const char *name;
    struct spirv code;
    uint32_t caps; /* capabilities that the shader needs */
    uint32_t constants[GPU_CONSTANTS], count;
    struct gpu_pipeline *next;
};

/* One submit's commands: a command buffer, and where it ends in the list of dispatches. */
struct gpu_part {
    VkCommandBuffer buffer;
    VkFence fence;  /* signalled when the submit that ends with this part is done */
    bool submitted; /* the fence was submitted and not waited for */
    size_t end;     /* number of dispatches up to the end of this part */
    double share;   /* share of the work of one submit, as known when the part was recorded */
};

/* What is remembered of a recorded dispatch. */
struct gpu_dispatched {
    struct gpu_row *row;
    double work, weight;
    size_t query; /* number of its pair of timestamps; NO_QUERY if it has none */
};
#define NO_QUERY SIZE_MAX
/* A plan has some hundred dispatches. Larger pools would take memory that small plans leave unused,
 * smaller ones would be created more often while commands are recorded. */
#define DISPATCHES_PER_POOL 256

/* A range that a recorded command reads or writes. */
struct gpu_access {
    const struct gpu_buffer *buffer;
    uint64_t begin, end;
    bool written;
};

struct gpu_commands {
    struct gpu *gpu;
    const struct gpu_queue *queue; /* on which they run */
    struct gpu_commands *leader;   /* commands for which each run waits; NULL: there are none */
    VkSemaphore done;              /* signalled by each run if others wait for it */
    struct gpu_part *parts;        /* the last one is being recorded */
    size_t part_count;
    struct gpu_dispatched *dispatches;
    size_t dispatch_count;
    VkDescriptorPool *pools;
    size_t pool_count, sets_left; /* sets_left: sets not yet allocated from the last pool */
    VkBufferView *views;
    size_t view_count;
    size_t finished;      /* parts of the current run that are known to be done */
    double begun;         /* when the current run was submitted, by the host's clock */
    bool proved;          /* a run has ended, so that no row runs for the first time */
    bool timed;           /* every dispatch has timestamps */
    bool learns;          /* some dispatches have timestamps, which the next run reads */
    VkQueryPool *queries; /* each has the timestamps of DISPATCHES_PER_POOL dispatches */
    size_t query_pool_count, query_count;
    struct gpu_access *accesses; /* of the commands since the last barrier */
    size_t access_count, barrier_count;
    VkPipelineStageFlags stages; /* those that the next dispatch with a barrier waits for */
    bool copies_wait;            /* The next copy has to wait whatever its ranges are. */
    /* For which the run waits, and which it signals, by the application; each may be NULL. */
    VkSemaphore wait, signal;
    uint64_t wait_value, signal_value; /* of timeline semaphores; 0: they are none */
};

/* ---- error.c --------------------------------------------------------------------------------- */

/* Returns VKCLIP_OK for VK_SUCCESS, else the error that the result means, with a message that names
 * the call. */
int vulkan_check(VkResult result, const char *call);

/* ---- instance.c ------------------------------------------------------------------------------ */

/* Lists the physical devices of an instance. The caller frees the list, which is NULL after an
 * error. */
int instance_list(const struct instance_functions *functions, VkInstance instance,
                  VkPhysicalDevice **devices, uint32_t *count);
/* Returns the process's instance, which must be open, and its functions. */
VkInstance instance_handle(void);
const struct instance_functions *instance_functions(void);
/* Returns the function of the system's loader by which all others are found, or NULL. */
PFN_vkGetInstanceProcAddr instance_find_loader(void);
bool instance_has_extension(const VkExtensionProperties *extensions, uint32_t count,
                            const char *name);

/* Numbers of vendors, which Khronos gives or which are those of PCI. */
#define VENDOR_AMD 0x1002
#define VENDOR_APPLE 0x106b
#define VENDOR_ARM 0x13b5
#define VENDOR_BROADCOM 0x14e4
#define VENDOR_IMAGINATION 0x1010
#define VENDOR_INTEL 0x8086
#define VENDOR_NVIDIA 0x10de
#define VENDOR_QUALCOMM 0x5143

/* ---- probe.c --------------------------------------------------------------------------------- */

/* What a driver says of a device. The choice of a device and the quirks depend on nothing else, so
 * that tests can make up any machine. */
struct description {
    struct vkclip_device_info info;
    struct physical physical;
    VkDriverId driver;                       /* 0 if the driver does not tell */
    uint32_t driver_version;                 /* in the driver's own encoding */
    const struct vkclip_vulkan_device *lent; /* NULL: the library opens the device itself */
    bool conformant; /* the driver claims to have passed Vulkan's conformance tests */
    /* These tell generations of GPUs apart. They are 0 until probe_features has asked for them. */
    uint32_t subgroup_min, subgroup_max;
    bool mixed_dot; /* dot products of signed with unsigned 8-bit integers are accelerated */
};

/* What has to be done differently on a device, though its driver says otherwise. */
struct quirks {
    const char *refusal;  /* why the device must not be used; NULL if it may be */
    uint32_t caps;        /* capabilities not to use */
    bool separate_memory; /* see struct gpu_limits */
    bool compute_queue;   /* a queue without graphics is better */
    uint32_t stored_rows; /* see struct gpu_limits */
};

/* This struct says what a device can do beyond Vulkan 1.1. `core` heads a chain of pointers through
 * the other features, which vkCreateDevice receives, so the struct must not be copied. */
struct features {
    VkPhysicalDeviceFeatures2 core;
    VkPhysicalDevice16BitStorageFeatures storage16;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT subgroup;
    VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR dot;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat;
    VkPhysicalDeviceBufferDeviceAddressFeatures address;
    uint32_t matrix[3];         /* M, N, K of the cooperative matrices */
    const char *extensions[10]; /* extensions to enable */
    uint32_t extension_count;
    uint32_t subgroup_width;    /* lanes in the variants that need CAP_SUBGROUP */
    uint32_t required_subgroup; /* see struct gpu */
    uint32_t caps;
    struct gpu_queue queue, copies;          /* see struct gpu; without what only a device has */
    const struct vkclip_vulkan_device *lent; /* see struct description */
    struct quirks quirks;
};

#define MOST_FAMILIES 32
/* Tells whether the driver lists an extension of the device. */
int probe_has_extension(struct physical physical, const char *name, bool *has);
/* Describes any device by what Vulkan has without options. For an unusable device, info.why says
 * the reason. */
void probe_describe(const struct settings *settings, struct physical physical, uint32_t index,
                    struct description *description);
/* Tells whether a word of VKCLIP_DISABLE_CAPS or VKCLIP_ENABLE_CAPS names a capability. */
bool probe_is_cap(const char *word);
/* Finds the features of a device, which must have Vulkan 1.1. It asks for none that are disabled or
 * taken away by a quirk. Cooperative matrices of fp16 are assumed where the device has cooperative
 * matrices, until probe_matrices has asked the driver for their shapes. */
int probe_features(const struct settings *settings, struct description *description,
                   struct features *f);
/* Takes over the features of one struct of the application's that kernels use. */
void probe_take_features(const VkBaseInStructure *given, struct features *f);
/* Asks for the shapes of cooperative matrices. Only the device to be opened is asked, because the
 * question crashes some drivers. */
void probe_matrices(struct physical physical, struct features *f);
/* Leaves only what the capabilities need in the chain of features and the list of extensions. */
void probe_enable(struct features *f);
/* Fills the GPU's limits, its number of families and its timestamps; `physical`, `queue` and `info`
 * must be set. */
void probe_limits(struct gpu *gpu, const struct features *f);

/* ---- lent.c ---------------------------------------------------------------------------------- */

/* Takes over the features that the application enabled. */
void lent_features(const struct vkclip_vulkan_device *lent, struct features *f);
/* Tells whether the application enabled an extension. */
bool lent_has_extension(const struct vkclip_vulkan_device *lent, const char *name);
/* Describes the application's device, through functions that must outlive the description. `lent`
 * may lack all but the instance and the physical device. */
int lent_describe(const struct settings *settings, const struct vkclip_vulkan_device *lent,
                  struct instance_functions *functions, struct description *device);
/* Refuses a device or a queue that cannot be used. */
int lent_check(const struct vkclip_vulkan_device *lent, const struct description *device);

/* ---- class.c --------------------------------------------------------------------------------- */

/* Fills in `class`, `wave` and `units`. */
void class_find(const struct description *description, struct gpu_limits *limits);

/* ---- statistics.c ---------------------------------------------------------------------------- */

/* Adds to the features of a device to be opened the extension by which drivers describe pipelines.
 * `feature` must live as long as `f`. Leaves `f` as it is if the device lacks the extension. */
int statistics_enable(struct gpu *gpu, struct features *f,
                      VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR *feature);

/* ---- quirks.c -------------------------------------------------------------------------------- */

/* Finds the quirks of a device. The setting `off` gives none. */
struct quirks quirks_find(const struct settings *settings, const struct description *description);

/* ---- choose.c -------------------------------------------------------------------------------- */

/* Chooses the device to open: the one whose number is `wanted` or whose name contains it, or with
 * `wanted` NULL the best one. */
int choose_one(const struct description *devices, uint32_t count, const char *wanted,
               uint32_t *chosen);
/* Chooses the devices that `all` means, see gpu_list_all, and returns their number. `chosen` has
 * room for `count`. */
uint32_t choose_all(const struct description *devices, uint32_t count, uint32_t *chosen);

/* ---- memory.c -------------------------------------------------------------------------------- */

/* Asks the chosen device what memory it has, and adds to the features of the device the extension
 * by which a CPU uses memory of the process. */
int memory_open(struct gpu *gpu, struct features *f);

/* ---- pipeline.c ------------------------------------------------------------------------------ */

/* Creates the common layout and reads the pipeline cache. */
int pipelines_open(struct gpu *gpu);
/* Writes the pipeline cache and destroys all pipelines. Accepts a GPU whose opening failed. */
void pipelines_close(struct gpu *gpu);

/* ---- commands.c ------------------------------------------------------------------------------ */

/* Returns the command buffer that is being recorded. */
VkCommandBuffer commands_buffer(const struct gpu_commands *commands);
/* Makes a copy wait for what was recorded before it. */
int commands_order_copy(struct gpu_commands *commands, const struct gpu_range *source,
                        const struct gpu_range *target);

/* ---- run.c ----------------------------------------------------------------------------------- */

/* Tells whether a part has a row that has to run alone, which is then the only one. */
bool run_is_alone(const struct gpu_commands *commands, size_t part);

/* ---- rows.c ---------------------------------------------------------------------------------- */

enum row_state {
    ROW_NEW,   /* never run on this device */
    ROW_KNOWN, /* it has run */
    ROW_ALONE, /* it failed together with others: its next run is one by itself */
    ROW_OUT    /* it failed alone: it is not used */
};

/* A row of the kernel table, by its name. */
struct gpu_row {
    char *name;
    enum row_state state;
    bool running;         /* its first run has begun and not ended */
    double work, seconds; /* of the longest dispatch that was timed; 0: none was */
    struct gpu_row *next;
};

/* Commands that run more rows than this for the first time are remembered only in part. */
#define ROWS_MOST 64

/* Sets how much a submit may do; gpu->info must be set. */
void rows_set_limits(struct gpu *gpu);
/* Reads what is known; the GPU's limits must be set. */
void rows_open(struct gpu *gpu);
/* Takes over what was known of a lost GPU's rows. */
void rows_inherit(struct gpu *gpu, struct gpu *lost);
/* Keeps on disk what is known. */
void rows_close(struct gpu *gpu);
/* Returns a row, or NULL if it is not in the list. */
struct gpu_row *rows_find(const struct gpu *gpu, const char *name);
/* Returns a row, which is added if it is not in the list, or NULL after error_fail. */
struct gpu_row *rows_get(struct gpu *gpu, const char *name);
/* Returns the operations of a row that one submit may take. */
double rows_submit_work(const struct gpu *gpu, const struct gpu_row *row, double weight);
/* Tells whether a dispatch of that work should be timed, and takes its time. */
bool rows_is_unknown(const struct gpu *gpu, const struct gpu_row *row, double work);
void rows_learn(struct gpu *gpu, struct gpu_row *row, double work, double seconds);
/* Notes on disk that rows are about to run, if any of them runs for the first time, and that they
 * have run. */
void rows_begin(struct gpu *gpu, struct gpu_row *const *rows, size_t count);
void rows_end(struct gpu *gpu, struct gpu_row *const *rows, size_t count);
/* Remembers that the device was lost while it ran these rows, some of them perhaps for the first
 * time. */
void rows_blame(struct gpu *gpu, struct gpu_row *const *rows, size_t count);

#endif
