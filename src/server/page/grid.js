/* SPDX-License-Identifier: MIT
 * A grid of any number of pictures, of which only the rows near the window are elements. */
import { isAbort, thumbnailOf } from './api.js';
import { debounce, h, icon, toast } from './dom.js';
import { BREAK, GAP, findRow, layOut, shape } from './layout.js';
import { clearSelection, isSelected, select, selectionEvents } from './selection.js';
import { date, number, t } from './words.js';

/** @typedef {import('./list.js').List} List @typedef {import('./api.js').Hit} Hit */

/**
 * @typedef {object} GridActions
 * @property {(index: number) => void} open
 * @property {(hit: Hit, sign: 1 | -1 | 0) => void} similar adds the picture to the query; 0: searches with it alone
 * @property {(index: number) => void} look at the first picture that is visible, while one scrolls
 */

/** A window that moves by more than this share of itself between two frames shows no pictures until it is slower. */
const FAST = 0.7;

export class Grid {
    /** @type {List | null} */
    #list = null;
    /** @type {import('./layout.js').Layout | null} */
    #layout = null;
    /** @type {Map<number, HTMLElement>} */
    #rows = new Map();
    #height = 180;
    #breakText = '';
    #hasScores = false;
    #active = 0;
    #anchor = 0;
    #lastTop = 0;
    /** The first and the last row near the window. */
    #visible = [0, 0];
    #frame = 0;

    /** @param {HTMLElement} root @param {GridActions} actions */
    constructor(root, actions) {
        this.root = root;
        this.actions = actions;
        root.setAttribute('role', 'grid');
        root.setAttribute('aria-multiselectable', 'true');
        root.addEventListener('click', (event) => this.#click(event));
        root.addEventListener('keydown', (event) => this.#key(event));
        root.addEventListener('focusin', (event) => this.#noteFocus(event));
        root.addEventListener('pointerover', (event) =>
            this.#addButtons(/** @type {Element} */ (event.target).closest('.cell')),
        );
        this.fillSoon = debounce(() => this.#fill(), 90);
        addEventListener('scroll', () => this.#schedule(), { passive: true });
        selectionEvents.addEventListener('change', () => this.#markSelected());
        let width = 0;
        new ResizeObserver(() => {
            if (root.clientWidth && root.clientWidth !== width) {
                width = root.clientWidth;
                this.#relayout();
            }
        }).observe(root);
    }

    /**
     * Shows a list from its beginning. @param {List} list
     * @param {{hasScores: boolean, breakText: string, scroll: number}} options
     */
    show(list, { hasScores, breakText, scroll }) {
        const hadFocus = this.hasFocus();
        this.#list = list;
        this.#hasScores = hasScores;
        this.#breakText = breakText;
        this.#active = this.#anchor = 0;
        this.#clear();
        this.#computeLayout();
        scrollTo(0, scroll);
        this.#render();
        if (hadFocus) this.focus(0);
    }

    /** Shows another cut, or a longer list with the same beginning. @param {List} list @param {string} breakText */
    change(list, breakText) {
        this.#list = list;
        this.#breakText = breakText;
        this.#relayout();
    }

    /** @param {number} height of the rows that is wanted */
    resize(height) {
        this.#height = height;
        this.#relayout();
    }

    /** Moves the focus to a picture, and the window with it. @param {number} index */
    focus(index) {
        if (!this.#list?.total || !this.#layout) return;
        const before = this.#cell(this.#active);
        if (before) before.tabIndex = -1;
        this.#active = Math.max(0, Math.min(index, this.#list.total - 1));
        const row = this.#rowOf(this.#active);
        const top = this.#offset() + this.#layout.top[row],
            bottom = top + this.#layout.height[row] + 30;
        const header = document.querySelector('header')?.getBoundingClientRect().bottom ?? 0;
        if (top < scrollY + header + GAP) scrollTo(0, top - header - GAP - (row ? 0 : 200));
        else if (bottom > scrollY + innerHeight - 70) scrollTo(0, bottom - innerHeight + 70);
        this.#render();
        const cell = this.#cell(this.#active);
        if (cell) {
            cell.tabIndex = 0;
            cell.focus({ preventScroll: true });
        }
    }

    hasFocus() {
        return this.root.contains(document.activeElement);
    }

    /* ---- Rows ---- */

    #computeLayout() {
        const list = this.#list;
        if (!list) return;
        const narrow = this.root.clientWidth < 600;
        const height = narrow ? this.#height * 0.68 : this.#height;
        this.#layout = layOut(list.ratios, this.root.clientWidth, height, this.#breakText ? list.above : 0);
        this.root.style.height = `${this.#layout.top[this.#layout.rows]}px`;
        this.root.setAttribute('aria-rowcount', String(this.#layout.rows));
    }

    /** Computes places anew and keeps the picture that is at the top of the window. */
    #relayout() {
        const hadFocus = this.hasFocus(),
            before = this.#layout;
        const seen = before && this.#list ? this.#firstSeen() : 0;
        const shift = before?.rows ? scrollY - this.#offset() - before.top[this.#rowOf(seen)] : 0;
        const atTop = scrollY <= this.#offset();
        this.#computeLayout();
        for (const [row, element] of this.#rows)
            if (!before || !this.#isSameRow(row, before)) {
                element.remove();
                this.#rows.delete(row);
            }
        if (this.#layout?.rows && !atTop) scrollTo(0, this.#offset() + this.#layout.top[this.#rowOf(seen)] + shift);
        this.#render();
        if (hadFocus) this.#cell(this.#active)?.focus({ preventScroll: true });
    }

    /**
     * Is a row where it was, with the same pictures?
     * @param {number} row @param {import('./layout.js').Layout} before
     */
    #isSameRow(row, before) {
        const layout = this.#layout,
            first = before.first[row],
            end = before.first[row + 1];
        const cell = this.#rows.get(row)?.querySelector('.cell');
        return (
            layout &&
            row < layout.rows &&
            row !== before.breakRow &&
            row !== layout.breakRow &&
            layout.first[row] === first &&
            layout.first[row + 1] === end &&
            layout.top[row] === before.top[row] &&
            layout.height[row] === before.height[row] &&
            cell?.classList.contains('below') === this.#isBelow(first)
        );
    }

    /** @param {number} index */
    #isBelow(index) {
        return this.#breakText !== '' && index >= (this.#list?.above ?? 0);
    }

    #clear() {
        this.root.replaceChildren();
        this.#rows.clear();
    }

    /** Where the grid begins in the page. Asking for it after elements have changed costs a layout. */
    #offset() {
        return this.root.getBoundingClientRect().top + scrollY;
    }

    /** @param {number} index */
    #rowOf(index) {
        return this.#layout ? findRow(this.#layout.first, this.#layout.rows, index) : 0;
    }

    #firstSeen() {
        const layout = this.#layout;
        return layout?.rows ? layout.first[findRow(layout.top, layout.rows, scrollY - this.#offset() + 130)] : 0;
    }

    #schedule() {
        if (!this.#frame && this.root.isConnected && this.root.offsetParent)
            this.#frame = requestAnimationFrame(() => {
                this.#frame = 0;
                this.actions.look(this.#firstSeen());
                this.#render();
            });
    }

    #findVisible() {
        const layout = /** @type {import('./layout.js').Layout} */ (this.#layout);
        const top = scrollY - this.#offset(),
            margin = innerHeight / 2;
        this.#visible = [
            findRow(layout.top, layout.rows, top - margin),
            findRow(layout.top, layout.rows, top + innerHeight + margin),
        ];
    }

    #render() {
        const layout = this.#layout;
        if (!layout?.rows) return;
        this.#findVisible();
        const [first, last] = this.#visible,
            focused = this.#rowOf(this.#active);
        const moved = Math.abs(scrollY - this.#lastTop);
        this.#lastTop = scrollY;
        for (const [row, element] of this.#rows)
            if ((row < first || row > last) && row !== focused) {
                element.remove();
                this.#rows.delete(row);
            }
        for (const row of new Set([focused, ...Array.from({ length: last - first + 1 }, (_, i) => first + i)]))
            if (!this.#rows.has(row)) this.#addRow(row);
        if (moved > FAST * innerHeight) this.fillSoon();
        else this.fillSoon.now();
    }

    /** @param {number} row */
    #addRow(row) {
        const layout = /** @type {import('./layout.js').Layout} */ (this.#layout);
        const list = /** @type {List} */ (this.#list);
        const element = h('div', { role: 'row', class: 'row', 'aria-rowindex': row + 1 });
        element.style.transform = `translateY(${layout.top[row]}px)`;
        if (row === layout.breakRow) {
            const line = h('p', { class: 'break', 'aria-hidden': 'true' }, h('span', {}, this.#breakText));
            line.style.transform = `translateY(${-BREAK}px)`;
            element.append(line);
        }
        for (let i = layout.first[row]; i < layout.first[row + 1]; i++) {
            const cell = h('div', {
                role: 'gridcell',
                class: 'cell',
                tabIndex: i === this.#active ? 0 : -1,
                'aria-colindex': i - layout.first[row] + 1,
                'data-index': i,
            });
            cell.classList.toggle('below', this.#isBelow(i));
            cell.style.width = `${shape(list.ratios[i]) * layout.height[row]}px`;
            cell.style.setProperty('--height', `${Math.round(layout.height[row])}px`);
            element.append(cell);
        }
        /* Rows stand in the order of the list, in which screen readers and the Tab key go through them. */
        let next = null,
            nearest = Infinity;
        for (const [other, sibling] of this.#rows)
            if (other > row && other < nearest) [next, nearest] = [sibling, other];
        this.root.insertBefore(element, next);
        this.#rows.set(row, element);
    }

    /** @param {number} index @returns {HTMLElement | null} */
    #cell(index) {
        return this.#rows.get(this.#rowOf(index))?.querySelector(`[data-index="${index}"]`) ?? null;
    }

    /* ---- Cells ---- */

    /** Fetches what is visible, and fills the cells. */
    #fill() {
        const list = this.#list,
            layout = this.#layout;
        if (!list || !layout?.rows) return;
        const [first, last] = this.#visible;
        for (const element of this.#rows.values())
            for (const cell of /** @type {NodeListOf<HTMLElement>} */ (element.querySelectorAll('.cell:empty')))
                this.#fillCell(cell, Number(cell.dataset.index));
        list.need(layout.first[first], layout.first[last + 1]).then(
            () => {
                if (this.#list !== list) return;
                for (const cell of /** @type {NodeListOf<HTMLElement>} */ (this.root.querySelectorAll('.cell:empty')))
                    this.#fillCell(cell, Number(cell.dataset.index));
            },
            () => {},
        );
    }

    /** @param {HTMLElement} cell @param {number} index */
    #fillCell(cell, index) {
        const hit = this.#list?.get(index);
        if (!hit) return;
        const image = h('img', {
            alt: '',
            draggable: false,
            decoding: 'async',
            src: thumbnailOf(hit.id),
            load: () => image.classList.add('there'),
            error: () => image.replaceWith(h('span', { class: 'missing' }, icon('picture'))),
        });
        const z =
            hit.z !== undefined && this.#hasScores
                ? t('score', { score: number(hit.score ?? 0, 3), z: number(hit.z, 1) })
                : '';
        const caption = z || date(hit.date);
        const below = cell.classList.contains('below') ? `, ${t('below')}` : '';
        cell.setAttribute('aria-label', `${hit.name}, ${date(hit.date)}${z ? `, ${z}` : ''}${below}`);
        cell.setAttribute('aria-selected', String(isSelected(hit)));
        cell.append(
            h('div', { class: 'frame', title: hit.path }, image),
            h('p', { class: 'caption', 'aria-hidden': 'true', title: z && t('cut.more') }, caption),
        );
        if (isSelected(hit) || matchMedia('(pointer: coarse)').matches) this.#addButtons(cell);
    }

    /** Most cells scroll by without ever needing buttons. @param {Element | null} cell */
    #addButtons(cell) {
        if (cell?.firstElementChild && !cell.querySelector('button'))
            cell.firstElementChild.after(
                this.#button('check', 'check', 'select'),
                h(
                    'div',
                    { class: 'acts' },
                    this.#button('plus', 'more', 'more.like'),
                    this.#button('minus', 'less', 'less.like'),
                ),
            );
    }

    /** @param {string} name @param {string} act @param {string} key */
    #button(name, act, key) {
        return h(
            'button',
            { type: 'button', class: act, tabIndex: -1, 'data-act': act, 'aria-label': t(key), title: t(key) },
            icon(name),
        );
    }

    #markSelected() {
        for (const element of this.#rows.values())
            for (const cell of /** @type {NodeListOf<HTMLElement>} */ (element.querySelectorAll('.cell'))) {
                const on = isSelected(this.#list?.get(Number(cell.dataset.index)));
                cell.setAttribute('aria-selected', String(on));
                if (on) this.#addButtons(cell);
            }
    }

    /* ---- Selecting, with mouse and keyboard ---- */

    /** Selects from the anchor to a picture. @param {number} index */
    async #selectTo(index) {
        const list = /** @type {List} */ (this.#list),
            first = Math.min(this.#anchor, index),
            end = Math.max(this.#anchor, index) + 1;
        try {
            select(await list.range(first, end), true);
        } catch (error) {
            if (!isAbort(error)) toast(t('failed', { message: /** @type {Error} */ (error).message }));
        }
    }

    /** @param {number} index */
    #toggle(index) {
        this.#anchor = index;
        select([this.#list?.get(index)]);
    }

    /** @param {MouseEvent} event */
    #click(event) {
        const target = /** @type {Element} */ (event.target);
        const cell = /** @type {HTMLElement | null} */ (target.closest('.cell'));
        const hit = cell && this.#list?.get(Number(cell.dataset.index));
        if (!cell || !hit) return;
        const index = Number(cell.dataset.index);
        const act = target.closest('button')?.dataset.act;
        this.focus(index);
        if (act === 'more' || act === 'less') this.actions.similar(hit, act === 'more' ? 1 : -1);
        else if (event.shiftKey) this.#selectTo(index);
        else if (act === 'check' || event.ctrlKey || event.metaKey) this.#toggle(index);
        else this.actions.open(index);
    }

    /** @param {FocusEvent} event */
    #noteFocus(event) {
        const cell = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest('.cell'));
        if (!cell) return;
        const before = this.#cell(this.#active);
        if (before) before.tabIndex = -1;
        this.#active = Number(cell.dataset.index);
        cell.tabIndex = 0;
        this.#addButtons(cell);
    }

    /** The picture of another row whose centre is nearest. @param {number} index @param {number} step */
    #vertical(index, step) {
        const layout = /** @type {import('./layout.js').Layout} */ (this.#layout);
        const list = /** @type {List} */ (this.#list);
        const row = this.#rowOf(index),
            next = Math.max(0, Math.min(row + step, layout.rows - 1));
        const centre = (/** @type {number} */ wanted, /** @type {number} */ line) => {
            let x = 0;
            for (let i = layout.first[line]; i < wanted; i++) x += shape(list.ratios[i]) * layout.height[line] + GAP;
            return x + (shape(list.ratios[wanted]) * layout.height[line]) / 2;
        };
        const x = centre(index, row);
        let best = layout.first[next];
        for (let i = best; i < layout.first[next + 1]; i++)
            if (Math.abs(centre(i, next) - x) < Math.abs(centre(best, next) - x)) best = i;
        return best;
    }

    /** Where a key leads; -1: nowhere. @param {KeyboardEvent} event */
    #target(event) {
        const layout = this.#layout,
            list = this.#list,
            index = this.#active;
        if (!layout?.rows || !list) return -1;
        const row = this.#rowOf(index),
            page = Math.max(1, Math.floor(innerHeight / (layout.height[row] + GAP)) - 1);
        switch (event.key) {
            case 'ArrowRight':
                return Math.min(index + 1, list.total - 1);
            case 'ArrowLeft':
                return Math.max(index - 1, 0);
            case 'ArrowDown':
                return row === layout.rows - 1 ? index : this.#vertical(index, 1);
            case 'ArrowUp':
                return row ? this.#vertical(index, -1) : index;
            case 'PageDown':
                return this.#vertical(index, page);
            case 'PageUp':
                return this.#vertical(index, -page);
            case 'Home':
                return event.ctrlKey ? 0 : layout.first[row];
            case 'End':
                return event.ctrlKey ? list.total - 1 : layout.first[row + 1] - 1;
            default:
                return -1;
        }
    }

    /** @param {KeyboardEvent} event */
    #key(event) {
        const index = this.#active,
            list = this.#list,
            hit = list?.get(index),
            target = this.#target(event);
        const act = /** @type {HTMLElement} */ (event.target).closest('button');
        if (!list || act) return;
        if (target >= 0) {
            if (event.shiftKey) this.#selectTo(target);
            else this.#anchor = target;
            this.focus(target);
        } else if (event.key === 'Enter') {
            this.actions.open(index);
        } else if (event.key === ' ') {
            this.#toggle(index);
        } else if (event.key === 'a' && (event.ctrlKey || event.metaKey)) {
            this.#anchor = 0;
            this.#selectTo(list.total - 1);
        } else if (event.key === 'Escape') {
            clearSelection();
        } else if (
            hit &&
            (event.key === 's' || event.key === '+' || event.key === '-') &&
            !event.ctrlKey &&
            !event.metaKey
        ) {
            this.actions.similar(hit, event.key === 's' ? 0 : event.key === '+' ? 1 : -1);
        } else {
            return;
        }
        event.preventDefault();
    }
}
