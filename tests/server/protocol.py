#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""protocol.py COMMAND [unittest's arguments]: what vkclip serve makes of HTTP, tokens, names and origins."""
import http.client
import json
import os
import stat
import sys
import tempfile
import unittest

from serving import MODEL, Server

COMMAND = ''
TOKEN = 'a-token-of-some-length'
ORIGIN = 'http://app.example'


def read_answer(file):
    """Reads one answer of a connection that stays open: status, headers in small letters, and body."""
    status = int(file.readline().split()[1])
    headers = http.client.parse_headers(file)
    return status, headers, file.read(int(headers.get('Content-Length', 0)))


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(COMMAND, '-m', MODEL, '--cors', ORIGIN, '--host', 'photos.example')

    @classmethod
    def tearDownClass(cls):
        unittest.TestCase().assertEqual(cls.server.stop(), 0)

    def exchange(self, *requests):
        """Sends requests over one connection at once, and returns their answers."""
        with self.server.connect() as connection, connection.makefile('rb') as file:
            connection.sendall(b''.join(requests))
            return [read_answer(file) for _ in requests]

    def test_requests_follow_each_other(self):
        get = b'GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n'
        body = b'{"input":"owl"}'
        post = b'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n' + body
        chunked = (b'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'
                   b'5;x=y\r\n' + body[:5] + b'\r\na\r\n' + body[5:] + b'\r\n0\r\nTrailer: x\r\n\r\n')
        lost = b'POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n' + body
        proxy = b'GET http://localhost/ping HTTP/1.1\r\nHost: localhost\r\n\r\n'
        answers = self.exchange(get, post, lost, chunked, get, proxy, post)
        self.assertEqual([status for status, _, _ in answers], [200, 200, 404, 200, 200, 200, 200])
        self.assertEqual(answers[1][2], answers[3][2])

    def test_many_parameters(self):
        """A URL with more parameters than there is room for ends its connection, long before the limit of silence."""
        for count, text in ((100, b'pong'), (101, b''), (500, b''), (5000, b'')):
            with self.server.connect() as connection:
                connection.sendall(b'GET /ping?' + b'&'.join([b'a=1'] * count) + b' HTTP/1.1\r\nHost: localhost\r\n\r\n')
                connection.settimeout(25)
                self.assertEqual(connection.recv(1000)[-4:], text, count)

    def test_head_is_get_without_a_body(self):
        for path in ('/healthz', '/v1/models', '/'):
            status, headers, body = self.server.ask('GET', path)
            found = self.server.ask('HEAD', path)
            self.assertEqual((found[0], found[1]['Content-Length'], found[2]), (status, str(len(body)), b''))

    def test_http_1_0(self):
        with self.server.connect() as connection, connection.makefile('rb') as file:
            connection.sendall(b'GET /ping HTTP/1.0\r\n\r\n')
            self.assertEqual(read_answer(file)[::2], (200, b'pong'))
            self.assertEqual(file.read(), b'')

    def test_expect(self):
        with self.server.connect() as connection, connection.makefile('rb') as file:
            connection.sendall(b'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n'
                               b'Content-Length: 15\r\n\r\n')
            self.assertEqual(file.readline() + file.readline(), b'HTTP/1.1 100 Continue\r\n\r\n')
            connection.sendall(b'{"input":"owl"}')
            self.assertEqual(read_answer(file)[0], 200)

    def test_names_of_requests(self):
        given = {'X-Request-Id': 'abc.DEF-123_4'}
        self.assertEqual(self.server.ask('GET', '/ping', headers=given)[1]['X-Request-Id'], 'abc.DEF-123_4')
        found = {self.server.ask('GET', '/ping', headers={'X-Request-Id': name})[1]['X-Request-Id']
                 for name in ('', 'a b', 'x' * 41, '"', '\xe4')}
        self.assertEqual(len(found), 5)
        self.assertTrue(all(len(name) == 16 for name in found))

    def test_names_of_the_server(self):
        for host in ('localhost', 'LOCALHOST:1', '127.0.0.1:8765', '[::1]', 'photos.example', 'Photos.Example:443'):
            self.assertEqual(self.server.ask('GET', '/v1/models', headers={'Host': host})[0], 200, host)
        status, _, body = self.server.ask('GET', '/v1/models', headers={'Host': 'evil.example'})
        self.assertEqual((status, b'--host' in body), (403, True))

    def test_preflight(self):
        ask = (b'OPTIONS /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Method: POST\r\n'
               b'Access-Control-Request-Private-Network: true\r\nOrigin: %s\r\n\r\n')
        answers = self.exchange(ask % ORIGIN.encode(), ask % b'http://other.example')
        status, headers, body = answers[0]
        self.assertEqual((status, body, headers['Access-Control-Allow-Origin']), (204, b'', ORIGIN))
        self.assertIn('POST', headers['Access-Control-Allow-Methods'])
        self.assertIn('Authorization', headers['Access-Control-Allow-Headers'])
        self.assertEqual(headers['Access-Control-Allow-Private-Network'], 'true')
        self.assertEqual(answers[1][0], 405)

    def test_origins(self):
        own = {'Origin': f'http://localhost:{self.server.port}', 'Host': f'localhost:{self.server.port}'}
        for headers, expected in [
                ({'Origin': ORIGIN}, 200), ({'Origin': ORIGIN, 'Sec-Fetch-Site': 'cross-site'}, 200), (own, 200),
                ({'Origin': 'http://app.example.evil'}, 403), ({'Origin': 'null'}, 403),
                ({'Sec-Fetch-Site': 'same-origin'}, 200), ({'Sec-Fetch-Site': 'none'}, 200),
                ({'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate'}, 200),
                ({'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors'}, 403), ({'Sec-Fetch-Site': 'same-site'}, 403)]:
            status, found, _ = self.server.ask('GET', '/v1/models', headers=headers)
            self.assertEqual(status, expected, headers)
            self.assertEqual(found['Cross-Origin-Resource-Policy'], 'same-origin')
            self.assertEqual(found['X-Content-Type-Options'], 'nosniff')


    def test_page(self):
        """The page runs and asks nothing of others, and stands in no frame."""
        policy = self.server.ask('GET', '/')[1]['Content-Security-Policy']
        for rule in ("default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            self.assertIn(rule, policy.split('; '))
        # No script or style stands in the page itself, and none is made of text.
        for word in ('unsafe', 'http', '*'):
            self.assertNotIn(word, policy)


class Tokens(unittest.TestCase):
    def check(self, server):
        """The token is wanted everywhere but for what tells nothing, and a refused body is received."""
        for path in ('/healthz', '/', '/api/v1', '/ping'):
            self.assertEqual(server.ask('GET', path)[0], 200, path)
        for headers in ({}, {'Authorization': 'Bearer ' + TOKEN[:-1]}, {'Authorization': 'Bearer ' + TOKEN + 'x'},
                        {'Authorization': 'Basic ' + TOKEN}, {'Authorization': TOKEN}, {'Authorization': 'Bearer'},
                        {'Cookie': 'vkclip_token=' + TOKEN[:-1]}, {'Cookie': 'token=' + TOKEN}):
            status, found, _ = server.ask('GET', '/metrics', headers=headers)
            self.assertEqual((status, found['WWW-Authenticate']), (401, 'Bearer'), headers)
        for headers in ({'Authorization': 'Bearer ' + TOKEN}, {'authorization': 'bearer ' + TOKEN},
                        {'Cookie': f'a=b; vkclip_token={TOKEN}; c=d'}):
            self.assertEqual(server.ask('GET', '/metrics', headers=headers)[0], 200, headers)
        self.assertEqual(server.ask('POST', '/v1/embeddings', b'x' * 3000000)[0], 401)
        # What needs no token may not send much.
        self.assertEqual(server.ask('POST', '/api/v1/session', b'x' * 3000000)[0], 413)
        self.assertEqual(server.ask('POST', '/api/v1/session', {'token': 'wrong'})[0], 401)
        status, headers, _ = server.ask('POST', '/api/v1/session', {'token': TOKEN})
        self.assertEqual(status, 200)
        self.assertRegex(headers['Set-Cookie'], f'^vkclip_token={TOKEN}; Path=/; HttpOnly; SameSite=Strict$')
        self.assertEqual(server.ask('GET', '/metrics', headers={'Cookie': headers['Set-Cookie'].split(';')[0]})[0], 200)

    def test_on_the_command_line(self):
        with Server(COMMAND, '-m', MODEL, '--token', TOKEN) as server:
            self.check(server)

    def test_in_the_environment(self):
        with Server(COMMAND, '-m', MODEL, environment={'VKCLIP_TOKEN': TOKEN}) as server:
            self.check(server)

    def test_in_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'token')
            with open(path, 'w', encoding='utf-8') as file:
                file.write(TOKEN + '\r\nanother line\n')
            os.chmod(path, stat.S_IRUSR)
            with Server(COMMAND, '-m', MODEL, '--token-file', path, environment={'VKCLIP_TOKEN': 'other-token'}) as server:
                self.check(server)
                self.assertNotIn('other users', server.read_log())
                # No option of another process tells the token.
                with open(f'/proc/{server.process.pid}/cmdline', 'rb') as file:
                    self.assertNotIn(TOKEN.encode(), file.read())
            os.chmod(path, 0o644)
            with Server(COMMAND, '-m', MODEL, '--token-file', path) as server:
                self.assertIn('other users can read the token', server.read_log())

    def test_wrong_tokens(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'token')
            with open(path, 'w', encoding='utf-8') as file:
                file.write('\n' + TOKEN)
            for arguments, message in ((('--token', 'short'), '8 to 512'), (('--token', 'with spaces'), 'of letters'),
                                       (('--token', 'semicolon;'), 'of letters'), (('--token-file', path), f'--token-file {path}: expected'),
                                       (('--token-file', folder + '/nothing'), f'--token-file {folder}/nothing: No such file')):
                with self.assertRaises(AssertionError) as caught:
                    Server(COMMAND, '-m', MODEL, *arguments)
                self.assertIn(message, str(caught.exception))

    def test_errors_have_the_form_of_their_protocol(self):
        with Server(COMMAND, '-m', MODEL, '--token', TOKEN) as server:
            self.assertIn('message', server.ask_json('POST', '/v1/embeddings', {})[1]['error'])
            self.assertIn('detail', server.ask_json('POST', '/predict', {})[1])
            self.assertIsInstance(server.ask_json('GET', '/metrics')[1]['error'], str)
            # Another method than the protocol's has its form, too.
            for path, key in (('/predict', 'detail'), ('/knn-service', 'message'), ('/metadata', 'message'),
                              ('/v1/embeddings', 'error'), ('/api/v1/search', 'error')):
                status, answer = server.ask_json('GET', path, headers={'Authorization': 'Bearer ' + TOKEN})
                self.assertEqual((status, list(answer)), (405, [key]), path)
            self.assertIn('\ufffd', json.loads(server.ask('GET', '/%ff')[2])['error'])


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
