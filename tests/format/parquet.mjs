// SPDX-License-Identifier: MIT
//
// parquet.mjs PROGRAM READERS: reads the table that the test program `parquet` writes with the readers of others, which
// third_party/readers.sh installs into the folder READERS, and checks every value.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [program, readers] = process.argv.slice(2);
const require = createRequire(path.resolve(readers) + '/');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vkclip-test-'));
const file = path.join(folder, 'a.parquet');
process.on('exit', () => fs.rmSync(folder, { recursive: true }));
execFileSync(program, [file]);
const ROWS = 40000;

const expected = (i) => {
  const row = [`row ${i}: \u00e9 ${String(i).padStart(1000, '0')}`, [255, 0, i % 256].slice(0, i % 4), 0 - i,
               BigInt(i) * -10000000000n, i / 8, i / 10];
  return row.map((value, column) => (i + column) % 4 === 3 ? null : value);
};
const same = (found, i, reader) =>
  assert.deepEqual(found, [...expected(i), null], `${reader}: row ${i}`);

// hyparquet, in plain JavaScript
const hyparquet = await import(pathToFileURL(require.resolve('hyparquet')));
const buffer = await hyparquet.asyncBufferFromFile(file).catch(async () =>
  (await import(pathToFileURL(path.resolve(readers, 'node_modules/hyparquet/src/node.js')))).asyncBufferFromFile(file));
const rows = await hyparquet.parquetReadObjects({ file: buffer, utf8: false });
assert.equal(rows.length, ROWS);
rows.forEach((row, i) => {
  const bytes = row.bytes == null ? null : [...row.bytes];
  same([row.text, bytes, row.int32, row.int64, row.float, row.double, row.none].map((v) => v ?? null), i, 'hyparquet');
});
console.log(`hyparquet: ${ROWS} rows are as they were written`);

// DuckDB
const { DuckDBInstance } = require('@duckdb/node-api');
const connection = await (await DuckDBInstance.create(':memory:')).connect();
const result = await connection.runAndReadAll(`select * from read_parquet('${file}')`);
assert.equal(result.currentRowCount, ROWS);
result.getRows().forEach((row, i) => {
  const bytes = row[1] === null ? null : [...row[1].bytes];
  same([row[0], bytes, ...row.slice(2)], i, 'DuckDB');
});
console.log(`DuckDB: ${ROWS} rows are as they were written`);
