#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times towers of CLIP's descendants with PyTorch on the CPU, from inputs to normalised embeddings. The towers have the
sizes of the published models and random weights, and are written here with PyTorch's fastest operations. Prints
one line of JSON per batch size: items_per_s is the median of all runs in the given time, and of at least five.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Scaled dot-product attention of all tokens, with rotary positions after the first `skip` tokens if given."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm = nn.Identity()

    def forward(self, x, rope=None):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if rope is not None:
            q, k = rotate(q, rope), rotate(k, rope)
        x = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width)
        return self.out(self.norm(x))


def rotate(x, rope):
    cos, sin = rope
    pairs = x.unflatten(-1, (-1, 2))
    a, b = pairs[..., 0], pairs[..., 1]
    return torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)


class Mlp(nn.Sequential):
    def __init__(self, width, hidden, tanh=False):
        gelu = nn.GELU(approximate='tanh' if tanh else 'none')
        super().__init__(nn.Linear(width, hidden), gelu, nn.Linear(hidden, width))


class SwiGlu(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.gate, self.value = nn.Linear(width, hidden), nn.Linear(width, hidden)
        self.norm, self.out = nn.LayerNorm(hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.out(self.norm(F.silu(self.gate(x)) * self.value(x)))


class Block(nn.Module):
    def __init__(self, width, heads, mlp, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width), mlp

    def forward(self, x, rope=None):
        if self.norm_first:
            x = x + self.attention(self.norm1(x), rope)
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))


class Siglip(nn.Module):
    """The image tower of SigLIP and SigLIP 2, base, patches of 16 (Zhai et al. 2023)."""

    def __init__(self, width=768, heads=12, layers=12, size=224, patch=16):
        super().__init__()
        self.shape = (3, size, size)
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.positions = nn.Parameter(torch.randn(1, (size // patch) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, heads, Mlp(width, 4 * width, True)) for _ in range(layers))
        self.norm, self.probe = nn.LayerNorm(width), nn.Parameter(torch.randn(1, 1, width))
        self.pool = nn.MultiheadAttention(width, heads, batch_first=True)
        self.pool_norm, self.pool_mlp = nn.LayerNorm(width), Mlp(width, 4 * width, True)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        x = self.pool(self.probe.expand(len(x), -1, -1), x, x, need_weights=False)[0][:, 0]
        return F.normalize(x + self.pool_mlp(self.pool_norm(x)), dim=-1)


class SiglipText(nn.Module):
    """The text tower of SigLIP 2, base."""

    def __init__(self, width=768, heads=12, layers=12, context=64, vocabulary=256000):
        super().__init__()
        self.context, self.vocabulary = context, vocabulary
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(1, context, width))
        self.blocks = nn.ModuleList(Block(width, heads, Mlp(width, 4 * width, True)) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions
        for block in self.blocks:
            x = block(x)
        return F.normalize(self.head(self.norm(x)[:, -1]), dim=-1)


class XlmRoberta(nn.Module):
    """The text tower of OpenCLIP's xlm-roberta-base-ViT-B-32, for texts without padding."""

    def __init__(self, width=768, heads=12, layers=12, context=77, vocabulary=250002, out=512):
        super().__init__()
        self.context, self.vocabulary = context, vocabulary
        self.tokens, self.norm = nn.Embedding(vocabulary, width), nn.LayerNorm(width)
        self.positions = nn.Parameter(torch.randn(1, context, width))
        self.blocks = nn.ModuleList(Block(width, heads, Mlp(width, 4 * width), False) for _ in range(layers))
        middle = (width + out) // 2
        self.head = nn.Sequential(nn.Linear(width, middle, False), nn.GELU(), nn.Linear(middle, out, False))

    def forward(self, ids):
        x = self.norm(self.tokens(ids) + self.positions)
        for block in self.blocks:
            x = block(x)
        return F.normalize(self.head(x.mean(1)), dim=-1)


class Eva02(nn.Module):
    """The image tower of EVA02-B-16."""

    def __init__(self, width=768, heads=12, layers=12, size=224, patch=16, out=512):
        super().__init__()
        self.shape, side, head = (3, size, size), size // patch, width // heads
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, side * side + 1, width))
        self.blocks = nn.ModuleList(Block(width, heads, SwiGlu(width, width * 8 // 3)) for _ in range(layers))
        for block in self.blocks:
            block.attention.norm = nn.LayerNorm(width)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, out)
        bands = 1 / 10000 ** (torch.arange(head // 4) / (head // 4))
        places = torch.arange(side) / side * 16
        rows, columns = (places[:, None] * bands).unsqueeze(1), (places[:, None] * bands).unsqueeze(0)
        angles = torch.cat((rows.expand(-1, side, -1), columns.expand(side, -1, -1)), -1).flatten(0, 1)
        angles = torch.cat((torch.zeros(1, head // 2), angles))  # The class token is not turned.
        self.rope = (angles.cos(), angles.sin())

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(len(x), -1, -1), x), 1) + self.positions
        for block in self.blocks:
            x = block(x, self.rope)
        return F.normalize(self.head(self.norm(x)[:, 0]), dim=-1)


class ConvNextBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm, self.mlp = nn.LayerNorm(width), Mlp(width, 4 * width)
        self.gamma = nn.Parameter(torch.randn(width))

    def forward(self, x):
        y = self.depthwise(x).permute(0, 2, 3, 1)
        return x + (self.gamma * self.mlp(self.norm(y))).permute(0, 3, 1, 2)


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """The image tower of OpenCLIP's convnext_base."""

    def __init__(self, depths=(3, 3, 27, 3), widths=(128, 256, 512, 1024), size=224, out=512):
        super().__init__()
        self.shape = (3, size, size)
        layers = [nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0])]
        for stage, (depth, width) in enumerate(zip(depths, widths)):
            if stage:
                layers += [ChannelNorm(widths[stage - 1]), nn.Conv2d(widths[stage - 1], width, 2, 2)]
            layers += [ConvNextBlock(width) for _ in range(depth)]
        self.layers, self.norm = nn.Sequential(*layers), nn.LayerNorm(widths[-1])
        self.head = nn.Linear(widths[-1], out, False)

    def forward(self, x):
        x = self.layers(x.contiguous(memory_format=torch.channels_last))
        return F.normalize(self.head(self.norm(x.mean((2, 3)))), dim=-1)


TOWERS = {'siglip': Siglip, 'siglip-text': SiglipText, 'xlm-roberta': XlmRoberta, 'eva02': Eva02, 'convnext': ConvNext}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('tower', choices=TOWERS)
    parser.add_argument('--batches', default='1,8')
    parser.add_argument('--seconds', type=float, default=1)
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = TOWERS[args.tower]().eval()
    with torch.inference_mode():
        for batch in (int(text) for text in args.batches.split(',')):
            if hasattr(model, 'shape'):
                inputs = torch.randn(batch, *model.shape)
            else:
                inputs = torch.randint(5, model.vocabulary, (batch, model.context))
            times = []
            model(inputs)
            while len(times) < 5 or sum(times) < args.seconds:
                start = time.perf_counter()
                model(inputs)
                times.append(time.perf_counter() - start)
            print(json.dumps({'tower': args.tower, 'batch': batch, 'runs': len(times),
                              'items_per_s': batch / statistics.median(times)}), flush=True)


if __name__ == '__main__':
    main()
