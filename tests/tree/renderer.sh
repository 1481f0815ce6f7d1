#!/bin/sh
# renderer.sh RENDERER runs the example that hands its VkImage over: the drawn heart is recognised, and the embedding of
# the image is that of its pixels from the host.
set -eu
output=$("$1" --compare models/emoji-clip 'red heart' owl pizza bicycle 'blue heart')
printf '%s\n' "$output"
best=$(printf '%s\n' "$output" | grep ' %  ' | sort -rn | head -n 1)
case $best in *'red heart') ;; *)
    echo "FAILED: the best label is '$best', expected red heart"
    exit 1
    ;;
esac
printf '%s\n' "$output" | awk '/^largest difference/ {found = 1; exit !($NF < 1e-6)} END {exit !found}' || {
    echo "FAILED: the embedding differs from the host's"
    exit 1
}
