/* SPDX-License-Identifier: MIT
 *
 * Keeps libraries loaded in the programs of a sanitizer build. The leak checker then sees memory
 * that a driver's variables point to, and knows the library of every leaked block, so that
 * lsan.supp can leave out drivers. Without it, Mesa's leaks on AMD's CPUs would be reported without
 * a library's name.
 */
__attribute__((visibility("default"))) int dlclose(void *library);
int dlclose(void *library)
{
    (void)library;
    return 0;
}
