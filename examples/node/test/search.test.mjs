// SPDX-License-Identifier: MIT
// The index of pictures.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Index } from '../index.mjs';
import { openModel, rows, sample } from './helper.mjs';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'vkclip-'))); // An index has paths without links.
const file = join(folder, 'index.db');
let model;
before(async () => {
  model = await openModel();
  for (const name of ['owl', 'pizza', 'robot', 'penguin']) copyFileSync(sample(name), join(folder, `${name}.png`));
  writeFileSync(join(folder, 'broken.png'), 'no picture');
});
after(async () => {
  await model.close();
  rmSync(folder, { recursive: true });
});

test('a folder is indexed and searched', async () => {
  const index = await Index.open(pathToFileURL(file));
  await assert.rejects(index.add(model, folder, { progress: () => true }), { code: 'VKCLIP_ECANCELLED' });
  const numbers = [];
  const result = await index.add(model, [folder], { progress: (...told) => { numbers.push(told); } });
  assert.deepEqual([result.indexed, result.failed], [4, 1]);
  assert.deepEqual(result.failures.map(({ path, code }) => [path, code]), [[join(folder, 'broken.png'), 'VKCLIP_EUNSUPPORTED']]);
  assert.deepEqual(numbers.at(-1), [5, 5, 5]);
  const info = await index.info();
  assert.deepEqual([info.pictures, info.failed, info.models, info.path], [5, 1, 1, file]);

  const hits = await index.search(model, 'a picture of owl', { top: 2 });
  assert.equal(hits.length, 2);
  assert.deepEqual([hits[0].path, hits[0].width, hits[0].format, hits[0].copies], [join(folder, 'owl.png'), 72, 'PNG', 1]);
  assert.ok(hits[0].score > hits[1].score && Math.abs(hits[0].date - Date.now() / 1000) < 2 * 86400);
  const best = async (query, options) => (await index.search(model, query, options))[0].path;
  assert.equal(await best([{ text: 'a picture of owl' }, { text: 'a picture of bird', weight: 0.1 }]), hits[0].path);
  // A picture of the query is not among the results.
  for (const part of [{ image: readFileSync(sample('owl')) }, { image: sample('owl') }, { image: pathToFileURL(sample('owl')) }, { id: hits[0].id }]) {
    const others = await index.search(model, ['a picture of owl', part]);
    assert.deepEqual(others.map(({ path }) => path).sort(), ['penguin', 'pizza', 'robot'].map((name) => join(folder, `${name}.png`)));
  }
  assert.equal(await best('a picture of owl', { pathGlob: '*piz*' }), join(folder, 'pizza.png'));
  const embed = await model.encodeImage(rows[0].file);
  assert.deepEqual(await index.search(model, { embed }), await index.search(model, { image: rows[0].file }));
  await assert.rejects(index.search(model, { embed: embed.subarray(1) }), { code: 'VKCLIP_EINVALID' });
  await assert.rejects(index.search(model, []), { code: 'VKCLIP_EINVALID' });
  await assert.rejects(index.search(model, {}), { code: 'VKCLIP_EINVALID' });
  await assert.rejects(index.search(index, 'owl'), TypeError);
  await index.close();
  await assert.rejects(index.search(model, 'owl'), { message: 'the index is closed' });
});

test('an index that is read only stays as it is', async () => {
  const index = await Index.open(file, { readOnly: true });
  assert.equal((await index.info()).pictures, 5);
  await assert.rejects(index.add(model, folder), { code: 'VKCLIP_EINVALID' });
  await index.close();
});
