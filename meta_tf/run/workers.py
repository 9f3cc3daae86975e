"""The processes that train together: what they exchange, and what happens if one is lost.

Only the chief accesses the run's folder and prints. It sends the others the checkpoint to start
from, so they do not need the folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from meta_tf.batch.replicas import replicas_here
from meta_tf.files import temporary_folder
from meta_tf.run.checkpoints import Checkpoint
from meta_tf.run.cluster import Cluster, read_cluster, tolerate_silence
from meta_tf.run.stop import SIGNALS, handled_by

_CHUNK = 2**18  # numbers in one message
_PROBES = 4  # attempts to reach a worker before the timeout
_TRIES, _PAUSE = 10, 0.3  # seconds
# The errors of a step after a worker was lost. Errors of the step itself are of other types.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
)
_leaving = threading.Lock()


class Workers:
    """The processes of a training; only this one if there is no cluster.

    Args:
      strategy: the strategy for the devices of all processes; one device of this one if None.
      cluster: their addresses.
      timeout: a worker that does not answer for this many seconds counts as lost.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy | None = None,
        cluster: Cluster | None = None,
        timeout: float = 0.0,
    ) -> None:
        self.strategy = strategy or tf.distribute.get_strategy()
        self._addresses = cluster.addresses if cluster else ()
        self._timeout = timeout
        self.is_chief = cluster is None or cluster.number == 0
        self._sum = tf.function(self._summed, autograph=False)

    @classmethod
    def of_environment(cls, timeout: float) -> Workers:
        """The workers in `TF_CONFIG`, once all of them have started.

        Ends the process if that takes more than `timeout` seconds.

        Raises:
          ValueError: if `TF_CONFIG` is invalid, or this process cannot listen at its address.
        """
        cluster = read_cluster()
        cls(cluster=cluster, timeout=timeout)._wait_for_all(cluster)
        tolerate_silence(timeout)
        # Python's own handlers would wait for TensorFlow to return.
        with handled_by(signal.SIG_DFL):
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        return cls(strategy, cluster, timeout)

    @property
    def are_several(self) -> bool:
        """Whether there is more than one process."""
        return len(self._addresses) > 1

    def agreed(self, signum: int | None) -> int | None:
        """A signal that any of the workers has received. `signum` is the one of this process."""
        if not self.are_several:
            return signum
        asked = self.summed(np.array([float(signum == s) for s in SIGNALS], np.float32))
        return next((s for s, count in zip(SIGNALS, asked, strict=True) if count), None)

    @contextlib.contextmanager
    def same_start(self, start: Checkpoint | None) -> Iterator[Checkpoint | None]:
        """The checkpoint that the chief starts from, as a file that this process can read."""
        if not self.are_several:
            yield start
            return
        content = start.path.read_bytes() if start else b""
        own = [start.iteration if start else 0, len(content)]
        sizes = self.summed(np.array(own if self.is_chief else [0, 0], np.int64))
        iteration, size = (int(n) for n in sizes)
        if not size:
            yield None
            return
        sent = np.frombuffer(content, np.uint8) if self.is_chief else np.zeros(size, np.uint8)
        chunks = [sent[i : i + _CHUNK].astype(np.float32) for i in range(0, size, _CHUNK)]
        whole = b"".join(self.summed(chunk).astype(np.uint8).tobytes() for chunk in chunks)
        if start:
            yield start
            return
        with temporary_folder() as folder:
            path = folder / f"{iteration:08d}.keras"
            path.write_bytes(whole)
            yield Checkpoint(path, iteration)

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Ends the process with one line if a worker is lost during the block.

        After the block, the others wait until the chief calls `end`, because if the chief fails
        then, all of them have to start again. TensorFlow detects a broken connection in the current
        step. If a machine disappears, TensorFlow waits for it, and a thread detects it: the chief
        checks all workers, and they check the chief.
        """
        if not self.are_several:
            yield
            return
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,), daemon=True)
        watcher.start()
        try:
            yield
            if not self.is_chief:
                self._meet()
        except _LOST as error:
            _leave(self._gone() or f"a worker no longer answers ({type(error).__name__})")
        finally:
            done.set()
            watcher.join()

    def end(self) -> None:
        """Ends the waiting of the others, after the chief has finished its own work."""
        with contextlib.suppress(*_LOST):  # they are no longer needed
            self._meet()

    def _meet(self) -> None:
        if self.are_several:
            self.summed(np.zeros(1, np.float32))

    def _watch(self, done: threading.Event) -> None:
        """Checks the others until the training ends."""
        others = range(1, len(self._addresses)) if self.is_chief else range(1)
        seen = dict.fromkeys(others, time.monotonic())
        while not done.wait(self._timeout / _PROBES):
            for other in others:
                if self._answers(other):
                    seen[other] = time.monotonic()
                elif not done.is_set() and time.monotonic() - seen[other] > self._timeout * 0.6:
                    _leave(self._lost(other))

    def _answers(self, number: int) -> bool:
        """Whether a worker is running: its server accepts a connection."""
        host, _, port = self._addresses[number].rpartition(":")
        try:
            with socket.create_connection((host, int(port)), self._timeout / _PROBES):
                return True
        except OSError:
            return False

    def _wait_for_all(self, cluster: Cluster) -> None:
        """Waits until each worker has answered once at its address.

        TensorFlow would wait for an hour without a message, and block all Python threads. Until its
        server takes over the address, a socket answers there.
        """
        until = time.monotonic() + self._timeout
        missing = list(range(len(self._addresses)))
        with _listening(self._addresses[cluster.number]):
            while missing := [number for number in missing if not self._answers(number)]:
                if time.monotonic() > until:
                    who = self._lost(missing[0]).replace("no longer answers", "does not answer")
                    _leave(f"{who}, {self._timeout:g} s after the start (--worker_timeout)")
                time.sleep(_PAUSE)

    def _gone(self) -> str:
        """Which worker does not answer, in words; empty if all answer."""
        for _ in range(_TRIES):  # a process that is ending can still answer for a moment
            for number in range(len(self._addresses)):
                if not self._answers(number):
                    return self._lost(number)
            time.sleep(_PAUSE)
        return ""

    def _lost(self, number: int) -> str:
        return f"worker {number}, {self._addresses[number]}, no longer answers"

    def summed(self, values: np.ndarray) -> np.ndarray:
        """The sum of the arrays of all workers, which have the same shape."""
        return self._sum(tf.constant(values)).numpy()

    def _summed(self, values: tf.Tensor) -> tf.Tensor:
        here = replicas_here(self.strategy)

        def own() -> tf.Tensor:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            return tf.where(tf.equal(number % here, 0), values, tf.zeros_like(values))

        return self.strategy.reduce("SUM", self.strategy.run(own), axis=None)


def _listening(address: str) -> socket.socket:
    """A socket that accepts connections at the address of this process."""
    port = int(address.rpartition(":")[2])
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise ValueError(
            f"TF_CONFIG gives this worker the address {address}, where it cannot listen: "
            f"{error.strerror}. End the process that uses the port, or give all workers another "
            "port."
        ) from error


def _leave(what: str) -> None:
    """Prints why and ends the process at once: TensorFlow would wait for the lost worker."""
    with _leaving:  # only the first thread prints
        line = (
            f"meta-tf train: error: {what}. Start all workers again: the run continues from its "
            "last checkpoint.\n"
        )
        os.write(2, line.encode())
        os._exit(1)
