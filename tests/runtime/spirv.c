/* SPDX-License-Identifier: MIT
 *
 * Compares every variant's SPIR-V with what the host says of it: the capabilities that it declares
 * with the CAP_ bits that its row of shaders/kernels.def needs, because a device without one of
 * them may refuse the module, or crash; and the buffers that it may write with graph_writes,
 * because no barrier follows a write of which that does not tell. The words that the library packed
 * are compared with those of the compiler first, and damaged ones are refused.
 */
#include "base/array.h"
#include "runtime/kernels.h"
#include "support/testing.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "kernels_spirv.h"
#include "peaks_packed.h"
#include "peaks_spirv.h"

/* SPIR-V begins with five words of header. Instructions follow, whose first word has the number of
 * words above the opcode, and capabilities come first. */
enum { HEADER_WORDS = 5, OP_CAPABILITY = 17 };
enum { OP_TYPE_POINTER = 32, OP_VARIABLE = 59, OP_DECORATE = 71, OP_MEMBER_DECORATE = 72 };
enum { NON_WRITABLE = 24, BINDING = 33, STORAGE_BUFFER = 12 };

/* Lists the capabilities that a variant with any of the CAP_ bits may declare. */
static const struct {
    uint32_t capability;
    const char *name;
    uint32_t caps; /* 0: every device has it */
} allowed[] = {
    {1, "Shader", 0},
    {46, "SampledBuffer", CAP_TEXEL},
    {61, "GroupNonUniform", CAP_SUBGROUP | CAP_COOPMAT16},
    {63, "GroupNonUniformArithmetic", CAP_SUBGROUP},
    {64, "GroupNonUniformBallot", CAP_SUBGROUP},
    {9, "Float16", CAP_F16MATH | CAP_COOPMAT16},
    {4433, "StorageBuffer16BitAccess", CAP_F16},
    {6018, "DotProductInput4x8BitPacked", CAP_DOT},
    {6019, "DotProduct", CAP_DOT},
    {5347, "PhysicalStorageBufferAddresses", CAP_ADDRESS},
    {5345, "VulkanMemoryModel", CAP_COOPMAT16},
    {6022, "CooperativeMatrixKHR", CAP_COOPMAT16},
};

/* The module that is looked at, and the block that it was unpacked with. */
static struct spirv module;
static uint32_t *block;

static void unpack_module(const struct spirv *packed)
{
    free(block);
    assert_int_equal(spirv_unpack(packed->block, &block), 0);
    module = *packed;
    module.words = spirv_words(packed, block);
}

static void open_module(const struct kernel *kernel)
{
    unpack_module(&kernel->code);
}

static void compare_words(const struct spirv *packed, const uint32_t *words, size_t bytes)
{
    unpack_module(packed);
    assert_int_equal(4 * module.count, bytes);
    assert_memory_equal(module.words, words, bytes);
}

static void packed_words_are_the_compilers(void **state)
{
    static const struct {
        const uint32_t *words;
        size_t bytes;
    } compiled[] = {
#define KERNEL(op, shader, x, w, needs) \
    {spirv_##shader##_##x##_##w, sizeof(spirv_##shader##_##x##_##w)},
#include "kernel_rows.def"
#undef KERNEL
    };
    (void)state;
    assert_int_equal(ARRAY_COUNT(compiled), kernel_count);
    for (size_t i = 0; i < kernel_count; i++)
        compare_words(&kernels[i].code, compiled[i].words, compiled[i].bytes);
#define PEAK(shader, x, w, needs)                                                        \
    compare_words(&(struct spirv)SPIRV_##shader##_##x##_##w, spirv_##shader##_##x##_##w, \
                  sizeof(spirv_##shader##_##x##_##w));
#include "shaders/peaks.def"
#undef PEAK
}

/* Packs `count` words as shaders/pack.c does, and returns what unpacking them as codes with a list
 * of ids behind them says. */
static int unpack_codes(const uint32_t *codes, size_t count, size_t words, size_t ids)
{
    uint8_t planes[64], packed[128];
    uLongf bytes = sizeof(packed);
    uint32_t *unpacked = NULL;
    assert_true(4 * count <= sizeof(planes));
    for (size_t i = 0; i < 4 * count; i++)
        planes[i] = (uint8_t)(codes[i % count] >> i / count * 8);
    assert_int_equal(compress(packed, &bytes, planes, 4 * (uLong)count), Z_OK);
    const int error = spirv_unpack(&(struct spirv_block){packed, bytes, words, ids}, &unpacked);
    assert_true(!error == !!unpacked);
    free(unpacked);
    return error;
}

/* No code may reach beyond the ids of its module, and a block must have the size that it says. */
static void damaged_blocks_are_refused(void **state)
{
    uint32_t codes[] = {SPIRV_MAGIC, 0, 1, SPIRV_MAGIC, 0, 0, SPIRV_NEAR + 2, 2, 5, 6, 7};
    static const uint32_t wrong[] = {3,                 /* an id of the module before */
                                     SPIRV_NEAR,        /* before the first module */
                                     SPIRV_NEAR + 3,    /* after the newest id */
                                     SPIRV_IDS - 1, 0}; /* one more than the list has */
    static const uint32_t large[] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
    struct spirv_block cut = *kernels[0].code.block;
    uint32_t *words = NULL;
    (void)state;
    assert_int_equal(unpack_codes(codes, 11, 8, 3), 0);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        codes[7] = wrong[i];
        assert_int_equal(unpack_codes(codes, 11, 8, 3), VKCLIP_EFORMAT);
    }
    assert_int_equal(unpack_codes(large, 8, 8, 0), 0);
    assert_int_equal(unpack_codes(large, 8, 7, 0), VKCLIP_EFORMAT);
    assert_int_equal(unpack_codes(large, 7, 8, 0), VKCLIP_EFORMAT);
    cut.packed_bytes /= 2;
    assert_int_equal(spirv_unpack(&cut, &words), VKCLIP_EFORMAT);
    assert_null(words);
}

/* A row whose module is that of another type's, to the bit, takes no space of its own. */
static void equal_modules_are_stored_once(void **state)
{
    size_t shared = 0;
    (void)state;
    for (size_t i = 0; i < kernel_count; i++)
        for (size_t k = 0; k < i; k++)
            shared += spirv_equal(&kernels[i].code, &kernels[k].code);
    assert_true(shared > 0);
}

static bool is_allowed(const struct kernel *kernel, uint32_t capability)
{
    for (size_t i = 0; i < ARRAY_COUNT(allowed); i++)
        if (allowed[i].capability == capability)
            return !allowed[i].caps || allowed[i].caps & kernel->needs;
    return false;
}

static const char *capability_name(uint32_t capability)
{
    for (size_t i = 0; i < ARRAY_COUNT(allowed); i++)
        if (allowed[i].capability == capability)
            return allowed[i].name;
    return "one that the test does not know";
}

/* Returns how many capabilities a variant declares beyond what it needs, and prints them. */
static int count_excess(const struct kernel *kernel)
{
    size_t words = 0;
    size_t i = HEADER_WORDS;
    int excess = 0, found = 0;
    open_module(kernel);
    words = module.count;
    assert_int_equal(module.words[0], SPIRV_MAGIC);
    while (i + 1 < words && (module.words[i] & 0xffff) == OP_CAPABILITY) {
        const uint32_t capability = module.words[i + 1];
        found++;
        if (!is_allowed(kernel, capability)) {
            print_error("%s %s %s declares capability %u (%s), which its row does not need\n",
                        kernel->shader, type_name(kernel->x), type_name(kernel->w), capability,
                        capability_name(capability));
            excess++;
        }
        i += module.words[i] >> 16;
    }
    assert_true(found > 0);
    return excess;
}

static void modules_declare_what_rows_need(void **state)
{
    int excess = 0;
    (void)state;
    for (size_t i = 0; i < kernel_count; i++)
        excess += count_excess(&kernels[i]);
    assert_int_equal(excess, 0);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

/* Returns the instruction of an opcode that has `value` in its word number `word`, and `second` in
 * the next one if that is not 0; NULL if there is none. */
static const uint32_t *find_instruction(uint32_t opcode, size_t word, uint32_t value,
                                        size_t second_word, uint32_t second)
{
    for (size_t i = HEADER_WORDS; i < module.count; i += module.words[i] >> 16) {
        const uint32_t *found = &module.words[i];
        if ((*found & 0xffff) == opcode && found[word] == value &&
            (!second_word || found[second_word] == second))
            return found;
    }
    return NULL;
}

/* Tells whether a variable of a storage buffer is declared readonly, on itself or on its member. */
static bool is_readonly(const uint32_t *variable)
{
    const uint32_t *pointer = find_instruction(OP_TYPE_POINTER, 1, variable[1], 0, 0);
    assert_non_null(pointer);
    return find_instruction(OP_DECORATE, 1, variable[2], 2, NON_WRITABLE) ||
           find_instruction(OP_MEMBER_DECORATE, 1, pointer[3], 3, NON_WRITABLE);
}

static void buffers_are_written_as_graphs_say(void **state)
{
    int unknown = 0;
    (void)state;
    for (size_t k = 0; k < kernel_count; k++) {
        const struct kernel *kernel = &kernels[k];
        open_module(kernel);
        for (size_t i = HEADER_WORDS; i < module.count; i += module.words[i] >> 16) {
            const uint32_t *variable = &module.words[i];
            if ((*variable & 0xffff) != OP_VARIABLE || variable[3] != STORAGE_BUFFER)
                continue;
            const uint32_t *binding = find_instruction(OP_DECORATE, 1, variable[2], 2, BINDING);
            assert_non_null(binding);
            if (binding[3] == KERNEL_OUT || is_readonly(variable) ||
                graph_writes(kernel->op, (int)binding[3]))
                continue;
            print_error("%s %s %s may write binding %u\n", kernel->shader, type_name(kernel->x),
                        type_name(kernel->w), binding[3]);
            unknown++;
        }
    }
    assert_int_equal(unknown, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(packed_words_are_the_compilers),
                                       cmocka_unit_test(damaged_blocks_are_refused),
                                       cmocka_unit_test(equal_modules_are_stored_once),
                                       cmocka_unit_test(modules_declare_what_rows_need),
                                       cmocka_unit_test(buffers_are_written_as_graphs_say)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
