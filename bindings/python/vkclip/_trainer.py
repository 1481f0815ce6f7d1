# SPDX-License-Identifier: MIT
"""Training."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Any, Iterator, Optional, Sequence, Tuple, Union

from . import _lib
from ._device import Device, OnDevice, open_device
from ._handle import Call, Caller, Handle, Progress
from ._library import check, lib
from ._struct import Path, describe, encode_paths, encode_strings, new, strings, value_of


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How a picture is changed each time it is shown, as OpenCLIP does it; vkclip.h describes all members.

    scale         the range of the crop's area as a fraction of the picture's; zeros: 0.9 to 1
    ratio         the range of the crop's width by its height; zeros: 3/4 to 4/3
    rotate        the most degrees by which the crop is rotated
    color_jitter  brightness, contrast, saturation and hue
    """

    off: bool = False
    scale: Tuple[float, float] = (0, 0)
    ratio: Tuple[float, float] = (0, 0)
    rotate: float = 0
    fill_mean: bool = False
    color_jitter: Tuple[float, float, float, float] = (0, 0, 0, 0)
    color_jitter_prob: float = 0
    gray_scale_prob: float = 0
    channel_gain: float = 0


@dataclasses.dataclass(frozen=True)
class TrainerInfo:
    """Describes a training run.

    step         steps done
    steps        steps of the whole run
    epoch_steps  steps per pass over the data
    batch        pairs per step
    batch_size   pairs computed at once
    incomplete   rows left out, without a picture or a caption
    """

    step: int
    steps: int
    epoch_steps: int
    batch: int
    batch_size: int
    parameters: int
    trained_parameters: int
    samples: int
    captions: int
    labels: int
    incomplete: int


@dataclasses.dataclass(frozen=True)
class TrainerMemory:
    """Bytes on the device, without the driver's own.

    least  bytes of activations that every placement needs
    """

    weights: int
    gradients: int
    moments: int
    activations: int
    least: int


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """One step of training.

    step       steps done, with this one
    grad_norm  the norm of all gradients together, before clipping
    waiting    the part of `seconds` spent waiting for pictures
    broken     samples so far that could not be read and were replaced by others
    cut        captions so far that were longer than the context
    """

    step: int
    loss: float
    lr: float
    logit_scale: float
    grad_norm: float
    loss_scale: float
    seconds: float
    waiting: float
    broken: int
    cut: int


@dataclasses.dataclass(frozen=True)
class Validation:
    """How well a run does on its validation data.

    image_to_text, text_to_image
                   recall at 1, 5 and 10 in per cent
    """

    images: int
    captions: int
    loss: float
    image_to_text: Tuple[float, float, float]
    text_to_image: Tuple[float, float, float]
    seconds: float


class Trainer(OnDevice):
    """A training run: an iterator of TrainResult.

        with vkclip.Trainer(model='models/emoji-clip', data='pairs.csv', output='run', epochs=2) as trainer:
            for result in trainer:
                print(result.step, result.loss)
            trainer.save_model()

    output      the folder of the run; with `resume` it goes on from its last saved step
    device      as Model takes it; False reads and checks everything, and trains nothing
    model       the checkpoint to go on from, or
    init        an architecture of `architectures`, or a configuration file, for random weights
    data        CSV or TSV files, or WebDataset's shards: 'train-{0000..0099}.tar', or
    data_raw    safetensors with prepared batches
    progress    is called in long calls, and cancels them by returning a true value, as Ctrl-C does: a step that is
                cancelled has changed nothing

    All other parameters have the names and defaults of OpenCLIP's options, which `vkclip train --help` lists and
    vkclip.h describes; 0 and None stand for the default.
    """

    def __init__(self, *, output: Path, device: Union[Device, str, int, None] = None, model: Optional[Path] = None,
                 init: Optional[Path] = None, vocab: Optional[Path] = None, activation: str = 'auto',
                 state_dict: Optional[str] = None, data: Union[Path, Sequence[Path], None] = None,
                 val_data: Optional[Path] = None, data_raw: Optional[Path] = None, csv_separator: str = '',
                 csv_img_key: Optional[str] = None, csv_caption_key: Optional[str] = None,
                 label_key: Optional[str] = None, templates: Sequence[str] = (),
                 augmentation: Optional[Augmentation] = None, workers: int = 0, batch_size: int = 0,
                 accum_freq: int = 0, lr: float = 0, beta1: float = 0, beta2: float = 0, eps: float = 0, wd: float = 0,
                 grad_clip_norm: float = 0, ema_decay: float = 0, warmup: int = 0, lr_scheduler: str = 'cosine',
                 steps_cooldown: int = 0, epochs_cooldown: int = 0, lr_cooldown_power: float = 0,
                 lr_cooldown_end: float = 0, steps: int = 0, epochs: int = 0, seed: int = 0,
                 freeze_bn_stats: bool = False, lock_image: bool = False, lock_text: bool = False,
                 lock_image_unlocked_groups: int = 0, lock_text_unlocked_layers: int = 0, precision: str = 'f32',
                 checkpoint_activations: bool = False, loss: str = 'auto', resume: bool = False,
                 keep: int = 0, progress: Optional[Progress] = None) -> None:
        # The parameters have the names of the struct's members, except for those that are taken out here.
        members = {name: value for name, value in locals().items()
                   if name not in ('self', 'device', 'data', 'templates', 'csv_separator', 'progress')}
        files = encode_paths(data or ())
        if len(csv_separator) > 1:
            raise ValueError(f'csv_separator is {csv_separator!r}, expected one character')
        params = new(_lib.vkclip_trainer_params, data=strings(files),
                     data_count=len(files), templates=strings(encode_strings(templates)),
                     template_count=len(templates), csv_separator=csv_separator.encode() or b'\0', **members)
        self._device, owned = (None, False) if device is False else open_device(device)
        parent = self._device._handle if self._device else None
        self._caller = Caller(progress)
        params.progress = self._caller.make_function()
        pointer = ctypes.POINTER(_lib.vkclip_trainer)()
        try:
            with self._caller.call(*([parent] if parent else [])):
                check(lib.vkclip_open_trainer(parent.pointer if parent else None, ctypes.byref(params),
                                              ctypes.byref(pointer)))
        except BaseException:
            lib.vkclip_close_trainer(ctypes.byref(pointer))
            if owned and self._device:
                self._device.close()
            raise
        self._owned = self._device if owned else None
        self._own(Handle('trainer', pointer, lib.vkclip_close_trainer, parent, params))

    def _run(self, function: Any, *arguments: Any) -> None:
        """Makes a call that asks the progress function."""
        with self._caller.call(self._handle):
            check(function(self._handle.pointer, *arguments))

    @property
    def info(self) -> TrainerInfo:
        """Describes the run as it is now."""
        info = new(_lib.vkclip_trainer_info)
        with Call(self._handle):
            check(lib.vkclip_get_trainer_info(self._handle.pointer, ctypes.byref(info)))
        return describe(TrainerInfo, info)

    def memory(self, *, checkpoint_activations: bool = False) -> TrainerMemory:
        """Tells what the run needs on a device, with recomputed activations or without."""
        memory = new(_lib.vkclip_trainer_memory)
        with Call(self._handle):
            check(lib.vkclip_measure_trainer(self._handle.pointer, checkpoint_activations, ctypes.byref(memory)))
        return describe(TrainerMemory, memory)

    def check_memory(self, device: Device) -> None:
        """Logs a warning where a device has less memory left than the run needs."""
        other = Device._handle_of(device)
        with Call(self._handle, other):
            check(lib.vkclip_check_trainer_memory(self._handle.pointer, other.pointer))

    def step(self) -> TrainResult:
        """Computes one step of the optimiser. Raises DivergedError if the loss or a gradient is not finite, which
        changes nothing."""
        result = new(_lib.vkclip_train_result)
        self._run(lib.vkclip_train_step, ctypes.byref(result))
        return describe(TrainResult, result)

    def __iter__(self) -> Iterator[TrainResult]:
        """Computes the steps that are left."""
        while self.info.step < self.info.steps:
            yield self.step()

    def validate(self) -> Validation:
        """Measures the run as it is now on `val_data`."""
        result = new(_lib.vkclip_validation)
        self._run(lib.vkclip_validate_trainer, ctypes.byref(result))
        return describe(Validation, result)

    def save(self) -> str:
        """Saves the run as it is now, for `resume`. Returns the folder, which is also an ordinary checkpoint."""
        path = ctypes.create_string_buffer(4096)
        self._run(lib.vkclip_save_trainer, path, len(path))
        found: str = value_of(path.value)
        return found

    def save_model(self) -> None:
        """Writes the model as it is now into the run's folder."""
        self._run(lib.vkclip_save_trained_model)

    def __repr__(self) -> str:
        return '<vkclip.Trainer, closed>' if self.closed else f'<vkclip.Trainer, step {self.info.step}>'
