# SPDX-License-Identifier: MIT
"""Builds libvkclip by CMake and puts it into the package.

The wheel runs with every Python 3 of the platform, because ctypes needs no extension module. It has libvkclip in it
and never the Vulkan loader, which belongs to the system and its drivers. Libraries that have a static form which fits
are inside libvkclip; others are the system's, and the wheel is for this machine and its like.

VKCLIP_MANYLINUX=2_34 makes a wheel for other Linux systems: libvkclip then has only libraries that are static, and
the wheel is refused if libvkclip needs more than such systems have, or a newer glibc than that. VKCLIP_CMAKE_ARGS has
further arguments for CMake, in which {root} stands for the folder of the source.

With VKCLIP_BUNDLE=OFF nothing is built, and the package uses the system's libvkclip, as distributions want it.
"""

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


class BuildPy(build_py):
    def run(self):
        super().run()
        if not BUNDLE:
            return
        folder = os.path.abspath(os.path.join(self.get_finalized_command('build').build_base, 'cmake'))
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
        package = os.path.join(self.build_lib, 'vkclip')
        target = os.path.join(package, NAME)
        # The name is that of a link to the file with the whole version. The package has the file alone.
        shutil.copyfile(os.path.realpath(found), target)
        if sys.platform.startswith('linux') and shutil.which('strip'):
            subprocess.run(['strip', target], check=True)
        for text in ('LICENSE', 'NOTICE'):
            shutil.copyfile(os.path.join(ROOT, text), os.path.join(package, text))


class BdistWheel(bdist_wheel):
    def get_tag(self):
        if not BUNDLE:
            return 'py3', 'none', 'any'
        library = os.path.join(self.get_finalized_command('build').build_lib, 'vkclip', NAME)
        default = super().get_tag()[2]
        # The tag is asked for once before the library is built.
        return 'py3', 'none', choose_platform(library, default) if os.path.exists(library) else default

    def write_wheelfile(self, *arguments, **named):
        """Writes the last file before all are packed, and gives them modes that do not depend on the umask."""
        super().write_wheelfile(*arguments, **named)
        for folder, _, names in os.walk(self.bdist_dir):
            for name in names:
                os.chmod(os.path.join(folder, name), 0o644)


class BinaryDistribution(Distribution):
    """A wheel with a library is for one platform, although setuptools sees no extension module."""

    def has_ext_modules(self):
        return BUNDLE


setup(version=read_version(), cmdclass={'build_py': BuildPy, 'bdist_wheel': BdistWheel}, distclass=BinaryDistribution)
