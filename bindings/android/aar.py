#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Packs libvkclip, its JNI library and the Java classes into an AAR, with a prefab package for C and C++. Beside it
come its POM and a jar of the Java sources, which IDEs show.

    aar.py --classes FOLDER --libraries ABI=FOLDER... [--ndk MAJOR] [--notices FILE...] --output FOLDER

The folder of an ABI has libvkclip.so and libvkclip_jni.so, and that of the classes what javac wrote. Notices are the
licences of libraries that are linked into these. The same files give the same bytes. aar_check.py checks the result.
"""

import argparse
import io
import json
import os
import re
import zipfile

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(FOLDER))
API = 26
LIBRARIES = ('libvkclip.so', 'libvkclip_jni.so')
HEADERS = ('vkclip.h', 'vkclip_vulkan.h')


def read(*path):
    with open(os.path.join(*path), 'rb') as file:
        return file.read()


def read_version():
    text = read(ROOT, 'include', 'vkclip.h').decode()
    return '.'.join(re.findall(r'#define VKCLIP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)', text))


def make_zip(entries):
    """Returns a zip archive of the entries, name to content, in the order of their names and without times."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, 'w') as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            folder = name.endswith('/')
            info.external_attr = (0o40755 << 16 | 0x10) if folder else 0o100644 << 16
            info.compress_type = zipfile.ZIP_STORED if folder else zipfile.ZIP_DEFLATED
            archive.writestr(info, entries[name])
    return memory.getvalue()


def make_jar(folder, suffix):
    entries = {'META-INF/MANIFEST.MF': b'Manifest-Version: 1.0\r\n\r\n'}
    for path, _, names in os.walk(folder):
        for name in names:
            if name.endswith(suffix):
                entries[os.path.relpath(os.path.join(path, name), folder).replace(os.sep, '/')] = read(path, name)
    return make_zip(entries)


def make_json(value):
    return (json.dumps(value, indent=2) + '\n').encode()


def make_entries(version, classes, libraries, ndk, notices=()):
    """Returns the entries of an AAR. `libraries` has the folder of each ABI."""
    module = 'prefab/modules/vkclip/'
    package = {'schema_version': 2, 'name': 'vkclip', 'version': version, 'dependencies': []}
    entries = {
        'AndroidManifest.xml': read(FOLDER, 'AndroidManifest.xml'),
        'LICENSE': read(ROOT, 'LICENSE'),
        'NOTICE': b'\n'.join([read(ROOT, 'NOTICE'), *[read(path) for path in notices]]),
        'R.txt': b'',
        'classes.jar': make_jar(classes, '.class'),
        'proguard.txt': read(FOLDER, 'proguard.txt'),
        'res/': b'',
        'prefab/prefab.json': make_json(package),
        module + 'module.json': make_json({'export_libraries': [], 'library_name': 'libvkclip'}),
    }
    for header in HEADERS:
        entries[module + 'include/' + header] = read(ROOT, 'include', header)
    for abi, folder in libraries.items():
        for name in LIBRARIES:
            entries[f'jni/{abi}/{name}'] = read(folder, name)
        prefab = f'{module}libs/android.{abi}/'
        entries[prefab + 'abi.json'] = make_json({'abi': abi, 'api': API, 'ndk': ndk, 'stl': 'none', 'static': False})
        entries[prefab + 'libvkclip.so'] = read(folder, 'libvkclip.so')
    return entries


def main():
    parser = argparse.ArgumentParser(description='Packs an AAR and its POM.')
    parser.add_argument('--classes', required=True, help='folder of the compiled Java classes')
    parser.add_argument('--libraries', required=True, nargs='+', metavar='ABI=FOLDER')
    parser.add_argument('--ndk', type=int, default=27, help='major version of the NDK that built the libraries')
    parser.add_argument('--notices', nargs='+', default=[], metavar='FILE')
    parser.add_argument('--output', required=True, help='folder for the AAR, its POM and its sources')
    options = parser.parse_args()
    version = read_version()
    libraries = dict(item.split('=', 1) for item in options.libraries)
    os.makedirs(options.output, exist_ok=True)
    pom = read(FOLDER, 'pom.xml').replace(b'@VERSION@', version.encode())
    aar = make_zip(make_entries(version, options.classes, libraries, options.ndk, options.notices))
    sources = make_jar(os.path.join(FOLDER, 'java'), '.java')
    for suffix, content in (('.aar', aar), ('.pom', pom), ('-sources.jar', sources)):
        path = os.path.join(options.output, f'vkclip-{version}{suffix}')
        with open(path, 'wb') as file:
            file.write(content)
        print(f'{path}: {len(content)} bytes')


if __name__ == '__main__':
    main()
