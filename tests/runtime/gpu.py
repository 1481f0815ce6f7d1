# SPDX-License-Identifier: MIT
"""Runs bench/gpu.sh in its short form and checks what it writes: gpu.py BUILD"""
import glob
import json
import os
import subprocess
import sys
import tempfile


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['bench/gpu.sh', '--short', '--build', sys.argv[1], '--output', folder], check=True)
        (path,) = glob.glob(os.path.join(folder, '*.json'))
        with open(path, encoding='utf-8') as file:
            result = json.load(file)
        with open(path.replace('.json', '.md'), encoding='utf-8') as file:
            table = file.read()
    # A slow machine may not reach the last rows, and then must say so.
    assert result['seconds'] < 360, result['seconds']
    assert result['peaks'].get('peak_gflops', 0) > 0 or any(text.startswith('towers, peaks') for text in result['left_out'])
    expected = {(title, f'vkclip {precision}', batch) for title in ('emoji-clip', 'emoji-clip text')
                for precision in ('f32', 'f16', 'q8') for batch in (1, 2)}
    found = {(row['title'], row['engine'], row['batch']) for row in result['towers'] if row['items_per_s'] > 0}
    assert found <= expected, found - expected
    assert found == expected or any(text.startswith('towers') for text in result['left_out']), expected - found
    for part in ('check', 'kernels'):
        assert result[part] is None or result[part]['state'] != 'FAILED', result[part]
    for row in result['towers']:
        assert f'{row["items_per_s"]:.4g} (' in table, row
    for text in result['left_out']:
        assert f'- {text}\n' in table, text
    assert len(result['training']) == 2 or any(text.startswith('training') for text in result['left_out'])


main()
