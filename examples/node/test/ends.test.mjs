// SPDX-License-Identifier: MIT
// How threads and processes end, with what they have open and in the middle of calls.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { MODEL, openModel, rows, runScript } from './helper.mjs';

const files = rows.slice(0, 20).map((row) => row.file);
/** A call encodes the files so often that starting a process takes far less time, also where a GPU is fast. */
const TIMES = 1000;
const many = Array(TIMES).fill(files).flat();
const addon = new URL('../index.mjs', import.meta.url);

/** A script that opens the model, and then does something. */
const script = (rest) => `
  import { Model, readEnvironment } from '${addon}';
  await readEnvironment();
  const many = ${JSON.stringify(files)}.flatMap((file) => Array(${TIMES}).fill(file));
  const model = await Model.open('${MODEL}', { maxBatch: 2 });
  ${rest}`;

/** Resolves to the milliseconds that a call with many pictures is not to take. */
async function measureAll() {
  const model = await openModel({ maxBatch: 2 });
  await model.encodeImage(files[0]);
  const started = Date.now();
  await model.encodeImage(files);
  await model.close();
  return (Date.now() - started) * TIMES;
}
const all = await measureAll();

for (const [name, rest, wanted] of [
  ['with a model that is open', 'await model.encodeText("an owl"); console.log("done");', 0],
  ['by process.exit during a call', 'model.encodeImage(many, { progress: (done) => { if (done) process.exit(3); } });', 3],
  ['by process.exit with calls that wait', 'model.encodeImage(many); model.encodeText("an owl"); setTimeout(() => process.exit(4), 50);', 4],
  ['by an exception during a call', 'model.encodeImage(many); setTimeout(() => { throw new Error("mine"); }, 50);', 1],
  ['by a signal during a call', 'model.encodeImage(many, { progress: (done) => { if (done) process.kill(process.pid); } });', 'SIGTERM'],
])
  test(`a process ends ${name}`, async () => {
    const { end, output, ms } = await runScript(script(rest));
    assert.equal(end, wanted, output);
    assert.ok(ms < all, `it took ${ms} ms, expected less than the ${all} ms of the whole call`);
  });

const work = `
  import('node:worker_threads').then(async ({ parentPort, workerData }) => {
    const { Model } = await import(workerData.addon);
    const model = await Model.open(workerData.model, { maxBatch: 2 });
    parentPort.postMessage(await model.encodeImage(workerData.files.slice(0, 3)));
    if (workerData.long) await model.encodeImage(workerData.files, { progress: (done) => { if (done) parentPort.postMessage(done); } });
  });`;

/** Starts a worker. Resolves to it and its first message. */
async function startWorker(data) {
  const worker = new Worker(work, { eval: true, workerData: { addon: String(addon), model: MODEL, files, ...data } });
  const ended = new Promise((resolve) => { worker.once('exit', resolve); });
  const embeds = await new Promise((resolve, reject) => { worker.once('message', resolve).once('error', reject); });
  return { worker, embeds, ended };
}

test('workers compute at the same time as the main thread', async () => {
  const model = await openModel({ maxBatch: 2 });
  const wanted = await model.encodeImage(files.slice(0, 3));
  const workers = [startWorker(), startWorker()];
  assert.deepEqual(await model.encodeImage(files.slice(0, 3)), wanted);
  for (const { embeds, ended } of await Promise.all(workers)) {
    assert.deepEqual(embeds, wanted);
    assert.equal(await ended, 0);
  }
  await model.close();
});

test('a worker that is terminated during a call ends soon', async () => {
  const { worker, ended } = await startWorker({ long: true, files: many });
  await new Promise((resolve) => { worker.once('message', resolve); });
  const started = Date.now();
  await worker.terminate();
  assert.equal(await ended, 1);
  assert.ok(Date.now() - started < all / 2, `it took ${Date.now() - started} ms of ${all} ms`);
});

test('a worker alone uses the addon, and leaves nothing open', async () => {
  const { end, output } = await runScript(`
    import { Worker } from 'node:worker_threads';
    import { countThreads } from '${new URL('helper.mjs', import.meta.url)}';
    const workerData = ${JSON.stringify({ addon: String(addon), model: MODEL, files: files.slice(0, 3) })};
    const before = countThreads();
    const worker = new Worker(${JSON.stringify(work)}, { eval: true, workerData });
    worker.on('exit', (code) => {
      // The system ends threads a little later.
      let rounds = 0;
      const timer = setInterval(() => {
        if (countThreads() > before && ++rounds < 3000) return;
        console.log(code, countThreads() - before);
        clearInterval(timer);
      }, 20);
    });`);
  assert.deepEqual([end, output], [0, '0 0\n']);
});
