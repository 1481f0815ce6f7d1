/* SPDX-License-Identifier: MIT
 * The texts of the page in the reader's language, and numbers and dates as they are written there. */

/** The languages that have a file. @type {Record<string, string>} */
export const languages = { en: 'English', de: 'Deutsch' };

/** @type {Record<string, string>} */
let words = {},
    english = words;
export let language = 'en';
let plural = new Intl.PluralRules('en');

/** The language that was chosen, else the first that the browser prefers and that is there. */
export function preferredLanguage() {
    const wanted = [localStorage.getItem('language') ?? '', ...navigator.languages];
    return wanted.map((name) => name.slice(0, 2)).find((name) => name in languages) ?? 'en';
}

/** @param {string} name @returns {Promise<Record<string, string>>} */
const readWords = async (name) => (await fetch(`/page/${name}.json`)).json();

/** @param {string} name */
export async function loadWords(name) {
    [english, words] = await Promise.all([readWords('en'), readWords(name)]);
    language = name;
    plural = new Intl.PluralRules(name);
    document.documentElement.lang = name;
}

/** @param {Record<string, string>} from @param {string} key @param {string} form the key with the plural's name */
const find = (from, key, form) => from[form] ?? from[`${key}.other`] ?? from[key];

/**
 * Returns a text, in English if the language lacks it. {name} in it stands for a value; with a `count` the text may
 * have a form for each plural.
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
    const form = typeof values.count === 'number' ? `${key}.${plural.select(values.count)}` : key;
    const text = find(words, key, form) ?? find(english, key, form) ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => {
        const value = values[name];
        return typeof value === 'number' ? number(value) : (value ?? whole);
    });
}

/** @param {number} value @param {number} [digits] after the point */
export function number(value, digits = 0) {
    return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A number with no more digits than it has. @param {number | string} value */
export const short = (value) => Number(value).toLocaleString(language, { maximumFractionDigits: 2 });

/** Writes a date of the server, which is in the camera's time. @param {string} text @param {boolean} [time] */
export function date(text, time = false) {
    const value = new Date(text);
    return isNaN(+value)
        ? text
        : value.toLocaleString(language, { dateStyle: 'medium', timeStyle: time ? 'short' : undefined });
}

/** @param {number} value */
export function bytes(value) {
    const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
    let unit = 0;
    while (value >= 1000 && unit < units.length - 1) {
        value /= 1000;
        unit++;
    }
    return value.toLocaleString(language, {
        style: 'unit',
        unit: units[unit],
        unitDisplay: 'short',
        maximumFractionDigits: value < 10 && unit ? 1 : 0,
    });
}

/** Sets the texts of the elements in index.html. */
export function fillPage() {
    for (const element of document.querySelectorAll('[data-t]'))
        element.textContent = t(element.getAttribute('data-t') ?? '');
    for (const element of document.querySelectorAll('[data-label]')) {
        const text = t(element.getAttribute('data-label') ?? '');
        element.setAttribute('aria-label', text);
        if (element.matches('button, select, a')) element.setAttribute('title', text);
    }
}
