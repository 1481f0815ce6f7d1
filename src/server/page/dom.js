/* SPDX-License-Identifier: MIT
 * Makes elements, and tells people what happened. No text is ever parsed as HTML. */
/** @typedef {Node | string | null | undefined | false} Child */

/**
 * Makes an element. Properties that are functions listen to the event of that name; `class` and names with a dash
 * are attributes, as are texts; all others are set as they are.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, any>} [properties] @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (value === undefined || value === null || value === false) continue;
        if (typeof value === 'function') element.addEventListener(name, value);
        else if (typeof value === 'string' && name !== 'value') element.setAttribute(name, value);
        else if (name.includes('-')) element.setAttribute(name, String(value));
        else
            /** @type {any} */ (element)[name] = value;
    }
    element.append(
        ...children.filter((child) => child || child === '').map((child) => /** @type {Node|string} */ (child)),
    );
    return element;
}

/** @param {string} name */
export function icon(name) {
    const space = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(space, 'svg'),
        use = document.createElementNS(space, 'use');
    svg.setAttribute('aria-hidden', 'true');
    use.setAttribute('href', `#i-${name}`);
    svg.append(use);
    return svg;
}

/**
 * A button with an icon and a label, which is also its tooltip.
 * @param {string} name @param {string} label @param {(event: MouseEvent) => void} click
 * @param {Record<string, any>} [more]
 */
export function iconButton(name, label, click, more = {}) {
    return h(
        'button',
        { type: 'button', class: 'icon', 'aria-label': label, title: label, click, ...more },
        icon(name),
    );
}

/** @param {string} id */
export function $(id) {
    return /** @type {HTMLElement} */ (document.getElementById(id));
}

const liveText = $('live'),
    toastBox = $('toast');

/** Moves an element to where it is seen and heard, which is within an open dialog. @param {Element} element */
function bringForward(element) {
    const place = document.querySelector('dialog[open]') ?? document.body;
    if (element.parentElement !== place) place.append(element);
}

/** Has screen readers say a text. @param {string} text */
export function announce(text) {
    bringForward(liveText);
    liveText.textContent = text;
}

let toastTimer = 0;

/**
 * Shows a short text for a while, with an action if there is one.
 * @param {string} text @param {string} [label] @param {() => void} [action]
 */
export function toast(text, label, action) {
    clearTimeout(toastTimer);
    const close = () => toastBox.replaceChildren();
    bringForward(toastBox);
    toastBox.replaceChildren(h('span', {}, text));
    if (label && action)
        toastBox.append(
            h(
                'button',
                {
                    type: 'button',
                    click: () => {
                        close();
                        action();
                    },
                },
                label,
            ),
        );
    toastTimer = window.setTimeout(close, 8000);
}

/** Hands a text or bytes to the browser as a download. @param {Blob} blob @param {string} name */
export function save(blob, name) {
    const link = h('a', { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** @template {(...a: any[]) => void} F @param {F} call @param {number} milliseconds @returns {F & {now: F}} */
export function debounce(call, milliseconds) {
    let timer = 0;
    const later = (/** @type {any[]} */ ...values) => {
        clearTimeout(timer);
        timer = window.setTimeout(() => call(...values), milliseconds);
    };
    const now = (/** @type {any[]} */ ...values) => {
        clearTimeout(timer);
        call(...values);
    };
    return /** @type {any} */ (Object.assign(later, { now }));
}
