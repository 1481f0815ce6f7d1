/* SPDX-License-Identifier: MIT
 * The view of duplicates. It deletes nothing and proposes nothing to be deleted: one selects files, and copies their
 * paths or saves a list of them. */
import { ask, askJson, isAbort, thumbnailOf } from './api.js';
import { announce, h, icon, toast } from './dom.js';
import { showLightbox } from './lightbox.js';
import { fixedList } from './list.js';
import { addPart } from './searchbox.js';
import { isSelected, select, selectionEvents } from './selection.js';
import { change, openPicture, state } from './state.js';
import { date, number, t } from './words.js';

/**
 * @typedef {import('./api.js').Hit} Hit @typedef {{kind: string, cosine: number, pictures: Hit[]}} Group
 */

const KINDS = ['exact', 'same', 'near'],
    PIECE = 30,
    SHOWN = 12;
/** Seconds after which an unfinished comparison tells how far it is. */
const TELL = 1;

const kindButtons = KINDS.map((kind) =>
    h('button', { type: 'button', click: () => change({ kind }, { replace: true }) }),
);
const distanceText = h('span');
const distanceField = h('input', {
    type: 'number',
    min: '0.001',
    max: '0.3',
    step: '0.005',
    change: () => {
        change({ distance: distanceField.value || '0.01' }, { replace: true });
        showDistance();
    },
});
const distanceLabel = h('label', {}, distanceText, distanceField);
const tabs = h('div', { class: 'tabs', role: 'group' }, ...kindButtons, h('span', { class: 'grow' }), distanceLabel);
const about = h('p', { class: 'about' });
const groups = h('div', { class: 'groups' });
const more = h('button', { type: 'button', class: 'more-groups', hidden: true, click: () => load() });
const root = h('div', { class: 'view duplicates' }, tabs, about, groups, more);

let stop = new AbortController();
let total = 0;
/** @type {Record<string, number>} */
let counts = {};
/** @type {Hit[]} what the lightbox goes through: the pictures that were shown so far */
let shown = [];
/** @type {HTMLElement | null} what had the focus when the lightbox opened */
let opener = null;

/** Brings the tabs up to date. They are made once, so that an answer takes away neither the focus nor what one types. */
function showTabs() {
    tabs.setAttribute('aria-label', t('view.duplicates'));
    KINDS.forEach((kind, i) => {
        const count = counts[kind] === undefined ? '' : h('b', { class: 'count' }, number(counts[kind]));
        kindButtons[i].setAttribute('aria-pressed', String(state.kind === kind));
        kindButtons[i].replaceChildren(t(`kind.${kind}`), count);
    });
    distanceLabel.hidden = state.kind !== 'near';
    distanceLabel.title = t('distance.more');
    distanceText.textContent = t('distance');
    about.textContent = t(`kind.${state.kind}.about`);
}

function showDistance() {
    distanceField.value = state.distance;
}

/** @param {Group} group @param {HTMLElement} card */
async function forget(group, card) {
    const ids = [...new Set(group.pictures.map((hit) => hit.id))];
    try {
        await askJson('POST', '/api/v1/duplicates/forget', { ids });
        const next = /** @type {HTMLElement | null} */ (
            (card.nextElementSibling ?? card.previousElementSibling)?.querySelector('button')
        );
        card.remove();
        counts[group.kind]--;
        total--;
        showTabs();
        announce(t('forgotten'));
        (next ?? tabs.querySelector('button'))?.focus();
    } catch (error) {
        toast(t('failed', { message: /** @type {Error} */ (error).message }));
    }
}

/** @param {Hit} hit */
function makePicture(hit) {
    const folder = hit.path.slice(0, hit.path.lastIndexOf('/') + 1);
    const box = h('input', {
        type: 'checkbox',
        checked: isSelected(hit),
        'data-path': hit.path,
        change: () => select([hit], box.checked),
    });
    const open = h(
        'button',
        {
            type: 'button',
            class: 'thumb',
            'aria-label': t('open', { name: hit.name }),
            click: () => {
                opener = open;
                openPicture(hit.id, false);
            },
        },
        h('img', { src: thumbnailOf(hit.id), alt: '', loading: 'lazy', decoding: 'async' }),
    );
    return h(
        'li',
        {},
        open,
        h(
            'label',
            { title: hit.path },
            box,
            h(
                'span',
                {},
                h('b', {}, hit.name),
                h('small', {}, folder),
                h('small', {}, `${number(hit.width)} × ${number(hit.height)} · ${hit.format} · ${date(hit.date)}`),
            ),
        ),
    );
}

/** @param {Group} group */
function makeGroup(group) {
    const list = h('ul', { class: 'copies' }, ...group.pictures.slice(0, SHOWN).map(makePicture));
    const left = group.pictures.slice(SHOWN);
    const rest = left.length
        ? h(
              'button',
              {
                  type: 'button',
                  click: () => {
                      list.append(...left.map(makePicture));
                      rest?.remove();
                  },
              },
              t('group.rest', { count: left.length }),
          )
        : null;
    const title = t(group.kind === 'exact' ? 'group.exact' : 'group.similar', {
        count: group.pictures.length,
        cosine: number(group.cosine, 3),
    });
    const ids = new Set(group.pictures.map((hit) => hit.id)).size;
    const card = h(
        'article',
        { class: 'card', 'aria-label': title },
        h(
            'div',
            { class: 'bar' },
            h('h2', {}, title),
            h('span', { class: 'grow' }),
            h(
                'button',
                { type: 'button', click: () => select(group.pictures, !group.pictures.every(isSelected)) },
                t('select.all'),
            ),
            ids > 1 && ids <= 100
                ? h('button', { type: 'button', click: () => forget(group, card) }, t('forget'))
                : null,
        ),
        list,
        rest,
    );
    return card;
}

/** Shows how much of the comparison is done. @param {number} done */
function showWait(done) {
    const bar = groups.querySelector('.waiting progress');
    if (bar) /** @type {HTMLProgressElement} */ (bar).value = done;
    else if (!groups.querySelector('.card'))
        groups.replaceChildren(
            h(
                'div',
                { class: 'waiting' },
                h('p', {}, t('duplicates.wait')),
                h('progress', { max: 1, value: done, 'aria-label': t('duplicates.wait') }),
            ),
        );
}

/**
 * Asks for a piece of the groups until the comparison is done. @param {string} offset @param {AbortSignal} signal
 * @returns {Promise<{total: number, counts: Record<string, number>, groups: Group[]}>}
 */
async function askGroups(offset, signal) {
    const distance = String(Number(state.distance) || 0.01);
    const query = { kind: state.kind, distance, offset, limit: String(PIECE), wait: String(TELL) };
    for (;;) {
        const answer = await ask('GET', `/api/v1/duplicates?${new URLSearchParams(query)}`, undefined, signal);
        const found = await answer.json();
        if (answer.status !== 202) return found;
        showWait(found.done);
    }
}

/** Asks for more groups, those after what is shown. @param {boolean} [again] from the first one */
async function load(again = false) {
    if (again) {
        stop.abort();
        stop = new AbortController();
        groups.replaceChildren(h('p', { class: 'waiting' }, t('duplicates.wait')));
        shown = [];
    }
    const { signal } = stop;
    const offset = String(again ? 0 : groups.querySelectorAll('.card').length);
    more.disabled = true;
    try {
        const answer = await askGroups(offset, signal);
        if (again) groups.replaceChildren();
        counts = answer.counts;
        total = answer.total;
        shown.push(...answer.groups.flatMap((/** @type {Group} */ group) => group.pictures));
        groups.append(...answer.groups.map(makeGroup));
        if (!total) groups.append(h('div', { class: 'empty' }, icon('check'), h('h2', {}, t('empty.duplicates'))));
        announce(t('groups', { count: total }));
        showTabs();
        showOpen();
    } catch (error) {
        if (isAbort(error)) return;
        groups.replaceChildren(
            h(
                'div',
                { class: 'empty' },
                icon('info'),
                h('h2', {}, t('error.duplicates')),
                h('p', { class: 'message' }, /** @type {Error} */ (error).message),
                h('button', { type: 'button', click: () => load(true) }, t('retry')),
            ),
        );
    }
    more.disabled = false;
    more.hidden = groups.querySelectorAll('.card').length >= total;
    more.textContent = t('more.groups');
}

function showOpen() {
    const id = Number(state.open),
        index = shown.findIndex((hit) => hit.id === id);
    showLightbox(
        !id
            ? null
            : {
                  list: fixedList(shown),
                  index: Math.max(0, index),
                  id,
                  known: index >= 0,
                  similar: (hit, sign) => addPart({ sign: 1, weight: 1, id: hit.id }, sign),
                  closed: () => opener?.focus(),
              },
    );
}

new IntersectionObserver(
    (entries) => {
        if (entries.some((entry) => entry.isIntersecting) && !more.hidden && !more.disabled) load();
    },
    { rootMargin: '600px' },
).observe(more);
selectionEvents.addEventListener('change', () => {
    const paths = new Set(shown.filter(isSelected).map((hit) => hit.path));
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (root.querySelectorAll('input[data-path]')))
        box.checked = paths.has(box.dataset.path ?? '');
});

export const duplicatesView = {
    root,
    start() {
        showTabs();
        showDistance();
        load(true);
    },
    /** @param {import('./state.js').State} next @param {import('./state.js').State} before */
    update(next, before) {
        if (next.kind !== before.kind || next.distance !== before.distance) {
            showTabs();
            if (next.distance !== before.distance) showDistance();
            load(true);
        } else if (next.open !== before.open) {
            showOpen();
        }
    },
};
