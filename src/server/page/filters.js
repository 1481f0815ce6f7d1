/* SPDX-License-Identifier: MIT
 * The panel in which one chooses among the pictures. What there is to choose from, with its counts, is asked of the
 * whole library. */
import { askJson } from './api.js';
import { h, iconButton } from './dom.js';
import { change, state } from './state.js';
import { number, t } from './words.js';

/**
 * @typedef {{value: string, count: number}} Facet
 * @typedef {{folders: Facet[], cameras: Facet[], formats: Facet[], years: Facet[]}} Facets
 * @typedef {import('./state.js').State} State
 */

/** @type {Facets} */
let facets = { folders: [], cameras: [], formats: [], years: [] };
export let libraryTotal = 0;

/** @param {boolean} fresh */
export async function loadFacets(fresh) {
    const answer = await askJson('POST', '/api/v1/search', {
        query: [],
        facets: true,
        limit: 0,
        ...(fresh ? { fresh } : {}),
    });
    facets = answer.facets;
    /* Every picture is of a year, and a list ends at some number of pictures. */
    libraryTotal = facets.years.reduce((sum, facet) => sum + facet.count, 0);
}

export const allFacets = () => facets;

/** A pattern for the files in a folder, whatever characters its name has. @param {string} folder */
function globOf(folder) {
    return `${folder.replace(/[\\*?[]/g, '\\$&').replaceAll('\ufffd', '*')}/*`;
}

/**
 * A pattern for both. One for the name, as it has no slash, is compared with the name alone.
 * @param {string} folder as globOf makes it @param {string} file
 */
function joinGlobs(folder, file) {
    return file.includes('/') ? folder + file : `${folder.slice(0, -1)}**/${file}`;
}

/** The day after a date. @param {string} day */
function dayAfter(day) {
    const next = new Date(`${day}T00:00:00Z`);
    next.setUTCDate(next.getUTCDate() + 1);
    return isNaN(+next) ? day : next.toISOString().slice(0, 10);
}

/** What the server is asked with. @param {State} from @returns {Record<string, any>} */
export function filtersOf(from) {
    /** @type {Record<string, any>} */
    const body = {};
    const paths = [
        from.folder && globOf(from.folder),
        from.name && (/[*?[]/.test(from.name) ? from.name : `*${from.name}*`),
    ].filter(Boolean);
    if (paths.length) body.path = paths.length === 1 ? paths[0] : joinGlobs(paths[0], paths[1]);
    if (from.after) body.after = from.after;
    if (from.before) body.before = from.before.length === 10 ? dayAfter(from.before) : from.before;
    if (from.camera) body.camera = from.camera;
    if (from.type) body.type = from.type;
    const [latitude, longitude, kilometers] = from.near.split(',').map(Number);
    if (from.near && kilometers > 0) body.near = { latitude, longitude, kilometers };
    if (Number(from.width) > 0) body.min_width = Number(from.width);
    if (Number(from.height) > 0) body.min_height = Number(from.height);
    return body;
}

/** The values that choose nothing. */
export const noFilters = {
    folder: '',
    name: '',
    after: '',
    before: '',
    camera: '',
    near: '',
    width: '',
    height: '',
    type: '',
};

/** @param {string} path */
export const lastName = (path) => path.slice(path.lastIndexOf('/') + 1) || path;

/**
 * The filters that are set, in words, each with what takes it away.
 * @param {State} from @returns {[string, Partial<State>][]}
 */
export function activeFilters(from) {
    /** @type {[string, Partial<State>][]} */
    const all = [
        [lastName(from.folder), { folder: '' }],
        [from.name, { name: '' }],
        [
            from.after && from.before
                ? `${from.after} – ${from.before}`
                : from.after
                  ? t('after', { date: from.after })
                  : from.before && t('before', { date: from.before }),
            { after: '', before: '' },
        ],
        [from.camera, { camera: '' }],
        [from.type, { type: '' }],
        [from.near && t('near', { kilometers: Number(from.near.split(',')[2]) }), { near: '' }],
        [(from.width || from.height) && `≥ ${from.width || 0} × ${from.height || 0}`, { width: '', height: '' }],
    ];
    return all.filter(([text]) => text);
}

/* ---- Folders ---- */

/** The folder that all pictures lie in. */
function rootFolder() {
    const paths = facets.folders.map((facet) => facet.value);
    if (!paths.length) return '';
    let root = paths[0];
    while (root && !paths.every((path) => path === root || path.startsWith(`${root}/`)))
        root = root.slice(0, root.lastIndexOf('/'));
    return root;
}

/** Counts the pictures in a folder and below it. @param {string} folder */
function countBelow(folder) {
    return facets.folders.reduce(
        (sum, facet) => sum + (facet.value === folder || facet.value.startsWith(`${folder}/`) ? facet.count : 0),
        0,
    );
}

/** The folders directly in a folder. @param {string} folder */
function childrenOf(folder) {
    const start = `${folder}/`,
        names = new Set();
    for (const facet of facets.folders)
        if (facet.value.startsWith(start)) names.add(facet.value.slice(start.length).split('/')[0]);
    return [...names].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).map((name) => start + name);
}

/** The way to the chosen folder, and the folders in it; a folder without folders is shown among its neighbours. */
function makeFolders() {
    const root = rootFolder(),
        list = h('ul', { class: 'folders', 'aria-label': t('folder') });
    const row = (
        /** @type {string} */ path,
        /** @type {string} */ name,
        /** @type {number} */ depth,
        /** @type {number} */ count,
    ) => {
        const button = h(
            'button',
            {
                type: 'button',
                'aria-pressed': String(state.folder === path),
                title: path || root,
                click: () => change({ folder: path }),
            },
            h('span', {}, name),
            h('small', {}, number(count)),
        );
        button.style.paddingInlineStart = `${0.6 + 0.9 * depth}em`;
        list.append(h('li', {}, button));
    };
    row('', t('folder.all'), 0, libraryTotal);
    const chosen = state.folder.startsWith(`${root}/`) ? state.folder : root;
    const leaf = !childrenOf(chosen).length && chosen !== root;
    const parent = leaf ? chosen.slice(0, chosen.lastIndexOf('/')) : chosen;
    const way = parent === root ? [] : parent.slice(root.length + 1).split('/');
    way.forEach((name, i) => {
        const path = `${root}/${way.slice(0, i + 1).join('/')}`;
        row(path, name, i + 1, countBelow(path));
    });
    for (const path of childrenOf(parent)) row(path, lastName(path), way.length + 1, countBelow(path));
    return list;
}

/* ---- The panel ---- */

/** A group of fields with a title. @param {string} key @param {...(Node | string | null)} children */
function group(key, ...children) {
    return h('fieldset', {}, h('legend', {}, t(key)), ...children);
}

/**
 * A field that sets one value.
 * @param {keyof State} name @param {string} key of its label @param {Record<string, any>} properties
 */
function input(name, key, properties) {
    return h(
        'label',
        {},
        h('span', {}, t(key)),
        h('input', {
            name,
            value: state[name],
            ...properties,
            change: (/** @type {Event} */ event) =>
                change({ [name]: /** @type {HTMLInputElement} */ (event.target).value.trim() }),
        }),
    );
}

/** A choice among what the library has. @param {'camera' | 'type'} name @param {Facet[]} list */
function choice(name, list) {
    const values =
        list.some((facet) => facet.value === state[name]) || !state[name]
            ? list
            : [...list, { value: state[name], count: 0 }];
    const select = h(
        'select',
        { name, 'aria-label': t(name), change: () => change({ [name]: select.value }) },
        h('option', { value: '' }, t('any')),
        ...values.map((facet) =>
            h(
                'option',
                { value: facet.value, selected: facet.value === state[name] },
                `${facet.value} (${number(facet.count)})`,
            ),
        ),
    );
    select.value = state[name];
    return select;
}

function makeYears() {
    const most = Math.max(...facets.years.map((facet) => facet.count), 1),
        list = h('ul', { class: 'years', 'aria-label': t('years') });
    for (const { value, count } of [...facets.years].reverse()) {
        const first = `${value}-01-01`,
            last = `${value}-12-31`,
            pressed = state.after === first && state.before === last;
        const bar = h('i');
        bar.style.width = `${Math.max(2, (100 * count) / most)}%`;
        list.append(
            h(
                'li',
                {},
                h(
                    'button',
                    {
                        type: 'button',
                        'aria-pressed': String(pressed),
                        click: () => change(pressed ? { after: '', before: '' } : { after: first, before: last }),
                    },
                    h('span', {}, value),
                    h('b', {}, bar),
                    h('small', {}, number(count)),
                ),
            ),
        );
    }
    return list;
}

function makePlace() {
    const [latitude = '', longitude = '', kilometers = ''] = state.near.split(',');
    const place = h('input', {
        name: 'place',
        value: state.near && `${latitude}, ${longitude}`,
        placeholder: '48.858, 2.294',
        inputMode: 'text',
    });
    const radius = h('input', {
        name: 'kilometers',
        type: 'number',
        min: '0.1',
        max: '20000',
        step: '0.1',
        value: kilometers || '5',
    });
    const set = () => {
        const [a, b] = place.value.split(/[,;\s]+/).map(Number);
        const good = place.value.trim() && Math.abs(a) <= 90 && Math.abs(b) <= 180;
        place.setCustomValidity(good || !place.value.trim() ? '' : t('place.wrong'));
        if (place.reportValidity()) change({ near: good ? `${a},${b},${Number(radius.value) || 5}` : '' });
    };
    place.addEventListener('change', set);
    radius.addEventListener('change', set);
    return [
        h('label', {}, h('span', {}, t('place.point')), place),
        h('label', {}, h('span', {}, t('place.radius')), radius),
    ];
}

/**
 * Fills the panel with the fields as they are now, and keeps the focus.
 * @param {HTMLElement} panel @param {() => void} close
 */
export function fillFilters(panel, close) {
    const focusable = () => /** @type {HTMLElement[]} */ ([...panel.querySelectorAll('button, input, select')]);
    const focused = focusable().indexOf(/** @type {HTMLElement} */ (document.activeElement));
    panel.replaceChildren(
        h(
            'div',
            { class: 'bar' },
            h('h2', {}, t('filters')),
            h(
                'button',
                {
                    type: 'button',
                    class: 'link',
                    disabled: !activeFilters(state).length,
                    click: () => change(noFilters),
                },
                t('filters.none'),
            ),
            iconButton('close', t('filters.close'), close),
        ),
        group('folder', makeFolders()),
        group(
            'date',
            h(
                'div',
                { class: 'pair' },
                input('after', 'date.from', { type: 'date' }),
                input('before', 'date.to', { type: 'date' }),
            ),
            makeYears(),
        ),
        group('camera', choice('camera', facets.cameras)),
        group('place', h('div', { class: 'pair wide' }, ...makePlace())),
        group(
            'size',
            h(
                'div',
                { class: 'pair' },
                input('width', 'size.width', { type: 'number', min: '0', step: '100', placeholder: '0' }),
                input('height', 'size.height', { type: 'number', min: '0', step: '100', placeholder: '0' }),
            ),
        ),
        group('type', choice('type', facets.formats)),
        group('name', input('name', 'name.pattern', { type: 'text', placeholder: 'IMG_*' })),
        h('button', { type: 'button', class: 'primary done', click: close }, t('filters.done')),
    );
    focusable()[focused]?.focus();
}
