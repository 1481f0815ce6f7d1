#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage.py COMMAND [unittest's arguments]: tests help, wrong usage, completions, and the progress bar."""
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import cli
from cli import MODEL, CommandTest, read_safetensors, read_terminal

# A line of --help: how the option is written, its name, and the help text.
OPTION = r'(?m)^  ((?:-\w, |    )(--[a-z0-9-]+)(?: [A-Za-z0-9|_,/-]+)?)(?: +|\n {8,})(.*)$'


class Usage(CommandTest):
    commands = ['classify', 'similarity', 'explain', 'embed', 'index', 'search', 'duplicates', 'probe', 'evaluate', 'preprocess',
                'tokenize', 'condition', 'info', 'devices', 'check', 'models', 'pull', 'serve', 'convert', 'init', 'train',
                'tokenizer-train', 'bench', 'completion']

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
                         r'built with: training torch hub search [a-z ]+\n'
                         r'kernels for: f16 texel subgroup coopmat16 f16math dot address\n'
                         r'pictures: PNG \(\w+\), JPEG \([\w-]+\), .*TGA\n'
                         r'(built without: .*\n)?$')
        for form in ('WebP (libwebp)', 'TIFF (libtiff)', 'AVIF (libavif)', 'HEIC (libheif)', 'JPEG XL (libjxl)'):
            self.assertEqual(version.count(form), 1, form)

    def test_help_and_manual_agree(self):
        """The manual page names the options of --help, with the commands that take them."""
        with open(os.path.dirname(cli.COMMAND) + '/vkclip.1', encoding='utf-8') as file:
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
        self.assertEqual({name for name in names if names.count(name) > 1}, {'--batch-size', '--index', '--type'})

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
                (['explain', '-m', MODEL, 'x.png', '-o', 'x.png'], 'texts'),
                (['explain', '-m', MODEL, 'x.png', 'a'], '--json'),
                (['explain', '-m', MODEL, 'x.png', 'a', '-o', 'x.jpg'], 'x.jpg'),
                (['explain', '-m', MODEL, 'x.png', 'a', 'b', '-o', 'x.png'], '{}'),
                (['explain', '-m', MODEL, 'x.png', 'a', '-o', 'x.png', '--alpha', '2'], '--alpha'),
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
                (['evaluate', '-m', MODEL], '--captions'),
                (['evaluate', '-m', MODEL, '--captions', 'x', 'y'], "unexpected argument 'y'"),
                (['evaluate', '-m', MODEL, '--captions', 'x', '--csv-separator', 'ab'], "found 'ab'"),
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
                (['bench', '-m', MODEL, '--batches', '3'], "'3'"),
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
        done = subprocess.run([cli.COMMAND], stdout=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 2)
        return done.stdout.decode()

    def test_output_that_is_not_taken(self):
        for arguments in [['--help'], ['info', '-m', MODEL], ['tokenize', '-m', MODEL, 'a', '--json']]:
            with self.subTest(arguments), open('/dev/full', 'wb') as full:
                done = subprocess.run([cli.COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE,
                                      check=False)
                self.assertEqual((done.returncode, done.stderr),
                                 (1, b'vkclip: standard output cannot be written\n'))
        closed = subprocess.run(['sh', '-c', '"$0" info -m "$1" >&-', cli.COMMAND, MODEL],
                                stderr=subprocess.PIPE, check=False)
        self.assertEqual((closed.returncode, closed.stderr),
                         (1, b'vkclip: standard output cannot be written\n'))

    def test_reader_goes_away(self):
        texts = b'a picture of a penguin\n' * 100000
        done = subprocess.run(['sh', '-c', '{ "$0" tokenize -m "$1" --stdin; echo $? >&2; } | head -n 1',
                               cli.COMMAND, MODEL], input=texts, stdout=subprocess.PIPE,
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
        ('vkclip train --lr-scheduler co', ['cosine', 'const', 'const-cooldown'], []),
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


class Terminal(CommandTest):
    def preprocess_slowly(self, pictures, errors, is_enough):
        """Stops preprocess for more than a second, after which a bar appears, until a stop has fallen into its work."""
        process = subprocess.Popen([cli.COMMAND, 'preprocess', '-m', MODEL, '--images-from', '-', '-o',
                                    self.path('out.safetensors')], stdin=subprocess.PIPE, stderr=errors)
        process.stdin.write(pictures)
        process.stdin.close()
        count = 0
        while process.poll() is None and not is_enough(count):
            count += 1
            time.sleep(0.02)
            process.send_signal(signal.SIGSTOP)
            time.sleep(1.1)
            process.send_signal(signal.SIGCONT)
        return process

    def test_progress_bar(self):
        """Long work shows a bar on a terminal, which is removed at the end, and none elsewhere."""
        large = self.path('large.ppm', b'P6 3000 2000 255\n' + bytes(18000000))
        pictures = (large + '\n').encode() * 8
        ours, theirs = pty.openpty()
        with self.preprocess_slowly(pictures, theirs, lambda _: select.select([ours], [], [], 0)[0]) as process:
            os.close(theirs)
            seen = read_terminal(ours)
        self.assertEqual(process.returncode, 0, seen)
        self.assertRegex(seen, rb'\[#*-*\] \d+/8')
        self.assertTrue(seen.endswith(b'\r\x1b[K'), seen[-40:])
        with self.preprocess_slowly(pictures, subprocess.PIPE, lambda count: count == 4) as process:
            self.assertEqual(process.stderr.read(), b'')
        self.assertEqual(process.returncode, 0)


if __name__ == '__main__':
    cli.main()
