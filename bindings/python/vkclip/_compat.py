# SPDX-License-Identifier: MIT
"""What vkclip.clip and vkclip.open_clip share: models that are used as PyTorch's."""

import types
from typing import Any, Optional

import numpy as np

from ._array import Array, as_array
from ._model import Model


def choose_device(device: Any) -> Optional[str]:
    """Returns the name of a device for vkclip. PyTorch's devices stand for vkclip's choice."""
    name = '' if device is None else str(device)
    return None if name.split(':')[0] in ('', 'cpu', 'cuda', 'mps', 'xpu') else name


class Preprocess:
    """Prepares a picture of Pillow, or a path or an array, to an Array [3, S, S], as torchvision's transforms do."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, image: Any) -> Array:
        return as_array(self._model.preprocess(image))


class CompatModel:
    """A model with the methods that a torch.nn.Module has for those who only use it."""

    def __init__(self, model: Model) -> None:
        self.model = model
        info = model.info
        self.logit_scale = as_array(np.float32(np.log(info.logit_scale)))
        self.logit_bias = as_array(np.float32(info.logit_bias)) if info.sigmoid else None
        self.context_length = model.context_length
        self.visual = types.SimpleNamespace(image_size=(info.image_size, info.image_size), output_dim=info.embed_dim,
                                            input_resolution=info.image_size, image_mean=info.image_mean,
                                            image_std=info.image_std)
        self.training = False

    def _return(self, *_: Any, **__: Any) -> Any:
        return self

    eval = to = cpu = cuda = float = half = requires_grad_ = _return

    def encode_image(self, image: Any, normalize: bool = False) -> Array:
        """Encodes prepared pictures [N, 3, S, S] to an Array [N, D]."""
        return as_array(self.model.encode_pixels(np.asarray(image), normalize=normalize))

    def encode_text(self, text: Any, normalize: bool = False) -> Array:
        """Encodes token ids [M, T] to an Array [M, D]."""
        return as_array(self.model.encode_tokens(np.asarray(text), normalize=normalize))

    def _logits(self, image, text):
        return as_array(self.model.similarity(self.encode_image(image, True), self.encode_text(text, True)))
