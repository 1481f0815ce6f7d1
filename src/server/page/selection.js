/* SPDX-License-Identifier: MIT
 * The pictures that are selected, which stay while one searches on, and the bar that says what can be done with
 * them. */
import { ask } from './api.js';
import { $, announce, h, icon, iconButton, save, toast } from './dom.js';
import { change } from './state.js';
import { t } from './words.js';

/** @typedef {import('./api.js').Hit} Hit */

/** By path, because equal files have one id. @type {Map<string, Hit>} */
const selected = new Map();
export const selectionEvents = new EventTarget();

/** @param {Hit | undefined} hit */
export const isSelected = (hit) => !!hit && selected.has(hit.path);
export const selection = () => [...selected.values()];

/** @param {(Hit | undefined)[]} hits @param {boolean} [on] undefined: selects what is not, and the other way round */
export function select(hits, on) {
    for (const hit of hits) {
        if (!hit) continue;
        if (on ?? !selected.has(hit.path)) selected.set(hit.path, hit);
        else selected.delete(hit.path);
    }
    show();
}

export function clearSelection() {
    selected.clear();
    show();
}

/** @param {string} text */
export async function copyText(text) {
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        /* Clipboards are for secure origins: http on another machine is none. */
        const area = h('textarea', { value: text, 'aria-hidden': 'true' });
        (document.querySelector('dialog[open]') ?? document.body).append(area);
        area.select();
        document.execCommand('copy');
        area.remove();
    }
}

async function copyPaths() {
    await copyText([...selected.keys()].join('\n') + '\n');
    toast(t('copied', { count: selected.size }));
}

/** Quotes a cell of a table. @param {string | number | undefined} value */
const cell = (value) => `"${String(value ?? '').replaceAll('"', '""')}"`;

/** @param {(string | number | undefined)[][]} rows */
export function saveTable(rows, name = 'pictures.csv') {
    save(new Blob([rows.map((row) => row.map(cell).join(',') + '\r\n').join('')], { type: 'text/csv' }), name);
}

function saveList() {
    const columns = /** @type {(keyof Hit)[]} */ ([
        'id',
        'path',
        'score',
        'z',
        'date',
        'camera',
        'format',
        'width',
        'height',
        'latitude',
        'longitude',
        'copies',
    ]);
    saveTable([columns, ...selection().map((hit) => columns.map((name) => /** @type {any} */ (hit[name])))]);
}

/** @param {HTMLButtonElement} button */
async function saveZip(button) {
    button.disabled = true;
    button.setAttribute('aria-busy', 'true');
    try {
        const ids = [...new Set(selection().map((hit) => hit.id))];
        const answer = await ask('POST', '/api/v1/archive', { ids });
        save(await answer.blob(), 'pictures.zip');
    } catch (error) {
        toast(t('failed', { message: String(/** @type {Error} */ (error).message) }));
    }
    button.disabled = false;
    button.removeAttribute('aria-busy');
}

function show() {
    const bar = $('selection'),
        count = selected.size;
    const action = (
        /** @type {string} */ name,
        /** @type {string} */ key,
        /** @type {(button: HTMLButtonElement) => void} */ run,
    ) =>
        h(
            'button',
            {
                type: 'button',
                title: t(key),
                click: (/** @type {MouseEvent} */ event) => run(/** @type {any} */ (event.currentTarget)),
            },
            icon(name),
            h('span', {}, t(key)),
        );
    if (bar.hidden && count)
        bar.replaceChildren(
            h('b', {}),
            action('copies', 'copy.paths', copyPaths),
            action('list', 'save.list', saveList),
            action('download', 'save.zip', saveZip),
            action('tag', 'classify.these', () => change({ view: 'classify' })),
            iconButton('close', t('select.none'), clearSelection),
        );
    bar.hidden = !count;
    if (count)
        /** @type {Element} */ (bar.firstElementChild).textContent = t('selected', { count });
    announce(t('selected', { count }));
    selectionEvents.dispatchEvent(new Event('change'));
}

/** Makes the bar anew, in another language. */
export function renewSelectionBar() {
    $('selection').hidden = true;
    if (selected.size) show();
}
