#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""encode.py COMMAND [unittest's arguments]: tests the commands that encode a given list of pictures or texts."""
import array
import json
import math
import os
import re
import shutil
import struct

import cli
from cli import EXPECTED, MODEL, NO_DEVICE, CommandTest, golden, read_labels, read_safetensors, write_safetensors

PICTURES = 'tests/golden/pictures'


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

    def test_features(self):
        raw = golden('models/openai-vit/case.safetensors')
        case = read_safetensors(raw)[0]
        tensors, metadata = self.embed('--raw', raw, '--features', '-2', model=golden('models/hf-vit'))
        self.assertEqual(metadata['features'], '-2')
        self.assertEqual(sorted(tensors), ['image_features', 'text_features'])
        for name, expected in [('image_features', 'vision.hidden.1'), ('text_features', 'text.hidden.1')]:
            self.assertEqual(tensors[name].shape, case[expected].shape)
            self.assert_close(tensors[name].values, case[expected].values,
                              1e-4 * max(map(abs, case[expected].values)), name)
        picture = f'{MODEL}/samples/owl.png'
        plain = self.embed('--no-normalize', picture)[0]['image_embeds']
        found = self.embed('--features', 'ip-adapter', picture)[0]['image_features']
        self.assertEqual(found.shape, plain.shape)
        self.assert_close(found.values, plain.values, 1e-5)

    def test_features_of_more_inputs(self):
        self.embed('--features', '-2', '--text', 'a')
        tensors = self.embed('--features', '3', '--skip-existing', '--text', 'a', '--text', 'b')[0]
        self.assertEqual(tensors['text_features'].shape, [2, 32, 192])
        for features, message in [(['--features', '0'], 'another embedding'), ([], 'expected an embedding')]:
            self.embed(*features, '--skip-existing', '--quiet', '--text', 'a', '--text', 'c', status=1)
            self.assert_error(message)

    def test_bad_features(self):
        for status, message, features, name in [
                (2, "'clas' is not known", 'llava,clas', 'out.safetensors'),
                (2, 'needs a result in .safetensors', 'llava', 'out.npy'),
                (4, 'layer 9 of its text tower, expected 0 to 4', '9', 'out.safetensors'),
                (4, 'no class token', 'llava', 'out.safetensors')]:
            self.run_command('embed', '-m', MODEL, '-o', self.path(name), '--features', features,
                             '--text', 'a', status=status)
            self.assert_error(message)
        self.run_command('embed', '-m', MODEL, '-o', self.path('out.safetensors'), '--hidden',
                         '--features', '-1', '--text', 'a', status=2)
        self.assert_error('one of --hidden and --features')

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
            self.assertIn(f'{picture}: its EXIF orientation cannot be read', self.errors[0])
            self.assertIn('libexif', self.errors[0])
            return
        self.assertEqual(self.preprocess(picture, 32), expected['u8_32'].values)
        self.assertEqual(self.preprocess(picture, 32, '--orient'), expected['u8_32_exif_applied'].values)

    def test_fast_decode(self):
        odd = 'tests/golden/preprocess/images/jpeg_420_restart.jpg'  # 203 x 181, in 13 x 12 blocks of 16 x 16
        with open(odd, 'rb') as file:
            data = file.read()
        size = struct.pack('>2H', 181, 203)
        self.assertEqual(data.count(size), 1)
        picture = self.path('even.jpg', data.replace(size, struct.pack('>2H', 192, 208)))
        exact, fast = self.preprocess(picture, 16), self.preprocess(picture, 16, '--fast-decode')
        differences = [abs(a - b) for a, b in zip(exact, fast)]
        self.assertEqual(any(differences), 'libjpeg-turbo' in self.run_command('--version'),
                         'a quarter of its size is enough')
        self.assertLess(sum(differences) / len(differences), 4)
        self.assertEqual(self.preprocess(picture, 64), self.preprocess(picture, 64, '--fast-decode'),
                         'at a half it would be too small')
        self.assertEqual(self.preprocess(odd, 16), self.preprocess(odd, 16, '--fast-decode'),
                         'the last pixel of a quarter would be narrower, and move the picture')

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

    def test_openai_templates(self):
        """The built-in templates are 80 different ones, and stand for a file of them."""
        with open('src/cli/templates.c') as source:
            texts = re.findall('"(.*{}.*)"', source.read().split('openai[] = {')[1].split('};')[0])
        self.assertEqual((len(texts), len(set(texts))), (80, 80))
        self.assertEqual((texts[0], texts[-1]), ('a bad photo of a {}.', 'a tattoo of the {}.'))
        self.assertLess({'itap of a {}.', 'a origami {}.', 'the {} in a video game.'}, set(texts))
        builtin, read = [self.run_json('classify', '-m', MODEL, '-l', 'owl', '--templates', templates, '-t', '{}',
                                       MODEL + '/samples/owl.png')
                         for templates in ['openai', self.path('t', '\n'.join(texts).encode())]]
        self.assertEqual(builtin, read)

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


class Accuracy(CommandTest):
    """classify --eval: the figures follow from the embeddings that embed writes."""
    folders = {'apple': ['owl', 'pizza', 'robot'], 'bird': ['owl', 'penguin'], 'dish': ['pizza', 'hot-beverage'],
               'ghost': ['ghost'], 'machine': ['robot', 'rocket', 'bicycle'], 'plant': ['strawberry', 'christmas-tree']}
    labels = ['red apple', 'owl', 'pizza', 'white ghost', 'robot', 'christmas tree']

    def setUp(self):
        super().setUp()
        for folder, names in self.folders.items():
            os.makedirs(self.path('data/' + folder))
            for name in names:
                shutil.copy(f'{MODEL}/samples/{name}.png', self.path(f'data/{folder}'))

    def evaluate(self, *arguments, status=0):
        return self.run_json('classify', '-m', MODEL, '--eval', self.path('data'), *arguments, status=status)

    def embed(self, *arguments):
        self.run_command('embed', '-m', MODEL, '-o', self.path('e.safetensors'), *arguments)
        return {name: tensor.rows() for name, tensor in read_safetensors(self.path('e.safetensors'))[0].items()}

    def expect(self, labels, templates):
        """Returns the confusions and the pictures whose label is among the five best."""
        texts = [template.replace('{}', label) for label in labels for template in templates]
        found = self.embed('-r', self.path('data'), *(word for text in texts for word in ['--text', text]))
        count = len(templates)
        weights = []
        for i in range(len(labels)):
            mean = [sum(column) / count for column in zip(*found['text_embeds'][i * count:(i + 1) * count])]
            norm = math.sqrt(sum(x * x for x in mean))
            weights.append([x / norm for x in mean])
        owners = [i for i, folder in enumerate(self.folders) for _ in self.folders[folder]]
        confusion, five = [[0] * len(labels) for _ in labels], 0
        for owner, row in zip(owners, found['image_embeds']):
            cosines = [sum(a * b for a, b in zip(row, weight)) for weight in weights]
            best = sorted(range(len(labels)), key=lambda i: -cosines[i])
            confusion[owner][best[0]] += 1
            five += owner in best[:5]
        return confusion, five

    def check(self, line, labels, templates):
        confusion, five = self.expect(labels, templates)
        right = [confusion[i][i] for i in range(len(labels))]
        images = [sum(row) for row in confusion]
        self.assertEqual(line['confusion'], confusion)
        self.assertEqual([(c['folder'], c['label'], c['images'], c['right']) for c in line['classes']],
                         list(zip(self.folders, labels, images, right)))
        self.assertEqual((line['images'], line['failed']), (13, 0))
        self.assertTrue(0 < sum(right) < 13, 'all right or all wrong')
        shares = [100 * a / b for a, b in zip(right, images)]
        found = [line['top1'], line['top5'], line['mean_per_class'], *(c['accuracy'] for c in line['classes'])]
        self.assert_close(found, [100 * sum(right) / 13, 100 * five / 13, sum(shares) / 6, *shares], 1e-6)

    def test_figures(self):
        lines = self.evaluate('--templates', 'simple')
        self.check(lines[0], list(self.folders), ['a photo of a {}.'])
        mapped = self.path('map', ''.join(f'{f}\t{l}\n' for f, l in zip(self.folders, self.labels)).encode())
        templates = self.path('templates', b'a picture of {}\nan icon of {c}, small\n\n')
        line, = self.evaluate('--labels', mapped, '--templates', templates)
        self.check(line, self.labels, ['a picture of {}', 'an icon of {}, small'])
        # Labels alone are those of the folders in the order of their names.
        order = self.path('order', '\n'.join(self.labels).encode())
        self.assertEqual(self.evaluate('--labels', order, '-t', 'a picture of {}', '-t', 'an icon of {}, small'),
                         [line])

    def test_table(self):
        line, = self.evaluate()
        table = self.run_command('classify', '-m', MODEL, '--eval', self.path('data'), '-k', '2')
        self.assertIn('13 pictures, 6 labels\n', table)
        self.assertRegex(table, rf'top-1 accuracy +{line["top1"]:.2f} %\ntop-5 accuracy +{line["top5"]:.2f} %\n'
                         rf'mean accuracy per label +{line["mean_per_class"]:.2f} %')
        for found in line['classes']:
            self.assertRegex(table, rf'(?m)^{found["label"]} +{found["images"]} +{found["right"]} +'
                             rf'{found["accuracy"]:.2f} %$')
        pairs = sorted(((-count, i, j) for i, row in enumerate(line['confusion']) for j, count in enumerate(row)
                        if count and i != j))
        names = list(self.folders)
        rows = table.split('taken for  pictures\n')[1].splitlines()
        self.assertEqual([row.split() for row in rows], [[names[i], names[j], str(-n)] for n, i, j in pairs[:2]])

    def test_unreadable_and_missing(self):
        self.path('data/bird/x.png', b'junk' * 99)
        line, = self.evaluate(status=1)
        self.assert_error('data/bird/x.png')
        self.assertEqual((line['images'], line['failed']), (13, 1))
        os.remove(self.path('data/bird/x.png'))
        os.mkdir(self.path('data/empty'))
        line, = self.evaluate(status=1)
        self.assert_error('data/empty: no pictures in this folder')
        self.assertEqual(len(line['classes']), 6)
        # A label without a folder is one more to be taken for, and has no accuracy.
        os.rmdir(self.path('data/empty'))
        line, = self.evaluate('--labels', self.path('more', '\n'.join([*self.folders, 'owl']).encode()))
        self.assertEqual((line['classes'][6]['images'], line['classes'][6]['accuracy']), (0, None))
        self.assertEqual(line['confusion'][6], [0] * 7)
        # A TAB in the name of a folder does not divide it.
        os.rename(self.path('data/bird'), self.path('data/bird\tof prey'))
        line, = self.evaluate()
        self.assertIn('bird\tof prey', [found['label'] for found in line['classes']])

    def test_refusals(self):
        names = list(self.folders)
        for name, content, words in [
                ('a', 'apple\nbird\n', "2 of the 6 folders are labels, and 'dish' is not"),
                ('b', 'x\ny\n', 'one label per folder in the order of their names, found 2'),
                ('c', 'apple\tx\nbird\n', "expected FOLDER, a TAB and a label as in other lines, found 'bird'"),
                ('d', 'apple\tx\nbird\t\n', "found 'bird\t'".replace('\t', '?')),
                ('e', 'apple\tx\napple\ty\n', "the folder 'apple' has two labels"),
                ('f', ''.join(f'{name}\tx\n' for name in names[1:]), 'none of the labels'),
                ('g', '\n', '--labels: there are no labels'),
                ('none', None, 'none: No such file')]:
            with self.subTest(words):
                self.evaluate('--labels', self.path(name, None if content is None else content.encode()), status=1)
                self.assert_error(words)
        self.evaluate('--templates', self.path('t', b'a photo of a {}\nno hole\n'), status=2)
        self.assert_error("template 'no hole' has no {} for the label")
        self.evaluate('--templates', self.path('u', b''), status=1)
        self.assert_error('--templates: the file is empty')
        self.evaluate('--templates', self.path('v'), status=1)
        self.assert_error('v: No such file')
        self.evaluate(MODEL + '/samples/owl.png', status=2)
        self.assert_error('--eval names the pictures')
        run = ['classify', '-m', MODEL, '--eval']
        self.run_command(*run, self.path('data/bird'), status=1)
        self.assert_error('owl.png: expected in a folder named as its label')
        os.makedirs(self.path('one/class'))
        self.run_command(*run, self.path('one'), status=1)
        self.assert_error('expected a folder for each label, at least two, found 1')
        self.run_command(*run, self.path('nowhere'), status=1)
        self.assert_error('nowhere: No such file')


class Recall(CommandTest):
    """evaluate: the figures follow from the embeddings that embed writes."""
    columns = ('filepath', 'title')

    def setUp(self):
        super().setUp()
        labels = read_labels()[::2]
        self.pictures = [f'{i:02}.png' for i in range(len(labels))]
        # Every third picture has two captions, and every caption is that of the next label in some rows.
        self.rows = []
        for i, (name, label) in enumerate(zip(self.pictures, labels)):
            shutil.copy(f'{EXPECTED}/{label["file"]}', self.path(name))
            self.rows.append((name, f'a picture of {labels[(i + i % 2) % len(labels)]["name"]}'))
            if i % 3 == 0:
                self.rows.append((name, f'an icon, {label["name"]}'))
        self.rows = self.rows[::2] + self.rows[1::2]  # The captions of a picture need not be neighbours.

    def evaluate(self, path, *arguments, status=0):
        line, = self.run_json('evaluate', '-m', MODEL, '--captions', path, *arguments, status=status)
        return line

    def table(self, name, rows):
        return self.path(name, ''.join('\t'.join(row) + '\n' for row in [self.columns, *rows]).encode())

    def expect(self, rows):
        """Returns both recalls; of captions and pictures that are equally similar, one's own is the last."""
        pictures = sorted({picture for picture, _ in rows})
        self.run_command('embed', '-m', MODEL, '-o', self.path('e.safetensors'),
                         *(word for picture in pictures for word in ['--image', self.path(picture)]),
                         *(word for _, text in rows for word in ['--text', text]))
        tensors = read_safetensors(self.path('e.safetensors'))[0]
        images, texts = (tensors[name].rows() for name in ['image_embeds', 'text_embeds'])
        table = [[sum(a * b for a, b in zip(image, text)) for text in texts] for image in images]
        owners = [pictures.index(picture) for picture, _ in rows]
        to_text, to_image = [], []
        for i, row in enumerate(table):
            best = max(value for value, owner in zip(row, owners) if owner == i)
            to_text.append(sum(value >= best for value, owner in zip(row, owners) if owner != i))
        for j, owner in enumerate(owners):
            to_image.append(sum(table[i][j] >= table[owner][j] for i in range(len(images)) if i != owner))
        return [{f'recall@{k}': 100 * sum(rank < k for rank in ranks) / len(ranks) for k in [1, 5, 10]}
                for ranks in [to_text, to_image]]

    def check(self, line, rows):
        for found, expected in zip([line['image_to_text'], line['text_to_image']], self.expect(rows)):
            self.assertEqual(list(found), list(expected))
            self.assert_close(list(found.values()), list(expected.values()), 1e-6)
            self.assertTrue(0 < expected['recall@1'] < expected['recall@10'], expected)

    def test_figures(self):
        line = self.evaluate(self.table('t.tsv', self.rows))
        self.assertEqual((line['images'], line['captions'], line['failed']), (30, 40, 0))
        self.check(line, self.rows)
        # Python writes NaN, and half a surrogate pair; both are in members that are not used.
        lines = [json.dumps(dict(zip(['p', 'c'], row), x=[float('nan'), '\ud83d'])) for row in self.rows]
        self.assertEqual(self.evaluate(self.path('t.jsonl', '\n'.join(lines).encode()), '--csv-img-key', 'p',
                                       '--csv-caption-key', 'c'), line)
        text = self.path('t.txt', ''.join(f'{self.folder}/{p}\t{c}\r\n' for p, c in self.rows).encode())
        self.assertEqual(self.evaluate(text), line)
        table = self.run_command('evaluate', '-m', MODEL, '--captions', text)
        self.assertIn('\n30 pictures, 40 captions\n', table)
        for name in 'image to text', 'text to image':
            values = line[name.replace(' ', '_')].values()
            self.assertRegex(table, name + ''.join(f' +{value:.2f} %' for value in values) + '\n')

    def test_ties_and_failures(self):
        """Equal captions are behind each other. What cannot be read is left out with its captions."""
        same = self.table('same.tsv', [(name, 'a picture') for name in self.pictures[:3]])
        line = self.evaluate(same)
        self.assertEqual([line['image_to_text'][f'recall@{k}'] for k in [1, 5]], [0, 100])
        good = self.rows[:12]
        self.path('junk.png', b'junk' * 99)
        bad = [('junk.png', 'an owl'), ('none.png', 'a robot'), ('', 'a ghost'), (good[0][0], ' ')]
        line = self.evaluate(self.table('bad.tsv', bad + good), status=1)
        self.assertEqual((line['captions'], line['failed']), (12, 4))
        for found, words in zip(self.errors, ['bad.tsv: line 4: no picture', 'bad.tsv: line 5: no caption',
                                              'junk.png', 'none.png: No such file']):
            self.assertIn(words, found)
        clean = self.evaluate(self.table('good.tsv', good))
        self.assertEqual({**line, 'failed': 0}, clean)

    def test_refusals(self):
        for name, content, words in [('a.csv', b'x,title\n1,2\n', 'filepath'),
                                     ('b.tsv', b'filepath\ttitle\n', 'no pictures with captions'),
                                     ('none.csv', None, 'none.csv: No such file'),
                                     ('none.txt', None, 'none.txt: No such file')]:
            self.run_command('evaluate', '-m', MODEL, '--captions', self.path(name, content), status=1)
            self.assert_error(words)
        for name, words in [('c.jsonl', 'line 1: expected an object with the strings filepath and title'),
                            ('d.txt', 'line 1: no caption')]:
            self.run_command('evaluate', '-m', MODEL, '--captions', self.path(name, b'[1]\n'), status=1)
            self.assertIn(words, self.errors[0])
        # Which of the columns has the caption is not sure where one has a comma; an empty one beyond tells nothing.
        owl = os.path.abspath(MODEL) + '/samples/owl.png'
        rows = f'filepath,title\n{owl},an owl, at night\n{owl},an owl,\n'
        line = self.evaluate(self.path('e.csv', rows.encode()), status=1)
        self.assertEqual((line['captions'], line['failed']), (1, 1))
        self.assertIn('e.csv: line 2: more columns than the first row', self.errors[0])


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

    def test_probabilities_of_pairs(self):
        """A model with logit_bias gives every pair a probability of its own."""
        size = {'hidden_size': 32, 'num_hidden_layers': 1, 'num_attention_heads': 2, 'intermediate_size': 48}
        config = {'model_type': 'siglip',
                  'text_config': {**size, 'vocab_size': 2240, 'max_position_embeddings': 16},
                  'vision_config': {**size, 'image_size': 16, 'patch_size': 8}}
        os.makedirs(self.path('configuration'))
        self.path('configuration/config.json', json.dumps(config).encode())
        self.run_command('init', self.path('configuration/config.json'), self.path('model'))
        model = ['-m', self.path('model'), '--vocab', MODEL + '/tokenizer.json']
        info, = self.run_json('info', *model)
        self.assertTrue(info['sigmoid'])
        self.assertEqual(info['logit_bias'], -10)
        self.assertAlmostEqual(info['logit_scale'], 10, 4)
        owl, texts = MODEL + '/samples/owl.png', ('a picture of owl', 'pizza', 'robot')
        line, = self.run_json('similarity', *model, owl, *(word for text in texts for word in ('--text', text)))
        for logit, prob in zip(line['logits'], line['prob']):
            self.assertAlmostEqual(prob, 1 / (1 + math.exp(-logit)), 9)
        table = self.run_command('similarity', *model, owl, '--text', texts[0])
        self.assertIn('sigmoid', table)
        self.assertEqual(table.splitlines()[-1].split()[-1], f'{100 * line["prob"][0]:.3f}')
        labels = [word for text in texts for word in ('-l', text)]
        line, = self.run_json('classify', *model, owl, *labels)
        self.assertIs(line['sigmoid'], True)
        for result in line['results']:
            self.assertAlmostEqual(result['prob'], 1 / (1 + math.exp(-result['logit'])), 9)
        self.assertIn('--softmax', self.run_command('classify', *model, owl, *labels))
        line, = self.run_json('classify', *model, owl, '--softmax', *labels)
        self.assertNotIn('sigmoid', line)
        self.assertAlmostEqual(sum(result['prob'] for result in line['results']), 1, 9)

    def test_explain(self):
        """The pictures have the size of the original, and the grid lies in its middle."""
        tall, texts = 'tests/golden/preprocess/images/small_17x31.png', ('a picture of owl', 'a picture of pizza')
        line, = self.run_json('explain', '-m', MODEL, tall, *texts, '-o', self.path('{}.png'), '--layers', '2')
        self.assertEqual((line['path'], line['width'], line['height']), (tall, 17, 31))
        expected = {'side': 8, 'left': 0, 'top': 26 * 31 / 116, 'width': 17, 'height': 64 * 31 / 116}
        self.assertEqual(list(line['grid']), list(expected))
        for key, value in expected.items():
            self.assertAlmostEqual(line['grid'][key], value, 6)
        logits, = self.run_json('similarity', '-m', MODEL, tall, *(word for text in texts for word in ('--text', text)))
        for i, text in enumerate(line['texts']):
            self.assertEqual((text['text'], text['output']), (texts[i], self.path(f'{i + 1}.png')))
            self.assertAlmostEqual(text['logit'], logits['logits'][i], 3)
            self.assertEqual([len(row) for row in text['relevance']], [8] * 8)
            self.assertGreater(max(map(max, text['relevance'])), 0)
            with open(text['output'], 'rb') as file:
                self.assertEqual(struct.unpack('>4sII', file.read(24)[12:]), (b'IHDR', 17, 31))
        named, = self.run_json('explain', '-m', MODEL, tall, texts[0], '-o', self.path('one.png'), '--layers', '1')
        self.assertEqual(named['texts'][0]['output'], self.path('one.png'))
        self.assertTrue(os.path.exists(self.path('one.png')))
        self.run_command('explain', '-m', MODEL, tall, 'owl', '--layers', '7', '--json', status=1)
        self.assert_error('--layers', '1 to 6')

    def test_failures(self):
        owl, none = MODEL + '/samples/owl.png', self.path('none')
        line, = self.run_json('similarity', '-m', MODEL, '--image', none, '--image', owl, '--text',
                              'penguin ' * 100, '--text', 'owl', '--strict', status=1)
        self.assertEqual((line['path'], line['texts'], len(line['logits'])), (owl, ['owl'], 1))
        self.assertEqual(len(self.errors), 2)


if __name__ == '__main__':
    cli.main()
