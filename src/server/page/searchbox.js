/* SPDX-License-Identifier: MIT
 * The field in which a query is typed, and below it the query's parts, each with its sign and weight. The field has the
 * texts; pictures are parts of their own. */
import { thumbnailOf } from './api.js';
import { $, h, icon, iconButton, toast } from './dom.js';
import { addDrop, getDrop } from './drops.js';
import { formatQuery, parseQuery } from './query.js';
import { change, onState, state } from './state.js';
import { t } from './words.js';

/** @typedef {import('./query.js').Part} Part */

const field = h('input', {
    id: 'query',
    type: 'text',
    autocomplete: 'off',
    spellcheck: false,
    enterkeyhint: 'search',
    maxLength: 2000,
});
const chips = h('ul', { class: 'chips' });
const files = h('input', {
    type: 'file',
    accept: 'image/*,.heic,.heif,.jxl,.avif',
    multiple: true,
    hidden: true,
    'aria-hidden': 'true',
    tabIndex: -1,
});

/** @param {Part} part */
const isText = (part) => part.text !== undefined;

/** One entry of the history holds what is typed in one go. */
let inOneGo = false;
/** The field is not written to while it is typed in. */
let isTyping = false;

/** @param {Part[]} parts */
function setParts(parts) {
    change({ q: formatQuery(parts), view: 'search', open: '' });
}

function type() {
    const others = parseQuery(state.q).filter((part) => !isText(part));
    const typed = parseQuery(field.value).filter(
        (part) => isText(part) || !others.some((other) => other.id === part.id && other.drop === part.drop),
    );
    const q = formatQuery([...typed, ...others]);
    if (q === state.q) return;
    isTyping = true;
    change({ q }, { replace: inOneGo });
    isTyping = false;
    inOneGo = true;
}

/** Adds a picture to the query; 0: it becomes the query. @param {Part} part @param {1 | -1 | 0} sign */
export function addPart(part, sign) {
    const others = sign ? parseQuery(state.q).filter((other) => other.id !== part.id || other.drop !== part.drop) : [];
    setParts([...others, { ...part, sign: sign || 1 }]);
}

/** Searches with pictures that were dropped, pasted or picked. @param {Blob[]} pictures */
export async function searchWith(pictures) {
    const keys = await Promise.all(pictures.slice(0, 8).map(addDrop));
    setParts(keys.map((drop) => ({ sign: 1, weight: 1, drop })));
}

/** @param {Part} part */
function nameOf(part) {
    return part.text ?? t(part.id ? 'part.id' : 'part.drop', { id: String(part.id) });
}

/** @param {Part[]} parts @param {number} i */
function makeChip(parts, i) {
    const part = parts[i],
        name = nameOf(part),
        source = part.id ? thumbnailOf(part.id) : part.drop && getDrop(part.drop);
    const set = (/** @type {Partial<Part>} */ changes) =>
        setParts(parts.map((other, k) => (k === i ? { ...other, ...changes } : other)));
    const sign = part.sign > 0 ? 'part.plus' : 'part.minus';
    return h(
        'li',
        { class: part.sign > 0 ? 'chip' : 'chip minus' },
        iconButton(part.sign > 0 ? 'plus' : 'minus', t(sign, { name }), () => set({ sign: part.sign > 0 ? -1 : 1 })),
        source ? h('img', { src: source, alt: '' }) : part.text ? null : icon('picture'),
        h('span', { title: name }, part.drop && !source ? t('part.lost') : name),
        h('span', { class: 'times', 'aria-hidden': 'true' }, '×'),
        h('input', {
            type: 'number',
            min: '0.1',
            max: '100',
            step: '0.1',
            value: part.weight,
            'aria-label': t('part.weight', { name }),
            title: t('part.weight', { name }),
            change: (/** @type {Event} */ event) =>
                set({ weight: Number(/** @type {HTMLInputElement} */ (event.target).value) || 1 }),
        }),
        iconButton('close', t('part.remove', { name }), () => {
            setParts(parts.filter((_, k) => k !== i));
            field.focus();
        }),
    );
}

function show() {
    const parts = parseQuery(state.q);
    const simple = parts.length === 1 && isText(parts[0]) && parts[0].weight === 1 && parts[0].sign > 0;
    const focused = chips.contains(document.activeElement)
        ? [...chips.querySelectorAll('button, input')].indexOf(/** @type {Element} */ (document.activeElement))
        : -1;
    chips.replaceChildren(...(simple ? [] : parts.map((_, i) => makeChip(parts, i))));
    if (focused >= 0)
        /** @type {HTMLElement | undefined} */ (chips.querySelectorAll('button, input')[focused])?.focus();
}

/** Writes the query as it was understood. What is typed from now on is another entry of the history. */
function settle() {
    inOneGo = false;
    field.value = formatQuery(parseQuery(state.q).filter(isText));
}

/** @param {string} sign */
function appendSign(sign) {
    field.value = `${field.value.trimEnd()} ${sign} `.trimStart();
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
}

/** Makes the field in the language of the page. */
export function renewSearchBox() {
    field.placeholder = t('search.placeholder');
    field.setAttribute('aria-label', t('search.label'));
    chips.setAttribute('aria-label', t('parts'));
    $('search').replaceChildren(
        h(
            'form',
            {
                class: 'searchbox',
                submit: (/** @type {Event} */ event) => {
                    event.preventDefault();
                    settle();
                },
            },
            icon('search'),
            field,
            iconButton('plus', t('part.add'), () => appendSign('+'), { class: 'icon sign' }),
            iconButton('minus', t('part.subtract'), () => appendSign('-'), { class: 'icon sign' }),
            iconButton('picture', t('picture.pick'), () => files.click()),
            iconButton(
                'close',
                t('search.clear'),
                () => {
                    setParts([]);
                    field.focus();
                },
                { class: 'icon clear' },
            ),
            files,
        ),
        chips,
    );
    show();
    settle();
}

export const focusSearchBox = () => field.focus();

field.addEventListener('input', type);
field.addEventListener('blur', settle);
files.addEventListener('change', () => {
    searchWith([...(files.files ?? [])]).catch((error) => toast(t('failed', { message: error.message })));
    files.value = '';
});
onState((next, before) => {
    if (next.q === before.q) return;
    show();
    if (!isTyping) settle();
});
