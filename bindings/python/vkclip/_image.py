# SPDX-License-Identifier: MIT
"""Pictures in the forms that Python has, as the library takes them, and files of pictures."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import sys
from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _lib
from ._handle import Call, Closable, Handle, Progress
from ._library import check, lib
from ._struct import describe, encode_path, new, type_name

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = Union['Image', npt.NDArray[Any], str, 'os.PathLike[str]', bytes, bytearray, memoryview]
"""A picture: of Pillow; uint8 [height, width] or [height, width, channels] with 1 to 4 channels (grey, grey and
alpha, RGB, RGBA); the path of a file; or the content of a file."""
Images = Union[Picture, Iterable[Picture]]
Pixels = npt.NDArray[np.uint8]


def is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _is_content(value: Any) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview))


def _is_pillow(value: Any) -> bool:
    # A program that has no picture of Pillow may not have Pillow either.
    pillow = sys.modules.get('PIL.Image')
    return pillow is not None and isinstance(value, pillow.Image)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, '__array__') and not _is_pillow(value))


def _refuse(value: Any) -> TypeError:
    return TypeError(f'a picture cannot be {type_name(value)}: expected a PIL.Image, an array of uint8 '
                     '[height, width, channels], a path, bytes, or a sequence of these')


def split(images: Images) -> Tuple[List[Any], bool]:
    """Returns a list of pictures, and whether the caller gave one picture instead of several."""
    if _is_array(images):
        array = np.asarray(images)
        if array.dtype.kind in 'OUS':
            return array.ravel().tolist(), False
        return (list(array), False) if array.ndim == 4 else ([array], True)
    if is_path(images) or _is_pillow(images) or _is_content(images):
        return [images], True
    try:
        return list(images), False  # type: ignore[arg-type]
    except TypeError:
        raise _refuse(images) from None


class Pictures:
    """An array of `struct vkclip_image`, which is valid within a `with` statement."""

    def __init__(self, images: List[Any]) -> None:
        self._images = images
        self._kept: List[Any] = []
        self._loaded: List[Any] = []
        self.array = (_lib.vkclip_image * max(len(images), 1))()

    def __enter__(self) -> Any:
        try:
            for place, image in zip(self.array, self._images):
                self._fill(place, image)
        except BaseException:
            self.__exit__()
            raise
        return self.array

    def __exit__(self, *_: object) -> None:
        for image in self._loaded:
            lib.vkclip_free_image(ctypes.byref(image))
        self._loaded.clear()
        self._kept.clear()

    def _fill(self, place: Any, image: Any) -> None:
        if _is_array(image):
            self._fill_array(place, np.asarray(image))
        elif _is_pillow(image):
            self._fill_pillow(place, image)
        elif is_path(image) or _is_content(image):
            _decode(image, None, place)
            self._loaded.append(place)
        else:
            split(image)
            raise TypeError('a sequence of pictures cannot have another sequence in it')

    def _fill_array(self, place: Any, image: npt.NDArray[Any]) -> None:
        if image.dtype != np.uint8:
            advice = {'u': ': (pixels >> 8).astype(numpy.uint8) if they have 16 bits',
                      'f': ': (pixels * 255).round().astype(numpy.uint8) if they are 0 to 1'}
            raise TypeError(f'the pixels of a picture are {image.dtype}, expected uint8'
                            + advice.get(image.dtype.kind, ''))
        if image.ndim == 2:
            image = image[:, :, None]
        if image.ndim != 3 or not 1 <= image.shape[2] <= 4 or 0 in image.shape:
            first = image.ndim == 3 and image.shape[0] in (1, 3, 4) and min(image.shape[1:]) > 4
            raise ValueError(f'a picture has the shape {list(image.shape)}, expected [height, width] or [height, '
                             'width, channels] with 1 to 4 channels'
                             + (': transpose(1, 2, 0) moves the channels last' if first else ''))
        height, width, channels = image.shape
        # The library knows steps from row to row, and no others.
        dense = image.strides[1] == channels and (image.strides[2] == 1 or channels == 1)
        if not dense or image.strides[0] < width * channels:
            image = np.ascontiguousarray(image)
        self._kept.append(image)
        place.pixels = image.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        place.width, place.height, place.channels = width, height, channels
        place.stride = image.strides[0] if height > 1 else 0

    def _fill_pillow(self, place: Any, image: Any) -> None:
        # The reference resizes palettes and single bits by nearest neighbour, and then converts them to RGB.
        indexed, cmyk = image.mode in ('1', 'P'), image.mode == 'CMYK'
        if image.mode == '1':
            image = image.convert('L')
        elif image.mode == 'PA':
            image = image.convert('RGBA')
        elif image.mode.startswith('I;16') or (image.mode == 'I' and image.format == 'PNG'):
            # Pillow would clip values at 255; the library takes the high bytes of files with 16 bits.
            image = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        elif image.mode in ('I', 'F'):
            raise ValueError(f'a picture of the mode {image.mode!r} has no known range of values: convert it to '
                             '8 bits first')
        elif image.mode not in ('L', 'LA', 'RGB', 'RGBA', 'CMYK'):
            image = image.convert('RGB')
        self._fill_array(place, np.asarray(image))
        place.indexed, place.cmyk = indexed, cmyk


def _decode(image: Any, params: Any, place: Any) -> None:
    """Loads a file by its path or its content."""
    options = None if params is None else ctypes.byref(params)
    if is_path(image):
        check(lib.vkclip_load_image(encode_path(image), options, ctypes.byref(place)))
    else:
        data = np.frombuffer(image, np.uint8)
        check(lib.vkclip_decode_image(data.ctypes.data, data.size, None, options, ctypes.byref(place)))


def take_pixels(place: Any) -> Pixels:
    """Copies the pixels of a picture that the library has loaded to an array, and frees it."""
    try:
        row = place.stride or place.width * place.channels
        rows = np.ctypeslib.as_array(place.pixels, (place.height, row))[:, :place.width * place.channels]
        pixels: Pixels = rows.reshape(place.height, place.width, place.channels).copy()
        return pixels
    finally:
        lib.vkclip_free_image(ctypes.byref(place))


def _params(orient: bool, max_pixels: int, least_side: int) -> Any:
    return new(_lib.vkclip_image_params, orient=orient, max_pixels=max_pixels, least_side=least_side)


def load_image(image: Union[str, 'os.PathLike[str]', bytes, bytearray, memoryview], *, orient: bool = False,
               max_pixels: int = 0, least_side: int = 0) -> Pixels:
    """Decodes a picture file, by its path or its content, to uint8 [height, width, channels]: grey, grey and alpha,
    RGB, RGBA or CMYK.

    `orient` turns it as its EXIF data say. A picture of more than `max_pixels` is refused; 0: 89,478,485. A JPEG is
    decoded at a part of its size, while both sides stay at least `least_side` long. A model resizes pictures with
    palettes in another way when it is given the file instead of these pixels, as the reference does.
    """
    if not is_path(image) and not _is_content(image):
        raise TypeError(f'a picture file cannot be {type_name(image)}: expected a path or bytes')
    place = _lib.vkclip_image()
    _decode(image, _params(orient, max_pixels, least_side), place)
    return take_pixels(place)


@dataclasses.dataclass(frozen=True)
class ImageFormat:
    """A format of picture files.

    library   which library decodes it, 'vkclip' for its own code
    readable  False: this build lacks the library, and such files are refused
    """

    name: str
    extensions: Tuple[str, ...]
    library: str
    readable: bool


def _describe_format(place: Any) -> ImageFormat:
    entry = place.contents
    return describe(ImageFormat, entry, extensions=tuple(entry.extensions.decode().split()),
                    library=(entry.library or b'vkclip').decode())


def image_formats() -> List[ImageFormat]:
    """Returns all formats of picture files."""
    found: List[ImageFormat] = []
    while True:
        place = lib.vkclip_get_image_format(len(found))
        if not place:
            return found
        found.append(_describe_format(place))


def find_image_format(path: Union[str, 'os.PathLike[str]']) -> Optional[ImageFormat]:
    """Returns the format that the extension of a file's name stands for. The file is not opened."""
    place = lib.vkclip_find_image_format(encode_path(path))
    return _describe_format(place) if place else None


class Archive(Closable):
    """The pictures in a tar file that is not compressed, such as a shard of WebDataset.

    `names` are the paths in it, and `len(archive)` is their number. With a model, `model.encode_source(archive.load,
    len(archive))` has few pictures in memory at once. `progress` counts the bytes that are read to list them.
    """

    def __init__(self, path: Union[str, 'os.PathLike[str]'], *, progress: Optional[Progress] = None) -> None:
        pointer = ctypes.POINTER(_lib.vkclip_archive)()
        with Call(progress=progress) as call:
            params = new(_lib.vkclip_archive_params, progress=call.progress)
            check(lib.vkclip_open_tar(encode_path(path), ctypes.byref(params), ctypes.byref(pointer)))
        self._own(Handle('archive', pointer, lib.vkclip_close_archive))
        self.names: List[str] = []
        while True:
            name = lib.vkclip_get_archived_name(pointer, len(self.names))
            if name is None:
                break
            self.names.append(os.fsdecode(name))

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int, *, orient: bool = False, max_pixels: int = 0, least_side: int = 0) -> Pixels:
        """Decodes a picture as `load_image` does."""
        if not 0 <= index < len(self.names):
            raise IndexError(f'the archive has {len(self.names)} pictures, and none with the number {index}')
        place = _lib.vkclip_image()
        params = _params(orient, max_pixels, least_side)
        with Call(self._handle):
            check(lib.vkclip_load_archived(self._handle.pointer, index, ctypes.byref(params), ctypes.byref(place)))
        return take_pixels(place)
