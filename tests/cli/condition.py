#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""condition.py COMMAND [unittest's arguments]: tests vkclip condition."""
import json
import os
import shutil

import cli
from cli import CommandTest, golden, read_safetensors, write_safetensors

PIPELINES = 'conditioning/pipelines'


def pipeline(name):
    """The folder of a pipeline of the reference data; None if it is not there."""
    index = golden(f'{PIPELINES}/{name}/model_index.json')
    return index and os.path.dirname(index)


class Condition(CommandTest):
    def condition(self, *arguments, model=None, **others):
        self.run_command('condition', '-m', model or pipeline('chroma'), '-o', self.path('out.safetensors'),
                         *arguments, **others)
        return None if others.get('status') else read_safetensors(self.path('out.safetensors'))

    def fail_condition(self, status, message, *arguments, **others):
        self.condition(*arguments, status=status, **others)
        self.assert_error(message)

    def need_pipeline(self, name):
        return pipeline(name) or self.skipTest(f'the reference data {PIPELINES}/{name} is not here')

    def test_expected(self):
        with open(pipeline('chroma') + '/case.json', encoding='utf-8') as file:
            case = json.load(file)
        expected = read_safetensors(pipeline('chroma') + '/case.safetensors')[0]
        found, metadata = self.condition('--prompt', case['prompt'][0], '--negative', case['negative_prompt'])
        self.assertEqual(sorted(found), sorted(name for name in expected if name != 't5_input_ids'))
        for name, tensor in found.items():
            self.assertEqual(tensor.shape, expected[name].shape, name)
            largest = max(map(abs, expected[name].values))
            self.assert_close(tensor.values, expected[name].values, 1e-4 * largest if 'embeds' in name else 0, name)
        self.assertEqual(metadata['family'], 'chroma')
        self.assertEqual(metadata['max_sequence_length'], '512')
        self.assertEqual(metadata['syntax'], 'none')
        self.assertEqual(json.loads(metadata['prompts']), case['prompt'])
        self.assertEqual(json.loads(metadata['negative_prompts']), [case['negative_prompt']])
        self.assertEqual(list(json.loads(metadata['encoders'])), ['t5xxl'])

    def test_compute(self):
        """What multiplies in fp16 is written beside the result. T5's values exceed fp16."""
        length = ['-p', 'a cat', '--max-sequence-length', '8']
        exact, metadata = self.condition(*length)
        self.assertNotIn('compute', metadata)
        rounded, metadata = self.condition(*length, '--compute', 'f16')
        self.assertEqual(metadata['compute'], 'f16')
        self.assertIn("the values between T5's layers exceed f16 (--compute)", self.errors[0])
        self.assertEqual(rounded['prompt_embeds'].values, exact['prompt_embeds'].values)

    def test_tokens_are_counted(self):
        arguments = ['condition', '-m', pipeline('chroma'), '-o', self.path('out.safetensors'),
                     '--max-sequence-length', '16', '-p', 'a cat', '-p']
        self.assertRegex(self.run_command(*arguments, ''), '^prompt 1, t5xxl: [2-9] of 15 tokens\n'
                         'prompt 2, t5xxl: 0 of 15 tokens\nnegative prompt 1, t5xxl: 0 of 15 tokens\n$')
        self.assertEqual(self.run_command(*arguments, '', '--quiet'), '')
        self.run_command(*arguments, 'cat ' * 40)
        self.assert_error("prompt 'cat cat", "...': t5xxl: ", 'tokens cut to 15', 'left out: ')
        self.run_command(*arguments, '(a:1.2.3)', '--syntax', 'a1111', status=1)
        self.assert_error("prompt '(a:1.2.3)': t5xxl: weight '1.2.3' is not a number")

    def test_batch(self):
        prompts = ['a photo of a red cat', 'a dog', '']
        length = ['--max-sequence-length', '16']
        options = [word for prompt in prompts for word in ('-p', prompt)]
        line = self.run_json('condition', '-m', pipeline('chroma'), '-o', self.path('out.safetensors'), *options, *length)
        self.assertEqual(line[0]['tensors'], {
            'prompt_embeds': [3, 16, 32], 'prompt_attention_mask': [3, 16],
            'negative_prompt_embeds': [3, 16, 32], 'negative_prompt_attention_mask': [3, 16]})
        self.assertEqual(len(line[0]['usage']), 4)
        found = read_safetensors(self.path('out.safetensors'))[0]
        for i, prompt in enumerate(prompts):
            one = self.condition('-p', prompt, *length)[0]
            self.assert_close(found['prompt_embeds'].row(i), one['prompt_embeds'].values, 1e-5)
            # Nothing stands for a negative prompt but the empty text.
            self.assert_close(found['negative_prompt_embeds'].row(i), found['prompt_embeds'].row(2), 1e-5)

    def test_prompts_from(self):
        lines = [{'prompt': 'a cat', 'negative': 'bad', 'name': 'one'}, {'prompt': 'a dog', 'negative': '', 'name': 'two'}]
        source = self.path('prompts.jsonl', b''.join(json.dumps(line).encode() + b'\n' for line in lines))
        length = ['--max-sequence-length', '8']
        all_in_one, metadata = self.condition('--prompts-from', source, *length)
        self.assertEqual(json.loads(metadata['names']), ['one', 'two'])
        self.run_command('condition', '-m', pipeline('chroma'), '--prompts-from', source, *length, '-o', self.path('folder'))
        for i, name in enumerate(['one', 'two']):
            tensors, metadata = read_safetensors(self.path(f'folder/{name}.safetensors'))
            self.assertEqual(json.loads(metadata['prompts']), [lines[i]['prompt']])
            self.assertEqual(json.loads(metadata['negative_prompts']), [lines[i]['negative']])
            for tensor in all_in_one:
                self.assertEqual(tensors[tensor].values, all_in_one[tensor].row(i), tensor)

    def test_bad_prompts_from(self):
        for content, message in [
                (b'', 'no prompt in it'),
                (b'{"prompt":"a"', "line 1: '}' expected near end of file"),
                (b'["a"]', 'line 1: expected an object'),
                (b'{"prompt":"a","prompt":"b"}', 'line 1: duplicate object key'),
                (b'{"text":"a"}', 'line 1: expected an object with a "prompt"'),
                (b'{"prompt":"a","size":3}', 'found size'),
                (b'{"prompt":"a"}\n{"prompt":"b","negative":"c"}', 'line 2: earlier lines have no negative'),
                (b'{"prompt":"a","negative":"c"}\n{"prompt":"b"}', 'line 2: expected, as in earlier lines, a text called negative')]:
            self.fail_condition(1, message, '--prompts-from', self.path('bad.jsonl', content))
        for content, message in [(b'{"prompt":"a","name":"../a"}', "'../a' cannot be that of a file"),
                                 (b'{"prompt":"a","name":"2"}\n{"prompt":"b"}', "two prompts have the name '2'")]:
            self.run_command('condition', '-m', pipeline('chroma'), '--prompts-from', self.path('bad.jsonl', content),
                             '-o', self.path('folder'), status=1)
            self.assert_error(message)

    def test_half(self):
        full = self.condition('-p', 'a', '--max-sequence-length', '8')[0]['prompt_embeds']
        size = os.path.getsize(self.path('out.safetensors'))
        self.condition('-p', 'a', '--max-sequence-length', '8', '--half')
        self.assertLess(os.path.getsize(self.path('out.safetensors')), size - len(full.values))

    def test_cut(self):
        long = 'a photo of a red cat and a dog'
        self.condition('-p', long, '--max-sequence-length', '6')
        self.assertIn('left out', self.errors[0])
        self.fail_condition(1, 'does not fit', '-p', long, '--max-sequence-length', '6', '--strict')

    def test_two_files(self):
        """An encoder in a file of its own takes the place of the pipeline's."""
        flux = self.need_pipeline('flux')
        expected = self.condition('-p', 'a red cat', model=flux)[0]
        self.assertEqual(sorted(expected), ['pooled_prompt_embeds', 'prompt_embeds'])
        found, metadata = self.condition(
            '-m', flux + '/text_encoder_2', '--family', 'flux', '--vocab', flux + '/tokenizer/vocab.json',
            '--vocab', flux + '/tokenizer_2/tokenizer.json', '-p', 'a red cat', model=flux + '/text_encoder')
        self.assertEqual(metadata['family'], 'flux')
        for name in expected:
            self.assertEqual(found[name].values, expected[name].values, name)

    def test_lengths(self):
        """ComfyUI's sequence for T5 grows with the prompt, and each side has its own length."""
        options = ['--syntax', 'comfy', '--max-sequence-length', '8']
        one = self.condition('-p', 'a cat', *options)[0]
        both = self.condition('-p', 'a photo of a red cat and a dog, both of them asleep', '--negative', 'a cat', *options)[0]
        self.assertGreater(both['prompt_embeds'].shape[1], 8)
        self.assertEqual(both['prompt_attention_mask'].shape[1], both['prompt_embeds'].shape[1])
        self.assertEqual(both['negative_prompt_embeds'].shape, [1, 8, 32])
        self.assert_close(both['negative_prompt_embeds'].values, one['prompt_embeds'].values, 1e-5)
        self.fail_condition(1, 'condition them one by one', '-p', 'a cat', '-p', 'a photo of a red cat and a dog',
                            *options)

    def test_vocabularies(self):
        flux, t5 = self.need_pipeline('flux'), golden('conditioning/t5/single/t5xxl_fp16.safetensors')
        own = self.condition('-p', 'a red cat', model=flux)[0]
        found = self.condition('-p', 'a red cat', '-m', t5, model=flux)[0] # with the vocabulary of the pipeline
        self.assertEqual(found['pooled_prompt_embeds'].values, own['pooled_prompt_embeds'].values)
        self.assertNotEqual(found['prompt_embeds'].shape, own['prompt_embeds'].shape)
        self.fail_condition(4, 'no vocabulary for t5xxl beside it', '--family', 'chroma', '-p', 'a', model=t5)
        self.fail_condition(4, 'is no vocabulary for an encoder of chroma', '--family', 'chroma', '-p', 'a',
                            '--vocab', flux + '/tokenizer/vocab.json', model=t5)
        self.fail_condition(4, self.path('nothing.json'), '-p', 'a', '--vocab', self.path('nothing.json'), model=flux)

    def test_changes(self):
        """Textual inversions, LoRA, syntax and the layer change what they should."""
        sd1, prompts = self.need_pipeline('sd1'), golden('conditioning/prompts/embeddings')
        lora = golden('conditioning/lora/sd1_peft.safetensors')
        plain = self.condition('-p', 'a cat-toy', model=sd1)[0]['prompt_embeds'].values
        for change in [['--embedding', prompts + '/cat-toy.safetensors'], ['--lora', lora], ['--lora', lora + ':0.5'],
                       ['--clip-skip', '2'], ['--clip-skip-diffusers', '1']]:
            changed = self.condition('-p', 'a cat-toy', *change, model=sd1)[0]['prompt_embeds'].values
            self.assertNotEqual(plain, changed, change)
        same = self.condition('-p', 'a cat-toy', '--lora', lora + ':0', '--clip-skip', '1', '--syntax', 'comfy',
                              model=sd1)
        self.assert_close(plain, same[0]['prompt_embeds'].values, 1e-5)
        self.assertEqual(same[1]['clip_skip'], '1')
        self.assertEqual(json.loads(same[1]['loras']), [lora + ':0'])

    def test_zero_negative(self):
        sdxl = self.need_pipeline('sdxl')
        empty = self.condition('-p', 'a', '--negative', '', model=sdxl)[0]
        for arguments, zeros in [([], True), (['--zero-negative'], True), (['--negative', '', '--zero-negative'], True),
                                 (['--negative', 'b', '--zero-negative'], False)]:
            found = self.condition('-p', 'a', *arguments, model=sdxl)[0]
            for name in ['negative_prompt_embeds', 'negative_pooled_prompt_embeds']:
                self.assertEqual(not any(found[name].values), zeros, (arguments, name))
                self.assertTrue(any(empty[name].values))

    def test_absent_t5(self):
        """Zeros stand for the T5 of Stable Diffusion 3."""
        shutil.copytree(self.need_pipeline('sd3'), self.path('sd3'))
        shutil.rmtree(self.path('sd3/text_encoder_3'))
        with open(self.path('sd3/model_index.json'), encoding='utf-8') as file:
            index = json.load(file)
        index['text_encoder_3'] = [None, None]
        self.path('sd3/model_index.json', json.dumps(index).encode())
        os.mkdir(self.path('sd3/transformer'))
        self.path('sd3/transformer/config.json', b'{"joint_attention_dim":144}')
        found = self.condition('-p', 'a', '--max-sequence-length', '9', model=self.path('sd3'))[0]['prompt_embeds']
        full = self.condition('-p', 'a', '--max-sequence-length', '9', model=pipeline('sd3'))[0]['prompt_embeds']
        self.assertEqual(found.shape, [1, 77 + 9, 144])
        self.assertEqual(found.values[:77 * 144], full.values[:77 * 144])
        self.assertFalse(any(found.values[77 * 144:]))

    def test_usage(self):
        chroma = pipeline('chroma')
        for arguments, message in [
                (['condition', '-p', 'a', '-o', 'x.safetensors'], 'with -m'),
                (['condition', '-m', chroma, '-p', 'a'], 'with -o'),
                (['condition', '-m', chroma, '-o', 'x.safetensors'], 'expected --prompt or --prompts-from'),
                (['condition', '-m', chroma, '-p', 'a', '-o', 'x.bin'], 'ends in .safetensors'),
                (['condition', '-m', chroma, '-p', 'a', '--prompts-from', 'x', '-o', 'x.safetensors'], 'no other prompts'),
                (['condition', '-m', chroma, '-p', 'a', '-p', 'b', '--prompt-2', 'c', '-o', 'x.safetensors'],
                 'expected as many'),
                (['condition', '-m', chroma, '-p', 'a', '--negative', 'b', '--negative', 'c', '-o', 'x.safetensors'],
                 'one or as many'),
                (['condition', '-m', chroma, 'a', '-o', 'x.safetensors'], "unexpected argument 'a'")]:
            self.run_command(*arguments, status=2)
            self.assert_error(message)

    def test_errors(self):
        for status, message, arguments in [
                (4, 'expected one of sd1, sd2', ['--family', 'sd9']),
                (4, 'is no clip_l, expected a text encoder of CLIP', ['--family', 'sdxl']),
                (4, 'a second pipeline', ['-m', pipeline('chroma')]),
                (4, 'no such file', ['-m', self.path('nothing')]),
                (1, 'prompts for encoder 2, but chroma has 1', ['--prompt-2', 'b']),
                (1, 'no block of chroma can be skipped', ['--clip-skip', '2']),
                (1, '513, expected 1 to 512', ['--max-sequence-length', '513'])]:
            self.fail_condition(status, message, '-p', 'a', *arguments)
        self.run_command('condition', '-m', self.path('nothing'), '-p', 'a', '-o', self.path('none/out.safetensors'),
                         status=1)
        self.assert_error('none/out.safetensors: cannot be written: there is no such folder')
        self.fail_condition(4, 'several families: pixart, chroma: name the --family', '-p', 'a',
                            model=pipeline('chroma') + '/text_encoder')
        os.mkdir(self.path('other'))
        self.path('other/model_index.json', b'{"_class_name":"Flux2Pipeline"}')
        self.fail_condition(4, 'a Flux2Pipeline is not supported', '-p', 'a', model=self.path('other'))
        self.path('other/model_index.json', b'{"_class_name":3}')
        self.fail_condition(4, '_class_name', '-p', 'a', model=self.path('other'))

    def test_wrong_embedding(self):
        sd1 = self.need_pipeline('sd1')
        os.mkdir(self.path('embeddings'))
        wide = self.path('embeddings/wide.safetensors')
        write_safetensors(wide, {'<wide>': ('F32', [2, 5], [0.5] * 10)})
        self.fail_condition(4, 'width 5 fit no encoder of sd1', '-p', 'wide', '--embedding', wide, model=sd1)
        self.condition('-p', 'wide', '--embedding', self.path('embeddings'), model=sd1)
        self.assertIn('left out: ' + wide, self.errors[0])

    def test_wrong_values(self):
        """A value that the result's type does not have is an error, and no file is written."""
        for arguments in [['-p', '(a:1e6)', '--half'], ['-p', '(a:1e60)']]:
            self.fail_condition(1, 'are weights in prompts, a LoRA or an embedding too large?', '--syntax', 'comfy',
                                '--max-sequence-length', '8', *arguments)
            self.assertFalse(os.path.exists(self.path('out.safetensors')))

    def test_wrong_lora(self):
        for model, message in [('sd1', 'the model has no text encoder of this name'),
                               ('sdxl-refiner', 'the model has no text encoder of this name')]:
            self.fail_condition(4, message, '-p', 'a', '--lora', golden('conditioning/lora/sdxl_kohya.safetensors'),
                                model=self.need_pipeline(model))
        self.fail_condition(4, 'strength nan, expected a finite number', '-p', 'a', '--lora',
                            golden('conditioning/lora/sd1_peft.safetensors') + ':nan', model=pipeline('sd1'))

    def test_superfluous_file(self):
        flux = self.need_pipeline('flux')
        self.fail_condition(4, 'holds none of the text encoders of chroma', '-p', 'a', '-m', flux + '/text_encoder')


if __name__ == '__main__':
    cli.main()
