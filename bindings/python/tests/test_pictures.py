# SPDX-License-Identifier: MIT
"""A picture gives the same embedding in every form."""

import ctypes
import glob
import warnings

import numpy as np
import pytest
import vkclip
from conftest import MODEL
from PIL import Image

ROBOT = MODEL + '/samples/robot.png'


def test_forms(model):
    with open(ROBOT, 'rb') as file:
        data = file.read()
    pixels = np.asarray(Image.open(ROBOT))
    expected = model.encode_image(ROBOT)
    assert expected.shape == (128,) and expected.dtype == np.float32
    for form in (Image.open(ROBOT), pixels, data, bytearray(data), memoryview(data)):
        np.testing.assert_array_equal(model.encode_image(form), expected)
    several = model.encode_image([ROBOT, data, pixels, Image.open(ROBOT)])
    assert several.shape == (4, 128)
    assert np.abs(several - expected).max() < 1e-5
    np.testing.assert_array_equal(model.encode_image(np.stack([pixels] * 4)), several)
    assert np.abs(model.encode_pixels(model.preprocess(pixels)) - expected).max() < 1e-6


def test_strides(model):
    """Rows that lie apart are read where they are, and what the library cannot read is copied."""
    wide = np.random.default_rng(1).integers(0, 256, (90, 100, 4), np.uint8)
    for view in (wide[:, 10:80], wide[::2], wide[::-1], wide[:, ::2], wide[:, :, :3], wide[..., 0], wide[:1],
                 wide[:, :1], wide.transpose(1, 0, 2), np.asfortranarray(wide), wide[:, :, 1:2]):
        np.testing.assert_array_equal(model.preprocess(view), model.preprocess(view.copy()))
    array = vkclip._image.Pictures([wide[:, 10:80]])
    with array as places:
        address = ctypes.cast(places[0].pixels, ctypes.c_void_p).value
        assert address == wide[:, 10:80].ctypes.data and places[0].stride == 400


@pytest.mark.parametrize('name', [MODEL, 'tests/golden/models/openai-vit/model.pt'])
def test_pillow(name):
    """Pillow's pictures are prepared as files are, also those with palettes, single bits and inks."""
    files = sorted(glob.glob('tests/golden/preprocess/images/*'))
    assert files
    modes = set()
    with vkclip.Model(name, device=False) as model:
        for file in files:
            image = Image.open(file)
            if image.mode.startswith('I'):
                continue  # The library reads the high bytes of 16 bits, and Pillow has modes for them.
            modes.add(image.mode)
            np.testing.assert_array_equal(model.preprocess(image), model.preprocess(file), err_msg=file)
    assert modes >= {'RGB', 'RGBA', 'L', 'P', '1'}


def test_inks():
    """The reference resizes a picture of four inks before it converts it."""
    pixels = np.random.default_rng(2).integers(0, 256, (100, 120, 4), np.uint8)
    inks = Image.fromarray(pixels, 'CMYK')
    with vkclip.Model('tests/golden/models/openai-vit/model.pt', device=False) as model:
        size = model.image_size
        scaled = inks.resize((120 * size // 100, size), Image.BICUBIC)
        left = round((scaled.width - size) / 2)
        crop = np.asarray(scaled.crop((left, 0, left + size, size)).convert('RGB'), np.float32) / 255
        expected = (crop - model.info.image_mean) / model.info.image_std
        assert np.abs(model.preprocess(inks).transpose(1, 2, 0) - expected).max() < 1e-5


def test_refusals(model, tmp_path):
    for wrong, kind in ((np.zeros((4, 4, 3), np.float32), TypeError), (np.zeros((4, 4, 5), np.uint8), ValueError),
                        (np.zeros((0, 4, 3), np.uint8), ValueError), (np.zeros(4, np.uint8), ValueError),
                        (7, TypeError), ([[ROBOT]], TypeError), ('a\0b', ValueError), (b'no picture', vkclip.Error)):
        with pytest.raises(kind):
            model.encode_image(wrong)
    with pytest.raises(vkclip.FileError, match='absent.png') as caught:
        model.encode_image('absent.png')
    assert caught.value.code == -3 and isinstance(caught.value, OSError)
    cut = tmp_path / 'cut.png'
    with open(ROBOT, 'rb') as file:
        cut.write_bytes(file.read(500))
    with pytest.raises(vkclip.FormatError, match='truncated'):
        model.encode_files([ROBOT, cut])
    with pytest.warns(RuntimeWarning, match='truncated'):
        found = model.encode_files([ROBOT, cut, ROBOT], on_error='nan')
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], [model.encode_image(ROBOT)] * 2, atol=1e-5)
    # A warning that is made an exception cancels the call.
    with pytest.raises(RuntimeWarning), warnings.catch_warnings():
        warnings.simplefilter('error')
        model.encode_files([cut], on_error='nan')
