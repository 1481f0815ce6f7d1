#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes bench/ROOFLINE.md: roofline.py VKCLIP_BENCH >bench/ROOFLINE.md. With --no-compilers after the program it leaves
out what the compilers of GPUs say, which takes minutes.

Work and bytes come from the models' own graphs (vkclip-bench graph), the peaks of the GPUs from what their
makers publish, and the bounds of kernels from the assembly of the GPUs' compilers (third_party/drivers.sh). Every time in
the tables is computed here.
"""
import collections
import csv
import glob
import math
import os
import subprocess
import sys
import tempfile

import loops

Gpu = collections.namedtuple('Gpu', 'name driver fp32 fp16 matrix bandwidth source rows')

# The name of the GPU's driver in tests/gpu_driver.sh (None: none runs without the GPU), TFLOP/s of fp32, of fp16 in vectors, and of fp16 products that matrix units sum in fp32 (None: the GPU has no
# such units); GB/s.
GPUS = [
    Gpu('NVIDIA GeForce RTX 4090', 'ada', 82.6, 82.6, 165.2, 1008,
        "NVIDIA's Ada GPU architecture paper (matrix: dense, fp32 sums)",
        '''`matmul_coopmat` 4x2x2x4, whose workgroup of eight subgroups computes 128x128 values, because the matrix units give
twice the fp32 rate and the products of batch 32 are beyond the ridge. Models in fp32 use `matmul_shared` 8x8x8, which suits
subgroups of 32 and 48 KiB of shared memory, or the same matrix units with `--compute f16`. At batch 1 the products of ViT-B/32 wait for the weights, which every tile reads
once, so that q8 or q4 weights gain more than any tile. The level-2 cache of 72 MiB holds the activations of most batches, so that
memory transfers little besides weights.'''),
    Gpu('AMD Radeon RX 7900 XTX', 'rdna3', 61.4, 122.8, 122.8, 960,
        "AMD's product page (fp16: packed, and by WMMA the same)",
        '''`matmul_coopmat` (WMMA, 16x16x16), which is as fast as packed fp16 and has its sums in fp32. Models in fp32 use
`matmul_shared` 8x8x8: the doubled fp32 rate needs pairs of independent instructions, which 64 sums per invocation give. Texel
and storage loads go through the same cache, so `matmul_texel` has no advantage. Subgroups are 32 or 64 wide.'''),
    Gpu('Intel Arc A770 (16 GB)', None, 17.2, 34.4, 137.6, 560,
        "Intel's product page and Xe-HPG white paper: 32 Xe cores of 128 fp32 lanes and 16 XMX of 128 fp16 operations per clock, at "
        'the graphics clock of 2.1 GHz',
        '''`matmul_coopmat` (XMX), which has eight times the fp32 rate. This is the largest gain of the five and gives the highest ridge,
so that some products of batch 32 still wait for memory. The matrix shape is the one that the driver lists, in tiles of few
matrices where registers are short. Models in fp32 use `matmul_subgroup` 16x4, whose loads of x are shared by broadcasts within a
subgroup of 8 or 16 and need no barrier.'''),
    Gpu('Qualcomm Adreno X1-85', 'adreno740', 4.6, 9.2, None, 135,
        "Qualcomm's Snapdragon X Elite brief (fp16: twice fp32, as its fp16 lanes)",
        '''`matmul_texel` 8x4x8 in fp32, because textures have a cache and a path of their own. In fp16 `matmul_packed_texel` 4x4x8, which
multiplies in fp16 and adds short sums of 16 products to sums in fp32; the limits above leave out that fp16 arithmetic. Pipelines
with many registers may fail to build there; then the next variant or a smaller tile is used.'''),
    Gpu('Arm Immortalis-G715 MC11', None, 2.76, 5.5, None, 68,
        "Arm's and MediaTek's Dimensity 9200 pages: 11 cores of 128 multiply-adds per clock at 0.981 GHz (fp16: twice), LPDDR5X-8533 of "
        '64 bits',
        '''`matmul` 4x4x8 in fp32, `matmul_packed_texel` 4x2x8 in fp16. Shared memory is ordinary cached memory there, so that staging
data in it adds traffic, and more than 32 registers halve the number of threads in flight, which favours small tiles. Subgroups are 16 wide. At batch 1
ViT-B/32 waits for memory in fp32, and not with f16 or q8 weights.'''),
]
MODELS = [('ViT-B-32', 'image', 'ViT-B/32'), ('ViT-B-16', 'image', 'ViT-B/16'), ('ViT-L-14', 'image', 'ViT-L/14'),
          ('ViT-H-14', 'image', 'ViT-H/14'), ('RN50', 'image', 'RN50'), ('ViT-B-32', 'text', 'text tower of B/32')]
BATCHES = (1, 32)
PRODUCTS = ('MATMUL', 'CONV')


def read_nodes(program, storage):
    """Returns (arch, tower, batch) -> nodes."""
    archs = ','.join(sorted({arch for arch, _, _ in MODELS}))
    text = subprocess.run([program, 'graph', '--arch', archs, '--type', storage, '--batches',
                           ','.join(map(str, BATCHES))], stdout=subprocess.PIPE, check=True, text=True).stdout
    nodes = collections.defaultdict(list)
    for row in csv.DictReader(text.splitlines()):
        nodes[row['arch'], row['tower'], int(row['batch'])].append(
            (row['op'], row['shape'], float(row['operations']), float(row['bytes'])))
    return nodes


def rate(gpu, storage, op):
    """Returns the FLOP/s that a node can reach. Sums are in fp32, so fp16 counts only for products on matrix units."""
    fast = storage == 'f16' and op in PRODUCTS and gpu.matrix
    return (gpu.matrix if fast else gpu.fp32) * 1e12


def limit(gpu, storage, nodes):
    """Returns the seconds if every node takes the longer of its work and its bytes, and the part spent on memory."""
    total = waiting = 0
    for op, _, operations, size in nodes:
        work, memory = operations / rate(gpu, storage, op), size / gpu.bandwidth / 1e9
        total += max(work, memory)
        waiting += memory if memory > work else 0
    return total, waiting / total


def print_gpus():
    print('| GPU | fp32 | matrix fp16 | memory | ridge fp32 | ridge fp16 | source |\n|---|---|---|---|---|---|---|')
    for gpu in GPUS:
        matrix = f'{gpu.matrix} TFLOP/s' if gpu.matrix else 'none'
        fast = (gpu.matrix or gpu.fp32) * 1e3 / gpu.bandwidth
        print(f'| {gpu.name} | {gpu.fp32} TFLOP/s | {matrix} | {gpu.bandwidth} GB/s | '
              f'{gpu.fp32 * 1e3 / gpu.bandwidth:.0f} | {fast:.0f} | {gpu.source} |')


def print_models(nodes):
    print('| model | batch | GFLOP | MB in fp32 | MB in fp16 | FLOP per byte, fp16 | in products |\n|---|---|---|---|---|---|---|')
    for arch, tower, name in MODELS:
        for batch in BATCHES:
            f32, f16 = nodes['f32'][arch, tower, batch], nodes['f16'][arch, tower, batch]
            work, wide, small = (sum(node[i] for node in part) for part, i in ((f32, 2), (f32, 3), (f16, 3)))
            products = sum(node[2] for node in f32 if node[0] in PRODUCTS)
            print(f'| {name} | {batch} | {work / 1e9:.1f} | {wide / 1e6:.0f} | {small / 1e6:.0f} | {work / small:.0f} | '
                  f'{100 * products / work:.1f} % |')


def show(value):
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def print_limits(nodes, storage):
    print('| model | batch |' + ''.join(f' {gpu.name} |' for gpu in GPUS) + '\n|---|---|' + '---|' * len(GPUS))
    for arch, tower, name in MODELS:
        for batch in BATCHES:
            cells = []
            for gpu in GPUS:
                seconds, waiting = limit(gpu, storage, nodes[storage][arch, tower, batch])
                cells.append(f' {show(seconds * 1e3)} ms, {batch / seconds:,.0f}/s, {100 * waiting:.0f} % |')
            print(f'| {name} | {batch} |' + ''.join(cells))


def print_products(nodes):
    print('| product of ViT-B/32 | batch | FLOP per byte, fp16 |' + ''.join(f' {gpu.name} |' for gpu in GPUS) +
          '\n|---|---|---|' + '---|' * len(GPUS))
    for batch in BATCHES:
        seen = {}
        for op, shape, work, size in nodes['f16']['ViT-B-32', 'image', batch]:
            if op == 'MATMUL':
                seen.setdefault(shape, (op, shape, work, size))
        for shape, node in seen.items():
            cells = ''.join(' work |' if node[2] / rate(gpu, 'f16', 'MATMUL') > node[3] / gpu.bandwidth / 1e9
                            else ' memory |' for gpu in GPUS)
            print(f'| {shape} | {batch} | {node[2] / node[3]:.0f} |{cells}')


def first_choices(program, driver, *options):
    """Returns (op, x, w) -> what the compiler makes of the first choice for the largest result: name, tile, bound."""
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    largest = {}
    with tempfile.TemporaryDirectory() as folder:
        # Debian's drivers may end badly after their work is done, so that only the table counts.
        text = subprocess.run([top + '/tests/gpu_driver.sh', driver, program, 'compile', '--csv', '--first', '--arch',
                               'ViT-B-32,RN50', '--batches', '8', '--assembly', folder, *options],
                              stdout=subprocess.PIPE, check=False, text=True).stdout
        lines = [line for line in text.splitlines() if line and not line.startswith('#')]
        for number, row in enumerate(csv.DictReader(lines)):
            elements = math.prod(int(side) for side in row['shape'].split('x'))
            key = row['op'], row['x'], row['w']
            if row['result'] == 'built' and elements > largest.get(key, (0,))[0]:
                largest[key] = elements, row['kernel'], row['tile'], number
        bounds = {}
        for key, (_, kernel, tile, number) in largest.items():
            gpu, _, loop = loops.read_loop(glob.glob(f'{folder}/{number:04d}-*')[0])
            if loop and loop.flops + loop.matrix_flops:
                _, share, busiest = loops.bound(gpu, loop)
                bounds[key] = kernel.split()[0], tile, share, busiest, bool(loop.matrix_flops)
        return bounds


BOUNDED = [('MATMUL', 'f32', 'f32'), ('MATMUL', 'f16', 'f16'), ('MATMUL', 'f32', 'q8'), ('MATMUL', 'f16', 'q8'),
           ('MATMUL', 'f16', 'q4'), ('CONV', 'f32', 'f32'), ('CONV', 'f16', 'f16'), ('ATTENTION', 'f32', 'f32'),
           ('ATTENTION', 'f16', 'f16'), ('OUTER', 'f32', 'f32'), ('ATTENTION_GRAD', 'f32', 'f32')]


def print_bounds(program):
    gpus = [gpu for gpu in GPUS if gpu.driver]
    # The forward pass of training excludes some variants, so that the graphs of inference come first.
    bounds = [first_choices(program, gpu.driver, '--training') | first_choices(program, gpu.driver) for gpu in gpus]
    print('| op, x, w |' + ''.join(f' {gpu.name} |' for gpu in gpus) + '\n|---|' + '---|' * len(gpus))
    for key in BOUNDED:
        cells = []
        for gpu, found in zip(gpus, bounds):
            kernel, tile, share, busiest, matrix = found.get(key, ('', '', 0, '', False))
            peak = gpu.matrix if matrix else gpu.fp32
            name = f'`{kernel}`' + (f' {tile}' if tile != '0x0x0' else '')
            cells.append(f' {name}: {100 * share:.0f} %, {show(share * peak)} TFLOP/s, {busiest} |' if kernel else ' |')
        print(f'| {key[0]} {key[1]} {key[2]} |' + ''.join(cells))


def main():
    nodes = {storage: read_nodes(sys.argv[1], storage) for storage in ('f32', 'f16')}
    print('''# What the hardware allows

This file is written by `bench/roofline.py build/vkclip-bench` and not edited. Its times are computed from published
figures; [README.md](README.md) has measured ones. A time here is the least that the arithmetic and the memory traffic of a
model's graph need on a GPU at its published peaks. Nodes run one after the other, and each takes the longer of two times: that
of its operations at the peak rate, and that of its bytes at the full bandwidth, where inputs are read once, results are written
once, and no cache keeps anything from one node to the next. A cache that keeps activations can be faster than the memory part
of a time; no device can be faster than the work part. Sums are in fp32 everywhere, so fp16 arithmetic counts only where matrix
units multiply fp16 and add in fp32.

## Five GPUs

The ridge is the number of FLOP per byte above which work is the limit instead of memory.
''')
    print_gpus()
    print('\n## Work and bytes\n')
    print_models(nodes)
    for storage, title in (('f32', 'The limit in fp32'), ('f16', 'The limit with fp16 storage')):
        print(f'\n## {title}\n\nEach cell has the time of a batch, the items per second, and the part of the time that is spent waiting for memory.\n')
        print_limits(nodes, storage)
    print('''
## What limits the products of ViT-B/32, fp16
''')
    print_products(nodes)
    print('''
At batch 1 a product of 50 rows does at most 50 operations per byte of fp16 weights, whatever the kernel. Only fewer bytes
help, which is the purpose of q8 and q4 weights. At batch 32 the tile decides: a tile of R rows and C columns does R C / (R + C)
multiply-adds per value loaded. So the cache or shared memory must deliver one value per 2.7 multiply-adds to a tile of 8x4, and
one value per 64 multiply-adds to a workgroup's tile of 128x128 in shared memory.''')
    if '--no-compilers' not in sys.argv:
        print('''
## What the kernels can reach

Where nothing was measured, these variants and tiles are chosen for the largest results of ViT-B/32 and RN50 at batch 8. The
share is what the busiest unit leaves of the peak (of matrix units where the variant uses them, else of fp32) when the
instructions of the innermost loop are added up as the driver's compiler wrote them; [loops.py](loops.py) has the cycles
of each and says what it leaves out. Loops that lie in another one count once, so that shares of ATTENTION are too low. No
compiler of the other two GPUs runs without them.
''')
        print_bounds(sys.argv[1])
    print('''
## Which variant and tile

Where several variants fit, vkclip measures them on the device; `vkclip devices --tuning` lists its choices. The choices below
are expected from the makers' published facts and from what the compilers say, and were not measured, because none of these five
GPUs was available.
''')
    for gpu in GPUS:
        print(f'**{gpu.name}**: {gpu.rows}\n')


main()
