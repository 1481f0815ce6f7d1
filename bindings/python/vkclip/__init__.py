# SPDX-License-Identifier: MIT
"""CLIP on Vulkan compute: turns pictures and texts into vectors of one space, on any GPU and without one.

    import vkclip

    with vkclip.Model('models/emoji-clip') as model:
        print(model.classify('owl.png', ['owl', 'pizza', 'robot'], 'a picture of {}'))

Model         encodes pictures and texts, classifies, explains, tokenizes and prepares
Device        a GPU that several models share, or the CPU; `devices` lists them
Job           what a method returns at once with `wait=False`: a future, which coroutines can await
Index         picture search: by texts, pictures and embeddings; duplicates
Trainer       trains a model, as an iterator of steps
Conditioner   the text encoders of a diffusion model
Archive       the pictures of a tar file; `load_image` decodes a file, `image_formats` lists what can be read
Probe         a classifier of embeddings, which `fit_probe` makes

`convert`, `compare`, `init_model` and `train_tokenizer` work on files of models and vocabularies. `pull` downloads a
model, and `published_models` lists those that have names. vkclip.clip, vkclip.open_clip, vkclip.sentence_transformers
and vkclip.transformers have the names that programs for other projects use.

All errors are vkclip.Error, and also what Python has for their kinds, such as OSError or ValueError. Messages of the
library go to the logger 'vkclip' of Python's logging.
"""

from ._condition import Conditioner, ConditionerInfo, Conditioning, EncoderInfo, PromptUsage
from ._device import Device, DeviceInfo, KernelCheck, Peaks, Tuning, devices, kernel_caps
from ._files import (Comparison, Conversion, TokenizerResult, architectures, compare, convert, diffusion_families,
                     init_model, train_tokenizer)
from ._hub import PublishedModel, is_cached, published_models, pull
from ._image import Archive, ImageFormat, Picture, find_image_format, image_formats, load_image
from ._index import (Filter, Group, Hit, ImportResult, Index, IndexFailure, IndexInfo, IndexModel, Query,
                     UpdateProgress, UpdateResult)
from ._job import Job
from ._library import (AbsentError, CancelledError, DeviceError, DeviceLostError, DeviceMemoryError, DivergedError,
                       Error, FileError, FormatError, HostMemoryError, InvalidArgumentError, NoDeviceError,
                       TextTooLongError, UnsupportedError, build, version as __version__)
from ._model import Model
from ._model_info import Explanation, ModelInfo, Node, Profile, TowerInfo
from ._probe import Probe, fit_probe
from ._prompt import Prompt
from ._trainer import Augmentation, Trainer, TrainerInfo, TrainerMemory, TrainResult, Validation

__all__ = [
    'AbsentError', 'Archive', 'Augmentation', 'CancelledError', 'Comparison', 'Conditioner', 'ConditionerInfo',
    'Conditioning', 'Conversion', 'Device', 'DeviceError', 'DeviceInfo', 'DeviceLostError', 'DeviceMemoryError',
    'DivergedError', 'EncoderInfo', 'Error', 'Explanation', 'FileError', 'Filter', 'FormatError', 'Group', 'Hit',
    'HostMemoryError', 'ImageFormat', 'ImportResult', 'Index', 'IndexFailure', 'IndexInfo', 'IndexModel',
    'InvalidArgumentError', 'Job', 'KernelCheck', 'Model', 'ModelInfo', 'NoDeviceError', 'Node', 'Peaks', 'Picture',
    'Probe', 'Profile', 'Prompt', 'PromptUsage', 'PublishedModel', 'Query', 'TextTooLongError', 'TokenizerResult',
    'TowerInfo', 'TrainResult', 'Trainer', 'TrainerInfo', 'TrainerMemory', 'Tuning', 'UnsupportedError',
    'UpdateProgress', 'UpdateResult', 'Validation', '__version__', 'architectures', 'build', 'compare', 'convert',
    'devices', 'diffusion_families', 'find_image_format', 'fit_probe', 'image_formats', 'init_model', 'is_cached',
    'kernel_caps', 'load_image', 'published_models', 'pull', 'train_tokenizer']

for _name in __all__:
    # Messages and documentation show the names under which programs know these classes and functions.
    if getattr(globals()[_name], '__module__', '').startswith('vkclip.'):
        globals()[_name].__module__ = 'vkclip'
