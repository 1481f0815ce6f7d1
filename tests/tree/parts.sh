#!/bin/sh
# parts.sh FOLDER CC SPIRV [CMAKE-ARGUMENT...] builds each combination of parts in tests/tree/parts.txt in one folder,
# quickly and without optimisation, with the SPIR-V of another build. Each must show the same functions, and those of a
# part that is left out must fail and say which option has it.
set -eu
folder=$1
cc=$2
spirv=$3
shift 3
options=$(awk '!/^#/ {for (i = 2; i <= NF; i++) print $i}' tests/tree/parts.txt | sort -u)
set -- "$@" -DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O0 -DVKCLIP_WERROR=ON \
    -DVKCLIP_SPIRV_FROM="$spirv" -DVKCLIP_BUILD_TESTS=OFF -DVKCLIP_BUILD_BENCH=OFF -DBUILD_SHARED_LIBS=ON
failed=0

fail() {
    echo "FAILED: $1"
    tail -n 30 "$folder.log" | cut -c1-300
    failed=1
}

grep -v '^#' tests/tree/parts.txt >"$folder.list"
while read -r name off; do
    arguments=
    for option in $options; do
        case " $off " in *" $option "*) value=OFF ;; *) value=ON ;; esac
        arguments="$arguments -DVKCLIP_WITH_$option=$value"
    done
    # shellcheck disable=SC2086
    cmake -S . -B "$folder" "$@" $arguments >"$folder.log" 2>&1 || { fail "$name: configuration" && continue; }
    cmake --build "$folder" >"$folder.log" 2>&1 || { fail "$name: build" && continue; }
    sh tests/tree/symbols.sh "$folder/libvkclip.so" >"$folder.log" || { fail "$name: names" && continue; }
    "$cc" -Iinclude -DVKCLIP_SHARED tests/tree/parts.c -o "$folder/parts" "$folder/libvkclip.so" \
        -Wl,-rpath,"$folder" >"$folder.log" 2>&1 ||
        { fail "$name: program" && continue; }
    # shellcheck disable=SC2086
    "$folder/parts" $off >"$folder.log" || { fail "$name: functions" && continue; }
    "$folder/vkclip" --version >"$folder.log" || { fail "$name: command" && continue; }
    case " $off " in
        *" SERVER "*)
            "$folder/vkclip" serve -m none >"$folder.serve" 2>&1 || true
            grep -q 'this build has no server' "$folder.serve" || { fail "$name: serve" && continue; } ;;
    esac
    echo "$name: $(sed -n 's/^built with: *//p' "$folder.log")"
done <"$folder.list"
exit $failed
