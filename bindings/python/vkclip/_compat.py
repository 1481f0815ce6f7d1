# SPDX-License-Identifier: MIT
"""What the modules with other projects' names share: models that are used as PyTorch's."""

from __future__ import annotations

import sys
import types
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from ._array import as_array
from ._model import Model


def choose_device(device: Any) -> Optional[str]:
    """Returns the name of a device for vkclip. PyTorch's devices, also by number, stand for vkclip's choice."""
    name = '' if device is None or isinstance(device, int) else str(device)
    return None if name.split(':')[0] in ('', 'cpu', 'cuda', 'mps', 'xpu') else name


def as_tensor(values: Any) -> Any:
    """Returns a tensor in a program that uses PyTorch, and in any other an Array, which has a tensor's methods."""
    torch = sys.modules.get('torch')
    return as_array(values) if torch is None else torch.from_numpy(np.asarray(values))


def as_plain(values: Any) -> npt.NDArray[Any]:
    """Returns an array of NumPy for a tensor on any device, or for what NumPy takes."""
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, 'detach') else values)


class Preprocess:
    """Prepares a picture of Pillow, or a path or an array, to a tensor [3, S, S], as torchvision's transforms do."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, image: Any) -> Any:
        return as_tensor(self._model.preprocess(image))


class CompatModel:
    """A model with the methods that a torch.nn.Module has for those who only use it."""

    def __init__(self, model: Model) -> None:
        self.model = model
        info = model.info
        self.logit_scale = as_tensor(np.array(np.log(info.logit_scale), np.float32))
        self.logit_bias = as_tensor(np.array(info.logit_bias, np.float32)) if info.sigmoid else None
        self.context_length = model.context_length
        self.vocab_size = info.vocabulary
        self.visual = types.SimpleNamespace(image_size=(info.image_size, info.image_size), output_dim=info.embed_dim,
                                            input_resolution=info.image_size, image_mean=info.image_mean,
                                            image_std=info.image_std)
        self.training = False

    def _return(self, *_: Any, **__: Any) -> Any:
        return self

    eval = to = cpu = cuda = float = half = requires_grad_ = _return

    def encode_image(self, image: Any, normalize: bool = False) -> Any:
        """Encodes prepared pictures [N, 3, S, S] to a tensor [N, D]."""
        return as_tensor(self.model.encode_pixels(as_plain(image), normalize=normalize))

    def encode_text(self, text: Any, normalize: bool = False) -> Any:
        """Encodes token ids [M, T] to a tensor [M, D]."""
        return as_tensor(self.model.encode_tokens(as_plain(text), normalize=normalize))

    def _logits(self, image: Any, text: Any) -> Any:
        return as_tensor(self.model.similarity(self.model.encode_pixels(as_plain(image)),
                                               self.model.encode_tokens(as_plain(text))))
