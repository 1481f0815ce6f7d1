/* SPDX-License-Identifier: MIT
 * Pictures that were dropped, pasted or picked. They stay in the tab, so that Back and a reload find them; the address
 * has a key only. A large picture is made smaller first: models see a few hundred pixels of it. */

const SIDE = 768,
    LARGE = 300000;

/** @type {Map<string, string>} */
const kept = new Map();

/** @param {Blob} blob @returns {Promise<string>} */
function readAsUrl(blob) {
    return new Promise((resolve, reject) => {
        const reader = new FileReader();
        reader.onload = () => resolve(String(reader.result));
        reader.onerror = () => reject(reader.error);
        reader.readAsDataURL(blob);
    });
}

/** What the browser cannot decode, the server gets as it is. @param {Blob} file @returns {Promise<Blob>} */
async function shrink(file) {
    if (file.size <= LARGE) return file;
    let bitmap;
    try {
        bitmap = await createImageBitmap(file);
    } catch {
        return file;
    }
    const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(
        Math.max(1, Math.round(bitmap.width * scale)),
        Math.max(1, Math.round(bitmap.height * scale)),
    );
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const type = file.type === 'image/jpeg' ? 'image/jpeg' : 'image/png';
    return canvas.convertToBlob({ type, quality: 0.95 });
}

/** Keeps a picture. @param {Blob} file @returns {Promise<string>} its key */
export async function addDrop(file) {
    const url = await readAsUrl(await shrink(file));
    /* Several pictures may be dropped in one millisecond. */
    let number = Date.now();
    while (getDrop(number.toString(36))) number++;
    const key = number.toString(36);
    kept.set(key, url);
    try {
        sessionStorage.setItem(`drop:${key}`, url);
    } catch {
        /* The tab's storage is full: a reload will not find it. */
    }
    return key;
}

/** @param {string} key @returns {string | null} a data URL */
export function getDrop(key) {
    return kept.get(key) ?? sessionStorage.getItem(`drop:${key}`);
}

/** The pictures in what was dropped or pasted. @param {DataTransfer | null} data */
export function picturesIn(data) {
    return [...(data?.files ?? [])].filter((file) => file.type.startsWith('image/') || !file.type);
}
