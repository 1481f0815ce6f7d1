#!/bin/sh
# format.sh CLANG_FORMAT checks that every C and C++ file is formatted as clang-format does it. Versions of clang-format
# differ in details, so the check is skipped with any version but the one that formatted the project.
set -eu
version=14
"$1" --version | grep -q "version $version\." || {
    echo "skipped: $("$1" --version), expected version $version"
    exit 77
}
find src tests bench include bindings examples \( -name '*.[ch]' -o -name '*.[ch]pp' \) -exec "$1" --dry-run -Werror {} +
echo "every C and C++ file is formatted"
