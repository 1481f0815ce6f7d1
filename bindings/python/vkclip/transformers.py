# SPDX-License-Identifier: MIT
"""CLIP of Hugging Face's transformers on vkclip: `from vkclip.transformers import CLIPModel, CLIPProcessor`.

Models are those that `vkclip pull` has downloaded, or folders. Results are arrays with the methods of tensors that
programs for CLIP use (vkclip._array.Array).
"""

import os
from typing import Any, Dict, Optional, Union

import numpy as np

from ._array import Array, as_array
from ._compat import CompatModel, choose_device
from ._image import split
from ._library import UnsupportedError
from ._model import Model, _encode_texts

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


class CLIPModel(CompatModel):
    """A model of both towers."""

    @classmethod
    def from_pretrained(cls, name: Name, *_: Any, device: Any = None, vocab: Optional[str] = None, **__: Any
                        ) -> 'CLIPModel':
        """Opens a model by its name in the hub's cache or its path. The options of transformers mean nothing here;
        `device` may be the name of one of vkclip's devices."""
        return cls(Model(name, device=choose_device(device), vocab=vocab))

    @property
    def device(self) -> str:
        return 'cpu'

    def get_image_features(self, pixel_values: Any, **_: Any) -> Array:
        """Encodes prepared pictures [N, 3, S, S] to an Array [N, D] that is not normalised."""
        return self.encode_image(pixel_values)

    def get_text_features(self, input_ids: Any, attention_mask: Any = None, **_: Any) -> Array:
        """Encodes token ids [M, T] to an Array [M, D] that is not normalised."""
        return as_array(self.model.encode_tokens(np.asarray(input_ids), normalize=False,
                                                 attention_mask=attention_mask))

    def __call__(self, input_ids: Any = None, pixel_values: Any = None, attention_mask: Any = None, **_: Any
                 ) -> Outputs:
        """Returns logits_per_image [N, M], logits_per_text [M, N], and the normalised image_embeds [N, D] and
        text_embeds [M, D]."""
        if input_ids is None or pixel_values is None:
            raise ValueError('input_ids and pixel_values are needed')
        images = self.model.encode_pixels(np.asarray(pixel_values))
        texts = self.model.encode_tokens(np.asarray(input_ids), attention_mask=attention_mask)
        logits = as_array(self.model.similarity(images, texts))
        return Outputs(logits_per_image=logits, logits_per_text=as_array(logits.T), text_embeds=as_array(texts),
                       image_embeds=as_array(images))


class CLIPProcessor:
    """Prepares texts and pictures."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @classmethod
    def from_pretrained(cls, name: Name, *_: Any, vocab: Optional[str] = None, **__: Any) -> 'CLIPProcessor':
        """Opens what a model says of texts and pictures. The options of transformers mean nothing here."""
        return cls(Model(name, device=False, vocab=vocab))

    def __call__(self, text: Any = None, images: Any = None, return_tensors: Optional[str] = None,
                 padding: Union[bool, str] = False, truncation: bool = False, max_length: Optional[int] = None,
                 **others: Any) -> Outputs:
        """Returns a dict: input_ids and attention_mask, int64 [M, T], of texts, pixel_values [N, 3, S, S] of pictures.

        T is the longest text's length, or the model's with `padding` 'max_length'. The result is arrays whatever
        `return_tensors` says, so that texts of different lengths need `padding`.
        """
        for option, value in others.items():
            if value:
                raise UnsupportedError(f'vkclip has no option {option}')
        if text is None and images is None:
            raise ValueError('text or images are needed')
        result = Outputs()
        if text is not None:
            result.update(self._prepare_texts([text] if isinstance(text, str) else list(text), padding, truncation,
                                              max_length))
        if images is not None:
            pictures, _ = split(images)
            result['pixel_values'] = as_array(np.stack([self.model.preprocess(picture) for picture in pictures]))
        return result

    def _prepare_texts(self, texts, padding, truncation, max_length):
        length = max_length or self.model.context_length
        # A text that the model cannot take is an error here, where transformers fails in the model.
        ids, counts = self.model._tokenize(_encode_texts(texts), length, truncation)
        if padding is False and len(set(counts)) > 1:
            raise ValueError('texts have different lengths: `padding` is needed')
        if padding != 'max_length':
            ids = ids[:, :max(counts)]
        mask = np.arange(ids.shape[1]) < counts[:, None]
        return {'input_ids': as_array(ids.astype(np.int64)), 'attention_mask': as_array(mask.astype(np.int64))}

    def batch_decode(self, ids: Any, **_: Any) -> Any:
        return [self.model.detokenize(row) for row in np.asarray(ids)]
