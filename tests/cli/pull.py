#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pull.py COMMAND [unittest's arguments]: tests vkclip pull and URLs in queries with a hub on this machine.

Two servers replace the hub: one with the hub's own paths, and the store at another port, to which
large files are redirected. Runs in the project's root; needs Python's own library only.
"""
import contextlib
import hashlib
import http.server
import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

from cli import read_terminal

COMMAND = ''
MODEL = 'models/emoji-clip'
NEEDED = ['config.json', 'merges.txt', 'model.safetensors', 'preprocessor_config.json',
          'tokenizer.json', 'tokenizer_config.json', 'vocab.json']
COMMIT = '0123456789abcdef0123456789abcdef01234567'
OTHER = 'fedcba9876543210fedcba9876543210fedcba98'


def read(*path):
    with open(os.path.join(*path), 'rb') as file:
        return file.read()


def git_hash(data):
    return hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # The client has what it wants.
            super().handle()

    def answer(self, status, headers=None, body=b''):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if 'Content-Length' not in (headers or {}):
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub = self.server.hub
        with hub.lock:
            hub.requests.append((self.server.role, self.command, self.path, dict(self.headers)))
        try:
            (hub.answer if self.server.role == 'hub' else hub.store)(self)
        except ConnectionError:
            self.close_connection = True


class Hub:
    """The state of the hub, which tests change: its repositories, and what goes wrong."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = []
        self.repositories = {}
        self.pages = {}         # other paths, with the bytes that they have; None: a redirection to /
        self.private = False    # the hub asks for a token
        self.cuts = []          # bytes after which the store breaks each of the next connections
        self.ranges = True
        self.pause = 0          # seconds between the pieces of a file
        self.damage = None      # name of a file that is sent with a wrong byte
        self.headers = {}       # replace the headers about large files; None: leaves one out
        self.busy = 0           # the next answers that are 503
        self.sent = 0           # bytes that the store has sent
        self.servers = {}
        for role in ['hub', 'store']:
            server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
            server.daemon_threads = True
            server.hub, server.role = self, role
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            self.servers[role] = server

    def close(self):
        for server in self.servers.values():
            server.shutdown()
            server.server_close()

    def url(self, role):
        return 'http://127.0.0.1:%d' % self.servers[role].server_address[1]

    def add(self, repository, files, revisions=None, commit=COMMIT):
        self.repositories.setdefault(repository, {}).update(
            {revision: (commit, files) for revision in [*(revisions or ['main']), commit]})

    def find(self, repository, revision):
        revisions = self.repositories.get(repository)
        if revisions is None:
            return None, 'RepoNotFound'
        return revisions.get(revision), 'RevisionNotFound'

    def answer(self, request):
        path = request.path
        if path in self.pages:
            return request.answer(302, {'Location': '/'}) if self.pages[path] is None else \
                request.answer(200, body=self.pages[path])
        if self.busy:
            self.busy -= 1
            return request.answer(503)
        if self.private and request.headers['Authorization'] != 'Bearer hf_secret':
            return request.answer(401, {'X-Error-Message': 'Invalid username or password.'})
        match = re.fullmatch(r'/api/models/([^/]+/[^/]+)/revision/([^/]+)', path)
        if match:
            found, code = self.find(match[1], urllib.parse.unquote(match[2]))
            if not found:
                return request.answer(404, {'X-Error-Code': code})
            listing = {'sha': found[0], 'siblings': [{'rfilename': name} for name in found[1]]}
            return request.answer(200, {'Content-Type': 'application/json'},
                                  json.dumps(listing).encode())
        match = re.fullmatch(r'/([^/]+/[^/]+)/resolve/([^/]+)/(.+)', path)
        cached = re.fullmatch(r'/api/resolve-cache/models/([^/]+/[^/]+)/([^/]+)/(.+)', path)
        if not match and not cached:
            return request.answer(404)
        repository, revision, name = (match or cached).groups()
        found, code = self.find(repository, revision)
        if not found or name not in found[1]:
            return request.answer(404, {'X-Error-Code': code if not found else 'EntryNotFound'})
        commit, data = found[0], found[1][name]
        headers = {'X-Repo-Commit': commit}
        if cached:
            headers['ETag'] = f'W/"{git_hash(data)}"'
            if self.damage == name:
                data = b'?' + data[1:]
            return request.answer(200, headers, data)
        if not name.endswith(('.safetensors', '.bin')):
            headers['Location'] = f'/api/resolve-cache/models/{repository}/{commit}/{name}'
            return request.answer(307, headers)
        headers.update({'Location': f'{self.url("store")}/{repository}/{commit}/{name}?sign=1',
                        'ETag': '"of-the-answer"', 'X-Linked-Size': str(len(data)),
                        'X-Linked-Etag': f'"{hashlib.sha256(data).hexdigest()}"', **self.headers})
        return request.answer(302, {k: v for k, v in headers.items() if v is not None})

    def store(self, request):
        repository, commit, name = re.fullmatch(r'/([^/]+/[^/]+)/([^/]+)/(.+)\?sign=1',
                                                request.path).groups()
        data = self.repositories[repository][commit][1][name]
        if self.damage == name:
            data = data[:-1] + bytes([data[-1] ^ 1])
        wanted = re.fullmatch(r'bytes=(\d+)-', request.headers['Range'] or '')
        first = int(wanted[1]) if wanted and self.ranges else 0
        if first >= len(data):
            return request.answer(416, {'Content-Range': f'bytes */{len(data)}'})
        request.send_response(206 if wanted and self.ranges else 200)
        if wanted and self.ranges:
            request.send_header('Content-Range', f'bytes {first}-{len(data) - 1}/{len(data)}')
        request.send_header('ETag', '"of-the-store"')
        request.send_header('Content-Length', str(len(data) - first))
        request.end_headers()
        with self.lock:
            cut = self.cuts.pop(0) if self.cuts else len(data)
        end = min(len(data), first + cut)
        for start in range(first, end, 1 << 20):
            piece = data[start:min(end, start + (1 << 20))]
            request.wfile.write(piece)
            with self.lock:
                self.sent += len(piece)
            time.sleep(self.pause)
        if end < len(data):
            request.close_connection = True


class PullTest(unittest.TestCase):
    name = 'test/emoji-clip'

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        self.files = {name: read(MODEL, name) for name in os.listdir(MODEL)
                      if os.path.isfile(os.path.join(MODEL, name))}
        self.hub.add(self.name, self.files)
        self.weights = self.files['model.safetensors']
        self.cache = os.path.join(self.folder, 'cache')
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(('HF_', 'HUGGING', 'XDG_'))
                            and not name.lower().endswith('_proxy')}
        self.environment.update(HOME=self.folder, HF_HUB_CACHE=self.cache,
                                HF_ENDPOINT=self.hub.url('hub') + '/')

    def run_command(self, *arguments, status=0, environment=None, prefix=(), **others):
        values = {**self.environment, **(environment or {})}
        done = subprocess.run([*prefix, COMMAND, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, check=False,
                              env={k: v for k, v in values.items() if v is not None}, **others)
        self.errors = done.stderr.decode().splitlines()
        self.assertEqual(done.returncode, status, f'{arguments}: {done.stderr.decode()}')
        for line in self.errors:
            self.assertRegex(line, r'^vkclip: \S')
        if status:
            self.assertEqual(len(self.errors), 1, self.errors)
        return done.stdout.decode().rstrip('\n')

    def pull(self, name=None, **others):
        return self.run_command('pull', name or self.name, **others)

    def fails(self, *words, name=None, status=1, **others):
        self.assertEqual(self.pull(name, status=status, **others), '')
        for word in words:
            self.assertIn(word, self.errors[0])

    def model(self, *path, name=None):
        return os.path.join(self.cache, 'models--' + (name or self.name).replace('/', '--'), *path)

    def blob(self, data=None):
        return self.model('blobs', hashlib.sha256(data or self.weights).hexdigest())

    def write(self, path, data):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def requests_to(self, role, command=None):
        return [request for request in self.hub.requests
                if request[0] == role and command in (None, request[1])]

    def assert_whole(self, path=None, needed=tuple(NEEDED)):
        """The cache is laid out as the hub's client does it, and nothing else is left in it."""
        snapshot = path or self.model('snapshots', COMMIT)
        self.assertEqual(sorted(os.listdir(snapshot)), sorted(needed))
        blobs = set()
        for name in needed:
            data = self.files[name]
            large = name.endswith(('.safetensors', '.bin'))
            etag = hashlib.sha256(data).hexdigest() if large else git_hash(data)
            self.assertEqual(os.readlink(os.path.join(snapshot, name)), '../../blobs/' + etag)
            self.assertEqual(read(snapshot, name), data)
            blobs.add(etag)
        self.assertEqual(set(os.listdir(os.path.join(snapshot, '../../blobs'))), blobs)


class Pulls(PullTest):
    def test_pull_and_use(self):
        snapshot = self.model('snapshots', COMMIT)
        self.assertEqual(self.pull(), snapshot)
        self.assertEqual(self.errors, [])
        self.assert_whole()
        self.assertEqual(read(self.model('refs/main')), COMMIT.encode())
        self.assertEqual(self.run_command('info', '-m', self.name).split('\n')[:3],
                         self.run_command('info', '-m', MODEL).split('\n')[:3])
        pizza = self.run_command('classify', '-m', self.name, '-l', 'pizza', '-l', 'owl', '--json',
                                 MODEL + '/samples/pizza.png')
        self.assertEqual(json.loads(pizza)['results'][0]['label'], 'pizza')
        for request in self.hub.requests:
            self.assertNotIn('Authorization', request[3])

    def test_second_pull_asks_for_the_listing_alone(self):
        first = self.pull()
        self.hub.requests.clear()
        self.assertEqual(self.pull(), first)
        self.assertEqual([request[:2] for request in self.hub.requests], [('hub', 'GET')])

    def test_new_commit_shares_blobs(self):
        self.pull()
        self.hub.sent = 0
        self.files['config.json'] += b'\n'
        self.hub.add(self.name, self.files, commit=OTHER)
        self.assertEqual(self.pull(), self.model('snapshots', OTHER))
        self.assertEqual(self.hub.sent, 0)
        self.assertEqual(read(self.model('refs/main')), OTHER.encode())

    def test_json(self):
        line = json.loads(self.run_command('pull', self.name, '--json'))
        self.assertEqual(line, {'name': self.name, 'repository': self.name, 'revision': 'main',
                                'path': self.model('snapshots', COMMIT),
                                'downloaded': sum(len(self.files[name]) for name in NEEDED)})

    def test_revisions(self):
        changed = {**self.files, 'preprocessor_config.json':
                   self.files['preprocessor_config.json'] + b'\n'}
        self.hub.add(self.name, changed, ['v1.0', 'refs/pr/1'], OTHER)
        for revision in ['v1.0', 'refs/pr/1', OTHER]:
            name = f'{self.name}@{revision}'
            self.assertEqual(self.pull(name), self.model('snapshots', OTHER))
            self.run_command('info', '-m', name)
        self.assertEqual(read(self.model('refs/refs/pr/1')), OTHER.encode())
        self.assertFalse(os.path.exists(self.model('refs', OTHER)))
        self.fails('no such revision', name=self.name + '@v2')

    def test_aliases(self):
        for alias, repository in [('ViT-B/32', 'openai/clip-vit-base-patch32'),
                                  ('ViT-L/14@336px', 'openai/clip-vit-large-patch14-336'),
                                  ('ViT-B-16__openai', 'timm/vit_base_patch16_clip_224.openai'),
                                  ('ViT-H-14:laion2b_s32b_b79k',
                                   'laion/CLIP-ViT-H-14-laion2B-s32B-b79K')]:
            self.hub.add(repository, self.files)
            path = self.pull(alias)
            self.assertEqual(path, self.model('snapshots', COMMIT, name=repository))
            self.assert_whole(path)
            self.run_command('info', '-m', alias)
            self.run_command('info', '-m', repository)

    def test_places(self):
        for environment, place in [
                ({'HF_HOME': self.folder + '/a'}, 'a/hub'),
                ({'XDG_CACHE_HOME': self.folder + '/b'}, 'b/huggingface/hub'),
                ({}, '.cache/huggingface/hub')]:
            environment['HF_HUB_CACHE'] = None
            path = self.pull(environment=environment)
            self.assertTrue(path.startswith(os.path.join(self.folder, place, 'models--')), path)
            self.run_command('info', '-m', self.name, environment=environment)

    def test_what_is_chosen(self):
        clip, timm = self.files['config.json'], b'{"architecture": "vit"}'
        chinese = b'{"model_type": "chinese_clip"}'
        index = json.dumps({'weight_map': {'a': 'm-1.safetensors', 'b': 'm-2.safetensors',
                                           'c': 'm-1.safetensors'}}).encode()
        for files, wanted in [
                ({'config.json': clip, 'model.safetensors': b'a', 'pytorch_model.bin': b'b',
                  'open_clip_config.json': b'{}', 'open_clip_model.safetensors': b'c',
                  'flax_model.msgpack': b'd', 'text_encoder/model.safetensors': b'e'},
                 ['config.json', 'model.safetensors', 'open_clip_config.json']),
                ({'config.json': clip, 'pytorch_model.bin': b'b', 'open_clip_config.json': b'{}',
                  'open_clip_model.safetensors': b'c'},
                 ['config.json', 'open_clip_config.json', 'open_clip_model.safetensors']),
                ({'config.json': timm, 'model.safetensors': b'a', 'open_clip_config.json': b'{}',
                  'open_clip_pytorch_model.bin': b'b'},
                 ['config.json', 'open_clip_config.json', 'open_clip_pytorch_model.bin']),
                ({'config.json': clip, 'pytorch_model.bin': b'b'},
                 ['config.json', 'pytorch_model.bin']),
                ({'config.json': chinese, 'pytorch_model.bin': b'b'},
                 ['config.json', 'pytorch_model.bin']),
                ({'config.json': clip, 'pytorch_model.bin.index.json':
                  json.dumps({'weight_map': {'a': 'p-1.bin'}}).encode(), 'p-1.bin': b'1'},
                 ['config.json', 'p-1.bin', 'pytorch_model.bin.index.json']),
                ({'config.json': clip, 'model.safetensors.index.json': index,
                  'm-1.safetensors': b'1', 'm-2.safetensors': b'2', 'm-3.safetensors': b'3'},
                 ['config.json', 'm-1.safetensors', 'm-2.safetensors',
                  'model.safetensors.index.json']),
                ({'README.md': b'x', 'ViT-B-32.safetensors': b'1'}, ['ViT-B-32.safetensors'])]:
            with self.subTest(sorted(files)):
                shutil.rmtree(self.cache, ignore_errors=True)
                self.hub.repositories.clear()
                self.hub.add('test/chosen', files)
                path = self.pull('test/chosen')
                self.assertEqual(sorted(os.listdir(path)), wanted)
                self.assertIn('no vocabulary', self.errors[0])
        for files in [{}, {'config.json': timm, 'model.safetensors': b'a', 'b.safetensors': b'b'},
                      {'README.md': b'x'}]:
            self.hub.add('test/none', files)
            self.fails('no CLIP checkpoint', name='test/none')

    def test_pipeline(self):
        """Of a pipeline the encoders come, also in shards, and condition as they do in their own folder."""
        source = 'tests/golden/conditioning/pipelines/flux'
        files = {'model_index.json': read(source, 'model_index.json'), 'README.md': b'x', 'vae/config.json': b'{}',
                 'vae/diffusion_pytorch_model.safetensors': b'v', 'transformer/config.json': b'{"joint_attention_dim": 48}',
                 'transformer/diffusion_pytorch_model.safetensors': b't', 'scheduler/scheduler_config.json': b'{}'}
        for part in ['text_encoder', 'text_encoder_2', 'tokenizer', 'tokenizer_2']:
            files.update({f'{part}/{name}': read(source, part, name) for name in os.listdir(os.path.join(source, part))})
        whole = files.pop('text_encoder_2/model.safetensors')
        size = struct.unpack('<Q', whole[:8])[0]
        tensors, index = json.loads(whole[8:8 + size]), {}
        tensors.pop('__metadata__', None)
        for shard in range(2):
            head, data = {}, b''
            name = f'model-{shard + 1:05}-of-00002.safetensors'
            for tensor in sorted(tensors)[shard::2]:
                first, end = tensors[tensor]['data_offsets']
                head[tensor] = {**tensors[tensor], 'data_offsets': [len(data), len(data) + end - first]}
                data += whole[8 + size + first:8 + size + end]
                index[tensor] = name
            head = json.dumps(head).encode()
            files[f'text_encoder_2/{name}'] = struct.pack('<Q', len(head)) + head + data
        files['text_encoder_2/model.safetensors.index.json'] = json.dumps({'weight_map': index}).encode()
        self.hub.add('test/flux', files)
        path = self.pull('test/flux')
        self.assertEqual(self.errors, [])
        found = {os.path.relpath(os.path.join(folder, name), path)
                 for folder, _, names in os.walk(path) for name in names}
        self.assertEqual(found, {name for name in files if name.startswith(('text_', 'token', 'model_index'))}
                         | {'transformer/config.json'})
        for name in found:
            self.assertEqual(read(path, name), files[name])
        self.assertTrue(os.readlink(os.path.join(path, 'tokenizer/vocab.json')).startswith('../../../blobs/'))
        outputs = [os.path.join(self.folder, name) for name in ['pulled.safetensors', 'local.safetensors']]
        for model, output in zip(['test/flux', source], outputs):
            self.run_command('condition', '-m', model, '--prompt', 'a picture of owl', '-o', output)
        ours, theirs = (read(output) for output in outputs)
        self.assertEqual(ours[8 + struct.unpack('<Q', ours[:8])[0]:], theirs[8 + struct.unpack('<Q', theirs[:8])[0]:])
        broken = {'model_index.json': b'{}', 'text_encoder/config.json': b'{"model_type": "qwen2"}',
                  'text_encoder/model.safetensors.index.json': b'{}'}
        self.hub.add('test/other', broken)
        self.fails('test/other@main: text_encoder/: found no CLIP checkpoint', name='test/other')

    def test_progress_bar(self):
        self.hub.pause = 0.2
        ours, theirs = pty.openpty()
        with subprocess.Popen([COMMAND, 'pull', self.name], stdout=subprocess.DEVNULL, stderr=theirs,
                              env=self.environment) as process:
            os.close(theirs)
            seen = read_terminal(ours)
        self.assertEqual(process.returncode, 0, seen)
        self.assertRegex(seen, rb'model.safetensors \[#+-*\] \d/9 MiB, \d+ s left')
        self.assertTrue(seen.endswith(b'\r\x1b[K'), seen[-40:])

    def test_models_that_do_not_run(self):
        for name in ['nllb-clip-base-siglip__mrl', 'nllb-clip-base-siglip:mrl', 'nllb-clip-base-siglip/mrl@v1']:
            self.fails(name + ': vkclip does not run this model: ', name=name)
        self.assertEqual(self.hub.requests, [])

    def test_usage(self):
        for arguments in [[], ['a/b', 'c/d'], ['nonsense'], ['a/b/c'], ['../b'], ['a/..'], ['/a/b'],
                          ['a/b@'], ['a/b@../x'], ['a/b@x//y'], ['a--b/c'], ['a/b c'], ['a/-b'],
                          ['a/' + 'b' * 200], ['ViT-B/32@'], ['a\\b/c']]:
            self.run_command('pull', *arguments, status=2)
        self.assertEqual(self.hub.requests, [])


class Breaks(PullTest):
    def test_broken_connections_resume(self):
        self.hub.cuts = [3000000, 2000000, 1500000]
        self.pull()
        self.assert_whole()
        ranges = [request[3].get('Range') for request in self.requests_to('store')]
        self.assertEqual(ranges, [None, 'bytes=3000000-', 'bytes=5000000-', 'bytes=6500000-'])
        self.assertEqual(self.hub.sent, len(self.weights))

    def test_busy_server(self):
        self.hub.busy = 2
        self.pull()
        self.assert_whole()

    def test_give_up(self):
        """The number of tries is bounded, the bytes that arrived are kept, and the next pull resumes there."""
        self.hub.cuts = [500000] + [0] * 4
        refused = self.environment | {'HF_ENDPOINT': 'http://127.0.0.1:9'}
        with subprocess.Popen([COMMAND, 'pull', self.name], stderr=subprocess.PIPE,
                              env=refused) as nobody:
            self.fails('what has arrived is kept')
            self.assertEqual(len(self.requests_to('store')), 5)
            error = nobody.stderr.read()
        self.assertEqual(nobody.returncode, 1)
        self.assertRegex(error, b'^vkclip: http://127.0.0.1:9/api.*onnect.*\n$')
        self.assertEqual(read(self.blob() + '.incomplete'), self.weights[:500000])
        self.assertFalse(os.path.exists(self.model('refs/main')))
        self.hub.requests.clear()
        self.pull()
        self.assert_whole()
        self.assertEqual([request[3].get('Range') for request in self.requests_to('store')], ['bytes=500000-'])

    def test_what_an_earlier_run_left(self):
        partial = self.blob() + '.incomplete'
        for ranges, left, sent in [(True, self.weights[:4000000], len(self.weights) - 4000000),
                                   (False, self.weights[:4000000], len(self.weights)),
                                   (True, self.weights, 0),
                                   (True, self.weights + b'more', len(self.weights)),
                                   (True, b'', len(self.weights))]:
            shutil.rmtree(self.cache, ignore_errors=True)
            self.hub.ranges, self.hub.sent = ranges, 0
            self.write(partial, left)
            self.pull()
            self.assert_whole()
            self.assertEqual(self.hub.sent, sent)

    def test_wrong_hash(self):
        for name in ['model.safetensors', 'vocab.json']:
            self.hub.damage = name
            self.fails(name, 'hash')
            self.assertFalse([blob for blob in os.listdir(self.model('blobs'))
                              if 'incomplete' in blob])
            self.assertFalse(os.path.lexists(self.model('snapshots', COMMIT, name)))
            shutil.rmtree(self.cache)
        self.hub.damage = None
        self.write(self.blob() + '.incomplete', b'?' * 1000)  # The bytes of an earlier pull are damaged.
        self.fails('hash')
        self.pull()
        self.assert_whole()

    def test_file_size_limit(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000000, 2000000))
        self.fails('cannot be written', 'kept', preexec_fn=limit, restore_signals=False)
        self.assertEqual(read(self.blob() + '.incomplete'), self.weights[:2000000])
        self.pull()
        self.assert_whole()

    def test_full_disk(self):
        mount = ['unshare', '-rm', 'sh', '-c',
                 'mount -t tmpfs -o size=4m none "$0" && { "$@"; status=$?; '
                 'ls -s "$0"/*/blobs/*.incomplete >&2; exit $status; }', self.cache]
        os.makedirs(self.cache)
        if subprocess.run([*mount, 'true'], stderr=subprocess.DEVNULL, check=False).returncode not in (0, 2):
            self.skipTest('no file system may be mounted here')
        done = subprocess.run([*mount, COMMAND, 'pull', self.name], stderr=subprocess.PIPE, check=False,
                              env=self.environment)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.decode(),
                         r'^vkclip: .*: cannot be written: No space left on device; .*kept.*\n'
                         r'\d{4} .*incomplete\n$')

    def test_cache_that_cannot_be_written(self):
        self.write(self.cache, b'a file')
        self.fails(self.cache)

    def test_at_once(self):
        """Several pulls of one model at the same time download the file once, and none fails."""
        self.hub.pause = 0.05
        pulls = [subprocess.Popen([COMMAND, 'pull', self.name], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=self.environment) for _ in range(5)]
        for process in pulls:
            output, errors = process.communicate(timeout=100)
            self.assertEqual((process.returncode, output.decode()),
                             (0, self.model('snapshots', COMMIT) + '\n'), errors)
        self.assert_whole()
        self.assertEqual(self.hub.sent, len(self.weights))


class Refusals(PullTest):
    def test_token(self):
        self.hub.private = True
        self.fails('401', 'HF_TOKEN')
        self.fails('401', environment={'HF_TOKEN': 'hf_wrong'})
        self.fails('not a token', environment={'HF_TOKEN': 'hf_secret\r\nX-Evil: 1'})
        file = self.write(self.folder + '/own-token', b'hf_secret\n')
        self.write(self.folder + '/home/token', b' hf_secret \n')
        for environment in [{'HF_TOKEN': 'hf_secret'}, {'HF_TOKEN_PATH': file},
                            {'HF_HOME': self.folder + '/home'}]:
            shutil.rmtree(self.cache, ignore_errors=True)
            self.hub.requests.clear()
            self.pull(environment=environment)
            self.assert_whole()
            for role, _, path, headers in self.hub.requests:
                self.assertEqual(headers.get('Authorization'),
                                 'Bearer hf_secret' if role == 'hub' else None, path)
            self.assertEqual(len(self.requests_to('store')), 1)

    def test_missing(self):
        self.fails('404', 'test/none', name='test/none')
        self.hub.add('test/less', {'config.json': self.files['config.json'],
                                   'model.safetensors.index.json': b'{"weight_map":{"a":"no.bin"}}'})
        self.fails('404', 'no such file', 'no.bin', name='test/less')

    def test_hostile_names(self):
        outside = os.path.join(self.folder, 'outside.safetensors')
        for shard in ['../../../../outside.safetensors', outside, '..', '.', '', 'a\\..\\b', 'a/b',
                      '.hidden', 'a\nb', 'C:x', '\u202egnp.x', None, 5]:
            with self.subTest(shard):
                index = json.dumps({'weight_map': {'a': shard}}).encode()
                self.hub.add('test/evil', {'config.json': self.files['config.json'],
                                           'model.safetensors.index.json': index})
                self.fails('is refused', name='test/evil')
                shutil.rmtree(self.cache, ignore_errors=True)
        # Hostile names of files that are not needed do not matter.
        self.hub.add(self.name, {**self.files, '../../../evil': b'', '/tmp/evil': b'', '': b''})
        self.pull()
        self.assert_whole()
        self.assertEqual(sorted(os.listdir(self.folder)), ['cache'])

    def test_hostile_headers(self):
        for headers, word in [({'X-Linked-Etag': '"../../evil"'}, 'ETag'),
                              ({'X-Linked-Etag': None, 'ETag': None}, 'ETag'),
                              ({'X-Linked-Etag': '"' + 'a' * 200 + '"'}, 'ETag'),
                              ({'X-Repo-Commit': OTHER}, OTHER),
                              ({'X-Linked-Size': '1000'}, 'more bytes than the 1000'),
                              ({'X-Linked-Size': '99999999999', 'Content-Length': '0'}, ''),
                              ({'Location': 'file:///etc/passwd'}, 'rotocol')]:
            with self.subTest(headers):
                self.hub.headers = headers
                self.fails(word)
                self.assertFalse(os.path.lexists(self.model('snapshots', COMMIT,
                                                            'model.safetensors')))
                shutil.rmtree(self.cache, ignore_errors=True)
        self.assertEqual(os.listdir(self.folder), [])

    def test_hostile_listings(self):
        for listing in [b'', b'junk', b'[]', b'{}', b'{"sha":"../..","siblings":[]}',
                        b'{"sha":5,"siblings":[]}', b'[' * 100000,
                        b'{"sha":"%s","siblings":5}' % COMMIT.encode()]:
            self.hub.answer = lambda request, body=listing: request.answer(200, {}, body)
            self.fails('/api/models/')
        for siblings in [b'[1,null,{},{"rfilename":5}]', b'[]']:
            body = b'{"sha":"%s","siblings":%s}' % (COMMIT.encode(), siblings)
            self.hub.answer = lambda request, body=body: request.answer(200, {}, body)
            self.fails('no CLIP checkpoint')
        self.hub.answer = lambda request: request.answer(302, {'Location': request.path})
        self.fails('edirect')
        self.fails('HF_ENDPOINT', environment={'HF_ENDPOINT': 'ftp://127.0.0.1'})


class Queries(PullTest):
    """A query of vkclip search may name a picture by its URL."""

    def setUp(self):
        super().setUp()
        self.search = ['search', '--index', f'{self.folder}/index.db', '-m', MODEL, '--json']
        done = subprocess.run([COMMAND, 'index', *self.search[1:5], MODEL + '/samples'], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False)
        if b'no picture search' in done.stderr:
            self.skipTest('this build has no picture search')

    def test_urls(self):
        grey = b'P5 8 8 255\n' + bytes([200]) * 64
        self.hub.pages = {'/owl': read(MODEL, 'samples/owl.png'), '/grey.pgm?size=8': grey, '/moved': None, '/': grey}
        with open(f'{self.folder}/grey.pgm', 'wb') as file:
            file.write(grey)
        url = self.hub.url('hub')
        for query, expected in [(f'{url}/owl', f'{MODEL}/samples/owl.png'),
                                (f'{url}/grey.pgm?size=8', f'{self.folder}/grey.pgm'),
                                (f'{url}/moved', f'{self.folder}/grey.pgm')]:
            with self.subTest(query):
                lines = self.run_command(*self.search, '--stdin', input=(
                    f'{query} - snow\n./{os.path.relpath(expected)} - snow\n').encode()).splitlines()
                found, wanted = [json.loads(line)['results'] for line in lines]
                self.assertEqual(found, wanted)
        self.assertNotIn('Authorization', self.requests_to('hub')[0][3])

    def test_failures(self):
        with socket.socket() as closed:
            closed.bind(('127.0.0.1', 0))
            port = closed.getsockname()[1]
        self.hub.pages = {'/page': b'<!doctype html><html>', '/empty': b'', '/large': bytes(1 << 21)}
        url = self.hub.url('hub')
        cases = [(f'{url}/none', 'not found (404)'), (f'{url}/page', 'HTML page, expected '),
                 (f'{url}/empty', 'empty, expected a picture'),
                 (f'{url}/large', 'more than 1048984 bytes, the most that a picture needs within --max-pixels'),
                 (f'http://127.0.0.1:{port}/', 'connect'), ('http://no.such.host.invalid/a.png', 'resolve')]
        done = subprocess.run([COMMAND, *self.search, '--stdin', '--max-pixels', '51'],
                              input='\n'.join(case[0] for case in cases).encode(), capture_output=True, check=False,
                              env={**self.environment, 'RES_OPTIONS': 'timeout:1 attempts:1'})
        self.assertEqual(done.returncode, 1)
        errors = done.stderr.decode().splitlines()
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual((len(errors), len(answers)), (len(cases), len(cases)), errors)
        for (query, words), error, answer in zip(cases, errors, answers):
            self.assertTrue(error.startswith(f'vkclip: {query}: '), error)
            self.assertIn(words, error)
            self.assertIn(words, answer['error'].replace('`max_pixels`', '--max-pixels'))


class Cache(PullTest):
    def test_offline(self):
        self.fails('HF_HUB_OFFLINE', environment={'HF_HUB_OFFLINE': '1'})
        self.assertEqual(self.hub.requests, [])
        path = self.pull()
        self.hub.requests.clear()
        self.assertEqual(self.pull(environment={'HF_HUB_OFFLINE': '1'}), path)
        self.run_command('info', '-m', self.name, environment={'HF_HUB_OFFLINE': '1'})
        self.assertEqual(self.hub.requests, [])

    def make_snapshot(self, commit=COMMIT, ref='main'):
        """Writes a snapshot as the hub's Python client does."""
        for name in NEEDED:
            blob = self.write(self.model('blobs', git_hash(self.files[name])), self.files[name])
            pointer = self.model('snapshots', commit, name)
            os.makedirs(os.path.dirname(pointer), exist_ok=True)
            os.symlink('../../blobs/' + os.path.basename(blob), pointer)
        if ref:
            self.write(self.model('refs', ref), commit.encode())

    def opened(self, name):
        info = json.loads(self.run_command('info', '-m', name, '--json'))
        return os.path.relpath(os.path.dirname(info['weights']), self.cache)

    def test_caches_of_others(self):
        folder = 'models--test--emoji-clip/snapshots/'
        self.make_snapshot(ref=None)
        self.assertEqual(self.opened(self.name), folder + COMMIT)
        self.make_snapshot(OTHER, 'v2')
        self.run_command('info', '-m', self.name, status=4)  # Two snapshots and no ref.
        self.write(self.model('refs/main'), COMMIT.encode() + b'\n')
        self.assertEqual(self.opened(self.name), folder + COMMIT)
        self.assertEqual(self.opened(self.name + '@v2'), folder + OTHER)
        self.assertEqual(self.opened(f'{self.name}@{OTHER}'), folder + OTHER)
        for ref in [b'../../..', b'', b'x' * 40, b'y' * 10000]:
            self.write(self.model('refs/v2'), ref)
            self.run_command('info', '-m', self.name + '@v2', status=4)
        self.assertEqual(self.hub.requests, [])

    def test_not_there(self):
        self.run_command('info', '-m', self.name, status=4)
        self.assertIn(f"'vkclip pull {self.name}'", self.errors[0])
        self.assertIn(self.cache, self.errors[0])
        self.run_command('info', '-m', 'ViT-B/32', status=4)
        self.assertIn("'vkclip pull ViT-B/32'", self.errors[0])
        self.run_command('info', '-m', '/no/such/path', status=4)
        self.assertNotIn('pull', self.errors[0])

    def test_path_goes_first(self):
        self.make_snapshot()
        here = os.path.join(self.folder, *self.name.split('/'))
        shutil.copytree(MODEL, here)
        info = json.loads(self.run_command('info', '-m', self.name, '--json', cwd=self.folder))
        self.assertEqual(info['weights'], self.name + '/model.safetensors')


if __name__ == '__main__':
    COMMAND = os.path.abspath(sys.argv.pop(1))
    unittest.main()
