#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""devices.py COMMAND [unittest's arguments]: tests the commands of devices: devices, check, bench."""
import json
import os
import signal
import subprocess
import xml.etree.ElementTree

import cli
from cli import MODEL, NO_DEVICE, CommandTest


class Devices(CommandTest):
    def test_json(self):
        devices = self.run_json('devices')
        for index, device in enumerate(devices):
            self.assertEqual(device['index'], index)
            self.assertIn(device['type'], ['cpu', 'integrated', 'discrete', 'virtual', 'other'])
            self.assertRegex(device['api'], r'^1\.\d+\.\d+$')
            self.assertGreater(device['memory'], 0)
            self.assertIsInstance(device['caps'], list)
            self.assertTrue(device['name'] and device['driver'])
            self.assertRegex(device['uuid'] or '0' * 32, '^[0-9a-f]{32}$')
            self.assertEqual('why' in device, not device['usable'])
            self.assertIn(device['name'], self.run_command('devices'))
        self.assertTrue(any(device['usable'] for device in devices))

    def test_tuning(self):
        environment = {'VKCLIP_TUNE': 'force', 'VKCLIP_CACHE_DIR': self.folder}
        self.run_command('embed', '-m', MODEL, '--text', 'owl', '-o', self.path('o.npy'),
                         environment=environment)
        environment['VKCLIP_TUNE'] = 'on'
        lines = self.run_command('devices', '--tuning', '--json', environment=environment)
        shapes = [json.loads(line) for line in lines.splitlines()]
        self.assertTrue(shapes)
        text = self.run_command('devices', '--tuning', environment=environment)
        for shape in shapes:
            self.assertTrue(not shape['ms'] or shape['kernel'] in shape['ms'])
            self.assertIn(shape['shape'] + ': ' + shape['kernel'], text)

    def test_check(self):
        """Every kernel is right; one that cannot be built is named, and then the command fails. Few ops
        are checked here, because building all kernels takes minutes."""
        environment = {'VKCLIP_CACHE_DIR': self.folder}
        for op, count in [('LAYERNORM', 1), ('SELECT', 1), ('MODEL', 1)]:
            lines = self.run_command('check', '--op', op, '--json', environment=environment)
            device, *checks = [json.loads(line) for line in lines.splitlines()]
            self.assertTrue(device['device'] and device['driver'] and device['version'])
            self.assertGreaterEqual(len(checks), count * (1 + ('f16' in device['caps'])))
            for check in checks:
                self.assertEqual((check['op'], check['result']), (op, 'right'), check)
                self.assertTrue(0 <= check['error'] <= 1 and check['runs'] >= 3, check)
        environment['VKCLIP_DISABLE_KERNELS'] = 'select'
        text = self.run_command('check', '--op', 'SELECT', status=1, environment=environment)
        self.assertRegex(text, r'(?m)^  not built +SELECT +f32 f32 select ')
        self.assertRegex(self.errors[-1], r'not right')
        self.run_command('check', '--op', 'NONSENSE', status=1)
        self.assert_error('NONSENSE')

    def test_check_without_reader(self):
        """A check ends with the reader of its lines, because the kernels that are left take minutes."""
        for form in ('--quiet', '--json'):
            environment = dict(os.environ, VKCLIP_CACHE_DIR=self.path(form))
            with self.subTest(form), subprocess.Popen([cli.COMMAND, 'check', '--op', 'ATTENTION', form],
                                                      env=environment, stdout=subprocess.PIPE,
                                                      stderr=subprocess.PIPE) as process:
                self.assertTrue(process.stdout.readline())
                process.stdout.close()
                errors = process.stderr.read().decode().splitlines()
                self.assertEqual((process.wait(), errors[-1]),
                                 (1, 'vkclip: standard output cannot be written'))
                results = next(name for name in os.listdir(self.path(form)) if name.startswith('checks-'))
                with open(os.path.join(self.path(form), results), 'rb') as file:
                    self.assertLessEqual(file.read().count(b': ATTENTION ['), 2)

    def test_interrupted_check(self):
        """A check that is stopped leaves no note of a kernel that was running, as a crash does."""
        environment = dict(os.environ, VKCLIP_CACHE_DIR=self.folder)
        with subprocess.Popen([cli.COMMAND, 'check', '--op', 'ATTENTION', '--json'], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            for _ in ('the device', 'the first check'):
                self.assertTrue(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            errors = process.communicate()[1].decode()
        self.assertEqual(process.returncode, -signal.SIGINT, errors)
        self.assertNotIn('stopped by the caller', errors)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith('running-')], [])

    def test_none(self):
        self.run_command('devices', status=3, environment=NO_DEVICE)
        self.assertEqual(len(self.errors), 1)
        self.run_command('classify', '-m', MODEL, '-l', 'a', MODEL + '/samples', status=3,
                         environment=NO_DEVICE)
        self.assertEqual(len(self.errors), 1)

    def test_choice(self):
        name = next(d['name'] for d in self.run_json('devices') if d['usable'])
        arguments = ['embed', '-m', MODEL, '--text', 'a', '-o', '-']
        by_name = self.run_command(*arguments, '--device', name.upper())
        self.assertEqual(by_name, self.run_command(*arguments, '--device', '0'))
        self.assertEqual(by_name, self.run_command(*arguments, '--device', 'all'))
        for wrong in ['99', 'no such device', '0,0', '0,']:
            self.run_command(*arguments, '--device', wrong, status=3)
            self.assert_error(wrong)
            self.run_command(*arguments, status=3, environment={'VKCLIP_DEVICE': wrong})
            self.assert_error(wrong)
        self.run_command(*arguments, '--device', 'no such device', status=3)
        self.assert_error('no usable Vulkan device', '`vkclip devices` lists them')

    def test_cpu(self):
        """The command warns once of a CPU that nobody named, but not programs that read JSON."""
        if any(device['type'] != 'cpu' for device in self.run_json('devices')):
            self.skipTest('there is a GPU')
        arguments = ['classify', '-m', MODEL, '-l', 'owl', MODEL + '/samples/owl.png']
        unnamed = {'VKCLIP_DEVICE': ''}
        self.run_command(*arguments, environment=unnamed)
        self.assert_error('warning: no GPU', 'CPU', '--device')
        for quiet in [['-q'], ['--json'], ['--device', '0']]:
            self.run_command(*arguments, *quiet, environment=unnamed)
            self.assertEqual(self.errors, [])


class Bench(CommandTest):
    def test_figures(self):
        lines = self.run_json('bench', '-m', MODEL, '--seconds', '1', '--batches', '2,1', '--tower', 'text',
                              '--profile', '--svg', self.path('plot.svg'))
        self.assertEqual([line['batch'] for line in lines], [2, 1])
        for line in lines:
            self.assertGreaterEqual(line['runs'], 5)
            self.assertAlmostEqual(line['items_per_s'] * line['seconds'], line['batch'], places=4)
            self.assertLessEqual(line['seconds_low'], line['seconds'])
            self.assertGreaterEqual(line['seconds_high'], line['seconds'])
            self.assertGreater(line['peak_gbytes'], 0)
            self.assertAlmostEqual(line['share_of_peak'], line['gflops'] / line['peak_gflops'], places=4)
            self.assertEqual(line['matrix_peak_gflops'] is None, line['share_of_matrix_peak'] is None)
            self.assertGreater(line['host_bytes'], 10 << 20)
            self.assertGreater(line['startup_cold'], 0)
            self.assertGreater(line['startup_warm'], 0)
            self.assertEqual(sum(op['calls'] for op in line['profile'] if op['op'] == 'ATTENTION'), 4)
            self.assertAlmostEqual(sum(op['operations'] for op in line['profile']), line['operations'],
                                   delta=line['operations'] / 1e6)
            # Each of 4 layers of width C = 192 takes 12 C^2 multiply-adds per token, for 32 tokens, and the
            # attention. The last layer takes 9 of the 12 for the pooled token alone.
            exact = line['batch'] * (4 * (32 * 24 * 192 ** 2 + 4 * 32 * 32 * 192) - 31 * 18 * 192 ** 2)
            self.assertLess(abs(line['operations'] / exact - 1), 0.05)
            if line['profile'][0]['seconds'] is not None:
                self.assertLess(sum(op['seconds'] for op in line['profile']), 100 * line['seconds'])
        self.assertGreater(lines[0]['device_bytes'], lines[1]['device_bytes'])
        with open(self.path('plot.svg'), encoding='utf-8') as file:
            root = xml.etree.ElementTree.parse(file).getroot()
        self.assertEqual(len(root.findall('.//{*}circle')), 2)
        self.assertEqual(os.listdir(self.folder), ['plot.svg'])

    def test_csv(self):
        text = self.run_command('bench', '-m', MODEL, '--seconds', '1', '--batch', '1', '--only-speed', '--csv')
        head, *rows = [line.split(',') for line in text.splitlines()]
        self.assertEqual([row[0] for row in rows], ['image', 'text'])
        for row in rows:
            figures = dict(zip(head, row, strict=True))
            self.assertGreater(float(figures['items_per_s']), 0)
            self.assertEqual((figures['share_of_peak'], figures['startup_warm_s']), ('', ''))


if __name__ == '__main__':
    cli.main()
