# SPDX-License-Identifier: MIT
"""Values of Python as structs of the library, and its structs as values of Python."""

from __future__ import annotations

import ctypes
import dataclasses
import math
import operator
import os
from typing import Any, Iterable, List, Sequence, Tuple, Type, TypeVar, Union

import numpy as np
import numpy.typing as npt

from . import _lib

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
Path = Union[str, 'os.PathLike[str]']
T = TypeVar('T')

_INTEGERS = (ctypes.c_int, ctypes.c_int32, ctypes.c_uint32, ctypes.c_int64, ctypes.c_uint64, ctypes.c_size_t)


def type_name(value: Any) -> str:
    """Names the type of a value in a message."""
    return 'None' if value is None else type(value).__name__


def _encode_string(value: Any) -> bytes:
    """Returns a path, a name or an option as the library takes it."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f'{value!r} is {type_name(value)}, expected str or a path')
    encoded = os.fsencode(value)
    if b'\0' in encoded:
        raise ValueError(f'a path or a name cannot have a NUL: {value!r}')
    return encoded


def encode_path(path: Any) -> bytes:
    """Returns a path as the library takes it."""
    encoded = _encode_string(path)
    if not encoded:
        raise ValueError('a path is empty')
    return encoded


def encode_paths(paths: Union[Path, Iterable[Path]]) -> List[bytes]:
    """Does the same for one path or several."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        return [encode_path(paths)]
    if not hasattr(paths, '__iter__'):
        raise TypeError(f'paths cannot be {type_name(paths)}: expected a path or several')
    return [encode_path(path) for path in paths]


def encode_texts(texts: Iterable[str]) -> List[bytes]:
    """Returns texts as the library takes them. It reads what is no UTF-8, such as half of a surrogate pair, as
    U+FFFD."""
    if isinstance(texts, bytes) or not hasattr(texts, '__iter__'):
        raise TypeError(f'texts cannot be {type_name(texts)}: expected str, or several of them')
    items = list(texts)
    for text in items:
        if not isinstance(text, str):
            raise TypeError(f'a text cannot be {type_name(text)}: expected str')
    return [text.encode('utf-8', 'surrogatepass') for text in items]


def encode_strings(texts: Iterable[str]) -> List[bytes]:
    """Returns texts that end with NUL."""
    encoded = encode_texts(texts)
    for text in encoded:
        if b'\0' in text:
            raise ValueError(f'a label, a template or a prompt cannot have a NUL: {text!r}')
    return encoded


def strings(encoded: Sequence[bytes]) -> Any:
    """Returns an array of strings, which has at least one place, so that it is never NULL."""
    return (ctypes.c_char_p * max(len(encoded), 1))(*encoded)


def convert(kind: Any, name: str, value: Any) -> Any:
    """Returns a value as a member of a struct, or an argument of this type, takes it."""
    if issubclass(kind, _lib.Enum):
        numbers = {text: number for number, text in kind.names.items()}
        if not isinstance(value, str) or value.replace('_', '-') not in numbers:
            raise ValueError(f'{name} is {value!r}, expected one of {", ".join(map(repr, numbers))}')
        return numbers[value.replace('_', '-')]
    if kind is ctypes.c_char_p:
        return _encode_string(value)
    if kind in _INTEGERS:
        try:
            number = operator.index(value)
        except TypeError:
            raise TypeError(f'{name} is {value!r}, expected an integer') from None
        if kind(number).value != number:
            raise ValueError(f'{name} is {value}, which is out of its range')
        return number
    if kind in (ctypes.c_float, ctypes.c_double):
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(f'{name} is {value!r}, expected a number') from None
    if issubclass(kind, ctypes.Array) and not isinstance(value, ctypes.Array):
        if len(value) != kind._length_:
            raise ValueError(f'{name} has {len(value)} numbers, expected {kind._length_}')
        return kind(*value)
    if dataclasses.is_dataclass(value):
        return new(kind, **{field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    return value


def new(kind: Any, /, **members: Any) -> Any:
    """Makes a struct, which tells its size if it begins with that.

    Names of enumerators, strings, paths and dataclasses become what C has. A member that is None keeps the zero that
    stands for its default. What the struct points to lives as long as it.
    """
    struct = kind()
    kinds = dict(kind._fields_)
    if kind._fields_[0][0] == 'size':
        struct.size = ctypes.sizeof(kind)
    for name, value in members.items():
        if value is not None:
            setattr(struct, name, convert(kinds[name], name, value))
    return struct


def value_of(value: Any) -> Any:
    """Returns a member of a struct as Python has it."""
    if isinstance(value, bytes):
        return os.fsdecode(value)
    if isinstance(value, _lib.Enum):
        return value.names.get(value.value, str(value.value))
    if isinstance(value, ctypes.Array):
        return tuple(value)
    return value


def describe(kind: Type[T], struct: Any, **given: Any) -> T:
    """Makes a dataclass of a struct's members with the same names, except for those that are given."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: given[name] if name in given else value_of(getattr(struct, name)) for name in names})


def optional(number: float) -> Any:
    """Returns None for what is not known."""
    return None if math.isnan(number) else number


def floats(array: npt.NDArray[Any]) -> Any:
    """Returns the pointer to an array of float32."""
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def integers(array: npt.NDArray[Any]) -> Any:
    """Returns the pointer to an array of int32."""
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))


def numbers(values: Any, kind: Any, name: str, shape: Tuple[Any, ...]) -> Tuple[npt.NDArray[Any], bool]:
    """Returns an array of this kind and shape, in which None stands for any number. One item without the first axis
    counts as several; the second result tells whether it was so."""
    array = np.asarray(values)
    if array.dtype.kind not in 'fiub':
        raise TypeError(f'{name} have the type {array.dtype}, expected numbers')
    single = array.ndim == len(shape) - 1
    if single:
        array = array[None]
    if array.ndim != len(shape) or any(b is not None and a != b for a, b in zip(array.shape, shape)):
        expected = ', '.join('?' if size is None else str(size) for size in shape)
        raise ValueError(f'{name} have the shape {list(np.shape(values))}, expected [{expected}]')
    if np.issubdtype(kind, np.integer) and array.dtype.kind == 'f':
        raise TypeError(f'{name} have the type {array.dtype}, expected integers')
    result = np.ascontiguousarray(array.astype(kind, copy=False))
    if np.issubdtype(kind, np.integer) and result.dtype != array.dtype and (result != array).any():
        raise ValueError(f'{name} have numbers of more than 32 bits')
    return result, single
