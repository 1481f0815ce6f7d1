/* SPDX-License-Identifier: MIT
 *
 * Compares every variant's SPIR-V with what the host says of it: the capabilities that it declares
 * with the CAP_ bits that its row of shaders/kernels.def needs, because a device without one of
 * them may refuse the module, or crash; and the buffers that it may write with graph_writes,
 * because no barrier follows a write of which that does not tell.
 */
#include "base/array.h"
#include "runtime/kernels.h"
#include "support/testing.h"

#include <stdlib.h>

/* SPIR-V begins with five words of header. Instructions follow, whose first word has the number of
 * words above the opcode, and capabilities come first. */
enum { MAGIC = 0x07230203, HEADER_WORDS = 5, OP_CAPABILITY = 17 };
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
    const size_t words = kernel->bytes / 4;
    size_t i = HEADER_WORDS;
    int excess = 0, found = 0;
    assert_int_equal(kernel->code[0], MAGIC);
    while (i + 1 < words && (kernel->code[i] & 0xffff) == OP_CAPABILITY) {
        const uint32_t capability = kernel->code[i + 1];
        found++;
        if (!is_allowed(kernel, capability)) {
            print_error("%s %s %s declares capability %u (%s), which its row does not need\n",
                        kernel->shader, type_name(kernel->x), type_name(kernel->w), capability,
                        capability_name(capability));
            excess++;
        }
        i += kernel->code[i] >> 16;
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
static const uint32_t *find_instruction(const struct kernel *kernel, uint32_t opcode, size_t word,
                                        uint32_t value, size_t second_word, uint32_t second)
{
    for (size_t i = HEADER_WORDS; i < kernel->bytes / 4; i += kernel->code[i] >> 16) {
        const uint32_t *found = &kernel->code[i];
        if ((*found & 0xffff) == opcode && found[word] == value &&
            (!second_word || found[second_word] == second))
            return found;
    }
    return NULL;
}

/* Tells whether a variable of a storage buffer is declared readonly, on itself or on its member. */
static bool is_readonly(const struct kernel *kernel, const uint32_t *variable)
{
    const uint32_t *pointer = find_instruction(kernel, OP_TYPE_POINTER, 1, variable[1], 0, 0);
    assert_non_null(pointer);
    return find_instruction(kernel, OP_DECORATE, 1, variable[2], 2, NON_WRITABLE) ||
           find_instruction(kernel, OP_MEMBER_DECORATE, 1, pointer[3], 3, NON_WRITABLE);
}

static void buffers_are_written_as_graphs_say(void **state)
{
    int unknown = 0;
    (void)state;
    for (size_t k = 0; k < kernel_count; k++) {
        const struct kernel *kernel = &kernels[k];
        for (size_t i = HEADER_WORDS; i < kernel->bytes / 4; i += kernel->code[i] >> 16) {
            const uint32_t *variable = &kernel->code[i];
            if ((*variable & 0xffff) != OP_VARIABLE || variable[3] != STORAGE_BUFFER)
                continue;
            const uint32_t *binding =
                find_instruction(kernel, OP_DECORATE, 1, variable[2], 2, BINDING);
            assert_non_null(binding);
            if (binding[3] == KERNEL_OUT || is_readonly(kernel, variable) ||
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(modules_declare_what_rows_need),
                                       cmocka_unit_test(buffers_are_written_as_graphs_say)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
