/* SPDX-License-Identifier: MIT
 * Asks the server. */

/** An answer that is no success. Its status is 0 if the server did not answer. */
export class Failure extends Error {
    /** @param {number} status @param {string} message */
    constructor(status, message) {
        super(message);
        this.status = status;
    }
}

/** Events: `gone`, the server does not answer; `token`, it wants to be told its token; `there`, it answers. */
export const serverEvents = new EventTarget();

/**
 * @param {string} method @param {string} path @param {any} [body] sent as JSON @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
export async function ask(method, path, body, signal) {
    let answer;
    try {
        answer = await fetch(path, {
            method,
            signal,
            body: body === undefined ? undefined : JSON.stringify(body),
            headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
        });
    } catch (error) {
        if (signal?.aborted) throw error;
        serverEvents.dispatchEvent(new Event('gone'));
        throw new Failure(0, 'gone');
    }
    serverEvents.dispatchEvent(new Event('there'));
    if (answer.ok) return answer;
    const text = await answer.text();
    let message = text;
    try {
        message = JSON.parse(text).error ?? text;
    } catch {
        /* It is a plain text. */
    }
    if (answer.status === 401 && path !== '/api/v1/session') serverEvents.dispatchEvent(new Event('token'));
    throw new Failure(answer.status, message || answer.statusText);
}

/**
 * @param {string} method @param {string} path @param {any} [body] @param {AbortSignal} [signal] @returns {Promise<any>}
 */
export async function askJson(method, path, body, signal) {
    return (await ask(method, path, body, signal)).json();
}

/** @param {unknown} error */
export function isAbort(error) {
    return error instanceof DOMException && error.name === 'AbortError';
}

/**
 * A picture of the index, as /api/v1/search describes it.
 * @typedef {object} Hit
 * @property {number} id @property {string} path @property {string} name @property {number} copies
 * @property {number} width @property {number} height @property {string} date @property {boolean} taken
 * @property {string} camera @property {string} format @property {number} [score] @property {number} [z]
 * @property {number} [latitude] @property {number} [longitude]
 */

/** @param {number} id */
export const thumbnailOf = (id) => `/api/v1/pictures/${id}/thumbnail`;
/** @param {number} id */
export const originalOf = (id) => `/api/v1/pictures/${id}/original`;
/** @param {number} id */
export const previewOf = (id) => `/api/v1/pictures/${id}/preview`;
