#!/bin/sh
# Installs what the tests of the page of `vkclip serve` need besides Debian's chromium-headless-shell into build/browser
# with npm, unless it is there already: playwright-core, which drives the browser, axe-core, which looks for barriers to
# people with disabilities, and TypeScript, which checks the types in the page's comments. Only tests use them, and the
# tests also run without them, so a failure is reported and is not an error.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/browser
[ ! -f "$folder/complete" ] || exit 0
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "The page of vkclip serve is left out of the tests: they need packages of npm, which was not found." >&2
    exit 0
fi
mkdir -p "$folder"
if ! npm install --silent --no-audit --no-fund --no-save --prefix "$folder" playwright-core axe-core typescript >/dev/null; then
    echo "The page of vkclip serve is left out of the tests: npm could not install playwright-core, axe-core and TypeScript." >&2
    exit 0
fi
: >"$folder/complete"
