#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""operation.py COMMAND [unittest's arguments]: how vkclip serve starts, listens, logs, counts and stops."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import threading
import time
import unittest

from serving import MODEL, Server, short_folder

COMMAND = ''
SAMPLES = 'tests/golden/emoji-clip/samples/'
LONG = {'input': [f'text number {i}' for i in range(200)]}  # a second or two on two cores
ENDLESS = {'input': [f'text number {i}' for i in range(2000)]}


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = short_folder()
        self.path = self.folder.name

    def tearDown(self):
        self.folder.cleanup()

    def fails(self, *arguments, **options):
        """Starts a server that cannot start, and returns what it says after its exit status."""
        with self.assertRaises(AssertionError) as caught:
            Server(COMMAND, *(() if '-m' in arguments else ('-m', MODEL)), *arguments, **options)
        return str(caught.exception)

    def check_failure(self, status, message, *arguments):
        text = self.fails(*arguments)
        self.assertIn(f'status {status}: ', text, arguments)
        self.assertIn(message, text, arguments)
        self.assertEqual("see 'vkclip serve --help'" in text, status == 2, text)

    def ask_unix(self, path, target='/healthz'):
        connection = http.client.HTTPConnection('localhost')
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
        connection.request('GET', target)
        status = connection.getresponse().status
        connection.close()
        return status


class Sockets(Folder):
    def test_addresses(self):
        for arguments, message in ((('--listen', '127.0.0.1:0x'), 'expected ADDRESS:PORT'),
                                   (('--listen', '127.0.0.1:65536'), '--listen: expected a port from 0 to 65535'),
                                   (('--listen', '123456'), '--listen: expected a port from 0 to 65535'),
                                   (('--listen', 'no.such.name.invalid:0'), "--listen: expected an address or name of this machine"),
                                   (('--listen', '0.0.0.0:0'), '--token'), (('--listen', '[::]:0'), '--token'),
                                   (('--unix', '/' + 'x' * 200), 'at most 107 bytes'),
                                   (('--listen', '', '--unix', ''), 'no address'),
                                   (('--cors', 'localhost:3005'), '--cors: expected an origin'),
                                   (('--cors', 'http://localhost:3005/'), '--cors: expected an origin'),
                                   (('--host', 'https://photos.example'), '--host: expected a name'),
                                   (('--immich-upstream', 'immich:3003'), '--immich-upstream: expected http://'),
                                   (('--index', self.path, '--index', '/no/such'), '--index: /no/such: no such folder or index'),
                                   (('--token', 'short'), '--token: expected a token of 8'),
                                   (('--alias', 'name'), 'expected NAME=MODEL'),
                                   (('--max-connections', '2000000000'), 'ulimit'),
                                   (('--max-connections', '4294967295'), 'ulimit')):
            self.check_failure(2, message, *arguments)
        self.check_failure(1, 'cannot listen', '--unix', self.path + '/no/such')
        with Server(COMMAND, '-m', MODEL) as server:
            self.check_failure(1, 'name another port with --listen', '--listen', f'127.0.0.1:{server.port}')

    def test_what_is_not_there(self):
        """A model that cannot be loaded has the exit status of all commands, and so has a device."""
        self.check_failure(4, '/no/such', '-m', '/no/such')
        self.check_failure(4, 'README.md', '-m', 'README.md')
        self.check_failure(4, '/no/such', '--alias', 'name=/no/such')
        self.check_failure(4, '/no/such', '-m', '/no/such', '--index', self.path)
        self.check_failure(3, 'no-such-gpu', '--device', 'no-such-gpu')
        # The model that an index names has been moved away.
        model, index = self.path + '/model', self.path + '/index.db'
        shutil.copytree(MODEL, model)
        subprocess.run([COMMAND, 'index', '-m', model, SAMPLES], check=True, env={**os.environ, 'VKCLIP_INDEX': index})
        shutil.rmtree(model)
        with self.assertRaisesRegex(AssertionError, f'(?s)status 4: .*{model}'):
            Server(COMMAND, '--index', index)

    def test_addresses_of_other_machines(self):
        """They need a token, or that one wants none."""
        for option, status in ((['--no-auth'], 200), (['--token', 'a-long-token'], 401)):
            with subprocess.Popen([COMMAND, 'serve', '-m', MODEL, '--listen', '0.0.0.0:0', '--unix', '', *option],
                                  stdout=subprocess.PIPE, text=True) as process:
                port = int(re.fullmatch(r'http://0\.0\.0\.0:(\d+)/\n', process.stdout.readline())[1])
                connection = http.client.HTTPConnection('127.0.0.1', port, timeout=600)
                connection.request('GET', '/metrics', headers={'Host': 'any-name'})
                self.assertEqual(connection.getresponse().status, status)
                connection.close()
                process.terminate()
                self.assertEqual(process.wait(600), 0)

    def test_unix_socket(self):
        path = self.path + '/s'
        with Server(COMMAND, '-m', MODEL, '--unix', path) as server:
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            self.assertEqual(self.ask_unix(path), 200)
            self.assertIn('another server listens there', self.fails('--unix', path))
            self.assertEqual(self.ask_unix(path), 200)
            # A server that was killed leaves its socket, which the next one replaces.
            server.process.kill()
            server.process.wait()
            self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
        with Server(COMMAND, '-m', MODEL, '--unix', path) as server:
            self.assertEqual(self.ask_unix(path), 200)
            # What lies there in the end is another one's.
            os.unlink(path)
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(path)
                self.assertEqual(server.stop(), 0)
                self.assertTrue(os.path.exists(path))
        os.unlink(path)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('no socket')
        self.assertIn('cannot listen', self.fails('--unix', path))
        self.assertTrue(os.path.isfile(path))

    def test_socket_of_the_user(self):
        """Without --unix the socket is in XDG_RUNTIME_DIR, but not where others could put another one in its place."""
        for mode, expected in ((0o700, True), (0o777, False), (0o770, False)):
            os.chmod(self.path, mode)
            process = subprocess.Popen([COMMAND, 'serve', '-m', MODEL, '--listen', '127.0.0.1:0'], stdout=subprocess.PIPE, text=True,
                                       env={**os.environ, 'XDG_RUNTIME_DIR': self.path})
            self.assertIn('http://127.0.0.1:', process.stdout.readline())
            self.assertEqual(os.path.exists(self.path + '/vkclip.sock'), expected, oct(mode))
            process.terminate()
            self.assertEqual(process.wait(600), 0)
            process.stdout.close()
        os.chmod(self.path, 0o700)

    def test_no_token_through_the_unix_socket(self):
        with Server(COMMAND, '-m', MODEL, '--token', 'a-long-token') as server:
            self.assertEqual((server.ask('GET', '/metrics')[0], self.ask_unix(server.socket, '/metrics')), (401, 200))

    def test_sockets_of_systemd(self):
        """LISTEN_FDS: the sockets are open already, as descriptors from 3 on, and stay open when the server ends."""
        tcp, local = socket.socket(), socket.socket(socket.AF_UNIX)
        tcp.bind(('127.0.0.1', 0))
        tcp.listen()
        local.bind(self.path + '/s')
        local.listen()
        port = tcp.getsockname()[1]

        def start(count, *arguments):
            os.set_inheritable(tcp.fileno(), True)
            os.set_inheritable(local.fileno(), True)
            script = f'exec 3<&{tcp.fileno()} 4<&{local.fileno()}; LISTEN_PID=$$ LISTEN_FDS={count} exec "$@"'
            return subprocess.Popen(['sh', '-c', script, 'sh', COMMAND, 'serve', '-m', MODEL, *arguments], close_fds=False,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        with tcp, local:
            for _ in range(2):
                process = start(2)
                self.assertEqual(process.stdout.readline(), f'http://127.0.0.1:{port}/\n')
                connection = http.client.HTTPConnection('127.0.0.1', port, timeout=600)
                connection.request('GET', '/healthz')
                self.assertEqual(connection.getresponse().status, 200)
                connection.close()
                self.assertEqual(self.ask_unix(self.path + '/s'), 200)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(600), 0)
                process.communicate()
                self.assertTrue(os.path.exists(self.path + '/s'))
            # Descriptors 5 and 6 are no sockets.
            process = start(4)
            self.assertIn('stream sockets that listen', process.communicate()[1])
            self.assertEqual(process.returncode, 1)


class Tls(Folder):
    def make(self, name):
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days',
                        '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout',
                        f'{self.path}/{name}.key', '-out', f'{self.path}/{name}.pem'], check=True, capture_output=True)
        return '--tls-cert', f'{self.path}/{name}.pem', '--tls-key', f'{self.path}/{name}.key'

    def test_https(self):
        with Server(COMMAND, '-m', MODEL, '--token', 'a-long-token', *self.make('a')) as server:
            context = ssl.create_default_context(cafile=self.path + '/a.pem')
            connection = http.client.HTTPSConnection('127.0.0.1', server.port, context=context, timeout=600)
            for _ in range(2):
                connection.request('POST', '/api/v1/session', json.dumps({'token': 'a-long-token'}))
                answer = connection.getresponse()
                self.assertEqual((answer.status, answer.read()), (200, b'{}'))
                self.assertIn('; Secure', answer.headers['Set-Cookie'])
            connection.close()
            # Plain HTTP gets no answer, and the Unix socket needs no certificate.
            with server.connect() as plain:
                plain.sendall(b'GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n')
                self.assertNotIn(b'pong', plain.recv(100))
            self.assertEqual(self.ask_unix(server.socket), 200)

    def test_wrong_certificates(self):
        first, second = self.make('a'), self.make('b')
        empty = self.path + '/empty'
        with open(empty, 'w', encoding='utf-8') as file:
            file.write('no certificate\n')
        subprocess.run(['openssl', 'pkey', '-in', second[3], '-aes128', '-passout', 'pass:x', '-out', self.path + '/locked'],
                       check=True, capture_output=True)
        expected = 'expected a certificate and its own key, as PEM without a password'
        for arguments, message in (((*first[:2], *second[2:]), expected), (('--tls-cert', empty, *first[2:]), expected),
                                   ((*first[:2], '--tls-key', empty), expected),
                                   ((*second[:2], '--tls-key', self.path + '/locked'), expected),
                                   ((*first[:2], '--tls-key', self.path + '/none'), 'No such file'),
                                   (first[:2], 'needs both --tls-cert and --tls-key')):
            self.assertIn(message, self.fails(*arguments), arguments)


class Logs(Folder):
    def read(self, path):
        with open(path, encoding='utf-8') as file:
            return [json.loads(line) for line in file]

    def test_access_log(self):
        path, token = self.path + '/log', 'secret-token-123'
        with Server(COMMAND, '-m', MODEL, '--token', token, '--access-log', path) as server:
            agent = {'User-Agent': 'x"\xff\t' + 'y' * 500, 'X-Request-Id': 'my-name'}
            bearer = {'Authorization': 'Bearer ' + token}
            # A line is written after the answer, so that lines of several connections may come in another order.
            for count, request in enumerate((
                    ('GET', '/ping', None, agent),
                    ('POST', '/v1/embeddings', {'input': 'owl'}, {**bearer, 'Cookie': 'vkclip_token=' + token}),
                    ('GET', '/nothing?token=' + token, None, bearer), ('POST', '/api/v1/session', {'token': token}),
                    ('GET', '/%ff%00/' + 'z' * 3000, None, bearer)), 1):
                server.ask(*request)
                self.assertTrue(server.wait_for(lambda: len(self.read(path)) == count))
            # A request that its client gives up. libmicrohttpd does not see an end that comes together with data.
            with server.connect() as connection:
                connection.sendall(b'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n'
                                   b'Authorization: Bearer secret-token-123\r\nExpect: 100-continue\r\n\r\n')
                self.assertIn(b' 100 ', connection.recv(1000))
            self.assertTrue(server.wait_for(lambda: len(self.read(path)) == 6))
            rows = self.read(path)
            self.assertEqual([row['status'] for row in rows[:5]], [200, 200, 404, 200, 404])
            self.assertEqual([row['complete'] for row in rows], [True] * 5 + [False])
            self.assertEqual((rows[0]['request'], rows[0]['client'], rows[0]['method'], rows[0]['path']),
                             ('my-name', '127.0.0.1', 'GET', '/ping'))
            self.assertEqual(rows[0]['agent'], ('x"\ufffd\t' + 'y' * 500)[:120])
            self.assertEqual((rows[1]['received'], rows[1]['agent']), (len('{"input": "owl"}'), None))
            self.assertGreater(rows[1]['sent'], 1000)
            self.assertLess(rows[1]['seconds'], 600)
            self.assertRegex(rows[1]['time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
            self.assertTrue(rows[4]['path'].startswith('/\ufffd%00/zzz') and len(rows[4]['path']) < 500)
            with open(path, encoding='utf-8') as file:
                self.assertNotIn(token, file.read())
            # logrotate moves the file away and sends SIGHUP.
            os.rename(path, path + '.1')
            server.ask('GET', '/ping')
            self.assertTrue(server.wait_for(lambda: len(self.read(path + '.1')) == 7))
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(server.wait_for(lambda: os.path.exists(path)))
            server.ask('GET', '/ping')
            self.assertTrue(server.wait_for(lambda: len(self.read(path)) == 1))
            self.assertEqual(server.stop(), 0)

    def test_log_that_cannot_be_written(self):
        with Server(COMMAND, '-m', MODEL, '--access-log', '/dev/full') as server:
            for _ in range(3):
                self.assertEqual(server.ask('GET', '/ping')[0], 200)
            self.assertTrue(server.wait_for(lambda: server.metric('vkclip_access_log_lost_total') >= 3))
        with Server(COMMAND, '-m', MODEL, '--access-log', '-') as server:
            self.assertEqual(server.ask('GET', '/ping')[0], 200)
            self.assertEqual(json.loads(server.process.stdout.readline())['path'], '/ping')
            # Nobody reads: a pipe takes some KiB, and what follows is lost.
            while not server.metric('vkclip_access_log_lost_total'):
                server.ask('GET', '/' + 'x' * 390)
            # The reader has ended.
            server.process.stdout.close()
            self.assertEqual(server.ask('GET', '/ping')[0], 200)
            self.assertEqual(server.ask('GET', '/ping')[0], 200)
            self.assertEqual(server.stop(), 0)
        self.assertIn('cannot be written', self.fails('--access-log', self.path))

    def test_hangup_without_a_log_file(self):
        with Server(COMMAND, '-m', MODEL) as server:
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(server.process.wait(600), -signal.SIGHUP)


class Metrics(unittest.TestCase):
    LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')

    def parse(self, text):
        """Reads the text format as its description has it: each family's lines together, with one type before them."""
        types, values, family = {}, {}, None
        self.assertTrue(text.endswith('\n'))
        for line in text.splitlines():
            if line.startswith('# TYPE '):
                family, kind = line.split()[2:]
                self.assertNotIn(family, types)
                self.assertIn(kind, ('counter', 'gauge', 'histogram'))
                types[family] = kind
            elif not line.startswith('# HELP '):
                match = self.LINE.fullmatch(line)
                self.assertIsNotNone(match, line)
                name = re.sub('_(bucket|sum|count)$', '', match[1]) if types.get(family) == 'histogram' else match[1]
                self.assertEqual(name, family, line)
                self.assertNotIn(match.group(1, 2), values, line)
                values[match.group(1, 2)] = float(match[3])
                self.assertTrue(types[family] != 'counter' or family.endswith('_total'), family)
        return types, values

    def check_histograms(self, types, values):
        for family in (name for name, kind in types.items() if kind == 'histogram'):
            series = {}
            for (name, labels), value in values.items():
                if name == family + '_bucket':
                    rest, bound = re.fullmatch('(.*),le="(.*)"', labels).groups()
                    series.setdefault(rest, []).append((float(bound), value))
            for labels, buckets in series.items():
                self.assertEqual(sorted(buckets), buckets)
                self.assertEqual(sorted(count for _, count in buckets), [count for _, count in buckets])
                self.assertEqual(buckets[-1], (float('inf'), values[family + '_count', labels]))
                self.assertIn((family + '_sum', labels), values)

    def test_metrics(self):
        with Server(COMMAND, '-m', MODEL, '--alias', f'odd"name\\={MODEL}') as server:
            for body, status in (({'input': ['owl', 'dog', 'cat']}, 200), ({'input': 'owl'}, 200), ({}, 400)):
                self.assertEqual(server.ask('POST', '/v1/embeddings', body)[0], status)
            self.assertEqual(server.ask('GET', '/ping', headers={'Host': 'evil'})[0], 403)
            self.assertEqual(server.ask('GET', '/nothing')[0], 404)
            _, headers, text = server.ask('GET', '/metrics')
            self.assertEqual(headers['Content-Type'].split(';')[0], 'text/plain')
            types, values = self.parse(text.decode())
            self.check_histograms(types, values)
            for key, value in {
                    ('vkclip_requests_total', 'route="/v1/embeddings",status="2xx"'): 2,
                    ('vkclip_requests_total', 'route="/v1/embeddings",status="4xx"'): 1,
                    ('vkclip_requests_total', 'route="",status="4xx"'): 1,
                    ('vkclip_rejected_total', 'reason="host"'): 1, ('vkclip_rejected_total', 'reason="busy"'): 0,
                    ('vkclip_batch_items_total', 'tower="text"'): 4, ('vkclip_batch_size_count', 'tower="text"'): 2,
                    ('vkclip_batch_size_sum', 'tower="text"'): 4, ('vkclip_batch_size_bucket', 'tower="text",le="2"'): 1,
                    ('vkclip_waiting_items', None): 0, ('vkclip_models', None): 1, ('vkclip_device_lost', None): 0,
                    ('vkclip_running_requests', None): 0, ('vkclip_body_bytes', None): 0}.items():
                self.assertEqual(values[key], value, key)
            self.assertGreater(values['vkclip_models_bytes', None], 1e6)
            # Opening the model makes the device busy, too, but no later request does so.
            self.assertEqual(server.ask('POST', '/v1/embeddings', {'input': 'owl'})[0], 200)
            later = self.parse(server.ask('GET', '/metrics')[2].decode())[1]
            busy, took = (sum(later[key] - values[key] for key in values if key[0] == name)
                          for name in ('vkclip_device_busy_seconds_total', 'vkclip_batch_seconds_total'))
            self.assertTrue(0 < busy <= took, (busy, took))
            self.assertGreaterEqual(values['vkclip_received_bytes_total', None], 50)


class Stopping(unittest.TestCase):
    def ask_long(self, server, body):
        """Starts a long request, and returns where its status will be."""
        found = []
        thread = threading.Thread(target=lambda: found.append(server.ask('POST', '/v1/embeddings', body)[0]))
        thread.start()
        self.assertTrue(server.wait_for(lambda: server.metric('vkclip_running_requests') == 1))
        return thread, found

    def test_requests_end_first(self):
        with Server(COMMAND, '-m', MODEL, '--stop-timeout', '600', '--timeout', '600') as server:
            thread, found = self.ask_long(server, LONG)
            # A connection that is open can see that the server stops.
            watcher = http.client.HTTPConnection('127.0.0.1', server.port, timeout=600)
            watcher.request('GET', '/healthz')
            self.assertEqual(json.loads(watcher.getresponse().read())['status'], 'ok')
            server.process.send_signal(signal.SIGTERM)
            self.assertTrue(server.wait_for(lambda: not os.path.exists(server.socket)))
            watcher.request('GET', '/healthz')
            answer = watcher.getresponse()
            self.assertEqual((answer.status, json.loads(answer.read())['status']), (503, 'stopping'))
            self.assertTrue(server.wait_for(lambda: self.is_refused(server)))
            thread.join()
            self.assertEqual((found, server.process.wait(600)), ([200], 0))

    def is_refused(self, server):
        try:
            server.connect(1).close()
            return False
        except ConnectionError:
            return True

    def test_requests_are_given_up(self):
        with Server(COMMAND, '-m', MODEL, '--stop-timeout', '0.2', '--timeout', '600') as server:
            thread, found = self.ask_long(server, ENDLESS)
            server.process.send_signal(signal.SIGINT)
            thread.join()
            self.assertEqual((found, server.process.wait(600)), ([503], 0))

    def test_index_that_another_process_has_locked(self):
        """Neither a request nor a pass that waits for the lock holds up the end: a wait takes up to half a minute."""
        with short_folder() as folder:
            pictures, names = folder + '/pictures', sorted(os.listdir(SAMPLES))
            os.mkdir(pictures)
            for name in names[:3]:
                shutil.copy(SAMPLES + name, pictures)
            with Server(COMMAND, '-m', MODEL, '--index', pictures, '--stop-timeout', '0.5',
                        environment={'VKCLIP_INDEX': folder + '/index.db'}) as server:
                server.wait_for_index()
                ids = [hit['id'] for hit in server.ask_json('POST', '/api/v1/search', {})[1]['hits']]
                other = sqlite3.connect(folder + '/index.db', timeout=30, isolation_level=None)
                other.execute('BEGIN IMMEDIATE')
                shutil.copy(SAMPLES + names[3], pictures)
                server.ask('POST', '/api/v1/index/update')
                found = []
                thread = threading.Thread(target=lambda: found.append(
                    server.ask('POST', '/api/v1/duplicates/forget', {'ids': ids[:2]})[0]))
                thread.start()
                self.assertTrue(server.wait_for(lambda: server.metric('vkclip_running_requests') == 1))
                began = time.monotonic()
                self.assertEqual(server.stop(), 0)
                self.assertLess(time.monotonic() - began, 25)
                thread.join()
                self.assertEqual(found, [503])
                other.close()

    def lock(self, path):
        """Lets nobody else read the index until the connection is closed."""
        other = sqlite3.connect(path, isolation_level=None)
        other.execute('PRAGMA locking_mode = EXCLUSIVE')
        other.execute('BEGIN IMMEDIATE')
        return other

    def count_open(self, server, path):
        """How often the server has opened the file that is there now."""
        found, folder = 0, f'/proc/{server.process.pid}/fd/'
        for name in os.listdir(folder):
            try:
                found += os.path.samefile(folder + name, path)
            except FileNotFoundError:  # It was closed meanwhile, or is no file.
                pass
        return found

    def test_start_with_a_locked_index(self):
        """A signal ends a server that waits for the index, as it does later: without waiting for half a minute and failing."""
        with short_folder() as folder:
            environment = {**os.environ, 'VKCLIP_INDEX': folder + '/index.db'}
            subprocess.run([COMMAND, 'index', '-m', MODEL, SAMPLES], check=True, env=environment)
            other = self.lock(folder + '/index.db')
            with subprocess.Popen([COMMAND, 'serve', '--index', folder + '/index.db', '--listen', '', '--unix', folder + '/s'],
                                  stderr=subprocess.PIPE, text=True) as process:
                while not os.path.exists(folder + '/s') and process.poll() is None:
                    time.sleep(0.02)
                process.send_signal(signal.SIGTERM)
                log = process.communicate(timeout=600)[1]
                self.assertEqual((process.returncode, 'locked' in log), (0, False), log)
            other.close()

    def test_comparison_of_a_locked_index(self):
        """A comparison that waits for the index is given up when the server ends, and does not fail half a minute later."""
        with short_folder() as folder:
            path = folder + '/index.db'
            subprocess.run([COMMAND, 'index', '-m', MODEL, SAMPLES], check=True, env={**os.environ, 'VKCLIP_INDEX': path})
            shutil.copy(path, folder + '/copy.db')
            with Server(COMMAND, '--index', path, '-vv') as server:
                other = self.lock(folder + '/copy.db')
                os.rename(folder + '/copy.db', path)
                self.assertEqual(server.ask('GET', '/api/v1/duplicates?wait=0')[0], 202)
                # The thread that keeps the index up to date waits for it, too.
                self.assertTrue(server.wait_for(lambda: self.count_open(server, path) == 2))
                server.process.send_signal(signal.SIGTERM)
                self.assertEqual(server.process.wait(600), 0)
                self.assertEqual(server.read_log().count(path + ': stopped by the caller'), 2, server.read_log())
                other.close()

    def test_second_signal(self):
        with Server(COMMAND, '-m', MODEL, '--stop-timeout', '600', '--timeout', '600') as server:
            with server.connect() as connection:
                # A body that does not come keeps the server from ending.
                connection.sendall(b'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n')
                self.assertTrue(server.wait_for(lambda: server.metric('vkclip_connections') >= 2))
                server.process.send_signal(signal.SIGTERM)
                self.assertTrue(server.wait_for(lambda: not os.path.exists(server.socket)))
                time.sleep(0.3)
                self.assertIsNone(server.process.poll())
                server.process.send_signal(signal.SIGTERM)
                self.assertEqual(server.process.wait(600), -signal.SIGTERM)

    def test_idle_connections_hold_up_nobody(self):
        with Server(COMMAND, '-m', MODEL, '--stop-timeout', '6000') as server:
            with server.connect(), server.connect() as connection:
                connection.sendall(b'GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n')
                self.assertIn(b'200', connection.recv(1000))
                self.assertEqual(server.stop(), 0)  # It fails after ten minutes.


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
