// SPDX-License-Identifier: MIT
// Finds the addon: the one that was built here, or one that came with the package for this platform.
'use strict';
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const folder = join(__dirname, '..');
const places = process.env.VKCLIP_ADDON
  ? [process.env.VKCLIP_ADDON]
  : [join(folder, 'build', 'vkclip.node'),
    join(folder, 'prebuilds', `${process.platform}-${process.arch}`, 'vkclip.node')];
const found = places.find((place) => existsSync(place));
if (!found)
  throw new Error(`vkclip.node was not found in ${places.join(' or ')}: expected one for this platform, ` +
    'or build it with `npm run build`, which README.md explains');

module.exports = require(found);
