// SPDX-License-Identifier: MIT
'use strict';
const { Device } = require('./device.cjs');
const { call } = require('./call.cjs');
const { Handle, handleOf, own, toPath } = require('./handle.cjs');

const list = (items) => (Array.isArray(items) ? items : [items]);

/** The softmax of each row of logits, or the sigmoid of each logit. */
function probabilities(logits, width, sigmoid) {
  for (let row = 0; row < logits.length; row += width) {
    const part = logits.subarray(row, row + width);
    const powers = part.map((logit) => Math.exp(sigmoid ? -logit : logit - Math.max(...part)));
    const sum = powers.reduce((total, power) => total + power, 0);
    part.set(powers.map((power) => (sigmoid ? 1 / (1 + power) : power / sum)));
  }
  return logits;
}

class Model {
  #owned;

  static async open(source, options = {}) {
    const owned = options.device !== false && !(options.device instanceof Device);
    const { device: name, signal } = options;
    const device = owned ? await Device.open({ device: name, signal }) : options.device || undefined;
    const parameters = { ...options, vocab: toPath(options.vocab), hubDir: toPath(options.hubDir) };
    try {
      const parent = device && handleOf(device, 'device');
      const { handle, info } = parent
        ? await Handle.call('openModel', [parent], [toPath(source), parameters], options)
        : await call('openModel', [undefined, toPath(source), parameters], options);
      const opened = new Handle('model', handle, parent?.queues, source);
      await parent?.adopt(opened);
      return new Model(opened, info, device, owned);
    } catch (error) {
      if (owned) await device.close();
      throw error;
    }
  }

  constructor(handle, info, device, owned) {
    const tower = (value) => (value.layers ? value : undefined);
    this.info = { ...info, image: tower(info.image), text: tower(info.text) };
    this.device = device;
    this.#owned = owned;
    own(this, handle);
  }

  async #call(name, parameters, options, queues) {
    return await Handle.call(name, [handleOf(this, 'model')], parameters, options, queues);
  }

  async encodeImage(images, options = {}) {
    const parameters = { ...options, keepGoing: options.onFailure !== undefined };
    const { embeds, failures } = await this.#call('encodeImages', [list(images).map(toPath), parameters], options);
    for (const failure of failures) options.onFailure(failure);
    return embeds;
  }

  encodeText(texts, options = {}) {
    return this.#call('encodeTexts', [list(texts), options], options);
  }

  encodeLabels(labels, options = {}) {
    return this.#call('encodeLabels', [labels, {}, list(options.templates ?? [])], options);
  }

  async classify(images, labels, options = {}) {
    const { signal, templates } = options;
    const texts = Array.isArray(labels) ? await this.encodeLabels(labels, { signal, templates }) : labels;
    const logits = await this.similarity(await this.encodeImage(images, { ...options, normalize: true }), texts, { signal });
    return probabilities(logits, texts.length / this.info.textEmbedDim, this.info.sigmoid);
  }

  // These two need neither the device nor a turn.

  similarity(imageEmbeds, textEmbeds, options = {}) {
    return this.#call('similarity', [imageEmbeds, textEmbeds], options, []);
  }

  tokenize(texts, options = {}) {
    return this.#call('tokenize', [list(texts), options], options, []);
  }

  async close() {
    await handleOf(this, 'model').close();
    if (this.#owned) await this.device.close();
  }
}

module.exports = { Model };
