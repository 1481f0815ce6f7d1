// SPDX-License-Identifier: MIT
// What several tests need: the model, its pictures, and what it is known to answer.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Model, readEnvironment } from '../index.mjs';

await readEnvironment();

const root = new URL('../../../', import.meta.url);
export const MODEL = fileURLToPath(new URL('models/emoji-clip', root));
export const sample = (name) => `${MODEL}/samples/${name}.png`;
export const D = 128;
/** A model that is one file and needs none beside it. */
export const alone = fileURLToPath(new URL('tests/golden/models/openai-vit/model.pt', root));

/** Opens the model for the tests of a file. */
export const openModel = (options) => Model.open(MODEL, options);

/** Reads the tensors of a safetensors file, whose types are F32, I32 and U8 here. */
function readTensors(path) {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const types = { F32: Float32Array, I32: Int32Array, U8: Uint8Array };
  const tensors = JSON.parse(bytes.subarray(8, start));
  delete tensors.__metadata__;
  for (const [name, { dtype, data_offsets: [from, to] }] of Object.entries(tensors))
    tensors[name] = new types[dtype](new Uint8Array(bytes.subarray(start + from, start + to)).buffer);
  return tensors;
}

const golden = new URL('tests/golden/emoji-clip/', root);
/** What the reference computes for the pictures and prompts of `rows`. */
export const expected = readTensors(new URL('expected.safetensors', golden));
export const rows = readFileSync(new URL('labels.tsv', golden), 'utf8').trim().split('\n').slice(1).map((line) => {
  const [file, name, prompt] = line.split('\t');
  return { file: fileURLToPath(new URL(file, golden)), name, prompt };
});

export function assertClose(found, wanted, tolerance) {
  assert.equal(found.length, wanted.length);
  for (let i = 0; i < found.length; i++)
    assert.ok(Math.abs(found[i] - wanted[i]) <= tolerance, `number ${i} is ${found[i]}, expected ${wanted[i]}`);
}

/** Counts the threads of the process, of which an open device has some; 0 where the system does not tell. */
export function countThreads() {
  return existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0;
}

/** Runs a script in a process of its own. Returns its exit code or signal, what it printed, and how long it took. */
export function runScript(source, ...flags) {
  const started = Date.now();
  const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (text) => { output += text; });
  child.stderr.on('data', (text) => { output += text; });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ end: signal ?? code, output, ms: Date.now() - started }));
  });
}
