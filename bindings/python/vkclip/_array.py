# SPDX-License-Identifier: MIT
"""Arrays with the methods of PyTorch's tensors that programs for CLIP use."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    _Base = npt.NDArray[Any]
else:
    _Base = np.ndarray

_Values = collections.namedtuple('_Values', ['values', 'indices'])


class Array(_Base):
    """An array of NumPy with methods of tensors: they take `dim` and `keepdim`, where NumPy has `axis` and `keepdims`.

    There is one kind of memory: `to`, `cpu` and `cuda` return the array itself, unless `to` gets a type of numbers.
    """

    def to(self, *targets: Any, **_: Any) -> 'Array':
        for target in targets:
            if isinstance(target, (type, np.dtype)):
                return as_array(self.astype(target))
        return self

    def cpu(self) -> 'Array':
        return self

    def cuda(self, *_: Any, **__: Any) -> 'Array':
        return self

    def detach(self) -> 'Array':
        return self

    def contiguous(self) -> 'Array':
        return as_array(np.ascontiguousarray(self))

    def clone(self) -> 'Array':
        return as_array(self.copy())

    def numpy(self) -> npt.NDArray[Any]:
        return self.view(np.ndarray)

    def float(self) -> 'Array':
        return as_array(self.astype(np.float32))

    def half(self) -> 'Array':
        return as_array(self.astype(np.float16))

    def long(self) -> 'Array':
        return as_array(self.astype(np.int64))

    def dim(self) -> int:
        return self.ndim

    def t(self) -> 'Array':
        return as_array(self.T)

    def unsqueeze(self, dim: int) -> 'Array':
        return as_array(np.expand_dims(self, dim))

    def squeeze(self, dim: Optional[int] = None, *, axis: Any = None) -> 'Array':  # type: ignore[override]
        if dim is None:
            return as_array(super().squeeze(axis))
        # A tensor keeps a dimension that is longer than one.
        return as_array(super().squeeze(dim)) if self.shape[dim] == 1 else self

    def norm(self, p: Any = 2, dim: Any = None, keepdim: bool = False) -> 'Array':
        plain = self.view(np.ndarray)
        return as_array(np.linalg.norm(plain.ravel() if dim is None else plain, p, dim, keepdim))

    def exp(self) -> 'Array':
        return as_array(np.exp(self.view(np.ndarray)))

    def sigmoid(self) -> 'Array':
        return as_array(1 / (1 + np.exp(-self.view(np.ndarray))))

    def softmax(self, dim: int) -> 'Array':
        plain = self.view(np.ndarray)
        powers = np.exp(plain - plain.max(dim, keepdims=True))
        return as_array(powers / powers.sum(dim, keepdims=True))

    def argmax(self, dim: Any = None, keepdim: bool = False, *, axis: Any = None,  # type: ignore[override]
               out: Any = None, **others: Any) -> 'Array':
        return as_array(super().argmax(dim if axis is None else axis, out, keepdims=keepdim, **others))

    def mean(self, dim: Any = None, keepdim: bool = False, *, axis: Any = None,  # type: ignore[override]
             keepdims: bool = False, **others: Any) -> 'Array':
        return as_array(super().mean(dim if axis is None else axis, keepdims=keepdim or keepdims, **others))

    def topk(self, k: int, dim: int = -1, largest: bool = True) -> _Values:
        """Returns the k largest values and their indices in decreasing order, or the smallest in increasing order. Of
        equal values the first comes first."""
        plain = self.view(np.ndarray)
        if not 0 <= k <= plain.shape[dim]:
            raise ValueError(f'k is {k}, expected at most {plain.shape[dim]}')
        indices = np.take(np.argsort(-plain if largest else plain, axis=dim, kind='stable'), range(k), dim)
        return _Values(as_array(np.take_along_axis(plain, indices, dim)), as_array(indices))


def as_array(values: Any) -> Array:
    return np.asarray(values).view(Array)
