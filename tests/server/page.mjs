// SPDX-License-Identifier: MIT
//
// Drives the page of vkclip serve in Chromium, as tests/server/page.py has prepared it. Every view is also checked with
// axe-core in both themes, and nothing may be asked of another server, break the content security policy, or fail in a
// script.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test, { after, afterEach, before, beforeEach } from 'node:test';

const setting = JSON.parse(process.env.PAGE_TEST);
const require = createRequire(path.join(setting.packages, 'x'));
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const SOURCE = 'src/server/page';
const APPLE = '1f34e.png',
    DOG = '1f436.png';

let browser, context, page, shared, wrong;

const allowed = new Set(['small', 'large', 'locked', 'bare'].map((name) => setting[name]));

async function makePage(options) {
    const made = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        locale: 'en-US',
        permissions: ['clipboard-read', 'clipboard-write'],
        ...options,
    });
    page = await made.newPage();
    page.setDefaultTimeout(60000);
    page.on('pageerror', (error) => wrong.push(error.stack));
    page.on('console', (message) => message.text().includes('Content Security Policy') && wrong.push(message.text()));
    page.on(
        'request',
        (request) =>
            /^(blob|data):/.test(request.url()) ||
            allowed.has(new URL(request.url()).origin) ||
            wrong.push(request.url()),
    );
    return page;
}

/** Opens an address. A test that has options gets a browser of its own; the others share one, whose start is dear. */
async function open(address, options) {
    page = options ? await makePage(options) : (shared ??= await makePage());
    context = page.context();
    await page.goto(address);
    return page;
}

const small = (query = '', options) => open(new URL(query, setting.small).href, options);
const found = (text) =>
    page
        .waitForFunction((wanted) => document.querySelector('#found')?.textContent === wanted, text)
        .catch(async () => assert.equal(await page.textContent('#found'), text));
const names = () =>
    page.$$eval('.cell[aria-label]', (cells) => cells.map((cell) => cell.getAttribute('aria-label').split(',')[0]));
const selected = (count) =>
    page
        .waitForSelector(`#selection:has-text("${count} selected")`)
        .catch(async () => assert.fail(`${await page.textContent('body')}: expected ${count} selected`));
const address = () => new URL(page.url()).searchParams;
const fill = async (text) => {
    await Promise.all([page.waitForResponse('**/api/v1/search'), page.fill('#query', text)]);
    await page.waitForFunction(() => !document.querySelector('.view.search.busy'));
};
const grid = () => page.waitForSelector('.cell[aria-label]');
const focused = () => page.evaluate(() => document.activeElement?.getAttribute('data-index'));
/** Waits until a function here gives something. */
const eventually = async (get) => {
    for (const end = Date.now() + 60000; Date.now() < end; await new Promise((next) => setTimeout(next, 20)))
        if (await get()) return;
    assert.fail(`this never came: ${get}`);
};
const selectedCount = () => page.$$eval('.cell[aria-selected="true"]', (cells) => cells.length);

/** Checks a view, or of it only what the rules say that are named. */
async function checkAxe(where, rules) {
    await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished)));
    await page.evaluate(axe);
    const violations = await page.evaluate(async (runOnly) =>
        (await globalThis.axe.run(document, { resultTypes: ['violations'], ...runOnly })).violations.map(
            (violation) =>
                `${violation.id}: ${violation.help}: ${violation.nodes
                    .slice(0, 3)
                    .map((node) => node.html)
                    .join(' | ')}`,
        ),
        rules ? { runOnly: rules } : {},
    );
    assert.deepEqual(violations, [], where);
}

before(async () => {
    browser = await chromium.launch({ executablePath: setting.browser, args: ['--no-sandbox', '--disable-gpu'] });
});
after(() => browser?.close());
beforeEach(() => {
    wrong = [];
});
afterEach(async () => {
    if (page && page === shared) {
        await page.unrouteAll({ behavior: 'ignoreErrors' });
        await page.evaluate(() => [localStorage, sessionStorage].forEach((storage) => storage.clear()));
        await page.goto('about:blank');
        await context.clearCookies();
    } else {
        await context?.close();
    }
    page = context = undefined;
    assert.deepEqual(wrong, []);
});

// ---- Sources ----

test('types are right', () => {
    const files = fs
        .readdirSync(SOURCE)
        .filter((name) => name.endsWith('.js'))
        .map((name) => path.join(SOURCE, name));
    execFileSync(
        'node',
        [
            path.join(setting.packages, 'node_modules/typescript/bin/tsc'),
            '--noEmit',
            '--allowJs',
            '--checkJs',
            '--strict',
            '--noUnusedLocals',
            '--target',
            'es2023',
            '--module',
            'esnext',
            '--moduleResolution',
            'bundler',
            '--lib',
            'es2023,dom,dom.iterable',
            ...files,
        ],
        { stdio: 'inherit' },
    );
});

test('each language has each text', () => {
    const read = (name) => fs.readFileSync(path.join(SOURCE, name), 'utf8');
    const english = JSON.parse(read('en.json'));
    const files = fs.readdirSync(SOURCE).filter((name) => /^..\.json$/.test(name));
    const [, list] = read('words.js').match(/languages = \{(.*)\}/);
    const listed = [...list.matchAll(/(\w+): '/g)].map(([, name]) => name);
    assert.deepEqual(listed.map((name) => `${name}.json`).sort(), files);
    /* The forms of a plural differ between languages. */
    const form = (key) => key.replace(/\.(zero|one|two|few|many|other)$/, '');
    const blanks = (text) => (text.match(/\{\w*\}/g) ?? []).sort();
    for (const file of files) {
        const texts = JSON.parse(read(file));
        assert.deepEqual([...new Set(Object.keys(texts).map(form))], [...new Set(Object.keys(english).map(form))], file);
        for (const [key, text] of Object.entries(texts))
            assert.deepEqual(blanks(text), blanks(english[key] ?? english[`${form(key)}.other`]), `${file}: ${key}`);
    }
    const sources = fs
        .readdirSync(SOURCE)
        .filter((name) => /\.(js|html)$/.test(name))
        .map(read)
        .join('');
    for (const [, key] of sources.matchAll(/(?:\bt\(|data-t=|data-label=)['"]([\w.]+)['"]/g))
        assert.ok(key in english || `${key}.other` in english, key);
});

// ---- Searching ----

test('results come while one types', async () => {
    await small();
    await found('64 pictures');
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await page.keyboard.press('/');
    await page.keyboard.type('red apple');
    await page.waitForFunction(() => document.querySelector('.caption')?.textContent.startsWith('z '));
    await page.waitForFunction(
        (name) => document.querySelector('.cell')?.getAttribute('aria-label')?.startsWith(name),
        APPLE,
    );
    assert.match(await page.textContent('.caption'), /^z \d+\.\d · 0\.\d{3}$/);
    assert.equal(address().get('q'), 'red apple');
    assert.match(await page.textContent('#live'), /^64 pictures, \d+ above the cut$/);
    await page.goBack();
    await found('64 pictures');
    assert.equal(await page.inputValue('#query'), '');
    await page.goForward();
    await page.waitForFunction(() => document.querySelector('#query').value === 'red apple');
});

test('answers of old queries are not shown', async () => {
    await small();
    await grid();
    const asked = [];
    let release,
        isOver = false;
    const held = new Promise((resolve) => (release = resolve));
    await page.route('**/api/v1/search', async (route) => {
        const body = route.request().postDataJSON(),
            text = body.query[0]?.text;
        asked.push(text);
        if (text !== 'dog') return route.continue();
        await held;
        await route.continue().catch(() => {});
        isOver = true;
    });
    await page.fill('#query', 'dog');
    await eventually(() => asked.includes('dog'));
    await page.fill('#query', 'red apple');
    await page.waitForFunction(
        (name) => document.querySelector('.cell')?.getAttribute('aria-label')?.startsWith(name),
        APPLE,
    );
    release();
    await eventually(() => isOver);
    await page.waitForTimeout(100);
    assert.equal((await names())[0], APPLE);
    assert.deepEqual(asked.filter(Boolean), ['dog', 'red apple']);
});

test('parts of a query are chips', async () => {
    await small('?q=dog+face');
    await grid();
    assert.equal(await page.locator('.chip').count(), 0);
    await fill('dog face + 2:red apple - fire');
    assert.deepEqual(
        await page.$$eval('.chip', (chips) =>
            chips.map((chip) => chip.className + ':' + chip.querySelector('span[title]').textContent),
        ),
        ['chip:dog face', 'chip:red apple', 'chip minus:fire'],
    );
    await page.fill('.chip:nth-child(2) input', '0.5');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#query').value === 'dog face + 0.5:red apple - fire');
    await page.click('.chip:nth-child(3) button >> nth=0');
    assert.equal(address().get('q'), 'dog face + 0.5:red apple + fire');
    await page.click('.chip:nth-child(1) button >> nth=-1');
    assert.equal(address().get('q'), '0.5:red apple + fire');
    await page.click('[aria-label^="Subtract"]');
    await page.keyboard.type('heart');
    assert.equal(await page.inputValue('#query'), '0.5:red apple + fire - heart');
    await page.click('[aria-label="Clear the query"]');
    await found('64 pictures');
});

test('a picture is dropped, pasted or picked to search with it', async () => {
    await small();
    await grid();
    const bytes = [...fs.readFileSync(path.join(setting.samples, DOG))];
    const give = (kind) =>
        page.evaluate(
            ([kind, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], 'dog.png', { type: 'image/png' }));
                const event =
                    kind === 'paste'
                        ? new ClipboardEvent(kind, { clipboardData: data, bubbles: true, cancelable: true })
                        : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
                document.body.dispatchEvent(event);
            },
            [kind, bytes],
        );
    const best = () =>
        page.waitForFunction(
            (name) => document.querySelector('.cell')?.getAttribute('aria-label')?.startsWith(name),
            DOG,
        );
    await give('dragover');
    assert.ok(await page.isVisible('#dropzone'));
    await give('drop');
    await best();
    assert.ok(!(await page.isVisible('#dropzone')));
    assert.match(address().get('q'), /^drop:\w+$/);
    await page.reload();
    await best();
    assert.match(await page.getAttribute('.chip img', 'src'), /^data:image\/png/);
    await fill('red apple');
    assert.match(address().get('q'), /^red apple \+ drop:\w+$/);
    await page.click('[aria-label="Clear the query"]');
    await found('64 pictures');
    await give('paste');
    await best();
    await page.setInputFiles('#search input[type=file]', path.join(setting.samples, APPLE));
    await page.waitForFunction(
        (name) => document.querySelector('.cell')?.getAttribute('aria-label')?.startsWith(name),
        APPLE,
    );
});

test('pictures that come at the same moment are several', async () => {
    await small('about:blank', {});
    await page.clock.setFixedTime(0);
    await page.goto(setting.small);
    await grid();
    await page.setInputFiles('#search input[type=file]', [APPLE, DOG].map((name) => path.join(setting.samples, name)));
    await page.waitForFunction(() => document.querySelectorAll('.chip img').length === 2);
    const [first, second] = await page.$$eval('.chip img', (images) => images.map((image) => image.src));
    assert.notEqual(first, second);
});

test('a picture that another tab has is not searched with', async () => {
    await small('?q=drop:abc');
    await found('64 pictures');
    assert.match(await page.textContent('.chip'), /another tab/);
});

test('more and less like this', async () => {
    await small('?q=dog+face');
    await grid();
    const [first, second] = await names();
    await page.hover('.cell >> nth=0');
    await page.click('.cell .more');
    await page.waitForFunction(() => document.querySelectorAll('.chip img').length === 1);
    assert.match(address().get('q'), /^dog face \+ id:\d+$/);
    await page.waitForFunction(
        (name) => !document.querySelector('.cell').getAttribute('aria-label').startsWith(name),
        first,
    );
    assert.equal(await focused(), '0');
    await page.keyboard.press('-');
    await page.waitForFunction(() => document.querySelectorAll('.chip.minus img').length === 1);
    await page.keyboard.press('s');
    await page.waitForFunction(() => /^id:\d+$/.test(new URL(location).searchParams.get('q')));
    assert.ok(second);
});

test('filters choose among the pictures', async () => {
    await small();
    await found('64 pictures');
    const only = async (act, text, query) => {
        await act();
        await found(text);
        assert.equal(await page.locator('.active li').count(), 1);
        assert.equal(address().get(query[0]), query[1]);
        await page.click('.active button');
        await found('64 pictures');
    };
    await page.click('.folders button:has-text("2022")');
    await found('20 pictures');
    await only(() => page.click('.folders button:has-text("Zoo [north]")'), '20 pictures', [
        'folder',
        path.join(setting.pictures, '2022/Zoo [north]'),
    ]);
    await only(() => page.selectOption('[name=camera]', 'NIKON D750'), '21 pictures', ['camera', 'NIKON D750']);
    await only(() => page.selectOption('[name=type]', 'TIFF'), '1 picture', ['type', 'TIFF']);
    const year = await page.textContent('.years li:has-text("2022") small');
    await only(() => page.click('.years button:has-text("2022")'), `${year} pictures`, ['after', '2022-01-01']);
    const fillIn = (name, text) => async () => {
        await page.fill(`[name=${name}]`, text);
        await page.press(`[name=${name}]`, 'Enter');
    };
    await only(fillIn('after', '2023-01-01'), '15 pictures', ['after', '2023-01-01']);
    await only(fillIn('before', '2020-09-13'), '1 picture', ['before', '2020-09-13']);
    await only(fillIn('place', '52.51, 13.41'), '32 pictures', ['near', '52.51,13.41,5']);
    await only(fillIn('width', '72'), '63 pictures', ['width', '72']);
    await only(fillIn('height', '72'), '63 pictures', ['height', '72']);
    await only(fillIn('name', 'again'), '3 pictures', ['name', 'again']);
    await only(fillIn('name', '1f43?.png'), '5 pictures', ['name', '1f43?.png']);
    await page.click('.folders button:has-text("2022")');
    await found('20 pictures');
    await fillIn('name', 'Zoo')();
    await found('0 pictures');
    await fillIn('name', '1f43?.png')();
    await found('2 pictures');
    await page.click('.filters button:has-text("Clear filters")');
    await found('64 pictures');
    await page.fill('[name=place]', 'nowhere');
    await page.press('[name=place]', 'Enter');
    assert.match(await page.$eval('[name=place]', (field) => field.validationMessage), /two numbers/);
});

test('dates are sorted, and what is below the cut left out', async () => {
    await small('?q=dog+face&cut=1');
    await grid();
    const { length: above } = await page.$$('.cell:not(.below)');
    await page.selectOption('#sort', 'date');
    await found(`${above} pictures`);
    assert.match(await page.textContent('.hint'), /z < 1/);
    const dates = await page.$$eval('.cell', (cells) =>
        cells.map((cell) => cell.getAttribute('aria-label').match(/, (.+?), z/)[1]),
    );
    assert.deepEqual(
        dates,
        [...dates].sort((a, b) => new Date(b) - new Date(a)),
    );
    assert.equal(address().get('sort'), 'date');
});

test('results below the cut are grey, and it says where nothing stands out', async () => {
    await small('?q=red+apple&cut=2');
    await grid();
    const text = await page.textContent('#found'),
        above = Number(text.match(/, (\d+) above/)[1]);
    assert.ok(above > 0 && above < 10, text);
    assert.equal(await page.locator('.cell:not(.below)').count(), above);
    assert.match(await page.textContent('.break'), /z < 2/);
    assert.match(await page.getAttribute('.cell.below', 'aria-label'), /below the cut/);
    await page.focus('#cut');
    await page.keyboard.press('End');
    await found('64 pictures, 0 above the cut');
    assert.match(await page.textContent('.hint'), /library of 64 pictures/);
    await page.click('.hint button');
    await page.waitForFunction(() => !document.querySelector('.hint').textContent);
    assert.ok((await page.locator('.cell:not(.below)').count()) > 0);
});

test('nothing found, and a search that fails', async () => {
    await small('?name=nothing');
    await page.waitForSelector('.empty h2:has-text("Nothing found")');
    await page.click('.empty button');
    await found('64 pictures');
    await page.route('**/api/v1/search', (route) =>
        route.fulfill({ status: 404, json: { error: 'model.safetensors: no such file' } }),
    );
    await page.fill('#query', 'dog');
    await page.waitForSelector('.message:has-text("no such file")');
    await page.unroute('**/api/v1/search');
    await page.click('.empty button');
    await grid();
});

// ---- The lightbox ----

test('the lightbox shows pictures, their details, and others', async () => {
    await small('?q=dog+face');
    await grid();
    const order = await names(),
        asked = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.click('.cell >> nth=1');
    await page.waitForFunction(() => /original$/.test(document.querySelector('.stage img').src));
    assert.equal(await page.getAttribute('.stage img', 'alt'), order[1]);
    await page.waitForFunction((known) => known, true);
    assert.equal(await page.textContent('.position'), '2 of 64');
    await eventually(() => new Set(asked.filter((url) => /original$/.test(url))).size === 3); /* its neighbours, too */
    assert.match(await page.textContent('#lightbox #live'), new RegExp(`2 of 64 ${order[1]}`));
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction((name) => document.querySelector('.stage img').alt === name, order[3]);
    await page.keyboard.press('Home');
    await page.waitForFunction((name) => document.querySelector('.stage img').alt === name, order[0]);
    assert.ok(await page.isDisabled('.previous'));
    await page.keyboard.press('i');
    await page.waitForSelector('.details dd:has-text("72 × 72")');
    await page.waitForSelector(`.details li:has-text("${order[0]}")`);
    await page.click('.actions button:has-text("Copy path")');
    await page.waitForSelector('#lightbox #toast:has-text("Copied 1 path")');
    await page.keyboard.press('+');
    assert.match(await page.$eval('.stage img', (image) => image.style.transform), /scale\(1\.5\)/);
    await page.keyboard.press('0');
    await page.keyboard.press('x');
    assert.match(await page.textContent('#selection'), /1 selected/);
    await page.keyboard.press('End');
    await page.waitForFunction(() => document.querySelector('.position').textContent === '64 of 64');
    await checkAxe('the lightbox');
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => !document.querySelector('#lightbox').open);
    assert.equal(await focused(), '63');
    assert.ok(!address().has('open'));
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#lightbox').open);
    await page.goBack();
    await page.waitForFunction(() => !document.querySelector('#lightbox').open);
});

test('an address opens a picture, and similar ones are found from there', async () => {
    await small('?q=dog+face');
    await grid();
    await page.click('.cell >> nth=2');
    await page.waitForFunction(() => document.querySelector('#lightbox').open);
    const shared = page.url(),
        name = await page.getAttribute('.stage img', 'alt');
    await page.goto('about:blank');
    await page.goto(shared);
    await page.waitForFunction((wanted) => document.querySelector('.stage img')?.alt === wanted, name);
    await page.keyboard.press('s');
    await page.waitForFunction(
        () => /^id:\d+$/.test(new URL(location).searchParams.get('q')) && !document.querySelector('#lightbox').open,
    );
    await page.waitForFunction(() => document.activeElement?.getAttribute('data-index') === '0');
    assert.ok(!(await names()).includes(name));
});

test('near this picture', async () => {
    await small('?camera=NIKON+D750');
    await grid();
    await page.click('.cell >> nth=0');
    await page.keyboard.press('i');
    for (let i = 0; i < 4 && !(await page.isVisible('.details dd button')); i++) {
        const before = await page.textContent('.details');
        await page.keyboard.press('ArrowRight');
        await page.waitForFunction((text) => document.querySelector('.details').textContent !== text, before);
    }
    await page.click('.details dd button');
    await page.waitForFunction(() => new URL(location).searchParams.get('near') === '52.50000,13.40000,5');
    await page.waitForSelector('.active:has-text("within 5 km")');
});

test('what browsers do not show is shown as a preview', async () => {
    await small('?type=TIFF');
    await grid();
    await page.click('.cell');
    await page.waitForSelector('.note:has-text("TIFF")');
    assert.match(await page.getAttribute('.stage img', 'src'), /preview$/);
    assert.ok(await page.$eval('.stage img', (image) => image.naturalWidth > 0));
    await page.route('**/preview', (route) => route.abort());
    await page.reload();
    await page.waitForSelector('.note:has-text("thumbnail")');
});

// ---- Selecting ----

test('pictures are selected with mouse and keyboard', async () => {
    await small('?q=dog+face');
    await grid();
    await page.hover('.cell >> nth=1');
    await page.click('.cell:nth-child(2) .check');
    await page.click('.cell >> nth=4', { modifiers: ['Shift'] });
    assert.equal(await selectedCount(), 4);
    await page.click('.cell >> nth=2', { modifiers: ['Control'] });
    assert.equal(await selectedCount(), 3);
    assert.match(await page.textContent('#selection'), /3 selected/);
    await page.focus('.cell[tabindex="0"]');
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('Space');
    await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('Shift+ArrowRight');
    assert.equal(await selectedCount(), 5);
    await fill('red apple');
    assert.match(await page.textContent('#selection'), /5 selected/, 'a selection stays while one searches on');
    await page.focus('.cell[tabindex="0"]');
    await page.keyboard.press('Control+a');
    await selected('64');
    await page.keyboard.press('Escape');
    assert.equal(await selectedCount(), 0);
    assert.ok(!(await page.isVisible('#selection')));
});

test('keys move through the grid', async () => {
    await small('?q=dog+face');
    await grid();
    await page.focus('.cell[tabindex="0"]');
    await page.keyboard.press('ArrowDown');
    const below = Number(await focused());
    assert.equal(below, await page.$eval('.row:nth-child(2) .cell', (cell) => Number(cell.dataset.index)));
    await page.keyboard.press('End');
    assert.ok(Number(await focused()) > below);
    await page.keyboard.press('Control+End');
    assert.equal(await focused(), '63');
    await page.keyboard.press('PageUp');
    await page.keyboard.press('ArrowUp');
    assert.ok(Number(await focused()) < 63);
    await page.keyboard.press('Control+Home');
    assert.equal(await focused(), '0');
    assert.equal(await page.locator('.cell[tabindex="0"]').count(), 1);
    await page.evaluate(() => scrollTo(0, 1e6));
    await page.waitForSelector('.cell[data-index="63"][aria-label]');
    assert.equal(await focused(), '0', 'the focus is kept while one scrolls');
    await page.reload();
    await grid();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    assert.equal(await focused(), '0', 'the first link leads to the pictures');
});

test('paths are copied, and lists and archives saved', async () => {
    await small('?name=again');
    await found('3 pictures');
    await page.focus('.cell[tabindex="0"]');
    await page.keyboard.press('Control+a');
    await selected('3');
    await page.click('#selection button:has-text("Copy paths")');
    const copied = (await page.evaluate(() => navigator.clipboard.readText())).trim().split('\n');
    assert.deepEqual(
        copied.sort(),
        [0, 1, 2].map((i) => path.join(setting.pictures, setting.folders[3], `again ${i}.png`)),
    );
    const save = async (text) => {
        const [download] = await Promise.all([
            page.waitForEvent('download'),
            page.click(`#selection button:has-text("${text}")`),
        ]);
        return fs.readFileSync(await download.path());
    };
    const list = (await save('Save list')).toString().trim().split('\r\n');
    assert.equal(list.length, 4);
    assert.match(list[0], /^"id","path","score"/);
    assert.ok(list.every((line) => line.split('","').length >= 12));
    const zip = await save('Save zip');
    assert.equal(zip.toString('latin1', 0, 2), 'PK');
    assert.equal(zip.toString('latin1').match(/again \d\.png/g).length, 6, 'in the entries and the directory');
});

// ---- Other views ----

test('duplicates are shown by kind, and forgotten', async () => {
    await small('?view=duplicates');
    await page.waitForSelector('.card');
    assert.equal(await page.locator('.card').count(), 3);
    assert.deepEqual(await page.$$eval('.tabs .count', (counts) => counts.map((count) => count.textContent)), [
        '3',
        '3',
        '0',
    ]);
    assert.equal(await page.locator('.card button:has-text("Not duplicates")').count(), 0);
    assert.equal(await page.locator('input:checked').count(), 0, 'nothing is proposed');
    await page.click('.card button:has-text("Select all")');
    assert.equal(await page.locator('input:checked').count(), 2);
    await page.click('.tabs button:has-text("Same picture")');
    await page.waitForSelector('.card button:has-text("Not duplicates")');
    await page.click('.card button:has-text("Not duplicates")');
    await page.waitForFunction(() => document.querySelectorAll('.card').length === 2);
    await page.reload();
    await page.waitForSelector('.card');
    assert.equal(await page.locator('.card').count(), 2);
    await page.click('.thumb >> nth=0');
    await page.waitForFunction(() => document.querySelector('#lightbox').open);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => document.activeElement?.className === 'thumb');
});

test('a distance is typed while pictures are compared', async () => {
    let ask;
    const asked = () => new Promise((resolve) => (ask = resolve));
    let next = asked();
    await small('?view=duplicates&kind=exact');
    await page.waitForSelector('.card');
    await page.route('**/api/v1/duplicates?*', (route) => ask(route));
    await page.click('.tabs button:has-text("Similar")');
    let route = await next;
    next = asked();
    await route.fulfill({ status: 202, contentType: 'application/json', body: '{"done": 0.4}' });
    assert.equal(await page.locator('.waiting progress').evaluate((bar) => bar.value), 0.4);
    assert.equal(await page.evaluate(() => document.activeElement.textContent.slice(0, 7)), 'Similar');
    // The page asks again. What one types meanwhile stays when the answer comes.
    route = await next;
    assert.equal(new URL(route.request().url()).searchParams.get('distance'), '0.01');
    await page.fill('.tabs input', '0.2');
    await route.continue();
    await page.waitForSelector('.empty');
    assert.equal(await page.inputValue('.tabs input'), '0.2');
    assert.ok(await page.evaluate(() => document.activeElement.matches('.tabs input')));
    // Of two distances that are typed one after the other the last one is shown.
    next = asked();
    await page.keyboard.press('Enter');
    const first = await next;
    next = asked();
    await page.fill('.tabs input', '0.3');
    await page.keyboard.press('Enter');
    route = await next;
    await first.continue().catch(() => {}); // The page has given it up.
    await route.continue();
    await page.waitForSelector('.card');
    assert.equal(new URL(route.request().url()).searchParams.get('distance'), '0.3');
    assert.equal(address().get('distance'), '0.3');
    assert.equal(await page.inputValue('.tabs input'), '0.3');
});

test('pictures get names', async () => {
    await small('?view=classify');
    await page.waitForSelector('.empty');
    await page.setInputFiles('.classify input[type=file]', [
        path.join(setting.samples, APPLE),
        path.join(setting.samples, DOG),
    ]);
    await page.waitForSelector('.item >> nth=1');
    await page.fill('#labels', 'red apple');
    await page.click('button.primary');
    assert.match(await page.$eval('#labels', (area) => area.validationMessage), /two labels/);
    await page.fill('#labels', 'red apple\ndog face\nfire');
    await page.fill('#templates', 'a picture of {}');
    await page.click('button.primary');
    await page.waitForSelector('.item:nth-of-type(2) li');
    assert.deepEqual(
        await page.$$eval('.item', (items) => items.map((item) => item.querySelector('li span').textContent)),
        ['red apple', 'dog face'],
    );
    assert.equal(address().get('labels'), 'red apple\ndog face\nfire');
    await page.goto(setting.small + '/?q=red+apple');
    await grid();
    await page.focus('.cell[tabindex="0"]');
    await page.keyboard.press('Space');
    await page.click('#selection button:has-text("Classify")');
    await page.fill('#labels', 'red apple\ndog face');
    await page.click('button.primary');
    await page.waitForSelector('.item li:has-text("red apple")');
    const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.click('.classify button:has-text("Save list")'),
    ]);
    assert.match(fs.readFileSync(await download.path(), 'utf8'), new RegExp(`${APPLE}","red apple","(1|0\\.9)`));
});

test('the library says what is there, and is updated', async () => {
    await small('about:blank', {});
    await page.clock.install();
    await page.goto(setting.small + '/?view=library');
    await page.waitForSelector('.failures li:has-text("broken.jpg")');
    assert.match(await page.textContent('.facts'), /Pictures65.*Files68.*Unreadable files1/s);
    const added = path.join(setting.pictures, '2021/new.png');
    const pictures = async () => (await (await fetch(`${setting.small}/api/v1/index`)).json()).pictures;
    fs.copyFileSync('tests/golden/pictures/expected/rgb.png', added);
    try {
        await eventually(async () => (await pictures()) === 66);
        await page.clock.fastForward(3000);
        await page.waitForFunction(() => /Pictures66/.test(document.querySelector('.facts').textContent));
        await page.goto(setting.small);
        await found('65 pictures');
    } finally {
        fs.rmSync(added);
    }
    await eventually(async () => (await pictures()) === 65);
    await page.clock.fastForward(15000);
    await page.waitForFunction(() => /^64 /.test(document.querySelector('#found').textContent));
    await page.click('#nav a:has-text("Library")');
    await page.click('button:has-text("Update now")');
    await page.waitForSelector('.state:has-text("The last update")');
});

test('an update shows how far it is, and is stopped', async () => {
    await small('?view=library');
    await page.waitForSelector('.state button');
    const asked = [];
    let updating = true;
    await page.route('**/api/v1/index', async (route) => {
        const json = await (await route.fetch()).json();
        Object.assign(json.update, { updating, total: 2000, done: 500 });
        await route.fulfill({ json });
    });
    await page.route('**/api/v1/index/update', async (route) => {
        asked.push(route.request().method());
        updating = false;
        await route.fulfill({ status: 202, json: {} });
    });
    await page.reload();
    await page.waitForSelector('.state:has-text("500 of 2,000")');
    assert.match(await page.textContent('#progress'), /500 \/ 2,000/);
    await checkAxe('an update');
    await page.click('.state button:has-text("Stop")');
    await page.waitForSelector('.state button:has-text("Update now")');
    assert.deepEqual(asked, ['DELETE']);
});

// ---- Access, errors, appearance ----

test('the token is asked for', async () => {
    await open(setting.locked);
    await page.waitForSelector('#login[open]');
    await checkAxe('the token');
    await page.fill('#token', 'not-the-token');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.wrong:has-text("not the server")');
    await page.fill('#token', 'a-long-token');
    await page.keyboard.press('Enter');
    await grid();
    await page.waitForSelector('img.there');
    assert.equal(await page.evaluate(() => document.cookie), '', 'no script sees the token');
});

test('a server without pictures says so', async () => {
    await open(setting.bare);
    await page.waitForSelector('.empty code');
    await checkAxe('no index');
    await page.click('#nav a:has-text("Classify")');
    await page.waitForSelector('#labels');
});

test('a server that is gone comes back', async () => {
    await small('about:blank', {});
    await page.clock.install();
    await page.goto(setting.small);
    await grid();
    await page.route('**/*', (route) => route.abort());
    await page.fill('#query', 'dog face');
    await page.waitForSelector('#banner:has-text("does not answer")');
    await page.unroute('**/*');
    await page.clock.fastForward(2000);
    await page.waitForSelector('#banner', { state: 'hidden' });
    await page.waitForFunction(() => document.querySelector('.caption')?.textContent.startsWith('z '));
});

test('language and theme are chosen', async () => {
    await small('', { locale: 'de-DE', colorScheme: 'dark' });
    await found('64 Bilder');
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const dark = await ground();
    await page.click('#theme');
    assert.notEqual(await ground(), dark);
    await page.selectOption('#language', 'en');
    await found('64 pictures');
    await page.reload();
    await found('64 pictures');
    assert.notEqual(await ground(), dark);
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
});

test('what a language lacks is English', async () => {
    await small('about:blank', { locale: 'de-DE' });
    await page.route('**/page/de.json', (route) =>
        route.fulfill({ json: { 'view.library': 'Bibliothek', 'found.other': '{count} Bilder' } }),
    );
    await page.goto(setting.small);
    await found('64 Bilder');
    assert.equal(await page.textContent('#nav [data-view=library] span'), 'Bibliothek');
    assert.equal(await page.textContent('#nav [data-view=search] span'), 'Search');
    assert.equal(await page.getAttribute('#query', 'placeholder'), 'What do the pictures show?');
});

test('a telephone shows it all', async () => {
    await small('?q=dog+face', { viewport: { width: 360, height: 700 }, isMobile: true, hasTouch: true });
    await grid();
    for (const view of ['search', 'duplicates', 'classify', 'library']) {
        await page.tap(`#nav [data-view=${view}]`);
        await page.waitForSelector('.cell[aria-label], .card, .empty h2');
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), view);
        await checkAxe(`${view} on a telephone`);
    }
    await page.tap('#nav [data-view=search]');
    await page.tap('#filters-button');
    await page.tap('.filters .done');
    await page.tap('.cell >> nth=0');
    await page.waitForFunction(() => document.querySelector('#lightbox').open);
});

for (const colorScheme of ['light', 'dark'])
    test(`axe-core finds nothing in the ${colorScheme} theme`, async () => {
        await small('?q=dog+face+-+fire&cut=1&camera=NIKON+D750', { colorScheme });
        await grid();
        await page.focus('.cell[tabindex="0"]');
        await page.keyboard.press('Space');
        await checkAxe('search', colorScheme === 'dark' && ['color-contrast']);
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => document.querySelector('#lightbox').open);
        await page.keyboard.press('i');
        await page.waitForSelector('.details dd');
        await checkAxe('the lightbox', colorScheme === 'dark' && ['color-contrast']);
        for (const query of ['?view=duplicates&kind=same', '?view=classify', '?view=library', '?name=nothing']) {
            await page.goto(setting.small + '/' + query);
            await page.waitForSelector('.card, .empty');
            await checkAxe(query, colorScheme === 'dark' && ['color-contrast']);
        }
    });

// ---- 100,000 pictures ----

const STEPS = [40, 400, 5000];

/**
 * Scrolls 60 frames by each of STEPS, and returns how long a frame keeps the page's thread busy, in milliseconds. At the
 * end of a list it goes on from the top.
 */
async function scroll(name) {
    const devtools = await context.newCDPSession(page),
        result = {};
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
    const busy = async () =>
        (await devtools.send('Performance.getMetrics')).metrics.find((metric) => metric.name === 'TaskDuration').value;
    for (const step of STEPS) {
        const before = await busy();
        const times = await page.evaluate(async (step) => {
            const times = [];
            const way = document.documentElement.scrollHeight - innerHeight;
            let last = performance.now();
            scrollTo(0, 0);
            for (let i = 1; i <= 60; i++) {
                scrollTo(0, (i * step) % way);
                await new Promise(requestAnimationFrame);
                times.push(performance.now() - last);
                last = performance.now();
            }
            return times.sort((a, b) => a - b);
        }, step);
        assert.ok((await page.evaluate(() => document.querySelectorAll('*').length)) < 3000, 'few elements');
        result[step] = (((await busy()) - before) / 60) * 1000;
        console.log(
            `${name}, ${step} pixels per frame: ${result[step].toFixed(1)} ms of work, a frame in ` +
                `${times[30].toFixed(1)} ms, 95 % in ${times[56].toFixed(1)} ms`,
        );
    }
    await devtools.detach();
    return result;
}

test('a hundred thousand pictures scroll', async () => {
    await open(setting.large + '/?q=red+apple');
    await page.waitForFunction(() => /^100,000\+ pictures/.test(document.querySelector('#found')?.textContent));
    assert.match(await page.textContent('.hint'), /ends at 100,000 pictures/);
    assert.equal(await page.textContent('.folders li small'), '100,010');
    assert.equal((await page.getAttribute('#grid', 'aria-rowcount').then(Number)) > 10000, true);
    // A frame takes no more work than among the pictures of one year, however fast the machine is.
    const all = await scroll('all pictures');
    await open(setting.large + '/?q=red+apple&after=2005-01-01&before=2005-12-31');
    await page.waitForFunction(() => /^5,\d\d\d pictures/.test(document.querySelector('#found')?.textContent));
    const year = await scroll('one year');
    for (const step of STEPS) assert.ok(all[step] < 3 * year[step], `${step} pixels: ${all[step]}, ${year[step]} ms of work`);
    await page.goBack();
    await page.waitForFunction(() => /^100,000\+ pictures/.test(document.querySelector('#found')?.textContent));
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight / 2));
    await page.waitForSelector('.place.there');
    await page.waitForFunction(
        () => document.querySelectorAll('img.there').length > 5 && !document.querySelector('.cell:empty'),
    );
    const place = Number((await page.textContent('.place')).match(/^([\d,]+) of 100,000/)[1].replaceAll(',', ''));
    assert.ok(place > 45000 && place < 55000, String(place));
    await page.focus('.cell[tabindex="0"]');
    await page.keyboard.press('Control+End');
    await page.waitForSelector('.cell[data-index="99999"][aria-label]');
    assert.equal(await focused(), '99999');
    await page.keyboard.press('Shift+Control+Home');
    await selected('100,000');
});

test('typing in a large library shows the best at once', async () => {
    await open(setting.large);
    await found('100,000+ pictures');
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route('**/api/v1/search', async (route) => {
        if (!route.request().postDataJSON().top) await held;
        await route.continue();
    });
    const began = Date.now();
    await page.fill('#query', 'dog face');
    await page.waitForFunction(() => document.querySelector('.caption')?.textContent.startsWith('z '));
    assert.match(await page.textContent('#found'), /^400\+ pictures, /);
    const first = Date.now() - began;
    release();
    await page.waitForFunction(() =>
        /^100,000\+ pictures, [\d,]+ above/.test(document.querySelector('#found').textContent),
    );
    console.log(`milliseconds to the first results: ${first}, to all: ${Date.now() - began}`);
});
