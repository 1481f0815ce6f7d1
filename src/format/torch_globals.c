/* SPDX-License-Identifier: MIT
 *
 * This file has the table of the globals that a checkpoint may name.
 */
#include "format/torch_globals.h"
#include "base/array.h"

#include <string.h>

/* clang-format off */
static const struct torch_global globals[] = {
    {"collections.OrderedDict", GLOBAL_ORDERED_DICT, 0},
    {"torch._utils._rebuild_tensor", GLOBAL_TENSOR, 0},
    {"torch._utils._rebuild_tensor_v2", GLOBAL_TENSOR, 0},
    {"torch._utils._rebuild_tensor_v3", GLOBAL_TENSOR, 0},
    {"torch._utils._rebuild_parameter", GLOBAL_FIRST, 0},
    {"torch.Size", GLOBAL_FIRST, 0},
    {"__builtin__.set", GLOBAL_FIRST, 0},
    {"builtins.set", GLOBAL_FIRST, 0},
    {"torch.nn.modules.container.ParameterDict", GLOBAL_CLASS, 0},
    {"torch.jit._pickle.build_boollist", GLOBAL_FIRST, 0},
    {"torch.jit._pickle.build_doublelist", GLOBAL_FIRST, 0},
    {"torch.jit._pickle.build_intlist", GLOBAL_FIRST, 0},
    {"torch.jit._pickle.build_tensorlist", GLOBAL_FIRST, 0},
    {"torch.jit._pickle.restore_type_tag", GLOBAL_FIRST, 0},
    {"torch.FloatStorage", GLOBAL_STORAGE, DTYPE_F32},
    {"torch.HalfStorage", GLOBAL_STORAGE, DTYPE_F16},
    {"torch.BFloat16Storage", GLOBAL_STORAGE, DTYPE_BF16},
    {"torch.DoubleStorage", GLOBAL_STORAGE, DTYPE_F64},
    {"torch.LongStorage", GLOBAL_STORAGE, DTYPE_I64},
    {"torch.IntStorage", GLOBAL_STORAGE, DTYPE_I32},
    {"torch.ShortStorage", GLOBAL_STORAGE, DTYPE_I16},
    {"torch.CharStorage", GLOBAL_STORAGE, DTYPE_I8},
    {"torch.ByteStorage", GLOBAL_STORAGE, DTYPE_U8},
    {"torch.BoolStorage", GLOBAL_STORAGE, DTYPE_BOOL},
    {"torch.UntypedStorage", GLOBAL_STORAGE, DTYPE_U8},
    {"torch.storage.UntypedStorage", GLOBAL_STORAGE, DTYPE_U8},
    {"torch.float32", GLOBAL_DTYPE, DTYPE_F32},
    {"torch.float16", GLOBAL_DTYPE, DTYPE_F16},
    {"torch.bfloat16", GLOBAL_DTYPE, DTYPE_BF16},
    {"torch.float64", GLOBAL_DTYPE, DTYPE_F64},
    {"torch.int64", GLOBAL_DTYPE, DTYPE_I64},
    {"torch.int32", GLOBAL_DTYPE, DTYPE_I32},
    {"torch.int16", GLOBAL_DTYPE, DTYPE_I16},
    {"torch.int8", GLOBAL_DTYPE, DTYPE_I8},
    {"torch.uint8", GLOBAL_DTYPE, DTYPE_U8},
    {"torch.uint16", GLOBAL_DTYPE, DTYPE_U16},
    {"torch.uint32", GLOBAL_DTYPE, DTYPE_U32},
    {"torch.uint64", GLOBAL_DTYPE, DTYPE_U64},
    {"torch.bool", GLOBAL_DTYPE, DTYPE_BOOL},
    {"torch.float8_e4m3fn", GLOBAL_DTYPE, DTYPE_F8_E4M3},
    {"torch.float8_e5m2", GLOBAL_DTYPE, DTYPE_F8_E5M2},
    {"torch.device", GLOBAL_INERT, 0},
    {"collections.defaultdict", GLOBAL_INERT, 0},
    {"collections.Counter", GLOBAL_INERT, 0},
    {"argparse.Namespace", GLOBAL_INERT, 0},
    {"builtins.dict", GLOBAL_INERT, 0},   {"__builtin__.dict", GLOBAL_INERT, 0},
    {"builtins.list", GLOBAL_INERT, 0},   {"__builtin__.list", GLOBAL_INERT, 0},
    {"builtins.int", GLOBAL_INERT, 0},    {"__builtin__.int", GLOBAL_INERT, 0},
    {"builtins.float", GLOBAL_INERT, 0},  {"__builtin__.float", GLOBAL_INERT, 0},
    {"_codecs.encode", GLOBAL_INERT, 0}, /* Protocol 2 writes bytes by it. */
};
/* clang-format on */

/* Training programs store settings, counters and the states of callbacks beside the tensors. All
 * globals of these modules, and of the modules below them, are inert. */
static const char *const inert_modules[] = {
    "pytorch_lightning", "lightning", "lightning_fabric", "numpy",       "pathlib",
    "datetime",          "typing",    "omegaconf",        "torch.optim",
};
static const struct torch_global inert = {"an object that is not read", GLOBAL_INERT, 0};

/* TorchScript writes the classes of a model into the module __torch__ and into modules below it. */
static const struct torch_global script_class = {"__torch__", GLOBAL_CLASS, 0};

static bool is_text(const char *text, size_t length, const char *expected, size_t expected_length)
{
    return length == expected_length && !memcmp(text, expected, length);
}

/* Tells whether a module is `root` or one below it. */
static bool is_inside(const char *module, size_t length, const char *root)
{
    const size_t size = strlen(root);
    return length >= size && !memcmp(module, root, size) && (length == size || module[size] == '.');
}

const struct torch_global *torch_globals_find(const char *module, size_t module_length,
                                              const char *name, size_t name_length)
{
    if (is_inside(module, module_length, "__torch__"))
        return &script_class;
    for (size_t i = 0; i < ARRAY_COUNT(inert_modules); i++)
        if (is_inside(module, module_length, inert_modules[i]))
            return &inert;
    for (size_t i = 0; i < ARRAY_COUNT(globals); i++) {
        const char *known = globals[i].name, *dot = strrchr(known, '.');
        if (is_text(module, module_length, known, (size_t)(dot - known)) &&
            is_text(name, name_length, dot + 1, strlen(dot + 1)))
            return &globals[i];
    }
    return NULL;
}
