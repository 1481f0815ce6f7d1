# SPDX-License-Identifier: MIT
"""The package has types, and programs can be checked by them."""

import inspect
import os
import re
import subprocess

import pytest
import vkclip

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WRONG = '''
import vkclip
model = vkclip.Model('model', precison='f16')
text: str = model.encode_text('owl')
model.encode_text('owl', wait=False).shape
vkclip.Index('x').search(model, 7)
for result in vkclip.Trainer(output='run'):
    result.los
'''


def check(*paths):
    try:
        return subprocess.run(['mypy', '--config-file', FOLDER + '/pyproject.toml', '--cache-dir', os.devnull, *paths],
                              stdout=subprocess.PIPE, text=True, check=False, cwd=FOLDER)
    except FileNotFoundError:
        pytest.skip('mypy was not found')


def test_checked(tmp_path):
    """The type checker finds nothing wrong in the package and in a program, and finds what is wrong in another one."""
    wrong = tmp_path / 'wrong.py'
    wrong.write_text(WRONG)
    found = check('vkclip', 'tests/program.py', str(wrong))
    lines = [line for line in found.stdout.splitlines() if ': error:' in line]
    assert [int(line.split(':')[1]) for line in lines if line.startswith(str(wrong))] == [3, 4, 5, 6, 8], found.stdout
    assert len(lines) == 5, found.stdout
    assert os.path.exists(FOLDER + '/vkclip/py.typed')


def test_documented():
    """Whatever is public has documentation, and belongs to `vkclip` in messages."""
    for name in vkclip.__all__:
        thing = getattr(vkclip, name)
        if not inspect.isclass(thing) and not inspect.isfunction(thing):
            continue
        # The documentation that dataclasses write themselves is their signature.
        assert inspect.getdoc(thing) and not re.match(r'\w+\(', inspect.getdoc(thing)), name
        assert thing.__module__ == 'vkclip', name
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            function = value.fget if isinstance(value, property) else value
            if not member.startswith('_') and inspect.isfunction(function):
                assert inspect.getdoc(function), f'{name}.{member}'
