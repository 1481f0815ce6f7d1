// SPDX-License-Identifier: MIT
// What is open in the addon, and what closes when.
'use strict';
const { fileURLToPath } = require('node:url');
const { Queue, call } = require('./call.cjs');

function closedError(kind) {
  return Object.assign(new Error(`the ${kind} is closed`), { code: 'VKCLIP_EINVALID' });
}

class Handle {
  #calls = new Set();
  #children = new Set();
  #closing;

  /** `queues` are those of the calls that the library would let wait for each other. */
  constructor(kind, external, queues = [new Queue()], memory = undefined) {
    this.kind = kind;
    this.external = external;
    this.queues = queues;
    this.memory = memory; // is read as long as the handle is open
  }

  /** Calls a function of the addon with several handles and other arguments. */
  static async call(name, handles, parameters, options, queues = handles.flatMap((handle) => handle.queues)) {
    for (const { kind, closed } of handles)
      if (closed) throw closedError(kind);
    let end;
    const ended = new Promise((resolve) => { end = resolve; });
    for (const handle of handles) handle.#calls.add(ended);
    try {
      return await call(name, [...handles.map((handle) => handle.external), ...parameters], options, queues);
    } finally {
      for (const handle of handles) handle.#calls.delete(ended);
      end();
    }
  }

  get closed() {
    return this.#closing !== undefined;
  }

  /** Takes care of a handle that was opened on it, unless it was closed meanwhile. */
  async adopt(child) {
    if (this.closed) {
      await child.close();
      throw closedError(this.kind);
    }
    this.#children.add(child);
    child.parent = this;
  }

  /** Closes what was opened on it, and itself when the calls that use it have ended. */
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close() {
    await Promise.all([...this.#children].map((child) => child.close()));
    await Promise.all(this.#calls);
    await call('close', [this.external], {}, this.queues);
    this.memory = undefined;
    this.parent?.#children.delete(this);
  }
}

const handles = new WeakMap();
const forgotten = new FinalizationRegistry((handle) => { handle.close().catch(() => {}); });

/** Makes an object the owner of a handle, which closes when nothing refers to the object any more. */
function own(object, handle) {
  handles.set(object, handle);
  forgotten.register(object, handle);
}

function handleOf(object, kind) {
  const handle = handles.get(object);
  if (handle?.kind !== kind) throw new TypeError(`a ${kind} was expected, which is open or was`);
  return handle;
}

const toPath = (value) => (value instanceof URL ? fileURLToPath(value) : value);

module.exports = { Handle, handleOf, own, toPath };
