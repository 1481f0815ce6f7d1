#!/bin/sh
# Installs PGlite, a PostgreSQL in WebAssembly, with its socket server and with pgvector into build/pglite with npm, unless
# it is there already. Debian 12 has no pgvector. Only tests use it, and the tests also run without it, so a failure is
# reported and is not an error.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/pglite
[ ! -f "$folder/complete" ] || exit 0
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "Indexes in PostgreSQL with pgvector are left out of the tests: PGlite comes from npm, which was not found." >&2
    exit 0
fi
mkdir -p "$folder"
if ! npm install --silent --no-audit --no-fund --no-save --prefix "$folder" @electric-sql/pglite \
    @electric-sql/pglite-socket @electric-sql/pglite-pgvector >/dev/null; then
    echo "Indexes in PostgreSQL with pgvector are left out of the tests: npm could not install PGlite." >&2
    exit 0
fi
: >"$folder/complete"
