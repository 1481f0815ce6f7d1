#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures what --fast-decode costs and saves: usage: fast_decode.py VKCLIP MODEL PICTURES FOLDER

Enlarges every picture of the folder PICTURES to photographs of 1 to 12 megapixels, as JPEG files in FOLDER, embeds them
with and without --fast-decode, and prints the cosines between the two and the processor time of preparing them. Needs
Pillow and NumPy."""
import os
import resource
import subprocess
import sys

import numpy
from PIL import Image

command, model, pictures, folder = sys.argv[1:]
HEIGHTS = (900, 1800, 3000)


def write_photographs(height):
    """Enlarged pictures have no detail of their own, so noise of a camera's size is added."""
    random = numpy.random.default_rng(height)
    target = os.path.join(folder, str(height))
    os.makedirs(target, exist_ok=True)
    for name in sorted(os.listdir(pictures)):
        picture = Image.open(os.path.join(pictures, name)).convert('RGB')
        picture = picture.resize((height * 4 // 3, height), Image.LANCZOS)
        pixels = numpy.asarray(picture) + random.normal(0, 3, (height, height * 4 // 3, 3))
        picture = Image.fromarray(numpy.clip(pixels, 0, 255).astype(numpy.uint8))
        picture.save(os.path.join(target, os.path.splitext(name)[0] + '.jpg'), quality=90)
    return target


def run(action, target, output, *options):
    """Returns the seconds of processor time that the command took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([command, action, '-q', '-m', model, '--image', target, '-o', output, *options], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


print('| photographs | cosine, mean | cosine, least | ms per picture, exact | ms, fast |\n|---|---|---|---|---|')
for height in HEIGHTS:
    target = write_photographs(height)
    exact, fast = os.path.join(folder, 'exact.npy'), os.path.join(folder, 'fast.npy')
    run('embed', target, exact)
    run('embed', target, fast, '--fast-decode')
    a, b = (numpy.load(path).astype(numpy.float64) for path in (exact, fast))
    cosines = (a * b).sum(axis=1) / numpy.linalg.norm(a, axis=1) / numpy.linalg.norm(b, axis=1)
    prepared = os.path.join(folder, 'prepared.safetensors')
    times = [run('preprocess', target, prepared, *options) / len(a) * 1000 for options in ((), ('--fast-decode',))]
    print(f'| {len(a)} of {height * 4 // 3} x {height} | {cosines.mean():.6f} | {cosines.min():.6f} | '
          f'{times[0]:.1f} | {times[1]:.1f} |', flush=True)
