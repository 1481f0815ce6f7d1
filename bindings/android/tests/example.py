#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""example.py JAVAC compiles the example application with stubs of Android's classes, and checks that its XML files are
well-formed and name only what there is. Neither Android's tools nor its classes take part."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ANDROID = '{http://schemas.android.com/apk/res/android}'
BINDING = pathlib.Path('bindings/android')
MAIN = pathlib.Path('examples/android/app/src/main')


def write_stubs(folder):
    """Writes each class of android.txt, and of the tests' stubs those that it does not have."""
    text = (BINDING / 'tests/android.txt').read_text()
    for package, body in re.findall(r'^package ([\w.]+);\n(.*?)(?=^package |\Z)', text, re.M | re.S):
        name = re.search(r'^public [\w ]*?(?:class|interface) (\w+)', body, re.M).group(1)
        path = folder / package.replace('.', '/') / f'{name}.java'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'package {package};\n{body}')
    for stub in (BINDING / 'tests/stubs').rglob('*.java'):
        path = folder / stub.relative_to(BINDING / 'tests/stubs')
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(stub.read_text())


def read_resources():
    """Returns the names of each kind of resource, after checking those that the XML files use."""
    names = {'layout': {path.stem for path in (MAIN / 'res/layout').glob('*.xml')}, 'string': set(), 'id': set()}
    trees = {path: xml.etree.ElementTree.parse(path) for path in MAIN.rglob('*.xml')}
    values = [value for tree in trees.values() for node in tree.iter() for value in node.attrib.values()]
    for tree in trees.values():
        names['string'].update(node.get('name') for node in tree.iter('string'))
    names['id'].update(value[5:] for value in values if value.startswith('@+id/'))
    for kind, name in (value[1:].split('/') for value in values if re.match(r'@(string|layout|id)/', value)):
        assert name in names[kind], f'@{kind}/{name} does not exist'
    return names, trees


def write_r(folder, names):
    kinds = [f'    public static final class {kind} {{\n' +
             ''.join(f'        public static final int {name} = {i};\n' for i, name in enumerate(sorted(found))) +
             '    }\n' for kind, found in names.items()]
    path = folder / 'dev/vkclip/example/R.java'
    path.parent.mkdir(parents=True)
    path.write_text('package dev.vkclip.example;\npublic final class R {\n' + ''.join(kinds) + '}\n')


def check_manifest(tree):
    for activity in tree.iter('activity'):
        source = MAIN / 'java/dev/vkclip/example' / (activity.get(ANDROID + 'name')[1:] + '.java')
        assert source.exists(), f'{source} does not exist, which the manifest names'


def main():
    names, trees = read_resources()
    check_manifest(trees[MAIN / 'AndroidManifest.xml'])
    sources = sorted((MAIN / 'java').rglob('*.java'))
    used = {match for path in sources for match in re.findall(r'\bR\.(\w+)\.(\w+)', path.read_text())}
    for name in names['string'] - {name for kind, name in used if kind == 'string'}:
        text = ''.join(path.read_text() for path in trees)
        assert f'@string/{name}"' in text, f'nothing uses the string {name}'
    os.environ['LC_ALL'] = 'C.UTF-8'  # With POSIX's locale Java opens no file whose path is not ASCII.
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write_stubs(folder / 'stubs')
        write_r(folder / 'r', names)
        subprocess.run([sys.argv[1], '--release', '8', '-Xlint:-options', '-d', folder / 'classes',
                        *(folder / 'stubs').rglob('*.java'), *(BINDING / 'java').rglob('*.java'),
                        *(folder / 'r').rglob('*.java')], check=True)
        subprocess.run([sys.argv[1], '--release', '8', '-Xlint:all,-options', '-Werror', '-d', folder / 'example',
                        '-cp', folder / 'classes', *sources], check=True)
    print(f'{len(sources)} classes of the example compile, {len(trees)} XML files are right')


if __name__ == '__main__':
    main()
