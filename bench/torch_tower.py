#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times one tower of a model's config.json with PyTorch, from inputs on the device to normalised embeddings there.
Weights are random. Prints one line of JSON per batch size as soon as it is measured: items_per_s is the median of
all runs in the given time, and of at least five.
"""
import argparse
import json
import statistics
import time

import torch

from torch_train import Clip


def make_run(model, tower, batch, device, dtype):
    if tower == 'image':
        pixels = torch.randn(batch, 3, model.size, model.size, device=device, dtype=dtype)
        return lambda: model.encode_image(pixels)
    ids = torch.randint(0, model.vocabulary - 2, (batch, model.context), device=device)
    ids[:, -1] = model.vocabulary - 1
    return lambda: model.encode_text(ids)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config.json')
    parser.add_argument('--tower', choices=('image', 'text'), default='image')
    parser.add_argument('--batches', default='1,32,256')
    parser.add_argument('--seconds', type=float, default=1)
    parser.add_argument('--dtype', choices=('float32', 'float16'), default='float32')
    parser.add_argument('--compile', action='store_true', help='with torch.compile')
    args = parser.parse_args()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    dtype = getattr(torch, args.dtype)
    with open(args.config, encoding='utf-8') as file:
        model = Clip(json.load(file)).to(device, dtype).eval()
    if args.compile:
        model.encode_image = torch.compile(model.encode_image)
        model.encode_text = torch.compile(model.encode_text)

    def run_once(run):
        start = time.perf_counter()
        run()
        if device == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter() - start

    with torch.inference_mode():
        for batch in (int(text) for text in args.batches.split(',')):
            run = make_run(model, args.tower, batch, device, dtype)
            times = []
            for _ in range(3):  # PyTorch compiles and chooses algorithms in the first runs.
                run_once(run)
            while len(times) < 5 or sum(times) < args.seconds:
                times.append(run_once(run))
            print(json.dumps({'tower': args.tower, 'batch': batch, 'runs': len(times),
                              'items_per_s': batch / statistics.median(times)}), flush=True)


if __name__ == '__main__':
    main()
