// SPDX-License-Identifier: MIT
// What a model answers, for pictures and texts in all forms.
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Device, Model, build, devices } from '../index.mjs';
import { D, MODEL, alone, assertClose, expected, openModel, rows, sample } from './helper.mjs';

let model;
before(async () => { model = await openModel(); });
after(() => model.close());

test('the logits are those of the reference', async () => {
  const images = await model.encodeImage(rows.map((row) => row.file));
  const texts = await model.encodeText(rows.map((row) => row.prompt));
  assertClose(images, expected.image_embeds, 2e-4);
  assertClose(texts, expected.text_embeds, 2e-4);
  assertClose(await model.similarity(images, texts), expected.logits_per_image, 5e-3);
  assert.deepEqual(await model.tokenize(rows.map((row) => row.prompt)), expected.input_ids);
});

test('pictures have several forms', async () => {
  const file = rows[0].file;
  const wanted = await model.encodeImage(file);
  assert.equal(wanted.length, D);
  const size = 64, count = size * size * 3;
  const dense = expected.pixels_u8.slice(0, count);
  const wide = new Uint8ClampedArray(size * 200);
  for (let y = 0; y < size; y++) wide.set(dense.subarray(y * size * 3, (y + 1) * size * 3), y * 200);
  const rgba = new Uint8ClampedArray(size * size * 4).fill(255);
  for (let i = 0; i < size * size; i++) rgba.set(dense.subarray(i * 3, i * 3 + 3), i * 4);
  const forms = [pathToFileURL(file), readFileSync(file),
    { data: dense, width: size, height: size },
    { data: Buffer.from(dense), width: size, height: size, channels: 3 },
    { data: wide, width: size, height: size, channels: 3, stride: 200 },
    { data: rgba, width: size, height: size }];
  const embeds = await model.encodeImage(forms);
  forms.forEach((_, i) => assertClose(embeds.subarray(i * D, (i + 1) * D), wanted, 1e-4));
  assert.equal((await model.encodeImage([])).length, 0);
  const raw = await model.encodeImage(file, { normalize: false });
  const norm = Math.hypot(...raw);
  assert.ok(Math.abs(norm - 1) > 0.1);
  assertClose(raw.map((value) => value / norm), wanted, 1e-5);
});

test('labels have probabilities', async () => {
  const labels = ['owl', 'pizza', 'robot'], templates = 'a picture of {}';
  const probs = await model.classify([sample('owl'), sample('robot')], labels, { templates });
  assertClose(probs, [1, 0, 0, 0.0021, 0, 0.9979], 1e-4);
  const embeds = await model.encodeLabels(labels, { templates: [templates] });
  assert.deepEqual(await model.classify(sample('owl'), embeds), probs.subarray(0, 3));
});

test('texts are any', async () => {
  const texts = await model.encodeText(['owl', 'owl\0robot', '\ud83d owl', 'caf\u00e9', '']);
  for (let i = 1; i < 5; i++) assert.notDeepEqual(texts.slice(i * D, (i + 1) * D), texts.slice(0, D));
  assert.deepEqual(await model.encodeText('owl'), texts.slice(0, D));
  assert.equal((await model.tokenize('owl')).length, 32);
  assert.equal((await model.tokenize(['owl', 'two words'], { contextLength: 8 })).length, 16);
});

test('a model is a folder, a file, bytes or a part of an open file', async () => {
  for (const source of [pathToFileURL(MODEL), `${MODEL}/model.safetensors`]) {
    const other = await Model.open(source, { device: false });
    assert.equal(other.info.parameters, model.info.parameters);
    assert.deepEqual(await other.tokenize('an owl'), await model.tokenize('an owl'));
    await assert.rejects(other.encodeText('an owl'), { code: 'VKCLIP_ENODEVICE' });
    await other.close();
  }
  const bytes = readFileSync(alone), fd = openSync(alone), { device } = model;
  const embeds = [];
  for (const source of [alone, bytes, { fd }, { fd, offset: 0, length: bytes.length }]) {
    const other = await Model.open(source, { device });
    if (source.fd) assert.match(other.info.weightsPath, /descriptor/);
    embeds.push(await other.encodeImage(sample('owl')));
    await other.close();
  }
  for (const other of embeds) assert.deepEqual(other, embeds[0]);
  await assert.rejects(Model.open({ fd, offset: 1e9 }, { device, name: 'beyond' }), { code: 'VKCLIP_EINVALID', message: /beyond/ });
  await assert.rejects(Model.open(Buffer.alloc(0), { device }), { code: 'VKCLIP_EFORMAT' });
  closeSync(fd);
});

test('devices say what they are', async () => {
  const found = await devices();
  assert.ok(found.length && found.every((info) => info.name && info.apiVersion.length === 3 && /^[0-9a-f]{32}$/.test(info.uuid)));
  const device = await Device.open({ device: found[0].index, cacheDir: '', threads: 1, background: true });
  assert.deepEqual(device.infos, [found[0]]);
  await device.close();
  assert.ok(model.device instanceof Device);
  assert.deepEqual(Object.keys(model.info.image).sort(), ['heads', 'layers', 'mlp', 'positions', 'projection', 'width']);
  assert.equal(typeof build, 'string');
});
