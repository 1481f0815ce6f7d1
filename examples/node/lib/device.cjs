// SPDX-License-Identifier: MIT
'use strict';
const { call } = require('./call.cjs');
const { Handle, handleOf, own, toPath } = require('./handle.cjs');

const describe = (info) => ({ ...info, caps: info.caps.split(' ').filter(Boolean) });

async function devices(options) {
  return (await call('devices', [], options)).map(describe);
}

class Device {
  static async open(options = {}) {
    const device = typeof options.device === 'number' ? String(options.device) : options.device;
    const parameters = { ...options, device, cacheDir: toPath(options.cacheDir) };
    const { handle, info } = await call('openDevice', [parameters], options);
    return new Device(handle, info.map(describe));
  }

  constructor(external, infos) {
    this.infos = infos;
    own(this, new Handle('device', external));
  }

  close() {
    return handleOf(this, 'device').close();
  }
}

module.exports = { Device, devices };
