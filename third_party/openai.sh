#!/bin/sh
# Installs OpenAI's client for JavaScript into build/openai with npm unless it is there already. Only a test of vkclip
# serve uses it, which also runs without it, so a failure is reported and is not an error.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/openai
[ ! -f "$folder/complete" ] || exit 0
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "OpenAI's client is left out of the tests: it comes from npm, which was not found." >&2
    exit 0
fi
mkdir -p "$folder"
if ! npm install --silent --no-audit --no-fund --no-save --prefix "$folder" openai >/dev/null; then
    echo "OpenAI's client is left out of the tests: npm could not install it." >&2
    exit 0
fi
: >"$folder/complete"
