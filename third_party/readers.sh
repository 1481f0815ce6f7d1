#!/bin/sh
# Installs two readers of Parquet files into build/readers with npm unless they are there already: hyparquet, which is
# plain JavaScript, and DuckDB. Only tests use them, and the tests also run without them, so a failure is reported and is
# not an error.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/readers
[ ! -f "$folder/complete" ] || exit 0
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "Readers of Parquet files are left out of the tests: they come from npm, which was not found." >&2
    exit 0
fi
mkdir -p "$folder"
if ! npm install --silent --no-audit --no-fund --no-save --prefix "$folder" hyparquet @duckdb/node-api >/dev/null; then
    echo "Readers of Parquet files are left out of the tests: npm could not install them." >&2
    exit 0
fi
: >"$folder/complete"
