#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs vkclip and other engines in turn for several rounds, and prints medians and ratios as a table.

bench/peers.txt lists the commands. Each prints "N items/s", "N img/s", "N pairs/s" or vkclip's JSON, and is
started by the command given with --run (chroot, a container, taskset). Only ratios of runs in turn mean
something, because the speed of a machine drifts.
"""
import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys


def read_cases(path, places):
    """Returns case -> [(engine, command)], without the commands whose program is not given."""
    cases = {}
    with open(path, encoding='utf-8') as file:
        for line in file:
            if line.strip() and not line.startswith('#'):
                case, engine, command = (part.strip() for part in line.split('|'))
                names = re.findall(r'{(\w+)}', command)
                if all(places.get(name) for name in names):
                    cases.setdefault(case, []).append((engine, command.format(**places)))
    return cases


def read_speed(output):
    """Returns the items per second that a command has printed; None where it has printed none."""
    for line in output.splitlines():
        if line.startswith('{'):
            return json.loads(line)['items_per_s']
    found = re.findall(r'([0-9.]+) (?:items|img|pairs)/s', output)
    return float(found[-1]) if found else None


def run(prefix, command):
    done = subprocess.run(prefix + shlex.split(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, text=True)
    speed = read_speed(done.stdout) if done.returncode == 0 else None
    if speed is None:
        last = (done.stderr.strip() or done.stdout.strip() or 'no output').splitlines()[-1]
        print(f'{command}: exit {done.returncode}: {last}', file=sys.stderr)
    return speed


def print_rows(case, engines, speeds):
    medians = {engine: statistics.median(values) for engine, values in speeds.items() if values}
    reference = medians.get(engines[0][0])
    for engine, _ in engines:
        if engine not in medians:
            print(f'| {case} | {engine} | failed | | |')
            continue
        low, high = min(speeds[engine]), max(speeds[engine])
        ratio = f'{reference / medians[engine]:.2f}' if reference else ''
        print(f'| {case} | {engine} | {medians[engine]:.3g} | {low:.3g} to {high:.3g} | {ratio} |', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--run', default='', help='command that starts every command, such as chroot')
    parser.add_argument('--vkclip', default='build/vkclip', help='path of vkclip, as --run sees it')
    parser.add_argument('--models', required=True, help='folder of models made by vkclip init, as --run sees it')
    parser.add_argument('--ggml', help='program that times ggml')
    parser.add_argument('--torch', help='program that times PyTorch and ONNX Runtime')
    parser.add_argument('--train', help='folder with batch.safetensors, written by torch_train.py --write')
    parser.add_argument('--rounds', type=int, default=5, help='rounds (5)')
    parser.add_argument('--case', default='', help='only cases with this text in their name')
    parser.add_argument('--engine', default='', help='only vkclip and engines with this text in their name')
    parser.add_argument('--peers', default=os.path.join(os.path.dirname(__file__), 'peers.txt'))
    options = parser.parse_args()
    prefix = shlex.split(options.run)
    print('| case | engine | items/s, median | runs | vkclip is faster by |\n|---|---|---|---|---|', flush=True)
    for case, engines in read_cases(options.peers, vars(options)).items():
        engines = engines[:1] + [pair for pair in engines[1:] if options.engine in pair[0]]
        if options.case not in case or len(engines) < 2:
            continue
        speeds = {engine: [] for engine, _ in engines}
        for _ in range(options.rounds):
            for engine, command in engines:
                speed = run(prefix, command)
                if speed is not None:
                    speeds[engine].append(speed)
        print_rows(case, engines, speeds)


main()
