#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bounds the speed of kernels by the instructions of their loops: loops.py FILE... reads what `vkclip-bench compile
--assembly` wrote for GPUs of AMD (RADV), NVIDIA (NVK) or Qualcomm (Turnip). It takes the innermost loop with the most arithmetic, adds up
what one turn of one wave occupies of every unit of a compute unit or multiprocessor, and divides: the busiest unit bounds
the speed. Latencies, bank conflicts of shared memory, misses of caches and instructions beside the unit's pipes are left
out, so that the real speed is lower. Instructions of both arms of a branch count, once.

AMD, a CU with two SIMDs. An instruction of a wave of 32 lanes occupies its SIMD for a cycle, one of 64 lanes for two, or
on RDNA 3 and 4 for one where it can be issued in pairs; products of 32-bit integers four times as long, transcendental
functions five times. A matrix product of 16x16x16 takes 32 cycles (RDNA 3) or 16 (RDNA 4). The two SIMDs share 128
bytes a clock from LDS and as many from the L0 cache, of which texels get half. These are ACO's own figures
(aco_statistics.cpp), those of the caches AMD's.

NVIDIA, an SM with four partitions. A partition issues one instruction a clock; instructions with integers take two
(Ampere, Ada), transcendental functions eight, a matrix product of 16x8x16 with fp32 sums 32 on GeForce, beside the
others. The four share 128 bytes a clock from shared memory and the L1 cache together, and four texture units with one
lane a clock each.

Adreno. Counted are the slots in which a wave issues, with those that wait for a register; one of fp16 takes half as long.
What its texture unit delivers, by which buffers are read too, is not published, so that it does not count."""
import re
import sys

BYTES = 128  # from shared memory per clock, and from the cache


class Loop:
    """What one turn of a wave does, in cycles of the units and in operations."""

    def __init__(self):
        self.instructions = self.alu = self.products = self.matrix = self.shared = self.cache = self.waits = 0
        self.barriers = 0
        self.flops = self.matrix_flops = 0


# ---- AMD ------------------------------------------------------------------------------------------------------------

PAIRED = re.compile(r'v_(dual_)?(fma|fmac|fmaak|fmamk|mul|add|sub|subrev|mov|cndmask|min|max|dot2acc|dot2c)_(f32|b32)')
AMD_FLOPS = [(r'v_(dual_)?fma', 2), (r'v_fma_mix', 2), (r'v_pk_fma', 4), (r'v_pk_(mul|add)', 2), (r'v_(dual_)?dot2', 4),
             (r'v_dot4', 8), (r'v_(dual_)?(mul|add|sub)_f', 1)]
WORDS = {'u8': 4, 'i8': 4, 'b16': 4, 'u16': 4, 'i16': 4, 'd16': 4, 'b32': 4, 'dword': 4, 'b64': 8, 'b96': 12, 'b128': 16}


def amd_bytes(name):
    """Returns the bytes that an access to memory moves for a lane."""
    if '_format_' in name:
        return 4 * len(name.split('_')[-1])
    if '_2addr' in name or 'load_2' in name:
        return 2 * max(size for word, size in WORDS.items() if word in name)
    found = [size for word, size in WORDS.items() if word in name.split('_')]
    return found[0] if found else 4


def count_amd(loop, line, lanes, gpu):
    name = line.split()[0]
    loop.instructions += not name.startswith('s_delay_alu')
    wide = lanes // 32
    if 'wmma' in name:
        cycles = 32 if gpu == 'rdna3' else 16
        loop.alu += cycles * wide
        loop.products += cycles * wide
        loop.matrix_flops += 2 * 16 ** 3
        return
    if name.startswith('v_'):
        parts = [part.split()[0] for part in line.split('::')]
        flops = sum(next((count for start, count in AMD_FLOPS if re.match(start, part)), 0) for part in parts)
        cycles = wide
        if wide == 2 and gpu != 'rdna2' and PAIRED.match(name):
            cycles = 1
        if re.match(r'v_(mul_lo_u32|mul_hi|mad_u64)', name):
            cycles *= 4
        elif re.match(r'v_(exp|log|rcp|rsq|sqrt|sin|cos)_', name):
            cycles *= 5
        loop.alu += cycles
        loop.flops += flops * lanes
        loop.products += cycles if flops else 0
    elif name.startswith('ds_'):
        loop.shared += lanes * amd_bytes(name) / BYTES
    elif re.match(r'(buffer|tbuffer|global|flat|image|scratch)_(load|store)', name):
        loop.cache += lanes * amd_bytes(name) / BYTES * (2 if '_format_' in name else 1)
    elif name == 's_waitcnt' and 'vmcnt(0)' in line or name == 's_wait_loadcnt' and '0x0' in line:
        loop.waits += 1
    elif name in ('s_barrier', 's_barrier_wait'):
        loop.barriers += 1


def amd_blocks(lines):
    """Returns blocks of instructions, each with the numbers of the blocks that may follow it."""
    blocks, numbers = [], {}
    for line in lines:
        text = line.split(';')[0].strip()
        if re.match(r'BB\d+:', text):
            numbers[text[:-1]] = len(blocks)
            blocks.append([])
        elif text and blocks and not text.startswith('('):
            blocks[-1].append(text)
    for index, block in enumerate(blocks):
        targets = [numbers[line.split()[1]] for line in block if re.match(r's_c?branch', line)]
        ends = block and re.match(r's_(branch|endpgm)', block[-1])
        blocks[index] = (block, targets if ends else targets + [index + 1])
    return blocks


# ---- NVIDIA ---------------------------------------------------------------------------------------------------------

NVIDIA_FLOPS = [('ffma', 2), ('hfma2', 4), ('idp4', 8)]


def nvidia_bytes(name):
    found = re.search(r'\.[busf]?(8|16|32|64|128)(\.|$)', name)
    return int(found.group(1)) // 8 if found else 4


def count_nvidia(loop, line, lanes, _gpu):
    text = re.sub(r'^[^=]*= ', '', line.split('//')[0]).strip()
    text = re.sub(r'^@!?\w+ ', '', text)
    name = text.split()[0]
    loop.instructions += 1
    if name.startswith('hmma.m16n8k16'):
        loop.alu += 1
        loop.matrix += 32
        loop.matrix_flops += 2 * 16 * 8 * 16
        return
    cycles = 1
    if re.match(r'(iadd|imad|lop|lea|shf|isetp|imnmx|plop|sel|ineg|iabs|idp4)', name) and not re.match(r'u[rp]\d', line):
        cycles = 2
    elif re.match(r'(mufu|f2f\.|f2i|i2f|popc|flo)', name):
        cycles = 8
    flops = next((flops for start, flops in NVIDIA_FLOPS if re.match(start, name)), 0)
    loop.alu += cycles
    loop.flops += flops * lanes
    loop.products += cycles if flops else 0
    if name.startswith('ldsm'):
        loop.shared += lanes * 4 * int(name[-1]) / BYTES
    elif re.match(r'(ld|st)\.shared', name):
        loop.shared += lanes * nvidia_bytes(name) / BYTES
    elif re.match(r'(ld|st)\.(global|local)', name):
        loop.cache += lanes * nvidia_bytes(name) / BYTES
    elif name.startswith('tld'):
        loop.cache += lanes / 4
    elif name.startswith('bar.'):
        loop.barriers += 1


def nvidia_blocks(lines):
    blocks, numbers, ends = [], {}, []
    for line in lines:
        begin = re.match(r'block(\.u)? (\d+) ', line)
        end = re.match(r'\} -> \[(.*)\]', line)
        if begin:
            numbers[int(begin.group(2))] = len(blocks)
            blocks.append([])
        elif end:
            ends.append([int(number) for number in end.group(1).split(',') if number.strip()])
        elif blocks and line.strip():
            blocks[-1].append(line.strip())
    return [(block, [numbers[number] for number in end]) for block, end in zip(blocks, ends)]


# ---- Qualcomm -------------------------------------------------------------------------------------------------------


def count_adreno(loop, line, lanes, _gpu):
    name = re.sub(r'\([^)]*\)', '', line).split()[0]
    repeats = re.search(r'\(rpt(\d)\)', line)
    idle = re.search(r'\(nop(\d)\)', line)
    issues = 1 + (int(repeats.group(1)) if repeats else 0)
    cycles = 0.5 if re.search(r'\.f16(f16)?$', name) else 1
    multiplies = re.match(r'(mad|mul)\.f', name)
    loop.instructions += 1
    loop.alu += issues * cycles + (int(idle.group(1)) if idle else 0)
    loop.products += issues * cycles if multiplies else 0
    loop.flops += issues * lanes * 2 if multiplies else 0


def adreno_blocks(lines):
    blocks, numbers = [[]], {}
    for line in lines:
        text = line.strip()
        label = re.match(r'l(\d+):$', text)
        if label:
            numbers['#l' + label.group(1)] = len(blocks)
            blocks.append([])
        elif re.match(r'(\([^)]*\) ?)*[a-z][a-z0-9.]*( |$)', text) and not text.startswith('Native'):
            blocks[-1].append(text)
            if '#l' in text:
                blocks.append([])
    for index, block in enumerate(blocks):
        targets = [numbers[word] for line in block for word in line.split() if word in numbers]
        ends = block and re.match(r'(\([^)]*\) ?)*jump', block[-1])
        blocks[index] = (block, targets if ends else targets + [index + 1])
    return blocks


# ---- The bound ------------------------------------------------------------------------------------------------------

# SIMDs of a CU, partitions of an SM or threads of a wave that issue at once; FLOP per clock of all of them in fp32, and
# with matrices
GPUS = {'rdna2': (2, 128, 256), 'rdna3': (2, 256, 512), 'rdna4': (2, 256, 1024), 'nvidia': (4, 256, 512), 'adreno': (1, 256, None)}


def find_gpu(head, section):
    if section.startswith('NAK'):
        return 'nvidia'
    if section.startswith('IR3'):
        return 'adreno'
    if re.search(r'NAVI2|VANGOGH|REMBRANDT', head):
        return 'rdna2'
    return 'rdna4' if 'GFX12' in head else 'rdna3'


def reach(edges, start, end=None):
    """Returns the blocks that edges lead to from block `start`, not beyond block `end`."""
    found, waiting = {start}, [start]
    while waiting:
        number = waiting.pop()
        for after in edges[number] if number != end else []:
            if after not in found:
                found.add(after)
                waiting.append(after)
    return found


def find_loop(blocks, first, last):
    """Returns the blocks of the loop that a branch from block `last` back to block `first` closes: those that lead to
    `last` without passing `first`, except what enters the loop in its middle."""
    after = [[target for target in targets if target < len(blocks)] for _, targets in blocks]
    before = [[number for number, targets in enumerate(after) if block in targets] for block in range(len(blocks))]
    return reach(before, last, first) & reach(after, first)


def read_loop(path):
    """Returns the GPU, the lanes of a wave and the counted loop with the most arithmetic."""
    with open(path, encoding='utf-8', errors='replace') as file:
        text = file.read()
    section = text.split('\n==== ')[-1]
    gpu = find_gpu(text.split('\n', 1)[0], section)
    sizes = re.search(r'max_subgroup_size: (\d+)', text)
    lanes = int(sizes.group(1)) if sizes else 32
    if 'exec, ' in section or 's[exec]' in section:
        lanes = 64
    lines = section.split('\n')[1:]
    split, count = {'nvidia': (nvidia_blocks, count_nvidia), 'adreno': (adreno_blocks, count_adreno)}.get(
        gpu, (amd_blocks, count_amd))
    blocks = split(lines)
    best = None
    for last, (_, targets) in enumerate(blocks):
        for first in (target for target in targets if target <= last):
            loop = Loop()
            for number in find_loop(blocks, first, last):
                for line in blocks[number][0]:
                    count(loop, line, lanes, gpu)
            if not best or (loop.flops + loop.matrix_flops, -loop.instructions) > (
                    best.flops + best.matrix_flops, -best.instructions):
                best = loop
    return gpu, lanes, best


def bound(gpu, loop):
    """Returns the FLOP per clock that the busiest unit allows, its share of the peak, and the unit's name."""
    units, fp32, matrix = GPUS[gpu]
    memory = loop.shared + loop.cache if gpu == 'nvidia' else max(loop.shared, loop.cache)
    cycles = {'alu': loop.alu / units, 'matrix': loop.matrix / units, 'memory': memory}
    busiest = max(cycles, key=lambda unit: cycles[unit])
    speed = (loop.matrix_flops or loop.flops) / cycles[busiest]
    return speed, speed / (matrix if loop.matrix_flops else fp32), busiest


def print_loop(path):
    gpu, lanes, loop = read_loop(path)
    name = path.rsplit('/', 1)[-1].removesuffix('.txt')
    if not loop or not loop.flops + loop.matrix_flops:
        print(f'{name:60} no loop with arithmetic')
        return
    speed, share, busiest = bound(gpu, loop)
    print(f'{name:60} {gpu:6} {lanes:4} {loop.instructions:12} {loop.alu:6.0f} {loop.products + loop.matrix:8.0f} '
          f'{loop.shared:6.0f} {loop.cache:6.0f} {loop.waits:5} {loop.barriers:8} {loop.matrix_flops or loop.flops:7} '
          f'{speed:9.0f} {100 * share:4.0f} %  {busiest}')


def main():
    print(f'{"pipeline":60} {"gpu":6} wave instructions    alu products shared  cache waits barriers    FLOP FLOP/clk share'
          '  busiest')
    for argument in sys.argv[1:]:
        print_loop(argument)


if __name__ == '__main__':
    main()
