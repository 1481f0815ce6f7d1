#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks and measures vkclip on one device, and writes a JSON file and a Markdown table named after it.

Every part has a budget of seconds, so that all of them together take at most six minutes on a GPU. What a budget did
not reach is named in the table. A device of the type "cpu" is slow, so that it gets smaller models and batches, and twice
the time.
bench/gpu.sh builds the programs and starts this script. The folder of the programs may also be one that bench/install.sh
has made, with their libraries in its folder lib.
"""
import argparse
import csv
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

# Seconds of each part, in all less than six minutes. Choosing kernels takes most of the time of towers and training.
BUDGETS = {'weights': 40, 'self-test': 20, 'kernels': 40, 'towers': 160, 'training': 40, 'PyTorch': 50}

# Title, architecture, tower. The first ones are measured first and in every precision.
TOWERS = [('ViT-B/32', 'ViT-B-32', 'image'), ('ViT-B/32 text', 'ViT-B-32', 'text'), ('ViT-L/14', 'ViT-L-14', 'image'),
          ('RN50', 'RN50', 'image'), ('ViT-H/14', 'ViT-H-14', 'image')]
PRECISIONS = [('f32', []), ('f16', ['--precision', 'f16']), ('q8', ['--weights', 'q8'])]
TORCH = [('PyTorch fp32', ['--dtype', 'float32']), ('PyTorch fp16', ['--dtype', 'float16']),
         ('PyTorch fp16, torch.compile', ['--dtype', 'float16', '--compile'])]


class Part:
    """The time that is left to one part, and what it left out."""

    def __init__(self, name, budget, left_out):
        self.name, self.end, self.left_out = name, time.monotonic() + budget, left_out

    def run(self, title, command, environment=None):
        """Returns what a command printed, and whether it 'passed', 'FAILED' or was 'not done' at the end of the part."""
        left = self.end - time.monotonic()
        if left < 1:
            self.skip(title, 'no time left')
            return '', 'not done'
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=left, check=False,
                                  env=dict(os.environ, **(environment or {})))
        except subprocess.TimeoutExpired as error:
            self.skip(title, f'not done within the {BUDGETS[self.name]} s of this part')
            return (error.stdout or b'').decode(errors='replace'), 'not done'
        output = done.stdout.decode(errors='replace')
        if done.returncode:
            lines = (done.stderr.decode(errors='replace').strip() or output.strip() or 'no output').splitlines()
            # After its error PyTorch prints advice.
            errors = [line for line in lines if re.match(r'[\w.]+Error: ', line)] or lines
            self.skip(title, f'exit {done.returncode}: {errors[-1]}')
        return output, 'FAILED' if done.returncode else 'passed'

    def skip(self, title, reason):
        self.left_out.append(f'{self.name}, {title}: {reason}')
        print(f'  {title}: {reason}', file=sys.stderr, flush=True)


def lines_of_json(text):
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            pass  # The last line of an interrupted command may be cut.
    return found


def find_device(vkclip, wanted):
    """Returns what `vkclip devices` says of the device that `vkclip` would open."""
    command = [vkclip, 'bench', '-m', 'models/emoji-clip', '--tower', 'text', '--batches', '1', '--seconds', '1',
               '--only-speed', '--json'] + (['--device', wanted] if wanted else [])
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    opened = json.loads(done.stdout.splitlines()[0])
    listed = subprocess.run([vkclip, 'devices', '--json'], stdout=subprocess.PIPE, check=True, text=True)
    for device in lines_of_json(listed.stdout):
        if (device['name'], device['driver']) == (opened['device'], opened['driver']):
            return device
    sys.exit(f'vkclip devices does not list {opened["device"]}')


def make_weights(part, vkclip, folder, archs):
    made = []
    for arch in archs:
        if os.path.exists(os.path.join(folder, arch)):
            made.append(arch)
            continue
        _, state = part.run(arch, [vkclip, 'init', arch, os.path.join(folder, arch), '-q'])
        if state == 'passed':
            made.append(arch)
    return made


def self_test(part, vkclip, device):
    """Runs `vkclip check`, if this build of vkclip has it."""
    known = subprocess.run([vkclip, 'help', 'check'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if known.returncode:
        part.skip('vkclip check', 'this build does not have it')
        return None
    output, state = part.run('vkclip check', [vkclip, 'check', '--device', str(device['index']), '--json'])
    return {'state': state, 'output': lines_of_json(output)}


def test_kernels(part, build, device):
    """Runs the test `kernels`, whose lines say which kernels were compared with double precision."""
    paths = [os.path.join(build, name) for name in ('tests/test_kernels', 'test_kernels')]
    program = next((path for path in paths if os.path.exists(path)), None)
    if not program:
        part.skip('test_kernels', f'{paths[0]} was not built')
        return None
    output, state = part.run('test_kernels', ['stdbuf', '-oL', program, 'sample'],
                            {'VKCLIP_DEVICE': str(device['index']), 'VKCLIP_TUNE': 'off'})
    rows = re.findall(r'(\w+) +x=(\w+) w=(\w+): (\d+) cases, largest error ([0-9.]+) of the bound', output)
    return {'state': 'FAILED' if 'FAILED' in output else state, 'kernels': sum(int(row[3]) > 0 for row in rows),
            'cases': sum(int(row[3]) for row in rows), 'worst': max((float(row[4]) for row in rows), default=0)}


def measure_peaks(part, vkclip, model, device):
    output, _ = part.run('peaks', [vkclip, 'bench', '-m', model, '--tower', 'image', '--batches', '1', '--seconds', '1',
                                   '--json', '--device', device])
    rows = lines_of_json(output)
    names = ('peak_gflops', 'matrix_peak_gflops', 'peak_gbytes', 'startup_cold', 'startup_warm')
    return {name: rows[0][name] for name in names} if rows else {}


def measure_towers(part, vkclip, folder, made, batches, device):
    rows = []
    for precision, options in PRECISIONS:
        for title, arch, tower in TOWERS:
            if arch not in made:
                part.skip(f'{title} {precision}', f'no weights of {arch}')
                continue
            command = [vkclip, 'bench', '-m', os.path.join(folder, arch), '--tower', tower, '--batches', batches,
                       '--seconds', '1', '--only-speed', '--json', '--device', device, *options]
            output, _ = part.run(f'{title} {precision}', command)
            for row in lines_of_json(output):
                rows.append(dict(row, title=title, engine=f'vkclip {precision}'))
                print(f'  {title} {precision}, batch {row["batch"]}: {row["items_per_s"]:.4g} items/s', flush=True)
    return rows


def measure_training(part, bench, model, batch, device):
    rows = []
    for precision in ('f32', 'f16'):
        output, state = part.run(f'training {precision}', [bench, 'train', '--csv', '--model', model, '--batches', batch,
                                                          '--type', precision, '--device', device])
        for row in csv.DictReader(output.splitlines()) if state == 'passed' else ():
            if row['part'] == 'step / forward':
                rows.append(dict(row, precision=precision))
    return rows


def torch_version():
    code = 'import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU")'
    done = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
                          text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def measure_torch(part, folder, made, batches):
    rows = []
    script = os.path.join(os.path.dirname(__file__), 'torch_tower.py')
    for engine, options in TORCH:
        for title, arch, tower in TOWERS:
            config = os.path.join(folder, arch, 'config.json')
            if arch not in made or not os.path.exists(config):  # The PyTorch model is of transformers only.
                continue
            output, _ = part.run(f'{title} {engine}', [sys.executable, script, config, '--tower', tower, '--batches',
                                                       batches, *options])
            rows += [dict(row, title=title, engine=engine) for row in lines_of_json(output)]
    return rows


# ---- The table ---------------------------------------------------------------------------------------------------------


def cell(row, peak):
    if not row:
        return ''
    share = f' ({100 * row["gflops"] / peak:.0f} %)' if peak and row.get('gflops') else ''
    return f'{row["items_per_s"]:.4g}{share}'


def tower_table(rows, batches, peak):
    lines = ['| tower | engine | ' + ' | '.join(f'batch {batch}' for batch in batches) + ' |',
             '|---|---|' + '---|' * len(batches)]
    for title, _, _ in TOWERS:
        engines = list(dict.fromkeys(row['engine'] for row in rows if row['title'] == title))
        for engine in engines:
            cells = [next((row for row in rows if (row['title'], row['engine'], row['batch']) == (title, engine, batch)),
                          None) for batch in batches]
            lines.append(f'| {title} | {engine} | ' + ' | '.join(cell(row, peak) for row in cells) + ' |')
    return lines


def describe_check(result):
    if not result:
        return 'not run'
    return f'{result["state"]}, {len(result["output"])} lines'


def describe_kernels(result):
    if not result:
        return 'not run'
    state = result['state'].replace('not done', 'no failure until its time ended')
    return (f'{state}: {result["kernels"]} kernels, {result["cases"]} cases, largest error '
            f'{result["worst"]:.2f} of the bound')


def markdown(result):
    device, peaks = result['device'], result['peaks']
    batches = [int(batch) for batch in result['batches'].split(',')]
    lines = [f'# {device["name"]}', '',
             f'{device["type"]}, driver {device["driver"]}, Vulkan {device["api"]}, uses: {", ".join(device["caps"])}.',
             f'Host: {result["host"]}. vkclip {result["version"]}, measured in {result["seconds"]:.0f} s by '
             f'`bench/gpu.sh`.', '']
    if device['type'] == 'cpu':
        lines += ['This device is a CPU, so that models and batches are smaller than on a GPU, and budgets twice as large.', '']
    lines += ['| check | result |', '|---|---|', f'| self-test, `vkclip check` | {describe_check(result["check"])} |',
              f'| `test_kernels`, against double precision | {describe_kernels(result["kernels"])} |', '']
    if peaks:
        matrices = peaks.get('matrix_peak_gflops')
        lines += [f'Measured peaks: {peaks["peak_gflops"]:.4g} GFLOP/s of fp32 multiply-adds, ' +
                  (f'{matrices:.4g} GFLOP/s of products of fp16 matrices, ' if matrices else '') +
                  f'{peaks["peak_gbytes"]:.4g} GB/s of copies. Start-up until the first embedding of {result["first"]}: '
                  f'{peaks["startup_cold"]:.2f} s with empty caches, {peaks["startup_warm"]:.2f} s with full ones.', '']
    lines += ['Items per second, and the share of the peak of fp32 multiply-adds, which matrix units exceed.', '']
    lines += tower_table(result['towers'] + result['torch'], batches, peaks.get('peak_gflops'))
    if result['torch_version']:
        lines += ['', f'PyTorch {result["torch_version"]}.']
    if result['training']:
        lines += ['', f'| training of {result["trained"]} | pairs per step | ms per step | steps/s | step / forward |',
                  '|---|---|---|---|---|']
        for step in result['training']:
            lines.append(f'| {step["precision"]} | {step["batch"]} | {float(step["ms"]):.1f} | '
                         f'{1000 / float(step["ms"]):.2f} | {float(step["share"]):.2f} |')
    budgets = ', '.join(f'{name} {seconds} s' for name, seconds in result['budgets'].items())
    lines += ['', f'Budgets of the parts: {budgets}. Left out:', '']
    lines += [f'- {text}' for text in result['left_out']] or ['- nothing']
    return '\n'.join(lines) + '\n'


def main():
    parser = argparse.ArgumentParser(prog='bench/gpu.sh', description=__doc__.splitlines()[0])
    parser.add_argument('--build', default='build', help='folder of the programs (build)')
    parser.add_argument('--device', help='number or part of the name of the device (the best one)')
    parser.add_argument('--output', default='bench/gpus', help='folder of the results (bench/gpus)')
    parser.add_argument('--models', help='folder of models of an earlier run, or to keep them in')
    parser.add_argument('--short', action='store_true', help='emoji-clip only, as the test of this script does')
    options = parser.parse_args()
    start = time.monotonic()
    libraries = os.path.join(options.build, 'lib')
    if os.path.isdir(libraries):
        os.environ['LD_LIBRARY_PATH'] = libraries
    vkclip, bench = os.path.join(options.build, 'vkclip'), os.path.join(options.build, 'vkclip-bench')
    device = find_device(vkclip, options.device)
    number, slow, left_out = str(device['index']), device['type'] == 'cpu', []
    batches = '1,2' if options.short else '1,4' if slow else '1,32,256'
    if slow:
        BUDGETS.update({name: 2 * seconds for name, seconds in BUDGETS.items()})
    if options.short:
        BUDGETS.update({'self-test': 10, 'kernels': 5, 'towers': 60, 'training': 60, 'PyTorch': 30})
        TOWERS[:] = [('emoji-clip', 'emoji-clip', 'image'), ('emoji-clip text', 'emoji-clip', 'text')]
    archs = list(dict.fromkeys(arch for _, arch, _ in TOWERS))
    if slow and not options.short:
        left_out.append('towers, ViT-L/14 and ViT-H/14: the device is a CPU')
        archs = [arch for arch in archs if arch not in ('ViT-L-14', 'ViT-H-14')]
        TOWERS[:] = [row for row in TOWERS if row[1] in archs]

    def part(name):
        print(f'{name}: at most {BUDGETS[name]} s', flush=True)
        return Part(name, BUDGETS[name], left_out)

    with tempfile.TemporaryDirectory(prefix='vkclip-gpu-') as temporary:
        folder = options.models or temporary
        made = make_weights(part('weights'), vkclip, folder, archs)
        trained = os.path.join(folder, 'ViT-B-32') if not slow and 'ViT-B-32' in made else 'models/emoji-clip'
        first = os.path.join(folder, archs[0])
        result = {'device': device, 'check': self_test(part('self-test'), vkclip, device),
                  'kernels': test_kernels(part('kernels'), options.build, device)}
        towers = part('towers')
        result['peaks'] = measure_peaks(towers, vkclip, first, number)
        result['towers'] = measure_towers(towers, vkclip, folder, made, batches, number)
        result['training'] = measure_training(part('training'), bench, trained, '2' if options.short else '8' if slow
                                              else '64', number)
        result['torch_version'] = torch_version()
        if result['torch_version']:
            result['torch'] = measure_torch(part('PyTorch'), folder, made, batches)
        else:
            result['torch'] = []
            left_out.append('PyTorch: python3 does not find it')
    version = subprocess.run([vkclip, '--version'], stdout=subprocess.PIPE, check=True, text=True)
    result.update(version=version.stdout.splitlines()[0].split()[-1], batches=batches, first=TOWERS[0][0],
                  trained=os.path.basename(trained), left_out=left_out, budgets=dict(BUDGETS),
                  host=f'{platform.machine()}, {os.cpu_count()} threads', seconds=time.monotonic() - start)
    # A CPU's device name does not have the driver's version, which decides how fast it is.
    name = re.sub(r'\(.*?\)', '', device['driver'] if slow else device['name'])
    name = re.sub(r'[^A-Za-z0-9.]+', '-', name).strip('-')
    os.makedirs(options.output, exist_ok=True)
    path = os.path.join(options.output, name)
    with open(path + '.json', 'w', encoding='utf-8') as file:
        json.dump(result, file, indent=1)
        file.write('\n')
    with open(path + '.md', 'w', encoding='utf-8') as file:
        file.write(markdown(result))
    print(f'{path}.md and {path}.json written after {result["seconds"]:.0f} s')


if __name__ == '__main__':
    main()
