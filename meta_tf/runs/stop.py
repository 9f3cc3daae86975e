"""Stopping on SIGTERM, which schedulers send, and on SIGINT, which is Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
    """Whether the program has been asked to stop, and whether it does so at once.

    Within `signals()` the first signal raises `Stopped` in the main thread, so that files half
    written are removed; within `finishing()` it is only noted, for the training to look at after
    each call into TensorFlow. A second signal ends the process there and then.

    Example:
      >>> stop = StopRequest()
      >>> with stop.signals(), stop.finishing():
      ...     os.kill(os.getpid(), signal.SIGTERM)
      >>> stop.signal == signal.SIGTERM
      True
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._finishing = False

    def raise_if_asked(self, told: str = "") -> None:
        """Raises `Stopped` if a signal has come."""
        if self.signal is not None:
            raise Stopped(self.signal, told)

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """Leaves it to the block when to stop."""
        self._finishing = True
        try:
            yield
        finally:
            self._finishing = False

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Listens to the signals while the block runs; in any other than the main thread, not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # Python calls its handlers between two instructions of its own, which a long call into
        # TensorFlow delays. The bytes of `set_wakeup_fd` come at once, to a thread.
        read, write = os.pipe()
        os.set_blocking(write, False)
        wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        before = {signum: signal.signal(signum, self._note) for signum in SIGNALS}
        watcher = threading.Thread(target=self._watch, args=(read,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
            signal.set_wakeup_fd(wakeup)
            os.close(write)
            watcher.join()
            os.close(read)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del frame
        if self.signal is None:
            self.signal = signum
            if not self._finishing:
                raise Stopped(signum)

    def _watch(self, read: int) -> None:
        """Tells of the first signal, and ends the process with the second."""
        come = 0
        while byte := os.read(read, 1):
            if byte[0] not in SIGNALS:
                continue
            come += 1
            if come > 1:
                os._exit(128 + byte[0])
            if self._finishing:
                name = signal.Signals(byte[0]).name
                text = f"{name}: stopping after the step at hand; a second signal ends at once.\n"
                os.write(2, text.encode())
