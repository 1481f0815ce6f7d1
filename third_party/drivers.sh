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

leave() {
    echo "Drivers without hardware are left out of the tests: $1" >&2
    exit 0
}
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    leave "they come from Debian packages, and this system has no apt."
# Sid is taken from the mirror from which the system takes Debian.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -n 1)
[ -n "$mirror" ] || leave "the system's sources of packages name no mirror of Debian."

mkdir -p build
temp=$(mktemp -d "$PWD/build/drivers.XXXXXX")
trap 'rm -rf "$temp"' EXIT
# This configuration of apt reads and writes nothing of the system but its keys and proxies. An empty list of installed
# packages makes apt fetch everything that the named packages need. A mirror may lag behind, so that the date of its
# index is not checked. apt run by root must stay root, because its unprivileged user cannot write to a private folder.
mkdir -p "$temp/lists/partial" "$temp/archives/partial" "$temp/drivers"
: >"$temp/status"
echo "deb $mirror sid main" >"$temp/sources.list"
cat >"$temp/apt.conf" <<EOF
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Dir::Etc::SourceList "$temp/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$temp";
Dir::State::Lists "$temp/lists";
Dir::State::Status "$temp/status";
Dir::Cache "$temp";
Dir::Cache::Archives "$temp/archives";
EOF
echo "Fetching Mesa's drivers, the validation layer and glslang from Debian sid (80 MB, once)"
sid() {
    APT_CONFIG="$temp/apt.conf" apt-get -qq "$@" >"$temp/log" 2>&1 || {
        tail -n 5 "$temp/log" >&2
        leave "apt could not fetch them."
    }
}
sid update
sid install -y --download-only mesa-vulkan-drivers mesa-drm-shim libvulkan1 vulkan-validationlayers glslang-tools
for package in "$temp"/archives/*.deb; do
    dpkg-deb --extract "$package" "$temp/drivers"
done
# Documentation, translations and character sets would be a tenth of the folder.
rm -rf "$temp/drivers/usr/share/doc" "$temp/drivers/usr/share/man" "$temp/drivers"/usr/lib/*/gconv

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
