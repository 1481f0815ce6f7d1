// SPDX-License-Identifier: MIT
export { Device, Index, Model, build, devices, readEnvironment, version } from './index.cjs';
