"""Stopping on SIGTERM, which schedulers send, and on SIGINT, which is Ctrl-C.

No signal handler here raises: an exception out of a handler is lost wherever Python happens to be
in a callback of the garbage collector, or in a part of Keras that catches everything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from meta_tf.files import undo_all

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PATIENCE = 15.0  # seconds; Kubernetes kills a process 30 seconds after its SIGTERM
_LAST = 2.0  # seconds for each thing that is done at the very end


@contextlib.contextmanager
def handled_by(handler: Any) -> Iterator[None]:
    """Handles the signals with `handler` during the block; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, handler) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, earlier in before.items():
            signal.signal(signum, earlier)


class Stopped(BaseException):  # which no library catches as an error
    """The program was asked to stop, and does.

    Args:
      signum: by which signal.
      told: what to say about it, beside that.
    """

    def __init__(self, signum: int, told: str = "") -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}.{told}")
        self.exit_code = 128 + signum


class StopRequest:
    """Whether the program has been asked to stop, and what becomes of it then.

    Within `signals()` a signal ends the process at once: a line says so, and what is half written
    is removed. Within `finishing()` it is only noted, for the block to look at after each call
    into TensorFlow. If the block has not done so after some seconds, as while a step compiles, the
    process ends then. A second signal ends it there and then.

    Args:
      program: whose line it is, such as `meta-tf train`.
      again: what to say at the end of that line.
      patience: seconds that a block of `finishing()` has.

    Example:
      >>> stop = StopRequest()
      >>> with contextlib.suppress(Stopped), stop.signals(), stop.finishing():
      ...     os.kill(os.getpid(), signal.SIGTERM)
      >>> stop.signal == signal.SIGTERM
      True
    """

    def __init__(
        self, program: str = "meta-tf", again: str = "", patience: float = PATIENCE
    ) -> None:
        self.signal: int | None = None
        self._program, self._again, self._patience = program, again, patience
        self._lock = threading.RLock()  # a handler may come while its own thread holds it
        self._noting = False  # whether a signal is noted, and does not end the process
        self._told = ""  # what is said when one is noted
        self._ends = False  # whether the first signal does end it
        self._answered = False  # whether the block has looked at it
        self._come = 0  # signals
        self._asked = threading.Event()
        self._screen = 2

    def answer(self, signum: int) -> None:
        """Notes that the program does stop, and takes the time that it needs for it."""
        self.signal, self._answered = signum, True

    def raise_if_asked(self, told: str = "") -> None:
        """Raises `Stopped` if a signal has come."""
        if self.signal is not None:
            self.answer(self.signal)
            raise Stopped(self.signal, told)

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """Leaves it to the block when to stop, or else stops at its end."""
        with self._noted("stopping after the step at hand; a second signal ends at once."):
            yield
        self.raise_if_asked()

    def wait(self) -> None:
        """Returns once a signal has come, which is then done with."""
        with self._noted(""):
            self._asked.wait()
        self._asked.clear()
        self.signal, self._come = None, 0

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Listens to the signals while the block runs; in any other than the main thread, not."""
        global _current
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # Python calls its handlers between two instructions of its own, which a long call into
        # TensorFlow delays. The bytes of `set_wakeup_fd` come at once, to a thread.
        read, write = os.pipe()
        os.set_blocking(write, False)
        self._screen = os.dup(2)  # what converters write is kept from it, but not this line
        wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        watcher = threading.Thread(target=self._watch, args=(read,), daemon=True)
        watcher.start()
        outer, _current = _current, self
        try:
            with handled_by(self._handle):
                yield
        finally:
            _current = outer
            signal.set_wakeup_fd(wakeup)
            os.close(write)
            watcher.join()
            os.close(read)
            os.close(self._screen)
            self._screen = 2

    @contextlib.contextmanager
    def _noted(self, told: str) -> Iterator[None]:
        with self._lock:
            self._noting, self._told, self._answered = True, told, False
        try:
            yield
        finally:
            with self._lock:
                self._noting, self._answered = False, True

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        """Sets the flag, at the latest before the main thread makes its next step."""
        del frame
        self._decide(signum)

    def _decide(self, signum: int) -> None:
        with self._lock:
            if self.signal is None:
                self.signal, self._ends = signum, not self._noting

    def _watch(self, read: int) -> None:
        """Does what each signal asks for."""
        while byte := os.read(read, 1):
            signum = byte[0]
            if signum not in SIGNALS:
                continue
            self._come += 1
            if self._come > 1:
                os._exit(128 + signum)
            self._decide(signum)
            if self._ends:
                self._end(Stopped(signum))
            if self._told:
                os.write(self._screen, f"{signal.Signals(signum).name}: {self._told}\n".encode())
            timer = threading.Timer(self._patience, self._give_up, (signum,))
            timer.daemon = True
            timer.start()
            self._asked.set()

    def _give_up(self, signum: int) -> None:
        if not self._answered:
            self._end(Stopped(signum, " The step at hand had not ended."))

    def _end(self, stopped: Stopped) -> NoReturn:
        """Ends the process, whatever the main thread is at."""
        os.write(self._screen, f"{self._program}: {stopped}{self._again}\n".encode())
        # In threads of their own: either may wait for something that the main thread holds.
        for last in (undo_all, sys.stdout.flush):
            thread = threading.Thread(target=last, daemon=True)
            thread.start()
            thread.join(_LAST)
        os._exit(stopped.exit_code)


_current: StopRequest | None = None


def current() -> StopRequest:
    """The one whose `signals()` the process listens by; a new one if there is none."""
    return _current or StopRequest()


def end_at_once() -> None:
    """Lets a signal end the process with a line: until a `StopRequest` knows better.

    For the command itself, whose imports take seconds.
    """
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            signal.signal(signum, _end_at_once)


def _end_at_once(signum: int, frame: FrameType | None) -> NoReturn:
    del frame
    os.write(2, f"meta-tf: {Stopped(signum)}\n".encode())
    os._exit(128 + signum)
