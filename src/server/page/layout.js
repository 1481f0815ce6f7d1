/* SPDX-License-Identifier: MIT
 * Sets pictures into rows of equal width. All places are known from the pictures' ratios before any picture is there,
 * so that nothing moves later, and the scroll bar can jump anywhere. */

export const GAP = 8,
    CAPTION = 22,
    BREAK = 56;
const NARROWEST = 0.6,
    WIDEST = 2.6;

/** The shape in which a picture is shown: extreme ones are cropped. @param {number} percent width of the height */
export function shape(percent) {
    return Math.min(WIDEST, Math.max(NARROWEST, percent / 100));
}

/**
 * @typedef {object} Layout
 * @property {number} rows
 * @property {Uint32Array} first the first picture of each row, and after the last row the number of pictures
 * @property {Float64Array} top of each row, and after the last row the height of all
 * @property {Float32Array} height of the pictures in each row
 * @property {number} breakRow the row that begins with picture `breakAt`, above which there is room; -1: none
 */

/**
 * @param {number[]} ratios percent @param {number} width of a row @param {number} wanted height
 * @param {number} breakAt a picture that begins a new row; 0: none
 * @returns {Layout}
 */
export function layOut(ratios, width, wanted, breakAt) {
    const count = ratios.length;
    const first = new Uint32Array(count + 1),
        top = new Float64Array(count + 1),
        height = new Float32Array(count);
    let rows = 0,
        y = 0,
        breakRow = -1;
    for (let i = 0; i < count;) {
        if (i === breakAt && i) {
            breakRow = rows;
            y += BREAK;
        }
        let sum = 0,
            k = i;
        while (k < count && (k === i || k !== breakAt)) {
            const more = sum + shape(ratios[k]);
            const room = width - GAP * (k - i);
            /* The row is full. It ends before this picture if that makes its height come nearer to the wanted one. */
            if (room / more < wanted) {
                const without = k > i ? (room + GAP) / sum : Infinity;
                if (without - wanted > wanted - room / more || k === i) {
                    sum = more;
                    k++;
                }
                break;
            }
            sum = more;
            k++;
        }
        const full = (width - GAP * (k - i - 1)) / sum;
        first[rows] = i;
        top[rows] = y;
        height[rows] = k === count || k === breakAt ? Math.min(full, wanted) : full;
        y += Math.round(height[rows]) + CAPTION + GAP;
        rows++;
        i = k;
    }
    first[rows] = count;
    top[rows] = y;
    return { rows, first, top, height, breakRow };
}

/**
 * The last row whose value is not above `value`.
 * @param {Float64Array | Uint32Array} values @param {number} count @param {number} value
 */
export function findRow(values, count, value) {
    let low = 0,
        high = count - 1;
    while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (values[middle] <= value) low = middle;
        else high = middle - 1;
    }
    return low;
}
