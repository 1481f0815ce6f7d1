#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""remote.py COMMAND [unittest's arguments]: vkclip search and embed use a server, with the same results."""
import os
import subprocess
import sys
import unittest

from serving import MODEL, Server, short_folder

COMMAND = ''
SAMPLES = 'tests/golden/emoji-clip/samples/'


class Remote(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = short_folder()
        cls.environment = {'XDG_RUNTIME_DIR': cls.folder.name, 'VKCLIP_INDEX': cls.folder.name + '/index.db'}
        cls.server = Server(COMMAND, '-m', MODEL, environment=cls.environment)
        os.rename(cls.server.socket, cls.folder.name + '/vkclip.sock')
        cls.run_command(cls, 'index', '-m', MODEL, SAMPLES)

    @classmethod
    def tearDownClass(cls):
        unittest.TestCase().assertEqual(cls.server.stop(), 0)
        cls.folder.cleanup()

    def run_command(self, *arguments, status=0, **environment):
        result = subprocess.run([COMMAND, *arguments], capture_output=True, text=True,
                                env={**os.environ, **self.environment, **environment})
        assert result.returncode == status, result.stderr
        return result.stdout, result.stderr

    def items(self):
        lines = self.server.ask('GET', '/metrics')[2].decode().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith('vkclip_batch_items_total'))

    def test_search(self):
        before = self.items()
        query = ['search', 'a', 'picture', 'of', 'owl', '-', 'tiger', '--json']
        found = self.run_command(*query)[0]
        self.assertEqual(self.items(), before + 2)
        self.assertEqual(found, self.run_command(*query, '--server', 'never')[0])
        self.assertEqual(self.items(), before + 2)
        # The index names the model by its weights, which the server does not open a second time.
        self.assertEqual(self.server.metric('vkclip_models_opened_total'), 1)
        url = f'http://127.0.0.1:{self.server.port}'
        self.assertEqual(found, self.run_command(*query, '--server', url)[0])
        self.assertEqual([row['id'] for row in self.server.ask_json('GET', '/v1/models')[1]['data']], ['emoji-clip'])
        before += 2
        # A picture is looked up in the index by this process.
        self.run_command('search', SAMPLES + '1f989.png')
        self.assertEqual(self.items(), before + 2)

    def test_the_model_of_an_index(self):
        """Without -m the index's only model is that of requests which name none."""
        with Server(COMMAND, '--index', self.environment['VKCLIP_INDEX']) as server:
            ask = lambda model: server.ask_json('POST', '/v1/embeddings', {'input': 'owl', **model})
            self.assertEqual(ask({})[0], 200)
            self.assertEqual(ask({'model': server.ask_json('GET', '/v1/models')[1]['data'][0]['id']})[0], 200)
            self.assertEqual(server.ask_json('POST', '/api/v1/search', {'query': [{'text': 'owl'}]})[0], 200)
            self.assertEqual(server.metric('vkclip_models_opened_total'), 1)

    def test_embed(self):
        before = self.items()
        outputs = []
        for mode in ('auto', 'never', self.folder.name + '/vkclip.sock', f'http://127.0.0.1:{self.server.port}'):
            path = self.folder.name + '/out.jsonl'
            _, log = self.run_command('embed', '-m', MODEL, '--text', 'owl', '--text', 'a \u00fc', '-o', path,
                                      '--overwrite', '--server', mode, SAMPLES + '1f989.png', 'README.md',
                                      'no/such.png', SAMPLES + '1f355.png', status=1)
            with open(path, encoding='utf-8') as file:
                outputs.append((file.read(), [line for line in log.splitlines() if line.startswith('vkclip: ') and 'warning' not in line]))
        self.assertEqual(self.items(), before + 12)
        self.assertIn('README.md', outputs[0][1][0])
        for output in outputs[1:]:
            self.assertEqual(output, outputs[0])

    def test_what_the_server_does_not_do(self):
        before = self.items()
        path = self.folder.name + '/other.npy'
        for options in (['--precision', 'f16'], ['--no-normalize'], ['--strict'], ['--weights', 'q8']):
            self.run_command('embed', '-m', MODEL, '--text', 'owl', '-o', path, '--overwrite', *options)
        self.assertEqual(self.items(), before)

    def test_wrong_servers(self):
        for address, text in (('http://127.0.0.1:1', 'http://127.0.0.1:1: the server cannot be used: '),
                              ('README.md', 'README.md: the server cannot be used: '),
                              ('/no/such.sock', '--server /no/such.sock: there is no such socket'),
                              (f'127.0.0.1:{self.server.port}', 'expected http://HOST:PORT')):
            _, log = self.run_command('embed', '-m', MODEL, '--text', 'owl', '-o', self.folder.name + '/x.npy',
                                      '--server', address, status=1)
            self.assertIn(text, log)
        for server in ([], ['--server', 'never'], ['--server', f'http://127.0.0.1:{self.server.port}']):
            _, log = self.run_command('search', 'owl', '--server-ca', 'README.md', *server, status=2)
            self.assertIn('--server https://', log)
        with Server(COMMAND, '-m', MODEL, '--token', 'a-long-token') as server:
            arguments = ['embed', '-m', MODEL, '--text', 'owl', '-o', self.folder.name + '/y.npy',
                         '--server', f'http://127.0.0.1:{server.port}']
            self.assertIn('set VKCLIP_TOKEN', self.run_command(*arguments, status=1)[1])
            self.assertIn("is not the server's", self.run_command(*arguments, status=1, VKCLIP_TOKEN='another')[1])
            self.run_command(*arguments, VKCLIP_TOKEN='a-long-token')

    def make_certificate(self, name, alternative):
        path = f'{self.folder.name}/{name}'
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days',
                        '2', '-subj', f'/CN={name}', '-addext', f'subjectAltName={alternative}', '-keyout', path + '.key',
                        '-out', path + '.pem'], check=True, capture_output=True)
        return path + '.pem', path + '.key'

    def test_certificates(self):
        """A server with a certificate that the system does not trust is used with --server-ca, and only then."""
        (own, key), (other, _) = self.make_certificate('own', 'IP:127.0.0.1'), self.make_certificate('other', 'IP:127.0.0.1')
        (elsewhere, key2) = self.make_certificate('elsewhere', 'DNS:photos.example')
        arguments = ['embed', '-m', MODEL, '--text', 'owl', '-o', self.folder.name + '/tls.npy', '--overwrite', '--server']
        with Server(COMMAND, '-m', MODEL, '--tls-cert', own, '--tls-key', key) as server:
            url = f'https://127.0.0.1:{server.port}'
            self.run_command(*arguments, url, '--server-ca', own)
            for options, text in (([], 'name its certificate'), (['--server-ca', other], 'name its certificate'),
                                  (['--server-ca', 'README.md'], '--server-ca: expected a file of PEM'),
                                  (['--server-ca', '/no/such.pem'], '--server-ca: expected a file of PEM')):
                _, log = self.run_command(*arguments, url, *options, status=1)
                self.assertIn(url + ': the server cannot be used: ', log)
                self.assertIn(text, log)
                self.assertEqual('--server-ca FILE' in log, 'name its' in text)
            _, log = self.run_command(*arguments, url.replace('https', 'http'), status=1)
            self.assertIn('name it by https://', log)
            _, log = self.run_command(*arguments, f'https://127.0.0.1:{self.server.port}', status=1)
            self.assertIn('name it by http://', log)
        # The certificate is for another name, which another authority would not mend.
        with Server(COMMAND, '-m', MODEL, '--tls-cert', elsewhere, '--tls-key', key2) as server:
            _, log = self.run_command(*arguments, f'https://127.0.0.1:{server.port}', '--server-ca', elsewhere, status=1)
            self.assertIn('127.0.0.1', log)
            self.assertNotIn('--server-ca', log)


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
