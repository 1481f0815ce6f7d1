#!/bin/sh
# Installs what the tests of the addon for Node use into build/node with npm unless it is there already: TypeScript, which
# compiles the declarations, and node-api-headers, which Debian's nodejs lacks without libnode-dev. The tests also run
# without TypeScript, so a failure is reported and is not an error.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/node
[ ! -f "$folder/complete" ] || exit 0
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "The declarations of the addon for Node are not tested: TypeScript comes from npm, which was not found." >&2
    exit 0
fi
mkdir -p "$folder"
if ! npm install --silent --no-audit --no-fund --no-save --prefix "$folder" typescript node-api-headers >/dev/null; then
    echo "The declarations of the addon for Node are not tested: npm could not install TypeScript." >&2
    exit 0
fi
: >"$folder/complete"
