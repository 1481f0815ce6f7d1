# SPDX-License-Identifier: MIT
"""CLIP on Vulkan compute: turns pictures and texts into vectors of one space, on any GPU and without one.

    import vkclip

    with vkclip.Model('models/emoji-clip') as model:
        print(model.classify('owl.png', ['owl', 'pizza', 'robot'], 'a picture of {}'))

Messages of the library go to the logger 'vkclip' of Python's logging.
"""

from ._device import Device, DeviceInfo, devices
from ._image import Picture
from ._library import (AbsentError, CancelledError, DeviceError, DeviceLostError, DeviceMemoryError, Error, FileError,
                       FormatError, HostMemoryError, InvalidArgumentError, NoDeviceError, TextTooLongError,
                       UnsupportedError, version as __version__)
from ._model import Model, ModelInfo, TowerInfo

__all__ = ['AbsentError', 'CancelledError', 'Device', 'DeviceError', 'DeviceInfo', 'DeviceLostError',
           'DeviceMemoryError', 'Error', 'FileError', 'FormatError', 'HostMemoryError', 'InvalidArgumentError',
           'Model', 'ModelInfo', 'NoDeviceError', 'Picture', 'TextTooLongError', 'TowerInfo', 'UnsupportedError',
           '__version__', 'devices']

for _name in __all__:
    # Messages and documentation show the names under which programs know these classes.
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = 'vkclip'
