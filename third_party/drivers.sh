#!/bin/sh
# Fetches the newest Mesa drivers into build/drivers unless they are there already: those of AMD, NVIDIA, Adreno and
# Apple GPUs, with mesa-drm-shim, which lets them start without their GPU. Their compilers then build every kernel
# (tests/drivers.sh), although nothing is computed. The validation layer and glslang are as new. All of it is extracted
# from packages of Debian sid, with the C library and the dynamic loader that these need, and runs beside the system's
# own: it needs neither root nor a chroot. The tests also run without it, so a failure is reported and is not an error.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/drivers
[ ! -f "$folder/complete" ] || exit 0

mkdir -p build
temp=$(mktemp -d "$PWD/build/drivers.XXXXXX")
trap 'rm -rf "$temp"' EXIT
echo "Fetching Mesa's drivers, the validation layer and glslang from Debian sid (80 MB, once)"
third_party/unpack.sh sid "$(dpkg --print-architecture 2>/dev/null || true)" "$temp/drivers" mesa-vulkan-drivers \
    mesa-drm-shim libvulkan1 vulkan-validationlayers glslang-tools || {
    echo "Drivers without hardware are left out of the tests." >&2
    exit 0
}

# `run PROGRAM...` starts a program with these libraries before the system's; PRELOAD may name one to load first.
cat >"$temp/drivers/run" <<'EOF'
#!/bin/sh
libraries=$(echo "$(cd "$(dirname "$0")" && pwd)"/usr/lib/*-linux-*)
program=$(command -v "$1") && shift
set -- --library-path "$libraries" "$program" "$@"
[ -z "${PRELOAD-}" ] || set -- --preload "$libraries/$PRELOAD" "$@"
exec "$libraries"/ld-linux*.so.* "$@"
EOF
chmod +x "$temp/drivers/run"
touch "$temp/drivers/complete"
rm -rf "$folder"
mv "$temp/drivers" "$folder"
