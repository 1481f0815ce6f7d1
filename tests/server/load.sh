#!/bin/sh
# SPDX-License-Identifier: MIT
# load.sh [asan|tsan|release [BUILD]] [PART [OPTION...]]: builds vkclip in build-PRESET with a sanitizer, or takes that of
# BUILD (build), and runs the parts of load.py: mixed and kill, and memory with the release alone. memory takes ten minutes,
# the others one or two each. CI does not run it.
set -eu
cd "$(dirname "$0")/../.."
preset=${1-asan}
[ $# -eq 0 ] || shift
build=build-$preset
if [ "$preset" = release ]; then
    build=build
    if [ $# -gt 0 ] && [ -d "$1" ]; then build=$1; shift; fi
else
    cmake --log-level=NOTICE --preset "$preset"
    cmake --build "$build" --target vkclip_command --parallel 2
fi
# The driver's memory is not vkclip's, and what it locks is not seen (see the files). A report ends the server with a status.
export ASAN_OPTIONS="detect_stack_use_after_return=1:quarantine_size_mb=16:exitcode=66"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export LSAN_OPTIONS="suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0"
export TSAN_OPTIONS="suppressions=$PWD/tests/support/tsan.supp:print_suppressions=0:exitcode=66"
if [ $# -gt 0 ]; then exec python3 tests/server/load.py "$build/vkclip" "$@"; fi
for part in mixed kill; do python3 tests/server/load.py "$build/vkclip" $part; done
[ "$preset" != release ] || python3 tests/server/load.py "$build/vkclip" memory --seconds 600
