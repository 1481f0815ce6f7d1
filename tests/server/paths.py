#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""paths.py COMMAND [unittest's arguments]: what is outside an index cannot be had from vkclip serve, whatever its folders hold."""
import ctypes
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile

from serving import MODEL, Server, read, write

COMMAND = ''
SAMPLES = 'tests/golden/emoji-clip/samples/'
SECRET = b'a secret that is no picture'
RENAME_EXCHANGE, AT_FDCWD = 2, -100


def exchange(a, b):
    """Lets two names change places at one instant."""
    if ctypes.CDLL(None, use_errno=True).renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), 'renameat2')


class Paths(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.realpath(self.folder.name)
        self.pictures, self.outside = self.path + '/pictures', self.path + '/outside'
        os.mkdir(self.pictures)
        os.mkdir(self.outside)
        self.put('1f308', self.pictures + '/a.png')

    def tearDown(self):
        self.folder.cleanup()

    def put(self, code, path):
        shutil.copy(f'{SAMPLES}{code}.png', path)

    def index(self, *folders):
        path = f'{self.path}/{len(os.listdir(self.path))}.db'
        subprocess.run([COMMAND, 'index', '-m', MODEL, '--index', path, *folders], check=True, capture_output=True, timeout=120)
        return path

    def serve(self, *arguments):
        return Server(COMMAND, '-m', MODEL, *arguments, environment={'VKCLIP_INDEX': self.path + '/user.db'})

    def hits(self, server):
        status, answer = server.ask_json('POST', '/api/v1/search', {})
        self.assertEqual(status, 200, answer)
        return {os.path.relpath(hit['path'], self.path): hit['id'] for hit in answer['hits']}

    def original(self, server, number):
        status, _, body = server.ask('GET', f'/api/v1/pictures/{number}/original')
        return status, body

    def test_what_is_no_file(self):
        """Pipes, sockets and devices with the names of pictures are left out, and nothing waits for them."""
        os.mkfifo(self.pictures + '/pipe.png')
        os.symlink('/dev/zero', self.pictures + '/zero.png')
        os.symlink('circle.png', self.pictures + '/circle.png')
        os.symlink('..', self.pictures + '/up')
        os.mkdir(self.pictures + '/folder.png')
        os.link(self.pictures + '/a.png', self.pictures + '/hard.png')
        try:
            os.mknod(self.pictures + '/device.png', 0o20600, os.makedev(1, 5))
        except PermissionError:
            pass  # Only a superuser can make devices.
        with socket.socket(socket.AF_UNIX) as local, self.serve('--index', self.pictures) as server:
            local.bind(self.pictures + '/socket.png')
            index = server.wait_for_index()
            self.assertEqual((index['files'], index['pictures'], index['failed']), (2, 1, 0), index)
            # What was a file when it was indexed, too.
            number = self.hits(server)['pictures/a.png']
            self.assertEqual(self.original(server, number)[0], 200)
            for make in (os.mkfifo, lambda path: os.symlink('/dev/zero', path), os.mkdir):
                for name in ('a.png', 'hard.png'):
                    os.rename(f'{self.pictures}/{name}', f'{self.outside}/{name}')
                    make(f'{self.pictures}/{name}')
                for what in ('original', 'preview'):
                    self.assertEqual(server.ask('GET', f'/api/v1/pictures/{number}/{what}')[0], 404, what)
                self.assertEqual(server.ask('POST', '/api/v1/archive', {'ids': [number]})[0] in (404, 501), True)
                for name in ('a.png', 'hard.png'):
                    exchange(f'{self.pictures}/{name}', f'{self.outside}/{name}')
                    (os.rmdir if make is os.mkdir else os.remove)(f'{self.outside}/{name}')

    def test_links(self):
        """A link leads to a picture elsewhere, which its owner has put there, but never to what is no picture."""
        self.put('1f319', self.outside + '/moon.png')
        write(self.outside + '/secret', SECRET)
        write(self.outside + '/secret.png', SECRET)
        os.symlink(self.outside + '/moon.png', self.pictures + '/moon.png')
        os.symlink(self.outside + '/secret', self.pictures + '/secret.png')
        os.symlink('/etc/passwd', self.pictures + '/passwd.png')
        with self.serve('--index', self.pictures) as server:
            self.assertEqual(server.wait_for_index()['failed'], 2)
            self.assertEqual(sorted(self.hits(server)), ['pictures/a.png', 'pictures/moon.png'])
            failures = server.ask('GET', '/api/v1/index/failures')[2]
            for word in (SECRET, read('/etc/passwd')[:20]):
                self.assertNotIn(word, failures)
            pictures = set(self.hits(server).values())
            for number in range(20):
                for what in ('original', 'preview', 'thumbnail'):
                    status = server.ask('GET', f'/api/v1/pictures/{number}/{what}')[0]
                    self.assertEqual(status, 200 if number in pictures else 404, (number, what))
                if number not in pictures:
                    self.assertIn(server.ask('POST', '/api/v1/archive', {'ids': [number]})[0], (404, 501))
                    status = server.ask('POST', '/api/v1/classify', {'image': {'id': number}, 'labels': ['x']})[0]
                    self.assertEqual(status, 404)

    def test_ids_of_other_indexes(self):
        for name in ('1f319', '1f355', '1f42f'):
            self.put(name, f'{self.outside}/{name}.png')
        other = self.index(self.outside, self.pictures)
        with self.serve('--index', other) as server:
            numbers = self.hits(server)
        self.assertEqual(len(numbers), 4)
        with self.serve('--index', self.index(self.pictures)) as server:
            own = self.hits(server)['pictures/a.png']
            for number in set(numbers.values()) | {own}:
                expected = (200, read(self.pictures + '/a.png')) if number == own else (404, None)
                status, body = self.original(server, number)
                self.assertEqual((status, body if status == 200 else None), expected)

    def test_addresses(self):
        """No address is a path of a file."""
        write(self.outside + '/secret', SECRET)
        with self.serve('--index', self.index(self.pictures)) as server:
            number = self.hits(server)['pictures/a.png']
            for end in ('../outside/secret', '..%2foutside%2fsecret', '%2e%2e/%2e%2e/outside/secret', '....//outside/secret',
                        '..\\outside\\secret', self.outside + '/secret', 'original/../../outside/secret', '%00', 'original%00.png'):
                for start in ('/', '//', '/page/', '/api/v1/pictures/', f'/api/v1/pictures/{number}/', '/v1/models/'):
                    status, _, body = server.ask('GET', start + end)
                    self.assertIn(status, (400, 404), start + end)
                    self.assertNotIn(SECRET, body)
            for name in ('../outside/secret', self.outside, self.pictures + '/../outside', 'file://' + self.outside):
                status, answer = server.ask_json('POST', '/v1/embeddings', {'model': name, 'input': 'x'})
                self.assertEqual(status, 404, answer)
                status, answer = server.ask_json('POST', '/api/v1/classify', {'image': name, 'labels': ['x']})
                self.assertIn(status, (400, 422), answer)

    def race(self, server, change, number, allowed):
        """Asks for a picture in all ways while its path changes, and returns the statuses of the answers."""
        done, statuses = threading.Event(), set()

        def run():
            while not done.is_set():
                change()

        def check(target, body=None):
            status, _, data = server.ask('POST' if body else 'GET', target, body)
            statuses.add(status)
            if status == 200 and body:
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    data = archive.read(archive.namelist()[0])
            self.assertTrue(status in (404, 501) or (status == 200 and data in allowed[target.rpartition('/')[2]]), status)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                for what in ('original', 'thumbnail', 'preview'):
                    check(f'/api/v1/pictures/{number}/{what}')
                check('/api/v1/archive', json.dumps({'ids': [number]}).encode())
        finally:
            done.set()
            thread.join()
        return statuses

    def get_all(self, server, number):
        """What may be answered: the picture's file, thumbnail and preview."""
        allowed = {what: [server.ask('GET', f'/api/v1/pictures/{number}/{what}')[2]]
                   for what in ('original', 'thumbnail', 'preview')}
        return {**allowed, 'archive': allowed['original']}

    def test_race_of_folders(self):
        """A folder and a link to another one with a file of the same name change places all the time. The file keeps its
        times, so that it is sent whenever it is there."""
        os.mkdir(self.pictures + '/sub')
        self.put('1f355', self.pictures + '/sub/b.png')
        self.put('1f42f', self.outside + '/b.png')
        path = self.index(self.pictures)
        os.symlink(self.outside, self.path + '/link')
        with self.serve('--index', path) as server:
            number = self.hits(server)['pictures/sub/b.png']
            allowed = self.get_all(server, number)
            self.assertEqual(allowed['original'], [read(f'{SAMPLES}1f355.png')])
            statuses = self.race(server, lambda: exchange(self.pictures + '/sub', self.path + '/link'), number, allowed)
            self.assertLessEqual({200, 404}, statuses)

    def test_race_of_files(self):
        """The same with a file, which the server sees and indexes again."""
        write(self.outside + '/secret', SECRET)
        os.symlink(self.outside + '/secret', self.path + '/link')
        with self.serve('--index', self.pictures) as server:
            server.wait_for_index()
            number = self.hits(server)['pictures/a.png']
            allowed = self.get_all(server, number)
            self.race(server, lambda: exchange(self.pictures + '/a.png', self.path + '/link'), number, allowed)
            self.assertNotIn(SECRET, server.ask('GET', '/api/v1/index/failures')[2])


if __name__ == '__main__':
    COMMAND = sys.argv.pop(1)
    unittest.main()
