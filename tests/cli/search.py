#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""search.py COMMAND [unittest's arguments]: tests the index of pictures: index, search, duplicates."""
import base64
import contextlib
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import termios
import time

import cli
from cli import MODEL, NO_DEVICE, CommandTest, read_safetensors


class Index(CommandTest):
    def setUp(self):
        super().setUp()
        cli.need_search()
        self.pictures = self.path('pictures')
        self.index = ['index', '--index', self.path('index.db')]
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
        self.path('pictures/\udcff\n.png', b'')
        self.update(status=1)
        (found,) = self.run_json(*self.index, '--status')
        self.assertEqual([found[name] for name in ('files', 'pictures', 'missing', 'failed')],
                         [15, 15, 0, 1])
        self.assertEqual(found['folders'], [os.path.realpath(self.pictures)])
        self.assertEqual([found['models'][0][name] for name in ('embed_dim', 'vectors')], [128, 14])
        self.assertEqual(len(found['failures']), 1)
        self.assertNotIn('.png', found['failures'][0]['error'])
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

    def test_limit(self):
        """What the library calls a parameter is an option here, also in what is recorded."""
        self.path('pictures/large.ppm', b'P6 10000 9000 255\n')
        self.update(self.pictures, status=1)
        limit = '10000 x 9000 pixels, expected at most 89478485 (--max-pixels sets this limit)'
        self.assert_error(f'{self.pictures}/large.ppm: {limit}')
        (found,) = self.run_json(*self.index, '--status')
        self.assertEqual(found['failures'][0]['error'], limit)
        self.assertIn(limit, self.run_command(*self.index, '--status'))

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
        if 'libexif' in self.run_command('--version'):  # named if it is absent: the picture may lie on its side
            self.update(f'{self.pictures}/jpeg_exif.jpg', status=1)
            self.assert_error('jpeg_exif.jpg: ', 'no libexif')
            return
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
        # A name without a folder is a file of the current one.
        self.run_command('index', '-m', os.path.abspath(MODEL), self.pictures, cwd=self.path('data'),
                         environment={'VKCLIP_INDEX': 'here.db'})
        self.assertTrue(os.path.isfile(self.path('data/here.db')))

    def test_bad_input(self):
        for arguments, status, words in [
                ([self.path('none')], 1, ['none: no such file or folder']),
                ([], 1, ['has no folders or files yet']),
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


class Duplicates(CommandTest):
    """Finds what is several times in an index of samples, some of which are there in two sizes."""

    def make_index(self):
        """An index of three samples: one twice, and one also with every pixel doubled."""
        cli.need_search()
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
        cli.need_search()
        cls.folder_of_index = tempfile.mkdtemp()
        cls.index = cls.folder_of_index + '/index.db'
        subprocess.run([cli.COMMAND, 'index', '--index', cls.index, '-m', MODEL, cls.samples], check=True,
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
        self.assertRegex(lines[1], rf'^ 0\.\d{{3}} +\d+\.\d +\d+  \d{{4}}-\d\d-\d\d  {re.escape(self.owl)}$')
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
                               (['--before', '1900'], 0), (['--after', '1900-01-01'], 14),
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
        done = subprocess.run([cli.COMMAND, 'search', *index, 'owl', '-0'], stdout=subprocess.PIPE, check=True)
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
        done = subprocess.run([cli.COMMAND, 'search', *index, 'owl', '--paths-only'], stdout=subprocess.PIPE,
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
            os.execv(cli.COMMAND, [cli.COMMAND, *arguments])
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


if __name__ == '__main__':
    cli.main()
