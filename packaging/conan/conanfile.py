# SPDX-License-Identifier: MIT
"""Recipe of vkclip for Conan 2. It packages the tree that it lies in: conan create packaging/conan"""

import os

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, rmdir
from conan.tools.gnu import PkgConfigDeps

# Options VKCLIP_WITH_NAME with the packages that each needs.
LIBRARIES = {
    'avif': ['libavif/[>=0.11]'],
    'curl': ['libcurl/[>=7.85]', 'openssl/[>=1.1]'],
    'exif': ['libexif/[>=0.6]'],
    'heif': ['libheif/[>=1.15]'],
    'hub': [],
    'jpeg': ['libjpeg-turbo/[>=2.1]'],
    'jxl': ['libjxl/[>=0.7]'],
    'libarchive': ['libarchive/[>=3.4]'],
    'png': ['libspng/[>=0.7]'],
    'postgresql': ['libpq/[>=14]'],
    'search': ['sqlite3/[>=3.35]', 'xxhash/[>=0.8]'],
    'server': ['libmicrohttpd/[>=0.9.75]'],
    'tiff': ['libtiff/[>=4.5]'],
    'torch': ['libzip/[>=1.7]'],
    'training': [],
    'webp': ['libwebp/[>=1.2]'],
}
# Those that only the command needs.
COMMAND = ('curl', 'server')


class VkclipConan(ConanFile):
    name = 'vkclip'
    version = '0.1.0'
    description = 'CLIP image and text models on Vulkan compute'
    license = 'MIT'
    package_type = 'library'
    settings = 'os', 'arch', 'compiler', 'build_type'
    options = {'shared': [True, False], 'command': [True, False],
               **{f'with_{name}': [True, False] for name in LIBRARIES}}
    default_options = {'shared': True, 'command': False,
                       **{f'with_{name}': name in ('exif', 'jpeg', 'png', 'search', 'torch', 'webp') for name in LIBRARIES}}

    def has(self, name):
        return bool(self.options.get_safe(f'with_{name}')) and (name not in COMMAND or bool(self.options.command))

    def configure(self):
        self.settings.rm_safe('compiler.cppstd')
        self.settings.rm_safe('compiler.libcxx')

    def export_sources(self):
        copy(self, '*', os.path.join(self.recipe_folder, '..', '..'), self.export_sources_folder,
             excludes=('build*/*', '.git/*', 'tests/*'))

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        for package in ('zlib/[>=1.2]', 'jansson/[>=2.12]', 'utf8proc/[>=2.6]', 'gumbo-parser/[>=0.10]'):
            self.requires(package)
        for name, packages in LIBRARIES.items():
            if self.has(name):
                for package in packages:
                    self.requires(package)
        # Headers that are compiled into the library.
        for package in ('stb/[*]', 'vulkan-headers/[>=1.3]'):
            self.requires(package, headers=True, libs=False, visible=False)

    def build_requirements(self):
        # The versions 8 to 11 are older than 1.3.
        self.tool_requires('glslang/[>=1.3 <2]')
        self.tool_requires('cmake/[>=3.22]')
        # It finds libraries whose CMake packages have other names than those of vcpkg, gumbo for one.
        self.tool_requires('pkgconf/[>=1.9]')

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables['VKCLIP_BUILD_BENCH'] = False
        toolchain.cache_variables['VKCLIP_BUILD_COMMAND'] = bool(self.options.command)
        toolchain.cache_variables['VKCLIP_BUILD_TESTS'] = False
        for name in LIBRARIES:
            toolchain.cache_variables[f'VKCLIP_WITH_{name.upper()}'] = self.has(name)
        toolchain.generate()
        CMakeDeps(self).generate()
        PkgConfigDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        for name in ('LICENSE', 'NOTICE'):
            copy(self, name, self.source_folder, os.path.join(self.package_folder, 'licenses'))
        for folder in (('lib', 'cmake'), ('lib', 'pkgconfig')):
            rmdir(self, os.path.join(self.package_folder, *folder))

    def package_info(self):
        self.cpp_info.set_property('cmake_file_name', 'vkclip')
        self.cpp_info.set_property('cmake_target_name', 'vkclip::vkclip')
        self.cpp_info.set_property('pkg_config_name', 'vkclip')
        self.cpp_info.libs = ['vkclip']
        if self.options.shared:
            self.cpp_info.defines = ['VKCLIP_SHARED']
        elif self.settings.os in ('Linux', 'Android', 'FreeBSD'):
            self.cpp_info.system_libs = ['dl', 'm', 'pthread']
