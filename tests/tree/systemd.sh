#!/bin/sh
# systemd.sh BUILD lets systemd read the units that a build installs, and compares how much they may do with a bound.
# serve_operation starts the server with sockets as systemd does.
set -eu
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_RUNTIME_DIR="$work"
fail() { echo "FAILED: $1" && exit 1; }

# check KIND EXPOSURE [ARGUMENT...]: 10 times the exposure of `systemd-analyze security`
check() {
    kind=$1
    exposure=$2
    shift 2
    mkdir "$work/$kind"
    cp "packaging/systemd/$kind/vkclip.socket" "$work/$kind"
    sed "s|^ExecStart=[^ ]*/vkclip |ExecStart=\"$build/vkclip\" |" "$build/systemd/$kind/vkclip.service" \
        >"$work/$kind/vkclip.service"
    grep -qF "ExecStart=\"$build/vkclip\" serve " "$work/$kind/vkclip.service" || fail "$kind: the command"
    for unit in service socket; do
        systemd-analyze verify --man=no "$@" "$work/$kind/vkclip.$unit" >"$work/log" 2>&1 ||
            { cat "$work/log" && fail "$kind/vkclip.$unit"; }
        [ ! -s "$work/log" ] || { cat "$work/log" && fail "$kind/vkclip.$unit: warnings"; }
    done
    systemd-analyze security --no-pager --offline=true --threshold="$exposure" "$work/$kind/vkclip.service" >"$work/log" ||
        { cat "$work/log" && fail "$kind/vkclip.service may do too much"; }
    echo "$kind: $(tail -n 1 "$work/log")"
}
check system 21
check user 65 --user
