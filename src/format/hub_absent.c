/* SPDX-License-Identifier: MIT
 *
 * Stands for the table of published models and the hub's cache, in a build without them: every
 * name is taken for a path.
 */
#include "base/absent.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"
#include "format/hub.h"

#include <string.h>

ABSENT_ARGUMENTS

const struct vkclip_hub_model *hub_model(size_t index)
{
    return NULL;
}

const struct hub_family *hub_family(size_t index)
{
    return NULL;
}

const char *hub_find_partner(const char *repository)
{
    return NULL;
}

const struct vkclip_hub_model *hub_find_model(const char *text, size_t length)
{
    return NULL;
}

bool hub_parse_name(const char *text, struct hub_name *name)
{
    return false;
}

bool hub_is_commit(const char *text)
{
    return false;
}

static char *fail(void)
{
    error_fail(VKCLIP_EUNSUPPORTED, "this build of vkclip leaves the hub out (VKCLIP_WITH_HUB)");
    return NULL;
}

char *hub_home(void)
{
    return fail();
}

char *hub_cache(void)
{
    return fail();
}

char *hub_model_folder(const struct hub_name *name)
{
    return fail();
}

char *hub_find_snapshot(const struct hub_name *name)
{
    return fail();
}

int hub_find(const char *path, const char *cache, char **found)
{
    *found = NULL;
    if (!file_exists(path) && !folder_exists(path))
        return error_fail(VKCLIP_EIO,
                          "%s: no such file or folder, and this build of vkclip looks up no models "
                          "by name (VKCLIP_WITH_HUB)",
                          path);
    *found = string_format("%s", path);
    return *found ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
}
