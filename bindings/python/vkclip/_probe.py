# SPDX-License-Identifier: MIT
"""Linear probes: classifiers of embeddings."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Optional

import numpy as np
import numpy.typing as npt

from . import _lib
from ._handle import Call, Progress
from ._library import check, lib
from ._struct import FloatArray, floats, new, numbers


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A classifier of embeddings: multinomial logistic regression over K classes.

    weights    [K, D]
    biases     [K]
    converged  False: `max_iterations` was too small
    """

    weights: FloatArray
    biases: FloatArray
    iterations: int
    converged: bool
    objective: float

    def predict(self, features: npt.ArrayLike) -> FloatArray:
        """Returns the probabilities of the classes, float32 [N, K], for features [N, D], or [K] for one row."""
        classes, width = self.weights.shape
        rows, single = numbers(features, np.float32, 'the features', (None, width))
        probs = np.empty((len(rows), classes), np.float32)
        check(lib.vkclip_apply_probe(floats(rows), len(rows), width, floats(self.weights), floats(self.biases),
                                     classes, floats(probs)))
        result: FloatArray = probs[0] if single else probs
        return result


def fit_probe(features: npt.ArrayLike, labels: npt.ArrayLike, *, classes: Optional[int] = None, c: float = 0,
              max_iterations: int = 0, tolerance: float = 0, progress: Optional[Progress] = None) -> Probe:
    """Fits a linear probe to features [N, D], embeddings that are best not normalised, with labels [N], which are
    numbers below `classes`.

    It minimises c * (sum of the rows' cross-entropies) + 1/2 * (sum of the squared weights), as scikit-learn's
    LogisticRegression does. Zeros stand for the defaults: c 1, 1000 iterations, a tolerance of 1e-5.
    """
    rows, _ = numbers(features, np.float32, 'the features', (None, None))
    names, _ = numbers(labels, np.int32, 'the labels', (len(rows),))
    if len(rows) == 0 or names.min() < 0:
        raise ValueError('labels must be numbers from 0 on, at least one')
    count = int(names.max()) + 1 if classes is None else classes
    weights, biases = np.empty((count, rows.shape[1]), np.float32), np.empty(count, np.float32)
    result = new(_lib.vkclip_probe_result)
    with Call(progress=progress) as call:
        params = new(_lib.vkclip_probe_params, c=c, max_iterations=max_iterations, tolerance=tolerance,
                     progress=call.progress)
        check(lib.vkclip_fit_probe(floats(rows), names.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32)), len(rows),
                                   rows.shape[1], count, ctypes.byref(params), floats(weights), floats(biases),
                                   ctypes.byref(result)))
    return Probe(weights, biases, result.iterations, result.converged, result.objective)
