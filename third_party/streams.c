/* SPDX-License-Identifier: MIT
 *
 * Stands for stdin, stdout and stderr in static libraries that were compiled for programs: their
 * code has the addresses of these variables in it, which a shared library cannot. StaticDeps.cmake
 * renames them. jansson only compares with stdin, and libjpeg prints in a function that vkclip
 * replaces, so that nothing uses the values.
 */
#include <stdio.h>

extern FILE *vkclip_stdin, *vkclip_stdout, *vkclip_stderr;
FILE *vkclip_stdin, *vkclip_stdout, *vkclip_stderr;
