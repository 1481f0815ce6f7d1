// SPDX-License-Identifier: MIT
// Memory does not grow with calls, nor with what nobody closes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Device, Model } from '../index.mjs';
import { MODEL, alone, countThreads, openModel, sample } from './helper.mjs';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** Collects garbage until what the collector started has ended, too. */
async function measure() {
  for (let i = 0; i < 4; i++) {
    collect();
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return { rss, heapUsed, arrayBuffers, threads: countThreads() };
}

/** Compares the memory after `count` rounds with that after a few of them: what a round may add at most, in bytes. */
async function assertNoGrowth(round, count, limits) {
  for (let i = 0; i < count / 4; i++) await round(i);
  const before = await measure();
  for (let i = 0; i < count; i++) await round(i);
  const after = await measure();
  for (const [name, limit] of Object.entries(limits)) {
    const growth = (after[name] - before[name]) / count;
    assert.ok(growth <= limit, `${name} grew by ${growth} bytes per round, expected at most ${limit}`);
  }
}

test('a thousand calls leave nothing', async () => {
  const model = await openModel(), images = await Model.open(alone);
  const file = readFileSync(sample('owl')), { signal } = new AbortController();
  const data = new Uint8Array(128 * 1024), text = 'an owl '.repeat(5000), embeds = new Float32Array(128 * 256);
  const rounds = [
    () => model.tokenize(text, { signal }),
    () => model.similarity(embeds, embeds, { progress() {} }),
    () => model.encodeText('an owl', { progress() {} }),
    () => images.encodeImage([file, { data, width: 256, height: 512 }], { signal }),
    () => model.encodeText([text, text, text, text, 7]).catch(() => {}),
    () => model.encodeText(text, { signal: AbortSignal.abort() }).catch(() => {}),
    () => images.encodeImage([file, '/no/such/file'], { onFailure() {} }),
    () => images.encodeImage('/no/such/file').catch(() => {}),
  ];
  // A round has 55 KiB of texts and arrays on average. The system's allocator keeps some pages, as many as it once needed.
  await assertNoGrowth((i) => rounds[i % rounds.length](), 1000, { rss: 16384, heapUsed: 512, arrayBuffers: 64 });
  await model.close();
});

test('what nobody closes is closed', async () => {
  const device = await Device.open({ cacheDir: '' });
  const bytes = readFileSync(`${MODEL}/tokenizer.json`);
  await assertNoGrowth(async (i) => {
    const model = await openModel({ device: [device, false, undefined][i % 3] });
    await model.tokenize('an owl');
    await Model.open(bytes, { device }).catch(() => {});
    if (i % 4 === 0) await measure();
  }, 40, { rss: 1 << 20, heapUsed: 1 << 14, arrayBuffers: 1 << 12, threads: 0 });
  await device.close();
});
