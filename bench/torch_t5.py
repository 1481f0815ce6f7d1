#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times a T5 encoder of a config.json with PyTorch: one prompt, from token ids to the last norm.
Weights are random, and all blocks compute with the weights of one, which takes as long as long as a block is larger
than the caches, so that a machine with less memory than all weights can time it. Prints one line of JSON per length.
"""
import argparse
import json
import math
import statistics
import time

import torch
import torch.nn.functional as F


class Encoder:
    """The blocks of T5 v1.1: RMSNorm, attention with a bias by distance and no scale, gated feed-forward."""

    def __init__(self, config, dtype):
        width, inner = config['d_model'], config['num_heads'] * config['d_kv']
        self.heads, self.layers, self.dtype = config['num_heads'], config['num_layers'], dtype
        self.buckets, self.distance = config['relative_attention_num_buckets'], config['relative_attention_max_distance']
        shapes = {'q': (inner, width), 'k': (inner, width), 'v': (inner, width), 'o': (width, inner),
                  'wi_0': (config['d_ff'], width), 'wi_1': (config['d_ff'], width), 'wo': (width, config['d_ff'])}
        self.weights = {name: torch.randn(shape, dtype=dtype) * 0.02 for name, shape in shapes.items()}
        self.norm = torch.ones(width)
        self.table = torch.randn(self.buckets, self.heads)

    def rms(self, x):
        return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.norm).to(self.dtype)

    def bias(self, length):
        relative = torch.arange(length)[None, :] - torch.arange(length)[:, None]
        half = self.buckets // 2
        distance = relative.abs()
        far = half // 2 + (torch.log(distance.clamp(min=1) / (half // 2)) / math.log(self.distance / (half // 2))
                           * (half - half // 2)).long()
        bucket = (relative > 0) * half + torch.where(distance < half // 2, distance, far.clamp(max=half - 1))
        return self.table[bucket].permute(2, 0, 1).to(self.dtype)

    def encode(self, x):
        w, length = self.weights, x.shape[0]
        bias = self.bias(length)
        for _ in range(self.layers):
            y = self.rms(x)
            q, k, v = (F.linear(y, w[name]).view(length, self.heads, -1).transpose(0, 1) for name in 'qkv')
            y = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=bias[None], scale=1.0)[0]
            x = x + F.linear(y.transpose(0, 1).reshape(length, -1), w['o'])
            y = self.rms(x)
            x = x + F.linear(F.gelu(F.linear(y, w['wi_0']), approximate='tanh') * F.linear(y, w['wi_1']), w['wo'])
        return self.rms(x)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config.json')
    parser.add_argument('--lengths', default='77,256')
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
    args = parser.parse_args()
    with open(args.config, encoding='utf-8') as file:
        config = json.load(file)
    with torch.inference_mode():
        model = Encoder(config, getattr(torch, args.dtype))
        for length in (int(text) for text in args.lengths.split(',')):
            x = torch.randn(length, config['d_model'])
            model.encode(x)
            times = []
            for _ in range(args.runs):
                start = time.perf_counter()
                model.encode(x)
                times.append(time.perf_counter() - start)
            print(json.dumps({'dtype': args.dtype, 'length': length, 'seconds': round(statistics.median(times), 2)}),
                  flush=True)


if __name__ == '__main__':
    main()
