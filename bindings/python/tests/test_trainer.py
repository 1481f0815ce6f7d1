# SPDX-License-Identifier: MIT
"""Training, on prepared batches and on a table of pictures."""

import gc
import json
import os
import signal

import numpy as np
import pytest
import vkclip
from conftest import MODEL

CONFIG = 'tests/golden/models/hf-vit/config.json'


def write_tensors(path, **tensors):
    """Writes a safetensors file."""
    header, end = {}, 0
    for name, array in tensors.items():
        kind = {'f': 'F32', 'i': 'I32'}[array.dtype.kind]
        header[name] = {'dtype': kind, 'shape': array.shape, 'data_offsets': [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, 'little') + text + b''.join(array.tobytes() for array in tensors.values()))


@pytest.fixture(scope='module')
def options(tmp_path_factory, device):
    """A run of four steps of a tiny model with random weights."""
    with open(CONFIG) as file:
        config = json.load(file)
    size, text = config['vision_config']['image_size'], config['text_config']
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp('training') / 'batches.safetensors'
    ids = rng.integers(1, 100, (2, 4, text['max_position_embeddings'])).astype(np.int32)
    ids[:, :, -1] = text['vocab_size'] - 1
    write_tensors(path, images=rng.standard_normal((2, 4, 3, size, size)).astype(np.float32), input_ids=ids)
    return {'device': device, 'init': CONFIG, 'data_raw': path, 'steps': 4, 'lr': 1e-3, 'seed': 7, 'warmup': -1}


def test_run(options, tmp_path):
    """A run is an iterator, can be saved and resumed, and leaves a model."""
    asked = []
    with vkclip.Trainer(output=tmp_path / 'run', progress=lambda done, total: asked.append(done), **options) as trainer:
        assert trainer.info.steps == 4 and trainer.info.batch == 4 and trainer.info.trained_parameters > 0
        assert trainer.memory().activations >= trainer.memory(checkpoint_activations=True).activations > 0
        trainer.check_memory(options['device'])
        first = trainer.step()
        assert first.step == 1 and first.lr > 0 and asked
        saved = trainer.save()
        assert saved == str(tmp_path / 'run/checkpoint-1')
        rest = list(trainer)
        assert [result.step for result in rest] == [2, 3, 4] and rest[-1].loss < first.loss
        with pytest.raises(vkclip.InvalidArgumentError):
            trainer.step()
        with pytest.raises(vkclip.InvalidArgumentError, match='val_data'):
            trainer.validate()
        trainer.save_model()
    with pytest.raises(ValueError, match='closed'):
        trainer.step()
    with vkclip.Model(tmp_path / 'run', device=options['device']) as model:
        assert model.encode_tokens(np.full((1, 5), 7)).shape[0] == 1
    with vkclip.Trainer(output=tmp_path / 'run', resume=True, **options) as again:
        assert again.info.step == 1
        assert [result.loss for result in again] == [result.loss for result in rest]


def test_cancel(options, tmp_path):
    """Ctrl-C and exceptions end a step, after which it can be made again."""
    wish = []
    with vkclip.Trainer(output=tmp_path / 'run', progress=lambda done, total: wish and wish.pop()(), **options) as run:
        wish.append(lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            run.step()
        wish.append(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.step()
        wish.append(lambda: True)
        with pytest.raises(vkclip.CancelledError):
            run.step()
        assert run.info.step == 0 and run.step().step == 1
        handle = run._handle
    run = vkclip.Trainer(output=tmp_path / 'other', **options)
    handle = run._handle
    del run
    gc.collect()
    assert not handle.pointer


def test_table(device, tmp_path):
    """Pictures with captions are read, and validated, without a device that trains."""
    table = tmp_path / 'pairs.csv'
    table.write_text('filepath\ttitle\n' + ''.join(f'{os.path.abspath(MODEL)}/samples/{name}.png\ta picture of {name}\n'
                                                   for name in ('owl', 'pizza', 'robot', 'rocket')))
    with vkclip.Trainer(device=False, model=MODEL, data=table, val_data=str(table), output=tmp_path / 'run',
                        batch_size=2, epochs=3, lr_scheduler='const', lock_image=True, templates=['see: {}'],
                        augmentation=vkclip.Augmentation(scale=(0.5, 1), color_jitter=(0.1, 0, 0, 0))) as trainer:
        info = trainer.info
        assert (info.steps, info.epoch_steps, info.samples, info.captions) == (6, 2, 4, 4)
        assert info.trained_parameters < info.parameters
        with pytest.raises(vkclip.InvalidArgumentError, match='a trainer on a device'):
            trainer.step()
    with pytest.raises(TypeError, match='output'):
        vkclip.Trainer(model=MODEL, data=table)
    for wrong, message in (({'lr': 'high'}, 'lr is'), ({'loss': 'l2'}, 'loss is'), ({'workers': -1}, 'workers is'),
                           ({'csv_separator': ', '}, 'one character'),
                           ({'augmentation': vkclip.Augmentation(scale=(1,))}, 'expected 2')):
        with pytest.raises((TypeError, ValueError), match=message):
            vkclip.Trainer(device=device, model=MODEL, data=table, output=tmp_path / 'wrong', **wrong)
