// SPDX-License-Identifier: MIT
import vkclip = require('vkclip');

const model: Promise<vkclip.Model> = vkclip.Model.open('folder');
model.then((opened) => opened.encodeText('an owl'));
