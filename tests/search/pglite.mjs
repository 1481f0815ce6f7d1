// SPDX-License-Identifier: MIT
//
// pglite.mjs PACKAGES NOTE: runs PGlite, a PostgreSQL in WebAssembly, with pgvector on a free port of this machine, whose
// number it writes into the file NOTE, until it is interrupted. third_party/pglite.sh has installed it into the folder
// PACKAGES. It has one session, which all connections share, so that only one may be open at a time.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [packages, note] = process.argv.slice(2);
const require = createRequire(path.resolve(packages) + '/');
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { PGlite } = await load('@electric-sql/pglite');
const { PGLiteSocketServer } = await load('@electric-sql/pglite-socket');
const { vector } = await load('@electric-sql/pglite-pgvector');

const free = net.createServer().listen(0, '127.0.0.1');
await new Promise((done) => free.once('listening', done));
const { port } = free.address();
await new Promise((done) => free.close(done));

const database = await PGlite.create({ extensions: { vector } });
const server = new PGLiteSocketServer({ db: database, port, host: '127.0.0.1' });
await server.start();
fs.writeFileSync(note + '.new', String(port));
fs.renameSync(note + '.new', note);
process.once('SIGINT', () => process.exit(0));
