# SPDX-License-Identifier: MIT
"""The tests run in the root of the project, with VKCLIP_LIBRARY (libvkclip), VKCLIP_COMMAND (vkclip) and
VKCLIP_DECLARATIONS (the program of layout.c) in the environment."""

import os

import pytest
import vkclip

MODEL = 'models/emoji-clip'


@pytest.fixture(scope='session')
def device():
    # The number of the device leaves out the warning that a CPU computes.
    with vkclip.Device(next(info.index for info in vkclip.devices() if info.usable)) as opened:
        yield opened


@pytest.fixture(scope='session')
def model(device):
    with vkclip.Model(MODEL, device=device) as opened:
        yield opened


@pytest.fixture(scope='session')
def command():
    return os.path.abspath(os.environ['VKCLIP_COMMAND'])
