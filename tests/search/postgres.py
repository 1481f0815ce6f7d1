#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""postgres.py COMMAND TEST_STORE TEST_POSTGRES [PGLITE]: tests an index in PostgreSQL on a private server.

Starts the newest server of /usr/lib/postgresql on a socket in a temporary folder, runs both test programs and several
`vkclip index` processes on it, and stops it. With PGLITE, the folder into which third_party/pglite.sh has installed
PGlite, an index is made in that too, which has pgvector. Is skipped where there is neither.
"""
import contextlib
import ctypes
import glob
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

MODEL = 'models/emoji-clip'
PASSWORD = 'pa%3Ass'  # as in a URI
COUNT = 48
ARGUMENTS = []


def end_with_parent():
    """Makes the system end this process, before it becomes the server, when the test ends in any way."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


def find_server():
    """The folder of the newest server's programs; None if there is none."""
    found = glob.glob('/usr/lib/postgresql/*/bin/postgres')
    found.sort(key=lambda path: int(path.split('/')[4]) if path.split('/')[4].isdigit() else 0)
    return os.path.dirname(found[-1]) if found else None


def server_user():
    """The server refuses to run as root."""
    if os.getuid():
        return {}
    names = [user.pw_name for user in pwd.getpwall()]
    user = pwd.getpwnam('postgres' if 'postgres' in names else 'nobody')
    return {'user': user.pw_uid, 'group': user.pw_gid, 'extra_groups': []}


@contextlib.contextmanager
def running(arguments, is_ready, **others):
    """Runs a server until the end of the block."""
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=end_with_parent,
                          **others) as server:
        try:
            while not is_ready():
                if server.poll() is not None:
                    raise RuntimeError(server.stderr.read().decode())
                time.sleep(0.05)
            yield
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()


@contextlib.contextmanager
def postgresql():
    """A server, and the URI of a database of it."""
    programs, user = find_server(), server_user()
    # The path of a socket has at most 107 bytes, and the folder of TMPDIR may be root's own.
    folder = tempfile.mkdtemp(prefix='vkclip-test-', dir='/tmp')
    try:
        with open(f'{folder}/password', 'w', encoding='ascii') as file:
            file.write('pa:ss\n')
        if user:
            for path in folder, f'{folder}/password':
                os.chown(path, user['user'], user['group'])
        os.chmod(folder, 0o755)
        environment = {**os.environ, 'LC_ALL': 'C', 'HOME': folder}
        subprocess.run([f'{programs}/initdb', '-D', f'{folder}/data', '-U', 'vkclip', '-A', 'scram-sha-256',
                        '--pwfile', f'{folder}/password', '-E', 'UTF8', '--no-locale', '--no-sync'],
                       stdout=subprocess.DEVNULL, check=True, env=environment, cwd='/', **user)
        ready = [f'{programs}/pg_isready', '-q', '-h', folder]
        with running([f'{programs}/postgres', '-D', f'{folder}/data', '-k', folder, '-c', 'listen_addresses=',
                      '-c', 'fsync=off', '-c', 'shared_buffers=16MB'],
                     lambda: not subprocess.run(ready, check=False).returncode, env=environment, cwd='/', **user):
            yield f'postgresql://vkclip:{PASSWORD}@/postgres?host={folder.replace("/", "%2F")}'
    finally:
        shutil.rmtree(folder)


class IndexTest(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp())  # The paths in an index have no links.
        self.addCleanup(shutil.rmtree, self.folder)
        self.cache = {**os.environ, 'VKCLIP_CACHE_DIR': f'{self.folder}/cache'}

    def write_pictures(self, count, start=0):
        os.makedirs(f'{self.folder}/p', exist_ok=True)
        for i in range(start, start + count):
            pixels = bytes((x * (i + 1) + y * 7 * i) % 256 for y in range(24) for x in range(72))
            with open(f'{self.folder}/p/{i:03}.ppm', 'wb') as file:
                file.write(b'P6 24 24 255\n' + pixels)

    def start(self, *arguments):
        process = subprocess.Popen([ARGUMENTS[0], *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.cache)
        self.addCleanup(process.kill) # It has ended, unless the test has failed.
        return process

    def end(self, process, status=0):
        """The lines of a process; its messages are in self.errors."""
        output, errors = process.communicate(timeout=300)
        self.errors = errors.decode('utf-8', 'replace')
        self.assertEqual(process.returncode, status, self.errors)
        self.assertNotIn('ss@', output.decode() + self.errors)
        self.assertNotIn(PASSWORD, output.decode() + self.errors)
        return output.decode()

    def run_test(self, program, uri, *arguments):
        done = subprocess.run([program, *arguments], env={**self.cache, 'VKCLIP_TEST_POSTGRESQL': uri},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode('utf-8', 'replace'))

    def run_json(self, *arguments, status=0):
        return [json.loads(line) for line in self.end(self.start(*arguments, '--json'), status).splitlines()]

    def compare_with_file(self, uri):
        """Searches give the same results as in an index that is a file. Scores differ a little with the batches in
        which the pictures were encoded."""
        found = []
        shutil.copy(f'{self.folder}/p/003.ppm', f'{self.folder}/p/copy.ppm')
        for index in uri, f'{self.folder}/index.db':
            self.run_json('index', '--index', index, '-m', MODEL, f'{self.folder}/p')
            hits = self.run_json('search', '--index', index, '-m', MODEL, '--top', str(COUNT), 'a red heart')
            groups = self.run_json('duplicates', '--index', index)
            found.append(({hit['path']: hit['score'] for hit in hits},
                          [sorted(group['paths']) for group in groups if group['kind'] == 'exact']))
        self.assertEqual(len(found[0][0]), COUNT)
        self.assertEqual(found[0][0].keys(), found[1][0].keys())
        for path, score in found[0][0].items():
            self.assertAlmostEqual(score, found[1][0][path], delta=2e-3)
        self.assertEqual(found[0][1], [[f'{self.folder}/p/003.ppm', f'{self.folder}/p/copy.ppm']])
        self.assertEqual(found[0][1], found[1][1])
        self.assertEqual(len(glob.glob(f'{self.folder}/cache/index-*.vectors')), 1)


@unittest.skipIf(not find_server(), 'PostgreSQL was not found')
class PostgreSQL(IndexTest):
    @classmethod
    def setUpClass(cls):
        cls.server = contextlib.ExitStack()
        cls.uri = cls.server.enter_context(postgresql())
        cls.addClassCleanup(cls.server.close)

    def sql(self, text):
        """Runs statements as psql does; the values of the last one's rows."""
        return subprocess.run([f'{find_server()}/psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', self.uri, '-c', text],
                              stdout=subprocess.PIPE, check=True,
                              env={**os.environ, 'PGOPTIONS': '-c client_min_messages=warning'}).stdout.decode().split()

    def setUp(self):
        super().setUp()
        self.sql('DROP SCHEMA IF EXISTS vkclip CASCADE')

    def test_programs(self):
        """The tests of the store."""
        for program in ARGUMENTS[1:3]:
            self.run_test(program, self.uri)

    def watch_vectors(self):
        """Logs every vector that is written from now on."""
        os.makedirs(f'{self.folder}/empty')
        self.run_json('index', '--index', self.uri, '-m', MODEL, f'{self.folder}/empty')
        self.sql('''CREATE TABLE vkclip.log(content bigint);
                    CREATE FUNCTION vkclip.note() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN INSERT INTO vkclip.log VALUES(NEW.content); RETURN NEW; END';
                    CREATE TRIGGER note AFTER INSERT OR UPDATE ON vkclip.vector
                    FOR EACH ROW EXECUTE FUNCTION vkclip.note()''')

    def test_two_processes(self):
        """Two processes share the work: nothing is encoded twice, and nothing is left out."""
        self.write_pictures(COUNT)
        self.watch_vectors()
        both = [self.start('index', '--index', self.uri, '-m', MODEL, f'{self.folder}/p', '--batch', '4', '--json')
                for _ in range(2)]
        results = [json.loads(self.end(process)) for process in both]
        self.assertEqual([sum(result[name] for result in results) for name in ('new', 'removed', 'failed')],
                         [COUNT, 0, 0])
        self.assertEqual(self.sql('SELECT count(*), count(DISTINCT content) FROM vkclip.log'), [f'{COUNT}|{COUNT}'])
        self.assertEqual(self.sql('SELECT count(*) FROM vkclip.work'), ['0'])
        (status,) = self.run_json('index', '--index', self.uri, '--status')
        self.assertEqual((status['files'], status['missing'], status['models'][0]['vectors']), (COUNT, 0, COUNT))
        self.assertTrue(status['path'].startswith('postgresql://vkclip@/postgres?'), status['path'])
        self.compare_with_file(self.uri)

    def test_two_processes_with_copies(self):
        """Of copies that two processes read at the same time, one is encoded, and both are in the index."""
        self.write_pictures(COUNT)
        shutil.copytree(f'{self.folder}/p', f'{self.folder}/q')
        self.watch_vectors()
        both = [self.start('index', '--index', self.uri, '-m', MODEL, f'{self.folder}/{name}', '--json')
                for name in 'pq']
        results = [json.loads(self.end(process)) for process in both]
        self.assertEqual([(result['indexed'], result['new']) for result in results], [(COUNT, COUNT)] * 2)
        self.assertEqual(self.sql('SELECT count(*), count(DISTINCT content) FROM vkclip.log'), [f'{COUNT}|{COUNT}'])
        self.assertEqual(self.sql('SELECT count(*) FROM vkclip.work'), ['0'])

    def test_kill(self):
        """What a killed process had claimed is done by the next."""
        self.write_pictures(COUNT)
        self.watch_vectors()
        killed = self.start('index', '--index', self.uri, '-m', MODEL, f'{self.folder}/p', '--batch', '1')
        for _ in range(2000):
            if int(self.sql('SELECT count(*) FROM vkclip.work')[0]) or killed.poll() is not None:
                break
        killed.kill()
        killed.communicate()
        (result,) = self.run_json('index', '--index', self.uri, '-m', MODEL, f'{self.folder}/p')
        self.assertEqual(result['indexed'], COUNT)
        (result,) = self.run_json('index', '--index', self.uri, '-m', MODEL, f'{self.folder}/p')
        self.assertEqual((result['indexed'], result['new']), (COUNT, 0))
        self.assertEqual(self.sql('SELECT count(*), count(DISTINCT content) FROM vkclip.log'), [f'{COUNT}|{COUNT}'])

    def test_changes(self):
        """A pass finds what has moved, changed and gone."""
        self.write_pictures(6)
        index = ['index', '--index', self.uri, '-m', MODEL]
        self.run_json(*index, f'{self.folder}/p')
        os.rename(f'{self.folder}/p/000.ppm', f'{self.folder}/p/moved.ppm')
        os.remove(f'{self.folder}/p/001.ppm')
        shutil.copy(f'{self.folder}/p/003.ppm', f'{self.folder}/p/002.ppm')
        (result,) = self.run_json(*index)
        self.assertEqual(result, {'indexed': 5, 'new': 0, 'changed': 1, 'moved': 1, 'removed': 1, 'failed': 0})
        self.assertEqual(self.run_json('index', '--index', self.uri, '--prune'), [{'removed': 1}])
        self.assertEqual(self.run_json('index', '--index', self.uri, '--remove', f'{self.folder}/p/moved.ppm'),
                         [{'removed': 1}])

    def test_bad_input(self):
        self.end(self.start('index', '--index', self.uri.replace(PASSWORD, 'wrong'), '--status'), 1)
        self.assertIn('password authentication failed for user "vkclip"', self.errors)
        self.assertNotIn('wrong', self.errors)
        self.end(self.start('index', '--index', self.uri, '--status'), 1)
        self.assertIn('the database has no index yet', self.errors)
        self.assertEqual(self.errors.count('\n'), 1, self.errors)


@unittest.skipIf(not shutil.which('node'), 'Node.js was not found')
class PGlite(IndexTest):
    def test_pgvector(self):
        """Vectors are of pgvector's type, and have an HNSW index on request."""
        if len(ARGUMENTS) < 4:
            self.skipTest('PGlite was not found: third_party/pglite.sh installs it with npm')
        note = f'{self.folder}/port'
        node = ['node', 'tests/search/pglite.mjs', ARGUMENTS[3], note]
        with running(node, lambda: os.path.exists(note)):
            with open(note, encoding='ascii') as file:
                uri = f'postgresql://postgres:{PASSWORD}@127.0.0.1:{file.read()}/postgres?sslmode=disable'
            self.write_pictures(COUNT)
            (result,) = self.run_json('index', '--index', uri, '-m', MODEL, f'{self.folder}/p')
            self.assertEqual((result['indexed'], result['new']), (COUNT, COUNT))
            self.compare_with_file(uri)
            for status, index in (0, uri), (1, f'{self.folder}/index.db'):
                self.end(self.start('index', '--index', index, '--hnsw'), status)
            self.assertIn('only an index in PostgreSQL can have an HNSW index', self.errors)
            self.run_test(ARGUMENTS[2], uri, 'an_hnsw*')


if __name__ == '__main__':
    if not find_server() and (len(sys.argv) < 5 or not shutil.which('node')):
        print('skipped: neither PostgreSQL nor PGlite was found')
        sys.exit(77)
    ARGUMENTS = [os.path.abspath(path) for path in sys.argv[1:5]]
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
