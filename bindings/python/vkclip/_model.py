# SPDX-License-Identifier: MIT
"""Models."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import warnings
from typing import (Any, BinaryIO, Callable, ContextManager, Dict, Iterable, List, Literal, Mapping, Optional, Sequence,
                    Tuple, Union, cast, overload)

import numpy as np
import numpy.typing as npt

from . import _lib
from ._device import Device, OnDevice, open_device
from ._handle import Call, Handle, Progress
from ._image import Images, Picture, Pictures, is_path, split
from ._job import Job
from ._library import check, lib
from ._model_info import Explanation, ModelInfo, Node, Profile, describe_model
from ._prompt import Prompt, prompt_params, take_prompt
from ._struct import (FloatArray, IntArray, Path, convert, describe, encode_path, encode_paths, encode_strings,
                      encode_texts, floats, integers, new, numbers, strings, type_name)

Labels = Union[Sequence[str], npt.NDArray[Any]]
Texts = Union[str, Iterable[str]]
Source = Union[str, 'os.PathLike[str]', bytes, bytearray, memoryview, BinaryIO]


def _result(shape: Tuple[int, ...], out: Optional[FloatArray]) -> FloatArray:
    """Returns the array for a result: `out` if the caller gave one."""
    if out is None:
        return np.empty(shape, np.float32)
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or out.shape != shape \
            or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f'`out` must be a writable dense array of float32 with the shape {list(shape)}')
    return out


def _choose_source(model: Source) -> Tuple[Any, Tuple[Any, ...], Any]:
    """Returns the function that opens a model, its arguments after the device, and the memory that it reads or None."""
    if is_path(model):
        return lib.vkclip_open_model, (encode_path(model),), None
    file: Any = model
    if hasattr(file, 'read'):
        try:
            return lib.vkclip_open_model_file, (file.fileno(), 0, 0), None
        except OSError:
            # A file that is in memory has no descriptor.
            model = file.read()
    if not isinstance(model, (bytes, bytearray, memoryview)):
        raise TypeError(f'a model cannot be {type_name(model)}: expected a path, a name, an open file or bytes')
    data = np.frombuffer(model, np.uint8)
    return lib.vkclip_open_model_memory, (data.ctypes.data, data.size), data


def _split_texts(texts: Texts) -> Tuple[List[bytes], bool]:
    """Returns a list of texts in UTF-8, and whether the caller gave one text instead of several."""
    single = isinstance(texts, str)
    return encode_texts([texts] if isinstance(texts, str) else texts), single


def _take_failure(item: Any, failed: List[int]) -> None:
    """Warns of an item that failed, at the line of the program that has called this package."""
    if not item.error:
        return
    failed.append(item.index)
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get('__package__') in (__package__, ''):
        level, frame = level + 1, frame.f_back
    warnings.warn(os.fsdecode(item.message), RuntimeWarning, stacklevel=level)


def _clear(result: FloatArray, failures: List[int]) -> None:
    """Fills the rows of items that failed. The library leaves undefined what is in them."""
    result[failures] = np.nan


def _join(pieces: List[Tuple[int, FloatArray]]) -> FloatArray:
    """Joins the tensors of batches. Those of texts may have as many tokens as the longest text of their batch."""
    arrays = [array for _, array in sorted(pieces, key=lambda piece: piece[0])]
    shape = np.max([array.shape[1:] for array in arrays], axis=0)
    filled = [np.pad(array, [(0, 0), *((0, most - size) for most, size in zip(shape, array.shape[1:]))])
              for array in arrays]
    return np.concatenate(filled)


class Model(OnDevice):
    """A CLIP model.

    model         a folder or file of Hugging Face, OpenCLIP, OpenAI or GGUF, or the name of a model that `vkclip pull`
                  or Hugging Face's hub client has downloaded; also an open file or the bytes of a file, without the
                  files beside it, which is enough for GGUF. Bytes are not copied and must not change while the model
                  is open.
    device        a Device, or what Device takes for it; None opens the best one, and False none, which is enough for
                  `tokenize` and `preprocess`
    precision     'f32' or 'f16'
    weights       how the device stores matrices: 'auto', 'f16', 'q8' or 'q4'
    compute       with 'f16' the device multiplies in fp16
    vocab         the file of the vocabulary, if it is not beside the model
    image_size    pixels per side of the pictures, if not the model's; its table of positions is interpolated
    max_batch     the most items that are computed at once; 0: the device's limits decide
    activation    of a state dict that has no configuration: 'auto', 'quick-gelu' or 'gelu'
    text_encoder  which one of a diffusion model in one file: 'clip_l', 'clip_h', 'clip_g', 't5xxl', 'umt5xxl'
    state_dict    which weights of a file with several sets
    stream        blocks of weights take turns on the device, which needs little memory there
    name          what messages call a model of bytes or of an open file
    hub_dir       the hub's cache, if it is not where the environment says
    progress      is called while the model is opened, and cancels that by returning a true value

    In the shapes below, N is a number of pictures, M of texts, L of labels, D the width of embeddings, T the tokens of
    a text, and S the pixels per side. A method that is given one picture or text returns a result without the first
    axis. Methods that encode take
        normalize   divide each embedding by its norm
        features    not embeddings but states of the tokens, [N, tokens, width]: LAYER, such as '-2', 'LAYER,no-class',
                    'llava', 'ip-adapter' or 'ip-adapter-plus', as `vkclip embed --features` takes them
        progress    is called with the numbers of items that are done and of all items, and cancels the call by
                    returning a true value; Ctrl-C cancels, too
        out         a dense array of float32 that takes the result
        wait        False returns a Job at once
    """

    def __init__(self, model: Source, *, device: Union[Device, str, int, None, Literal[False]] = None,
                 precision: str = 'f32', weights: str = 'auto', compute: str = 'f32', vocab: Optional[Path] = None,
                 image_size: int = 0, max_batch: int = 0, activation: str = 'auto',
                 text_encoder: Optional[str] = None, state_dict: Optional[str] = None, stream: bool = False,
                 name: Optional[str] = None, hub_dir: Optional[Path] = None, progress: Optional[Progress] = None
                 ) -> None:
        params = new(_lib.vkclip_model_params, precision=precision, weights=weights, compute=compute, vocab=vocab,
                     image_size=image_size, max_batch=max_batch, activation=activation,
                     text_encoder=text_encoder, state_dict=state_dict, stream=stream, name=name, hub_dir=hub_dir)
        function, arguments, memory = _choose_source(model)
        self._device, owned = (None, False) if device is False else open_device(device)
        parent = self._device._handle if self._device else None
        pointer = ctypes.POINTER(_lib.vkclip_model)()
        try:
            with Call(*([parent] if parent else []), progress=progress) as call:
                params.progress = call.progress
                check(function(parent.pointer if parent else None, *arguments, ctypes.byref(params),
                               ctypes.byref(pointer)))
        except BaseException:
            # Ctrl-C may also come when the model is open.
            lib.vkclip_close_model(ctypes.byref(pointer))
            if owned and self._device:
                self._device.close()
            raise
        self._owned = self._device if owned else None
        self._own(Handle('model', pointer, lib.vkclip_close_model, parent, memory))
        self._info = describe_model(pointer)

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
        """T; 0 for T5, which takes texts of any length."""
        return self._info.context or self._info.tokenizer_context

    # ---- Encoding ----

    def _encode(self, tower: int, function: Any, arguments: Tuple[Any, ...], count: int, single: bool, *,
                features: Optional[str] = None, length: int = 0, progress: Optional[Progress] = None,
                out: Optional[FloatArray] = None, wait: bool = True,
                source: Optional[ContextManager[Any]] = None, give: Optional[Callable[..., None]] = None,
                hidden: Optional[Callable[..., None]] = None, nan: bool = False, **members: Any
                ) -> Union[FloatArray, Job]:
        """Calls one of the functions that encode, with its arguments between the model and the params.

        `source` makes what the arguments point to, `give` is the first argument of vkclip_encode_source, `hidden` gets
        intermediate tensors, and with `nan` an item that fails is a row of NaN.
        """
        shape: Tuple[int, ...] = (self._info.text_embed_dim if tower else self.embed_dim,)
        call = Call(self._handle, progress=progress)
        with contextlib.ExitStack() as work:
            params = new(_lib.vkclip_encode_params, **members)
            if features is not None:
                params.features = ctypes.pointer(_lib.vkclip_features())
                shape = self._features_shape(tower, features, params.features, length)
            result = _result(shape if single else (count, *shape), out)
            params.progress = call.progress
            if hidden:
                params.hidden = call.wrap(_lib.vkclip_hidden_fn, hidden)
            if give:
                arguments = (call.wrap(_lib.vkclip_source_fn, give), *arguments)
            if nan:
                failures: List[int] = []
                params.item = call.wrap(_lib.vkclip_item_fn, lambda place: _take_failure(place.contents, failures))
                work.callback(_clear, result, failures)
            if source:
                work.enter_context(source)

            def start(params: Any) -> int:
                code: int = function(self._handle.pointer, *arguments, ctypes.byref(params), floats(result))
                return code

            if not wait:
                work.callback(lambda *_: None, arguments)  # keeps what the library reads
                return Job(call, work.pop_all(), start, params, result)
            with call:
                check(start(params))
        return result

    def _features_shape(self, tower: int, text: str, features: Any, length: int) -> Tuple[int, ...]:
        if not isinstance(text, str):
            raise TypeError(f'features is {text!r}, expected str')
        check(lib.vkclip_parse_features(text.encode(), features))
        shape = (ctypes.c_size_t * 2)()
        with Call(self._handle):
            check(lib.vkclip_get_features_shape(self._handle.pointer, tower, features, length, shape))
        return tuple(shape)

    @overload
    def encode_image(self, images: Images, *, normalize: bool = True, features: Optional[str] = None,
                     progress: Optional[Progress] = None, out: Optional[FloatArray] = None,
                     wait: Literal[True] = True) -> FloatArray: ...

    @overload
    def encode_image(self, images: Images, *, normalize: bool = True, features: Optional[str] = None,
                     progress: Optional[Progress] = None, out: Optional[FloatArray] = None,
                     wait: Literal[False]) -> Job: ...

    def encode_image(self, images: Images, *, normalize: bool = True, features: Optional[str] = None,
                     progress: Optional[Progress] = None, out: Optional[FloatArray] = None,
                     wait: bool = True) -> Union[FloatArray, Job]:
        """Encodes pictures to float32 [N, D], or one picture to [D].

        A picture is a PIL.Image, an array of uint8 [height, width] or [height, width, channels], of which rows may
        lie apart without a copy, the path of a file, or the bytes of a file; an array [N, height, width, channels] is
        N pictures. Except for a list of paths, all pictures are in memory at once: see also `encode_source`.
        """
        pictures, single = split(images)
        if not single and pictures and all(map(is_path, pictures)):
            return self._encode_files(encode_paths(pictures), no_normalize=not normalize, features=features,
                                      progress=progress, out=out, wait=wait)
        source = Pictures(pictures)
        return self._encode(_lib.VKCLIP_TOWER_IMAGE, lib.vkclip_encode_images, (source.array, len(pictures)),
                            len(pictures), single, source=source, no_normalize=not normalize, features=features,
                            progress=progress, out=out, wait=wait)

    def _encode_files(self, paths: List[bytes], **options: Any) -> Union[FloatArray, Job]:
        return self._encode(_lib.VKCLIP_TOWER_IMAGE, lib.vkclip_encode_files, (strings(paths), len(paths)),
                            len(paths), False, **options)

    @overload
    def encode_files(self, paths: Iterable[Path], *, normalize: bool = True, on_error: str = 'raise',
                     orient: bool = False, fast_decode: bool = False, max_pixels: int = 0,
                     features: Optional[str] = None, progress: Optional[Progress] = None,
                     out: Optional[FloatArray] = None, wait: Literal[True] = True) -> FloatArray: ...

    @overload
    def encode_files(self, paths: Iterable[Path], *, normalize: bool = True, on_error: str = 'raise',
                     orient: bool = False, fast_decode: bool = False, max_pixels: int = 0,
                     features: Optional[str] = None, progress: Optional[Progress] = None,
                     out: Optional[FloatArray] = None, wait: Literal[False]) -> Job: ...

    def encode_files(self, paths: Iterable[Path], *, normalize: bool = True, on_error: str = 'raise',
                     orient: bool = False, fast_decode: bool = False, max_pixels: int = 0,
                     features: Optional[str] = None, progress: Optional[Progress] = None,
                     out: Optional[FloatArray] = None, wait: bool = True) -> Union[FloatArray, Job]:
        """Encodes picture files to float32 [N, D].

        The library reads and prepares them on its own threads while the device computes, with few in memory at once.
        With `on_error` 'nan' a file that cannot be read is a row of NaN and a RuntimeWarning. `orient` turns pictures
        as their EXIF data say, `fast_decode` decodes large JPEGs at a part of their size, and a picture of more than
        `max_pixels` is refused (0: 89,478,485).
        """
        if on_error not in ('raise', 'nan'):
            raise ValueError(f"on_error is {on_error!r}, expected 'raise' or 'nan'")
        if is_path(paths):
            raise TypeError(f'paths is one path, {paths!r}: expected several, as [path]')
        return self._encode_files(encode_paths(paths), no_normalize=not normalize, orient=orient,
                                  fast_decode=fast_decode, max_pixels=max_pixels, features=features,
                                  progress=progress, out=out, wait=wait, nan=on_error == 'nan')

    def encode_source(self, source: Callable[[int], Picture], count: int, *, normalize: bool = True,
                      features: Optional[str] = None, progress: Optional[Progress] = None,
                      out: Optional[FloatArray] = None) -> FloatArray:
        """Encodes pictures that a function gives to float32 [N, D], with few of them in memory at once.

        `source` gets a number from 0 to `count` - 1 and returns that picture, in a form that `encode_image` takes or
        prepared as float [3, S, S]. It is called in threads of the library, on several at once.
        """
        def give(number: int, values: Any) -> None:
            image = source(number)
            target = np.ctypeslib.as_array(values, (3, self.image_size, self.image_size))
            prepared = getattr(getattr(image, 'dtype', None), 'kind', '') == 'f'
            target[:] = numbers(image, np.float32, 'the pixel values', target.shape)[0] if prepared \
                else self.preprocess(image)

        result = self._encode(_lib.VKCLIP_TOWER_IMAGE, lib.vkclip_encode_source, (count,), count, False, give=give,
                              no_normalize=not normalize, features=features, progress=progress, out=out)
        return cast(FloatArray, result)

    @overload
    def encode_text(self, texts: Texts, *, normalize: bool = True, truncate: bool = True,
                    features: Optional[str] = None, progress: Optional[Progress] = None,
                    out: Optional[FloatArray] = None, wait: Literal[True] = True) -> FloatArray: ...

    @overload
    def encode_text(self, texts: Texts, *, normalize: bool = True, truncate: bool = True,
                    features: Optional[str] = None, progress: Optional[Progress] = None,
                    out: Optional[FloatArray] = None, wait: Literal[False]) -> Job: ...

    def encode_text(self, texts: Texts, *, normalize: bool = True, truncate: bool = True,
                    features: Optional[str] = None, progress: Optional[Progress] = None,
                    out: Optional[FloatArray] = None, wait: bool = True) -> Union[FloatArray, Job]:
        """Encodes texts to float32 [M, D], or one text to [D].

        A text longer than the context is cut with a warning in the log, or with `truncate` false raises
        TextTooLongError.
        """
        items, single = _split_texts(texts)
        lengths = (ctypes.c_size_t * max(len(items), 1))(*map(len, items))
        return self._encode(_lib.VKCLIP_TOWER_TEXT, lib.vkclip_encode_texts, (strings(items), len(items)), len(items),
                            single, no_normalize=not normalize, strict=not truncate,
                            lengths=ctypes.cast(lengths, ctypes.POINTER(ctypes.c_size_t)), features=features,
                            progress=progress, out=out, wait=wait)

    @overload
    def encode_pixels(self, pixel_values: npt.ArrayLike, *, normalize: bool = True, features: Optional[str] = None,
                      progress: Optional[Progress] = None, out: Optional[FloatArray] = None,
                      wait: Literal[True] = True) -> FloatArray: ...

    @overload
    def encode_pixels(self, pixel_values: npt.ArrayLike, *, normalize: bool = True, features: Optional[str] = None,
                      progress: Optional[Progress] = None, out: Optional[FloatArray] = None,
                      wait: Literal[False]) -> Job: ...

    def encode_pixels(self, pixel_values: npt.ArrayLike, *, normalize: bool = True, features: Optional[str] = None,
                      progress: Optional[Progress] = None, out: Optional[FloatArray] = None,
                      wait: bool = True) -> Union[FloatArray, Job]:
        """Encodes prepared pictures, float [N, 3, S, S] as `preprocess` makes them, to float32 [N, D]."""
        shape = (None, 3, self.image_size, self.image_size)
        pixels, single = numbers(pixel_values, np.float32, 'the pixel values', shape)
        return self._encode(_lib.VKCLIP_TOWER_IMAGE, lib.vkclip_encode_pixels, (floats(pixels), len(pixels)),
                            len(pixels), single, no_normalize=not normalize, features=features, progress=progress,
                            out=out, wait=wait)

    @overload
    def encode_tokens(self, ids: npt.ArrayLike, *, attention_mask: Optional[npt.ArrayLike] = None,
                      normalize: bool = True, features: Optional[str] = None, progress: Optional[Progress] = None,
                      out: Optional[FloatArray] = None, wait: Literal[True] = True) -> FloatArray: ...

    @overload
    def encode_tokens(self, ids: npt.ArrayLike, *, attention_mask: Optional[npt.ArrayLike] = None,
                      normalize: bool = True, features: Optional[str] = None, progress: Optional[Progress] = None,
                      out: Optional[FloatArray] = None, wait: Literal[False]) -> Job: ...

    def encode_tokens(self, ids: npt.ArrayLike, *, attention_mask: Optional[npt.ArrayLike] = None,
                      normalize: bool = True, features: Optional[str] = None, progress: Optional[Progress] = None,
                      out: Optional[FloatArray] = None, wait: bool = True) -> Union[FloatArray, Job]:
        """Encodes token ids, integers [M, T] as `tokenize` makes them, to float32 [M, D].

        `attention_mask`, of the same shape, is 0 for tokens that T5, BERT and XLM-R shall not attend to.
        """
        tokens, single = numbers(ids, np.int32, 'the ids', (None, None))
        mask = None
        if attention_mask is not None:
            mask = integers(numbers(attention_mask, np.int32, 'the numbers of attention_mask', tokens.shape)[0])
        return self._encode(_lib.VKCLIP_TOWER_TEXT, lib.vkclip_encode_tokens, (integers(tokens), *tokens.shape),
                            len(tokens), single, no_normalize=not normalize, attention_mask=mask,
                            length=tokens.shape[1], features=features, progress=progress, out=out, wait=wait)

    def hidden(self, images: Optional[Images] = None, texts: Optional[Texts] = None, *,
               progress: Optional[Progress] = None) -> Dict[str, FloatArray]:
        """Returns the intermediate tensors of pictures or texts by their names, each float32 [N, ...].

        vision.hidden.I and text.hidden.I are the input of the first block (0) and the output of block I; vkclip.h
        lists all names. Texts of different lengths in a T5 are filled with zeros.
        """
        if (images is None) == (texts is None):
            raise TypeError('hidden takes either images or texts')
        pieces: Dict[str, List[Tuple[int, FloatArray]]] = {}

        def take(name: bytes, data: Any, shape: Any, rank: int, first: int, items: int) -> None:
            sizes = (items, *shape[1:rank])
            pieces.setdefault(name.decode(), []).append((first, np.ctypeslib.as_array(data, sizes).copy()))

        if images is not None:
            pictures, _ = split(images)
            source = Pictures(pictures)
            self._encode(_lib.VKCLIP_TOWER_IMAGE, lib.vkclip_encode_images, (source.array, len(pictures)),
                         len(pictures), False, source=source, hidden=take, progress=progress)
        elif texts is not None:
            items, _ = _split_texts(texts)
            lengths = (ctypes.c_size_t * max(len(items), 1))(*map(len, items))
            self._encode(_lib.VKCLIP_TOWER_TEXT, lib.vkclip_encode_texts, (strings(items), len(items)), len(items),
                         False, hidden=take, progress=progress,
                         lengths=ctypes.cast(lengths, ctypes.POINTER(ctypes.c_size_t)))
        return {name: _join(arrays) for name, arrays in pieces.items()}

    # ---- Zero-shot use ----

    def encode_labels(self, labels: Sequence[str], templates: Union[str, Sequence[str], None] = None, *,
                      progress: Optional[Progress] = None) -> FloatArray:
        """Encodes labels to float32 [L, D]: each takes the place of '{}' in every template, and the embeddings of a
        label's texts are averaged. Without templates the labels are encoded as they are."""
        if isinstance(labels, str):
            raise TypeError(f'labels is one text, {labels!r}: expected several, as [label]')
        names = encode_strings(labels)
        frames = encode_strings([templates] if isinstance(templates, str) else templates or [])
        arguments = (strings(names), len(names), strings(frames) if frames else None, len(frames))
        result = self._encode(_lib.VKCLIP_TOWER_TEXT, lib.vkclip_encode_labels, arguments, len(names), False,
                              progress=progress)
        return cast(FloatArray, result)

    def classify(self, images: Images, labels: Labels, templates: Union[str, Sequence[str], None] = None, *,
                 progress: Optional[Progress] = None) -> FloatArray:
        """Returns the probabilities of labels, float32 [N, L], or [L] for one picture.

        They are the softmax over the labels, or in a model with `info.sigmoid` each one's own. `labels` are texts, or
        the result of `encode_labels`, which is computed once for many calls then.
        """
        embeds = labels if isinstance(labels, np.ndarray) else self.encode_labels(labels, templates)
        embeds, _ = numbers(embeds, np.float32, 'the embeddings of labels', (None, self._info.text_embed_dim))
        pictures, single = split(images)
        probs = np.empty((len(pictures), len(embeds)), np.float32)
        with Pictures(pictures) as array, Call(self._handle, progress=progress) as call:
            params = new(_lib.vkclip_encode_params, progress=call.progress)
            check(lib.vkclip_classify(self._handle.pointer, array, len(pictures), floats(embeds), len(embeds),
                                      ctypes.byref(params), None, floats(probs)))
        result: FloatArray = probs[0] if single else probs
        return result

    def similarity(self, image_embeds: npt.ArrayLike, text_embeds: npt.ArrayLike) -> FloatArray:
        """Returns the logits, float32 [N, M], of normalised embeddings [N, D] and [M, D]."""
        images, _ = numbers(image_embeds, np.float32, 'the embeddings of pictures', (None, self.embed_dim))
        texts, _ = numbers(text_embeds, np.float32, 'the embeddings of texts', (None, self.embed_dim))
        logits = np.empty((len(images), len(texts)), np.float32)
        with Call(self._handle):
            check(lib.vkclip_similarity(self._handle.pointer, floats(images), len(images), floats(texts), len(texts),
                                        floats(logits)))
        return logits

    # ---- Explanation and measuring ----

    def explain(self, image: Picture, texts: Union[Texts, npt.NDArray[Any]], *, layers: int = 0,
                progress: Optional[Progress] = None) -> Explanation:
        """Tells which patches of a picture speak for each text, by the method of Chefer, Gur and Wolf (2021).

        Instead of texts, embeddings [M, D] may be given, also of pictures. `layers` is how many of the last blocks are
        followed back; 0: all.
        """
        pictures, one = split(image)
        if not one:
            raise TypeError('explain takes one picture')
        embeds = texts if isinstance(texts, np.ndarray) else self.encode_text(texts)
        rows, single = numbers(embeds, np.float32, 'the embeddings', (None, self.embed_dim))
        grid = _lib.vkclip_grid()
        cosines = np.empty(len(rows), np.float32)
        with Pictures(pictures) as array, Call(self._handle, progress=progress) as call:
            model = self._handle.pointer
            check(lib.vkclip_get_grid(model, array[0].width, array[0].height, ctypes.byref(grid)))
            relevance = np.empty((len(rows), grid.side, grid.side), np.float32)
            params = new(_lib.vkclip_explain_params, layers=layers, progress=call.progress)
            check(lib.vkclip_explain(model, array, floats(rows), len(rows), ctypes.byref(params), floats(relevance),
                                     floats(cosines)))
        return describe(Explanation, grid, relevance=relevance[0] if single else relevance, cosines=cosines)

    def profile(self, tower: str = 'image', batch: int = 1, *, run: bool = True) -> Profile:
        """Tells what a batch of pictures ('image') or texts ('text') costs. With `run` the batch is computed once,
        and the result has its nodes with their times."""
        nodes: List[Node] = []

        def take(place: Any) -> None:
            nodes.append(describe(Node, place.contents))

        cost = new(_lib.vkclip_cost)
        names = {name: number for number, name in _lib.vkclip_tower.names.items()}
        if tower not in names:
            raise ValueError(f"tower is {tower!r}, expected 'image' or 'text'")
        count = convert(ctypes.c_uint32, 'batch', batch)
        with Call(self._handle) as call:
            node = call.wrap(_lib.vkclip_node_fn, take) if run else _lib.vkclip_node_fn(0)
            check(lib.vkclip_profile(self._handle.pointer, names[tower], count, node, None, ctypes.byref(cost)))
        return describe(Profile, cost, nodes=tuple(nodes))

    # ---- Preparation, which needs no device ----

    def tokenize(self, texts: Texts, *, context_length: Optional[int] = None, truncate: bool = True) -> IntArray:
        """Encodes texts to token ids, int32 [M, T], or one text to [T], with padding.

        T is `context_length` or the model's, or for T5 the longest text's. A longer text is cut, or with `truncate`
        false raises TextTooLongError.
        """
        items, single = _split_texts(texts)
        ids, _ = self.tokenize_encoded(items, context_length or self.context_length, truncate)
        result: IntArray = ids[0] if single else ids
        return result

    def tokenize_encoded(self, texts: List[bytes], length: int, truncate: bool
                         ) -> Tuple[IntArray, npt.NDArray[np.int64]]:
        """Returns token ids [M, T] of texts in UTF-8 with padding, and the numbers [M] of those that are no padding.
        With a `length` of 0, T is the longest text's."""
        flags = _lib.VKCLIP_TOKENIZE_PAD | (0 if truncate else _lib.VKCLIP_TOKENIZE_STRICT)
        counts = np.zeros(len(texts), np.int64)
        count = ctypes.c_size_t()
        with Call(self._handle):
            model = self._handle.pointer
            if not length:
                for text in texts:
                    check(lib.vkclip_tokenize(model, text, len(text), _lib.VKCLIP_TOKENIZE_FULL, None, 0,
                                              ctypes.byref(count)))
                    length = max(length, count.value)
            ids = np.zeros((len(texts), length), np.int32)
            for i, text in enumerate(texts):
                check(lib.vkclip_tokenize(model, text, len(text), flags, integers(ids[i]), length,
                                          ctypes.byref(count)))
                counts[i] = count.value
        return ids, counts

    def detokenize(self, ids: npt.ArrayLike) -> str:
        """Returns the text of token ids [T], with its start and its end."""
        tokens, _ = numbers(ids, np.int32, 'the ids', (None,))
        length = ctypes.c_size_t()
        text = ctypes.create_string_buffer(1)
        with Call(self._handle):
            for _ in range(2):
                check(lib.vkclip_detokenize(self._handle.pointer, integers(tokens), tokens.size, text, len(text),
                                            ctypes.byref(length)))
                if length.value < len(text):
                    break
                text = ctypes.create_string_buffer(length.value + 1)
        return text.raw[:length.value].decode('utf-8', 'replace')

    def tokenize_prompt(self, text: str, *, syntax: str = 'none', length: int = 0, strict: bool = False,
                        embeddings: Optional[Mapping[str, int]] = None) -> Prompt:
        """Makes the input of a diffusion model's text encoder from a prompt.

        `syntax` says what brackets mean: 'none', 'a1111', 'a1111-no-norm', 'a1111-ignore', 'a1111-none' or 'comfy'.
        `length` is that of a chunk; 0: the model's. With `strict`, text that is left out raises TextTooLongError.
        `embeddings` has the names of textual inversions and their numbers of vectors.
        """
        encoded = encode_texts([text])[0]
        prompt = new(_lib.vkclip_prompt)
        params = prompt_params(syntax, length, strict, embeddings)
        with Call(self._handle):
            check(lib.vkclip_tokenize_prompt(self._handle.pointer, encoded, len(encoded), ctypes.byref(params),
                                             ctypes.byref(prompt)))
        return take_prompt(prompt)

    def preprocess(self, image: Picture) -> FloatArray:
        """Prepares a picture: resizes, crops and normalises it to float32 [3, S, S], which `encode_pixels` takes."""
        pictures, single = split(image)
        if not single:
            raise TypeError('preprocess takes one picture')
        pixels = np.empty((3, self.image_size, self.image_size), np.float32)
        with Pictures(pictures) as array, Call(self._handle):
            check(lib.vkclip_preprocess(self._handle.pointer, array, None, floats(pixels)))
        return pixels

    def __repr__(self) -> str:
        return f'<vkclip.Model {self._info.weights_path}>'
