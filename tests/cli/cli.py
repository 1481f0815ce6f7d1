#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cli.py COMMAND [unittest's arguments]: tests the command from outside, as users and scripts see it.

Runs in the project's root, on the Vulkan driver that the environment names. Needs Python's own
library only.
"""
import array
import base64
import contextlib
import json
import math
import os
import pty
import re
import resource
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import xml.etree.ElementTree

COMMAND = ''
MODEL = 'models/emoji-clip'
EXPECTED = 'tests/golden/emoji-clip'
PICTURES = 'tests/golden/pictures'
NO_DEVICE = {'VK_ICD_FILENAMES': '/nonexistent', 'VK_DRIVER_FILES': '/nonexistent'}
# A line of --help: how the option is written, its name, and the help text.
OPTION = r'(?m)^  ((?:-\w, |    )(--[a-z0-9-]+)(?: [A-Za-z0-9|_,/-]+)?) +(.*)$'
TYPES = {'F32': 'f', 'F16': 'H', 'U8': 'B', 'I32': 'i', 'I64': 'q'}


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
        return [json.loads(line) for line in output.splitlines()]

    def assert_error(self, *words):
        self.assertEqual(len(self.errors), 1, self.errors)
        for word in words:
            self.assertIn(word, self.errors[0])

    def assert_close(self, found, expected, tolerance, name=''):
        self.assertEqual(len(found), len(expected), name)
        worst = max((abs(a - b) if math.isfinite(a) else math.inf
                     for a, b in zip(found, expected)), default=0)
        self.assertLessEqual(worst, tolerance, name)


class Usage(CommandTest):
    commands = ['classify', 'similarity', 'embed', 'index', 'search', 'duplicates', 'probe', 'preprocess', 'tokenize',
                'info', 'devices', 'check', 'pull', 'convert', 'init', 'train', 'tokenizer-train', 'bench',
                'completion']

    def test_overview(self):
        overview = self.run_command('--help')
        for command in self.commands:
            self.assertRegex(overview, rf'(?m)^  {command} +\S')
        self.assertEqual(overview, self.run_command('help'))
        # Every build has all kernels, whatever its compiler of shaders knows.
        # A picture format whose library is missing is named on a line of its own.
        version = self.run_command('--version')
        self.assertRegex(version,
                         r'^vkclip \d+\.\d+\.\d+\n'
                         r'kernels for: f16 texel subgroup coopmat16 coopmat32 f16math dot\n'
                         r'pictures: PNG \(\w+\), JPEG \([\w-]+\), .*TGA\n'
                         r'(built without: .*\n)?$')
        for form in ('WebP (libwebp)', 'TIFF (libtiff)', 'AVIF (libavif)', 'HEIC (libheif)', 'JPEG XL (libjxl)'):
            self.assertEqual(version.count(form), 1, form)

    def test_help_and_manual_agree(self):
        """The manual page names the options of --help, with the commands that take them."""
        with open(os.path.dirname(COMMAND) + '/vkclip.1', encoding='utf-8') as file:
            manual = file.read().replace('\\-', '-')
        entries = {}
        for head, text, takers in re.findall(r'\n\.TP\n(\\fB-.*)\n(.*)\n\.br\n\((.*)\)', manual):
            entries[re.sub(r'\\f[BIR]', '', head), text] = takers.split(', ')
        takers = {entry: [] for entry in entries}
        for command in self.commands:
            text = self.run_command(command, '--help')
            self.assertEqual(text, self.run_command('help', command))
            self.assertTrue(text.startswith(f'vkclip {command}: '))
            for head, _, rest in re.findall(OPTION, text):
                self.assertIn((head.strip(), rest), entries, 'not in the manual')
                takers[head.strip(), rest].append(command)
            self.assertTrue(re.search(rf'\n\.B vkclip {command}\n', manual), 'not in the synopsis')
            self.assertTrue(re.search(rf'\n\.TP\n\.B {command}\n', manual), 'not among the commands')
        for entry, found in entries.items():
            self.assertEqual(found, takers[entry] if takers[entry] != self.commands else ['every command'])
        # An option means the same in every command, or is named here.
        names = [re.search(r'--[a-z0-9-]+', head).group() for head, _ in entries]
        self.assertEqual({name for name in names if names.count(name) > 1}, {'--type'})

    def test_wrong_usage(self):
        for arguments, word in [
                (['nonsense'], 'nonsense'),
                (['help', 'nonsense'], 'nonsense'),
                (['classify', '--bogus'], '--bogus'),
                (['classify', '-Z'], '-Z'),
                (['classify', '-m'], '-m'),
                (['classify', '--json=1'], '--json'),
                (['classify', '-l', 'a', 'x.png'], '-m'),
                (['classify', '-m', MODEL, 'x.png'], '--label'),
                (['classify', '-m', MODEL, '-l', 'a'], 'pictures'),
                (['classify', '-m', MODEL, '-l', 'a', '-t', 'no hole', 'x.png'], 'no hole'),
                (['classify', '-m', MODEL, '-l', 'a', '-k', '0', 'x.png'], "'0'"),
                (['classify', '-m', MODEL, '-l', 'a', '-k', '3x', 'x.png'], "'3x'"),
                (['similarity', '-m', MODEL, '--text', 'a'], '--image'),
                (['embed', '-m', MODEL, '--text', 'a'], '-o'),
                (['embed', '-m', MODEL, '-o', 'x.npy'], '--image'),
                (['embed', '-m', MODEL, '--text', 'a', '-o', 'x.txt'], 'x.txt'),
                (['embed', '-m', MODEL, '--text', 'a', '-o', 'x.npy', '--hidden'], '--hidden'),
                (['embed', '-m', MODEL, '--text', 'a', '--image', 'b', '-o', 'x.npy'], 'x.npy'),
                (['probe', '-m', MODEL, 'x'], 'train or predict'),
                (['probe', 'train', '-m', MODEL, 'x'], '-o'),
                (['probe', 'train', '-m', MODEL, 'x', '-o', 'x.npy'], '.safetensors'),
                (['probe', 'predict', '-m', MODEL, 'x'], '--probe'),
                (['probe', 'train', '-m', MODEL, '-o', 'x.safetensors'], 'folders'),
                (['embed', '--precision', 'f64'], 'f64'),
                (['embed', '--batch', '5000000000'], '5000000000'),
                (['preprocess', '-m', MODEL, 'x.png', '-o', 'x.npy'], '-o'),
                (['tokenize', 'a'], '--vocab'),
                (['tokenize', '-m', MODEL], '--stdin'),
                (['tokenize', '-m', MODEL, '--stdin', 'a'], '--stdin'),
                (['info', '-m', MODEL, 'extra'], 'extra'),
                (['init', 'ViT-B-32'], 'folder'),
                (['tokenizer-train', 'a.txt'], 'folder'),
                (['train'], 'folder'),
                (['train', 'x'], '--data'),
                (['train', 'x', '--data', 'y'], '--init'),
                (['train', 'x', '--data', 'y', '-m', 'z', '--steps', '1', '--epochs', '1'], '--epochs'),
                (['train', '--lr', 'x'], 'numbers from 0 up'),
                (['train', '--aug-scale', '1'], 'MIN,MAX'),
                (['bench'], '-m'),
                (['bench', '-m', MODEL, '--batches', '1,,2'], '1,,2'),
                (['bench', '-m', MODEL, '--batches', '0'], "'0'"),
                (['ebmed'], 'did you mean embed?'),
                (['help', 'clasify'], 'did you mean classify?'),
                (['classify', '--lable', 'a'], 'did you mean --label?'),
                (['embed', '--normalise=1'], 'unknown option --normalise;'),
                (['embed', '--no-normalise'], 'did you mean --no-normalize?'),
                (['embed', '--images', 'a', '--im', 'b'], 'ambiguous option --im: expected one of '
                 '--image, --images-from, --image-size'),
                (['embed', '-m', 'a', '--model', 'b'], '--model was given twice'),
                (['embed', '--json', '--json'], '--json was given twice'),
                (['train', '--lr', '1', '--lr', '1'], '--lr was given twice'),
                (['completion'], 'shell'),
                (['completion', 'csh'], 'csh'),
                (['devices', 'extra'], 'extra')]:
            with self.subTest(arguments):
                self.run_command(*arguments, status=2)
                self.assert_error(word, 'see \'vkclip ')
        self.assertIn('Usage', self.run_no_arguments())

    def test_suggestions_are_near(self):
        """A name is suggested if it differs by one or two letters, and by a third at most."""
        for word, suggestion in [('trian', 'train'), ('pul', 'pull'), ('devics', 'devices'), ('x', ''),
                                 ('inti', 'init'), ('ini', 'init'), ('trxxyn', ''), ('classifier', ''),
                                 ('embedding', ''), ('preproces', 'preprocess'), ('', '')]:
            self.run_command(word, status=2)
            found = re.search(r'did you mean ([a-z-]+)\?', self.errors[0])
            self.assertEqual(found.group(1) if found else '', suggestion, word)

    def test_lists_and_counts_may_be_repeated(self):
        self.run_command('tokenize', '-m', MODEL, '-v', '-v', 'owl')
        line, = self.run_json('classify', '-m', MODEL, '-l', 'owl', '--label', 'pizza', '--labels',
                              self.path('labels', b'robot\n'), '-l', 'skull', '-t', '{}', '-t', 'a {}',
                              MODEL + '/samples/owl.png')
        self.assertEqual({result['label'] for result in line['results']}, {'owl', 'pizza', 'robot', 'skull'})

    def test_pictures_as_arguments_or_options(self):
        """Every command that takes pictures takes them in both ways, options first."""
        owl, pizza = MODEL + '/samples/owl.png', MODEL + '/samples/pizza.png'
        both = [['--image', owl, pizza], [pizza, '--image', owl]]
        more = [[owl, pizza], ['--image', owl, '--image', pizza],
                ['--images-from', self.path('list', owl.encode()), pizza]]
        result = self.path('o.safetensors')
        for command, forms in [(['classify', '-l', 'a'], both), (['similarity', '--text', 'a'], both),
                               (['embed', '-o', result], both), (['preprocess', '-o', result], both + more)]:
            for form in forms:
                with self.subTest(command[0], form=form):
                    lines = self.run_json(*command, '-m', MODEL, *form)
                    paths = [line['path'] for line in lines if 'path' in line]
                    if '-o' in command:
                        paths = json.loads(read_safetensors(result)[1]['images'])
                    self.assertEqual(paths, [owl, pizza])

    def run_no_arguments(self):
        done = subprocess.run([COMMAND], stdout=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 2)
        return done.stdout.decode()

    def test_output_that_is_not_taken(self):
        for arguments in [['--help'], ['info', '-m', MODEL], ['tokenize', '-m', MODEL, 'a', '--json']]:
            with self.subTest(arguments), open('/dev/full', 'wb') as full:
                done = subprocess.run([COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE,
                                      check=False)
                self.assertEqual((done.returncode, done.stderr),
                                 (1, b'vkclip: standard output cannot be written\n'))
        closed = subprocess.run(['sh', '-c', '"$0" info -m "$1" >&-', COMMAND, MODEL],
                                stderr=subprocess.PIPE, check=False)
        self.assertEqual((closed.returncode, closed.stderr),
                         (1, b'vkclip: standard output cannot be written\n'))

    def test_reader_goes_away(self):
        texts = b'a picture of a penguin\n' * 100000
        done = subprocess.run(['sh', '-c', '{ "$0" tokenize -m "$1" --stdin; echo $? >&2; } | head -n 1',
                               COMMAND, MODEL], input=texts, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.stdout.count(b'\n'), 1)
        self.assertEqual(done.stderr, b'vkclip: standard output cannot be written\n1\n')


class Completion(CommandTest):
    """Compares what the shells offer with --help."""
    # Each case has a command line, some words that must be offered for its last word, and some that
    # must not.
    cases = [
        ('vkclip ', ['classify', 'tokenizer-train', 'completion', 'help'], ['--json']),
        ('vkclip tok', ['tokenize', 'tokenizer-train'], ['train']),
        ('vkclip help in', ['info', 'init'], ['devices']),
        ('vkclip convert --type ', ['f16', 'f32', 'bf16', 'q8', 'q4'], ['--type']),
        ('vkclip train --lr-scheduler co', ['cosine', 'const'], []),
        ('vkclip init ViT-B', ['ViT-B-32', 'ViT-B-16'], ['RN50']),
        ('vkclip completion ', ['bash', 'zsh', 'fish'], ['csh']),
        ('vkclip embed --text-encoder clip_', ['clip_l', 'clip_h', 'clip_g'], []),
    ]

    def options(self, command):
        return {name for _, name, _ in re.findall(OPTION, self.run_command(command, '--help'))}

    def script(self, shell):
        return self.path(shell, self.run_command('completion', shell).encode())

    def check(self, shell, complete):
        """Checks a shell; `complete` returns the words that it offers at the end of command lines."""
        if not shutil.which(shell):
            self.skipTest(f'{shell} is not installed')
        lines = [line for line, _, _ in self.cases]
        lines += [f'vkclip {command} --' for command in Usage.commands]
        found = complete(self.script(shell), lines)
        for (line, offered, others), words in zip(self.cases, found):
            self.assertLessEqual(set(offered), words, line)
            self.assertFalse(set(others) & words, line)
        for command, words in zip(Usage.commands, found[len(self.cases):]):
            self.assertEqual(words, self.options(command), command)

    def run_shell(self, *arguments):
        done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              env={**os.environ, 'HOME': self.folder, 'XDG_CONFIG_HOME': self.folder,
                                   'TERM': 'dumb'})
        self.assertEqual((done.returncode, done.stderr), (0, b''))
        return [set(part.split()) for part in done.stdout.decode().split('--end--')[:-1]]

    def test_bash(self):
        def complete(script, lines):
            return self.run_shell('bash', '--norc', '-c', 'source "$1"; shift; for line; do '
                                  'COMP_WORDS=($line); case $line in *" ") COMP_WORDS+=("") ;; esac; '
                                  'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _vkclip; '
                                  'echo "${COMPREPLY[@]}" --end--; done', 'bash', script, *lines)
        self.check('bash', complete)

    def test_fish(self):
        def complete(script, lines):
            return self.run_shell('fish', '-c', 'source $argv[1]; for line in $argv[2..-1]; '
                                  'complete -C $line | string replace -r "\t.*" ""; echo --end--; end',
                                  script, *lines)
        self.check('fish', complete)

    def type_line(self, arguments, begin, line, wanted):
        """Types a line and the key Tab in an interactive shell, and returns what the terminal shows."""
        process, terminal = pty.fork()
        if not process:
            os.environ.update(HOME=self.folder, TERM='dumb', PS1='', PROMPT='')
            os.execvp(arguments[0], arguments)
        seen = b''
        try:
            os.write(terminal, begin.encode() + b'\necho re""ady\n')
            while b'ready' not in seen:
                seen += os.read(terminal, 4096)
            os.write(terminal, line.encode() + b'\t')
            seen = b''
            while wanted.encode() not in seen and select.select([terminal], [], [], 60)[0]:
                seen += os.read(terminal, 4096)
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(terminal)
        return seen.decode('utf-8', 'replace')

    def test_on_a_terminal(self):
        for shell, arguments, begin in [
                ('bash', ['bash', '--norc', '-i'], 'source {}'),
                ('zsh', ['zsh', '-f', '-i'], 'autoload -U compinit; compinit -D -u; source {}')]:
            if not shutil.which(shell):
                continue
            script = begin.format(self.script(shell))
            for line, wanted in [('vkclip classify --precis', '--precision'),
                                 ('vkclip bench --tower im', 'image'), ('vkclip bench --tower=te', 'text'), ('vkclip tokenizer', 'tokenizer-train'),
                                 (f'vkclip embed --image {MODEL}/samples/ow', 'owl.png'),
                                 (f'vkclip classify {MODEL}/samples/piz', 'pizza.png')]:
                with self.subTest(shell, line=line):
                    self.assertIn(wanted, self.type_line(arguments, script, line, wanted))

    def test_zsh(self):
        if not shutil.which('zsh'):
            self.skipTest('zsh is not installed')
        self.run_shell('zsh', '-f', '-n', self.script('zsh'))
        with open(self.path('zsh'), encoding='utf-8') as file:
            script = file.read()
        for command in Usage.commands:
            part = re.search(rf'(?s)\n    {command}\)\n(.*?)\n        ;;', script).group(1)
            self.assertEqual(set(re.findall(r"(?:'|,)(--[a-z0-9-]+)", part)), self.options(command))


class Devices(CommandTest):
    def test_json(self):
        devices = self.run_json('devices')
        for index, device in enumerate(devices):
            self.assertEqual(device['index'], index)
            self.assertIn(device['type'], ['cpu', 'integrated', 'discrete', 'virtual', 'other'])
            self.assertRegex(device['api'], r'^1\.\d+\.\d+$')
            self.assertGreater(device['memory'], 0)
            self.assertIsInstance(device['caps'], list)
            self.assertTrue(device['name'] and device['driver'])
            self.assertRegex(device['uuid'] or '0' * 32, '^[0-9a-f]{32}$')
            self.assertEqual('why' in device, not device['usable'])
            self.assertIn(device['name'], self.run_command('devices'))
        self.assertTrue(any(device['usable'] for device in devices))

    def test_tuning(self):
        environment = {'VKCLIP_TUNE': 'force', 'VKCLIP_CACHE_DIR': self.folder}
        self.run_command('embed', '-m', MODEL, '--text', 'owl', '-o', self.path('o.npy'),
                         environment=environment)
        environment['VKCLIP_TUNE'] = 'on'
        lines = self.run_command('devices', '--tuning', '--json', environment=environment)
        shapes = [json.loads(line) for line in lines.splitlines()]
        self.assertTrue(shapes)
        text = self.run_command('devices', '--tuning', environment=environment)
        for shape in shapes:
            self.assertTrue(not shape['ms'] or shape['kernel'] in shape['ms'])
            self.assertIn(shape['shape'] + ': ' + shape['kernel'], text)

    def test_check(self):
        """Every kernel is right; one that cannot be built is named, and then the command fails. Few ops
        are checked here, because building all kernels takes minutes."""
        environment = {'VKCLIP_CACHE_DIR': self.folder}
        for op, count in [('LAYERNORM', 1), ('SELECT', 1), ('MODEL', 1)]:
            lines = self.run_command('check', '--op', op, '--json', environment=environment)
            device, *checks = [json.loads(line) for line in lines.splitlines()]
            self.assertTrue(device['device'] and device['driver'] and device['version'])
            self.assertGreaterEqual(len(checks), count * (1 + ('f16' in device['caps'])))
            for check in checks:
                self.assertEqual((check['op'], check['result']), (op, 'right'), check)
                self.assertTrue(0 <= check['error'] <= 1 and check['runs'] >= 3, check)
        environment['VKCLIP_DISABLE_KERNELS'] = 'select'
        text = self.run_command('check', '--op', 'SELECT', status=1, environment=environment)
        self.assertRegex(text, r'(?m)^  not built +SELECT +f32 f32 select ')
        self.assertRegex(self.errors[-1], r'not right')
        self.run_command('check', '--op', 'NONSENSE', status=1)
        self.assert_error('NONSENSE')

    def test_none(self):
        self.run_command('devices', status=3, environment=NO_DEVICE)
        self.assertEqual(len(self.errors), 1)
        self.run_command('classify', '-m', MODEL, '-l', 'a', MODEL + '/samples', status=3,
                         environment=NO_DEVICE)
        self.assertEqual(len(self.errors), 1)

    def test_choice(self):
        name = next(d['name'] for d in self.run_json('devices') if d['usable'])
        arguments = ['embed', '-m', MODEL, '--text', 'a', '-o', '-']
        by_name = self.run_command(*arguments, '--device', name.upper())
        self.assertEqual(by_name, self.run_command(*arguments, '--device', '0'))
        self.assertEqual(by_name, self.run_command(*arguments, '--device', 'all'))
        for wrong in ['99', 'no such device', '0,0', '0,']:
            self.run_command(*arguments, '--device', wrong, status=3)
            self.assert_error(wrong)
            self.run_command(*arguments, status=3, environment={'VKCLIP_DEVICE': wrong})
            self.assert_error(wrong)


    def test_cpu(self):
        """The command warns once of a CPU that nobody named, but not programs that read JSON."""
        if any(device['type'] != 'cpu' for device in self.run_json('devices')):
            self.skipTest('there is a GPU')
        arguments = ['classify', '-m', MODEL, '-l', 'owl', MODEL + '/samples/owl.png']
        unnamed = {'VKCLIP_DEVICE': ''}
        self.run_command(*arguments, environment=unnamed)
        self.assert_error('warning: no GPU', 'CPU', '--device')
        for quiet in [['-q'], ['--json'], ['--device', '0']]:
            self.run_command(*arguments, *quiet, environment=unnamed)
            self.assertEqual(self.errors, [])


class Info(CommandTest):
    def test_json(self):
        info, = self.run_json('info', '-m', MODEL, environment=NO_DEVICE)
        self.assertEqual(info['family'], 'Hugging Face')
        self.assertEqual(info['parameters'], 4984705)
        self.assertEqual((info['image']['width'], info['image']['layers'], info['image']['heads'],
                          info['image']['mlp'], info['image']['positions']), (192, 6, 3, 768, 65))
        self.assertEqual((info['text']['width'], info['text']['layers'], info['text']['activation']),
                         (192, 4, 'quick_gelu'))
        self.assertEqual((info['image_size'], info['patch_size'], info['context'],
                          info['vocabulary'], info['embed_dim']), (64, 8, 32, 2240, 128))
        self.assertAlmostEqual(info['logit_scale'], 30.03, places=2)
        self.assertEqual(info['weights_type'], 'F16')
        self.assertGreater(info['memory_bytes'], info['weights_bytes'])
        self.assertTrue(os.path.samefile(info['tokenizer'], MODEL + '/tokenizer.json'))
        for word in ['Hugging Face', '4984705', 'F16', 'tokenizer.json']:
            self.assertIn(word, self.run_command('info', '-m', MODEL, environment=NO_DEVICE))

    def test_on_device(self):
        info, = self.run_json('info', '-m', MODEL, '--device', '0')
        self.assertGreater(info['weights_bytes'], 4 * 4984000)

    def test_one_tower(self):
        info, = self.run_json('info', '-m', golden('models/sd-text/text_encoder'))
        self.assertIsNone(info['image'])
        self.assertEqual(info['text']['width'], 48)

    def test_missing_model(self):
        self.run_command('info', '-m', self.path('none'), status=4)
        self.assert_error(self.path('none'))
        self.run_command('info', '-m', self.folder, status=4)
        self.assert_error(self.folder)
        for content in [b'', b'junk', b'\xff' * 100]:
            self.run_command('info', '-m', self.path('a.safetensors', content), status=4)
            self.assert_error('a.safetensors')
        self.run_command('classify', '-m', self.path('none'), '-l', 'a', 'b.png', status=4)
        self.assert_error(self.path('none'))


class Init(CommandTest):
    def test_a_new_model_encodes(self):
        line, = self.run_json('init', 'emoji-clip', self.path('new'), '--seed', '3')
        self.assertEqual(line, {'arch': 'emoji-clip', 'seed': 3, 'path': self.path('new')})
        line, = self.run_json('similarity', '-m', self.path('new'), '--vocab', MODEL + '/tokenizer.json',
                              '--image', MODEL + '/samples/owl.png', '--text', 'owl')
        self.assertLessEqual(abs(line['logits'][0]), 1 / 0.07 + 1e-3)
        self.run_command('init', 'emoji-clip', self.path('new'), status=1)
        self.assert_error(self.path('new'), 'empty')
        self.run_command('init', 'ViT-Z', self.path('other'), status=1)
        self.assert_error('ViT-Z', 'ViT-bigG-14')


class Train(CommandTest):
    """Trains a tiny model for a few steps, with the kernels of the fixed order, so that nothing is measured."""
    BATCH = 4

    def setUp(self):
        super().setUp()
        with open(MODEL + '/config.json', encoding='utf-8') as file:
            config = json.load(file)
        size = {'hidden_size': 32, 'num_hidden_layers': 3, 'num_attention_heads': 2, 'intermediate_size': 64}
        config['projection_dim'] = 16
        config['text_config'].update(size, max_position_embeddings=16)
        config['vision_config'].update(size, image_size=16)
        with open(MODEL + '/preprocessor_config.json', encoding='utf-8') as file:
            processor = json.load(file)
        processor.update(size={'shortest_edge': 16}, crop_size={'height': 16, 'width': 16})
        for name, value in (('config.json', config), ('preprocessor_config.json', processor)):
            with open(self.path(name), 'w', encoding='utf-8') as file:
                json.dump(value, file)
        self.model = self.path('model')
        self.run_command('init', self.path('config.json'), self.model)

    def train(self, *args, status=0, wait=True):
        process = subprocess.Popen([COMMAND, 'train', *map(str, args)], text=True,
                                   env=dict(os.environ, VKCLIP_TUNE='off'),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if not wait:
            return process
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, status, err)
        return out, err

    def raw(self, value=1.0):
        """Writes two prepared batches and returns their path."""
        path = self.path('raw.safetensors')
        pixels = [value * ((i * 7919) % 1000 / 500 - 1) for i in range(2 * self.BATCH * 3 * 16 * 16)]
        ids = []
        for row in range(2 * self.BATCH):
            ids += [2238, 10 + row, 20 + 3 * row] + [2239] * 13
        write_safetensors(path, {'images': ('F32', [2, self.BATCH, 3, 16, 16], pixels),
                                 'input_ids': ('I32', [2, self.BATCH, 16], ids)})
        return path

    def table(self, rows=8):
        """Writes the samples as a table with one broken picture, and as a folder per label."""
        path, folder = self.path('train.tsv'), self.path('eval')
        samples = os.path.abspath(MODEL + '/samples')
        self.path('broken.png', b'\x89PNG nothing more')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('filepath\ttitle\n')
            for name in sorted(os.listdir(samples))[:rows]:
                label = name[:-4].replace('-', ' ')
                file.write(f'{samples}/{name}\ta picture of {label}\n')
                os.makedirs(os.path.join(folder, label))
                shutil.copy(os.path.join(samples, name), os.path.join(folder, label))
            file.write('broken.png\tnothing\n')
        return path, folder

    def lines(self, path):
        with open(path, encoding='utf-8') as file:
            return [json.loads(line) for line in file]

    def read_bytes(self, *parts):
        with open(os.path.join(*parts), 'rb') as file:
            return file.read()

    def test_killed_and_resumed_it_is_the_same_run(self):
        common = ['-m', self.model, '--data-raw', self.raw(), '--steps', '7', '--lr', '1e-4']
        one, two = self.path('one'), self.path('two')
        log, other = self.path('one.jsonl'), self.path('two.jsonl')
        self.train(*common, one, '--log', log, '--save-every', '5')
        process = self.train(*common, two, '--log', other, '--save-every', '2', wait=False)
        while not os.path.exists(other) or self.read_bytes(other).count(b'\n') < 4:
            self.assertIsNone(process.poll(), 'it ended before it was killed')
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.train(*common, two, status=1)  # A run is not resumed without --resume.
        with open(other, 'a', encoding='utf-8') as file:
            file.write('{"step":')
        mine = self.path('mine.txt', b'not a log\n')
        self.assertIn('not the log', self.train(*common, two, '--log', mine, '--resume', status=1)[1])
        self.assertEqual(self.read_bytes(mine), b'not a log\n')
        self.train(*common, two, '--log', self.path('a.svg'), '--resume', status=1)
        self.train(*common, two, '--log', other, '--resume')
        for name in ('model.safetensors', 'checkpoint-7/training.safetensors'):
            self.assertEqual(self.read_bytes(one, name), self.read_bytes(two, name), name)
        # Another run that begins with a checkpoint of this one counts its steps from the first.
        self.train('-m', one + '/checkpoint-5', '--data-raw', self.raw(), '--steps', '1', self.path('three'))
        self.assertTrue(os.path.exists(self.path('three') + '/checkpoint-1'))
        values = [[(line['step'], line['loss'], line['lr'], line['logit_scale'])
                   for line in self.lines(path)] for path in (log, other)]
        self.assertEqual([line[0] for line in values[0]], list(range(1, 8)))
        self.assertEqual(values[0], values[1])
        self.assertEqual(sorted(name for name in os.listdir(one) if 'checkpoint' in name),
                         ['checkpoint-5', 'checkpoint-7'])
        xml.etree.ElementTree.parse(self.path('one.svg'))

    def test_an_interrupt_saves(self):
        run, log = self.path('run'), self.path('log.jsonl')
        process = self.train('-m', self.model, '--data-raw', self.raw(), '--steps', '100000', run,
                             '--log', log, wait=False)
        while not os.path.exists(log) or not self.read_bytes(log):
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
        self.assertEqual(process.returncode, 1)
        self.assertIn('--resume', err)
        step = len(self.lines(log))
        self.assertTrue(os.path.exists(f'{run}/checkpoint-{step}/training.json'), err)

    def test_from_random_weights_with_pictures_and_an_evaluation(self):
        path, folder = self.table()
        run, log = self.path('run'), self.path('log.jsonl')
        args = ['--init', self.path('config.json'), '--vocab', MODEL + '/tokenizer.json', '--data', path,
                '--batch-size', '4', '--steps', '4', '--seed', '3', '--aug-color-jitter', '0.2,0.2,0.2,0']
        args += [run, '--log', log, '--eval', folder, '--eval-every', '2', '--template', 'a picture of {}',
                 '--accum-freq', '2', '--json']
        out, err = self.train(*args)
        result = json.loads(out)
        self.assertEqual((result['step'], result['broken']), (4, 1))
        self.assertIn('broken.png', err)
        scores = [line for line in self.lines(log) if 'top1' in line]
        self.assertEqual([line['step'] for line in scores], [2, 4])
        self.assertTrue(all(line['images'] == 8 and 0 <= line['top1'] <= line['top5'] <= 100 for line in scores))
        before = self.read_bytes(log)  # A finished run is evaluated again and not logged twice.
        again = json.loads(self.train(*args, '--resume')[0])
        self.assertEqual((again['step'], again['loss'], again['top1']), (4, None, result['top1']))
        self.assertEqual(self.read_bytes(log), before)
        xml.etree.ElementTree.parse(self.path('log.svg'))
        for name in ('model.safetensors', 'config.json', 'tokenizer.json', 'preprocessor_config.json'):
            self.assertTrue(os.path.exists(f'{run}/{name}'), name)
        label = os.listdir(folder)[0]
        line, = self.run_json('classify', '-m', run, '--label', label, '--label', 'other',
                              os.path.join(folder, label, os.listdir(os.path.join(folder, label))[0]))
        self.assertEqual(len(line['results']), 2)
        # Training has changed the weights, so that the evaluation is not that of the first ones.
        tensors, _ = read_safetensors(run + '/model.safetensors')
        first, _ = read_safetensors(run + '/initial/model.safetensors')
        self.assertNotEqual(tensors['logit_scale'].values, first['logit_scale'].values)

    def test_a_locked_tower_stays(self):
        run = self.path('run')
        self.train('-m', self.model, '--data-raw', self.raw(), '--steps', '2', run, '--lock-image')
        before, _ = read_safetensors(self.model + '/model.safetensors')
        after, _ = read_safetensors(run + '/model.safetensors')
        for name in before:
            if name.startswith(('vision_model.', 'visual_')):
                self.assertEqual(before[name].values, after[name].values, name)
        self.assertNotEqual(before['text_projection.weight'].values, after['text_projection.weight'].values)

    def test_mixed_precision_keeps_its_scale(self):
        """The loss scale falls until the gradients fit, a checkpoint keeps it, and the memory is smaller."""
        common = ['-m', self.model, '--data-raw', self.raw(), '--steps', '5', '--precision', 'f16']
        one, two, log = self.path('one'), self.path('two'), self.path('one.jsonl')
        if 'f16' not in next(d for d in self.run_json('devices') if d['usable'])['caps']:
            self.assertIn('16-bit', self.train(*common, one, status=1)[1])
            return
        self.train(*common, one, '--log', log, '--save-every', '2')
        shutil.copytree(one + '/checkpoint-2', two + '/checkpoint-2')
        with open(one + '/checkpoint-4/training.json', encoding='utf-8') as file:
            scale = json.load(file)['loss_scale']
        self.assertEqual([line['loss_scale'] for line in self.lines(log)][3], scale)
        self.train(*common, two, '--resume')
        self.assertEqual(self.read_bytes(one, 'model.safetensors'), self.read_bytes(two, 'model.safetensors'))
        plain = self.path('plain.jsonl')
        self.train(*common[:-1], 'f32', self.path('three'), '--log', plain)
        for a, b in zip(self.lines(log), self.lines(plain)):
            self.assertAlmostEqual(a['loss'], b['loss'], delta=1e-2)
            self.assertGreater(a['loss_scale'], b['loss_scale'])
        dry = [json.loads(self.train(*common[:-1], precision, one + 'x', '--dry-run', '--json')[0])
               for precision in ('f16', 'f32')]
        self.assertEqual([plan['precision'] for plan in dry], ['f16', 'f32'])
        self.assertLess(dry[0]['memory']['activations'], 0.75 * dry[1]['memory']['activations'])

    def test_divergence_stops_and_keeps_the_last_checkpoint(self):
        run = self.path('run')
        out, err = self.train('-m', self.model, '--data-raw', self.raw(), '--steps', '50', run, '--lr', '1e5',
                              '--warmup', '0', '--save-every', '1', status=1)
        self.assertRegex(err, r'diverged.*checkpoint-\d+')
        self.assertFalse(os.path.exists(run + '/model.safetensors'))

    def test_what_a_run_would_need(self):
        args = ['--init', self.path('config.json'), '--vocab', MODEL + '/tokenizer.json', '--data', self.table()[0],
                '--batch-size', '4', '--accum-freq', '2', '--steps', '3', self.path('run'), '--dry-run']
        plan = json.loads(self.train(*args, '--json')[0])
        parameters = sum(len(tensor.values) for tensor in read_safetensors(self.model + '/model.safetensors')[0].values())
        self.assertEqual((plan['parameters'], plan['pictures'], plan['batch']), (parameters, 9, 8))
        kept, again = plan['memory'], plan['memory_checkpoint_activations']
        self.assertLess(again['activations'], kept['activations'])
        self.assertEqual(kept['moments'], 2 * kept['gradients'])
        self.assertFalse(os.path.exists(self.path('run')))
        self.assertIn('--checkpoint-activations', self.train(*args)[0])

    def test_wrong_input(self):
        path = self.table()[0]
        base = ['-m', self.model, '--vocab', MODEL + '/tokenizer.json', self.path('run'), '--steps', '1']
        for args, part in ((['--data', path, '--batch-size', '64'], 'train.tsv'),
                           (['--data', path, '--csv-img-key', 'picture'], 'picture'),
                           (['--data', self.path('none.tsv')], 'none.tsv'),
                           (['--data-raw', path], 'train.tsv'),
                           (['--data-raw', self.raw(), '--batch-size', '3'], 'samples per batch'),
                           (['--data-raw', self.raw(), '--accum-freq', '3'], '--accum-freq'),
                           (['--data-raw', self.raw(), '--beta1', '1'], '--beta1')):
            out, err = self.train(*base, *args, status=1)
            self.assertIn(part, err)
            self.assertEqual(len(err.splitlines()), 1, err)
            self.assertNotIn('`', err)
        self.train('--init', self.path('config.json'), *base[2:], '--data', self.path('none.tsv'), status=1)
        self.assertIn('no-model', self.train('-m', 'no-model', *base[2:], '--data', path, status=4)[1])
        self.assertFalse(os.path.exists(self.path('run')), 'the random weights are left behind')


class TokenizerTrain(CommandTest):
    def test_a_new_vocabulary_tokenizes(self):
        captions = self.path('captions.tsv', b'filepath\ttitle\n1.png\tan owl\n2.png\tthe owls\n')
        line, = self.run_json('tokenizer-train', captions, self.path('new'), '--vocab-size', '515')
        self.assertEqual(line, {'path': self.path('new'), 'vocab_size': 515, 'texts': 2, 'words': 4})
        line, = self.run_json('tokenize', '--vocab', self.path('new') + '/vocab.json', 'Owl')
        self.assertEqual(line['ids'], [513, 512, 256 + ord('l') - ord('!'), 514])
        self.run_command('tokenizer-train', captions, self.path('new'), status=1)
        self.assert_error(self.path('new'), 'empty')
        self.run_command('tokenizer-train', captions, self.path('other'), '--csv-caption-key', 'x', status=1)
        self.assert_error('captions.tsv', '"x"', 'title')


class Bench(CommandTest):
    def test_figures(self):
        lines = self.run_json('bench', '-m', MODEL, '--seconds', '1', '--batches', '2,1', '--tower', 'text',
                              '--profile', '--svg', self.path('plot.svg'))
        self.assertEqual([line['batch'] for line in lines], [2, 1])
        for line in lines:
            self.assertGreaterEqual(line['runs'], 5)
            self.assertAlmostEqual(line['items_per_s'] * line['seconds'], line['batch'], places=4)
            self.assertLessEqual(line['seconds_low'], line['seconds'])
            self.assertGreaterEqual(line['seconds_high'], line['seconds'])
            self.assertGreater(line['peak_gbytes'], 0)
            self.assertAlmostEqual(line['share_of_peak'], line['gflops'] / line['peak_gflops'], places=4)
            self.assertGreater(line['host_bytes'], 10 << 20)
            self.assertGreater(line['startup_cold'], 0)
            self.assertGreater(line['startup_warm'], 0)
            self.assertEqual(sum(op['calls'] for op in line['profile'] if op['op'] == 'ATTENTION'), 4)
            self.assertAlmostEqual(sum(op['operations'] for op in line['profile']), line['operations'],
                                   delta=line['operations'] / 1e6)
            # Each of 4 layers of width C = 192 takes 12 C^2 multiply-adds per token, for 32 tokens, and the
            # attention.
            exact = line['batch'] * 4 * (32 * 24 * 192 ** 2 + 4 * 32 * 32 * 192)
            self.assertLess(abs(line['operations'] / exact - 1), 0.05)
            if line['profile'][0]['seconds'] is not None:
                self.assertLess(sum(op['seconds'] for op in line['profile']), 5 * line['seconds'])
        self.assertGreater(lines[0]['device_bytes'], lines[1]['device_bytes'])
        with open(self.path('plot.svg'), encoding='utf-8') as file:
            root = xml.etree.ElementTree.parse(file).getroot()
        self.assertEqual(len(root.findall('.//{*}circle')), 2)
        self.assertEqual(os.listdir(self.folder), ['plot.svg'])

    def test_csv(self):
        text = self.run_command('bench', '-m', MODEL, '--seconds', '1', '--batch', '1', '--only-speed', '--csv')
        head, *rows = [line.split(',') for line in text.splitlines()]
        self.assertEqual([row[0] for row in rows], ['image', 'text'])
        for row in rows:
            figures = dict(zip(head, row, strict=True))
            self.assertGreater(float(figures['items_per_s']), 0)
            self.assertEqual((figures['share_of_peak'], figures['startup_warm_s']), ('', ''))


class Tokenize(CommandTest):
    def expected(self):
        ids = read_safetensors(EXPECTED + '/expected.safetensors')[0]['input_ids']
        lines = []
        for prompt, row in zip((label['prompt'] for label in read_labels()), ids.rows()):
            row = list(row)
            lines.append({'text': prompt, 'ids': row[:row.index(2239) + 1]})
        return lines

    def test_forms(self):
        expected = self.expected()
        texts = [line['text'] for line in expected]
        for vocabulary in [['-m', MODEL], ['--vocab', MODEL + '/tokenizer.json'],
                           ['--vocab', MODEL + '/vocab.json']]:
            forms = [(texts, b''),
                     (['--stdin'], '\n'.join(texts).encode()),
                     (['--stdin'], '\r\n'.join(texts).encode() + b'\r\n'),
                     (['--stdin0'], '\0'.join(texts).encode())]
            for arguments, stdin in forms:
                with self.subTest(vocabulary=vocabulary, form=arguments[0]):
                    self.assertEqual(self.run_json('tokenize', *vocabulary, *arguments, stdin=stdin,
                                                   environment=NO_DEVICE), expected)
        plain = self.run_command('tokenize', '-m', MODEL, *texts)
        self.assertEqual(plain, ''.join(' '.join(map(str, line['ids'])) + '\n' for line in expected))

    def test_empty_texts(self):
        for arguments, stdin, texts in [(['--stdin'], b'\n\na\n', ['', '', 'a']),
                                        (['--stdin0'], b'a\nb\0\0', ['a\nb', '']),
                                        (['--stdin'], b'', []), ([''], b'', [''])]:
            lines = self.run_json('tokenize', '-m', MODEL, *arguments, stdin=stdin)
            self.assertEqual([line['text'] for line in lines], texts)
            self.assertEqual([line['ids'] for line in lines if not line['text']],
                             [[2238, 2239]] * texts.count(''))

    def test_long_texts(self):
        long = 'penguin ' * 100
        first, second = self.run_json('tokenize', '-m', MODEL, long, 'owl')
        self.assert_error('warning', 'penguin')
        self.assertEqual((len(first['ids']), first['ids'][0], first['ids'][-1]), (32, 2238, 2239))
        self.assertEqual(self.run_json('tokenize', '-m', MODEL, '--quiet', long, 'owl'), [first, second])
        self.assertEqual(self.errors, [])
        only, = self.run_json('tokenize', '-m', MODEL, '--strict', long, 'owl', status=1)
        self.assert_error('penguin')
        self.assertEqual(only, second)
        vocabulary = ['--vocab', MODEL + '/tokenizer.json']
        self.assertEqual(len(self.run_json('tokenize', *vocabulary, long)[0]['ids']), 77)
        cut, = self.run_json('tokenize', *vocabulary, '--context', '5', long)
        self.assertEqual(cut['ids'], first['ids'][:4] + [2239])
        full, = self.run_json('tokenize', '-m', MODEL, '--full', long)
        self.assertEqual(self.errors, [])
        self.assertEqual(full['ids'][:31], first['ids'][:31])
        self.assertGreater(len(full['ids']), 101)

    def test_bytes_that_are_not_text(self):
        line, = self.run_json('tokenize', '-m', MODEL, b'owl\xff "\x01')
        self.assertEqual(line['text'], 'owl\ufffd "\x01')
        line, = self.run_json('tokenize', '-m', MODEL, '--stdin', stdin=b'owl\xc3\0owl')
        self.assertEqual(line['text'], 'owl\ufffd\0owl')
        lines = self.run_json('tokenize', '-m', MODEL, '--stdin', status=1,
                              stdin=b'a' * 3000000 + b'\nowl\n')
        self.assertEqual([line['text'] for line in lines], ['owl'])
        self.assert_error('standard input', 'text 1')

    def test_openai_vocabulary(self):
        vocabulary = golden('tokenizer/bpe_simple_vocab_16e6.txt.gz')
        if not vocabulary:
            self.skipTest('no reference data outside the tree')
        for name in ['cases.jsonl', 'cases_html.jsonl', 'cases_long.jsonl']:
            with open(golden('tokenizer/' + name), encoding='utf-8') as file:
                cases = [json.loads(line) for line in file]
            lines = self.run_json('tokenize', '--vocab', vocabulary, '--stdin0', '-q',
                                  stdin=''.join(case['text'] + '\0' for case in cases).encode())
            self.assertEqual(lines, [{'text': c['text'], 'ids': c['ids']} for c in cases])

    def test_missing_vocabulary(self):
        self.run_command('tokenize', '--vocab', self.path('none'), 'a', status=4)
        self.assert_error(self.path('none'))
        self.run_command('tokenize', '-m', golden('models/openclip-vit'), 'a', status=4)
        self.assert_error('--vocab')


class Embed(CommandTest):
    def embed(self, *arguments, name='out.safetensors', model=MODEL, **others):
        self.run_command('embed', '-m', model, '-o', self.path(name), *arguments, **others)
        return read_safetensors(self.path(name))

    def test_expected(self):
        labels = read_labels()[::6]
        pictures = [f'{EXPECTED}/{label["file"]}' for label in labels]
        prompts = [label['prompt'] for label in labels]
        tensors, metadata = self.embed(
            '--images-from', self.path('pictures', '\r\n'.join([*pictures, '']).encode()),
            '--texts-from', '-', stdin='\n'.join(prompts).encode())
        expected = read_safetensors(EXPECTED + '/expected.safetensors')[0]
        self.assertEqual(sorted(tensors), ['image_embeds', 'text_embeds'])
        for name, tensor in tensors.items():
            self.assertEqual(tensor.shape, [10, 128])
            for found, row in zip(tensor.rows(), expected[name].rows()[::6]):
                self.assert_close(found, row, 1e-5, name)
        self.assertEqual(json.loads(metadata['images']), pictures)
        self.assertEqual(json.loads(metadata['texts']), prompts)

    def test_order(self):
        a, b, c = (f'{MODEL}/samples/{name}.png' for name in ['pizza', 'owl', 'robot'])
        tensors, metadata = self.embed('--image', a, '--text', 'x', '--images-from',
                                       self.path('list', f'{b}\n\n'.encode()), '--text', 'y',
                                       '--image', c, '--texts-from', self.path('texts', b'z\n\n'))
        self.assertEqual(json.loads(metadata['images']), [a, b, c])
        self.assertEqual(json.loads(metadata['texts']), ['x', 'y', 'z', ''])
        for i, path in enumerate([a, b, c]):
            one = self.embed('--image', path)[0]['image_embeds']
            self.assertEqual(one.shape, [1, 128])
            self.assert_close(tensors['image_embeds'].row(i), one.values, 1e-5)

    def test_not_normalised(self):
        arguments = ['--image', MODEL + '/samples/owl.png', '--text', 'owl']
        plain = self.embed(*arguments, '--no-normalize')[0]
        for name, tensor in self.embed(*arguments)[0].items():
            norm = math.sqrt(sum(x * x for x in plain[name].values))
            self.assertGreater(abs(norm - 1), 0.01)
            self.assert_close([x / norm for x in plain[name].values], tensor.values, 1e-5)

    def test_formats(self):
        arguments = ['--text', 'owl', '--text', 'caf\u00e9 "1"']
        expected = self.embed(*arguments)[0]['text_embeds']
        self.run_command('embed', '-m', MODEL, *arguments, '-o', self.path('out.npy'))
        with open(self.path('out.npy'), 'rb') as file:
            self.assertEqual(file.read(8), b'\x93NUMPY\1\0')
            header = file.read(struct.unpack('<H', file.read(2))[0]).decode()
            self.assertEqual(file.tell() % 64, 0)
            values = array.array('f', file.read())
        self.assertRegex(header, r"^\{'descr': '<f4', 'fortran_order': False, 'shape': \(2, 128\), \} *\n$")
        self.assertEqual(values, expected.values)
        self.run_command('embed', '-m', MODEL, *arguments, '-o', self.path('out.jsonl'))
        printed = self.run_command('embed', '-m', MODEL, *arguments, '-o', '-')
        with open(self.path('out.jsonl'), encoding='utf-8') as file:
            self.assertEqual(file.read(), printed)
        lines = [json.loads(line) for line in printed.splitlines()]
        self.assertEqual([line['text'] for line in lines], ['owl', 'caf\u00e9 "1"'])
        single = array.array('f', lines[0]['embedding'] + lines[1]['embedding'])
        self.assertEqual(single, expected.values, 'digits are lost')
        line, = self.run_json('embed', '-m', MODEL, *arguments, '-o', self.path('b.safetensors'))
        self.assertEqual(line['tensors'], {'text_embeds': [2, 128]})
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ['b.safetensors', 'out.jsonl', 'out.names.jsonl', 'out.npy', 'out.safetensors'])

    def test_goldens(self):
        for model, case in [('hf-vit', 'openai-vit'), ('hf-vit-bf16', 'hf-vit-bf16'),
                            ('hf-vit-gelu-f16', 'hf-vit-gelu-f16'), ('openclip-vit', 'openclip-vit'),
                            ('sd-text/text_encoder', 'sd-text'),
                            ('sdxl-text2/text_encoder', 'sdxl-text2')]:
            with self.subTest(model):
                raw = golden(f'models/{case}/case.safetensors')
                expected = read_safetensors(raw)[0]
                if 'input_ids' not in expected:  # This case shares the inputs of another.
                    raw = golden('models/openai-vit/case.safetensors')
                self.check_golden(golden('models/' + model), raw, expected)

    def check_golden(self, model, raw, expected):
        found = self.embed('--raw', raw, '--hidden', model=model)[0]
        names = [name for name in expected if name.startswith(('vision.', 'text.'))]
        self.assertGreater(len(names), 5)
        for name in names:
            values = expected[name].values
            self.assertEqual(found[name].shape, expected[name].shape, name)
            self.assert_close(found[name].values, values, 1e-4 * max(map(abs, values)), name)
        for name, embeds in [('vision.normalized', 'image_embeds'), ('text.normalized', 'text_embeds')]:
            if name in expected:
                self.assertEqual(found[embeds].values, found[name].values)
        plain = self.embed('--raw', raw, '--no-normalize', model=model)[0]
        for name, embeds in [('vision.projected', 'image_embeds'), ('text.projected', 'text_embeds')]:
            if name in expected:
                self.assert_close(plain[embeds].values, expected[name].values,
                                  1e-4 * max(map(abs, expected[name].values)), name)

    def test_raw(self):
        case = read_safetensors(golden('models/openai-vit/case.safetensors'))[0]
        pixels, ids = case['pixel_values'], case['input_ids']
        raw = self.path('raw.safetensors')
        model = golden('models/hf-vit')
        write_safetensors(raw, {'input_ids': ('I64', ids.shape, ids.values),
                                'pixel_values': ('F32', pixels.shape, pixels.values)})
        tensors, metadata = self.embed('--raw', raw, '--batch', '2', model=model)
        self.assertEqual(json.loads(metadata['texts'])[0], raw + ':input_ids[0]')
        for name, expected in [('image_embeds', 'vision.normalized'),
                               ('text_embeds', 'text.normalized')]:
            self.assert_close(tensors[name].values, case[expected].values, 1e-4)
        half = [struct.unpack('<H', struct.pack('<e', value))[0] for value in pixels.values]
        write_safetensors(raw, {'pixel_values': ('F16', pixels.shape, half)})
        found = self.embed('--raw', raw, model=model)[0]
        self.assertEqual(list(found), ['image_embeds'])
        self.assert_close(found['image_embeds'].values, case['vision.normalized'].values, 5e-3)

    def test_bad_raw(self):
        model, raw = golden('models/hf-vit'), self.path('raw.safetensors')
        row = [1024] + [1] * 75 + [1025]
        for tensors, message in [
                ({'other': ('F32', [1], [0])}, 'pixel_values'),
                ({'input_ids': ('F32', [1, 2], [0, 0])}, 'I32'),
                ({'input_ids': ('I32', [1, 78], [0] * 78)}, '77'),
                ({'input_ids': ('I32', [77], row)}, '[M,T]'),
                ({'input_ids': ('I64', [1, 77], [1 << 40] + row[1:])}, str(1 << 40)),
                ({'input_ids': ('I32', [1, 77], [1026] + row[1:])}, '1026'),
                ({'pixel_values': ('F32', [1, 3, 4, 4], [0] * 48)}, '[N,3,48,48]')]:
            with self.subTest(message):
                write_safetensors(raw, tensors)
                self.run_command('embed', '-m', model, '--raw', raw, '-o', self.path('o.npy'), status=1)
                self.assertEqual(len(self.errors), 2)
                self.assertIn(message, self.errors[0])
                self.assertIn('not written', self.errors[1])
                self.assertFalse(os.path.exists(self.path('o.npy')))
        write_safetensors(raw, {'input_ids': ('I32', [3, 77], row + [-1] * 77 + row)})
        tensors, metadata = self.embed('--raw', raw, '--hidden', model=model, status=1)
        self.assert_error('input_ids[1]')
        self.assertEqual([tensor.shape[0] for tensor in tensors.values()], [2] * len(tensors))
        self.assertEqual(len(json.loads(metadata['texts'])), 2)
        for tensor in tensors.values():
            self.assertEqual(tensor.row(0), tensor.row(1))

    def test_bad_inputs_among_good_ones(self):
        good = [f'{MODEL}/samples/{name}.png' for name in ['pizza', 'owl']]
        with open(good[0], 'rb') as file:
            content = file.read()
        bad = [self.path('none.png'), self.path('empty.png', b''), self.path('junk.png', b'junk' * 99),
               self.path('cut.png', content[:len(content) // 2])]
        tensors, metadata = self.embed(*(word for pair in zip(bad, good + good)
                                         for path in pair for word in ['--image', path]), status=1)
        self.assertEqual(len(self.errors), len(bad))
        for path in bad:
            self.assertEqual(len([line for line in self.errors if path in line]), 1, path)
        self.assertEqual(json.loads(metadata['images']), good + good)
        self.assertEqual(tensors['image_embeds'].shape[0], len(bad))

    def test_strict(self):
        long = 'penguin ' * 100
        tensors, metadata = self.embed('--text', 'owl', '--text', long, '--text', 'owl')
        self.assert_error('warning', 'penguin')
        self.assertEqual(tensors['text_embeds'].shape[0], 3)
        tensors, metadata = self.embed('--text', 'owl', '--text', long, '--text', 'owl', '--strict',
                                       status=1)
        self.assertEqual(json.loads(metadata['texts']), ['owl', 'owl'])
        self.assertEqual(tensors['text_embeds'].row(0), tensors['text_embeds'].row(1))

    def test_result_that_cannot_be_written(self):
        for name in ['a.safetensors', 'a.npy', 'a.jsonl']:
            path = self.path('no folder') + '/' + name
            self.run_command('embed', '-m', MODEL, '--text', 'a', '-o', path, status=1)
            self.assert_error(path)

    def test_missing_tower_or_vocabulary(self):
        output = ['-o', self.path('a.npy')]
        self.run_command('embed', '-m', golden('models/sd-text/text_encoder'), '--image', 'a.png',
                         *output, status=4)
        self.assert_error('image tower')
        self.run_command('embed', '-m', golden('models/openclip-vit'), '--text', 'a', *output, status=4)
        self.assert_error('--vocab')

    def test_half_precision(self):
        usable = next(d for d in self.run_json('devices') if d['usable'])
        arguments = ['--image', MODEL + '/samples/owl.png', '--text', 'owl']
        if 'f16' not in usable['caps']:
            self.run_command('embed', '-m', MODEL, *arguments, '-o', self.path('a.safetensors'),
                             '--precision', 'f16', status=4)
            self.assert_error('16-bit')
            return
        exact = self.embed(*arguments)[0]
        for name, tensor in self.embed(*arguments, '--precision', 'f16')[0].items():
            cosine = sum(a * b for a, b in zip(tensor.values, exact[name].values))
            self.assertGreater(cosine, 0.999)
            self.assertNotEqual(tensor.values, exact[name].values)

    def test_not_finite(self):
        """A text whose embedding is not a number is left out, with its hidden states."""
        texts = [word for text in ('a red owl', 'pizza', 'owl', 'pizza') for word in ('--text', text)]
        pizza, = self.run_json('tokenize', '-m', MODEL, 'pizza')
        self.damage_model('text_model.embeddings.token_embedding.weight', row=pizza['ids'][1])
        tensors, metadata = self.embed(*texts, '--hidden', model=self.path('model'), status=1)
        self.assertEqual(len(self.errors), 2)
        for line in self.errors:
            self.assertIn('pizza: the model\'s answer is not a finite number', line)
        self.assertEqual(json.loads(metadata['texts']), ['a red owl', 'owl'])
        good = self.embed('--text', 'a red owl', '--text', 'owl', '--hidden')[0]
        self.assertEqual(sorted(tensors), sorted(good))
        for name, tensor in tensors.items():
            self.assert_close(tensor.values, good[name].values, 1e-5, name)

    def test_many(self):
        """A picture gives the same row at the beginning and at the end of a long list with failures."""
        good, bad = MODEL + '/samples/owl.png\n', self.path('none.png') + '\n'
        lines = (good + bad * 61 + good * 3).encode()
        tensors, _ = self.embed('--images-from', '-', stdin=lines, status=1)
        self.assertEqual(len(self.errors), 61)
        self.assertEqual(tensors['image_embeds'].shape, [4, 128])
        for row in tensors['image_embeds'].rows():
            self.assert_close(row, tensors['image_embeds'].row(0), 1e-6)

    def test_a_list_that_ends_paths_with_nul(self):
        """A path is not cut at a NUL, as if the rest of the line were not there."""
        owl = MODEL + '/samples/owl.png'
        lines = (owl + '\0' + owl + '\0\n' + owl + '\n').encode()
        tensors, _ = self.embed('--images-from', '-', stdin=lines, status=1)
        self.assertEqual(tensors['image_embeds'].shape, [1, 128])
        self.assertEqual(len(self.errors), 1)
        self.assertIn('NUL', self.errors[0])


class Index(CommandTest):
    def setUp(self):
        super().setUp()
        self.pictures = self.path('pictures')
        self.index = ['index', '--index', self.path('index.db')]
        made = subprocess.run([COMMAND, *self.index, '--prune'], capture_output=True, check=False)
        if b'no picture search' in made.stderr:
            self.skipTest('this build has no picture search')
        shutil.copytree(f'{MODEL}/samples', self.pictures)

    def update(self, *arguments, **others):
        (result,) = self.run_json(*self.index, '-m', MODEL, *arguments, **others)
        return result

    def test_form(self):
        counts = {'new': 0, 'changed': 0, 'moved': 0, 'removed': 0, 'failed': 0}
        self.assertEqual(self.update(self.pictures), {'indexed': 14, **counts, 'new': 14})
        os.rename(f'{self.pictures}/owl.png', f'{self.pictures}/uhu.png')
        os.remove(f'{self.pictures}/robot.png')
        self.path('pictures/cut.png', b'\x89PNG\r\n\x1a\n')
        found = self.update(status=1)
        self.assert_error(f'{self.pictures}/cut.png: truncated PNG')
        self.assertEqual(found, {'indexed': 13, **counts, 'moved': 1, 'removed': 1, 'failed': 1})
        # A known failure is counted, but neither read nor reported again.
        self.assertEqual(self.update(), {'indexed': 13, **counts, 'failed': 1})
        self.assertEqual(self.update('--retry', status=1)['failed'], 1)
        self.assertRegex(self.run_command(*self.index, '-m', MODEL),
                         r'^13 indexed: 0 new, 0 changed, 0 moved, 0 removed; 1 failed\n$')

    def test_status(self):
        self.update(self.pictures)
        self.path('pictures/\udcff.png', b'')
        self.update(status=1)
        (found,) = self.run_json(*self.index, '--status')
        self.assertEqual([found[name] for name in ('files', 'pictures', 'missing', 'failed')],
                         [15, 15, 0, 1])
        self.assertEqual(found['folders'], [os.path.realpath(self.pictures)])
        self.assertEqual([found['models'][0][name] for name in ('embed_dim', 'vectors')], [128, 14])
        self.assertEqual(len(found['failures']), 1)
        text = self.run_command(*self.index, '--status')
        self.assertRegex(text, r'(?m)^files     15, of 15 different pictures; 1 failed, 0 missing$')

    def test_removal(self):
        self.update(self.pictures)
        self.assertEqual(self.run_json(*self.index, '--remove', f'{self.pictures}/owl.png'),
                         [{'removed': 1}])
        os.remove(f'{self.pictures}/robot.png')
        self.assertEqual(self.update()['removed'], 1)
        self.assertEqual(self.run_json(*self.index, '--prune'), [{'removed': 1}])
        (found,) = self.run_json(*self.index, '--status')
        self.assertEqual((found['files'], found['models'][0]['vectors']), (13, 13))

    def test_unmounted(self):
        """A folder that is gone or empty changes nothing."""
        self.update(self.pictures)
        os.rename(self.pictures, self.path('elsewhere'))
        for words in 'is not there', 'has no files':
            found = self.update()
            self.assert_error('warning: ', words, 'the index has 14 files there')
            self.assertEqual((found['indexed'], found['removed']), (14, 0))
            os.makedirs(self.pictures, exist_ok=True)

    def test_thumbnails(self):
        self.update(self.pictures)
        self.assertEqual(self.update('--thumbnails')['thumbnails'], 14)
        self.assertRegex(self.run_command(*self.index, '-m', MODEL, '--thumbnails'),
                         r'^14 indexed: .* 0 failed; 0 thumbnails\n$')
        with contextlib.closing(sqlite3.connect(self.path('index.db'))) as index:
            thumbnails = index.execute('SELECT data FROM thumbnail').fetchall()
            self.assertEqual(len(thumbnails), 14)
            self.path('thumbnail.jpg', thumbnails[0][0])
        self.run_json('classify', '-m', MODEL, '-l', 'owl', self.path('thumbnail.jpg'))

    def test_thumbnail_of_inks(self):
        inks = 'tests/golden/preprocess/images/jpeg_cmyk.jpg'
        self.update(inks, '--thumbnails')
        with contextlib.closing(sqlite3.connect(self.path('index.db'))) as index:
            ((thumbnail,),) = index.execute('SELECT data FROM thumbnail').fetchall()
        self.run_command('preprocess', '-m', MODEL, inks, self.path('thumbnail.jpg', thumbnail), '-o',
                         self.path('p.safetensors'))
        rows = list(read_safetensors(self.path('p.safetensors'))[0]['u8'].rows())
        self.assertLess(sum(abs(a - b) for a, b in zip(*rows)) / len(rows[0]), 8)

    def test_facts(self):
        """What a file says of its picture is kept, as the picture is shown."""
        shutil.copy('tests/golden/preprocess/images/jpeg_exif.jpg', self.pictures)
        self.update(f'{self.pictures}/jpeg_exif.jpg')
        with contextlib.closing(sqlite3.connect(self.path('index.db'))) as index:
            facts = index.execute('SELECT format, width, height, orientation, camera, taken, latitude '
                                  'FROM content').fetchall()
        self.assertEqual(facts, [('JPEG', 35, 47, 6, 'Maker Model', None, None)])

    def test_environment(self):
        home = {'VKCLIP_INDEX': '', 'XDG_DATA_HOME': self.path('data')}
        self.run_json('index', '-m', MODEL, self.pictures, environment=home)
        self.assertTrue(os.path.exists(self.path('data/vkclip/index.db')))
        named = {'VKCLIP_INDEX': self.path('data/vkclip/index.db')}
        (found,) = self.run_json('index', '--status', environment=named)
        self.assertEqual(found['files'], 14)

    def test_bad_input(self):
        for arguments, status, words in [
                ([self.path('none')], 1, ['none: no such file or folder']),
                ([], 1, ['has no folders yet']),
                (['--status', '--prune'], 2, ['expected one of --status']),
                (['--remove'], 2, ['expected the files or folders to remove']),
                (['--export', 'csv', 'x'], 2, ['clip-retrieval']),
                (['--import', 'rclip'], 2, ['expected one database']),
                (['--index', self.path('absent/index.db')], 2, ['given twice'])]:
            self.run_command(*self.index, '-m', MODEL, *arguments, status=status)
            self.assert_error(*words)
        self.path('text.db', b'no database' * 100)
        self.run_command('index', '--index', self.path('text.db'), '--status', status=1)
        self.assert_error('text.db: expected an SQLite database')
        self.run_command('index', '--index', self.path('new.db'), '--status', status=1)
        self.assert_error('new.db: cannot be opened: No such file or directory')


class Preprocess(CommandTest):
    def test_expected(self):
        pictures = [f'{EXPECTED}/{label["file"]}' for label in read_labels()]
        output = self.path('out.safetensors')
        line, = self.run_json('preprocess', '-m', MODEL, *pictures, '-o', output,
                              environment=NO_DEVICE)
        self.assertEqual(line, {'output': output, 'tensors': {'pixel_values': [60, 3, 64, 64],
                                                              'u8': [60, 64, 64, 3]}})
        tensors, metadata = read_safetensors(output)
        expected = read_safetensors(EXPECTED + '/expected.safetensors')[0]['pixels_u8']
        self.assertEqual(tensors['u8'].values, expected.values)
        self.assertEqual(json.loads(metadata['images']), pictures)
        mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        values, bytes_ = tensors['pixel_values'].row(7), tensors['u8'].row(7)
        for channel in range(3):
            plane = values[channel * 4096:(channel + 1) * 4096]
            self.assert_close(plane, [(b / 255 - mean[channel]) / std[channel]
                                      for b in bytes_[channel::3]], 1e-5)

    def preprocess(self, picture, size, *options, status=0):
        output = self.path('prepared.safetensors')
        self.run_command('preprocess', '-m', MODEL, '--image-size', str(size), picture, '-o', output, *options,
                         status=status)
        return None if status else read_safetensors(output)[0]['u8'].values

    def test_orient(self):
        picture = 'tests/golden/preprocess/images/jpeg_exif.jpg'
        expected = read_safetensors('tests/golden/preprocess/expected/jpeg_exif_jpg.safetensors')[0]
        if 'libjpeg-turbo' not in self.run_command('--version'):  # nor is libexif there
            self.preprocess(picture, 32, '--orient', status=1)
            self.assert_error(picture, 'libexif')
            return
        self.assertEqual(self.preprocess(picture, 32), expected['u8_32'].values)
        self.assertEqual(self.preprocess(picture, 32, '--orient'), expected['u8_32_exif_applied'].values)

    def test_fast_decode(self):
        picture = 'tests/golden/preprocess/images/jpeg_420_restart.jpg'  # 203 x 181
        exact, fast = self.preprocess(picture, 16), self.preprocess(picture, 16, '--fast-decode')
        differences = [abs(a - b) for a, b in zip(exact, fast)]
        self.assertEqual(any(differences), 'libjpeg-turbo' in self.run_command('--version'),
                         'a quarter of its size is enough')
        self.assertLess(sum(differences) / len(differences), 4)
        self.assertEqual(self.preprocess(picture, 64), self.preprocess(picture, 64, '--fast-decode'),
                         'at a half it would be too small')

    def test_every_format_fails_in_one_line(self):
        """Some decoders print on standard error what they find in a damaged file."""
        broken = []
        for folder in ('webp', 'tiff', 'heif', 'jxl'):
            for name in sorted(os.listdir(f'{PICTURES}/{folder}')):
                with open(f'{PICTURES}/{folder}/{name}', 'rb') as file:
                    data = bytearray(file.read())
                data[len(data) * 2 // 3:] = bytes(len(data) - len(data) * 2 // 3)
                broken += [self.path(name, data), self.path('cut.' + name, data[:len(data) // 2])]
        self.run_command('preprocess', '-m', MODEL, *broken, '-o', self.path('o.safetensors'), status=1)
        self.assertLessEqual(len(self.errors), len(broken) + 1)
        for line in self.errors:
            self.assertRegex(line, r'^vkclip: \S+\.(webp|tif|avif|heic|jxl|safetensors): ')

    def test_failures(self):
        owl, none, output = MODEL + '/samples/owl.png', self.path('none'), self.path('o.safetensors')
        self.run_command('preprocess', '-m', MODEL, none, owl, '-o', output, status=1)
        self.assert_error(none)
        self.assertEqual(read_safetensors(output)[0]['u8'].shape, [1, 64, 64, 3])
        self.run_command('preprocess', '-m', MODEL, owl, '-o', output, '--max-pixels', '100', status=1)
        self.assertIn(owl, self.errors[0])
        huge = self.path('huge.ppm', b'P6 100000 100000 255\n')
        self.run_command('preprocess', '-m', MODEL, huge, '-o', output, status=1)
        self.assertIn('(--max-pixels sets this limit)', self.errors[0], 'the option is not named')


class Classify(CommandTest):
    arguments = ['classify', '-m', MODEL, '-l', 'owl', '-l', 'red apple', '-l', 'pizza']

    def test_top_labels(self):
        labels = read_labels()
        some = [f'{EXPECTED}/{label["file"]}' for label in labels[:12]]
        lines = self.run_json('classify', '-m', MODEL, '--labels', MODEL + '/labels.txt', '--template',
                              'a picture of {}', '-k', '60', *some)
        found = {os.path.basename(line['path']): line['results'] for line in lines}
        self.assertEqual([line['path'] for line in lines], some)
        expected = read_safetensors(EXPECTED + '/expected.safetensors')[0]['logits_per_image']
        for number, label in enumerate(labels[:12]):
            results = found[os.path.basename(label['file'])]
            self.assertEqual(results[0]['label'], label['top1'])
            logits = {result['label']: result['logit'] for result in results}
            self.assert_close([logits[other['name']] for other in labels], expected.row(number), 1e-3)
            self.assertAlmostEqual(sum(result['prob'] for result in results), 1, places=5)
            best = results[0]
            for result in results:
                self.assertAlmostEqual(result['prob'], best['prob'] *
                                       math.exp(result['logit'] - best['logit']), places=5)
            self.assertEqual(results, sorted(results, key=lambda result: -result['logit']))

    def test_table(self):
        table = self.run_command(*self.arguments, '--top', '2', MODEL + '/samples/owl.png',
                                 MODEL + '/samples/pizza.png')
        head, *rows = table.split('\n')
        device = next(d for d in self.run_json('devices') if d['usable'])
        self.assertIn(MODEL, head)
        self.assertIn(device['name'], head)
        self.assertRegex(rows[1], r'^models/emoji-clip/samples/owl\.png    owl        +\d+\.\d\d %$')
        self.assertRegex(rows[2], r'^ {37}\w.* +\d+\.\d\d %$')
        self.assertRegex(rows[3], r'^models/emoji-clip/samples/pizza\.png  pizza +\d+\.\d\d %$')
        self.assertEqual(len({len(row) for row in rows[1:5]}), 1, 'not aligned')

    def test_templates(self):
        """The embedding of a label is the normalised mean over the templates."""
        texts = ['a picture of owl', 'an icon of owl', 'owl']
        picture = MODEL + '/samples/owl.png'
        self.run_command('embed', '-m', MODEL, '--image', picture, '-o', self.path('o.safetensors'),
                         *(word for text in texts for word in ['--text', text]))
        tensors = read_safetensors(self.path('o.safetensors'))[0]
        mean = [sum(column) / 3 for column in zip(*tensors['text_embeds'].rows())]
        norm = math.sqrt(sum(x * x for x in mean))
        cosine = sum(a * b for a, b in zip(mean, tensors['image_embeds'].values)) / norm
        line, = self.run_json('classify', '-m', MODEL, '-l', 'owl', '-t', 'a picture of {}', '-t',
                              'an icon of {}', '-t', '{}', picture)
        scale = self.run_json('info', '-m', MODEL)[0]['logit_scale']
        self.assertEqual((len(line['results']), line['results'][0]['prob']), (1, 1))
        self.assertAlmostEqual(line['results'][0]['logit'], scale * cosine, places=4)

    def test_folders(self):
        owl = MODEL + '/samples/owl.png'
        for folder in ['', 'b', 'b/c', '.hidden', 'empty']:
            os.makedirs(self.path(folder), exist_ok=True)
        for name in ['z.PNG', 'a.png', 'b/x.jpeg', 'b/c/y.png', '.h.png', '.hidden/x.png']:
            shutil.copy(owl, self.path(name))
        self.path('notes.txt', b'not a picture')
        os.symlink('..', self.path('b/up'))

        def names(*arguments, **others):
            lines = self.run_json('classify', '-m', MODEL, '-l', 'owl', *arguments, **others)
            return [os.path.relpath(line['path'], self.folder) for line in lines]
        self.assertEqual(names(self.folder), ['a.png', 'z.PNG'])
        self.assertEqual(names('-r', self.folder + '/'), ['a.png', 'b/c/y.png', 'b/x.jpeg', 'z.PNG'])
        self.assertEqual(names(self.path('empty'), self.path('.h.png'), self.path('b'), status=1),
                         ['.h.png', 'b/x.jpeg'])
        self.assert_error(self.path('empty'))

    def test_failures(self):
        owl, none = MODEL + '/samples/owl.png', self.path('no\nne\x1b.png')
        lines = self.run_json(*self.arguments, owl, none, owl, status=1)
        self.assertEqual([line['path'] for line in lines], [owl, owl])
        self.assert_error('no?ne?.png')
        self.run_command('classify', '-m', MODEL, '--labels', self.path('none'), owl, status=1)
        self.assertIn(self.path('none'), self.errors[0])
        self.run_command('classify', '-m', MODEL, '--strict', '-l', 'owl', '-l', 'penguin ' * 100, owl,
                         status=1)
        self.assert_error('penguin')

    def test_names_that_are_not_text(self):
        path = os.fsencode(self.folder) + b'/\xff\xfe.png'
        shutil.copy(MODEL + '/samples/owl.png', path)
        line, = self.run_json('classify', '-m', MODEL, '-l', b'o\xffwl', path)
        self.assertEqual(line['path'], self.folder + '/\ufffd\ufffd.png')
        self.assertEqual(line['results'][0]['label'], 'o\ufffdwl')

    def test_damaged_weights(self):
        """Weights that are not numbers give an error, not a ranking."""
        self.damage_model('visual_projection.weight')
        self.assertEqual(self.run_json('classify', '-m', self.path('model'), '-l', 'a', '-l', 'b',
                                       MODEL + '/samples/owl.png', status=1), [])
        self.assert_error('owl.png', 'not a finite number')


class Duplicates(CommandTest):
    """Finds what is several times in an index of samples, some of which are there in two sizes."""

    def make_index(self):
        """An index of three samples: one twice, and one also with every pixel doubled."""
        os.mkdir(self.path('p'))
        for name in ('owl', 'pizza', 'robot'):
            shutil.copy(f'{MODEL}/samples/{name}.png', self.path(f'p/{name}.png'))
        shutil.copy(self.path('p/owl.png'), self.path('p/owl again.png'))
        for scale in (1, 2):
            side, pixels = 64, bytearray()
            for y in range(side * scale):
                for x in range(side * scale):
                    pixels += bytes([x // scale * 4, y // scale * 4, (x + y) // scale * 2])
            self.path(f'p/pattern{scale}.ppm', b'P6 %d %d 255\n' % (side * scale, side * scale) + bytes(pixels))
        index = self.path('index.db')
        self.run_command('index', '--index', index, '-m', MODEL, self.path('p'))
        return index

    def test_groups(self):
        index = self.make_index()
        exact, same = self.run_json('duplicates', '--index', index)
        self.assertEqual(self.run_json('duplicates', '--index', index, '-m', MODEL), [exact, same])
        self.assertEqual(list(exact), ['kind', 'paths', 'cosine', 'ids'])
        self.assertEqual([os.path.basename(path) for path in exact['paths']], ['owl again.png', 'owl.png'])
        self.assertEqual((exact['kind'], exact['cosine']), ('exact', 1))
        self.assertEqual(sorted(os.path.basename(path) for path in same['paths']), ['pattern1.ppm', 'pattern2.ppm'])
        self.assertEqual((same['kind'], same['same_picture']), ('near', True))
        self.assertGreater(same['cosine'], 0.995)
        text = self.run_command('duplicates', '--index', index)
        self.assertRegex(text, r'^the same file:\n  .*/owl again.png\n  .*/owl.png\n\nthe same picture, cosine '
                               r'\d\.\d{4}:\n  .*/pattern\d.ppm\n  .*/pattern\d.ppm\n$')
        # With a large distance everything is near; what was called different stays apart.
        far = self.run_json('duplicates', '--index', index, '--distance', '0.99')
        self.assertEqual([group.get('same_picture') for group in far], [None, True, False])
        self.run_command('duplicates', '--index', index, '--forget', same['paths'][0],
                         f'id:{same["ids"][1]}')
        self.assertEqual(self.run_json('duplicates', '--index', index), [exact])

    def test_wrong_usage(self):
        for arguments, message in ((['a.png'], 'expected no arguments without --forget'),
                                   (['--forget', 'a.png'], '--forget: expected two pictures, each a path or id:N'),
                                   (['--distance', '1'], '--distance: expected a number from 0 to less than 1')):
            self.run_command('duplicates', *arguments, status=2)
            self.assertIn(message, self.errors[0])


class Search(CommandTest):
    """Searches an index of the model's 14 samples."""
    samples = os.path.abspath(MODEL + '/samples')
    owl = samples + '/owl.png'
    folder_of_index = None

    @classmethod
    def setUpClass(cls):
        cls.folder_of_index = tempfile.mkdtemp()
        cls.index = cls.folder_of_index + '/index.db'
        subprocess.run([COMMAND, 'index', '--index', cls.index, '-m', MODEL, cls.samples], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder_of_index)

    def search(self, *arguments, **others):
        return self.run_command('search', '--index', self.index, *arguments, **others)

    def search_json(self, *arguments, **others):
        return self.run_json('search', '--index', self.index, *arguments, **others)

    def test_text(self):
        lines = self.search_json('-m', MODEL, '--top', '3', 'a picture of owl')
        self.assertEqual([list(line) for line in lines], [['path', 'score', 'z', 'id']] * 3)
        self.assertEqual(lines[0]['path'], self.owl)
        scores = [line['score'] for line in lines]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertGreater(lines[0]['z'], 1)
        # Words need no quotes, and without -m the only model of the index is used.
        self.assertEqual(self.search_json('--top', '3', 'a', 'picture', 'of', 'owl'), lines)
        self.assertEqual(len(self.search_json('owl')), 10)
        self.assertEqual(len(self.search_json('owl', '--top', '100')), 14)

    def test_table(self):
        lines = self.search('a picture of owl', '--top', '2').splitlines()
        self.assertEqual(lines[0].split(), ['score', 'z', 'id', 'date', 'picture'])
        self.assertRegex(lines[1], rf'^ 0\.\d{{3}} +\d+\.\d +\d+  \d{{4}}-\d\d-\d\d  {self.owl}$')
        self.assertEqual(len(lines), 3)

    def test_query_parts(self):
        owl, = self.search_json('a picture of owl', '--top', '1')
        number = f'id:{owl["id"]}'
        both = self.search_json('a picture of owl', '+', '2:a picture of pizza', '-', 'robot')
        self.assertEqual(self.search_json('a picture of owl', '--subtract', 'robot', '--add',
                                          '2:a picture of pizza'), both)
        # A picture, by file or by number, is not its own result; a copy has the same content.
        near = self.search_json(number)
        self.assertNotIn(self.owl, [line['path'] for line in near])
        self.assertEqual(self.search_json(self.owl), near)
        self.assertEqual(self.search_json('./owl.png', cwd=self.samples), near)
        self.assertEqual(self.search_json('owl.png', cwd=self.samples), near)
        shutil.copy(self.owl, self.path('copy.png'))
        self.assertEqual(self.search_json(self.path('copy.png')), near)
        self.assertNotEqual(self.search_json(number, '-', 'a picture of penguin'), near)
        # A picture that is not in the index is encoded.
        grey = self.path('grey.pgm', b'P5 8 8 255\n' + bytes([200]) * 64)
        self.assertEqual(len(self.search_json(grey)), 10)

    def test_no_device_for_pictures_of_the_index(self):
        self.assertEqual(len(self.search_json('id:1', environment=NO_DEVICE)), 10)
        self.search('owl', environment=NO_DEVICE, status=3)

    def test_paths(self):
        paths = self.search('owl', '--paths-only', '--top', '4').splitlines()
        self.assertEqual(len(paths), 4)
        self.assertEqual(self.search('owl', '-0', '--top', '4').split('\0'), paths + [''])
        self.assertEqual(sorted(self.search('owl', '--paths-only', '--sort', 'date', '--top', '4')
                                .splitlines()), sorted(paths))

    def test_filters_and_limits(self):
        everything = self.search_json('owl', '--top', '100')
        best = everything[0]
        for options, count in [(['--path', 'p*'], None), (['--path', '*/samples/p*'], None),
                               (['--type', 'png'], 14), (['--type', 'jpeg'], 0), (['--camera', 'x'], 0),
                               (['--near', '-33.9,151.2,5'], 0), (['--min-size', '1000x1'], 0),
                               (['--before', '1990'], 0), (['--after', '1990-01-01'], 14),
                               (['--min-score', str(everything[4]['score'] - 1e-6)], 5),
                               (['--min-z', str(everything[6]['z'] - 1e-5)], 7),
                               (['--relative', str(everything[2]['score'] / best['score'] - 1e-6)], 3)]:
            with self.subTest(options):
                found = self.search_json('owl', '--top', '100', *options)
                expected = [line for line in everything if '/samples/p' in line['path']] \
                    if count is None else everything[:count]
                self.assertEqual(found, expected)
                if not found:
                    self.assert_error('no picture passes')

    def test_lines(self):
        queries = b'a picture of owl\n\n./owl.png + snow\na -\nid:1 - robot\n'
        lines = self.search_json('--stdin', '--top', '2', stdin=queries, status=1, cwd=self.samples)
        self.assertEqual([line['query'] for line in lines],
                         ['a picture of owl', './owl.png + snow', 'a -', 'id:1 - robot'])
        self.assertEqual([len(line['results']) for line in lines], [2, 2, 0, 2])
        self.assertEqual(lines[0]['results'], self.search_json('a picture of owl', '--top', '2'))
        self.assertIn('after the sign', lines[2]['error'])
        paths = self.search('--stdin', '--top', '1', '--paths-only', stdin=b'a picture of owl\nid:1\n')
        self.assertEqual(paths.split('\n')[:2], [self.owl, ''])
        self.assertEqual(len(paths.splitlines()), 4)

    def test_open(self):
        viewer = self.path('xdg-open', b'#!/bin/sh\nprintf "%s\\n" "$#" "$1" >"$0.seen"\n')
        os.chmod(viewer, 0o755)
        self.search('a picture of owl', '--open',
                    environment={'PATH': self.folder + ':' + os.environ['PATH']})
        for _ in range(100):
            if os.path.exists(viewer + '.seen') and os.path.getsize(viewer + '.seen'):
                break
            time.sleep(0.05)
        with open(viewer + '.seen', encoding='utf-8') as file:
            self.assertEqual(file.read().splitlines(), ['1', self.owl])
        self.search('owl', '--open', status=1, environment={'PATH': self.path('empty')})
        self.assert_error('xdg-open')

    def test_preview(self):
        for protocol, start, end in [('kitty', '\033_Ga=T,', '\033\\\n'), ('iterm', '\033]1337;File=', '\a\n'),
                                     ('sixel', '\033Pq"1;1;', '\033\\\n'), ('blocks', '\033[38;2;', '\033[0m\n')]:
            with self.subTest(protocol):
                output = self.search('owl', '--top', '2', '--graphics', protocol)
                self.assertEqual(len(re.findall(r'\.png\n' + re.escape(start), output)), 2)
                self.assertTrue(output.endswith(end))
        # In a pipe, nothing is asked.
        self.assertIn('\033[38;', self.search('owl', '--preview'))

    def test_thumbnails_are_shown(self):
        """A preview needs no picture file where the index has a thumbnail; else one line says why."""
        os.mkdir(self.path('photos'))
        for options, errors in [(['--thumbnails'], 0), ([], 1)]:
            shutil.copy(self.owl, self.path('photos/owl.png'))
            index = self.path(f'{errors}.db')
            self.run_command('index', '--index', index, '-m', MODEL, *options, self.path('photos'))
            self.path('photos/owl.png', b'gone')
            output = self.run_command('search', '--index', index, 'owl', '--graphics', 'kitty')
            self.assertEqual('\033_G' in output, not errors)
            self.assertEqual(len(self.errors), errors, self.errors)

    def test_names_that_are_not_utf_8(self):
        """Such a path comes out as it is, and in JSON its bytes are beside it."""
        os.mkdir(self.path('photos'))
        path = self.path('photos').encode() + b'/\xff owl.png'
        shutil.copy(self.owl, path)
        index = ['--index', self.path('names.db')]
        self.run_command('index', *index, '-m', MODEL, self.path('photos'))
        line, = self.run_json('search', *index, 'owl')
        self.assertEqual(list(line), ['path', 'path_bytes', 'score', 'z', 'id'])
        self.assertEqual(base64.b64decode(line['path_bytes']), path)
        done = subprocess.run([COMMAND, 'search', *index, 'owl', '-0'], stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout, path + b'\0')

        # In lists, those that are not UTF-8 are named by their place.
        shutil.copy(self.owl, self.path('photos'))
        self.path('photos/cut.png', b'\x89PNG\r\n\x1a\n')
        cut = self.path('photos').encode() + b'/\xff cut.png'
        os.rename(self.path('photos/cut.png'), cut)
        self.run_command('index', *index, '-m', MODEL, self.path('photos'), status=1)
        group, = self.run_json('duplicates', *index)
        (place, encoded), = group['paths_bytes'].items()
        self.assertEqual(base64.b64decode(encoded), path)
        self.assertNotEqual(group['paths'][int(place)], self.path('photos/owl.png'))
        os.mkdir(self.path('folder').encode() + b'\xff')
        self.run_command('index', *index, '-m', MODEL, self.path('folder').encode() + b'\xff')
        status, = self.run_json('index', *index, '--status')
        self.assertEqual(base64.b64decode(status['failures'][0]['path_bytes']), cut)
        (place, encoded), = status['folders_bytes'].items()
        self.assertEqual(status['folders'][int(place)], self.path('folder\N{REPLACEMENT CHARACTER}'))
        self.assertEqual(base64.b64decode(encoded), self.path('folder').encode() + b'\xff')

        # A terminal gets no bytes that it could take for commands.
        control = self.path('photos').encode() + b'/\033[31m.png'
        os.rename(path, control)
        self.run_command('index', *index, '-m', MODEL, self.path('photos'))
        seen = self.run_in_terminal(b'', 'search', *index, '-q', '--paths-only', 'owl')
        self.assertNotIn(b'\033', seen)
        done = subprocess.run([COMMAND, 'search', *index, 'owl', '--paths-only'], stdout=subprocess.PIPE,
                              check=True)
        self.assertIn(control, done.stdout)

    def test_refresh(self):
        os.mkdir(self.path('photos'))
        shutil.copy(self.owl, self.path('photos'))
        index = ['--index', self.path('new.db')]
        self.run_command('index', *index, '-m', MODEL, self.path('photos'))
        shutil.copy(self.samples + '/pizza.png', self.path('photos'))
        self.path('photos/cut.png', b'\x89PNG\r\n\x1a\n')
        self.assertEqual(len(self.run_json('search', *index, 'a picture of pizza')), 1)
        # A file that cannot be read is told of once.
        for status in [1, 0]:
            found = self.run_json('search', *index, '--refresh', 'a picture of pizza', status=status)
            self.assertEqual(any('photos/cut.png: ' in line for line in self.errors), status == 1)
            self.assertEqual([os.path.basename(line['path']) for line in found], ['pizza.png', 'owl.png'])
        os.remove(self.path('photos/pizza.png'))
        self.assertIn(b'\r2 pictures found', self.run_in_terminal(b'', 'search', *index, '--refresh', 'owl'))
        found = self.run_json('search', *index, '--refresh', 'a picture of pizza')
        self.assertEqual(self.errors, [])
        self.assertEqual([os.path.basename(line['path']) for line in found], ['owl.png'])

    def test_preview_asks_the_terminal(self):
        """A terminal that answers as kitty does gets kitty's protocol, and others what they answer."""
        for answer, start in [(b'\033_Gi=31;OK\033\\\033[?62;c', b'\033_Ga=T'),
                              (b'\033[?62;4;22c', b'\033Pq'), (b'\033[?62;22c', b'\033[38;5;')]:
            with self.subTest(answer):
                seen = self.run_in_terminal(answer, 'search', '--index', self.index, '-q', '--preview',
                                            '--top', '1', 'a picture of owl')
                self.assertIn(start, seen)
                self.assertNotIn(answer, seen)

    def test_a_terminal_gets_its_echo_back(self):
        """A key that ends the process while it waits for the answer does not leave a terminal without echo."""
        self.run_in_terminal(b'\x03', 'search', '--index', self.index, '-q', '--preview', 'owl',
                             status=-signal.SIGINT)
        self.assertTrue(self.flags & termios.ECHO and self.flags & termios.ICANON)

    def run_in_terminal(self, answer, *arguments, status=0):
        """Runs the command in a new terminal that answers its question; returns what it wrote, and leaves the
        terminal's last state in self.flags."""
        child, terminal = pty.fork()
        if not child:
            os.environ.pop('COLORTERM', None)
            os.environ['TERM_PROGRAM'] = ''
            os.execv(COMMAND, [COMMAND, *arguments])
        seen = b''
        with contextlib.suppress(OSError):
            while piece := os.read(terminal, 4096):
                seen += piece
                if piece.endswith(b'\033[c'):
                    os.write(terminal, answer)
        self.flags = termios.tcgetattr(terminal)[3]
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), status, seen)
        return seen

    def test_wrong_queries(self):
        for arguments, status, words in [
                ([], 2, ['expected a query or --stdin']),
                ([''], 2, ['expected a text, a picture or id:N']),
                (['owl', '-'], 2, ['after the sign']),
                (['owl', '--stdin'], 2, ['--stdin, found both']),
                (['owl', '--after', 'x'], 2, ['--after', "'x'"]),
                (['owl', '--near', '1,2'], 2, ['--near', "'1,2'"]),
                (['owl', '--min-size', '0'], 2, ['--min-size', "'0'"]),
                (['owl', '--relative', '2'], 1, ['--relative', 'found 2']),
                (['owl', '--json', '-0'], 2, ['--json']),
                (['id:999'], 1, ['id:999']),
                (['./no.png'], 1, ['./no.png']),
                (['README.md'], 1, ['README.md']),
                (['owl', '-', 'owl'], 1, ['cancel']),
                (['-m', 'tests/golden/models/hf-vit', 'owl'], 1, ['emoji-clip']),
                (['-m', 'no/model', 'owl'], 4, ['no/model'])]:
            with self.subTest(arguments):
                self.search(*arguments, status=status)
                self.assert_error(*words)
        os.mkdir(self.path('nothing'))
        self.run_command('index', '--index', self.path('empty.db'), '-m', MODEL, self.path('nothing'))
        for model in [[], ['-m', MODEL]]:
            self.run_command('search', '--index', self.path('empty.db'), 'owl', *model, status=1)
            self.assert_error('empty.db: the index has no pictures yet')
        self.run_command('search', '--index', self.path('none.db'), 'owl', status=1)
        self.assert_error('none.db')
        self.run_command('search', '--index', self.path('text.db', b'no database' * 100), 'owl', status=1)
        self.assert_error('text.db')

    def test_classify_the_index(self):
        """The labels of the index are those of the pictures, within the rounding to fp16."""
        labels = ['--labels', MODEL + '/labels.txt', '-t', 'a picture of {}', '-m', MODEL, '--top', '1']
        for form in [[self.samples], ['--index', self.index]]:
            lines = self.run_json('classify', *labels, *form)
            self.assertEqual(len(lines), 14)
            found = {line['path']: line['results'][0] for line in lines}
            if '--index' in form:
                self.assertEqual(found.keys(), expected.keys())
                for path, result in found.items():
                    self.assertAlmostEqual(result['logit'], expected[path]['logit'], delta=0.03)
                agree = sum(found[path]['label'] == expected[path]['label'] for path in found)
                self.assertEqual(agree, 14)
            expected = found
        self.run_command('classify', *labels, '--index', self.index, self.owl, status=2)
        self.assert_error('--index')


class Similarity(CommandTest):
    def test_expected(self):
        labels = read_labels()[::12]
        self.path('texts', '\n'.join(label['prompt'] for label in labels).encode())
        pictures = '\n'.join(f'{EXPECTED}/{label["file"]}' for label in labels).encode()
        lines = self.run_json('similarity', '-m', MODEL, '--images-from', '-', '--texts-from',
                              self.path('texts'), stdin=pictures)
        expected = read_safetensors(EXPECTED + '/expected.safetensors')[0]['logits_per_image']
        self.assertEqual(len(lines), 5)
        for number, (line, label) in enumerate(zip(lines, labels)):
            self.assertEqual(line['path'], f'{EXPECTED}/{label["file"]}')
            self.assertEqual(line['texts'], [other['prompt'] for other in labels])
            self.assert_close(line['logits'], expected.row(12 * number)[::12], 1e-3)

    def test_table(self):
        arguments = ['similarity', '-m', MODEL, '--image', MODEL + '/samples/owl.png', '--text',
                     'a picture of owl', '--text', 'a picture of pizza']
        table = self.run_command(*arguments)
        line, = self.run_json(*arguments)
        self.assertRegex(table, r'(?m)^ +1  a picture of owl$')
        row = table.splitlines()[-1].split()
        self.assertEqual(row, [MODEL + '/samples/owl.png',
                               *(f'{logit:.3f}' for logit in line['logits'])])
        self.assertGreater(line['logits'][0], line['logits'][1])

    def test_failures(self):
        owl, none = MODEL + '/samples/owl.png', self.path('none')
        line, = self.run_json('similarity', '-m', MODEL, '--image', none, '--image', owl, '--text',
                              'penguin ' * 100, '--text', 'owl', '--strict', status=1)
        self.assertEqual((line['path'], line['texts'], len(line['logits'])), (owl, ['owl'], 1))
        self.assertEqual(len(self.errors), 2)


class Convert(CommandTest):
    def convert(self, name, *arguments, **others):
        return self.run_json('convert', MODEL, self.path(name), *arguments, **others)

    def left(self):
        return sorted(os.listdir(self.folder))

    def test_report(self):
        result, = self.convert('small.gguf', '--type', 'q8')
        self.assertEqual((result['output'], result['type']), (self.path('small.gguf'), 'q8'))
        self.assertEqual(result['bytes_after'], os.path.getsize(self.path('small.gguf')))
        self.assertLess(result['bytes_after'], 0.6 * result['bytes_before'])
        for tower in ('image', 'text'):
            found = result['check'][tower]
            self.assertGreaterEqual(found['inputs'], 8)
            self.assertTrue(0.999 <= found['cosine_min'] <= found['cosine_mean'] <= 1, found)
        info, = self.run_json('info', '-m', self.path('small.gguf'))
        self.assertEqual((info['weights_type'], info['tokenizer']),
                         ('Q8_0', self.path('small.gguf')))
        text = self.run_command('convert', self.path('small.gguf'), self.path('folder'))
        self.assertRegex(text, r'(?m)^.*/open_clip_model\.safetensors: f16, \d+\.\d MiB, before Q8_0')
        self.assertRegex(text, r'(?m)^images: cosine to the original at least 0\.99999\d|1\.000000')
        self.assertEqual(self.left(), ['folder', 'small.gguf'])
        label, = self.run_json('classify', '-m', self.path('folder'), '-l', 'owl', '-l', 'robot',
                               MODEL + '/samples/owl.png')
        self.assertEqual(label['results'][0]['label'], 'owl')

    def test_without_a_check(self):
        for arguments, environment, said in [(['--no-check'], {}, False), ([], NO_DEVICE, True)]:
            result, = self.convert('m', *arguments, environment=environment)
            self.assertIsNone(result['check'])
            self.assertEqual(['will not be checked: ' in line for line in self.errors],
                             [True] if said else [])
        self.convert('n', '--device', 'none such', status=3)
        self.assertEqual(self.left(), ['m'])

    def test_failures(self):
        self.run_command('convert', MODEL, status=2)
        self.assert_error('expected IN and OUT', 'see \'vkclip convert --help\'')
        self.convert('m', '--type', 'q8', status=2)
        self.assert_error('q8 and q4 are types of .gguf files')
        self.run_command('convert', self.path('none'), self.path('m'), status=4)
        self.assert_error('none: no such file or folder')
        self.convert('m', '--no-check')
        self.run_command('convert', self.path('m'), self.path('m'), status=2)
        self.assert_error('is what the checkpoint is read from')
        self.path('m/config.json', b'{}')
        self.convert('m/other.safetensors', status=1)
        self.assert_error('config.json: is there already with other content')

    def test_full_disk(self):
        """If the output cannot be written, which a limit of the file size causes here, the old file stays."""
        limit = {'preexec_fn': lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
                 'restore_signals': False}  # Python ignores SIGXFSZ, and so does the command then.
        self.path('old.gguf', b'old')
        for name in ('old.gguf', 'm', 'm.safetensors'):
            self.convert(name, '--no-check', status=1, **limit)
            self.assert_error('cannot be written: ')
            self.assertEqual(self.left(), ['old.gguf'])
        with open(self.path('old.gguf'), 'rb') as file:
            self.assertEqual(file.read(), b'old')

    def test_killed(self):
        """An unfinished file has another name, and a signal that can be caught removes it."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            for name in ('m.gguf', 'm'):
                with self.subTest(number, output=name):
                    self.kill_while_writing(number, name)

    def kill_while_writing(self, number, name):
        for _ in range(50):
            folder = tempfile.mkdtemp(dir=self.folder)
            with subprocess.Popen([COMMAND, 'convert', MODEL, f'{folder}/{name}', '--no-check'],
                                  stdout=subprocess.DEVNULL) as process:
                while process.poll() is None and not any(
                        re.search(r'\.(gguf|safetensors)\.\d+\.\d+\.tmp$', file)
                        for _, _, files in os.walk(folder) for file in files):
                    pass
                process.send_signal(number)
            left = [file for _, _, files in os.walk(folder) for file in files]
            if process.returncode == 0:  # The conversion was faster than the signal.
                self.run_command('info', '-m', f'{folder}/{name}')
                continue
            self.assertEqual(process.returncode, -number)
            if number == signal.SIGKILL:
                self.assertNotIn('m.gguf', left)
                self.assertNotIn('model.safetensors', left)
            else:
                self.assertEqual(os.listdir(folder), [])
            return
        self.fail('never stopped in time')


class Terminal(CommandTest):
    def preprocess_slowly(self, pictures, errors):
        """Runs preprocess in slices, because a bar appears only when the work takes more than a second."""
        process = subprocess.Popen([COMMAND, 'preprocess', '-m', MODEL, '--images-from', '-', '-o',
                                    self.path('out.safetensors')], stdin=subprocess.PIPE, stderr=errors)
        process.stdin.write(pictures)
        process.stdin.close()
        for _ in range(6):
            time.sleep(0.01)
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            process.send_signal(signal.SIGCONT)
        return process

    def test_progress_bar(self):
        """Long work shows a bar on a terminal, which is removed at the end, and none elsewhere."""
        large = self.path('large.ppm', b'P6 3000 2000 255\n' + bytes(18000000))
        pictures = (large + '\n').encode() * 4
        ours, theirs = pty.openpty()
        with self.preprocess_slowly(pictures, theirs) as process:
            os.close(theirs)
            seen = b''
            with contextlib.suppress(OSError), open(ours, 'rb', buffering=0) as terminal:
                while piece := terminal.read(4096):
                    seen += piece
        self.assertEqual(process.returncode, 0, seen)
        self.assertRegex(seen, rb'\[#*-*\] \d+/4')
        self.assertTrue(seen.endswith(b'\r\x1b[K'), seen[-40:])
        with self.preprocess_slowly(pictures, subprocess.PIPE) as process:
            self.assertEqual(process.stderr.read(), b'')
        self.assertEqual(process.returncode, 0)


def name_cpu():
    """Names the CPU where there is no GPU, because the command would warn of it in every test."""
    listed = subprocess.run([COMMAND, 'devices', '--json'], stdout=subprocess.PIPE, check=False).stdout
    usable = [device for device in map(json.loads, listed.splitlines()) if device['usable']]
    if usable and all(device['type'] == 'cpu' for device in usable):
        os.environ.setdefault('VKCLIP_DEVICE', str(usable[0]['index']))


if __name__ == '__main__':
    COMMAND = os.path.abspath(sys.argv.pop(1))
    name_cpu()
    unittest.main()
