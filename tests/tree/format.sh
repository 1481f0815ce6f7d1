#!/bin/sh
# format.sh CLANG_FORMAT: every C file is as clang-format writes it. Versions differ in small things, so
# the check is skipped with any other than the one the project is formatted with.
set -eu
version=14
"$1" --version | grep -q "version $version\." || {
    echo "skipped: $("$1" --version), expected version $version"
    exit 77
}
find src tests bench include -name '*.[ch]' -exec "$1" --dry-run -Werror {} +
echo "every C file is formatted"
