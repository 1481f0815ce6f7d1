#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times training steps of PyTorch on the CPU for the model that a Hugging Face config.json describes. The
objective, the optimiser and the batch, random pictures and texts, are those of `vkclip train`. Prints
"N pairs/s", the median of all steps but the first. With --write it writes the batch for
`vkclip train --data-raw` instead.
"""
import argparse
import json
import statistics
import struct
import time

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, width, heads, mlp):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.proj = nn.Linear(width, mlp), nn.Linear(mlp, width)

    def forward(self, x, causal):
        batch, tokens, width = x.shape
        q, k, v = (part.view(batch, tokens, self.heads, -1).transpose(1, 2)
                   for part in self.qkv(self.ln_1(x)).chunk(3, -1))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, width))
        y = self.fc(self.ln_2(x))
        return x + self.proj(y * torch.sigmoid(1.702 * y))  # QuickGELU


class Tower(nn.Module):
    def __init__(self, config, tokens, dim):
        super().__init__()
        width = config['hidden_size']
        self.positions = nn.Parameter(0.01 * torch.randn(tokens, width))
        self.blocks = nn.ModuleList(Block(width, config['num_attention_heads'], config['intermediate_size'])
                                    for _ in range(config['num_hidden_layers']))
        self.ln = nn.LayerNorm(width)
        self.projection = nn.Parameter(width ** -0.5 * torch.randn(width, dim))

    def run(self, x, rows, causal):
        x = x + self.positions[:x.shape[1]]
        for block in self.blocks:
            x = block(x, causal)
        return functional.normalize(self.ln(x[torch.arange(len(x)), rows]) @ self.projection, dim=-1)


class Clip(nn.Module):
    def __init__(self, config):
        super().__init__()
        image, text, dim = config['vision_config'], config['text_config'], config['projection_dim']
        patch, width = image['patch_size'], image['hidden_size']
        self.size, self.context, self.vocabulary = (image['image_size'], text['max_position_embeddings'],
                                                    text['vocab_size'])
        self.patches = nn.Conv2d(3, width, patch, patch, bias=False)
        self.token = nn.Parameter(width ** -0.5 * torch.randn(width))
        self.ln_pre = nn.LayerNorm(width)
        self.image = Tower(image, (self.size // patch) ** 2 + 1, dim)
        self.words = nn.Embedding(self.vocabulary, text['hidden_size'])
        self.text = Tower(text, self.context, dim)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def encode_image(self, pixels):
        x = self.patches(pixels).flatten(2).transpose(1, 2)
        x = self.ln_pre(torch.cat([self.token.expand(len(x), 1, -1), x], 1))
        return self.image.run(x, 0, False)

    def encode_text(self, ids):
        return self.text.run(self.words(ids), ids.argmax(1), True)

    def forward(self, pixels, ids):
        images, texts = self.encode_image(pixels), self.encode_text(ids)
        logits = self.logit_scale.exp() * images @ texts.T
        labels = torch.arange(len(logits))
        return (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2


def write_batch(path, pixels, ids):
    """Writes a safetensors file with images [1,B,3,S,S] and input_ids [1,B,T]."""
    header, data = {}, b''
    for name, kind, values in (('images', 'F32', pixels), ('input_ids', 'I32', ids.int())):
        piece = values.numpy().tobytes()
        header[name] = {'dtype': kind, 'shape': [1, *values.shape], 'data_offsets': [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config.json')
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--steps', type=int, default=8)
    parser.add_argument('--threads', type=int, default=0, help='threads of PyTorch (its own choice)')
    parser.add_argument('--write', metavar='FILE')
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    with open(args.config, encoding='utf-8') as file:
        model = Clip(json.load(file))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, (0.9, 0.98), 1e-6, 0.2)
    pixels = torch.randn(args.batch_size, 3, model.size, model.size)
    ids = torch.randint(0, model.vocabulary - 2, (args.batch_size, model.context))
    ids[:, -1] = model.vocabulary - 1
    if args.write:
        write_batch(args.write, pixels, ids)
        return
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = model(pixels, ids)
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    print(f'loss {loss.item():.4f}, {args.batch_size / statistics.median(times[1:]):.1f} pairs/s')


if __name__ == '__main__':
    main()
