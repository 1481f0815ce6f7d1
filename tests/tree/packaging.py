# SPDX-License-Identifier: MIT
"""packaging.py checks that the recipes in packaging/ agree with CMakeLists.txt, third_party/libraries.txt and each other:
versions, licence, options and libraries. Where the programs of a package manager are installed, they read its recipe too.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import types

COLUMNS = ('option', 'debian', 'arch', 'homebrew', 'vcpkg', 'conan', 'nix', 'licence')
BUILD_TIME = {'stb', 'vulkan-headers', 'glslang'}
PART_OPTIONS = {'TRAINING', 'HUB'}  # They need no library.
failures = []


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def same(what, found, expected):
    """Notes what a set lacks and what it has too much, or that a value differs."""
    if found == expected:
        return
    if isinstance(expected, set):
        failures.append(f'{what}: lacks {sorted(expected - found)}, should not have {sorted(found - expected)}')
    else:
        failures.append(f'{what}: expected {expected!r}, found {found!r}')


def run(command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def read_table():
    rows = [line.split(None, 8) for line in read('third_party/libraries.txt').splitlines() if not line.startswith('#')]
    return {row[0]: dict(zip(COLUMNS, row[1:])) for row in rows}


table = read_table()
cmake = read('CMakeLists.txt')
cmake_parts = cmake + ''.join(read(f'third_party/{name}') for name in os.listdir('third_party') if name.endswith('.cmake'))
version = '.'.join(re.findall(r'#define VKCLIP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)', read('include/vkclip.h')))
options = set(re.findall(r'option\(VKCLIP_WITH_([A-Z]+)', cmake)) | set(re.findall(r'^ *optional_library\((\w+)', cmake, re.M))


def names(column):
    return {row[column] for row in table.values() if row[column] != '-'}


def check_cmake():
    """The table has the libraries for which CMakeLists.txt looks, with the options that decide about them."""
    found = {}
    for call, words in re.findall(r'^ *(?:optional_library|vkclip_libraries)\((\w+) ([^$)]*?)(?: LACK| SOURCES|\))', cmake, re.M):
        for word in words.split():
            found[word.split('>')[0]] = {'microhttpd': 'SERVER'}.get(call, call.upper())
    for word in re.search(r'set\(required_packages (.*?)\)', cmake).group(1).split():
        found[word] = '-'
    for option, word in re.findall(r'VKCLIP_WITH_(\w+)\)\n  list\(APPEND required_packages (\S+)\)', cmake):
        found[word] = option
    found.pop('cmocka')
    expected = {name: row['option'] for name, row in table.items() if name not in BUILD_TIME | {'zlib'}}
    same('third_party/libraries.txt', set(expected.items()), set(found.items()))
    searched = set(re.findall(r'^  "(\S+) ', read('third_party/Libraries.cmake'), re.M))
    same('third_party/Libraries.cmake', searched - {'cmocka'}, set(found))
    same('third_party/libraries.txt, options', {row['option'] for row in table.values()} | PART_OPTIONS, options | {'-'})


def check_options(path):
    """Every option that a recipe names is one of CMakeLists.txt."""
    known = set(re.findall(r'\b(?:option|set)\((VKCLIP_[A-Z_]+)', cmake_parts)) | {f'VKCLIP_WITH_{name}' for name in options}
    used = set(re.findall(r'-D(VKCLIP_[A-Z_]+)', read(path)))
    same(f'{path}, options', used - known, set())


def check_debian():
    wanted = [line.split('#')[0].split() for line in read('third_party/packages.txt').splitlines()]
    wanted = {use: {row[1] for row in wanted if row and row[0] == use} for use in ('build', 'test')}
    same('third_party/packages.txt', wanted['build'] & names('debian'), names('debian'))
    control = read('packaging/debian/control')
    depends = set(re.findall(r'([a-z0-9.+-]+)(?: [(<][^,]*)?(?:,|\n)', re.search(r'Build-Depends:(.*?\n)\S', control, re.S).group(1)))
    same('packaging/debian/control', depends & names('debian'), names('debian'))
    tools = {'debhelper-compat', 'dh-sequence-python3'}
    same('packaging/debian/control, others', depends - wanted['build'] - wanted['test'] - tools, set())
    soversion = '.'.join(version.split('.')[:2]) if version.startswith('0.') else version.split('.')[0]
    same('packaging/debian/control, library', set(re.findall(r'\blibvkclip[0-9][0-9.]*', control)), {f'libvkclip{soversion}'})
    rules = read('packaging/debian/rules')
    same('packaging/debian/rules, library', set(re.findall(r'\blibvkclip[0-9][0-9.]*', rules)),
         {f'libvkclip{soversion}', f'libvkclip{soversion}.'})
    same('packaging/debian/changelog', re.match(r'vkclip \(([0-9.]+)-\d+\)', read('packaging/debian/changelog')).group(1), version)
    check_options('packaging/debian/rules')


def check_arch():
    path = 'packaging/arch/PKGBUILD'
    recipe = read(path)
    script = f'source {path} && echo "$pkgver $license" && echo "${{makedepends[@]}}"'
    head, makedepends = run(['bash', '-c', script]).splitlines()
    same(f'{path}, version and licence', head, f'{version} MIT')
    makedepends = set(makedepends.split())
    same(f'{path}, makedepends', {name for name in makedepends if not name.startswith('python-')},
         names('arch') | {'cmake', 'ninja'})
    depends = set(re.search(r'package_vkclip\(\).*?depends=\((.*?)\)', recipe, re.S).group(1).split())
    build_time = {table[name]['arch'] for name in BUILD_TIME}
    same(f'{path}, depends', depends, names('arch') - build_time | {'vulkan-driver', 'vulkan-icd-loader'})
    check_options(path)
    info = read('packaging/arch/.SRCINFO')
    values = set(re.findall(r'^\t(?:make)?depends = (.*)$', info, re.M))
    same('packaging/arch/.SRCINFO', values, makedepends | depends | {'python', 'python-numpy', 'vkclip'})
    same('packaging/arch/.SRCINFO, version', re.search(r'pkgver = (.*)', info).group(1), version)
    makepkg = shutil.which('makepkg')
    if makepkg and os.getuid() == 0 and shutil.which('runuser'):
        # It refuses to run as root, and asks for pacman, of which it then needs nothing.
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            shutil.copy(path, folder)
            with open(f'{folder}/pacman', 'w') as file:
                file.write('#!/bin/sh\n')
            os.chmod(f'{folder}/pacman', 0o755)
            shutil.chown(folder, 'nobody')
            written = run(['runuser', '-u', 'nobody', '--', 'env', f'PATH={folder}:/usr/bin:/bin', makepkg, '--printsrcinfo'],
                          cwd=folder)
            same('packaging/arch/.SRCINFO, by makepkg', info, written)


def check_homebrew():
    path = 'packaging/homebrew/vkclip.rb'
    recipe = read(path)
    same(f'{path}, depends_on', set(re.findall(r'depends_on "(.*?)"', recipe)),
         names('homebrew') | {'cmake', 'ninja', 'pkgconf', 'vulkan-loader', 'molten-vk'})
    same(f'{path}, version and licence', re.findall(r'^  (?:version|license) "(.*)"', recipe, re.M), [version, 'MIT'])
    same(f'{path}, address', re.findall(r'vkclip-([0-9.]+)\.tar', recipe), [version])
    check_options(path)
    if shutil.which('ruby'):
        run(['ruby', '-c', path])


def check_install():
    """What install.sh says on systems without apt names every library."""
    text = read('third_party/install.sh')
    for system, after, column in (('Arch', 'Homebrew', 'arch'), ('Homebrew', 'Windows', 'homebrew')):
        words = set(re.findall(r'[\w@.+-]+', re.search(f'^  {system} (.*?)^  {after} ', text, re.S | re.M).group(1)))
        same(f'third_party/install.sh, {system}', words & names(column), names(column))


def package_name(dependency):
    return dependency if isinstance(dependency, str) else dependency['name']


def check_vcpkg():
    port = json.loads(read('packaging/vcpkg/vkclip/vcpkg.json'))
    manifest = json.loads(read('vcpkg.json'))
    same('packaging/vcpkg/vkclip/vcpkg.json, version and licence', [port['version'], port['license'], manifest['license']],
         [version, 'MIT', 'MIT'])
    helpers = [{'name': 'vcpkg-cmake', 'host': True}, {'name': 'vcpkg-cmake-config', 'host': True}]
    same('packaging/vcpkg/vkclip/vcpkg.json, dependencies', port['dependencies'], manifest['dependencies'] + helpers)
    same('packaging/vcpkg/vkclip/vcpkg.json, default features', port['default-features'], manifest['default-features'])
    for name, feature in manifest['features'].items():
        same(f'packaging/vcpkg/vkclip/vcpkg.json, feature {name}', port['features'].get(name), feature)
    found = {(package_name(dependency), '-') for dependency in manifest['dependencies']}
    for name, feature in manifest['features'].items():
        found |= {(package_name(dependency), name.upper()) for dependency in feature['dependencies']}
    expected = {(row['vcpkg'], row['option']) for row in table.values()}
    same('vcpkg.json', {pair for pair in found if pair[0] != 'pkgconf'}, expected)
    pairs = set(re.findall(r'^        (\w+) (VKCLIP_\w+)$', read('packaging/vcpkg/vkclip/portfile.cmake'), re.M))
    same('packaging/vcpkg/vkclip/portfile.cmake', pairs,
         {(name.lower(), f'VKCLIP_WITH_{name}') for name in options} | {('command', 'VKCLIP_BUILD_COMMAND')})
    same('packaging/vcpkg/vkclip/vcpkg.json, features', set(port['features']), {feature for feature, _ in pairs})
    check_options('packaging/vcpkg/vkclip/portfile.cmake')


class Anything:
    """Stands for every module, class and function of Conan that a recipe imports."""

    def __getattr__(self, name):
        return Anything()

    def __call__(self, *arguments, **named):
        return Anything()


def check_conan():
    path = 'packaging/conan/conanfile.py'
    for name in ('conan', 'conan.tools', 'conan.tools.cmake', 'conan.tools.files', 'conan.tools.gnu', 'conan.tools.build'):
        module = types.ModuleType(name)
        module.__getattr__ = lambda attribute: type(attribute, (), {}) if attribute == 'ConanFile' else Anything()
        sys.modules[name] = module
    scope = {}
    exec(compile(read(path), path, 'exec'), scope)
    recipe = scope['VkclipConan']()
    same(f'{path}, version and licence', [recipe.version, recipe.license], [version, 'MIT'])
    same(f'{path}, options', {name[5:].upper() for name in recipe.options if name.startswith('with_')}, options)
    required = []
    recipe.requires = recipe.tool_requires = lambda package, **traits: required.append(package)
    recipe.options = types.SimpleNamespace(get_safe=lambda name: True, command=True)
    recipe.requirements()
    recipe.build_requirements()
    required = {re.fullmatch(r'([a-z0-9-]+)/\[[<>=0-9.* ]+\]', package).group(1) for package in required}
    same(f'{path}, packages', required, names('conan') | {'cmake', 'pkgconf'})
    defaults = {name[5:] for name, value in recipe.default_options.items() if name.startswith('with_') and value}
    same(f'{path}, default options', defaults, set(json.loads(read('vcpkg.json'))['default-features']))
    test = 'packaging/conan/test_package/conanfile.py'
    exec(compile(read(test), test, 'exec'), {})


def check_nix():
    path = 'packaging/nix/package.nix'
    recipe = read(path)
    found = set()
    for words in re.findall(r'uildInputs = \[(.*?)\]', recipe, re.S):
        found |= set(words.split())
    same(f'{path}, inputs', found, names('nix') | {'cmake', 'ninja', 'patchelf', 'pkg-config'})
    arguments = set(re.findall(r'[\w-]+', re.match(r'\{(.*?)\}:', recipe, re.S).group(1)))
    same(f'{path}, arguments', arguments, found | {'lib', 'stdenv', 'vulkan-loader'})
    same(f'{path}, version and licence', re.findall(r'(?:version = "|licenses\.)([0-9a-z.]+)', recipe), [version, 'mit'])
    check_options(path)
    if shutil.which('nix-instantiate'):
        for file in (path, 'packaging/nix/default.nix'):
            run(['nix-instantiate', '--parse', file])


for check in (check_cmake, check_debian, check_arch, check_homebrew, check_install, check_vcpkg, check_conan, check_nix):
    check()
for failure in failures:
    print(f'FAILED: {failure}')
programs = [program for program in ('makepkg', 'nix-instantiate', 'ruby') if shutil.which(program)]
print(f'{len(table)} libraries and tools, {len(options)} options; also read by: {" ".join(programs) or "no other program"}')
sys.exit(bool(failures))
