/* SPDX-License-Identifier: MIT
 * What the page shows, which its address says, so that Back works and an address can be sent to others. */

const defaults = {
    view: 'search',
    q: '',
    folder: '',
    name: '',
    after: '',
    before: '',
    camera: '',
    near: '',
    width: '',
    height: '',
    type: '',
    sort: 'score',
    cut: '3',
    open: '',
    kind: 'exact',
    distance: '0.01',
    labels: '',
    templates: '',
};

/** @typedef {typeof defaults} State */

/** @returns {State} */
function readAddress() {
    const given = new URLSearchParams(location.search);
    const state = { ...defaults };
    for (const key of /** @type {(keyof State)[]} */ (Object.keys(defaults)))
        state[key] = given.get(key) ?? defaults[key];
    return state;
}

/** @param {State} state */
function writeAddress(state) {
    const given = new URLSearchParams();
    for (const key of /** @type {(keyof State)[]} */ (Object.keys(defaults)))
        if (state[key] !== defaults[key]) given.set(key, state[key]);
    const text = given.toString().replaceAll('%2F', '/').replaceAll('%2C', ',').replaceAll('%3A', ':');
    return text ? `?${text}` : location.pathname;
}

export let state = readAddress();
/** @type {((state: State, before: State) => void)[]} */
const listeners = [];

/** @param {State} next */
function tell(next) {
    const before = state;
    state = next;
    for (const listener of listeners) listener(state, before);
}

/** @param {(state: State, before: State) => void} listener */
export function onState(listener) {
    listeners.push(listener);
}

/**
 * Changes what the page shows. `replace` takes the place of the present entry of the history.
 * @param {Partial<State>} changes @param {{replace?: boolean}} [options]
 */
export function change(changes, { replace = false } = {}) {
    const next = { ...state, ...changes };
    const address = writeAddress(next);
    if (address === writeAddress(state)) return;
    if (replace) history.replaceState(history.state, '', address);
    else history.pushState({}, '', address);
    tell(next);
}

/** The address with other values, for links. @param {Partial<State>} changes */
export function addressWith(changes) {
    return writeAddress({ ...state, ...changes });
}

/** Keeps in the history how far this entry was scrolled. */
export function keepScroll() {
    history.replaceState({ ...history.state, y: scrollY }, '');
}

/** @returns {number} how far it was scrolled when it was left */
export function keptScroll() {
    return history.state?.y ?? 0;
}

/** Closes what `open` names: goes back to the page that opened it, if that is this one. */
export function closeOpen() {
    if (history.state?.opened) history.back();
    else change({ open: '' }, { replace: true });
}

/** Opens a picture, as an entry of the history of its own. @param {number} id @param {boolean} another */
export function openPicture(id, another) {
    if (another) {
        history.replaceState(history.state, '', addressWith({ open: String(id) }));
        state = { ...state, open: String(id) };
        return;
    }
    keepScroll();
    change({ open: String(id) });
    history.replaceState({ ...history.state, opened: true }, '');
}

history.scrollRestoration = 'manual';
addEventListener('popstate', () => tell(readAddress()));
