// SPDX-License-Identifier: MIT
// Calls of the addon: turns, cancelling and progress.
'use strict';
const addon = require('./addon.cjs');

// Each call has a number that the addon looks at, and that is not 0 where the call is to end.
const running = new Set();
const cancel = (stop) => Atomics.store(stop, 0, 1);

// A process that exits waits for the threads of libuv, and therefore for the calls.
process.once('exit', () => running.forEach(cancel));

/** Calls that wait for each other. Each has a thread of libuv while it runs, and while it waits it has none. */
class Queue {
  #last = Promise.resolve();

  /** Resolves, when the turns before have ended, to a function that ends this one. */
  enter() {
    let leave;
    const turn = new Promise((resolve) => { leave = resolve; });
    const before = this.#last;
    this.#last = before.then(() => turn);
    return before.then(() => leave);
  }
}

const aborts = new WeakMap();

/** Calls a function when a signal is aborted. Returns a function that ends this. */
function onAbort(signal, abort) {
  // Node warns of a signal with many listeners, which a hundred calls may share.
  if (!aborts.has(signal)) {
    const functions = new Set();
    aborts.set(signal, functions);
    signal.addEventListener('abort', () => functions.forEach((each) => each()), { once: true });
  }
  aborts.get(signal).add(abort);
  return () => aborts.get(signal).delete(abort);
}

function untilAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const end = onAbort(signal, () => reject(signal.reason));
    promise.then(resolve, reject).finally(end);
  });
}

async function run(name, parameters, signal, progress) {
  const stop = new Int32Array(1);
  const thrown = [];
  const report = (done, total, found) => {
    try {
      if (progress?.(done, total, found)) cancel(stop);
    } catch (error) {
      thrown.push(error);
      cancel(stop);
    }
  };
  const end = signal && onAbort(signal, () => cancel(stop));
  running.add(stop);
  try {
    const result = await addon[name](stop, report, ...parameters);
    if (thrown.length) throw thrown[0];
    return result;
  } catch (error) {
    if (thrown.length) throw thrown[0];
    if (signal?.aborted && error.code === 'VKCLIP_ECANCELLED') throw signal.reason;
    // The addon makes its errors where no function of JavaScript runs, so that they say nothing of the caller.
    Error.captureStackTrace(error);
    throw error;
  } finally {
    running.delete(stop);
    end?.();
  }
}

/** Calls a function of the addon when it has its turn in all queues, which it enters at once. */
async function call(name, parameters, { signal, progress } = {}, queues = []) {
  signal?.throwIfAborted();
  const turns = queues.map((queue) => queue.enter());
  try {
    await untilAborted(Promise.all(turns), signal);
    return await run(name, parameters, signal, progress);
  } finally {
    for (const turn of turns) turn.then((leave) => leave());
  }
}

module.exports = { Queue, call };
