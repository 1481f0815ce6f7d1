#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""train.py COMMAND [unittest's arguments]: tests vkclip train."""
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import xml.etree.ElementTree

import cli
from cli import MODEL, CommandTest, read_safetensors, write_safetensors


class Train(CommandTest):
    """Trains a tiny model for a few steps, with the kernels of the fixed order, so that nothing is measured."""
    BATCH = 4

    def setUp(self):
        super().setUp()
        with open(MODEL + '/config.json', encoding='utf-8') as file:
            config = json.load(file)
        size = {'hidden_size': 32, 'num_hidden_layers': 3, 'num_attention_heads': 2, 'intermediate_size': 64}
        config['projection_dim'] = 16
        config['text_config'].update(size, max_position_embeddings=16)
        config['vision_config'].update(size, image_size=16)
        with open(MODEL + '/preprocessor_config.json', encoding='utf-8') as file:
            processor = json.load(file)
        processor.update(size={'shortest_edge': 16}, crop_size={'height': 16, 'width': 16})
        for name, value in (('config.json', config), ('preprocessor_config.json', processor)):
            with open(self.path(name), 'w', encoding='utf-8') as file:
                json.dump(value, file)
        self.model = self.path('model')
        self.run_command('init', self.path('config.json'), self.model)

    def train(self, *args, status=0, wait=True):
        process = subprocess.Popen([cli.COMMAND, 'train', *map(str, args)], text=True,
                                   env=dict(os.environ, VKCLIP_TUNE='off'),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if not wait:
            return process
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, status, err)
        return out, err

    def raw(self, value=1.0):
        """Writes two prepared batches and returns their path."""
        path = self.path('raw.safetensors')
        pixels = [value * ((i * 7919) % 1000 / 500 - 1) for i in range(2 * self.BATCH * 3 * 16 * 16)]
        ids = []
        for row in range(2 * self.BATCH):
            ids += [2238, 10 + row, 20 + 3 * row] + [2239] * 13
        write_safetensors(path, {'images': ('F32', [2, self.BATCH, 3, 16, 16], pixels),
                                 'input_ids': ('I32', [2, self.BATCH, 16], ids)})
        return path

    def table(self, rows=8):
        """Writes the samples as a table with one broken picture, and as a folder per label."""
        path, folder = self.path('train.tsv'), self.path('eval')
        samples = os.path.abspath(MODEL + '/samples')
        self.path('broken.png', b'\x89PNG nothing more')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('filepath\ttitle\n')
            for name in sorted(os.listdir(samples))[:rows]:
                label = name[:-4].replace('-', ' ')
                file.write(f'{samples}/{name}\ta picture of {label}\n')
                os.makedirs(os.path.join(folder, label))
                shutil.copy(os.path.join(samples, name), os.path.join(folder, label))
            file.write('broken.png\tnothing\n')
        return path, folder

    def lines(self, path):
        with open(path, encoding='utf-8') as file:
            return [json.loads(line) for line in file]

    def read_bytes(self, *parts):
        with open(os.path.join(*parts), 'rb') as file:
            return file.read()

    def test_killed_and_resumed_it_is_the_same_run(self):
        common = ['-m', self.model, '--data-raw', self.raw(), '--steps', '7', '--lr', '1e-4']
        one, two = self.path('one'), self.path('two')
        log, other = self.path('one.jsonl'), self.path('two.jsonl')
        self.train(*common, one, '--log', log, '--save-every', '5')
        process = self.train(*common, two, '--log', other, '--save-every', '2', wait=False)
        while not os.path.exists(other) or self.read_bytes(other).count(b'\n') < 4:
            self.assertIsNone(process.poll(), 'it ended before it was killed')
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.train(*common, two, status=1)  # A run is not resumed without --resume.
        with open(other, 'a', encoding='utf-8') as file:
            file.write('{"step":')
        mine = self.path('mine.txt', b'not a log\n')
        self.assertIn('not the log', self.train(*common, two, '--log', mine, '--resume', status=1)[1])
        self.assertEqual(self.read_bytes(mine), b'not a log\n')
        self.train(*common, two, '--log', self.path('a.svg'), '--resume', status=1)
        self.train(*common, two, '--log', other, '--resume')
        for name in ('model.safetensors', 'checkpoint-7/training.safetensors'):
            self.assertEqual(self.read_bytes(one, name), self.read_bytes(two, name), name)
        # Another run that begins with a checkpoint of this one counts its steps from the first.
        self.train('-m', one + '/checkpoint-5', '--data-raw', self.raw(), '--steps', '1', self.path('three'))
        self.assertTrue(os.path.exists(self.path('three') + '/checkpoint-1'))
        values = [[(line['step'], line['loss'], line['lr'], line['logit_scale'])
                   for line in self.lines(path)] for path in (log, other)]
        self.assertEqual([line[0] for line in values[0]], list(range(1, 8)))
        self.assertEqual(values[0], values[1])
        self.assertEqual(sorted(name for name in os.listdir(one) if 'checkpoint' in name),
                         ['checkpoint-5', 'checkpoint-7'])
        xml.etree.ElementTree.parse(self.path('one.svg'))

    def test_a_resumed_run_names_what_differs(self):
        """Its data are two tables, whose pictures a pass shows once each."""
        table = self.table()[0]
        other = self.path('other.tsv', self.read_bytes(table))
        base = ['-m', self.model, '--data', table, '--data', other, '--batch-size', '6', self.path('run'),
                '--vocab', MODEL + '/tokenizer.json']
        plan = json.loads(self.train(*base, '--steps', '2', '--dry-run', '--json')[0])
        self.assertEqual((plan['pictures'], plan['epoch_steps']), (18, 3))
        self.train(*base, '--steps', '2', '--lr', '1e-4', '--save-every', '1')
        with open(self.path('run') + '/checkpoint-1/training.json', encoding='utf-8') as file:
            options = json.load(file)['options']
        self.assertEqual((options['lr'], options['data'], options['beta2'], options['loss']),
                         (1e-4, [table, other], 0.98, 'softmax'))
        shutil.rmtree(self.path('run') + '/checkpoint-2')
        common = [*base, '--resume', '--steps', '2']
        err = self.train(*common, '--lr', '1e-4', '--lock-image', status=1)[1]
        self.assertIn('--lock-image: the run began with no, found yes', err)
        self.assertNotIn('the run began', self.train(*common, '--lr', '1e-4', '--keep', '2')[1])
        shutil.rmtree(self.path('run') + '/checkpoint-2')
        err = self.train(*base[:4], *base[6:], '--resume', '--steps', '3', '--lr-scheduler', 'const')[1]
        for part in ('--data: the run began with [', 'fingerprint', '--lr: the run began with 0.0001, found 0.0005: ',
                     '--lr-scheduler: the run began with cosine, found const', '--steps: the run began with 2, found 3'):
            self.assertIn(part, err)
        for part in ('--seed', '--batch-size', '--keep', '`', '-m:'):
            self.assertNotIn(part, err)

    def test_what_would_end_a_run_is_said_at_once(self):
        data = ['--data-raw', self.raw(), '--steps', '1']
        err = self.train('-m', self.model, self.model, *data, status=1)[1]
        self.assertIn('model.safetensors: is there already', err)
        os.makedirs(self.path('run/initial'))
        self.path('run/initial/mine.txt', b'mine')
        err = self.train('--init', self.path('config.json'), self.path('run'), *data, status=1)[1]
        self.assertIn('initial: is there already', err)
        self.path('run/config.json', b'{}')
        err = self.train('-m', self.model, self.path('run'), *data, status=1)[1]
        self.assertIn('run/config.json: is there already with other content', err)
        self.assertEqual(sorted(os.listdir(self.path('run'))), ['config.json', 'initial'])
        self.assertEqual(self.read_bytes(self.path('run'), 'initial/mine.txt'), b'mine')
        lost = self.path('lost.tsv', b'filepath\ttitle\nlost.png\tone\ngone.png\ttwo\n')
        for more, status in ([], 1), (['--dry-run'], 0):
            err = self.train('-m', self.model, self.path('new'), '--data', lost, '--batch-size', '2', *more,
                             '--vocab', MODEL + '/tokenizer.json', status=status)[1]
            self.assertRegex(err, 'lost.tsv: none of its first 2 pictures can be read: .*lost.png.*--csv-img-key')
        text = 'tests/golden/models/sd-text/text_encoder'
        err = self.train('-m', text, self.path('new'), '--data', lost, status=1)[1]
        self.assertIn(text + ': training needs an image and a text tower, found no image tower', err)
        self.assertIn('none/log.jsonl: cannot be written: No such file',
                      self.train('-m', self.model, self.path('unlogged'), *data, '--log',
                                 self.path('none') + '/log.jsonl', status=1)[1])
        if os.geteuid():
            os.chmod(self.path('run'), 0o500)
            self.train('-m', self.model, self.path('run'), *data, status=1)
            os.chmod(self.path('run'), 0o700)

    def test_an_interrupt_saves(self):
        run, log = self.path('run'), self.path('log.jsonl')
        process = self.train('-m', self.model, '--data-raw', self.raw(), '--steps', '100000', run,
                             '--log', log, wait=False)
        while not os.path.exists(log) or not self.read_bytes(log):
            self.assertIsNone(process.poll())
        # Another run does not replace what this one saves.
        other = self.train('-m', self.model, '--data-raw', self.raw(), '--steps', '1', run, '--resume', status=1)[1]
        self.assertIn('another process is writing it', other)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
        self.assertEqual(process.returncode, 1)
        self.assertIn('--resume', err)
        step = len(self.lines(log))
        self.assertTrue(os.path.exists(f'{run}/checkpoint-{step}/training.json'), err)
        if step > 1:
            err = self.train('-m', self.model, '--data-raw', self.raw(), '--steps', '1', run, '--resume', status=1)[1]
            self.assertRegex(err, f'checkpoint-{step}: the run has saved step {step}, expected .* step 1, .*--steps')
        self.assertFalse([name for name in os.listdir(run) if 'lock' in name or name == 'model.safetensors'])

    def test_from_random_weights_with_pictures_and_an_evaluation(self):
        path, folder = self.table()
        run, log = self.path('run'), self.path('log.jsonl')
        args = ['--init', self.path('config.json'), '--vocab', MODEL + '/tokenizer.json', '--data', path,
                '--batch-size', '4', '--steps', '4', '--seed', '3', '--aug-color-jitter', '0.2,0.2,0.2,0']
        args += [run, '--log', log, '--eval', folder, '--eval-every', '2', '--template', 'a picture of {}',
                 '--accum-freq', '2', '--json']
        out, err = self.train(*args)
        result = json.loads(out)
        self.assertEqual((result['step'], result['broken']), (4, 1))
        self.assertIn('broken.png', err)
        scores = [line for line in self.lines(log) if 'top1' in line]
        self.assertEqual([line['step'] for line in scores], [2, 4])
        self.assertTrue(all(line['images'] == 8 and 0 <= line['top1'] <= line['top5'] <= 100 for line in scores))
        before = self.read_bytes(log)  # A finished run is evaluated again and not logged twice.
        again = json.loads(self.train(*args, '--resume')[0])
        self.assertEqual((again['step'], again['loss'], again['top1']), (4, None, result['top1']))
        self.assertEqual(self.read_bytes(log), before)
        xml.etree.ElementTree.parse(self.path('log.svg'))
        for name in ('model.safetensors', 'config.json', 'tokenizer.json', 'preprocessor_config.json'):
            self.assertTrue(os.path.exists(f'{run}/{name}'), name)
        label = os.listdir(folder)[0]
        line, = self.run_json('classify', '-m', run, '--label', label, '--label', 'other',
                              os.path.join(folder, label, os.listdir(os.path.join(folder, label))[0]))
        self.assertEqual(len(line['results']), 2)
        # Training has changed the weights, so that the evaluation is not that of the first ones.
        tensors, _ = read_safetensors(run + '/model.safetensors')
        first, _ = read_safetensors(run + '/initial/model.safetensors')
        self.assertNotEqual(tensors['logit_scale'].values, first['logit_scale'].values)

    def test_a_locked_tower_stays(self):
        run = self.path('run')
        self.train('-m', self.model, '--data-raw', self.raw(), '--steps', '2', run, '--lock-image')
        before, _ = read_safetensors(self.model + '/model.safetensors')
        after, _ = read_safetensors(run + '/model.safetensors')
        for name in before:
            if name.startswith(('vision_model.', 'visual_')):
                self.assertEqual(before[name].values, after[name].values, name)
        self.assertNotEqual(before['text_projection.weight'].values, after['text_projection.weight'].values)

    def test_the_last_groups_of_a_locked_tower_are_trained(self):
        run = self.path('run')
        args = ['-m', self.model, '--data-raw', self.raw(), '--steps', '2', run]
        self.assertIn('--lock-image', self.train(*args, '--lock-image-unlocked-groups', '2', status=1)[1])
        self.train(*args, '--lock-image', '--lock-image-unlocked-groups', '2', '--lock-text',
                   '--lock-text-unlocked-layers', '3')
        before, _ = read_safetensors(self.model + '/model.safetensors')
        after, _ = read_safetensors(run + '/model.safetensors')
        trained = ('logit_scale', 'visual_projection', 'vision_model.post_layernorm', 'text_projection',
                   'vision_model.encoder.layers.2.', 'text_model.final_layer_norm', 'text_model.encoder.layers.1.',
                   'text_model.encoder.layers.2.')
        for name in before:
            # The biases of keys have no gradient but for rounding, and position_ids are no parameters.
            if not name.endswith(('k_proj.bias', 'position_ids')):
                self.assertEqual(before[name].values != after[name].values, name.startswith(trained), name)

    def test_one_of_several_sets_of_weights_can_be_the_start(self):
        tensors, _ = read_safetensors(self.model + '/model.safetensors')
        model = self.path('sets')
        shutil.copytree(self.model, model)
        both = {prefix + name: ('F32', tensor.shape, [value * factor for value in tensor.values])
                for prefix, factor in (('state_dict.', 1), ('ema_state_dict.', 0.5)) for name, tensor in tensors.items()}
        write_safetensors(model + '/model.safetensors', both)
        args = ['--data-raw', self.raw(), '--steps', '1', '--lr', '1e-9']
        self.train('-m', model, *args, self.path('one'), '--state-dict', 'ema_state_dict')
        found = read_safetensors(self.path('one') + '/model.safetensors')[0]
        name = 'visual_projection.weight'
        self.assertAlmostEqual(found[name].values[0], tensors[name].values[0] / 2, places=6)
        # What the run has saved has one set, which a resumed run takes.
        self.train('-m', model, *args[:2], '--steps', '2', '--resume', self.path('one'), '--state-dict', 'ema_state_dict')

    def test_mixed_precision_keeps_its_scale(self):
        """The loss scale falls until the gradients fit, a checkpoint keeps it, and the memory is smaller."""
        common = ['-m', self.model, '--data-raw', self.raw(), '--steps', '5', '--precision', 'f16']
        one, two, log = self.path('one'), self.path('two'), self.path('one.jsonl')
        if 'f16' not in next(d for d in self.run_json('devices') if d['usable'])['caps']:
            self.assertIn('16-bit', self.train(*common, one, status=1)[1])
            return
        self.train(*common, one, '--log', log, '--save-every', '2')
        shutil.copytree(one + '/checkpoint-2', two + '/checkpoint-2')
        with open(one + '/checkpoint-4/training.json', encoding='utf-8') as file:
            scale = json.load(file)['loss_scale']
        self.assertEqual([line['loss_scale'] for line in self.lines(log)][3], scale)
        self.train(*common, two, '--resume')
        self.assertEqual(self.read_bytes(one, 'model.safetensors'), self.read_bytes(two, 'model.safetensors'))
        plain = self.path('plain.jsonl')
        self.train(*common[:-1], 'f32', self.path('three'), '--log', plain)
        for a, b in zip(self.lines(log), self.lines(plain)):
            self.assertAlmostEqual(a['loss'], b['loss'], delta=1e-2)
            self.assertGreater(a['loss_scale'], b['loss_scale'])
        dry = [json.loads(self.train(*common[:-1], precision, one + 'x', '--dry-run', '--json')[0])
               for precision in ('f16', 'f32')]
        self.assertEqual([plan['precision'] for plan in dry], ['f16', 'f32'])
        # Pictures and sums are fp32 in both, which is much of a small model.
        self.assertLess(dry[0]['memory']['activations'], 0.8 * dry[1]['memory']['activations'])

    def test_documented_memory(self):
        """The figures of a dry run that docs/training.md and README.md show are those of this version."""
        table = self.path('pairs.tsv')
        with open(table, 'w', encoding='utf-8') as file:
            file.write('filepath\ttitle\n' + ''.join(f'{i}.png\tpicture {i}\n' for i in range(256)))
        with open('docs/training.md', encoding='utf-8') as file:
            cases = re.findall(r'(?m)^\| `(--batch-size .*)` \| (.*) MiB \| (.*) MiB \|$', file.read())
        with open('README.md', encoding='utf-8') as file:
            shown = re.search(r'(?s)--batch-size 64 --accum-freq 4 [^`]*--dry-run\n.*?```', file.read())[0]
        self.assertEqual(len(cases), 4)
        for options, *documented in cases:
            plan = self.train(self.path('run'), '--dry-run', '--init', 'emoji-clip', '--vocab', MODEL + '/tokenizer.json',
                              '--data', table, *options.split())[0]
            lines = [line for line in plan.splitlines() if line.startswith(('activations kept', '--checkpoint-act'))]
            self.assertEqual([re.split(' {2,}', line)[4] for line in lines], documented, options)
            if options == '--batch-size 64 --accum-freq 4':
                for line in lines:
                    self.assertIn(line, shown)

    def test_averages_and_validations_are_those_of_an_uninterrupted_run(self):
        """All readable pictures are one batch, so that the loss of a step is the validation's after the step before."""
        path, _ = self.table()
        one, two, events = self.path('one'), self.path('two'), self.path('events')
        log, other = self.path('one.jsonl'), self.path('two.jsonl')
        args = ['-m', self.model, '--data', path, '--val-data', path, '--batch-size', '8', '--no-augmentation',
                '--lr', '1e-3', '--warmup', '0', '--vocab', MODEL + '/tokenizer.json']
        common = args + ['--steps', '4', '--ema-decay', '0.5', '--val-every', '1']
        out, err = self.train(*common, one, '--log', log, '--tensorboard', events, '--save-every', '2', '--json')
        self.assertIn('left out of the validation: ', err)
        self.assertIn('step 4: validation loss', err)
        lines = [line for line in self.lines(log) if 'val_loss' in line]
        self.assertEqual([line['step'] for line in lines], [1, 2, 3, 4])
        self.assertEqual((lines[0]['images'], lines[0]['captions']), (8, 8))
        self.assertTrue(all(0 <= line[way]['recall@1'] <= line[way]['recall@5'] <= line[way]['recall@10'] == 100
                            for line in lines for way in ('image_to_text', 'text_to_image')))
        self.assertEqual(json.loads(out)['val_loss'], lines[-1]['val_loss'])
        # The averages are a model like the weights, and other numbers; evaluate finds the same recall.
        for name in ('', '/checkpoint-4'):
            found = self.run_json('evaluate', '-m', one + name + '/ema', '--captions', path, status=1)[0]
            self.assertEqual({way: found[way] for way in ('image_to_text', 'text_to_image')},
                             {way: lines[-1][way] for way in ('image_to_text', 'text_to_image')})
        self.assertNotEqual(self.read_bytes(one, 'model.safetensors'), self.read_bytes(one, 'ema/model.safetensors'))
        with open(one + '/ema/config.json', encoding='utf-8') as file:  # transformers would take a start outside the vocabulary.
            self.assertIsNone(json.load(file)['text_config']['bos_token_id'])
        # A resumed run continues the averages, the log and the events.
        shutil.copytree(one + '/checkpoint-2', two + '/checkpoint-2')
        self.train(*common, two, '--log', other, '--tensorboard', events, '--resume')
        for name in ('model.safetensors', 'ema/model.safetensors', 'checkpoint-4/training.json'):
            self.assertEqual(self.read_bytes(one, name), self.read_bytes(two, name), name)
        self.assertEqual(lines[2:], [line for line in self.lines(other) if 'val_loss' in line])
        first, second = [self.events(os.path.join(events, name)) for name in sorted(os.listdir(events))]
        self.assertEqual([value for step, value in first['val/clip_val_loss']], [
            struct.unpack('f', struct.pack('f', line['val_loss']))[0] for line in lines])
        self.assertEqual(first['train/loss'][2:], second['train/loss'])
        self.assertEqual(first['train/loss'][0][0], 1)
        # Without averages the weights are validated, here after every pass.
        self.train(*args, '--steps', '3', self.path('three'), '--log', self.path('three.jsonl'))
        lines = self.lines(self.path('three.jsonl'))
        losses = [line['loss'] for line in lines if 'loss' in line]
        for trained, validated in zip(losses[1:], [line['val_loss'] for line in lines if 'val_loss' in line]):
            self.assertAlmostEqual(trained, validated, delta=1e-5)
        model = self.siglip()
        self.train(*args[2:], '-m', model, '--steps', '2', self.path('four'), '--log', self.path('four.jsonl'))
        lines = self.lines(self.path('four.jsonl'))
        self.assertAlmostEqual(lines[1]['val_loss'], lines[2]['loss'], delta=1e-5)
        self.train(*args[:4], '--val-every', '2', self.path('five'), status=2)

    def events(self, path):
        """Reads a file of events: the values of each tag with their steps."""
        data, values, place = self.read_bytes(path), {}, 0
        while place < len(data):
            size, = struct.unpack_from('<Q', data, place)
            event = self.fields(data[place + 12:place + 12 + size])
            place += size + 16
            for number, summary in event:
                for _, value in self.fields(summary) if number == 5 else ():
                    value = dict(self.fields(value))
                    values.setdefault(value[1].decode(), []).append((dict(event)[2], struct.unpack('<f', value[2])[0]))
        return values

    @staticmethod
    def fields(data):
        """Lists the fields of a protocol buffer: their numbers and values."""
        def varint():
            nonlocal place
            value = shift = 0
            while True:
                byte, place = data[place], place + 1
                value, shift = value | (byte & 0x7f) << shift, shift + 7
                if byte < 0x80:
                    return value
        fields, place = [], 0
        while place < len(data):
            key = varint()
            size = {1: 8, 5: 4}.get(key & 7, 0) or varint()
            if key & 7:
                fields.append((key >> 3, data[place:place + size]))
                place += size
            else:
                fields.append((key >> 3, size))
        return fields

    def siglip(self):
        """Writes a tiny SigLIP of random weights, whose pictures have pixels that fill no patch."""
        size = {'hidden_size': 32, 'num_hidden_layers': 2, 'num_attention_heads': 2, 'intermediate_size': 48}
        config = {'model_type': 'siglip',
                  'text_config': {**size, 'vocab_size': 2240, 'max_position_embeddings': 16},
                  'vision_config': {**size, 'image_size': 16, 'patch_size': 7}}
        folder = self.path('sigmoid')
        os.makedirs(folder)
        with open(folder + '/config.json', 'w', encoding='utf-8') as file:
            json.dump(config, file)
        self.run_command('init', folder + '/config.json', self.path('siglip'))
        return self.path('siglip')

    def test_the_sigmoid_loss_trains_its_bias(self):
        model, raw, bias = self.siglip(), self.raw(), {}
        names = read_safetensors(model + '/model.safetensors')[0].keys()
        with open(model + '/config.json', encoding='utf-8') as file:  # Defaults of transformers are outside the vocabulary.
            text = json.load(file)['text_config']
        self.assertEqual([text[name] for name in ('bos_token_id', 'eos_token_id', 'pad_token_id')], [None, None, 1])
        self.assertIn('vision_model.head.attention.in_proj_weight', names)
        for name, options in (('run', ()), ('mixed', ('--precision', 'f16')), ('soft', ('--loss', 'softmax'))):
            log = self.path(name + '.jsonl')
            self.train(self.path(name), '-m', model, '--data-raw', raw, '--steps', 8, '--lr', 1e-2, '--warmup', 1,
                       '--log', log, *options)
            losses = [line['loss'] for line in self.lines(log)]
            self.assertLess(losses[-1], losses[0])
            trained = read_safetensors(self.path(name) + '/model.safetensors')[0]
            self.assertEqual(trained.keys(), names)
            bias[name] = trained['logit_bias'].values[0]
        self.assertNotEqual(bias['run'], -10)
        self.assertEqual(bias['soft'], -10)
        info, = self.run_json('info', '-m', self.path('run'))
        self.assertTrue(info['sigmoid'])
        self.assertAlmostEqual(info['logit_bias'], bias['run'], 5)
        self.train(self.path('none'), '-m', self.model, '--data-raw', raw, '--loss', 'sigmoid', status=1)

    def test_divergence_stops_and_keeps_the_last_checkpoint(self):
        run = self.path('run')
        out, err = self.train('-m', self.model, '--data-raw', self.raw(), '--steps', '50', run, '--lr', '1e5',
                              '--warmup', '0', '--save-every', '1', status=1)
        self.assertRegex(err, r'diverged.*checkpoint-\d+')
        self.assertFalse(os.path.exists(run + '/model.safetensors'))

    def test_what_a_run_would_need(self):
        args = ['--init', self.path('config.json'), '--vocab', MODEL + '/tokenizer.json', '--data', self.table()[0],
                '--batch-size', '4', '--accum-freq', '2', '--steps', '3', self.path('run'), '--dry-run']
        plan = json.loads(self.train(*args, '--json')[0])
        parameters = sum(len(tensor.values) for tensor in read_safetensors(self.model + '/model.safetensors')[0].values())
        self.assertEqual((plan['parameters'], plan['pictures'], plan['batch']), (parameters, 9, 8))
        kept, again = plan['memory'], plan['memory_checkpoint_activations']
        self.assertLess(again['activations'], kept['activations'])
        self.assertEqual(kept['moments'], 2 * kept['gradients'])
        self.assertFalse(os.path.exists(self.path('run')))
        self.assertIn('--checkpoint-activations', self.train(*args)[0])
        self.assertIn('no such device', self.train(*args, '--device', 'no such device', status=3)[1])
        out, err = self.train(*args, '--device', '0')
        self.assertIn('--checkpoint-activations', out)
        self.assertNotIn('MiB are left', err)
        with open(self.path('config.json'), encoding='utf-8') as file:
            config = json.load(file)
        config['text_config'].update(hidden_size=8192, num_attention_heads=64, intermediate_size=32768, num_hidden_layers=64)
        with open(self.path('config.json'), 'w', encoding='utf-8') as file:
            json.dump(config, file)
        out, err = self.train(*args, '--device', '0')
        self.assertIn('--checkpoint-activations', out)
        self.assertRegex(err, r'a step needs \d{6} MiB of memory, and \d+ MiB are left: no batch fits')
        self.assertFalse(os.path.exists(self.path('run')))

    def test_wrong_input(self):
        path = self.table()[0]
        base = ['-m', self.model, '--vocab', MODEL + '/tokenizer.json', self.path('run'), '--steps', '1']
        for args, part in ((['--data', path, '--batch-size', '64'], 'train.tsv'),
                           (['--data', path, '--csv-img-key', 'picture'], 'picture'),
                           (['--data', self.path('none.tsv')], 'none.tsv'),
                           (['--data-raw', path], 'train.tsv'),
                           (['--data-raw', self.raw(), '--batch-size', '3'], 'samples per batch'),
                           (['--data-raw', self.raw(), '--accum-freq', '3'], '--accum-freq'),
                           (['--data-raw', self.raw(), '--lr-cooldown-power', '2'], '--lr-scheduler'),
                           (['--data', path, '--aug-rotate', '181'], '--aug-rotate: rotation by 181'),
                           (['--data', path, '--aug-color-jitter', '0,0,0,1'], '--aug-color-jitter: hue'),
                           (['--data-raw', self.raw(), '--beta1', '1'], '--beta1')):
            out, err = self.train(*base, *args, status=1)
            self.assertIn(part, err)
            self.assertEqual(len(err.splitlines()), 1, err)
            self.assertNotIn('`', err)
        self.train('--init', self.path('config.json'), *base[2:], '--data', self.path('none.tsv'), status=1)
        self.assertIn('no-model', self.train('-m', 'no-model', *base[2:], '--data', path, status=4)[1])
        self.assertFalse(os.path.exists(self.path('run')), 'the random weights are left behind')


if __name__ == '__main__':
    cli.main()
