#!/bin/sh
# drivers.sh [quick] [BUILD] lets the compilers of real GPUs build vkclip's kernels, without the GPUs: build/drivers has
# the drivers (third_party/drivers.sh). On each device it
#   - compiles every variant and tile with the constants of real models (vkclip-bench compile), and
#   - runs `embed` and a step of training in every precision under the validation layer. Submissions return at once and
#     compute nothing there, so that only errors and messages count.
# It fails on a pipeline that is not built or needs more than two seconds of processor time, on a validation message,
# on spills in a first choice that is not among the exceptions below, and where a pipeline spills more than the figures
# kept in bench/drivers say. The quick form compiles only first choices, once per tile, on six devices, and runs fewer
# commands; ctest runs it. The full form takes about five minutes of processor time. It belongs to every change of a
# shader, of a tile or of the order of choices: it leaves its figures in BUILD/compile, from where they are copied to
# bench/drivers.
set -eu
cd "$(dirname "$0")/.."
quick=
[ "${1-}" != quick ] || { quick=1 && shift; }
build=$(cd "${1-build}" && pwd)
drivers=$PWD/build/drivers
[ -f "$drivers/complete" ] || { echo "no build/drivers: third_party/drivers.sh fetches it" && exit 77; }

# First choices that may spill: device and shader as patterns, then the reason.
exceptions='
'
limit=2 # seconds of processor time that a pipeline may take
messages='Validation (Error|Warning|Performance)|SYNC-HAZARD|VUID-|UNASSIGNED-'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$build/compile"
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# ---- Compiling ------------------------------------------------------------------------------------------------------

compile() { # NAME
    table=$build/compile/$1.csv
    if [ -n "$quick" ]; then
        table=$work/$1.csv
        set -- "$1" --first --arch ViT-B-32,RN50,convnext_base,ViT-B-16-SigLIP,PE-Core-B-16,EVA02-B-16,T5-XXL --batches 8
    else
        set -- "$1" --tiles --arch ViT-B-32,ViT-L-14,RN50,convnext_base,ViT-B-16-SigLIP,PE-Core-B-16,EVA02-B-16,T5-XXL
    fi
    name=$1 && shift
    # The summary decides and not the exit status, because Debian 12's RADV crashes when it closes a device that it
    # only plays.
    tests/gpu_driver.sh "$name" "$build/vkclip-bench" compile --csv --reduced --training --search "$@" >"$work/table" 2>"$work/log" || true
    grep -q ' pipelines, 0 failed$' "$work/log" || fail "$name: $(tail -n 1 "$work/log")"
    # The seconds, which are the last column, are not kept, because they differ from run to run. The first line keeps the
    # version of the driver.
    sed '/^#/!s/,[^,]*$//' "$work/table" >"$table"
    [ "$(wc -l <"$table")" -gt 20 ] || fail "$name: expected at least 20 pipelines"
    awk -F, -v name="$name" -v limit=$limit -v exceptions="$exceptions" '
        BEGIN {
            count = split(exceptions, lines, "\n")
            for (i = 1; i <= count; i++) {
                split(lines[i], words, " ")
                device[i] = words[1]; shader[i] = words[2]
                gsub(/\*/, ".*", device[i]); gsub(/\*/, ".*", shader[i])
            }
        }
        function is_excepted(kernel, i) {
            for (i = 1; i <= count; i++)
                if (device[i] && name ~ "^" device[i] "$" && kernel ~ "^" shader[i] "( |$)")
                    return 1
            return 0
        }
        /^#/ || /^first,/ { next }
        { pipeline = $2 " " $3 ": " $6 " " $4 " " $5 " (" $8 ")" }
        $9 != "built" { print name ": " pipeline ": " $9 }
        $NF > limit { print name ": " pipeline ": " $NF " s of processor time, at most " limit }
        $1 && ($11 > 0 || $12 > 0) && !is_excepted($6) {
            print name ": " pipeline ": the first choice has " $11 " spills and " $12 " bytes of scratch"
        }' "$work/table" >"$work/found"
    while IFS= read -r line; do fail "$line"; done <"$work/found"
    [ ! -f "bench/drivers/$name.csv" ] || compare "bench/drivers/$name.csv" "$table"
}

# Compares the figures of pipelines that both tables have, if they come from the same version of the driver.
compare() { # KEPT FOUND
    if [ "$(head -n 1 "$1")" != "$(head -n 1 "$2")" ]; then
        echo "$1 has figures of another driver: $(head -n 1 "$1")"
        return
    fi
    awk -F, -v name="$name" '
        { key = $1 "," $2 "," $3 "," $4 "," $5 "," $6 "," $7 "," $8 }
        NR == FNR { registers[key] = $10; spills[key] = $11 + $12; instructions[key] = $15; next }
        !(key in spills) { fresh++; next }
        $11 + $12 > spills[key] {
            print name ": " $3 ": " $6 " " $4 " " $5 " (" $8 "): spills and scratch " $11 + $12 ", kept figure " spills[key]
        }
        $10 != registers[key] || $15 != instructions[key] { changed++ }
        END {
            if (changed) print "# " changed " pipelines have other registers or instructions than the kept figures"
            if (fresh) print "# " fresh " pipelines are not among the kept figures"
        }' "$1" "$2" >"$work/found"
    while IFS= read -r line; do
        case $line in
        '#'*) echo "$name: ${line#\# }" ;;
        *) fail "$line" ;;
        esac
    done <"$work/found"
}

# ---- Commands under the validation layer ----------------------------------------------------------------------------

layer=VK_LAYER_KHRONOS_validation
printf 'khronos_validation.%s\n' 'report_flags = error,warn' 'validate_sync = true' \
    'syncval_shader_accesses_heuristic = true' >"$work/vk_layer_settings.txt"
export VK_LAYER_PATH="$drivers/usr/share/vulkan/explicit_layer.d" VK_LAYER_SETTINGS_PATH="$work/vk_layer_settings.txt"
run_checked() { # NAME COMMAND...
    name=$1 && shift
    status=0
    VK_INSTANCE_LAYERS=$layer tests/gpu_driver.sh "$name" "$build/vkclip" "$@" >"$work/log" 2>&1 ||
        status=$?
    if grep -Eq "$messages" "$work/log"; then
        fail "$name: $*: $(grep -E "$messages" "$work/log" | sort | uniq -c | head -n 3)"
    elif [ $status != 0 ] && ! { [ $status = 1 ] && grep -Eq "$senseless" "$work/log"; }; then
        fail "$name: $*: exit $status: $(tail -n 1 "$work/log")"
    fi
}
# Nothing is computed, so that an embedding is what the memory held before, which may be no number, and the gradients may be
# all zeros, on which training rightly ends.
senseless="^vkclip: owl: the model's answer is not a finite number; |"\
'^vkclip: step 1: loss [^ ]+, norm of the gradients 0: training has diverged and stops; no step was saved yet\.'

{
    printf 'filepath\ttitle\n'
    for picture in "$PWD"/models/emoji-clip/samples/*.png; do printf '%s\ta picture\n' "$picture"; done
} >"$work/data.tsv"

train() { # NAME PRECISION
    rm -rf "$work/run"
    run_checked "$1" train "$work/run" -m models/emoji-clip --data "$work/data.tsv" --batch-size 8 --steps 1 \
        --precision "$2"
}

run_commands() { # NAME
    # Without this check, a layer that is not found would pass for a program without messages.
    VK_INSTANCE_LAYERS=$layer VK_LOADER_DEBUG=layer tests/gpu_driver.sh "$1" "$build/vkclip" devices >"$work/log" 2>&1 || true
    if ! grep -q "$layer" "$work/log"; then
        fail "$1: the validation layer is not loaded"
        return
    fi
    for form in f32 f16 'f32 --weights q8' 'f16 --weights q4'; do
        [ -z "$quick" ] || [ "$form" = f32 ] || continue
        # The form is two options in one text.
        # shellcheck disable=SC2086
        run_checked "$1" embed -m models/emoji-clip -o "$work/output.safetensors" --text owl --precision $form \
            models/emoji-clip/samples
    done
    [ -n "$quick" ] || train "$1" f32
    train "$1" f16
}

# ---- All devices ----------------------------------------------------------------------------------------------------

# The quick form takes one device per compiler, and AMD's with the least and the most abilities: each device takes about
# 17 s of processor time, and the others' pipelines differ in little.
names=$(tests/gpu_driver.sh list)
[ -z "$quick" ] || names='polaris10 rdna3 ada adreno740 m1 rdna2-system'
for name in $names; do
    tests/gpu_driver.sh "$name" || continue
    compile "$name" </dev/null
    # A device that the system's RADV plays has no memory.
    [ "$name" = rdna2-system ] || run_commands "$name" </dev/null
    echo "$name: $(($(wc -l <"$table") - 2)) pipelines"
done

# Every op, and in the full form every variant, must be reached on some device, or the test would say nothing of it.
tables=$build/compile
[ -z "$quick" ] || tables=$work
sed -nE 's/^KERNEL[A-Z_]*\(([A-Z_]+),.*/\1/p' shaders/kernels*.def | sort -u >"$work/ops"
awk -F, '!/^#/ && !/^first,/ { print $2 }' "$tables"/*.csv | sort -u >"$work/reached"
comm -23 "$work/ops" "$work/reached" >"$work/found"
while IFS= read -r line; do fail "no device compiles the op $line"; done <"$work/found"
if [ -z "$quick" ]; then
    sed -nE 's/^#include "spirv_(.*)_([a-z0-9]+)_([a-z0-9]+)\.h"$/\1 \2 \3/p' "$build/shaders/kernels_spirv.h" |
        sort -u >"$work/variants"
    awk -F, '!/^#/ && !/^first,/ { split($6, words, " "); print words[1], $4, $5 }' "$tables"/*.csv |
        sort -u >"$work/reached"
    # The objective of training is fp32, so that no graph has it, and what reads memory by its address is for lavapipe.
    {
        echo 'normalize_grad f16 f16'
        cat shaders/kernels*.def | grep CAP_ADDRESS |
            sed -nE 's/^KERNEL\([A-Z_]+, *([a-z_]+), *([a-z0-9]+), *([a-z0-9]+),.*/\1 \2 \3/p'
        cat "$work/reached"
    } | sort -u | comm -23 "$work/variants" - >"$work/found"
    while IFS= read -r line; do fail "no device compiles the variant $line"; done <"$work/found"
fi
[ $failures = 0 ] || { echo "$failures failures" && exit 1; }
