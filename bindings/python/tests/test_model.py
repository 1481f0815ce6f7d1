# SPDX-License-Identifier: MIT
"""Models: the command's numbers, texts, and what ends a call early."""

import gc
import glob
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import vkclip
from conftest import MODEL

SAMPLES = sorted(glob.glob(MODEL + '/samples/*.png'))
TEXTS = ['a picture of owl', 'a picture of robot', '']


def embed(command, tmp_path, *arguments):
    output = tmp_path / 'embeds.npy'
    subprocess.run([command, 'embed', '-m', MODEL, '-o', output, *arguments], check=True, stdout=subprocess.PIPE)
    return np.load(output)


def test_command(command, model, tmp_path):
    """The embeddings are the command's."""
    expected = embed(command, tmp_path, *SAMPLES)
    np.testing.assert_array_equal(model.encode_files(SAMPLES), expected)
    np.testing.assert_array_equal(model.encode_image(SAMPLES), expected)
    os.remove(tmp_path / 'embeds.npy')
    expected = embed(command, tmp_path, *(word for text in TEXTS for word in ('--text', text)))
    np.testing.assert_array_equal(model.encode_text(TEXTS), expected)
    np.testing.assert_array_equal(model.encode_tokens(model.tokenize(TEXTS)), expected)


def test_classify(command, model):
    labels = ['pizza', 'hot beverage', 'strawberry']
    picture = MODEL + '/samples/pizza.png'
    words = [word for label in labels for word in ('-l', label)]
    output = subprocess.run([command, 'classify', '-m', MODEL, *words, '-t', 'a picture of {}', '--json', picture],
                            check=True, stdout=subprocess.PIPE).stdout
    expected = {result['label']: result['prob'] for result in json.loads(output)['results']}
    found = model.classify(picture, labels, 'a picture of {}')
    np.testing.assert_allclose(found, [expected[label] for label in labels], rtol=1e-5)
    embeds = model.encode_labels(labels, ['a picture of {}'])
    assert embeds.shape == (3, 128)
    np.testing.assert_array_equal(model.classify([picture], embeds), found[None])
    logits = model.similarity(model.encode_image([picture]), embeds)
    powers = np.exp(logits - logits.max())
    np.testing.assert_allclose(powers / powers.sum(), found[None], rtol=1e-4)


def test_texts(model, caplog):
    assert model.context_length == 32 and model.tokenize('owl').shape == (32,)
    assert model.tokenize(['owl', 'two words'], context_length=8).shape == (2, 8)
    assert model.tokenize([]).shape == (0, 32)
    assert 'owl' in model.detokenize(model.tokenize('owl'))
    long = 'owl ' * 100
    with caplog.at_level(logging.WARNING, 'vkclip'):
        assert model.encode_text(long).shape == (128,)
    assert any('owl' in record.message for record in caplog.records)
    with pytest.raises(vkclip.TextTooLongError):
        model.encode_text(long, truncate=False)
    with pytest.raises(vkclip.TextTooLongError):
        model.tokenize(long, truncate=False)
    for text in ('owl\0robot', '\ud83d owl', 'caf\u00e9'):
        assert not np.array_equal(model.encode_text(text), model.encode_text('owl'))
        np.testing.assert_array_equal(model.encode_tokens(model.tokenize(text)), model.encode_text(text))
    for wrong in (['owl', 7], [b'owl']):
        with pytest.raises(TypeError):
            model.encode_text(wrong)
    with pytest.raises(TypeError):
        model.encode_labels('owl')
    with pytest.raises(ValueError):
        model.encode_tokens(np.full((1, 4), 2 ** 40))
    with pytest.raises(ValueError, match='expected'):
        model.encode_pixels(np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(ValueError, match='attention_mask'):
        model.encode_tokens(model.tokenize(['owl']), attention_mask=np.ones((1, 3), int))


def test_out(model):
    out = np.zeros((2, 128), np.float32)
    assert model.encode_text(TEXTS[:2], out=out) is out
    np.testing.assert_array_equal(out, model.encode_text(TEXTS[:2]))
    one = np.zeros(128, np.float32)
    model.encode_text('owl', out=one)
    np.testing.assert_array_equal(one, model.encode_text('owl'))
    plain = model.encode_text('owl', normalize=False)
    np.testing.assert_allclose(plain / np.linalg.norm(plain), one, atol=1e-6)
    for wrong in (np.zeros((2, 128)), out[:1], np.zeros((2, 256), np.float32)[:, ::2], [0]):
        with pytest.raises(ValueError, match='out'):
            model.encode_text(TEXTS[:2], out=wrong)


def test_progress(model):
    seen = []
    model.encode_files(SAMPLES, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(SAMPLES), len(SAMPLES)) and seen == sorted(seen)
    with pytest.raises(vkclip.CancelledError):
        model.encode_files(SAMPLES, progress=lambda done, total: True)


def test_exception_in_callback(model):
    def fail(done, total):
        raise LookupError('mine')
    with pytest.raises(LookupError, match='mine'):
        model.encode_text(TEXTS, progress=fail)
    # The model cannot be used within its own call, and can be afterwards.
    with pytest.raises(vkclip.Error, match='which uses the same device'):
        model.encode_text(TEXTS, progress=lambda done, total: model.encode_text('owl'))
    with pytest.raises(vkclip.Error, match='cannot close'):
        model.encode_text(TEXTS, progress=lambda done, total: model.close())
    assert model.encode_text('owl').shape == (128,)


def test_interrupt(model):
    """Ctrl-C ends a call, with a progress function or without."""
    calls = []

    def interrupt(done, total):
        calls.append(done)
        signal.raise_signal(signal.SIGINT)
    before = signal.getsignal(signal.SIGINT)
    texts = TEXTS * 200
    with pytest.raises(KeyboardInterrupt):
        model.encode_text(texts, progress=interrupt)
    assert calls and calls[-1] < len(texts)
    timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(1000):
            model.encode_text(texts)
    assert signal.getsignal(signal.SIGINT) is before
    assert model.encode_text('owl').shape == (128,)


def test_closing(device):
    model = vkclip.Model(MODEL, device=device)
    model.close()
    model.close()
    with pytest.raises(ValueError, match='closed'):
        model.encode_text('owl')
    with pytest.raises(ValueError, match='closed'):
        model.tokenize('owl')
    # A device closes its models. What nothing refers to any more is closed too, also in a circle of references.
    other = vkclip.Device(device.infos[0].index)
    model = vkclip.Model(MODEL, device=other)
    other.close()
    with pytest.raises(ValueError, match='closed'):
        model.encode_text('owl')
    other = vkclip.Device(device.infos[0].index)
    model = vkclip.Model(MODEL, device=other)
    device_handle, model_handle = other._handle, model._handle
    circle = [other, model]
    circle.append(circle)
    del other, model, circle
    gc.collect()
    assert not device_handle.pointer and not model_handle.pointer
    model = vkclip.Model(MODEL, device=device.infos[0].index)
    handle = model.device._handle
    del model
    gc.collect()
    assert not handle.pointer


def test_collected_in_callback(device, model):
    """What the collector finds within a callback is closed after the call."""
    handles = []

    def drop(done, total):
        if not handles:
            handles.append(extra.pop()._handle)
            assert handles[0].pointer
    extra = [vkclip.Model(MODEL, device=device)]
    model.encode_text(TEXTS, progress=drop)
    assert not handles[0].pointer and handles[0] not in device._handle.children


def test_without_device():
    with vkclip.Model(MODEL, device=False) as model:
        assert model.device is None and model.tokenize('owl').shape == (32,)
        assert model.info.image.layers == 6 and model.info.weights_type == 'F16'
        with pytest.raises(vkclip.NoDeviceError):
            model.encode_text('owl')


def test_file_and_memory(command, device, model, tmp_path):
    """A model opens from an open file and from bytes, which live as long as it."""
    path = tmp_path / 'model.gguf'
    subprocess.run([command, 'convert', MODEL, path, '--type', 'f32'], check=True, stdout=subprocess.PIPE)
    expected = model.encode_text(TEXTS)
    with open(path, 'rb') as file:
        opened = vkclip.Model(file, device=device, name='mine')
    with opened:
        assert opened.info.weights_path == 'mine'
        np.testing.assert_allclose(opened.encode_text(TEXTS), expected, atol=1e-5)
    for source in (path.read_bytes(), bytearray(path.read_bytes()), io.BytesIO(path.read_bytes())):
        opened = vkclip.Model(source, device=device)
        source = None
        gc.collect()
        np.testing.assert_allclose(opened.encode_text(TEXTS), expected, atol=1e-5)
        opened.close()
    held = bytearray(path.read_bytes())
    with vkclip.Model(held, device=False):
        with pytest.raises(BufferError):
            held.append(0)
    held.append(0)
    with pytest.raises(vkclip.Error):
        vkclip.Model(b'no model', device=False)
    with pytest.raises(TypeError):
        vkclip.Model(7, device=False)


def test_opening(device):
    with pytest.raises(vkclip.Error):
        vkclip.Model('/nonexistent', device=device)
    with pytest.raises(ValueError, match='precision'):
        vkclip.Model(MODEL, device=device, precision='f64')
    with pytest.raises(vkclip.NoDeviceError):
        vkclip.Device('no such device')
    with pytest.raises(vkclip.CancelledError):
        vkclip.Model(MODEL, device=device, progress=lambda done, total: True)
    with pytest.raises(KeyboardInterrupt):
        vkclip.Model(MODEL, device=device, progress=lambda done, total: signal.raise_signal(signal.SIGINT))
    info = device.infos[0]
    assert info.usable and info.name and len(info.uuid) == 16 and info.api_version >= (1, 1, 0)


def test_other_library():
    """Importing says where the library was looked for."""
    found = subprocess.run([sys.executable, '-c', 'import vkclip'], stderr=subprocess.PIPE, text=True, check=False,
                           env={**os.environ, 'VKCLIP_LIBRARY': '/nonexistent/libvkclip.so'})
    assert found.returncode and 'ImportError: libvkclip was not found' in found.stderr
    assert '/nonexistent/libvkclip.so' in found.stderr
