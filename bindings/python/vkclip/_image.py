# SPDX-License-Identifier: MIT
"""Pictures in the forms that Python has, as the library takes them."""

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Any, Iterable, List, Tuple, Union

import numpy as np

from . import _lib
from ._library import check, lib

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = Union['Image', np.ndarray, str, 'os.PathLike[str]', bytes, bytearray, memoryview]
"""A picture: of Pillow; uint8 [height, width] or [height, width, channels] with 1 to 4 channels (grey, grey and
alpha, RGB, RGBA); the path of a file; or the content of a file."""


def encode_path(path: Any) -> bytes:
    name = os.fsencode(path)
    if b'\0' in name:
        raise ValueError(f'a path cannot have a NUL: {path!r}')
    return name


def is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _is_pillow(value):
    # A program that has no picture of Pillow may not have Pillow either.
    pillow = sys.modules.get('PIL.Image')
    return pillow is not None and isinstance(value, pillow.Image)


def split(images: Union[Picture, Iterable[Picture]]) -> Tuple[List[Any], bool]:
    """Returns a list of pictures, and whether the caller gave one picture instead of several."""
    if isinstance(images, np.ndarray):
        if images.ndim == 4:
            return list(images), False
        return [images], True
    if is_path(images) or _is_pillow(images) or isinstance(images, (bytes, bytearray, memoryview)):
        return [images], True
    try:
        return list(images), False
    except TypeError:
        raise TypeError(f'a picture cannot be a {type(images).__name__}: expected a PIL.Image, an array of uint8 '
                        '[height, width, channels], a path, bytes, or a sequence of these') from None


class Pictures:
    """An array of `struct vkclip_image`, which is valid within a `with` statement."""

    def __init__(self, images):
        self._images = images
        self._kept = []
        self._loaded = []
        self.array = (_lib.vkclip_image * max(len(images), 1))()

    def __enter__(self):
        try:
            for place, image in zip(self.array, self._images):
                self._fill(place, image)
        except BaseException:
            self.__exit__()
            raise
        return self.array

    def __exit__(self, *_):
        for image in self._loaded:
            lib.vkclip_free_image(ctypes.byref(image))
        self._loaded.clear()
        self._kept.clear()

    def _fill(self, place, image):
        if isinstance(image, np.ndarray):
            self._fill_array(place, image)
        elif _is_pillow(image):
            self._fill_pillow(place, image)
        elif is_path(image):
            check(lib.vkclip_load_image(encode_path(image), None, ctypes.byref(place)))
            self._loaded.append(place)
        elif isinstance(image, (bytes, bytearray, memoryview)):
            data = np.frombuffer(image, np.uint8)
            check(lib.vkclip_decode_image(data.ctypes.data, data.size, None, None, ctypes.byref(place)))
            self._loaded.append(place)
        else:
            split(image)
            raise TypeError('a sequence of pictures cannot have another sequence in it')

    def _fill_array(self, place, image):
        if image.dtype != np.uint8:
            raise TypeError(f'the pixels of a picture are {image.dtype}, expected uint8')
        if image.ndim == 2:
            image = image[:, :, None]
        if image.ndim != 3 or not 1 <= image.shape[2] <= 4 or 0 in image.shape:
            raise ValueError(f'a picture has the shape {list(image.shape)}, expected [height, width] or [height, '
                             'width, channels] with 1 to 4 channels')
        height, width, channels = image.shape
        # The library knows steps from row to row, and no others.
        dense = image.strides[1] == channels and (image.strides[2] == 1 or channels == 1)
        if not dense or image.strides[0] < width * channels:
            image = np.ascontiguousarray(image)
        self._kept.append(image)
        place.pixels = image.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        place.width, place.height, place.channels = width, height, channels
        place.stride = image.strides[0] if height > 1 else 0

    def _fill_pillow(self, place, image):
        # The reference resizes palettes and single bits by nearest neighbour, and then converts them to RGB.
        indexed, cmyk = image.mode in ('1', 'P'), image.mode == 'CMYK'
        if image.mode == '1':
            image = image.convert('L')
        elif image.mode == 'PA':
            image = image.convert('RGBA')
        elif image.mode not in ('L', 'LA', 'RGB', 'RGBA', 'CMYK'):
            image = image.convert('RGB')
        self._fill_array(place, np.asarray(image))
        place.indexed, place.cmyk = indexed, cmyk
