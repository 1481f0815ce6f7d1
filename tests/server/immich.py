#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""immich.py COMMAND [unittest's arguments]: replays what immich's server sends to its machine learning."""
import http.server
import json
import sys
import threading
import unittest

from serving import MODEL, Server

COMMAND = ''
OWL = 'tests/golden/emoji-clip/samples/1f989.png'
BOUNDARY = 'immich-5f0c8f1e-0c2b-4d6e-9a7b-1f2e3d4c5b6a'
TYPE = {'Content-Type': 'multipart/form-data; boundary=' + BOUNDARY}


def form(entries, image=None, text=None):
    """The body as immich's getRequestBody writes it."""
    body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="entries"\r\n\r\n{entries}\r\n'.encode()
    if image is not None:
        body += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="blob"\r\n'
                 'Content-Type: application/octet-stream\r\n\r\n').encode() + image + b'\r\n'
    if text is not None:
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="text"\r\n\r\n{text}\r\n'.encode()
    return body + f'--{BOUNDARY}--\r\n'.encode()


def read(path):
    with open(path, 'rb') as file:
        return file.read()


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
                (good, {'image': b'no picture'}, 422), (good, {'image': b''}, 422),
                (good.replace('ViT-B-32', '../x'), {'image': b'x'}, 404)]:
            found, answer = self.predict(entries, **parts)
            self.assertEqual((found, 'detail' in answer), (status, True), (entries, answer))
        found, answer = self.server.ask_json('POST', '/predict', b'nothing', TYPE)
        self.assertEqual((found, 'detail' in answer), (422, True))


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
