"""Stops on SIGTERM, which schedulers send, and on SIGINT (Ctrl-C).

No signal handler raises here: an exception from a handler is lost if Python happens to run a
callback of the garbage collector, or a part of Keras that catches all exceptions.
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
_LAST = 2.0  # seconds for each cleanup before the process ends


def handle(handler: Any) -> dict[signal.Signals, Any]:
    """Handles the signals with `handler`, in the main thread only; returns what did it before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {signum: signal.signal(signum, handler) for signum in SIGNALS}


@contextlib.contextmanager
def handled_by(handler: Any) -> Iterator[None]:
    """Handles the signals with `handler` during the block; in the main thread only."""
    before = handle(handler)
    try:
        yield
    finally:
        for signum, earlier in before.items():
            signal.signal(signum, earlier)


class Stopped(BaseException):  # which no library catches as an error
    """The program stops because of a signal.

    Args:
      signum: the signal.
      more: another sentence for the message.
    """

    def __init__(self, signum: int, more: str = "") -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}.{more}")
        self.exit_code = 128 + signum


class StopRequest:
    """Whether a signal has requested a stop, and what happens then.

    Within `signals()`, a signal ends the process immediately: it prints a line and removes
    incomplete files. Within `finishing()`, the signal is only recorded, and the block checks for it
    after each call into TensorFlow. If the block does not check within some seconds, for example
    because a step is compiling, the process ends. A second signal ends it immediately.

    Args:
      program: the start of the line, such as `meta-tf train`.
      again: the end of the line.
      patience: the seconds that a block of `finishing()` has.

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
        self._recording = False  # whether a signal is recorded, instead of ending the process
        self._notice = ""  # what to print when one is recorded
        self._ends = False  # whether the first signal ended the process
        self._answered = False  # whether the block has checked for it
        self._count = 0  # signals so far
        self._asked = threading.Event()
        self._screen = 2

    def answer(self, signum: int) -> None:
        """Records that the program stops now, however long that takes."""
        self.signal, self._answered = signum, True

    def raise_if_asked(self, more: str = "") -> None:
        """Raises `Stopped` if a signal has arrived."""
        if self.signal is not None:
            self.answer(self.signal)
            raise Stopped(self.signal, more)

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """Lets the block choose when to stop; at the latest, it stops at its end."""
        with self._recorded("stopping after the current step; a second signal ends at once."):
            yield
        self.raise_if_asked()

    def wait(self) -> None:
        """Waits for a signal, and then forgets it."""
        with self._recorded(""):
            self._asked.wait()
        self._asked.clear()
        self.signal, self._count = None, 0

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Handles signals during the block; in the main thread only."""
        global _current
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # Python calls handlers between two of its instructions, so a long call into TensorFlow
        # delays them. The bytes of `set_wakeup_fd` arrive immediately, in a thread.
        read, write = os.pipe()
        os.set_blocking(write, False)
        self._screen = os.dup(2)  # shows this line even while the output of converters is hidden
        wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        watcher = threading.Thread(target=self._watch, args=(read,), daemon=True)
        watcher.start()
        outer, _current = _current, self
        try:
            with handled_by(self._decide):
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
    def _recorded(self, notice: str) -> Iterator[None]:
        with self._lock:
            self._recording, self._notice, self._answered = True, notice, False
        try:
            yield
        finally:
            with self._lock:
                self._recording, self._answered = False, True

    def _decide(self, signum: int, frame: FrameType | None = None) -> None:
        """Records the signal; as a handler, before the main thread continues."""
        del frame
        with self._lock:
            if self.signal is None:
                self.signal, self._ends = signum, not self._recording

    def _watch(self, read: int) -> None:
        """Acts on each signal."""
        while byte := os.read(read, 1):
            signum = byte[0]
            if signum not in SIGNALS:
                continue
            self._count += 1
            if self._count > 1:
                os._exit(128 + signum)
            self._decide(signum)
            if self._ends:
                self._end(Stopped(signum))
            if self._notice:
                os.write(self._screen, f"{signal.Signals(signum).name}: {self._notice}\n".encode())
            timer = threading.Timer(self._patience, self._give_up, (signum,))
            timer.daemon = True
            timer.start()
            self._asked.set()

    def _give_up(self, signum: int) -> None:
        if not self._answered:
            self._end(Stopped(signum, " The current step had not ended."))

    def _end(self, stopped: Stopped) -> NoReturn:
        """Ends the process, whatever the main thread does."""
        os.write(self._screen, f"{self._program}: {stopped}{self._again}\n".encode())
        # In threads, because each can wait for something that the main thread holds.
        for last in (undo_all, sys.stdout.flush):
            thread = threading.Thread(target=last, daemon=True)
            thread.start()
            thread.join(_LAST)
        os._exit(stopped.exit_code)


_current: StopRequest | None = None


def current() -> StopRequest:
    """The request that handles the signals of this process; a new one if there is none."""
    return _current or StopRequest()


def end_at_once() -> None:
    """Lets a signal end the process with one line, until a `StopRequest` handles signals.

    For the imports of the command, which take seconds.
    """
    handle(_end_at_once)


def ignore_from_now() -> None:
    """Ignores signals while a process that has finished ends, so that its exit code is right."""
    handle(signal.SIG_IGN)


def _end_at_once(signum: int, frame: FrameType | None) -> NoReturn:
    del frame
    os.write(2, f"meta-tf: {Stopped(signum)}\n".encode())
    os._exit(128 + signum)
