/* SPDX-License-Identifier: MIT
 * Starts the page: language, theme, the token, the views, and what concerns all of them. */
import { Failure, askJson, serverEvents } from './api.js';
import { $, h, toast } from './dom.js';
import { classifyView } from './classify.js';
import { picturesIn } from './drops.js';
import { duplicatesView } from './duplicates.js';
import { libraryView, onLibraryChange, watch } from './library.js';
import { renewSearchBox, searchWith } from './searchbox.js';
import { searchView } from './search.js';
import { renewSelectionBar } from './selection.js';
import { addressWith, change, onState, state } from './state.js';
import { fillPage, languages, loadWords, preferredLanguage, t } from './words.js';

/**
 * @typedef {object} View
 * @property {HTMLElement} root @property {(again: boolean) => void} start
 * @property {(next: import('./state.js').State, before: import('./state.js').State) => void} update
 * @property {(files: Blob[]) => void} [takePictures] @property {() => void} [focus]
 */

/** @type {Record<string, View>} */
const views = { search: searchView, duplicates: duplicatesView, classify: classifyView, library: libraryView };
const viewOf = (/** @type {string} */ name) => views[name] ?? views.search;

/** What the server has, as /api/v1 says. @type {{index?: boolean, token?: boolean, trusted?: boolean}} */
let server = {};

/* ---- Views ---- */

function showView() {
    const view = viewOf(state.view);
    for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll('#nav a'))) {
        const name = link.dataset.view ?? '';
        link.href = addressWith({ view: name, open: '' });
        link.toggleAttribute('aria-current', name === state.view);
        if (name === state.view) link.setAttribute('aria-current', 'page');
    }
    $('search').hidden = state.view !== 'search' || !server.index;
    if (!server.index && view !== classifyView) {
        showNoIndex();
        return;
    }
    if ($('view').firstElementChild === view.root) return;
    document.title = state.view === 'search' ? 'vkclip' : `${t(`view.${state.view}`)} – vkclip`;
    const again = started.has(view);
    $('view').replaceChildren(view.root);
    started.add(view);
    view.start(again);
}

/** @type {Set<View>} */
const started = new Set();

onState((next, before) => {
    if (next.view !== before.view) scrollTo(0, 0);
    showView();
    if (next.view === before.view) viewOf(next.view).update(next, before);
});
/* The filters, which stand before the pictures, are many steps of the Tab key. */
$('skip').addEventListener('click', (event) => {
    event.preventDefault();
    (/** @type {HTMLElement | null} */ (document.querySelector('.cell[tabindex="0"]')) ?? $('view')).focus();
});
$('nav').addEventListener('click', (event) => {
    const link = /** @type {Element} */ (event.target).closest('a');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    change({ view: link.dataset.view, open: '' });
});

/* ---- Language and theme ---- */

/** @param {string} name */
async function setLanguage(name) {
    await loadWords(name);
    fillPage();
    showTheme();
    renewSearchBox();
    renewSelectionBar();
    started.clear();
    $('view').replaceChildren();
}

function showTheme() {
    const theme = localStorage.getItem('theme') ?? 'auto';
    document.documentElement.dataset.theme = theme;
    const text = t(`theme.${theme}`);
    $('theme').setAttribute('aria-label', text);
    $('theme').title = text;
}

$('theme').addEventListener('click', () => {
    const themes = ['auto', 'light', 'dark'],
        now = localStorage.getItem('theme') ?? 'auto';
    localStorage.setItem('theme', themes[(themes.indexOf(now) + 1) % 3]);
    showTheme();
    toast($('theme').title);
});
const languageSelect = /** @type {HTMLSelectElement} */ ($('language'));
languageSelect.append(...Object.entries(languages).map(([value, name]) => h('option', { value, lang: value }, name)));
languageSelect.addEventListener('change', async () => {
    localStorage.setItem('language', languageSelect.value);
    await setLanguage(languageSelect.value);
    showView();
});

/* ---- The server ---- */

let isGone = false;

/** Waits until the server answers again. */
async function waitForServer() {
    if (isGone) return;
    isGone = true;
    $('banner').textContent = t('gone');
    $('banner').hidden = false;
    while (isGone) {
        await new Promise((resolve) => setTimeout(resolve, 2000));
        isGone = !(await fetch('/healthz').then(
            (answer) => answer.ok,
            () => false,
        ));
    }
    $('banner').hidden = true;
    begin();
}

function askToken() {
    const dialog = /** @type {HTMLDialogElement} */ ($('login'));
    if (dialog.open) return;
    const field = h('input', { type: 'password', autocomplete: 'current-password', required: true, id: 'token' });
    const wrong = h('p', { class: 'wrong', role: 'alert' });
    dialog.replaceChildren(
        h(
            'form',
            {
                submit: async (/** @type {Event} */ event) => {
                    event.preventDefault();
                    try {
                        await askJson('POST', '/api/v1/session', { token: field.value });
                        dialog.close();
                        begin();
                    } catch (error) {
                        wrong.textContent =
                            error instanceof Failure && error.status === 401 ? t('token.wrong') : String(error);
                        field.select();
                    }
                },
            },
            h('h2', {}, t('token.title')),
            h('p', {}, t('token.text')),
            h('label', {}, h('span', {}, t('token')), field),
            wrong,
            h('button', { type: 'submit', class: 'primary' }, t('token.send')),
        ),
    );
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    dialog.showModal();
}

serverEvents.addEventListener('gone', waitForServer);
serverEvents.addEventListener('token', askToken);

function showNoIndex() {
    $('view').replaceChildren(
        h(
            'div',
            { class: 'empty' },
            h('h2', {}, t('empty.index')),
            h('p', {}, t('empty.index.more')),
            h('code', {}, 'vkclip serve -m ViT-B/32 --index ~/Pictures'),
        ),
    );
}

/** Asks what the server has, and shows the view. */
async function begin() {
    try {
        server = await askJson('GET', '/api/v1');
    } catch {
        return;
    }
    if (server.token && !server.trusted) {
        askToken();
        return;
    }
    started.clear();
    $('view').replaceChildren();
    showView();
    if (server.index) watch();
}

onLibraryChange((quietly) => {
    if (state.view === 'search') searchView.refresh(quietly);
});

/* ---- Pictures that are dropped or pasted anywhere ---- */

/** @param {Blob[]} files */
function takePictures(files) {
    const take = viewOf(state.view).takePictures ?? searchWith;
    if (files.length) Promise.resolve(take(files)).catch((error) => toast(t('failed', { message: error.message })));
    else toast(t('drop.none'));
}

addEventListener('dragover', (event) => {
    if (event.dataTransfer?.types.includes('Files')) {
        event.preventDefault();
        $('dropzone').hidden = false;
    }
});
addEventListener('dragleave', (event) => ($('dropzone').hidden = !event.relatedTarget || $('dropzone').hidden));
addEventListener('drop', (event) => {
    $('dropzone').hidden = true;
    if (event.dataTransfer?.files.length) {
        event.preventDefault();
        takePictures(picturesIn(event.dataTransfer));
    }
});
addEventListener('paste', (event) => {
    const files = picturesIn(event.clipboardData);
    if (files.length) {
        event.preventDefault();
        takePictures(files);
    }
});
addEventListener('keydown', (event) => {
    const target = /** @type {Element} */ (event.target);
    if (event.key === '/' && !target.closest('input, textarea, select, dialog')) {
        event.preventDefault();
        viewOf(state.view).focus?.();
    }
});

new ResizeObserver(() =>
    document.documentElement.style.setProperty('--header', `${$('header').offsetHeight + 12}px`),
).observe($('header'));
languageSelect.value = preferredLanguage();
setLanguage(preferredLanguage()).then(begin);
