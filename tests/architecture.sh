#!/bin/sh
# architecture.sh CC: who may include whom. A module is every file of src/ whose name begins with its name
# (config: config.c, config.h, config_json.c). Each has a line below: what it may include beside its own
# headers, vkclip.h, util.h and the system's.
set -eu
cc=$1
failed=0
fail() {
    echo "FAILED: $*"
    failed=1
}

rules='
util
rng
workers
hub
safetensors
vocabulary    gguf
text
tokenizer     text vocabulary
bpe           tokenizer vocabulary
csv
image
gguf          safetensors
torch         safetensors
weights       safetensors gguf torch
positions
config        weights gguf positions hub
arch          config rng checkpoint
graph
quant         graph
grad          graph
model         graph config
cache
gpu           volk cache workers
kernels       graph gpu quant
peak          gpu
upload        graph gpu kernels quant weights workers
tune          graph gpu kernels quant cache
plan          graph gpu kernels upload tune
train         grad graph gpu kernels model plan tune upload weights config
lane          graph gpu kernels model plan upload weights
encode        lane gpu plan workers
device        gpu tune workers
dataset       safetensors csv
sampler       dataset rng
augment       image rng
loader        augment dataset image rng sampler tokenizer workers
convert       config weights vocabulary graph quant gguf safetensors
checkpoint    config weights safetensors convert
schedule
vkclip        peak device encode lane model plan gpu weights config tokenizer image workers bpe csv arch train checkpoint schedule dataset loader
main          cli
cli           safetensors hub
'

for file in src/*.[ch]; do
    module=$(basename "$file" | sed 's/[._].*//')
    rule=$(printf '%s\n' "$rules" | grep -E "^$module( |\$)") || {
        fail "$file has no rule in tests/architecture.sh"
        continue
    }
    # shellcheck disable=SC2013
    for include in $(sed -nE 's/^ *# *include *["<]([a-z0-9_]+)\.h[">].*/\1/p' "$file"); do
        # Of the system's headers only Vulkan's are a question of architecture.
        case $include in volk | vulkan*) ;; *) [ -f "src/$include.h" ] || continue ;; esac
        # The command knows the public interface, and by its line above safetensors, in which it
        # exchanges tensors, and hub: what vkclip pull fills is the cache that the library reads.
        case $module:$include in
        main:util | cli:util) ;;
        *:util | *:vkclip) continue ;;
        esac
        case " $rule " in
        *" ${include%%_*} "*) ;;
        *) fail "$file includes $include.h" ;;
        esac
    done
done

# What describes a model knows no Vulkan, directly or through another header.
for module in arch graph grad model weights positions config; do
    [ -f "src/$module.c" ] || continue
    seen=$($cc -std=c11 -M -Iinclude -Isrc "src/$module.c" |
        grep -oE '[^ ]*(volk|vulkan|gpu|kernels|plan)[^ ]*\.h') || continue
    fail "src/$module.c sees $seen"
done
[ $failed = 0 ] && echo "every include is in the architecture"
exit $failed
