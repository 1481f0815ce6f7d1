# SPDX-License-Identifier: MIT
"""Builds libvkclip by CMake and puts it into the package.

The wheel runs with every Python 3 of the platform, because ctypes needs no extension module. It has libvkclip in it
and never the Vulkan loader, which belongs to the system and its drivers. Libraries that have a static form which fits
are inside libvkclip; others are the system's, and the wheel is for this machine and its like.

VKCLIP_MANYLINUX=2_34 makes a wheel for other Linux systems: libvkclip then has only libraries that are static, and
the wheel is refused if libvkclip needs more than such systems have, or a newer glibc than that. VKCLIP_CMAKE_ARGS has
further arguments for CMake, in which {root} stands for the folder of the source.

The wheel has the licences and notices of all libraries whose code is in it, in *.dist-info/licenses, and the bill of
materials, in *.dist-info/sboms. They come from the packages of Debian, Arch Linux or vcpkg that were linked; a wheel
for other systems is refused where one is not found.

With VKCLIP_BUNDLE=OFF nothing is built, and the package uses the system's libvkclip, as distributions want it.
"""

import glob
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution
try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70.1
    from wheel.bdist_wheel import bdist_wheel

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUNDLE = os.environ.get('VKCLIP_BUNDLE') != 'OFF'
NAMES = {'win32': 'vkclip.dll', 'darwin': 'libvkclip.dylib'}
NAME = NAMES.get(sys.platform, 'libvkclip.so')
MANYLINUX = os.environ.get('VKCLIP_MANYLINUX', '')
# What every system has that the manylinux tags stand for, by PEP 600, as far as libvkclip may need it.
EVERYWHERE = {'libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0', 'librt.so.1', 'libgcc_s.so.1', 'libz.so.1'}


def read_version():
    with open(os.path.join(ROOT, 'include', 'vkclip.h')) as file:
        return '.'.join(re.findall(r'#define VKCLIP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)', file.read()))


def read_needs(library):
    """Returns the libraries that a library needs which not every Linux system has, and the glibc (2, N) that it
    needs."""
    text = subprocess.run(['objdump', '-p', library], stdout=subprocess.PIPE, text=True, check=True).stdout
    others = set(re.findall(r'NEEDED +(\S+)', text)) - EVERYWHERE
    versions = re.findall(r'\bGLIBC_(\d+)\.(\d+)', text)
    glibc = max((int(major), int(minor)) for major, minor in versions)
    return sorted(name for name in others if not name.startswith('ld-linux')), glibc


def choose_platform(library, default):
    """Returns the tag of the platforms on which a library runs."""
    if not default.startswith('linux') or not shutil.which('objdump'):
        return default
    others, glibc = read_needs(library)
    if MANYLINUX:
        allowed = tuple(map(int, MANYLINUX.split('_')))
        if others or glibc > allowed:
            raise SystemExit(f'{library} needs {", ".join([*others, "glibc %d.%d" % glibc])}: expected at most glibc '
                             f'{"%d.%d" % allowed} and no library that not every system has')
    if others:
        print(f'the wheel is for systems with {", ".join(others)}')
        return default
    return 'manylinux_%d_%d_%s' % (*glibc, platform.machine())


def build_folder(command):
    return os.path.abspath(os.path.join(command.get_finalized_command('build').build_base, 'cmake'))


def library_path(command):
    return os.path.join(command.get_finalized_command('build').build_lib, 'vkclip', NAME)


def read_inside(bill):
    """Returns the names and licences of the libraries whose code is in libvkclip, by its bill of materials."""
    with open(bill) as file:
        document = json.load(file)
    # Tools, and libraries that are linked when the program starts, leave no code in it.
    inside = {relation[end] for relation in document['relationships'] for end in ('spdxElementId', 'relatedSpdxElement')
              if relation['relationshipType'] in ('STATIC_LINK', 'CONTAINS', 'BUILD_DEPENDENCY_OF')}
    return {package['name']: package['licenseDeclared'] for package in document['packages']
            if package['SPDXID'] in inside and package['SPDXID'] != 'SPDXRef-vkclip'}


def find_notices(folder, libraries):
    """Returns the files in which the packages of libraries have their licences and notices, by the names that they
    get."""
    found = {}
    missing = []
    with open(os.path.join(ROOT, 'third_party', 'libraries.txt')) as file:
        packages = {line.split()[0]: line.split()[2:6] for line in file if line[0] != '#'}
    # A library of vcpkg may contain others, which have packages there too.
    for path in glob.glob(os.path.join(folder, 'vcpkg_installed', '*', 'share', '*', 'copyright')):
        found[os.path.basename(os.path.dirname(path)) + '.txt'] = path
    for library in libraries:
        debian, arch, _, vcpkg = packages[library]
        paths = [f'/usr/share/doc/{debian}/copyright', *sorted(glob.glob(f'/usr/share/licenses/{arch}/*'))]
        paths = [path for path in paths if os.path.isfile(path)]
        if vcpkg + '.txt' not in found:
            found.update((f'{library}{i or ""}.txt', path) for i, path in enumerate(paths))
            if not paths:
                missing.append(library)
    for path in list(found.values()):
        with open(path, encoding='utf-8', errors='replace') as file:
            # Debian has the text of a common licence once.
            for name in re.findall(r'/usr/share/common-licenses/([\w-]+(?:\.\w+)*)', file.read()):
                found[name + '.txt'] = '/usr/share/common-licenses/' + name
    if missing:
        message = f'the licences of {", ".join(missing)}, whose code is in libvkclip, were not found'
        if MANYLINUX:
            raise SystemExit(f'{message}: expected the packages of Debian, Arch Linux or vcpkg')
        print(f'{message}: add them before the wheel is given to others')
    return found


def write_licences(command, information):
    """Puts licences, notices and the bill of materials into the folder *.dist-info, and names them in METADATA."""
    folder = build_folder(command)
    bill = os.path.join(information, 'sboms', 'libvkclip.spdx.json')
    os.makedirs(os.path.dirname(bill))
    # The bill of materials has the checksums of the library as it is in the wheel, without its symbols.
    subprocess.run(['cmake', f'-DDESCRIPTION={folder}/sbom/libvkclip.cmake', f'-DFILE={library_path(command)}',
                    f'-DOUTPUT={bill}', '-P', os.path.join(ROOT, 'third_party', 'SbomWrite.cmake')], check=True)
    libraries = read_inside(bill)
    files = {name: os.path.join(ROOT, name) for name in ('LICENSE', 'NOTICE')}
    files.update(sorted((f'libraries/{name}', path) for name, path in find_notices(folder, libraries).items()))
    for name, path in files.items():
        copy = os.path.join(information, 'licenses', name)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copyfile(path, copy)
    licences = {part for licence in libraries.values() for part in licence.split(' AND ')} - {'MIT'}
    licences = sorted(f'({part})' if ' OR ' in part else part for part in licences)
    with open(os.path.join(information, 'METADATA'), encoding='utf-8') as file:
        head, separator, body = file.read().partition('\n\n')
    replaced = ('Metadata-Version:', 'License', 'Dynamic: license')
    lines = [line for line in head.splitlines() if not line.startswith(replaced)]
    lines = ['Metadata-Version: 2.4', *lines, 'License-Expression: ' + ' AND '.join(['MIT', *licences]),
             *[f'License-File: {name}' for name in files]]
    with open(os.path.join(information, 'METADATA'), 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines) + (separator or '\n') + body)


class BuildPy(build_py):
    def run(self):
        super().run()
        if not BUNDLE:
            return
        folder = build_folder(self)
        chosen = 'CMAKE_GENERATOR' in os.environ or not shutil.which('ninja')
        ninja = [] if chosen else ['-G', 'Ninja']
        # Debian's libzip, which reads PyTorch's files, has no static form.
        torch, static = ('OFF', 'ONLY') if MANYLINUX else ('ON', 'ON')
        root = shlex.quote(ROOT.replace(os.sep, '/'))
        further = os.environ.get('VKCLIP_CMAKE_ARGS', '').replace('{root}', root)
        subprocess.run(['cmake', '-S', ROOT, '-B', folder, *ninja, '-DCMAKE_BUILD_TYPE=Release',
                        '-DBUILD_SHARED_LIBS=ON', f'-DVKCLIP_STATIC_DEPS={static}', f'-DVKCLIP_WITH_TORCH={torch}',
                        '-DVKCLIP_BUILD_COMMAND=OFF', '-DVKCLIP_BUILD_TESTS=OFF', '-DVKCLIP_BUILD_BENCH=OFF',
                        *shlex.split(further)], check=True)
        subprocess.run(['cmake', '--build', folder, '--config', 'Release', '--parallel', '--target', 'vkclip'],
                       check=True)
        found = next(path for path in (os.path.join(folder, NAME), os.path.join(folder, 'Release', NAME))
                     if os.path.exists(path))
        target = os.path.join(self.build_lib, 'vkclip', NAME)
        # The name is that of a link to the file with the whole version. The package has the file alone.
        shutil.copyfile(os.path.realpath(found), target)
        if sys.platform.startswith('linux') and shutil.which('strip'):
            subprocess.run(['strip', target], check=True)


class BdistWheel(bdist_wheel):
    def get_tag(self):
        if not BUNDLE:
            return 'py3', 'none', 'any'
        library = library_path(self)
        default = super().get_tag()[2]
        # The tag is asked for once before the library is built.
        return 'py3', 'none', choose_platform(library, default) if os.path.exists(library) else default

    def write_wheelfile(self, information, *arguments, **named):
        """Writes the last files before all are packed, and gives all modes that do not depend on the umask."""
        super().write_wheelfile(information, *arguments, **named)
        if BUNDLE:
            write_licences(self, information)
        for folder, _, names in os.walk(self.bdist_dir):
            for name in names:
                os.chmod(os.path.join(folder, name), 0o644)


class BinaryDistribution(Distribution):
    """A wheel with a library is for one platform, although setuptools sees no extension module."""

    def has_ext_modules(self):
        return BUNDLE


setup(version=read_version(), license='MIT', distclass=BinaryDistribution,
      cmdclass={'build_py': BuildPy, 'bdist_wheel': BdistWheel})
