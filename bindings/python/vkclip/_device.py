# SPDX-License-Identifier: MIT
"""Devices."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Any, Callable, List, Optional, Tuple, Union

from . import _lib
from ._handle import Call, Closable, Handle, Progress
from ._library import check, lib
from ._struct import Path, describe, new, value_of


@dataclasses.dataclass(frozen=True)
class DeviceInfo:
    """Describes a Vulkan device.

    index   its position in Vulkan's enumeration
    type    'discrete', 'integrated', 'virtual', 'cpu' or 'other'
    driver  the driver's name and version
    memory  bytes of the largest heap on the device
    caps    optional features that were found and are usable
    why     what the device lacks, if it is not usable
    uuid    Vulkan's deviceUUID, 16 bytes
    luid    Windows's identifier of the adapter, 8 bytes
    """

    index: int
    name: str
    type: str
    driver: str
    api_version: Tuple[int, int, int]
    memory: int
    max_buffer_range: int
    caps: Tuple[str, ...]
    usable: bool
    why: str
    vendor_id: int
    device_id: int
    uuid: bytes
    driver_uuid: bytes
    luid: Optional[bytes]


@dataclasses.dataclass(frozen=True)
class Peaks:
    """The most that a device was measured to achieve.

    flops         operations in fp32 per second; a multiply-add counts as two
    bytes         bytes per second that a large copy reads and writes
    matrix_flops  those of products of cooperative matrices; 0: the device has none
    """

    flops: float
    bytes: float
    how: str
    matrix_flops: float
    matrix_how: str


@dataclasses.dataclass(frozen=True)
class KernelCheck:
    """The comparison of one kernel with the reference on the host.

    error   the largest error as a share of its bound: above 1 is wrong
    stable  all runs gave the same bits, and wrote only the result
    """

    device: str
    op: str
    kernel: str
    activations: str
    weights: str
    shape: str
    error: float
    runs: int
    built: bool
    stable: bool
    right: bool


@dataclasses.dataclass(frozen=True)
class Tuning:
    """Which kernel a device uses for a class of shapes, and the times by which it was chosen.

    times  names and milliseconds of the candidates; a negative time: it failed or was wrong
    """

    device: str
    shape: str
    kernel: str
    times: Tuple[Tuple[str, float], ...]


def _describe(info: Any) -> DeviceInfo:
    return describe(DeviceInfo, info, caps=tuple(info.caps.decode().split()), uuid=bytes(info.uuid),
                    driver_uuid=bytes(info.driver_uuid), luid=bytes(info.luid) if info.has_luid else None)


def _list_infos(function: Callable[..., int]) -> List[DeviceInfo]:
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


def kernel_caps() -> Tuple[str, ...]:
    """Returns the optional features of devices for which this build of the library has kernels."""
    text = ctypes.create_string_buffer(256)
    check(lib.vkclip_get_kernel_caps(text, len(text)))
    return tuple(text.value.decode().split())


class Device(Closable):
    """A Vulkan device, or several that share the work.

    device      a number or a part of a name, several of them with commas between, or 'all'; None takes the best
                device, or what the environment variable VKCLIP_DEVICE said at import
    cache_dir   the folder for compiled kernels and measurements: None is the user's cache, '' keeps nothing
    threads     how many threads of the host prepare pictures; 0: as many as there are processors
    background  the device and these threads give way to other programs
    tune        'on' measures which kernel is the fastest for shapes that are new to the device, 'off' takes a fixed
                order, 'force' measures again; 'default' is 'on', or what VKCLIP_TUNE said at import
    skip_checks kernels are not compared with a reference before they are first used
    timeout     seconds without progress after which the device counts as lost; 0: 300
    progress    is called while the device is opened, and cancels that by returning a true value

    Several threads may use one device and its models: their calls take turns, and other threads of Python run
    meanwhile. Closing the device closes its models too.
    """

    def __init__(self, device: Union[str, int, None] = None, *, cache_dir: Optional[Path] = None, threads: int = 0,
                 background: bool = False, tune: str = 'default', skip_checks: bool = False, timeout: float = 0,
                 progress: Optional[Progress] = None) -> None:
        if not isinstance(device, (str, int, type(None))) or isinstance(device, bool):
            raise TypeError(f'device is {device!r}, expected a number, a name or None')
        params = new(_lib.vkclip_device_params, device=None if device is None else str(device), cache_dir=cache_dir,
                     threads=threads, background=background, tune=tune, skip_checks=skip_checks, timeout=timeout)
        pointer = ctypes.POINTER(_lib.vkclip_device)()
        try:
            with Call(progress=progress) as call:
                params.progress = call.progress
                check(lib.vkclip_open_device(ctypes.byref(params), ctypes.byref(pointer)))
        except BaseException:
            # Ctrl-C may also come when the device is open.
            lib.vkclip_close_device(ctypes.byref(pointer))
            raise
        self._own(Handle('device', pointer, lib.vkclip_close_device))
        self._infos = _list_infos(lambda *rest: lib.vkclip_get_device_infos(pointer, *rest))

    @property
    def infos(self) -> List[DeviceInfo]:
        """Describes the devices in the order named."""
        return list(self._infos)

    def measure_peaks(self, *, progress: Optional[Progress] = None) -> Peaks:
        """Measures the most that the device achieves, or the first of several. It takes a few seconds."""
        peaks = new(_lib.vkclip_peaks)
        with Call(self._handle, progress=progress) as call:
            check(lib.vkclip_measure_peaks(self._handle.pointer, call.progress, None, ctypes.byref(peaks)))
        return describe(Peaks, peaks)

    def check(self, op: Optional[str] = None, *, on_check: Optional[Callable[[KernelCheck], object]] = None
              ) -> List[KernelCheck]:
        """Compares every kernel that the device can run with a reference, and returns all results.

        `op` restricts this to one op, such as 'MATMUL', or to 'MODEL', a model of two layers; all of them take from
        some seconds to some minutes. `on_check` gets each result at once, and cancels the call if it returns a true
        value.
        """
        found: List[KernelCheck] = []

        def take(place: Any) -> object:
            found.append(describe(KernelCheck, place.contents))
            return on_check(found[-1]) if on_check else None

        wrong = ctypes.c_size_t()
        with Call(self._handle) as call:
            check(lib.vkclip_check_device(self._handle.pointer, op.encode() if op else None,
                                          call.wrap(_lib.vkclip_check_fn, take), None, ctypes.byref(wrong)))
        return found

    def tuning(self) -> List[Tuning]:
        """Returns the choices of kernels that were made by measurement so far."""
        found: List[Tuning] = []

        def take(place: Any) -> None:
            entry = place.contents
            times = tuple((value_of(time.kernel), time.ms) for time in entry.times[:entry.count])
            found.append(describe(Tuning, entry, times=times))

        with Call(self._handle) as call:
            check(lib.vkclip_list_tuning(self._handle.pointer, call.wrap(_lib.vkclip_tuning_fn, take), None))
        return found

    def __repr__(self) -> str:
        return f"<vkclip.Device {', '.join(info.name for info in self._infos)}>"


class OnDevice(Closable):
    """What computes on a device, and closes the device with itself if it has opened that."""

    _owned: Optional[Device]

    def close(self) -> None:
        """Closes it, and its device if it has opened that. It may be called again."""
        super().close()
        if self._owned:
            self._owned.close()


def open_device(device: Union[Device, str, int, None]) -> Tuple[Device, bool]:
    """Returns a device for what a program names as one, and whether it was opened for that."""
    return (device, False) if isinstance(device, Device) else (Device(device), True)
