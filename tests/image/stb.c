/* SPDX-License-Identifier: MIT
 *
 * Stands in for the rest of the library in the tests decode_stb and prepare_stb. They have the
 * readers of pictures as a build without any optional library has them, and no models.
 */
#include "base/error.h"
#include "vkclip.h"

const char *vkclip_last_error(void)
{
    return error_last();
}
