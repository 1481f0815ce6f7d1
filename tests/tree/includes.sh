#!/bin/sh
# includes.sh checks who includes whom. The first component of an include names the folder, and the table in
# docs/architecture.md says which folders each folder may see besides itself. NAME.c and NAME.h count as one file, and
# no files include each other in a circle. No source file is longer than 800 lines. Only vulkan/ sees Vulkan's own
# headers, only base/environment.c reads the environment, which base/process.c hands on, and only base/ and the server
# use what is not of C11.
set -eu
failed=0
fail() {
    echo "FAILED: $*"
    failed=1
}

# The table is the block after the line "<!-- includes" of docs/architecture.md.
table=$(awk '/^<!-- includes/ {found = 1; next}
             found && /^```/ {if (inside) exit; inside = 1; next}
             inside' docs/architecture.md)
[ -n "$table" ] || {
    echo "FAILED: docs/architecture.md has no table of includes"
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find src -name '*.[ch]' | sort >"$work/files"

# FILE INCLUDED, one line per quoted include.
xargs grep -E '^ *# *include *"' <"$work/files" | sed -nE 's/^([^:]+):[^"]*"([^"]+)".*/\1 \2/p' >"$work/includes"

# Headers that the build generates from shaders/ and the public header have no folder.
printf '%s\n' "$table" | awk '
    FNR == NR {
        rows[$1] = " " $0 " "
        next
    }
    {
        folder = $1
        sub(/^src\//, "", folder)
        sub(/\/.*/, "", folder)
        target = $2 ~ /^(kernels|peaks)_packed\.h$|^kernel_rows\.def$/ ? "shaders" : $2
        if (target == "vkclip.h" || target == "vkclip_vulkan.h")
            next
        if (target !~ /\// && target != "shaders") {
            print $1 " includes " $2 ": expected FOLDER/" $2
            next
        }
        sub(/\/.*/, "", target)
        if (target == folder)
            next
        if (!(folder in rows))
            print $1 ": the table has no folder " folder
        else if (!index(rows[folder], " " target " "))
            print $1 " includes " $2 ": " folder "/ may not see " target "/"
    }' - "$work/includes" >"$work/refused"
while read -r line; do
    fail "$line"
done <"$work/refused"

grep -lE '^ *# *include *<vulkan/' -r src | grep -v '^src/vulkan/' >"$work/vulkan" || true
while read -r file; do
    fail "$file includes a header of Vulkan: only src/vulkan/ may"
done <"$work/vulkan"
grep -lE '^ *# *include *"vkclip_vulkan' -r src | grep -vE '^src/(vulkan|api)/' >"$work/vulkan" || true
while read -r file; do
    fail "$file includes vkclip_vulkan.h: only src/vulkan/ and src/api/ may"
done <"$work/vulkan"

sed -E 's/^src\///; s/\.[ch] / /; s/\.h$//' "$work/includes" | awk '$1 != $2 && $2 ~ /\//' >"$work/pairs"
tsort "$work/pairs" >/dev/null 2>"$work/circles" ||
    fail "these files include each other in a circle: $(sed 's/^tsort: //' "$work/circles" | tr '\n' ' ')"

xargs wc -l <"$work/files" | awk '$2 != "total" && $1 > 800 {print $2 " has " $1 " lines, expected at most 800"}' >"$work/long"
while read -r line; do
    fail "$line"
done <"$work/long"

# Applications decide whether the library follows the environment, and a caller's values and the environment are
# combined in one place.
grep -lwE '(secure_)?getenv|_wgetenv|environ|getenv_s|_dupenv_s|GetEnvironmentVariable[AW]?' -r src |
    grep -vE '^src/base/(environment\.[ch]|process\.c)$' >"$work/environment" || true
while read -r file; do
    fail "$file reads the environment: expected in src/base/environment.c"
done <"$work/environment"

# What systems have in different forms is in base/, whose functions take paths in UTF-8 on Windows. The server, which
# Windows does not have, is the only exception.
posix='aio|arpa/.*|conio|cpio|direct|dirent|dlfcn|fcntl|fnmatch|ftw|getopt|glob|grp|iconv|io|langinfo|libgen|linux/.*'
posix="$posix|mach.*/.*|mqueue|net/.*|netdb|netinet/.*|poll|process|psapi|pthread|pwd|regex|sched|semaphore|share"
posix="$posix|shellapi|shlobj|spawn|strings|sys/.*|syslog|termios|threads|unistd|utime|windows|winsock2?|wordexp"
macros='_(GNU|POSIX_C|DEFAULT|BSD|XOPEN)_SOURCE'
functions='(fopen|freopen|remove|rename|tmpfile|tmpnam|timespec_get)\('
grep -rnE "^ *# *include *<($posix)\.h>|^ *# *define *$macros|(^|[^[:alnum:]_.>])$functions" src |
    grep -vE '^src/(base|server)/' >"$work/posix" || true
while read -r line; do
    fail "$line: expected a function of src/base, because systems differ in this"
done <"$work/posix"

# The drawing above the table shows the same folders.
for folder in $(printf '%s\n' "$table" | awk '{print $1}'); do
    [ -d "src/$folder" ] || continue
    sed '/^<!-- includes/,$d' docs/architecture.md | grep -q " $folder/" ||
        fail "the drawing in docs/architecture.md lacks $folder/"
done

[ $failed = 0 ] && echo "every include is in the table"
exit $failed
