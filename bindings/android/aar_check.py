#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks AARs of vkclip and single libraries: aar_check.py [--glibc] FILE.aar|ABI=LIBRARY...

It looks at the entries of the AAR, the JSON of its prefab package, and for each library at what elf.py refuses. With
--glibc a library may be built with glibc in place of Android's C library, as the tests build it.
"""

import io
import json
import os
import sys
import zipfile

from aar import API, HEADERS, LIBRARIES, make_zip
from elf import MACHINES, find_problems

ENTRIES = {'AndroidManifest.xml', 'LICENSE', 'NOTICE', 'R.txt', 'classes.jar', 'proguard.txt', 'res/'}
PREFAB = 'prefab/modules/vkclip/'
CLASSES = {'dev/vkclip/' + name + '.class' for name in ('Device', 'Model', 'Index', 'Native', 'VkclipException')}
SIBLINGS = {'libvkclip.so': (), 'libvkclip_jni.so': ('libvkclip.so',)}


def expected_entries(abis):
    """Returns the names that an AAR with these ABIs has, and no others."""
    names = ENTRIES | {'prefab/prefab.json', PREFAB + 'module.json'} | {PREFAB + 'include/' + name for name in HEADERS}
    for abi in abis:
        names |= {f'jni/{abi}/{name}' for name in LIBRARIES}
        names |= {f'{PREFAB}libs/android.{abi}/{name}' for name in ('abi.json', 'libvkclip.so')}
    return names


def find_json_problems(entries, abis):
    expected = {'prefab/prefab.json': {'schema_version': 2, 'name': 'vkclip', 'dependencies': []},
                PREFAB + 'module.json': {'export_libraries': [], 'library_name': 'libvkclip'}}
    kinds = {'prefab/prefab.json': {'version': str}}
    for abi in abis:
        path = f'{PREFAB}libs/android.{abi}/abi.json'
        expected[path] = {'abi': abi, 'api': API, 'stl': 'none', 'static': False}
        kinds[path] = {'ndk': int}
    for path, values in expected.items():
        try:
            found = json.loads(entries[path])
            wrong = {key for key in values if found.get(key) != values[key]}
            wrong |= {key for key, kind in kinds.get(path, {}).items() if not isinstance(found.get(key), kind)}
        except (ValueError, AttributeError) as error:
            yield path, f'not an object of JSON: {error}'
            continue
        for key in sorted(wrong):
            yield path, f'"{key}" is {json.dumps(found.get(key))}, expected {values.get(key, "a value")}'


def find_aar_problems(path, glibc=False):
    """Yields an entry and what is wrong with it."""
    with open(path, 'rb') as file:
        content = file.read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
        if len(entries) != len(archive.namelist()):
            yield path, 'has two entries of one name'
    abis = sorted({name.split('/')[1] for name in entries if name.startswith('jni/')})
    if not abis or not set(abis) <= set(MACHINES):
        yield 'jni/', f'has the ABIs {abis}, expected some of {sorted(MACHINES)}'
        return
    names = expected_entries(abis)
    for name in sorted(names - set(entries)):
        yield name, 'is lacking'
    for name in sorted(set(entries) - names):
        yield name, 'is not expected'
    if names - set(entries):
        return
    yield from find_json_problems(entries, abis)
    with zipfile.ZipFile(io.BytesIO(entries['classes.jar'])) as jar:
        for name in sorted(CLASSES - set(jar.namelist())):
            yield 'classes.jar', f'lacks {name}'
    for abi in abis:
        for name in LIBRARIES:
            for problem in find_problems(name, entries[f'jni/{abi}/{name}'], abi, SIBLINGS[name], glibc):
                yield f'jni/{abi}/{name}', problem
        copy = f'{PREFAB}libs/android.{abi}/libvkclip.so'
        if entries[copy] != entries[f'jni/{abi}/libvkclip.so']:
            yield copy, f'differs from jni/{abi}/libvkclip.so'
    if make_zip(entries) != content:
        yield path, 'has other bytes than aar.py writes for these entries'


def main():
    arguments = sys.argv[1:]
    glibc = '--glibc' in arguments
    arguments = [argument for argument in arguments if argument != '--glibc']
    if not arguments:
        sys.exit(__doc__.split('\n', 1)[0])
    failed = False
    for argument in arguments:
        if '=' in argument:
            abi, path = argument.split('=', 1)
            name = os.path.basename(path)
            with open(path, 'rb') as file:
                problems = [(path, problem) for problem in find_problems(name, file.read(), abi, SIBLINGS[name], glibc)]
        else:
            problems = list(find_aar_problems(argument, glibc))
        for where, problem in problems:
            print(f'FAILED: {where}: {problem}')
        failed = failed or bool(problems)
        if not problems:
            print(f'{argument} is as Android expects it')
    sys.exit(failed)


if __name__ == '__main__':
    main()
