#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""limits.py COMMAND FAULT_FOLDER [unittest's arguments]: vkclip serve under clients that are slow, many, greedy or gone,
and with models and devices that fail. FAULT_FOLDER has the layer of tests/vulkan/fault_layer.c."""
import base64
import contextlib
import http.client
import json
import os
import resource
import select
import shutil
import socket
import struct
import sys
import tempfile
import time
import unittest
import zlib
from unittest import mock

from serving import MODEL, Server

COMMAND = FAULTS = ''
HEADERS = b'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n'
PATIENCE = 600  # seconds after which something has not happened, also on a slow machine under load


def post(path, value):
    """The bytes of a request."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f'POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n'.encode() + body


def embed(texts, model=None):
    value = {'input': texts, 'encoding_format': 'base64', **({'model': model} if model else {})}
    return post('/v1/embeddings', value)


def get(path):
    return f'GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode()


def read_answer(file):
    """Reads one answer of a connection: status, headers and body."""
    status = int(file.readline().split()[1])
    headers = http.client.parse_headers(file)
    return status, headers, file.read(int(headers['Content-Length']))


def make_png(width, height):
    """A grey picture, which is small as a file."""
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
    rows = zlib.compress((b'\0' + bytes([128]) * width) * height, 1)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
            + chunk(b'IDAT', rows) + chunk(b'IEND', b''))


class Watched(Server):
    """A server of which a test watches what it holds."""

    def ask_text(self, text, model=None):
        """Returns the embedding's bytes."""
        body = {'input': text, 'encoding_format': 'base64', **({'model': model} if model else {})}
        status, _, answer = self.ask('POST', '/v1/embeddings', body)
        assert status == 200, (status, answer)
        return base64.b64decode(json.loads(answer)['data'][0]['embedding'])

    def start(self, request, receive=None, address=None):
        """Sends a request, and returns its connection. `receive` is how much the system takes of an answer unread, and
        `address` that of the client."""
        connection = socket.socket()
        if address:
            connection.bind((address, 0))
        if receive:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        connection.settimeout(PATIENCE)
        connection.connect(('127.0.0.1', self.port))
        connection.sendall(request)
        return connection

    def finish(self, connection):
        """Reads the answer, and closes the connection."""
        with connection, connection.makefile('rb') as file:
            return read_answer(file)

    def ask_all(self, requests):
        """Sends requests at once, and returns their answers."""
        connections = [self.start(request) for request in requests]
        return [self.finish(connection) for connection in connections]

    def count_files(self):
        """Counts open files but those of the index, of which the server keeps as many handles as were needed at once."""
        folder, count = f'/proc/{self.process.pid}/fd', 0
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                count += '/index.db' not in os.readlink(f'{folder}/{name}')
        return count

    def read_memory(self):
        """The most memory that the process had since the last call, in bytes."""
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith('VmHWM'))
        with open(f'/proc/{self.process.pid}/clear_refs', 'w', encoding='ascii') as file:
            file.write('5')
        return peak << 10

    def holds_nothing(self):
        """Tells whether only the connection that asks is there, and no request."""
        values = {line.split()[0]: float(line.split()[-1]) for line in self.ask('GET', '/metrics')[2].decode().splitlines()
                  if not line.startswith('#') and '{' not in line}
        return all(values['vkclip_' + name] == most for name, most in (
            ('connections', 1), ('running_requests', 0), ('waiting_items', 0), ('body_bytes', 0), ('answer_bytes', 0)))

    def wait_until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, what
            time.sleep(0.02)


def reset(connection):
    """Closes a connection as a client does that crashes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()


class Clients(unittest.TestCase):
    """Clients that send, read or leave as they like."""

    @classmethod
    def setUpClass(cls):
        wanted = 3000
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < wanted <= hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        cls.folder = tempfile.TemporaryDirectory()
        pictures = cls.folder.name + '/pictures'
        os.mkdir(pictures)
        with open('models/emoji-clip/samples/owl.png', 'rb') as source, open(pictures + '/owl.png', 'wb') as file:
            file.write(source.read() + os.urandom(12 << 20))  # What follows the picture is its file's, too.
        cls.server = Watched(COMMAND, '-m', MODEL, '--index', pictures, '--timeout', '10', '--max-connections', '4096',
                             environment={'VKCLIP_INDEX': cls.folder.name + '/index.db'})
        cls.server.wait_for_index()
        cls.id = cls.server.ask_json('POST', '/api/v1/search', {})[1]['hits'][0]['id']
        cls.server.ask_text('owl')
        cls.archive = post('/api/v1/archive', {'ids': [cls.id]})
        cls.original = get(f'/api/v1/pictures/{cls.id}/original')

    @classmethod
    def tearDownClass(cls):
        unittest.TestCase().assertEqual(cls.server.stop(), 0)
        cls.folder.cleanup()

    def setUp(self):
        self.server.wait_until(self.server.holds_nothing, 'requests end')
        self.files = self.server.count_files()

    def serves(self, seconds=5.):
        """Holds that another client is served meanwhile. The time is far from what a machine under load takes."""
        began = time.monotonic()
        self.server.ask_text('a dog')
        self.assertLess(time.monotonic() - began, seconds)

    def returns(self):
        """Holds that nothing is left of the clients."""
        self.server.wait_until(self.server.holds_nothing, 'nothing is left of the clients')
        self.assertLessEqual(self.server.count_files(), self.files + 1)

    def test_slow_clients(self):
        """Connections without requests, and with requests that take for ever, are closed after --timeout or little more."""
        slow = [self.server.start(b'') for _ in range(1000)]
        slow += [self.server.start(get('/ping')[:-2]) for _ in range(20)]
        slow += [self.server.start(HEADERS % 10000 + b'{') for _ in range(20)]
        unread = [self.server.start(request, 4096) for request in [self.archive] * 4 + [self.original] * 20]
        began = time.monotonic()
        self.assertGreater(self.server.metric('vkclip_connections'), 1000)
        # Those that are slow send a byte now and then.
        while time.monotonic() - began < 2.5:
            self.serves()
            for number, connection in enumerate(slow[1000:]):
                with contextlib.suppress(OSError):
                    connection.send(b'x: y\r\n'[number % 6:][:1] if number < 20 else b' ')
            time.sleep(0.2)
        self.returns()
        for connection in slow + unread:
            reset(connection)

    def test_slow_reader(self):
        """A large answer that is read slowly takes no place among the requests that are worked on."""
        with self.server.start(self.archive, 4096) as connection:
            self.assertTrue(connection.recv(1))
            self.server.wait_until(lambda: not self.server.metric('vkclip_running_requests'), 'the request takes no place')
            self.serves()
        self.returns()

    def test_pipelined_requests(self):
        """Requests that follow each other without waiting are answered in order, and no faster than they are read."""
        requests = [get('/ping'), embed('owl'), post('/nothing', b'x' * 100), get('/v1/models')] * 25
        with self.server.start(b''.join(requests)) as connection, connection.makefile('rb') as file:
            self.assertEqual([read_answer(file)[0] for _ in requests], [200, 200, 404, 200] * 25)
        count = 200
        document = len(self.server.ask('GET', '/api/v1/openapi.json')[2])
        self.server.read_memory()
        before = self.server.read_memory()
        with self.server.start(get('/api/v1/openapi.json') * count, 4096) as connection, connection.makefile('rb') as file:
            time.sleep(0.3)
            self.serves()
            self.assertLess(self.server.read_memory() - before, count * document / 4)
            self.assertEqual({read_answer(file)[0] for _ in range(count)}, {200})
        self.returns()

    def test_clients_that_vanish(self):
        """The work of clients that are gone is dropped, wherever it is."""
        long = embed([f'text number {number}' for number in range(300)])
        items = self.server.metric('vkclip_batch_items_total')
        clients = [self.server.start(request, 4096) for request in
                   [long] * 20 + [long[:-9]] * 5 + [long + long] * 5 + [self.archive] * 5 + [self.original] * 5 + [get('/ping')] * 5]
        self.server.wait_until(lambda: self.server.metric('vkclip_running_requests') >= 20, 'requests are worked on')
        for number, connection in enumerate(clients):
            if number % 2:
                reset(connection)
            else:
                connection.close()
        self.returns()
        self.assertLess(self.server.metric('vkclip_batch_items_total') - items, 30 * 300 / 2)
        self.serves()


class Overloaded(unittest.TestCase):
    """Clients that want more than the server gives."""
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Watched(COMMAND, '-m', MODEL, *cls.OPTIONS)
        cls.server.ask_text('owl')

    @classmethod
    def tearDownClass(cls):
        unittest.TestCase().assertEqual(cls.server.stop(), 0)

    def tearDown(self):
        self.server.wait_until(self.server.holds_nothing, 'nothing is left of the clients')

    def is_busy(self, answer):
        """Tells whether an answer is that of a busy server."""
        status, headers, body = answer
        if status != 503:
            return False
        self.assertEqual(headers['Retry-After'], '1')
        self.assertIn('busy', json.loads(body)['error']['message'])
        return True


class Queue(Overloaded):
    OPTIONS = '--max-requests', '66', '--timeout', '600'
    LONG = [f'text number {number}' for number in range(1000)]

    def test_clients_that_vanish_while_they_ask(self):
        """Connections whose end came together with data are closed long before the limit of silence, which is 30 seconds."""
        before = self.server.metric('vkclip_connections')
        for number in range(100):
            self.server.start(HEADERS % 60000 + b' ' * (400 * number)).close()
            self.server.start(HEADERS[:number]).close()
        began = time.monotonic()
        self.server.wait_until(lambda: self.server.metric('vkclip_connections') <= before + 1, 'connections are closed')
        self.assertLess(time.monotonic() - began, 25)

    def test_fairness(self):
        """The short request of a client waits for a few batches, however many long ones another client has."""
        clients = [self.server.start(embed(self.LONG[:200])) for _ in range(64)]
        try:
            self.server.wait_until(lambda: self.server.metric('vkclip_waiting_items') > 64 * 150, 'requests wait')
            before = self.server.metric('vkclip_batches_total')
            for _ in range(3):
                self.server.ask_text('a dog')
            # 64 requests were before it: that makes two batches, the one that was computed, and its own. Some more are
            # computed while this client does something else. All those that wait make 200.
            self.assertLessEqual(self.server.metric('vkclip_batches_total') - before, 3 * 15)
        finally:
            for connection in clients:
                reset(connection)

    def test_fairness_of_clients(self):
        """Many connections of one client count as one."""
        with Watched(COMMAND, '-m', MODEL, '--batch-size', '4', '--timeout', '600') as server:
            server.ask_text('owl')
            clients = [server.start(embed(self.LONG[:50]), address='127.0.0.2') for _ in range(200)]
            try:
                server.wait_until(lambda: server.metric('vkclip_running_requests') == 200, 'requests wait')
                before = server.metric('vkclip_batches_total')
                self.assertEqual(server.finish(server.start(embed('a dog'), address='127.0.0.3'))[0], 200)
                # The requests of the other client make 50 batches.
                self.assertLess(server.metric('vkclip_batches_total') - before, 25)
            finally:
                for connection in clients:
                    reset(connection)

    def test_full_queue(self):
        clients = [self.server.start(embed(self.LONG[:100])) for _ in range(66)]
        try:
            self.server.wait_until(lambda: self.server.metric('vkclip_running_requests') == 66, 'requests are worked on')
            rejected = self.server.metric('vkclip_rejected_total')
            for _ in range(5):
                self.assertTrue(self.is_busy(self.server.ask('POST', '/v1/embeddings', {'input': 'owl'})))
                self.assertEqual(self.server.ask('GET', '/healthz')[0], 200)
            # None of them waited until another request had ended.
            self.assertEqual(self.server.metric('vkclip_running_requests'), 66)
            self.assertEqual(self.server.metric('vkclip_rejected_total') - rejected, 5)
        finally:
            for connection in clients:
                reset(connection)
        self.server.wait_until(self.server.holds_nothing, 'the queue is empty')
        self.server.ask_text('owl')


class Sizes(Overloaded):
    OPTIONS = '--max-body', '1', '--max-pixels', '1000000'

    def test_memory_of_bodies(self):
        """Bodies together take at most eight times --max-body, and 64 KiB for each connection; small requests are served all
        the same. What is received before it is refused is not kept."""
        body = json.dumps({'input': 'x' * 900000}).encode()
        self.server.read_memory()
        before = self.server.read_memory()
        clients = [self.server.start(HEADERS % len(body) + body[:-2]) for _ in range(200)]
        self.server.ask_text('a dog')
        self.assertLessEqual(self.server.metric('vkclip_body_bytes'), 8 << 20)
        for connection in clients:
            connection.sendall(body[-2:])
        answers = [self.server.finish(connection) for connection in clients]
        busy = sum(map(self.is_busy, answers))
        self.assertEqual(sum(answer[0] == 200 for answer in answers) + busy, len(clients))
        self.assertTrue(0 < busy < len(clients), busy)
        # What the process takes besides is 10 MiB. Sanitizers take more.
        self.assertLess(self.server.read_memory() - before, (8 << 20) + 200 * (64 << 10) + (32 << 20))

    def test_sizes(self):
        for size, status in ((1 << 20, 400), ((1 << 20) + 1, 413), (2 << 20, 413)):
            self.assertEqual(self.server.ask('POST', '/v1/embeddings', b'x' * size)[0], status, size)
        for width, status in ((1000, 200), (1001, 422)):
            body = {'image': base64.b64encode(make_png(width, 1000)).decode(), 'texts': ['owl']}
            answer = self.server.ask('POST', '/api/v1/similarity', body)
            self.assertEqual(answer[0], status, answer[2])

    def test_long_texts(self):
        """The beginning of a text that is too long has all tokens that a model takes, also if it is cut at a character."""
        for text in ('dog ' * 200000, 'x' + '\u00e4' * 100000, 'xx' + '\U0001f436' * 50000):
            self.assertEqual(self.server.ask_text(text), self.server.ask_text(text[:1000]))

    def test_time(self):
        with Watched(COMMAND, '-m', MODEL, '--timeout', '1') as server:
            began = time.monotonic()
            status, headers, body = server.finish(server.start(embed(Queue.LONG * 2)))
            self.assertEqual((status, headers['Retry-After']), (503, '1'), body)
            self.assertIn('time', json.loads(body)['error']['message'])
            self.assertGreater(time.monotonic() - began, 0.9)
            server.wait_until(server.holds_nothing, 'nothing is left of the request')


class Batches(unittest.TestCase):
    TEXTS = [f'text number {number}' for number in range(48)]

    def test_requests_are_joined(self):
        """Embeddings are the same to the bit, whether requests were computed alone or together."""
        with Watched(COMMAND, '-m', MODEL, '--batch-wait', '2000', '--batch-size', '16') as server:
            pictures = ['data:image/png;base64,' + base64.b64encode(make_png(64 + number, 64)).decode() for number in range(16)]
            requests = [embed(text) for text in self.TEXTS] + [embed(picture) for picture in pictures]
            alone = [server.ask_all([request])[0] for request in requests]
            self.assertEqual(server.metric('vkclip_batches_total'), len(requests))
            together = server.ask_all(requests)
            self.assertEqual([answer[2] for answer in together], [answer[2] for answer in alone])
            text = server.ask('GET', '/metrics')[2].decode()
            for tower, count in (('text', len(self.TEXTS)), ('image', len(pictures))):
                self.assertIn(f'vkclip_batch_items_total{{tower="{tower}"}} {2 * count}\n', text)
                full, every = (text.partition(f'vkclip_batch_size_bucket{{tower="{tower}",le="{bound}"}} ')[2].split()[0]
                               for bound in (16, '+Inf'))
                self.assertEqual(full, every, 'no batch is larger than --batch-size')
            self.assertLess(server.metric('vkclip_batches_total'), len(requests) * 1.5)
            # A request alone waits for nobody, and one that others might join waits for no more than --batch-wait.
            began = time.monotonic()
            for number in range(10):
                server.ask_text(f'text {number}')
            self.assertLess(time.monotonic() - began, 10 * 2)
            large = 'data:image/png;base64,' + base64.b64encode(make_png(6000, 6000)).decode()
            with server.start(embed([large] * 4)) as connection:
                server.wait_until(lambda: server.metric('vkclip_running_requests'), 'pictures are decoded')
                server.ask_text('owl')
                self.assertEqual(select.select([connection], [], [], 0)[0], [])
                self.assertEqual(server.finish(connection)[0], 200)


class Models(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def copy(self, name):
        """Copies the model, and returns the option that serves it by this name."""
        path = f'{self.folder.name}/{name}'
        os.mkdir(path)
        for file in ('config.json', 'model.safetensors', 'tokenizer.json', 'preprocessor_config.json'):
            shutil.copy(f'{MODEL}/{file}', path)
        return '--alias', f'{name}={path}'

    def copy_wide(self, name, width):
        """The same with wider blocks, whose weights are zeros that take no room on the disk."""
        option = self.copy(name)
        path = f'{self.folder.name}/{name}'
        with open(path + '/config.json', 'r+', encoding='utf-8') as file:
            config = json.load(file)
            for tower in ('text_config', 'vision_config'):
                config[tower]['intermediate_size'] = width
            file.seek(0)
            json.dump(config, file)
            file.truncate()
        with open(f'{MODEL}/model.safetensors', 'rb') as file:
            length, = struct.unpack('<Q', file.read(8))
            head, data = json.loads(file.read(length)), file.read()
        kept, end = [], 0
        for tensor, info in head.items():
            if tensor == '__metadata__':
                continue
            begin, size = end, info['data_offsets'][1] - info['data_offsets'][0]
            if '.mlp.' in tensor and 768 in info['shape']:
                info['shape'] = [width if side == 768 else side for side in info['shape']]
                size = size // 768 * width
            else:
                kept.append((begin, data[info['data_offsets'][0]:info['data_offsets'][1]]))
            end = begin + size
            info['data_offsets'] = [begin, end]
        text = json.dumps(head).encode()
        with open(path + '/model.safetensors', 'wb') as file:
            file.write(struct.pack('<Q', len(text)) + text)
            for begin, values in kept:
                file.seek(8 + len(text) + begin)
                file.write(values)
            file.truncate(8 + len(text) + end)
        return option

    def count(self, server):
        return [server.metric('vkclip_models' + name) for name in ('', '_opened_total')]

    def test_memory(self):
        with Watched(COMMAND, *self.copy('a'), *self.copy('b'), *self.copy('c'), '--memory', '39') as server:
            self.assertEqual(self.count(server), [0, 0])
            # Requests that come while a model is opened wait for it, and it is opened once.
            answers = server.ask_all([embed('owl', 'a')] * 8)
            self.assertEqual({answer[0] for answer in answers}, {200})
            self.assertEqual(self.count(server), [1, 1])
            server.ask_text('owl', 'b')
            server.ask_text('owl', 'a')
            self.assertEqual(self.count(server), [2, 2])
            # There is memory for two: b was not used for the longest time.
            server.ask_text('owl', 'c')
            server.ask_text('owl', 'a')
            self.assertEqual(self.count(server), [2, 3])
            self.assertLessEqual(server.metric('vkclip_models_bytes'), 39 << 20)
            server.ask_text('owl', 'b')
            self.assertEqual(self.count(server), [2, 4])

    def test_time_to_live(self):
        with Watched(COMMAND, *self.copy('a'), '--ttl', '1') as server:
            for opened in range(1, 3):
                server.ask_text('owl', 'a')
                self.assertEqual(server.metric('vkclip_models_opened_total'), opened)
                server.wait_until(lambda: not server.metric('vkclip_models'), 'the model is closed')

    def test_model_that_is_too_large(self):
        with Watched(COMMAND, '-m', MODEL, '--memory', '8') as server:
            status, body = server.ask_json('POST', '/v1/embeddings', {'input': 'owl'})
            self.assertEqual(status, 422)
            self.assertRegex(body['error']['message'], r'take \d+ MiB.* 8 MiB \(--memory\)')
            self.assertEqual(self.count(server), [0, 0])

    def test_others_are_served_while_a_model_is_opened(self):
        with Watched(COMMAND, '-m', MODEL, *self.copy_wide('wide', 20000)) as server:
            server.ask_text('owl')
            count = 0
            with server.start(embed('owl', 'wide')) as connection:
                while not select.select([connection], [], [], 0)[0]:
                    server.ask_text('a dog')
                    count += 1
                self.assertEqual(server.finish(connection)[0], 200)
            # A text took as long as opening when the thread that computes batches read the weights.
            self.assertGreater(count, 3)

    def test_weights_that_are_cut_while_a_model_is_open(self):
        """Weights of pictures are read when a picture comes first."""
        picture = embed('data:image/png;base64,' + base64.b64encode(make_png(64, 64)).decode(), 'a')
        with Watched(COMMAND, *self.copy('a')) as server:
            text = server.ask_text('owl', 'a')
            weights = self.folder.name + '/a/model.safetensors'
            os.truncate(weights, 1 << 20)
            answers = server.ask_all([picture] * 4)
            self.assertNotIn(200, {answer[0] for answer in answers})
            self.assertEqual(len({answer[2] for answer in answers}), 1, answers)
            shutil.copy(f'{MODEL}/model.safetensors', weights)
            server.wait_until(lambda: server.finish(server.start(picture))[0] == 200, 'the model is opened')
            self.assertEqual(server.ask_text('owl', 'a'), text)
            self.assertEqual(self.count(server), [1, 2])

    def test_model_that_fails(self):
        """All who wait for a model that cannot be opened get the reason, and later requests open it when it was mended."""
        with Watched(COMMAND, '-m', MODEL, *self.copy('a')) as server:
            weights = self.folder.name + '/a/model.safetensors'
            os.truncate(weights, os.path.getsize(weights) // 2)
            answers = server.ask_all([embed('owl', 'a')] * 8)
            self.assertEqual({answer[0] for answer in answers}, {422}, answers[0][2])
            self.assertEqual(len({answer[2] for answer in answers}), 1)
            self.assertIn('model.safetensors', json.loads(answers[0][2])['error']['message'])
            self.assertEqual(server.read_log().count('model.safetensors'), 1)
            server.ask_text('owl')
            shutil.copy(f'{MODEL}/model.safetensors', weights)
            server.wait_until(lambda: server.finish(server.start(embed('owl', 'a')))[0] == 200, 'the model is opened')
            self.assertEqual(self.count(server), [2, 2])


class LostDevice(unittest.TestCase):
    def start(self, faults):
        return Watched(COMMAND, '-m', MODEL, environment={
            'VK_LAYER_PATH': FAULTS, 'VK_INSTANCE_LAYERS': 'VK_LAYER_VKCLIP_fault', 'VKCLIP_FAULT_LOSE': faults})

    def check_health(self, server, status, text):
        self.assertEqual(server.ask_json('GET', '/healthz'), (status, {'status': text, 'version': mock.ANY}))
        self.assertEqual(server.metric('vkclip_device_lost'), status != 200)

    def test_device_that_is_lost(self):
        """It is opened again, and the request gets its answer."""
        with self.start('10') as server:
            texts = [f'text number {number}' for number in range(20)]
            answers = [server.ask_text(text) for text in texts]
            self.assertIn('submit 10 loses the device', server.read_log())
            self.assertEqual([server.ask_text(text) for text in texts], answers)
            self.check_health(server, 200, 'ok')

    def test_device_that_is_lost_again(self):
        """Requests fail while it is lost each time, and later ones get their answers."""
        statuses = []
        with self.start('10,11,12,13,14') as server:
            while statuses[-1:] != [200] or 500 not in statuses:
                status, _, body = server.ask('POST', '/v1/embeddings', {'input': 'owl'})
                statuses.append(status)
                if status == 500:
                    self.assertIn('lost', json.loads(body)['error']['message'])
                self.check_health(server, *((200, 'ok') if status == 200 else (503, 'device lost')))
                self.assertLess(len(statuses), 50)
            server.ask_text('owl')


if __name__ == '__main__':
    COMMAND, FAULTS = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
