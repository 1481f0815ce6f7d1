/* SPDX-License-Identifier: MIT
 * The view in which one searches: the filters, the line that says what was found, and the grid. */
import { Failure, isAbort } from './api.js';
import { $, announce, debounce, h, icon, toast } from './dom.js';
import { getDrop } from './drops.js';
import { activeFilters, fillFilters, filtersOf, libraryTotal, loadFacets, noFilters } from './filters.js';
import { Grid } from './grid.js';
import { extendLightbox, showLightbox } from './lightbox.js';
import { List } from './list.js';
import { parseQuery } from './query.js';
import { addPart, focusSearchBox } from './searchbox.js';
import { addressWith, change, keepScroll, keptScroll, openPicture, state } from './state.js';
import { date, number, short, t } from './words.js';

/** @typedef {import('./state.js').State} State @typedef {import('./api.js').Hit} Hit */

const panel = h('form', {
    id: 'filters',
    class: 'filters',
    submit: (/** @type {Event} */ event) => event.preventDefault(),
});
const toolbar = h('div', { class: 'toolbar' });
const found = h('p', { id: 'found', class: 'found' });
const hint = h('div', { class: 'hint' });
const grid = h('div', { id: 'grid', class: 'grid' });
const empty = h('div', { id: 'empty', class: 'empty' });
const place = h('div', { class: 'place', 'aria-hidden': 'true' });
const root = h(
    'div',
    { class: 'view search' },
    panel,
    h('div', { class: 'results' }, toolbar, hint, grid, empty),
    place,
);

/** @type {List | null} */
let list = null;
let isWhole = true;
let stop = new AbortController();
let sizes = Number(localStorage.getItem('size')) || 180;
let isOpen = (localStorage.getItem('filters') ?? String(innerWidth >= 1100)) === 'true';

const hidePlace = debounce(() => place.classList.remove('there'), 900);

const view = new Grid(grid, {
    open(index) {
        const hit = list?.get(index);
        if (hit) openPicture(hit.id, false);
    },
    similar: (hit, sign) => addSimilar(hit, sign, true),
    look(index) {
        const hit = list?.get(index);
        place.textContent =
            t('place.of', { index: index + 1, total: list?.total ?? 0 }) + (hit ? ` · ${date(hit.date)}` : '');
        place.classList.toggle('there', scrollY > innerHeight);
        hidePlace();
        keepScrollSoon();
    },
});
const keepScrollSoon = debounce(() => state.view === 'search' && !state.open && keepScroll(), 300);

/** Has the first result the focus when it is there? */
let wantsFocus = false;

/** @param {Hit} hit @param {1 | -1 | 0} sign @param {boolean} focus */
function addSimilar(hit, sign, focus) {
    wantsFocus = focus;
    addPart({ sign: 1, weight: 1, id: hit.id }, sign);
}

/* ---- What is asked ---- */

/** @param {State} from */
function bodyOf(from) {
    const query = parseQuery(from.q)
        .map(({ sign, weight, text, id, drop }) => {
            const image = drop && getDrop(drop);
            return drop && !image ? null : { weight: sign * weight, ...(drop ? { image } : id ? { id } : { text }) };
        })
        .filter(Boolean);
    /** @type {Record<string, any>} */
    const body = { query, ...filtersOf(from) };
    /* By date, pictures below the cut would stand between the others, so they are left out. */
    if (query.length && from.sort === 'date') Object.assign(body, { sort: 'date', min_z: cutOf(from) || undefined });
    return body;
}

/** The z below which results are grey. @param {State} from */
const cutOf = (from) => Number(from.cut) || 0;
const hasQuery = () => parseQuery(state.q).some((part) => !part.drop || getDrop(part.drop));
const isRanked = () => hasQuery() && state.sort !== 'date';
const breakText = () =>
    isRanked() && list && list.above < list.total && cutOf(state) > 0 ? t('below.line', { cut: short(state.cut) }) : '';

/* A long list takes the server a second, the best of it some milliseconds. Those are shown first, and if nothing more
 * is typed, all follow. */
const BEST = 400,
    LARGE = 4000,
    PAUSE = 350;

/** Searches; a search that is still running is given up. @param {boolean} fresh @param {number} scroll */
async function search(fresh, scroll) {
    stop.abort();
    stop = new AbortController();
    const { signal } = stop,
        body = bodyOf(state),
        cut = cutOf(state);
    const bestFirst = isRanked() && libraryTotal > LARGE && !scroll;
    root.classList.add('busy');
    try {
        const next = await new List(bestFirst ? { ...body, top: BEST } : body).open(cut, signal, fresh);
        if (signal.aborted) return;
        list?.close();
        list = next;
        isWhole = !bestFirst || !list.isTruncated;
        showFound();
        view.show(list, { hasScores: hasQuery(), breakText: breakText(), scroll });
        showOpen();
        if (wantsFocus) view.focus(0);
        wantsFocus = false;
        if (!isWhole) {
            await new Promise((resolve) => setTimeout(resolve, PAUSE));
            const whole = signal.aborted ? null : await new List(body).open(cutOf(state), signal, false);
            if (signal.aborted || !whole) return;
            list = whole;
            isWhole = true;
            showFound();
            view.change(list, breakText());
            extendLightbox(list);
        }
        root.classList.remove('busy');
    } catch (error) {
        if (signal.aborted || isAbort(error)) return;
        root.classList.remove('busy');
        showError(/** @type {Failure} */ (error));
    }
}

const searchSoon = debounce(() => search(false, 0), 120);

/* ---- What was found ---- */

function showFound() {
    if (!list) return;
    const ranked = isRanked(),
        count = list.isTruncated ? `${number(list.total)}+` : list.total;
    const above = !list.isTruncated || list.above < list.total ? number(list.above) : count;
    const text = ranked && cutOf(state) > 0 ? t('found.above', { count, above }) : t('found', { count });
    found.textContent = text;
    announce(text);
    grid.setAttribute('aria-label', text);
    document.title = state.q ? `${state.q.replace(/drop:\w+/g, t('part.drop'))} – vkclip` : 'vkclip';
    grid.hidden = !list.total;
    empty.replaceChildren();
    hint.replaceChildren();
    if (!list.total) showNothing();
    else if (ranked && !list.above) showNoneAbove(list);
    else if (hasQuery() && state.sort === 'date' && cutOf(state) > 0)
        hint.append(h('p', {}, t('hint.date', { cut: short(state.cut) })));
    if (isWhole && list.isTruncated) hint.append(h('p', {}, t('hint.end', { count: number(list.total) })));
}

/** Nothing stands out: says why, and how to go on. @param {List} shown */
function showNoneAbove(shown) {
    const best = shown.get(0)?.z ?? 0,
        lower = Math.max(0.5, Math.floor(best * 2) / 2);
    const small = libraryTotal < 200 ? ` ${t('hint.small', { count: libraryTotal })}` : '';
    hint.append(
        h(
            'p',
            {},
            t('hint.none', { best: number(best, 1), cut: short(state.cut) }) + small,
            best >= 0.5
                ? h(
                      'button',
                      { type: 'button', class: 'link', click: () => change({ cut: String(lower) }) },
                      t('hint.lower', { cut: short(lower) }),
                  )
                : null,
        ),
    );
}

function showNothing() {
    const filtered = activeFilters(state).length > 0;
    if (!libraryTotal)
        empty.append(
            icon('folder'),
            h('h2', {}, t('empty.library')),
            h('p', {}, t('empty.library.more')),
            h('a', { class: 'button', href: addressWith({ view: 'library' }) }, t('view.library')),
        );
    else
        empty.append(
            icon('search'),
            h('h2', {}, t('empty.results')),
            filtered
                ? h('button', { type: 'button', click: () => change(noFilters) }, t('filters.none'))
                : h('p', {}, t('empty.results.more')),
        );
}

/** @param {Failure} failure */
function showError(failure) {
    list?.close();
    list = null;
    isWhole = true;
    grid.hidden = true;
    hint.replaceChildren();
    found.textContent = '';
    if (failure.status === 0 || failure.status === 401) return; /* The whole page says so. */
    if (failure.status === 404 && !libraryTotal) {
        empty.replaceChildren();
        showNothing();
        return;
    }
    empty.replaceChildren(
        icon('info'),
        h('h2', {}, t('error.search')),
        h('p', { class: 'message' }, failure.message),
        h('button', { type: 'button', click: () => search(true, 0) }, t('retry')),
    );
    announce(t('error.search'));
}

/* ---- The line above the grid ---- */

function showToolbar() {
    const count = activeFilters(state).length;
    const sort = h(
        'select',
        { id: 'sort', 'aria-label': t('sort'), disabled: !hasQuery(), change: () => change({ sort: sort.value }) },
        h('option', { value: 'score' }, t('sort.score')),
        h('option', { value: 'date' }, t('sort.date')),
    );
    sort.value = hasQuery() ? state.sort : 'date';
    const output = h('output', {}, short(state.cut));
    const cut = h('input', {
        id: 'cut',
        type: 'range',
        min: '0',
        max: '6',
        step: '0.25',
        value: state.cut,
        title: t('cut.more'),
        'aria-label': t('cut'),
        disabled: !hasQuery(),
        input: () => (output.value = short(cut.value)),
        change: () => change({ cut: cut.value }),
    });
    const size = h('input', {
        type: 'range',
        min: '110',
        max: '330',
        step: '20',
        value: sizes,
        'aria-label': t('tile'),
        title: t('tile'),
        input: () => {
            sizes = Number(size.value);
            localStorage.setItem('size', size.value);
            view.resize(sizes);
        },
    });
    const focused = toolbar.contains(document.activeElement) ? document.activeElement?.id : '';
    toolbar.replaceChildren(
        h(
            'button',
            {
                type: 'button',
                id: 'filters-button',
                class: 'quiet',
                'aria-expanded': String(isOpen),
                'aria-controls': 'filters',
                click: toggleFilters,
            },
            icon('filter'),
            h('span', {}, t('filters')),
            count ? h('b', { class: 'count' }, number(count)) : null,
        ),
        found,
        h('span', { class: 'grow' }),
        h('label', { class: 'cut', title: t('cut.more') }, h('span', {}, 'z ≥'), cut, output),
        sort,
        h('label', { class: 'tile' }, icon('picture'), size),
        h(
            'ul',
            { class: 'active', 'aria-label': t('filters.active') },
            ...activeFilters(state).map(([text, off]) =>
                h(
                    'li',
                    {},
                    h(
                        'button',
                        {
                            type: 'button',
                            title: t('filter.remove', { name: text }),
                            'aria-label': t('filter.remove', { name: text }),
                            click: () => change(off),
                        },
                        h('span', {}, text),
                        icon('close'),
                    ),
                ),
            ),
        ),
    );
    if (focused) $(focused)?.focus();
}

function toggleFilters() {
    isOpen = !isOpen;
    localStorage.setItem('filters', String(isOpen));
    showPanel();
    showToolbar();
    if (isOpen)
        /** @type {HTMLElement | null} */ (panel.querySelector('button:enabled'))?.focus();
    else $('filters-button').focus();
}

function showPanel() {
    root.classList.toggle('filtering', isOpen);
    panel.hidden = !isOpen;
    if (isOpen) fillFilters(panel, toggleFilters);
}

/* ---- The lightbox ---- */

async function showOpen() {
    const id = Number(state.open);
    if (!id || state.view !== 'search') {
        showLightbox(null);
        return;
    }
    const shown = list;
    if (!shown) return;
    let index = 0;
    while (index < Math.min(shown.total, 200) && shown.get(index)?.id !== id) index++;
    showLightbox({
        list: shown,
        index,
        id,
        known: shown.get(index)?.id === id,
        similar: (hit, sign) => addSimilar(hit, sign, true),
        closed: (last) => view.focus(last),
    });
}

/* ---- The view ---- */

/** Asks for what there is to choose from, and shows it. @param {boolean} fresh */
async function refreshFacets(fresh) {
    try {
        await loadFacets(fresh);
        showPanel();
    } catch {
        /* The search says what is wrong. */
    }
}

export const searchView = {
    root,
    /** @param {boolean} again */
    start(again) {
        showToolbar();
        showPanel();
        if (again && list) showFound();
        refreshFacets(false).then(() => search(false, keptScroll()));
    },
    /** @param {State} next @param {State} before */
    update(next, before) {
        const shown = JSON.stringify(bodyOf(next)) === JSON.stringify(bodyOf(before));
        showToolbar();
        if (activeFilters(next).join() !== activeFilters(before).join()) showPanel();
        if (!shown && next.q !== before.q) searchSoon();
        else if (!shown) search(false, keptScroll());
        else if (next.cut !== before.cut && list)
            list.recount(cutOf(next)).then(
                () => {
                    showFound();
                    if (list) view.change(list, breakText());
                },
                (error) => isAbort(error) || showError(error),
            );
        else if (next.open !== before.open) showOpen();
    },
    /** Shows what the index has now. @param {boolean} quietly only if nobody is looking further down */
    async refresh(quietly) {
        await refreshFacets(true);
        if (!quietly || (scrollY < 50 && !state.open)) search(true, quietly ? scrollY : 0);
        else toast(t('index.changed'), t('show'), () => search(true, 0));
    },
    focus: focusSearchBox,
};
