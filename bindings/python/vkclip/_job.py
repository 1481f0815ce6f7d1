# SPDX-License-Identifier: MIT
"""Calls that go on while the program does something else."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import ctypes
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, Generator, List

from . import _lib
from ._handle import Call
from ._library import Error, check, lib, make_error
from ._struct import FloatArray

if TYPE_CHECKING:
    _Future = concurrent.futures.Future[FloatArray]
else:
    _Future = concurrent.futures.Future

_numbers = itertools.count(1)
_running: Dict[int, 'Job'] = {}
_ended: List[Any] = []  # handles of jobs that are done, which a job cannot close itself
_lock = threading.Lock()  # keeps a handle from being closed by one thread while another one cancels its job


class Job(_Future):
    """An encoding that goes on while the program does something else, as `wait=False` starts it.

    It is a concurrent.futures.Future: `result` waits for the array, `cancel` also stops what runs already, and
    `add_done_callback` calls a function on the job's thread. Coroutines await it. Jobs of one device run in the order
    in which they were started. What was given to the call must not change until the job is done.
    """

    def __init__(self, call: Call, work: contextlib.ExitStack, start: Callable[[Any], int], params: Any,
                 result: FloatArray) -> None:
        """Starts a job by a function that gets its params. `work` closes what the job needs."""
        super().__init__()
        _close_ended()
        self._pointer: Any = ctypes.POINTER(_lib.vkclip_job)()
        self._call, self._work, self._params, self._array = call, work, params, result
        call.begin()
        work.callback(call.end)
        number = next(_numbers)
        params.job, params.user, params.done = ctypes.pointer(self._pointer), number, _done
        _running[number] = self
        try:
            check(start(params))
        except BaseException:
            del _running[number]
            work.close()
            raise

    def cancel(self) -> bool:
        """Cancels the job, also while it runs. Returns False if it is done."""
        cancelled = super().cancel()
        with _lock:
            if cancelled and self._pointer:
                lib.vkclip_cancel_job(self._pointer)
        return cancelled

    def running(self) -> bool:
        """Tells whether the job waits for its turn or runs."""
        return not self.done()

    def _end(self, code: int, message: bytes) -> None:
        with _lock:
            _ended.append(self._pointer)
            self._pointer = None
        call, result = self._call, self._array
        self._work.close()
        # The functions for the library refer to the call, and the params to them.
        del self._call, self._work, self._params, self._array
        if not self.set_running_or_notify_cancel():
            return
        if call.exception is not None:
            self.set_exception(call.exception)
        elif code:
            self.set_exception(make_error(code, message.decode('utf-8', 'replace')))
        else:
            self.set_result(result)

    def __await__(self) -> Generator[Any, None, FloatArray]:
        return asyncio.wrap_future(self).__await__()


def _end(user: int, code: int, message: bytes) -> None:
    _running.pop(user)._end(code, message)


# The library returns through this function after the job has dropped its others, so that it is never freed.
_done = _lib.vkclip_done_fn(_end)


def _close_ended() -> None:
    for handle in [_ended.pop() for _ in range(len(_ended))]:
        lib.vkclip_close_job(ctypes.byref(handle))
        if handle:
            # A function that a job calls at its end starts another one: the library cannot close the first one there.
            _ended.append(handle)


@atexit.register
def _cancel_all() -> None:
    for job in list(_running.values()):
        job.cancel()
        with _lock:
            pointer = job._pointer
        if pointer:
            lib.vkclip_wait_job(pointer, -1, None)
    _close_ended()


def _forget_all() -> None:
    """Ends the jobs of the process from which this one was forked, whose threads are not here."""
    for job in _running.values():
        concurrent.futures.Future.__init__(job)
        job.set_exception(Error('the job belongs to the process from which this one was forked'))
    _running.clear()
    _ended.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget_all)
