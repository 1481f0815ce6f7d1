/* SPDX-License-Identifier: MIT
 *
 * Holds that the public headers only grow: whatever programs were compiled against, tests/api/old,
 * means the same today.
 */
#include "api/declarations.h"
#include "base/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct declaration *find(const struct declaration *entries, const char *name)
{
    while (entries->kind && strcmp(entries->name, name))
        entries++;
    return entries->kind ? entries : NULL;
}

/* Returns the entry of the struct that has a member. */
static const struct declaration *find_struct(const struct declaration *entries, const char *name)
{
    const size_t length = strcspn(name, ".");
    while (entries->kind &&
           (entries->kind != DECLARATION_STRUCT || strlen(entries->name) != length ||
            memcmp(entries->name, name, length)))
        entries++;
    return entries->kind ? entries : NULL;
}

/* Returns whether the caller tells the size of a struct. */
static bool tells_size(const struct declaration *entry)
{
    return entry[1].kind == DECLARATION_MEMBER && entry[1].size == sizeof(size_t) &&
           !strcmp(strchr(entry[1].name, '.'), ".size");
}

/* The library allocates these and shows them one by one. */
static bool is_shown(const char *name)
{
    static const char *const shown[] = {
        "vkclip_item",  "vkclip_check",           "vkclip_tuning",       "vkclip_node",
        "vkclip_hit",   "vkclip_update_progress", "vkclip_encoder_info", "vkclip_conditioning",
        "vkclip_group", "vkclip_image_format",    "vkclip_hub_model"};
    for (size_t i = 0; i < ARRAY_COUNT(shown); i++)
        if (!strcmp(name, shown[i]))
            return true;
    return false;
}

static void check_entry(const struct declaration *old)
{
    const struct declaration *today = find(declarations_today, old->name);
    if (!today)
        fail_msg("%s is gone", old->name);
    if (strcmp(today->type, old->type) || today->size != old->size)
        fail_msg("%s was '%s' and is '%s'", old->name, old->type, today->type);
    const bool grows = old->kind == DECLARATION_STRUCT && (tells_size(old) || is_shown(old->name));
    if (grows ? today->value < old->value : today->value != old->value)
        fail_msg("%s was %zu and is %zu", old->name, old->value, today->value);
}

static void what_was_declared_stays(void **state)
{
    (void)state;
    size_t structs = 0, functions = 0;
    for (const struct declaration *old = declarations_old; old->kind; old++) {
        check_entry(old);
        structs += old->kind == DECLARATION_STRUCT;
        functions += old->kind == DECLARATION_FUNCTION;
    }
    assert_true(structs >= 60 && functions >= 100);
}

/* What an old program has at the end of a struct, to fill it up, need not be zero. */
static void new_members_lie_behind_the_old_struct(void **state)
{
    (void)state;
    for (const struct declaration *today = declarations_today; today->kind; today++) {
        if (today->kind != DECLARATION_MEMBER || find(declarations_old, today->name))
            continue;
        const struct declaration *old = find_struct(declarations_old, today->name);
        if (old && today->value < old->value)
            fail_msg("%s begins at byte %zu, where the old struct still was: expected %zu or more",
                     today->name, today->value, old->value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_declared_stays),
        cmocka_unit_test(new_members_lie_behind_the_old_struct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
