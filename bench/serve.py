#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures `vkclip serve` with wrk, and the same texts and pictures through `vkclip embed`, in one run.

A model is a folder, or an architecture that `vkclip init` gives random weights. Every request has one text, or one JPEG as
a data URL. The device counts as busy while at least one batch is on it. Processor time is that of the server or of embed,
in which a device that is a CPU is included; it tells more than the clock where other programs run.
"""
import argparse
import base64
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, 'tests/support')
from jpeg import make_jpeg  # noqa: E402

VOCABULARY = 'models/emoji-clip/tokenizer.json'  # for random weights, which have none
TEXTS = 20000
WORDS = ('a photo of the red blue green small large old new cat dog owl house car street tree river mountain person child '
         'bicycle boat bird flower table window night morning snow rain sun with near under above two three many').split()


def fail(message):
    sys.exit(f'bench/serve.sh: {message}')


# ---- What is asked ---------------------------------------------------------------------------------

def make_texts():
    """Different captions of 3 to 12 words, because a batch computes equal ones once."""
    numbers, texts = random.Random(1), {}
    while len(texts) < TEXTS:
        texts[' '.join(numbers.choices(WORDS, k=numbers.randint(3, 12)))] = None
    return list(texts)


def make_pictures(options, folder):
    paths = []
    for number in range(options.pictures):
        paths.append(f'{folder}/{number:03}.jpg')
        with open(paths[-1], 'wb') as file:
            file.write(make_jpeg(number, 640, 480))
    return paths


def data_url(path):
    with open(path, 'rb') as file:
        return 'data:image/jpeg;base64,' + base64.b64encode(file.read()).decode()


# ---- Measuring -------------------------------------------------------------------------------------

class Server:
    def __init__(self, options, model, folder):
        with open(f'{folder}/log', 'w+', encoding='utf-8') as log:
            self.process = subprocess.Popen(
                [options.command, 'serve', '-m', model, '--listen', '127.0.0.1:0', '--unix',
                 f'{folder}/socket'], stdout=subprocess.PIPE, stderr=log, text=True)
            found = re.match(r'http://[^/]*', self.process.stdout.readline())
            if not found:
                log.seek(0)
                fail(f'the server did not start: {log.read()}')
        self.address = found[0]

    def read(self):
        """What the server has done so far: seconds of device and processor, batches, items."""
        with urllib.request.urlopen(self.address + '/metrics') as answer:
            lines = answer.read().decode().splitlines()
        values = {}
        for line in lines:
            name = re.split('[{ ]', line)[0]
            if name in ('vkclip_device_busy_seconds_total', 'vkclip_batches_total', 'vkclip_batch_items_total',
                        'vkclip_running_requests'):
                values[name] = values.get(name, 0) + float(line.split()[-1])
        with open(f'/proc/{self.process.pid}/stat', encoding='utf-8') as file:
            fields = file.read().rsplit(')', 1)[1].split()
        values['processor'] = (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
        values['clock'] = time.monotonic()
        return values

    def stop(self):
        self.process.terminate()
        if self.process.wait():
            fail('the server ended with an error')


def run_wrk(server, bodies, clients, seconds):
    result = subprocess.run(['wrk', '-t1', f'-c{clients}', f'-d{seconds}s', '--timeout', '120s', '-s', 'bench/serve.lua',
                             server.address + '/v1/embeddings', '--', bodies],
                            check=True, capture_output=True, text=True)
    measured = json.loads(result.stdout.splitlines()[-1])
    if measured['errors']:
        fail(f'{measured["errors"]} of {measured["requests"]} requests failed')
    return measured


def warm_up(server, inputs):
    """Kernels for batches of each size are built when such a batch first comes. Returns the last one's items per second."""
    for size in (1, 2, 4, 8, 16, 32):
        for first in range(0, 64, 32):
            body = json.dumps({'input': [inputs[(first + i) % len(inputs)] for i in range(size)]}).encode()
            start = time.monotonic()
            urllib.request.urlopen(server.address + '/v1/embeddings', body).read()
    return size / (time.monotonic() - start)


def measure(server, bodies, clients, seconds):
    before = server.read()
    measured = run_wrk(server, bodies, clients, seconds)
    end = server.read()
    idle = end
    while idle['vkclip_running_requests']:  # wrk has left requests, of which some are in a batch that counts when it ends.
        time.sleep(0.1)
        idle = server.read()
    busy, clock = (end[name] - before[name] for name in ('vkclip_device_busy_seconds_total', 'clock'))
    items, batches, processor = (max(idle[name] - before[name], 1e-9) for name in (
        'vkclip_batch_items_total', 'vkclip_batches_total', 'processor'))
    return {**measured, 'rate': measured['requests'] / measured['seconds'], 'busy': busy / clock, 'batch': items / batches,
            'processor': processor / items}


def run_embed(options, model, inputs, folder):
    """Seconds and processor seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([options.command, 'embed', '-q', '-m', model, '--server', 'never', '--overwrite',
                    '-o', f'{folder}/out.npy', *inputs], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_embed(options, model, option, items, rate, folder):
    """A second run with few items tells what the start takes, which does not count."""
    count = max(int(rate * options.seconds), 64)
    seconds = {}
    for number in (8, 8 + count):
        with open(f'{folder}/list', 'w', encoding='utf-8') as file:
            file.writelines(items[i % len(items)] + '\n' for i in range(number))
        seconds[number] = run_embed(options, model, [option, f'{folder}/list'], folder)
    clock, processor = (seconds[8 + count][i] - seconds[8][i] for i in range(2))
    return count / clock, processor / count


def print_rows(options, name, server, bodies, embed):
    rate, processor = embed
    for clients in options.clients:
        # Batches are counted when they end, so that all clients must have had several answers.
        row = measure(server, bodies, clients, max(options.seconds, int(5 * clients / rate)))
        print(f'| {name} | {clients} | {row["rate"]:.1f} | {row["median"]:.0f} | {row["most"]:.0f} | '
              f'{100 * row["busy"]:.0f} % | {row["batch"]:.1f} | {1000 * row["processor"]:.2f} | {row["rate"] / rate:.2f} | '
              f'{processor / row["processor"]:.2f} |', flush=True)
    print(f'| {name} | `embed` | {rate:.1f} | | | | | {1000 * processor:.2f} | 1 | 1 |', flush=True)


def measure_model(options, model, texts, pictures, folder):
    name = os.path.basename(os.path.normpath(model))
    if not os.path.isdir(model):
        model = f'{folder}/{name}'
        subprocess.run([options.command, 'init', '-q', name, model], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(VOCABULARY, model)
    bodies = f'{folder}/bodies'
    for kind, option, items, make in (('texts', '--texts-from', texts, str), ('pictures', '--images-from', pictures, data_url)):
        if kind not in options.kinds:
            continue
        inputs = [make(item) for item in items]
        with open(bodies, 'w', encoding='utf-8') as file:
            for item in inputs:
                file.write(json.dumps({'input': [item], 'encoding_format': 'base64'}) + '\n')
        server = Server(options, model, folder)
        rate = warm_up(server, inputs)
        embed = measure_embed(options, model, option, items, rate, folder)
        print_rows(options, f'{name}, {kind}', server, bodies, embed)
        server.stop()


def read_options():
    parser = argparse.ArgumentParser(prog='bench/serve.sh', description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--build', default='build', help='the folder with vkclip (%(default)s)')
    parser.add_argument('--model', action='append', help='a folder, or an architecture (models/emoji-clip and ViT-B-32)')
    parser.add_argument('--kinds', nargs='+', default=['texts', 'pictures'], choices=['texts', 'pictures'])
    parser.add_argument('--clients', type=int, nargs='+', default=[1, 8, 64], help='clients at the same time (1 8 64)')
    parser.add_argument('--seconds', type=int, default=10, help='of each line of the table, or more if all clients need it (%(default)s)')
    parser.add_argument('--pictures', type=int, default=64, help='different pictures (%(default)s)')
    options = parser.parse_args()
    options.command = os.path.join(options.build, 'vkclip')
    if not os.path.exists(options.command):
        fail(f'{options.command} is missing: build it, or name its folder by --build')
    if not shutil.which('wrk'):
        fail('wrk is missing (Debian\'s package wrk)')
    return options


def main():
    options = read_options()
    os.environ.setdefault('VKCLIP_TUNE', 'off')  # No kernels are compared meanwhile.
    with tempfile.TemporaryDirectory() as folder:
        texts, pictures = make_texts(), make_pictures(options, folder)
        print(f'{sum(map(os.path.getsize, pictures)) // len(pictures) // 1000} kB per picture, '
              f'load of the machine {os.getloadavg()[0]:.1f}\n')
        print('| work | clients | requests/s | median, ms | 99 %, ms | device busy | items of a batch | processor, ms | '
              'of the rate of `embed` | of its speed by processor time |')
        print('|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|')
        for model in options.model or ['models/emoji-clip', 'ViT-B-32']:
            measure_model(options, model, texts, pictures, folder)


main()
