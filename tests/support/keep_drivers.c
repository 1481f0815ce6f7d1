/* SPDX-License-Identifier: MIT
 *
 * Linked into the programs of a sanitizer build: libraries stay loaded, so that the leak checker
 * finds what a driver's own variables point to, and can name the driver that a block belongs to
 * (lsan.supp leaves it out). Frames of an unloaded one have no name. Mesa leaks so on AMD's CPUs.
 */
__attribute__((visibility("default"))) int dlclose(void *library);
int dlclose(void *library)
{
    (void)library;
    return 0;
}
