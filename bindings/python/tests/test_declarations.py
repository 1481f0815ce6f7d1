# SPDX-License-Identifier: MIT
"""_lib.py says what the header says, and lays structs out as C does."""

import ctypes
import glob
import os
import re
import subprocess

import generate
from vkclip import _lib, _library

# Of vkclip_vulkan.h: they need handles of Vulkan, which Python's programs do not have.
VULKAN = {'vkclip_encode_vulkan_buffers', 'vkclip_encode_vulkan_images', 'vkclip_get_vulkan_wants',
          'vkclip_open_vulkan_device'}


def test_generated():
    with open(generate.OUTPUT) as file:
        assert file.read() == generate.generate(os.environ.get('CC', 'cc')), 'run bindings/python/generate.py'


def read_layout():
    """Returns a list for each kind of declaration of names, values and sizes."""
    kinds = {kind: [] for kind in '1234'}
    lines = subprocess.run([os.environ['VKCLIP_DECLARATIONS']], stdout=subprocess.PIPE, check=True, text=True).stdout
    for line in lines.splitlines():
        kind, name, value, size = line.split()
        if name not in VULKAN and not name.startswith('vkclip_vulkan_'):
            kinds[kind].append((name, int(value), int(size)))
    return [kinds[kind] for kind in '1234']


def test_layout():
    structs, members, enumerators, functions = read_layout()
    for name, size, _ in structs:
        assert ctypes.sizeof(getattr(_lib, name)) == size, name
    assert members
    for name, offset, size in members:
        struct, member = name.split('.')
        field = getattr(getattr(_lib, struct), member)
        assert (field.offset, field.size) == (offset, size), name
    count = sum(len(getattr(_lib, name)._fields_) for name, _, _ in structs)
    assert count == len(members)
    assert enumerators
    for name, value, _ in enumerators:
        assert getattr(_lib, name) == ctypes.c_long(value).value, name
    declared = {name for name, *_ in _lib.FUNCTIONS}
    for name, _, _ in functions:
        assert name in declared or hasattr(_lib, name), name


def test_functions_exist():
    for name, *_ in _lib.FUNCTIONS:
        assert hasattr(_library.lib, name)


# What the package leaves out, and why.
UNUSED = {
    'vkclip_get_device_info': 'vkclip_get_device_infos tells the same of all devices of a handle',
    'vkclip_has_postgresql': 'vkclip_get_build names what a build has',
    'vkclip_has_search': 'vkclip_get_build names what a build has',
    'vkclip_make_thumbnail': 'Pillow makes thumbnails',
    'vkclip_open_archive': 'vkclip_open_tar does the same, and can be cancelled',
    'vkclip_set_allocator': 'a function of Python that allocates is slow, and would run in every thread of the library',
}


def test_functions_are_used():
    """Every function of the library is within reach, or is left out for a reason."""
    declared = {name for name, *_ in _lib.FUNCTIONS}
    with open('src/api/vkclip.symbols') as file:
        assert declared == set(file.read().split()) - VULKAN
    used = set()
    for path in glob.glob(os.path.dirname(_lib.__file__) + '/*.py'):
        if path != _lib.__file__:
            with open(path) as file:
                used |= set(re.findall(r'\b(?:lib|found)\.(vkclip_\w+)', file.read()))
    assert declared - used == set(UNUSED)
