#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""immich.py COMMAND [unittest's arguments]: replays what immich's server sends to its machine learning."""
import http.client
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

from serving import MODEL, Server, read

COMMAND = ''
OWL = 'tests/golden/emoji-clip/samples/1f989.png'
BOUNDARY = 'immich-5f0c8f1e-0c2b-4d6e-9a7b-1f2e3d4c5b6a'
TYPE = {'Content-Type': 'multipart/form-data; boundary=' + BOUNDARY}


NODE = """
const [url, path] = process.argv.slice(1)
const { readFile } = require('node:fs/promises')
async function ask(entries, name, value) {
  const form = new FormData()
  form.append('entries', JSON.stringify(entries))
  form.append(name, value)
  const response = await fetch(new URL('/predict', url), { method: 'POST', body: form })
  return { status: response.status, answer: await response.json() }
}
async function run() {
  const modelName = 'ViT-B-32__openai'
  return [await ask({ clip: { visual: { modelName } } }, 'image', new Blob([new Uint8Array(await readFile(path))])),
          await ask({ clip: { textual: { modelName, options: { language: undefined } } } }, 'text', 'a picture of owl')]
}
run().then(result => console.log(JSON.stringify(result)))
"""


def form(entries, image=None, text=None, boundary=BOUNDARY, backwards=False, end='\r\n'):
    """The body as immich's getRequestBody writes it, or as Node's FormData does it with its own boundary."""
    parts = [f'Content-Disposition: form-data; name="entries"\r\n\r\n{entries}\r\n'.encode()]
    if image is not None:
        parts.append(b'Content-Disposition: form-data; name="image"; filename="blob"\r\n'
                     b'Content-Type: application/octet-stream\r\n\r\n' + image + b'\r\n')
    if text is not None:
        parts.append(f'Content-Disposition: form-data; name="text"\r\n\r\n{text}\r\n'.encode())
    if backwards:
        parts.reverse()
    line = f'--{boundary}\r\n'.encode()
    return b''.join(line + part for part in parts) + f'--{boundary}--{end}'.encode()


def names_of_immich():
    """The names of immich's table of models, from the test that has them all."""
    with open('tests/format/hub.c', encoding='utf-8') as file:
        table = file.read().partition('} immich[] = {')[2].partition('};')[0]
    return sorted(' '.join(re.findall('"([^"]*)"', table)).split())


class Upstream(http.server.BaseHTTPRequestHandler):
    bodies = []

    def do_POST(self):
        Upstream.bodies.append((self.path, self.headers['Content-Type'],
                                self.rfile.read(int(self.headers['Content-Length']))))
        body = b'{"facial-recognition":[]}'
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Immich(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.upstream = http.server.HTTPServer(('127.0.0.1', 0), Upstream)
        threading.Thread(target=cls.upstream.serve_forever, daemon=True).start()
        cls.server = Server(COMMAND, '--alias', f'ViT-B-32__openai={MODEL}', '--immich-upstream',
                            f'http://127.0.0.1:{cls.upstream.server_port}')

    @classmethod
    def tearDownClass(cls):
        cls.upstream.shutdown()
        unittest.TestCase().assertEqual(cls.server.stop(), 0)

    def predict(self, *arguments, **parts):
        status, answer = self.server.ask_json('POST', '/predict', form(*arguments, **parts), TYPE)
        return status, answer

    def test_ping(self):
        status, headers, body = self.server.ask('GET', '/ping')
        self.assertEqual((status, headers['Content-Type'].split(';')[0], body), (200, 'text/plain', b'pong'))

    def test_picture_and_text(self):
        """The vector is a string that holds an array, because immich's database reads it so."""
        status, picture = self.predict('{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}', read(OWL))
        self.assertEqual(status, 200, picture)
        self.assertEqual((picture['imageHeight'], picture['imageWidth']), (72, 72))
        vectors = [json.loads(picture['clip'])]
        for name, options in (('ViT-B-32__openai', '{"language":"en"}'), ('immich-app/ViT-B-32__openai', '{}')):
            entries = f'{{"clip":{{"textual":{{"modelName":"{name}","options":{options}}}}}}}'
            status, text = self.predict(entries, text='a picture of owl')
            self.assertEqual((status, list(text)), (200, ['clip']))
            vectors.append(json.loads(text['clip']))
        self.assertEqual(vectors[1], vectors[2])
        for vector in vectors:
            self.assertAlmostEqual(sum(value * value for value in vector), 1, 5)
        self.assertGreater(sum(a * b for a, b in zip(*vectors[:2])), 0.5)

    def test_forms(self):
        """Servers of all versions are understood: their boundaries, the order of parts, the end of the body."""
        visual = '{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}'
        textual = '{"clip":{"textual":{"modelName":"ViT-B-32__openai","options":%s}}}'
        found = []
        for boundary in (BOUNDARY, '----formdata-undici-012345678901'):
            for backwards in (False, True):
                for end in ('\r\n', ''):
                    header = {'Content-Type': f'multipart/form-data; boundary={boundary}'}
                    shape = {'boundary': boundary, 'backwards': backwards, 'end': end}
                    for body in (form(visual, read(OWL), **shape),
                                 form(textual % '{"language":"en-null"}', text='\u00e9t\u00e9 \u2014 \u6d77', **shape)):
                        status, answer = self.server.ask_json('POST', '/predict', body, header)
                        self.assertEqual(status, 200, answer)
                        found.append(answer)
        self.assertEqual(found, found[:2] * 8)
        for value in ('{}', '{"language":null}', '{"language":"de"}'):
            self.assertEqual(self.predict(textual % value, text='\u00e9t\u00e9 \u2014 \u6d77')[1], found[1])

    @unittest.skipUnless(shutil.which('node'), 'node was not found')
    def test_form_of_node(self):
        """immich's server is a program of Node, whose fetch and FormData send the requests."""
        done = subprocess.run(['node', '-e', NODE, f'http://127.0.0.1:{self.server.port}', OWL], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        picture, text = json.loads(done.stdout)
        self.assertEqual((picture['status'], text['status']), (200, 200), done.stdout)
        self.assertEqual(picture['answer'], self.predict('{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}',
                                                         read(OWL))[1])
        self.assertEqual(list(text['answer']), ['clip'])

    def test_names(self):
        """Each model of immich's is the one that `vkclip pull` downloads by that name, within the memory allowed."""
        names = names_of_immich()
        self.assertEqual(len(names), 59)
        lines = subprocess.run([COMMAND, 'models', '--json'], capture_output=True, text=True, check=True).stdout
        models = [json.loads(line) for line in lines.splitlines()]
        clean = str.maketrans('-ABCDEFGHIJKLMNOPQRSTUVWXYZ', '_abcdefghijklmnopqrstuvwxyz')
        known = {name.replace(':', '__').translate(clean): model
                 for model in models for name in (model['name'], *model['aliases'])}
        with tempfile.TemporaryDirectory() as cache:
            for name in names:
                model = known[name.translate(clean)]
                folder = f'{cache}/models--{model["repository"].replace("/", "--")}/snapshots'
                os.makedirs(folder, exist_ok=True)
                if model['runs'] and not os.path.exists(folder + '/' + '0' * 40):
                    os.symlink(os.path.abspath(MODEL), folder + '/' + '0' * 40)
            with Server(COMMAND, '--memory', '100', environment={'HF_HUB_CACHE': cache}) as server:
                for name in names:
                    entries = f'{{"clip":{{"textual":{{"modelName":"{name}","options":{{"language":"en"}}}}}}}}'
                    status, answer = server.ask_json('POST', '/predict', form(entries, text='a dog'), TYPE)
                    self.assertEqual(status, 200 if known[name.translate(clean)]['runs'] else 422, (name, answer))
                loaded = [row for row in server.ask_json('GET', '/v1/models')[1]['data'] if row['loaded']]
                self.assertTrue(1 <= len(loaded) <= 5, loaded)
        status, answer = self.predict(entries.replace(name, 'ViT-B-16__openai'), text='a dog')
        self.assertEqual(status, 404)
        self.assertIn("'vkclip pull ViT-B-16__openai'", answer['detail'])
        self.assertIn("'vkclip pull ViT-B-16__openai'", self.server.read_log())
        status, answer = self.predict(entries.replace(name, 'ViT-Z-99__nobody'), text='a dog')
        self.assertEqual((status, 'no such model' in answer['detail']), (404, True))

    def test_ping_while_a_model_loads(self):
        """immich takes a server for dead that does not answer /ping within two seconds."""
        with Server(COMMAND, '--alias', f'ViT-B-32__openai={MODEL}', '--max-requests', '1') as server:
            connection = http.client.HTTPConnection('127.0.0.1', server.port, timeout=600)
            connection.request('POST', '/predict', form('{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}', read(OWL)),
                               TYPE)
            # The only place for a request is taken from then on.
            while 'vkclip_running_requests 1' not in server.ask('GET', '/metrics')[2].decode():
                self.assertIsNone(server.process.poll())
            self.assertEqual(server.ask('GET', '/ping')[2], b'pong')
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()

    def test_aliases(self):
        """A model in the place of a published one is told of if its embeddings do not fit into the database."""
        self.assertIn(f'--alias ViT-B-32__openai={MODEL}: the embeddings have 128 numbers', self.server.read_log())
        self.assertIn('have 512', self.server.read_log())
        with Server(COMMAND, '--alias', f'mine={MODEL}') as server:
            self.assertNotIn('512', server.read_log())
        for options in (['--alias', 'mine=no/model'], ['-m', 'no/model'], ['--alias', 'mine=README.md']):
            with self.assertRaisesRegex(AssertionError, '(?s)did not start.*(no/model|README.md): '):
                Server(COMMAND, *options)

    def test_coarse_weights(self):
        """immich takes pictures at a distance of 0.01 for duplicates, of which weights of 4 bits know nothing."""
        with Server(COMMAND, '-m', MODEL, '--alias', f'ViT-B-32__openai={MODEL}', '--weights', 'q4') as server:
            status, answer = server.ask_json('POST', '/predict', form(
                '{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}', read(OWL)), TYPE)
            self.assertEqual(status, 422)
            self.assertIn('4 bits', answer['detail'])

    def test_other_tasks_go_on(self):
        entries = ('{"facial-recognition":{"detection":{"modelName":"buffalo_l","options":{"minScore":0.7}},'
                   '"recognition":{"modelName":"buffalo_l"}}}')
        status, answer = self.predict(entries, b'picture')
        self.assertEqual((status, answer), (200, {'facial-recognition': []}))
        self.assertEqual(Upstream.bodies[-1], ('/predict', TYPE['Content-Type'], form(entries, b'picture')))

    def test_other_tasks_are_refused_without_upstream(self):
        with Server(COMMAND, '-m', MODEL) as server:
            status, answer = server.ask_json('POST', '/predict', form(
                '{"ocr":{"detection":{"modelName":"PP-OCRv5_mobile","options":{"minScore":0.5}}}}', b'x'), TYPE)
            self.assertEqual(status, 501)
            self.assertIn('--immich-upstream', answer['detail'])

    def test_wrong_requests(self):
        good = '{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}'
        for entries, parts, status in [
                ('{', {'text': 'x'}, 422), ('[]', {'text': 'x'}, 422), ('{"clip":{"visual":{}}}', {'text': 'x'}, 422),
                ('{}', {'text': 'x'}, 422), (good, {}, 400), (good, {'text': 'x'}, 400),
                ('{"clip":{}}', {'text': 'x'}, 422), ('{"clip":[]}', {'text': 'x'}, 422),
                ('{"clip":{"visual":"x"}}', {'text': 'x'}, 422), ('{"clip":{"audio":{"modelName":"x"}}}', {'text': 'x'}, 422),
                ('{"clip":{"visual":{"modelName":7}}}', {'text': 'x'}, 422), ('', {'text': 'x'}, 422),
                (good, {'image': b'no picture'}, 422), (good, {'image': b''}, 422),
                (good.replace('ViT-B-32', '../x'), {'image': b'x'}, 404)]:
            found, answer = self.predict(entries, **parts)
            self.assertEqual((found, 'detail' in answer), (status, True), (entries, answer))
        found, answer = self.server.ask_json('POST', '/predict', b'nothing', TYPE)
        self.assertEqual((found, 'detail' in answer), (422, True))


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
