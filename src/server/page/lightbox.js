/* SPDX-License-Identifier: MIT
 * One picture as large as the window, and what is known of it. */
import { ask, askJson, originalOf, previewOf, thumbnailOf } from './api.js';
import { $, announce, h, icon, iconButton, toast } from './dom.js';
import { copyText, isSelected, select } from './selection.js';
import { change, closeOpen, openPicture } from './state.js';
import { bytes, date, number, t } from './words.js';

/**
 * @typedef {import('./api.js').Hit} Hit
 * @typedef {object} Shown
 * @property {import('./list.js').Hits} list @property {number} index of the picture in it
 * @property {number} id @property {boolean} known the picture is in the list
 * @property {(hit: Hit, sign: 1 | -1 | 0) => void} similar @property {(index: number) => void} closed
 */

/** Formats that browsers show. Of the others the server makes a JPEG. */
const SHOWN = ['JPEG', 'PNG', 'WEBP', 'GIF', 'AVIF', 'BMP'];
const MOST_ZOOM = 8,
    SMALLEST = 320;

const dialog = /** @type {HTMLDialogElement} */ ($('lightbox'));
const image = h('img', { alt: '', draggable: false });
const stage = h('div', { class: 'stage' }, image);
const note = h('p', { class: 'note' });
const position = h('span', { class: 'position' });
const title = h('span', { class: 'title' });
const details = h('aside', { class: 'details', hidden: true });

/** @type {Shown | null} */
let shown = null;
/** @type {Hit | undefined} */
let hit;
let zoom = 1,
    x = 0,
    y = 0;
/** Counts pictures, so that one that arrives late is not shown. */
let turn = 0;

/* ---- The picture ---- */

/** @param {string} url @returns {Promise<void>} */
async function loadInto(url) {
    const next = new Image();
    next.src = url;
    await next.decode();
}

/** Shows the thumbnail first, then the original or what the server makes of it. @param {Hit} picture */
async function loadPicture(picture) {
    const mine = ++turn,
        direct = SHOWN.includes(picture.format);
    note.textContent = '';
    image.src = thumbnailOf(picture.id);
    for (const url of direct ? [originalOf(picture.id), previewOf(picture.id)] : [previewOf(picture.id)]) {
        try {
            await loadInto(url);
            if (mine !== turn) return;
            image.src = url;
            if (url === previewOf(picture.id)) note.textContent = t('note.preview', { format: picture.format });
            return;
        } catch {
            if (mine !== turn) return;
        }
    }
    note.textContent = t('note.thumbnail');
}

function fit() {
    if (!hit) return;
    const width = hit.width || 256,
        height = hit.height || 256,
        longest = Math.max(width, height);
    const scale = Math.min(stage.clientWidth / width, stage.clientHeight / height, Math.max(1, SMALLEST / longest));
    image.style.width = `${width * scale}px`;
    image.style.height = `${height * scale}px`;
    image.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
    stage.classList.toggle('zoomed', zoom > 1);
}

/**
 * Zooms so that the point stays where it is.
 * @param {number} wanted @param {{clientX: number, clientY: number}} [point]
 */
function setZoom(wanted, point) {
    const next = Math.min(MOST_ZOOM, Math.max(1, wanted)),
        box = stage.getBoundingClientRect();
    const px = (point?.clientX ?? box.left + box.width / 2) - box.left - box.width / 2;
    const py = (point?.clientY ?? box.top + box.height / 2) - box.top - box.height / 2;
    x = next === 1 ? 0 : px - ((px - x) * next) / zoom;
    y = next === 1 ? 0 : py - ((py - y) * next) / zoom;
    zoom = next;
    fit();
}

/* ---- Details ---- */

/** @param {string} key @param {...(Node | string | null)} values */
const row = (key, ...values) => h('div', {}, h('dt', {}, t(key)), h('dd', {}, ...values));

/** @param {Hit} picture */
async function showDetails(picture) {
    const size = h('span', {}),
        paths = h('ul', {}, h('li', {}, picture.path));
    const act = (/** @type {string} */ name, /** @type {string} */ key, /** @type {() => void} */ click) =>
        h('button', { type: 'button', click }, icon(name), h('span', {}, t(key)));
    const { latitude, longitude } = picture;
    details.replaceChildren(
        h('h2', {}, picture.name),
        h(
            'dl',
            {},
            picture.z === undefined || picture.score === undefined
                ? null
                : row('score.title', t('score', { score: number(picture.score, 3), z: number(picture.z, 1) })),
            row(picture.taken ? 'date.taken' : 'date.file', date(picture.date, true)),
            row('size', `${number(picture.width)} × ${number(picture.height)}`),
            row('type', picture.format, size),
            picture.camera ? row('camera', picture.camera) : null,
            latitude === undefined || longitude === undefined
                ? null
                : row(
                      'place',
                      `${number(latitude, 4)}, ${number(longitude, 4)}`,
                      act('pin', 'near.this', () =>
                          change({
                              near: `${latitude.toFixed(5)},${longitude.toFixed(5)},5`,
                              open: '',
                              view: 'search',
                          }),
                      ),
                  ),
            row('paths', paths),
        ),
        h(
            'div',
            { class: 'actions' },
            act('search', 'similar', () => similar(0)),
            act('plus', 'more.like', () => similar(1)),
            act('minus', 'less.like', () => similar(-1)),
            act('list', 'copy.path', () => copyText(picture.path).then(() => toast(t('copied', { count: 1 })))),
            h(
                'a',
                { class: 'button', href: originalOf(picture.id), download: picture.name },
                icon('download'),
                h('span', {}, t('download')),
            ),
        ),
    );
    const mine = turn;
    try {
        const facts = await askJson('GET', `/api/v1/pictures/${picture.id}`);
        const original = await ask('HEAD', originalOf(picture.id));
        if (mine !== turn) return;
        paths.replaceChildren(...facts.paths.map((/** @type {string} */ path) => h('li', {}, path)));
        size.textContent = `, ${bytes(Number(original.headers.get('Content-Length')))}`;
    } catch {
        /* What is known stays. */
    }
}

/** @param {1 | -1 | 0} sign */
function similar(sign) {
    if (hit && shown) shown.similar(hit, sign);
}

/* ---- Going through the list ---- */

/** @param {number} index */
async function go(index) {
    if (!shown || index < 0 || index >= shown.list.total) return;
    const from = shown;
    from.index = index;
    position.textContent = t('place.of', { index: index + 1, total: from.list.total });
    if (!from.list.get(index)) await from.list.need(index, index + 1).catch(() => {});
    const next = from.list.get(index);
    if (shown !== from || from.index !== index || !next) return;
    openPicture(next.id, true);
    show(next);
    for (const near of [index + 1, index - 1])
        from.list.need(Math.max(0, near), Math.max(0, near) + 1).then(
            () => {
                const other = from.list.get(near);
                if (other && shown === from && from.index === index)
                    new Image().src = SHOWN.includes(other.format) ? originalOf(other.id) : previewOf(other.id);
            },
            () => {},
        );
}

/** @param {Hit} picture */
function show(picture) {
    hit = picture;
    zoom = 1;
    x = y = 0;
    image.alt = title.textContent = picture.name;
    showPosition();
    markSelected();
    fit();
    loadPicture(picture);
    if (!details.hidden) showDetails(picture);
    announce(`${position.textContent} ${picture.name}`);
}

function showPosition() {
    const { index, known, list } = /** @type {Shown} */ (shown);
    const ends = { previous: !index, next: index === list.total - 1 };
    position.textContent = known ? t('place.of', { index: index + 1, total: list.total }) : '';
    for (const [name, isEnd] of Object.entries(ends))
        /** @type {HTMLButtonElement} */ (dialog.querySelector(`.${name}`)).disabled = !known || isEnd;
}

function markSelected() {
    dialog.querySelector('.select')?.setAttribute('aria-pressed', String(isSelected(hit)));
}

function toggleSelected() {
    select([hit]);
    markSelected();
}

function toggleDetails() {
    details.hidden = !details.hidden;
    localStorage.setItem('details', String(!details.hidden));
    dialog.querySelector('.info')?.setAttribute('aria-expanded', String(!details.hidden));
    if (hit && !details.hidden) showDetails(hit);
    fit();
}

/** Shows a picture, or none. @param {Shown | null} next */
export async function showLightbox(next) {
    const last = shown;
    shown = next;
    if (!next) {
        turn++;
        if (dialog.open) dialog.close();
        if (last?.known) last.closed(last.index);
        return;
    }
    if (!dialog.open) {
        renewLightbox();
        dialog.tabIndex = -1;
        dialog.showModal();
        dialog.focus();
    }
    const picture = next.known
        ? next.list.get(next.index)
        : await askJson('GET', `/api/v1/pictures/${next.id}`).catch(() => null);
    if (shown !== next) return;
    if (!picture) closeOpen();
    else if (next.known) go(next.index);
    else show(picture);
}

/** Takes a longer list with the same beginning. @param {import('./list.js').Hits} list */
export function extendLightbox(list) {
    if (!shown?.known) return;
    shown.list = list;
    showPosition();
}

function renewLightbox() {
    details.hidden = localStorage.getItem('details') !== 'true';
    dialog.replaceChildren(
        h(
            'div',
            { class: 'top' },
            position,
            title,
            h('span', { class: 'grow' }),
            iconButton('search', t('similar'), () => similar(0)),
            iconButton('zoom', t('zoom'), () => setZoom(zoom > 1 ? 1 : 2.5)),
            iconButton('check', t('select'), toggleSelected, { class: 'icon select', 'aria-pressed': 'false' }),
            iconButton('info', t('details'), toggleDetails, {
                class: 'icon info',
                'aria-expanded': String(!details.hidden),
            }),
            iconButton('close', t('close'), closeOpen),
        ),
        h('div', { class: 'middle' }, stage, details),
        iconButton('left', t('previous'), () => shown && go(shown.index - 1), { class: 'icon previous' }),
        iconButton('right', t('next'), () => shown && go(shown.index + 1), { class: 'icon next' }),
        note,
    );
}

/* ---- Keys, wheel and fingers ---- */

dialog.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !shown) return;
    const last = shown.list.total - 1,
        index = shown.known ? shown.index : NaN;
    /** @type {Record<string, () => void>} */
    const keys = {
        ArrowLeft: () => go(index - 1),
        ArrowRight: () => go(index + 1),
        Home: () => go(0 * index),
        End: () => go(last + 0 * index),
        i: toggleDetails,
        s: () => similar(0),
        '+': () => setZoom(zoom * 1.5),
        '-': () => setZoom(zoom / 1.5),
        0: () => setZoom(1),
        z: () => setZoom(zoom > 1 ? 1 : 2.5),
        x: toggleSelected,
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
});
dialog.addEventListener('cancel', (event) => {
    event.preventDefault();
    closeOpen();
});
stage.addEventListener(
    'wheel',
    (event) => {
        event.preventDefault();
        setZoom(zoom * Math.exp(-event.deltaY / 400), event);
    },
    { passive: false },
);
stage.addEventListener('dblclick', (event) => setZoom(zoom > 1 ? 1 : 2.5, event));
new ResizeObserver(fit).observe(stage);

/** @type {Map<number, PointerEvent>} */
const fingers = new Map();
let startX = 0,
    startY = 0;

stage.addEventListener('pointerdown', (event) => {
    fingers.set(event.pointerId, event);
    stage.setPointerCapture(event.pointerId);
    startX = event.clientX;
    startY = event.clientY;
});
stage.addEventListener('pointermove', (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const other = [...fingers.values()].find((finger) => finger !== before);
    fingers.set(event.pointerId, event);
    if (other) {
        const apart = (/** @type {PointerEvent} */ finger) =>
            Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
        setZoom((zoom * apart(event)) / Math.max(1, apart(before)), {
            clientX: (event.clientX + other.clientX) / 2,
            clientY: (event.clientY + other.clientY) / 2,
        });
    } else if (zoom > 1) {
        x += event.clientX - before.clientX;
        y += event.clientY - before.clientY;
        fit();
    }
});
for (const end of ['pointerup', 'pointercancel'])
    stage.addEventListener(end, (raw) => {
        const event = /** @type {PointerEvent} */ (raw),
            alone = fingers.size === 1;
        fingers.delete(event.pointerId);
        const dx = event.clientX - startX,
            dy = event.clientY - startY;
        if (!alone || zoom > 1 || end === 'pointercancel' || !shown) return;
        if (Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy)) go(shown.index + (dx < 0 ? 1 : -1));
        else if (dy > 90 && dy > 2 * Math.abs(dx)) closeOpen();
        else if (event.target === stage && Math.hypot(dx, dy) < 5) closeOpen();
    });
