// SPDX-License-Identifier: MIT
'use strict';
const { build, version } = require('./lib/addon.cjs');
const { call } = require('./lib/call.cjs');
const { Device, devices } = require('./lib/device.cjs');
const { Model } = require('./lib/model.cjs');
const { Index } = require('./lib/search.cjs');

const readEnvironment = () => call('readEnvironment', []);

module.exports = { Device, Index, Model, build, devices, readEnvironment, version };
