#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bad.py COMMAND [unittest's arguments]: sends the wrong requests of bad.jsonl to vkclip serve.

A line of bad.jsonl is a request and what must come back: `name`, `method` (POST), `path`, `headers` (lines), `body`, and
`status` and a part of the answer, `says`. `line` is sent in place of the first line, `raw` in place of the whole
request, and `status` 0 stands for a connection that is closed without an answer. `open` tells that the connection must
take another request; all other connections are closed. <<A*1000>> stands for a thousand times the letter A, and texts are
bytes as Latin-1 has them. Host and Content-Length are added where `plain` is not true.
"""
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import unittest

from serving import MODEL, Server

COMMAND = ''
ROWS = os.path.join(os.path.dirname(__file__), 'bad.jsonl')
GOOD = b'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'


def expand(text):
    text = re.sub(r'<<(.+?)\*(\d+)>>', lambda match: match[1] * int(match[2]), text, flags=re.DOTALL)
    return text.encode('latin-1')


def write(row):
    """The bytes of a request."""
    if 'raw' in row:
        return expand(row['raw'])
    body = expand(row.get('body', ''))
    lines = [row.get('line', f"{row.get('method', 'POST')} {row.get('path', '/')} HTTP/1.1"), *row.get('headers', [])]
    if not row.get('plain'):
        lines.insert(1, 'Host: localhost')
        if 'body' in row:
            lines.append(f'Content-Length: {len(body)}')
    return expand('\r\n'.join(lines)) + b'\r\n\r\n' + body


def receive(connection, data):
    """The answer to a request, until the connection is closed or another request could be sent."""
    answer = b''
    try:
        connection.sendall(data)
        while True:
            block = connection.recv(1 << 16)
            answer += block
            head, _, body = answer.partition(b'\r\n\r\n')
            length = re.search(rb'\r\nContent-Length: (\d+)', head)
            if not block or (length and len(body) >= int(length[1]) and b' 100 ' not in head[:20]):
                return answer
    except (ConnectionError, BrokenPipeError):
        return answer


class Bad(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        pictures = os.path.join(cls.folder.name, 'pictures')
        os.mkdir(pictures)
        for name in ('1f308.png', '1f319.png'):
            shutil.copy('tests/golden/emoji-clip/samples/' + name, pictures)
        cls.server = Server(COMMAND, '-m', MODEL, '--index', pictures, '--max-body', '1',
                            environment={'VKCLIP_INDEX': os.path.join(cls.folder.name, 'index.db')})
        cls.server.wait_for_index()

    @classmethod
    def tearDownClass(cls):
        log = cls.server.read_log()
        unittest.TestCase().assertEqual(cls.server.stop(), 0, log)
        cls.folder.cleanup()

    def check(self, row):
        with socket.create_connection(('127.0.0.1', self.server.port), 20) as connection:
            answer = receive(connection, write(row))
            status = int(answer[9:12] or b'0')
            self.assertEqual(status, row['status'], answer[:500])
            self.assertIn(row.get('says', '').encode(), answer)
            if status:
                self.assertIsNotNone(re.match(rb'HTTP/1\.1 \d\d\d ', answer))
            # A connection that stays open must be at the end of its request: the next answer tells.
            if row.get('open'):
                self.assertEqual(receive(connection, GOOD)[:12], b'HTTP/1.1 200')
            else:
                self.assertEqual(receive(connection, b''), b'')
        self.assertEqual(self.server.ask('GET', '/healthz')[0], 200)

    def test_bad_requests(self):
        with open(ROWS, encoding='utf-8') as file:
            rows = [json.loads(line) for line in file]
        self.assertGreaterEqual(len(rows), 100)
        self.assertEqual(len({row['name'] for row in rows}), len(rows))
        for row in rows:
            with self.subTest(row['name']):
                self.check(row)


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
