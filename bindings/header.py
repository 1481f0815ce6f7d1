# SPDX-License-Identifier: MIT
"""Reads the declarations of vkclip.h and vkclip_vulkan.h, for the bindings and for the tests of the headers.

The headers are regular: a struct has only members of simple types, arrays and pointers, also to functions. Therefore
regular expressions are enough once the compiler has expanded the macros.
"""

import re
import subprocess


def preprocess(compiler, header, *folders):
    """Returns what the compiler sees of a header, on one line, with folders where it searches other headers last."""
    command = [compiler, '-E', '-P', '-x', 'c', header]
    for folder in folders:
        command += ['-idirafter', folder]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.sub(r'\s+', ' ', text)


def members(body):
    """Yields the type and the name of each member of a struct."""
    for declaration in filter(None, (part.strip() for part in body.split(';'))):
        function = re.fullmatch(r'(.*?)\(\*(\w+)\)(\(.*\))', declaration)
        if function:
            yield f'{function[1]}(*){function[3]}', function[2]
            continue
        declarators = [part.strip() for part in declaration.split(',')]
        base, stars, name, array = re.fullmatch(r'(.*?)(\**)\s*(\w+)((?:\[[^\]]*\])*)', declarators[0]).groups()
        yield base.strip() + stars + array, name
        for declarator in declarators[1:]:
            stars, name, array = re.fullmatch(r'(\**)\s*(\w+)((?:\[[^\]]*\])*)', declarator).groups()
            yield base.strip() + stars + array, name


def structs(text):
    """Yields the name and the members of each struct."""
    for name, body in re.findall(r'struct (vkclip_\w+) \{(.*?)\};', text):
        yield name, list(members(body))


def opaque_structs(text):
    """Returns the names of the structs that only the library knows."""
    defined = {name for name, _ in structs(text)}
    return sorted(set(re.findall(r'struct (vkclip_\w+)', text)) - defined)


def enums(text):
    """Yields the name and the enumerators of each enum: their names, and the values that the header gives them or ''."""
    for name, body in re.findall(r'enum (vkclip_\w+) \{(.*?)\};', text):
        yield name, re.findall(r'(VKCLIP_\w+)(?: = (-?\w+))?', body)


def function_types(text):
    """Yields the result, the name and the parameters of each type of a function."""
    for result, name, arguments in re.findall(r'typedef ([\w *]+?)(vkclip_\w+)\((.*?)\);', text):
        yield result.strip(), name, arguments


def functions(text):
    """Yields the result, the name and the parameters of each function."""
    yield from re.findall(r'visibility\("default"\)\)\) ([\w *]+?)(vkclip_\w+)\((.*?)\);', text)
