#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""api.py COMMAND [unittest's arguments]: tests /api/v1 of vkclip serve, and the document that describes it."""
import base64
import http.client
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import zipfile
import zlib

import contract
from serving import MODEL, Server, read, write

COMMAND = ''
SAMPLES = 'tests/golden/emoji-clip/samples/'
NAMES = {'rainbow': '1f308', 'moon': '1f319', 'pizza': '1f355', 'tiger': '1f42f', 'heart': '2764', 'star': '2b50'}
TOKEN = 'a-token-of-the-test'


def add_comment(png, text):
    """The same picture in another file."""
    chunk = b'tEXtComment\0' + text
    return png[:-12] + struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk)) + png[-12:]


def add_exif(jpeg, camera, date, latitude, longitude):
    """A JPEG that says by which camera, when and where it was taken (EXIF 2.3, section 4.6)."""
    values = bytearray()
    start = 8 + 3 * 2 + 12 * 10 + 3 * 4  # where values begin, behind three directories with ten entries

    def entry(tag, kind, count, data):
        if len(data) <= 4:
            return struct.pack('<HHI', tag, kind, count) + data.ljust(4, b'\0')
        values.extend(data)
        return struct.pack('<HHII', tag, kind, count, start + len(values) - len(data))

    def text(tag, value):
        return entry(tag, 2, len(value) + 1, value.encode() + b'\0')

    def degrees(tag, value):
        return entry(tag, 5, 3, struct.pack('<6I', int(abs(value) * 1e6), 1000000, 0, 1, 0, 1))

    def directory(*entries):
        return struct.pack('<H', len(entries)) + b''.join(entries) + bytes(4)

    exif_at = 8 + 2 + 12 * 4 + 4
    gps_at = exif_at + 2 + 12 * 2 + 4
    tiff = b'II*\0' + struct.pack('<I', 8) + directory(
        text(0x10f, camera.split()[0]), text(0x110, camera), entry(0x8769, 4, 1, struct.pack('<I', exif_at)),
        entry(0x8825, 4, 1, struct.pack('<I', gps_at))) + directory(
        entry(0x9000, 7, 4, b'0230'), text(0x9003, date)) + directory(
        text(1, 'N' if latitude >= 0 else 'S'), degrees(2, latitude),
        text(3, 'E' if longitude >= 0 else 'W'), degrees(4, longitude))
    payload = b'Exif\0\0' + tiff.ljust(start, b'\0') + values
    return jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(payload) + 2) + payload + jpeg[2:]


def make_form(*parts):
    """A form of (name, bytes), and the header that goes with it."""
    body = b''.join(b'--xyz\r\nContent-Disposition: form-data; name="' + name.encode() + b'"' +
                    (b'; filename="a"' if name == 'image' else b'') + b'\r\n\r\n' + data + b'\r\n' for name, data in parts)
    return body + b'--xyz--\r\n', {'Content-Type': 'multipart/form-data; boundary=xyz'}


def data_url(name):
    return 'data:image/png;base64,' + base64.b64encode(read(f'{SAMPLES}{NAMES[name]}.png')).decode()


def write_pictures(folder):
    os.makedirs(folder + '/sub')
    for name, code in NAMES.items():
        shutil.copy(f'{SAMPLES}{code}.png', f'{folder}/{name}.png')
    photo = read('tests/golden/preprocess/images/jpeg_420_restart.jpg')
    write(f'{folder}/sub/photo.jpg', add_exif(photo, 'Acme Shooter 3', '2021:07:03 10:20:30', 48.8566, 2.3522))
    shutil.copy(f'{folder}/rainbow.png', f'{folder}/sub/rain bow \u00fc.png')
    shutil.copy(f'{folder}/moon.png', os.fsencode(folder) + b'/sub/no UTF-8 \xff \xc3\xbc.png')
    write(f'{folder}/sub/pizza again.png', add_comment(read(f'{folder}/pizza.png'), b'again'))
    write(f'{folder}/broken.png', b'\x89PNG\r\n\x1a\nnothing')


class Document(unittest.TestCase):
    """The document describes all that the table of routes has."""

    def setUp(self):
        with open(contract.DOCUMENT, encoding='utf-8') as file:
            self.document = json.load(file)

    def walk(self, node):
        if isinstance(node, dict):
            yield node
        for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from self.walk(value)

    def test_routes(self):
        with open('src/server/routes.c', encoding='utf-8') as file:
            rows = re.findall(r'\{"([A-Z]+)", "([^"]+)",\s*\w+,\s*([^,]+),\s*(ERROR_\w+)\}', file.read())
        errors = {'ERROR_PROBLEM': 'Error', 'ERROR_OPENAI': 'OpenAIError', 'ERROR_DETAIL': 'DetailError',
                  'ERROR_FLASK': 'MessageError'}
        routes = {(method, path.replace('/page/*', '/page/{file}').replace('/models/*', '/models/{model}'),
                   'ROUTE_OPEN' in flags, errors[form]) for method, path, flags, form in rows}
        self.assertGreater(len(routes), 20)
        described = {(method.upper(), path, operation.get('security') == [],
                      operation['responses']['default']['$ref'].rpartition('/')[2])
                     for path, methods in self.document['paths'].items()
                     for method, operation in methods.items() if method != 'parameters'}
        self.assertEqual(described, routes)

    def test_form(self):
        names = [operation['operationId'] for methods in self.document['paths'].values()
                 for method, operation in methods.items() if method != 'parameters']
        self.assertEqual(len(names), len(set(names)))
        used = {node['$ref'] for node in self.walk(self.document) if '$ref' in node}
        defined = {f'#/components/{kind}/{name}' for kind in ('schemas', 'responses', 'parameters')
                   for name in self.document['components'][kind]}
        self.assertEqual(used, defined)
        if contract.jsonschema:
            for schema in self.document['components']['schemas'].values():
                contract.jsonschema.Draft202012Validator.check_schema(schema)


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.pictures = os.path.realpath(cls.folder.name) + '/pictures'
        write_pictures(cls.pictures)
        cls.environment = {'VKCLIP_INDEX': cls.folder.name + '/index.db'}
        cls.server = Server(COMMAND, '-m', MODEL, '--index', cls.pictures, environment=cls.environment)
        cls.server.wait_for_index()
        cls.ids = {hit['name']: hit['id'] for hit in cls.search(cls)['hits']}

    @classmethod
    def tearDownClass(cls):
        unittest.TestCase().assertEqual(cls.server.stop(), 0)
        cls.folder.cleanup()

    def search(self, **body):
        status, answer = self.server.ask_json('POST', '/api/v1/search', body)
        assert status == 200, answer
        return answer

    def names(self, **body):
        return [hit['name'] for hit in self.search(**body)['hits']]

    def refuse(self, method, path, body, status, text, headers=None, server=None):
        found, answer = (server or self.server).ask_json(method, path, body, headers)
        self.assertEqual((found, list(answer)), (status, ['error']), (path, body, answer))
        self.assertIn(text, answer['error'])

    # ---- What the server is

    def test_server(self):
        status, answer = self.server.ask_json('GET', '/api/v1')
        self.assertEqual((status, answer['index'], answer['token'], answer['trusted']), (200, True, False, True))
        status, headers, body = self.server.ask('GET', '/api/v1/openapi.json')
        self.assertEqual((status, body), (200, read(contract.DOCUMENT)))
        self.assertEqual(self.server.ask('GET', '/api/v1/openapi.json', None, {'If-None-Match': headers['ETag']})[0], 304)

    def test_tokens(self):
        """A browser keeps the token in a cookie; nothing else is told without it."""
        with Server(COMMAND, '-m', MODEL, '--token', TOKEN) as server:
            self.assertEqual(sorted(server.ask_json('GET', '/api/v1')[1]), ['token', 'trusted', 'version'])
            for header in ({}, {'Authorization': 'Bearer wrong'}, {'Authorization': TOKEN}, {'Cookie': 'vkclip_token=x'}):
                self.refuse('POST', '/api/v1/classify', {}, 401, 'token', header, server)
            self.refuse('POST', '/api/v1/session', {'token': 'wrong'}, 401, 'not the server', None, server)
            self.refuse('POST', '/api/v1/session', b'', 400, 'JSON', None, server)
            self.refuse('POST', '/api/v1/session', [], 401, 'not the server', None, server)
            status, headers, _ = server.ask('POST', '/api/v1/session', {'token': TOKEN})
            cookie = headers['Set-Cookie'].split(';')[0]
            self.assertEqual((status, cookie), (200, 'vkclip_token=' + TOKEN))
            self.assertIn('HttpOnly; SameSite=Strict', headers['Set-Cookie'])
            for header in ({'Cookie': 'a=b; ' + cookie}, {'Authorization': 'Bearer ' + TOKEN}):
                self.assertTrue(server.ask_json('GET', '/api/v1', None, header)[1]['trusted'])
                self.refuse('POST', '/api/v1/search', {}, 404, 'no index', header, server)
            self.assertIn('Max-Age=0', server.ask('DELETE', '/api/v1/session')[1]['Set-Cookie'])

    def test_without_an_index(self):
        with Server(COMMAND, '-m', MODEL, '--max-body', '1') as server:
            for method, path in (('POST', 'search'), ('GET', 'pictures/1'), ('GET', 'pictures/1/thumbnail'),
                                 ('GET', 'pictures/1/original'), ('POST', 'archive'), ('GET', 'duplicates'),
                                 ('POST', 'duplicates/forget'), ('GET', 'index'), ('POST', 'index/update'),
                                 ('DELETE', 'index/update'), ('GET', 'index/failures')):
                self.refuse(method, '/api/v1/' + path, {'ids': [1]} if method == 'POST' else None, 404, 'no index',
                            None, server)
            self.refuse('POST', '/api/v1/classify', {'image': {'id': 1}, 'labels': ['x']}, 404, 'no index', None, server)
            self.refuse('POST', '/api/v1/classify', {'image': 'A' * (1 << 20), 'labels': ['x']}, 413, '1048576', None, server)

    # ---- Searches

    def test_queries(self):
        answer = self.search(query=[{'text': 'a picture of rainbow'}])
        self.assertEqual((answer['total'], answer['offset'], len(answer['hits'])), (8, 0, 8))
        best = answer['hits'][0]
        self.assertEqual((best['name'], best['copies'], best['width'], best['format']), ('rainbow.png', 2, 72, 'PNG'))
        self.assertGreater(best['score'], 0.6)
        self.assertGreater(best['z'], 1)
        self.assertEqual(answer['hits'], sorted(answer['hits'], key=lambda hit: -hit['score']))
        # A picture of the query is left out of the results if the index has it.
        near = self.names(query=[{'id': self.ids['pizza.png']}])
        self.assertEqual((near[0], 'pizza.png' in near), ('pizza again.png', False))
        self.assertEqual(self.names(query=[{'image': data_url('heart')}], top=1), ['heart.png'])
        mixed = self.search(query=[{'text': 'a picture of rainbow', 'weight': 2}, {'text': 'a picture of pizza', 'weight': -0.5},
                                   {'id': self.ids['moon.png']}])['hits']
        self.assertEqual(mixed[0]['name'], 'rainbow.png')
        self.assertLess(mixed[-1]['score'], 0)

    def test_pieces(self):
        """The pieces of a list are the list."""
        query = [{'text': 'a picture of pizza'}]
        every = self.names(query=query)
        pieces = [self.search(query=query, offset=offset, limit=3) for offset in range(0, 9, 3)]
        self.assertEqual([hit['name'] for piece in pieces for hit in piece['hits']], every)
        self.assertEqual([(piece['offset'], piece['total']) for piece in pieces], [(0, 8), (3, 8), (6, 8)])
        self.assertEqual(self.search(query=query, offset=100)['hits'], [])
        self.assertEqual(self.search(query=query, limit=0), {'total': 8, 'truncated': False, 'offset': 0, 'hits': []})
        for query in (query, []):
            for top, expected in ((2, (2, True)), (9, (8, False))):
                answer = self.search(query=query, top=top, facets=True)
                self.assertEqual((answer['total'], answer['truncated']), expected)
                counted = sum(row['count'] for row in answer['facets']['years'])
                self.assertEqual(counted, 8 if not query else answer['total'], 'what a list without a query leaves out is counted')

    def test_filters(self):
        photo = ['photo.jpg']
        for filters, expected in [
                ({'camera': 'acme'}, photo), ({'camera': 'Nikon'}, []), ({'type': 'JPEG'}, photo), ({'path': '*.jpg'}, photo),
                ({'path': self.pictures + '/sub/ph*'}, photo), ({'path': '*.gif'}, []),
                ({'path': self.pictures + '/**/ph*'}, photo), ({'path': self.pictures + '/**/sub*'}, []),
                ({'before': '2022', 'after': '2021-07'}, photo), ({'before': '2021-07-03T10:20'}, []),
                ({'after': '2021-07-03T10:20', 'before': '2021-07-04'}, photo),
                ({'near': {'latitude': 48.86, 'longitude': 2.35, 'kilometers': 2}}, photo),
                ({'near': {'latitude': 48.86, 'longitude': 2.45, 'kilometers': 2}}, []),
                ({'min_width': 100}, photo), ({'min_height': 73, 'min_width': 1}, photo), ({'min_width': 5000}, []),
                ({'min_score': 0.999}, []), ({'min_z': 50}, [])]:
            for query in ([{'text': 'a picture of rainbow'}], []):
                if query or not ('min_score' in filters or 'min_z' in filters):
                    self.assertEqual(self.names(query=query, **filters), expected, filters)
        picture = self.search(**{'camera': 'acme', 'query': None})['hits'][0]
        self.assertEqual((picture['camera'], picture['taken'], picture['date']), ('Acme Shooter 3', True, '2021-07-03T10:20:30'))
        self.assertAlmostEqual(picture['latitude'], 48.8566, 4)
        self.assertAlmostEqual(picture['longitude'], 2.3522, 4)
        query = [{'text': 'a picture of rainbow'}]
        self.assertEqual(self.names(query=query, relative=0.9), ['rainbow.png'])
        self.assertEqual(len(self.names(query=query, min_score=0.5)), 1)
        # 0 is a limit, too: half of these scores are below it.
        for sign in (1, -1):
            opposite = [{'text': 'a picture of rainbow', 'weight': sign}, {'text': 'a picture of moon', 'weight': -sign}]
            for key, value in (('min_score', 'score'), ('min_z', 'z'), ('relative', 'score')):
                hits = self.search(query=opposite)['hits']
                above = [hit['name'] for hit in hits if hit[value] > 0]
                self.assertTrue(0 < len(above) < len(hits))
                self.assertEqual(self.names(query=opposite, **{key: 0}), above, key)
        by_date = self.names(query=query, sort='date')
        self.assertEqual((by_date[-1], sorted(by_date)), ('photo.jpg', sorted(self.names(query=query))))

    def test_wrong_searches(self):
        part = {'text': 'x'}
        for body, status, text in [
                (b'', 400, 'found nothing'), (b'{', 400, 'line 1'), (b'[' * 100, 400, '64 levels'), ([], 400, 'an object'),
                (b'{"top": 1, "top": 2}', 400, 'duplicate'), ({'query': 'x'}, 400, 'an array'),
                ({'query': [part] * 65}, 400, 'at most 64'), ({'query': [{}]}, 400, 'part 0'), ({'query': ['x']}, 400, 'part 0'),
                ({'query': [part, {'text': ''}]}, 400, 'part 1 of the query: the text is empty'),
                ({'query': [{'text': 'x', 'id': 1}]}, 400, 'one of'), ({'query': [{'id': 0}]}, 400, 'above 0'),
                ({'query': [{'id': 10 ** 9}]}, 404, ''), ({'query': [{**part, 'weight': 0}]}, 400, 'weight'),
                ({'query': [{**part, 'weight': 'x'}]}, 400, 'weight'), ({'query': [{'image': '!'}]}, 400, 'base64'),
                ({'query': [{'image': 'AAAA'}]}, 422, 'part 0 of the query: unknown kind'),
                ({'query': [{'image': 'http://127.0.0.1/a.png'}]}, 400, '--allow-fetch'),
                ({'query': [part, {'text': 'x', 'weight': -1}]}, 400, ''),
                ({'query': [part], 'offset': -1}, 400, 'offset'), ({'query': [part], 'limit': 1001}, 400, 'limit'),
                ({'sort': 'name'}, 400, 'sort'), ({'min_score': 2}, 400, 'min_score'), ({'relative': 'all'}, 400, 'relative'),
                ({'after': 'yesterday'}, 400, 'after'), ({'before': '2021-13'}, 400, 'before'), ({'before': 2021}, 400, 'before'),
                ({'near': {'latitude': 91, 'longitude': 0, 'kilometers': 1}}, 400, 'latitude'),
                ({'near': {'latitude': 1, 'longitude': 0}}, 400, 'kilometers'), ({'top': 0}, 400, 'top'),
                ({'min_width': -1}, 400, 'min_width')]:
            self.refuse('POST', '/api/v1/search', body, status, text)
        self.refuse('POST', '/api/v1/search', make_form(('text', b'x'))[0], 415, 'JSON', make_form()[1])
        self.refuse('POST', '/api/v1/search', b'{}', 415, 'gzip', {'Content-Encoding': 'gzip'})
        self.refuse('GET', '/api/v1/search', None, 405, 'method')
        self.refuse('GET', '/api/v1/searches', None, 404, 'address')

    # ---- Pictures

    def test_picture(self):
        status, picture = self.server.ask_json('GET', f'/api/v1/pictures/{self.ids["rainbow.png"]}')
        self.assertEqual((status, picture['copies'], picture['paths']), (
            200, 2, [self.pictures + '/rainbow.png', self.pictures + '/sub/rain bow \u00fc.png']))
        moon = self.server.ask_json('GET', f'/api/v1/pictures/{self.ids["moon.png"]}')[1]
        self.assertEqual(moon['paths'][1], self.pictures + '/sub/no UTF-8 \ufffd \u00fc.png')
        for what in ('', '/thumbnail', '/original'):
            for number in ('999999', '0', '9223372036854775807', '9223372036854775808', '-1', '1x', ''):
                self.refuse('GET', f'/api/v1/pictures/{number}{what}', None, 404, '')

    def test_thumbnail(self):
        path = f'/api/v1/pictures/{self.ids["photo.jpg"]}/thumbnail'
        status, headers, body = self.server.ask('GET', path)
        self.assertEqual((status, headers['Content-Type'], body[:2], body[-2:]), (200, 'image/jpeg', b'\xff\xd8', b'\xff\xd9'))
        self.check_conditions(path, headers, body)

    def check_conditions(self, path, headers, body):
        etag = headers['ETag']
        status, head, nothing = self.server.ask('HEAD', path)
        self.assertEqual((status, head['ETag'], head['Content-Length'], nothing), (200, etag, str(len(body)), b''))
        for known in (etag, f'"other", {etag}', f'W/{etag}', '*'):
            status, head, _ = self.server.ask('GET', path, None, {'If-None-Match': known})
            self.assertEqual((status, head['ETag'], head['Cache-Control'], head['Content-Type']),
                             (304, etag, headers['Cache-Control'], None))
        self.assertEqual(self.server.ask('GET', path, None, {'If-None-Match': '"other"'})[2], body)
        self.assertIn('no-cache', headers['Cache-Control'])

    def test_original(self):
        path = f'/api/v1/pictures/{self.ids["photo.jpg"]}/original'
        data = read(self.pictures + '/sub/photo.jpg')
        status, headers, body = self.server.ask('GET', path)
        self.assertEqual((status, headers['Content-Type'], headers['Accept-Ranges'], body), (200, 'image/jpeg', 'bytes', data))
        self.assertEqual(headers['Content-Disposition'], "inline; filename*=UTF-8''photo.jpg")
        self.assertIn('sandbox', headers['Content-Security-Policy'])
        self.check_conditions(path, headers, body)
        size = len(data)
        for text, first, last in [('0-0', 0, 0), ('10-19', 10, 19), (f'{size - 1}-', size - 1, size - 1), ('-5', size - 5, size - 1),
                                  (f'5-{size * 2}', 5, size - 1), (f'-{size * 2}', 0, size - 1)]:
            status, partial, body = self.server.ask('GET', path, None, {'Range': f'bytes={text}'})
            self.assertEqual((status, body, partial['Content-Range']),
                             (206, data[first:last + 1], f'bytes {first}-{last}/{size}'), text)
        for text in ('bytes=0-1,4-5', 'bytes=x-1', 'bytes=', 'bytes=-', 'lines=0-1', 'bytes=1-2x'):
            self.assertEqual(self.server.ask('GET', path, None, {'Range': text})[::2], (200, data), text)
        for text in ('bytes=5-1', f'bytes={size}-', f'bytes={size + 5}-{size + 9}', 'bytes=-0'):
            status, refused, _ = self.server.ask('GET', path, None, {'Range': text})
            self.assertEqual((status, refused['Content-Range']), (416, f'bytes */{size}'), text)
        for condition, status in ((headers['ETag'], 206), ('"other"', 200), ('Sat, 03 Jul 2021 10:20:30 GMT', 200)):
            found, _, body = self.server.ask('GET', path, None, {'Range': 'bytes=1-3', 'If-Range': condition})
            self.assertEqual((found, body), (status, data[1:4] if status == 206 else data))
        found, head, body = self.server.ask('HEAD', path, None, {'Range': 'bytes=1-3'})
        self.assertEqual((found, head['Content-Length'], body), (206, '3', b''))

    def test_files_that_changed(self):
        """A file is sent only while it is the one that was indexed."""
        folder = tempfile.mkdtemp(dir=self.folder.name)
        for name in ('heart', 'star'):
            shutil.copy(f'{SAMPLES}{NAMES[name]}.png', folder)
        index = folder + '/index.db'
        subprocess.run([COMMAND, 'index', '-m', MODEL, '--index', index, folder], check=True, capture_output=True)
        with Server(COMMAND, '-m', MODEL, '--index', index) as server:
            hits = server.ask_json('POST', '/api/v1/search', {})[1]['hits']
            self.assertEqual(server.ask('GET', f'/api/v1/pictures/{hits[0]["id"]}/original')[0], 200)
            write(hits[0]['path'], b'a secret')
            os.remove(hits[1]['path'])
            os.symlink('/etc/passwd', hits[1]['path'])
            for hit in hits:
                self.refuse('GET', f'/api/v1/pictures/{hit["id"]}/original', None, 404, '', None, server)
                self.refuse('POST', '/api/v1/archive', {'ids': [hit['id']]}, 404, '', None, server)
                self.refuse('POST', '/api/v1/classify', {'image': {'id': hit['id']}, 'labels': ['x']}, 404, '', None, server)

    def test_archive(self):
        if 'libarchive' in subprocess.run([COMMAND, '--version'], capture_output=True, text=True, check=True).stdout:
            self.skipTest('this build has no libarchive')
        ids = [self.ids['rainbow.png'], self.ids['photo.jpg']]
        status, headers, body = self.server.ask('POST', '/api/v1/archive', {'ids': ids})
        self.assertEqual((status, headers['Content-Type']), (200, 'application/zip'))
        self.assertIn('pictures.zip', headers['Content-Disposition'])
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            self.assertEqual(archive.namelist(), ['0001-rainbow.png', '0002-photo.jpg'])
            self.assertEqual(archive.read('0002-photo.jpg'), read(self.pictures + '/sub/photo.jpg'))
            self.assertIsNone(archive.testzip())
        # Names of other letters, in no locale but ASCII; of bytes that are no UTF-8; of what others take for a separator.
        folder = tempfile.mkdtemp(dir=self.folder.name)
        names = {b'\xc3\xbc\xe2\x82\xac.png': '\u00fc\u20ac.png', b'no UTF-8 \xff.png': 'no UTF-8 \ufffd.png',
                 b'up\\..\\\n.png': 'up_..__.png', b'x' * 250 + b'.png': 'x' * 250 + '.png'}
        for number, name in enumerate(names):
            with open(folder.encode() + b'/' + name, 'wb') as file:
                file.write(add_comment(read(f'{SAMPLES}{NAMES["heart"]}.png'), bytes(number)))
        with Server(COMMAND, '-m', MODEL, '--index', folder,
                    environment={'VKCLIP_INDEX': folder + '.db', 'LC_ALL': 'C'}) as server:
            server.wait_for_index()
            hits = server.ask_json('POST', '/api/v1/search', {})[1]['hits']
            status, _, body = server.ask('POST', '/api/v1/archive', {'ids': [hit['id'] for hit in hits]})
            self.assertEqual((status, len(hits)), (200, 4))
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                self.assertEqual({name[5:] for name in archive.namelist()}, set(names.values()))
        for body, status in (({}, 400), ({'ids': []}, 400), ({'ids': 'all'}, 400), ({'ids': ['x']}, 400), ([], 400),
                             ({'ids': [1] * 10001}, 400), ({'ids': [ids[0], 999999]}, 404)):
            self.refuse('POST', '/api/v1/archive', body, status, 'ids' if status == 400 else '')

    def test_limit_of_archives(self):
        """All archives that are being sent have a limit, and one that can never fit is refused before it is written."""
        if 'libarchive' in subprocess.run([COMMAND, '--version'], capture_output=True, text=True, check=True).stdout:
            self.skipTest('this build has no libarchive')
        folder = tempfile.mkdtemp(dir=self.folder.name)
        write(folder + '/large.png', add_comment(read(f'{SAMPLES}{NAMES["heart"]}.png'), bytes(1 << 20)))
        subprocess.run([COMMAND, 'index', '-m', MODEL, '--index', folder + '/index.db', folder], check=True, capture_output=True)
        os.mkdir(folder + '/temporary')
        with Server(COMMAND, '-m', MODEL, '--index', folder + '/index.db', '--max-archive', '64',
                    environment={'TMPDIR': folder + '/temporary'}) as server:
            number = server.ask_json('POST', '/api/v1/search', {})[1]['hits'][0]['id']
            self.refuse('POST', '/api/v1/archive', {'ids': [number] * 64}, 413, '--max-archive', None, server)
            body = json.dumps({'ids': [number] * 40}).encode()
            with server.connect() as slow:
                slow.sendall(b'POST /api/v1/archive HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
                self.assertEqual(slow.recv(15), b'HTTP/1.1 200 OK')
                self.refuse('POST', '/api/v1/archive', {'ids': [number] * 40}, 503, 'other archives', None, server)
                self.assertEqual(server.ask('POST', '/api/v1/archive', {'ids': [number]})[0], 200)
            self.assertTrue(server.wait_for(lambda: server.ask('POST', '/api/v1/archive', body)[0] == 200))
            self.assertEqual(os.listdir(folder + '/temporary'), [])

    # ---- Models

    def test_classify(self):
        labels = ['pizza', 'rainbow', 'tiger face']
        body = {'images': [data_url('rainbow'), {'id': self.ids['pizza.png']}, {'image': data_url('tiger')}],
                'labels': labels, 'templates': ['a picture of {}', '{}']}
        status, answer = self.server.ask_json('POST', '/api/v1/classify', body)
        self.assertEqual(status, 200, answer)
        self.assertEqual([result['labels'][0]['label'] for result in answer['results']], ['rainbow', 'pizza', 'tiger face'])
        for result in answer['results']:
            probs = [row['prob'] for row in result['labels']]
            self.assertAlmostEqual(sum(probs), 1, 6)
            self.assertEqual(probs, sorted(probs, reverse=True))
            self.assertEqual(sorted(row['label'] for row in result['labels']), sorted(labels))
        form, header = make_form(*[('image', read(f'{SAMPLES}{NAMES[name]}.png')) for name in ('rainbow', 'pizza', 'tiger')],
                                 *[('label', label.encode()) for label in labels], ('template', b'a picture of {}'),
                                 ('template', b'{}'), ('model', b'emoji-clip'))
        self.assertEqual(self.server.ask_json('POST', '/api/v1/classify', form, header), (200, answer))
        one = self.server.ask_json('POST', '/api/v1/classify', {**body, 'images': None, 'image': body['images'][0]})[1]
        self.assertEqual(one['results'], answer['results'][:1])
        # The command computes the same.
        line = subprocess.run([COMMAND, 'classify', '-m', MODEL, '--json', f'{SAMPLES}1f308.png', '--template', 'a picture of {}',
                               '--template', '{}', *[word for label in labels for word in ('--label', label)]],
                              capture_output=True, text=True, check=True).stdout
        for row, other in zip(answer['results'][0]['labels'], json.loads(line)['results']):
            self.assertEqual(row['label'], other['label'])
            self.assertAlmostEqual(row['prob'], other['prob'], 4)

    def test_similarity(self):
        texts = ['a picture of pizza', 'a picture of star']
        body = {'images': [data_url('pizza'), data_url('star')], 'texts': texts}
        status, answer = self.server.ask_json('POST', '/api/v1/similarity', body)
        self.assertEqual((status, [len(row) for row in answer['logits']]), (200, [2, 2]))
        for row in range(2):
            self.assertGreater(answer['cosines'][row][row], answer['cosines'][row][1 - row])
            for logit, cosine in zip(answer['logits'][row], answer['cosines'][row]):
                self.assertAlmostEqual(logit, cosine * 30.03, 1)
        form, header = make_form(('text', texts[0].encode()), ('image', read(f'{SAMPLES}{NAMES["pizza"]}.png')))
        alone = self.server.ask_json('POST', '/api/v1/similarity', form, header)[1]
        self.assertAlmostEqual(alone['cosines'][0][0], answer['cosines'][0][0], 4)

    def test_wrong_comparisons(self):
        good = {'image': data_url('pizza'), 'labels': ['x']}
        form, header = make_form(('image', b'x'), ('label', b'x'))
        for body, status, text in [
                ({**good, 'labels': []}, 400, 'one text'), ({'labels': ['x']}, 400, 'one picture'), ([], 400, 'a JSON object'),
                ({**good, 'labels': 'x'}, 400, 'labels: expected an array'), ({**good, 'labels': [1]}, 400, 'labels'),
                ({**good, 'labels': ['x'] * 4097}, 400, '4096'), ({**good, 'templates': ['no place']}, 400, '{}'),
                ({**good, 'image': 7}, 400, 'picture 0'), ({**good, 'image': '!'}, 400, 'base64'), (b'', 400, 'expected'),
                ({'images': [good['image'], 'AAAA'], 'labels': ['x']}, 422, 'picture 1: unknown kind'),
                ({**good, 'image': {'id': 999999}}, 404, ''), ({**good, 'model': 'gpt'}, 404, 'no such model'),
                ({**good, 'model': 7}, 400, 'model'),
                ({'images': 'x', 'labels': ['x']}, 400, 'images: expected an array')]:
            self.refuse('POST', '/api/v1/classify', body, status, text)
        self.refuse('POST', '/api/v1/classify', form, 422, 'picture 0: ', header)
        self.refuse('POST', '/api/v1/classify', form[:-8], 400, 'form', header)
        self.refuse('POST', '/api/v1/classify', make_form(('picture', b'x'))[0], 400, 'picture: no such part', header)
        self.refuse('POST', '/api/v1/classify', form, 400, 'boundary', {'Content-Type': 'multipart/form-data'})
        self.refuse('POST', '/api/v1/classify', b'<x/>', 415, 'text/xml', {'Content-Type': 'text/xml'})

    def test_busy(self):
        """What cannot be begun is refused at once, and told when to come again."""
        with Server(COMMAND, '-m', MODEL, '--max-requests', '1', '--timeout', '600') as server:
            connection = http.client.HTTPConnection('127.0.0.1', server.port, timeout=600)
            body = json.dumps({'image': data_url('pizza'), 'labels': [f'number {i}' for i in range(1000)]})
            connection.request('POST', '/api/v1/classify', body)
            while 'vkclip_running_requests 1' not in server.ask('GET', '/metrics')[2].decode():
                self.assertIsNone(server.process.poll())
            self.refuse('POST', '/api/v1/classify', {}, 503, 'busy', None, server)
            self.assertEqual(server.ask('GET', '/healthz')[0], 200)
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()

    # ---- The index

    def test_index(self):
        index = self.server.wait_for_index()
        self.assertEqual((index['files'], index['pictures'], index['failed'], index['missing']), (11, 9, 1, 0))
        self.assertEqual((index['folders'], index['path']), ([self.pictures], self.environment['VKCLIP_INDEX']))
        self.assertEqual((index['update']['error'], index['update']['last']['failed']), ('', 1))
        status, answer = self.server.ask_json('GET', '/api/v1/index/failures')
        failure = answer['failures'][0]
        self.assertEqual((status, answer['total'], failure['path']), (200, 1, self.pictures + '/broken.png'))
        self.assertIn('truncated PNG', failure['message'])
        self.assertEqual(self.server.ask_json('GET', '/api/v1/index/failures?offset=1')[1]['failures'], [])
        self.assertEqual(self.server.ask_json('GET', '/api/v1/index/failures?limit=0')[1],
                         {'total': 1, 'offset': 0, 'failures': []})
        for query in ('offset=-1', 'offset=x', 'limit=1001', 'limit=', 'offset=99999999999999999999'):
            self.refuse('GET', '/api/v1/index/failures?' + query, None, 400, query.split('=')[0])
        self.refuse('POST', '/api/v1/index/update?retry=yes', None, 400, 'retry')

    def test_updates(self):
        """Passes begin on request, one at a time, and end on request; what changes meanwhile is found."""
        folder = tempfile.mkdtemp(dir=self.folder.name)
        for name in os.listdir(SAMPLES):
            shutil.copy(SAMPLES + name, folder)
        with Server(COMMAND, '-m', MODEL, '--index', folder, environment={'VKCLIP_INDEX': folder + '.db'}) as server:
            first = server.wait_for_index()['update']['passes']
            for query in ('', '?retry=1', '?retry=0'):
                shutil.copy(f'{folder}/1f355.png', f'{folder}/copy{first}.png')
                while server.ask('POST', '/api/v1/index/update' + query)[0] == 409:
                    pass
                first += 1
                server.wait_for_index(first)
            self.assertEqual(server.ask_json('GET', '/api/v1/index')[1]['files'], 63)
            statuses = [server.ask('POST', '/api/v1/index/update')[0] for _ in range(20)]
            self.assertIn(409, statuses)
            self.assertEqual(server.ask_json('DELETE', '/api/v1/index/update'), (202, {'updating': False}))
            server.wait_for_index()
        index = folder + '.db'
        os.chmod(index, 0o444)
        with Server(COMMAND, '-m', MODEL, '--index', index) as server:
            status = server.ask('POST', '/api/v1/index/update')[0]
            self.assertIn(status, (202, 409))  # A superuser may write.

    def test_index_that_is_removed(self):
        """The index and the folder may go while the server runs. What comes in their place is served."""
        folder = tempfile.mkdtemp(dir=self.folder.name) + '/pictures'
        index = os.path.dirname(folder) + '/own/index.db'
        shutil.copytree(SAMPLES, folder)
        count = len(os.listdir(folder))

        def has(server, files):
            found = server.ask_json('GET', '/api/v1/index')[1]
            return found['files'] == files and not found['update']['updating']

        with Server(COMMAND, '-m', MODEL, '--index', folder, environment={'VKCLIP_INDEX': index}) as server:
            server.wait_for_index()
            shutil.rmtree(os.path.dirname(index))
            os.mkdir(os.path.dirname(index))
            self.assertTrue(server.wait_for(lambda: os.path.exists(index) and has(server, count)))
            os.rename(folder, folder + ' aside')
            server.wait_for_index(server.wait_for_index()['update']['passes'] + 1)
            os.mkdir(folder)
            shutil.copy(f'{folder} aside/1f355.png', folder + '/new.png')
            self.assertTrue(server.wait_for(lambda: has(server, 1)))
        with Server(COMMAND, '-m', MODEL, '--index', index) as server:
            server.ask('POST', '/api/v1/search', {})
            os.rename(index, index + '.old')
            for path in ('/api/v1/index', '/api/v1/pictures/1'):
                self.refuse('GET', path, None, 404, 'index.db', None, server)
            self.assertFalse(os.path.exists(index))
            os.rename(index + '.old', index)
            self.assertTrue(has(server, 1))
        with self.assertRaisesRegex(AssertionError, 'no such folder or index'):
            Server(COMMAND, '-m', MODEL, '--index', folder + '/none')
        self.assertFalse(os.path.exists(folder + '/none'))

    def test_duplicates(self):
        status, answer = self.server.ask_json('GET', '/api/v1/duplicates')
        groups = [(group['kind'], sorted(os.path.basename(row['path']) for row in group['pictures']))
                  for group in answer['groups']]
        self.assertEqual((status, sorted(groups)), (200, [
            ('exact', ['moon.png', 'no UTF-8 \ufffd \u00fc.png']), ('exact', ['rain bow \u00fc.png', 'rainbow.png']),
            ('same', ['pizza again.png', 'pizza.png'])]))
        ids = [row['id'] for row in answer['groups'][2]['pictures']]
        for body in ({}, {'ids': ids[:1]}, {'ids': ['x', 'y']}, [], {'ids': [ids[0], ids[0]]}):
            self.refuse('POST', '/api/v1/duplicates/forget', body, 400, '')
        self.refuse('POST', '/api/v1/duplicates/forget', {'ids': [ids[0], 999999]}, 404, '')
        for query in ('distance=2', 'distance=-1'):
            self.refuse('GET', '/api/v1/duplicates?' + query, None, 400, 'distance')
        # Several may ask at once.
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.server.ask_json('GET', '/api/v1/duplicates?distance=0.02')))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([found[0] for found in answers], [200] * 4)
        self.assertTrue(all(found == answers[0] for found in answers))

    def ask_duplicates(self, distance, wait):
        """Asks again and again, each time for `wait` seconds, and returns what the answers said."""
        found = []
        while not found or found[-1][0] == 202:
            found.append(self.server.ask_json('GET', f'/api/v1/duplicates?distance={distance}&wait={wait}'))
        self.assertEqual(found[-1][0], 200, found[-1])
        shares = [answer['done'] for _, answer in found[:-1]]
        self.assertEqual(shares, sorted(shares))
        return shares

    def test_comparison_goes_on(self):
        """A comparison outlasts the requests that wait for it, and the groups are kept for a while."""
        self.assertGreater(len(self.ask_duplicates(0.031, 0)), 0)
        self.assertEqual(self.ask_duplicates(0.031, 0), [])
        # The comparison for which nobody waits makes way for another one, and for that which was given up.
        self.assertEqual(self.server.ask_json('GET', '/api/v1/duplicates?distance=0.032&wait=0')[0], 202)
        self.ask_duplicates(0.033, 60)
        self.ask_duplicates(0.032, 60)
        for wait in ('-1', 'nan'):
            self.refuse('GET', '/api/v1/duplicates?wait=' + wait, None, 400, 'wait')
        # A server that stops does not wait for it.
        with Server(COMMAND, '-m', MODEL, '--index', self.environment['VKCLIP_INDEX']) as server:
            self.assertEqual(server.ask_json('GET', '/api/v1/duplicates?wait=0')[0], 202)
            self.assertEqual(server.stop(), 0)


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
