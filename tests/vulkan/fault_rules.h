/* SPDX-License-Identifier: MIT
 *
 * Reads from variables of the environment which faults the fault layer makes, and when.
 */
#ifndef VKCLIP_TESTS_FAULT_RULES_H
#define VKCLIP_TESTS_FAULT_RULES_H

#include <stdbool.h>
#include <stdint.h>

/* A variable VKCLIP_FAULT_NAME says when its fault happens: a list of words with commas between
 * them. `7` is the 7th event, `7-` every event from the 7th on, `/20` every 20th event, and
 * `matmul_texel` or `matmul_texel_f32_f16` every event that has to do with that shader or that row
 * of shaders/kernels.def. Events are counted from 1 in the whole process, over all devices, and
 * from 1 again when an instance is created after one of the variables has changed. */
/* clang-format off */
#define FAULTS(X)                                                                                  \
    X(CORRUPT)  /* after a recorded dispatch, one word of its result is overwritten */             \
    X(LOSE)     /* at a submit, which is not executed, the device is lost: all later calls on this \
                   VkDevice return VK_ERROR_DEVICE_LOST */                                         \
    X(HANG)     /* at a submit the device hangs: it executes nothing any more, and waiting for it  \
                   ends with VK_TIMEOUT, or never if there is no limit of time */                  \
    X(EXIT)     /* at a submit the process ends with status 86, as if the driver crashed */        \
    X(PIPELINE) /* a pipeline cannot be built */                                                   \
    X(ALLOCATE) /* an allocation fails; the words `device` and `host` stand for memory that is, or \
                   is not, local to the device */

/* A variable VKCLIP_FAULT_NAME of these has one number. */
#define NUMBERS(X)                                                                                 \
    X(PIPELINE_RESULT) /* what building a pipeline that fails returns; 0: VK_SUCCESS with no       \
                          pipeline, as some drivers do (default -13, VK_ERROR_UNKNOWN) */          \
    X(ALLOCATE_ABOVE)  /* allocations of more bytes than this fail */                              \
    X(DEVICE_MEMORY)   /* allocations fail that would make the live bytes of memory local to the   \
                          device more than this, which is also the heap's size */                  \
    X(DISCRETE)        /* 1: the device says that it is a discrete GPU, and has one type of memory \
                          that only the device sees and one that the host sees */                  \
    X(BINDING)         /* maxStorageBufferRange is lowered to this */                              \
    X(TIMESTAMPS)      /* 1: every second timestamp of a query is that of a distant future */      \
    X(COPIES)          /* 1: the device has a family with a queue for copies alone, which copies   \
                          when another submit waits for it, or the host does */
/* clang-format on */

enum variable {
#define X(name) name,
    FAULTS(X) NUMBERS(X)
#undef X
        VARIABLES
};

/* Reads all variables, and tells whether one has changed. */
bool rules_read(void);
/* Tells whether a variable is set. */
bool rules_set(enum variable variable);
/* Returns the number that a variable has, or `absent`. */
int64_t rules_number(enum variable variable, int64_t absent);
/* Tells whether a fault happens at an event that has two names. An event number of 0 matches only
 * names. */
bool rules_due(enum variable fault, uint64_t event, const char *name, const char *other);

#endif
