# SPDX-License-Identifier: MIT
"""Models and vocabularies as files: converted, compared, new ones, and those of the hub."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Any, Iterable, List, Mapping, Optional, Union

from . import _lib
from ._device import Device, open_device
from ._handle import Call, Progress
from ._library import check, lib
from ._struct import Path, describe, encode_path, encode_paths, new, strings

Options = Mapping[str, Any]
"""Keyword arguments of Model that say how it is opened, such as {'precision': 'f16'}."""


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What `convert` has written.

    path          the file with the weights
    bytes_before  the size of all tensors of the checkpoint
    bytes_after   the size of the file
    """

    path: str
    bytes_before: int
    bytes_after: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The cosines of the embeddings of two models.

    images  how many pictures were compared; 0 if one of the models has no image tower
    """

    images: int
    texts: int
    image_min: float
    image_mean: float
    text_min: float
    text_mean: float


@dataclasses.dataclass(frozen=True)
class TokenizerResult:
    """What `train_tokenizer` has learned.

    vocabulary  tokens; fewer than requested if the texts have no more pairs
    """

    vocabulary: int
    texts: int
    words: int
    skipped_words: int


def _model_params(options: Optional[Options]) -> Any:
    allowed = {field[0] for field in _lib.vkclip_model_params._fields_} - {'size', 'progress', 'user'}
    for name in options or {}:
        if name not in allowed:
            raise TypeError(f'{name!r} is no option of a model: expected one of {", ".join(sorted(allowed))}')
    return new(_lib.vkclip_model_params, **(options or {}))


def convert(model: Path, output: Path, type: str = 'f16', *, options: Optional[Options] = None,
            progress: Optional[Progress] = None) -> Conversion:
    """Writes a checkpoint with its vocabulary as another kind of file.

    `output` is NAME.gguf, NAME.safetensors with its configuration beside it, or a folder. `type` is that of the
    matrices: 'f16', 'f32', 'bf16' (safetensors only), 'q8' or 'q4' (GGUF only). `progress` counts bytes.
    """
    conversion = new(_lib.vkclip_conversion)
    source = _model_params(options)
    with Call(progress=progress) as call:
        params = new(_lib.vkclip_convert_params, type=type, progress=call.progress)
        check(lib.vkclip_convert_model(encode_path(model), ctypes.byref(source), encode_path(output),
                                       ctypes.byref(params), ctypes.byref(conversion)))
    return describe(Conversion, conversion)


def compare(model: Path, other: Path, *, device: Union[Device, str, int, None] = None,
            options: Optional[Options] = None, other_options: Optional[Options] = None,
            progress: Optional[Progress] = None) -> Comparison:
    """Encodes fixed pictures and texts by two checkpoints, one after the other, and compares the embeddings."""
    comparison = new(_lib.vkclip_comparison)
    first, second = _model_params(options), _model_params(other_options)
    opened, owned = open_device(device)
    try:
        with Call(opened._handle, progress=progress) as call:
            check(lib.vkclip_compare_models(opened._handle.pointer, encode_path(model), ctypes.byref(first),
                                            encode_path(other), ctypes.byref(second), call.progress, None,
                                            ctypes.byref(comparison)))
    finally:
        if owned:
            opened.close()
    return describe(Comparison, comparison)


def _list_names(function: Any) -> List[str]:
    names: List[str] = []
    while True:
        name = function(len(names))
        if name is None:
            return names
        names.append(name.decode())


def architectures() -> List[str]:
    """Returns the names of the architectures that `init_model` knows, as OpenCLIP writes them: 'ViT-B-32', 'RN50'."""
    return _list_names(lib.vkclip_arch_name)


def diffusion_families() -> List[str]:
    """Returns the names of the families of diffusion models that Conditioner knows: 'sd1', 'sdxl' and so on."""
    return _list_names(lib.vkclip_diffusion_family)


def init_model(arch: Path, path: Path, *, seed: int = 0, progress: Optional[Progress] = None) -> None:
    """Writes a checkpoint with random weights, as training starts from, to a new or empty folder.

    `arch` is one of `architectures` or a configuration file. The same seed gives the same bytes everywhere.
    """
    with Call(progress=progress) as call:
        check(lib.vkclip_init_model(encode_path(arch), seed, encode_path(path), call.progress, None))


def train_tokenizer(paths: Union[Path, Iterable[Path]], folder: Path, *, vocabulary: int = 0, min_frequency: int = 0,
                    context: int = 0, column: Optional[str] = None, progress: Optional[Progress] = None
                    ) -> TokenizerResult:
    """Learns a byte-pair vocabulary of CLIP's form from files of texts, and writes it to a new or empty folder.

    A .csv or .tsv file has the texts in a column ('title'); any other file has one text per line. `vocabulary` is the
    number of tokens (0: 49408), `min_frequency` how often a pair must occur (0: 2), and `context` the number of ids of
    a text (0: 77).
    """
    files = encode_paths(paths)
    result = new(_lib.vkclip_tokenizer_result)
    with Call(progress=progress) as call:
        params = new(_lib.vkclip_tokenizer_params, vocabulary=vocabulary, min_frequency=min_frequency, context=context,
                     column=column, progress=call.progress)
        check(lib.vkclip_train_tokenizer(strings(files), len(files), ctypes.byref(params), encode_path(folder),
                                         ctypes.byref(result)))
    return describe(TokenizerResult, result)
