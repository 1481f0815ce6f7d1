#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""openai.py COMMAND [unittest's arguments]: tests /v1/embeddings and /v1/models of vkclip serve."""
import base64
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from serving import MODEL, Server

COMMAND = ''
TEXTS = ['a red heart', 'a dog', 'the flag of Japan']
OWL = 'tests/golden/emoji-clip/samples/1f989.png'
CLIENT = os.path.abspath('build/openai')


def embed(*arguments):
    """The embeddings that the command computes by itself."""
    lines = subprocess.run([COMMAND, 'embed', '-m', MODEL, '--server', 'never', '-o', '-', *arguments],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line)['embedding'] for line in lines]


def tokenize(text):
    line = subprocess.run([COMMAND, 'tokenize', '-m', MODEL, text], capture_output=True, text=True, check=True).stdout
    return [int(number) for number in line.split()]


def picture(path=OWL):
    with open(path, 'rb') as file:
        return base64.b64encode(file.read()).decode()


class OpenAI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(COMMAND, '-m', MODEL)

    @classmethod
    def tearDownClass(cls):
        cls.assertEqual(unittest.TestCase(), cls.server.stop(), 0)

    def ask(self, **body):
        status, answer = self.server.ask_json('POST', '/v1/embeddings', body)
        self.assertEqual(status, 200, answer)
        self.assertEqual([row['index'] for row in answer['data']], list(range(len(answer['data']))))
        return answer

    def embed(self, **body):
        return [row['embedding'] for row in self.ask(**body)['data']]

    def compare(self, found, expected):
        self.assertEqual(len(found), len(expected))
        for row, other in zip(found, expected):
            self.assertEqual(len(row), len(other))
            for a, b in zip(row, other):
                self.assertAlmostEqual(a, b, 5)

    def test_texts_as_numbers_and_as_base64(self):
        numbers = self.embed(input=TEXTS)
        for key in ('encoding_format', 'embedding_type'):
            coded = self.embed(input=TEXTS, **{key: 'base64'})
            self.compare([struct.unpack(f'<{len(numbers[0])}f', base64.b64decode(text)) for text in coded], numbers)
        self.compare(numbers, embed(*[word for text in TEXTS for word in ('--text', text)]))
        for row in numbers:
            self.assertAlmostEqual(sum(value * value for value in row), 1, 5)

    def test_length(self):
        """Jina's `normalized` decides about the length of vectors."""
        unit, raw = self.embed(input='a dog', normalized=True)[0], self.embed(input='a dog', normalized=False)[0]
        length = sum(value * value for value in raw) ** 0.5
        self.assertGreater(length, 2)
        self.compare([[value / length for value in raw]], [unit])

    def test_token_ids(self):
        """They give the vectors of their texts, whatever their lengths."""
        rows = [tokenize(text) for text in TEXTS]
        expected = self.embed(input=TEXTS)
        answer = self.ask(input=rows)
        self.compare([row['embedding'] for row in answer['data']], expected)
        self.assertEqual(answer['usage']['prompt_tokens'], sum(map(len, rows)))
        self.assertEqual(self.ask(input=TEXTS)['usage'], answer['usage'])
        self.compare(self.embed(input=rows[1]), expected[1:2])
        self.compare(self.embed(input=rows[1] + [0, 0]), expected[1:2])

    def test_requests_at_once(self):
        """Rows of several lengths, texts and other lengths of vectors do not share a batch."""
        texts = [' '.join(['dog'] * count) for count in range(1, 13)]
        rows = [tokenize(text) for text in texts]
        self.assertEqual(len({len(row) for row in rows}), len(rows))
        bodies = [{'input': [value] * 20, 'normalized': normalized}
                  for pair in zip(rows, texts) for value in pair for normalized in (True, False)]
        expected = [self.embed(**body)[0] for body in bodies]
        found = [None] * len(bodies)

        def ask(number):
            found[number] = self.embed(**bodies[number])

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(bodies))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for vectors, vector in zip(found, expected):
            self.compare([[value / 10 for value in row] for row in vectors], [[value / 10 for value in vector]] * 20)

    def test_forms_of_inputs(self):
        """Texts and pictures may be mixed, in the forms that other servers take."""
        url = 'data:image/png;base64,' + picture()
        expected = embed('--text', 'a dog') + embed(OWL)
        found = self.embed(input=['a dog', tokenize('a dog'), {'text': 'a dog'}, {'type': 'text', 'text': 'a dog'},
                                  url, {'image': url}, {'image': picture()}, {'image': {'url': url}},
                                  {'type': 'image_url', 'image_url': {'url': url}},
                                  {'type': 'input_image', 'image_url': url}])
        self.compare(found, expected[:1] * 4 + expected[1:] * 6)
        self.compare(self.embed(input=[picture()], modality='image'), expected[1:])
        self.compare(self.embed(input={'image': url}), expected[1:])
        # What looks like a picture is a text if the client says so.
        self.compare(self.embed(input='data:a', modality='text'), self.embed(input={'text': 'data:a'}))
        for part, vector in (({'type': 'text', 'text': 'a dog'}, expected[0]),
                             ({'type': 'image_url', 'image_url': {'url': url}}, expected[1])):
            self.compare(self.embed(messages=[{'role': 'user', 'content': [part]}], model='emoji-clip'), [vector])
        self.compare(self.embed(messages=[{'role': 'user', 'content': 'a dog'}]), expected[:1])

    def test_long_texts_are_cut(self):
        answer = self.ask(input='dog ' * 100, user='somebody', encoding_format=None, dimensions=None, model=None)
        self.assertEqual((answer['usage']['total_tokens'], answer['model']), (32, 'emoji-clip'))

    def test_wrong_requests(self):
        url = 'data:image/png;base64,'
        for body, status, param, text in [
                ([], 400, None, 'expected an object'),
                ({}, 400, 'input', 'expected 1 to 2048'),
                ({'input': []}, 400, 'input', 'expected 1 to 2048'),
                ({'input': None}, 400, 'input', 'expected 1 to 2048'),
                ({'input': ['x'] * 2049}, 400, 'input', 'found 2049'),
                ({'input': ''}, 400, 'input', 'input 0: expected a text'),
                ({'input': ['a', 7.5]}, 400, 'input', 'input 1: expected a string'),
                ({'input': ['a', None]}, 400, 'input', 'input 1: expected a string'),
                ({'input': ['a', []]}, 400, 'input', 'input 1: expected a string'),
                ({'input': 'a\0b'}, 400, None, 'NUL'),
                ({'input': [1, 'a']}, 400, 'input', 'input 0: expected token ids only'),
                ({'input': [[-1]]}, 400, 'input', 'token ids only'),
                ({'input': [[2238, 2240, 2239]]}, 400, 'input', '2240 is no token id of this model'),
                ({'input': [[320, 1451]]}, 400, 'input', 'the start and the end'),
                ({'input': [2238, 320]}, 400, 'input', 'the start and the end'),
                ({'input': [2238] * 32 + [2239]}, 400, 'input', 'at most 32 token ids, found 33'),
                ({'input': {'text': 'a', 'image': url}}, 400, 'input', 'one of'),
                ({'input': {'audio': 'a'}}, 400, 'input', 'one of'),
                ({'input': url + '!'}, 400, 'input', 'not base64'),
                ({'input': 'data:text/plain,hello'}, 400, 'input', 'data URL'),
                ({'input': ['a', url + 'AAAA']}, 422, 'input', 'input 1: unknown kind of file'),
                ({'input': 'https://example.com/a.png'}, 400, 'input', '--allow-fetch'),
                ({'input': 'a', 'modality': 'audio'}, 400, 'modality', 'text or image'),
                ({'input': 'a', 'modality': 1}, 400, 'modality', 'a string'),
                ({'messages': []}, 400, 'messages', 'one message with one part'),
                ({'messages': [{'content': [{'text': 'a'}, {'text': 'b'}]}]}, 400, 'messages', 'one part'),
                ({'messages': [{'content': 'a'}, {'content': 'b'}]}, 400, 'messages', 'one message'),
                ({'input': 'a', 'model': 7}, 400, 'model', 'a string'),
                ({'input': 'a', 'model': 'gpt'}, 404, 'model', 'no such model'),
                ({'input': 'a', 'model': '../emoji-clip'}, 404, 'model', 'no such model'),
                ({'input': 'a', 'model': os.path.abspath('tests')}, 404, 'model', 'no such model'),
                ({'input': 'a', 'model': 'ViT-B-16__openai'}, 404, 'model', "'vkclip pull ViT-B-16__openai'"),
                ({'input': 'a', 'model': 'nllb-clip-base-siglip__v1'}, 422, 'model', 'NLLB'),
                ({'input': 'a', 'dimensions': 64}, 400, 'dimensions', '128'),
                ({'input': 'a', 'dimensions': '128'}, 400, 'dimensions', '128'),
                ({'input': 'a', 'encoding_format': 'hex'}, 400, 'encoding_format', 'float or base64'),
                ({'input': 'a', 'embedding_type': 'ubinary'}, 400, 'embedding_type', 'found ubinary'),
                ({'input': 'a', 'normalized': 'yes'}, 400, 'normalized', 'true or false')]:
            found, answer = self.server.ask_json('POST', '/v1/embeddings', body)
            self.assertIn('error', answer, body)
            error = answer['error']
            self.assertEqual((found, error['param'], error['type']), (status, param, 'invalid_request_error'), body)
            self.assertEqual(error['code'], 'model_not_found' if status == 404 else None)
            self.assertIn(text, error['message'])

    def test_models(self):
        """The default model comes first, then other names, and what was downloaded before."""
        with tempfile.TemporaryDirectory() as cache:
            commit = '0' * 40
            folder = f'{cache}/models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K'
            shutil.copytree(MODEL, f'{folder}/snapshots/{commit}', ignore=lambda *_: ['samples'])
            with Server(COMMAND, '-m', MODEL, '--alias', f'other={MODEL}', environment={'HF_HUB_CACHE': cache}) as server:
                models = server.ask_json('GET', '/v1/models')[1]['data']
                self.assertEqual([(row['id'], row['loaded'], row['owned_by']) for row in models], [
                    ('emoji-clip', False, 'vkclip'), ('other', False, 'vkclip'),
                    ('ViT-B-32:laion2b_s34b_b79k', False, 'laion')])
                for name in ('ViT-B-32__laion2b-s34b-b79k', 'laion/CLIP-ViT-B-32-laion2B-s34B-b79K', 'other'):
                    answer = server.ask_json('POST', '/v1/embeddings', {'input': 'a', 'model': name})
                    self.assertEqual((answer[0], answer[1].get('model')), (200, name), answer)
                status, model = server.ask_json('GET', '/v1/models/ViT-B-32__laion2b-s34b-b79k')
                self.assertEqual((status, model['id'], model['loaded'], model['dimensions']),
                                 (200, 'ViT-B-32__laion2b-s34b-b79k', True, 128))
                self.assertEqual(server.ask_json('GET', '/v1/models/ViT-B-16:openai')[0], 404)

    @unittest.skipUnless(os.path.exists(CLIENT + '/complete') and shutil.which('node'), 'third_party/openai.sh installs it')
    def test_client_for_javascript(self):
        with Server(COMMAND, '-m', MODEL, '--alias', f'an/alias={MODEL}', '--token', 'long-enough') as server, \
                Server(COMMAND, '-m', MODEL, '--max-requests', '1') as busy:
            done = subprocess.run(['node', 'tests/server/openai.mjs', CLIENT, f'http://127.0.0.1:{server.port}',
                                   'long-enough', f'http://127.0.0.1:{busy.port}'],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
