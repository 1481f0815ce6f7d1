# SPDX-License-Identifier: MIT
"""The programs in the documentation print what stands after them there, and say so as they are."""

import contextlib
import io
import re

import pytest

PROGRAM = re.compile(r'```python\n(.*?)```\n\n```\n(.*?)```', re.DOTALL)


def read_programs():
    for path, least in (('README.md', 1), ('docs/python.md', 5)):
        with open(path, encoding='utf-8') as file:
            found = PROGRAM.findall(file.read())
        assert len(found) >= least, path
        for i, program in enumerate(found):
            yield pytest.param(*program, id=f'{path} {i}')


@pytest.mark.parametrize('program, expected', read_programs())
def test_program(device, monkeypatch, program, expected):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(program, {})
    assert output.getvalue() == expected
