"""Reads the public headers for the tests of their growth.

    declarations.py table CC HEADER NAME OUTPUT FOLDER   writes a C file with the table NAME of all
                                                         that HEADER declares, which includes the
                                                         headers of Vulkan in FOLDER
    declarations.py newer HEADER OUTPUT                  writes the header as a later version may
                                                         have it: every struct that tells its size
                                                         has four more members
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bindings"))
import header as reader  # noqa: E402


def entries(text):
    for name, members in reader.structs(text):
        yield "STRUCT", name, "", f"sizeof(struct {name})", "0"
        for kind, member in members:
            yield ("MEMBER", f"{name}.{member}", kind, f"offsetof(struct {name}, {member})",
                   f"sizeof(((struct {name} *)0)->{member})")
    for _, names in reader.enums(text):
        for name, _ in names:
            yield "ENUMERATOR", name, "", f"(size_t){name}", "0"
    for result, name, arguments in [*reader.function_types(text), *reader.functions(text)]:
        yield "FUNCTION", name, f"{result.strip()} ({arguments})", "0", "0"


def table(compiler, header, name, output, folder):
    text = reader.preprocess(compiler, header, folder)
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
