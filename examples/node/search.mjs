// SPDX-License-Identifier: MIT
// Searches a folder of pictures by words: indexes what is new in it, and prints the best pictures of each query.
//
//     node search.mjs MODEL FOLDER QUERY...
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { Index, Model, readEnvironment } from './index.mjs';

const { positionals: [path, folder, ...queries] } = parseArgs({ allowPositionals: true });
if (!queries.length) {
  console.error('usage: node search.mjs MODEL FOLDER QUERY...');
  process.exit(2);
}

// Ctrl-C ends the call that runs. What was indexed until then is kept.
const controller = new AbortController();
const { signal } = controller;
process.once('SIGINT', () => controller.abort());

await readEnvironment();
const model = await Model.open(path, { signal });
const index = await Index.open(join(folder, '.vkclip.db'));
console.log(`${model.info.weightsPath} on ${model.device.infos[0].name}`);

const started = performance.now();
const { encoded, indexed, failures } = await index.add(model, folder, {
  signal,
  progress: (done, total) => { if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${total} files `); },
});
for (const failure of failures) console.error(failure.message);
console.log(`${encoded} new pictures of ${indexed} in ${((performance.now() - started) / 1000).toFixed(1)} s`);

for (const query of queries) {
  console.log(`\n${query}`);
  for (const { score, path: picture } of await index.search(model, query, { top: 3, signal }))
    console.log(`  ${score.toFixed(3)}  ${relative(folder, picture)}`);
}
await index.close();
await model.close();
