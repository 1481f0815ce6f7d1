#!/bin/sh
# architecture.sh CC: who may include whom. A module is its .c and .h together; every module of src/ has
# a line below, and what it may include beside its own header, vkclip.h, util.h and the system's headers.
set -eu
cc=$1
failed=0
fail() {
    echo "FAILED: $*"
    failed=1
}

rules='
util
safetensors
tokenizer
image_stb
image         image_stb
weights       safetensors
config_json   config weights
config        config_json weights
graph
gpu           volk
kernels       graph gpu
upload        graph gpu kernels weights
plan          graph gpu kernels upload
model         graph config weights
vkclip        model plan upload weights config tokenizer image gpu graph
'
# The command knows the public interface, and a file format to exchange tensors in.
command_rule='cli safetensors'

for file in src/*.[ch]; do
    module=$(basename "$file" | sed 's/\.[ch]$//')
    case $module in
    main | cli | cli_*)
        allowed="vkclip $command_rule"
        ;;
    *)
        line=$(printf '%s\n' "$rules" | grep -E "^$module( |\$)") || {
            fail "$file has no rule in tests/architecture.sh"
            continue
        }
        allowed="$line vkclip util"
        ;;
    esac
    # shellcheck disable=SC2013
    for include in $(sed -nE 's/^ *# *include *["<]([a-z0-9_]+)\.h[">].*/\1/p' "$file"); do
        # Of the headers in angle brackets only volk and Vulkan are a question of architecture.
        case $include in volk | vulkan*) ;; *) [ -f "src/$include.h" ] || continue ;; esac
        case " $allowed " in
        *" $include "*) ;;
        *) fail "$file includes $include.h" ;;
        esac
    done
done

# What describes a model knows no Vulkan, directly or through another header.
for module in graph grad model weights config; do
    [ -f "src/$module.c" ] || continue
    seen=$($cc -std=c11 -M -Iinclude -Isrc "src/$module.c" |
        grep -oE '[^ ]*(volk|vulkan|gpu|kernels|plan)[^ ]*\.h') || continue
    fail "src/$module.c sees $seen"
done
[ $failed = 0 ] && echo "every include is in the architecture"
exit $failed
