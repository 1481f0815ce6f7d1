#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures what --fast-decode costs and saves: usage: fast_decode.py VKCLIP MODEL PICTURES FOLDER

Enlarges every picture of the folder PICTURES to photographs of 1 to 12 megapixels, as JPEG files in FOLDER, embeds them
with and without --fast-decode, and prints the cosines between the two and the processor time of preparing them. Hard ones
have more noise, and sharp edges before a ground of one bright colour. Needs Pillow and NumPy."""
import os
import resource
import subprocess
import sys

import numpy
from PIL import Image

command, model, pictures, folder = sys.argv[1:]
KINDS = ((900, False), (1800, False), (3000, False), (900, True), (1800, True))


def write_photographs(height, hard):
    """Enlarged pictures have no detail of their own, so noise of a camera's size is added."""
    random = numpy.random.default_rng(height)
    target = os.path.join(folder, f'{height}-{hard}')
    os.makedirs(target, exist_ok=True)
    for name in sorted(os.listdir(pictures)):
        picture = Image.open(os.path.join(pictures, name)).convert('RGB')
        picture = picture.resize((height * 4 // 3, height), Image.LANCZOS)
        if hard:
            picture = picture.rotate(random.uniform(-20, 20), fillcolor=tuple(random.integers(0, 256, 3).tolist()))
        pixels = numpy.asarray(picture) + random.normal(0, 6 if hard else 3, (height, height * 4 // 3, 3))
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
for height, hard in KINDS:
    target = write_photographs(height, hard)
    exact, fast = os.path.join(folder, 'exact.npy'), os.path.join(folder, 'fast.npy')
    run('embed', target, exact)
    run('embed', target, fast, '--fast-decode')
    a, b = (numpy.load(path).astype(numpy.float64) for path in (exact, fast))
    cosines = (a * b).sum(axis=1) / numpy.linalg.norm(a, axis=1) / numpy.linalg.norm(b, axis=1)
    prepared = os.path.join(folder, 'prepared.safetensors')
    times = [run('preprocess', target, prepared, *options) / len(a) * 1000 for options in ((), ('--fast-decode',))]
    print(f'| {len(a)}{" hard ones" if hard else ""} of {height * 4 // 3} x {height} | {cosines.mean():.6f} | {cosines.min():.6f} | '
          f'{times[0]:.1f} | {times[1]:.1f} |', flush=True)
