# SPDX-License-Identifier: MIT
"""What the tests of the command share, which see it from outside, as users and scripts do.

A script of tests has the command as its first argument, and unittest's arguments follow. It runs in the
project's root, on the Vulkan driver that the environment names, and needs Python's own library only.
"""
import array
import contextlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

COMMAND = ''
MODEL = 'models/emoji-clip'
EXPECTED = 'tests/golden/emoji-clip'
NO_DEVICE = {'VK_ICD_FILENAMES': '/nonexistent', 'VK_DRIVER_FILES': '/nonexistent'}
TYPES = {'F32': 'f', 'F16': 'H', 'U8': 'B', 'I32': 'i', 'I64': 'q'}

# The paths in an index have no links, and neither have those of the tests.
tempfile.tempdir = os.path.realpath(tempfile.gettempdir())


def golden(name):
    """The path of a file of the reference data; None if it is not there."""
    for root in (os.environ.get('VKCLIP_GOLDEN'), 'tests/golden', '../shared/golden'):
        if root and os.path.exists(os.path.join(root, name)):
            return os.path.join(root, name)
    return None


class Tensor:
    def __init__(self, shape, values):
        self.shape, self.values = list(shape), values

    def row(self, index):
        size = len(self.values) // self.shape[0]
        return self.values[index * size:(index + 1) * size]

    def rows(self):
        return [self.row(i) for i in range(self.shape[0])]


def read_terminal(ours):
    """Returns what a program writes to the terminal whose other end this is, until the program ends."""
    seen = b''
    with contextlib.suppress(OSError), open(ours, 'rb', buffering=0) as terminal:
        while piece := terminal.read(4096):
            seen += piece
    return seen


def read_safetensors(path):
    with open(path, 'rb') as file:
        header = json.loads(file.read(struct.unpack('<Q', file.read(8))[0]))
        data = file.read()
    metadata = header.pop('__metadata__', {})
    tensors = {}
    for name, entry in header.items():
        start, end = entry['data_offsets']
        values = array.array(TYPES[entry['dtype']], data[start:end])
        tensors[name] = Tensor(entry['shape'], values)
    return tensors, metadata


def write_safetensors(path, tensors, metadata=None):
    """Writes a file of tensors, a dictionary of name: (dtype, shape, values)."""
    header, data = {'__metadata__': metadata} if metadata else {}, b''
    for name, (dtype, shape, values) in tensors.items():
        piece = array.array(TYPES[dtype], values).tobytes()
        header[name] = {'dtype': dtype, 'shape': shape,
                        'data_offsets': [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + data)


def read_labels():
    with open(EXPECTED + '/labels.tsv', encoding='utf-8') as file:
        lines = [line.rstrip('\n').split('\t') for line in file]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def need_search():
    """Skips tests of picture search where this build has none."""
    if b'picture search' in subprocess.run([COMMAND, '--version'], stdout=subprocess.PIPE, check=True).stdout:
        raise unittest.SkipTest('this build has no picture search')


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, 'wb') as file:
                file.write(content)
        return path

    def run_command(self, *arguments, status=0, stdin=b'', environment=None, **others):
        """Returns the standard output of the command, whose exit status must be `status`.

        self.errors then holds the lines of standard error."""
        done = subprocess.run([COMMAND, *arguments], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=900, check=False,
                              env={**os.environ, **(environment or {})}, **others)
        errors = done.stderr.decode('utf-8', 'replace')
        self.errors = errors.splitlines()
        self.assertEqual(done.returncode, status, f'{arguments}: {errors}')
        self.assertNotRegex(done.stdout + done.stderr, b'VUID-|SYNC-HAZARD')
        for line in self.errors:
            self.assertRegex(line, r'^vkclip: \S')
        if status:
            self.assertTrue(self.errors, f'{arguments}: failed without a message')
        return done.stdout.decode('utf-8')

    def damage_model(self, name, row=None):
        """Copies the model to 'model' and overwrites a tensor, or one of its rows, with NaN."""
        shutil.copytree(MODEL, self.path('model'), ignore=lambda *_: ['samples'])
        os.chmod(self.path('model/model.safetensors'), 0o644)
        with open(self.path('model/model.safetensors'), 'r+b') as file:
            size = struct.unpack('<Q', file.read(8))[0]
            entry = json.loads(file.read(size))[name]
            start, end = entry['data_offsets']
            if row is not None:
                width = (end - start) // entry['shape'][0]
                start, end = start + row * width, start + (row + 1) * width
            file.seek(8 + size + start)
            file.write(b'\xff\x7f' * ((end - start) // 2))

    def run_json(self, *arguments, **others):
        output = self.run_command(*arguments, '--json', **others)
        self.assertNotRegex(output, r', "|": ', 'not compact')
        # A text may contain characters other than LF at which splitlines splits.
        return [json.loads(line) for line in output.split('\n')[:-1]]

    def assert_error(self, *words):
        self.assertEqual(len(self.errors), 1, self.errors)
        for word in words:
            self.assertIn(word, self.errors[0])

    def assert_close(self, found, expected, tolerance, name=''):
        self.assertEqual(len(found), len(expected), name)
        worst = max((abs(a - b) if math.isfinite(a) else math.inf
                     for a, b in zip(found, expected)), default=0)
        self.assertLessEqual(worst, tolerance, name)


def name_cpu():
    """Names the CPU where there is no GPU, because the command would warn of it in every test."""
    listed = subprocess.run([COMMAND, 'devices', '--json'], stdout=subprocess.PIPE, check=False).stdout
    usable = [device for device in map(json.loads, listed.splitlines()) if device['usable']]
    if usable and all(device['type'] == 'cpu' for device in usable):
        os.environ.setdefault('VKCLIP_DEVICE', str(usable[0]['index']))


def main():
    """Runs the tests of the script that was started with the command as its first argument."""
    global COMMAND  # pylint: disable=global-statement
    COMMAND = os.path.abspath(sys.argv.pop(1))
    name_cpu()
    unittest.main()
