/* SPDX-License-Identifier: MIT
 * The results of a search. The server keeps the list; pieces of it are fetched where they are looked at. */
import { askJson } from './api.js';

const PIECE = 200,
    MOST_PIECES = 100;

/** @typedef {import('./api.js').Hit} Hit */

/**
 * What a grid and the lightbox show: hits that may not be there yet.
 * @typedef {object} Hits
 * @property {number} total @property {(index: number) => Hit | undefined} get
 * @property {(from: number, to: number) => Promise<void>} need
 */

export class List {
    /** @type {Map<number, Hit[]>} */
    #pieces = new Map();
    /** @type {Map<number, Promise<void>>} */
    #asked = new Map();
    #stop = new AbortController();
    total = 0;
    /** There may be more pictures than the list has. */
    isTruncated = false;
    /** Pictures that are not below the cut. */
    above = 0;
    /** @type {number[]} */
    ratios = [];

    /** @param {Record<string, any>} body of the request */
    constructor(body) {
        this.body = body;
    }

    /** Searches. @param {number} cut @param {AbortSignal} signal @param {boolean} fresh */
    async open(cut, signal, fresh) {
        const answer = await askJson(
            'POST',
            '/api/v1/search',
            { ...this.body, limit: PIECE, ratios: true, cut, ...(fresh ? { fresh } : {}) },
            signal,
        );
        this.total = answer.total;
        this.isTruncated = answer.truncated;
        this.above = answer.above;
        this.ratios = answer.ratios;
        this.#pieces.set(0, answer.hits);
        return this;
    }

    /** Counts again for another cut. @param {number} cut */
    async recount(cut) {
        this.above = (
            await askJson('POST', '/api/v1/search', { ...this.body, limit: 0, cut }, this.#stop.signal)
        ).above;
    }

    /** @param {number} index */
    get(index) {
        return this.#pieces.get(Math.floor(index / PIECE))?.[index % PIECE];
    }

    /** Fetches what is missing of the hits from `from` to before `to`. @param {number} from @param {number} to */
    async need(from, to) {
        const wanted = [];
        for (let piece = Math.floor(from / PIECE); piece * PIECE < Math.min(to, this.total); piece++)
            if (!this.#pieces.has(piece)) wanted.push(this.#asked.get(piece) ?? this.#fetch(piece));
        await Promise.all(wanted);
    }

    /**
     * Gives the hits from `from` to before `to`, however many, for a selection. @param {number} from @param {number} to
     * @returns {Promise<Hit[]>}
     */
    async range(from, to) {
        /** @type {Hit[]} */
        const hits = [];
        while (from + hits.length < to) {
            const next = from + hits.length,
                hit = this.get(next);
            const more = hit
                ? [hit]
                : (
                      await askJson(
                          'POST',
                          '/api/v1/search',
                          { ...this.body, offset: next, limit: Math.min(1000, to - next) },
                          this.#stop.signal,
                      )
                  ).hits;
            if (!more.length) break;
            hits.push(...more);
        }
        return hits;
    }

    /** @param {number} piece */
    #fetch(piece) {
        const fetching = askJson(
            'POST',
            '/api/v1/search',
            { ...this.body, offset: piece * PIECE, limit: PIECE },
            this.#stop.signal,
        )
            .then((answer) => {
                this.#pieces.set(piece, answer.hits);
                /* The first piece stays; of the others the oldest go, so that a long list takes no more memory. */
                for (const old of this.#pieces.keys())
                    if (this.#pieces.size > MOST_PIECES && old && old !== piece) this.#pieces.delete(old);
            })
            .finally(() => this.#asked.delete(piece));
        this.#asked.set(piece, fetching);
        return fetching;
    }

    /** Ends the requests of a list that is not shown any more. */
    close() {
        this.#stop.abort();
    }
}

/** Hits that are all there. @param {Hit[]} hits @returns {Hits} */
export function fixedList(hits) {
    return { total: hits.length, get: (index) => hits[index], need: async () => {} };
}
