# SPDX-License-Identifier: MIT
"""CLIP models of sentence-transformers on vkclip: `from vkclip.sentence_transformers import SentenceTransformer, util`.

Models are those that `vkclip pull` has downloaded, or folders. Where a tensor is asked for, the result is an array with
the methods of tensors that programs for CLIP use (vkclip._array.Array).
"""

import os
from typing import Any, List, Optional, Sequence, Union

import numpy as np

from ._array import Array, as_array
from ._compat import choose_device
from ._image import is_path, split
from ._library import UnsupportedError
from ._model import Model

__all__ = ['SentenceTransformer', 'util']

# Their weights are OpenAI's.
_NAMES = {'clip-ViT-B-32': 'ViT-B/32', 'clip-ViT-B-16': 'ViT-B/16', 'clip-ViT-L-14': 'ViT-L/14'}


class util:
    """What programs use of sentence_transformers.util."""

    @staticmethod
    def normalize_embeddings(embeddings: Any) -> Array:
        """Divides embeddings [N, D] by their norms."""
        rows = np.asarray(embeddings, np.float32)
        return as_array(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))

    @staticmethod
    def cos_sim(a: Any, b: Any) -> Array:
        """Returns the cosines [N, M] of embeddings [N, D] and [M, D], either of which may be one [D]."""
        return util.dot_score(util.normalize_embeddings(np.atleast_2d(a)), util.normalize_embeddings(np.atleast_2d(b)))

    @staticmethod
    def dot_score(a: Any, b: Any) -> Array:
        """Returns the scalar products [N, M] of embeddings [N, D] and [M, D], either of which may be one [D]."""
        return as_array(np.atleast_2d(np.asarray(a)) @ np.atleast_2d(np.asarray(b)).T)

    @staticmethod
    def semantic_search(query_embeddings: Any, corpus_embeddings: Any, top_k: int = 10, score_function: Any = None,
                        **_: Any) -> List[List[dict]]:
        """Returns a list for each query: of at most `top_k` dicts with corpus_id and score, the best first."""
        scores = (score_function or util.cos_sim)(query_embeddings, corpus_embeddings)
        best = as_array(scores).topk(min(top_k, np.shape(scores)[1]))
        return [[{'corpus_id': int(index), 'score': float(score)} for score, index in zip(*row)]
                for row in zip(best.values, best.indices)]


class SentenceTransformer:
    """A model of pictures and texts.

    `device` may be the name of one of vkclip's devices; PyTorch's names leave the choice to vkclip. `vocab` is the
    vocabulary of a model that has none beside it. The other parameters mean nothing here.
    """

    def __init__(self, model_name_or_path: Union[str, 'os.PathLike[str]'], modules: Any = None, device: Any = None, *,
                 truncate_dim: Optional[int] = None, vocab: Optional[str] = None, **_: Any) -> None:
        if modules is not None:
            raise UnsupportedError('vkclip has no option modules')
        name = os.fspath(model_name_or_path)
        short = name[len('sentence-transformers/'):] if name.startswith('sentence-transformers/') else name
        inner = os.path.join(name, '0_CLIPModel')
        if os.path.isdir(inner):
            name = inner
        elif not os.path.exists(name):
            name = _NAMES.get(short, name)
        self.model = Model(name, device=choose_device(device), vocab=vocab)
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
            result = util.normalize_embeddings(result).numpy()
        rows: Any = as_array(result) if convert_to_tensor else result
        if single:
            return rows[0]
        return rows if convert_to_numpy or convert_to_tensor else list(as_array(result))

    encode_query = encode_document = encode

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Array:
        """Returns the cosines [N, M] of embeddings [N, D] and [M, D]."""
        return util.cos_sim(embeddings1, embeddings2)

    def tokenize(self, texts: Sequence[str]) -> Array:
        return as_array(self.model.tokenize(list(texts)))

    def get_sentence_embedding_dimension(self) -> int:
        return min(self.truncate_dim or self.model.embed_dim, self.model.embed_dim)

    def eval(self) -> 'SentenceTransformer':
        return self

    def to(self, *_: Any) -> 'SentenceTransformer':
        return self
