# SPDX-License-Identifier: MIT
"""CLIP models of sentence-transformers on vkclip: `from vkclip.sentence_transformers import SentenceTransformer, util`.

A model that is not in the hub's cache is downloaded (see vkclip.pull). Where a tensor is asked for, the result is one
in a program that has imported PyTorch, and in any other an array of NumPy that has the methods of tensors which
programs for CLIP use (vkclip._array.Array).
"""

from __future__ import annotations

import os
from typing import Any, Optional, Sequence, Union

import numpy as np

from .._compat import as_tensor, choose_device
from .._hub import open_or_pull
from .._image import is_path, split
from .._library import UnsupportedError
from . import util

__all__ = ['SentenceTransformer', 'util']

# Their weights are OpenAI's.
_NAMES = {'clip-ViT-B-32': 'ViT-B/32', 'clip-ViT-B-16': 'ViT-B/16', 'clip-ViT-L-14': 'ViT-L/14'}


class SentenceTransformer:
    """A model of pictures and texts.

    `device` may be the name of one of vkclip's devices; PyTorch's names leave the choice to vkclip. `cache_folder` is
    the hub's cache, if it is not where the environment says, and `vocab` the vocabulary of a model that has none beside
    it. The other parameters mean nothing here.
    """

    def __init__(self, model_name_or_path: Union[str, 'os.PathLike[str]'], modules: Any = None, device: Any = None, *,
                 cache_folder: Optional[str] = None, revision: Optional[str] = None, local_files_only: bool = False,
                 truncate_dim: Optional[int] = None, vocab: Optional[str] = None, **_: Any) -> None:
        if modules is not None:
            raise UnsupportedError('vkclip has no option modules')
        name = os.fspath(model_name_or_path)
        short = name[len('sentence-transformers/'):] if name.startswith('sentence-transformers/') else name
        if short.startswith('clip-ViT-B-32-multilingual'):
            raise UnsupportedError(f'{name}: vkclip does not run this model: it is a text encoder for another model. '
                                   "'xlm-roberta-base-ViT-B-32:laion5b_s13b_b90k' encodes pictures and texts in many "
                                   'languages')
        inner = os.path.join(name, '0_CLIPModel')
        if os.path.isdir(inner):
            name = inner
        elif not os.path.exists(name):
            name = _NAMES.get(short, name) + (f'@{revision}' if revision else '')
        self.model = open_or_pull(name, device=choose_device(device), vocab=vocab, hub_dir=cache_folder,
                                  local_files_only=local_files_only)
        self.truncate_dim = truncate_dim
        self.max_seq_length = self.model.context_length

    def encode(self, sentences: Any, prompt_name: Any = None, prompt: Any = None, batch_size: int = 32,
               show_progress_bar: Optional[bool] = None, output_value: Optional[str] = 'sentence_embedding',
               precision: str = 'float32', convert_to_numpy: bool = True, convert_to_tensor: bool = False,
               device: Any = None, normalize_embeddings: bool = False, truncate_dim: Optional[int] = None, **_: Any
               ) -> Any:
        """Encodes texts and pictures, also mixed, to float32 [N, D], or one of them to [D].

        A str is always a text; a picture is a PIL.Image or another form that Model.encode_image takes, except a path.
        Embeddings are not normalised unless `normalize_embeddings` is set.
        """
        for option, value, harmless in (('prompt_name', prompt_name, None), ('prompt', prompt, None),
                                        ('output_value', output_value, 'sentence_embedding'),
                                        ('precision', precision, 'float32')):
            if value != harmless:
                raise UnsupportedError(f'vkclip has no option {option} other than {harmless}')
        items, single = ([sentences], True) if isinstance(sentences, str) else split(sentences)
        result = np.empty((len(items), self.model.embed_dim), np.float32)
        texts = [i for i, item in enumerate(items) if isinstance(item, str)]
        pictures = [i for i, item in enumerate(items) if not isinstance(item, str)]
        if any(is_path(items[i]) for i in pictures):
            raise TypeError('a picture cannot be a path: open it with PIL.Image.open')
        if texts:
            result[texts] = self.model.encode_text([items[i] for i in texts], normalize=False)
        # Few pictures are prepared at once.
        for start in range(0, len(pictures), batch_size):
            batch = pictures[start:start + batch_size]
            result[batch] = self.model.encode_image([items[i] for i in batch], normalize=False)
        result = result[:, :truncate_dim or self.truncate_dim]
        if normalize_embeddings:
            result = util.normalize_rows(result)
        rows: Any = as_tensor(result) if convert_to_tensor else result
        if single:
            return rows[0]
        return rows if convert_to_numpy or convert_to_tensor else list(as_tensor(result))

    encode_query = encode_document = encode

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Returns the cosines [N, M] of embeddings [N, D] and [M, D]."""
        return util.cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Returns the cosines [N] of the rows of embeddings [N, D] and [N, D]."""
        return util.pairwise_cos_sim(embeddings1, embeddings2)

    def tokenize(self, texts: Sequence[str]) -> Any:
        """Returns token ids [M, T]."""
        return as_tensor(self.model.tokenize(list(texts)))

    def get_sentence_embedding_dimension(self) -> int:
        return min(self.truncate_dim or self.model.embed_dim, self.model.embed_dim)

    def eval(self) -> 'SentenceTransformer':
        return self

    def to(self, *_: Any) -> 'SentenceTransformer':
        return self
