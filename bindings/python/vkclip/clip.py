# SPDX-License-Identifier: MIT
"""OpenAI's package `clip` on vkclip: `from vkclip import clip`.

A model that is not in the hub's cache is downloaded (see vkclip.pull). Results are tensors in a program that has
imported PyTorch, and in any other arrays of NumPy that have the methods of tensors which programs for CLIP use
(vkclip._array.Array); `from vkclip import torch` stands in for PyTorch.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple, Union

from ._compat import CompatModel, Preprocess, as_tensor, choose_device
from ._hub import open_or_pull, open_vocabulary
from ._model import Model

__all__ = ['available_models', 'load', 'tokenize']

_MODELS = ['RN50', 'RN101', 'RN50x4', 'RN50x16', 'RN50x64', 'ViT-B/32', 'ViT-B/16', 'ViT-L/14', 'ViT-L/14@336px']
_tokenizer: Optional[Model] = None


def available_models() -> List[str]:
    """Returns the names of OpenAI's models. `load` also takes paths, and all names of vkclip.published_models."""
    return list(_MODELS)


class CLIP(CompatModel):
    """A model of `load`."""

    def __call__(self, image: Any, text: Any) -> Tuple[Any, Any]:
        """Returns the logits of pictures [N, 3, S, S] and token ids [M, T]: tensors [N, M] and [M, N]."""
        logits = self._logits(image, text)
        return logits, logits.T


def load(name: str, device: Any = None, jit: bool = False, download_root: Optional[str] = None, *,
         vocab: Optional[str] = None) -> Tuple[CLIP, Preprocess]:
    """Returns a model and what prepares pictures for it.

    `name` is one of `available_models` or a path. `device` may be the name of one of vkclip's devices; PyTorch's
    names leave the choice to vkclip. `jit` means nothing here. `download_root` is the hub's cache, if it is not where
    the environment says, and `vocab` the vocabulary of a model that has none beside it.
    """
    global _tokenizer
    model = open_or_pull(name, device=choose_device(device), vocab=vocab, hub_dir=download_root)
    if model.info.tokenizer:
        # It has no weights in memory, so that it may stay when the model is gone.
        _tokenizer = Model(name, device=False, vocab=vocab, hub_dir=download_root)
    return CLIP(model), Preprocess(model)


def tokenize(texts: Union[str, List[str]], context_length: Optional[int] = None, truncate: bool = False) -> Any:
    """Returns token ids, an int32 tensor [M, T], with the vocabulary of the model that was loaded last, or of one of
    OpenAI's models that is in the hub's cache.

    T is `context_length` or that model's context, which is 77 for all of OpenAI's. A text that is too long raises
    TextTooLongError, which is a RuntimeError, unless `truncate` is set.
    """
    global _tokenizer
    _tokenizer = _tokenizer or open_vocabulary(_MODELS)
    if _tokenizer is None:
        raise RuntimeError('tokenize needs the vocabulary of a model, and none is in the hub\'s cache: load one before')
    items = [texts] if isinstance(texts, str) else list(texts)
    return as_tensor(_tokenizer.tokenize(items, context_length=context_length, truncate=truncate))
