# SPDX-License-Identifier: MIT
"""Finds and loads libvkclip, turns its errors into exceptions and its log into Python's."""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
import os
import sys
from typing import Any, Dict, Iterator, Optional, Tuple, Type

from . import _lib

if sys.platform == 'win32':
    _NAME = 'vkclip.dll'
elif sys.platform == 'darwin':
    _NAME = 'libvkclip.dylib'
else:
    _NAME = 'libvkclip.so'


def _candidates() -> Iterator[str]:
    """Yields the libraries to try, the first of which that exists is taken."""
    named = os.environ.get('VKCLIP_LIBRARY')
    if named:
        yield named
        return
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), _NAME)
    if os.path.exists(beside):
        yield beside
        return
    if sys.platform.startswith('linux'):
        yield f'libvkclip.so.{_lib.VKCLIP_VERSION_MAJOR}.{_lib.VKCLIP_VERSION_MINOR}'
    found = ctypes.util.find_library('vkclip')
    if found:
        yield found


def _load() -> Any:
    failures = []
    for path in _candidates():
        try:
            found = ctypes.CDLL(path)
            break
        except OSError as error:
            failures.append(str(error))
    else:
        raise ImportError('libvkclip was not found: neither beside the package nor where the system looks for '
                          'libraries; VKCLIP_LIBRARY can name it. ' + '; '.join(failures))
    _lib.declare(found)
    version = found.vkclip_version().decode()
    expected = f'{_lib.VKCLIP_VERSION_MAJOR}.{_lib.VKCLIP_VERSION_MINOR}.'
    if not version.startswith(expected):
        raise ImportError(f'{found._name} is version {version}, expected {expected}*: other versions '
                          'have another interface')
    if found.vkclip_read_environment():
        raise MemoryError(found.vkclip_last_error().decode())
    return found


lib = _load()
version: str = lib.vkclip_version().decode()


class Error(RuntimeError):
    """What a function of libvkclip failed with. `code` is one of the numbers VKCLIP_E* of vkclip.h."""

    code = 0


class InvalidArgumentError(Error, ValueError):
    """An argument is out of its range or does not fit the model."""


class HostMemoryError(Error, MemoryError):
    """The host has no memory left."""


class FileError(Error, OSError):
    """A file cannot be read or written."""


class FormatError(Error, ValueError):
    """A file is malformed."""


class UnsupportedError(Error):
    """A file is well-formed, but this build of libvkclip does not support it."""


class DeviceError(Error):
    """A Vulkan device failed."""


class NoDeviceError(DeviceError):
    """There is no usable Vulkan device, or none of that name."""


class DeviceMemoryError(DeviceError, MemoryError):
    """The device has no memory left."""


class DeviceLostError(DeviceError):
    """The driver crashed or stopped the device."""


class TextTooLongError(Error, ValueError):
    """A text is longer than the model's context."""


class AbsentError(Error, LookupError):
    """The checkpoint does not have what was asked for, such as a tower or a vocabulary."""


class DivergedError(Error):
    """Training came to a number that is not finite."""


class CancelledError(Error):
    """A progress function stopped the call."""


_CLASSES: Dict[int, Type[Error]] = {
    _lib.VKCLIP_EINVALID: InvalidArgumentError, _lib.VKCLIP_EMEMORY: HostMemoryError, _lib.VKCLIP_EIO: FileError,
    _lib.VKCLIP_EFORMAT: FormatError, _lib.VKCLIP_EUNSUPPORTED: UnsupportedError, _lib.VKCLIP_ENODEVICE: NoDeviceError,
    _lib.VKCLIP_EDEVICE: DeviceError, _lib.VKCLIP_EDEVICEMEMORY: DeviceMemoryError,
    _lib.VKCLIP_ETOOLONG: TextTooLongError, _lib.VKCLIP_EABSENT: AbsentError, _lib.VKCLIP_ELOST: DeviceLostError,
    _lib.VKCLIP_EDIVERGED: DivergedError, _lib.VKCLIP_ECANCELLED: CancelledError,
}


def make_error(code: int, message: Optional[str] = None) -> Error:
    """Returns the exception for an error code, by default with the message of this thread's last error."""
    if message is None:
        message = lib.vkclip_last_error().decode('utf-8', 'replace')
    error = _CLASSES.get(code, Error)(message or lib.vkclip_error_text(code).decode())
    error.code = code
    return error


def check(code: int) -> None:
    """Raises the exception for an error code, unless it is VKCLIP_OK."""
    if code != _lib.VKCLIP_OK:
        raise make_error(code)


_logger = logging.getLogger('vkclip')
# Errors also become exceptions, which say the same.
_levels = {_lib.VKCLIP_LOG_ERROR: logging.DEBUG, _lib.VKCLIP_LOG_WARNING: logging.WARNING,
           _lib.VKCLIP_LOG_INFO: logging.INFO, _lib.VKCLIP_LOG_DEBUG: logging.DEBUG}


def _log(user: Any, level: Any, message: bytes) -> None:
    _logger.log(_levels.get(level.value, logging.DEBUG), '%s', message.decode('utf-8', 'replace'))


_log_function = _lib.vkclip_log_fn(_log)
lib.vkclip_set_log(_log_function, None)


def build() -> Tuple[str, ...]:
    """Names what this build of the library has of what builds may leave out: the parts 'training', 'torch', 'hub' and
    'search', and the libraries 'postgresql', 'tar', 'jpeg', 'png', 'exif', 'webp', 'tiff', 'heif', 'avif' and
    'jxl'."""
    names: bytes = lib.vkclip_get_build()
    return tuple(names.decode().split())
