/* SPDX-License-Identifier: MIT
 * The view of the index: what it has, how far an update is, and which files could not be read. */
import { askJson } from './api.js';
import { $, h, icon, toast } from './dom.js';
import { bytes, number, t } from './words.js';

/**
 * @typedef {object} Status
 * @property {string} path @property {boolean} writable @property {number} files @property {number} pictures
 * @property {number} missing @property {number} failed @property {number} bytes @property {string} model
 * @property {string[]} folders
 * @property {{updating: boolean, watching: boolean, found: number, total: number, done: number, passes: number,
 *   error: string, last: Record<string, number>}} update
 */

/** Milliseconds between two questions: while an update runs, in this view, and in others. */
const OFTEN = 1000,
    HERE = 3000,
    SELDOM = 15000;
/** Milliseconds after which results show what an update has found meanwhile. */
const TELL = 8000;

const state = h('div', { class: 'card state' });
const facts = h('dl', { class: 'facts' });
const folders = h('div', { class: 'card' });
const failures = h('div', { class: 'card failures' });
const root = h('div', { class: 'view library' }, state, facts, folders, failures);

/** @type {Status | null} */
let status = null;
let timer = 0;
let failedShown = -1;
let told = 0,
    shownPictures = -1;
/** @type {(quietly: boolean) => void} */
let tellChange = () => {};

/** @param {() => Promise<any>} act */
async function attempt(act) {
    try {
        await act();
    } catch (error) {
        toast(t('failed', { message: /** @type {Error} */ (error).message }));
    }
    watch();
}

const start = (/** @type {boolean} */ retry) =>
    attempt(() => askJson('POST', `/api/v1/index/update${retry ? '?retry=1' : ''}`));
const end = () => attempt(() => askJson('DELETE', '/api/v1/index/update'));

/** @param {Status['update']} update */
function progressText(update) {
    return update.total
        ? t('update.done', { done: update.done, total: update.total })
        : t('update.found', { count: update.found });
}

/** Shows how far an update is at the top of every view. @param {Status['update']} update */
function showProgress(update) {
    const link = $('progress');
    link.hidden = !update.updating || !update.total;
    if (!link.hidden)
        link.replaceChildren(
            h('progress', { max: update.total, value: update.done, 'aria-label': t('update') }),
            h('span', {}, `${number(update.done)} / ${number(update.total)}`),
        );
}

/** @param {Status} now */
function showState({ update, writable }) {
    const { last } = update,
        hadFocus = state.contains(document.activeElement);
    const done = ['added', 'changed', 'moved', 'removed', 'failed']
        .filter((key) => last[key])
        .map((key) => t(`last.${key}`, { count: last[key] }));
    state.replaceChildren(
        h(
            'div',
            { class: 'bar' },
            h('h2', {}, t(update.updating ? 'update.runs' : update.error ? 'update.failed' : 'update.idle')),
            h('span', { class: 'grow' }),
            !writable
                ? null
                : update.updating
                  ? h('button', { type: 'button', click: end }, t('update.stop'))
                  : h('button', { type: 'button', class: 'primary', click: () => start(false) }, t('update.start')),
        ),
        update.updating
            ? h('progress', {
                  max: update.total || 1,
                  value: update.total ? update.done : undefined,
                  'aria-label': t('update'),
              })
            : '',
        h(
            'p',
            {},
            update.updating
                ? progressText(update)
                : update.error
                  ? update.error
                  : update.passes
                    ? t('update.last', { changes: done.join(', ') || t('last.nothing') })
                    : '',
        ),
        update.updating
            ? ''
            : h(
                  'p',
                  { class: 'quiet' },
                  t(!writable ? 'update.readonly' : update.watching ? 'update.watching' : 'update.manual'),
              ),
    );
    if (hadFocus) state.querySelector('button')?.focus();
}

/** @param {Status} now */
function showFacts(now) {
    /** @type {[string, string][]} */
    const rows = [
        ['pictures', number(now.pictures)],
        ['files', number(now.files)],
        ['missing', number(now.missing)],
        ['failed', number(now.failed)],
        ['bytes', bytes(now.bytes)],
    ];
    facts.replaceChildren(
        ...rows.map(([key, value]) => h('div', { class: 'card' }, h('dt', {}, t(`fact.${key}`)), h('dd', {}, value))),
    );
    folders.replaceChildren(
        h('h2', {}, t('folders')),
        h('ul', {}, ...now.folders.map((path) => h('li', {}, icon('folder'), h('span', {}, path)))),
        h('p', { class: 'quiet' }, t('fact.index', { path: now.path })),
        h('p', { class: 'quiet' }, t('fact.model', { model: now.model })),
    );
}

/** @param {Status} now */
async function showFailures(now) {
    failures.hidden = !now.failed;
    if (!now.failed || failedShown === now.failed) return;
    failedShown = now.failed;
    const { failures: list } = await askJson('GET', '/api/v1/index/failures');
    failures.replaceChildren(
        h(
            'div',
            { class: 'bar' },
            h('h2', {}, t('failures', { count: now.failed })),
            h('span', { class: 'grow' }),
            now.writable ? h('button', { type: 'button', click: () => start(true) }, t('failures.retry')) : null,
        ),
        h('p', { class: 'quiet' }, t('failures.about')),
        h(
            'ul',
            {},
            ...list
                .slice(0, 500)
                .map((/** @type {{path: string, message: string}} */ row) =>
                    h('li', {}, h('b', {}, row.path), h('span', {}, row.message)),
                ),
        ),
    );
}

async function show() {
    if (!status) return;
    showState(status);
    showFacts(status);
    await showFailures(status);
}

/** Asks again and again, and tells when the index has changed. */
export async function watch() {
    clearTimeout(timer);
    const before = status;
    try {
        status = /** @type {Status} */ (await askJson('GET', '/api/v1/index'));
        showProgress(status.update);
        if (root.isConnected) await show();
        if (!before) shownPictures = status.pictures;
        if (before && status.update.passes !== before.update.passes) {
            shownPictures = status.pictures;
            if (
                Object.values(status.update.last).some(
                    (count, i) => count && Object.keys(status?.update.last ?? {})[i] !== 'indexed',
                )
            )
                tellChange(false);
        } else if (before && status.pictures !== shownPictures && Date.now() - told > TELL) {
            told = Date.now();
            shownPictures = status.pictures;
            tellChange(true);
        }
    } catch {
        /* The page says that the server is gone. */
    }
    timer = window.setTimeout(watch, status?.update.updating ? OFTEN : root.isConnected ? HERE : SELDOM);
}

/** @param {(quietly: boolean) => void} tell is called when pictures were added or removed */
export function onLibraryChange(tell) {
    tellChange = tell;
}

export const libraryView = {
    root,
    start() {
        failedShown = -1;
        show();
        watch();
    },
    update() {},
};
