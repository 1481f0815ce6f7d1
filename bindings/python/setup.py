# SPDX-License-Identifier: MIT
"""Builds libvkclip by CMake and puts it into the package.

The wheel runs with every Python 3 of the platform, because ctypes needs no extension module. It has libvkclip in it
and no library that libvkclip needs: neither the Vulkan loader, which belongs to the system and its drivers, nor the
libraries of picture formats. VKCLIP_CMAKE_ARGS has further arguments for CMake, such as -DVKCLIP_WITH_TRAINING=OFF.
"""

import os
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
NAMES = {'win32': 'vkclip.dll', 'darwin': 'libvkclip.dylib'}


def read_version():
    with open(os.path.join(ROOT, 'include', 'vkclip.h')) as file:
        return '.'.join(re.findall(r'#define VKCLIP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)', file.read()))


class BuildPy(build_py):
    def run(self):
        super().run()
        folder = os.path.abspath(os.path.join(self.get_finalized_command('build').build_base, 'cmake'))
        chosen = 'CMAKE_GENERATOR' in os.environ or not shutil.which('ninja')
        ninja = [] if chosen else ['-G', 'Ninja']
        subprocess.run(['cmake', '-S', ROOT, '-B', folder, *ninja, '-DCMAKE_BUILD_TYPE=Release',
                        '-DBUILD_SHARED_LIBS=ON', '-DVKCLIP_STATIC_DEPS=ON', '-DVKCLIP_BUILD_COMMAND=OFF',
                        '-DVKCLIP_BUILD_TESTS=OFF', '-DVKCLIP_BUILD_BENCH=OFF',
                        *shlex.split(os.environ.get('VKCLIP_CMAKE_ARGS', ''))], check=True)
        subprocess.run(['cmake', '--build', folder, '--config', 'Release', '--parallel', '--target', 'vkclip'],
                       check=True)
        name = NAMES.get(sys.platform, 'libvkclip.so')
        found = next(path for path in (os.path.join(folder, name), os.path.join(folder, 'Release', name))
                     if os.path.exists(path))
        package = os.path.join(self.build_lib, 'vkclip')
        target = os.path.join(package, name)
        # The name is that of a link to the file with the whole version. The package has the file alone.
        shutil.copyfile(os.path.realpath(found), target)
        if sys.platform.startswith('linux') and shutil.which('strip'):
            subprocess.run(['strip', target], check=True)
        for text in ('LICENSE', 'NOTICE'):
            shutil.copyfile(os.path.join(ROOT, text), os.path.join(package, text))


class BdistWheel(bdist_wheel):
    def get_tag(self):
        return 'py3', 'none', super().get_tag()[2]


class BinaryDistribution(Distribution):
    """A wheel with a library is for one platform, although setuptools sees no extension module."""

    def has_ext_modules(self):
        return True


setup(version=read_version(), cmdclass={'build_py': BuildPy, 'bdist_wheel': BdistWheel}, distclass=BinaryDistribution)
