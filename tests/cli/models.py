#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""models.py COMMAND [unittest's arguments]: tests info, models, init, convert, tokenize and tokenizer-train."""
import json
import os
import re
import resource
import signal
import subprocess
import tempfile

import cli
from cli import EXPECTED, MODEL, NO_DEVICE, CommandTest, golden, read_labels, read_safetensors


class Info(CommandTest):
    def test_json(self):
        info, = self.run_json('info', '-m', MODEL, environment=NO_DEVICE)
        self.assertEqual(info['family'], 'Hugging Face')
        self.assertEqual(info['parameters'], 4984705)
        self.assertEqual((info['image']['width'], info['image']['layers'], info['image']['heads'],
                          info['image']['mlp'], info['image']['positions']), (192, 6, 3, 768, 65))
        self.assertEqual((info['text']['width'], info['text']['layers'], info['text']['activation']),
                         (192, 4, 'quick_gelu'))
        self.assertEqual((info['image']['kind'], info['text']['kind']), ('vit', 'text'))
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


class Models(CommandTest):
    def models(self, *filters, **others):
        return self.run_json('models', *filters, environment={**NO_DEVICE, 'HF_HUB_CACHE': self.folder}, **others)

    def test_list(self):
        model, = self.models('ViT-B-32__openai')
        self.assertEqual(model, {'name': 'ViT-B-32:openai', 'aliases': ['ViT-B-32-quickgelu:openai'],
                                 'repository': 'timm/vit_base_patch32_clip_224.openai', 'family': 'CLIP',
                                 'millions': 151, 'width': 512, 'languages': 'English', 'licence': None,
                                 'runs': True, 'cached': False})
        os.makedirs(self.path('models--timm--vit_base_patch32_clip_224.openai/snapshots/' + 40 * 'a'))
        self.assertTrue(self.models('ViT-B-32/openai')[0]['cached'])
        every = self.models()
        self.assertEqual([model['name'] for model in every if model['cached']], ['ViT-B-32:openai'])
        self.assertTrue(all(model['runs'] == ('obstacle' not in model) for model in every))

    def test_filters(self):
        names = {model['name'] for model in self.models()}
        chosen = self.models('siglip', 'MANY', 'mrl')
        self.assertEqual({model['name'] for model in chosen},
                         {name for name in names if name.endswith('-siglip:mrl')})
        self.assertEqual(len(chosen), 2)
        lines = self.run_command('models', 'nllb', 'mrl', environment={'HF_HUB_CACHE': self.folder}).splitlines()
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[0], '^name +family +parameters +width +languages +licence$')
        self.assertRegex(lines[1], r'^nllb-clip-base-siglip:mrl +NLLB-CLIP +507 M +768 +many +cc-by-nc +not run: \S')
        self.assertEqual(self.models('no such model', status=1), [])
        self.assert_error('no such model')
        self.assertEqual(self.models('siglip2', 'mit', status=1), [])  # There are models of this licence.
        self.assert_error('all 2 filters')

    def test_families(self):
        """The README has the table that the command prints, and the tests have the cases in it."""
        table = self.run_command('models', '--markdown')
        with open('README.md', encoding='utf-8') as file:
            readme = file.read()
        self.assertIn(f'<!-- vkclip models --markdown -->\n{table}<!-- end -->\n', readme)
        rows = [row.strip('| ').split(' | ') for row in table.splitlines()[2:]]
        self.assertEqual({row[0] for row in rows}, {model['family'] for model in self.models()})
        tested = ''
        for name in ['family', 'towers']:
            with open(f'tests/api/{name}.c', encoding='utf-8') as file:
                tested += file.read()
        for row in rows:
            self.assertRegex(row[5], r'^(not run: .+|[a-z0-9 -]+)$')
            for case in row[5].split() if 'not run' not in row[5] else []:
                self.assertRegex(tested, rf'["/]{case}["/]', row[0])

    def test_partners(self):
        """Embeddings of M-CLIP's texts are compared with those of another model's pictures."""
        model = golden('family/mclip')
        if not model:
            self.skipTest('reference data family/mclip is not here')
        folder = self.path('models--M-CLIP--XLM-Roberta-Large-Vit-L-14')
        os.makedirs(folder + '/snapshots')
        os.symlink(os.path.abspath(model), f'{folder}/snapshots/{40 * "a"}')
        os.makedirs(folder + '/refs')
        self.path('models--M-CLIP--XLM-Roberta-Large-Vit-L-14/refs/main', 40 * b'a')
        environment = {**NO_DEVICE, 'HF_HUB_CACHE': self.folder}
        arguments = ['info', '-m', 'M-CLIP/XLM-Roberta-Large-Vit-L-14']
        self.assertEqual(self.run_json(*arguments, environment=environment)[0]['partner'], 'ViT-L/14')
        self.assertIn('that of ViT-L/14 gives embeddings', self.run_command(*arguments, environment=environment))
        self.assertNotIn('partner', self.run_json('info', '-m', model, environment=NO_DEVICE)[0])


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

    def test_prompts(self):
        vocabulary = ['tokenize', '--vocab', golden('conditioning/pipelines/sd1/tokenizer/vocab.json'), '--syntax']
        text = 'a (red:1.4) cat BREAK [dog]'
        line, = self.run_json(*vocabulary, 'a1111', text)
        first, second = line['chunks']
        self.assertEqual((line['text'], line['used'], line['available'], line['rest']), (text, 77, 150, None))
        self.assertEqual((first['ids'][:6], len(first['ids'])), ([1024, 320, 736, 66, 536, 1025], 77))
        self.assertEqual((first['weights'][:4], second['weights'][:4]), ([1, 1, 1.4, 1], [1, 0.909090909, 0.909090909, 1]))
        self.assertEqual(self.run_command(*vocabulary, 'a1111', text).split('\n'),
                         ['77 of 150 tokens', 'chunk  weight tokens  text', '    1  1          1  a',
                          '    1  1.4        1  red', '    1  1          2  cat', '    2  0.9091     2  dog', ''])
        self.assertEqual(self.run_command(*vocabulary, 'comfy', '--stdin', stdin=b'\n').split('\n'),
                         ['0 of 75 tokens', ''])
        cut = self.run_command(*vocabulary, 'none', '--context', '4', 'a a (red:1.4)')
        self.assertTrue(cut.endswith('left out: ( red : 1 . 4 )\n'), cut)
        self.assert_error('warning', 'a a (red', '9 tokens cut to 2', '( red : 1 . 4 )')
        self.run_command(*vocabulary, 'none', '--context', '4', '--strict', 'a a (red:1.4)', status=1)
        self.assert_error('9 tokens, expected at most 2')
        only, = self.run_json(*vocabulary, 'a1111', '(a:1.2.3)', 'a', status=1)
        self.assertEqual(only['text'], 'a')
        self.assert_error("'1.2.3' is not a number")
        self.run_command(*vocabulary, 'a1111', '--full', 'a', status=2)

    def test_encoders_of_diffusion_models(self):
        chroma = os.path.dirname(golden('conditioning/pipelines/chroma/model_index.json'))
        for arguments in [], ['--family', 'chroma']:
            line, = self.run_json('tokenize', '-m', chroma, *arguments, '--context', '8', 'a (red:1.4) cat')
            self.assertEqual((line['encoder'], line['available'], len(line['chunks'][0]['ids'])), ('t5xxl', 7, 8))
            self.assert_error('warning', 'tokens cut to 7', line['rest'])
        text = self.run_command('tokenize', '-m', chroma, '--syntax', 'comfy', 'a (red:1.4) cat')
        self.assertRegex(text, r'(?s)^t5xxl: \d+ of 511 tokens\n.*\n    1  1.4 +\d+  red\n')
        self.run_command('tokenize', '-m', chroma, '--family', 'nonsense', 'a', status=4)
        self.assert_error('--family nonsense', 'chroma')
        self.run_command('tokenize', '-m', chroma, '--full', 'a', status=2)
        self.run_command('tokenize', '--family', 'sd1', '--vocab', MODEL + '/tokenizer.json', 'a', status=2)
        sdxl = golden('conditioning/pipelines/sdxl/model_index.json')
        embeddings = golden('conditioning/prompts/embeddings/xl-paint.safetensors')
        if not sdxl or not embeddings:
            self.skipTest('the reference data conditioning/pipelines/sdxl is not here')
        prompt = ['tokenize', '-m', os.path.dirname(sdxl), '--embedding', embeddings, '--syntax', 'a1111',
                  'a (xl-paint:1.5) cat']
        first, second = self.run_json(*prompt)
        self.assertEqual((first['encoder'], second['encoder']), ('clip_l', 'clip_g'))
        self.assertEqual(first['chunks'][0]['vectors'],
                         [{'place': 2 + i, 'embedding': 'xl-paint', 'vector': i} for i in range(2)])
        self.assertEqual((first['chunks'][0]['ids'][-1], second['chunks'][0]['ids'][-1]), (1025, 0))
        self.assertEqual(self.run_command(*prompt).count('    1  1.5        2  [xl-paint]\n'), 2)

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

    def test_t5_vocabularies(self):
        folder = golden('conditioning/tokenizers/t5-small')
        with open(folder + '_cases.jsonl', encoding='utf-8') as file:
            cases = [case for case in map(json.loads, file) if '\0' not in case['text']]
        stdin = ''.join(case['text'] + '\0' for case in cases).encode()
        for name, key in [('spiece.model', 'ids_spm'), ('tokenizer.json', 'ids_hf')]:
            lines = self.run_json('tokenize', '--vocab', folder + '/' + name, '--stdin0', stdin=stdin)
            self.assertEqual(lines, [{'text': case['text'], 'ids': case.get(key, case['ids_spm'])}
                                     for case in cases])
        self.assertGreater(max(len(line['ids']) for line in lines), 77)
        single = golden('conditioning/t5/single/umt5_xxl_fp8_e4m3fn_scaled.safetensors')
        if single:
            model = golden('conditioning/tokenizers/umt5/spiece.model')
            self.assertEqual(self.run_json('tokenize', '-m', single, 'a [BRK] cat'),
                             self.run_json('tokenize', '--vocab', model, 'a [BRK] cat'))
        vocabulary = ['--vocab', folder + '/spiece.model', '--context', '3']
        line, = self.run_json('tokenize', *vocabulary, 'a a a')
        self.assert_error('warning', 'truncated to 3')
        self.assertEqual(line['ids'], [5, 5, 1])
        self.run_json('tokenize', *vocabulary, '--strict', 'a a a', status=1)

    def test_missing_vocabulary(self):
        self.run_command('tokenize', '--vocab', self.path('none'), 'a', status=4)
        self.assert_error(self.path('none'))
        self.run_command('tokenize', '-m', golden('models/openclip-vit'), 'a', status=4)
        self.assert_error('--vocab')


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
            with subprocess.Popen([cli.COMMAND, 'convert', MODEL, f'{folder}/{name}', '--no-check'],
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


if __name__ == '__main__':
    cli.main()
