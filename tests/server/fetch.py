#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fetch.py COMMAND [unittest's arguments]: what vkclip serve --allow-fetch gets, and what it does not.

The test runs in network and mount namespaces of its own, in which this machine has addresses that count as public, and
names as its own name server tells them. Where the system allows no such namespaces or has no IPv6, it is left out.
"""
import base64
import http.server
import os
import re
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from serving import MODEL, Server, read

COMMAND = ''
PICTURE = 'tests/golden/emoji-clip/samples/1f308.png'
PUBLIC, OTHER, PUBLIC_V6 = '93.184.215.14', '1.2.3.4', '2600:1:2::3'
PRIVATE = ('10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '127.8.8.8')


class Names(socketserver.BaseRequestHandler):
    """A name server: NAME.test has the addresses of `table`, each question of a name in `turns` the next one."""
    table = {'public': [PUBLIC], 'loop': ['127.0.0.1', '::1'], 'inside': ['10.1.2.3'], 'metadata': ['169.254.169.254'],
             'mapped': ['::ffff:127.0.0.1'], 'both': ['127.0.0.1', PUBLIC], 'v6': [PUBLIC_V6], 'unspecified': ['0.0.0.0', '::']}
    turns = {'rebind': [PUBLIC, '127.0.0.1']}
    asked = 0

    def find(self, name, family):
        addresses = self.table.get(name, [])
        if name in self.turns:
            if family == socket.AF_INET:
                Names.asked += 1
            addresses = [self.turns[name][Names.asked % 2]]
        packed = []
        for address in addresses:
            if (':' in address) == (family == socket.AF_INET6):
                packed.append(socket.inet_pton(family, address))
        return packed

    def handle(self):
        data, connection = self.request
        labels, place = [], 12
        while data[place]:
            labels.append(data[place + 1:place + 1 + data[place]].decode())
            place += 1 + data[place]
        question = data[12:place + 5]
        kind = struct.unpack('>H', data[place + 1:place + 3])[0]
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        found = self.find(labels[0], family) if family and labels[1:] == ['test'] else []
        answers = b''.join(b'\xc0\x0c' + struct.pack('>HHIH', kind, 1, 0, len(address)) + address for address in found)
        connection.sendto(data[:2] + struct.pack('>HHHHH', 0x8180, 1, len(found), 0, 0) + question + answers, self.client_address)


class Pictures(http.server.BaseHTTPRequestHandler):
    """Answers as the path says: /to/URL is a redirection, /status/N a status, /slow, /endless and /long never end well."""
    protocol_version = 'HTTP/1.1'
    asked = []

    def log_message(self, *_):
        pass

    def chunks(self, block, pause):
        self.send_response(200)
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        try:
            while True:
                self.wfile.write(b'%x\r\n%s\r\n' % (len(block), block))
                time.sleep(pause)
        except OSError:
            self.close_connection = True

    def do_GET(self):
        Pictures.asked.append((self.connection.getsockname()[0], self.path, dict(self.headers)))
        what, _, rest = self.path[1:].partition('/')
        if what == 'slow':
            return self.chunks(b'x', 0.1)
        if what == 'endless':
            return self.chunks(bytes(1 << 16), 0)
        body = read(PICTURE) if what == 'a.png' else b'nothing'
        self.send_response({'to': 302, 'circle': 302, 'status': int(rest) if rest.isdigit() else 0}.get(what, 200))
        if what == 'to':
            self.send_header('Location', rest)
        if what == 'circle':
            self.send_header('Location', '/circle')
        self.send_header('Content-Length', str(1 << 40 if what == 'long' else len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None


class Http6(http.server.ThreadingHTTPServer):
    """Takes connections to all addresses of IPv4 and IPv6."""
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class Fetch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.names = socketserver.ThreadingUDPServer(('127.0.0.1', 53), Names)
        cls.pictures = Http6(('::', 80), Pictures)
        for server in (cls.names, cls.pictures):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = 'http://127.0.0.1:80'
        cls.server = Server(COMMAND, '-m', MODEL, '--allow-fetch', '--max-body', '1', '--timeout', '4', '--token', 'a-long-token',
                            environment={'http_proxy': proxy, 'HTTPS_PROXY': proxy, 'ALL_PROXY': proxy, 'NO_PROXY': ''})
        data = 'data:image/png;base64,' + base64.b64encode(read(PICTURE)).decode()
        cls.expected = cls.fetch(cls, data)
        assert cls.expected[0] == 200, cls.expected

    @classmethod
    def tearDownClass(cls):
        unittest.TestCase().assertEqual(cls.server.stop(), 0)
        cls.pictures.shutdown()
        cls.names.shutdown()

    def setUp(self):
        Pictures.asked.clear()

    def fetch(self, url):
        status, answer = self.server.ask_json('POST', '/v1/embeddings', {'input': url}, {'Authorization': 'Bearer a-long-token'})
        return status, answer['data'] if status == 200 else answer['error']['message']

    def refused(self, url, text='cannot be fetched'):
        status, message = self.fetch(url)
        self.assertEqual(status, 400, (url, message))
        self.assertIn(text, message, url)
        self.assertEqual({row[0].rpartition(':')[2] for row in Pictures.asked} - {PUBLIC, OTHER}, set(), url)

    def test_public(self):
        for host in (PUBLIC, 'public.test', f'[{PUBLIC_V6}]', 'v6.test', 'both.test'):
            self.assertEqual(self.fetch(f'http://{host}/a.png'), self.expected, host)
        self.assertEqual(self.fetch(f'http://{PUBLIC}/to/http://{OTHER}/a.png'), self.expected)
        # What the client sent to this server goes nowhere, and no proxy is asked.
        self.assertEqual({row[0].rpartition(':')[2] for row in Pictures.asked} - {PUBLIC, OTHER, '3'}, set())
        for _, _, headers in Pictures.asked:
            self.assertLessEqual(set(headers), {'Host', 'Accept', 'User-Agent'})

    def test_private(self):
        hosts = [*PRIVATE, '127.0.0.1', 'localhost', '[::1]', '[::]', '0.0.0.0', '0', '127.1', '2130706433', '0x7f000001',
                 '0177.0.0.1', '017700000001', '0x7f.1', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]',
                 '[64:ff9b::7f00:1]', '[fe80::1]', '[fc00::1]', '[2002:7f00:1::]', '10.0x10203', '127.0.0.1.', '①②⑦.0.0.1',
                 *(name + '.test' for name in ('loop', 'inside', 'metadata', 'mapped', 'unspecified'))]
        for host in hosts:
            self.refused(f'http://{host}/a.png')
            self.refused(f'http://user:password@{host}:80/a.png')
        self.refused(f'http://{PUBLIC}@127.0.0.1/a.png')
        self.assertEqual(Pictures.asked, [])

    def test_redirections(self):
        for target in ('http://127.0.0.1/a.png', 'http://loop.test/a.png', 'http://[::1]/a.png', 'http://10.1.2.3/a.png',
                       '//127.0.0.1/a.png', 'file:///etc/passwd', 'ftp://127.0.0.1/a.png', 'gopher://127.0.0.1:80/_GET',
                       'dict://127.0.0.1:80/x', f'http://{OTHER}/to/http://127.0.0.1/a.png'):
            self.refused(f'http://{PUBLIC}/to/{target}')
        Pictures.asked.clear()
        self.refused(f'http://{PUBLIC}/circle')
        self.assertEqual(len(Pictures.asked), 6)

    def test_names_that_change(self):
        """The address that was checked is the one that is connected to, so that a name that its owner points elsewhere
        between two questions leads nowhere else."""
        statuses = set()
        for _ in range(12):
            status, answer = self.fetch('http://rebind.test/a.png')
            statuses.add(status)
            self.assertIn((status, answer) if status == 200 else status, (self.expected, 400))
        self.assertEqual(statuses, {200, 400})
        self.assertEqual({row[0].rpartition(':')[2] for row in Pictures.asked}, {PUBLIC})

    def test_limits(self):
        self.refused(f'http://{PUBLIC}/endless', 'more than 1048576 bytes')
        began = time.monotonic()
        status, message = self.fetch(f'http://{PUBLIC}/slow')
        self.assertEqual(status, 503, message)
        self.assertIn('the time for the request is over', message)
        self.assertLess(time.monotonic() - began, 30)
        for number in (404, 500, 204):
            self.refused(f'http://{PUBLIC}/status/{number}', f'status {number}')
        self.refused(f'http://{PUBLIC}:81/a.png')
        self.assertEqual(self.fetch(f'http://{PUBLIC}/nothing')[0], 422)
        for url in ('file:///etc/passwd', 'ftp://127.0.0.1/a.png', 'HTTP://127.0.0.1/a.png', ' http://127.0.0.1/a.png'):
            self.assertIn(self.fetch(url)[0], (200, 400))  # It is a text, or refused.
        self.assertEqual({row[0].rpartition(':')[2] for row in Pictures.asked}, {PUBLIC})
        self.assertEqual(self.server.ask('GET', '/healthz')[0], 200)


INSIDE = '''
set -e
for file in resolv.conf nsswitch.conf; do [ ! -e /etc/$file ] || mount --bind "$1/$file" /etc/$file; done
ip link set lo up
shift
while [ "$1" != -- ]; do ip address add "$1" dev lo nodad 2>/dev/null || ip address add "$1" dev lo; shift; done
shift
exec "$@"
'''


def enter():
    """Runs this file again in the namespaces; returns the status, or None where there can be none."""
    unshare = ['unshare', '--map-root-user', '--net', '--mount']
    try:
        attempt = f'ip link set lo up && ip address add {PUBLIC_V6}/128 dev lo'
        if subprocess.run([*unshare, 'sh', '-c', attempt], capture_output=True, check=False).returncode:
            return None
    except FileNotFoundError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (('resolv.conf', 'nameserver 127.0.0.1\n'), ('nsswitch.conf', 'hosts: files dns\n')):
            with open(f'{folder}/{name}', 'w', encoding='utf-8') as file:
                file.write(text)
        addresses = [f'{address}/32' for address in (PUBLIC, OTHER, *PRIVATE[:-1])] + [PUBLIC_V6 + '/128']
        return subprocess.run([*unshare, 'sh', '-c', INSIDE, 'sh', folder, *addresses, '--', sys.executable, __file__, '--inside',
                               *sys.argv[1:]], check=False).returncode


if __name__ == '__main__':
    if sys.argv[1] == '--inside':
        COMMAND = sys.argv.pop(2)
        sys.argv.pop(1)
        unittest.main()
    code = enter()
    if code is None:
        print('skipped: the system allows no network namespaces of one\'s own, or has no IPv6')
    sys.exit(77 if code is None else code)
