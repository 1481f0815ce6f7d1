# SPDX-License-Identifier: MIT
"""CLIP of Hugging Face's transformers on vkclip: `from vkclip.transformers import CLIPModel, CLIPProcessor`.

A model that is not in the hub's cache is downloaded (see vkclip.pull). Results are tensors in a program that has
imported PyTorch, and in any other arrays of NumPy that have the methods of tensors which programs for CLIP use
(vkclip._array.Array).
"""

from __future__ import annotations

import os
from typing import Any, Dict, Optional, Sequence, Union

import numpy as np

from ._array import as_array
from ._compat import CompatModel, as_plain, as_tensor, choose_device
from ._hub import open_or_pull
from ._image import split
from ._library import UnsupportedError
from ._model import Model
from ._struct import encode_texts

__all__ = ['CLIPModel', 'CLIPProcessor']

Name = Union[str, 'os.PathLike[str]']


class Outputs(Dict[str, Any]):
    """A dict whose values are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to(self, *_: Any, **__: Any) -> 'Outputs':
        return self


def _open(name: Name, device: Any, vocab: Optional[str], options: Dict[str, Any]) -> Model:
    """Opens a model for from_pretrained, of whose options those that say where files are mean something here."""
    revision = options.get('revision')
    return open_or_pull(os.fspath(name) + (f'@{revision}' if revision else ''), device=device, vocab=vocab,
                        hub_dir=options.get('cache_dir'), local_files_only=bool(options.get('local_files_only')))


class CLIPModel(CompatModel):
    """A model of both towers."""

    @classmethod
    def from_pretrained(cls, name: Name, *_: Any, device: Any = None, vocab: Optional[str] = None, **options: Any
                        ) -> 'CLIPModel':
        """Opens a model by its name in the hub or its path. Of the options of transformers, `cache_dir`,
        `local_files_only` and `revision` mean something here; `device` may be the name of one of vkclip's devices."""
        return cls(_open(name, choose_device(device), vocab, options))

    @property
    def device(self) -> str:
        return 'cpu'

    def get_image_features(self, pixel_values: Any, **_: Any) -> Any:
        """Encodes prepared pictures [N, 3, S, S] to a tensor [N, D] that is not normalised."""
        return self.encode_image(pixel_values)

    def get_text_features(self, input_ids: Any, attention_mask: Any = None, **_: Any) -> Any:
        """Encodes token ids [M, T] to a tensor [M, D] that is not normalised."""
        return as_tensor(self._encode_text(input_ids, attention_mask, False))

    def _encode_text(self, ids: Any, mask: Any, normalize: bool) -> Any:
        return self.model.encode_tokens(as_plain(ids), normalize=normalize,
                                        attention_mask=None if mask is None else as_plain(mask))

    def __call__(self, input_ids: Any = None, pixel_values: Any = None, attention_mask: Any = None, **_: Any
                 ) -> Outputs:
        """Returns logits_per_image [N, M], logits_per_text [M, N], and the normalised image_embeds [N, D] and
        text_embeds [M, D]."""
        if input_ids is None or pixel_values is None:
            raise ValueError('input_ids and pixel_values are needed')
        images = self.model.encode_pixels(as_plain(pixel_values))
        texts = self._encode_text(input_ids, attention_mask, True)
        logits = as_tensor(self.model.similarity(images, texts))
        return Outputs(logits_per_image=logits, logits_per_text=logits.T, text_embeds=as_tensor(texts),
                       image_embeds=as_tensor(images))


class CLIPProcessor:
    """Prepares texts and pictures."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @classmethod
    def from_pretrained(cls, name: Name, *_: Any, vocab: Optional[str] = None, **options: Any) -> 'CLIPProcessor':
        """Opens what a model says of texts and pictures, with options as those of CLIPModel."""
        return cls(_open(name, False, vocab, options))

    def __call__(self, text: Any = None, images: Any = None, return_tensors: Optional[str] = None,
                 padding: Union[bool, str] = False, truncation: bool = False, max_length: Optional[int] = None,
                 **others: Any) -> Outputs:
        """Returns a dict: input_ids and attention_mask, int64 [M, T], of texts, pixel_values [N, 3, S, S] of pictures.

        T is the longest text's length, or the model's with `padding` 'max_length'. The results are arrays unless
        `return_tensors` is 'pt', so that texts of different lengths need `padding`.
        """
        for option, value in others.items():
            if value:
                raise UnsupportedError(f'vkclip has no option {option}')
        if text is None and images is None:
            raise ValueError('text or images are needed')
        result: Dict[str, Any] = {}
        if text is not None:
            result.update(self._prepare_texts([text] if isinstance(text, str) else list(text), padding, truncation,
                                              max_length))
        if images is not None:
            pictures, _ = split(images)
            result['pixel_values'] = np.stack([self.model.preprocess(picture) for picture in pictures])
        convert = as_tensor if return_tensors == 'pt' else as_array
        return Outputs({name: convert(values) for name, values in result.items()})

    def _prepare_texts(self, texts: Sequence[str], padding: Union[bool, str], truncation: bool,
                       max_length: Optional[int]) -> Dict[str, Any]:
        length = max_length or self.model.context_length
        # A text that the model cannot take is an error here, where transformers fails in the model.
        ids, counts = self.model.tokenize_encoded(encode_texts(texts), length, truncation)
        if padding is False and len(set(counts)) > 1:
            raise ValueError('texts have different lengths: `padding` is needed')
        if padding != 'max_length':
            ids = ids[:, :max(counts)]
        mask = np.arange(ids.shape[1]) < counts[:, None]
        return {'input_ids': ids.astype(np.int64), 'attention_mask': mask.astype(np.int64)}

    def batch_decode(self, ids: Any, **_: Any) -> Any:
        """Returns the text of each row of token ids."""
        return [self.model.detokenize(row) for row in as_plain(ids)]
