/* SPDX-License-Identifier: MIT
 *
 * Prints the version of the package that it was linked with.
 */
#include <stdio.h>
#include <vkclip.h>

int main(void)
{
    return puts(vkclip_version()) < 0;
}
