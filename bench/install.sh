#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh ROOT PROGRAM...: copies programs to /opt/vkclip of another system in the folder ROOT, for chroot,
# with the libraries that this system lacks. They run there with LD_LIBRARY_PATH=/opt/vkclip/lib.
set -eu
root=$1
shift
mkdir -p "$root/opt/vkclip/lib"
for program; do
    cp "$program" "$root/opt/vkclip/"
    ldd "$program" | awk '$3 ~ "^/" { print $1, $3 }' | while read -r name path; do
        found=$(find "$root/usr/lib" "$root/lib" -name "$name" 2>/dev/null | head -n 1)
        [ -n "$found" ] || cp -L "$path" "$root/opt/vkclip/lib/"
    done
done
