#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""openai.py COMMAND [unittest's arguments]: tests /v1/embeddings and /v1/models of vkclip serve."""
import base64
import json
import struct
import subprocess
import sys
import unittest

from serving import MODEL, Server

COMMAND = ''
TEXTS = ['a red heart', 'a dog', 'the flag of Japan']


def embed(*arguments):
    """The embeddings that the command computes by itself."""
    lines = subprocess.run([COMMAND, 'embed', '-m', MODEL, '--format', 'jsonl', *arguments],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line)['embedding'] for line in lines]


class OpenAI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(COMMAND, '-m', MODEL)

    @classmethod
    def tearDownClass(cls):
        cls.assertEqual(unittest.TestCase(), cls.server.stop(), 0)

    def embed(self, **body):
        status, answer = self.server.ask_json('POST', '/v1/embeddings', body)
        self.assertEqual(status, 200, answer)
        self.assertEqual([row['index'] for row in answer['data']], list(range(len(answer['data']))))
        return [row['embedding'] for row in answer['data']]

    def test_texts_as_numbers_and_as_base64(self):
        numbers = self.embed(input=TEXTS)
        coded = self.embed(input=TEXTS, encoding_format='base64')
        for row, text in zip(numbers, coded):
            floats = struct.unpack(f'<{len(row)}f', base64.b64decode(text))
            self.assertAlmostEqual(sum(value * value for value in floats), 1, 5)
            for a, b in zip(row, floats):
                self.assertAlmostEqual(a, b, 6)

    def test_an_empty_list_is_refused(self):
        status, answer = self.server.ask_json('POST', '/v1/embeddings', {'input': []})
        self.assertEqual(status, 400)
        self.assertIn('expected 1 to 2048', answer['error']['message'])

    def test_models(self):
        status, answer = self.server.ask_json('GET', '/v1/models')
        self.assertEqual((status, [row['id'] for row in answer['data']]), (200, ['emoji-clip']))


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
