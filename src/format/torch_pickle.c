/* SPDX-License-Identifier: MIT
 *
 * Runs a stack machine for the opcodes of pickle protocols 2 to 4 that PyTorch uses. The machine
 * calls nothing: it recognises the few functions that a checkpoint names and puts a tensor, a
 * storage, a dict or an object without content on the stack. Refused are every other opcode and
 * global, pickles above 8 MiB, more than a million values, a stack above 65,536, integers above 64
 * bits, and memo entries out of order.
 */
#include "format/torch_pickle.h"
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "format/torch_globals.h"

#include <string.h>

/* Checkpoints have pickles below 1 MiB. The limits leave room for larger ones, and bound the memory
 * that the machine takes for a hostile file. */
#define PICKLE_MAX (8u << 20)
#define VALUES_MAX (1u << 20)
#define STACK_MAX (1u << 16)

/* clang-format off */
/* The opcodes have the names of Python's pickle module. */
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
    size_t size, position; /* bytes of the pickle; the next byte to be read */
    size_t opcode_position;
    struct pickle_value *stack, *memo;
    uint32_t *marks; /* the stack's depth where MARK opcodes were read */
    size_t depth, mark_count, memo_count, values;
    struct torch_pickle *result;
};

static int fail_format(const struct machine *machine, const char *what)
{
    return error_fail(VKCLIP_EFORMAT, "%s: pickle, byte %zu: %s", machine->name,
                      machine->opcode_position, what);
}

static int fail_memory(const struct machine *machine)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for its pickle", machine->name);
}

/* ---- Values ---------------------------------------------------------------------------------- */

bool torch_pickle_is_string(const struct pickle_value *value, const char *text)
{
    size_t length = strlen(text);
    return value->kind == PICKLE_STRING && value->length == length &&
           !memcmp(value->text, text, length);
}

static bool is_global(const struct pickle_value *value, enum torch_global_kind kind)
{
    return value->kind == PICKLE_GLOBAL && value->global->kind == kind;
}

bool torch_pickle_dtype(const struct pickle_value *value, enum dtype *dtype)
{
    if (!is_global(value, GLOBAL_DTYPE) && !is_global(value, GLOBAL_STORAGE))
        return false;
    *dtype = value->global->dtype;
    return true;
}

/* Pushes a value. Every push counts, also that of a copy, which bounds the work and the memory that
 * a pickle can ask for. */
static int push_value(struct machine *machine, struct pickle_value value)
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

/* Tells whether at least `count` values lie above the innermost mark. */
static bool has_values(const struct machine *machine, size_t count)
{
    size_t mark = machine->mark_count ? machine->marks[machine->mark_count - 1] : 0;
    return machine->depth - mark >= count;
}

static struct pickle_value *top_value(struct machine *machine)
{
    return &machine->stack[machine->depth - 1];
}

static int add_items(struct machine *machine, struct pickle_object *object,
                     const struct pickle_value *items, size_t count)
{
    if (object->capacity - object->count < count) {
        size_t capacity = object->count + count + object->count / 2;
        struct pickle_value *grown = memory_realloc(object->items, capacity * sizeof(*grown));
        if (!grown)
            return fail_memory(machine);
        object->items = grown;
        object->capacity = (uint32_t)capacity;
    }
    if (count)
        memcpy(object->items + object->count, items, count * sizeof(*items));
    object->count += (uint32_t)count;
    return VKCLIP_OK;
}

/* Replaces the `count` values on top by one object that holds them. */
static int push_object(struct machine *machine, enum pickle_kind kind, size_t count)
{
    struct pickle_object *object = memory_calloc(1, sizeof(*object));
    if (!object)
        return fail_memory(machine);
    object->next = machine->result->objects;
    machine->result->objects = object;
    machine->depth -= count;
    int error = add_items(machine, object, machine->stack + machine->depth, count);
    if (!error)
        error = push_value(machine, (struct pickle_value){.kind = kind, .object = object});
    return error;
}

/* Moves the `count` values on top into the list or dict below them. */
static int move_items(struct machine *machine, enum pickle_kind kind, size_t count)
{
    const bool pairs = kind == PICKLE_DICT;
    if (!has_values(machine, count + 1))
        return fail_format(machine, "items without a list or dict to put them in");
    machine->depth -= count;
    if (top_value(machine)->kind == PICKLE_INERT)
        return VKCLIP_OK;
    if (top_value(machine)->kind != kind || (pairs && count % 2))
        return fail_format(machine, pairs ? "expected a dict and pairs" : "expected a list");
    return add_items(machine, top_value(machine)->object, machine->stack + machine->depth, count);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

static int take_bytes(struct machine *machine, uint64_t count, const uint8_t **bytes)
{
    size_t left = machine->size - machine->position;
    *bytes = NULL;
    if (count > left)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: pickle, byte %zu: expected %llu bytes more, found %zu (truncated?)",
                          machine->name, machine->opcode_position, (unsigned long long)count, left);
    *bytes = machine->data + machine->position;
    machine->position += (size_t)count;
    return VKCLIP_OK;
}

static int take_number(struct machine *machine, unsigned size, uint64_t *number)
{
    const uint8_t *bytes;
    int error = take_bytes(machine, size, &bytes);
    *number = 0;
    for (unsigned i = size; !error && i--;)
        *number = *number << 8 | bytes[i];
    return error;
}

/* Reads a little-endian integer of `size` bytes, in two's complement if it is signed. */
static int push_int(struct machine *machine, uint64_t size, bool is_signed)
{
    uint64_t number = 0;
    if (size > 8)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: pickle, byte %zu: an integer of %llu bytes, expected at most 8",
                          machine->name, machine->opcode_position, (unsigned long long)size);
    int error = take_number(machine, (unsigned)size, &number);
    if (error)
        return error;
    if (is_signed && size && size < 8 && number >> (8 * size - 1))
        number |= UINT64_MAX << 8 * size;
    return push_value(machine,
                      (struct pickle_value){.kind = PICKLE_INT, .integer = (int64_t)number});
}

static int push_text(struct machine *machine, enum pickle_kind kind, unsigned length_size)
{
    uint64_t length;
    const uint8_t *text = NULL;
    int error = take_number(machine, length_size, &length);
    if (!error)
        error = take_bytes(machine, length, &text);
    if (!error)
        error = push_value(machine, (struct pickle_value){.kind = kind,
                                                          .length = (uint32_t)length,
                                                          .text = (const char *)text});
    return error;
}

/* Reads a line of the opcode GLOBAL, which is a module or a name in it. */
static int take_line(struct machine *machine, struct pickle_value *line)
{
    const uint8_t *begin = machine->data + machine->position;
    const uint8_t *end = memchr(begin, '\n', machine->size - machine->position);
    if (!end)
        return fail_format(machine, "a global's name without its end (truncated?)");
    *line = (struct pickle_value){
        .kind = PICKLE_STRING, .length = (uint32_t)(end - begin), .text = (const char *)begin};
    machine->position += (size_t)(end - begin) + 1;
    return VKCLIP_OK;
}

/* ---- What a pickle may ask for --------------------------------------------------------------- */

static int push_global(struct machine *machine, const struct pickle_value *module,
                       const struct pickle_value *name)
{
    const struct torch_global *global =
        torch_globals_find(module->text, module->length, name->text, name->length);
    if (global)
        return push_value(machine, (struct pickle_value){.kind = PICKLE_GLOBAL, .global = global});
    return error_fail(VKCLIP_EFORMAT,
                      "%s: pickle asks for %.*s.%.*s: refused, a checkpoint holds only tensors: "
                      "of a whole model save model.state_dict() in Python",
                      machine->name, module->length < 100 ? (int)module->length : 100, module->text,
                      name->length < 100 ? (int)name->length : 100, name->text);
}

static int read_global(struct machine *machine)
{
    struct pickle_value module, name;
    int error = take_line(machine, &module);
    if (!error)
        error = take_line(machine, &name);
    if (!error)
        error = push_global(machine, &module, &name);
    return error;
}

static int read_stack_global(struct machine *machine)
{
    if (!has_values(machine, 2) || top_value(machine)[-1].kind != PICKLE_STRING ||
        top_value(machine)->kind != PICKLE_STRING)
        return fail_format(machine, "STACK_GLOBAL without two strings");
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

static const struct pickle_value inert_value = {.kind = PICKLE_INERT};

/* Replaces a global and its arguments on the stack by what the call would have made. */
static int apply_reduce(struct machine *machine)
{
    if (!has_values(machine, 2) || top_value(machine)->kind != PICKLE_TUPLE ||
        top_value(machine)[-1].kind != PICKLE_GLOBAL)
        return fail_format(machine, "REDUCE without a global and its arguments");
    struct pickle_value arguments = *top_value(machine), function = top_value(machine)[-1];
    uint32_t count = arguments.object->count;
    machine->depth -= 2;
    switch (function.global->kind) {
    case GLOBAL_INERT:
        return push_value(machine, inert_value);
    case GLOBAL_ORDERED_DICT:
        if (!count)
            return push_object(machine, PICKLE_DICT, 0);
        break;
    case GLOBAL_TENSOR:
        if (!is_tensor(arguments.object))
            break;
        arguments.kind = PICKLE_TENSOR;
        return push_value(machine, arguments);
    case GLOBAL_FIRST:
        if (count)
            return push_value(machine, arguments.object->items[0]);
        break;
    default:
        break;
    }
    return error_fail(
        VKCLIP_EFORMAT,
        "%s: pickle, byte %zu: calls %s with %u arguments that do not fit it: refused",
        machine->name, machine->opcode_position, function.global->name, count);
}

static int push_new_object(struct machine *machine)
{
    const bool arguments = has_values(machine, 2) && top_value(machine)->kind == PICKLE_TUPLE;
    const bool is_inert = arguments && is_global(&top_value(machine)[-1], GLOBAL_INERT);
    if (!is_inert && (!arguments || top_value(machine)->object->count ||
                      !is_global(&top_value(machine)[-1], GLOBAL_CLASS)))
        return fail_format(machine, "NEWOBJ of something other than a TorchScript class: refused");
    machine->depth -= 2;
    return is_inert ? push_value(machine, inert_value) : push_object(machine, PICKLE_OBJECT, 0);
}

/* Gives a TorchScript module its state. What an OrderedDict gets in addition to its items
 * (_metadata) is dropped. */
static int apply_build(struct machine *machine)
{
    if (!has_values(machine, 2))
        return fail_format(machine, "BUILD without an object and its state");
    struct pickle_value state = *top_value(machine);
    machine->depth--;
    const struct pickle_value *target = top_value(machine);
    if (target->kind == PICKLE_DICT || target->kind == PICKLE_INERT)
        return VKCLIP_OK;
    if (target->kind != PICKLE_OBJECT || target->object->count)
        return fail_format(machine,
                           "BUILD of something other than a new TorchScript object: refused");
    return add_items(machine, target->object, &state, 1);
}

static bool is_storage(const struct pickle_value *id)
{
    if (id->kind != PICKLE_TUPLE || id->object->count < 5)
        return false;
    const struct pickle_value *items = id->object->items;
    return torch_pickle_is_string(&items[0], "storage") && is_global(&items[1], GLOBAL_STORAGE) &&
           items[2].kind == PICKLE_STRING && items[4].kind == PICKLE_INT;
}

static int apply_persistent_id(struct machine *machine)
{
    if (!has_values(machine, 1) || !is_storage(top_value(machine)))
        return fail_format(machine, "a persistent id that is not a storage: refused");
    top_value(machine)->kind = PICKLE_STORAGE;
    return VKCLIP_OK;
}

/* ---- Running --------------------------------------------------------------------------------- */

static int set_memo(struct machine *machine, uint64_t index)
{
    if (!has_values(machine, 1))
        return fail_format(machine, "nothing to remember");
    /* Picklers number the memo's entries upwards without gaps. Refusing an entry beyond the next
     * one keeps the memo as small as the pickle. */
    if (index > machine->memo_count || index >= VALUES_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: pickle, byte %zu: memo entry %llu, expected %zu",
                          machine->name, machine->opcode_position, (unsigned long long)index,
                          machine->memo_count);
    machine->memo[index] = *top_value(machine);
    machine->memo_count += index == machine->memo_count;
    return VKCLIP_OK;
}

static int get_memo(struct machine *machine, uint64_t index)
{
    if (index >= machine->memo_count)
        return fail_format(machine, "a memo entry that does not exist");
    return push_value(machine, machine->memo[index]);
}

/* Runs an opcode of the memo. MEMOIZE uses the next free entry, the other opcodes name their
 * entry. */
static int use_memo(struct machine *machine, int opcode)
{
    const bool is_long = opcode == LONG_BINPUT || opcode == LONG_BINGET;
    const bool is_get = opcode == BINGET || opcode == LONG_BINGET;
    uint64_t index = machine->memo_count;
    int error = VKCLIP_OK;
    if (opcode != MEMOIZE)
        error = take_number(machine, is_long ? 4 : 1, &index);
    if (!error)
        error = is_get ? get_memo(machine, index) : set_memo(machine, index);
    return error;
}

static int use_mark(struct machine *machine, int opcode)
{
    if (opcode == MARK) {
        if (machine->mark_count == STACK_MAX)
            return fail_format(machine, "more marks than values");
        machine->marks[machine->mark_count++] = (uint32_t)machine->depth;
        return VKCLIP_OK;
    }
    if (!machine->mark_count)
        return fail_format(machine, "no mark");
    machine->mark_count--;
    const size_t count = machine->depth - machine->marks[machine->mark_count];
    if (opcode == TUPLE)
        return push_object(machine, PICKLE_TUPLE, count);
    return move_items(machine, opcode == APPENDS ? PICKLE_LIST : PICKLE_DICT, count);
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

static int refuse_opcode(const struct machine *machine, int opcode)
{
    const char *name = "unknown";
    for (size_t i = 0; i < ARRAY_COUNT(refused_opcodes); i++)
        if (refused_opcodes[i].code == opcode)
            name = refused_opcodes[i].name;
    return error_fail(VKCLIP_EFORMAT,
                      "%s: pickle, byte %zu: opcode %s (0x%02x): refused, no checkpoint needs it",
                      machine->name, machine->opcode_position, name, (unsigned)opcode);
}

static int push_long(struct machine *machine, unsigned length_size)
{
    uint64_t size;
    int error = take_number(machine, length_size, &size);
    if (!error)
        error = push_int(machine, size, true);
    return error;
}

static int skip_bytes(struct machine *machine, unsigned size)
{
    const uint8_t *bytes;
    return take_bytes(machine, size, &bytes);
}

static int push_float(struct machine *machine)
{
    int error = skip_bytes(machine, 8);
    if (!error)
        error = push_value(machine, (struct pickle_value){.kind = PICKLE_FLOAT});
    return error;
}

static int push_tuple(struct machine *machine, size_t count)
{
    if (!has_values(machine, count))
        return fail_format(machine, "a tuple of more values than there are");
    return push_object(machine, PICKLE_TUPLE, count);
}

static int run_opcode(struct machine *machine, int opcode)
{
    switch (opcode) {
    case PROTO:
        return read_protocol(machine);
    case FRAME: /* A frame only says how much a reader may read ahead. */
        return skip_bytes(machine, 8);
    case NONE:
        return push_value(machine, (struct pickle_value){.kind = PICKLE_NONE});
    case NEWTRUE:
    case NEWFALSE:
        return push_value(machine,
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
        return push_float(machine);
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
        return push_object(machine, PICKLE_LIST, 0);
    case EMPTY_DICT:
        return push_object(machine, PICKLE_DICT, 0);
    case EMPTY_TUPLE:
        return push_object(machine, PICKLE_TUPLE, 0);
    case TUPLE1:
    case TUPLE2:
    case TUPLE3:
        return push_tuple(machine, (size_t)(opcode - TUPLE1 + 1));
    case APPEND:
        return move_items(machine, PICKLE_LIST, 1);
    case SETITEM:
        return move_items(machine, PICKLE_DICT, 2);
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
        return apply_reduce(machine);
    case NEWOBJ:
        return push_new_object(machine);
    case BUILD:
        return apply_build(machine);
    case BINPERSID:
        return apply_persistent_id(machine);
    default:
        return refuse_opcode(machine, opcode);
    }
}

/* Runs one opcode. *stopped becomes true if it was STOP. */
static int run_next(struct machine *machine, bool *stopped)
{
    const uint8_t *opcode;
    machine->opcode_position = machine->position;
    int error = take_bytes(machine, 1, &opcode);
    *stopped = !error && *opcode == STOP;
    if (!error && !*stopped)
        error = run_opcode(machine, *opcode);
    return error;
}

static int run_pickle(struct machine *machine)
{
    bool stopped = false;
    while (!stopped) {
        int error = run_next(machine, &stopped);
        if (error)
            return error;
    }
    if (machine->depth != 1 || machine->mark_count)
        return fail_format(machine, "STOP without exactly one value");
    machine->result->root = *top_value(machine);
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
    /* Every entry of the memo takes at least one byte of the pickle. */
    size_t memo = size < VALUES_MAX ? size : VALUES_MAX;
    machine.stack = memory_alloc(STACK_MAX * sizeof(*machine.stack));
    machine.marks = memory_alloc(STACK_MAX * sizeof(*machine.marks));
    machine.memo = memory_alloc((memo + 1) * sizeof(*machine.memo));
    int error = VKCLIP_OK;
    if (!machine.stack || !machine.marks || !machine.memo)
        error = fail_memory(&machine);
    if (!error)
        error = run_pickle(&machine);
    memory_free(machine.stack);
    memory_free(machine.marks);
    memory_free(machine.memo);
    if (error)
        torch_pickle_close(pickle);
    return error;
}

void torch_pickle_close(struct torch_pickle *pickle)
{
    struct pickle_object *object = pickle->objects;
    while (object) {
        struct pickle_object *next = object->next;
        memory_free(object->items);
        memory_free(object);
        object = next;
    }
    *pickle = (struct torch_pickle){0};
}
