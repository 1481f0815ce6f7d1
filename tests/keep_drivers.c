/* SPDX-License-Identifier: MIT
 *
 * Linked into the tests of a sanitizer build: libraries stay loaded, so that the leak checker can
 * name the driver that a block belongs to (and lsan.supp can leave it out). Frames of an unloaded
 * one have no name.
 */
int dlclose(void *library);
int dlclose(void *library)
{
    (void)library;
    return 0;
}
