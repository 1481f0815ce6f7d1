/* SPDX-License-Identifier: MIT
 * The view in which one names pictures with labels of one's own: pictures that are dropped, or the selected ones. */
import { askJson, isAbort, thumbnailOf } from './api.js';
import { announce, h, icon, toast } from './dom.js';
import { addDrop, getDrop } from './drops.js';
import { saveTable, selection } from './selection.js';
import { change, state } from './state.js';
import { number, t } from './words.js';

/**
 * A picture, and after a while its labels, the most probable first.
 * @typedef {{label: string, prob: number, logit: number}} Named
 * @typedef {{name: string, id?: number, path?: string, drop?: string, labels?: Named[]}} Item
 */

const BATCH = 16,
    SHOWN = 5;

const labels = h('textarea', { id: 'labels', rows: 7, spellcheck: false, input: keep });
const templates = h('textarea', { id: 'templates', rows: 2, spellcheck: false, input: keep });
const files = h('input', {
    type: 'file',
    accept: 'image/*,.heic,.heif,.jxl,.avif',
    multiple: true,
    hidden: true,
    change: () => take([...(files.files ?? [])]),
});
const form = h('form', {
    class: 'card ask',
    submit: (/** @type {Event} */ event) => {
        event.preventDefault();
        run();
    },
});
const results = h('div', { class: 'named' });
const root = h('div', { class: 'view classify' }, form, results);

/** @type {Item[]} */
let items = [];
let stop = new AbortController();

function keep() {
    change({ labels: labels.value, templates: templates.value }, { replace: true });
}

/** @param {HTMLTextAreaElement} area */
const lines = (area) =>
    area.value
        .split('\n')
        .map((line) => line.trim())
        .filter(Boolean);

/** @param {Item} item */
const sourceOf = (item) => (item.id ? thumbnailOf(item.id) : (getDrop(item.drop ?? '') ?? ''));

/** @param {Item} item */
function makeItem(item) {
    const most = item.labels?.slice(0, SHOWN) ?? [];
    return h(
        'article',
        { class: 'card item' },
        h('img', { src: sourceOf(item), alt: '' }),
        h(
            'div',
            {},
            h('h3', { title: item.path ?? item.name }, item.name),
            h(
                'ol',
                {},
                ...most.map(({ label, prob }) => {
                    const bar = h('i');
                    bar.style.width = `${100 * prob}%`;
                    return h(
                        'li',
                        {},
                        h('span', {}, label),
                        h('b', {}, bar),
                        h('small', {}, `${number(100 * prob, 1)} %`),
                    );
                }),
            ),
        ),
    );
}

function show() {
    const named = items.filter((item) => item.labels);
    if (!items.length) {
        results.replaceChildren(
            h(
                'div',
                { class: 'empty' },
                icon('picture'),
                h('h2', {}, t('classify.none')),
                h('p', {}, t('classify.none.more')),
                h('button', { type: 'button', click: () => files.click() }, t('classify.pick')),
            ),
        );
        return;
    }
    results.replaceChildren(
        h(
            'div',
            { class: 'bar' },
            h('p', { class: 'found' }, t('found', { count: items.length })),
            h('span', { class: 'grow' }),
            h(
                'button',
                {
                    type: 'button',
                    disabled: !named.length,
                    click: () =>
                        saveTable(
                            [
                                ['picture', 'label', 'prob', 'logit'],
                                ...named.flatMap((item) =>
                                    (item.labels ?? []).map(({ label, prob, logit }) => [
                                        item.path ?? item.name,
                                        label,
                                        prob,
                                        logit,
                                    ]),
                                ),
                            ],
                            'labels.csv',
                        ),
                },
                icon('list'),
                h('span', {}, t('save.list')),
            ),
            h(
                'button',
                {
                    type: 'button',
                    click: () => {
                        stop.abort();
                        items = [];
                        show();
                    },
                },
                t('classify.clear'),
            ),
        ),
        ...items.map(makeItem),
    );
}

/** Names all pictures, some at a time. */
async function run() {
    const names = lines(labels),
        button = /** @type {HTMLButtonElement} */ (form.querySelector('.primary'));
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    labels.setCustomValidity(names.length > 1 ? '' : t('classify.labels.wrong'));
    templates.setCustomValidity(
        lines(templates).every((line) => line.includes('{}')) ? '' : t('classify.templates.wrong'),
    );
    if (!form.reportValidity() || !items.length) return;
    button.setAttribute('aria-busy', 'true');
    for (const item of items) delete item.labels;
    try {
        for (let i = 0; i < items.length; i += BATCH) {
            const batch = items.slice(i, i + BATCH);
            const answer = await askJson(
                'POST',
                '/api/v1/classify',
                {
                    labels: names,
                    templates: lines(templates),
                    images: batch.map((item) => (item.id ? { id: item.id } : getDrop(item.drop ?? ''))),
                },
                signal,
            );
            batch.forEach((item, k) => (item.labels = answer.results[k].labels));
            show();
        }
        announce(t('classify.done', { count: items.length }));
    } catch (error) {
        if (!isAbort(error)) toast(t('failed', { message: /** @type {Error} */ (error).message }));
    }
    if (!signal.aborted) button.removeAttribute('aria-busy');
}

/** @param {Blob[]} blobs */
async function take(blobs) {
    for (const blob of blobs)
        items.push({ name: /** @type {File} */ (blob).name ?? t('part.drop'), drop: await addDrop(blob) });
    files.value = '';
    show();
    if (lines(labels).length > 1) run();
}

function takeSelection() {
    const known = new Set(items.map((item) => item.path));
    items.push(
        ...selection()
            .filter((hit) => !known.has(hit.path))
            .map(({ id, name, path }) => ({ id, name, path })),
    );
}

export const classifyView = {
    root,
    start() {
        labels.value = state.labels;
        templates.value = state.templates;
        labels.placeholder = t('classify.labels.example');
        templates.placeholder = 'a photo of a {}.';
        for (const area of [labels, templates]) area.addEventListener('input', () => area.setCustomValidity(''));
        form.replaceChildren(
            h('label', {}, h('span', {}, t('classify.labels')), labels),
            h('label', {}, h('span', {}, t('classify.templates')), templates),
            h(
                'div',
                { class: 'bar' },
                h('button', { type: 'submit', class: 'primary' }, t('classify.run')),
                h(
                    'button',
                    { type: 'button', click: () => files.click() },
                    icon('picture'),
                    h('span', {}, t('classify.pick')),
                ),
                files,
            ),
        );
        takeSelection();
        show();
        if (items.some((item) => !item.labels) && lines(labels).length > 1) run();
    },
    update() {},
    takePictures: take,
    focus: () => labels.focus(),
};
