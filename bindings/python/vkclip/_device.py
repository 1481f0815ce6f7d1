# SPDX-License-Identifier: MIT
"""Devices, and the locks that let several threads share them."""

import contextlib
import ctypes
import dataclasses
import os
import threading
import weakref
from typing import List, Optional, Tuple, Union

from . import _lib
from ._library import Error, check, lib, new

_TYPES = {_lib.VKCLIP_DEVICE_OTHER: 'other', _lib.VKCLIP_DEVICE_CPU: 'cpu', _lib.VKCLIP_DEVICE_VIRTUAL: 'virtual',
          _lib.VKCLIP_DEVICE_INTEGRATED: 'integrated', _lib.VKCLIP_DEVICE_DISCRETE: 'discrete'}


@dataclasses.dataclass(frozen=True)
class DeviceInfo:
    """Describes a Vulkan device."""

    index: int
    """Its position in Vulkan's enumeration."""
    name: str
    type: str
    """'discrete', 'integrated', 'virtual', 'cpu' or 'other'."""
    driver: str
    api_version: Tuple[int, int, int]
    memory: int
    """Bytes of the largest heap on the device."""
    caps: Tuple[str, ...]
    """Optional features that were found and are usable."""
    usable: bool
    why: str
    """What the device lacks, if it is not usable."""
    uuid: bytes
    """Vulkan's deviceUUID, 16 bytes."""


def _describe(info) -> DeviceInfo:
    def text(value):
        return value.decode('utf-8', 'replace')
    return DeviceInfo(index=info.index, name=text(info.name), type=_TYPES.get(info.type, 'other'),
                      driver=text(info.driver), api_version=tuple(info.api_version), memory=info.memory,
                      caps=tuple(text(info.caps).split()), usable=info.usable, why=text(info.why),
                      uuid=bytes(info.uuid))


def _list_infos(function) -> List[DeviceInfo]:
    """Calls a function that lists infos: once to count them, and once to get them."""
    count = ctypes.c_size_t()
    check(function(None, 0, ctypes.byref(count)))
    if count.value == 0:
        return []
    infos = (_lib.vkclip_device_info * count.value)()
    infos[0].size = ctypes.sizeof(_lib.vkclip_device_info)
    check(function(infos, len(infos), ctypes.byref(count)))
    return [_describe(info) for info in infos[:count.value]]


def devices() -> List[DeviceInfo]:
    """Lists the Vulkan devices of this machine. Raises NoDeviceError where there is no Vulkan loader or driver."""
    return _list_infos(lib.vkclip_list_devices)


class Lock:
    """The lock of a device and its models, of which the library allows one call at a time.

    What a thread that must not wait wants to close, is closed by whoever has the lock, when it lets it go.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._owner = None
        self._pending = []

    def __enter__(self):
        if self._owner == threading.get_ident():
            raise Error('a callback cannot use the device or the models whose call it belongs to')
        self._lock.acquire()
        self._owner = threading.get_ident()
        return self

    def __exit__(self, *_):
        while self._pending:
            self._pending.pop()()
        self._owner = None
        self._lock.release()

    def close_later(self, close):
        """Calls `close` now if nobody has the lock, or else before it is free. Python's collector calls this at any
        moment, also within a callback of the thread that has the lock."""
        self._pending.append(close)
        if self._lock.acquire(blocking=False):
            self._owner = threading.get_ident()
            self.__exit__()


class Handle:
    """What the library knows of a device or a model. A device's handle has those of its models as `children`."""

    def __init__(self, pointer, close, lock, memory=None):
        self.pointer = pointer
        self.lock = lock
        self.memory = memory  # is read as long as the handle is open
        self.children = set()
        self._close = close
        self._uses = 0
        self._unused = threading.Condition()

    def get(self):
        if not self.pointer:
            raise ValueError('the device or the model is closed')
        return self.pointer

    @contextlib.contextmanager
    def use(self):
        """Keeps the handle open for a function that needs no lock, because any thread may call it at any time."""
        with self._unused:
            pointer = self.get()
            self._uses += 1
        try:
            yield pointer
        finally:
            with self._unused:
                self._uses -= 1
                self._unused.notify_all()

    def close(self):
        """Closes the handle after its children. The caller has the lock."""
        while self.children:
            self.children.pop().close()
        with self._unused:
            self._unused.wait_for(lambda: self._uses == 0)
            if self.pointer:
                self._close(ctypes.byref(self.pointer))
                self.pointer = self.memory = None

    def finish(self):
        self.lock.close_later(self.close)


class Device:
    """A Vulkan device, or several that share the work.

    `device` is a number or a part of a name, several of them with commas between, or 'all'; None takes the best
    device, or what the environment variable VKCLIP_DEVICE said at import. `cache_dir` is the folder for compiled
    kernels and measurements: None is the user's cache, '' keeps nothing. `threads` is how many threads of the host
    prepare pictures (0: as many as there are processors). With `background` the device and these threads give way to
    other programs.

    Several threads may use one device and its models: their calls wait for each other, and other threads of Python run
    meanwhile. A device closes itself and its models at the end of a `with` statement, by `close`, or when nothing
    uses it any more.
    """

    def __init__(self, device: Union[str, int, None] = None, *, cache_dir: Union[str, 'os.PathLike[str]', None] = None,
                 threads: int = 0, background: bool = False) -> None:
        params = new(_lib.vkclip_device_params, threads=threads, background=background)
        params.device = None if device is None else str(device).encode()
        params.cache_dir = None if cache_dir is None else os.fsencode(cache_dir)
        pointer = ctypes.POINTER(_lib.vkclip_device)()
        check(lib.vkclip_open_device(ctypes.byref(params), ctypes.byref(pointer)))
        self._handle = Handle(pointer, lib.vkclip_close_device, Lock())
        self._finalizer = weakref.finalize(self, self._handle.finish)
        self._infos = _list_infos(lambda *rest: lib.vkclip_get_device_infos(pointer, *rest))

    @property
    def infos(self) -> List[DeviceInfo]:
        """Describes the devices in the order named."""
        return list(self._infos)

    def close(self) -> None:
        """Closes the device and its models. It may be called again."""
        with self._handle.lock:
            self._handle.close()

    def __enter__(self) -> 'Device':
        return self

    def __exit__(self, *_: object) -> Optional[bool]:
        self.close()
        return None

    def __repr__(self) -> str:
        return f"<vkclip.Device {', '.join(info.name for info in self._infos)}>"
