# SPDX-License-Identifier: MIT
"""What models, explanations and profiles have to tell."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Any, Optional, Tuple

from . import _lib
from ._library import check, lib
from ._struct import FloatArray, describe, new


@dataclasses.dataclass(frozen=True)
class TowerInfo:
    """The sizes of one tower.

    positions  tokens of a sequence: those of a text, or the patches of a picture and its class token
    """

    width: int
    layers: int
    heads: int
    mlp: int
    activation: str
    positions: int
    projection: bool


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """Describes a model.

    family             whose files they are: 'openai', 'openclip', 'hf' or 'none'
    image              the image tower, None if the model has none
    stages             bottlenecks of a ModifiedResNet's stages or blocks of a ConvNeXt's, all 0 for a ViT
    image_size         pixels per side of the pictures that the image tower takes
    context            tokens of a text, with its start and its end
    vocabulary         rows of the token table
    embed_dim          the width of the embeddings of pictures
    logit_scale        the factor of similarities, exp of the stored value
    sigmoid            each pair of a picture and a text has a probability of its own, as in SigLIP
    weights_bytes      memory on the device that the weights take
    memory_bytes       the least memory on the device: the weights and one item's activations
    tokenizer          a vocabulary was found
    tokenizer_context  the ids of a text that models with such a vocabulary take
    """

    family: str
    image: Optional[TowerInfo]
    text: Optional[TowerInfo]
    stages: Tuple[int, ...]
    stage_widths: Tuple[int, ...]
    image_size: int
    patch_size: int
    context: int
    vocabulary: int
    embed_dim: int
    text_embed_dim: int
    logit_scale: float
    sigmoid: bool
    logit_bias: float
    image_mean: Tuple[float, float, float]
    image_std: Tuple[float, float, float]
    parameters: int
    weights_bytes: int
    memory_bytes: int
    precision: str
    weights: str
    tokenizer: bool
    tokenizer_context: int
    weights_path: str
    weights_type: str
    tokenizer_path: str


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """Which patches of a picture speak for texts.

    relevance  [M, side, side], or [side, side] for one text: never negative, and comparable within one model
    cosines    [M]: those of the picture with each text
    left, top, width, height
               the rectangle of the picture, in its pixels, that the patches cover
    """

    relevance: FloatArray
    cosines: FloatArray
    left: float
    top: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True)
class Node:
    """A step of a tower, as it runs for one batch.

    seconds  time on the device; negative: it has no timestamps
    """

    op: str
    name: str
    shape: str
    kernel: str
    operations: float
    bytes: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Profile:
    """The cost of a tower for one batch.

    device_bytes  memory on the device for weights, activations, inputs and outputs
    """

    operations: float
    bytes: float
    device_bytes: int
    nodes: Tuple[Node, ...]


def describe_model(model: Any) -> ModelInfo:
    info = new(_lib.vkclip_model_info)
    check(lib.vkclip_get_model_info(model, ctypes.byref(info)))
    towers = {name: describe(TowerInfo, getattr(info, name)) if getattr(info, name).layers else None
              for name in ('image', 'text')}
    return describe(ModelInfo, info, **towers)
