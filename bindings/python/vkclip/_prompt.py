# SPDX-License-Identifier: MIT
"""Prompts, as programs for diffusion models read them."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Any, Mapping, Optional

import numpy as np
import numpy.typing as npt

from . import _lib
from ._library import lib
from ._struct import IntArray, describe, new


@dataclasses.dataclass(frozen=True, eq=False)
class Prompt:
    """The input of a text encoder, which has a number of chunks of the same length.

    ids         token ids [chunks, length], 0 where a vector takes the place
    embeddings  [chunks, length]: the number of the textual inversion whose vector takes the place, or -1
    vectors     [chunks, length]: which of its vectors
    special     [chunks, length]: the place is start of text, end of text or fill
    weights     [chunks, length]: what the encoder's rows are multiplied by, or as `weighting` says
    used        the places that the text takes, without the special ones; more than `available` if some of it is left
                out
    rest        the text that was left out
    weighting   what the weights do to the encoder's rows: 'none', 'multiply', 'renormalise' or 'interpolate'
    """

    ids: IntArray
    embeddings: IntArray
    vectors: IntArray
    special: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float64]
    used: int
    available: int
    rest: Optional[str]
    weighting: str


def prompt_params(syntax: str, length: int, strict: bool, embeddings: Optional[Mapping[str, int]] = None) -> Any:
    known = [new(_lib.vkclip_embedding, name=name, vectors=count) for name, count in (embeddings or {}).items()]
    return new(_lib.vkclip_prompt_params, syntax=syntax, length=length, strict=strict,
               embeddings=(_lib.vkclip_embedding * max(len(known), 1))(*known), embedding_count=len(known))


def take_prompt(place: Any) -> Prompt:
    """Copies a prompt that the library has made, and frees it."""
    def column(name: str, kind: Any) -> Any:
        return np.array([getattr(entry, name) for entry in places], kind).reshape(shape)

    try:
        shape = (place.chunks, place.length)
        places = place.places[:place.chunks * place.length]
        return describe(Prompt, place, ids=column('id', np.int32), embeddings=column('embedding', np.int32),
                        vectors=column('vector', np.int32), special=column('special', np.bool_),
                        weights=column('weight', np.float64),
                        rest=ctypes.string_at(place.rest).decode('utf-8', 'replace') if place.rest else None)
    finally:
        lib.vkclip_free_prompt(ctypes.byref(place))
