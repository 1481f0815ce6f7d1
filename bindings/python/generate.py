#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""generate.py [CC]: writes vkclip/_lib.py, the declarations of vkclip.h for ctypes.

Run it after each change of the header. It needs a C compiler (CC, or else cc) and nothing but Python's library.
"""

import os
import re
import sys
import textwrap

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(FOLDER))
HEADER = os.path.join(ROOT, 'include', 'vkclip.h')
OUTPUT = os.path.join(FOLDER, 'vkclip', '_lib.py')
sys.path.insert(0, os.path.join(ROOT, 'bindings'))
import header as reader  # noqa: E402

NUMBERS = {
    '_Bool': 'c_bool', 'char': 'c_char', 'int': 'c_int', 'unsigned': 'c_uint', 'float': 'c_float', 'double': 'c_double',
    'size_t': 'c_size_t', 'uint8_t': 'c_uint8', 'int32_t': 'c_int32', 'uint32_t': 'c_uint32', 'int64_t': 'c_int64',
    'uint64_t': 'c_uint64',
}
KEEP = '\0'  # a space at which no line is broken
HEAD = '''\
# SPDX-License-Identifier: MIT
# bindings/python/generate.py wrote this file from include/vkclip.h. Do not edit it.
"""The declarations of vkclip.h for ctypes. `declare` gives a loaded library's functions their types."""

import ctypes as _c
from typing import Any, Dict, List


class Enum(_c.c_int):
    """A number of an enum, of which `names` has a name for each value."""

    names: Dict[int, str] = {}


'''
TAIL = '''

def declare(library: Any) -> None:
    """Gives the functions of a library their types. An older library lacks the newest functions of the header."""
    for name, result, *parameters in FUNCTIONS:
        function = getattr(library, name, None)
        if function:
            function.restype = result
            function.argtypes = parameters
'''


def translate(declared, functions):
    """Returns the expression for ctypes of a type of C, such as 'const char *' or 'float[3]'."""
    base, stars, sizes = re.fullmatch(r'(.*?)((?:\s*\*\s*(?:const)?)*)((?:\[\w+\])*)', declared.strip()).groups()
    words = [word for word in base.split() if word != 'const']
    depth = stars.count('*')
    if depth and words == ['void']:
        result, depth = '_c.c_void_p', depth - 1
    elif depth and words == ['char'] and 'const' in base:
        result, depth = '_c.c_char_p', depth - 1
    elif words == ['void']:
        return 'None'
    elif words[0] in ('enum', 'struct'):
        result = words[1]
    elif words[0] in functions:
        # A pointer to a function is one object of ctypes.
        result, depth = words[0], depth - 1
    else:
        result = '_c.' + NUMBERS[words[0]]
    for _ in range(depth):
        result = f'_c.POINTER({result})'
    for size in reversed(re.findall(r'\[(\w+)\]', sizes)):
        result = f'{result} * {size}' if ' ' not in result else f'({result}) * {size}'
    return result


def parameter(declared, functions):
    """Returns the expression for ctypes of a parameter, whose name it leaves out."""
    kind, array = re.fullmatch(r'(.*?)\w+((?:\[\w+\])?)', declared.strip()).groups()
    return translate(kind + ('*' if array else ''), functions)


def wrap(text, indent=''):
    """Breaks a line at its spaces and indents those that follow."""
    return textwrap.fill(text, 118, initial_indent=indent, subsequent_indent=indent + '    ', break_long_words=False,
                         break_on_hyphens=False).replace(KEEP, ' ')


def prototype(arguments, functions):
    if arguments.strip() in ('', 'void'):
        return []
    return [parameter(argument, functions) for argument in arguments.split(',')]


def constants(text, source):
    yield from (f'{name} = {value}' for name, value in
                re.findall(r'#define (VKCLIP_(?:VERSION_\w+|ENCODERS)) (\d+)', source))
    for enum, enumerators in reader.enums(text):
        yield ''
        value = -1
        # What all names begin with, up to a whole word, tells nothing: of VKCLIP_LR_CONST remains 'const'.
        prefix = os.path.commonprefix([name for name, _ in enumerators]).rpartition('_')[0]
        names = {}
        for name, given in enumerators:
            value = int(given) if given else value + 1
            names[value] = name[len(prefix) + 1:].lower().replace('_', '-')
            yield f'{name} = {value}'
        yield ''
        yield f'class {enum}(Enum):'
        yield wrap('names = {' + ', '.join(f"{value}:{KEEP}'{name}'" for value, name in names.items()) + '}', '    ')


def generate(compiler='cc'):
    """Returns the text of _lib.py."""
    text = reader.preprocess(compiler, HEADER)
    with open(HEADER) as file:
        lines = [*constants(text, file.read()), '']
    function_types = list(reader.function_types(text))
    names = {name for _, name, _ in function_types}
    # Structs and types of functions name each other, so that all structs come first without their members.
    for name in [*reader.opaque_structs(text), *(name for name, _ in reader.structs(text))]:
        if name not in names:
            lines.append(f'class {name}(_c.Structure): pass')
    lines.append('')
    for result, name, arguments in function_types:
        kinds = ', '.join([translate(result, names), *prototype(arguments, names)])
        lines.append(wrap(f'{name} = _c.CFUNCTYPE({kinds})'))
    for name, members in reader.structs(text):
        fields = ', '.join(f"('{member}',{KEEP}{translate(kind, names).replace(' ', KEEP)})"
                           for kind, member in members)
        lines += ['', wrap(f'{name}._fields_ = [{fields}]')]
    lines += ['', '# The name, the result and the parameters of each function.', 'FUNCTIONS: List[Any] = [']
    for result, name, arguments in reader.functions(text):
        kinds = ', '.join([f"'{name}'", translate(result, names), *prototype(arguments, names)])
        lines.append(wrap(f'({kinds}),', '    '))
    lines += [']']
    return HEAD + '\n'.join(lines) + '\n' + TAIL


if __name__ == '__main__':
    with open(OUTPUT, 'w') as file:
        file.write(generate(*sys.argv[1:]))
