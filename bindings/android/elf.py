# SPDX-License-Identifier: MIT
"""Reads what Android's loader sees of a shared library, and tells what it would refuse or a device may lack."""

import os
import re
import struct

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(FOLDER))
MACHINES = {'arm64-v8a': 183, 'x86_64': 62}
PAGE = 0x4000
PT_LOAD, PT_DYNAMIC, PT_TLS = 1, 2, 7
DT_NEEDED, DT_SONAME, DT_RPATH, DT_TEXTREL, DT_RUNPATH, DT_FLAGS = 1, 14, 15, 22, 29, 30
DF_TEXTREL = 4
SHT_DYNSYM = 11
# Libraries of the system that every device with API level 26 has. symbols.txt has the names that are used of them.
SYSTEM = {'libc.so', 'libm.so', 'libdl.so', 'liblog.so', 'libandroid.so', 'libjnigraphics.so', 'libz.so'}
# A library that is built with glibc in place of bionic has these names for bionic's.
GLIBC_NAMES = {
    '__assert_fail': '__assert2', '__ctype_b_loc': 'isalnum', '__ctype_tolower_loc': 'tolower',
    '__errno_location': '__errno', '__getauxval': 'getauxval', '__isoc99_fscanf': 'fscanf', '__isoc99_sscanf': 'sscanf',
    '__printf_chk': 'printf', '__snprintf_chk': 'snprintf', 'bcmp': 'memcmp', 'fcntl64': 'fcntl',
    'fopencookie': 'fopen',  # base/console.c uses it with glibc only
}


class ElfError(Exception):
    pass


class Library:
    """A shared library: machine, loads, needed, soname, undefined (names that it cannot do without) and others."""

    def __init__(self, data):
        self.data = data
        if data[:6] != b'\x7fELF\x02\x01':
            raise ElfError('expected a little-endian ELF file of 64 bits')
        (self.type, self.machine, _, _, program, section, _, _, program_size, program_count, section_size,
         section_count, _) = self.read('<HHIQQQIHHHHHH', 16)
        segments = [self.read('<IIQQQQQQ', program + i * program_size) for i in range(program_count)]
        sections = [self.read('<IIQQQQIIQQ', section + i * section_size) for i in range(section_count)]
        self.loads = [(offset, address, align) for kind, _, offset, address, _, _, _, align in segments
                      if kind == PT_LOAD]
        self.thread_local = any(kind == PT_TLS for kind, *_ in segments)
        self.read_dynamic(segments)
        self.read_symbols(sections)

    def read(self, form, offset):
        try:
            return struct.unpack_from(form, self.data, offset)
        except struct.error:
            raise ElfError(f'a table lies outside of the file, at byte {offset}') from None

    def text(self, offset):
        return self.data[offset:self.data.index(b'\0', offset)].decode()

    def file_offset(self, address):
        for offset, start, _ in sorted(self.loads, reverse=True, key=lambda load: load[1]):
            if start <= address:
                return address - start + offset
        raise ElfError(f'no segment has the address {address:#x}')

    def read_dynamic(self, segments):
        dynamic = [(offset, size) for kind, _, offset, _, _, size, _, _ in segments if kind == PT_DYNAMIC]
        if not dynamic:
            raise ElfError('expected a shared library, found a file without a dynamic section')
        offset, size = dynamic[0]
        entries = [self.read('<QQ', at) for at in range(offset, offset + size, 16)]
        values = dict(reversed(entries))
        strings = self.file_offset(values[5])
        self.needed = [self.text(strings + value) for tag, value in entries if tag == DT_NEEDED]
        self.soname = self.text(strings + values[DT_SONAME]) if DT_SONAME in values else None
        self.search_path = DT_RPATH in values or DT_RUNPATH in values
        self.writes_code = DT_TEXTREL in values or bool(values.get(DT_FLAGS, 0) & DF_TEXTREL)

    def read_symbols(self, sections):
        self.undefined = set()
        for _, kind, _, _, offset, size, link, _, _, entry in sections:
            if kind != SHT_DYNSYM:
                continue
            strings = sections[link][4]
            for at in range(offset + entry, offset + size, entry):
                name, info, _, defined, _, _ = self.read('<IBBHQQ', at)
                if not defined and info >> 4 == 1:  # A weak one may be lacking.
                    self.undefined.add(self.text(strings + name))


def read_known_symbols():
    """Returns the names of symbols.txt and those of libvkclip, with the library of each."""
    with open(os.path.join(FOLDER, 'symbols.txt')) as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith('#')]
    with open(os.path.join(ROOT, 'src', 'api', 'vkclip.symbols')) as file:
        rows += [('libvkclip', line.strip()) for line in file]
    return {name: library + '.so' for library, name in rows}


def find_problems(name, data, abi, siblings=(), glibc=False):
    """Yields what is wrong with the library `name` for an ABI. It may need `siblings`, which are packed beside it."""
    try:
        library = Library(data)
    except ElfError as error:
        yield str(error)
        return
    except (IndexError, KeyError, ValueError) as error:
        yield f'damaged tables: {error!r}'
        return
    needed = library.needed
    undefined = library.undefined
    if glibc:
        needed = [re.sub(r'\.so\.[0-9.]+$', '.so', item) for item in needed if not item.startswith('ld-linux')]
        undefined = {GLIBC_NAMES.get(item, item) for item in undefined}
    if library.machine != MACHINES[abi]:
        yield f'machine {library.machine}, expected {MACHINES[abi]} for {abi}'
    if library.type != 3:
        yield f'type {library.type}, expected a shared library (3)'
    for offset, address, align in library.loads:
        if align < PAGE or (address - offset) % PAGE:
            yield (f'a segment at {address:#x} is aligned to {align:#x}, expected {PAGE:#x}: link with '
                   f'-z max-page-size=16384')
    if library.soname != name:
        yield f'soname {library.soname}, expected {name}'
    for item in needed:
        if item not in SYSTEM and item not in siblings:
            yield f'needs {item}, expected only {", ".join(sorted(SYSTEM | set(siblings)))}'
    if library.search_path:
        yield 'has a search path for libraries, which Android ignores'
    if library.writes_code:
        yield 'has relocations in its code, which Android refuses'
    if library.thread_local:
        yield 'has thread-local storage in ELF\'s form, which Android has since API level 29'
    known = read_known_symbols()
    for symbol in sorted(undefined):
        if symbol not in known:
            yield f'uses {symbol}, which symbols.txt lacks: if Android has it at API level 26, add it with its library'
        elif known[symbol] not in needed and not glibc:
            yield f'uses {symbol} without needing {known[symbol]}'
