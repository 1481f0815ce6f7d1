// SPDX-License-Identifier: MIT
// Compiles where index.d.ts describes what programs do, and refuses what they must not do.
import { Device, Index, Model, build, devices, readEnvironment, version } from 'vkclip';
import type { ErrorCode, Failure, Hit, ModelInfo, Picture } from 'vkclip';

const { signal } = new AbortController();
const text: string = version + build;
await readEnvironment();
const names: string[] = (await devices()).map((info) => `${info.name} ${info.type} ${text}`);
const device: Device = await Device.open({ device: names[0], cacheDir: new URL('file:///tmp'), threads: 2, background: true, signal });
const model = await Model.open('folder', { device, precision: 'f16', progress: (done, total) => done > total });
await Model.open(new Uint8Array(8), { device: false });
await Model.open({ fd: 3, offset: 16, length: 32 }, { device: 'llvmpipe' });
const info: ModelInfo = model.info;
const width: number | undefined = info.image?.width;

const pictures: Picture[] = ['a.png', new URL('file:///b.png'), new Uint8Array(8),
  { data: new Uint8ClampedArray(4), width: 1, height: 1 }, { data: new Uint8Array(3), width: 1, height: 1, channels: 3, stride: 3 }];
const images: Float32Array = await model.encodeImage(pictures, { signal, onFailure: (failure) => console.log(failure.index, failure.code) });
const texts: Float32Array = await model.encodeText(['an owl'], { truncate: false });
const logits: Float32Array = await model.similarity(images, texts);
const probs: Float32Array = await model.classify(pictures[0]!, ['owl'], { templates: 'a picture of {}', progress: console.log });
const again: Float32Array = await model.classify(pictures, await model.encodeLabels(['owl'], { templates: ['{}'] }));
const ids: Int32Array = await model.tokenize('an owl', { contextLength: 8 });

const index = await Index.open(undefined, { readOnly: true });
const { failures } = await index.add(model, ['folder', new URL('file:///tmp')], { progress: (done, total, found) => done + total + found });
const codes: ErrorCode[] = failures.map((failure: Failure) => failure.code);
const hits: Hit[] = await index.search(model, ['owl', { text: 'bird', weight: -0.5 }, { image: new Uint8Array(8) }, { id: 7 }], { top: 3, sort: 'date' });
await Promise.all([index.close(), model.close(), device.close()]);
console.log(width, logits, probs, again, ids, codes, hits);

// @ts-expect-error: models are opened.
new Model();
// @ts-expect-error: there is no such precision.
await Model.open('folder', { precision: 'f23' });
// @ts-expect-error: a number is no text.
await model.encodeText(7);
// @ts-expect-error: pixels have a size.
await model.encodeImage({ data: new Uint8Array(4) });
// @ts-expect-error: floats are no pixels.
await model.encodeImage(new Float32Array(4));
