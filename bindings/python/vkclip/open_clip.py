# SPDX-License-Identifier: MIT
"""OpenCLIP on vkclip: `from vkclip import open_clip`.

A model that is not in the hub's cache is downloaded (see vkclip.pull). Results are tensors in a program that has
imported PyTorch, and in any other arrays of NumPy that have the methods of tensors which programs for CLIP use
(vkclip._array.Array); `from vkclip import torch` stands in for PyTorch.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ._compat import CompatModel, Preprocess, as_plain, as_tensor, choose_device
from ._files import architectures
from ._hub import open_or_pull, open_vocabulary, published_models
from ._library import UnsupportedError
from ._model import Model

__all__ = ['build_zero_shot_classifier', 'create_model', 'create_model_and_transforms', 'create_model_from_pretrained',
           'decode', 'get_tokenizer', 'list_models', 'list_pretrained', 'list_pretrained_models_by_tag',
           'list_pretrained_tags_by_model', 'tokenize']

# The tokenizers of the models that were created, by their names without the tag, and '' for the last one. They have no
# weights in memory, so that they may stay when the models are gone.
_tokenizers: Dict[str, 'Tokenizer'] = {}


class CLIP(CompatModel):
    """A model of `create_model`."""

    def __call__(self, image: Any, text: Any) -> Tuple[Any, ...]:
        """Returns normalised embeddings [N, D] and [M, D] and the factor of their logits, and where the model has one
        the number that is added to them."""
        result = self.encode_image(image, True), self.encode_text(text, True), self.logit_scale.exp()
        return result if self.logit_bias is None else (*result, self.logit_bias)

    def get_logits(self, image: Any, text: Any) -> Tuple[Any, Any]:
        """Returns the logits of pictures [N, 3, S, S] and token ids [M, T]: tensors [N, M] and [M, N]."""
        logits = self._logits(image, text)
        return logits, logits.T


class Tokenizer:
    """Makes token ids of texts."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.context_length = model.context_length

    def __call__(self, texts: Union[str, Sequence[str]], context_length: Optional[int] = None) -> Any:
        """Returns an int64 tensor [M, T]. Texts that are too long are cut."""
        items = [texts] if isinstance(texts, str) else list(texts)
        length = context_length or self.context_length
        return as_tensor(self._model.tokenize(items, context_length=length).astype(np.int64))

    def decode(self, ids: Any) -> str:
        return self._model.detokenize(as_plain(ids))


def _locate(name: str, pretrained: Optional[str]) -> str:
    """Returns the path or the name for vkclip of a model as OpenCLIP names it."""
    for schema in ('hf-hub:', 'local-dir:'):
        if name.startswith(schema):
            return name[len(schema):]
    if not pretrained:
        # A name without weights would be a model with random ones.
        raise UnsupportedError(f'{name} has no weights: `pretrained` names them, or a file or folder')
    return pretrained if os.path.exists(pretrained) else f'{name}:{pretrained}'


def create_model(model_name: str, pretrained: Optional[str] = None, precision: str = 'fp32', device: Any = 'cpu', *,
                 force_image_size: Union[int, Tuple[int, int], None] = None, cache_dir: Optional[str] = None,
                 vocab: Optional[str] = None, **others: Any) -> CLIP:
    """Returns a model.

    `model_name` and `pretrained` are OpenCLIP's, such as 'ViT-B-32' and 'laion2b_s34b_b79k'; `pretrained` may be a
    path, and 'hf-hub:OWNER/NAME' and 'local-dir:FOLDER' need none. Precisions with 'fp16' in their names compute in
    fp16, and all others in fp32. `device` may be the name of one of vkclip's devices; PyTorch's names leave the choice
    to vkclip. `cache_dir` is the hub's cache, if it is not where the environment says, and `vocab` the vocabulary of a
    model that has none beside it. Other options of OpenCLIP are refused unless they are false or None, or change
    nothing here.
    """
    harmless = ('load_weights', 'jit', 'output_dict', 'weights_only', 'require_pretrained')
    for option, value in others.items():
        if option not in harmless and value:
            raise UnsupportedError(f'vkclip has no option {option}')
    size = force_image_size
    if isinstance(size, (tuple, list)):
        if size[0] != size[-1]:
            raise UnsupportedError(f'pictures of {size[0]} x {size[-1]} pixels are not supported: expected squares')
        size = size[0]
    path = _locate(model_name, pretrained)
    model = open_or_pull(path, device=choose_device(device), precision='f16' if 'fp16' in precision else 'f32',
                         image_size=size or 0, vocab=vocab, hub_dir=cache_dir)
    if model.info.tokenizer:
        _tokenizers[model_name] = _tokenizers[''] = Tokenizer(Model(path, device=False, vocab=vocab, hub_dir=cache_dir))
    return CLIP(model)


def create_model_and_transforms(model_name: str, pretrained: Optional[str] = None, *arguments: Any, **options: Any
                                ) -> Tuple[CLIP, Preprocess, Preprocess]:
    """Returns a model and twice what prepares pictures for it: OpenCLIP has one for training first."""
    # OpenCLIP has load_weights as the third parameter of this function, and create_model has it elsewhere.
    options.update(zip(('load_weights', 'precision', 'device'), arguments))
    model = create_model(model_name, pretrained, **options)
    return model, Preprocess(model.model), Preprocess(model.model)


def create_model_from_pretrained(model_name: str, pretrained: Optional[str] = None, precision: str = 'fp32',
                                 device: Any = 'cpu', *, return_transform: bool = True, **options: Any) -> Any:
    """Returns a model and what prepares pictures for it, or the model alone."""
    model = create_model(model_name, pretrained, precision, device, **options)
    return (model, Preprocess(model.model)) if return_transform else model


def _names_of(arch: str) -> List[str]:
    """Returns the names of the published models of an architecture."""
    return [name for model in published_models() for name in (model.name, *model.aliases)
            if name.partition(':')[0] == arch]


def get_tokenizer(model_name: str = '', context_length: Optional[int] = None, **_: Any) -> Callable[..., Any]:
    """Returns the tokenizer of a model that was created before, or is in the hub's cache, or of 'hf-hub:OWNER/NAME' or
    'local-dir:FOLDER'."""
    if model_name not in _tokenizers:
        if model_name.startswith(('hf-hub:', 'local-dir:')):
            model: Optional[Model] = open_or_pull(_locate(model_name, None), device=False)
        else:
            model = open_vocabulary(_names_of(model_name))
        if model is None:
            raise RuntimeError(f'the tokenizer of {model_name or "a model"} comes from its files, which are not in the '
                               "hub's cache: create the model before")
        _tokenizers[model_name] = Tokenizer(model)
    found = _tokenizers[model_name]
    if context_length is None or context_length == found.context_length:
        return found
    other = Tokenizer(found._model)
    other.context_length = context_length
    return other


def tokenize(texts: Union[str, Sequence[str]], context_length: Optional[int] = None) -> Any:
    """Makes token ids with the vocabulary of the model that was created last."""
    return get_tokenizer()(texts, context_length)


def decode(ids: Any) -> str:
    """Returns the text of token ids by the vocabulary of the model that was created last."""
    return get_tokenizer().decode(ids)  # type: ignore[attr-defined, no-any-return]


def list_models() -> List[str]:
    """Returns the architectures of which vkclip runs models, or begins training."""
    return sorted({*architectures(), *(arch for arch, _ in list_pretrained())})


def list_pretrained(as_str: bool = False) -> List[Any]:
    """Returns the published models that vkclip runs, as tuples of an architecture and the tag of its weights, or as
    texts with a colon between."""
    names: List[Any] = [name for model in published_models() if not model.obstacle
                        for name in (model.name, *model.aliases) if ':' in name]
    return names if as_str else [tuple(name.split(':', 1)) for name in names]


def list_pretrained_tags_by_model(model: str) -> List[str]:
    """Returns the tags of the weights that an architecture has."""
    return [tag for arch, tag in list_pretrained() if arch == model]


def list_pretrained_models_by_tag(tag: str) -> List[str]:
    """Returns the architectures that have weights of this tag."""
    return [arch for arch, found in list_pretrained() if found == tag]


def build_zero_shot_classifier(model: CLIP, tokenizer: Callable[..., Any], classnames: Sequence[str],
                               templates: Sequence[Union[str, Callable[[str], str]]], num_classes_per_batch: Any = 10,
                               device: Any = 'cpu', use_tqdm: bool = False) -> Any:
    """Returns a tensor [D, L] of class embeddings, with which normalised embeddings of pictures are multiplied."""
    def embed(name: str) -> Any:
        texts = [template.format(name) if isinstance(template, str) else template(name) for template in templates]
        mean = model.model.encode_tokens(as_plain(tokenizer(texts))).mean(0)
        return mean / np.linalg.norm(mean)
    return as_tensor(np.stack([embed(name) for name in classnames], 1))
