#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the tests of vkclip serve share: a server on a free port, and requests to it."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from contract import open_contract

MODEL = 'models/emoji-clip'
CONTRACT = open_contract()

# What a server asks of others is on this machine, and no proxy knows it.
for _name in [name for name in os.environ if name.lower().endswith('_proxy')]:
    del os.environ[_name]

# The paths in an index have no links, and neither have those of the tests.
tempfile.tempdir = os.path.realpath(tempfile.gettempdir())


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def write(path, data):
    with open(path, 'wb') as file:
        file.write(data)


def short_folder():
    """A temporary folder for sockets, whose paths have at most 107 bytes, unlike those below TMPDIR."""
    return tempfile.TemporaryDirectory(dir='/tmp')


class Server:
    """vkclip serve on a free port of 127.0.0.1 and a Unix socket in a folder of its own."""

    def __init__(self, command, *arguments, environment=None):
        self.folder = short_folder()
        self.socket = os.path.join(self.folder.name, 'serve.sock')
        self.log = open(os.path.join(self.folder.name, 'log'), 'w+', encoding='utf-8')
        for name, value in (('--listen', '127.0.0.1:0'), ('--unix', self.socket)):
            if name not in arguments:
                arguments = (name, value, *arguments)
        self.process = subprocess.Popen(
            [command, 'serve', *arguments],
            stdout=subprocess.PIPE, stderr=self.log, text=True,
            env={**os.environ, **(environment or {})})
        line = self.process.stdout.readline()
        match = re.match(r'https?://127\.0\.0\.1:(\d+)/', line)
        if not match:
            message = f'the server did not start, status {self.process.wait(600)}: {line}{self.read_log()}'
            self.stop()
            raise AssertionError(message)
        self.port = int(match[1])

    def read_log(self):
        self.log.flush()
        with open(self.log.name, encoding='utf-8') as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, how=signal.SIGTERM):
        """Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(600)
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()
        return status

    def connect(self, timeout=600):
        return socket.create_connection(('127.0.0.1', self.port), timeout)

    def metric(self, name):
        """The sum of a metric over its labels."""
        lines = self.ask('GET', '/metrics')[2].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.split('[{ ]', line)[0] == name)

    def wait_for(self, condition, seconds=600):
        """Waits until something holds, and tells whether it does."""
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        return condition()

    def ask(self, method, path, body=None, headers=None):
        """Returns status, headers and body of an answer. A body that is no bytes is sent as JSON. Request and answer are
        held to the document that describes them."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=600)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        result = answer.status, answer.headers, answer.read()
        connection.close()
        if CONTRACT:
            CONTRACT.check((method, path, body, headers or {}), result)
        return result

    def ask_json(self, method, path, body=None, headers=None):
        """Returns status and value of an answer in JSON."""
        status, _, text = self.ask(method, path, body, headers)
        return status, json.loads(text)

    def wait_for_index(self, passes=1):
        """Waits until the index of --index was brought up to date so many times, and returns its status."""
        while True:
            status, index = self.ask_json('GET', '/api/v1/index')
            assert status == 200, index
            if index['update']['passes'] >= passes and not index['update']['updating']:
                return index
            time.sleep(0.02)
