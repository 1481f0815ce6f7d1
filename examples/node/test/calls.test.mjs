// SPDX-License-Identifier: MIT
// Many calls at once, aborted calls, progress, errors, and what closes when.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Device, Index, Model } from '../index.mjs';
import { D, MODEL, openModel, rows, sample } from './helper.mjs';

const files = rows.slice(0, 24).map((row) => row.file);
let model;
// A call is aborted when a batch has ended, and small ones end soon.
before(async () => { model = await openModel({ maxBatch: 2 }); });
after(() => model.close());

test('twenty calls at once give what they give one after the other', async () => {
  const warnings = [];
  process.on('warning', (warning) => warnings.push(warning));
  const { signal } = new AbortController();
  const calls = [];
  for (let i = 0; i < 20; i++)
    calls.push(i % 2 ? model.encodeText(rows[i].prompt, { signal }) : model.encodeImage(files[i], { signal }));
  // What needs no device does not wait for them.
  let ended = false;
  const all = Promise.all(calls).finally(() => { ended = true; });
  await model.tokenize('an owl');
  assert.equal(ended, false);
  const found = await all;
  for (let i = 0; i < 20; i++)
    assert.deepEqual(found[i], i % 2 ? await model.encodeText(rows[i].prompt) : await model.encodeImage(files[i]));
  await new Promise(setImmediate);
  assert.deepEqual(warnings, []);
});

test('a running call is aborted', async () => {
  const controller = new AbortController();
  const reached = [];
  const call = model.encodeImage(files, {
    signal: controller.signal,
    progress: (done, total) => {
      reached.push(done);
      assert.equal(total, files.length);
      controller.abort();
    },
  });
  await assert.rejects(call, { name: 'AbortError' });
  assert.ok(reached.length && reached.at(-1) < files.length, `${reached}`);
  const reason = new Error('no longer needed');
  await assert.rejects(model.encodeText('an owl', { signal: AbortSignal.abort(reason) }), reason);
  assert.equal((await model.encodeText('an owl')).length, D);
});

test('a call that waits for its turn is aborted at once', async () => {
  const order = [];
  const first = model.encodeImage(files).then(() => order.push('first'));
  const controller = new AbortController();
  const second = model.encodeText('an owl', { signal: controller.signal });
  const third = model.encodeText('an owl').then(() => order.push('third'));
  controller.abort();
  await assert.rejects(second.finally(() => order.push('second')), { name: 'AbortError' });
  await Promise.all([first, third]);
  assert.deepEqual(order, ['second', 'first', 'third']);
});

test('progress tells the end, and may cancel or throw', async () => {
  const numbers = [];
  await model.encodeImage(files, { progress: (...told) => { numbers.push(told.slice(0, 2)); } });
  assert.deepEqual(numbers.at(-1), [files.length, files.length]);
  for (let i = 1; i < numbers.length; i++) assert.ok(numbers[i][0] >= numbers[i - 1][0]);
  await assert.rejects(model.encodeImage(files, { progress: () => true }), { code: 'VKCLIP_ECANCELLED' });
  const thrown = new RangeError('mine');
  await assert.rejects(model.encodeImage(files, { progress: () => { throw thrown; } }), thrown);
  await assert.rejects(Model.open(MODEL, { device: false, progress: () => { throw thrown; } }), thrown);
});

test('errors of the library have codes, and say where the caller was', async () => {
  const error = await model.encodeImage('/no/such/file.png').catch((reason) => reason);
  assert.equal(error.code, 'VKCLIP_EIO');
  assert.match(error.message, /no\/such\/file\.png/);
  assert.match(error.stack, /calls\.test\.mjs/);
  await assert.rejects(model.encodeImage(Buffer.from('no picture')), { code: 'VKCLIP_EUNSUPPORTED', message: /picture 0/ });
  await assert.rejects(model.encodeText('owl '.repeat(100), { truncate: false }), { code: 'VKCLIP_ETOOLONG' });
  await assert.rejects(model.tokenize('owl '.repeat(100), { truncate: false }), { code: 'VKCLIP_ETOOLONG' });
  await assert.rejects(model.encodeLabels(['owl'], { templates: 'no place' }), { code: 'VKCLIP_EINVALID' });
  await assert.rejects(Model.open('/no/such/model', { device: model.device }), { code: /^VKCLIP_E/ });
  await assert.rejects(Device.open({ device: 'no such device' }), { code: 'VKCLIP_ENODEVICE' });
  await assert.rejects(Index.open('/no/such/folder/index.db'), { code: 'VKCLIP_EIO' });
});

test('a picture that fails does not end a call that is told of it', async () => {
  const failures = [];
  const embeds = await model.encodeImage([sample('owl'), '/no/such/file.png', Buffer.alloc(0)],
    { onFailure: (failure) => failures.push([failure.index, failure.code]) });
  assert.deepEqual(failures, [[1, 'VKCLIP_EIO'], [2, 'VKCLIP_EFORMAT']]);
  assert.ok(embeds.subarray(0, D).every((value) => !Number.isNaN(value)));
  assert.ok(embeds.subarray(D).every(Number.isNaN));
});

test('wrong arguments are TypeErrors', async () => {
  const pixels = { data: new Uint8Array(12), width: 2, height: 2 };
  const getter = { get device() { throw new RangeError('a getter'); } };
  const wrong = [
    [() => model.encodeText(7), /texts: a string/],
    [() => model.encodeText(['owl', null]), /texts: a string/],
    [() => model.encodeImage(7), /a picture was expected/],
    [() => model.encodeImage(null), /a picture was expected/],
    [() => model.encodeImage([[sample('owl')]]), /a picture was expected/],
    [() => model.encodeImage(new Float32Array(3)), /a picture was expected/],
    [() => model.encodeImage(`${sample('owl')}\0`), /NUL/],
    [() => model.encodeImage({ ...pixels, height: 5 }), /0 channels/],
    [() => model.encodeImage({ ...pixels, height: 2 ** 31, width: 2 ** 31 }), /pixels of/],
    [() => model.encodeImage({ ...pixels, stride: 3 }), /stride of 3/],
    [() => model.encodeImage({ ...pixels, channels: 5 }), /5 channels/],
    [() => model.encodeImage({ ...pixels, width: -1 }), /width is -1, expected a whole number from 0 to 4294967295/],
    [() => model.encodeImage({ ...pixels, width: 1.5 }), /width is 1.5/],
    [() => model.encodeImage({ ...pixels, width: '2' }), /width: a number/],
    [() => model.encodeImage(sample('owl'), { normalize: 1 }), /normalize: true or false/],
    [() => model.encodeLabels(['owl\0']), /NUL/],
    [() => model.similarity(new Float32Array(D), new Float64Array(D)), /textEmbeds: a Float32Array/],
    [() => model.similarity(new Float32Array(D), new Float32Array(D - 1)), /127 numbers/],
    [() => Model.open(MODEL, { device: false, precision: 'f23' }), /precision is 'f23', expected one of f32, f16/],
    [() => Model.open(MODEL, { device: {} }), /device: a string/],
    [() => Device.open({ threads: -1 }), /threads is -1/],
    [() => model.tokenize(Array(1000).fill(''), { contextLength: 2 ** 32 - 1 }), /array length|allocation failed/],
    [() => Index.open(7), /path: a string/],
  ];
  for (const [call, message] of wrong)
    await assert.rejects(call(), (error) => {
      assert.match(error.message, message);
      return error.code !== undefined || error instanceof TypeError || error instanceof RangeError;
    }, `${call}`);
  await assert.rejects(Device.open(getter), RangeError);
});

test('devices and models close in any order, after the calls that use them', async () => {
  const device = await Device.open({ device: model.device.infos[0].index });
  const first = await openModel({ device }), second = await openModel({ device });
  const calls = [first.encodeText('an owl'), first.tokenize('an owl'), second.encodeText('an owl')];
  await Promise.all([device.close(), first.close(), device.close(), openModel({ device }).catch(() => {})]);
  assert.deepEqual((await Promise.allSettled(calls)).map((call) => call.status), Array(3).fill('fulfilled'));
  await second.close();
  await assert.rejects(first.encodeText('an owl'), { code: 'VKCLIP_EINVALID', message: 'the model is closed' });
  await assert.rejects(second.tokenize('an owl'), { message: 'the model is closed' });
  await assert.rejects(openModel({ device }), { message: 'the device is closed' });
  const other = await Device.open({ device: model.device.infos[0].index });
  await Promise.all([assert.rejects(openModel({ device: other, progress: () => { other.close(); } }), { code: /./ }).catch(() => {}),
    other.close()]);
});
