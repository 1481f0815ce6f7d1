/* SPDX-License-Identifier: MIT
 * The grammar of queries, which is that of `vkclip search`: "horse + 2:stripes - zoo". A sign is a word of its own,
 * words that no sign separates are one text, and N: in front of a part is its weight. `id:N` is a picture of the
 * index, and `drop:KEY` one that was dropped on this page. */

/** @typedef {{sign: 1 | -1, weight: number, text?: string, id?: number, drop?: string}} Part */

const WEIGHT = /^(\d+(?:\.\d+)?):/;

/** @param {1 | -1} sign @param {string} text @returns {Part} */
function readPart(sign, text) {
    const found = WEIGHT.exec(text);
    const weight = found ? Number(found[1]) || 1 : 1;
    const rest = found ? text.slice(found[0].length).trim() : text;
    const id = /^id:(\d+)$/.exec(rest),
        drop = /^drop:(\w+)$/.exec(rest);
    if (!found && id) return { sign, weight, id: Number(id[1]) };
    if (found && id && found[1] !== '1') return { sign, weight, id: Number(id[1]) };
    if (drop) return { sign, weight, drop: drop[1] };
    return { sign, weight, text: rest };
}

/** Reads a query. A sign after which nothing has been typed yet is ignored. @param {string} query @returns {Part[]} */
export function parseQuery(query) {
    /** @type {Part[]} */
    const parts = [];
    /** @type {1 | -1} */
    let sign = 1;
    /** @type {string[]} */
    let words = [];
    const end = () => {
        const part = words.length ? readPart(sign, words.join(' ')) : null;
        if (part && part.text !== '') parts.push(part);
        words = [];
    };
    for (const word of query.split(/\s+/).filter(Boolean)) {
        if (word !== '+' && word !== '-') {
            words.push(word);
            continue;
        }
        end();
        sign = word === '+' ? 1 : -1;
    }
    end();
    return parts;
}

/** @param {Part} part */
function formatPart(part) {
    const value = part.id ? `id:${part.id}` : part.drop ? `drop:${part.drop}` : (part.text ?? '');
    /* "1:" makes a text of what would be a weight or an id. */
    const escaped = part.text && (WEIGHT.test(part.text) || /^(id|drop):\w+$/.test(part.text));
    return part.weight !== 1 || escaped ? `${part.weight}:${value}` : value;
}

/** @param {Part[]} parts */
export function formatQuery(parts) {
    return parts.map((part, i) => (part.sign < 0 ? '- ' : i ? '+ ' : '') + formatPart(part)).join(' ');
}
