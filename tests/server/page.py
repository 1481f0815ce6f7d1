#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""page.py COMMAND BROWSER PACKAGES [NAMES]: tests the page of vkclip serve in BROWSER, a Chromium. It makes indexes
and starts servers for page.mjs, which drives the page with what third_party/browser.sh has installed into PACKAGES.
NAMES is a pattern for the names of the tests that run.

One index is of 68 files, whose dates, cameras and places are then written into it. The other has 100,010 pictures,
ten more than a list: those files, and rows that name no file."""
import json
import math
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import zlib

from serving import MODEL, Server

SAMPLES = 'tests/golden/emoji-clip/samples'
MANY, DIMENSION = 100010, 128
FOLDERS = ['2021/Berlin', '2022/Zoo [north]', '2023/Kitchen',
           'A folder with a long name, as people give it to find it again']


def pack_again(png):
    """The same picture in other bytes: its data are compressed anew."""
    at, chunks, data = 8, [], b''
    while at < len(png):
        size, = struct.unpack('>I', png[at:at + 4])
        kind, body = png[at + 4:at + 8], png[at + 8:at + 8 + size]
        at += 12 + size
        if kind == b'IDAT':
            data += body
        else:
            chunks.append((kind, body))
    chunks.insert(-1, (b'IDAT', zlib.compress(zlib.decompress(data), 1)))
    return png[:8] + b''.join(struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
                              for kind, body in chunks)


def make_folder(folder):
    for name in FOLDERS:
        os.makedirs(os.path.join(folder, name))
    names = sorted(os.listdir(SAMPLES))
    for number, name in enumerate(names):
        shutil.copy(os.path.join(SAMPLES, name), os.path.join(folder, FOLDERS[number % 3], name))
    last = os.path.join(folder, FOLDERS[3])
    for number in range(2):
        shutil.copy(os.path.join(SAMPLES, names[number]), os.path.join(last, f'copy {number}.png'))
    for number in range(3):
        with open(os.path.join(SAMPLES, names[number]), 'rb') as file:
            again = pack_again(file.read())
        with open(os.path.join(last, f'again {number}.png'), 'wb') as file:
            file.write(again)
    shutil.copy('tests/golden/pictures/tiff/bits-group3.tif', os.path.join(last, 'scan.tif'))
    with open(os.path.join(last, 'broken.jpg'), 'wb') as file:
        file.write(b'\xff\xd8\xff\xe0 is no picture')
    shutil.copy(os.path.join(SAMPLES, names[4]), os.path.join(last, 'a <b>name & "more" ' + 40 * 'long ' + '.png'))


def write_facts(path):
    """Gives pictures dates, cameras and places, as cameras would."""
    connection = sqlite3.connect(path, timeout=30)
    contents = connection.execute(
        'SELECT content, max(path) FROM file JOIN content ON content.id = content WHERE content.error = 0 '
        'GROUP BY 1 ORDER BY 2').fetchall()
    for number, (content, file) in enumerate(contents):
        taken = None if b'again' in file else 1600000000 + number * 1500000
        connection.execute('UPDATE content SET taken = ?, camera = ?, latitude = ?, longitude = ? WHERE id = ?',
                           (taken, [None, 'Canon EOS 80D', 'NIKON D750'][number % 3],
                            [52.5, None][number % 2], [13.4, None][number % 2], content))
    connection.commit()
    connection.close()


def make_large(path, source):
    """Copies an index and fills it with pictures between those that it has."""
    randoms = random.Random(1)
    connection = sqlite3.connect(path)
    with sqlite3.connect(source) as small:
        small.backup(connection)
    connection.execute('PRAGMA synchronous = OFF')
    model, = connection.execute('SELECT id FROM model').fetchone()
    first, present = connection.execute('SELECT max(id) + 1, count(*) FROM content WHERE error = 0').fetchone()
    form = f'<{DIMENSION}e'
    vectors = [struct.unpack(form, data) for data, in connection.execute('SELECT data FROM vector')]
    thumbnails = [data for data, in connection.execute('SELECT data FROM thumbnail ORDER BY length(data) LIMIT 20')]
    mixed = []
    for _ in range(1000):
        a, b = randoms.sample(vectors, 2)
        values = [x + y + randoms.gauss(0, 0.05) for x, y in zip(a, b)]
        length = math.sqrt(sum(value * value for value in values))
        mixed.append(struct.pack(form, *(value / length for value in values)))
    shapes = [(4000, 3000), (3000, 4000), (1920, 1080), (2000, 2000), (5000, 2000)]
    rows = range(MANY - present)
    connection.executemany(
        'INSERT INTO content(id, hash, width, height, orientation, format, taken) VALUES (?, ?, ?, ?, 1, "JPEG", ?)',
        ((first + i, struct.pack('<QQ', 1, i), *randoms.choice(shapes), 1000000000 + 6000 * i) for i in rows))
    connection.executemany(
        'INSERT INTO file(path, size, inode, modified, changed, content) VALUES (?, 1, 1, 0, 0, ?)',
        ((f'/absent/{i // 1000:02}/IMG_{i:06}.jpg'.encode(), first + i) for i in rows))
    connection.executemany('INSERT INTO vector VALUES (?, ?)',
                           ((model * 2**40 + first + i, randoms.choice(mixed)) for i in rows))
    connection.executemany('INSERT INTO thumbnail VALUES (?, ?)',
                           ((first + i, thumbnails[i % len(thumbnails)]) for i in rows if i % 10))
    connection.execute('UPDATE model SET rewrites = random()')
    connection.commit()
    connection.close()


def run(command, browser, packages, names, folder):
    pictures, small, large = (os.path.join(folder, name) for name in ('pictures', 'small.db', 'large.db'))
    os.mkdir(pictures)
    make_folder(pictures)
    arguments = '-m', MODEL, '--index'
    with Server(command, *arguments, pictures, environment={'VKCLIP_INDEX': small}) as first:
        first.wait_for_index()
        write_facts(small)
        make_large(large, small)
        with Server(command, *arguments, large) as many, Server(command, '-m', MODEL) as bare, \
                Server(command, *arguments, small, '--token', 'a-long-token') as locked:
            setting = {'browser': browser, 'packages': packages, 'pictures': pictures, 'samples': SAMPLES,
                       'folders': FOLDERS,
                       **{name: f'http://127.0.0.1:{server.port}' for name, server in
                          [('small', first), ('large', many), ('locked', locked), ('bare', bare)]}}
            pattern = ['--test-name-pattern', names] if names else []
            return subprocess.call(['node', *pattern, 'tests/server/page.mjs'],
                                   env={**os.environ, 'PAGE_TEST': json.dumps(setting)})


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(run(*sys.argv[1:3], os.path.abspath(sys.argv[3]), ''.join(sys.argv[4:]), temporary))
