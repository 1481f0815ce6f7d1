#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""knn.py COMMAND [unittest's arguments]: asks vkclip serve what clip-retrieval's client and front end ask its back end."""
import base64
import http.server
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import zlib

from serving import MODEL, Server

COMMAND = ''
SAMPLES = 'tests/golden/emoji-clip/samples'
RAINBOW = SAMPLES + '/1f308.png'


def read_coded(path):
    with open(path, 'rb') as file:
        return base64.b64encode(file.read()).decode()


def embed(*arguments):
    """The embeddings that the command computes by itself, by path or text."""
    lines = subprocess.run([COMMAND, 'embed', '-m', MODEL, '--server', 'never', '-o', '-', *arguments],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    return {row.get('path', row.get('text')): row['embedding'] for row in map(json.loads, lines)}


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b))


def write_copies(folder):
    """Copies the samples, and some of them once more with another text in the file, so that their pixels are equal."""
    shutil.copytree(SAMPLES, folder)
    for name in ('1f308', '1f355', '2764'):
        with open(f'{SAMPLES}/{name}.png', 'rb') as file:
            data = file.read()
        for letter in 'ab':
            text = b'tEXtComment\0' + letter.encode()
            chunk = struct.pack('>I', len(text) - 4) + text + struct.pack('>I', zlib.crc32(text))
            with open(f'{folder}/{name}-{letter}.png', 'wb') as file:
                file.write(data[:-12] + chunk + data[-12:])


class Client:
    """Sends what clip_retrieval's ClipClient sends: every field, and no type of content."""

    def __init__(self, server, indice_name='vkclip', num_images=40, deduplicate=True, **others):
        self.server = server
        self.fields = {'deduplicate': deduplicate, 'use_safety_model': True, 'use_violence_detector': True,
                       'indice_name': indice_name, 'use_mclip': False, 'aesthetic_score': 9, 'aesthetic_weight': 0.5,
                       'modality': 'image', 'num_images': num_images, 'num_result_ids': num_images, **others}

    def ask(self, text=None, image=None, image_url=None, embedding_input=None):
        body = json.dumps({'text': text, 'image': image, 'image_url': image_url, 'embedding_input': embedding_input,
                           **self.fields}).encode()
        return self.server.ask_json('POST', '/knn-service', body)

    def query(self, **query):
        status, answer = self.ask(**query)
        assert status == 200, answer
        return answer


class Front:
    """Sends what the front end's clip-service.js sends from a page of another origin."""
    HEADERS = {'Content-Type': 'text/plain;charset=UTF-8', 'Origin': 'http://localhost:3005', 'Accept': '*/*',
               'Referer': 'http://localhost:3005/'}

    def __init__(self, server):
        self.server = server

    def ask(self, path, body=None):
        status, headers, text = self.server.ask('POST' if body else 'GET', path, body and json.dumps(body).encode(),
                                                self.HEADERS if body else {'Origin': self.HEADERS['Origin']})
        assert headers['Access-Control-Allow-Origin'] == self.HEADERS['Origin'], (status, text)
        return status, json.loads(text)

    def search(self, text='', image=None, image_url=None, num_images=40, num_result_ids=3000):
        return self.ask('/knn-service', {
            'text': text, 'image': image, 'image_url': image_url, 'embedding_input': None, 'modality': 'image',
            'num_images': num_images, 'indice_name': 'vkclip', 'num_result_ids': num_result_ids, 'use_mclip': False,
            'deduplicate': True, 'use_safety_model': True, 'use_violence_detector': True, 'aesthetic_score': '',
            'aesthetic_weight': '0.5'})


class Knn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        pictures = os.path.realpath(cls.folder.name) + '/pictures'
        write_copies(pictures)
        cls.server = Server(COMMAND, '-m', MODEL, '--index', pictures, '--cors', 'http://localhost:3005',
                            environment={'VKCLIP_INDEX': cls.folder.name + '/index.db'})
        cls.server.wait_for_index()
        cls.files = embed(pictures)

    @classmethod
    def tearDownClass(cls):
        unittest.TestCase().assertEqual(cls.server.stop(), 0)
        cls.folder.cleanup()

    def test_indices(self):
        self.assertEqual(self.server.ask_json('GET', '/indices-list'), (200, ['vkclip']))
        with Server(COMMAND, '-m', MODEL) as server:
            self.assertEqual(server.ask_json('GET', '/indices-list'), (200, []))
            status, answer = Client(server).ask(text='owl')
            self.assertEqual((status, list(answer)), (404, ['message']))

    def test_client(self):
        client = Client(self.server, num_images=5, deduplicate=False)
        found = client.query(text='a picture of rainbow')
        self.assertEqual([len(found), [os.path.basename(hit['image_path']) for hit in found[:3]]],
                         [5, [hit['caption'] for hit in found[:3]]])
        self.assertTrue(all(hit['caption'].startswith('1f308') for hit in found[:3]), found)
        self.assertEqual(found, sorted(found, key=lambda hit: -hit['similarity']))
        vector = embed('--text', 'a picture of rainbow')['a picture of rainbow']
        for hit in found:
            self.assertIsInstance(hit['id'], int)
            self.assertEqual(base64.b64decode(hit['image'])[:2], b'\xff\xd8')
            self.assertAlmostEqual(hit['similarity'], cosine(vector, self.files[hit['image_path']]), 2)
        # A vector that the client has gives the same as its text, whatever its length.
        for factor in (1, 20):
            again = client.query(embedding_input=[value * factor for value in vector])
            self.assertEqual([hit['id'] for hit in again], [hit['id'] for hit in found])
            self.assertAlmostEqual(again[0]['similarity'], found[0]['similarity'], 5)

    def test_picture_as_query(self):
        """A picture comes without the beginning of a data URL; one with it is understood, too."""
        client = Client(self.server, num_images=1)
        for image in (read_coded(RAINBOW), 'data:image/png;base64,' + read_coded(RAINBOW)):
            found = client.query(image=image)
            self.assertEqual([found[0]['caption'][:5], len(found)], ['1f308', 1])
            self.assertGreater(found[0]['similarity'], 0.99)
        # The front end sends the thumbnail of a result back.
        found = client.query(image=found[0]['image'])
        self.assertEqual(found[0]['caption'][:5], '1f308')

    def test_addresses_of_pictures(self):
        """A server that may fetch asks no address of its own network, whatever the name or the form of the number."""
        asked = []

        class Inside(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)

        inside = http.server.HTTPServer(('127.0.0.1', 0), Inside)
        threading.Thread(target=inside.serve_forever, daemon=True).start()
        with Server(COMMAND, '-m', MODEL, '--index', self.folder.name + '/pictures', '--allow-fetch',
                    environment={'VKCLIP_INDEX': self.folder.name + '/index.db'}) as server:
            for host in ('127.0.0.1', 'localhost', '[::1]', '2130706433', '0x7f.1', '[::ffff:127.0.0.1]'):
                status, answer = Client(server).ask(image_url=f'http://{host}:{inside.server_port}/a.png')
                self.assertEqual(status, 400, answer)
                self.assertIn('image_url: the picture cannot be fetched', answer['message'])
                status, answer = server.ask_json('POST', '/v1/embeddings',
                                                 {'input': f'http://{host}:{inside.server_port}/a.png'})
                self.assertEqual((status, answer['error']['param']), (400, 'input'))
        inside.shutdown()
        inside.server_close()
        self.assertEqual(asked, [])

    def test_counts(self):
        """Results past num_images have no more than a number and a similarity."""
        body = {'text': 'owl', 'modality': 'image', 'num_images': 3, 'indice_name': 'vkclip'}
        self.assertEqual(len(self.server.ask_json('POST', '/knn-service', body)[1]), 3)
        found = self.server.ask_json('POST', '/knn-service', {**body, 'num_result_ids': 20})[1]
        self.assertEqual([sorted(hit) for hit in found[3:]], [['id', 'similarity']] * 17)
        self.assertTrue(all('image' in hit for hit in found[:3]))

    def test_duplicates(self):
        """Of pictures that pairs nearer than 0.94 connect, the best stays."""
        every = Client(self.server, num_images=1, num_result_ids=10000, deduplicate=False)
        found = every.query(text='a face')
        self.assertEqual(len(found), len(self.files))
        rows = self.server.ask_json('POST', '/metadata', {'ids': [hit['id'] for hit in found]})[1]
        vectors = [self.files[row['metadata']['image_path']] for row in rows]
        groups = list(range(len(vectors)))
        for i, vector in enumerate(vectors):
            for k in range(i):
                if cosine(vector, vectors[k]) > 0.94 and groups[i] != groups[k]:
                    old, new = max(groups[i], groups[k]), min(groups[i], groups[k])
                    groups = [new if group == old else group for group in groups]
        expected = [hit['id'] for i, hit in enumerate(found) if groups[i] == i]
        self.assertLessEqual(len(expected), len(found) - 6)
        every.fields['deduplicate'] = True
        self.assertEqual([hit['id'] for hit in every.query(text='a face')], expected)

    def test_front_end(self):
        """It shows what has a caption or a picture, for which it asks while the user scrolls."""
        front = Front(self.server)
        self.assertEqual(front.ask('/indices-list'), (200, ['vkclip']))
        status, found = front.search('a picture of rainbow')
        self.assertEqual((status, found[0]['caption'][:5]), (200, '1f308'))
        self.assertEqual([('caption' in hit, 'image' in hit) for hit in found[:41]], [(True, True)] * 40 + [(False, False)])
        ids = [hit['id'] for hit in found[40:80]]
        status, rows = front.ask('/metadata', {'ids': ids, 'indice_name': 'vkclip'})
        self.assertEqual((status, [row['id'] for row in rows]), (200, ids))
        for row in rows:
            metadata = row['metadata']
            self.assertEqual(os.path.basename(metadata['image_path']), metadata['caption'])
            self.assertEqual(base64.b64decode(metadata['image'])[:2], b'\xff\xd8')
        self.assertEqual(front.search(image=read_coded(RAINBOW))[1][0]['caption'][:5], '1f308')
        self.assertEqual(len(front.search('owl', num_images=10000, num_result_ids=10000)[1][0]), 5)

    def test_metadata(self):
        first = Client(self.server, num_images=1).query(text='owl')[0]['id']
        for body in ({'ids': [first]}, {'ids': [first, 99999999], 'indice_name': 'vkclip'}):
            status, rows = self.server.ask_json('POST', '/metadata', body)
            self.assertEqual((status, [row['id'] for row in rows]), (200, [first]))
        self.assertEqual(self.server.ask_json('POST', '/metadata', {'ids': [], 'indice_name': 'vkclip'}), (200, []))
        for body, status in (({}, 400), ({'ids': 'all'}, 400), ({'ids': ['x']}, 400), ([], 400), (b'{', 400),
                             ({'ids': [1], 'indice_name': 'laion5B'}, 404)):
            found, answer = self.server.ask_json('POST', '/metadata', body)
            self.assertEqual((found, list(answer)), (status, ['message']), body)

    def test_wrong_requests(self):
        good = {'text': 'owl', 'modality': 'image', 'num_images': 3, 'indice_name': 'vkclip'}
        for change, status, text in [
                ({'text': None}, 400, 'expected one of text'), ({'text': ''}, 400, 'expected one of text'),
                ({'indice_name': 'laion5B-H-14'}, 404, 'there is vkclip'), ({'modality': 'text'}, 422, 'expected image'),
                ({'num_images': 0}, 400, 'num_images'), ({'num_images': 10001}, 400, '10000'),
                ({'num_images': 'all'}, 400, 'num_images'), ({'num_result_ids': -1}, 400, 'num_result_ids'),
                ({'text': None, 'image': '!'}, 400, 'base64'), ({'text': None, 'image': 'AAAA'}, 422, 'unknown kind'),
                ({'text': None, 'image_url': 'https://example.com/a.png'}, 400, '--allow-fetch'),
                ({'text': None, 'embedding_input': [1, 2]}, 400, '128 numbers'),
                ({'text': None, 'embedding_input': ['x'] * 128}, 400, 'numbers only'),
                ({'text': None, 'embedding_input': [0] * 128}, 400, '')]:
            found, answer = self.server.ask_json('POST', '/knn-service', {**good, **change})
            self.assertEqual((found, list(answer)), (status, ['message']), (change, answer))
            self.assertIn(text, answer['message'])
        self.assertEqual(self.server.ask_json('POST', '/knn-service', {**good, 'indice_name': ''})[0], 200)
        self.assertEqual(self.server.ask_json('POST', '/knn-service', [])[0], 400)


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
