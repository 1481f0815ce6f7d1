#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the first choices of every device as a Markdown table: drivers.py FOLDER [FOLDER]. The folders have the tables
of vkclip-bench compile, one per device (bench/drivers). A cell has the shader and its tile, then the most registers, the
most spills and the least occupancy over all shapes; with a second folder its figures follow the first one's."""
import csv
import pathlib
import sys

OPS = [('MATMUL', 'f32', 'f32'), ('MATMUL', 'f16', 'f16'), ('MATMUL', 'f32', 'q8'), ('CONV', 'f32', 'f32'),
       ('ATTENTION', 'f32', 'f32'), ('LAYERNORM', 'f32', 'f32'), ('OUTER', 'f32', 'f32'),
       ('ATTENTION_GRAD', 'f32', 'f32')]
DEVICES = ['polaris10', 'vega10', 'rdna2', 'rdna3', 'rdna4', 'rdna2-system', 'ampere', 'ada', 'adreno660', 'adreno740',
           'm1']


def first_choice(folder, device, op):
    """Returns the description of a device's first choices of an op, or an empty one where it has none."""
    with open(folder / f'{device}.csv', encoding='utf-8') as file:
        rows = [row for row in csv.DictReader(line for line in file if not line.startswith('#'))
                if row['first'] == '1' and (row['op'], row['x'], row['w']) == op]
    # An op may have several first choices, of which the one with most instructions is the tower's.
    if not rows:
        return ''
    kernel = max(rows, key=lambda row: float(row['instructions']))['kernel']
    rows = [row for row in rows if row['kernel'] == kernel]
    spills = max(float(row['spills']) for row in rows)
    scratch = max(float(row['scratch']) for row in rows)
    return (f'{kernel.rsplit(" ", 1)[0]}: '
            f'{max(float(row["registers"]) for row in rows):.0f}, '
            f'{f"**{spills:.0f}**" if spills else "0"}{f" + {scratch:.0f} B" if scratch else ""}, '
            f'{min(float(row["occupancy"]) for row in rows):.0f}')


folders = [pathlib.Path(name) for name in sys.argv[1:]]
print('| device | ' + ' | '.join(' '.join(op) for op in OPS) + ' |')
print('|---' * (len(OPS) + 1) + '|')
for device in DEVICES:
    cells = []
    for op in OPS:
        found = [first_choice(folder, device, op) for folder in folders]
        cells.append(found[0] if len(set(found)) == 1 else ' → '.join(found))
    print(f'| {device} | ' + ' | '.join(cells) + ' |')
