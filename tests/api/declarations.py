"""Reads vkclip.h for the tests of its growth.

    declarations.py table CC HEADER NAME OUTPUT   writes a C file with the table NAME of all that
                                                  HEADER declares
    declarations.py newer HEADER OUTPUT           writes the header as a later version may have it:
                                                  every struct that tells its size has four more
                                                  members
"""

import re
import subprocess
import sys


def members(body):
    """Yields the type and the name of each member of a struct."""
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        declarators = [part.strip() for part in declaration.split(",")]
        base, stars, name, array = re.fullmatch(
            r"(.*?)(\**)\s*(\w+)((?:\[[^\]]*\])*)", declarators[0]).groups()
        yield base.strip() + stars + array, name
        for declarator in declarators[1:]:
            stars, name, array = re.fullmatch(
                r"(\**)\s*(\w+)((?:\[[^\]]*\])*)", declarator).groups()
            yield base.strip() + stars + array, name


def entries(text):
    for name, body in re.findall(r"struct (vkclip_\w+) \{(.*?)\};", text):
        yield "STRUCT", name, "", f"sizeof(struct {name})", "0"
        for kind, member in members(body):
            yield ("MEMBER", f"{name}.{member}", kind, f"offsetof(struct {name}, {member})",
                   f"sizeof(((struct {name} *)0)->{member})")
    for body in re.findall(r"enum vkclip_\w+ \{(.*?)\};", text):
        for name in re.findall(r"VKCLIP_\w+", re.sub(r"=[^,]*", "", body)):
            yield "ENUMERATOR", name, "", f"(size_t){name}", "0"
    for result, name, arguments in re.findall(r"typedef (\w+) (vkclip_\w+)\((.*?)\);", text):
        yield "FUNCTION", name, f"{result.strip()} ({arguments})", "0", "0"
    for result, name, arguments in re.findall(
            r'visibility\("default"\)\)\) ([\w *]+?)(vkclip_\w+)\((.*?)\);', text):
        yield "FUNCTION", name, f"{result.strip()} ({arguments})", "0", "0"


def table(compiler, header, name, output):
    command = [compiler, "-E", "-P", "-x", "c", header]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    text = re.sub(r"\s+", " ", text)
    with open(output, "w") as file:
        print(f'#include "{header}"\n#include "api/declarations.h"\n', file=file)
        print(f"const struct declaration {name}[] = {{", file=file)
        for kind, title, declared, first, second in entries(text):
            print(f'    {{DECLARATION_{kind}, "{title}", "{declared}", {first}, {second}}},',
                  file=file)
        print("    {0},\n};", file=file)


def newer(header, output):
    with open(header) as file:
        text = file.read()
    with open(output, "w") as file:
        file.write(re.sub(r"(struct vkclip_\w+ \{\n    size_t size;.*?)(\n\};)",
                          r"\1\n    uint64_t newer[4];\2", text, flags=re.DOTALL))


if sys.argv[1] == "table":
    table(*sys.argv[2:])
else:
    newer(*sys.argv[2:])
