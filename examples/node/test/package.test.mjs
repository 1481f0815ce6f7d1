// SPDX-License-Identifier: MIT
// The package: its two forms, what it has in it, and its declarations for TypeScript.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as vkclip from 'vkclip';

const folder = fileURLToPath(new URL('..', import.meta.url));
const description = JSON.parse(readFileSync(`${folder}/package.json`));

test('import and require give the same', () => {
  const required = createRequire(import.meta.url)('vkclip');
  assert.deepEqual(Object.keys(required).sort(), Object.keys(vkclip).sort());
  for (const name of Object.keys(vkclip)) assert.equal(required[name], vkclip[name]);
  assert.equal(vkclip.version, description.version);
});

test('declarations name what there is', () => {
  const declared = [...readFileSync(`${folder}/index.d.ts`, 'utf8').matchAll(/^export (?:const|function|class) (\w+)/gm)];
  assert.deepEqual(declared.map((match) => match[1]).sort(), Object.keys(vkclip).sort());
});

const compiler = process.env.VKCLIP_TSC;
test('declarations compile', { skip: !(compiler && existsSync(compiler)) && 'VKCLIP_TSC names no compiler' }, () => {
  const options = ['--noEmit', '--strict', '--noUncheckedIndexedAccess', '--module', 'nodenext', '--target', 'es2022',
    '--lib', 'es2022,dom', '--types', ''];
  const files = ['types.mts', 'types.cts'].map((name) => `${folder}/test/${name}`);
  try {
    execFileSync(process.execPath, [compiler, ...options, ...files], { cwd: folder });
  } catch (error) {
    assert.fail(String(error.stdout));
  }
});

test('npm packs what the package needs', () => {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  let output;
  try {
    output = execFileSync(npm, ['pack', '--dry-run', '--json', '--offline'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  const packed = JSON.parse(output)[0].files.map((file) => file.path);
  for (const pattern of description.files.filter((name) => existsSync(`${folder}/${name}`)))
    assert.ok(packed.some((path) => path === pattern || path.startsWith(`${pattern}/`)), pattern);
  for (const path of packed)
    assert.match(path, /^(LICENSE|NOTICE|README\.md|package\.json|CMakeLists\.txt|FindNodeApi\.cmake|index\.(cjs|mjs|d\.ts)|(lib|src)\/\w+\.(c|h|cjs)|prebuilds\/[\w-]+\/vkclip\.node)$/);
});
