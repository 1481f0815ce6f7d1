// SPDX-License-Identifier: MIT
'use strict';
const { call } = require('./call.cjs');
const { Handle, handleOf, own, toPath } = require('./handle.cjs');

function toPart(part) {
  if (typeof part === 'string') return { kind: 'text', value: part };
  const { text, image, id, embed, weight } = part;
  if (text !== undefined) return { kind: 'text', value: text, weight };
  if (id !== undefined) return { kind: 'id', id, weight };
  if (embed !== undefined) return { kind: 'embed', data: embed, weight };
  if (ArrayBuffer.isView(image)) return { kind: 'image', value: 'the picture of the query', data: image, weight };
  return { kind: 'image', value: toPath(image), weight };
}

class Index {
  static async open(path, options = {}) {
    return new Index(await call('openIndex', [{ ...options, path: toPath(path) }], options));
  }

  constructor(external) {
    own(this, new Handle('index', external));
  }

  #handles(...models) {
    return [handleOf(this, 'index'), ...models.map((model) => handleOf(model, 'model'))];
  }

  async info(options = {}) {
    return await Handle.call('indexInfo', this.#handles(), [], options);
  }

  async add(model, paths, options = {}) {
    const files = (Array.isArray(paths) ? paths : [paths]).map(toPath);
    return await Handle.call('add', this.#handles(model), [files, options], options);
  }

  async search(model, query, options = {}) {
    const parts = (Array.isArray(query) ? query : [query]).map(toPart);
    return await Handle.call('search', this.#handles(model), [parts, options], options);
  }

  async close() {
    await handleOf(this, 'index').close();
  }
}

module.exports = { Index };
