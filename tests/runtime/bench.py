# SPDX-License-Identifier: MIT
"""Checks the rows and figures of the tables that vkclip-bench prints: bench.py VKCLIP_BENCH"""
import csv
import os
import subprocess
import sys
import unittest

PROGRAM = ''


def table(*arguments, status=0, **variables):
    done = subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, timeout=900, check=False, text=True,
                          env={**os.environ, **variables})
    if done.returncode != status:
        raise AssertionError(f'{arguments}: exit {done.returncode}')
    return list(csv.DictReader(line for line in done.stdout.splitlines() if not line.startswith('#')))


class Bench(unittest.TestCase):
    def test_kernels(self):
        rows = table('kernels', '--csv', '--arch', 'emoji-clip', '--batches', '1,2', '--variant', 'normalize')
        self.assertEqual([(row['op'], row['shape'], row['kernel']) for row in rows],
                         [('NORMALIZE', '1x128', 'normalize'), ('NORMALIZE', '2x128', 'normalize')])
        for row in rows:
            self.assertGreater(float(row['ms']), 0)
            self.assertLess(float(row['share_of_flops']), 1)

    def test_tiles(self):
        arguments = ['kernels', '--csv', '--arch', 'emoji-clip', '--batches', '1', '--shape', '32x192x192']
        first, every = table(*arguments), table(*arguments, '--tiles')
        self.assertGreater(len(every), len(first))
        self.assertEqual({row['x'] + row['w'] for row in every}, {'f32f32'})
        last = table(*arguments, '--weights', 'q8', '--variant', 'matmul f32 q8')
        self.assertEqual([(row['op'], row['w']) for row in last], [('MATMUL', 'q8')])

    def test_compile(self):
        arguments = ['compile', '--csv', '--arch', 'emoji-clip', '--batches', '1', '--type', 'f32', '--variant', 'matmul']
        every = table(*arguments, '--tiles', '--weights', 'f32,q8')
        self.assertEqual({row['result'] for row in every}, {'built'})
        self.assertEqual({row['w'] for row in every}, {'f32', 'q8'})
        self.assertTrue(all(float(row['seconds']) > 0 for row in every))
        self.assertEqual(len({(row['kernel'], row['x'], row['w'], row['constants']) for row in every}), len(every))
        first = table(*arguments, '--weights', 'f32', '--first')
        self.assertEqual({row['first'] for row in first}, {'1'})
        reduced = table(*arguments, '--weights', 'f32', '--first', '--reduced')
        self.assertEqual(len(reduced), len({row['kernel'] for row in first}))
        self.assertLess(len(reduced), len(first))

    def test_compile_reports_failures(self):
        rows = table('compile', '--csv', '--arch', 'emoji-clip', '--batches', '1', '--type', 'f32', '--weights', 'f32',
                     '--first', '--variant', 'normalize', status=1, VKCLIP_DISABLE_KERNELS='normalize')
        self.assertEqual([row['result'] for row in rows], ['refused'])

    def test_graph(self):
        rows = table('graph', '--arch', 'ViT-B-32', '--batches', '3')
        products = sum(float(row['operations']) for row in rows
                       if row['op'] == 'MATMUL' and row['tower'] == 'image')
        # 12 layers have 12 C^2 parameters each and see 50 tokens, except that 9 C^2 of the last layer see the pooled
        # token alone; there are 49 patches and one projection.
        exact = 3 * 2 * ((12 * 12 * 50 - 9 * 49) * 768 ** 2 + 49 * 3072 * 768 + 768 * 512)
        self.assertEqual(products, exact)
        self.assertTrue(all(int(row['bytes']) > 0 for row in rows))

    def test_train(self):
        rows = table('train', '--csv', '--model', 'models/emoji-clip', '--batches', '2')
        parts = {row['part']: float(row['share']) for row in rows}
        self.assertGreater(parts['step / forward'], 1)
        self.assertAlmostEqual(sum(share for part, share in parts.items() if 'forward' not in part), 1, delta=0.01)
        self.assertGreater(parts['MATMUL'], 0)
        table('train', '--csv', status=1)

    def test_roofline(self):
        done = subprocess.run([sys.executable, 'bench/roofline.py', PROGRAM, '--no-compilers'], stdout=subprocess.PIPE,
                              timeout=900, check=True, text=True)
        for part in ('RTX 4090', 'Immortalis-G715', '| ViT-H/14 | 32 |', '| 1600x3072x768 | 32 |'):
            self.assertIn(part, done.stdout)

    def test_wrong_usage(self):
        table('nonsense', status=2)
        table('graph', '--arch', 'ViT-Z', status=1)


PROGRAM = sys.argv.pop(1)
unittest.main()
