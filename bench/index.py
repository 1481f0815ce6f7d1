#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""index.py COMMAND MODEL FOLDER [TURNS]: processor time of `vkclip index` against `embed` and decoding alone.

Each command runs over the pictures of FOLDER in turn, and `index` once more when it is up to date.
Processor time is compared, because elapsed time depends on what else the machine does.
"""
import os
import resource
import subprocess
import sys
import tempfile
import time


def measure(*arguments):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.monotonic() - start


def main():
    command, model, folder = sys.argv[1:4]
    turns = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    count = sum(len(files) for _, _, files in os.walk(folder))
    print('ms of processor time per picture (elapsed)')
    for _ in range(turns):
        with tempfile.TemporaryDirectory() as scratch:
            index = ['index', '-m', model, '--index', f'{scratch}/scaled.db']
            for name, arguments in [
                    ('preprocess: decode and resize alone',
                     ['preprocess', '-m', model, '-o', f'{scratch}/a.safetensors', '-r', folder]),
                    ('embed', ['embed', '-m', model, '-o', f'{scratch}/a.npy', '-r', folder]),
                    ('index', [*index, folder]),
                    ('index, up to date', [*index, folder]),
                    ('index --exact', ['index', '-m', model, '--exact', '--index',
                                       f'{scratch}/exact.db', folder])]:
                used, elapsed = measure(command, *arguments)
                print(f'{1000 * used / count:8.1f} ({1000 * elapsed / count:6.1f})  {name}', flush=True)


main()
