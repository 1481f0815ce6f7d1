/* SPDX-License-Identifier: MIT
 *
 * A stack machine for the opcodes of pickle protocols 2 to 4 that PyTorch uses. It calls nothing:
 * the few functions that a checkpoint names are recognised and leave a tensor, a storage or a dict.
 * Refused: every other opcode and global, and pickles above 8 MiB, a million values, a stack of
 * 65,536, integers above 64 bits, memo entries out of order.
 */
#include "format/torch_pickle.h"
#include "base/array.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define PICKLE_MAX (8u << 20)
#define VALUES_MAX (1u << 20)
#define STACK_MAX (1u << 16)

enum global_kind {
    GLOBAL_ORDERED_DICT,
    GLOBAL_TENSOR,
    GLOBAL_FIRST, /* called, it leaves its first argument */
    GLOBAL_DTYPE,
    GLOBAL_STORAGE,
    GLOBAL_CLASS, /* of TorchScript: a name and no more */
};

/* clang-format off */
static const struct {
    const char *name;
    enum global_kind kind;
    enum dtype dtype;
} globals[] = {
    {"collections.OrderedDict", GLOBAL_ORDERED_DICT, 0},
    {"torch._utils._rebuild_tensor", GLOBAL_TENSOR, 0},
    {"torch._utils._rebuild_tensor_v2", GLOBAL_TENSOR, 0},
    {"torch._utils._rebuild_tensor_v3", GLOBAL_TENSOR, 0},
    {"torch._utils._rebuild_parameter", GLOBAL_FIRST, 0},
    {"torch.Size", GLOBAL_FIRST, 0},
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
    {"__torch__", GLOBAL_CLASS, 0}, /* stands for all names that begin so */
};

/* Names as in Python's pickle module. */
enum opcode {
    MARK = '(', STOP = '.', NONE = 'N', NEWTRUE = 0x88, NEWFALSE = 0x89,
    BININT = 'J', BININT1 = 'K', BININT2 = 'M', LONG1 = 0x8a, LONG4 = 0x8b, BINFLOAT = 'G',
    BINUNICODE = 'X', SHORT_BINUNICODE = 0x8c, BINUNICODE8 = 0x8d,
    BINSTRING = 'T', SHORT_BINSTRING = 'U',
    BINBYTES = 'B', SHORT_BINBYTES = 'C', BINBYTES8 = 0x8e,
    EMPTY_LIST = ']', APPEND = 'a', APPENDS = 'e', EMPTY_DICT = '}', SETITEM = 's', SETITEMS = 'u',
    EMPTY_TUPLE = ')', TUPLE = 't', TUPLE1 = 0x85, TUPLE2 = 0x86, TUPLE3 = 0x87,
    GLOBAL = 'c', STACK_GLOBAL = 0x93, REDUCE = 'R', NEWOBJ = 0x81, BUILD = 'b', BINPERSID = 'Q',
    BINPUT = 'q', LONG_BINPUT = 'r', MEMOIZE = 0x94, BINGET = 'h', LONG_BINGET = 'j',
    PROTO = 0x80, FRAME = 0x95,
};

static const struct {
    uint8_t code;
    const char *name;
} refused_opcodes[] = {
    {'0', "POP"}, {'1', "POP_MARK"}, {'2', "DUP"}, {'F', "FLOAT"}, {'I', "INT"}, {'L', "LONG"},
    {'P', "PERSID"}, {'S', "STRING"}, {'V', "UNICODE"}, {'d', "DICT"}, {'g', "GET"}, {'i', "INST"},
    {'l', "LIST"}, {'o', "OBJ"}, {'p', "PUT"}, {0x82, "EXT1"}, {0x83, "EXT2"}, {0x84, "EXT4"},
    {0x8f, "EMPTY_SET"}, {0x90, "ADDITEMS"}, {0x91, "FROZENSET"}, {0x92, "NEWOBJ_EX"},
    {0x96, "BYTEARRAY8"}, {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"},
};
/* clang-format on */

struct machine {
    const char *name;
    const uint8_t *data;
    size_t size, at, opcode_at;
    struct pickle_value *stack, *memo;
    uint32_t *marks;
    size_t depth, mark_count, memo_count, values;
    struct torch_pickle *result;
};

static int malformed(const struct machine *machine, const char *what)
{
    return error_fail(VKCLIP_EFORMAT, "%s: pickle, byte %zu: %s", machine->name, machine->opcode_at,
                      what);
}

static int out_of_memory(const struct machine *machine)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for its pickle", machine->name);
}

/* ---- Values ---------------------------------------------------------------------------------- */

bool pickle_is_string(const struct pickle_value *value, const char *text)
{
    size_t length = strlen(text);
    return value->kind == PICKLE_STRING && value->length == length &&
           !memcmp(value->text, text, length);
}

static bool is_global(const struct pickle_value *value, enum global_kind kind)
{
    return value->kind == PICKLE_GLOBAL && globals[value->integer].kind == kind;
}

bool pickle_dtype(const struct pickle_value *value, enum dtype *dtype)
{
    if (!is_global(value, GLOBAL_DTYPE) && !is_global(value, GLOBAL_STORAGE))
        return false;
    *dtype = globals[value->integer].dtype;
    return true;
}

/* What bounds the work and the memory of a pickle: every value counts, also a copy of one. */
static int push(struct machine *machine, struct pickle_value value)
{
    if (++machine->values > VALUES_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: pickle of more than %u values", machine->name,
                          VALUES_MAX);
    if (machine->depth == STACK_MAX)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: pickle nested so deep that it needs a stack above %u", machine->name,
                          STACK_MAX);
    machine->stack[machine->depth++] = value;
    return VKCLIP_OK;
}

/* The place on the stack above which values belong to the innermost mark. */
static size_t floor_of(const struct machine *machine)
{
    return machine->mark_count ? machine->marks[machine->mark_count - 1] : 0;
}

/* Whether `count` values lie above the innermost mark. */
static bool has(const struct machine *machine, size_t count)
{
    return machine->depth - floor_of(machine) >= count;
}

static struct pickle_value *top(struct machine *machine)
{
    return &machine->stack[machine->depth - 1];
}

static int add_items(struct machine *machine, struct pickle_object *object,
                     const struct pickle_value *items, size_t count)
{
    if (object->capacity - object->count < count) {
        size_t capacity = object->count + count + object->count / 2;
        struct pickle_value *grown = realloc(object->items, capacity * sizeof(*grown));
        if (!grown)
            return out_of_memory(machine);
        object->items = grown;
        object->capacity = (uint32_t)capacity;
    }
    if (count)
        memcpy(object->items + object->count, items, count * sizeof(*items));
    object->count += (uint32_t)count;
    return VKCLIP_OK;
}

/* Replaces the `count` values on top by one object that holds them. */
static int collect(struct machine *machine, enum pickle_kind kind, size_t count)
{
    struct pickle_object *object = calloc(1, sizeof(*object));
    if (!object)
        return out_of_memory(machine);
    object->next = machine->result->objects;
    machine->result->objects = object;
    machine->depth -= count;
    int error = add_items(machine, object, machine->stack + machine->depth, count);
    return error ? error : push(machine, (struct pickle_value){.kind = kind, .object = object});
}

/* Moves the `count` values on top into the list or dict below them. */
static int extend(struct machine *machine, enum pickle_kind kind, size_t count)
{
    bool pairs = kind == PICKLE_DICT;
    if (!has(machine, count + 1))
        return malformed(machine, "items without a list or dict to put them in");
    machine->depth -= count;
    if (top(machine)->kind != kind || (pairs && count % 2))
        return malformed(machine, pairs ? "expected a dict and pairs" : "expected a list");
    return add_items(machine, top(machine)->object, machine->stack + machine->depth, count);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

static int take(struct machine *machine, uint64_t count, const uint8_t **bytes)
{
    size_t left = machine->size - machine->at;
    *bytes = NULL;
    if (count > left)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: pickle, byte %zu: expected %llu bytes more, found %zu (truncated?)",
                          machine->name, machine->opcode_at, (unsigned long long)count, left);
    *bytes = machine->data + machine->at;
    machine->at += (size_t)count;
    return VKCLIP_OK;
}

static int take_number(struct machine *machine, unsigned size, uint64_t *number)
{
    const uint8_t *bytes;
    int error = take(machine, size, &bytes);
    *number = 0;
    for (unsigned i = size; !error && i--;)
        *number = *number << 8 | bytes[i];
    return error;
}

/* A little-endian two's complement number of `size` bytes. */
static int push_int(struct machine *machine, uint64_t size, bool is_signed)
{
    uint64_t number = 0;
    if (size > 8)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: pickle, byte %zu: an integer of %llu bytes, expected at most 8",
                          machine->name, machine->opcode_at, (unsigned long long)size);
    int error = take_number(machine, (unsigned)size, &number);
    if (error)
        return error;
    if (is_signed && size && size < 8 && number >> (8 * size - 1))
        number |= UINT64_MAX << 8 * size;
    return push(machine, (struct pickle_value){.kind = PICKLE_INT, .integer = (int64_t)number});
}

static int push_text(struct machine *machine, enum pickle_kind kind, unsigned length_size)
{
    uint64_t length;
    const uint8_t *text = NULL;
    int error = take_number(machine, length_size, &length);
    error = error ? error : take(machine, length, &text);
    return error ? error
                 : push(machine, (struct pickle_value){.kind = kind,
                                                       .length = (uint32_t)length,
                                                       .text = (const char *)text});
}

/* A line of a GLOBAL. */
static int take_line(struct machine *machine, struct pickle_value *line)
{
    const uint8_t *begin = machine->data + machine->at;
    const uint8_t *end = memchr(begin, '\n', machine->size - machine->at);
    if (!end)
        return malformed(machine, "a global's name without its end (truncated?)");
    *line = (struct pickle_value){
        .kind = PICKLE_STRING, .length = (uint32_t)(end - begin), .text = (const char *)begin};
    machine->at += (size_t)(end - begin) + 1;
    return VKCLIP_OK;
}

/* ---- What a pickle may ask for --------------------------------------------------------------- */

static int push_global(struct machine *machine, const struct pickle_value *module,
                       const struct pickle_value *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(globals); i++) {
        const char *known = globals[i].name, *dot = strrchr(known, '.');
        bool found = globals[i].kind == GLOBAL_CLASS
                         ? module->length > strlen(known) &&
                               !memcmp(module->text, "__torch__.", strlen(known) + 1)
                         : pickle_is_string(name, dot + 1) &&
                               module->length == (size_t)(dot - known) &&
                               !memcmp(module->text, known, module->length);
        /* a module of TorchScript's root lies in "__torch__" itself */
        if (found || (!dot && pickle_is_string(module, known)))
            return push(machine,
                        (struct pickle_value){.kind = PICKLE_GLOBAL, .integer = (int64_t)i});
    }
    return error_fail(VKCLIP_EFORMAT,
                      "%s: pickle asks for %.*s.%.*s: refused, a checkpoint holds only tensors",
                      machine->name, module->length < 100 ? (int)module->length : 100, module->text,
                      name->length < 100 ? (int)name->length : 100, name->text);
}

static int read_global(struct machine *machine)
{
    struct pickle_value module, name;
    int error = take_line(machine, &module);
    error = error ? error : take_line(machine, &name);
    return error ? error : push_global(machine, &module, &name);
}

static int read_stack_global(struct machine *machine)
{
    if (!has(machine, 2) || top(machine)[-1].kind != PICKLE_STRING ||
        top(machine)->kind != PICKLE_STRING)
        return malformed(machine, "STACK_GLOBAL without two strings");
    machine->depth -= 2;
    struct pickle_value module = machine->stack[machine->depth],
                        name = machine->stack[machine->depth + 1];
    return push_global(machine, &module, &name);
}

static bool is_tensor(const struct pickle_object *arguments)
{
    const struct pickle_value *items = arguments->items;
    return arguments->count >= 4 && items[0].kind == PICKLE_STORAGE &&
           items[1].kind == PICKLE_INT && items[2].kind == PICKLE_TUPLE &&
           items[3].kind == PICKLE_TUPLE;
}

/* A call: the tuple of arguments becomes what the call would have made of it. */
static int reduce(struct machine *machine)
{
    if (!has(machine, 2) || top(machine)->kind != PICKLE_TUPLE ||
        top(machine)[-1].kind != PICKLE_GLOBAL)
        return malformed(machine, "REDUCE without a global and its arguments");
    struct pickle_value arguments = *top(machine), function = top(machine)[-1];
    uint32_t count = arguments.object->count;
    machine->depth -= 2;
    switch (globals[function.integer].kind) {
    case GLOBAL_ORDERED_DICT:
        if (!count)
            return collect(machine, PICKLE_DICT, 0);
        break;
    case GLOBAL_TENSOR:
        if (!is_tensor(arguments.object))
            break;
        arguments.kind = PICKLE_TENSOR;
        return push(machine, arguments);
    case GLOBAL_FIRST:
        if (count)
            return push(machine, arguments.object->items[0]);
        break;
    default:
        break;
    }
    return error_fail(
        VKCLIP_EFORMAT,
        "%s: pickle, byte %zu: calls %s with %u arguments that do not fit it: refused",
        machine->name, machine->opcode_at, globals[function.integer].name, count);
}

static int new_object(struct machine *machine)
{
    if (!has(machine, 2) || top(machine)->kind != PICKLE_TUPLE || top(machine)->object->count ||
        !is_global(&top(machine)[-1], GLOBAL_CLASS))
        return malformed(machine, "NEWOBJ of something other than a TorchScript class: refused");
    machine->depth -= 2;
    return collect(machine, PICKLE_OBJECT, 0);
}

/* A TorchScript module gets its state; what an OrderedDict gets beside its items (_metadata) is
 * dropped. */
static int build(struct machine *machine)
{
    if (!has(machine, 2))
        return malformed(machine, "BUILD without an object and its state");
    struct pickle_value state = *top(machine);
    machine->depth--;
    const struct pickle_value *target = top(machine);
    if (target->kind == PICKLE_DICT)
        return VKCLIP_OK;
    if (target->kind != PICKLE_OBJECT || target->object->count)
        return malformed(machine,
                         "BUILD of something other than a new TorchScript object: refused");
    return add_items(machine, target->object, &state, 1);
}

static int persistent_id(struct machine *machine)
{
    struct pickle_value *id = has(machine, 1) ? top(machine) : NULL;
    const struct pickle_value *items =
        id && id->kind == PICKLE_TUPLE && id->object->count >= 5 ? id->object->items : NULL;
    if (!items || !pickle_is_string(&items[0], "storage") ||
        !is_global(&items[1], GLOBAL_STORAGE) || items[2].kind != PICKLE_STRING ||
        items[4].kind != PICKLE_INT)
        return malformed(machine, "a persistent id that is not a storage: refused");
    id->kind = PICKLE_STORAGE;
    return VKCLIP_OK;
}

/* ---- Running --------------------------------------------------------------------------------- */

static int remember(struct machine *machine, uint64_t index)
{
    if (!has(machine, 1))
        return malformed(machine, "nothing to remember");
    /* the picklers count up: only so does the memo stay as small as the pickle */
    if (index > machine->memo_count || index >= VALUES_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: pickle, byte %zu: memo entry %llu, expected %zu",
                          machine->name, machine->opcode_at, (unsigned long long)index,
                          machine->memo_count);
    machine->memo[index] = *top(machine);
    machine->memo_count += index == machine->memo_count;
    return VKCLIP_OK;
}

static int use_memo(struct machine *machine, int opcode)
{
    uint64_t index = machine->memo_count;
    bool is_long = opcode == LONG_BINPUT || opcode == LONG_BINGET;
    int error = opcode == MEMOIZE ? VKCLIP_OK : take_number(machine, is_long ? 4 : 1, &index);
    if (error || (opcode != BINGET && opcode != LONG_BINGET))
        return error ? error : remember(machine, index);
    return index < machine->memo_count ? push(machine, machine->memo[index])
                                       : malformed(machine, "a memo entry that is not there");
}

static int use_mark(struct machine *machine, int opcode)
{
    if (opcode == MARK) {
        if (machine->mark_count == STACK_MAX)
            return malformed(machine, "more marks than values");
        machine->marks[machine->mark_count++] = (uint32_t)machine->depth;
        return VKCLIP_OK;
    }
    if (!machine->mark_count)
        return malformed(machine, "no mark");
    size_t count = machine->depth - machine->marks[--machine->mark_count];
    return opcode == TUPLE     ? collect(machine, PICKLE_TUPLE, count)
           : opcode == APPENDS ? extend(machine, PICKLE_LIST, count)
                               : extend(machine, PICKLE_DICT, count);
}

static int read_protocol(struct machine *machine)
{
    uint64_t protocol;
    int error = take_number(machine, 1, &protocol);
    if (!error && (protocol < 2 || protocol > 4))
        error = error_fail(VKCLIP_EUNSUPPORTED, "%s: pickle protocol %u, expected 2 to 4",
                           machine->name, (unsigned)protocol);
    return error;
}

static int refuse(const struct machine *machine, int opcode)
{
    const char *name = "unknown";
    for (size_t i = 0; i < ARRAY_COUNT(refused_opcodes); i++)
        if (refused_opcodes[i].code == opcode)
            name = refused_opcodes[i].name;
    return error_fail(VKCLIP_EFORMAT,
                      "%s: pickle, byte %zu: opcode %s (0x%02x): refused, no checkpoint needs it",
                      machine->name, machine->opcode_at, name, (unsigned)opcode);
}

static int push_long(struct machine *machine, unsigned length_size)
{
    uint64_t size;
    int error = take_number(machine, length_size, &size);
    return error ? error : push_int(machine, size, true);
}

static int skip(struct machine *machine, unsigned size)
{
    const uint8_t *bytes;
    return take(machine, size, &bytes);
}

static int step(struct machine *machine, int opcode)
{
    int error;
    switch (opcode) {
    case PROTO:
        return read_protocol(machine);
    case FRAME: /* only tells how much to read ahead */
        return skip(machine, 8);
    case NONE:
        return push(machine, (struct pickle_value){.kind = PICKLE_NONE});
    case NEWTRUE:
    case NEWFALSE:
        return push(machine,
                    (struct pickle_value){.kind = PICKLE_BOOL, .integer = opcode == NEWTRUE});
    case BININT:
        return push_int(machine, 4, true);
    case BININT1:
        return push_int(machine, 1, false);
    case BININT2:
        return push_int(machine, 2, false);
    case LONG1:
        return push_long(machine, 1);
    case LONG4:
        return push_long(machine, 4);
    case BINFLOAT:
        error = skip(machine, 8);
        return error ? error : push(machine, (struct pickle_value){.kind = PICKLE_FLOAT});
    case SHORT_BINUNICODE:
    case SHORT_BINSTRING:
        return push_text(machine, PICKLE_STRING, 1);
    case BINUNICODE:
    case BINSTRING:
        return push_text(machine, PICKLE_STRING, 4);
    case BINUNICODE8:
        return push_text(machine, PICKLE_STRING, 8);
    case SHORT_BINBYTES:
        return push_text(machine, PICKLE_BYTES, 1);
    case BINBYTES:
        return push_text(machine, PICKLE_BYTES, 4);
    case BINBYTES8:
        return push_text(machine, PICKLE_BYTES, 8);
    case EMPTY_LIST:
        return collect(machine, PICKLE_LIST, 0);
    case EMPTY_DICT:
        return collect(machine, PICKLE_DICT, 0);
    case EMPTY_TUPLE:
        return collect(machine, PICKLE_TUPLE, 0);
    case TUPLE1:
    case TUPLE2:
    case TUPLE3:
        return has(machine, (size_t)(opcode - TUPLE1 + 1))
                   ? collect(machine, PICKLE_TUPLE, (size_t)(opcode - TUPLE1 + 1))
                   : malformed(machine, "a tuple of more values than there are");
    case APPEND:
        return extend(machine, PICKLE_LIST, 1);
    case SETITEM:
        return extend(machine, PICKLE_DICT, 2);
    case MARK:
    case TUPLE:
    case APPENDS:
    case SETITEMS:
        return use_mark(machine, opcode);
    case BINPUT:
    case LONG_BINPUT:
    case MEMOIZE:
    case BINGET:
    case LONG_BINGET:
        return use_memo(machine, opcode);
    case GLOBAL:
        return read_global(machine);
    case STACK_GLOBAL:
        return read_stack_global(machine);
    case REDUCE:
        return reduce(machine);
    case NEWOBJ:
        return new_object(machine);
    case BUILD:
        return build(machine);
    case BINPERSID:
        return persistent_id(machine);
    default:
        return refuse(machine, opcode);
    }
}

static int run(struct machine *machine)
{
    for (;;) {
        const uint8_t *opcode;
        machine->opcode_at = machine->at;
        int error = take(machine, 1, &opcode);
        if (!error && *opcode == STOP)
            break;
        error = error ? error : step(machine, *opcode);
        if (error)
            return error;
    }
    if (machine->depth != 1 || machine->mark_count)
        return malformed(machine, "STOP without exactly one value");
    machine->result->root = *top(machine);
    return VKCLIP_OK;
}

int torch_pickle_read(const uint8_t *data, size_t size, const char *name,
                      struct torch_pickle *pickle)
{
    struct machine machine = {.name = name, .data = data, .size = size, .result = pickle};
    *pickle = (struct torch_pickle){0};
    if (size > PICKLE_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: pickle of %zu bytes, expected at most %u", name,
                          size, PICKLE_MAX);
    /* an entry of the memo takes a byte of the pickle at least */
    size_t memo = size < VALUES_MAX ? size : VALUES_MAX;
    machine.stack = malloc(STACK_MAX * sizeof(*machine.stack));
    machine.marks = malloc(STACK_MAX * sizeof(*machine.marks));
    machine.memo = malloc((memo + 1) * sizeof(*machine.memo));
    int error =
        machine.stack && machine.marks && machine.memo ? run(&machine) : out_of_memory(&machine);
    free(machine.stack);
    free(machine.marks);
    free(machine.memo);
    if (error)
        torch_pickle_close(pickle);
    return error;
}

void torch_pickle_close(struct torch_pickle *pickle)
{
    for (struct pickle_object *object = pickle->objects, *next; object; object = next) {
        next = object->next;
        free(object->items);
        free(object);
    }
    *pickle = (struct torch_pickle){0};
}
