# SPDX-License-Identifier: MIT
"""Conditioning of diffusion models."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _lib
from ._device import Device, OnDevice, open_device
from ._handle import Call, Handle, Progress
from ._library import check, lib
from ._model_info import ModelInfo, describe_model
from ._prompt import Prompt, prompt_params, take_prompt
from ._struct import Path, describe, encode_paths, encode_strings, new, strings, value_of

Prompts = Union[str, Sequence[str]]

_TYPES = {_lib.VKCLIP_TENSOR_F32: np.float32, _lib.VKCLIP_TENSOR_F16: np.float16, _lib.VKCLIP_TENSOR_I32: np.int32}


@dataclasses.dataclass(frozen=True)
class EncoderInfo:
    """One text encoder of a conditioner.

    name        'clip_l', 'clip_h', 'clip_g', 't5xxl' or 'umt5xxl'
    absent      it was not found, and zeros stand in for it
    variable    `max_sequence_length` changes its length
    length      token positions of a text by default
    identity    the hash of the weights, '' without `identify`
    embeddings  the textual inversions that have vectors for this encoder, and the numbers of these
    """

    name: str
    absent: bool
    variable: bool
    length: int
    width: int
    identity: str
    embeddings: Mapping[str, int]
    model: Optional[ModelInfo]


@dataclasses.dataclass(frozen=True)
class ConditionerInfo:
    """Describes a conditioner.

    zero_negative  without negative prompts the result is zeros
    no_negative    the family takes no negative prompts
    """

    family: str
    encoders: Tuple[EncoderInfo, ...]
    zero_negative: bool
    no_negative: bool


@dataclasses.dataclass(frozen=True)
class PromptUsage:
    """How much of an encoder's places a prompt takes.

    prompt  its index
    used    tokens without start and end of text; more than `available` if it was cut
    rest    the text that was left out
    """

    encoder: str
    negative: bool
    prompt: int
    used: int
    available: int
    rest: Optional[str]


@dataclasses.dataclass(frozen=True, eq=False)
class Conditioning:
    """What a diffusion model is conditioned with.

    tensors  arrays [N, ...] by the names that the pipeline's arguments have: 'prompt_embeds' and so on
    """

    tensors: Dict[str, npt.NDArray[Any]]
    usage: Tuple[PromptUsage, ...]


def _describe_encoder(place: Any) -> EncoderInfo:
    entry = place.contents
    embeddings = {value_of(known.name): known.vectors for known in entry.embeddings[:entry.embedding_count]}
    return describe(EncoderInfo, entry, embeddings=embeddings,
                    model=describe_model(entry.model) if entry.model else None)


def _take_tensor(tensor: Any) -> npt.NDArray[Any]:
    data = np.frombuffer(ctypes.string_at(tensor.data, tensor.size), _TYPES[tensor.type.value])
    return data.reshape(tensor.shape[:tensor.rank]).copy()


class Conditioner(OnDevice):
    """The text encoders of a diffusion model.

    paths       the folder of a pipeline of diffusers, a whole model in one file, one encoder, or a name of these in
                the hub's cache; or several of them, of which a later encoder takes the place of an earlier one
    device      as Model takes it
    family      one of `diffusion_families`; None: what the files are
    vocabs      files of vocabularies for encoders that have none beside them
    precision   'f32' or 'f16'; `weights`, `compute`, `max_batch`, `stream` and `hub_dir` are Model's
    embeddings  files of textual inversions, or folders of them, whose names stand in prompts for their vectors
    loras       files of changes of the weights, with the factors by which they are multiplied
    identify    hash the weights, for EncoderInfo

    In the shapes, N is a number of prompts.
    """

    def __init__(self, paths: Union[Path, Iterable[Path]], *, device: Union[Device, str, int, None] = None,
                 family: Optional[str] = None, vocabs: Iterable[Path] = (), precision: str = 'f32',
                 weights: str = 'auto', compute: str = 'f32', max_batch: int = 0, stream: bool = False,
                 embeddings: Iterable[Path] = (), loras: Optional[Mapping[str, float]] = None,
                 identify: bool = False, hub_dir: Optional[Path] = None, progress: Optional[Progress] = None) -> None:
        files, vocabularies, inversions = encode_paths(paths), encode_paths(vocabs), encode_paths(embeddings)
        changes = [new(_lib.vkclip_lora, path=path, scale=scale) for path, scale in (loras or {}).items()]
        params = new(_lib.vkclip_conditioner_params, family=family, vocabs=strings(vocabularies),
                     vocab_count=len(vocabularies), precision=precision, weights=weights, compute=compute,
                     max_batch=max_batch, stream=stream, embeddings=strings(inversions),
                     embedding_count=len(inversions), loras=(_lib.vkclip_lora * max(len(changes), 1))(*changes),
                     lora_count=len(changes), identify=identify, hub_dir=hub_dir)
        self._device, owned = open_device(device)
        pointer = ctypes.POINTER(_lib.vkclip_conditioner)()
        try:
            with Call(self._device._handle, progress=progress) as call:
                params.progress = call.progress
                check(lib.vkclip_open_conditioner(self._device._handle.pointer, strings(files), len(files),
                                                  ctypes.byref(params), ctypes.byref(pointer)))
        except BaseException:
            lib.vkclip_close_conditioner(ctypes.byref(pointer))
            if owned:
                self._device.close()
            raise
        self._owned = self._device if owned else None
        self._own(Handle('conditioner', pointer, lib.vkclip_close_conditioner, self._device._handle))
        info = new(_lib.vkclip_conditioner_info)
        check(lib.vkclip_get_conditioner_info(pointer, ctypes.byref(info)))
        encoders = tuple(map(_describe_encoder, info.encoders[:info.encoder_count]))
        self._info = describe(ConditionerInfo, info, encoders=encoders)

    @property
    def info(self) -> ConditionerInfo:
        """Describes the conditioner."""
        return self._info

    @property
    def device(self) -> Device:
        """The device."""
        return self._device

    def condition(self, prompt: Prompts, negative_prompt: Optional[Prompts] = None, *,
                  prompt_2: Optional[Prompts] = None, prompt_3: Optional[Prompts] = None,
                  negative_prompt_2: Optional[Prompts] = None, negative_prompt_3: Optional[Prompts] = None,
                  zero_negative: bool = False, syntax: str = 'none', clip_skip: int = 0, clip_skip_diffusers: int = 0,
                  max_sequence_length: int = 0, strict: bool = False, f16: bool = False,
                  progress: Optional[Progress] = None) -> Conditioning:
        """Encodes prompts to what the encode_prompt of the family's pipeline in diffusers returns, under the same
        names, for N prompts, or one.

        Negative prompts are as many, or one for all, or None, where the family's pipeline decides. `prompt_2` and
        `prompt_3` are for the second and the third encoder, which otherwise take the first one's. `clip_skip` counts
        CLIP's blocks from the end as the webui does (1 is the last one), `clip_skip_diffusers` as diffusers does.
        `syntax` is as in `Model.tokenize_prompt`. With `strict`, text that is cut or an unknown embedding is an error.
        """
        params = new(_lib.vkclip_condition_params, zero_negative=zero_negative, syntax=syntax, clip_skip=clip_skip,
                     clip_skip_diffusers=clip_skip_diffusers, max_sequence_length=max_sequence_length, strict=strict,
                     f16=f16)
        kept: List[Any] = []

        def fill(places: Any, groups: Sequence[Optional[Prompts]]) -> int:
            """Writes the prompts of all encoders to an array of the params, and returns the number of prompts."""
            count = 0
            for i, group in enumerate(groups):
                if group is None:
                    continue
                texts = encode_strings([group] if isinstance(group, str) else group)
                if i and len(texts) != count:
                    raise ValueError(f'there are {len(texts)} prompts for encoder {i + 1}, expected {count} as for '
                                     'the first one')
                count = len(texts)
                kept.append(strings(texts))
                places[i] = ctypes.cast(kept[-1], ctypes.POINTER(ctypes.c_char_p))
            return count

        params.count = fill(params.prompts, (prompt, prompt_2, prompt_3))
        params.negative_count = fill(params.negatives, (negative_prompt, negative_prompt_2, negative_prompt_3))
        result = ctypes.POINTER(_lib.vkclip_conditioning)()
        with Call(self._handle, progress=progress) as call:
            params.progress = call.progress
            check(lib.vkclip_condition(self._handle.pointer, ctypes.byref(params), ctypes.byref(result)))
        try:
            found = result.contents
            return Conditioning({value_of(tensor.name): _take_tensor(tensor)
                                 for tensor in found.tensors[:found.tensor_count]},
                                tuple(describe(PromptUsage, usage) for usage in found.usage[:found.usage_count]))
        finally:
            lib.vkclip_free_conditioning(ctypes.byref(result))

    def tokenize(self, prompt: str, encoder: int = 0, *, syntax: str = 'none', length: int = 0, strict: bool = False
                 ) -> Prompt:
        """Makes the input of the encoder with this number from a prompt, as `condition` does it."""
        text = encode_strings([prompt])[0]
        result = new(_lib.vkclip_prompt)
        params = prompt_params(syntax, length, strict)
        with Call(self._handle):
            check(lib.vkclip_tokenize_condition(self._handle.pointer, encoder, text, ctypes.byref(params),
                                                ctypes.byref(result)))
        return take_prompt(result)

    def __repr__(self) -> str:
        names = ', '.join(encoder.name for encoder in self._info.encoders if not encoder.absent)
        return f'<vkclip.Conditioner {self._info.family}: {names}>'
