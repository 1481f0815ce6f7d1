# SPDX-License-Identifier: MIT
"""Models and vocabularies as files, picture files, probes, and devices."""

import io
import tarfile

import numpy as np
import pytest
import vkclip
from conftest import MODEL
from PIL import Image

OWL = MODEL + '/samples/owl.png'


def test_convert(device, tmp_path):
    counts = []
    found = vkclip.convert(MODEL, tmp_path / 'model.gguf', 'q8', progress=lambda done, total: counts.append(done))
    assert found.path == str(tmp_path / 'model.gguf') and found.bytes_after < found.bytes_before
    assert counts == sorted(counts) and counts
    result = vkclip.compare(MODEL, tmp_path / 'model.gguf', device=device, other_options={'max_batch': 4})
    assert result.images and 0.99 < result.image_min <= result.image_mean <= 1 and result.text_min > 0.99
    for wrong, message in (({'type': 'int8'}, 'expected one of'), ({'options': {'presicion': 'f16'}}, 'no option')):
        with pytest.raises((TypeError, ValueError), match=message):
            vkclip.convert(MODEL, tmp_path / 'other.gguf', **wrong)
    with pytest.raises(vkclip.CancelledError):
        vkclip.convert(MODEL, tmp_path / 'other.gguf', progress=lambda done, total: True)
    assert not (tmp_path / 'other.gguf').exists()


def test_new_files(tmp_path):
    vkclip.init_model('tests/golden/models/hf-vit/config.json', tmp_path / 'new', seed=3)
    assert vkclip.Model(tmp_path / 'new', device=False).info.text
    assert 'ViT-B-32' in vkclip.architectures()
    with pytest.raises(vkclip.InvalidArgumentError, match='no known architecture'):
        vkclip.init_model('ViT', tmp_path / 'none')
    (tmp_path / 'texts.txt').write_text('a picture of an owl\na picture of a robot\n' * 3)
    result = vkclip.train_tokenizer(tmp_path / 'texts.txt', tmp_path / 'words', vocabulary=530)
    assert result.texts == 6 and 514 < result.vocabulary <= 530
    with pytest.raises(TypeError, match='vocabulary'):
        vkclip.train_tokenizer(tmp_path / 'texts.txt', tmp_path / 'more', vocabulary='many')


def test_pictures(model, tmp_path):
    pixels = vkclip.load_image(OWL)
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(OWL)))
    np.testing.assert_array_equal(vkclip.load_image(open(OWL, 'rb').read()), pixels)
    with pytest.raises(vkclip.Error):
        vkclip.load_image(OWL, max_pixels=10)
    turned = Image.fromarray(pixels[:50])
    exif = turned.getexif()
    exif[0x112] = 6
    turned.save(tmp_path / 'turned.jpg', exif=exif)
    assert vkclip.load_image(tmp_path / 'turned.jpg').shape[:2] == (50, 72)
    assert vkclip.load_image(tmp_path / 'turned.jpg', orient=True).shape[:2] == (72, 50)
    formats = {found.name: found for found in vkclip.image_formats()}
    assert formats['PNG'].readable and vkclip.find_image_format('a/b.PNG') == formats['PNG']
    assert vkclip.find_image_format('a.txt') is None
    with tarfile.open(tmp_path / 'shard.tar', 'w') as tar:
        for name in ('owl', 'robot'):
            tar.add(f'{MODEL}/samples/{name}.png', f'{name}.png')
    with vkclip.Archive(tmp_path / 'shard.tar') as archive:
        assert archive.names == ['owl.png', 'robot.png'] and len(archive) == 2
        found = model.encode_source(archive.load, len(archive))
        with pytest.raises(IndexError):
            archive.load(2)
    with pytest.raises(vkclip.CancelledError):
        vkclip.Archive(tmp_path / 'shard.tar', progress=lambda done, total: True)
    expected = model.encode_files([OWL, MODEL + '/samples/robot.png'])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    prepared = [model.preprocess(OWL), model.preprocess(MODEL + '/samples/robot.png')]
    np.testing.assert_array_equal(model.encode_source(prepared.__getitem__, 2), expected)
    with pytest.raises(IndexError):
        model.encode_source(prepared.__getitem__, 5)
    with pytest.raises(ValueError, match='shape'):
        model.encode_source(lambda i: np.zeros((3, 4, 4), np.float32), 1)


def test_inside(model):
    """Intermediate tensors, features, explanations and costs."""
    hidden = model.hidden([OWL, OWL])
    np.testing.assert_allclose(hidden['vision.normalized'], model.encode_image([OWL, OWL]), atol=1e-6)
    assert hidden['vision.hidden.6'].shape == (2, 65, 192)
    np.testing.assert_allclose(model.encode_image(OWL, features='-1'), hidden['vision.hidden.6'][0], atol=1e-5)
    hidden = model.hidden(texts=['owl', 'a robot', 'x'])
    np.testing.assert_allclose(model.encode_text('a robot', features='2'), hidden['text.hidden.2'][1], atol=1e-5)
    with pytest.raises(TypeError):
        model.hidden([OWL], ['owl'])
    with pytest.raises(vkclip.InvalidArgumentError, match='features'):
        model.encode_image(OWL, features='last')
    found = model.explain(OWL, ['a picture of owl', 'a picture of pizza'])
    assert found.relevance.shape == (2, 8, 8) and found.relevance.min() >= 0 and found.width == 72
    np.testing.assert_allclose(found.cosines, model.encode_image(OWL) @ model.encode_text(
        ['a picture of owl', 'a picture of pizza']).T, atol=1e-4)
    one = model.explain(OWL, model.encode_text('a picture of pizza'))
    np.testing.assert_allclose(one.relevance, found.relevance[1], atol=1e-5)
    cost = model.profile('text', 2)
    assert cost.operations > 0 and cost.nodes[0].op == 'EMBEDDING' and not model.profile(run=False).nodes
    with pytest.raises(ValueError, match='tower'):
        model.profile('video')
    with pytest.raises(ValueError, match='batch is -1'):
        model.profile(batch=-1)


def test_probe():
    rng = np.random.default_rng(3)
    features = rng.standard_normal((60, 4))
    labels = (features[:, 0] > 0).astype(int) + (features[:, 1] > 0)
    probe = vkclip.fit_probe(features, labels, c=100)
    probs = probe.predict(features)
    assert probe.converged and probe.weights.shape == (3, 4) and probs.shape == (60, 3)
    np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probe.predict(features[0]), probs[0])
    assert (probs.argmax(1) == labels).mean() > 0.7
    for wrong in (labels[:5], labels - 1, labels + 0.5):
        with pytest.raises((TypeError, ValueError)):
            vkclip.fit_probe(features, wrong)


def test_device(device, tmp_path):
    checks = device.check('LAYERNORM')
    assert checks and all(check.right and check.op == 'LAYERNORM' and check.error <= 1 for check in checks)
    with pytest.raises(vkclip.CancelledError):
        device.check('LAYERNORM', on_check=lambda check: True)
    with pytest.raises(vkclip.InvalidArgumentError, match='name of an op'):
        device.check('NOTHING')
    assert device.tuning() == [] and set(vkclip.kernel_caps()) >= {'f16'} and 'search' in vkclip.build()
    with pytest.raises(vkclip.CancelledError):
        device.measure_peaks(progress=lambda done, total: True)
    index = device.infos[0].index
    with vkclip.Device(index, cache_dir=tmp_path, threads=1, background=True, tune='off', skip_checks=True,
                       timeout=60) as other:
        with vkclip.Model(MODEL, device=other) as model:
            assert model.encode_text('owl').shape == (128,)
    for wrong, message in (({'threads': -1}, 'out of its range'), ({'tune': 'fast'}, "'default', 'on'"),
                           ({'timeout': 'long'}, 'expected a number'), ({'timeout': -1}, 'from 0')):
        with pytest.raises((TypeError, ValueError), match=message):
            vkclip.Device(index, **wrong)
    with pytest.raises(vkclip.CancelledError):
        vkclip.Device(index, progress=lambda done, total: True)
    with pytest.raises(TypeError, match='a number, a name or None'):
        vkclip.Device(1.5)


def test_sixteen_bits(model):
    """The high bytes of 16 bits are taken, as those of a file are."""
    values = np.random.default_rng(5).integers(0, 65536, (90, 80), np.uint16)
    file = io.BytesIO()
    Image.fromarray(values).save(file, 'PNG')
    expected = model.preprocess((values >> 8).astype(np.uint8))
    for form in (file.getvalue(), Image.open(file), Image.fromarray(values)):
        np.testing.assert_array_equal(model.preprocess(form), expected)
