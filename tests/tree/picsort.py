#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""picsort.py PICSORT VKCLIP: runs the example examples/cpp on a folder, compares its table with what the command vkclip
says of the same pictures, and interrupts it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

MODEL = 'models/emoji-clip'
LABELS = ['owl', 'pizza', 'red, "quoted"']


def expect(what, found, expected):
    if found != expected:
        sys.exit('FAILED: %s: found %s, expected %s' % (what, found, expected))


def classify(vkclip, picture):
    labels = [word for label in LABELS for word in ('-l', label)]
    line = subprocess.check_output([vkclip, 'classify', '-m', MODEL, '--template', 'a picture of {}', '--json', *labels,
                                    picture], stderr=subprocess.DEVNULL)
    return {result['label']: result['prob'] for result in json.loads(line)['results']}


def check_table(picsort, vkclip, folder, into):
    done = subprocess.run([picsort, '--into', into, MODEL, folder, *LABELS], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    expect('the exit status', done.returncode, 0)
    expect('a message about broken.png', 'broken.png: ' in done.stderr, True)
    head, *rows = csv.reader(done.stdout.splitlines())
    expect('the head', head, ['picture', 'label', *LABELS, 'duplicate of'])
    expect('the pictures', [os.path.basename(row[0]) for row in rows], ['again.png', 'owl.png', 'pizza.png'])
    for path, label, *probabilities, duplicate in rows:
        right = classify(vkclip, path)
        expect('the label of ' + path, label, max(right, key=right.get))
        for name, probability in zip(LABELS, probabilities):
            expect('%s of %s within 0.0002' % (name, path), abs(float(probability) - right[name]) < 0.0002, True)
        expect('the duplicate of ' + path, os.path.basename(duplicate), {'owl.png': 'again.png'}.get(
            os.path.basename(path), ''))
    expect('the folders', {name: sorted(os.listdir(os.path.join(into, name))) for name in os.listdir(into)},
           {'owl': ['again.png', 'owl.png'], 'pizza': ['pizza.png']})


def check_interrupt(picsort, folder):
    for i in range(400):
        shutil.copy(os.path.join(MODEL, 'samples', 'owl.png'), os.path.join(folder, '%d.png' % i))
    process = subprocess.Popen([picsort, MODEL, folder, *LABELS], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    message = process.communicate(timeout=300)[1].decode()
    expect('the exit status after an interrupt', process.returncode, 130)
    expect('a message in the end', message.endswith('picsort: stopped by the caller\n'), True)


def main():
    picsort, vkclip = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        folder = os.path.join(work, 'pictures')
        os.mkdir(folder)
        for name in 'owl.png', 'pizza.png':
            shutil.copy(os.path.join(MODEL, 'samples', name), folder)
        with open(os.path.join(folder, 'owl.png'), 'rb') as owl, open(os.path.join(folder, 'again.png'), 'wb') as again:
            again.write(owl.read() + b'another file with the same picture')
        with open(os.path.join(folder, 'broken.png'), 'w') as broken:
            broken.write('no picture')
        check_table(picsort, vkclip, folder, os.path.join(work, 'into'))
        check_interrupt(picsort, folder)
    print('works: the table, the folders and an interrupt')


main()
