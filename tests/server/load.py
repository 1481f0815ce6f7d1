#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""load.py COMMAND PART [--seconds N] [--clients N]: vkclip serve under load of every kind of request. load.sh builds COMMAND.

mixed   Clients send requests to every route, and half of them vanish: while they send, wait or receive. Every answer must have
        one of the expected statuses, and the server must end without an error, in which a sanitizer's report counts.
kill    The server is killed while it indexes under load, several times. The index that the last start completes must be
        whole, and find what one finds that was made without kills.
memory  After the first minute the server's memory must not grow by more than a twentieth.
"""
import argparse
import base64
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
import time
from collections import Counter

sys.path.insert(0, 'tests/support')
from jpeg import make_jpeg  # noqa: E402
from serving import MODEL, Server  # noqa: E402

GROWTH = 1.05
BOUNDARY = b'--------a-boundary'
WORDS = 'owl pizza rocket cat tree house car boat red green blue small night snow river flower'.split()
BUSY = {503}
# What may be absent, because the index is being made or a pass runs already.
EXPECTED = {'/api/v1/index/update': {200, 202, 409}, '/nothing': {404}, '/bad': {400, 404, 413, 415, 422}}


# ---- Requests --------------------------------------------------------------------------------------

def write_json(value):
    return json.dumps(value).encode(), 'application/json'


def write_form(parts):
    lines = []
    for name, value in parts:
        file = b'; filename="a.jpg"' if isinstance(value, bytes) else b''
        data = value if isinstance(value, bytes) else value.encode()
        lines += [b'--' + BOUNDARY, b'Content-Disposition: form-data; name="' + name.encode() + b'"' + file, b'', data]
    return b'\r\n'.join(lines + [b'--' + BOUNDARY + b'--', b'']), 'multipart/form-data; boundary=' + BOUNDARY.decode()


class Requests:
    """Random requests to every route, or only those of some methods of this class. `ids` are pictures of the index."""

    def __init__(self, pictures, ids, names=()):
        self.pictures, self.ids = pictures, ids
        self.makers = [getattr(self, name) for name in names or sorted(dir(self)) if name.startswith('make_')]

    def text(self, numbers):
        return ' '.join(numbers.choices(WORDS, k=numbers.randint(1, 12)))

    def picture(self, numbers):
        return numbers.choice(self.pictures)

    def url(self, numbers):
        return 'data:image/jpeg;base64,' + base64.b64encode(self.picture(numbers)).decode()

    def make(self, numbers):
        """Method, path, headers, body and its type."""
        method, path, *rest = numbers.choice(self.makers)(numbers)
        body, kind = rest[0] if rest else (b'', None)
        headers = rest[1] if len(rest) > 1 else {}
        return method, path, ({'Content-Type': kind} if kind else {}) | headers, body

    def make_embeddings(self, numbers):
        inputs = [self.text(numbers) for _ in range(numbers.choice((1, 1, 2, 50)))]
        return 'POST', '/v1/embeddings', write_json({'input': inputs, 'encoding_format': numbers.choice(('float', 'base64'))})

    def make_embedded_pictures(self, numbers):
        inputs = [self.url(numbers) for _ in range(numbers.choice((1, 1, 3, 10)))] + ['a text'] * numbers.randint(0, 1)
        return 'POST', '/v1/embeddings', write_json({'input': inputs})

    def make_search(self, numbers):
        query = [numbers.choice(({'text': self.text(numbers)}, {'image': self.url(numbers)},
                                 {'id': numbers.choice(self.ids), 'weight': 0.5}))]
        return 'POST', '/api/v1/search', write_json({'query': query, 'limit': numbers.randint(1, 50),
                                                     'offset': numbers.randint(0, 20)})

    def make_picture(self, numbers):
        part = numbers.choice(('', '/thumbnail', '/preview', '/original'))
        first = numbers.randint(0, 3000)
        ranges = {'Range': f'bytes={first}-{first + numbers.randint(0, 5000)}'} if numbers.random() < 0.5 else {}
        return 'GET', f'/api/v1/pictures/{numbers.choice(self.ids)}{part}', (b'', None), ranges

    def make_archive(self, numbers):
        ids = numbers.sample(self.ids, numbers.randint(1, min(50, len(self.ids))))
        return 'POST', '/api/v1/archive', write_json({'ids': ids})

    def make_classify(self, numbers):
        return 'POST', '/api/v1/classify', write_form([('image', self.picture(numbers)), ('template', 'a picture of {}')] +
                                                      [('label', word) for word in numbers.sample(WORDS, 5)])

    def make_similarity(self, numbers):
        return 'POST', '/api/v1/similarity', write_form([('image', self.picture(numbers)), ('text', self.text(numbers)),
                                                         ('text', self.text(numbers))])

    def make_duplicates(self, numbers):
        return 'GET', f'/api/v1/duplicates?distance={numbers.choice((0.01, 0.02, 0.05))}'

    def make_index(self, numbers):
        method, part = numbers.choice((('GET', ''), ('GET', '/failures'), ('POST', '/update'), ('DELETE', '/update')))
        return method, '/api/v1/index' + part

    def make_immich(self, numbers):
        side = numbers.choice(('visual', 'textual'))
        part = ('image', self.picture(numbers)) if side == 'visual' else ('text', self.text(numbers))
        return 'POST', '/predict', write_form([('entries', json.dumps({'clip': {side: {'modelName': 'emoji-clip'}}})), part])

    def make_knn(self, numbers):
        if numbers.random() < 0.3:
            return 'POST', '/metadata', write_json({'ids': numbers.sample(self.ids, 3), 'indice_name': 'vkclip'})
        query = numbers.choice(({'text': self.text(numbers)},
                                {'image': base64.b64encode(self.picture(numbers)).decode()}))
        return 'POST', '/knn-service', write_json({**query, 'modality': 'image', 'num_images': 20, 'indice_name': 'vkclip',
                                                   'deduplicate': numbers.random() < 0.5})

    def make_fast(self, numbers):
        return 'GET', numbers.choice(('/', '/healthz', '/metrics', '/api/v1', '/api/v1/openapi.json', '/v1/models', '/ping',
                                      '/indices-list', '/nothing'))

    def make_bad(self, numbers):
        body = numbers.choice((numbers.randbytes(200), b'{"input": [', b'[' * 100000, b'{"query": 5}'))
        return 'POST', numbers.choice(('/v1/embeddings', '/api/v1/search', '/predict', '/api/v1/classify')) + '?bad', (
            body, 'application/json')


# ---- Clients ---------------------------------------------------------------------------------------

class Client(threading.Thread):
    """Sends requests until told to stop, each by a connection of its own, of which a share ends early."""

    def __init__(self, port, requests, number, vanishing=0.5):
        super().__init__()
        self.port, self.requests, self.vanishing = port, requests, vanishing
        self.numbers = random.Random(number)
        self.stopped = threading.Event()
        self.counts, self.problems = Counter(), []

    def run(self):
        while not self.stopped.is_set():
            method, path, headers, body = self.requests.make(self.numbers)
            try:
                self.ask(method, path, headers, body)
            except OSError as problem:
                if not self.stopped.is_set():
                    self.problems.append(f'{method} {path}: {problem!r}')
                    time.sleep(0.05)

    def ask(self, method, path, headers, body):
        lines = [f'{method} {path} HTTP/1.1', 'Host: localhost', 'Connection: close', f'Content-Length: {len(body)}']
        head = '\r\n'.join(lines + [f'{name}: {value}' for name, value in headers.items()] + ['', '']).encode()
        with socket.create_connection(('127.0.0.1', self.port), 120) as connection:
            if self.numbers.random() < self.vanishing:
                self.counts['vanished'] += 1
                self.vanish(connection, head + body)
            else:
                self.take(connection, head + body, f'{method} {path}')

    def vanish(self, connection, data):
        """Ends while it sends, waits or receives, half of the times by a reset."""
        if self.numbers.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        how = self.numbers.randrange(3)
        try:
            connection.sendall(data if how else data[:self.numbers.randrange(len(data))])
            if how == 1:
                time.sleep(self.numbers.uniform(0, 0.3))
            elif how == 2:
                connection.recv(self.numbers.randint(1, 2000))
        except OSError:
            pass

    def take(self, connection, data, name):
        try:
            connection.sendall(data)
        except OSError:
            pass  # A request that is refused is answered before its end.
        answer = bytearray()
        while part := connection.recv(1 << 16):
            answer += part
        status = int(answer[9:12]) if answer.startswith(b'HTTP/1.1 ') else 0
        path = name.split()[1]
        expected = EXPECTED.get('/bad' if path.endswith('?bad') else path, {200, 206, 416}) | BUSY
        self.counts[f'{status} ' + re.sub('/[0-9]+', '/ID', name).split('?', maxsplit=1)[0]] += 1
        if status not in expected:
            self.problems.append(f'{name}: status {status}: {bytes(answer[-300:])!r}')


def run_clients(server, requests, count, seconds, each=None, vanishing=0.5):
    """Lets clients work for so long, and returns what they have counted. Problems end the test."""
    clients = [Client(server.port, requests, number, vanishing) for number in range(count)]
    for client in clients:
        client.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.process.poll() is None:
        time.sleep(0.2)
        if each:
            each()
    for client in clients:
        client.stopped.set()
    for client in clients:
        client.join()
    problems = [problem for client in clients for problem in client.problems]
    assert server.process.poll() is None, f'the server has ended: {server.read_log()[-8000:]}'
    assert not problems, f'{len(problems)} problems: ' + '\n'.join(problems[:10]) + '\n' + server.read_log()[-3000:]
    return sum((client.counts for client in clients), Counter())


# ---- Parts -----------------------------------------------------------------------------------------

def write_pictures(folder, count):
    os.makedirs(folder)
    for number in range(count):
        with open(f'{folder}/{number:04}.jpg', 'wb') as file:
            file.write(make_jpeg(number, 320, 240))
    shutil.copytree('tests/golden/emoji-clip/samples', f'{folder}/samples')


class Place:
    """A folder with pictures, and an index of them."""

    def __init__(self, options):
        self.options = options
        self.memory = tempfile.TemporaryDirectory()
        self.pictures = os.path.realpath(self.memory.name) + '/pictures'
        self.files = [make_jpeg(1000 + number, 320, 240) for number in range(32)]
        self.servers = []
        write_pictures(self.pictures, options.pictures)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.stop(signal.SIGKILL)
        self.memory.cleanup()

    def start(self, index='index'):
        server = Server(self.options.command, '-m', MODEL, '--index', self.pictures, '--ttl', '5', '--max-requests', '64',
                        environment={'VKCLIP_INDEX': f'{self.memory.name}/{index}.db', 'VKCLIP_TUNE': 'off'})
        self.servers.append(server)
        return server

    def find(self, server, query, limit=1000):
        status, answer = server.ask_json('POST', '/api/v1/search', {'query': query, 'limit': limit})
        assert status == 200, answer
        return answer

    def requests(self, server):
        ids = [hit['id'] for hit in self.find(server, [{'text': 'a picture of owl'}], 200)['hits']]
        return Requests(self.files, ids)

    def end(self, server):
        """Stops the server gracefully, and demands that it has nothing to report."""
        server.process.send_signal(signal.SIGTERM)
        status = server.process.wait(120)
        log = server.read_log()
        assert not status and 'Sanitizer' not in log and 'runtime error' not in log, f'status {status}\n{log[-12000:]}'


def check_mixed(options, place):
    server = place.start()
    server.wait_for_index()
    counts = run_clients(server, place.requests(server), options.clients, options.seconds)
    for name, count in sorted(counts.items()):
        print(f'{count:7} {name}')
    # Nothing of what vanished may stay.
    for metric in ('vkclip_running_requests', 'vkclip_waiting_items', 'vkclip_body_bytes', 'vkclip_answer_bytes'):
        assert server.wait_for(lambda metric=metric: server.metric(metric) == 0, 30), metric
    place.end(server)


def check_kill(options, place):
    server, numbers = place.start('killed'), random.Random(options.seed)
    # While the index is made, nobody knows the ids of pictures.
    requests = Requests(place.files, [], ('make_embeddings', 'make_embedded_pictures', 'make_immich', 'make_duplicates'))
    for kill in range(options.kills):
        clients = [Client(server.port, requests, number) for number in range(4)]
        for client in clients:
            client.start()
        time.sleep(numbers.uniform(0.2, 3))
        running = server.ask_json('GET', '/api/v1/index')[1]['update']['updating']
        for client in clients:
            client.stopped.set()
        server.process.kill()
        for client in clients:
            client.join()
        print(f'kill {kill + 1}: ' + ('while it indexed' if running else 'after it had indexed'), flush=True)
        server = place.start('killed')
    index = server.wait_for_index()
    other = place.start('whole')
    whole = other.wait_for_index()
    for text in ('a picture of owl', 'a picture of pizza', 'snow at night'):
        found, expected = (place.find(each, [{'text': text}]) for each in (server, other))
        scores = [{hit['path']: hit['score'] for hit in each['hits']} for each in (found, expected)]
        assert scores[0].keys() == scores[1].keys(), 'other pictures are found'
        worst = max(abs(scores[0][path] - scores[1][path]) for path in scores[0])
        print(f'{text}: {found["total"]} of {expected["total"]} pictures, scores differ by {worst:.1e}')
        assert found['total'] == expected['total'] and worst < 1e-5
    for name in ('files', 'pictures'):
        print(f'{name}: {index[name]} of {whole[name]}')
        assert index[name] == whole[name]
    place.end(server)
    place.end(other)
    database = sqlite3.connect(f'{place.memory.name}/killed.db')
    assert database.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
    database.close()


def read_memory(process):
    with open(f'/proc/{process.pid}/status', encoding='utf-8') as file:
        values = dict(line.split(':', 1) for line in file)
    return int(values['VmRSS'].split()[0]) / 1024


def check_memory(options, place):
    server = place.start()
    server.wait_for_index()
    began, series = time.monotonic(), []

    def sample():
        if time.monotonic() >= began + 5 * len(series):
            series.append(read_memory(server.process))
            print(f'{series[-1]:.0f}', end=' ', flush=True)

    print('MiB each 5 s:', end=' ')
    counts = run_clients(server, place.requests(server), options.clients, options.seconds, sample)
    print()
    steady = series[12:]
    tenth = max(len(steady) // 10, 1)
    first, last = (sum(part) / len(part) for part in (steady[:tenth], steady[-tenth:]))
    print(f'{sum(counts.values())} requests; after the first minute {first:.1f} MiB, in the end {last:.1f} MiB '
          f'({100 * (last / first - 1):+.1f} %)')
    place.end(server)
    assert last <= GROWTH * first


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('command')
    parser.add_argument('part', choices=['mixed', 'kill', 'memory'])
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--clients', type=int, default=16)
    parser.add_argument('--kills', type=int, default=5)
    parser.add_argument('--pictures', type=int, default=300, help='that are indexed (%(default)s)')
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    with Place(options) as place:
        {'mixed': check_mixed, 'kill': check_kill, 'memory': check_memory}[options.part](options, place)


main()
