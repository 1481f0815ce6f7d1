# SPDX-License-Identifier: MIT
"""Handles of the library, and the calls that use them.

The library lets the calls of several threads take turns. What it cannot know is that a handle which one thread closes
is about to be used by another one. Therefore each call counts as a use of its handles, for which closing waits.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import weakref
from typing import Any, Callable, Iterator, List, Optional, Set, TypeVar

from . import _lib
from ._library import Error
from ._struct import type_name

Progress = Callable[[int, int], object]
"""Is called with how much is done and how much there is. A true result cancels the call."""
Self = TypeVar('Self', bound='Closable')

_inside = threading.local()


def _calls() -> List['Call']:
    """Returns the calls that have called functions of Python which run on this thread, the innermost one last."""
    if not hasattr(_inside, 'calls'):
        _inside.calls = []
    calls: List['Call'] = _inside.calls
    return calls


class Handle:
    """A handle of the library. That of a device has those that were opened on it as `children`.

    `root` is the device's handle, or itself. What Python's collector finds to be unused is closed when no call uses
    the root, because the collector runs at any moment, also within a function that such a call has called.
    """

    def __init__(self, name: str, pointer: Any, close: Any, parent: Optional['Handle'] = None, memory: Any = None
                 ) -> None:
        self.name = name
        self.pointer = pointer
        self.memory = memory  # is read by the library as long as the handle is open
        self.parent = parent
        self.root: Handle = parent.root if parent else self
        self.children: Set[Handle] = set()
        self._close = close
        self._process = os.getpid()
        # The lock of the condition protects what follows. The collector may want it from the thread that has it.
        self._changed: threading.Condition = parent._changed if parent else threading.Condition(threading.RLock())
        self._open = True
        self._uses = 0
        self._uses_below = 0  # of the root: those of all its handles
        self._unused: List[Handle] = []  # of the root: handles to close when it is not used
        if parent:
            parent.children.add(self)

    def is_open(self) -> bool:
        return self._open

    def _is_inherited(self) -> bool:
        return os.getpid() != self._process

    def begin_use(self) -> None:
        if self._is_inherited():
            raise Error(f'the {self.name} was opened by process {self._process}, from which this one was forked: '
                        'open it in this process')
        with self._changed:
            if not self._open:
                raise ValueError(f'the {self.name} is closed')
            self._uses += 1
            self.root._uses_below += 1

    def end_use(self) -> None:
        with self._changed:
            self._uses -= 1
            self.root._uses_below -= 1
            unused: List[Handle] = []
            if not self.root._uses_below:
                unused, self.root._unused = self.root._unused, unused
            self._changed.notify_all()
        for handle in unused:
            handle.finish()

    def close(self) -> None:
        """Closes the handle after its children, when no call uses it any more."""
        if self._is_inherited():
            # The library has nothing to close here, and a thread of the parent may have the lock for ever.
            self._open = False
            return
        if any(handle.root is self.root for call in _calls() for handle in call.handles):
            raise Error(f'a function that a call has called cannot close the {self.name}, which the call uses')
        self._open = False
        while self.children:
            next(iter(self.children)).close()
        with self._changed:
            self._changed.wait_for(lambda: self._uses == 0)
            pointer, self.pointer = self.pointer, None
        self._release(pointer)

    def _release(self, pointer: Any) -> None:
        if self.parent:
            self.parent.children.discard(self)
        if pointer:
            self._close(ctypes.byref(pointer))
        self.memory = None

    def finish(self) -> None:
        """Closes the handle, or leaves that to the end of the calls that are under way."""
        if self._is_inherited():
            return
        with self._changed:
            if self.root._uses_below:
                self.root._unused.append(self)
                return
            self._open = False
            pointer, self.pointer = self.pointer, None
        for child in list(self.children):
            child.finish()
        self._release(pointer)


class Call:
    """A call of the library with what it uses: handles, and functions of Python.

    An exception cannot pass through the library. Where a function raises one, it is kept, the call is cancelled, and
    the exception is raised at the end of the `with` statement. The same is done with Ctrl-C: while the main thread is
    in the library, the interrupt only sets a mark, at which the next function cancels the call, because an exception
    that is raised between two instructions of such a function could be lost.
    """

    def __init__(self, *handles: Handle, progress: Optional[Progress] = None) -> None:
        self.handles = handles
        self.exception: Optional[BaseException] = None
        self._progress = progress
        self._interrupted = False
        self._before: Any = None

    def begin(self) -> None:
        for i, handle in enumerate(self.handles):
            try:
                handle.begin_use()
            except BaseException:
                for used in self.handles[:i]:
                    used.end_use()
                raise

    def end(self) -> None:
        for handle in self.handles:
            handle.end_use()

    def __enter__(self) -> 'Call':
        # From here to the end Ctrl-C only sets a mark, so that no use of a handle is left without its end.
        if (threading.current_thread() is threading.main_thread()
                and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            self.begin()
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._restore()
        if self.exception is not None:
            self.raise_kept()
        if self._interrupted:
            raise KeyboardInterrupt from None

    def raise_kept(self) -> None:
        """Raises the exception of a function with the context that it had, and not as one that an error led to."""
        kept, self.exception = self.exception, None
        assert kept is not None
        context = kept.__context__
        try:
            raise kept
        finally:
            kept.__context__ = context

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True

    def guard(self, function: Optional[Callable[..., object]], *arguments: Any) -> int:
        """Calls a function. Returns 1, which cancels the call of the library, if it raises or returns a true value."""
        if self._interrupted or self.exception is not None:
            return 1
        if function is None:
            return 0
        _calls().append(self)
        try:
            return 1 if function(*arguments) or self._interrupted else 0
        except BaseException as exception:
            self.exception = exception
            return 1
        finally:
            _calls().pop()

    def wrap(self, kind: Any, function: Optional[Callable[..., object]]) -> Any:
        """Makes a function for the library, whose first argument is left out."""
        return kind(lambda user, *arguments: self.guard(function, *arguments))

    @property
    def progress(self) -> Any:
        return self.wrap(_lib.vkclip_progress_fn, self._progress)


class Caller:
    """The progress function of a handle, which the library asks in every call on it, on the thread that makes the call.

    It also lets Ctrl-C and exceptions end such a call. What has the function for the library refers to this object
    alone, so that an index or a trainer that is not used any more is closed at once.
    """

    def __init__(self, progress: Optional[Progress]) -> None:
        self._progress = progress
        self._thread = threading.local()

    def make_function(self) -> Any:
        return _lib.vkclip_progress_fn(self._ask)

    def _ask(self, user: Any, done: int, total: int) -> int:
        call: Optional[Call] = getattr(self._thread, 'call', None)
        return call.guard(self._progress, done, total) if call else 0

    @contextlib.contextmanager
    def call(self, *handles: Handle, progress: Optional[Progress] = None) -> Iterator[Call]:
        """Makes a call on the handle, which may have a progress function of its own."""
        with Call(*handles, progress=progress) as call:
            outer = getattr(self._thread, 'call', None)
            self._thread.call = call
            try:
                yield call
            finally:
                self._thread.call = outer


class Closable:
    """What has a handle: it closes itself at the end of a `with` statement, by `close`, or when nothing uses it any
    more."""

    _handle: Handle

    def _own(self, handle: Handle) -> None:
        self._handle = handle
        self._finalizer = weakref.finalize(self, handle.finish)

    def close(self) -> None:
        """Closes it. Calls of other threads that use it end first. It may be called again."""
        self._handle.close()

    @property
    def closed(self) -> bool:
        """Tells whether it is closed."""
        return not self._handle.is_open()

    @classmethod
    def _handle_of(cls, value: Any) -> Handle:
        """Returns the handle of an argument, which must be of this class."""
        if not isinstance(value, cls):
            raise TypeError(f'{value!r} is {type_name(value)}, expected a vkclip.{cls.__name__}')
        return value._handle

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError(f'a vkclip.{type(self).__name__} cannot be pickled or copied: '
                        'each process opens its own')
