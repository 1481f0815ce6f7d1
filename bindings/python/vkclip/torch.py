# SPDX-License-Identifier: MIT
"""What programs for CLIP use of PyTorch beside tensors, for machines without PyTorch: `from vkclip import torch`.

Contexts such as no_grad do nothing, and no device is reported, because vkclip chooses its own.
"""

from __future__ import annotations

import contextlib
from typing import Any, Optional, Sequence

import numpy as np
import numpy.typing as npt

from ._array import Array as Tensor, as_array

float16, float32, float64, int32, int64 = np.float16, np.float32, np.float64, np.int32, np.int64
bfloat16 = np.float32  # NumPy has no such type.
device = str


class no_grad(contextlib.ContextDecorator):
    """Does nothing: there are no gradients."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: Any) -> None:
        return None


class inference_mode(no_grad):
    """Does nothing."""


class autocast(no_grad):
    """Does nothing: the model's precision is chosen when it is opened."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


class cuda:
    """There is no CUDA."""

    class amp:
        autocast = autocast

    @staticmethod
    def is_available() -> bool:
        return False


def set_num_threads(threads: int) -> None:
    """Does nothing: a device of vkclip has a parameter for this."""


def argmax(values: Any, dim: Optional[int] = None, keepdim: bool = False) -> Tensor:
    return as_array(values).argmax(dim, keepdim)


def cat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    return as_array(np.concatenate(tensors, dim))


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    return as_array(np.stack(tensors, dim))


def tensor(values: Any, dtype: Any = None) -> Tensor:
    return as_array(np.array(values, dtype))


def from_numpy(array: npt.NDArray[Any]) -> Tensor:
    return as_array(array)
