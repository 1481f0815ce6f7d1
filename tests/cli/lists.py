#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lists.py COMMAND [unittest's arguments]: tests lists, folders, results that are resumed or in shards, and probes."""
import base64
import fcntl
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile

import cli
from cli import MODEL, CommandTest, read_safetensors

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '../format'))
from parquet import read_parquet  # pylint: disable=wrong-import-position

OWL = MODEL + '/samples/owl.png'
SAMPLES = sorted(f'{MODEL}/samples/{name}' for name in os.listdir(MODEL + '/samples'))


def read_npy(path):
    """Returns the shape and the numbers of a matrix."""
    with open(path, 'rb') as file:
        data = file.read()
    header = data[10:128].decode()
    shape = tuple(map(int, header.split('(')[1].split(')')[0].split(',')))
    kind = {'<f4': 'f', '<f2': 'e'}[header.split("'")[3]]
    return shape, struct.unpack(f'<{shape[0] * shape[1]}{kind}', data[128:])


def read_lines(path):
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


class Lists(CommandTest):
    def labels(self, content, *arguments, **others):
        line, = self.run_json('classify', '-m', MODEL, '-k', '9', '--labels',
                              self.path('labels', content), *arguments, OWL, **others)
        return sorted(result['label'] for result in line['results'])

    def test_encodings(self):
        text = 'owl\r\n\U0001f989 \u00e9\r\npizza\r\n'
        expected = ['owl', 'pizza', '\U0001f989 \u00e9']
        for encoding in ['utf-8', 'utf-8-sig', 'utf-16']:
            self.assertEqual(self.labels(text.encode(encoding)), expected, encoding)
        self.assertEqual(self.labels(b'\xfe\xff' + text.encode('utf-16-be')), expected)
        self.assertEqual(self.labels(b'\xef\xbb\xbfowl'), ['owl'])
        self.assertEqual(self.labels(b'\xff\xfeo\0w\0l\0\x3d\xd8'), ['owl\ufffd'])  # half a pair
        lines = self.run_json('tokenize', '-m', MODEL, '--stdin', stdin='\ufeffowl\n\ufeffowl'.encode())
        self.assertEqual([line['text'] for line in lines], ['owl', '\ufeffowl'])

    def test_refused_encodings(self):
        for content, words in [('owl\r\npizza'.encode('utf-16-le'), 'UTF-16 without a byte-order mark'),
                               ('owl\npizza'.encode('utf-16-be'), 'UTF-16 without a byte-order mark'),
                               (b'owl\rpizza\r', 'CR')]:
            self.run_command('classify', '-m', MODEL, '--labels', self.path('labels', content), OWL, status=1)
            self.assertIn(self.path('labels'), self.errors[0])
            self.assertIn(words, self.errors[0])

    def test_nul(self):
        name = self.path('line\nend.png')
        shutil.copy(OWL, name)
        lines = self.run_json('classify', '-m', MODEL, '-0', '--images-from', '-', '--labels',
                              self.path('labels', b'an\nowl\0pizza\0'),
                              stdin=f'{OWL}\0{name}\0'.encode())
        self.assertEqual([line['path'] for line in lines], [OWL, name])
        self.assertEqual({result['label'] for result in lines[0]['results']}, {'an\nowl', 'pizza'})
        self.run_json('embed', '-m', MODEL, '--texts-from', self.path('labels'), '-0', '-o', self.path('t.npy'))
        self.assertEqual(read_npy(self.path('t.npy'))[0], (2, 128))

    def test_what_a_folder_leaves_out(self):
        for name in ['a.png', 'b.txt', 'B.TXT', 'c.json', 'none', 'x/d.webpx', '.hidden', 'e.longestending']:
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            shutil.copy(OWL, self.path(name))
        arguments = ['classify', '-m', MODEL, '-l', 'owl', '--json']
        self.run_command(*arguments, self.folder)
        self.assert_error(f'warning: {self.folder}: 5 files were left out, by the ending of the name no '
                          'pictures: 2 without an ending, 2 .txt, 1 .json')
        self.run_command(*arguments, self.folder, '-r')
        self.assert_error(': 6 files were left out', ', 1 .webpx')
        self.run_command(*arguments, self.folder, '-q')
        self.assertEqual(self.errors, [])
        self.run_command(*arguments, self.path('x'), status=1)
        self.assert_error('no pictures in this folder; 1 file was left out, by the ending of the name no '
                          'picture: 1 .webpx')
        for i in range(20):
            self.path(f'f.{i:02}', b'')
        self.run_command(*arguments, self.folder)
        self.assert_error('25 files were left out', ' ....')

    def test_pictures_that_this_build_cannot_read(self):
        """One line per folder counts them, and names the libraries that they need."""
        absent = self.run_command('--version').partition('built without: ')[2]
        names = {'a.png': 'PNG', 'b.webp': 'WebP', 'c.webp': 'WebP', 'd.tif': 'TIFF', 'e.jxl': 'JPEG XL'}
        for name in names:
            shutil.copy(OWL, self.path(name))  # The names decide what is left out.
        left_out = [name for name, kind in names.items() if kind + ' (' in absent]
        lines = self.run_json('classify', '-m', MODEL, '-l', 'owl', self.folder, status=bool(left_out))
        self.assertEqual([os.path.basename(line['path']) for line in lines],
                         [name for name in names if name not in left_out])
        self.assertEqual(len(self.errors), bool(left_out))
        for error in self.errors:
            self.assertIn(f'{self.folder}: {len(left_out)} files were left out, which this build of vkclip cannot read: ',
                          error)
        for name, words in [('b.webp', '2 .webp (built without libwebp)'), ('d.tif', '1 .tif (built without libtiff)'),
                            ('e.jxl', '1 .jxl (built without libjxl)')]:
            self.assertEqual(words in ''.join(self.errors), name in left_out)

    def test_a_picture_from_standard_input(self):
        with open(OWL, 'rb') as file:
            content = file.read()
        expected, = self.run_json('classify', '-m', MODEL, '-l', 'owl', '-l', 'pizza', OWL)
        for form in [['-'], ['--image', '-']]:
            line, = self.run_json('classify', '-m', MODEL, '-l', 'owl', '-l', 'pizza', *form, stdin=content)
            self.assertEqual(line, {**expected, 'path': '-'})
        lines = self.run_json('classify', '-m', MODEL, '-l', 'owl', '-', '-', OWL, stdin=content, status=1)
        self.assertEqual([line['path'] for line in lines], ['-', OWL])
        self.assert_error('standard input holds one picture')
        for broken in [content[:1000], b'', b'junk' * 99]:
            self.run_command('preprocess', '-m', MODEL, '-', '-o', self.path('o.safetensors'), status=1,
                             stdin=broken)
            self.assertTrue(self.errors[0].startswith('vkclip: standard input: '), self.errors)
            self.run_command('embed', '-m', MODEL, '-', '-o', '-', status=1, stdin=broken)
            self.assertTrue(self.errors[0].startswith('vkclip: standard input: '), self.errors)

    def test_names_that_are_not_text_come_back(self):
        names = [os.fsencode(self.folder) + name for name in (b'/\xff\xfe.png', b'/a.png')]
        for name in names:
            shutil.copy(OWL, name)

        def name_of(line):
            return base64.b64decode(line['path_bytes']) if 'path_bytes' in line else line['path'].encode()
        for command in (['classify', '-l', 'owl'], ['similarity', '--text', 'owl']):
            lines = self.run_json(*command, '-m', MODEL, *names)
            self.assertEqual([name_of(line) for line in lines], names)
            self.assertEqual(lines[0]['path'], self.folder + '/\ufffd\ufffd.png')
            self.assertNotIn('path_bytes', lines[1])
        cli.need_search()
        index = ['--index', self.path('index.db'), '-m', MODEL]
        self.run_json('index', *index, self.folder)
        lines = self.run_json('search', *index, 'owl')  # The two files are one picture.
        self.assertIn(name_of(lines[0]), names)
        result = self.path('o.safetensors')
        self.run_command('embed', '-m', MODEL, *names, '-o', result)
        metadata = read_safetensors(result)[1]
        self.assertEqual(base64.b64decode(json.loads(metadata['images_bytes'])['0']), names[0])
        os.remove(names[1])  # A row that is there is not computed again.
        self.run_command('embed', '-m', MODEL, *names, '--text', 'owl', '-o', result, '--skip-existing')
        self.assertEqual(read_safetensors(result)[0]['image_embeds'].shape, [2, 128])


class Resume(CommandTest):
    def embed(self, name, *arguments, **others):
        return self.run_command('embed', '-m', MODEL, '-o', self.path(name), *arguments, **others)

    def rows(self, name):
        """The names of a result's inputs, with their rows."""
        path = self.path(name)
        if name.endswith('.jsonl'):
            return [(line.get('path', line.get('text')), line['embedding']) for line in read_lines(path)]
        if name.endswith('.npy'):
            shape, values = read_npy(path)
            names = [line.get('path', line.get('text'))
                     for line in read_lines(path.replace('.npy', '.names.jsonl'))]
            self.assertEqual(len(names), shape[0])
            return [(names[i], values[i * shape[1]:(i + 1) * shape[1]]) for i in range(shape[0])]
        tensors, metadata = read_safetensors(path)
        return list(zip(json.loads(metadata['images']), tensors['image_embeds'].rows()))

    def assert_same_rows(self, found, expected):
        self.assertEqual([name for name, _ in found], [name for name, _ in expected])
        for (name, row), (_, other) in zip(found, expected):
            self.assert_close(list(row), list(other), 1e-5, name)

    def test_rows_of_npy_follow_the_inputs(self):
        bad = self.path('cut.png', b'\x89PNG\r\n\x1a\n')
        self.embed('o.npy', OWL, bad, SAMPLES[0], status=1)
        self.assert_error(bad)
        rows = self.rows('o.npy')
        self.assertEqual([name for name, _ in rows], [OWL, bad, SAMPLES[0]])
        self.assertTrue(all(map(math.isnan, rows[1][1])))
        self.assertFalse(any(map(math.isnan, rows[0][1] + rows[2][1])))
        lines = read_lines(self.path('o.names.jsonl'))
        self.assertEqual(['error' in line for line in lines], [False, True, False])
        self.assertIn('PNG', lines[1]['error'])
        self.embed('o.npy', SAMPLES[2], '--skip-existing')  # The others stay as they are.
        self.assertEqual(read_lines(self.path('o.names.jsonl')), [*lines, {'path': SAMPLES[2]}])
        # The row is filled when the picture can be read.
        shutil.copy(SAMPLES[1], bad)
        self.embed('o.npy', OWL, bad, SAMPLES[0], '--skip-existing')
        filled = self.rows('o.npy')
        self.embed('p.npy', OWL, SAMPLES[1], SAMPLES[0])
        self.assert_same_rows([(SAMPLES[1], filled[1][1])], self.rows('p.npy')[1:2])
        self.assertEqual([filled[0], filled[2]], [rows[0], rows[2]])
        self.assertFalse(any('error' in line for line in read_lines(self.path('o.names.jsonl'))))

    def interrupt(self, name, inputs, number=signal.SIGINT):
        """Sends a signal when the message about an input that fails has come."""
        arguments = [cli.COMMAND, 'embed', '-m', MODEL, '-o', self.path(name), '--images-from', '-']
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdin.write('\n'.join(inputs).encode())
            process.stdin.close()
            first = process.stderr.readline().decode()
            process.send_signal(number)
            rest = process.stderr.read().decode()
        self.assertEqual(process.returncode, -number, first + rest)
        return rest

    def test_interrupted_and_resumed_it_is_the_same_result(self):
        inputs = SAMPLES * 3 + [self.path('none.png')] + SAMPLES * 4
        self.embed('whole.npy', '--images-from', '-', stdin='\n'.join(inputs).encode(), status=1)
        whole = self.rows('whole.npy')
        for name in ['a.safetensors', 'a.npy', 'a.jsonl']:
            with self.subTest(name):
                rest = self.interrupt(name, inputs, signal.SIGTERM if name == 'a.npy' else signal.SIGINT)
                self.assertRegex(rest, r'interrupted after \d+ new results, which .*\.part keeps; continue with '
                                 '--resume')
                self.assertFalse(os.path.exists(self.path(name)))
                part = os.path.getsize(self.path(name + '.part'))
                stdin = '\n'.join(inputs).encode()
                self.embed(name, '--images-from', '-', stdin=stdin, status=1)
                self.assert_error(name + '.part', '--resume')
                self.assertEqual(os.path.getsize(self.path(name + '.part')), part)
                self.embed(name, '--images-from', '-', '--resume', stdin=stdin, status=1)
                self.assertRegex(self.errors[0], fr'\d+ of {len(inputs)} pictures had been done')
                self.assertFalse(os.path.exists(self.path(name + '.part')))
                rows = self.rows(name)
                if name == 'a.npy':
                    self.assertTrue(math.isnan(rows[len(SAMPLES) * 3][1][0]))
                    self.assertEqual(rows[len(SAMPLES) * 3][0], inputs[len(SAMPLES) * 3])
                self.assert_same_rows(*([row for row in found if 'none' not in row[0]] for found in (rows, whole)))

    def test_a_killed_process_leaves_whole_lines(self):
        self.embed('o.jsonl', *SAMPLES)
        with open(self.path('o.jsonl'), 'rb') as file:
            content = file.read()
        lines = content.splitlines(keepends=True)
        for size in (0, 1, 10, len(lines[0]) - 1, len(lines[0]), len(b''.join(lines[:5])) + 700):
            self.path('p.jsonl.part', content[:size])
            self.embed('p.jsonl', *SAMPLES, '--resume')
            self.assert_same_rows(self.rows('p.jsonl'), self.rows('o.jsonl'))
        self.path('p.jsonl.part', lines[0] + b'{]\n' + lines[1])
        self.embed('p.jsonl', *SAMPLES, '--resume', status=1)
        self.assert_error('p.jsonl.part: line 2')
        with open(self.path('p.jsonl.part'), 'rb') as file:
            self.assertEqual(file.read(), lines[0] + b'{]\n' + lines[1])

    def test_lines_come_out_with_each_result(self):
        inputs = '\n'.join([OWL] * 4000).encode()
        with subprocess.Popen([cli.COMMAND, 'embed', '-m', MODEL, '-o', '-', '--images-from', '-'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(inputs)
            process.stdin.close()
            self.assertEqual(json.loads(process.stdout.readline())['path'], OWL)
            self.assertIsNone(process.poll())
            process.kill()
            process.stdout.read()

    def test_skip_existing(self):
        """Rows that are there stay, also when their pictures are gone, and new ones follow."""
        old = [self.path(f'{i}.png') for i in range(3)]
        for path, sample in zip(old, SAMPLES):
            shutil.copy(sample, path)
        for name in ['o.safetensors', 'o.npy', 'o.jsonl']:
            self.embed(name, *old, *([] if name == 'o.npy' else ['--text', 'an owl']))
        os.remove(old[1])
        for name in ['o.safetensors', 'o.npy', 'o.jsonl']:
            with self.subTest(name):
                before = self.rows(name)
                self.embed(name, old[2], SAMPLES[5], old[1], SAMPLES[6], '--skip-existing')
                self.assertIn('2 of 4 pictures had been done', self.errors[0])
                after = self.rows(name)
                self.assertEqual(after[:len(before)], before)
                self.assertEqual([path for path, _ in after[len(before):]], [SAMPLES[5], SAMPLES[6]])
                self.embed(name, SAMPLES[5], '--skip-existing')
                self.assertEqual(self.rows(name), after)
        self.assertEqual(json.loads(read_safetensors(self.path('o.safetensors'))[1]['texts']), ['an owl'])

    def test_a_row_needs_no_picture(self):
        """A picture that is gone, or damaged, is no failure where its row is there."""
        for name in ['o.npy', 'o.jsonl']:
            with self.subTest(name):
                old = [self.path(f'{i}.png') for i in range(2)]
                for path, sample in zip(old, SAMPLES):
                    shutil.copy(sample, path)
                self.embed(name, *old)
                os.remove(old[0])
                self.embed(name, *old, SAMPLES[2], '--skip-existing')
                # Of lines only the first embedding is in memory, so that another row is no check.
                self.assertEqual(len(self.errors), 2 if name == 'o.jsonl' else 1, self.errors)
                self.path('1.png', b'no picture')
                self.embed(name, *old, SAMPLES[3], '--skip-existing')
                self.assertIn('2 of 3 pictures had been done', self.errors[0])
                self.assertIn('none of their pictures could be read', self.errors[1])
                self.assertEqual([path for path, _ in self.rows(name)], old + SAMPLES[2:4])

    def test_a_kill_between_matrix_and_names(self):
        """The names come first, and those that have no row yet are left out."""
        self.embed('o.npy', *SAMPLES[:4])
        rows = self.rows('o.npy')
        with open(self.path('o.npy'), 'rb') as file:
            content = file.read()
        self.path('o.npy', content[:128].replace(b'(4, ', b'(2, ') + content[128:128 + 2 * 128 * 4])
        self.embed('o.npy', *SAMPLES[:5], '--skip-existing')
        self.assertIn('2 of 5 pictures had been done', self.errors[0])
        self.assert_same_rows(self.rows('o.npy')[:4], rows)
        self.assertEqual(len(self.rows('o.npy')), 5)
        self.path('o.names.jsonl', b''.join(json.dumps({'path': path}).encode() + b'\n' for path in SAMPLES[:4]))
        self.embed('o.npy', *SAMPLES, '--skip-existing', status=1)
        self.assert_error('o.npy: expected fp32 rows', 'one per line of the names')
        # The names of a new result never stand beside the rows of an old one.
        os.remove(self.path('o.names.jsonl'))
        os.mkdir(self.path('o.names.jsonl'))
        self.embed('o.npy', *SAMPLES[:5], status=1)
        self.assertIn('o.names.jsonl: cannot be written', self.errors[0])
        self.assertIn('o.npy.part keeps', self.errors[1])
        self.assertFalse(os.path.exists(self.path('o.npy')))
        os.rmdir(self.path('o.names.jsonl'))
        self.embed('o.npy', *SAMPLES[:5], '--resume')
        self.assert_same_rows(self.rows('o.npy')[:4], rows)

    def test_names_that_a_header_cannot_hold(self):
        """They are refused before anything is encoded."""
        self.path('list', (b'x' * 1_000_000 + b'\n') * 100)
        self.embed('o.safetensors', '--texts-from', self.path('list'), status=1)
        self.assert_error('o.safetensors: the names of 100 inputs take 100000500 bytes of its header, which has '
                          '100000000 at most; write .npy')

    def test_overwrite(self):
        for name in ['o.npy', 'o.jsonl']:
            self.embed(name, OWL)
            os.rename(self.path(name), self.path(name + '.part'))
            self.embed(name, SAMPLES[0], status=1)
            self.assert_error(name + '.part: ', '--overwrite')
            self.embed(name, SAMPLES[0], '--overwrite')
            self.assertEqual([path for path, _ in self.rows(name)], [SAMPLES[0]])
            self.assertFalse(os.path.exists(self.path(name + '.part')))

    def test_another_process_writes_the_file(self):
        lock = self.path('o.npy.lock')
        with open(lock, 'wb') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.embed('o.npy', OWL, status=1)
            self.assert_error('o.npy: another process is writing it')
        self.assertTrue(os.path.exists(lock))  # As after a kill: the file alone locks nothing.
        self.embed('o.npy', OWL)
        self.assertEqual(sorted(os.listdir(self.folder)), ['o.names.jsonl', 'o.npy'])

    def test_rows_of_another_model(self):
        for name in ['o.safetensors', 'o.npy', 'o.jsonl']:
            self.embed(name, *SAMPLES[:3], '--no-normalize')
            before = self.rows(name)
            self.embed(name, *SAMPLES[:4], '--skip-existing', status=1)
            self.assertIn(name + ': ' + SAMPLES[0] + ' has another embedding there than this model gives it',
                          '\n'.join(self.errors))
            self.assertEqual(self.rows(name), before)
            self.assertFalse(os.path.exists(self.path(name + '.part')))
        self.path('o.npy', b'no matrix')
        self.embed('o.npy', OWL, '--skip-existing', status=1)
        self.assert_error('o.npy: expected fp32 rows')

    def test_names_without_embeddings(self):
        tensor = {'dtype': 'F32', 'shape': [1, 0], 'data_offsets': [0, 0]}
        for tensors, words in [({}, 'expected an embedding of every input'),
                               ({'image_x': tensor}, 'expected rows as this model writes them')]:
            header = json.dumps({'__metadata__': {'images': json.dumps([OWL])}, **tensors}).encode()
            self.path('o.safetensors', struct.pack('<Q', len(header)) + header)
            self.embed('o.safetensors', OWL, SAMPLES[0], '--skip-existing', status=1)
            self.assert_error('o.safetensors: ', words)
        self.path('o.jsonl', json.dumps({'path': OWL}).encode() + b'\n')
        self.embed('o.jsonl', OWL, SAMPLES[0], '--skip-existing', status=1)
        self.assert_error('o.jsonl: expected an embedding of every input')
        self.assertFalse(os.path.exists(self.path('o.jsonl.part')))

    def test_hidden_states_of_all_rows_or_of_none(self):
        for first, second, words in [(['--hidden'], [], 'add --hidden'), ([], ['--hidden'], 'leave out --hidden')]:
            self.embed('o.safetensors', OWL, *first)
            self.embed('o.safetensors', OWL, SAMPLES[0], '--skip-existing', *second, status=1)
            self.assert_error('o.safetensors: ', words)
            self.embed('o.safetensors', OWL, '--skip-existing', *second)
            self.embed('o.safetensors', OWL, SAMPLES[0], '--skip-existing', *first)
            tensors = read_safetensors(self.path('o.safetensors'))[0]
            self.assertEqual({tensor.shape[0] for tensor in tensors.values()}, {2})
            self.assertEqual(len(tensors) > 1, bool(first))

    def test_usage(self):
        for arguments, word in [(['-o', '-', '--resume', OWL], '-o FILE'),
                                (['-o', 'x.npy', '--resume', '--raw', 'x'], '--raw'),
                                (['-o', 'x', '--shard', '3/3', OWL], "'3/3'"),
                                (['-o', 'x', '--shard', '1', OWL], "'1'"),
                                (['-o', 'x', '--shard', '-1/3', OWL], "'-1/3'"),
                                (['-o', 'x', '--shard', '0/3', '--resume', OWL], '--resume'),
                                (['-o', 'x', '--shard', '0/3', '--text', 'a', OWL], 'either'),
                                (['-o', 'x', '--shard', 'auto', OWL], 'SLURM_ARRAY_TASK_ID')]:
            self.run_command('embed', '-m', MODEL, *arguments, status=2)
            self.assert_error(word)


class Shards(CommandTest):
    def shard(self, shard, *arguments, **others):
        return self.run_command('embed', '-m', MODEL, '-o', self.path('out'), '--shard', shard, *arguments,
                                **others)

    def files(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.path('out'))
                      for folder, _, names in os.walk(self.path('out')) for name in names)

    def test_shards_together_are_the_whole(self):
        bad = self.path('bad.png', b'')
        inputs = SAMPLES[:7] + [bad] + SAMPLES[7:]
        for i in range(3):
            self.shard(f'{i}/3', *inputs, status=int(i == 1))
        self.assertEqual(self.files(), [f'{pattern}_{i}.{end}' for pattern, end in
                                        [('img_emb/img_emb', 'npy'), ('metadata/metadata', 'parquet'),
                                         ('stats/stats', 'json')] for i in range(3)])
        self.run_command('embed', '-m', MODEL, *SAMPLES, '-o', self.path('all.npy'))
        shape, values = read_npy(self.path('all.npy'))
        for i in range(3):
            expected = [path for path in inputs[i::3] if path != bad]
            columns = read_parquet(self.path(f'out/metadata/metadata_{i}.parquet'))
            self.assertEqual(columns, {'image_path': expected, 'image_path_bytes': [None] * len(expected)})
            found, halves = read_npy(self.path(f'out/img_emb/img_emb_{i}.npy'))
            self.assertEqual(found, (len(expected), 128))
            for row, path in enumerate(expected):
                at = SAMPLES.index(path) * shape[1]
                self.assert_close(halves[row * 128:row * 128 + 128], values[at:at + 128], 1e-3)
        with open(self.path('out/stats/stats_1.json'), encoding='utf-8') as file:
            record = json.load(file)
        self.assertEqual((record['shard'], record['shards'], record['rows']), (1, 3, 4))
        self.assertEqual([failure['path'] for failure in record['failed']], [bad])

    def test_a_shard_is_done_once(self):
        name = os.fsencode(self.folder) + b'/\xff.png'
        shutil.copy(OWL, name)
        self.shard('0/10', name)
        self.assertEqual(self.files()[0], 'img_emb/img_emb_00.npy')  # clip-retrieval has two digits for 10.
        columns = read_parquet(self.path('out/metadata/metadata_00.parquet'))
        self.assertEqual((columns['image_path'], columns['image_path_bytes']),
                         ([self.folder + '/\ufffd.png'], [name]))
        os.remove(name)
        self.shard('0/10', name)
        self.assert_error('shard 0 of 10 is complete')
        self.shard('1/10', name)  # It has no inputs, and so no rows.
        self.assertEqual(read_npy(self.path('out/img_emb/img_emb_01.npy'))[0], (0, 128))
        for arguments, words in [((f'0/5', OWL), 'expected one of 5'), (('0/10', OWL), 'other inputs'),
                                 (('2/10', OWL, '--no-normalize'), 'not normalised')]:
            self.shard(*arguments, status=1)
            self.assert_error(words)

    def make_tar(self, name, *samples, extra=()):
        with tarfile.open(self.path(name), 'w:gz' if name.endswith('gz') else 'w') as tar:
            for sample in samples:
                tar.add(sample, os.path.basename(sample))
                self.path('caption', b'a caption')
                tar.add(self.path('caption'), os.path.basename(sample).replace('.png', '.txt'))
            for member in extra:
                tar.add(member, os.path.basename(member))
        return self.path(name)

    def test_tar_files(self):
        """A shard has every Nth tar file, and in it all pictures, named by the file and by their path there."""
        bad = self.path('bad.png', b'no picture')
        tars = [self.make_tar('0.tar', *SAMPLES[:3]), self.make_tar('1.tar.gz', *SAMPLES[3:5], extra=[bad]),
                self.make_tar('2.tgz', SAMPLES[5])]
        cut = self.path('3.tar', b'x' * 700)
        names = [f'{tar}: {os.path.basename(path)}' for tar, part in
                 zip(tars, [SAMPLES[:3], SAMPLES[3:5] + [bad], SAMPLES[5:6]]) for path in part]
        self.shard('0/2', *tars, cut)
        self.shard('1/2', *tars, cut, status=1)
        self.assertEqual(len(self.errors), 2, self.errors)
        self.assertIn(f'{names[5]}: ', self.errors[0])
        self.assertIn(f'{cut}: ', self.errors[1])
        self.run_command('embed', '-m', MODEL, *SAMPLES[:6], '-o', self.path('all.npy'))
        values = read_npy(self.path('all.npy'))[1]
        for i, rows in enumerate([[0, 1, 2, 5], [3, 4]]):
            self.assertEqual(read_parquet(self.path(f'out/metadata/metadata_{i}.parquet'))['image_path'],
                             [names[row + (row > 4)] for row in rows])
            halves = read_npy(self.path(f'out/img_emb/img_emb_{i}.npy'))[1]
            for k, row in enumerate(rows):
                self.assert_close(halves[k * 128:k * 128 + 128], values[row * 128:row * 128 + 128], 1e-3)
        with open(self.path('out/stats/stats_1.json'), encoding='utf-8') as file:
            self.assertEqual([failure['path'] for failure in json.load(file)['failed']], [names[5], cut])
        for tar in tars:
            os.remove(tar)
        self.shard('0/2', *tars, cut)  # It is complete, and opens no tar file.
        self.assert_error('shard 0 of 2 is complete')

    def test_a_tar_file_beside_pictures(self):
        tar = self.make_tar('0.tar', *SAMPLES[:2], SAMPLES[1])
        self.run_command('embed', '-m', MODEL, SAMPLES[2], tar, '-o', self.path('o.jsonl'))
        names = [SAMPLES[2]] + [f'{tar}: {os.path.basename(path)}' for path in [*SAMPLES[:2], SAMPLES[1]]]
        self.assertEqual([line['path'] for line in read_lines(self.path('o.jsonl'))], names)
        self.run_command('embed', '-m', MODEL, tar, SAMPLES[3], '-o', self.path('o.jsonl'), '--skip-existing')
        self.assertIn('3 of 4 pictures had been done', self.errors[0])
        self.assertEqual([line['path'] for line in read_lines(self.path('o.jsonl'))], names + [SAMPLES[3]])
        for content, word in [(b'\x1f\x8b', 'gzip: ends after 0 bytes'), (b'BZh', 'compressed by bzip2'), (None, 'No such file')]:
            name = self.path('none.tar', content)
            self.run_command('embed', '-m', MODEL, name, '-o', self.path('p.npy'), status=1)
            self.assertIn(f'{name}: ', self.errors[0])
            self.assertIn(word, self.errors[0])
            if content:
                os.remove(name)

    def test_a_shard_is_overwritten(self):
        for i in range(2):
            self.shard(f'{i}/2', *SAMPLES[:4])
        self.shard('1/2', *SAMPLES[:6], status=1)
        self.assert_error('stats_1.json: made from other inputs')
        self.shard('1/2', *SAMPLES[:4], '--no-normalize', '--overwrite', status=1)  # Shard 0 stays as it is.
        self.assert_error('stats_0.json: made with')
        self.shard('1/2', *SAMPLES[:4])
        self.assert_error('shard 1 of 2 is complete')
        self.path('out/stats/part_1.safetensors', b'of another run')
        with open(self.path('out/stats/part_1.safetensors.lock'), 'wb') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.shard('1/2', *SAMPLES[:6], '--overwrite', status=1)
            self.assert_error('part_1.safetensors: another process is writing it')
        self.shard('1/2', *SAMPLES[:4])
        self.assert_error('shard 1 of 2 is complete')  # The refused run changed nothing.
        self.shard('1/2', *SAMPLES[:6], '--overwrite')
        self.assertEqual(read_parquet(self.path('out/metadata/metadata_1.parquet'))['image_path'], SAMPLES[1:6:2])
        self.assertEqual(read_npy(self.path('out/img_emb/img_emb_1.npy'))[0], (3, 128))
        self.assertEqual(len(self.files()), 6)

    def test_a_job_names_its_shard(self):
        array_task = {'SLURM_ARRAY_TASK_ID': '7', 'SLURM_ARRAY_TASK_COUNT': '3', 'SLURM_ARRAY_TASK_MIN': '3',
                      'SLURM_ARRAY_TASK_MAX': '7', 'SLURM_ARRAY_TASK_STEP': '2', 'RANK': '0', 'WORLD_SIZE': '9'}
        for environment in [array_task, {'SLURM_ARRAY_TASK_ID': '2', 'SLURM_ARRAY_TASK_COUNT': '3'},
                            {'OMPI_COMM_WORLD_RANK': '2', 'OMPI_COMM_WORLD_SIZE': '3'},
                            {'RANK': '2', 'WORLD_SIZE': '3'}, {'PMI_RANK': '2', 'PMI_SIZE': '3'},
                            {'SLURM_PROCID': '2', 'SLURM_NTASKS': '3'}]:
            shutil.rmtree(self.path('out'), ignore_errors=True)
            self.shard('auto', '--text', 'a', '--text', 'b', '--text', 'an owl', environment=environment)
            self.assertEqual(self.files(), ['metadata/metadata_2.parquet', 'stats/stats_2.json',
                                            'text_emb/text_emb_2.npy'])
            self.assertEqual(read_parquet(self.path('out/metadata/metadata_2.parquet'))['caption'], ['an owl'])
        for environment, word in [({**array_task, 'SLURM_ARRAY_TASK_COUNT': '2'}, 'do not follow'),
                                  ({'SLURM_ARRAY_TASK_ID': '3', 'SLURM_ARRAY_TASK_COUNT': '3'}, 'below'),
                                  ({'RANK': '3', 'WORLD_SIZE': '3'}, 'below WORLD_SIZE'),
                                  ({'RANK': 'x', 'WORLD_SIZE': '3'}, 'numbers')]:
            self.shard('auto', OWL, environment=environment, status=2)
            self.assert_error(word)

    def test_interrupted_it_continues(self):
        inputs = SAMPLES * 3 + [self.path('none.png')] + SAMPLES * 4
        arguments = [cli.COMMAND, 'embed', '-m', MODEL, '-o', self.path('out'), '--shard', '0/1',
                     '--images-from', self.path('list', '\n'.join(inputs).encode())]
        with subprocess.Popen(arguments, stderr=subprocess.PIPE) as process:
            process.stderr.readline()
            process.terminate()
            self.assertIn(b'continue with the same command', process.stderr.read())
        self.assertEqual(process.returncode, -signal.SIGTERM)
        self.assertEqual(self.files(), ['stats/part_0.safetensors'])
        self.run_command(*arguments[1:], status=1)
        self.assertRegex(self.errors[0], 'pictures had been done')
        self.assertEqual(read_npy(self.path('out/img_emb/img_emb_0.npy'))[0], (len(inputs) - 1, 128))
        self.assertEqual(read_parquet(self.path('out/metadata/metadata_0.parquet'))['image_path'],
                         [path for path in inputs if 'none' not in path])


    def test_what_another_run_kept(self):
        os.makedirs(self.path('out/stats'))
        part = self.path('out/stats/part_0.safetensors')
        self.run_command('embed', '-m', MODEL, *SAMPLES[:2], '-o', part)
        self.shard('0/2', *SAMPLES[:3], status=1)  # It has the first and the third one.
        self.assert_error('part_0.safetensors: keeps results of inputs that this shard does not have')
        self.shard('0/1', *SAMPLES[:3])
        self.assertEqual(read_parquet(self.path('out/metadata/metadata_0.parquet'))['image_path'], SAMPLES[:3])
        self.assertFalse(os.path.exists(part))


class Probe(CommandTest):
    def make_folders(self, **labels):
        for label, names in labels.items():
            os.makedirs(self.path(label), exist_ok=True)
            for name in names:
                shutil.copy(f'{MODEL}/samples/{name}.png', self.path(label))

    def test_train_and_predict(self):
        self.make_folders(**{'train/animal': ['octopus', 'owl', 'penguin'], 'train/food': ['hot-beverage', 'pizza'],
                             'test/animal': ['butterfly', 'dog-face'], 'test/food': ['strawberry', 'rocket']})
        probe = self.path('probe.safetensors')
        line, = self.run_json('probe', 'train', '-m', MODEL, '-o', probe, self.path('train'), '--test',
                              self.path('test'), '-C', '10')
        self.assertEqual((line['labels'], line['images'], line['converged']), (['animal', 'food'], 5, True))
        self.assertEqual((line['accuracy'], line['test_images'], line['test_accuracy']), (100, 4, 100))
        tensors, metadata = read_safetensors(probe)
        self.assertEqual([tensors['weight'].shape, tensors['bias'].shape], [[2, 128], [2]])
        self.assertEqual(json.loads(metadata['labels']), ['animal', 'food'])
        predict = ['probe', 'predict', '-m', MODEL, '--probe', probe]
        lines = self.run_json(*predict, self.path('train/food'), self.path('train/animal'))
        for line in lines:
            self.assertEqual(line['results'][0]['label'], line['path'].split('/')[-2])
            self.assertAlmostEqual(sum(result['prob'] for result in line['results']), 1, 5)
            self.assertGreater(line['results'][0]['prob'], line['results'][1]['prob'])
        # The features are the embeddings that are not normalised.
        self.run_command('embed', '-m', MODEL, '--no-normalize', self.path('train/food'), '-o', self.path('f.npy'))
        row = read_npy(self.path('f.npy'))[1][:128]
        logits = [sum(map(lambda a, b: a * b, row, tensors['weight'].row(k))) + tensors['bias'].values[k]
                  for k in range(2)]
        self.assertAlmostEqual(1 / (1 + math.exp(logits[0] - logits[1])), lines[0]['results'][0]['prob'], 4)
        self.assertEqual(self.run_json(*predict, '--test', self.path('test')),
                         [{'test_images': 4, 'test_accuracy': 100.0}])

    def test_failures(self):
        self.make_folders(**{'train/animal': ['owl'], 'train/food': ['pizza'], 'other/robot': ['robot']})
        probe = self.path('probe.safetensors')
        train = ['probe', 'train', '-m', MODEL, '-o', probe]
        for arguments, words in [((self.path('train/food'),), 'at least two'),
                                 ((self.path('train'), '--test', self.path('other')), 'none of the labels')]:
            self.run_command(*train, *arguments, status=1)
            self.assertIn(words, self.errors[-1])
        for label in 'a', 'b':
            os.makedirs(self.path('empty/' + label))
            self.path(f'empty/{label}/x.png', b'')
        self.run_command(*train, self.path('empty'), status=1)
        self.assertIn('no picture could be encoded', self.errors[-1])
        self.run_command(*train, self.path('train'), '-C', '0', status=2)
        self.assert_error('--inverse-penalty: expected C')
        self.run_command(*train, self.path('train'), '--iterations', '1')
        self.assert_error('1 iterations were too few')
        shutil.copytree(MODEL, self.path('model'), ignore=lambda *_: ['samples'])
        self.run_command('probe', 'predict', '-m', self.path('model'), '--probe', probe, OWL, status=1)
        self.assert_error('made with "emoji-clip, ', 'expected "model, ')
        self.run_command('embed', '-m', MODEL, OWL, '-o', self.path('e.safetensors'))
        self.run_command('probe', 'predict', '-m', MODEL, '--probe', self.path('e.safetensors'), OWL, status=1)
        self.assert_error('not a file of vkclip probe train')

    def test_a_damaged_probe(self):
        metadata = {'labels': '["a","b"]', 'model': ''}

        def predict(path, tensors, words):
            cli.write_safetensors(path, tensors, metadata)
            self.run_command('probe', 'predict', '-m', MODEL, '--probe', path, OWL, status=1)
            self.assert_error(path + ': ', words)
        path, weight = self.path('p.safetensors'), ('F32', [2, 128], [0.5] * 256)
        good = {'weight': weight, 'bias': ('F32', [2], [0, 1])}
        predict(path, good, 'made with "", expected "')
        metadata['model'] = self.errors[0].split('expected "')[1][:-1]
        for tensors, words in [({'weight': ('F32', [2, 64], [0.5] * 128)}, 'expected weight [2,128]'),
                               ({'weight': ('F32', [128, 2], weight[2])}, 'expected weight [2,128]'),
                               ({'weight': ('F32', [2, 128], [0.5] * 200 + [math.nan] * 56)}, 'weight[200] is not'),
                               ({'bias': ('F32', [2], [0, -math.inf])}, 'bias[1] is not a finite number'),
                               ({'bias': ('F32', [3], [0, 1, 2])}, 'bias [2] in F32, which bias is not')]:
            predict(path, {**good, **tensors}, words)
        cli.write_safetensors(path, good, metadata)
        line, = self.run_json('probe', 'predict', '-m', MODEL, '--probe', path, OWL)
        self.assertEqual([result['label'] for result in line['results']], ['b', 'a'])
        os.truncate(path, os.path.getsize(path) - 5)
        self.run_command('probe', 'predict', '-m', MODEL, '--probe', path, OWL, status=1)
        self.assert_error(path + ': ', 'truncated')


if __name__ == '__main__':
    cli.main()
