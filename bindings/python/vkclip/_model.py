# SPDX-License-Identifier: MIT
"""Models."""

import ctypes
import dataclasses
import os
import warnings
import weakref
from typing import Any, BinaryIO, Callable, Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np

from . import _lib
from ._device import Device, Handle, Lock
from ._image import Picture, Pictures, encode_path, is_path, split
from ._library import Callbacks, check, lib, make_error, new

Progress = Callable[[int, int], object]
"""Is called with the numbers of items that are done and of all items. A true result cancels the call."""
Labels = Union[Sequence[str], np.ndarray]
Source = Union[str, 'os.PathLike[str]', bytes, bytearray, memoryview, BinaryIO]

_PRECISIONS = {'f32': _lib.VKCLIP_PRECISION_F32, 'f16': _lib.VKCLIP_PRECISION_F16}
_COMPUTES = {'f32': _lib.VKCLIP_COMPUTE_F32, 'f16': _lib.VKCLIP_COMPUTE_F16}
_WEIGHTS = {'auto': _lib.VKCLIP_WEIGHTS_AUTO, 'f16': _lib.VKCLIP_WEIGHTS_F16, 'q8': _lib.VKCLIP_WEIGHTS_Q8,
            'q4': _lib.VKCLIP_WEIGHTS_Q4}
_FAMILIES = {_lib.VKCLIP_FAMILY_OPENAI: 'openai', _lib.VKCLIP_FAMILY_OPENCLIP: 'openclip', _lib.VKCLIP_FAMILY_HF: 'hf'}


@dataclasses.dataclass(frozen=True)
class TowerInfo:
    """The sizes of one tower."""

    width: int
    layers: int
    heads: int
    mlp: int
    positions: int
    """Tokens of a sequence: those of a text, or the patches of a picture and its class token."""
    projection: bool


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """Describes a model."""

    family: str
    """Whose files they are: 'openai', 'openclip', 'hf' or ''."""
    image: Optional[TowerInfo]
    """The image tower, None if the model has none."""
    text: Optional[TowerInfo]
    image_size: int
    """Pixels per side of the pictures that the image tower takes."""
    patch_size: int
    context: int
    """Tokens of a text, with its start and its end."""
    vocabulary: int
    embed_dim: int
    """The width of the embeddings of pictures."""
    text_embed_dim: int
    logit_scale: float
    sigmoid: bool
    """Each pair of a picture and a text has a probability of its own, as in SigLIP."""
    logit_bias: float
    image_mean: Tuple[float, float, float]
    image_std: Tuple[float, float, float]
    parameters: int
    weights_bytes: int
    """Memory on the device that the weights take."""
    tokenizer: bool
    """A vocabulary was found."""
    tokenizer_context: int
    weights_path: str
    weights_type: str
    tokenizer_path: str


def _describe(info) -> ModelInfo:
    values = {}
    for field in dataclasses.fields(ModelInfo):
        value = getattr(info, field.name)
        if isinstance(value, _lib.vkclip_tower_info):
            value = TowerInfo(**{part.name: getattr(value, part.name) for part in dataclasses.fields(TowerInfo)})
            value = value if value.layers else None
        elif isinstance(value, bytes):
            value = os.fsdecode(value)
        elif isinstance(value, ctypes.Array):
            value = tuple(value)
        values[field.name] = value
    values['family'] = _FAMILIES.get(info.family, '')
    return ModelInfo(**values)


def _choose(choices, name, value):
    if value not in choices:
        raise ValueError(f'{name} is {value!r}, expected one of {", ".join(map(repr, choices))}')
    return choices[value]


def _floats(array):
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def _encode_texts(texts: Sequence[str]) -> List[bytes]:
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f'a text is a {type(text).__name__}, expected str')
    # The library reads what is no UTF-8, such as half of a surrogate pair, as U+FFFD.
    return [text.encode('utf-8', 'surrogatepass') for text in texts]


def _strings(texts: Sequence[str]):
    """Returns the texts for the library, which end with NUL, and their numbers of bytes, which count NULs in them."""
    encoded = _encode_texts(texts)
    return ((ctypes.c_char_p * max(len(encoded), 1))(*encoded),
            (ctypes.c_size_t * max(len(encoded), 1))(*map(len, encoded)))


def _result(shape, out):
    """Returns the array for a result: `out` if the caller gave one."""
    if out is None:
        return np.empty(shape, np.float32)
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or out.shape != shape \
            or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f'`out` must be a writable dense array of float32 with the shape {list(shape)}')
    return out


def _numbers(values, kind, name, shape):
    """Returns an array of this kind and shape, in which None stands for any number. One item without the first axis
    counts as several; the second result tells whether it was so."""
    array = np.asarray(values)
    single = array.ndim == len(shape) - 1
    if single:
        array = array[None]
    if array.ndim != len(shape) or any(b is not None and a != b for a, b in zip(array.shape, shape)):
        expected = ', '.join('?' if size is None else str(size) for size in shape)
        raise ValueError(f'{name} have the shape {list(np.shape(values))}, expected [{expected}]')
    result = np.ascontiguousarray(array.astype(kind, casting='same_kind', copy=False))
    if kind == np.int32 and result.dtype != array.dtype and (result != array).any():
        raise ValueError(f'{name} have numbers of more than 32 bits')
    return result, single


def _choose_source(model):
    """Returns the function that opens a model, its arguments after the device, and the memory that it reads or None."""
    if is_path(model):
        return lib.vkclip_open_model, (encode_path(model),), None
    if hasattr(model, 'read'):
        try:
            return lib.vkclip_open_model_file, (model.fileno(), 0, 0), None
        except OSError:
            # A file that is in memory has no descriptor.
            model = model.read()
    data = np.frombuffer(model, np.uint8)
    return lib.vkclip_open_model_memory, (data.ctypes.data, data.size), data


class Model:
    """A CLIP model.

    `model` is a folder or file of Hugging Face, OpenCLIP, OpenAI or GGUF, or the name of a model that `vkclip
    pull` or Hugging Face's hub client has downloaded. `device` is a Device, or what Device takes for it; None opens
    the best one, and False none, which is enough for `tokenize` and `preprocess`. `precision` is 'f32' or 'f16';
    `weights` say how the device stores matrices: 'auto', 'f16', 'q8' or 'q4'; with `compute` 'f16' it multiplies in
    fp16. `vocab` names the file of the vocabulary, if it is not beside the model. `image_size`, `max_batch`,
    `text_encoder`, `state_dict` and `stream` are those of struct vkclip_model_params.
    `model` may also be an open file or the bytes of a file, without the files beside it, which is enough for GGUF. The
    bytes are not copied and must not change while the model is open. `name` is then what messages call it.

    In the shapes below, N is a number of pictures, M of texts, L of labels, D the width of embeddings, T the tokens of
    a text, and S the pixels per side. What is given one picture or text, returns a result without the first axis.
    Ctrl-C cancels opening and every call that encodes, and all other threads run during them; `progress` may cancel
    too.
    """

    def __init__(self, model: Source, *, device: Union[Device, str, int, None] = None,
                 precision: str = 'f32', weights: str = 'auto', compute: str = 'f32', vocab: Optional[str] = None,
                 image_size: int = 0, max_batch: int = 0, text_encoder: Optional[str] = None,
                 state_dict: Optional[str] = None, stream: bool = False, name: Optional[str] = None,
                 progress: Optional[Progress] = None) -> None:
        params = new(_lib.vkclip_model_params, precision=_choose(_PRECISIONS, 'precision', precision),
                     weights=_choose(_WEIGHTS, 'weights', weights), compute=_choose(_COMPUTES, 'compute', compute),
                     image_size=image_size, max_batch=max_batch, stream=stream)
        params.vocab = None if vocab is None else encode_path(vocab)
        params.text_encoder = None if text_encoder is None else text_encoder.encode()
        params.state_dict = None if state_dict is None else state_dict.encode()
        params.name = None if name is None else name.encode()
        function, arguments, memory = _choose_source(model)
        self._owned = None
        if device is not False and not isinstance(device, Device):
            device = self._owned = Device(device)
        self._device = device or None
        parent = self._device._handle if self._device else None
        self._handle = Handle(ctypes.POINTER(_lib.vkclip_model)(), lib.vkclip_close_model,
                              parent.lock if parent else Lock(), memory)
        try:
            with Callbacks(progress) as callbacks, self._handle.lock:
                params.progress = callbacks.progress
                check(function(parent.get() if parent else None, *arguments, ctypes.byref(params),
                               ctypes.byref(self._handle.pointer)))
                if parent:
                    parent.children.add(self._handle)
        except BaseException:
            # Ctrl-C may also come when the model is open.
            _finish(self._handle, parent)
            if self._owned:
                self._owned.close()
            raise
        self._finalizer = weakref.finalize(self, _finish, self._handle, parent)
        info = new(_lib.vkclip_model_info)
        check(lib.vkclip_get_model_info(self._handle.get(), ctypes.byref(info)))
        self._info = _describe(info)

    # ---- What the model is ----

    @property
    def info(self) -> ModelInfo:
        """Describes the model."""
        return self._info

    @property
    def device(self) -> Optional[Device]:
        """The device, None for a model without one."""
        return self._device

    @property
    def logit_scale(self) -> float:
        """The factor of similarities, exp of the stored value."""
        return self._info.logit_scale

    @property
    def embed_dim(self) -> int:
        """D of pictures."""
        return self._info.embed_dim

    @property
    def image_size(self) -> int:
        """S."""
        return self._info.image_size

    @property
    def context_length(self) -> int:
        """T."""
        return self._info.context or self._info.tokenizer_context

    # ---- Encoding ----

    def _encode(self, function, arguments, shape, progress, out=None, item=None, **members):
        """Calls one of the functions that encode, with its arguments between the model and the params."""
        result = _result(shape, out)
        with Callbacks(progress) as callbacks, self._handle.lock:
            params = new(_lib.vkclip_encode_params, progress=callbacks.progress, **members)
            if item:
                params.item = _lib.vkclip_item_fn(lambda user, place: callbacks.guard(item, place.contents, result))
            error = function(self._handle.get(), *arguments, ctypes.byref(params), _floats(result))
            if error != _lib.VKCLIP_OK:
                raise make_error(error)
        return result

    def encode_image(self, images: Union[Picture, Iterable[Picture]], *, normalize: bool = True,
                     progress: Optional[Progress] = None, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Encodes pictures to float32 [N, D], or one picture to [D].

        A picture is a PIL.Image, an array of uint8 [height, width] or [height, width, channels], of which rows may
        lie apart without a copy, the path of a file, or the bytes of a file; an array [N, height, width, channels] is
        N pictures. `normalize` divides each embedding by its norm. `out` is a dense array that takes the result.
        Except for a list of paths, all pictures are in memory at once.
        """
        pictures, single = split(images)
        shape = (len(pictures), self.embed_dim)
        target = out[None] if single and isinstance(out, np.ndarray) else out
        if not single and pictures and all(map(is_path, pictures)):
            result = self._encode_files(pictures, shape, progress, target, no_normalize=not normalize)
        else:
            with Pictures(pictures) as array:
                result = self._encode(lib.vkclip_encode_images, (array, len(pictures)), shape, progress, target,
                                      no_normalize=not normalize)
        return result[0] if single else result

    def _encode_files(self, paths, shape, progress, out, **members):
        encoded = [encode_path(path) for path in paths]
        array = (ctypes.c_char_p * max(len(encoded), 1))(*encoded)
        return self._encode(lib.vkclip_encode_files, (array, len(encoded)), shape, progress, out, **members)

    def encode_files(self, paths: Iterable[Union[str, 'os.PathLike[str]']], *, normalize: bool = True,
                     on_error: str = 'raise', orient: bool = False, fast_decode: bool = False,
                     progress: Optional[Progress] = None, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Encodes picture files to float32 [N, D].

        The library reads and prepares them on its own threads while the device computes, with few in memory at once.
        With `on_error` 'nan' a file that cannot be read is a row of NaN and a RuntimeWarning. `orient` turns pictures
        as their EXIF data say, and `fast_decode` decodes large JPEGs at a part of their size.
        """
        files = list(paths)

        def take(item, result):
            if item.error:
                result[item.index] = np.nan
                failed.append(item.index)
                warnings.warn(item.message.decode('utf-8', 'replace'), RuntimeWarning, stacklevel=4)

        failed: List[int] = []
        _choose({'raise': 0, 'nan': 0}, 'on_error', on_error)
        result = self._encode_files(files, (len(files), self.embed_dim), progress, out, no_normalize=not normalize,
                                    orient=orient, fast_decode=fast_decode, item=take if on_error == 'nan' else None)
        # The library leaves undefined what is in the rows of files that failed.
        result[failed] = np.nan
        return result

    def encode_text(self, texts: Union[str, Iterable[str]], *, normalize: bool = True, truncate: bool = True,
                    progress: Optional[Progress] = None, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Encodes texts to float32 [M, D], or one text to [D].

        A text longer than the context is cut with a warning in the log, or with `truncate` false raises
        TextTooLongError.
        """
        single = isinstance(texts, str)
        items = [texts] if single else list(texts)
        array, lengths = _strings(items)
        target = out[None] if single and isinstance(out, np.ndarray) else out
        result = self._encode(lib.vkclip_encode_texts, (array, len(items)), (len(items), self._info.text_embed_dim),
                              progress, target, no_normalize=not normalize, strict=not truncate,
                              lengths=ctypes.cast(lengths, ctypes.POINTER(ctypes.c_size_t)))
        return result[0] if single else result

    def encode_pixels(self, pixel_values: np.ndarray, *, normalize: bool = True, progress: Optional[Progress] = None
                      ) -> np.ndarray:
        """Encodes prepared pictures, float [N, 3, S, S] as `preprocess` makes them, to float32 [N, D]."""
        size = self.image_size
        pixels, single = _numbers(pixel_values, np.float32, 'the pixel values', (None, 3, size, size))
        result = self._encode(lib.vkclip_encode_pixels, (_floats(pixels), len(pixels)), (len(pixels), self.embed_dim),
                              progress, no_normalize=not normalize)
        return result[0] if single else result

    def encode_tokens(self, ids: np.ndarray, *, attention_mask: Optional[np.ndarray] = None, normalize: bool = True,
                      progress: Optional[Progress] = None) -> np.ndarray:
        """Encodes token ids, integers [M, T] as `tokenize` makes them, to float32 [M, D].

        `attention_mask`, of the same shape, is 0 for tokens that T5, BERT and XLM-R shall not attend to.
        """
        tokens, single = _numbers(ids, np.int32, 'the ids', (None, None))
        members = {}
        pointer = ctypes.POINTER(ctypes.c_int32)
        if attention_mask is not None:
            mask, _ = _numbers(attention_mask, np.int32, 'the numbers of attention_mask', tokens.shape)
            members['attention_mask'] = mask.ctypes.data_as(pointer)
        result = self._encode(lib.vkclip_encode_tokens, (tokens.ctypes.data_as(pointer), *tokens.shape),
                              (len(tokens), self._info.text_embed_dim), progress, no_normalize=not normalize, **members)
        return result[0] if single else result

    # ---- Zero-shot use ----

    def encode_labels(self, labels: Sequence[str], templates: Union[str, Sequence[str], None] = None, *,
                      progress: Optional[Progress] = None) -> np.ndarray:
        """Encodes labels to float32 [L, D]: each takes the place of '{}' in every template, and the embeddings of a
        label's texts are averaged. Without templates the labels are encoded as they are."""
        if isinstance(labels, str):
            raise TypeError('labels must be several texts')
        for text in [*labels, *(templates or ())]:
            if '\0' in text:
                raise ValueError('a label or a template cannot have a NUL')
        sentences = [templates] if isinstance(templates, str) else list(templates or ())
        names, _ = _strings(list(labels))
        frames, _ = _strings(sentences)
        return self._encode(lib.vkclip_encode_labels,
                            (names, len(labels), frames if sentences else None, len(sentences)),
                            (len(labels), self._info.text_embed_dim), progress)

    def classify(self, images: Union[Picture, Iterable[Picture]], labels: Labels,
                 templates: Union[str, Sequence[str], None] = None, *, progress: Optional[Progress] = None
                 ) -> np.ndarray:
        """Returns the probabilities of labels, float32 [N, L], or [L] for one picture.

        They are the softmax over the labels, or in a model with `info.sigmoid` each one's own. `labels` are texts, or
        the result of `encode_labels`, which is computed once for many calls then.
        """
        embeds = labels if isinstance(labels, np.ndarray) else self.encode_labels(labels, templates)
        embeds, _ = _numbers(embeds, np.float32, 'the embeddings of labels', (None, self._info.text_embed_dim))
        pictures, single = split(images)

        def call(model, array, count, params, probs):
            return lib.vkclip_classify(model, array, count, _floats(embeds), len(embeds), params, None, probs)

        with Pictures(pictures) as array:
            result = self._encode(call, (array, len(pictures)), (len(pictures), len(embeds)), progress)
        return result[0] if single else result

    def similarity(self, image_embeds: np.ndarray, text_embeds: np.ndarray) -> np.ndarray:
        """Returns the logits, float32 [N, M], of normalised embeddings [N, D] and [M, D]."""
        images, _ = _numbers(image_embeds, np.float32, 'the embeddings of pictures', (None, self.embed_dim))
        texts, _ = _numbers(text_embeds, np.float32, 'the embeddings of texts', (None, self.embed_dim))
        logits = np.empty((len(images), len(texts)), np.float32)
        with self._handle.use() as model:
            check(lib.vkclip_similarity(model, _floats(images), len(images), _floats(texts), len(texts),
                                        _floats(logits)))
        return logits

    # ---- Preparation, which needs no device ----

    def tokenize(self, texts: Union[str, Iterable[str]], *, context_length: Optional[int] = None,
                 truncate: bool = True) -> np.ndarray:
        """Encodes texts to token ids, int32 [M, T], or one text to [T], with padding.

        T is `context_length` or the model's. A longer text is cut, or with `truncate` false raises TextTooLongError.
        """
        single = isinstance(texts, str)
        items = _encode_texts([texts] if single else list(texts))
        ids, _ = self._tokenize(items, context_length or self.context_length, truncate)
        return ids[0] if single else ids

    def _tokenize(self, texts: List[bytes], length: int, truncate: bool) -> Tuple[np.ndarray, np.ndarray]:
        """Returns token ids [M, T] with padding, and the numbers [M] of those that are no padding."""
        flags = _lib.VKCLIP_TOKENIZE_PAD | (0 if truncate else _lib.VKCLIP_TOKENIZE_STRICT)
        ids, counts = np.zeros((len(texts), length), np.int32), np.zeros(len(texts), np.int64)
        count = ctypes.c_size_t()
        with self._handle.use() as model:
            for i, text in enumerate(texts):
                check(lib.vkclip_tokenize(model, text, len(text), flags,
                                          ids[i].ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), length,
                                          ctypes.byref(count)))
                counts[i] = count.value
        return ids, counts

    def detokenize(self, ids: np.ndarray) -> str:
        """Returns the text of token ids [T], with its start and its end."""
        tokens = np.ascontiguousarray(ids, np.int32).reshape(-1)
        pointer = tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        length = ctypes.c_size_t()
        text = ctypes.create_string_buffer(1)
        with self._handle.use() as model:
            for _ in range(2):
                check(lib.vkclip_detokenize(model, pointer, tokens.size, text, len(text), ctypes.byref(length)))
                if length.value < len(text):
                    break
                text = ctypes.create_string_buffer(length.value + 1)
        return text.value.decode('utf-8', 'replace')

    def preprocess(self, image: Picture) -> np.ndarray:
        """Prepares a picture: resizes, crops and normalises it to float32 [3, S, S], which `encode_pixels` takes."""
        pictures, single = split(image)
        if not single:
            raise TypeError('preprocess takes one picture')
        pixels = np.empty((3, self.image_size, self.image_size), np.float32)
        with Pictures(pictures) as array, self._handle.use() as model:
            check(lib.vkclip_preprocess(model, array, None, _floats(pixels)))
        return pixels

    # ---- The end ----

    def close(self) -> None:
        """Closes the model, and its device if the model has opened it. It may be called again."""
        with self._handle.lock:
            self._handle.close()
            if self._device:
                self._device._handle.children.discard(self._handle)
        if self._owned:
            self._owned.close()

    def __enter__(self) -> 'Model':
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<vkclip.Model {self._info.weights_path}>'


def _finish(handle, parent):
    """Closes a model that nothing refers to any more."""
    def close():
        handle.close()
        if parent:
            parent.children.discard(handle)
    handle.lock.close_later(close)
