# SPDX-License-Identifier: MIT
"""Finds and loads libvkclip, turns its errors into exceptions and its log into Python's."""

import ctypes
import ctypes.util
import logging
import os
import signal
import sys
import threading

from . import _lib

if sys.platform == 'win32':
    _NAME = 'vkclip.dll'
elif sys.platform == 'darwin':
    _NAME = 'libvkclip.dylib'
else:
    _NAME = 'libvkclip.so'


def _candidates():
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


def _load():
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
version = lib.vkclip_version().decode()


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


class CancelledError(Error):
    """A progress function stopped the call."""


_CLASSES = {
    _lib.VKCLIP_EINVALID: InvalidArgumentError, _lib.VKCLIP_EMEMORY: HostMemoryError, _lib.VKCLIP_EIO: FileError,
    _lib.VKCLIP_EFORMAT: FormatError, _lib.VKCLIP_EUNSUPPORTED: UnsupportedError, _lib.VKCLIP_ENODEVICE: NoDeviceError,
    _lib.VKCLIP_EDEVICE: DeviceError, _lib.VKCLIP_EDEVICEMEMORY: DeviceMemoryError,
    _lib.VKCLIP_ETOOLONG: TextTooLongError, _lib.VKCLIP_EABSENT: AbsentError, _lib.VKCLIP_ELOST: DeviceLostError,
    _lib.VKCLIP_ECANCELLED: CancelledError,
}


def make_error(code, message=None):
    """Returns the exception for an error code, by default with the message of this thread's last error."""
    if message is None:
        message = lib.vkclip_last_error().decode('utf-8', 'replace')
    error = _CLASSES.get(code, Error)(message or lib.vkclip_error_text(code).decode())
    error.code = code
    return error


def check(code):
    """Raises the exception for an error code, unless it is VKCLIP_OK."""
    if code != _lib.VKCLIP_OK:
        raise make_error(code)


def new(kind, **members):
    """Makes a params or info struct that tells its size."""
    return kind(size=ctypes.sizeof(kind), **members)


class Callbacks:
    """What a call of the library does with functions of Python.

    An exception cannot pass through the library. Where a function raises one, it is kept, the call is cancelled, and
    the exception is raised at the end of the `with` statement. The same is done with Ctrl-C: while the main thread is
    in the library, the interrupt only sets a mark, at which the next callback cancels the call, because an exception
    that is raised between two instructions of a callback could be lost.
    """

    def __init__(self, progress=None):
        self._progress = progress
        self._exception = None
        self._interrupted = False
        self._before = None
        self.progress = _lib.vkclip_progress_fn(self._count)

    def guard(self, function, *arguments):
        """Calls a function. Returns 1, which cancels the call of the library, if it raises or returns a true value."""
        if self._interrupted or self._exception is not None:
            return 1
        try:
            return 1 if function(*arguments) else 0
        except BaseException as exception:
            self._exception = exception
            return 1

    def _count(self, user, done, total):
        return self.guard(self._progress, done, total) if self._progress else int(self._interrupted)

    def _interrupt(self, number, frame):
        self._interrupted = True

    def __enter__(self):
        if (threading.current_thread() is threading.main_thread()
                and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind, exception, trace):
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        # The function for the library and the kept exception refer to this object, which would live until Python's
        # collector runs.
        self.progress = None
        kept, self._exception = self._exception, None
        if kept is not None:
            raise kept
        if self._interrupted:
            raise KeyboardInterrupt
        return False


_logger = logging.getLogger('vkclip')
# Errors also become exceptions, which say the same.
_levels = {_lib.VKCLIP_LOG_ERROR: logging.DEBUG, _lib.VKCLIP_LOG_WARNING: logging.WARNING,
           _lib.VKCLIP_LOG_INFO: logging.INFO, _lib.VKCLIP_LOG_DEBUG: logging.DEBUG}


@_lib.vkclip_log_fn
def _log(user, level, message):
    _logger.log(_levels.get(level, logging.DEBUG), '%s', message.decode('utf-8', 'replace'))


lib.vkclip_set_log(_log, None)
