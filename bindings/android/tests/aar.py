#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""aar.py CLANG: packs AARs with aar.py, and breaks them in each way that aar_check.py should see.

The libraries in them are tiny, and linked with stubs that have the names of symbols.txt.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ANDROID = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ANDROID)
import aar  # noqa: E402
import aar_check  # noqa: E402
import elf  # noqa: E402

CLANG = sys.argv.pop(1)
TARGETS = {'arm64-v8a': 'aarch64-linux-android', 'x86_64': 'x86_64-linux-android'}
LIBRARY = 'int *__errno(void); int vkclip_version(void); int vkclip_version(void) { return *__errno(); }'
JNI = '''
int vkclip_version(void); int __android_log_write(int, const char *, const char *); int JNI_OnLoad(void);
int JNI_OnLoad(void) { return __android_log_write(1, "", "") + vkclip_version(); }
'''


class Aar(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        with open(os.path.join(ANDROID, 'symbols.txt')) as file:
            rows = [line.split() for line in file if not line.startswith('#')]
        for abi in TARGETS:
            os.makedirs(cls.path(abi, 'stubs'))
            for name in {row[0] for row in rows} | {'libc++_shared'}:
                names = [symbol for library, symbol in rows if library == name] or ['stub']
                source = ''.join(f'void {symbol}(void); void {symbol}(void) {{}}\n' for symbol in names)
                cls.link(abi, source, f'stubs/{name}.so')
            cls.link(abi, LIBRARY, 'libvkclip.so', '-lc')
            cls.link(abi, JNI, 'libvkclip_jni.so', '-L' + cls.path(abi), '-lvkclip', '-llog')
        os.makedirs(cls.path('classes', 'dev', 'vkclip'))
        for name in aar_check.CLASSES:
            open(cls.path('classes', name), 'wb').close()
        cls.entries = aar.make_entries('0.1.0', cls.path('classes'), {abi: cls.path(abi) for abi in TARGETS}, 27)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.folder, *names)

    @classmethod
    def link(cls, abi, source, output, *flags, soname=None):
        """Links a shared library as the NDK would, and returns its bytes. Later flags replace those here."""
        subprocess.run([CLANG, f'--target={TARGETS[abi]}26', '-fuse-ld=lld', '-nostdlib', '-shared', '-fPIC', '-w',
                        '-ffreestanding', '-Wl,-soname,' + (soname or os.path.basename(output)),
                        '-Wl,-z,max-page-size=16384', '-L' + cls.path(abi, 'stubs'), '-x', 'c', '-', '-x', 'none',
                        *flags, '-o', cls.path(abi, output)], input=source.encode(), check=True)
        return aar.read(cls.path(abi, output))

    def check(self, entries, *expected):
        """Checks an AAR of the entries, and that each problem is an expected one."""
        path = self.path('broken.aar')
        with open(path, 'wb') as file:
            file.write(entries if isinstance(entries, bytes) else aar.make_zip(entries))
        problems = [f'{where}: {problem}' for where, problem in aar_check.find_aar_problems(path)]
        self.assertEqual(len(problems), len(expected), problems)
        for problem, pattern in zip(problems, expected):
            self.assertRegex(problem, pattern)

    def check_library(self, pattern, source, *flags, count=1, **options):
        """Checks an AAR whose libvkclip.so is linked from this source with these flags."""
        abi = 'arm64-v8a'
        data = self.link(abi, source, 'broken.so', '-lc', *flags, **{'soname': 'libvkclip.so', **options})
        entries = dict(self.entries)
        for name in (f'jni/{abi}/libvkclip.so', f'{aar_check.PREFAB}libs/android.{abi}/libvkclip.so'):
            entries[name] = data
        self.check(entries, *[f'^jni/{abi}/libvkclip.so: .*{pattern}'] * count)

    def test_good(self):
        self.check(self.entries)

    def test_command(self):
        """The same files give the same bytes, whatever their times are."""
        outputs = []
        for time in (1, 2000000000):
            for name in aar.LIBRARIES:
                os.utime(self.path('arm64-v8a', name), (time, time))
            output = self.path('output' + str(time))
            subprocess.run([sys.executable, os.path.join(ANDROID, 'aar.py'), '--classes', self.path('classes'),
                            '--libraries', *[f'{abi}={self.path(abi)}' for abi in TARGETS], '--output', output,
                            '--notices', os.path.join(aar.ROOT, 'LICENSE')], check=True, stdout=subprocess.DEVNULL)
            version = aar.read_version()
            names = [f'vkclip-{version}{suffix}' for suffix in ('.aar', '.pom', '-sources.jar')]
            outputs.append([aar.read(output, name) for name in names])
            check = [sys.executable, os.path.join(ANDROID, 'aar_check.py')]
            subprocess.run([*check, os.path.join(output, f'vkclip-{version}.aar'),
                            'arm64-v8a=' + self.path('arm64-v8a', 'libvkclip.so')], check=True, stdout=subprocess.DEVNULL)
            wrong = subprocess.run([*check, 'x86_64=' + self.path('arm64-v8a', 'libvkclip.so')], capture_output=True)
            self.assertEqual(wrong.returncode, 1)
        self.assertEqual(outputs[0], outputs[1])
        self.assertIn(f'<version>{version}</version>'.encode(), outputs[0][1])

    def test_entries(self):
        for name in self.entries:
            if not name.startswith('jni/'):
                with self.subTest(name):
                    self.check({other: self.entries[other] for other in self.entries if other != name},
                               '^' + re.escape(name) + ': is lacking')
        self.check({**self.entries, 'jni/x86_64/libc++_shared.so': b''}, r'libc\+\+_shared.so: is not expected')
        self.check({name: self.entries[name] for name in self.entries if not name.startswith('jni/')}, 'has the ABIs')
        self.check({**self.entries, 'jni/riscv64/libvkclip.so': b''}, 'has the ABIs')
        self.check({**self.entries, 'classes.jar': aar.make_zip({})}, *['^classes.jar: lacks'] * len(aar_check.CLASSES))

    def test_bytes(self):
        lines = aar.make_zip(self.entries).replace(b'\x21\x00', b'\x22\x00', 1)  # the date of the first entry
        self.check(lines, 'other bytes')

    def test_json(self):
        for path, key in (('prefab/prefab.json', 'schema_version'), ('prefab/prefab.json', 'version'),
                          (aar_check.PREFAB + 'module.json', 'library_name'),
                          (aar_check.PREFAB + 'libs/android.x86_64/abi.json', 'api'),
                          (aar_check.PREFAB + 'libs/android.x86_64/abi.json', 'ndk')):
            value = {**json.loads(self.entries[path]), key: None}
            self.check({**self.entries, path: json.dumps(value).encode()}, f'{re.escape(path)}: "{key}" is null')
            self.check({**self.entries, path: b'{'}, 'not an object of JSON')

    def test_libraries(self):
        self.check_library('aligned to 0x1000', LIBRARY, '-Wl,-z,max-page-size=4096', count=3)
        self.check_library(r'needs libc\+\+_shared.so', LIBRARY, '-lc++_shared', '-Wl,--no-as-needed')
        self.check_library('uses timespec_get, which symbols.txt lacks', LIBRARY + 'int g(void){timespec_get();}')
        self.check_library('uses sin without needing libm.so', LIBRARY + 'double g(void){return sin(1.0);}')
        self.check_library('soname libvkclip.so.0.1, expected libvkclip.so', LIBRARY, soname='libvkclip.so.0.1')
        self.check_library('search path', LIBRARY, '-Wl,-rpath,/usr/lib')
        variable = '_Thread_local int t; int *g(void){return &t;}'
        self.check_library('thread-local', LIBRARY + variable, '-fno-emulated-tls')
        self.check_library('uses __emutls_get_address', LIBRARY + variable, '-femulated-tls')
        self.check_library('relocations in its code', LIBRARY +
                           'asm(".text\\n.quad __errno\\n");', '-Wl,-z,notext')
        other = dict(self.entries)
        copy = aar_check.PREFAB + 'libs/android.arm64-v8a/libvkclip.so'
        other[copy] = self.entries['jni/x86_64/libvkclip.so']
        self.check(other, 'differs from jni')

    def test_machine_and_damage(self):
        entries = dict(self.entries)
        name, copy = 'jni/arm64-v8a/libvkclip.so', aar_check.PREFAB + 'libs/android.arm64-v8a/libvkclip.so'
        good = entries[name]
        for data, pattern in ((self.entries['jni/x86_64/libvkclip.so'], 'machine 62, expected 183'),
                              (b'', 'little-endian'), (good[:1000], '.'), (good[:64], 'outside')):
            entries[name] = entries[copy] = data
            self.check(entries, pattern)
        # No damaged byte may end the check with anything but problems.
        for at in range(0, len(good), 7):
            list(elf.find_problems('libvkclip.so', good[:at] + b'\xff' + good[at + 1:], 'arm64-v8a'))


if __name__ == '__main__':
    unittest.main()
