#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a T5 encoder of XXL's shape with random fp16 weights (9.5 GB) to a folder, and token ids of prompts to its folder ids.
The weights have the deviations with which T5's training begins (transformers, T5PreTrainedModel._init_weights), so that
values neither vanish nor grow over the blocks. They are pieces of one random block, since Python makes 4.8 G numbers
too slowly.
"""
import argparse
import json
import os
import random
import struct

WIDTH, FEED_FORWARD, HEADS, HEAD, BLOCKS, VOCABULARY, BUCKETS = 4096, 10240, 64, 64, 24, 32128, 32


def tensors():
    """Yields name, shape and deviation; 0 stands for a norm, whose weights are ones."""
    inner = HEADS * HEAD
    yield 'shared.weight', (VOCABULARY, WIDTH), 1
    for block in range(BLOCKS):
        attention, feed_forward = (f'encoder.block.{block}.layer.{layer}.' for layer in (0, 1))
        yield attention + 'SelfAttention.q.weight', (inner, WIDTH), (WIDTH * HEAD) ** -0.5
        yield attention + 'SelfAttention.k.weight', (inner, WIDTH), WIDTH ** -0.5
        yield attention + 'SelfAttention.v.weight', (inner, WIDTH), WIDTH ** -0.5
        yield attention + 'SelfAttention.o.weight', (WIDTH, inner), inner ** -0.5
        if block == 0:
            yield attention + 'SelfAttention.relative_attention_bias.weight', (BUCKETS, HEADS), WIDTH ** -0.5
        yield attention + 'layer_norm.weight', (WIDTH,), 0
        yield feed_forward + 'DenseReluDense.wi_0.weight', (FEED_FORWARD, WIDTH), WIDTH ** -0.5
        yield feed_forward + 'DenseReluDense.wi_1.weight', (FEED_FORWARD, WIDTH), WIDTH ** -0.5
        yield feed_forward + 'DenseReluDense.wo.weight', (WIDTH, FEED_FORWARD), FEED_FORWARD ** -0.5
        yield feed_forward + 'layer_norm.weight', (WIDTH,), 0
    yield 'encoder.final_layer_norm.weight', (WIDTH,), 0


def write_header(file, entries, end=0):
    header = {}
    for name, kind, shape, size in entries:
        header[name] = {'dtype': kind, 'shape': list(shape), 'data_offsets': [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    file.write(struct.pack('<Q', len(text)) + text)


def count(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder')
    parser.add_argument('--lengths', default='77,256')
    args = parser.parse_args()
    os.makedirs(os.path.join(args.folder, 'ids'), exist_ok=True)
    values = random.Random(1)
    with open(os.path.join(args.folder, 'config.json'), 'w', encoding='utf-8') as file:
        json.dump({'model_type': 't5', 'd_model': WIDTH, 'd_ff': FEED_FORWARD, 'num_heads': HEADS, 'd_kv': HEAD,
                   'num_layers': BLOCKS, 'vocab_size': VOCABULARY, 'relative_attention_num_buckets': BUCKETS,
                   'relative_attention_max_distance': 128, 'feed_forward_proj': 'gated-gelu'}, file)
    normal = [values.gauss(0, 1) for _ in range(65536)]
    order = values.choices(range(65536), k=1 << 23)
    blocks = {0: struct.pack('<e', 1) * (1 << 20)}
    with open(os.path.join(args.folder, 'model.safetensors'), 'wb') as file:
        write_header(file, [(name, 'F16', shape, 2 * count(shape)) for name, shape, _ in tensors()])
        for name, shape, deviation in tensors():
            if deviation not in blocks:
                halves = [struct.pack('<e', deviation * value) for value in normal]
                blocks[deviation] = b''.join([halves[i] for i in order])
            block, left = blocks[deviation], 2 * count(shape)
            while left:
                # A piece begins anywhere in the block, so that rows and tensors differ.
                start = 2 * values.randrange(len(block) // 2) if deviation else 0
                left -= file.write(block[start:start + left])
    for length in (int(text) for text in args.lengths.split(',')):
        ids = [values.randrange(3, 32000) for _ in range(length - 1)] + [1]
        with open(os.path.join(args.folder, 'ids', f'{length}.safetensors'), 'wb') as file:
            write_header(file, [('input_ids', 'I32', (1, length), 4 * length)])
            file.write(struct.pack(f'<{length}i', *ids))


if __name__ == '__main__':
    main()
