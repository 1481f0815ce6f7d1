# SPDX-License-Identifier: MIT
"""CLIP of Hugging Face's transformers on vkclip: `from vkclip.transformers import CLIPModel, CLIPProcessor`, or AutoModel and
AutoProcessor, or `pipeline` for the task zero-shot-image-classification.

A model that is not in the hub's cache is downloaded (see vkclip.pull). Results are tensors in a program that has
imported PyTorch, and in any other arrays of NumPy that have the methods of tensors which programs for CLIP use
(vkclip._array.Array).
"""

from __future__ import annotations

import os
import urllib.request
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np

from ._array import as_array
from ._compat import CompatModel, as_plain, as_tensor, choose_device
from ._hub import open_or_pull
from ._image import is_path, load_image, split
from ._library import UnsupportedError
from ._model import Model
from ._struct import encode_texts

__all__ = ['AutoImageProcessor', 'AutoModel', 'AutoModelForZeroShotImageClassification', 'AutoProcessor',
           'AutoTokenizer', 'CLIPImageProcessor', 'CLIPModel', 'CLIPProcessor', 'CLIPTokenizer', 'pipeline']

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


def _refuse(options: Dict[str, Any]) -> None:
    for option, value in options.items():
        if value:
            raise UnsupportedError(f'vkclip has no option {option}')


def _collect(values: Dict[str, Any], return_tensors: Optional[str]) -> Outputs:
    convert = as_tensor if return_tensors == 'pt' else as_array
    return Outputs({name: convert(value) for name, value in values.items()})


class _Preparer:
    """What a model's files say of texts and pictures, without its weights."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @classmethod
    def from_pretrained(cls, name: Name, *_: Any, vocab: Optional[str] = None, **options: Any) -> Any:
        """Opens what a model says of texts and pictures, with options as those of CLIPModel."""
        return cls(_open(name, False, vocab, options))


class CLIPTokenizer(_Preparer):
    """Prepares texts."""

    def __call__(self, text: Union[str, Sequence[str]], padding: Union[bool, str] = False, truncation: bool = False,
                 max_length: Optional[int] = None, return_tensors: Optional[str] = None, **others: Any) -> Outputs:
        """Returns a dict: input_ids and attention_mask, int64 [M, T].

        T is the longest text's length, or the model's with `padding` 'max_length'. The results are arrays unless
        `return_tensors` is 'pt', so that texts of different lengths need `padding`.
        """
        _refuse(others)
        texts = [text] if isinstance(text, str) else list(text)
        length = max_length or self.model.context_length
        # A text that the model cannot take is an error here, where transformers fails in the model.
        ids, counts = self.model.tokenize_encoded(encode_texts(texts), length, truncation)
        if padding is False and len(set(counts)) > 1:
            raise ValueError('texts have different lengths: `padding` is needed')
        if padding != 'max_length':
            ids = ids[:, :max(counts)]
        mask = np.arange(ids.shape[1]) < counts[:, None]
        return _collect({'input_ids': ids.astype(np.int64), 'attention_mask': mask.astype(np.int64)}, return_tensors)

    def decode(self, ids: Any, **_: Any) -> str:
        """Returns the text of token ids."""
        return self.model.detokenize(as_plain(ids))

    def batch_decode(self, ids: Any, **_: Any) -> List[str]:
        """Returns the text of each row of token ids."""
        return [self.model.detokenize(row) for row in as_plain(ids)]


class CLIPImageProcessor(_Preparer):
    """Prepares pictures."""

    def __call__(self, images: Any, return_tensors: Optional[str] = None, **others: Any) -> Outputs:
        """Returns a dict: pixel_values, float32 [N, 3, S, S]."""
        _refuse(others)
        pictures, _ = split(images)
        return _collect({'pixel_values': np.stack([self.model.preprocess(picture) for picture in pictures])},
                        return_tensors)


class CLIPProcessor(_Preparer):
    """Prepares texts and pictures."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.tokenizer = CLIPTokenizer(model)
        self.image_processor = CLIPImageProcessor(model)
        self.decode, self.batch_decode = self.tokenizer.decode, self.tokenizer.batch_decode

    def __call__(self, text: Any = None, images: Any = None, return_tensors: Optional[str] = None, **options: Any
                 ) -> Outputs:
        """Returns a dict with the results of CLIPTokenizer, which takes the other options, and CLIPImageProcessor."""
        if text is None and images is None:
            raise ValueError('text or images are needed')
        result = Outputs()
        if text is not None:
            result.update(self.tokenizer(text, return_tensors=return_tensors, **options))
        if images is not None:
            result.update(self.image_processor(images, return_tensors))
        return result


# The names by which transformers chooses a class for a model.
AutoModel = AutoModelForZeroShotImageClassification = CLIPModel
AutoProcessor, AutoTokenizer, AutoImageProcessor = CLIPProcessor, CLIPTokenizer, CLIPImageProcessor


class ZeroShotImageClassificationPipeline:
    """Names what is in pictures."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @staticmethod
    def _load(image: Any, timeout: Optional[float]) -> Any:
        if isinstance(image, str) and image.startswith(('http://', 'https://')):
            with urllib.request.urlopen(image, timeout=timeout) as response:
                image = response.read()
        if not is_path(image) and not isinstance(image, bytes):
            return image
        # Files are turned as they say, as transformers does it. Four channels of pixels would be taken for RGBA, which
        # they are not in a file in CMYK.
        pixels = load_image(image, orient=True)
        return image if pixels.shape[2] == 4 else pixels

    def __call__(self, image: Any, candidate_labels: Union[str, Sequence[str]],
                 hypothesis_template: str = 'This is a photo of {}.', timeout: Optional[float] = None, **others: Any
                 ) -> Any:
        """Returns a list for a picture: of dicts with score and label, the best first. For several pictures it returns
        a list of such lists. A picture may also be an address."""
        _refuse(others)
        labels = candidate_labels.split(',') if isinstance(candidate_labels, str) else candidate_labels
        labels = [label.strip() for label in labels]
        pictures, single = split(image)
        embeds = self.model.encode_labels(labels, hypothesis_template)
        found: List[List[Dict[str, Any]]] = []
        for picture in pictures:
            probs = self.model.classify(self._load(picture, timeout), embeds)
            found.append([{'score': float(probs[i]), 'label': labels[i]} for i in np.argsort(-probs, kind='stable')])
        return found[0] if single else found


def pipeline(task: Optional[str] = None, model: Union[Name, CLIPModel] = 'openai/clip-vit-base-patch32', *_: Any,
             device: Any = None, **options: Any) -> ZeroShotImageClassificationPipeline:
    """Opens a model for the task zero-shot-image-classification, with options as those of CLIPModel."""
    if task != 'zero-shot-image-classification':
        raise UnsupportedError(f'vkclip has no pipeline for {task}: expected zero-shot-image-classification')
    opened = model if isinstance(model, CLIPModel) else CLIPModel.from_pretrained(model, device=device, **options)
    return ZeroShotImageClassificationPipeline(opened.model)
